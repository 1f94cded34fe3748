"""Week 3: its documents pass the official schema, and what it computes agrees with the package."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from chainlab.course import exercises
from chainlab.course.exercises.week3 import ex3_truth_test as plants
from chainlab.course.exercises.week3 import ex4_mlbom as cards
from chainlab.evidence import mlbom, schema

UNIT = "03_sbom"


@pytest.mark.parametrize("exercise", ["3.1", "3.4", "3.5"])
def test_documents_of_the_cases_pass_the_official_schema(exercise: str, lab: Any) -> None:
    documents: list[Any] = []
    for case in exercises.cases(exercise)(lab, random.Random(7)):
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
