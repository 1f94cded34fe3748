"""Commands of the course: build, check, hint, lint, progress, solutions."""

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
    short_help="Derive notebooks, labs and solutions.",
    epilog="Example: chainlab build --execute 01_assessment",
)
@click.option("--check", "compare", is_flag=True, help="Compare only; change and execute nothing.")
@click.option("--execute", is_flag=True, help="Lint labs, run notebooks and solutions, store their outputs.")
@click.argument("names", nargs=-1, metavar="[UNIT|FILE]…")
def build(compare: bool, execute: bool, names: tuple[str, ...]) -> None:
    """Derive notebooks, labs and solutions from lessons/, and the README's week table."""
    from chainlab.course.authoring import build as building

    if compare and execute:
        raise click.UsageError("--check executes nothing: give --check or --execute")
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
@click.option("--seed", default=1, show_default=True, help="Another seed gives other generated cases.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(unit: str, seed: int, as_json: bool) -> None:
    """Run your copy of labs/UNIT.ipynb and say what is not attempted, wrong or done.

    The exit status is 1 unless all is done.
    """
    from chainlab.course.learning.progress import ProgressFile
    from chainlab.course.saved_lab import run_saved_lab
    from chainlab.workspace import learner_workspace

    course, mine = _course(), learner_workspace()
    outcome = run_saved_lab(course, course.unit(unit), seed, lambda text: echo(text, err=True), copy_of=mine.copy)
    progress = ProgressFile.of_learner()
    for finding in outcome.findings:
        progress.record(finding.exercise, finding.status, finding.message)
    _say(outcome.to_json() if as_json else str(outcome), as_json)
    for line in outcome.warnings(progress.read()):
        echo(line, err=True)
    sys.exit(0 if outcome.complete else 1)


@click.command(short_help="Show an exercise's next hint.", epilog="Example: chainlab hint 1.2")
@click.argument("exercise")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def hint(exercise: str, as_json: bool) -> None:
    """Show the next hint for an exercise: the first asks, the second points."""
    from chainlab.course.learning.hints import next_hint
    from chainlab.course.learning.progress import ProgressFile
    from chainlab.workspace import learner_workspace

    shown = next_hint(_course(), exercise, ProgressFile.of_learner(), learner_workspace().copy)
    _say(
        {"exercise": shown.exercise, "number": shown.number, "of": shown.of, "text": shown.text}
        if as_json
        else str(shown),
        as_json,
    )


@click.command(
    short_help="Put labs to the proof, for authors.",
    epilog="Example: chainlab lint --mutants 00_onramp",
)
@click.option("--mutants", is_flag=True, help="Try each check on its solution with one change at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("names", nargs=-1, metavar="[UNIT|EXERCISE]…")
def lint(mutants: bool, as_json: bool, names: tuple[str, ...]) -> None:
    """Show that starters and wrong answers fail and solutions pass; with --mutants, that changed solutions fail.

    lessons/survivors.toml says which changed solutions may pass, and why.
    """
    from chainlab.course.authoring import build as building

    course = _course()
    chosen = [name for name in names if re.fullmatch(r"\d+\.\d+", name)]
    units = [course.find(name)[0].id if name in chosen else name for name in names]
    labs = [Path(lesson.name).name for lesson in building.select(course, units) if lesson.is_lab]
    if not labs:
        raise click.UsageError("nothing to lint: name a unit that has a lab")
    if mutants:
        _lint_mutants(course, labs, chosen, as_json)
        return
    problems: list[str] = []
    try:
        building.lint(course, units, lambda text: echo(text, err=as_json))
    except building.Broken as broken:
        problems = broken.problems
    if as_json:
        echo_json({"labs": labs, "problems": problems})
    _end(problems)


def _lint_mutants(course: Course, labs: list[str], chosen: list[str], as_json: bool) -> None:
    from chainlab.errors import Unavailable

    if not hasattr(os, "fork"):
        raise Unavailable("mutants run in forked processes, which this system has not", hint="use Linux or macOS")
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
    """Exit with 1 when there are problems, after a line for each."""
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
@click.option("--export", "target", metavar="FILE", help="Write a back-up; - is standard output.")
@click.option("--import", "source", metavar="FILE", help="Replace your progress by a back-up.")
@click.option("--reset", "exercise", metavar="EXERCISE", help="Forget one exercise.")
def progress(as_json: bool, target: str | None, source: str | None, exercise: str | None) -> None:
    """Show your progress board; back it up, restore it, reset an exercise."""
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
        echo(f"exercise {exercise} is not attempted now; your cells are as they were")
    if source is None and exercise is None:
        board = Board(course, file.read())
        _say(board.to_json() if as_json else str(board), as_json)


@click.command(
    short_help="Run every solution and walkthrough.",
    epilog="Example: chainlab solutions --jobs 2 01_assessment",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at once.  [default: processors]")
@click.option("-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="Sets a parameter.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("units", nargs=-1, metavar="[UNIT]…")
def solutions(jobs: int | None, pairs: tuple[str, ...], as_json: bool, units: tuple[str, ...]) -> None:
    """Run every solution and walkthrough by papermill, each in its own workspace."""
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
    _say(rows if as_json else table(runs), as_json)
    sys.exit(1 if any(r.failure for r in runs) else 0)


def _course() -> Course:
    from chainlab.course.syllabus import load
    from chainlab.workspace import course_root

    return load(course_root())


def _say(value: Any, as_json: bool) -> None:
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
        raise MalformedInput(f"{source} cannot be read", why=str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise MalformedInput(f"{source} is no text", why=str(error)) from error


commands: list[click.Command] = [build, check, hint, lint, progress, solutions]
