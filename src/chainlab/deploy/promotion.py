"""Promotion: what happens once the gate has said yes. The release is archived and moved to prod.

    build = archive_release(decision, registry, archive)
    archive.where("numpy", range="<2")

`Deployment.promote` is the one caller and the one way to prod. The credential below is given to nobody: it has no
secret, and the registry's endpoint for channels accepts no promotion to prod, whatever credential asks.

The archive keeps every bundle that the gate accepted and the gate's own verdict. The registry may forget a release one
day; the archive still answers "where is it?".
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, VerificationFailed
from chainlab.evidence.statements import (
    MODEL_SIGNATURE,
    OPENVEX,
    PROVENANCE,
    SBOM,
    SUMMARY,
    Statement,
    parse_json,
    payload,
)
from chainlab.registry.channels import CHANNELS
from chainlab.registry.references import ArtifactRef

if TYPE_CHECKING:
    from chainlab.archive import Archive, Build
    from chainlab.policy.gate import Decision
    from chainlab.registry.registry import Registry

__all__ = ["NotPromoted", "archive_release"]

_CREDENTIAL = Credential("deploy", frozenset(f"channel:{channel}" for channel in CHANNELS))
KINDS = {
    PROVENANCE: "provenance",
    OPENVEX: "vex",
    MODEL_SIGNATURE: "signature",
    SUMMARY: "summary",
}


class NotPromoted(Refused):
    """The gate refused the release; ``decision`` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            403,
            f"{decision.reference} is not fit for prod",
            why="; ".join(check.message for check in decision.refusals)[:1000],
            hint="fix what each line names, then release again; an exception needs owner, digest and end",
        )
        self.decision = decision


def archive_release(decision: Decision, registry: Registry, archive: Archive) -> Build:
    """Archive a release: every bundle that the decision rests on, and the gate's verdict.

    Raises `MalformedInput` for a decision without a summary, `VerificationFailed` when a bundle is gone.
    """
    from chainlab.archive import Build

    if not decision.bundle:
        raise MalformedInput("the decision was not recorded, so there is nothing to archive")
    predicate = _statement(decision.bundle).predicate
    inputs = [Digest.parse(f"sha256:{i['digest']['sha256']}") for i in predicate["inputAttestations"]]
    documents: dict[str, list[bytes]] = {"summary": [decision.bundle]}
    documents["manifest"] = [registry.blobs.read(decision.digest)]  # it says which files the statements are about
    details: dict[str, Any] = {}  # the provenance's `runDetails`
    release = registry.release(decision.reference)
    bundles = registry.evidence.bundles(*release.subjects, repository=release.artifact.name)
    for digest in inputs:
        if digest not in bundles:
            raise VerificationFailed(f"the evidence {digest} is gone since the gate relied on it", hint="judge again")
        bundle = bundles[digest].read()
        statement = _statement(bundle)
        documents.setdefault(_kind(statement), []).append(bundle)
        if statement.predicate_type == PROVENANCE and statement.is_about(decision.digest):
            details = statement.predicate["runDetails"]
    name, notes = release.artifact.name, release.stored.annotations
    finished = details.get("metadata", {}).get("finishedOn")
    build = Build(
        name,
        notes.get("org.opencontainers.image.version", "").removeprefix("v") or "unknown",
        decision.digest,
        repository=notes.get("org.opencontainers.image.source", "").removeprefix("git+"),
        commit=notes.get("org.opencontainers.image.revision", ""),
        run=str(details.get("metadata", {}).get("invocationId", "")),
        builder=str(details.get("builder", {}).get("id", "")),
        built_at=datetime.fromisoformat(finished) if finished else None,
    )
    verdict = f"accepted by the gate, policy {decision.policy}"
    return archive.add(build, documents, verdicts=dict.fromkeys(documents, verdict))


def _raise_to_prod(decision: Decision, registry: Registry) -> None:
    """Enter the release in each channel up to prod; a channel that has it already stays as it is."""
    artifact = ArtifactRef.parse(decision.reference).artifact
    below = ""
    for channel in CHANNELS:
        registry.channels.promote(artifact, decision.digest, below, channel, _CREDENTIAL)
        below = channel


def _statement(bundle: bytes) -> Statement:
    """The statement in a bundle that the gate has verified."""
    return Statement.load(payload(parse_json(bundle, "the bundle")))


def _kind(statement: Statement) -> str:
    if statement.predicate_type != SBOM:
        return KINDS.get(statement.predicate_type, "other")
    subject = statement.predicate
    for name in ("metadata", "component", "type"):  # a signed predicate may still be malformed
        subject = subject.get(name) if isinstance(subject, dict) else None
    return "mlbom" if subject == "machine-learning-model" else "sbom"
