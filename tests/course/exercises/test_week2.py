"""Week 2: its models are the platform's, its cases bite, and its score can be told apart."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from sigstore.errors import VerificationError
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy
from solved_labs import SolvedLab

from chainlab.ci.runs.rights import EVENTS, Origin, effective_permissions
from chainlab.ci.runs.run_record import JobRun, StepRecord
from chainlab.course.cases import Miss
from chainlab.course.exercises.fixtures import attacks, described_runs, mirrors, workflow_variants
from chainlab.course.exercises.week2 import (
    ex2_injection,
    ex4_permissions,
    ex5_cache_scopes,
    ex6_trusted_publisher,
    ex8_review,
)
from chainlab.course.learning import checks
from chainlab.errors import Unavailable
from chainlab.trust.client import workflow_claims

ROOT = Path(__file__).parents[3]
PROJECTS = ROOT / "data" / "projects"
UNIT = "02_hardening"


# 2.1 and 2.5 agree with the CI host's table -------------------------------------------------------


def test_the_run_that_the_lab_prints_is_answered_as_printed(solved: SolvedLab) -> None:
    assert solved.answer("2.1")(solved.space["run"]) == {
        "label/size": {"HUB_TOKEN": described_runs.REACH},
        "label/label": {"HUB_TOKEN": described_runs.GIVEN},
    }


@pytest.mark.parametrize(
    ("event", "head"),
    [
        *((event, "same repository") for event in EVENTS),
        *((e, "fork") for e in EVENTS if "pull" in e),
    ],
)
def test_secrets_token_and_identity_exist_where_the_hosts_table_says(event: str, head: str, solved: SolvedLab) -> None:
    granted = effective_permissions(Origin(event, fork=head == "fork"))
    step = {"id": "s", "uses": "acme/x@v1", "with": {"a": "${{ secrets.A }}"}}
    job = {"permissions": {"contents": "write", "id-token": "write"}, "steps": [step]}
    run: dict[str, Any] = {"event": event, "head": head, "default_token": "read", "secrets": ["A"]}
    run |= {"environments": {}, "workflow": {"jobs": {"j": job}}}
    expected = ["A"] * granted.secrets + ["GITHUB_TOKEN"] * (granted.cap == "write")
    expected += ["OIDC"] * granted.identity
    assert sorted(solved.answer("2.1")(run)["j/s"]) == sorted(expected)


@pytest.mark.parametrize(
    ("rule", "model"), [("before-2026-06-26", ex5_cache_scopes.BEFORE), ("current", ex5_cache_scopes.CURRENT)]
)
@pytest.mark.parametrize("event", EVENTS)
def test_cache_scopes_are_those_of_the_hosts_table(event: str, rule: str, model: str) -> None:
    ref = "refs/pull/7/merge" if event == "pull_request" else "refs/heads/main"
    for place in {ref, ref if event != "push" else "refs/tags/v1"}:
        granted = effective_permissions(Origin(event, ref=place), rule)
        job = {"event": event, "ref": place}
        scope = ex5_cache_scopes._write_scope(job, pull=7)
        assert granted.cache_write == (scope if ex5_cache_scopes._may_write(job, scope, model) else None)
        assert granted.cache_read == tuple(dict.fromkeys([scope, ex5_cache_scopes.DEFAULT]))


def test_an_entry_never_changes_and_a_scope_is_searched_before_the_next() -> None:
    store, main, pull = ex5_cache_scopes.Store(), "refs/heads/main", "refs/pull/1/merge"
    assert store.save(main, "pip-1", ex5_cache_scopes.CacheRow(1))
    assert not store.save(main, "pip-1", ex5_cache_scopes.CacheRow(2, poison=True))
    assert store.save(pull, "pip-0", ex5_cache_scopes.CacheRow(0))
    assert store.restore([pull, main], "pip-1", []) == ex5_cache_scopes.CacheRow(1)
    assert store.restore([pull, main], "pip-1", ["pip-"]) == ex5_cache_scopes.CacheRow(0)  # own scope first
    assert store.restore([main], "pip-2", ["pip-"]) == ex5_cache_scopes.CacheRow(1)
    assert store.restore([main], "pip", []) == ex5_cache_scopes.CacheRow(1)  # a key is a prefix too
    assert store.restore([pull], "other", []) is None


# 2.2 the cases bite -------------------------------------------------------------------------------


def test_every_hostile_case_runs_its_payload_in_the_unrepaired_step(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[dict[str, Any], list[Any]]] = []
    monkeypatch.setattr(ex2_injection, "_prints_unchanged", lambda step, cases, scratch: tried.append((step, cases)))
    for seed in range(5):
        list(ex2_injection.cases(lab, random.Random(seed)))
    hostile = 0
    for step, cases in tried:
        payloads = [values for values, _ in cases if ex2_injection.MARKER in str(values)]
        ran = [ex2_injection.play(step, values, lab.path).ran for values in payloads]
        hostile += bool(payloads)
        assert any(ran) or not payloads, step
        benign = [(v, output) for v, output in cases if ex2_injection.MARKER not in str(v)]
        if benign and "'" not in str(benign[0][0]):  # honest words were printed before the repair, too
            assert ex2_injection.play(step, benign[0][0], lab.path).output == benign[0][1], step
    assert hostile == 5 * 10


def test_a_script_that_hangs_is_ended(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ex2_injection, "LONGEST", 0.2)
    assert ex2_injection.play({"run": "sleep 5"}, {}, lab.path).status == 124


# 2.3 the mirror is real git -----------------------------------------------------------------------


def test_an_annotated_tag_is_an_object_and_a_forks_commit_is_in_no_branch(tmp_path: Path) -> None:
    actions = mirrors.Actions(tmp_path, random.Random(3))
    name, refs = actions.add()

    def git(*words: str) -> str:
        words = ("git", "--git-dir", str(actions.folder / f"{name}.git"), *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    listed = git("ls-remote", str(actions.folder / f"{name}.git")).splitlines()
    remote = {ref: commit for commit, ref in (line.split("\t") for line in listed)}
    assert remote["refs/tags/v2.1.0^{}"] == refs["v2.1.0"] == refs["v2"]
    assert remote["refs/tags/v2.1.0"] != refs["v2.1.0"]
    assert remote["refs/tags/v1"] == refs["v1"]
    assert remote["refs/heads/main"] == refs["main"]
    assert git("cat-file", "-t", refs["fork"]) == "commit"
    assert not git("for-each-ref", "--contains", refs["fork"], "refs/heads", "refs/tags")
    git("fsck", "--strict")


# 2.4 --------------------------------------------------------------------------------------------


def test_a_poor_grant_is_told_what_it_lacks_or_has_too_much(lab: Any, solved: SolvedLab) -> None:
    case = [*ex4_permissions.cases(lab, random.Random("2.4/1"))][1]  # a job that pushes a tag
    accept = case.accept
    assert accept
    least = solved.answer("2.4")(*case.args)
    assert least == {"tag": {"contents": "write"}}
    for answer, reason in (
        ({"tag": {}}, "was refused, it needs contents: read"),
        ({"tag": {"contents": "read"}}, "was refused, it needs contents: write"),
        ({"tag": {"contents": "write", "packages": "read"}}, "passes with packages: none"),
        ({"tag": "write-all"}, "and has write"),
        ({"tag": {"content": "write"}}, "no such scope"),
    ):
        verdict = accept(answer)
        assert isinstance(verdict, Miss)
        assert reason in verdict.reason


def test_every_kind_of_step_occurs_somewhere(lab: Any) -> None:
    seen = {
        str(step.get("run") or step["uses"]).split("@")[0].split(" ")[0]
        for seed in range(20)
        for case in ex4_permissions.cases(lab, random.Random(seed))
        for steps in case.args[0].values()
        for step in steps
    }
    assert {"actions/checkout", "pypa/gh-action-pypi-publish", "docker", "gh", "git"} <= seen


# 2.6 ------------------------------------------------------------------------------------------


def test_mallorys_bundle_is_whole_under_her_root_and_nothing_under_ours(lab: Any, tmp_path: Path) -> None:
    """A clumsy forgery would be refused for another reason than its root."""
    file, claims = b"a wheel", workflow_claims("acme/triage-model", "release.yml", "refs/tags/v1.0.0")
    good = ex6_trusted_publisher._FileSigner(lab.trust).job(file, claims)
    bundle, hers = ex6_trusted_publisher.impostor(tmp_path, file, claims, good)
    everybody = policy.OIDCIssuerV2(lab.trust.ci_issuer)
    root = type(lab.trust.config.trusted_root)
    inner = type(lab.trust.config.trusted_root._inner)
    Verifier(trusted_root=root(inner.from_json(hers))).verify_artifact(file, Bundle.from_json(bundle), everybody)
    with pytest.raises(VerificationError):
        Verifier(trusted_root=lab.trust.config.trusted_root).verify_artifact(file, Bundle.from_json(bundle), everybody)


# 2.8 --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sets() -> list[workflow_variants.Variant]:
    return workflow_variants.variants(random.Random(5))[0]


def test_every_control_has_mutants_and_every_variant_is_another_set(sets: list[workflow_variants.Variant]) -> None:
    counted = {c: sum(v.control == c for v in sets) for c in ex8_review.CONTROLS}
    assert min(counted.values()) >= 2
    assert sum(counted.values()) + sum(not v.control for v in sets) == len(sets)
    assert len({tuple(v.texts.items()) for v in sets}) == len(sets)
    assert len({v.name for v in sets}) == len(sets)


def test_every_variant_is_a_workflow_that_the_host_reads(sets: list[workflow_variants.Variant]) -> None:
    from chainlab.ci.workflows.workflow import Workflow

    for variant in sets:
        for path, text in variant.texts.items():
            assert isinstance(yaml.safe_load(text), dict)
            assert Workflow.parse(path, text), variant.name


def test_benign_changes_are_the_same_program_or_a_harmless_one(sets: list[workflow_variants.Variant]) -> None:
    """Those that only change how the file is written parse to the same documents."""
    base = {path: yaml.safe_load(text) for path, text in sets[0].texts.items()}
    for name in ("quoted strings", "keys in another order", "long lines folded", "comments"):
        (variant,) = [v for v in sets if v.name == name]
        assert {p: _plain(yaml.safe_load(t)) for p, t in variant.texts.items()} == {
            p: _plain(d) for p, d in base.items()
        }, name


def _plain(document: dict[Any, Any]) -> dict[Any, Any]:
    """With `on` under its own name, and quoted scalars as text."""
    return {("on" if k is True else k): yaml.safe_dump(v) for k, v in document.items()}


def test_naming_a_control_that_holds_is_not_the_right_reason(sets: list[workflow_variants.Variant]) -> None:
    (mutant,) = [v for v in sets if v.name == "unpinned: a branch of the publisher"]
    assert mutant.right(["unpinned"])
    assert not mutant.right(["unpinned", "secrets"])
    assert not mutant.right([])
    assert not sets[0].right(["unpinned"])
    assert sets[0].right([])


def test_what_is_missed_says_what_was_expected_what_was_named_and_what_holds(
    sets: list[workflow_variants.Variant],
) -> None:
    (mutant,) = [v for v in sets if v.name == "unpinned: a branch of the publisher"]
    expected = "mutant 'unpinned: a branch of the publisher': expected unpinned, your review"
    for verdict, words in {
        (): "named nothing",
        ("secrets",): "named secrets; secrets holds",
        ("hashes", "secrets"): "named hashes, secrets; hashes, secrets hold",
    }.items():
        got = ex8_review.MARKING.describe(mutant, {mutant.name: list(verdict)})
        assert got == f"{expected} {words}"
    crashed = ex8_review.MARKING.describe(mutant, {mutant.name: "raised KeyError: 'jobs'"})
    assert crashed == f"{expected} raised KeyError: 'jobs'"


def test_a_partial_review_reaches_some_heights_and_not_others(lab: Any, solved: SolvedLab) -> None:
    """Thresholds give partial credit: 60 and 80 per cent reached, 95 missed."""

    def partial(workflows: dict[str, str], resolve: Any) -> list[str]:
        controls = solved.space["review"](workflows, resolve)
        return [c for c in controls if c not in ("runner", "commands")]

    report = checks.examine("2.8", ex8_review.bench(partial), lab=lab, seed=1)
    reached = {o.case.name: o.verdict for o in report.outcomes if "score" in o.case.name}
    assert list(reached.values()) == ["right", "right", "wrong"]
    assert 0.7 < report.score < 1


def test_the_solution_names_the_weak_projects_faults_and_none_of_the_hardened(lab: Any, solved: SolvedLab) -> None:
    resolve = attacks.resolver(lab)
    controls = {}
    for kind in ("triage-model", "hardened/triage-model"):
        folder = PROJECTS / kind / ".github" / "workflows"
        texts = {p.name: p.read_text() for p in folder.glob("*.yml")}
        controls[kind] = set(solved.space["review"](texts, resolve))
    assert controls["hardened/triage-model"] == set()
    assert {"unpinned", "permissions", "injection", "pull-checkout"} <= controls["triage-model"]
    assert len(controls["triage-model"]) >= 10


# Attack again -------------------------------------------------------------------------------------


def test_the_kits_hardened_workflows_stop_every_attack_as_the_lab_prints(lab: Any, tmp_path: Path) -> None:
    """The weak ones lose each in the stored solution, where a learner's copy is replayed first."""
    lab.ci.sandbox.require()
    folder = tmp_path / "triage-model"
    shutil.copytree(PROJECTS / "triage-model", folder, ignore=shutil.ignore_patterns(".github", "__pycache__"))
    shutil.copytree(PROJECTS / "hardened" / "triage-model", folder, dirs_exist_ok=True)
    before = lab.ci.platform.mirror.resolve("acme/changed-files@v3").commit
    report = attacks.replay(lab, folder)
    text = (ROOT / "lessons" / "02_hardening_lab.py").read_text(encoding="utf-8")
    assert [f"#     {row}" for row in report.rows] == re.findall(r"(?m)^#      {0,2}\S.* (?:stopped|works) .*$", text)
    assert lab.ci.platform.mirror.resolve("acme/changed-files@v3").commit == before


def test_a_run_that_broke_says_its_job_its_step_and_the_end_of_its_log() -> None:
    step = StepRecord("Build", "failure", 1.0, "one\ntwo\n\nthree\npython: No module named build\n")
    run = SimpleNamespace(
        workflow=".github/workflows/release.yml",
        result="failure",
        jobs={"build": JobRun("build", "failure", steps=(step,)), "notes": JobRun("notes", "success")},
    )
    assert str(attacks._honest_result("  a release", [run])).splitlines()[1:] == [  # type: ignore[list-item]
        "      build: failure, in the step 'Build'",
        "        | two",
        "        | three",
        "        | python: No module named build",
    ]


def test_without_a_sandbox_no_payload_runs_and_the_report_says_so(tmp_path: Path) -> None:
    def require() -> None:
        raise Unavailable("attack payloads do not run on this machine", why="no namespaces")

    world = SimpleNamespace(ci=SimpleNamespace(sandbox=SimpleNamespace(require=require)))
    report = attacks.replay(world, tmp_path)  # this world has nothing else to touch
    assert not {row.result for row in report.rows} & {"stopped", "works"}
    assert "do not run on this machine (no namespaces)" in repr(report)


# The template ------------------------------------------------------------------------------------


def test_the_guide_asks_for_what_the_rubric_marks() -> None:
    text = (ROOT / "templates" / "design_guide.md").read_text()
    sections = re.findall(r"(?m)^## \d+\. (.+)$", text)
    assert len(sections) == 12
    assert {"Threat → control → test → evidence", "Rejected options", "Failure modes"} <= set(sections)
    assert {"Rotation", "Cost", "Residual risk and open questions"} <= set(sections)
    for table in re.findall(r"(?m)^((?:\|.*\|\n)+)", text):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
