"""sigstore-python's library, unmodified, signs and verifies here."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from client_requests import ALICE, CLAIMS, JOB
from cryptography.x509 import ObjectIdentifier, UnrecognizedExtension
from sigstore.dsse import Statement
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab.trust.client import Trust

ARTIFACT = b"weights of a small model"
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.onnx", "digest": {"sha256": "00" * 32}}],
        "predicateType": "https://example.com/predicate/v1",
        "predicate": {"note": "é \N{EM DASH} not ASCII"},
    }
).encode()

Signs = Callable[..., Bundle]


@pytest.fixture
def signs(trust: Trust) -> Signs:
    """Sign bytes or a statement with log ``version``, as ``token``'s bearer."""

    def signs(content: bytes | Statement, version: int, token: str | None = None) -> Bundle:
        config = trust.config
        config.force_tlog_version = version
        identity = IdentityToken(token or trust.token(ALICE))
        with SigningContext.from_trust_config(config).signer(identity) as signer:
            if isinstance(content, Statement):
                return signer.sign_dsse(content)
            return signer.sign_artifact(content)

    return signs


def verifier(config: ClientTrustConfig) -> Verifier:
    return Verifier(trusted_root=config.trusted_root)


@pytest.mark.parametrize("version", [1, 2])
def test_a_signed_artifact_verifies(signs: Signs, trust: Trust, version: int) -> None:
    bundle = Bundle.from_json(signs(ARTIFACT, version).to_json())
    who = policy.Identity(identity=ALICE, issuer=trust.issuer)
    verifier(trust.config).verify_artifact(ARTIFACT, bundle, who)
    entry = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]
    assert entry["kindVersion"]["version"] == {1: "0.0.1", 2: "0.0.2"}[version]
    with pytest.raises(VerificationError):
        verifier(trust.config).verify_artifact(ARTIFACT + b"!", bundle, who)


@pytest.mark.parametrize("version", [1, 2])
def test_a_signed_statement_verifies_and_comes_back(signs: Signs, trust: Trust, version: int) -> None:
    bundle = Bundle.from_json(signs(Statement(STATEMENT), version).to_json())
    who = policy.Identity(identity=ALICE, issuer=trust.issuer)
    kind, payload = verifier(trust.config).verify_dsse(bundle, who)
    assert (kind, payload) == ("application/vnd.in-toto+json", STATEMENT)


def test_the_default_log_is_version_2(trust: Trust) -> None:
    identity = IdentityToken(trust.token(ALICE))
    with SigningContext.from_trust_config(trust.config).signer(identity) as signer:
        bundle = json.loads(signer.sign_artifact(ARTIFACT).to_json())
    material = bundle["verificationMaterial"]
    assert material["tlogEntries"][0]["kindVersion"] == {"kind": "hashedrekord", "version": "0.0.2"}
    assert len(material["timestampVerificationData"]["rfc3161Timestamps"]) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_job_is_certified_as_its_workflow(signs: Signs, trust: Trust, version: int) -> None:
    bundle = signs(ARTIFACT, version, trust.token(claims=CLAIMS))
    job = policy.AllOf(
        [
            policy.Identity(identity=JOB, issuer=trust.ci_issuer),
            policy.GitHubWorkflowRepository(CLAIMS["repository"]),
            policy.GitHubWorkflowRef(CLAIMS["ref"]),
            policy.GitHubWorkflowSHA(CLAIMS["sha"]),
            policy.GitHubWorkflowName(CLAIMS["workflow"]),
            policy.GitHubWorkflowTrigger(CLAIMS["event_name"]),
            policy.OIDCSourceRepositoryURI("https://git.chainlab.localhost/acme/triage-model"),
            policy.OIDCSourceRepositoryRef(CLAIMS["ref"]),
            policy.OIDCSourceRepositoryDigest(CLAIMS["sha"]),
            policy.OIDCBuildSignerURI(JOB),
            policy.OIDCBuildTrigger("push"),
            policy.OIDCRunInvocationURI("https://git.chainlab.localhost/acme/triage-model/actions/runs/12/attempts/1"),
        ]
    )
    verifier(trust.config).verify_artifact(ARTIFACT, bundle, job)
    with pytest.raises(VerificationError):
        verifier(trust.config).verify_artifact(
            ARTIFACT, bundle, policy.GitHubWorkflowRepository("northwind-ml/triage-model")
        )


def test_a_claim_that_a_token_lacks_gives_no_extension(signs: Signs, trust: Trust) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "run_id"}
    certificate = signs(ARTIFACT, 2, trust.token(claims=claims)).signing_certificate
    numbers = {
        int(extension.oid.dotted_string.rpartition(".")[2])
        for extension in certificate.extensions
        if isinstance(extension.value, UnrecognizedExtension)
        and extension.oid.dotted_string.startswith("1.3.6.1.4.1.57264.1.")
    }
    assert numbers == {*range(1, 25)} - {
        7,
        21,
        23,
    }  # 7: other names; 21: no run; 23: no environment
    assert ObjectIdentifier("1.3.6.1.4.1.57264.1.21") not in {e.oid for e in certificate.extensions}


def test_one_certificate_signs_several_artifacts(trust: Trust) -> None:
    who = policy.Identity(identity=ALICE, issuer=trust.issuer)
    identity = IdentityToken(trust.token(ALICE))
    with SigningContext.from_trust_config(trust.config).signer(identity, cache=True) as signer:
        bundles = [signer.sign_artifact(bytes([number])) for number in range(3)]
    serials = {bundle.signing_certificate.serial_number for bundle in bundles}
    assert len(serials) == 1
    for number, bundle in enumerate(bundles):
        verifier(trust.config).verify_artifact(bytes([number]), bundle, who)


@pytest.mark.parametrize("version", [1, 2])
def test_another_identity_or_issuer_is_refused(signs: Signs, trust: Trust, version: int) -> None:
    bundle = signs(ARTIFACT, version)
    for identity, issuer in [("bob@example.com", trust.issuer), (ALICE, trust.ci_issuer)]:
        who = policy.Identity(identity=identity, issuer=issuer)
        with pytest.raises(VerificationError):
            verifier(trust.config).verify_artifact(ARTIFACT, bundle, who)
