"""Hostile labs and back-ups: said in words, and nothing of them reaches the terminal as a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from editing import answer_lab

from chainlab.course.authoring.notebook import dump, load
from chainlab.course.learning.progress import ProgressFile
from chainlab.course.learning.progress_board import Board
from chainlab.course.saved_lab import run_saved_lab
from chainlab.course.syllabus import Course
from chainlab.errors import MalformedInput

HOSTILE = "\x1b[2J\x1b]0;title\x07\u202e\ud800<script>\nnext"
SHOWN = r"\x1b[2J\x1b]0;title\x07\u202e\ud800<script>" "\nnext"


def back_up(**entry: Any) -> str:
    return json.dumps({"format": "chainlab-progress/1", "exercises": {"9.1": entry}})


def test_a_message_cannot_command_the_terminal(course: Course, tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress.json")
    file.record("9.1", "wrong", HOSTILE)
    assert file.read().of("9.1").message == SHOWN
    file.restore(back_up(status="wrong", message=HOSTILE.replace("\ud800", "")), course)
    board = Board(course, file.read())
    assert "\x1b" not in str(board)
    assert "\x1b" not in board._repr_html_()
    assert "<script>" not in board._repr_html_()


def test_half_a_character_is_refused_and_changes_nothing(course: Course, tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress.json")
    with pytest.raises(MalformedInput, match="text that can be encoded as UTF-8"):
        file.restore(back_up(status="wrong", message="\ud800"), course)
    assert not file.read().entries


def test_a_count_beyond_reason_does_not_break_the_board(course: Course, tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "progress.json")
    file.restore(back_up(active=10**400, attempts=10**400), course)
    assert "9.1" in str(Board(course, file.read()))


def test_an_answer_s_words_are_shown_harmless(built: Course) -> None:
    answer_lab(built, {"9.1": 'raise ValueError("\\x1b[31mred\\x07")'})
    finding = run_saved_lab(built, built.unit("9")).findings[0]
    assert finding.status == "wrong"
    assert r"ValueError: \x1b[31mred\x07" in finding.message


@pytest.mark.parametrize("ending", ["exit()", "quit()"])
def test_an_exit_ends_its_own_cell_alone(built: Course, ending: str) -> None:
    right = "def largest(numbers):\n    return max(numbers, default=None)"
    answer_lab(built, {"9.1": ending, "9.2": right})
    first, second = run_saved_lab(built, built.unit("9")).findings
    assert (first.status, second.status) == ("wrong", "done")
    assert "exit() would end the notebook here" in first.message


@pytest.mark.parametrize("grading", [None, "x", [], {"grade_id": 7}])
def test_grading_metadata_of_another_shape_is_no_answer(built: Course, grading: Any) -> None:
    path = next((built.root / "labs").glob("*.ipynb"))
    lab = load(path)
    for cell in lab.cells:
        cell.metadata["nbgrader"] = grading
    path.write_text(dump(lab), encoding="utf-8")
    assert [f.status for f in run_saved_lab(built, built.unit("9")).findings] == ["wrong", "wrong"]


def test_a_flood_of_output_neither_stalls_nor_hides_the_verdict(built: Course) -> None:
    right = "def largest(numbers):\n    return max(numbers, default=None)"
    flood = "for _ in range(3000):\n    print('x' * 10_000)"
    answer_lab(built, {"9.2": f"{right}\n\n{flood}"})  # 30 MB, which took minutes when it was kept
    assert run_saved_lab(built, built.unit("9")).findings[1].status == "done"
