"""`chainlab check`: one broken cell does not stop the others, and each gets its own word."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from editing import answer_lab

from chainlab.course.authoring.notebook import dump, load
from chainlab.course.learner_code import source_digest
from chainlab.course.saved_lab import run_saved_lab
from chainlab.course.syllabus import Course
from chainlab.errors import ChainlabError, MalformedInput

RIGHT = {
    "9.1": "def total(numbers):\n    return sum(numbers)",
    "9.2": "def largest(numbers):\n    return max(numbers, default=None)",
}


def statuses(course: Course, **options: Any) -> list[tuple[str, str]]:
    outcome = run_saved_lab(course, course.unit("9"), **options)
    return [(f.status, f.message.splitlines()[0] if f.message else "") for f in outcome.findings]


def test_a_blank_lab_is_not_attempted_and_a_right_one_done(built: Course) -> None:
    assert statuses(built) == [("not attempted", "")] * 2
    answer_lab(built, RIGHT)
    outcome = run_saved_lab(built, built.unit("9"), seed=5)
    assert outcome.complete
    assert str(outcome).endswith("2 of 2 exercises done, 5 of 5 points")
    assert outcome.to_json()["exercises"][0] == {
        "exercise": "9.1",
        "title": "add them",
        "points": 2,
        "status": "done",
        "message": "",
        "answer": source_digest(RIGHT["9.1"]),
    }
    saved = datetime.fromtimestamp((built.root / "labs/09_numbers.ipynb").stat().st_mtime)
    assert str(outcome).splitlines()[0].startswith(f"{built.root / 'labs/09_numbers.ipynb'}, saved {saved.day} ")


def test_a_wrong_answer_says_what_was_expected_and_where_to_look(built: Course) -> None:
    answer_lab(built, RIGHT | {"9.1": "def total(numbers):\n    return 1"})
    finding = run_saved_lab(built, built.unit("9")).findings[0]
    assert finding.status == "wrong"
    assert "case 'several numbers': expected" in finding.message
    assert "See: notebooks/09_sums.ipynb, 'Adding'" in finding.message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("def total(numbers:\n    return 1", "the exercise's cell fails: SyntaxError"),
        ("1 / 0", "the exercise's cell fails: ZeroDivisionError"),
        ("def other(numbers):\n    return 1", "the check could not run: NameError"),
        (
            "def total(numbers):\n    return undefined",
            "exercise 9.1, case 'several numbers': raised NameError",
        ),
        (
            "import os\nos._exit(0)",
            "the exercise's cell fails: SystemError: this cell ended the Python process",
        ),
        (
            "def total(numbers):\n    import os\n    os._exit(3)",
            "the check could not run: SystemError: this cell ended",
        ),
        ("raise KeyboardInterrupt", "the exercise's cell fails: KeyboardInterrupt"),
    ],
    ids=["syntax", "exception", "other name", "inside", "exit", "exit in check", "interrupt"],
)
def test_a_broken_cell_is_told_and_does_not_stop_the_others(built: Course, answer: str, message: str) -> None:
    answer_lab(built, RIGHT | {"9.1": answer})
    first, second = statuses(built)
    assert first[0] == "wrong"
    assert first[1].startswith(message)
    assert second == ("done", "")


def test_an_endless_answer_is_stopped_and_does_not_stop_the_others(built: Course) -> None:
    answer_lab(built, RIGHT | {"9.1": "def total(numbers):\n    while True:\n        pass"})
    first, second = statuses(built, seconds=3)
    assert first[0] == "wrong"
    assert second[0] == "done"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells.pop(5), "the check cell is missing"),
        (lambda cells: cells[5].update(source="pass"), "the check cell was changed"),
        (
            lambda cells: cells[5].update(source='# lab.check("9.1", total)'),
            "the check cell gave no result",
        ),
        (lambda cells: cells.pop(4), "the exercise's cell is missing"),
    ],
    ids=["deleted check", "emptied check", "commented check", "deleted exercise"],
)
def test_a_lab_whose_checks_were_taken_out_is_not_done(built: Course, change: Any, message: str) -> None:
    path = answer_lab(built, RIGHT)
    notebook = load(path)
    change(notebook.cells)
    path.write_text(dump(notebook))
    first, second = statuses(built)
    assert first[0] == "wrong"
    assert first[1].startswith(message)
    assert second[0] == "done"


def test_a_file_that_is_no_notebook_is_told_how_to_mend(built: Course) -> None:
    (built.root / "labs/09_numbers.ipynb").write_text("{")
    with pytest.raises(MalformedInput, match=r"labs/09_numbers\.ipynb is not a notebook"):
        run_saved_lab(built, built.unit("9"))


def test_a_draft_and_a_missing_lab_are_told(course: Course) -> None:
    with pytest.raises(ChainlabError, match="unit 10_more is a draft"):
        run_saved_lab(course, course.unit("10"))
    with pytest.raises(ChainlabError, match=r"labs/09_numbers\.ipynb is missing"):
        run_saved_lab(course, course.unit("9"))


def test_a_kernel_that_does_not_start_is_told_in_one_line(
    built: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-c", "", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "broken", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(ChainlabError, match=r"labs/09_numbers\.ipynb cannot be run: the kernel did not start"):
        run_saved_lab(built, built.unit("9"))
