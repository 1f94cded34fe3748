"""Rules for whole lessons: shape, listing in course.toml, exercises. A breach is a `LessonProblem` with file and line.

`course_problems(course)` only reads the lessons; no cell runs. Rules for single cells are in `cell_rules`. What needs
running (whether solutions pass, and wrong answers fail at their cases) is in `chainlab.course.authoring.lint`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chainlab.course.authoring.cell_rules import code_problems, prose_problems
from chainlab.course.authoring.lesson_source import (
    BEGIN,
    END,
    TAGS,
    ExerciseSource,
    LessonProblem,
    LessonSource,
    checked_answer,
    wrong_cell_header,
)
from chainlab.course.authoring.links import References
from chainlab.course.syllabus import Course, Unit
from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["course_problems", "lesson_problems", "read_lessons"]

WALKTHROUGH_CELLS = range(10, 51)
LEAST_HINTS = 2
READING_TOLERANCE = 0.3  # of a lesson's planned reading minutes, at least one minute
HEADER = re.compile(r"^\*\*You will\*\* \((\d+) min: (\d+) reading, (\d+) doing\)$", re.MULTILINE)


def read_lessons(course: Course) -> tuple[list[LessonSource], list[LessonProblem]]:
    """Read all files of ``course.root/lessons``: the lessons by name, and the problems of unreadable files."""
    lessons: list[LessonSource] = []
    problems: list[LessonProblem] = []
    for path in sorted((course.root / "lessons").glob("*.py")):
        try:
            lessons.append(LessonSource.read(path))
        except MalformedInput as error:
            file, line, text = error.message.split(":", 2)
            problems.append(LessonProblem(file, int(line), text.strip()))
    return lessons, problems


def course_problems(course: Course) -> list[LessonProblem]:
    """List all problems of the authored files, ordered by file and line."""
    lessons, problems = read_lessons(course)
    problems += _listing(course, lessons)
    ids: dict[str, str] = {}
    for lesson in lessons:
        problems += lesson_problems(lesson, course)
        for exercise in lesson.exercises:
            place = f"{lesson.name}:{exercise.line}"
            if exercise.id in ids:
                problems.append(
                    LessonProblem(
                        lesson.name,
                        exercise.line,
                        f"exercise {exercise.id} stands in {ids[exercise.id]} already",
                    )
                )
            ids.setdefault(exercise.id, place)
    return sorted(set(problems), key=lambda p: (p.file, p.line, p.text))


def _listing(course: Course, lessons: list[LessonSource]) -> Iterator[LessonProblem]:
    """Compare course.toml with the files: unlisted lessons, missing lessons, and minutes that do not fit the text."""
    there = {lesson.name.partition("/")[2] for lesson in lessons}
    there |= {p.name for p in (course.root / "lessons").glob("*.py")}
    listed = {f"{p.file}.py": u for u in course.units for p in u.lessons}
    listed |= {f"{u.id}_lab.py": u for u in course.units}
    for name in sorted(there - listed.keys()):
        yield LessonProblem(f"lessons/{name}", 1, "not listed in course.toml (a unit's `lessons`, or its `id`)")
    for name, unit in sorted(listed.items()):
        if name not in there and not unit.draft:
            yield LessonProblem("course.toml", 1, f"unit {unit.id} lists lessons/{name}, which does not exist")
    planned = {part.file: part for unit in course.units for part in unit.lessons}
    for lesson in (each for each in lessons if each.stem in planned and not each.is_lab):
        part = planned[lesson.stem]
        minutes = lesson.words / course.words_per_minute
        if abs(minutes - part.reading) > max(1, READING_TOLERANCE * minutes):
            text = f"lesson {lesson.stem} has reading = {part.reading}, its text takes {minutes:.1f} minutes"
            yield LessonProblem("course.toml", 1, text)
        header = HEADER.search(lesson.cells[0].source)
        expected = f"({part.minutes} min: {part.reading} reading, {part.doing} doing)"
        if header is None or tuple(map(int, header.groups())) != (part.minutes, part.reading, part.doing):
            yield LessonProblem(
                lesson.name, lesson.cells[0].line_of("**You will**"), f"expected '**You will** {expected}'"
            )


def lesson_problems(lesson: LessonSource, course: Course | None) -> list[LessonProblem]:
    """List the problems of one lesson; without a course, those against the syllabus are left out."""
    problems = [*_shape(lesson), *_regions(lesson)]
    for cell in lesson.cells:
        problems += code_problems(lesson, cell) if cell.kind == "code" else prose_problems(lesson, cell)
    if course:
        problems += _references(lesson, References.of(course))
    unit = _unit(lesson, course) if course else None
    for exercise in lesson.exercises if lesson.is_lab else ():
        problems += _exercise(lesson, exercise)
        if unit:
            problems += _planned(lesson, exercise, unit)
    if lesson.is_lab and unit and not unit.draft:
        missing = {e.id for e in unit.exercises} - {e.id for e in lesson.exercises}
        for exercise_id in sorted(missing):
            problems.append(LessonProblem(lesson.name, 1, f"exercise {exercise_id} of course.toml is missing here"))
    return problems


def _unit(lesson: LessonSource, course: Course) -> Unit | None:
    try:
        return course.unit(lesson.stem) if lesson.is_lab else None
    except ChainlabError:
        return None


def _shape(lesson: LessonSource) -> Iterator[LessonProblem]:
    """Check title, parameters cell, number of cells, and tags."""
    name, cells = lesson.name, lesson.cells
    if cells[0].kind != "markdown" or not cells[0].source.startswith("# "):
        yield LessonProblem(name, cells[0].line, "the first cell must be markdown with the title, '# …'")
    for cell in cells[1:]:
        for line, text in cell.numbered if cell.kind == "markdown" else ():
            if text.startswith("# "):
                yield LessonProblem(name, line, "a second title: use '## …'")
    parameters = [c for c in cells if c.has("parameters")]
    if len(parameters) != 1:
        line = parameters[1].line if parameters else 1
        yield LessonProblem(name, line, f'expected one cell with tags=["parameters"], got {len(parameters)}')
    elif not re.search(r"^seed = 1\b", parameters[0].source, re.MULTILINE):
        yield LessonProblem(name, parameters[0].line, "the parameters cell must say 'seed = 1'")
    kept = [c for c in cells if not c.has("wrong")]
    if not lesson.is_lab and len(kept) not in WALKTHROUGH_CELLS:
        low, high = WALKTHROUGH_CELLS.start, WALKTHROUGH_CELLS.stop - 1
        yield LessonProblem(name, 1, f"a walkthrough has {low} to {high} cells, this one {len(kept)}")
    for cell in cells:
        for tag in cell.tags:
            if tag not in TAGS:
                yield LessonProblem(name, cell.line, f"unknown tag {tag!r} (expected one of {', '.join(TAGS)})")
            elif not lesson.is_lab and tag in ("exercise", "wrong", "solution"):
                yield LessonProblem(name, cell.line, f"{tag!r} cells belong in a lab, lessons/…_lab.py")
            elif tag == "predict" and (lesson.is_lab or cell.kind != "code"):
                yield LessonProblem(name, cell.line, "'predict' folds the output of a walkthrough's code cell")
        for attribute in cell.attributes:
            yield LessonProblem(name, cell.line, f"unknown attribute on the cell marker: {attribute}")
        if not cell.source.strip():
            yield LessonProblem(name, cell.line, "empty cell")
        if cell.has("solution") and cell.kind != "markdown":
            yield LessonProblem(name, cell.line, "a 'solution' cell is markdown: the code stands in the exercise")
        if not lesson.is_lab and "lab.check(" in cell.source and "demo=True" not in cell.source:
            yield LessonProblem(
                name, cell.line, "a walkthrough shows a check by lab.check(…, demo=True), which records nothing"
            )
        if cell.has("raises-exception") and (cell.has("check") or "lab.check(" in cell.source):
            yield LessonProblem(
                name, cell.line, "a check never carries 'raises-exception': nbval passes such a cell anyway"
            )
        elif cell.has("raises-exception") and not re.search(r"#\s*\w", cell.source):
            yield LessonProblem(name, cell.line, "a 'raises-exception' cell needs a comment that says why")


def _references(lesson: LessonSource, references: References) -> Iterator[LessonProblem]:
    """Report pages that the text names by a path that does not exist."""
    for cell in lesson.cells:
        for name in references.unresolved(cell.source) if cell.kind == "markdown" else ():
            yield LessonProblem(lesson.name, cell.line_of(name), f"there is no {name}")


def _regions(lesson: LessonSource) -> Iterator[LessonProblem]:
    """Check solution regions: in exercise cells, balanced, not nested, not empty."""
    for cell in lesson.cells:
        opened, filled, regions = 0, False, 0
        for line, text in cell.numbered:
            word = text.strip()
            if word == BEGIN:
                if opened:
                    yield LessonProblem(lesson.name, line, f"a region inside the one opened on line {opened}")
                if not cell.has("exercise"):
                    yield LessonProblem(lesson.name, line, "a solution region outside an 'exercise' cell")
                opened, filled, regions = line, False, regions + 1
            elif word == END:
                if not opened:
                    yield LessonProblem(lesson.name, line, f"'{END}' without '{BEGIN}'")
                elif not filled:
                    yield LessonProblem(
                        lesson.name,
                        line,
                        "an exercise without a solution: the region is empty",
                    )
                opened = 0
            elif "BEGIN SOLUTION" in word or "END SOLUTION" in word:
                yield LessonProblem(lesson.name, line, f"write exactly '{BEGIN}' or '{END}'")
            elif opened:
                filled = filled or bool(word)
        if opened:
            yield LessonProblem(lesson.name, opened, f"'{BEGIN}' without '{END}'")
        if cell.has("exercise") and not regions:
            yield LessonProblem(lesson.name, cell.line, f"an 'exercise' cell without '{BEGIN}'")


def _exercise(lesson: LessonSource, exercise: ExerciseSource) -> Iterator[LessonProblem]:
    """Check heading, points and hints, then the exercise, check, wrong and solution cells."""
    name, line = lesson.name, exercise.line
    label = f"exercise {exercise.id}"
    if exercise.points is None:
        yield LessonProblem(name, line, f"{label} without points: end the heading by '(4 points)'")
    if not exercise.title:
        yield LessonProblem(name, line, f"{label} without a title")
    if len(exercise.hints) < LEAST_HINTS:
        yield LessonProblem(
            name,
            line,
            f"{label} has {len(exercise.hints)} of {LEAST_HINTS} hints:"
            " <details><summary>Hint 1</summary>question?</details>",
        )
    for tag, what in (
        ("exercise", 'a cell with tags=["exercise"]'),
        ("check", 'a cell with tags=["check"]'),
        ("wrong", 'a named wrong answer, a cell with tags=["wrong"]'),
        ("solution", 'an explanation, a markdown cell with tags=["solution"]'),
    ):
        cells = exercise.tagged(tag)
        if not cells:
            yield LessonProblem(name, line, f"{label} without {what}")
        elif len(cells) > 1 and tag in ("exercise", "check"):
            yield LessonProblem(name, cells[1].line, f"{label} has two {tag!r} cells")
    order = [t for c in exercise.cells for t in c.tags if t in ("exercise", "check", "wrong", "solution")]
    if order != sorted(order, key=["exercise", "check", "wrong", "solution"].index):
        yield LessonProblem(name, line, f"{label}: the order is exercise, check, wrong, solution")
    for cell in exercise.tagged("check"):
        try:
            checked = checked_answer(cell)
        except SyntaxError:
            continue  # reported with its line elsewhere
        if checked is None or checked[0] != exercise.id:
            yield LessonProblem(name, cell.line, f'the check must say lab.check("{exercise.id}", …)')
    for cell in exercise.tagged("wrong"):
        if wrong_cell_header(cell) is None:
            yield LessonProblem(
                name,
                cell.line + 1,
                "begin with '# wrong: what it does wrong -> the case it fails at'",
            )


def _planned(lesson: LessonSource, exercise: ExerciseSource, unit: Unit) -> Iterator[LessonProblem]:
    """Compare title and points with course.toml."""
    line = exercise.line
    planned = {e.id: e for e in unit.exercises}.get(exercise.id)
    if planned is None:
        yield LessonProblem(lesson.name, line, f"exercise {exercise.id} is not in course.toml, unit {unit.id}")
        return
    if exercise.points is not None and exercise.points != planned.points:
        yield LessonProblem(
            lesson.name,
            line,
            f"exercise {exercise.id}: {exercise.points} points here, {planned.points} in course.toml",
        )
    if exercise.title != planned.title:
        yield LessonProblem(
            lesson.name,
            line,
            f"exercise {exercise.id}: the title here is '{exercise.title}', in course.toml '{planned.title}'",
        )
