"""Progress: kept through a kill, reset, exported, imported with care, shown escaped; and the hints beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.course.authoring.notebook import dump, load
from chainlab.course.learner_code import source_digest
from chainlab.course.learning.hints import all_hints, next_hint
from chainlab.course.learning.progress import STATUSES, Progress, ProgressEntry, ProgressFile
from chainlab.course.learning.progress_board import Board
from chainlab.course.syllabus import Course
from chainlab.errors import ChainlabError, MalformedInput


@pytest.fixture
def file(tmp_path: Path) -> ProgressFile:
    return ProgressFile(tmp_path / "workspace" / "progress.json")


def test_the_last_status_and_message_count_and_attempts_add_up(file: ProgressFile) -> None:
    file.record("9.1", "not attempted")
    file.record("9.1", "wrong", "expected 1, got 2")
    assert file.read().of("9.1").message == "expected 1, got 2"
    file.record("9.1", "done")
    entry = file.read().of("9.1")
    assert (entry.status, entry.message, entry.attempts) == ("done", "", 2)
    assert file.read().of("9.2") == ProgressEntry()


def test_active_minutes_leave_out_breaks(tmp_path: Path) -> None:
    clock = [datetime(2026, 11, 23, 9, tzinfo=UTC)]
    file = ProgressFile(tmp_path / "p.json", now=lambda: clock[0])
    file.record("9.1", "not attempted")
    clock[0] += timedelta(minutes=4)
    file.count_hint("9.1", 2)
    clock[0] += timedelta(hours=3)
    file.record("9.1", "wrong", "x")
    clock[0] += timedelta(minutes=5)
    file.record("9.2", "done")
    assert (file.read().of("9.1").active, file.read().of("9.2").active) == (240, 300)


def test_what_is_done_stays_done_beside_the_last_result(tmp_path: Path, course: Course) -> None:
    clock = [datetime(2026, 11, 30, 12, tzinfo=UTC)]
    file = ProgressFile(tmp_path / "p.json", now=lambda: clock[0])
    file.record("9.1", "done")
    clock[0] += timedelta(days=2)
    file.record("9.1", "not attempted")
    file.record("9.2", "wrong", "x")
    file.record("9.2", "not attempted")
    entry = file.read().of("9.1")
    assert (entry.status, entry.best, entry.reached[:10]) == ("not attempted", "done", "2026-11-30")
    board = Board(course, file.read())
    assert "✔ 9.1 add them: done 30 Nov; last run: not attempted (2 p" in str(board)
    assert "✘ 9.2 find the largest: wrong; last run: not attempted (3 p" in str(board)
    assert "1 of 2 done, 2 of 5 points" in str(board)
    assert "<td" in board._repr_html_()
    assert "✔ done 30 Nov; last run: not attempted</td>" in board._repr_html_()
    assert board.to_json()["counts"] == {"not attempted": 0, "wrong": 1, "done": 1}
    file.record("9.1", "done")
    assert file.read().of("9.1").reached[:10] == "2026-11-30"
    assert "✔ 9.1 add them: done 30 Nov (2 p" in str(Board(course, file.read()))


def test_a_file_of_the_first_format_loses_nothing(file: ProgressFile, course: Course) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_text(export(attempts=3, changed="2026-11-23T09:00:00+00:00"))
    entry = file.read().of("9.1")
    assert (entry.best, entry.reached, entry.attempts) == ("done", "2026-11-23T09:00:00+00:00", 3)
    file.record("9.1", "wrong", "x")
    written = json.loads(file.path.read_text())
    assert written["format"] == "chainlab-progress/2"
    entry = file.read().of("9.1")
    assert (entry.best, entry.status, entry.attempts) == ("done", "wrong", 4)
    assert entry.reached == "2026-11-23T09:00:00+00:00"


def test_a_check_of_a_file_leaves_what_is_known_of_the_last_check_in_a_notebook(file: ProgressFile) -> None:
    digest = source_digest("def f():\n    return 1")
    assert file.record("9.1", "done", answer=digest).answer == digest
    entry = file.record("9.1", "wrong", "x")
    assert (entry.answer, entry.checked) == (digest, file.read().of("9.1").checked)
    assert file.record("9.1", "wrong", "x", answer="").answer == ""


def test_an_exercise_is_reset_alone(file: ProgressFile) -> None:
    file.record("9.1", "done")
    file.record("9.2", "done")
    file.reset("9.1")
    assert list(file.read().entries) == ["9.2"]


def test_an_export_is_imported_whole(file: ProgressFile, tmp_path: Path, course: Course) -> None:
    file.record("9.1", "wrong", "é < 3")
    other = ProgressFile(tmp_path / "other.json")
    other.restore(file.read().dump(), course)
    assert other.read() == file.read()


entries = st.builds(
    ProgressEntry,
    status=st.sampled_from(STATUSES),
    message=st.text(),
    attempts=st.integers(0),
    hints=st.integers(0),
    active=st.integers(0),
    changed=st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    best=st.sampled_from(STATUSES),
    reached=st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    answer=st.sampled_from(["", "sha256:" + 64 * "0"]),
)


@given(st.dictionaries(st.sampled_from(["9.1", "9.2", "1.1"]), entries))
def test_reading_what_was_dumped_gives_the_same(data: dict[str, ProgressEntry]) -> None:
    assert Progress.parse(Progress(data).dump()) == Progress(data)


GOOD = {"status": "done", "message": "", "attempts": 1, "hints": 0, "active": 0, "changed": ""}


def export(**entry: object) -> str:
    return json.dumps({"format": "chainlab-progress/1", "exercises": {"9.1": GOOD | entry}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected an object"),
        ('{"format": "other/1"}', "format: 'other/1' is none of"),
        ('{"format": "chainlab-progress/1"}', "exercises: missing"),
        (export(status="perfect"), "status: expected one of not attempted, wrong, done, got 'perfect'"),
        (export(status=["done"]), "status: expected a text"),
        (export(attempts=-1), r"exercises\.9\.1\.attempts: expected at least 0, got -1"),
        (export(attempts=True), r"attempts: expected a whole number, got True"),
        (export(hints="2"), "hints: expected a whole number, got '2'"),
        (export(message=None), "message: missing"),
        (export(changed="yesterday"), "expected an ISO 8601 time, got 'yesterday'"),
        (export(extra=1), "extra: unknown"),
        (export(best="perfect"), "best: expected one of not attempted, wrong, done, got 'perfect'"),
        (export(reached="yesterday"), "expected an ISO 8601 time, got 'yesterday'"),
        (export(answer="<b>"), "answer: "),
        (export().replace("9.1", "7.7"), "exercise '7.7' is not in this course"),
        (export().replace("9.1", "9.1 <b>"), "is not in this course"),
        (export(message="x" * 2**21), "at most"),
    ],
)
def test_a_bad_import_is_told_and_loses_nothing(file: ProgressFile, course: Course, text: str, message: str) -> None:
    file.record("9.1", "wrong", "keep me")
    before = file.path.read_bytes()
    with pytest.raises(MalformedInput, match=message):
        file.restore(text, course)
    assert file.path.read_bytes() == before


def test_a_damaged_file_is_named_and_not_overwritten(file: ProgressFile) -> None:
    file.record("9.1", "done")
    file.path.write_text("{")
    for act in (lambda: file.record("9.2", "done"), file.read, lambda: file.reset("9.1")):
        with pytest.raises(MalformedInput, match=r"progress\.json cannot be read"):
            act()
    assert file.path.read_text() == "{"


def test_two_writers_lose_nothing(file: ProgressFile) -> None:
    def write(exercise: str) -> None:
        for _ in range(20):
            file.record(exercise, "wrong", "x")

    writers = [threading.Thread(target=write, args=(e,)) for e in ("9.1", "9.2")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {e: file.read().of(e).attempts for e in ("9.1", "9.2")} == {"9.1": 20, "9.2": 20}


@pytest.mark.crash
def test_what_was_recorded_survives_kill_9(file: ProgressFile, course: Course) -> None:
    program = (
        "import sys; from pathlib import Path; from chainlab.course.learning.progress import ProgressFile\n"
        f"file = ProgressFile(Path({str(file.path)!r}))\n"
        "while True:\n"
        "    print(file.record('9.1', 'wrong', 'm' * 5000).attempts, flush=True)\n"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(5)][-1]
        time.sleep(0.02)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(x) for x in writer.stdout.read().split())])
        writer.wait()
        writer.stdout.close()
        assert file.read().of("9.1").attempts >= acknowledged
    Board(course, file.read())


def test_the_board_shows_every_exercise_with_a_mark_that_is_not_a_colour(course: Course, file: ProgressFile) -> None:
    file.record("9.1", "done")
    file.record("9.2", "wrong", "expected None, got 0")
    text = str(Board(course, file.read()))
    assert "1 of 2 done, 2 of 5 points" in text
    assert "✔ 9.1 add them: done" in text
    assert "✘ 9.2 find the largest: wrong" in text
    assert "expected None, got 0" in text
    assert "Weeks 10: draft" in text
    data = Board(course, file.read()).to_json()
    assert data["counts"] == {"not attempted": 0, "wrong": 1, "done": 1}
    assert json.loads(json.dumps(data)) == data


def test_the_board_escapes_what_an_answer_wrote(course: Course, file: ProgressFile) -> None:
    file.record("9.1", "wrong", "<script>alert(1)</script><img src=x onerror=y>")
    html = Board(course, file.read())._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_hints_climb_one_rung_at_a_time_and_are_remembered(built: Course, file: ProgressFile) -> None:
    shown = [str(next_hint(built, "9.1", file)) for _ in range(3)]
    assert shown[0] == "Hint 1 of 2 for exercise 9.1: What is the sum of nothing?"
    assert shown[1] == "Hint 2 of 2 for exercise 9.1: `sum` & a list."
    assert shown[2].startswith(shown[1] + "\nThat was the last hint.")
    assert shown[2].endswith("then look at solutions/09_numbers.ipynb, close it, and write it again from memory.")
    last = next_hint(built, "9.1", file)._repr_markdown_()
    assert last.startswith("**Hint 2 of 2 for exercise 9.1**\n\n`sum` &amp; a list.\n\n")
    assert "[solutions/09_numbers.ipynb](../solutions/09_numbers.ipynb)" in last
    (built.root / "solutions/09_numbers.ipynb").unlink()
    assert str(next_hint(built, "9.1", file)).endswith("Read what the check says, then ask a person.")
    assert file.read().of("9.1").hints == 2
    assert file.read().of("9.1").status == "not attempted"
    assert next_hint(built, "9.2", file).number == 1


def test_hints_that_are_gone_are_told(built: Course, file: ProgressFile) -> None:
    path = built.root / "labs/09_numbers.ipynb"
    notebook = load(path)
    del notebook.cells[3]
    path.write_text(dump(notebook))
    with pytest.raises(ChainlabError, match=r"has no hints for exercise 9\.1"):
        all_hints(built, "9.1")
    path.write_text("[]")
    with pytest.raises(MalformedInput, match="is not a notebook"):
        all_hints(built, "9.1")
    path.unlink()
    with pytest.raises(ChainlabError, match="is missing"):
        all_hints(built, "9.1")
    with pytest.raises(ChainlabError, match=r"there is no exercise '9\.9'"):
        all_hints(built, "9.9")
