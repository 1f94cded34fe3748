"""The runner: run each exercise's cases on mutants of its solution, and report the mutants that no case refuses.

    $ chainlab lint --mutants 00_onramp
    0.1  9 mutants, 9 refused

A mutant *survives* when it passes the visible cases and those generated from one of `SEEDS`: a learner with that seed
would be told that it is right. Each mutant runs in a forked child with a time limit. So an endless loop counts as
refused, and whatever a mutant changes in memory ends with its process. ``lessons/survivors.toml`` holds the number of
mutants of each exercise, and for each survivor the reason why it may survive. mutmut and cosmic-ray do not fit: they
change modules on disk and start a test command for each mutant, whereas a solution is a notebook cell that needs its
lab's earlier cells (seconds of work), and some solutions are text inside strings.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from chainlab.course import exercises
from chainlab.course.authoring import execution
from chainlab.course.authoring.lesson_source import Cell, ExerciseSource, LessonProblem, LessonSource, checked_answer
from chainlab.course.authoring.lint import run_cell, run_lab
from chainlab.course.authoring.mutation_testing.mutants import Mutant, mutants
from chainlab.course.authoring.mutation_testing.survivors import Survivor, Tally
from chainlab.course.cases import Case, Cases
from chainlab.course.learning.checks import examine
from chainlab.errors import ChainlabError

__all__ = ["run_lab_mutants", "run_mutants"]

SEEDS = (1, 2, 3)
MEMORY = 2 * 2**30  # bytes of data a mutant may allocate, where that is enough for its solution
SECONDS = 10.0  # between two progress lines of a slow exercise
FIRST_LIMIT = 120.0  # CPU seconds of the solution itself
REFUSED, ACCEPTED, BROKEN = 40, 41, 42  # a child's exit status


def run_mutants(
    root: Path, labs: Sequence[str], chosen: Collection[str] = (), say: Callable[[str], None] = print
) -> list[Tally]:
    """Run the labs' mutants in a process of their own. Raises `ChainlabError` where a lab does not run.

    ``labs`` are file names below ``lessons/``, ``chosen`` the ids of exercises (none means all).
    """
    tallies: list[Tally] = []
    problems: list[str] = []
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, str(root), json.dumps([*labs]), json.dumps([*chosen])],
        env=execution.private_environment(),
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child, child.stdout as lines:  # type: ignore[union-attr]  # it is a pipe
        for line in lines:
            message = json.loads(line)
            if "tally" in message:
                tallies.append(Tally.from_json(message["tally"]))
                say(str(tallies[-1]))
            elif "progress" in message:
                say(message["progress"])
            else:
                problems.append(message["problem"])
    if problems or child.returncode:
        raise ChainlabError("\n".join(problems) or f"the run of the mutants ended with status {child.returncode}")
    return tallies


def run_lab_mutants(
    lesson: LessonSource,
    root: Path,
    chosen: Collection[str] = (),
    report: Callable[[Tally | str], None] = print,
    cases: Mapping[str, Cases] | None = None,
) -> list[LessonProblem]:
    """Run the mutants of one lab's exercises, report each tally, and return the problems of cells that do not run.

    ``cases`` replaces the course's own cases in tests.
    """
    selected = [e for e in lesson.exercises if e.id in chosen or not chosen]
    if not selected:
        return []
    needed = replace(lesson, cells=lesson.cells[: selected[-1].cells[-1].index + 1])

    def on_exercise(exercise: ExerciseSource, cell: Cell, namespace: dict[str, Any]) -> Iterable[LessonProblem]:
        if exercise in selected:
            generate = (cases or {}).get(exercise.id) or exercises.cases(exercise.id)
            report(_ExerciseMutants(lesson, root, exercise, cell, namespace, generate, report).run())
        run_cell(lesson, root, cell, namespace)
        return ()

    return run_lab(needed, root, on_exercise)


class _ExerciseMutants:
    """The mutants of one exercise, and the exercise's cases run on each."""

    def __init__(
        self,
        lesson: LessonSource,
        root: Path,
        exercise: ExerciseSource,
        cell: Cell,
        namespace: dict[str, Any],
        generate: Cases,
        report: Callable[[str], None],
    ) -> None:
        self.exercise, self.file, self.namespace = exercise, lesson.name, namespace
        self.generate, self.report = generate, report
        path = str(root / lesson.name)
        self.mutants = mutants(cell.source, path, cell.line)
        self.solution = compile("\n" * cell.line + cell.source, path, "exec")
        checked = checked_answer(exercise.tagged("check")[0])
        self.answer = checked[1] if checked else "None"
        self.memory = MEMORY
        self.endless = 0
        self.last_report = time.monotonic()

    def run(self) -> Tally:
        """Run the mutants on the visible cases, then those that pass on the cases of each seed."""
        began = time.monotonic()
        survivors = []
        left = self._passing(self.mutants, "visible")
        for seed in SEEDS:
            passing = self._passing(left, str(seed))
            survivors += [Survivor(m.line, m.change, seed) for m in passing]
            left = [m for m in left if m not in passing]
        survivors.sort(key=lambda s: self.mutants.index(next(m for m in self.mutants if m.change == s.change)))
        seconds = round(time.monotonic() - began, 1)
        return Tally(self.exercise.id, self.file, len(self.mutants), self.endless, tuple(survivors), seconds)

    def _passing(self, tried: Sequence[Mutant], label: str) -> list[Mutant]:
        """The mutants that pass all cases of one set. Raises `ChainlabError` where the solution itself fails."""
        if not tried:
            return []
        rng = random.Random(f"{self.exercise.id}/{label}")  # noqa: S311 (variation, not secrecy)
        cases = list(self.generate(self.namespace.get("lab"), rng))
        status, cpu = self._fork(self.solution, cases, cpu=FIRST_LIMIT)
        if status != ACCEPTED:  # Rego's engine reserves hundreds of gigabytes of address space, and uses little
            self.memory = resource.RLIM_INFINITY
            status, cpu = self._fork(self.solution, cases, cpu=FIRST_LIMIT)
        if status != ACCEPTED:
            raise ChainlabError(
                f"exercise {self.exercise.id}: the solution itself is refused on its {label} cases, run in a child",
                why=f"its process ended with status {status}",
            )
        passing = []
        for number, mutant in enumerate(tried):
            if time.monotonic() - self.last_report > SECONDS:
                self.last_report = time.monotonic()
                self.report(f"{self.exercise.id}: {number} of {len(tried)} mutants on the {label} cases")
            status, _ = self._fork(mutant.code, cases, cpu=0.5 + 3 * cpu)
            if status == ACCEPTED:
                passing.append(mutant)
            elif status in (-signal.SIGALRM, -signal.SIGPROF):
                self.endless += 1
            elif status != REFUSED:
                raise ChainlabError(
                    f"{self.file}:{mutant.line}: a mutant's process ended with status {status}: {mutant.change}"
                )
        return passing

    def _fork(self, code: CodeType, cases: Sequence[Case], *, cpu: float) -> tuple[int, float]:
        """Run the cases in a child with a limit of CPU seconds: its exit status, and the CPU seconds it took."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child uses none of the parent's
            pid = os.fork()
        if pid == 0:
            self._child(code, cases, cpu)
        _, status, usage = os.wait4(pid, 0)
        return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime

    def _child(self, code: CodeType, cases: Sequence[Case], cpu: float) -> NoReturn:
        status = BROKEN
        try:
            for number, timer, seconds in (
                (signal.SIGALRM, signal.ITIMER_REAL, 20 + 20 * cpu),
                (signal.SIGPROF, signal.ITIMER_PROF, cpu),
            ):
                signal.signal(number, signal.SIG_DFL)
                signal.setitimer(timer, seconds)
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory, resource.RLIM_INFINITY))
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silent, stream)
            status = ACCEPTED if self._passes_all(code, cases) else REFUSED
        finally:
            os._exit(status)

    def _passes_all(self, code: CodeType, cases: Sequence[Case]) -> bool:
        try:
            exec(code, self.namespace)  # noqa: S102 (our own authored text)
            answer = eval(self.answer, self.namespace)  # noqa: S307 (the same)
            return all(self._is_right_for(answer, case) for case in cases)
        except (Exception, SystemExit):  # a mutant raises anything
            return False

    def _is_right_for(self, answer: Any, case: Case) -> bool:
        once = iter((case,))
        lab = self.namespace.get("lab")
        return examine(self.exercise.id, answer, lab=lab, seed=0, cases=lambda *_: once).first_miss is None


def main() -> int:
    """Run ``python -m chainlab.course.authoring.mutation_testing.runner ROOT LABS EXERCISES``, both lists in JSON."""
    root, labs, chosen = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])

    def say(kind: str, value: Any) -> None:
        sys.stdout.write(f"{json.dumps({kind: value})}\n")
        sys.stdout.flush()

    def report(message: Tally | str) -> None:
        say(*("progress", message) if isinstance(message, str) else ("tally", asdict(message)))

    problems = [
        p for lab in labs for p in run_lab_mutants(LessonSource.read(root / "lessons" / lab), root, chosen, report)
    ]
    for problem in problems:
        say("problem", str(problem))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
