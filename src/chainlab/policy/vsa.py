"""Summaries: the gate's verdict as a SLSA verification summary (VSA), and checking one instead of all the evidence.

    signature           the bundle holds, and the gate signed it
    subject             it is about these bytes
    predicate type      it is a VSA
    verifier            the gate says so of itself, and its signer is the gate's
    resource            it is about this name: a release of one project is none of another
    result              PASSED
    level               at least the level that was asked for

It lets a machine deploy without reading any SBOM: whom it trusts is the gate. The facts that the gate's rules were told
are named by digest: what prod installs, and who asks the rules again in a later week, start from the same. A level
above `LEVEL` is never claimed: on a laptop whoever runs the host holds its keys. SLSA v1.2, "Verification Summary
Attestation".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chainlab import __version__
from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.evidence import signing, verifying
from chainlab.evidence.statements import SUMMARY, Statement
from chainlab.evidence.verifying import Expectations, Signer, Verdict, VerificationStep
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

    from chainlab.trust.client import Trust

__all__ = ["CHECKS", "build", "sign", "verify"]

CHECKS = ("signature", "subject", "predicate type", "verifier", "resource", "result", "level")
WORKFLOW = "chainlab/gate/.github/workflows/gate.yml@refs/heads/main"
SIGNER = f"{GIT_SERVER}/{WORKFLOW}"  # what the certificate names
VERIFIER = f"{CI_ISSUER}/gate"
POLICIES = f"{GIT_SERVER}/chainlab/gate/policies"
FACTS = "chainlab_facts"  # an extension field, named as SLSA v1.2 asks: VENDOR_FIELD
LEVELS = tuple(f"SLSA_BUILD_LEVEL_{n}" for n in range(4))
LEVEL = "SLSA_BUILD_LEVEL_1"  # the most that is claimed


def build(
    digest: Digest,
    resource: str,
    *,
    allowed: bool,
    level: str,
    policy: str,
    policy_digest: Digest,
    inputs: Iterable[Digest],
    at: datetime,
    facts: Digest | None = None,
) -> Statement:
    """The statement: ``resource`` is the reference without its digest, ``inputs`` are the bundles that hold.

    ``facts`` is the document that the rules were told; a verdict for which none could be collected names none.
    """
    most = LEVELS.index(LEVEL)
    found = LEVELS.index(level) if level in LEVELS else 0
    predicate: dict[str, Any] = {
        "verifier": {"id": VERIFIER, "version": {"chainlab": __version__}},
        "timeVerified": rfc3339(at, "microseconds"),  # of two verdicts in a second the later counts
        "resourceUri": resource,
        "policy": {
            "uri": f"{POLICIES}/{policy}",
            "digest": {"sha256": policy_digest.value.hex()},
        },
        "inputAttestations": [
            {"uri": f"{resource}@{d}", "digest": {"sha256": d.value.hex()}} for d in sorted(set(inputs))
        ],
        "verificationResult": "PASSED" if allowed else "FAILED",
        "verifiedLevels": [LEVELS[min(found, most)] if allowed else "FAILED"],
        "slsaVersion": "1.2",
    }
    if facts is not None:
        predicate[FACTS] = {"digest": {"sha256": facts.value.hex()}, "mediaType": "application/json"}
    return Statement.about({resource: digest}, SUMMARY, predicate)


def sign(statement: Statement, trust: Trust) -> bytes:
    """The signed bundle; the signer is the gate."""
    return signing.sign_as(WORKFLOW, statement, trust)


def verify(bundle: bytes, digest: Digest, resource: str, root: TrustedRoot, level: str = LEVEL) -> Verdict:
    """SLSA's seven checks, in order; never raises for what is wrong with the bundle.

    ``resource`` is the reference without its digest: ``oci/acme/triage-model/release``.
    """
    expected = Expectations(Signer(SIGNER, CI_ISSUER), SUMMARY)
    verdict = verifying.verify(bundle, digest, expected, root)
    steps = list(verdict.steps[:3])
    if verdict.passed and verdict.statement is not None:
        predicate = verdict.statement.predicate
        said = predicate if isinstance(predicate, dict) else {}
        for name, check in zip(
            CHECKS[3:], (_verifier(said), _resource(said, resource), _result(said),
                         _level(said, level)), strict=True,
        ):  # fmt: skip
            failed, text = check
            steps.append(VerificationStep(name, "failed" if failed else "passed", text, failed))
            if failed:
                break
    steps += [VerificationStep(name, "not reached") for name in CHECKS[len(steps) :]]
    return Verdict(tuple(steps), verdict.statement, verdict.signer)


def _verifier(said: Mapping[str, Any]) -> tuple[str, str]:
    verifier = said.get("verifier")
    found = verifier.get("id") if isinstance(verifier, dict) else None
    if found != VERIFIER:
        return "accept a summary only of a verifier that this signer is", _other(found, VERIFIER)
    return "", VERIFIER


def _resource(said: Mapping[str, Any], resource: str) -> tuple[str, str]:
    found = said.get("resourceUri")
    if found != resource:
        return "ask for the summary of this name: another may have another policy", _other(found, resource)
    return "", resource


def _result(said: Mapping[str, Any]) -> tuple[str, str]:
    found = said.get("verificationResult")
    if found != "PASSED":
        return "let the gate say why: chainlab gate REFERENCE", _other(found, "PASSED")
    return "", "PASSED"


def _level(said: Mapping[str, Any], level: str) -> tuple[str, str]:
    found = said.get("verifiedLevels")
    listed = [entry for entry in found if entry in LEVELS] if isinstance(found, list) else []
    if level not in LEVELS or len(listed) != 1 or LEVELS.index(listed[0]) < LEVELS.index(level):
        return "ask for no more than the builder is good for", _other(found, f"at least {level}")
    return "", listed[0]


def _other(found: Any, expected: str) -> str:
    return f"it says {str(found)[:200]}, expected {expected}"
