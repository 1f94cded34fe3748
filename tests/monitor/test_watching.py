"""A log that only grows is consistent; one that rewrites its history, or shows two faces, is caught."""

from __future__ import annotations

from pathlib import Path

import pytest
from watched_logs import RELEASE, STRAY, Observed, Writer, filled, forked, size_of, source_of

from chainlab.monitor.logwatch.log_sources import LogVersion
from chainlab.monitor.logwatch.reader_ct import ReaderCT
from chainlab.monitor.logwatch.reader_v1 import ReaderV1
from chainlab.monitor.logwatch.reader_v2 import ReaderV2
from chainlab.services import Server

VERSIONS: tuple[LogVersion, ...] = ("v1", "v2", "ct")
versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several proofs in a log of a few entries."""
    for reader in (ReaderV1, ReaderV2, ReaderCT):
        monkeypatch.setattr(reader, "batch", 7)


@versions
def test_a_log_that_grows_is_consistent_and_its_new_entries_are_read(version: LogVersion, tmp_path: Path) -> None:
    observer = Observed(tmp_path)
    with filled(tmp_path / "state", version, 5) as (server, writer):
        source = source_of(server, version)
        before = size_of(server.instance, version)
        (look,) = observer.look(source)
        assert (look.size, look.entries, look.skipped, look.consistent) == (before, 0, before, None)
        for number in range(20):
            writer.add(version, b"%d" % number)
        Writer(server.instance, "refs/heads/main").add(version, b"stray")
        size = size_of(server.instance, version)
        (look,) = observer.look(source)
        assert (look.before, look.size, look.entries, look.skipped) == (before, size, size - before, before)
        assert (look.consistent, look.answered, look.split, look.status) == (True, True, None, 1)
        (again,) = observer.look(source)
        assert (again.entries, again.consistent, again.status) == (0, True, 0)
    expected = [(each.signer["identity"], each.expected) for each in look.sightings]
    assert set(expected) == {(RELEASE, True), (STRAY, False)}
    assert [data["index"] for _, data in observer.of("log.identity")] == list(range(before, size))
    subject, data = observer.of("log.identity")[-1]
    assert (subject, data["workflow"], data["expected"]) == (STRAY, STRAY, False)
    assert data["issuer"] == "https://ci.chainlab.localhost"
    assert len(data["commit"]) == 40
    _, data = observer.of("log.watched")[1]
    assert (data["size"], data["consistent"], data["answered"], data["why"]) == (size, True, True, None)


@versions
def test_reading_begins_where_it_is_told(version: LogVersion, tmp_path: Path) -> None:
    with filled(tmp_path / "state", version, 20) as (server, _):
        source, size = source_of(server, version), size_of(server.instance, version)
        for begin in (0, 8, size - 1, size + 50):
            observer = Observed(tmp_path / str(begin))
            (look,) = observer.look(source, begin=begin)
            assert (look.entries, look.skipped) == (max(0, size - begin), min(begin, size))
            assert look.why == ""
            (again,) = observer.look(source)
            assert (again.consistent, again.skipped) == (True, min(begin, size))


@pytest.mark.parametrize(
    ("version", "more"), [("v2", -3), ("v2", 0), ("v2", 9), ("v1", -3), ("v1", 9), ("ct", -3), ("ct", 9)]
)
def test_a_rewritten_history_is_caught_and_the_pair_that_proves_it_is_kept(
    version: LogVersion, more: int, tmp_path: Path
) -> None:
    observer = Observed(tmp_path)
    with filled(tmp_path / "state", version, 20) as (server, _):
        accepted = size_of(server.instance, version)
        (look,) = observer.look(source_of(server, version), begin=0)
        assert look.status == 0
    with Server(forked(tmp_path / "state", tmp_path / "rewritten", version, accepted - 5)) as server:
        thief = Writer(server.instance, "refs/heads/main")  # one entry of the CT log
        while size_of(server.instance, version) < accepted + more:
            thief.add(version, b"%d" % size_of(server.instance, version))
        source = source_of(server, version)
        for _ in range(2):  # it stays a contradiction, however often one looks
            (look,) = observer.look(source)
            assert (look.consistent, look.status, look.size) == (False, 1, accepted + more)
            assert look.entries == 0
            assert look.pair is not None
            first, second = look.pair
            assert (first.size, second.size) == (accepted, accepted + more)
            assert [source.open_checkpoint(each.text) for each in look.pair] == [first, second]  # both are signed
    with Server(tmp_path / "state") as server:  # back with the first face, as if nothing had been
        (look,) = observer.look(source_of(server, version))
    assert (look.consistent, look.status) == (True, 0)
    (kept,) = look.kept
    assert source.open_checkpoint(kept.accepted).root == first.root
    assert source.open_checkpoint(kept.presented).root == second.root
    assert observer.of("log.identity")[-1][1]["index"] == accepted - 1  # nothing of the rewritten part was believed
    _, data = observer.of("log.watched")[-2]
    assert data["consistent"] is False
    assert data["why"]


@versions
def test_two_faces_show_only_beside_a_second_observers_checkpoint(version: LogVersion, tmp_path: Path) -> None:
    mine, other = Observed(tmp_path / "mine"), Observed(tmp_path / "other")
    with filled(tmp_path / "state", version, 6) as (server, _):
        common = size_of(server.instance, version)
    faces = [forked(tmp_path / "state", tmp_path / name, version, common) for name in ("one", "two")]
    with Server(faces[0]) as one, Server(faces[1]) as two:
        for server in (one, two):
            writer = Writer(server.instance)
            for number in range(3):
                writer.add(version, b"%d" % number)
        seen = [other.look(source_of(two, version))[0] for _ in range(2)][1]
        looks = [mine.look(source_of(one, version))[0] for _ in range(2)]
        assert [look.status for look in (seen, *looks)] == [0, 0, 0]  # each face alone is a whole, consistent log
        assert looks[-1].split is None
        assert seen.head is not None
        (look,) = mine.look(source_of(one, version), witnesses=(seen.head,))
        assert (look.split, look.status) == (True, 1)
        assert look.pair is not None
        assert look.pair[0].text == seen.head.text
        Writer(one.instance).add(version, b"one more")  # also when the faces differ in size
        assert mine.look(source_of(one, version), witnesses=(seen.head,))[0].split is True
        for number in range(3, 8):
            writer.add(version, b"%d" % number)  # of the other face, whose checkpoint is now ahead of what we are shown
        ahead = other.look(source_of(two, version))[0].head
        assert ahead is not None
        assert mine.look(source_of(one, version), witnesses=(ahead,))[0].split is True
        honest = other.look(source_of(two, version), witnesses=(seen.head,))[0]
        assert (honest.split, honest.status) == (False, 0)


@versions
def test_a_log_that_is_gone_is_unknown_and_never_consistent(version: LogVersion, tmp_path: Path) -> None:
    observer = Observed(tmp_path)
    with filled(tmp_path / "state", version, 1) as (server, _):
        source = source_of(server, version)
        (before,) = observer.look(source)
    (look,) = observer.look(source)
    assert (look.origin, look.answered, look.consistent, look.status) == (before.origin, False, None, 3)
    subject, data = observer.of("log.watched")[-1]
    assert (subject, data["answered"], data["consistent"]) == (before.origin, False, None)
    assert "does not answer" in data["why"]
