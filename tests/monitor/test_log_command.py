"""``chainlab monitor log``, its watch list, and that it goes on after it was killed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from watched_logs import RELEASE, STRAY, Observed, Writer, source_of

from chainlab.cli import main
from chainlab.database import connect, transaction
from chainlab.errors import MalformedInput
from chainlab.events import Events
from chainlab.monitor.logwatch.kit_logs import LogWatch
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.services import Server
from chainlab.trust.merkle import leaf_hash
from chainlab.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace(tmp_path / "workspace")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["chainlab", "monitor", "log", *words])
    with pytest.raises(SystemExit) as exit:
        main()
    printed = capsys.readouterr()
    return int(exit.value.code or 0), printed.out + printed.err


def test_the_command_tells_consistent_from_unexpected_from_unknown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def log(*words: str) -> tuple[int, str]:
        return run(monkeypatch, capsys, *words)

    status, text = log()
    assert (status, "no running instance" in text) == (3, True)
    with Server(workspace.trust) as server:
        status, text = log()
        assert (status, text.count("first look")) == (0, 3)
        Writer(server.instance).add("v2", b"release")
        status, text = log()
        assert status == 0, text
        assert text.count("expected    entry") == 2  # in the CT log, too
        stray = Writer(server.instance, "refs/heads/main")
        stray.add("v1", b"stray")
        status, text = log("--version", "v1")
        assert (status, f"UNEXPECTED  entry 1  {STRAY}" in text) == (1, True)
        status, text = log("--version", "v1", "--json")
        (document,) = json.loads(text)
        assert (status, document["consistent"], document["signers"]) == (0, True, [])
        root = workspace.trust / "trusted_root.json"
        url = server.url
        status, text = log(url, "--trusted-root", str(root), "--version", "v2", "--identity", "*/acme/*", "--from", "0")
        assert (status, f"UNEXPECTED  entry 1  {RELEASE}" in text) == (1, True)
        key = tmp_path / "v1.pem"
        key.write_bytes(source_of(server, "v1").key.der)
        note = tmp_path / "checkpoint.txt"
        note.write_text(document["checkpoint"])
        status, text = log(url, "--key", str(key), "--version", "v1", "--witness", str(note))
        assert (status, "the witness saw the same tree" in text) == (0, True)
        status, text = log("--version", "v2", "--witness", f"{url}/api/v2/checkpoint")
        assert (status, text.count("the witness saw the same tree")) == (0, 1)
        status, text = log("--witness", str(key))
        assert (status, "not a checkpoint of a log that is watched here" in text) == (2, True)
        for words in ((url,), (url, "--key", str(key)), ("--key", str(key))):
            status, text = log(*words)
            assert (status, "Help:" in text) == (2, True)
        status, text = log(url, "--key", str(root), "--version", "v1")
        assert (status, "key cannot be read" in text) == (2, True)
    status, text = log(url, "--key", str(key), "--version", "v1")
    assert (status, "UNKNOWN" in text) == (3, True)


def test_the_observer_reports_each_look_that_shows_something_new_as_an_event(workspace: Workspace) -> None:
    with Server(workspace.trust) as server:
        watch = LogWatch(workspace)
        for _ in range(3):
            watch.observe()
        Writer(server.instance, email="intern@acme.example").add("v2", b"x")
        watch.observe()
        (workspace.desk / "watchlist.toml").write_text(
            '[[watch]]\nidentity = "*@acme.example"\nexpected = [{issuer = "*"}]'
        )
        watch.observe()
        Writer(server.instance, email="intern@acme.example").add("v2", b"y")
        watch.observe()
    with Server(workspace.trust):  # at another port
        watch.observe()
    watch.close()
    connection = connect(workspace.trust / "state.db")
    events = Events(connection)
    events.verify()
    seen = [
        (event.type.rpartition(".")[2], event.subject, event.data)
        for event in events.read()
        if event.source == "/monitor"
    ]
    connection.close()
    sizes = [data["size"] for kind, subject, data in seen if (kind, subject[:4]) == ("watched", "log2")]
    assert sizes == [1, 1, 2, 3, 3]  # first look, consistent, two entries, and a monitor that begins anew
    assert [(subject, data["expected"]) for kind, subject, data in seen if kind == "identity"] == [
        ("intern@acme.example", expected) for expected in (False, False, True, True)
    ]


def identity(*patterns: str) -> WatchList:
    return WatchList().with_identities(patterns)


def test_a_pattern_matches_the_whole_name_and_only_the_star_is_special(workspace: Workspace) -> None:
    with Server(workspace.trust) as server:
        certificate = Writer(server.instance).der
        bare = Writer(server.instance, email="a.b+c@acme.example").der
    for pattern in ("*", RELEASE, "https://*", "*v1.0.0", "*acme*release*", "https://*acme*.yml@refs/tags/v*"):
        assert identity(pattern).look_at(certificate), pattern
    for pattern in (
        "",
        "release",
        "https",
        "*v1.0",
        "*release*acme*v1",
        "https://?*",
        RELEASE + "*x",
        "*acme/*acme/*acme/*",
    ):
        if pattern:
            assert identity(pattern).look_at(certificate) is None, pattern
    assert identity("a.b+c@*").look_at(bare)
    assert identity("a?b+c@*").look_at(bare) is None
    assert identity("nobody", "*@acme.example").look_at(bare) == (
        {"identity": "a.b+c@acme.example", "issuer": "https://oidc.chainlab.localhost"},
        False,
    )


def test_a_watch_is_narrowed_by_every_attribute_that_the_certificate_states(workspace: Workspace) -> None:
    with Server(workspace.trust) as server:
        certificate = Writer(server.instance).der
    found = identity("*").look_at(certificate)
    assert found is not None
    signer, _ = found
    assert len(signer) == 17
    for name, value in signer.items():
        assert WatchList.read({"watch": [{name: value}]}).look_at(certificate) == (signer, False)
        assert WatchList.read({"watch": [{name: value + "x"}]}).look_at(certificate) is None
        both = {"identity": "*", "expected": [{name: "other"}, {name: value, "issuer": "*"}]}
        assert WatchList.read({"watch": [both]}).look_at(certificate) == (signer, True)
    assert WatchList.read({"watch": [{"deployment_environment": "*"}]}).look_at(certificate) is None  # not stated


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[watch]]", "watch[0]: no pattern"),
        ('[[watch]]\nidentiy = "x"', "watch[0].identiy: unknown"),
        ("[[watch]]\nidentity = 3", "watch[0].identity: expected a text, got 3"),
        ('[[watch]]\nidentity = "x"\nexpected = [{}]', "watch[0].expected[0]: no pattern"),
        ("watch = 3", "watch: expected a list"),
        ("[[watch", "cannot read the watch list"),
    ],
)
def test_a_mistake_in_a_watch_list_is_named_with_its_place(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "watchlist.toml"
    path.write_text(text)
    with pytest.raises(MalformedInput, match="watch") as caught:
        WatchList.load(path)
    assert problem in str(caught.value)


@pytest.mark.crash
def test_a_monitor_that_was_killed_goes_on_where_its_last_proof_was(workspace: Workspace, tmp_path: Path) -> None:
    with Server(workspace.trust) as server:
        Writer(server.instance).add("v1", b"watched")
        Writer(server.instance, email="other@example.com").add("v1", b"other")
        templates = [
            (server.instance.log_v1.entry(index).body, text) for index, text in ((1, b"watched"), (2, b"other"))
        ]
    connection = connect(workspace.trust / "state.db")
    with transaction(connection):
        for number in range(3, 1202):
            template, text = templates[number % 50 > 0]
            digest = hashlib.sha256(b"%d" % number).hexdigest().encode()
            body = template.replace(hashlib.sha256(text).hexdigest().encode(), digest)
            connection.execute("INSERT INTO leaves VALUES ('v1', ?, ?)", (number, leaf_hash(body)))
            connection.execute("INSERT INTO bodies VALUES ('v1', ?, ?, 0)", (number, body))
    connection.close()
    (workspace.desk / "watchlist.toml").write_text(f'[[watch]]\nidentity = "{RELEASE}"\nexpected = [{{issuer = "*"}}]')
    with Server(workspace.trust):
        command = [sys.executable, "-m", "chainlab", "monitor", "log", "--version", "v1", "--from", "0"]
        killed = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state, position = workspace.path / "monitor" / "logs.db", 0
        while killed.poll() is None and not position:
            if state.exists():
                position = read_position(state)
            time.sleep(0.005)
        killed.kill()
        killed.wait()
        assert position == 1000  # one proof, and more to read
        done = subprocess.run(command[:-2], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "1202 entries, unchanged, 202 read" in done.stdout
    connection = connect(workspace.trust / "state.db")
    indexes = [event.data["index"] for event in Events(connection).read() if event.type.endswith("log.identity")]
    connection.close()
    assert set(indexes) == {1, *range(50, 1202, 50)}  # some perhaps twice, none left out


def read_position(state: Path) -> int:
    try:
        connection = connect(state, read_only=True)
    except Exception:
        return 0
    try:
        row = connection.execute("SELECT position FROM watched_trees").fetchone()
    except Exception:
        return 0
    finally:
        connection.close()
    return int(row[0]) if row else 0


def test_a_look_that_fails_between_two_proofs_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chainlab.errors import Unavailable
    from chainlab.monitor.logwatch import reader_v2

    monkeypatch.setattr(reader_v2.ReaderV2, "batch", 10)
    observer = Observed(tmp_path)
    with Server(tmp_path / "state") as server:
        writer = Writer(server.instance)
        for number in range(40):
            writer.add("v2", b"%d" % number)
        whole = reader_v2.ReaderV2.leaves

        def failing(self: reader_v2.ReaderV2, tree: object, start: int, stop: int) -> object:
            for leaf in whole(self, tree, start, stop):  # type: ignore[arg-type]
                if leaf.index == 25:
                    raise Unavailable("the log does not answer: test")
                yield leaf

        monkeypatch.setattr(reader_v2.ReaderV2, "leaves", failing)
        (look,) = observer.look(source_of(server, "v2"), begin=0)
        assert (look.answered, look.consistent, look.skipped) == (False, None, 21)
        monkeypatch.setattr(reader_v2.ReaderV2, "leaves", whole)
        (look,) = observer.look(source_of(server, "v2"))
        assert (look.entries, look.skipped, look.consistent) == (21, 0, True)
    assert [data["index"] for _, data in observer.of("log.identity")] == list(range(1, 41))
