"""`chainlab events`: the log as lines or CloudEvents, from a moment on, of a type, and with a broken chain refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import event_tables
import pytest

from chainlab import database
from chainlab.clock import utc_now
from chainlab.event_types import EVENT_TYPES
from chainlab.events import Events

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "chainlab", "events"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "trust").mkdir()
    add(tmp_path, "dev.chainlab.artifact.uploaded", "acme/one", age=timedelta(days=3))
    add(tmp_path, "dev.chainlab.artifact.promoted", "acme/one", age=timedelta(hours=1))
    add(tmp_path, "dev.chainlab.service.deployed", "acme/two\x1b[2J")
    return tmp_path


def add(workspace: Path, type: str, subject: str, *, age: timedelta = timedelta()) -> None:
    connection = database.connect(workspace / "trust" / "state.db")
    log = Events(connection, clock=lambda: utc_now() - age)
    with database.transaction(connection):
        log.append(type, source="/registry", subject=subject, data={"by": "alice"})
    connection.close()


def run(workspace: Path, *words: str) -> tuple[int, list[str], str]:
    environment = os.environ | {"CHAINLAB_WORKSPACE": str(workspace), "CHAINLAB_COURSE": str(ROOT)}
    done = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def numbers(lines: list[str]) -> list[int]:
    return [int(line.split()[0]) for line in lines]


def test_lines_are_oldest_first_and_hold_nothing_that_a_terminal_acts_on(workspace: Path) -> None:
    code, lines, _ = run(workspace)
    assert (code, numbers(lines)) == (0, [1, 2, 3])
    assert "artifact.uploaded" in lines[0]
    assert "by /registry" in lines[0]
    assert "\x1b" not in "".join(lines)


def test_types_are_listed_with_their_fields_also_without_a_log(tmp_path: Path) -> None:
    code, lines, _ = run(tmp_path, "--types")
    assert code == 0
    assert {line.partition(":")[0] for line in lines if not line.startswith(" ")} == {*EVENT_TYPES, "every event"}
    code, lines, _ = run(tmp_path, "--types", "--type", "token.u")
    assert lines[0].startswith("token.used: ")
    assert [line.split()[0] for line in lines[1 : lines.index("every event:")]] == [*EVENT_TYPES["token.used"].fields]
    code, _, error = run(tmp_path, "--types", "--type", "nonsense")
    assert (code, "no type of event begins with 'nonsense'" in error) == (2, True)


def test_the_page_of_events_is_of_this_code() -> None:
    assert event_tables.main(["--check"]) == 0, "run python tests/setup/event_tables.py"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "2d"], [2, 3]),
        (["--since", "30m"], [3]),
        (["--type", "artifact"], [1, 2]),
        (["--type", "artifact.promoted"], [2]),
        (["--type", "art"], []),
        (["--about", "acme/two"], [3]),
        (["--about", "acme/one", "--since", (datetime.now(UTC) - timedelta(days=1)).isoformat()], [2]),
    ],
    ids=["days", "minutes", "a subject's type", "one type", "half a word", "about", "both"],
)
def test_a_selection_is_what_it_says(workspace: Path, words: list[str], expected: list[int]) -> None:
    code, lines, _ = run(workspace, *words)
    assert (code, numbers(lines)) == (0, expected)


def test_jsonl_gives_the_cloud_event_as_it_was_stored(workspace: Path) -> None:
    _, lines, _ = run(workspace, "--jsonl")
    events = [json.loads(line) for line in lines]
    assert [event["id"] for event in events] == ["1", "2", "3"]
    assert events[0]["specversion"] == "1.0"
    assert events[0]["data"] == {"by": "alice"}
    assert events[2]["subject"] == "acme/two\x1b[2J"


def test_a_removed_event_shows(workspace: Path) -> None:
    connection = database.connect(workspace / "trust" / "state.db")
    connection.execute("DELETE FROM events WHERE sequence = 2")
    connection.close()
    code, lines, words = run(workspace)
    assert (code, lines) == (1, [])
    assert "event 2 does not fit the chain" in words


@pytest.mark.parametrize("since", ["yesterday", "3w", "2026-13-01"])
def test_what_is_no_time_is_a_wrong_call(workspace: Path, since: str) -> None:
    code, _, words = run(workspace, "--since", since)
    assert code == 2
    assert "not a time" in words


def test_a_workspace_in_which_nothing_happened_says_so(tmp_path: Path) -> None:
    code, lines, words = run(tmp_path)
    assert (code, lines) == (1, [])
    assert "no event log" in words


def test_following_shows_what_happens_afterwards_and_ends_with_ctrl_c(workspace: Path) -> None:
    environment = os.environ | {"CHAINLAB_WORKSPACE": str(workspace), "CHAINLAB_COURSE": str(ROOT)}
    with subprocess.Popen(
        [*COMMAND, "--follow", "--type", "service"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as following:
        assert following.stdout is not None
        assert numbers([following.stdout.readline()]) == [3]
        add(workspace, "dev.chainlab.artifact.uploaded", "acme/three")
        add(workspace, "dev.chainlab.service.deployed", "acme/four")
        assert numbers([following.stdout.readline()]) == [5]
        following.send_signal(signal.SIGINT)
        _, words = following.communicate(timeout=30)
    assert "Traceback" not in words
