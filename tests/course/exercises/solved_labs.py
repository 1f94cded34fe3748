"""The labs, solved: the given cells and the solutions of a lab, run once in order, up to its last exercise."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chainlab.course.authoring.source import Exercise, Lesson, checked_answer
from chainlab.course.learning import checks

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class SolvedLab:
    """A lab whose exercises are answered."""

    lesson: Lesson
    space: dict[str, Any]  # names that its cells define

    @property
    def lab(self) -> Any:
        """What `chainlab.open` gave."""
        return self.space["lab"]

    def exercise(self, number: str) -> Exercise:
        (part,) = [e for e in self.lesson.exercises if e.id == number]
        return part

    def answer(self, number: str, space: dict[str, Any] | None = None) -> Callable[..., Any]:
        """What the exercise's check cell checks, in the lab's own namespace or in another."""
        checked = checked_answer(self.exercise(number).tagged("check")[0])
        assert checked
        function: Callable[..., Any] = eval(checked[1], self.space if space is None else space)
        return function


@cache
def lesson(unit: str) -> Lesson:
    return Lesson.read(ROOT / "lessons" / f"{unit}_lab.py")


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
    """The first case that the solution fails after changes to its text; empty when it is still right."""
    source = solved.exercise(number).tagged("exercise")[0].source
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    space = dict(solved.space)
    exec(source, space)
    miss = checks.examine(number, solved.answer(number, space), world=solved.lab, seed=2).first_miss
    return miss.case.name if miss else ""
