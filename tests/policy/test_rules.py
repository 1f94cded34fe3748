"""The rules alone, by tables of facts: what each wants to see, and that nothing missing or of another type passes.

The same tables run under Open Policy Agent itself where its binding is installed: the rules mean the same there.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from gate_stack import POLICIES

from chainlab.policy.policy import Policy
from chainlab.policy.rego import rego_process

POLICY = Policy.load(POLICIES, "release")
NOW = 1_795_000_000
DAY = 86_400
MANIFEST, WHEEL, MODEL, LOCK = (f"sha256:{c * 64}" for c in "abcd")
COMMIT = "4be5f0c1" * 5
HTTP = "northwind-http@3.2.5"
PIN = "a93c1b42" * 5
SOURCE = POLICY.expected["source"]["repository"]
REF = "refs/tags/v1.4.0"
WORKFLOW = f"{POLICY.expected['signers']['workflow']['identity']}@{REF}"
GONE = object()
Facts = dict[str, Any]


def provenance(job: str, *about: str) -> Facts:
    """The facts of one job's provenance."""
    return {
        "digest": f"sha256:{job}",
        "verified": True,
        "kind": "provenance",
        "signer": POLICY.expected["signers"]["host"]["identity"],
        "about": list(about),
        "job": job,
        "fork": False,
        "run": f"{SOURCE}/actions/runs/17/attempts/1",
        "result": "success",
        "builder": POLICY.expected["builder"]["id"],
        "build_type": POLICY.expected["builder"]["build_type"],
        "repository": SOURCE,
        "ref": REF,
        "commit": COMMIT,
        "workflow_repository": SOURCE,
        "workflow_ref": REF,
        "workflow_path": ".github/workflows/release.yml",
        "unknown_parameters": [],
        "actions": [{"name": "actions/checkout", "ref": PIN, "commit": PIN}],
    }


def signed(kind: str, about: str, **more: Any) -> Facts:
    """The facts of one of the workflow's statements."""
    return {
        "digest": f"sha256:{kind}", "verified": True, "kind": kind, "signer": WORKFLOW, "about": [about],
        "problems": [], "components": {}, "metrics": [], **more,
    }  # fmt: skip


def good() -> Facts:
    """Facts of which no rule refuses anything."""
    names = {
        "triage.onnx": MODEL,
        "triage_model-1.4.0-py3-none-any.whl": WHEEL,
        "requirements.lock": LOCK,
    }
    metrics = [
        {"type": "accuracy", "slice": "test", "value": 0.97, "lower": 0.92, "upper": 0.99},
        {"type": "recall", "slice": "test, malignant", "value": 0.95, "lower": 0.84, "upper": 0.98},
    ]
    return {
        "now": NOW,
        "release": {
            "reference": f"oci/acme/triage-model/release@{MANIFEST}",
            "digest": MANIFEST,
            "artifact_type": POLICY.expected["release"]["artifact_type"],
            "annotations": {
                "org.opencontainers.image.revision": COMMIT,
                "org.opencontainers.image.version": "v1.4.0",
                "org.opencontainers.image.source": SOURCE,
            },
            "quarantined": None,
            "intact": True,
            "problems": [],
            "layers": [{"name": n, "digest": d, "intact": True} for n, d in names.items()],
        },
        "evidence": [
            provenance("source", LOCK),
            provenance("build", WHEEL),
            provenance("train", MODEL),
            provenance("package", MANIFEST, WHEEL, MODEL, LOCK),
            signed("SBOM", WHEEL, components={HTTP: ["f" * 64]}),
            signed("ML-BOM", MODEL, metrics=metrics),
            signed("model signature", MODEL),
            {"verified": False, "why": "signed by mallory", "kind": "nothing"},
        ],
        "packages": [
            {
                "id": HTTP, "name": "northwind-http",
                "sha256": "f" * 64, "jobs": ["build", "train"], "uploaded": NOW - 30 * DAY, "upstream": True,
                "owner": None,
            }
        ],
        "unserved": [],
        "vulnerabilities": {
            "scanned": True, "components": 3, "advisories": 12,
            "found": [
                {"id": "ACME-1", "component": "a 1", "exploited": False, "status": "open", "why": "nobody", "by": ""},
                {
                    "id": "ACME-2", "component": "b 1", "exploited": True, "status": "not_affected",
                    "why": "not reached", "by": "security@acme.example",
                },
            ],
        },
        "models": [
            {
                "name": "triage.onnx", "digest": MODEL, "format": "ONNX", "code_on_load": "no", "passed": True,
                "why": "a graph",
            }
        ],
    }  # fmt: skip


@cache
def edited(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdigit() else step for step in path.split("/"))


def change(path: str, value: Any = GONE, *, also: dict[str, Any] | None = None) -> Callable[[], tuple[Facts, Facts]]:
    """The good facts with something else, or nothing, at a path; those below ``expected`` are the policy's."""

    def changed() -> tuple[Facts, Facts]:
        whole = {**good(), "expected": copy.deepcopy(dict(POLICY.expected))}
        for where, what in {path: value, **(also or {})}.items():
            *steps, last = edited(where)
            target: Any = whole
            for step in steps:
                target = target[step]
            if what is GONE:
                del target[last]
            elif isinstance(last, int) and last == len(target):
                target.append(what)
            else:
                target[last] = what
        expected = whole.pop("expected")
        return whole, expected

    return changed


def exception(**changes: Any) -> Facts:
    """An exception that counts for the exploited vulnerability, with changes."""
    entry = {
        "rule": "vulnerabilities", "digest": WHEEL, "owner": "security@acme.example", "reason": "not reachable",
        "expires": NOW + 10 * DAY, "about": "ACME-2",
    }  # fmt: skip
    return {name: value for name, value in {**entry, **changes}.items() if value is not GONE}


def excepted(**changes: Any) -> Callable[[], tuple[Facts, Facts]]:
    """Facts with an exploited vulnerability, and one exception."""
    entry = exception(**changes)
    return change("vulnerabilities/found/1/status", "open", also={"expected/exceptions": [entry]})


UNREAD = {"id": "ACME-7", "where": "ACME-7.json", "why": "ACME-7.json: modified: missing"}


def unread(
    *records: Facts, excused: Any = (), scanned: bool = False, exceptions: Any = ()
) -> Callable[[], tuple[Facts, Facts]]:
    """Facts of a scan for which some advisories could not be read, and the ids that the policy excuses."""
    return change(
        "vulnerabilities/unread",
        list(records),
        also={
            "vulnerabilities/scanned": scanned,
            "expected/vulnerabilities/excused_records": list(excused) if isinstance(excused, tuple) else excused,
            "expected/exceptions": list(exceptions),
        },
    )


V = {"vulnerabilities"}
EVERY = set(POLICY.rules)
OLD_RUN = f"{SOURCE}/actions/runs/9/attempts/1"
Row = tuple[Callable[[], tuple[Facts, Facts]], set[str]]
TABLE: dict[str, Row] = {  # case: facts, and the rules that refuse
    "nothing is wrong": (change("now", NOW), set()),
    # intact
    "a layer's bytes are others": (change("release/layers/0/intact", False), {"intact"}),
    "evidence cannot be read": (change("release/problems", ["evidence is corrupted"]), {"intact"}),
    "in quarantine": (change("release/quarantined", "stolen token"), {"intact"}),
    "another kind of artifact": (change("release/artifact_type", "application/vnd.x.v1+json"), {"intact"}),
    # identity and source
    "the manifest names a fork": (
        change("release/annotations/org.opencontainers.image.source", f"{SOURCE}-fork".replace("acme", "mallory"))
        , {"identity"}),
    "the source with git+": (change("release/annotations/org.opencontainers.image.source", f"git+{SOURCE}"), set()),
    "another revision": (
        change("release/annotations/org.opencontainers.image.revision", "0" * 40),
        {"identity", "provenance", "pins", "cooldown"}),
    "another version": (
        change("release/annotations/org.opencontainers.image.version", "v1.4.1"),
        {"identity", "provenance", "pins", "cooldown", "sbom", "model", "metrics"}),
    "the SBOM of another tag's workflow": (
        change("evidence/4/signer", WORKFLOW.replace("v1.4.0", "v1.3.0")), {"identity", "sbom"}),
    "no model signature": (change("evidence/6/verified", False), {"identity", "model"}),
    "verified, as text": (change("evidence/6/verified", "true"), {"identity", "model"}),
    # provenance
    "no provenance of the build": (change("evidence/1"), {"provenance"}),
    "no provenance of the source": (change("evidence/0"), {"provenance"}),
    "another builder": (change("evidence/1/builder", "https://mallory.example/builder"), {"provenance"}),
    "another build type": (change("evidence/1/build_type", "https://mallory.example/type"), {"provenance"}),
    "built in another run": (change("evidence/1/run", OLD_RUN), {"provenance"}),
    "built in two runs, one of them this": (
        change("evidence/8", {**provenance("build", WHEEL), "run": OLD_RUN}), set()),
    "the model from another job": (change("evidence/2/job", "test"), {"provenance"}),
    "from a branch": (change("evidence/1/ref", "refs/heads/main"), {"provenance"}),
    "from a fork": (change("evidence/1/fork", True), {"provenance"}),
    "by a job that failed": (change("evidence/1/result", "failure"), {"provenance"}),
    "by a job that was cut off": (change("evidence/2/result", "cancelled"), {"provenance"}),
    "packed by a job that failed": (
        change("evidence/3/result", "failure"), {"identity", "provenance", "pins", "cooldown"}),
    "a failed job beside the good ones": (
        change("evidence/8", {**provenance("build", WHEEL), "result": "failure"}), set()),
    "another workflow file": (change("evidence/1/workflow_path", ".github/workflows/ci.yml"), {"provenance"}),
    "an unknown parameter": (change("evidence/1/unknown_parameters", ["inputs.debug"]), {"provenance"}),
    "a layer that nobody made": (change("release/layers/3", {"name": "x.pkl", "digest": f"sha256:{'e' * 64}",
        "intact": True}), {"provenance"}),
    # pins
    "an action by its tag": (change("evidence/1/actions/0/ref", "v4"), {"pins"}),
    "an action by another commit": (change("evidence/1/actions/0/ref", "b" * 40), {"pins"}),
    "no action at all": (change("evidence/1/actions", []), set()),
    # vulnerabilities
    "exploited and open": (change("vulnerabilities/found/1/status", "open"), V),
    "exploited, and the VEX is old": (change("vulnerabilities/found/1/status", "stale"), V),
    "exploited and fixed": (change("vulnerabilities/found/1/status", "fixed"), set()),
    "exploited, and excused by the workflow": (change("vulnerabilities/found/1/by", WORKFLOW), V),
    "exploited, and excused by the workflow without its tag": (
        change("vulnerabilities/found/1/by", POLICY.expected["signers"]["workflow"]["identity"]), V),
    "not exploited, and excused by the workflow": (
        change("vulnerabilities/found/0/status", "not_affected", also={"vulnerabilities/found/0/by": WORKFLOW}), set()),
    "exploited, and the policy says nobody may excuse it": (change("expected/vulnerabilities", GONE), V),
    "not scanned": (change("vulnerabilities", {"scanned": False, "why": "no advisories"}), V),
    "some components are not compared": (change("vulnerabilities/uncompared", 2), set()),
    "an advisory cannot be read": (unread(UNREAD), V),
    "an advisory cannot be read, and is excused": (unread(UNREAD, excused=["ACME-7"]), set()),
    "two advisories cannot be read, and one is excused": (
        unread(UNREAD, {**UNREAD, "id": "ACME-8"}, excused=["ACME-7"]), V),
    "an advisory cannot be read, and another is excused": (unread(UNREAD, excused=["ACME-70"]), V),
    "an advisory cannot be read, and a text excuses it": (unread(UNREAD, excused="ACME-7"), V),
    "an advisory cannot be read, and the scan calls itself whole": (unread(UNREAD, scanned=True), V),
    "an advisory without an id cannot be read": (unread({**UNREAD, "id": None}, excused=["ACME-7", "", None]), V),
    "an advisory cannot be read, with an exception": (
        unread(UNREAD, exceptions=[exception(about="ACME-7")]), set()),
    "an advisory cannot be read, and nothing was scanned": (
        change("vulnerabilities", {"scanned": False, "unread": [UNREAD]},
               also={"expected/vulnerabilities/excused_records": ["ACME-7"]}), V),
    "no advisory": (change("vulnerabilities/advisories", 0), V),
    "no component": (change("vulnerabilities/components", 0), V),
    "nothing found": (change("vulnerabilities/found", []), set()),
    # sbom
    "not valid": (change("evidence/4/problems", ["components: missing"]), {"sbom"}),
    "a package is not listed": (change("evidence/4/components", {}), {"sbom"}),
    "listed at another version": (change("evidence/4/components", {"northwind-http@3.2.4": []}), {"sbom"}),
    "listed with other bytes": (change(f"evidence/4/components/{HTTP}", ["e" * 64]), {"sbom"}),
    "listed without a hash": (change(f"evidence/4/components/{HTTP}", []), set()),
    "listed in the ML-BOM": (
        change("evidence/4/components", {}, also={"evidence/5/components": good()["evidence"][4]["components"]}),
        set()),
    "nothing was served": (change("packages", []), {"sbom"}),
    "prod would install more": (change("unserved", ["northwind-queue 1.0"]), {"sbom"}),
    "a tool is not listed": (change("packages/1", {**good()["packages"][0], "name": "setuptools"}), set()),
    # model
    "a pickle": (change("models/0/format", "pickle"), {"model"}),
    "code on load, perhaps": (change("models/0/code_on_load", "partly"), {"model"}),
    "the scan found something": (change("models/0/passed", False), {"model"}),
    "no model was looked at": (change("models", []), {"model"}),
    # metrics
    "below the threshold": (change("evidence/5/metrics/0/value", 0.949), {"metrics"}),
    "exactly the threshold": (change("evidence/5/metrics/0/value", 0.95), set()),
    "the interval reaches too far down": (change("evidence/5/metrics/1/lower", 0.79), {"metrics"}),
    "no interval": (change("evidence/5/metrics/1/lower", None), {"metrics"}),
    "of other cases": (change("evidence/5/metrics/1/slice", "train"), {"metrics"}),
    "stated twice, once too low": (
        change("evidence/5/metrics/2", {"type": "accuracy", "slice": "test", "value": 0.5}), {"metrics"}),
    # cooldown
    "uploaded yesterday": (change("packages/0/uploaded", NOW - DAY), {"cooldown"}),
    "uploaded in the future": (change("packages/0/uploaded", NOW + DAY), {"cooldown"}),
    "of unknown age": (change("packages/0/uploaded", None), {"cooldown"}),
    "our own, uploaded today": (
        change("packages/0/owner", "acme", also={"packages/0/upstream": False, "packages/0/uploaded": NOW}), set()),
    "called like our own, of another owner": (
        change("packages/0/name", "acme-cells", also={
            "packages/0/upstream": False, "packages/0/uploaded": NOW, "packages/0/owner": "mallory"}), {"cooldown"}),
    "of our name, and upstream's": (
        change("packages/0/owner", "acme", also={"packages/0/uploaded": NOW}), {"cooldown"}),
    "ours, and nobody owns it": (
        change("packages/0/upstream", False, also={"packages/0/uploaded": NOW, "packages/0/owner": None}),
        {"cooldown"}),
    # exceptions
    "an exception": (excepted(), set()),
    "for every finding of the rule": (excepted(about=GONE), set()),
    "for another finding": (excepted(about="ACME-9"), V),
    "for this finding, and about nothing": (excepted(about="nothing"), V),
    "about a list": (excepted(about=["ACME-9"]), V),
    "about a list with this finding": (excepted(about=["ACME-2"]), V),
    "about a number": (excepted(about=9), V),
    "about yes": (excepted(about=True), V),
    "about no": (excepted(about=False), V),
    "about null": (excepted(about=None), V),
    "about a table": (excepted(about={"id": "ACME-9"}), V),
    "about an empty text": (excepted(about=""), V),
    "about, misspelt": (excepted(about=GONE, abuot="ACME-9"), V),
    "with a field that nobody knows": (excepted(severity="low"), V),
    "its owner as a list": (excepted(owner=["security@acme.example"]), V),
    "its digests as a list": (excepted(digest=[WHEEL]), V),
    "its rules as a list": (excepted(rule=["vulnerabilities"]), V),
    "of nobody": (excepted(owner=GONE), V),
    "without a reason": (excepted(reason=""), V),
    "for a name": (excepted(digest="triage-model"), V),
    "for other bytes": (excepted(digest=f"sha256:{'0' * 64}"), V),
    "expired": (excepted(expires=NOW - 1), V),
    "without an end": (excepted(expires=GONE), V),
    "for ten years": (excepted(expires=NOW + 3650 * DAY), V),
    "its end as text": (excepted(expires="2099-01-01"), V),
    "for another rule": (excepted(rule="metrics"), V),
    "for a rule that can have none": (
        change("evidence/6", GONE, also={"expected/exceptions": [exception(rule="identity", about=GONE)]}),
        {"identity", "model"}),
    "no exception is one": (change("expected/exceptions", [5, None, "all"]), set()),
    "no time": (change("now"), {"cooldown", "exceptions"}),
    # facts of another form
    "nothing at all": (lambda: ({}, dict(POLICY.expected)), EVERY),
    "a list": (lambda: ([], dict(POLICY.expected)), EVERY),  # type: ignore[dict-item, return-value]
    "lists and texts": (
        lambda: ({name: [] if isinstance(value, dict) else "x" for name, value in good().items()},
                 dict(POLICY.expected)), EVERY),
}  # fmt: skip
# A fact that a rule needs: gone, or of another type, it refuses.
NEEDED = {
    "intact": ("release/intact", "release/quarantined", "release/problems", "release/layers/1/intact"),
    "identity": ("release/annotations", "evidence/4/about", "evidence/4/signer", "evidence"),
    "provenance": (
        "evidence/1/result",
        "evidence/1/fork",
        "evidence/1/unknown_parameters",
        "evidence/2/about",
        "evidence/3/run",
    ),
    "pins": ("evidence/1/actions", "evidence/1/actions/0/ref", "evidence/1/actions/0/commit"),
    "vulnerabilities": (
        "vulnerabilities/scanned",
        "vulnerabilities/found",
        "vulnerabilities/found/0/exploited",
        "vulnerabilities/found/1/by",
    ),
    "sbom": ("evidence/4/problems", "evidence/4/components", "packages/0/id", "packages/0/jobs", "unserved"),
    "model": ("models", "models/0/format", "models/0/code_on_load", "models/0/passed", "evidence/6/about"),
    "metrics": ("evidence/5/metrics", "evidence/5/metrics/0/value", "evidence/5/kind"),
    "cooldown": ("packages", "packages/0/uploaded", "now"),
    "exceptions": ("now",),
}
ODD: dict[str, Any] = {
    "gone": GONE,
    "null": None,
    "text": "yes",
    "a list": [[]],
    "an object": {"x": 1},
}
# What is no harm: a quarantine or a finding that is not there.
MEANT = {("release/quarantined", "null")}


def odd() -> dict[str, tuple[Callable[[], tuple[Facts, Facts]], str]]:
    rows = {}
    for at, (rule, paths) in enumerate(NEEDED.items()):
        for number, path in enumerate(paths):
            kinds = list(ODD) if number == 0 else [list(ODD)[(at + number) % 5]]
            for kind in kinds:
                if (path, kind) not in MEANT:
                    rows[f"{rule}: {path} is {kind}"] = (change(path, ODD[kind]), rule)
    return rows


def refused(report: Any) -> set[str]:
    """The rules of a report that did not pass; a rule that says nothing did not."""
    found = {r for r in POLICY.rules if report.get(r, {}).get("result") not in ("passed", "excepted")}
    for rule in set(POLICY.rules) - found:
        assert report[rule]["refused"] == [], rule
    return found


BATCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
import rego_process
from regopy import Interpreter

modules, expected, rows = json.load(sys.stdin)
engine = Interpreter()
query = rego_process.load(engine, modules, expected)  # for all rows with this policy
for facts, own in rows:
    try:
        if own == expected:
            answer = rego_process.evaluate(engine, query, facts)
        else:
            other = Interpreter()
            answer = rego_process.evaluate(other, rego_process.load(other, modules, own), facts)
        print(json.dumps(json.loads(str(answer))), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[Facts, Facts]]:
    return {name: row[0]() for name, row in {**TABLE, **odd()}.items()}


@pytest.fixture(scope="module")
def reports(rows: dict[str, tuple[Facts, Facts]]) -> dict[str, Any]:
    """Every row, by regopy in one process apart."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", BATCH, rego_process.__file__.rpartition("/")[0]],
        input=json.dumps([dict(POLICY.modules), dict(POLICY.expected), list(rows.values())]),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: answer.get("expressions", [{}])[0] for name, answer in zip(rows, answers, strict=True)}


@pytest.mark.parametrize("case", TABLE)
def test_each_rule_refuses_what_it_is_for_and_nothing_else(reports: dict[str, Any], case: str) -> None:
    assert refused(reports[case]) == TABLE[case][1], reports[case]


def test_what_is_missing_or_of_another_type_never_passes(reports: dict[str, Any]) -> None:
    passed = [name for name, (_, rule) in odd().items() if rule not in refused(reports[name])]
    assert not passed


def test_every_refusal_says_what_and_how_to_mend_it(reports: dict[str, Any]) -> None:
    said = [entry for case in TABLE for verdict in reports[case].values() for entry in verdict["refused"]]
    assert len(said) > 50
    assert all(e["message"] and e["hint"] and isinstance(e["about"], str) for e in said)


def test_a_void_exception_says_why(reports: dict[str, Any]) -> None:
    for case, why in (
        ("expired", "it has expired"),
        ("of nobody", "it has no owner"),
        ("for a name", "it is for a name, not for a digest"),
        ("for ten years", "it is for too long"),
        ("about a list", "`about` is not a text"),
        ("about an empty text", "`about` is not a text"),
        ("about, misspelt", "it has an unknown field, abuot"),
    ):
        assert f"counts for nothing: {why}" in reports[case]["exceptions"]["note"]
    assert reports["an exception"]["vulnerabilities"]["excused_by"] == ["security@acme.example"]


def test_what_was_not_read_is_said_in_a_yes_too(reports: dict[str, Any]) -> None:
    for case, said in (
        ("some components are not compared", "; 2 components are of ecosystems that are not compared"),
        ("an advisory cannot be read, and is excused", "; 1 advisories cannot be read, and are excused"),
        ("nothing is wrong", "2 findings, none exploited and open"),
    ):
        assert reports[case]["vulnerabilities"]["note"].endswith(said)


@pytest.mark.clients("opa")
def test_open_policy_agent_says_the_same(
    rows: dict[str, tuple[Facts, Facts]],
    reports: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine itself, where `tests/setup/opa.py` could install it."""
    report_file = POLICIES.parents[1] / ".cache" / "opa.json"
    made = json.loads(report_file.read_text()) if report_file.exists() else {"reason": "not set up"}
    if made["reason"]:
        pytest.skip(f"no Open Policy Agent here: {made['reason']}")
    monkeypatch.syspath_prepend(made["folder"])
    import opa_bindings as opa

    engines: dict[str, Any] = {}
    differ = []
    for name, (facts, expected) in rows.items():
        key = json.dumps(expected)
        if key not in engines:
            engines[key] = opa.OpaEngine()
            engines[key].add_data({"expected": expected})
            for module, text in POLICY.modules.items():
                engines[key].add_policy(module, text)
        engine = engines[key]
        report = engine.eval_document("chainlab.gate.report", facts)
        ours = refused(reports[name]) if reports[name] else EVERY
        if refused(report) != ours:
            differ.append((name, sorted(refused(report) ^ ours)))
    assert not differ
