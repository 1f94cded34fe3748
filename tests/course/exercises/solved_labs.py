"""Solved labs: the given cells and the solutions of a lab, run once in order, up to its last exercise."""

from __future__ import annotations

import ast
import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chainlab.course.authoring.lesson_source import Cell, ExerciseSource, LessonSource, checked_answer
from chainlab.course.learning import checks

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class SolvedLab:
    """A lab whose exercises are answered."""

    lesson: LessonSource
    space: dict[str, Any]  # names that its cells define

    @property
    def lab(self) -> Any:
        """The lab that `chainlab.open` gave."""
        return self.space["lab"]

    def exercise(self, number: str) -> ExerciseSource:
        (part,) = [e for e in self.lesson.exercises if e.id == number]
        return part

    def answer(self, number: str, space: dict[str, Any] | None = None) -> Callable[..., Any]:
        """Evaluate the answer that the exercise's check cell checks, in the lab's own namespace or in another."""
        checked = checked_answer(self.exercise(number).tagged("check")[0])
        assert checked
        function: Callable[..., Any] = eval(checked[1], self.space if space is None else space)
        return function


@cache
def lesson(unit: str) -> LessonSource:
    return LessonSource.read(ROOT / "lessons" / f"{unit}_lab.py")


def solve(unit: str) -> SolvedLab:
    solved = SolvedLab(lesson(unit), {"__name__": "__main__"})
    last = solved.lesson.exercises[-1].tagged("exercise")[0]
    for cell in solved.lesson.code:
        if cell.index <= last.index and not cell.has("check") and not cell.has("wrong"):
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    exec(cell.source, solved.space)
                except Exception:
                    if not cell.has("raises-exception"):
                        raise
    return solved


def refused_at(solved: SolvedLab, number: str, *changes: tuple[str, str]) -> str:
    """Name the first case that the solution fails after changes to its text; empty when it is still right."""
    source = solved.exercise(number).tagged("exercise")[0].source
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    space = dict(solved.space)
    exec(source, space)
    miss = checks.examine(number, solved.answer(number, space), lab=solved.lab, seed=2).first_miss
    return miss.case.name if miss else ""


# How a learner might import what the exercises need, in a way that the given cells do not.
OTHER_IMPORTS = "import datetime, packaging.version\nversion = packaging.version.Version\n"


def run_given_cells(unit: str) -> tuple[list[Cell], list[Cell]]:
    """Run the given cells of a lab without answers; returns those that ran, and those that need an answer.

    Passes on the exception of a cell that needs neither an answer nor a name made from one.
    """
    part = lesson(unit)
    answers = {cell.index: _functions(cell) for e in part.exercises for cell in e.tagged("exercise")}
    space: dict[str, Any] = {"__name__": "__main__"}
    ran: list[Cell] = []
    left: list[Cell] = []
    for cell in part.code:
        if cell.index in answers:
            exec(OTHER_IMPORTS, space)  # and none of the exercise's own
            for name in answers[cell.index]:
                exec(f"def {name}(*given):\n    raise NotImplementedError\n", space)
        elif not {"check", "wrong", "raises-exception"} & set(cell.tags):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(cell.source, space)
            except NotImplementedError:
                left.append(cell)
            except NameError as error:
                if not any(error.name in _bound(earlier) for earlier in left):
                    raise
                left.append(cell)
            else:
                ran.append(cell)
    space["lab"].close()
    return ran, left


def _functions(cell: Cell) -> list[str]:
    return [node.name for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]


def _bound(cell: Cell) -> set[str]:
    """The names that a cell gives values to."""
    nodes = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
