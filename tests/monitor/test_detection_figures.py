"""The course's detections, held by figures: on seeds that no rule was tuned on, and rule by rule against mutants.

A mutant is a rule with one line less. The figures of a smaller pair of histories must notice it, or loading refuses it.
"""

from __future__ import annotations

import csv
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chainlab.course.authoring import detection_figures
from chainlab.monitor.detections import Detection, Detections, load_detections
from chainlab.monitor.histories import TUNING, History, attacked
from chainlab.monitor.histories.benign import write_benign
from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import HARD_CASES, Organisation
from chainlab.monitor.measurement import Measurement, measure

ROOT = Path(__file__).parents[2]
DETECTIONS = ROOT / "data" / "detections"
RULES = sorted(path.stem for path in DETECTIONS.glob("*.yml"))


@pytest.fixture(scope="module")
def detections() -> Detections:
    loaded = load_detections(DETECTIONS)
    assert not loaded.mistakes
    return loaded


@pytest.fixture(scope="module")
def held_out() -> tuple[History, History]:
    return detection_figures.held_out_histories()


def test_the_figures_on_held_out_seeds_are_those_that_are_stored(held_out: tuple[History, History]) -> None:
    assert (DETECTIONS / detection_figures.NAME).read_text("utf-8") == detection_figures.build(DETECTIONS, *held_out)


def test_the_held_out_weeks_have_32_000_publications_and_every_hard_case(held_out: tuple[History, History]) -> None:
    quiet, _ = held_out
    assert sum(event.type.endswith("artifact.published") for event in quiet.events) >= 32_000
    assert quiet.cases.keys() == HARD_CASES.keys()


def test_no_stored_recall_is_none_or_all_and_no_rule_failed() -> None:
    figures = tomllib.loads((DETECTIONS / detection_figures.NAME).read_text("utf-8"))
    assert figures.keys() - {"histories"} == set(RULES)
    for rule in RULES:
        detected, _, attacks = figures[rule]["recall"].partition(" of ")
        assert 0 < int(detected) < int(attacks) == 100, rule


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_where_it_comes_from_and_what_to_do(rule: str, detections: Detections) -> None:
    text = (DETECTIONS / f"{rule}.yml").read_text("utf-8")
    with (ROOT / "data" / "incidents.csv").open(encoding="utf-8", newline="") as file:
        incidents = {row["id"] for row in csv.DictReader(file)}
    assert set(re.findall(r"incidents\.csv/([\w-]+)", text)) <= incidents
    (detection,) = detections.named(rule)
    assert detection.response
    assert detection.false_positives
    assert detection.technique or 'technique: "none: hygiene"' in text
    assert all(f"attack.{name.lower()}" in text for name in detection.technique if name.startswith("T"))


# -- mutants


def _mutants(rule: str) -> Iterator[tuple[str, str]]:
    """Each line of the rule's detections and correlation, and the file without it; a list's items go with its key."""
    lines = (DETECTIONS / f"{rule}.yml").read_text("utf-8").splitlines(keepends=True)
    inside = False
    for number, line in enumerate(lines):
        if not line.startswith((" ", "-")):
            inside = line.startswith(("detection:", "correlation:"))
        elif inside and line.startswith(" "):
            yield line.strip(), "".join(lines[:number] + lines[number + 1 :])


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, Detection | None]]]:
    """Rule → for each line that was removed: the rule that is left, or None where loading refuses it."""
    left: dict[str, list[tuple[str, Detection | None]]] = {}
    for rule in RULES:
        left[rule] = []
        for number, (line, text) in enumerate(_mutants(rule)):
            folder = tmp_path_factory.mktemp("mutant")
            (folder / f"{rule}.yml").write_text(text, "utf-8")
            loaded = load_detections(folder)
            kept = replace(loaded[0], name=f"{rule}/{number}") if not loaded.mistakes else None
            left[rule].append((line, kept))
    return left


@pytest.fixture(scope="module")
def measured(detections: Detections, mutants: dict[str, list[tuple[str, Detection | None]]]) -> Measurement:
    """The figures of all rules and all mutants, on a few weeks with many hard cases."""
    rules = [*detections, *(kept for of_rule in mutants.values() for _, kept in of_rule if kept)]
    organisation, journal = Organisation(random.Random(2)), Journal()
    organisation.shares = {name: max(share, 0.01) * 10 for name, share in organisation.shares.items()}
    write_benign(organisation, journal, 1_000)
    return measure(rules, journal.history(), attacked(TUNING[0], 30))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_without_one_of_its_lines_is_refused_or_has_other_figures(
    rule: str, mutants: dict[str, list[tuple[str, Detection | None]]], measured: Measurement
) -> None:
    assert len(mutants[rule]) > 1
    right = measured[rule]
    for line, kept in mutants[rule]:
        if kept is None:
            continue
        wrong = measured[kept.name]
        figures = (wrong.recall, wrong.false_positives, wrong.failed)
        assert figures != (right.recall, right.false_positives, ""), f"nothing notices that {line!r} is missing"
