"""Claims that hold for every exercise of the course.

Its cases are solvable whatever the seed, differ with it and teach; its starter fails by its own name, each named wrong
answer fails at the case it names, and no answer that does not look at the question is worth anything.
"""

from __future__ import annotations

import ast
import copy
import importlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solved_labs import ROOT, SolvedLab

from chainlab.course import exercises
from chainlab.course.authoring.lesson_source import starter, wrong_cell_header
from chainlab.course.authoring.lint import CONSTANTS
from chainlab.course.cases import Case
from chainlab.course.learning import checks
from chainlab.course.plain_data import plain, same
from chainlab.course.syllabus import load
from chainlab.errors import MalformedInput, NotAttempted

UNITS = {e.id: unit.id for unit in load(ROOT).units for e in unit.exercises}
every_exercise = pytest.mark.parametrize("exercise", UNITS)

# Seeds per exercise where a case is slow: signatures, repositories, folders, worker processes. 40 elsewhere.
SEEDS = {
    "0.1": 5, "0.2": 20, "1.1": 50, "1.2": 50, "1.3": 12, "1.4": 50, "1.5": 50, "1.6": 50,
    "2.2": 6, "2.3": 3, "2.6": 3, "2.8": 4, "3.2": 5, "3.3": 5, "3.7": 6,
    "4.1": 10, "4.3": 3, "4.4": 6, "4.5": 3, "4.6": 2, "4.7": 2, "5.2": 4, "5.4": 8, "5.5": 3, "5.6": 12, "5.7": 8,
}  # fmt: skip
# The bytes of a signature are never the same.
SIGNED_ANEW = {"0.2", "0.3", "2.6", "4.1", "4.2", "4.3", "4.6", "4.7", "5.4"}
SAME_FOR_ALL_SEEDS = {
    "1.5": {"triage-model"},  # the real project
    "5.2": {"a rule that the engine can read", "the history you tuned on"},
    "5.3": {"nothing happened"},
}
# The share of cases that an answer may get right without looking at the question. Where most cases are there to be
# refused, "no" is right in most.
WORTH_OF_A_CONSTANT = {
    "0.1": 0.3, "0.2": 0.45, "0.3": 0.31, "0.5": 0.34, "1.3": 0.3, "2.6": 0.6, "3.1": 0.34, "4.2": 0.5, "4.5": 0.34,
    "4.7": 0.5,
}  # fmt: skip
MARKED = {"2.8", "4.6"}  # by mutants: the answer is a verdict for each variant, by its name


@pytest.fixture
def solved(exercise: str, solved_lab: Callable[[str], SolvedLab]) -> SolvedLab:
    return solved_lab(UNITS[exercise])


def cases(exercise: str, lab: Any, seed: object) -> list[Case]:
    return list(exercises.cases(exercise)(lab, random.Random(f"{exercise}/{seed}")))


def test_every_exercise_has_one_module_and_every_module_is_an_exercise() -> None:
    assert list(exercises.numbered()) == list(UNITS)
    for exercise, module in exercises.numbered().items():
        week, number = exercise.split(".")
        assert re.fullmatch(rf"chainlab\.course\.exercises\.week{week}\.ex{number}_[a-z0-9_]+", module)


@pytest.mark.parametrize("name", ["7", "9.9", "0.7", "week1", "1.1.1", "../1.1", ""])
def test_another_number_is_no_exercise(name: str) -> None:
    with pytest.raises(MalformedInput):
        exercises.cases(name)


def test_a_walkthrough_imports_no_exercise_and_a_lab_only_its_own_weeks() -> None:
    for path in sorted((ROOT / "lessons").glob("*.py")):
        imported = set(re.findall(r"chainlab\.course\.exercises\.(\w+)", path.read_text(encoding="utf-8")))
        week = f"week{int(path.name[:2])}"
        assert imported <= ({week, "fixtures"} if path.stem.endswith("_lab") else set()), path.name


@every_exercise
def test_many_seeds_are_solvable_and_keep_the_names_of_their_cases(exercise: str, solved: SolvedLab) -> None:
    names: list[list[str]] = []
    for seed in range(SEEDS.get(exercise, 40)):
        report = checks.examine(exercise, solved.answer(exercise), lab=solved.lab, seed=seed)
        miss = report.first_miss
        assert miss is None, (seed, miss.case.name, miss.message)
        names.append([outcome.case.name for outcome in report.outcomes])
    assert all(n == names[0] for n in names)


@every_exercise
def test_cases_vary_with_the_seed_and_repeat_with_it(exercise: str, solved: SolvedLab) -> None:
    def contents(seed: int) -> dict[str, str]:
        return {case.name: content((case.args, case.expected)) for case in cases(exercise, solved.lab, seed)}

    one, other = contents(1), contents(2)
    if exercise not in SIGNED_ANEW:
        assert one == contents(1)
    if exercise not in MARKED:
        same_for_both = {name for name in one if one[name] == other[name]}
        assert same_for_both <= SAME_FOR_ALL_SEEDS.get(exercise, set())


def content(value: Any) -> str:
    """A value as text; of a folder, its files with their bytes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{content(k)}: {content(v)}' for k, v in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(content, value))})"
    if isinstance(value, Path) and value.is_dir():
        files = [p for p in sorted(value.rglob("*")) if p.is_file() and p.name != "index"]  # git notes times in it
        return content({str(p.relative_to(value)): p.read_bytes() for p in files})
    return repr(value)


@every_exercise
def test_no_constant_is_right(exercise: str, solved: SolvedLab) -> None:
    asked_cases = [*cases(exercise, solved.lab, "visible"), *cases(exercise, solved.lab, 1)]
    expected = [case.expected for case in asked_cases if case.accept is None]
    answers = [solved.answer(exercise)(*copy.deepcopy(case.args)) for case in asked_cases[:2] if exercise not in MARKED]
    for constant in (*CONSTANTS, "read-all", ("accepted", ""), ("refused", "signature"), *expected, *answers):
        right = sum(accepts(case, constant) for case in asked_cases)
        assert right <= WORTH_OF_A_CONSTANT.get(exercise, 0.2) * len(asked_cases), (constant, right, len(asked_cases))


def accepts(case: Case, constant: Any) -> bool:
    try:
        got = plain(constant, like=case.expected)
        return bool(case.accept(got)) if case.accept else same(plain(case.expected), got)
    except Exception:  # an answer of another shape
        return False


@every_exercise
def test_every_case_teaches_and_says_where_to_look(exercise: str, solved: SolvedLab) -> None:
    for case in cases(exercise, solved.lab, "x"):
        assert len(case.teaches) > 20, case.name
        folder, _, rest = case.see.partition("/")
        stem, _, section = rest.partition(".ipynb, ")
        text = (ROOT / "lessons" / f"{stem}{'_lab' if folder == 'labs' else ''}.py").read_text(encoding="utf-8")
        assert f"# ## {section[1:-1]}\n" in text, case.see


@every_exercise
def test_the_tables_of_texts_hold_the_names_of_cases_and_no_others(exercise: str, solved: SolvedLab) -> None:
    module = importlib.import_module(exercises.module_name(exercise))
    names = {case.name for case in module.cases(solved.lab, random.Random("names"))}
    assert set(module.TEACHES) <= names
    assert isinstance(module.SEE, str) or set(module.SEE) == names


@every_exercise
def test_the_starter_fails_by_its_own_name(exercise: str, solved: SolvedLab) -> None:
    part = solved.exercise(exercise)
    blank = starter(part.tagged("exercise")[0], exercise)
    space = dict(solved.space)
    exec(blank.source, space)
    functions = [node for node in ast.parse(blank.source).body if isinstance(node, ast.FunctionDef)]
    assert all(function.returns and ast.get_docstring(function) for function in functions)
    with pytest.raises(NotAttempted, match=rf"exercise {re.escape(exercise)} is not attempted"):
        exec(part.tagged("check")[0].source, space)


@every_exercise
def test_wrong_answers_fail_first_at_the_case_they_name(exercise: str, solved: SolvedLab) -> None:
    wrong = solved.exercise(exercise).tagged("wrong")
    assert wrong
    for cell in wrong:
        wrong_answer = wrong_cell_header(cell)
        assert wrong_answer, cell.line
        space = dict(solved.space)
        exec(cell.source, space)
        for seed in range(1, 4 if exercise not in SEEDS else 2):
            answer = solved.answer(exercise, space)
            miss = checks.examine(exercise, answer, lab=solved.lab, seed=seed).first_miss
            assert miss is not None, wrong_answer
            assert miss.case.name == wrong_answer[1], (wrong_answer, miss.message)
            assert miss.why or miss.at, (wrong_answer, "is told neither a reason nor a line")


def crashes(*arguments: Any) -> list[str]:
    raise KeyError("jobs")


@pytest.mark.parametrize("exercise", sorted(MARKED))
def test_a_judge_that_does_not_look_scores_nothing(exercise: str, solved: SolvedLab) -> None:
    """Accepting all, refusing all by every name or by one, and crashing all score nothing."""
    module = importlib.import_module(exercises.module_name(exercise))
    names = [name for group in module.GROUPS.values() for name in group]
    trust = [solved.lab.trust] if exercise == "4.6" else []
    for judge in (lambda *arguments: [], lambda *arguments: names, lambda *arguments: names[:1], crashes):
        assert module.score(judge, *trust).value == 0
    assert module.score(solved.space["gate" if exercise == "4.6" else "review"], *trust).value > 0.95
