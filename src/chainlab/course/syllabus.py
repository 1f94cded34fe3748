"""The syllabus: ``course.toml`` as values.

A course has units (one a week, and the on-ramp); a unit has lessons (walkthroughs), set readings, one lab and its
exercises. Hours are a learner's planned hours. The parts must add up: set readings to the unit's reading hours, lessons
(their text and the work in them) to its walkthrough hours, exercises to its lab hours, units to the course's hours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from chainlab.course.toml import Table
from chainlab.errors import MalformedInput

__all__ = ["Course", "Exercise", "Hours", "Lesson", "Reading", "Unit", "load"]


@dataclass(frozen=True)
class Hours:
    """Planned hours of one unit, by kind of work."""

    reading: float
    walkthrough: float
    lab: float
    deliverable: float
    review: float

    @property
    def total(self) -> float:
        """All kinds together."""
        return self.reading + self.walkthrough + self.lab + self.deliverable + self.review


@dataclass(frozen=True)
class Lesson:
    """One walkthrough: ``lessons/<file>.py``."""

    file: str
    reading: int  # minutes: words of its text / words a minute
    doing: int  # minutes

    @property
    def minutes(self) -> int:
        """Minutes of the whole lesson, as its header states them."""
        return self.reading + self.doing


@dataclass(frozen=True)
class Reading:
    """A primary source that learners are to read; it is not in the repository."""

    title: str
    minutes: int


@dataclass(frozen=True)
class Exercise:
    """One exercise of a unit's lab."""

    id: str  # "1.2"
    title: str
    minutes: int
    points: int
    kind: str  # recognise, build, break, design
    competency: str


@dataclass(frozen=True)
class Unit:
    """One week of the course."""

    id: str  # stem of its lab: lessons/<id>_lab.py
    week: int
    title: str
    draft: bool  # planned, not written
    counted: bool  # part of the course's hours
    hours: Hours
    activity: str
    makes: str
    milestone: str
    objectives: tuple[str, ...]
    competencies: tuple[str, ...]
    deliverables: tuple[str, ...]
    lessons: tuple[Lesson, ...]
    readings: tuple[Reading, ...]
    exercises: tuple[Exercise, ...]

    @property
    def points(self) -> int:
        """Points of all exercises."""
        return sum(e.points for e in self.exercises)


@dataclass(frozen=True)
class Course:
    """The whole course."""

    title: str
    code: str
    hours: float
    words_per_minute: int
    competencies: tuple[str, ...]
    units: tuple[Unit, ...]
    root: Path  # the folder that holds course.toml

    def unit(self, name: str) -> Unit:
        """Find a unit by its id, its number or the name of its lab: ``01_assessment``, ``01``, ``1``.

        Raises `MalformedInput` when there is none.
        """
        stem = Path(name).name.removesuffix(".ipynb").removesuffix(".py").removesuffix("_lab")
        for unit in self.units:
            if stem == unit.id or (stem.isdigit() and int(stem) == unit.week):
                return unit
        names = ", ".join(u.id for u in self.units)
        raise MalformedInput(f"there is no unit {name!r}", hint=f"name one of {names}")

    def exercise(self, exercise_id: str) -> Exercise:
        """Find an exercise by its number. Raises `MalformedInput` when there is none."""
        return self.find(exercise_id)[1]

    def find(self, exercise_id: str) -> tuple[Unit, Exercise]:
        """Find an exercise and its unit, by number. Raises `MalformedInput` when there is none."""
        for unit in self.units:
            for exercise in unit.exercises:
                if exercise.id == exercise_id:
                    return unit, exercise
        names = ", ".join(e.id for u in self.units for e in u.exercises)
        raise MalformedInput(f"there is no exercise {exercise_id!r}", hint=f"name one of {names}")

    @property
    def written(self) -> tuple[Unit, ...]:
        """Units that are not drafts."""
        return tuple(u for u in self.units if not u.draft)


def load(root: Path) -> Course:
    """Read ``root/course.toml``. Raises `MalformedInput` with the line and key of an error."""
    top = Table.parse((root / "course.toml").read_text(encoding="utf-8"), "course.toml")
    competencies, kinds = top.texts("competencies"), top.texts("kinds")
    units = tuple(_unit(t, competencies, kinds) for t in top.tables("units"))
    course = Course(
        title=top.text("title"),
        code=top.text("code"),
        hours=top.number("hours"),
        words_per_minute=top.whole("words_per_minute", least=1),
        competencies=competencies,
        units=units,
        root=root,
    )
    top.refuse_unknown_keys()
    for kind, names in (
        ("unit", [u.id for u in units]),
        ("lesson", [lesson.file for u in units for lesson in u.lessons]),
        ("exercise", [e.id for u in units for e in u.exercises]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise top.error("units", f"{kind} {name} is listed twice")
    counted = sum(u.hours.total for u in units if u.counted)
    if not math.isclose(counted, course.hours):
        raise top.error("hours", f"expected {counted:g}, the sum of the counted units, got {course.hours:g}")
    return course


def _unit(table: Table, competencies: tuple[str, ...], kinds: tuple[str, ...]) -> Unit:
    hours = table.table("hours")
    draft = table.flag("draft", False)
    unit = Unit(
        id=table.text("id"),
        week=table.whole("week"),
        title=table.text("title"),
        draft=draft,
        counted=table.flag("counted", True),
        hours=Hours(*(hours.number(k) for k in ("reading", "walkthrough", "lab", "deliverable", "review"))),
        activity=table.text("activity"),
        makes=table.text("makes"),
        milestone=table.text("milestone"),
        objectives=table.texts("objectives"),
        competencies=table.texts("competencies", among=competencies),
        deliverables=table.texts("deliverables", least=0),
        lessons=tuple(
            Lesson(t.text("file"), t.whole("reading"), t.whole("doing"))
            for t in _without_other_keys(table.tables("lessons", []), "file", "reading", "doing")
        ),
        readings=tuple(
            Reading(t.text("title"), t.whole("minutes"))
            for t in _without_other_keys(table.tables("readings", []), "title", "minutes")
        ),
        exercises=tuple(_exercise(t, competencies, kinds) for t in table.tables("exercises", [])),
    )
    hours.refuse_unknown_keys()
    table.refuse_unknown_keys()
    if not draft:
        _check_sums(table, unit)
    return unit


def _exercise(table: Table, competencies: tuple[str, ...], kinds: tuple[str, ...]) -> Exercise:
    exercise = Exercise(
        id=table.text("id"),
        title=table.text("title"),
        minutes=table.whole("minutes", least=1),
        points=table.whole("points", least=1),
        kind=table.choice("kind", kinds),
        competency=table.choice("competency", competencies),
    )
    table.refuse_unknown_keys()
    return exercise


def _without_other_keys(tables: list[Table], *keys: str) -> list[Table]:
    for table in tables:
        table.used.update(keys)
        table.refuse_unknown_keys()
    return tables


def _check_sums(table: Table, unit: Unit) -> None:
    """Refuse a written unit whose parts do not sum to its hours."""
    sums = {
        "reading": sum(r.minutes for r in unit.readings),
        "walkthrough": sum(p.minutes for p in unit.lessons),
        "lab": sum(e.minutes for e in unit.exercises),
    }
    for kind, minutes in sums.items():
        planned = round(getattr(unit.hours, kind) * 60)
        if minutes != planned:
            parts = {
                "reading": "its set readings",
                "walkthrough": "its lessons' reading and doing",
                "lab": "its exercises",
            }[kind]
            raise table.error("hours", f"{kind} is {planned} minutes, but {parts} sum to {minutes}")
