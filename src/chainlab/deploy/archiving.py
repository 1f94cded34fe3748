"""What of a release goes to the archive: every bundle that the gate accepted, and the gate's own word.

    build = archive_release(decision, registry, archive)
    archive.where("numpy", range="<2")

The registry may forget a release one day; whoever has to answer "where is it?" must not.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
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

if TYPE_CHECKING:
    from chainlab.archive import Archive, Build
    from chainlab.policy.gate import Decision
    from chainlab.registry.registry import Registry

__all__ = ["archive_release"]

KINDS = {
    PROVENANCE: "provenance",
    OPENVEX: "vex",
    MODEL_SIGNATURE: "signature",
    SUMMARY: "summary",
}


def archive_release(decision: Decision, registry: Registry, archive: Archive) -> Build:
    """Archive what a decision rests on. Raises `MalformedInput` for a decision without a summary."""
    from chainlab.archive import Build

    if not decision.bundle:
        raise MalformedInput("the decision was not recorded, so it says nothing to keep")
    said = _statement(decision.bundle).predicate
    inputs = [Digest.parse(f"sha256:{i['digest']['sha256']}") for i in said["inputAttestations"]]
    documents: dict[str, list[bytes]] = {"summary": [decision.bundle]}
    documents["manifest"] = [registry.blobs.read(decision.digest)]  # it says which files the statements are about
    made: dict[str, Any] = {}
    release = registry.release(decision.reference)
    found = registry.evidence.bundles(*release.subjects, repository=release.artifact.name)
    for digest in inputs:
        if digest not in found:
            raise VerificationFailed(f"the evidence {digest} is gone since the gate relied on it", hint="judge again")
        bundle = found[digest].read()
        statement = _statement(bundle)
        documents.setdefault(_kind(statement), []).append(bundle)
        if statement.predicate_type == PROVENANCE and statement.is_about(decision.digest):
            made = statement.predicate["runDetails"]
    name, notes = release.artifact.name, release.stored.annotations
    finished = made.get("metadata", {}).get("finishedOn")
    build = Build(
        name,
        notes.get("org.opencontainers.image.version", "").removeprefix("v") or "unknown",
        decision.digest,
        repository=notes.get("org.opencontainers.image.source", "").removeprefix("git+"),
        commit=notes.get("org.opencontainers.image.revision", ""),
        run=str(made.get("metadata", {}).get("invocationId", "")),
        builder=str(made.get("builder", {}).get("id", "")),
        built_at=datetime.fromisoformat(finished) if finished else None,
    )
    verdict = f"accepted by the gate, policy {decision.policy}"
    return archive.add(build, documents, verdicts=dict.fromkeys(documents, verdict))


def _statement(bundle: bytes) -> Statement:
    """What a bundle says; whoever calls has it verified."""
    return Statement.load(payload(parse_json(bundle, "the bundle")))


def _kind(statement: Statement) -> str:
    if statement.predicate_type != SBOM:
        return KINDS.get(statement.predicate_type, "other")
    subject = statement.predicate
    for name in ("metadata", "component", "type"):  # it may be signed, and no bill of materials
        subject = subject.get(name) if isinstance(subject, dict) else None
    return "mlbom" if subject == "machine-learning-model" else "sbom"
