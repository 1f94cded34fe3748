"""``chainlab check``, ``hint`` and ``progress`` for learners; ``build``, ``lint`` and ``solutions`` for authors."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.cli.terminal import echo, echo_document, echo_json

if TYPE_CHECKING:
    from chainlab.course.syllabus import Course

__all__ = ["commands"]


@click.command(
    short_help="Authors: derive notebooks and labs.",
    epilog="Example: chainlab build --execute 01_assessment",
)
@click.option("--check", "compare", is_flag=True, help="Only compare; change and run nothing.")
@click.option(
    "--execute", is_flag=True, help="Also check the labs, run notebooks and solutions, and store their outputs."
)
@click.argument("names", nargs=-1, metavar="[UNIT|FILE]…")
def build(compare: bool, execute: bool, names: tuple[str, ...]) -> None:
    """Derive notebooks, labs, solutions and the README's week table from lessons/.

    Exit status: 0 done, 1 a source has a problem or, with --check, a derived file differs.
    """
    from chainlab.course.authoring import build as building

    if compare and execute:
        raise click.UsageError("--check and --execute exclude each other")
    course = _course()
    if compare:
        _end(building.drift(course, names))
        echo("sources, notebooks, labs and solutions agree")
    elif execute:
        building.build(course, names, echo)
        building.lint(course, names, echo)
        building.execute(course, names, echo)
    else:
        changed = building.build(course, names, echo)
        echo(f"{len(changed)} file{'s' * (len(changed) != 1)} changed")


@click.command(short_help="Check your answers in a lab.", epilog="Example: chainlab check 01_assessment")
@click.argument("unit")
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the generated cases; another seed gives other cases."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(unit: str, seed: int, as_json: bool) -> None:
    """Run your saved copy of labs/UNIT.ipynb, and print which exercises are done, wrong or not attempted.

    Exit status: 0 all are done, 1 some are not.
    """
    from chainlab.course.learning.progress import ProgressFile
    from chainlab.course.saved_lab import run_saved_lab
    from chainlab.workspace import learner_workspace

    course, mine = _course(), learner_workspace()
    outcome = run_saved_lab(course, course.unit(unit), seed, lambda text: echo(text, err=True), copy_of=mine.copy)
    progress = ProgressFile.of_learner()
    for finding in outcome.findings:
        progress.record(finding.exercise, finding.status, finding.message)
    _print(outcome.to_json() if as_json else str(outcome), as_json)
    for line in outcome.warnings(progress.read()):
        echo(line, err=True)
    sys.exit(0 if outcome.complete else 1)


@click.command(short_help="Show an exercise's next hint.", epilog="Example: chainlab hint 1.2")
@click.argument("exercise")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def hint(exercise: str, as_json: bool) -> None:
    """Show the next hint for an exercise. The first hint asks a question, the second points to the answer."""
    from chainlab.course.learning.hints import next_hint
    from chainlab.course.learning.progress import ProgressFile
    from chainlab.workspace import learner_workspace

    shown = next_hint(_course(), exercise, ProgressFile.of_learner(), learner_workspace().copy)
    _print(
        {"exercise": shown.exercise, "number": shown.number, "of": shown.of, "text": shown.text}
        if as_json
        else str(shown),
        as_json,
    )


@click.command(
    short_help="Authors: test the checks of labs.",
    epilog="Example: chainlab lint --mutants 00_onramp",
)
@click.option("--mutants", is_flag=True, help="Run each check on solutions with one change each; all should fail.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("names", nargs=-1, metavar="[UNIT|EXERCISE]…")
def lint(mutants: bool, as_json: bool, names: tuple[str, ...]) -> None:
    """Test the checks of labs: starters and named wrong answers must fail, solutions must pass.

    With --mutants, changed solutions must fail too, except those that lessons/survivors.toml lists with a reason.

    Exit status: 0 all hold, 1 some do not.
    """
    from chainlab.course.authoring import build as building

    course = _course()
    chosen = [name for name in names if re.fullmatch(r"\d+\.\d+", name)]
    units = [course.find(name)[0].id if name in chosen else name for name in names]
    labs = [Path(lesson.name).name for lesson in building.select(course, units) if lesson.is_lab]
    if not labs:
        raise click.UsageError("nothing to lint: expected a unit that has a lab")
    if mutants:
        _lint_mutants(course, labs, chosen, as_json)
        return
    problems: list[str] = []
    try:
        building.lint(course, units, lambda text: echo(text, err=as_json))
    except building.BrokenLessons as broken:
        problems = broken.problems
    if as_json:
        echo_json({"labs": labs, "problems": problems})
    _end(problems)


def _lint_mutants(course: Course, labs: list[str], chosen: list[str], as_json: bool) -> None:
    from chainlab.errors import Unavailable

    if not hasattr(os, "fork"):
        raise Unavailable(
            "--mutants needs forked processes, which this system does not have", hint="use Linux or macOS"
        )
    from chainlab.course.authoring.mutation_testing.runner import run_mutants
    from chainlab.course.authoring.mutation_testing.survivors import (
        blank_entries,
        compare,
        read_record,
        table,
        with_reasons,
    )

    record = read_record(course.root)
    tallies = run_mutants(course.root, labs, chosen, lambda text: echo(text, err=True))
    problems = [str(p) for p in compare(tallies, record, {e.id for u in course.units for e in u.exercises})]
    if as_json:
        echo_json({"exercises": [with_reasons(t, record) for t in tallies], "problems": problems})
    else:
        echo("\n".join([table(tallies), *blank_entries(tallies, record)]), lines=True)
    _end(problems)


def _end(problems: list[str]) -> None:
    """Print a line for each problem; exit with 1 when there are any."""
    for line in problems:
        echo(line, err=True)
    if problems:
        echo(f"{len(problems)} problem{'s' * (len(problems) != 1)}", err=True)
        sys.exit(1)


@click.command(
    short_help="Show, back up or reset your progress.",
    epilog="Example: chainlab progress --export progress.json",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--export", "target", metavar="FILE", help="Write a back-up to FILE; - is standard output.")
@click.option("--import", "source", metavar="FILE", help="Replace your progress with the back-up in FILE.")
@click.option("--reset", "exercise", metavar="EXERCISE", help="Forget the progress of one exercise, such as 1.2.")
def progress(as_json: bool, target: str | None, source: str | None, exercise: str | None) -> None:
    """Show your progress, back it up, restore it, or reset one exercise."""
    from chainlab.course.learning.progress import ProgressFile
    from chainlab.course.learning.progress_board import Board
    from chainlab.storage import write_whole

    if sum(x is not None for x in (target, source, exercise)) > 1:
        raise click.UsageError("give one of --export, --import and --reset")
    course, file = _course(), ProgressFile.of_learner()
    if target is not None:
        text = file.read().dump()
        if target == "-":
            echo_document(text.encode())
        else:
            write_whole(Path(target), text)
            echo(f"wrote {target}")
        return
    if source is not None:
        restored = file.restore(_text(source), course)
        echo(f"restored {len(restored.entries)} exercises")
    if exercise is not None:
        file.reset(course.exercise(exercise).id)
        echo(f"exercise {exercise} counts as not attempted now; your cells are unchanged")
    if source is None and exercise is None:
        board = Board(course, file.read())
        _print(board.to_json() if as_json else str(board), as_json)


@click.command(
    short_help="Authors: run solutions and walkthroughs.",
    epilog="Example: chainlab solutions --jobs 2 01_assessment",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks to run at once.  [default: number of processors]")
@click.option(
    "-p",
    "--parameter",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the notebooks, such as seed=2; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("units", nargs=-1, metavar="[UNIT]…")
def solutions(jobs: int | None, pairs: tuple[str, ...], as_json: bool, units: tuple[str, ...]) -> None:
    """Run solutions and walkthroughs with papermill, each in its own workspace (default: of all units).

    Exit status: 0 all pass, 1 some fail.
    """
    from chainlab.course.authoring.replay import notebooks_to_run, run_all, table

    course = _course()
    parameters = {"seed": 1} | dict(_pair(pair) for pair in pairs)
    chosen = [course.unit(name) for name in units] or list(course.written)
    work = notebooks_to_run(course, chosen)
    if not work:
        raise click.UsageError("nothing to run: these units are drafts")
    runs = run_all(work, parameters, jobs or os.cpu_count() or 1, lambda text: echo(text, err=True))
    rows = [
        {
            "file": r.file,
            "cells": r.cells,
            "seconds": round(r.seconds, 2),
            "passed": not r.failure,
            "failure": r.failure,
        }
        for r in runs
    ]
    _print(rows if as_json else table(runs), as_json)
    sys.exit(1 if any(r.failure for r in runs) else 0)


def _course() -> Course:
    from chainlab.course.syllabus import load
    from chainlab.workspace import course_root

    return load(course_root())


def _print(value: Any, as_json: bool) -> None:
    if as_json:
        echo_json(value)
    else:
        echo(value, lines=True)


def _pair(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise click.UsageError(f"expected NAME=VALUE, got {pair!r}")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _text(source: str) -> str:
    from chainlab.errors import MalformedInput

    try:
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise MalformedInput(f"cannot read {source}", why=str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise MalformedInput(f"not a UTF-8 text: {source}", why=str(error)) from error


commands: list[click.Command] = [build, check, hint, lint, progress, solutions]
