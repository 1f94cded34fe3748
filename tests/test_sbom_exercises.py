"""Week 3's exercises vary, are solvable for many seeds, and hand out documents that the official schema accepts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chainlab
from chainlab.course.authoring.source import Lesson, checked_answer
from chainlab.course.exercises import week03
from chainlab.course.exercises.week3 import ex3_truth_test as plants
from chainlab.course.exercises.week3 import ex4_mlbom as cards
from chainlab.course.learning import checks
from chainlab.evidence import mlbom, schema

ROOT = Path(__file__).parents[1]
LESSON = Lesson.read(ROOT / "lessons" / "03_sbom_lab.py")
EXERCISES = [e.id for e in LESSON.exercises]
SEEDS = {"3.2": 5, "3.3": 5, "3.7": 6}  # of those that write folders; 25 of the others


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    with chainlab.open("03_sbom", seed=1) as lab:
        yield lab


@pytest.fixture(scope="module")
def solutions(lab: Any) -> dict[str, Callable[..., Any]]:
    """The lab's own functions: cells that import, and the exercises'."""
    space: dict[str, Any] = {"lab": lab, "seed": 1}
    wanted = {e.tagged("exercise")[0].index for e in LESSON.exercises}
    for cell in LESSON.code:
        given = cell.source.startswith(("import json", "from cyclonedx", "from datetime import UTC"))
        if cell.index in wanted or given:
            source = cell.source.replace('lab = chainlab.open("03_sbom", seed=seed)', "")
            exec(source.partition("\ntwenty = ")[0], space)
    found = {}
    for exercise in LESSON.exercises:
        checked = checked_answer(exercise.tagged("check")[0])
        assert checked
        found[exercise.id] = eval(checked[1], space)
    return found


def _cases(exercise: str, lab: Any, seed: object) -> list[checks.Case]:
    return list(week03.CASES[exercise](lab, random.Random(f"{exercise}/{seed}")))


@pytest.mark.parametrize("exercise", EXERCISES)
def test_many_seeds_are_solvable_and_keep_their_names(
    exercise: str, lab: Any, solutions: dict[str, Callable[..., Any]]
) -> None:
    names = []
    for seed in range(SEEDS.get(exercise, 25)):
        report = checks.examine(exercise, solutions[exercise], world=lab, seed=seed)
        miss = report.first_miss
        assert miss is None, (seed, miss.case.name, miss.message)
        names.append([o.case.name for o in report.outcomes])
    assert all(n == names[0] for n in names)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_cases_vary_with_the_seed_and_say_where_to_look(exercise: str, lab: Any) -> None:
    text = (ROOT / LESSON.name).read_text(encoding="utf-8")
    one, two = _cases(exercise, lab, 1), _cases(exercise, lab, 2)
    for case, other in zip(one, two, strict=True):
        assert repr(case.args) != repr(other.args), case.name
        notebook, _, section = case.see.partition(", ")
        assert notebook == "labs/03_sbom.ipynb"
        assert len(case.teaches) > 20
        assert f"# ## {section[1:-1]}\n" in text, case.see


@pytest.mark.parametrize("exercise", ["3.1", "3.4", "3.5"])
def test_documents_of_the_cases_pass_the_official_schema(exercise: str, lab: Any) -> None:
    documents: list[Any] = []
    for case in _cases(exercise, lab, 7):
        for value in case.args:
            values = value.values() if isinstance(value, dict) else []
            documents += [d for d in (value, *values) if isinstance(d, dict) and "bomFormat" in d]
    assert documents
    for document in documents:
        found = [str(p) for p in schema.problems(document) if "leads nowhere" not in p.said]
        assert found == []  # an edge to nowhere is one of the lies, and no schema sees it


def test_the_exercise_computes_the_librarys_interval() -> None:
    for cases in (1, 7, 300):
        for hits in {0, cases // 2, cases}:
            assert cards.wilson(hits, cases) == pytest.approx(mlbom.interval(hits, cases))


def test_the_truth_test_tells_finders_apart(tmp_path: Path) -> None:
    everything = plants.truth_test(
        lambda service, site: {
            f"pkg:pypi/{p.name.split('-')[0].replace('_', '-')}@{p.name.split('-')[1][:-5]}"
            for p in site.glob("*.dist-info")
        },
        tmp_path,
        services=2,
    )
    nothing = plants.truth_test(lambda service, site: set(), tmp_path, services=2)
    assert set(everything.loc[["declared", "dynamic"], "recall"]) == {"1.00"}
    assert everything.loc["vendored", "recall"] == "0.00"
    assert everything.loc["dev-only", "precision"] != "1.00"
    assert set(nothing.loc["declared":"vendored", "recall"]) == {"0.00"}
