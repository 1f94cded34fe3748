"""Week 1: the truths of its exercises, checked by other means."""

from __future__ import annotations

import csv
import datetime
import random
import re
import time
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Never

import pytest
import sigstore.verify.verifier as sigstore_verifier
import yaml
from sigstore.verify import Verifier
from solved_labs import SolvedLab

from chainlab.course.exercises.fixtures.controls import best, open_threats
from chainlab.course.exercises.week1 import ex3_verifier, ex5_inventory, ex6_control_budget
from chainlab.course.learning import checks

ROOT = Path(__file__).parents[3]
UNIT = "01_assessment"


def test_the_durations_of_real_incidents_are_as_the_text_says(solved: SolvedLab) -> None:
    """Of twelve, two unknown for lack of an anchor and four for lack of a clock time."""
    with (ROOT / "data" / "incidents.csv").open() as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    rows = [
        {"id": i, **{a: table[i][a.lower()] for a in ("T0", "T2", "T5")}}
        for i in ("ultra-1", "reviewdog", "num2words", "litellm")
    ]
    minutes = solved.answer("1.2")(rows)["rows"]
    assert minutes["litellm"] == {"exposure": 152, "detect": 79, "contain": 73}
    assert list(minutes["reviewdog"].values()) == [109, None, None]
    assert sum(v is None for row in minutes.values() for v in row.values()) == 2 + 4


# 1.3 truth is the client's ------------------------------------------------------------------------


def played(lab: Any, scenario: dict[str, Any], seed: int) -> tuple[str, str]:
    return ex3_verifier._SpoiledBundles(lab, random.Random(seed), scenario["signer"]).play(scenario)


def test_the_verifier_does_not_ask_the_clock_on_the_wall(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exercise 1.3 says 'days later' and verifies at once: fair only if the client cannot tell."""

    def forbidden(*args: object, **kwargs: object) -> Never:
        raise AssertionError("the verifier asked for the time")

    reader: classmethod[Any, ..., Never] = classmethod(forbidden)

    class Clockless(datetime.datetime):
        now = utcnow = today = reader

    real = Verifier.verify_artifact

    def verify(self: Verifier, *args: Any, **kwargs: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", forbidden)
            patch.setattr(sigstore_verifier, "datetime", Clockless)
            real(self, *args, **kwargs)

    monkeypatch.setattr(Verifier, "verify_artifact", verify)
    assert played(lab, ex3_verifier.NOTHING_WRONG, 1) == ("accepted", "")


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({}, ""),
        ({"timestamp": "removed", "file": "one bit flipped"}, "time"),
        ({"trusted_root": "another CA", "wanted_issuer": "another"}, "chain"),
        ({"trusted_root": "another CT log", "log_entry": "proof altered"}, "sct"),
        ({"trusted_root": "another log", "wanted_issuer": "another"}, "identity"),
        ({"log_entry": "proof altered", "file": "one bit flipped"}, "log"),
    ],
)
def test_the_order_of_steps_is_the_clients(lab: Any, change: dict[str, str], step: str) -> None:
    scenario = {**ex3_verifier.NOTHING_WRONG, **change}
    assert played(lab, scenario, 2) == (
        "refused" if step else "accepted",
        step,
    )


# 1.5 truth of the real project --------------------------------------------------------------------


def test_the_inventory_of_triage_model_by_an_independent_count() -> None:
    """Line by line with a regular expression: no YAML reader, no code of the lab's solution."""
    project, mirror = ROOT / "data" / "projects" / "triage-model", ROOT / "data" / "actions"
    line = re.compile(r"^\s*(?:- )?uses: ([^\s#]+)", re.MULTILINE)
    files = (project / ".github").rglob("*.yml")
    references = set(line.findall("\n".join(f.read_text() for f in files)))
    assert len({n for n in references if not n.startswith("./")}) == 12  # as the lab's text says
    reached: set[str] = set()
    while references != reached:
        reached = set(references)
        for name in reached:
            path = mirror / name.split("@")[0]
            for file in (path, path / "action.yml"):
                if file.is_file():
                    references |= set(line.findall(file.read_text()))
    assert {n for n in references if not n.startswith("./")} == ex5_inventory.TRIAGE_MODEL["actions"]
    assert len(ex5_inventory.TRIAGE_MODEL["actions"]) == 12 + 6


def test_every_mirrored_action_is_reached() -> None:
    mirror = ROOT / "data" / "actions"
    later = [*(ROOT / "data" / "projects").glob("*ed/triage-model/.github/**/*.yml")]
    assert {f.parts[-5] for f in later} == {"hardened", "attested"}
    reached = {name.split("@")[0] for name in ex5_inventory.TRIAGE_MODEL["actions"]}
    reached |= {u for f in later for u in re.findall(r"uses: ([\w/-]+)@", f.read_text())}
    held = {f.parent if f.name == "action.yml" else f for f in mirror.rglob("*.yml")}
    assert {h.relative_to(mirror).as_posix() for h in held} <= reached


def test_the_independent_reader_agrees_with_generated_projects(lab: Any, tmp_path: Path) -> None:
    """`yaml.compose` sees every file of a project; its truth was noted while it was written."""
    for seed in range(10):
        for case in ex5_inventory.cases(lab, random.Random(seed)):
            project, mirror = case.args
            if case.expected is None or case.name == "triage-model":
                continue
            text = [f.read_text() for root in (project, mirror) for f in root.rglob("*.y*ml")]
            pairs = [pair for t in text for pair in _pairs(yaml.compose(t))]
            uses = {value.value for key, value in pairs if key.value == "uses"}
            references = {u for u in uses if not u.startswith("./")}
            assert references == case.expected["actions"], case.name


def _pairs(node: Any) -> list[Any]:
    if isinstance(node, yaml.SequenceNode):
        return [pair for item in node.value for pair in _pairs(item)]
    if isinstance(node, yaml.MappingNode):
        return [*node.value, *[pair for _, value in node.value for pair in _pairs(value)]]
    return []


# 1.6 -------------------------------------------------------------------------------------------


def test_best_is_the_best_by_plain_enumeration(lab: Any) -> None:
    for seed in range(5):
        for case in ex6_control_budget.cases(lab, random.Random(seed)):
            (profile,) = case.args
            controls = profile["controls"][:9]  # 512 subsets
            small = {**profile, "controls": controls}
            values = []
            sizes = range(len(controls) + 1)
            for chosen in chain.from_iterable(combinations(controls, n) for n in sizes):
                if sum(c["cost"] for c in chosen) <= profile["budget"]:
                    left = open_threats(small, {c["id"] for c in chosen})
                    values.append(sum(t["loss"] for t in profile["threats"] if t["id"] not in left))
            assert best(small) == max(values)


def test_mixed_profiles_are_worth_choosing_for(lab: Any) -> None:
    """Some control helps and the budget does not buy everything; a third leaves something open."""
    open_ones = 0
    for seed in range(50):
        for case in ex6_control_budget.cases(lab, random.Random(seed)):
            if "mixed" in case.name:
                (profile,) = case.args
                top = best(profile)
                assert top > 0
                assert len(profile["controls"]) == 12
                open_ones += top < sum(t["loss"] for t in profile["threats"])
    assert open_ones == 100


def test_a_poor_choice_is_told_which_of_the_four_it_is(solved: SolvedLab) -> None:
    case = next(iter(ex6_control_budget.cases(solved.lab, random.Random(1))))
    (profile,) = case.args
    everything = {"controls": {c["id"] for c in profile["controls"]}, "residual": set()}
    nothing: dict[str, set[str]] = {"controls": set(), "residual": set()}
    honest = {"controls": set(), "residual": {t["id"] for t in profile["threats"]}}
    gloomy = {**solved.answer("1.6")(profile), "residual": honest["residual"]}
    for answer, message in (
        (everything, "the budget is"),
        (nothing, "residual does not say so"),
        (gloomy, "calls it open"),
        (honest, "the best choice is worth"),
    ):
        report = checks.examine("1.6", lambda p, a=answer: a, lab=solved.lab, seed=1, cases=lambda world, rng: [case])
        assert message in report.outcomes[0].message


# The template ------------------------------------------------------------------------------------


def test_the_template_asks_for_what_the_course_promises() -> None:
    text = (ROOT / "templates" / "assessment.md").read_text()
    assert re.findall(r"(?m)^## \d\. (.+)$", text) == [
        "Threat map",
        "Inventory",
        "Findings",
        "Claimed v. proven",
        "First five controls",
        "Open questions",
    ]
    assert "residual risk" in text
    for table in re.findall(r"(?m)^((?:\|.*\|\n)+)", text):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_weak_workflows_hold_no_real_owner_but_the_platforms() -> None:
    owners = {name.split("/")[0] for name in ex5_inventory.TRIAGE_MODEL["actions"]}
    assert owners == {"actions", "pypa", "acme", "northwind-ml"}
