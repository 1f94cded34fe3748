"""model-signing and pypi-attestations, unmodified, sign and verify here."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from client_requests import ALICE, CLAIMS, JOB, Run
from pypi_attestations import Attestation, AttestationError, AttestationType, Distribution
from sigstore.errors import VerificationError
from sigstore.models import InvalidBundle
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab.trust.client import Trust


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # model-signing's own
def test_model_signing_signs_and_verifies_a_model(trust: Trust, model: Path, tmp_path: Path) -> None:
    from model_signing import signing, verifying

    signature = tmp_path / "model.sig"
    signing.Config().use_sigstore_signer(  # type: ignore[no-untyped-call]
        identity_token=trust.token(ALICE), trust_config=trust.config_path
    ).sign(model, signature)

    def verify(identity: str = ALICE) -> None:
        verifying.Config().use_sigstore_verifier(  # type: ignore[no-untyped-call]
            identity=identity, oidc_issuer=trust.issuer, trust_config=trust.config_path
        ).verify(model, signature)

    verify()
    with pytest.raises(VerificationError, match="SANs"):
        verify("bob@example.com")
    (model / "weights.bin").write_bytes(bytes(reversed(range(256))))
    with pytest.raises(ValueError, match="mismatch"):
        verify()


def test_the_command_line_of_model_signing_signs_and_verifies(
    run: Run, trust: Trust, model: Path, tmp_path: Path
) -> None:
    common = ("--trust_config", trust.config_path, "--signature", tmp_path / "model.sig", model)
    run("model_signing", "sign", "sigstore", "--identity_token", trust.token(ALICE), *common)
    verify = ("model_signing", "verify", "sigstore", "--identity_provider", trust.issuer)
    run(*verify, "--identity", ALICE, *common)
    (model / "added.bin").write_bytes(b"")
    run(*verify, "--identity", ALICE, *common, status=1)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "triage_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("triage_model/__init__.py", "")
    return path


def test_pypi_attestations_signs_and_its_bundle_verifies(trust: Trust, wheel: Path) -> None:
    config = trust.config
    config.force_tlog_version = 1  # PEP 740 keeps no RFC 3161 timestamp
    with SigningContext.from_trust_config(config).signer(IdentityToken(trust.token(claims=CLAIMS))) as signer:
        text = Attestation.sign(signer, Distribution.from_file(wheel)).model_dump_json()

    attestation = Attestation.model_validate_json(text)
    assert attestation.certificate_claims["1.3.6.1.4.1.57264.1.14"] == CLAIMS["ref"]
    verifier = Verifier(trusted_root=trust.config.trusted_root)
    job = policy.Identity(identity=JOB, issuer=trust.ci_issuer)
    kind, payload = verifier.verify_dsse(attestation.to_bundle(), job)
    statement = json.loads(payload)
    assert kind == "application/vnd.in-toto+json"
    assert statement["predicateType"] == AttestationType.PYPI_PUBLISH_V1
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": wheel.name, "digest": {"sha256": digest}}]

    spoilt = json.loads(text)
    spoilt["envelope"]["statement"] = spoilt["envelope"]["signature"]
    with pytest.raises((VerificationError, AttestationError)):
        verifier.verify_dsse(Attestation.model_validate(spoilt).to_bundle(), job)


def test_with_log_v2_an_attestation_of_pep_740_has_no_time_and_is_refused(trust: Trust, wheel: Path) -> None:
    with SigningContext.from_trust_config(trust.config).signer(IdentityToken(trust.token(claims=CLAIMS))) as signer:
        attestation = Attestation.sign(signer, Distribution.from_file(wheel))
    with pytest.raises(InvalidBundle, match="promise or signed timestamp"):
        attestation.to_bundle()
