"""PEP 740: attestations are kept if they hold, and refused with the reason if they do not."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypi_attestations import Attestation, AttestationType, Distribution, Provenance
from served_index import CLAIMS, HTML, REPOSITORY, Run, ServedIndex, wheel
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.evidence.verifying import Expectations, Signer, verify
from chainlab.registry.index.attestations import bundles
from chainlab.registry.index.publishers import AUDIENCE, Publisher
from chainlab.trust.client import Trust

pytest_plugins = ["index_fixtures"]

RELEASE = Publisher(REPOSITORY, "release.yml", "release")
PRODUCTION = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"  # where sigstore-python looks for its cached root


def attest(trust: Trust, path: Path, **changes: str) -> dict[str, Any]:
    """What the publishing action makes: a publish attestation, by the job's own identity."""
    config = trust.config
    config.force_tlog_version = 1  # PEP 740 keeps no RFC 3161 timestamp
    token = IdentityToken(trust.token(claims=CLAIMS | changes))
    with SigningContext.from_trust_config(config).signer(token) as signer:
        text = Attestation.sign(signer, Distribution.from_file(path)).model_dump_json()
    return dict(json.loads(text))


@pytest.fixture
def world(trusting_world: ServedIndex) -> ServedIndex:
    trusting_world.index.add_publisher("triage-model", RELEASE, owner="acme")
    return trusting_world


@pytest.fixture
def minted(world: ServedIndex, trust: Trust) -> str:
    token = trust.token(claims=CLAIMS, audience=AUDIENCE)
    return str(world.http.post("/_/oidc/mint-token", json={"token": token}).json()["token"])


def test_twine_uploads_an_attestation_and_unmodified_clients_verify_what_is_served(
    world: ServedIndex, minted: str, trust: Trust, run: Run, tmp_path: Path
) -> None:
    path = wheel(tmp_path)
    document = attest(trust, path)
    Path(f"{path}.publish.attestation").write_text(json.dumps(document))
    run(
        *("twine", "upload", "--non-interactive", "--verbose", "--attestations"),
        *(path, f"{path}.publish.attestation"),
        TWINE_REPOSITORY_URL=f"{world.url}/legacy/",
        TWINE_USERNAME="__token__",
        TWINE_PASSWORD=minted,
    )
    (entry,) = world.page("triage-model")["files"]
    assert entry["provenance"] == f"{world.url}/integrity/triage-model/1.0.0/{path.name}/provenance"
    assert entry["provenance"] in world.http.get("/simple/triage-model/", headers=HTML).text
    answer = world.http.get(entry["provenance"])
    assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
    (bundle,) = Provenance.model_validate(answer.json()).attestation_bundles
    assert bundle.publisher.model_dump() == {
        "kind": "GitHub",
        "repository": REPOSITORY,
        "workflow": "release.yml",
        "environment": "release",
    }
    # The command line of pypi-attestations, offline, with our root where its own would be.
    served = json.loads(bundle.attestations[0].model_dump_json())
    assert served == document
    targets = tmp_path / "home" / ".cache" / "sigstore-python" / "tuf" / PRODUCTION
    targets.mkdir(parents=True)
    for name in ("trusted_root.json", "signing_config.v0.2.json"):
        source = trust.directory / name.replace(".v0.2", "")
        (targets / name).write_bytes(source.read_bytes())
    identity = f"https://git.chainlab.localhost/{CLAIMS['job_workflow_ref']}"
    verify = ("pypi-attestations", "verify", "attestation", "--offline", "--identity")
    run(*verify, identity, path)
    run(*verify, identity.replace("release.yml", "test.yml"), path, status=1)
    path.write_bytes(path.read_bytes() + b" ")
    run(*verify, identity, path, status=1)


def test_uv_uploads_an_attestation(world: ServedIndex, minted: str, trust: Trust, run: Run, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    Path(f"{path}.publish.attestation").write_text(json.dumps(attest(trust, path)))
    run(
        *("uv", "publish", "--publish-url", f"{world.url}/legacy/"),
        *(path, f"{path}.publish.attestation"),
        UV_PUBLISH_TOKEN=minted,
    )
    assert "provenance" in world.page("triage-model")["files"][0]


def test_a_persons_credential_is_checked_against_the_projects_publishers(
    world: ServedIndex, trust: Trust, tmp_path: Path
) -> None:
    path = wheel(tmp_path)
    secret = world.secret("packages:upload:triage-model")
    form = {"attestations": json.dumps([attest(trust, path)])}
    assert world.post(path.name, path.read_bytes(), secret=secret, form=form).status_code == 200
    (file,) = world.index.files("triage-model")
    assert (file.publisher, file.provenance is not None) == (None, True)
    path = wheel(tmp_path, "other")
    form = {"attestations": json.dumps([attest(trust, path)])}
    answer = world.post(path.name, path.read_bytes(), form=form)
    assert (answer.status_code, "this one has none" in answer.text) == (400, True)
    answer = world.http.get(f"/integrity/triage-model/1.0.0/{path.name}/provenance")
    assert (answer.status_code, "message" in answer.json()) == (404, True)


def test_an_attestation_of_the_index_is_a_bundle_like_any_other(
    world: ServedIndex, trust: Trust, minted: str, tmp_path: Path
) -> None:
    path = wheel(tmp_path)
    form = {"attestations": json.dumps([attest(trust, path)])}
    assert world.post(path.name, path.read_bytes(), secret=minted, form=form).status_code == 200
    (file,) = world.index.files("triage-model")
    (bundle,) = bundles(world.index.provenance(file))
    signer = Signer(f"https://git.chainlab.localhost/{CLAIMS['job_workflow_ref']}", trust.ci_issuer)
    expected = Expectations(signer, AttestationType.PYPI_PUBLISH_V1.value)
    assert verify(bundle, file.digest, expected, trust.config.trusted_root).passed


def spoil_signature(document: dict[str, Any]) -> dict[str, Any]:
    envelope = document["envelope"]
    return document | {"envelope": envelope | {"signature": envelope["signature"][:-8] + "AAAAAAA="}}


def spoil_statement(document: dict[str, Any]) -> dict[str, Any]:
    envelope = document["envelope"]
    return document | {"envelope": envelope | {"statement": envelope["signature"]}}


def without_log(document: dict[str, Any]) -> dict[str, Any]:
    material = document["verification_material"]
    return document | {"verification_material": material | {"transparency_entries": [{}]}}


FORK = {
    "repository": "mallory/triage-model",
    "workflow_ref": "mallory/triage-model/.github/workflows/release.yml@refs/tags/v1.0.0",
    "job_workflow_ref": "mallory/triage-model/.github/workflows/release.yml@refs/tags/v1.0.0",
}
TEST = {"workflow_ref": f"{REPOSITORY}/.github/workflows/test.yml@refs/tags/v1.0.0"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (FORK, "the job ran in repository 'mallory/triage-model'"),
        (TEST, "the job ran the workflow 'test.yml'"),
        ({"environment": "staging"}, "the job ran in environment 'staging'"),
    ],
    ids=["a fork", "another workflow", "another environment"],
)
def test_an_attestation_by_somebody_else_is_refused(
    world: ServedIndex, minted: str, trust: Trust, tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    path = wheel(tmp_path)
    form = {"attestations": json.dumps([attest(trust, path, **changes)])}
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, reason in answer.text) == (400, True), answer.text
    assert world.index.files("triage-model") == []
    assert world.leftovers() == []


@pytest.mark.parametrize("spoil", [spoil_signature, spoil_statement, without_log])
def test_a_spoilt_attestation_is_refused(
    world: ServedIndex, minted: str, trust: Trust, tmp_path: Path, spoil: Any
) -> None:
    path = wheel(tmp_path)
    form = {"attestations": json.dumps([spoil(attest(trust, path))])}
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, "an attestation does not hold" in answer.text) == (400, True)
    assert world.index.files("triage-model") == []


def test_an_attestation_of_other_bytes_or_another_name_is_refused(
    world: ServedIndex, minted: str, trust: Trust, tmp_path: Path
) -> None:
    path = wheel(tmp_path, code=b"other = True\n")
    form = {"attestations": json.dumps([attest(trust, path)])}
    wheel(tmp_path)
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, "digest" in answer.text) == (400, True)
    (tmp_path / "x").mkdir()
    elsewhere = wheel(tmp_path / "x", version="2.0.0")
    elsewhere.write_bytes(path.read_bytes())
    form = {"attestations": json.dumps([attest(trust, elsewhere)])}
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, "does not match" in answer.text) == (400, True)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "[1]", "[{}]", "[" * 100_000, '["\\ud800"]'])
def test_what_is_no_attestation_is_refused(world: ServedIndex, minted: str, tmp_path: Path, text: str) -> None:
    path = wheel(tmp_path)
    answer = world.post(path.name, path.read_bytes(), secret=minted, form={"attestations": text})
    assert answer.status_code == 400, answer.text
    assert "attestation" in answer.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_no_flipped_byte_of_an_attestation_is_taken_or_breaks_the_index(
    world: ServedIndex, minted: str, trust: Trust, tmp_path: Path, data: st.DataObject
) -> None:
    path = wheel(tmp_path)
    if not (kept := tmp_path / "attestation").exists():
        kept.write_text(json.dumps(attest(trust, path)))
    document = json.loads(kept.read_text())
    where = data.draw(st.sampled_from(["certificate", "statement", "signature"]))
    place = document["verification_material" if where == "certificate" else "envelope"]
    raw = bytearray(base64.b64decode(place[where]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    place[where] = base64.b64encode(bytes(raw)).decode()
    form = {"attestations": json.dumps([document])}
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, world.index.files("triage-model")) == (400, []), answer.text


def test_two_attestations_of_one_kind_are_refused(
    world: ServedIndex, minted: str, trust: Trust, tmp_path: Path
) -> None:
    path = wheel(tmp_path)
    form = {"attestations": json.dumps([attest(trust, path)] * 2)}
    answer = world.post(path.name, path.read_bytes(), secret=minted, form=form)
    assert (answer.status_code, "of one kind" in answer.text) == (400, True)


def test_the_event_says_that_a_file_is_attested(world: ServedIndex, minted: str, trust: Trust, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    form = {"attestations": json.dumps([attest(trust, path)])}
    assert world.post(path.name, path.read_bytes(), secret=minted, form=form).status_code == 200
    (event,) = world.events.read("dev.chainlab.artifact.published")
    assert event.subject == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert event.data["attested"] is True
