"""Author lint: every starter fails by its own name, every solution passes, wrong and constant answers fail.

The cells of a lab run in order in one namespace, with the source file's line numbers, so that an error points into the
authored text. For each exercise the lint shows that

- the starter raises `NotAttempted` with the exercise's number,
- the solution passes its check, and the cases generated from three seeds that no lesson uses,
- each named wrong answer is `Incorrect`, and fails first at the case it names,
- no answer that ignores its arguments passes all cases, whatever constant it returns.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chainlab.course import exercises
from chainlab.course.authoring.lesson_source import (
    Cell,
    ExerciseSource,
    LessonProblem,
    LessonSource,
    checked_answer,
    starter,
    wrong_cell_header,
)
from chainlab.course.cases import Case, Cases
from chainlab.course.learning.checks import examine
from chainlab.course.plain_data import NotPlain, plain, same, short
from chainlab.errors import ChainlabError, NotAttempted

__all__ = ["lint_lab", "run_cell", "run_lab"]

HIDDEN_SEEDS = (20_011, 30_029, 40_031)  # any three seeds that no lesson uses
CONSTANTS: tuple[Any, ...] = (True, False, None, [], {}, set(), "", 0)


def lint_lab(lesson: LessonSource, root: Path, cases: Mapping[str, Cases] | None = None) -> list[LessonProblem]:
    """Run a lab's cells and report the problems. ``cases`` replaces the course's own cases in tests."""

    def lint_exercise(exercise: ExerciseSource, cell: Cell, namespace: dict[str, Any]) -> Iterator[LessonProblem]:
        return _ExerciseLint(lesson, root, exercise, cell, namespace, cases).run()

    return run_lab(lesson, root, lint_exercise)


def run_lab(
    lesson: LessonSource,
    root: Path,
    on_exercise: Callable[[ExerciseSource, Cell, dict[str, Any]], Iterable[LessonProblem]],
) -> list[LessonProblem]:
    """Run a lab's cells in order and collect the problems.

    At each exercise's own cell, ``on_exercise`` runs the cell in the lab's namespace and yields its problems.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    problems: list[LessonProblem] = []
    exercise_of = {c.index: e for e in lesson.exercises for c in e.cells}
    try:
        for cell in lesson.code:
            exercise = exercise_of.get(cell.index)
            if cell.has("wrong") or (exercise and cell.has("check")):
                continue  # run with their exercise
            try:
                if exercise and cell.has("exercise"):
                    problems += on_exercise(exercise, cell, namespace)
                else:
                    run_cell(lesson, root, cell, namespace)
            except (Exception, SystemExit) as error:
                if not cell.has("raises-exception"):
                    problems.append(LessonProblem(lesson.name, _line(error, lesson, cell), _error_line(error)))
                    break  # later cells may need this one
    finally:
        close = getattr(namespace.get("lab"), "close", None)
        if callable(close):
            close()
    return problems


class _ExerciseLint:
    """The lint of one exercise."""

    def __init__(
        self,
        lesson: LessonSource,
        root: Path,
        exercise: ExerciseSource,
        cell: Cell,
        namespace: dict[str, Any],
        cases: Mapping[str, Cases] | None,
    ) -> None:
        self.lesson, self.root, self.exercise, self.cell = lesson, root, exercise, cell
        self.namespace = namespace
        self.check = exercise.tagged("check")[0]
        self.generate = (cases or {}).get(exercise.id) or exercises.cases(exercise.id)
        checked = checked_answer(self.check)
        self.answer_text = checked[1] if checked else "None"

    def run(self) -> Iterator[LessonProblem]:
        yield from self.starter_fails()
        run_cell(self.lesson, self.root, self.cell, self.namespace)
        yield from self.solution_passes()
        for cell in self.exercise.tagged("wrong"):
            yield from self.wrong_fails(cell)
        yield from self.constants_fail()

    def starter_fails(self) -> Iterator[LessonProblem]:
        blank = starter(self.cell, self.exercise.id)
        apart = dict(self.namespace)
        try:
            run_cell(self.lesson, self.root, blank, apart)
            run_cell(self.lesson, self.root, self.check, apart)
        except NotAttempted as error:
            if f"exercise {self.exercise.id} " not in f"{error} ":
                yield self.problem(self.cell, f"the starter fails by another name: {_error_line(error)}")
        except NotImplementedError as error:
            if str(error) != f"exercise {self.exercise.id}":
                yield self.problem(self.cell, f"the starter fails by another name: {_error_line(error)}")
        except Exception as error:
            yield self.problem(self.cell, f"the starter must give NotAttempted, but gives {_error_line(error)}")
        else:
            yield self.problem(self.cell, "the starter passes its check")

    def solution_passes(self) -> Iterator[LessonProblem]:
        try:
            run_cell(self.lesson, self.root, self.check, self.namespace)
        except ChainlabError as error:
            yield self.problem(self.check, f"the solution fails its check: {_error_line(error)}")
            return
        for seed in HIDDEN_SEEDS:
            miss = self.examine(self.namespace, seed).first_miss
            if miss is not None:
                yield self.problem(
                    self.cell,
                    f"the solution fails on seed {seed}, case '{miss.case.name}': {miss.message}",
                )
                return

    def wrong_fails(self, cell: Cell) -> Iterator[LessonProblem]:
        header = wrong_cell_header(cell)
        description, case_name = header if header else ("", "")
        apart = dict(self.namespace)
        try:
            run_cell(self.lesson, self.root, cell, apart)
            report = self.examine(apart, HIDDEN_SEEDS[0])
        except (Exception, SystemExit) as error:
            yield LessonProblem(
                self.lesson.name,
                _line(error, self.lesson, cell),
                f"the wrong answer does not run: {_error_line(error)}",
            )
            return
        miss = report.first_miss
        names = {o.case.name for o in report.outcomes}
        if case_name not in names:
            yield self.problem(cell, f"there is no case '{case_name}' (expected one of {', '.join(sorted(names))})")
        elif miss is None:
            yield self.problem(cell, f"the wrong answer passes: {description}")
        elif miss.case.name != case_name:
            yield self.problem(
                cell,
                f"the wrong answer must fail first at '{case_name}', but fails at '{miss.case.name}': {miss.message}",
            )
        elif not miss.why and not miss.at:
            yield self.problem(cell, f"the case '{case_name}' has no reason (`teaches`) for this mistake")

    def constants_fail(self) -> Iterator[LessonProblem]:
        lab = self.namespace.get("lab")
        cases = [
            case
            for label in ("visible", HIDDEN_SEEDS[0])
            for case in self.generate(lab, random.Random(f"{self.exercise.id}/{label}"))  # noqa: S311
        ]
        constants = [*CONSTANTS, *(c.expected for c in cases if c.accept is None)]
        for constant in constants:
            if all(_accepts(case, constant) for case in cases):
                yield self.problem(self.check, f"the constant answer {short(constant, 60)} passes")
                return

    def examine(self, namespace: dict[str, Any], seed: int) -> Any:
        answer = eval(self.answer_text, namespace)  # noqa: S307 (our own authored text)
        return examine(self.exercise.id, answer, lab=namespace.get("lab"), seed=seed, cases=self.generate)

    def problem(self, cell: Cell, text: str) -> LessonProblem:
        return LessonProblem(self.lesson.name, cell.line, f"exercise {self.exercise.id}: {text}")


def _accepts(case: Case, constant: Any) -> bool:
    try:
        got = plain(constant, like=case.expected)
        return bool(case.accept(got)) if case.accept else same(plain(case.expected), got)
    except (NotPlain, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def run_cell(lesson: LessonSource, root: Path, cell: Cell, namespace: dict[str, Any]) -> None:
    """Run one cell under the source file's line numbers; its printed output is dropped."""
    padded = "\n" * cell.line + cell.source  # so that line numbers are the file's
    code = compile(padded, str(root / lesson.name), "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, namespace)  # noqa: S102 (our own authored text)


def _line(error: BaseException, lesson: LessonSource, cell: Cell) -> int:
    """The innermost line of the traceback that lies in the lesson."""
    line, step = cell.line, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename.endswith(lesson.name):
            line = step.tb_lineno
        step = step.tb_next
    return line


def _error_line(error: BaseException) -> str:
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first}"


def main() -> int:
    """Lint labs in a process of their own: ``python -m chainlab.course.authoring.lint ROOT LAB…``."""
    root = Path(sys.argv[1])
    problems = [
        problem for name in sys.argv[2:] for problem in lint_lab(LessonSource.read(root / "lessons" / name), root)
    ]
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
