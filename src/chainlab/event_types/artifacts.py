"""Events of the registry."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.event_types.event_type import EventType

__all__ = ["ARTIFACTS"]

_JOB = {"run": "the run", "job": "the job's name in the workflow"}
_PUBLISHER = {
    "repository": "the repository whose workflow it is",
    "workflow": "file name of the workflow",
    "environment": "the environment that its job must run in; empty for any",
}
_BY = {"by": "who did it, as the credential says"}

ARTIFACTS: Mapping[str, EventType] = {
    "artifact.published": EventType(
        "/registry",
        "the file's or manifest's digest",
        "a file was uploaded to the index, or a manifest or tag pushed",
        {
            "project": "the project of the index; null for an OCI manifest",
            "version": "its version; null for an OCI manifest",
            "file": "the file's name; null for an OCI manifest",
            "repository": "the OCI repository, or the repository of a trusted publisher",
            "tag": "the tag that was set; null without one",
            "tag_before": "the digest that the tag named before; null for a new tag",
            "tag_moved": "whether the tag named another digest before",
            "by": "who published, as the credential says",
            "run": "the run whose job published it, also with a stored secret; null when no run did",
            "job": "the job that published it",
            "run_failed": "whether a job of that run had failed by then; null without a run",
            "attested": "whether it came with an attestation",
            "attestation_lost": "whether the version before was attested and this one is not",
            "identity": "the identity that signed the attestation, without its git ref; null without one",
            "identity_before": "the identity of the version before",
            "identity_changed": "whether the identity differs from the version before; null unless both have one",
            "since_last_s": "time since the project's version before; null for the first",
            "versions_in_10min": "how many versions of the project the last ten minutes brought, this one included",
            "size": "bytes; of a manifest, with all that it holds",
            "size_ratio": "size of this file by that of the version before, of the same kind; null for the first",
            "publisher": "the trusted publisher: repository, workflow, environment; null for a stored secret",
            "claims": "what the identity token said of the publisher's job",
            "mediaType": "of a manifest",
            "artifactType": "of a manifest",
            "about": "the digest that a manifest with evidence is about; null for anything else",
        },
    ),
    "artifact.served": EventType(
        "/registry/index",
        "the file's digest",
        "a file was served to a CI job",
        _JOB
        | {
            "project": "the project",
            "version": "the version",
            "file": "the file's name",
            "age_s": "time since its upload; null when unknown, or when the scenario is set before it",
            "origin": "internal or upstream",
        },
    ),
    "artifact.registered": EventType(
        "/registry", "the project", "a name of the index was taken", {"project": "the name", "owner": "who took it"}
    ),
    "artifact.reserved": EventType(
        "/registry", "the name", "a name was closed to everybody", {"project": "the name", "reason": "why"}
    ),
    "artifact.publisher-added": EventType(
        "/registry", "the project", "a workflow may publish a project", {"project": "the project"} | _PUBLISHER | _BY
    ),
    "artifact.publisher-removed": EventType(
        "/registry", "the project", "a workflow may no longer publish", {"project": "the project"} | _PUBLISHER | _BY
    ),
    "artifact.yanked": EventType(
        "/registry",
        "the project",
        "a version was yanked: installers take it only when it is asked for by number",
        {"project": "the project", "version": "the version", "reason": "why"} | _BY,
    ),
    "artifact.promoted": EventType(
        "/registry",
        "the digest",
        "an artifact entered a channel",
        {"kind": "package or oci", "name": "the artifact", "from": "the channel before", "to": "the channel"} | _BY,
    ),
    "artifact.quarantined": EventType(
        "/registry",
        "the digest, or the project",
        "a digest or a project was put into quarantine",
        {
            "project": "the project; null for a digest",
            "status": "the project's new status; null for a digest",
            "reason": "why",
            "counted": "whether a recorded verdict rests on it, or it is in prod",
        }
        | _BY,
    ),
    "artifact.released": EventType(
        "/registry",
        "the digest, or the project",
        "a quarantine ended",
        {
            "project": "the project; null for a digest",
            "status": "the project's new status; null for a digest",
            "reason": "why",
        }
        | _BY,
    ),
    "artifact.deleted": EventType(
        "/registry",
        "the digest, or the project",
        "a file, a manifest or a tag was deleted",
        {
            "project": "the project of the index",
            "version": "the version; null when the whole project went",
            "files": "names of the index's files",
            "digests": "of these files",
            "repository": "the OCI repository",
            "tag": "the tag, when only a tag was deleted",
            "blob": "whether it is a blob and not a manifest",
            "counted": "whether a recorded verdict rests on it, or it is in prod",
        }
        | _BY,
    ),
    "evidence.added": EventType(
        "/registry",
        "the digest that it is about",
        "evidence was attached",
        {"kind": "provenance, sbom, …", "evidence": "its own digest"} | _BY,
    ),
}
