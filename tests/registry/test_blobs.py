"""Blobs: whole or not at all, found by digest, and kept as long as something refers to them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.blobs import Blobs

LONG_AGO = 1_000_000_000  # seconds since 1970


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def files(path: Path) -> list[Path]:
    return [entry for entry in path.rglob("*") if entry.is_file()]


def test_what_is_put_is_read_by_its_digest(blobs: Blobs) -> None:
    digest = blobs.put(b"model")
    assert digest == Digest.of(b"model")
    assert digest in blobs
    assert blobs.read(digest) == b"model"
    assert list(blobs) == [digest]
    assert blobs.path(digest).parts[-3:] == ("sha256", digest.value.hex()[:2], digest.value.hex())


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_bytes_in_any_pieces_have_one_digest(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    with Blobs(tmp_path_factory.getbasetemp() / "pieces").stage() as staged:
        for piece in pieces:
            staged.write(piece)
        whole = b"".join(pieces)
        assert (staged.size, staged.digest) == (len(whole), Digest.of(whole))
        assert staged.commit(Digest.of(whole)) == Digest.of(whole)


def test_other_bytes_than_expected_are_not_stored(blobs: Blobs, tmp_path: Path) -> None:
    expected = Digest.of(b"right")
    with blobs.stage() as staged:
        staged.write(b"wrong")
        with pytest.raises(Refused, match="not sha256:") as refused:
            staged.commit(expected)
    assert refused.value.status == 400
    assert files(tmp_path) == []


def test_what_is_not_committed_is_gone(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.stage() as staged:
        staged.write(b"half")
    assert files(tmp_path) == []


def test_more_than_the_limit_is_413(blobs: Blobs) -> None:
    with blobs.stage(limit=4) as staged:
        staged.write(b"four")
        with pytest.raises(Refused) as refused:
            staged.write(b"!")
    assert refused.value.status == 413


def test_unknown_bytes_are_404(blobs: Blobs) -> None:
    with pytest.raises(Refused) as refused:
        blobs.read(Digest.of(b"nobody stored this"))
    assert refused.value.status == 404


def test_a_blob_cannot_be_written_to(blobs: Blobs) -> None:
    assert blobs.path(blobs.put(b"model")).stat().st_mode & 0o222 == 0


def test_a_file_is_adopted_only_with_its_digest(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "arrived"
    path.write_bytes(b"model")
    with pytest.raises(Refused):
        blobs.adopt(path, Digest.of(b"other"))
    assert path.exists()
    blobs.adopt(path, Digest.of(b"model"))
    assert not path.exists()
    assert blobs.read(Digest.of(b"model")) == b"model"


def test_discard_spares_what_was_stored_lately(blobs: Blobs) -> None:
    digest = blobs.put(b"model")
    assert blobs.discard(digest) == 0
    assert blobs.read(digest) == b"model"
    os.utime(blobs.path(digest), (LONG_AGO, LONG_AGO))
    blobs.put(b"model")  # again: it is new
    assert blobs.discard(digest) == 0
    os.utime(blobs.path(digest), (LONG_AGO, LONG_AGO))
    assert blobs.discard(digest) == 5
    assert digest not in blobs
    assert blobs.discard(digest) == 0


def test_sweep_removes_what_a_killed_process_left(blobs: Blobs, tmp_path: Path) -> None:
    left, fresh = (tmp_path / "blobs" / "staging" / name for name in ("left", "fresh"))
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (LONG_AGO, LONG_AGO))
    assert blobs.sweep() == 1
    assert files(tmp_path) == [fresh]


def test_threads_that_store_the_same_bytes_agree(blobs: Blobs, tmp_path: Path) -> None:
    data = b"model" * 10_000
    threads = [threading.Thread(target=blobs.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path) == [blobs.path(Digest.of(data))]
    assert blobs.read(Digest.of(data)) == data
