"""Week 3: its documents pass the official schema, and what it computes agrees with the package."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from solved_labs import SolvedLab, refused_at

from chainlab.course import exercises
from chainlab.course.exercises.week3 import ex3_truth_test, ex4_mlbom
from chainlab.course.plain_data import plain
from chainlab.evidence.models import mlbom
from chainlab.evidence.sbom import schema

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
        problems = [str(p) for p in schema.problems(document) if "leads nowhere" not in p.message]
        assert problems == []  # an edge to nowhere is one of the lies, and no schema sees it


def test_the_exercise_computes_the_librarys_interval() -> None:
    for cases in (1, 7, 300):
        for hits in {0, cases // 2, cases}:
            assert ex4_mlbom.wilson(hits, cases) == pytest.approx(mlbom.interval(hits, cases))


def test_the_truth_test_tells_finders_apart(tmp_path: Path) -> None:
    everything = ex3_truth_test.truth_test(
        lambda service, site: {
            f"pkg:pypi/{p.name.split('-')[0].replace('_', '-')}@{p.name.split('-')[1][:-5]}"
            for p in site.glob("*.dist-info")
        },
        tmp_path,
        services=2,
    )
    nothing = ex3_truth_test.truth_test(lambda service, site: set(), tmp_path, services=2)
    assert set(everything.loc[["declared", "dynamic"], "recall"]) == {"1.00"}
    assert everything.loc["vendored", "recall"] == "0.00"
    assert everything.loc["dev-only", "precision"] != "1.00"
    assert set(nothing.loc["declared":"vendored", "recall"]) == {"0.00"}


# A change to the solution that is plausible and wrong: exercise, the case that refuses it, the text and its change.
HALF_RIGHT: dict[str, tuple[str, str, *tuple[tuple[str, str], ...]]] = {
    "does not compare the purl's version": (
        "3.1",
        "versions of a component",
        ("if Version(version) != Version(purl.version):", "if False:"),
    ),
    "compares the purl's version where the lock knows the package": (
        "3.1",
        "versions of a component",
        (
            "if Version(version) != Version(purl.version):",
            "if purl.name in lock and Version(version) != Version(purl.version):",
        ),
    ),
    "takes a missing hash of the subject for a lie": (
        "3.1",
        "a document that says little",
        (
            'if not sha256(about["component"]) <= {facts["wheel"]}',
            'if facts["wheel"] not in sha256(about["component"])',
        ),
    ),
    "takes any hash for a SHA-256": ("3.1", "hashes of other kinds", (' if h["alg"] == "SHA-256"}', "}")),
    "asks its own machine": ("3.2", "another machine", ('{**environment, "extra": extra}', '{"extra": extra}')),
    "needs the name of each file of the lock": (
        "3.2",
        "a lock by another tool",
        ('wheel.get("name") or (wheel.get("url") or wheel["path"]).rpartition("/")[2]', 'wheel["name"]'),
    ),
    "looks a module up by its whole path alone": (
        "3.3",
        "a module by another name",
        ('            module = module.rpartition(".")[0]\n        needs', '            module = ""\n        needs'),
    ),
    "does not tell its own modules from installed ones": (
        "3.3",
        "a module by another name",
        (" and node.level == 0", ""),
        ('{f"{node.module}.{alias.name}" for', '{f"{node.module}.{alias.name}".removeprefix("None.") for'),
    ),
    "rounds to three decimals": ("3.4", "metrics", ("{lower:.4f}", "{lower:.3f}")),
    "leaves the contents of the data set out": (
        "3.4",
        "metrics",
        ('"contents": {"attachment": {"content": data["contents"]}}', '"governance": {}'),
    ),
    "counts packages of npm": ("3.5", "a component of npm", ('if purl.type == "pypi" and same:', "if same:")),
    "takes events as they come": (
        "3.5",
        "events in another order",
        ('sorted(events, key=lambda pair: (pair[1] != "0", Version(pair[1])))', "events"),
    ),
    "calls a vulnerability by an id that has no record": (
        "3.5",
        "two names, one vulnerability",
        ("min(groups[id_] & alive.keys())", "min(groups[id_])"),
    ),
    "takes any guard": ("3.6", "a guard for another finding", ('if finding["id"] in ids}', "if ids}")),
    "takes any call by name": (
        "3.6",
        "a call by name that nothing reaches",
        ('any(c["function"] in reached and', "any("),
    ),
    "compares versions as text": (
        "3.6",
        "ten comes after nine",
        (
            'Version(service["components"][name]) >= Version(finding["fixed_in"])',
            'service["components"][name] >= finding["fixed_in"]',
        ),
    ),
    "believes one composition of several": (
        "3.7",
        "complete in part",
        ('said and set(said) == {"complete"}', '"complete" in said'),
    ),
    "looks at the first document": (
        "3.7",
        "two documents",
        (
            '(d for d in entry["documents"] if d["kind"] == "sbom")',
            '[d for d in entry["documents"] if d["kind"] == "sbom"][:1]',
        ),
    ),
    "believes a document that names no bytes": (
        "3.7",
        "another build's document",
        ("if ledger.get(build) not in about:", "if about and ledger.get(build) not in about:"),
    ),
}


@pytest.mark.parametrize("name", HALF_RIGHT)
def test_a_half_right_answer_is_refused_by_the_case_that_teaches_it(solved: SolvedLab, name: str) -> None:
    exercise, case, *changes = HALF_RIGHT[name]
    assert refused_at(solved, exercise, *changes) == case


@pytest.mark.parametrize(
    ("exercise", "case", "change"),
    [
        ("3.1", "edges to nowhere", ('found.add(f"edge:', 'found.add(f"hash: {ref}") or found.add(f"edge:')),
        ("3.6", "is it fixed?", ('return "affected" if', 'return "fixed" if')),
        ("3.7", "a document that is gone", ('answers[build] = "affected"', 'answers[build] = "clear"')),
    ],
)
def test_a_reason_is_told_for_the_mistake_that_it_is_about_alone(
    solved: SolvedLab, exercise: str, case: str, change: tuple[str, str]
) -> None:
    case_asked = {c.name: c for c in exercises.cases(exercise)(solved.lab, random.Random(4))}[case]
    space = dict(solved.space)
    source = solved.exercise(exercise).tagged("exercise")[0].source
    assert change[0] in source
    exec(source.replace(*change), space)
    beside = plain(solved.answer(exercise, space)(*case_asked.args), like=case_asked.expected)
    assert case_asked.reason(beside) == ""
    assert case_asked.reason(plain([] if exercise == "3.1" else {}, like=case_asked.expected)) == case_asked.teaches
