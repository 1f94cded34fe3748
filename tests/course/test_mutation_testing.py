"""Mutants of solutions: what is changed, which a check accepts, and the record of those that may pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from editing import edit

from chainlab.cli.course import commands
from chainlab.course.authoring.lesson_source import LessonSource
from chainlab.course.authoring.mutation_testing.mutants import mutants
from chainlab.course.authoring.mutation_testing.runner import run_lab_mutants, run_mutants
from chainlab.course.authoring.mutation_testing.survivors import RECORD, Recorded, Survivor, Tally, compare, read_record
from chainlab.course.cases import Case
from chainlab.course.syllabus import Course, load
from chainlab.errors import ChainlabError, MalformedInput

LAB = "lessons/09_numbers_lab.py"


def changes(line: str) -> list[str]:
    """The changes of one line of a function."""
    return [m.change for m in mutants(f"def f(a, b):\n    ### BEGIN SOLUTION\n    {line}\n    ### END SOLUTION", "f")]


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("return a < b", "`a < b`: < becomes <="),
        ("return a in b", "`a in b`: in becomes not in"),
        ("return a and b", "`a and b` without `a`"),
        ("return a and b", "`a and b`: and becomes or"),
        ("return not a", "`not a` becomes `a`"),
        ("return a if b else 1", "`b` holds never"),
        ("a += b", "`a += b` forgets what was there"),
        ("a += b", "`a += b` is dropped"),
        ("return a | b", "`a | b` becomes `a`"),
        ("return a[1:]", "`a[1:]`: no lower limit `1`"),
        ("return a[7]", "`a[7]`: 7 becomes 8"),
        ("return any(a)", "`any(a)`: any becomes all"),
        ("return f(a)", "`f(a)` becomes `a`"),
        ("return a.strip()", "`a.strip()` becomes `a`"),
        ("return f(a, key=b)", "`f(a, key=b)` without `key=b`"),
        ("return a.get('x', b)", "`a.get('x', b)` without `b`"),
        ("return {'x': a, **b}", "`{'x': a, **b}` without `**b`"),
        ("return {a, b}", "`{a, b}` without `b`"),
        ("return a in ('x', 'y')", "`('x', 'y')` without `'x'`"),
        ("return [x for x in a if x]", "`if x` is dropped"),
        ("return True", "`return True`: True becomes False"),
        ("return 'x'", "`return 'x'`: 'x' becomes ''"),
        ("return f'{a:.4f}'", "`f'{a:.4f}'`: '.4f' becomes '.3f'"),
        ("return f(r'a|b')", "`f(r'a|b')`: 'a|b' becomes 'a'"),
        ("return 'SELECT 1 WHERE x = 1'", "`SELECT 1 WHERE x = 1` becomes `SELECT 1 WHERE x <> 1`"),
        ("return 'a == 1\\nb'", "`a == 1` becomes `a != 1`"),
        ("return 'a == 1\\nb'", "the line `b` is dropped"),
    ],
)
def test_a_line_is_changed_in_each_of_its_parts(line: str, change: str) -> None:
    assert change in changes(line)


def test_what_no_check_can_see_is_left_alone() -> None:
    assert changes("a: int") == []
    assert changes("'a docstring'") == []
    assert changes("raise ValueError('of this kind: ' + a)") == []
    assert changes("return None") == []


def test_only_the_solution_is_changed_and_each_change_has_a_name_of_its_own() -> None:
    source = "LEAST = 1\ndef f(a):\n    ### BEGIN SOLUTION\n    return a > 1 or 2 * (a > 1)\n    ### END SOLUTION\nf(1)"
    result = mutants(source, "f", above=10)
    assert {m.line for m in result} == {14}
    names = [m.change for m in result]
    assert len(names) == len(set(names))
    assert "`a > 1`: > becomes >= (2)" in names


def run(course: Course, cases: Any, *chosen: str) -> dict[str, Tally]:
    """The tallies of the made-up lab, by exercise."""
    messages: list[Any] = []
    assert run_lab_mutants(LessonSource.read(course.root / LAB), course.root, chosen, messages.append, cases) == []
    return {t.exercise: t for t in messages if isinstance(t, Tally)}


def test_the_made_up_lab_refuses_every_mutant(course: Course, stub: ModuleType) -> None:
    tallies = run(course, stub.CASES)
    assert {e: (t.mutants, t.survivors) for e, t in tallies.items()} == {"9.1": (2, ()), "9.2": (3, ())}


def test_a_mutant_that_one_seed_lets_pass_survives_with_its_line(course: Course, stub: ModuleType) -> None:
    lesson = LessonSource.read(course.root / LAB)

    empty = iter((False, True, False))  # asked for by the visible cases, by those of seed 1, of seed 2

    def largest(lab: Any, rng: Any) -> Iterator[Case]:
        yield Case("in any order", ([3, 5],), 5, "look at all")
        if next(empty):
            yield Case("unknown", ([],), None, "unknown is not zero")

    [survivor] = run(course, {"9.2": largest}, "9.2")["9.2"].survivors
    assert "without `default=None`" in survivor.change
    assert survivor.seed == 2
    line = lesson.exercises[1].tagged("exercise")[0].line_of("return max(")
    assert survivor.line == line


def test_an_endless_mutant_is_refused_by_the_limit_of_time(course: Course, stub: ModuleType) -> None:
    loop = "while numbers:\n        numbers.pop()\n    return accumulated_answer"
    edit(course.root / LAB, "    return accumulated_answer", f"    {loop}")
    tally = run(course, stub.CASES, "9.1")["9.1"]
    assert tally.endless == 1  # without numbers.pop()
    assert [s.change for s in tally.survivors] == ["the loop over `numbers` ends after its first turn"]


def test_what_a_mutant_leaves_behind_reaches_no_other(course: Course, stub: ModuleType) -> None:
    hostile = "import madeup\n    madeup.seen = getattr(madeup, 'seen', 0) + 1\n    assert madeup.seen < 9\n"
    edit(
        course.root / LAB,
        "    accumulated_answer = sum(numbers)\n",
        f"    {hostile}    accumulated_answer = sum(numbers)\n",
    )
    assert run(course, stub.CASES, "9.1")["9.1"].mutants > 9
    assert not hasattr(stub, "seen")


def test_a_solution_that_its_own_cases_refuse_is_told(course: Course, stub: ModuleType) -> None:
    edit(course.root / LAB, "return max(numbers, default=None)", "return min(numbers, default=None)")
    lesson = LessonSource.read(course.root / LAB)
    [problem] = run_lab_mutants(lesson, course.root, ["9.2"], lambda _: None, stub.CASES)
    assert "exercise 9.2: the solution itself is refused on its visible cases" in str(problem)


def test_a_lab_that_does_not_run_ends_the_command(course: Course, stub: ModuleType) -> None:
    edit(course.root / LAB, "import madeup\n", "import madeup\n1 / 0\n")
    with pytest.raises(ChainlabError, match="ZeroDivisionError"):
        run_mutants(course.root, ["09_numbers_lab.py"], (), lambda _: None)


SURVIVOR = Survivor(70, "`a < b`: < becomes <=", 2)
TALLY = Tally("9.1", LAB, 12, 0, (SURVIVOR,), 0.1)
GOOD = Recorded(12, {SURVIVOR.change: "equal numbers are excluded by the text"}, 4)


@pytest.mark.parametrize(
    ("recorded", "messages"),
    [
        (GOOD, []),
        (
            replace(GOOD, reasons={}),
            [f"{LAB}:70: exercise 9.1, seed 2: the check accepts a mutant: `a < b`: < becomes <="],
        ),
        (replace(GOOD, mutants=11), [f"{RECORD}:4: exercise 9.1: expected 'mutants = 12', got 11"]),
        (replace(GOOD, reasons={**GOOD.reasons, "x": "y"}), [f"{RECORD}:4: exercise 9.1: no such survivor: x"]),
    ],
    ids=["agrees", "survivor without a reason", "another number", "stale"],
)
def test_where_tally_and_record_disagree_is_told(recorded: Recorded, messages: list[str]) -> None:
    assert [str(p) for p in compare([TALLY], {"9.1": recorded}, {"9.1"})] == messages


def test_a_record_of_an_exercise_that_is_not_there_is_told() -> None:
    assert [str(p) for p in compare([], {"9.9": GOOD}, {"9.1"})] == [f"{RECORD}:4: there is no exercise 9.9"]


def record(course: Course, text: str) -> None:
    (course.root / RECORD).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["9.1"]\nmutants = 0\n', ":2: 9.1.mutants: expected a whole number of at least 1"),
        ('["9.1"]\nmutants = 3\n[["9.1".survivor]]\nchange = "x"\nwhy = ""\n', "why: expected text"),
        ('["9.1"]\nmutants = 3\nreason = "x"\n', "unknown key"),
    ],
    ids=["no mutants", "no reason", "unknown key"],
)
def test_a_record_that_is_not_whole_is_refused(course: Course, text: str, message: str) -> None:
    record(course, text)
    with pytest.raises(MalformedInput) as caught:
        read_record(course.root)
    assert message in str(caught.value)


@pytest.fixture
def lint(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CHAINLAB_COURSE", str(root))
    group = click.Group(commands=commands)
    return lambda *words: CliRunner().invoke(group, ["lint", *words])


def test_the_checks_of_week_0_refuse_all_mutants_but_the_recorded(lint: Any, root: Path) -> None:
    result = lint("--mutants", "--json", "00_onramp")
    shown = json.loads(result.stdout)
    assert (result.exit_code, shown["problems"]) == (0, [])
    recorded = read_record(root)
    for exercise in shown["exercises"]:
        entry = recorded[exercise["exercise"]]
        assert exercise["mutants"] == entry.mutants
        assert {s["change"]: s["why"] for s in exercise["survivors"]} == entry.reasons


def test_the_record_has_every_exercise_and_the_number_of_its_mutants(root: Path) -> None:
    result = {
        exercise.id: len(mutants(exercise.tagged("exercise")[0].source, lesson.name))
        for lesson in (LessonSource.read(path) for path in sorted((root / "lessons").glob("*_lab.py")))
        for exercise in lesson.exercises
    }
    assert {exercise: entry.mutants for exercise, entry in read_record(root).items()} == result
    assert set(result) == {e.id for u in load(root).written for e in u.exercises}


def test_a_survivor_without_a_reason_ends_the_command_with_1_and_its_entry(lint: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("chainlab.course.authoring.mutation_testing.survivors.RECORD", "lessons/nothing.toml")
    result = lint("--mutants", "0.6")
    assert result.exit_code == 1
    assert '[["0.6".survivor]]\nchange = "`ask(events' in result.stdout
    assert "the check accepts a mutant: `ask(events" in result.stderr


def test_lint_says_what_does_not_hold_and_exits_with_1(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(click.Group(commands=commands), ["lint", "--json", "09_numbers"])
    assert result.exit_code == 1  # the made-up exercises have no cases in the package
    assert json.loads(result.stdout)["labs"] == ["09_numbers_lab.py"]
    assert "there is no exercise '9.1'" in result.stderr or "there is no exercise 9.1" in result.stderr


@pytest.mark.parametrize("words", [("99_nothing",), ("9.99",)], ids=["unit", "exercise"])
def test_lint_of_what_is_not_there_is_refused(course: Course, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(click.Group(commands=commands), ["lint", *words])
    assert isinstance(result.exception, MalformedInput)
