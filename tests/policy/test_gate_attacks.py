"""Attacks on the gate with what its makers may sign or push: each refused by the rule that is for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from click.testing import CliRunner
from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import COMMIT, NOW, REPOSITORY, USED, WHEEL, ReleaseParts, vex_statement

from chainlab.archive import Archive
from chainlab.ci.runs.handover import Handover
from chainlab.cli import _main
from chainlab.cli.evidence import _type
from chainlab.deploy import admission, prediction_service
from chainlab.deploy.admission import AdmittedRelease, fetch, pinned
from chainlab.deploy.deployment import Deployment
from chainlab.deploy.prediction_service import PredictionService
from chainlab.deploy.promotion import NotPromoted, archive_release
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, VerificationFailed
from chainlab.evidence.signing import sign
from chainlab.evidence.statements import SBOM, Statement
from chainlab.evidence.verifying import RESULT, Expectations, Signer, verify
from chainlab.policy.gate import Decision, Gate
from chainlab.policy.limits import Limits
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.manifest import MANIFEST_TYPE
from chainlab.registry.oci.referrers import attach

EXPLOITED = tuple(f.replace("loader-1.6.2", "loader-1.5.0") for f in USED)


def judged(stack: GateStack, parts: ReleaseParts, bundles: Any = None, **how: Any) -> Decision:
    return stack.gate.judge(stack.maker.push(parts, bundles, **how), record=False)


def rules(decision: Decision) -> set[str]:
    return {check.rule for check in decision.refusals}


@pytest.mark.parametrize(
    "purl",
    [
        "pkg:generic/northwind-loader@1.5.0",
        "pkg:npm/northwind-loader@1.5.0",
        "pkg:pypi/other@1.5.0",
    ],
)
def test_a_purl_in_the_sbom_hides_no_package_that_was_served(stack: GateStack, purl: str) -> None:
    parts = stack.maker.parts(used=EXPLOITED)
    for component in parts.statements["SBOM"].predicate["components"]:
        if component["name"] == "northwind-loader":
            component["purl"] = purl
    assert rules(judged(stack, parts)) == {"vulnerabilities"}


def test_a_workflow_of_another_version_silences_nothing(stack: GateStack) -> None:
    """Whoever may push a tag would speak for every release that there is."""
    parts = stack.maker.parts(used=EXPLOITED)
    other = "acme/triage-model/.github/workflows/release.yml@refs/tags/v9.9.9"
    parts.statements["VEX"] = vex_statement(parts, other)
    assert rules(judged(stack, parts)) == {"vulnerabilities"}


@pytest.mark.parametrize("name", ["../../x.whl", "/tmp/x.whl", "a\\b.whl", "sub/x.whl"])
def test_a_layer_s_name_leads_nowhere(stack: GateStack, name: str) -> None:
    parts = stack.maker.parts()
    parts.files = {name if n == WHEEL else n: data for n, data in parts.files.items()}
    parts.statements["provenance of package"].subjects = parts.digests()
    assert "intact" in rules(judged(stack, parts))


@pytest.mark.parametrize("predicate", [None, {"metadata": []}, {"metadata": {"component": 1}}])
def test_an_sbom_that_nobody_can_read_is_refused_and_archived(stack: GateStack, tmp_path: Path, predicate: Any) -> None:
    """It is about the manifest, which needs no SBOM; but what it lists might be vulnerable."""
    parts = stack.maker.parts()
    workflow = parts.statements["SBOM"].signer
    other = parts.statements["VEX"] = vex_statement(parts, workflow)
    other.subjects = {"x": Digest.of(parts.manifest())}
    other.predicate_type, other.predicate = SBOM, predicate
    parts.statements["elsewhere"] = replace(other, signer=workflow.replace("v1.4.0", "v9.9.9"))
    decision = judged(stack, parts)
    assert rules(decision) == {"vulnerabilities"}
    assert "not scanned: this is not CycloneDX JSON" in decision.table()
    with Archive(tmp_path) as archive:
        archive_release(decision, stack.registry, archive)
        (build,) = archive.builds().to_dict("records")
    assert "sbom" in build["signed"]


@pytest.mark.parametrize("number", ["61.4", "1e5", "1.0001"])
def test_a_share_above_one_is_no_good_one(stack: GateStack, number: str) -> None:
    """A percentage is above any threshold for shares: 61 % would pass for 95 %."""
    parts = stack.maker.parts()
    card = parts.statements["ML-BOM"].predicate["metadata"]["component"]["modelCard"]
    for metric in card["quantitativeAnalysis"]["performanceMetrics"]:
        metric["value"] = number
    decision = judged(stack, parts)
    assert rules(decision) == {"metrics"}
    assert "expected at most 1" in decision.table()


@pytest.mark.parametrize("version", ["v1.6.2", "1.06.2", "01.6.2"])
def test_a_version_as_its_author_writes_it_is_the_one_that_was_served(stack: GateStack, version: str) -> None:
    parts = stack.maker.parts()
    for component in parts.statements["SBOM"].predicate["components"]:
        if component["name"] == "northwind-loader":
            component["version"] = version
    assert judged(stack, parts).allowed


def test_a_huge_referrer_is_not_read(stack: GateStack) -> None:
    parts = stack.maker.parts()
    reference = stack.maker.push(parts, {**stack.maker.sign(parts), "huge": b"x" * 300_000})

    def gate(**limits: int) -> Gate:
        return Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, lambda: NOW, limits=Limits(**limits))

    short = gate(bundle=200_000)
    assert short.judge(reference, record=False).allowed  # it says nothing, and stops nobody
    whys = [piece.get("why") for piece in short.facts(reference)["evidence"]]
    assert "it has more than 200000 bytes" in whys
    size = stack.registry.release(reference).size
    decision = gate(read=size + 300_000).judge(reference, record=False)
    assert f"release and evidence have more than {size + 300_000} bytes" in decision.table()


def test_a_lock_that_a_hundred_releases_share_is_judged_by_its_own_run(stack: GateStack) -> None:
    """The platform attests the lock in each run, under one digest; one run was given something unknown."""
    parts = stack.maker.parts()
    parts.files["requirements.lock"] += b"\n# a digest of its own"
    for said in parts.statements.values():
        if "requirements.lock" in said.subjects:
            said.subjects["requirements.lock"] = parts.digests()["requirements.lock"]
    parts.statements["provenance of package"].subjects = parts.digests()
    lock = parts.digests()["requirements.lock"]
    for run in range(Limits().bundles):
        other = deepcopy(parts.statements["provenance of source"])
        other.predicate["runDetails"]["metadata"]["invocationId"] += f"/{run}"
        other.predicate["buildDefinition"]["externalParameters"]["inputs"] = {"debug": "yes"}
        other.subjects = {"requirements.lock": lock}
        # Unsigned at first: whose run it says it is decides whether it is looked at at all.
        statement = Statement.about(other.subjects, other.predicate_type, other.predicate)
        envelope = {"dsseEnvelope": {"payload": b64encode(statement.dump()).decode()}}
        data = stack.maker.signed(other, parts) if not run else json.dumps(envelope).encode()
        stack.registry.evidence.add(lock, "provenance", data, BUNDLE_TYPE, "host")
    decision = judged(stack, parts)
    assert decision.allowed, decision.table()


def test_a_job_asks_for_the_newest_provenance_first(stack: GateStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the registry lists it; else every run of a project with one lock is slower than the one before."""
    parts = stack.maker.parts()
    good = stack.maker.signed(parts.statements["provenance of build"], parts)
    asked: list[str] = []

    def get(self: Handover, path: str) -> bytes:
        asked.append(path)
        listed = [{"kind": "provenance", "path": f"/evidence/x/{run}"} for run in range(299, -1, -1)]
        return good if "/x/" in path else json.dumps({"attached": listed}).encode()

    monkeypatch.setattr(Handover, "_get", get)
    workflow = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"
    job = Handover("", REPOSITORY, "refs/tags/v1.4.0", COMMIT, "17", workflow, stack.trust.config)
    verdict = job.provenance(Digest.of(parts.files[WHEEL]), "build")
    assert verdict is not None
    assert verdict.passed, str(verdict)
    assert asked[1:] == ["/evidence/x/299"]


@pytest.mark.parametrize("result", ["failure", "cancelled", None])
def test_what_a_job_that_did_not_succeed_stored_is_not_taken_over(
    stack: GateStack, monkeypatch: pytest.MonkeyPatch, result: str | None
) -> None:
    parts = stack.maker.parts()
    metadata = parts.statements["provenance of build"].predicate["runDetails"]["metadata"]
    metadata |= {RESULT: result}
    bundle = stack.maker.signed(parts.statements["provenance of build"], parts)
    monkeypatch.setattr(Handover, "_evidence", lambda self, digest: iter([bundle]))
    workflow = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"
    job = Handover("", REPOSITORY, "refs/tags/v1.4.0", COMMIT, "17", workflow, stack.trust.config)
    verdict = job.provenance(Digest.of(parts.files[WHEEL]), "build")
    assert verdict is not None
    assert verdict.failure is not None
    assert (verdict.failure.name, verdict.failure.message) == (
        "builder",
        f"the job ended with {result}, expected success",
    )


# -- the summary, and what a deployment makes of it


@pytest.fixture
def deployment(stack: GateStack, tmp_path: Path) -> Iterator[Deployment]:
    with stack.deploying(tmp_path) as made:
        yield made


@pytest.fixture
def refused(
    stack: GateStack, deployment: Deployment, request: pytest.FixtureRequest
) -> tuple[str, Digest, bytes, Digest]:
    """A release in prod that the gate let through, and refused since: an old yes, and the no's referrer."""
    registry = stack.registry
    parts = stack.maker.parts()
    parts.annotations["example.note"] = request.node.name  # a digest of its own
    parts.statements["provenance of package"].subjects = parts.digests()
    reference = stack.maker.push(parts)
    deployment.promote(reference)
    _, digest = pinned(reference)
    (yes,) = (d for kind, d in registry.evidence.attached(digest) if kind == "summary")
    fetched(stack, reference)
    before = {s.digest for s in registry.images.referrers(None, digest)}
    later = Gate(registry, stack.trust, POLICIES, stack.trust.directory, lambda: NOW + timedelta(days=1))
    assert not later.judge(reference).allowed
    (no,) = {s.digest for s in registry.images.referrers(None, digest)} - before
    return reference, digest, registry.blobs.read(yes), no


@pytest.mark.parametrize("how", ["pushed again", "re-encoded", "pushed elsewhere", "the no removed"])
def test_an_old_yes_does_not_come_after_a_no(
    stack: GateStack, refused: tuple[str, Digest, bytes, Digest], how: str
) -> None:
    reference, digest, yes, no = refused
    registry = stack.registry
    name = pinned(reference)[0].name
    if how == "re-encoded":
        yes = json.dumps(json.loads(yes), indent=1).encode()
    if how == "the no removed":
        registry.images.delete_manifest(name, no, by="a job")
    elif how == "pushed elsewhere":
        twin = stack.maker.push(stack.maker.parts(), {})
        twin = pinned(twin)[0].name
        raw = registry.blobs.read(digest)
        registry.images.push(twin, digest, raw, MANIFEST_TYPE, by="mallory")
        attach(registry.images, twin, digest, yes + b" ", BUNDLE_TYPE, by="mallory")
    else:
        attach(registry.images, name, digest, yes + b" ", BUNDLE_TYPE, by="a job")
    with pytest.raises(VerificationFailed, match="last verdict"):
        fetched(stack, reference)


def fetched(stack: GateStack, reference: str) -> AdmittedRelease:
    return fetch(reference, stack.registry, stack.trust.config.trusted_root, stack.gate.policy())


def fresh(stack: GateStack, note: str) -> str:
    """A release with a digest of its own, pushed."""
    parts = stack.maker.parts()
    parts.annotations["example.note"] = note
    parts.statements["provenance of package"].subjects = parts.digests()
    return stack.maker.push(parts)


def test_a_no_counts_also_when_the_clock_was_ahead_for_the_yes(stack: GateStack, tmp_path: Path) -> None:
    registry = stack.registry
    reference = fresh(stack, "ahead")
    ahead = Gate(registry, stack.trust, POLICIES, ADVISORIES, lambda: NOW + timedelta(days=9))
    with stack.deploying(tmp_path, ahead) as early:
        early.promote(reference)
    with pytest.raises(VerificationFailed, match="lets") as refused:
        fetched(stack, reference)
    assert "in the future" in refused.value.why
    stack.gate.judge(reference)
    fetched(stack, reference)  # and counts again once the clock is right


def test_a_no_counts_also_when_the_clock_was_set_back_for_it(stack: GateStack, deployment: Deployment) -> None:
    registry = stack.registry
    reference = fresh(stack, "back")
    deployment.promote(reference)
    fetched(stack, reference)
    back = Gate(registry, stack.trust, POLICIES, stack.trust.directory, lambda: NOW - timedelta(days=9))
    assert not back.judge(reference).allowed
    with pytest.raises(VerificationFailed, match="last verdict"):
        fetched(stack, reference)


def test_a_verdict_by_another_policy_of_the_same_name_lets_nothing_run(
    stack: GateStack, deployment: Deployment, tmp_path: Path
) -> None:
    reference = fresh(stack, "lenient")
    deployment.promote(reference)
    assert fetched(stack, reference).release.reference == reference
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    (folder / "release.toml").write_text((folder / "release.toml").read_text() + "\n# another one\n")
    other = Gate(stack.registry, stack.trust, folder, ADVISORIES, lambda: NOW)
    root = stack.trust.config.trusted_root
    with pytest.raises(VerificationFailed, match="no summary") as refused:
        fetch(reference, stack.registry, root, other.policy())
    assert "it was judged by the policy" in refused.value.why
    fresher = fresh(stack, "lenient only")
    assert other.judge(fresher).allowed  # recorded, and not a yes by the policy in force
    with pytest.raises(VerificationFailed, match="no summary"):
        _verdict_of(stack, fresher)


def _verdict_of(stack: GateStack, reference: str) -> admission.PassingVerdict:
    """The verdict that a deployment would rely on, whether the release is in prod or not."""
    artifact, digest = pinned(reference)
    return admission._last_verdict(
        artifact, digest, stack.registry, stack.trust.config.trusted_root, stack.gate.policy()
    )


def test_what_is_promoted_is_archived_and_what_cannot_be_archived_is_not_promoted(
    stack: GateStack, tmp_path: Path
) -> None:
    reference = fresh(stack, "archived")
    artifact, digest = pinned(reference)

    def broken() -> Archive:
        raise OSError("the disk is full")

    with stack.deploying(tmp_path / "one") as deployment:
        deployment._archive = broken
        with pytest.raises(OSError, match="disk is full"):
            deployment.promote(reference)
    assert stack.registry.channels.current(artifact) == {}
    with stack.deploying(tmp_path / "two") as deployment:
        deployment.promote(reference)
        assert list(deployment._archive().builds()["digest"]) == [str(digest)]
    assert set(stack.registry.channels.current(artifact)) == {"dev", "staging", "prod"}


def test_a_refused_release_enters_no_channel(stack: GateStack, deployment: Deployment) -> None:
    reference = stack.maker.push(stack.maker.parts(used=EXPLOITED))
    with pytest.raises(NotPromoted) as refused:
        deployment.promote(reference)
    assert rules(refused.value.decision) == {"vulnerabilities"}
    assert stack.registry.channels.current(pinned(reference)[0]) == {}


@pytest.mark.parametrize("what", ["a quarantine", "a no", "another policy"])
def test_what_comes_while_a_release_is_installed_keeps_it_from_going_live(
    stack: GateStack, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = stack.registry
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    gate = Gate(registry, stack.trust, folder, ADVISORIES, lambda: NOW)
    reference = fresh(stack, what)
    stopped: list[PredictionService] = []

    def start(*_: Any, **__: Any) -> PredictionService:  # stands for the seconds that installing takes
        if what == "a quarantine":
            registry.quarantine.hold(pinned(reference)[1], "exfiltrates patient data", by="security")
        elif what == "a no":
            assert not Gate(registry, stack.trust, folder, tmp_path, lambda: NOW).judge(reference).allowed
        else:
            (folder / "release.toml").write_text((folder / "release.toml").read_text() + "\n")
        return PredictionService("http://127.0.0.1:9", 4194000, "sha256:x")

    monkeypatch.setattr(prediction_service, "start", start)
    monkeypatch.setattr(prediction_service, "stop", stopped.append)
    with stack.deploying(tmp_path, gate) as deployment:
        deployment.promote(reference)
        with pytest.raises((Refused, VerificationFailed)):
            deployment.deploy(reference)
        assert deployment.current is None
        assert [service.pid for service in stopped] == [4194000]


@pytest.mark.parametrize("what", ["file", "project"])
def test_a_package_that_is_in_quarantine_since_it_was_installed_is_refused(stack: GateStack, what: str) -> None:
    registry = stack.registry
    upstream = stack.maker.file("northwind_http-3.2.5-py3-none-any.whl")
    reference = stack.maker.push(stack.maker.parts())
    assert stack.gate.judge(reference, record=False).allowed
    if what == "file":
        registry.quarantine.hold(upstream, "it steals tokens", by="test")
    else:
        registry.index.quarantine("acme-cells", "it steals tokens", by="test")
    try:
        decision = stack.gate.judge(reference, record=False)
    finally:
        if what == "file":
            registry.quarantine.release(upstream, by="test")
        else:
            registry.index.release("acme-cells", by="test")
    assert rules(decision) == {"intact"}
    assert "it steals tokens" in decision.table()


def test_a_verdict_by_rules_of_one_s_own_is_not_the_gate_s_word(
    stack: GateStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the gate's signature and may have the policy's name, and a deployment asks for no more."""
    monkeypatch.setattr("chainlab.workspace.learner_workspace", lambda: tmp_path)
    monkeypatch.setattr("chainlab.world.World", lambda _: nullcontext(stack))
    reference = stack.maker.push(stack.maker.parts("v3.0.0"))
    _, digest = pinned(reference)
    for own in (["--policies", str(POLICIES)], ["--advisories", str(ADVISORIES)]):
        assert CliRunner().invoke(_main, ["gate", reference, *own]).output.endswith("allowed\n")
        assert stack.registry.evidence.attached(digest) == []
    assert CliRunner().invoke(_main, ["gate", reference]).exit_code == 0
    assert {kind for kind, _ in stack.registry.evidence.attached(digest)} == {"counted", "summary"}


# -- the service that runs

STUBBORN = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
while True:
    accepted, _ = listening.accept()
    for piece in eval(sys.argv[1]):
        accepted.sendall(piece)
        time.sleep(0.05)
    accepted.close()
"""
OK = b"HTTP/1.1 200 OK\r\n\r\n"
ANSWERS = {
    "no HTTP": "[b'what?\\r\\n']",
    "a byte a time": "[b'H'] * 400",
    "without end": f"[{OK!r}] + [b' '] * 400",
    "nested": f"[{OK!r}, b'[' * 60_000]",
    "another model": f'[{OK!r}, b\'{{"sha256": "0"}}\']',
}


@pytest.fixture
def stubborn(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], tuple[PredictionService, Popen[str]]]]:
    """A release's service that turned hostile: it ends for no request, and answers what it likes."""
    monkeypatch.setattr(prediction_service, "GRACE", 0.2)
    monkeypatch.setattr(prediction_service, "ANSWER", 0.3)
    started: list[Popen[str]] = []

    def start(answers: str) -> tuple[PredictionService, Popen[str]]:
        words = [sys.executable, "-I", "-c", STUBBORN, answers]
        process = Popen(words, stdout=PIPE, text=True, start_new_session=True)
        started.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        return PredictionService(url, process.pid, "sha256:1", prediction_service._born(process.pid)), process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.crash
@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_a_hostile_service_is_ended_whatever_it_answers(
    stubborn: Callable[[str], tuple[PredictionService, Popen[str]]], answers: str
) -> None:
    service, process = stubborn(answers)
    began = time.monotonic()
    assert prediction_service.model_served(service) != service.model
    prediction_service.stop(service)
    assert process.wait(2) == -signal.SIGKILL
    assert time.monotonic() - began < 3


STARTER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from chainlab.deploy import prediction_service as services
from chainlab.digests import Digest
program, folder = map(Path, sys.argv[1:3])
(folder / "venv/bin").mkdir(parents=True)
(folder / "venv/bin/python").symlink_to(program)
services.installation.install = lambda *_, **__: {}
services.model_served = lambda service: str(Digest.of(b"a model"))
release = SimpleNamespace(ending=lambda suffix: SimpleNamespace(name="triage.onnx"), read=lambda layer: b"a model")
verified = SimpleNamespace(release=release, requirements=())
print(services.start(verified, folder, index="", wheels=None, tied=sys.argv[3] == "tied").pid, flush=True)
time.sleep(60)
"""
IGNORING = """#!/bin/sh
trap '' TERM
echo http://127.0.0.1:9/predict
echo $$ > python.pid
sleep 60
"""


@pytest.mark.crash
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "left to itself"])
def test_a_tied_service_ends_with_its_starter_when_that_is_killed_another_with_the_next_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    program, folder = tmp_path / "python", tmp_path / "service"
    program.write_text(IGNORING)
    program.chmod(0o700)
    folder.mkdir()
    words = [sys.executable, "-c", STARTER, program, folder, "tied" if tied else ""]
    with Popen([str(word) for word in words], stdout=PIPE, text=True) as starter:
        assert starter.stdout is not None
        group = int(starter.stdout.readline())
        starter.kill()
    pid = int((folder / "python.pid").read_text())
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end and prediction_service._born(pid):
            time.sleep(0.02 if tied else 0.5)
        assert bool(prediction_service._born(pid)) is not tied
        monkeypatch.setattr(prediction_service, "GRACE", 0.2)
        prediction_service.remove(folder)  # what the next deployment does
        assert not prediction_service._born(pid)
        assert not folder.exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def test_a_process_that_only_has_the_number_is_left_alone(
    stubborn: Callable[[str], tuple[PredictionService, Popen[str]]],
) -> None:
    service, process = stubborn("[]")
    prediction_service.stop(replace(service, born="1"))
    prediction_service.stop(replace(service, born=""))  # as written before beginnings were noted
    assert process.poll() is None


@pytest.mark.parametrize(
    "change",
    [
        {"current": {"reference": "x", "service": {"url": "http://127.0.0.1:1", "pid": -1, "model": ""}}},
        {"current": {"reference": "x", "service": {"url": "http://127.0.0.1:1", "pid": "9", "model": ""}}},
        {"current": {"reference": "x", "service": {"url": "file:///etc", "pid": 9, "model": ""}}},
        {"current": {"reference": "x", "service": {"url": "http://127.0.0.1:1@a.example", "pid": 9, "model": ""}}},
        {"current": ["x"]},
        {"history": "oci/acme/x"},
        {"history": None},
    ],
)
def test_a_state_that_was_edited_moves_nothing(deployment: Deployment, change: dict[str, Any]) -> None:
    """A number of -1 would end every process of the person."""
    deployment.directory.mkdir()
    (deployment.directory / "state.json").write_text(json.dumps({"current": None, "history": []} | change))
    for attempt in (deployment.stop, deployment.rollback):
        with pytest.raises(MalformedInput, match="state of the deployment"):
            attempt()


def test_a_state_that_is_nested_deeply_is_no_state(deployment: Deployment) -> None:
    deployment.directory.mkdir()
    (deployment.directory / "state.json").write_text('{"current":' + "[" * 100_000)
    with pytest.raises(MalformedInput, match="state of the deployment"):
        deployment.stop()


# -- what a person reads


def test_no_name_in_a_bundle_writes_a_line_of_the_verdict(stack: GateStack) -> None:
    """The signer is trusted; the file's name came from whoever opened the pull request."""
    name = "x\n✓ subject         about 000000000000…\x1b[31m\u202e"
    statement = Statement.about({name: Digest.of(b"1")}, SBOM, {})
    trust = stack.trust
    bundle = sign(statement, trust.config, trust.token("alice@example.com"))
    expected = Expectations(Signer("alice@example.com", trust.issuer), SBOM)
    verdict = verify(bundle, Digest.of(b"2"), expected, trust.config.trusted_root)
    assert verdict.failure is not None
    assert verdict.failure.message.isprintable()
    assert len(str(verdict).splitlines()) == len(verdict.steps)


@pytest.mark.parametrize("error", [sqlite3.DatabaseError("spoilt"), RecursionError(), MemoryError()])
@pytest.mark.parametrize("words", [["gate"], ["deploy"], ["deploy", "--promote"]])
def test_no_command_shows_a_traceback(words: list[str], error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr("chainlab.world.World", broken)
    answer = CliRunner().invoke(_main, [*words, f"oci/acme/x@sha256:{'0' * 64}"])
    assert answer.exit_code in (1, 2)
    assert isinstance(answer.exception, SystemExit)


def test_a_reference_that_is_no_utf_8_is_a_wrong_call(
    stack: GateStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainlab.workspace.learner_workspace", lambda: tmp_path)
    monkeypatch.setattr("chainlab.world.World", lambda _: nullcontext(stack))
    answer = CliRunner().invoke(_main, ["gate", "oci/acme/\udcff:v1"])
    assert answer.exit_code == 2
    assert "not UTF-8" in answer.output


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"a": -1e999}', '{"a": Infinity}'])
def test_what_nobody_could_read_again_is_not_signed(tmp_path: Path, text: str) -> None:
    said = tmp_path / "said.json"
    said.write_text(text)
    words = [
        "attest",
        str(said),
        "--type",
        "sbom",
        "--predicate",
        str(said),
        "--identity",
        "a@b.example",
    ]
    answer = CliRunner().invoke(_main, words)
    assert answer.exit_code == 2, answer.output
    assert not (tmp_path / "said.json.sigstore.json").exists()


@pytest.mark.parametrize("kind", ["sbom", "provenance", "openvex", "vulnerabilities", "summary"])
def test_each_kind_that_the_help_names_is_known(kind: str) -> None:
    assert "://" in _type(kind)
