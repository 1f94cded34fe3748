"""The build of the course: derive notebooks, labs and solutions from the lessons, and compare them with the lessons.

build(course)     writes the derived files; stored outputs stay where a cell is unchanged
drift(course)     lists the files that differ from their lessons, byte for byte; executes nothing
execute(course)   runs notebooks and solutions and stores their outputs; running it twice gives the same bytes
lint(course)      runs the author lint of labs
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chainlab.characters import visible
from chainlab.course.authoring import execution, week_table
from chainlab.course.authoring.lesson_rules import course_problems, lesson_problems, read_lessons
from chainlab.course.authoring.lesson_source import LessonProblem, LessonSource
from chainlab.course.authoring.links import References
from chainlab.course.authoring.notebook import EDITIONS, Edition, derive, dump, editions, keep_outputs, load
from chainlab.course.syllabus import Course
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.storage import contains, write_whole

__all__ = ["BrokenLessons", "build", "drift", "execute", "lint", "select", "target"]

Say = Callable[[str], None]


class BrokenLessons(ChainlabError):
    """Authored files have problems; the message lists them, one a line."""

    def __init__(self, problems: Iterable[LessonProblem | str]) -> None:
        self.problems = [str(p) for p in problems]
        count = len(self.problems)
        super().__init__("\n".join([*self.problems, f"{count} problem{'s' * (count != 1)}"]))

    def __str__(self) -> str:
        return visible(self.message, lines=True)


def build(course: Course, names: Iterable[str] = (), say: Say = print) -> list[Path]:
    """Write the files derived from the selected lessons; returns the changed paths. Raises `BrokenLessons`."""
    names = tuple(names)
    chosen = select(course, names)
    problems = [p for lesson in chosen for p in lesson_problems(lesson, course)]
    if not names:
        problems = course_problems(course)
    if problems:
        raise BrokenLessons(problems)
    references = References.of(course)
    changed = []
    for lesson in chosen:
        for edition in editions(lesson):
            path = target(course, lesson, edition)
            text = dump(_derive_with_outputs(lesson, edition, path, references))
            if not contains(path, text):
                write_whole(path, text)
                changed.append(path)
                say(f"wrote {edition}/{path.name}")
    readme = course.root / "README.md"
    if not names and readme.is_file():
        text = week_table.refresh(readme.read_text(encoding="utf-8"), course)
        if not contains(readme, text):
            write_whole(readme, text)
            changed.append(readme)
            say("wrote the week table of README.md")
    return changed


def drift(course: Course, names: Iterable[str] = ()) -> list[str]:
    """List the problems of sources and derived files, one line each; empty when all agree."""
    names = tuple(names)
    chosen = select(course, names)
    problems = [p for lesson in chosen for p in lesson_problems(lesson, course)]
    if not names:
        problems = course_problems(course)
    broken = {p.file for p in problems}
    lines = [str(p) for p in problems]
    references = References.of(course)
    for lesson in chosen:
        if lesson.name not in broken:
            for edition in editions(lesson):
                lines += _drift_of(course, lesson, edition, references)
    if not names:
        lines += _orphans(course, chosen)
        readme = course.root / "README.md"
        if readme.is_file():
            text = readme.read_text(encoding="utf-8")
            if week_table.refresh(text, course) != text:
                lines.append("README.md: the week table differs from course.toml: run chainlab build")
    return lines


def execute(course: Course, names: Iterable[str] = (), say: Say = print) -> list[Path]:
    """Run the selected notebooks and solutions and store their outputs; returns the changed paths.

    Labs are only derived: they carry no outputs. A notebook with a failing cell stays as it was, and the others run;
    then `BrokenLessons` is raised.
    """
    changed = build(course, names, say)
    patterns = execution.sanitiser(course.root)
    references = References.of(course)
    failed: list[LessonProblem] = []
    for lesson in select(course, names):
        for edition in editions(lesson):
            if edition == "labs":
                continue
            path = target(course, lesson, edition)
            began = time.perf_counter()
            notebook = derive(lesson, edition, references)
            try:
                execution.run(notebook, path.parent)
            except execution.CellFailure as error:
                at = notebook.cells[max(error.cell, 0)].id
                line = execution.line_of(lesson, at)
                failed.append(LessonProblem(lesson.name, line, f"the cell fails: {error.message}"))
                say(f"FAILED {edition}/{path.name}")
                continue
            execution.stabilise(notebook, patterns)
            failed += execution.unstable_outputs(lesson, notebook)
            text = dump(notebook)
            new = not contains(path, text)
            if new:
                write_whole(path, text)
            changed += [path] if new and path not in changed else []
            took = time.perf_counter() - began
            say(f"executed {edition}/{path.name} ({took:.1f} s, outputs {'new' if new else 'as before'})")
    if failed:
        raise BrokenLessons(failed)
    return changed


def lint(course: Course, names: Iterable[str] = (), say: Say = print) -> None:
    """Lint the selected labs in a process of their own. Raises `BrokenLessons`."""
    labs = [Path(lesson.name).name for lesson in select(course, names) if lesson.is_lab]
    if not labs:
        return
    began = time.perf_counter()
    completed = subprocess.run(
        [sys.executable, "-m", "chainlab.course.authoring.lint", str(course.root), *labs],
        env=execution.private_environment(),
        cwd=course.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise BrokenLessons(completed.stdout.splitlines() or completed.stderr.splitlines()[-5:])
    say(f"linted {', '.join(labs)} ({time.perf_counter() - began:.1f} s)")


def select(course: Course, names: Iterable[str] = ()) -> list[LessonSource]:
    """Find lessons by unit or file; without a name all of them. Raises `BrokenLessons` for unreadable files."""
    read, bad = read_lessons(course)
    selections = [_stems(course, name) for name in names]
    if not selections:
        if bad:
            raise BrokenLessons(bad)
        return read
    chosen = {stem for stems in selections for stem in stems}
    unreadable = [p for p in bad if Path(p.file).stem in chosen]
    if unreadable:
        raise BrokenLessons(unreadable)
    return [lesson for lesson in read if Path(lesson.name).stem in chosen]


def target(course: Course, lesson: LessonSource, edition: Edition) -> Path:
    """The path of a derived notebook."""
    return course.root / edition / f"{lesson.stem}.ipynb"


def _stems(course: Course, name: str) -> set[str]:
    """Stems of the source files that a word on the command line names."""
    path = Path(name)
    sources = {p.stem for p in (course.root / "lessons").glob("*.py")}
    if path.suffix == ".ipynb":
        stem = path.stem + ("_lab" if path.parent.name in ("labs", "solutions") else "")
        if stem in sources:
            return {stem}
    elif path.suffix == ".py" or path.stem in sources:
        if path.stem in sources and (path.suffix or path.stem not in {u.id for u in course.units}):
            return {path.stem}
        if path.suffix:
            raise MalformedInput(f"there is no lesson {name}", hint="name a file of lessons/, or a unit")
    unit = course.unit(name)
    return ({p.file for p in unit.lessons} | {f"{unit.id}_lab"}) & sources


def _derive_with_outputs(lesson: LessonSource, edition: Edition, path: Path, references: References) -> Any:
    notebook = derive(lesson, edition, references)
    if edition != "labs" and path.is_file():
        try:
            keep_outputs(notebook, load(path))
        except MalformedInput:
            return notebook  # a broken derived file is derived again
    return notebook


def _drift_of(course: Course, lesson: LessonSource, edition: Edition, references: References) -> list[str]:
    path = target(course, lesson, edition)
    name = f"{edition}/{path.name}"
    if not path.is_file():
        return [f"{name}: missing: run chainlab build"]
    notebook = _derive_with_outputs(lesson, edition, path, references)
    if path.read_bytes() != dump(notebook).encode("utf-8"):
        return [f"{name}: differs from {lesson.name}{_first_difference(lesson, notebook, path)}: run chainlab build"]
    if edition == "labs":
        return []
    blank = [c for c in notebook.cells if c.cell_type == "code" and c.execution_count is None]
    if blank:
        line = execution.line_of(lesson, blank[0].id)
        cells = "cell has" if len(blank) == 1 else "cells have"
        return [
            f"{name}: {len(blank)} {cells} no stored run ({lesson.name}:{line}):"
            f" run chainlab build --execute {lesson.name}"
        ]
    return []


def _first_difference(lesson: LessonSource, notebook: Any, path: Path) -> str:
    try:
        stored = load(path)
    except MalformedInput:
        return " (it is not a notebook)"
    for new, old in zip(notebook.cells, stored.cells, strict=False):
        if (new.id, new.source, new.metadata) != (old.get("id"), old.source, old.metadata):
            return f" at cell {new.id}, line {execution.line_of(lesson, new.id)}"
    if len(notebook.cells) != len(stored.cells):
        return f" ({len(stored.cells)} cells instead of {len(notebook.cells)})"
    return " (metadata or format)"


def _orphans(course: Course, lessons: list[LessonSource]) -> list[str]:
    """List derived files that have no lesson."""
    expected = {target(course, lesson, e) for lesson in lessons for e in editions(lesson)}
    derived = {p for e in EDITIONS for p in (course.root / e).glob("*.ipynb")}
    return [f"{p.parent.name}/{p.name}: no lesson derives it: delete it" for p in sorted(derived - expected)]
