"""Verification summaries (VSA): the gate's verdict as a SLSA statement, built, signed and verified.

`verify` makes SLSA's seven checks, so that a machine can deploy without reading the evidence itself:

    signature           the bundle holds, and the gate signed it
    subject             it is about these bytes
    predicate type      it is a VSA
    verifier            it names the gate as verifier, as its signer is the gate
    resource            it is about this name: a release of one project is not a release of another
    result              PASSED
    level               at least the level that is required

A summary names the facts document by digest: prod installs from it, and anybody can evaluate the rules again. A level
above `LEVEL` is never claimed: on a laptop, whoever runs the host holds its keys. SLSA v1.2, "Verification Summary
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
LEVEL = "SLSA_BUILD_LEVEL_1"  # the highest that is claimed


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
    """Build the statement. ``resource`` is the reference without its digest, ``inputs`` are the bundles that hold.

    ``facts`` is the facts document's digest; None when the facts could not be collected.
    """
    reached = LEVELS.index(level) if level in LEVELS else 0
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
        "verifiedLevels": [LEVELS[min(reached, LEVELS.index(LEVEL))] if allowed else "FAILED"],
        "slsaVersion": "1.2",
    }
    if facts is not None:
        predicate[FACTS] = {"digest": {"sha256": facts.value.hex()}, "mediaType": "application/json"}
    return Statement.about({resource: digest}, SUMMARY, predicate)


def sign(statement: Statement, trust: Trust) -> bytes:
    """Sign a statement as the gate; returns the bundle. Raises as `signing.sign`."""
    return signing.sign_as(WORKFLOW, statement, trust)


def verify(bundle: bytes, digest: Digest, resource: str, root: TrustedRoot, level: str = LEVEL) -> Verdict:
    """Make SLSA's seven checks, in order; never raises for what is wrong with the bundle.

    ``resource`` is the reference without its digest: ``oci/acme/triage-model/release``.
    """
    expected = Expectations(Signer(SIGNER, CI_ISSUER), SUMMARY)
    verdict = verifying.verify(bundle, digest, expected, root)
    steps = list(verdict.steps[:3])
    if verdict.passed and verdict.statement is not None:
        predicate = verdict.statement.predicate if isinstance(verdict.statement.predicate, dict) else {}
        results = (_verifier(predicate), _resource(predicate, resource), _result(predicate), _level(predicate, level))
        for name, (hint, message) in zip(CHECKS[3:], results, strict=True):
            steps.append(VerificationStep(name, "failed" if hint else "passed", message, hint))
            if hint:
                break
    steps += [VerificationStep(name, "not reached") for name in CHECKS[len(steps) :]]
    return Verdict(tuple(steps), verdict.statement, verdict.signer)


def _verifier(predicate: Mapping[str, Any]) -> tuple[str, str]:
    """Check the verifier; returns the hint of a failure, empty when it passed, and a message. So do the next three."""
    verifier = predicate.get("verifier")
    value = verifier.get("id") if isinstance(verifier, dict) else None
    if value != VERIFIER:
        return "accept a summary only from the verifier that signed it", _other(value, VERIFIER)
    return "", VERIFIER


def _resource(predicate: Mapping[str, Any], resource: str) -> tuple[str, str]:
    value = predicate.get("resourceUri")
    if value != resource:
        return "ask for the summary of this name: another may have another policy", _other(value, resource)
    return "", resource


def _result(predicate: Mapping[str, Any]) -> tuple[str, str]:
    value = predicate.get("verificationResult")
    if value != "PASSED":
        return "let the gate say why: chainlab gate REFERENCE", _other(value, "PASSED")
    return "", "PASSED"


def _level(predicate: Mapping[str, Any], level: str) -> tuple[str, str]:
    value = predicate.get("verifiedLevels")
    levels = [entry for entry in value if entry in LEVELS] if isinstance(value, list) else []
    if level not in LEVELS or len(levels) != 1 or LEVELS.index(levels[0]) < LEVELS.index(level):
        return "ask for no more than the builder is good for", _other(value, f"at least {level}")
    return "", levels[0]


def _other(value: Any, expected: str) -> str:
    return f"it says {str(value)[:200]}, expected {expected}"
