"""The filled examples, above all of weeks 1 and 2: their numbers are the solutions', what they cite stands there."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from solved_labs import ROOT, SolvedLab

from chainlab.course.exercises.fixtures.workflow_variants import variants

EXAMPLES = ROOT / "templates" / "examples"
PROJECTS = ROOT / "data" / "projects"
CITED = re.compile(r"`([\w.-]+\.(?:yml|toml)):(\d+)` `([^`]+)`")  # `ci.yml:7` `write-all`


def example(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "project", "least"),
    [("assessment.md", PROJECTS / "triage-model", 15), ("design_guide.md", PROJECTS / "hardened/triage-model", 5)],
)
def test_what_an_example_cites_stands_in_that_line(name: str, project: Path, least: int) -> None:
    cited = CITED.findall(example(name))
    assert len(cited) >= least
    for file, line, words in cited:
        (path,) = [p for p in project.rglob(file) if p.parent in (project, project / ".github/workflows")]
        assert words in path.read_text(encoding="utf-8").splitlines()[int(line) - 1], (file, line, words)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.md")))
def test_an_example_fills_every_section_and_table_of_its_template(name: str) -> None:
    def sections(text: str) -> list[str]:
        return re.findall(r"(?m)^## (\d+\. .+)$", text)

    def heads(text: str) -> list[str]:
        return re.findall(r"(?m)^(\|.*\|)\n\|[-|]+\|$", text)

    template = (ROOT / "templates" / name).read_text(encoding="utf-8")
    assert sections(example(name)) == sections(template)
    assert heads(example(name)) == heads(template)
    for table in re.findall(r"(?m)^((?:\|.*\|\n)+)", example(name)):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_assessments_numbers_are_those_of_the_solutions(solved_lab: Callable[[str], SolvedLab]) -> None:
    solved, text = solved_lab("01_assessment"), example("assessment.md")
    inventory = solved.answer("1.5")(PROJECTS / "triage-model", ROOT / "data" / "actions")
    bound = sum(bool(re.search("@[0-9a-f]{40}$", name)) for name in inventory["actions"])
    assert (
        f"Totals: actions {len(inventory['actions'])} (of which nested 6) · bound to a commit {bound} · packages "
        f"{len(inventory['packages'])} (of which locked by hash 0) · models {len(inventory['models'])} · data sets "
        f"{len(inventory['datasets'])}\n"
    ) in text
    profile = json.loads(re.findall(r"(?s)```json\n(.*?)```", text)[0])
    chosen = solved.answer("1.6")(profile)
    section = text.partition("## 5.")[2]
    assert chosen["controls"] == set(re.findall(r"(?m)^\| \d \| ([a-z-]+) \|", section))
    (residual,) = re.findall(r"Residual, by name: (.*)\.\n", section)
    assert chosen["residual"] == set(re.findall(r"`([a-z-]+)`", residual))
    losses = sum(threat["loss"] for threat in profile["threats"])
    assert f"8 of {losses} points of loss" in section.replace("\n", " ")


def test_the_guides_numbers_are_those_of_the_solutions(solved_lab: Callable[[str], SolvedLab]) -> None:
    solved, text = solved_lab("02_hardening"), example("design_guide.md")
    score = solved.space["score"](solved.space["review"])
    assert f"| mutants refused for the right reason | {score.refused} of {score.mutants} |" in text
    assert f"| benign changes accepted | {score.accepted} of {score.benign} |" in text
    folder = PROJECTS / "hardened" / "triage-model"
    used = [
        name
        for path in (folder / ".github/workflows").glob("*.yml")
        for name in re.findall(r"uses: (\S+)", path.read_text())
    ]
    bound = [name for name in used if re.search("@[0-9a-f]{40}$", name)]
    actions = {name.partition("@")[0] for name in used}
    assert f"Bound to a commit: {len(bound)} of {len(used)} references, 5 actions;" in text
    assert len(actions) == 5
    locked = len(re.findall(r"(?m)^[\w-]+==", (folder / "requirements.lock").read_text()))
    assert f"packages locked by hash: {locked} of {locked}" in text.replace("\n", " ")
    names = set(re.findall(r'mutant "([^"]+)"', text))
    sets, _ = variants(random.Random(1))
    assert names <= {variant.name for variant in sets}
