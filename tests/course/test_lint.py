"""The author lint: what an exercise must be shown to do before a learner sees it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from editing import edit

from chainlab.course.authoring import build as building
from chainlab.course.authoring.lesson_source import LessonSource
from chainlab.course.authoring.lint import lint_lab
from chainlab.course.cases import Case
from chainlab.course.syllabus import Course, load

LAB = "lessons/09_numbers_lab.py"


def lint(course: Course, stub: ModuleType) -> list[str]:
    lesson = LessonSource.read(course.root / LAB)
    return [str(p) for p in lint_lab(lesson, course.root, stub.CASES)]


def test_the_made_up_lab_holds(course: Course, stub: ModuleType) -> None:
    assert lint(course, stub) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    accumulated_answer = sum(numbers)\n",
            "    accumulated_answer = len(numbers)\n",
            "exercise 9.1: the solution fails its check: Incorrect: exercise 9.1, case 'several numbers'",
        ),
        (
            'lab.check("9.1", total)',
            'lab.check("9.1", sum)',
            "exercise 9.1: the starter passes its check",
        ),
        (
            'lab.check("9.1", total)',
            'lab.check("9.1", totl)',
            "the starter must give NotAttempted, but gives NameError",
        ),
        (
            "return sum(abs(n) for n in numbers)",
            "return sum(numbers)",
            "the wrong answer passes: drops the sign",
        ),
        (
            "return sum(abs(n) for n in numbers)",
            "return 5",
            "must fail first at 'a negative number', but fails at 'several numbers'",
        ),
        (
            "-> a negative number",
            "-> a minus",
            "there is no case 'a minus' (expected one of a negative number",
        ),
        (
            "def total(numbers: list[int]) -> int:\n    return sum(abs",
            "total = 1 / 0\ndef f(numbers):\n    return sum(abs",
            "the wrong answer does not run: ZeroDivisionError",
        ),
        ("import madeup\n", "import madeup\n1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
    ids=[
        "solution wrong",
        "starter passes",
        "starter by another name",
        "wrong passes",
        "wrong elsewhere",
        "unknown case",
        "wrong does not run",
        "set-up fails",
    ],
)
def test_what_does_not_hold_is_told_by_line(course: Course, stub: ModuleType, old: str, new: str, message: str) -> None:
    edit(course.root / LAB, old, new)
    problems = lint(course, stub)
    assert any(message in line and line.startswith(f"{LAB}:") for line in problems), problems


def test_an_error_points_to_the_very_line(course: Course, stub: ModuleType) -> None:
    edit(course.root / LAB, "import madeup\n", "import madeup\n1 / 0\n")
    line = (course.root / LAB).read_text().splitlines().index("1 / 0") + 1
    assert lint(course, stub) == [f"{LAB}:{line}: ZeroDivisionError: division by zero"]


@pytest.mark.parametrize("constant", [0, None, True, [], "", {}, "same"])
def test_a_constant_answer_that_passes_is_told(course: Course, stub: ModuleType, constant: object) -> None:
    generators = stub.CASES | {"9.2": lambda lab, rng: [Case("unknown", ([rng.random()],), constant, "teaches")]}
    edit(course.root / LAB, "return max(numbers, default=None)", f"return {constant!r}")
    lesson = LessonSource.read(course.root / LAB)
    problems = [str(p) for p in lint_lab(lesson, course.root, generators)]
    assert any(f"exercise 9.2: the constant answer {constant!r} passes" in line for line in problems), problems


def test_a_solution_for_the_visible_cases_alone_fails_on_hidden_seeds(course: Course, stub: ModuleType) -> None:
    calls = {"n": 0}

    def total(lab: object, rng: object) -> object:
        calls["n"] += 1
        n = calls["n"]
        yield Case("a negative number", ([n],), n if n < 4 else -1, "teaches")

    lesson = LessonSource.read(course.root / LAB)
    problems = [str(p) for p in lint_lab(lesson, course.root, stub.CASES | {"9.1": total})]
    assert any("the solution fails on seed" in line for line in problems), problems


def test_a_case_that_teaches_nothing_is_told(course: Course, stub: ModuleType) -> None:
    generators = stub.CASES | {
        "9.2": lambda lab, rng: [
            Case("unknown", ([],), None),
            Case("some", ([rng.randrange(9)],), 0),
        ]
    }
    lesson = LessonSource.read(course.root / LAB)
    problems = [str(p) for p in lint_lab(lesson, course.root, generators)]
    assert any("the case 'unknown' has no reason" in line for line in problems), problems


def test_a_real_lab_holds(root: Path) -> None:
    """One of them: test_contract asks the same of every exercise, and more, and nbval runs every solution."""
    building.lint(load(root), ["01_assessment"], say=lambda _: None)
