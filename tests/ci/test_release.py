"""What the hardened release leaves, verified by unmodified clients: wheel, model, and the platform's provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import httpx
import pytest
from project_folders import PROJECTS
from pypi_attestations import AttestationType, Distribution, Provenance
from pypi_attestations import VerificationError as NotAttested
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.verify import Verifier, policy

from chainlab.ci.runs import job_provenance
from chainlab.ci.runs.run_record import Run
from chainlab.course.project_states import working_copy
from chainlab.digests import Digest
from chainlab.trust.issuer import CI_ISSUER
from chainlab.world import World

RELEASE = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MODEL = "acme/triage-model/model"


@dataclass(frozen=True)
class Released:
    world: World
    run: Run
    secret: str

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to somebody who may read the packages of the repository, which is internal."""
        headers["Authorization"] = f"Bearer {self.secret}"
        return httpx.get(f"{self.world.url}{path}", headers=headers).raise_for_status()

    @property
    def verifier(self) -> Verifier:
        config = ClientTrustConfig.from_json(self.world.trust.config_path.read_text())
        return Verifier(trusted_root=config.trusted_root)

    @property
    def wheel(self) -> str:
        return next(name for name in self.run.produced if name.endswith(".whl"))

    def provenance(self, job: str, digest: str) -> str:
        """The bundle of the platform's provenance of a job, by way of a file."""
        source = f"{self.run.repository}/runs/{self.run.id}/jobs/{job}"
        attached = self.get(f"/evidence/{digest}").json()["attached"]
        (item,) = (item for item in attached if item["source"] == source)
        return self.get(item["path"]).text

    def referrers(self) -> list[tuple[dict[str, Any], Bundle]]:
        """Every bundle beside the model's manifest, with its manifest."""
        found = []
        listed = self.get(f"/v2/{MODEL}/referrers/{self.run.produced[MODEL]}?artifactType={quote(BUNDLE)}").json()
        for entry in listed["manifests"]:
            manifest = self.get(f"/v2/{MODEL}/manifests/{entry['digest']}").json()
            blob = self.get(f"/v2/{MODEL}/blobs/{manifest['layers'][0]['digest']}").text
            found.append((manifest, Bundle.from_json(blob)))
        return found


@pytest.fixture(scope="module")
def released(world: World, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("project") / "triage-model"
    working_copy(PROJECTS, folder, "hardened")
    project = world.ci.project("acme/triage-model", folder, PROJECTS / "settings" / "triage-model.toml")
    project.tag("v1.4.0")
    run = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
    assert run.result == "success", run.log
    return Released(world, run, world.registry.credentials.issue("reader", ["oci:pull:acme/triage-model"]))


def test_the_wheels_attestation_is_the_release_workflows(released: Released, tmp_path: Path) -> None:
    listing = released.get("/simple/triage-model/", Accept="application/vnd.pypi.simple.v1+json").json()
    (file,) = (f for f in listing["files"] if f["filename"] == released.wheel)
    wheel = tmp_path / released.wheel
    wheel.write_bytes(released.get(file["url"].removeprefix(released.world.url)).content)
    answer = released.get(file["provenance"].removeprefix(released.world.url))
    bundles = Provenance.model_validate_json(answer.content).attestation_bundles
    (attestation,) = bundles[0].attestations
    identity = policy.Identity(identity=RELEASE, issuer=CI_ISSUER)
    config = ClientTrustConfig.from_json(released.world.trust.config_path.read_text())
    kind, _ = _verified(attestation, identity, Distribution.from_file(wheel), config)
    assert kind == AttestationType.PYPI_PUBLISH_V1.value
    other = policy.Identity(identity=RELEASE.replace("release.yml", "ci.yml"), issuer=CI_ISSUER)
    with pytest.raises(NotAttested, match="SAN"):
        _verified(attestation, other, Distribution.from_file(wheel), config)


def _verified(attestation: Any, identity: Any, wheel: Distribution, config: ClientTrustConfig) -> Any:
    """The library's own verification, with its verifier's trusted root replaced by ours."""
    with patch(
        "pypi_attestations._impl.Verifier.production",
        lambda **_: Verifier(trusted_root=config.trusted_root),
    ):
        return attestation.verify(identity, wheel)


def test_the_model_has_the_workflows_signature_as_a_referrer(released: Released) -> None:
    manifest = released.get(f"/v2/{MODEL}/manifests/v1.4.0").content
    assert str(Digest.of(manifest)) == released.run.produced[MODEL]
    layer = json.loads(manifest)["layers"][0]["digest"]
    assert layer == str(Digest.of_file(PROJECTS.parent / "models" / "triage.onnx"))  # the same bytes everywhere
    signed = [bundle for _, bundle in released.referrers() if not _is_statement(bundle)]
    identity = policy.Identity(identity=RELEASE, issuer=CI_ISSUER)
    released.verifier.verify_artifact(manifest, signed[0], identity)
    with pytest.raises(VerificationError):
        released.verifier.verify_artifact(manifest + b" ", signed[0], identity)


def _is_statement(bundle: Bundle) -> bool:
    return "dsseEnvelope" in json.loads(bundle.to_json())


def statement(released: Released) -> dict[str, Any]:
    """The provenance beside the model, verified as the host's."""
    (bundle,) = (bundle for _, bundle in released.referrers() if _is_statement(bundle))
    kind, payload = released.verifier.verify_dsse(
        bundle, policy.Identity(identity=job_provenance.SIGNER, issuer=CI_ISSUER)
    )
    assert kind == "application/vnd.in-toto+json"
    statement: dict[str, Any] = json.loads(payload)
    return statement


def attested(released: Released, job: str) -> dict[str, Any]:
    """The platform's provenance of a job, verified, as the registry has it for each file that the job stored."""
    produced = released.run.jobs[job].produced
    (bundle,) = {released.provenance(job, digest) for digest in produced.values()}
    _, payload = released.verifier.verify_dsse(
        Bundle.from_json(bundle), policy.Identity(identity=job_provenance.SIGNER, issuer=CI_ISSUER)
    )
    statement: dict[str, Any] = json.loads(payload)
    return statement


def test_the_platform_signed_provenance_for_all_that_each_job_stored(released: Released) -> None:
    stored = {
        "build": {"triage.onnx", "metrics.json", released.wheel},
        "publish": {released.wheel},
        "push-model": {"triage.onnx", MODEL},
    }
    for job, names in stored.items():
        provenance = attested(released, job)
        subjects = {s["name"]: f"sha256:{s['digest']['sha256']}" for s in provenance["subject"]}
        assert subjects == dict(released.run.jobs[job].produced)
        assert set(subjects) == names
        assert provenance["predicate"]["buildDefinition"]["internalParameters"]["job"] == job
    assert attested(released, "push-model") == statement(released)


def test_provenance_names_the_workflow_and_its_ref(released: Released) -> None:
    provenance = statement(released)
    assert provenance["predicateType"] == "https://slsa.dev/provenance/v1"
    workflow = provenance["predicate"]["buildDefinition"]["externalParameters"]["workflow"]
    assert workflow["path"] == ".github/workflows/release.yml"
    assert workflow["ref"] == "refs/tags/v1.4.0"


def test_provenance_lists_the_commits_and_packages_that_were_really_used(
    released: Released,
) -> None:
    used = attested(released, "build")["predicate"]["buildDefinition"]["resolvedDependencies"]
    commits = {
        u["uri"].removeprefix("git+https://git.chainlab.localhost/"): u["digest"]["gitCommit"]
        for u in used
        if "gitCommit" in u["digest"]
    }
    assert commits["acme/triage-model@refs/tags/v1.4.0"] == released.run.commit
    mirror = released.world.ci.platform.mirror
    assert len(released.run.actions) == 5
    for reference, commit in released.run.actions.items():
        assert mirror.resolve(reference).commit == commit == commits[reference]
    packages = {u["name"]: u["digest"]["sha256"] for u in used if u["uri"].startswith("pkg:pypi/")}
    lock = (PROJECTS / "hardened" / "triage-model" / "requirements.lock").read_text()
    assert packages["acme_cells-1.2.0-py3-none-any.whl"] in lock
    assert all(digest in lock for digest in packages.values())
    assert any(name.startswith("scikit_learn-") for name in packages)


def test_provenance_claims_build_l1_and_no_more(released: Released) -> None:
    provenance = statement(released)
    assert provenance["predicate"]["runDetails"]["builder"]["id"].endswith("/build-l1")
    assert "SLSA_BUILD_LEVEL_2" not in json.dumps(provenance)
    assert "SLSA_BUILD_LEVEL_3" not in json.dumps(provenance)


def test_a_jobs_signature_is_not_taken_for_the_hosts(released: Released) -> None:
    signed = [bundle for _, bundle in released.referrers() if not _is_statement(bundle)]
    manifest = released.get(f"/v2/{MODEL}/manifests/v1.4.0").content
    with pytest.raises(VerificationError):
        released.verifier.verify_artifact(
            manifest, signed[0], policy.Identity(identity=job_provenance.SIGNER, issuer=CI_ISSUER)
        )


@pytest.mark.parametrize("kind", ["wheel", "model", "manifest"])
def test_everything_known_about_a_digest_is_told(released: Released, kind: str) -> None:
    name = {"wheel": released.wheel, "model": "triage.onnx", "manifest": MODEL}[kind]
    digest = released.run.produced[name]
    text = json.dumps(released.get(f"/evidence/{digest}").json())
    assert job_provenance.SIGNER in text
    assert RELEASE in text
    assert released.run.repository in text
