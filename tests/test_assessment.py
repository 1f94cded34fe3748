"""Week 1's exercises vary, are solvable, and no constant answers them; the kit's manifest holds."""

from __future__ import annotations

import ast
import copy
import csv
import datetime
import random
import re
import subprocess
import time
from collections.abc import Callable
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import sigstore.verify.verifier as sigstore_verifier
import yaml

import chainlab
from chainlab.course.authoring import checksums
from chainlab.course.exercises import week01
from chainlab.course.exercises.week1 import ex3_verifier as verdicts
from chainlab.course.exercises.week1 import ex5_inventory as inventories
from chainlab.course.exercises.week1 import ex6_control_budget as budgets
from chainlab.course.learning import checks
from chainlab.course.learning.plain import plain, same
from chainlab.errors import MalformedInput

ROOT = Path(__file__).parents[1]
LAB = ROOT / "lessons" / "01_assessment_lab.py"
NAMES = {
    "1.1": "verify_manifest",
    "1.2": "measure",
    "1.3": "predict",
    "1.4": "place",
    "1.5": "inventory",
    "1.6": "choose",
}


@pytest.fixture(scope="module")
def lab():
    with chainlab.open("01_assessment", seed=1) as lab:
        yield lab


def cells(tag: str) -> list[str]:
    """Sources of the lab's cells with a tag, in order."""
    parts = re.split(r"(?m)^# %%(.*)$", LAB.read_text())
    return [body for head, body in zip(parts[1::2], parts[2::2], strict=True) if f'"{tag}"' in head]


@pytest.fixture(scope="module")
def solved() -> dict[str, Any]:
    """What the lab's imports and solutions define."""
    space: dict[str, Any] = {}
    exec("\n".join(re.findall(r"(?m)^(?:import|from) .+$", LAB.read_text())), space)
    for source in cells("exercise"):
        exec(source, space)
    return space


@pytest.fixture(scope="module")
def solutions(solved: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    return {exercise: solved[name] for exercise, name in NAMES.items()}


# The exercises ------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", NAMES)
def test_fifty_seeds_are_solvable_and_keep_their_names(exercise: str, lab, solutions) -> None:
    names = []
    for seed in range(50):
        names.append([])
        for case in week01.CASES[exercise](lab, random.Random(f"{exercise}/{seed}")):
            got = plain(solutions[exercise](*copy.deepcopy(case.args)), like=case.expected)
            right = case.accept(got) if case.accept else same(plain(case.expected), got)
            assert right, (seed, case.name, got)
            names[-1].append(case.name)
    assert all(n == names[0] for n in names)


@pytest.mark.parametrize("exercise", NAMES)
def test_cases_vary_with_the_seed_and_repeat_with_it(exercise: str, lab) -> None:
    def contents(seed: int) -> list[str]:
        cases = week01.CASES[exercise](lab, random.Random(f"{exercise}/{seed}"))
        return [repr((c.args, c.expected)) for c in cases]

    assert contents(1) == contents(1)
    same = sum(a == b for a, b in zip(contents(1), contents(2), strict=True))
    # the real triage-model does not vary
    assert same <= (1 if exercise == "1.5" else len(contents(1)) // 4)


@pytest.mark.parametrize("exercise", NAMES)
def test_no_constant_answer_is_right(exercise: str, lab, solutions) -> None:
    constants: list[Any] = [
        None,
        {},
        set(),
        [],
        True,
        "",
        ("accepted", ""),
        ("refused", "signature"),
        {"changed": set(), "missing": set(), "extra": set()},
        set(range(1, 11)),
        {"controls": set(), "residual": set()},
    ]
    first = next(iter(week01.CASES[exercise](lab, random.Random(f"{exercise}/visible"))))
    constants.append(solutions[exercise](*first.args))
    for constant in constants:
        report = checks.examine(exercise, lambda *args, c=constant: c, world=lab, seed=1)
        assert report.first_miss is not None, constant
        assert report.score < 0.5


@pytest.mark.parametrize("exercise", NAMES)
def test_every_case_teaches_and_says_where_to_look(exercise: str, lab) -> None:
    for case in week01.CASES[exercise](lab, random.Random("x")):
        assert len(case.teaches) > 20
        notebook, _, section = case.see.partition(", ")
        lesson = {"labs/01_assessment.ipynb": LAB}.get(notebook, ROOT / "lessons" / f"{Path(notebook).stem}.py")
        assert f"# ## {section[1:-1]}\n" in lesson.read_text(), case.see


def test_wrong_answers_fail_where_they_say(lab, solved) -> None:
    found = set()
    for source in cells("wrong"):
        description = source.strip().splitlines()[0]
        space = dict(solved)
        exec(source, space)
        (name,) = [n for n in NAMES.values() if space[n] is not solved[n]]
        exercise = next(e for e, n in NAMES.items() if n == name)
        for seed in (1, 2, 3):
            miss = checks.examine(exercise, space[name], world=lab, seed=seed).first_miss
            assert miss is not None, description
            assert description.endswith(f"-> {miss.case.name}"), (description, miss.case.name)
        found.add(exercise)
    assert found == set(NAMES)


def test_starters_are_complete_without_their_solution() -> None:
    for source in cells("exercise"):
        begin, end = source.index("### BEGIN"), source.index("### END SOLUTION")
        starter = source[:begin] + 'raise NotImplementedError("exercise")' + source[end + 16 :]
        (function,) = [n for n in ast.parse(starter).body if isinstance(n, ast.FunctionDef)]
        assert function.returns is not None
        assert ast.get_docstring(function)


def test_the_durations_of_real_incidents_are_as_the_text_says(solutions) -> None:
    """Of twelve, two unknown for lack of an anchor and four for lack of a clock time."""
    with (ROOT / "data" / "incidents.csv").open() as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    rows = [
        {"id": i, **{a: table[i][a.lower()] for a in ("T0", "T2", "T5")}}
        for i in ("ultra-1", "reviewdog", "num2words", "litellm")
    ]
    found = solutions["1.2"](rows)["rows"]
    assert found["litellm"] == {"exposure": 152, "detect": 79, "contain": 73}
    assert list(found["reviewdog"].values()) == [109, None, None]
    assert sum(v is None for row in found.values() for v in row.values()) == 2 + 4


# 1.3 truth is the client's ------------------------------------------------------------------------


def test_the_verifier_does_not_ask_the_clock_on_the_wall(lab, monkeypatch) -> None:
    """Exercise 1.3 says 'days later' and verifies at once: fair only if the client cannot tell."""

    def forbidden(*args: object) -> None:
        raise AssertionError("the verifier asked for the time")

    class Clockless(datetime.datetime):
        now = utcnow = today = classmethod(forbidden)

    real = verdicts.Verifier.verify_artifact

    def verify(self, *args, **kwargs):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", forbidden)
            patch.setattr(sigstore_verifier, "datetime", Clockless)
            return real(self, *args, **kwargs)

    monkeypatch.setattr(verdicts.Verifier, "verify_artifact", verify)
    assert verdicts.play(lab, verdicts.NOTHING_WRONG, random.Random(1)) == ("accepted", "")


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
def test_the_order_of_steps_is_the_clients(lab, change: dict[str, str], step: str) -> None:
    scenario = {**verdicts.NOTHING_WRONG, **change}
    assert verdicts.play(lab, scenario, random.Random(2)) == (
        "refused" if step else "accepted",
        step,
    )


# 1.5 truth of the real project --------------------------------------------------------------------


def test_the_inventory_of_triage_model_by_an_independent_count() -> None:
    """Line by line with a regular expression: no YAML reader, no code of the lab's solution."""
    project, mirror = ROOT / "data" / "projects" / "triage-model", ROOT / "data" / "actions"
    line = re.compile(r"^\s*(?:- )?uses: ([^\s#]+)", re.MULTILINE)
    files = (project / ".github").rglob("*.yml")
    named = set(line.findall("\n".join(f.read_text() for f in files)))
    assert len({n for n in named if not n.startswith("./")}) == 12  # as the lab's text says
    reached: set[str] = set()
    while named != reached:
        reached = set(named)
        for name in reached:
            path = mirror / name.split("@")[0]
            for file in (path, path / "action.yml"):
                if file.is_file():
                    named |= set(line.findall(file.read_text()))
    assert {n for n in named if not n.startswith("./")} == inventories.TRIAGE_MODEL["actions"]
    assert len(inventories.TRIAGE_MODEL["actions"]) == 12 + 6


def test_every_mirrored_action_is_reached() -> None:
    mirror = ROOT / "data" / "actions"
    later = [*(ROOT / "data" / "projects").glob("*ed/triage-model/.github/**/*.yml")]
    assert {f.parts[-5] for f in later} == {"hardened", "attested"}
    reached = {name.split("@")[0] for name in inventories.TRIAGE_MODEL["actions"]}
    reached |= {u for f in later for u in re.findall(r"uses: ([\w/-]+)@", f.read_text())}
    held = {f.parent if f.name == "action.yml" else f for f in mirror.rglob("*.yml")}
    assert {h.relative_to(mirror).as_posix() for h in held} <= reached


def test_the_independent_reader_agrees_with_generated_projects(lab, tmp_path) -> None:
    """`yaml.compose` sees every file of a project; its truth was noted while it was written."""
    for seed in range(10):
        for case in inventories.inventories(lab, random.Random(seed)):
            project, mirror = case.args
            if case.expected is None or case.name == "triage-model":
                continue
            text = [f.read_text() for root in (project, mirror) for f in root.rglob("*.y*ml")]
            pairs = [pair for t in text for pair in _pairs(yaml.compose(t))]
            uses = {value.value for key, value in pairs if key.value == "uses"}
            named = {u for u in uses if not u.startswith("./")}
            assert named == case.expected["actions"], case.name


def _pairs(node: Any) -> list[Any]:
    if isinstance(node, yaml.SequenceNode):
        return [pair for item in node.value for pair in _pairs(item)]
    if isinstance(node, yaml.MappingNode):
        return [*node.value, *[pair for _, value in node.value for pair in _pairs(value)]]
    return []


# 1.6 -------------------------------------------------------------------------------------------


def test_best_is_the_best_by_plain_enumeration(lab) -> None:
    for seed in range(5):
        for case in budgets.budgets(lab, random.Random(seed)):
            (profile,) = case.args
            controls = profile["controls"][:9]  # 512 subsets
            small = {**profile, "controls": controls}
            values = []
            sizes = range(len(controls) + 1)
            for chosen in chain.from_iterable(combinations(controls, n) for n in sizes):
                if sum(c["cost"] for c in chosen) <= profile["budget"]:
                    left = budgets.open_threats(small, {c["id"] for c in chosen})
                    values.append(sum(t["loss"] for t in profile["threats"] if t["id"] not in left))
            assert budgets.best(small) == max(values)


def test_mixed_profiles_are_worth_choosing_for(lab) -> None:
    """Some control helps and the budget does not buy everything; a third leaves something open."""
    open_ones = 0
    for seed in range(50):
        for case in budgets.budgets(lab, random.Random(seed)):
            if "mixed" in case.name:
                (profile,) = case.args
                top = budgets.best(profile)
                assert top > 0
                assert len(profile["controls"]) == 12
                open_ones += top < sum(t["loss"] for t in profile["threats"])
    assert open_ones == 100


def test_a_poor_choice_is_told_which_of_the_four_it_is(lab, solutions) -> None:
    case = next(iter(budgets.budgets(lab, random.Random(1))))
    (profile,) = case.args
    everything = {"controls": {c["id"] for c in profile["controls"]}, "residual": set()}
    nothing = {"controls": set(), "residual": set()}
    honest = {"controls": set(), "residual": {t["id"] for t in profile["threats"]}}
    gloomy = {**solutions["1.6"](profile), "residual": honest["residual"]}
    for answer, said in (
        (everything, "the budget is"),
        (nothing, "residual does not say so"),
        (gloomy, "calls it open"),
        (honest, "the best choice is worth"),
    ):
        report = checks.examine("1.6", lambda p, a=answer: a, world=lab, seed=1, cases=lambda world, rng: [case])
        assert said in report.outcomes[0].message


# The kit's manifest ------------------------------------------------------------------------------


def test_the_kit_is_as_its_manifest_says() -> None:
    text = (ROOT / "data" / checksums.NAME).read_text()
    differences = checksums.compare(ROOT / "data", text)
    assert not differences, f"run python -m chainlab.course.authoring.checksums\n{differences}"
    assert checksums.build(ROOT / "data") == text


def test_sha256sum_reads_the_manifest() -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", checksums.NAME],
        cwd=ROOT / "data",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


ZEROS = "0" * 64


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    (tmp_path / ".github").mkdir()
    for path, content in {"a.txt": "a", "b c.txt": "", ".github/x.yml": "on: push"}.items():
        (tmp_path / path).write_text(content)
    return tmp_path


def test_changed_missing_and_extra_files_are_told_apart(kit: Path) -> None:
    text = checksums.build(kit)
    (kit / checksums.NAME).write_text(text)
    assert not checksums.compare(kit, text)
    (kit / "a.txt").write_text("b")
    (kit / "b c.txt").unlink()
    (kit / ".github" / "y.yml").touch()
    assert checksums.compare(kit, text) == checksums.Differences(
        frozenset({"a.txt"}), frozenset({"b c.txt"}), frozenset({".github/y.yml"})
    )


@pytest.mark.parametrize(
    "line",
    [
        "no digest",
        f"{'0' * 63}  short",
        f"{ZEROS} one-space",
        f"{ZEROS}  ../outside",
        f"{ZEROS}  /etc/passwd",
        f"{ZEROS}  ",
        f"{'G' * 64}  letters",
        f"{ZEROS}  a//b",
        f"{ZEROS}  twice\n{ZEROS}  twice",
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_not_read(line: str) -> None:
    with pytest.raises(MalformedInput):
        checksums.parse(line + "\n")


def test_a_link_cannot_be_listed(kit: Path) -> None:
    (kit / "link").symlink_to(kit / "a.txt")
    with pytest.raises(MalformedInput, match="link"):
        checksums.build(kit)


def test_building_twice_gives_the_same_text(kit: Path) -> None:
    assert checksums.build(kit) == checksums.build(kit)
    assert list(checksums.parse(checksums.build(kit))) == [".github/x.yml", "a.txt", "b c.txt"]


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
    owners = {name.split("/")[0] for name in inventories.TRIAGE_MODEL["actions"]}
    assert owners == {"actions", "pypa", "acme", "northwind-ml"}
