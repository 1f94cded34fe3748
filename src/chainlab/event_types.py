"""The types of events that services append, and the fields of each: what a detection may ask about.

    >>> EVENT_TYPES["artifact.published"].fields["run"]
    'the run whose job published it; null when no run did'

What is absent, compared or different is computed when the event is written, so that a rule about one event can match
it: a rule language has no word for "and nothing happened before".

Units: ``…_s`` is seconds, ``…_b`` bytes; ``hour`` is 0 to 23 and ``weekday`` 1 (Monday) to 7, both in UTC. A field that
does not apply is null. Types are written here without ``dev.chainlab.``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COMMON", "EVENT_TYPES", "EventType"]


@dataclass(frozen=True)
class EventType:
    """One type of event: who writes it, what its subject is, and its fields with their meaning."""

    source: str
    subject: str
    meaning: str
    fields: Mapping[str, str]


# Every event has these, whatever its type.
COMMON: Mapping[str, str] = {
    "type": "the event's type, without dev.chainlab.",
    "source": "the service that wrote it",
    "subject": "what it is about",
    "time": "real time, RFC 3339",
    "scenario_time": "the drill's time, RFC 3339; null outside a drill",
    "timestamp": "scenario time where there is one, else real time",
    "hour": "of the timestamp, 0 to 23, UTC",
    "weekday": "of the timestamp, 1 (Monday) to 7, UTC",
}
_RUN = {
    "run": "the run, as acme/triage-model/runs/3",
    "workflow": "path of the workflow file",
    "event": "what started the run: push, pull_request, …",
    "ref": "the ref it ran for",
    "commit": "the commit it ran for",
    "actor": "who started it",
    "control": "what kept its jobs from the network",
}
_JOB = {"run": "the run", "job": "the job's name in the workflow"}
_RELEASE = {
    "reference": "the release",
    "artifact": "its name",
    "model": "digest of the model",
    "files": "digest of the list of its installed files",
    "summary": "digest of the verdict that it was admitted by",
    "before": "the release that ran before",
}
_BY = {"by": "who did it, as the credential says"}

EVENT_TYPES: Mapping[str, EventType] = {
    # -- CI
    "change.pushed": EventType(
        "/ci/git",
        "the repository",
        "a ref was created, moved or deleted",
        {
            "ref": "the full name of the ref",
            "old": "the commit before; zeros for a new ref",
            "new": "the commit now; zeros for a deleted ref",
            "who": "who pushed",
            "kind": "tag or branch",
            "moved": "whether a ref that existed points elsewhere now, other than forward along a branch",
            "age_s": "how long the ref had pointed to the old commit; null when unknown",
            "batch": "how many tags this push moved or deleted",
        },
    ),
    "pipelinerun.started": EventType("/ci", "the run", "a workflow run began", _RUN),
    "pipelinerun.finished": EventType(
        "/ci", "the run", "a workflow run ended", _RUN | {"result": "success, failure or skipped"}
    ),
    "taskrun.started": EventType("/ci", "the job", "a job began", _JOB | {"permissions": "the scopes of its token"}),
    "taskrun.finished": EventType(
        "/ci",
        "the job",
        "a job ended",
        _JOB
        | {
            "result": "success, failure or skipped",
            "why": "why it failed",
            "provenance": "digest of its provenance",
            "milliseconds": "how long it took",
        },
    ),
    "step.finished": EventType(
        "/ci",
        "the job",
        "a step ended",
        _JOB | {"step": "its name", "result": "success, failure or skipped", "milliseconds": "how long it took"},
    ),
    # -- credentials
    "token.issued": EventType(
        "/credentials",
        "who holds it",
        "a credential was issued to a job or a person",
        {
            "token": "the first 12 hex digits of its SHA-256",
            "run": "the run whose job holds it; null for a person's",
            "job": "the job that holds it; null for a person's",
            "grants": "what it may do",
            "lifetime_s": "how long it is valid; null without an end of its own",
        },
    ),
    "token.used": EventType(
        "/credentials",
        "who holds it",
        "a credential was accepted for a write",
        {
            "token": "as in token.issued",
            "run": "the run whose job holds it; null for a person's",
            "service": "where it was used: index, oci, git, …",
            "outside": "whether a job's token came from an address that is not its job's",
        },
    ),
    "token.refused": EventType(
        "/credentials",
        "who held it; unknown when the secret names nobody",
        "a credential was refused",
        {
            "token": "as in token.issued",
            "run": "the run whose job held it; null for a person's",
            "service": "where it was presented",
            "reason": "unknown, expired, revoked or job ended",
            "outside": "whether it was a job's token, presented when the job had ended or from another address",
        },
    ),
    # -- registry
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
            "run": "the run whose job published it; null when no run did",
            "job": "the job that published it",
            "run_failed": "whether a job of that run had failed by then; null without a run",
            "attested": "whether it came with an attestation",
            "attestation_lost": "whether the version before was attested and this one is not",
            "identity": "the identity that signed the attestation",
            "identity_before": "the identity of the version before",
            "identity_changed": "whether the identity differs from the version before",
            "since_last_s": "time since the project's version before; null for the first",
            "versions_in_10min": "how many versions of the project the last ten minutes brought, this one included",
            "size": "bytes",
            "size_ratio": "size of this wheel by the size of the version before; null for the first",
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
            "age_s": "time since its upload",
            "origin": "internal or upstream",
        },
    ),
    "artifact.promoted": EventType(
        "/registry",
        "the digest",
        "an artifact entered a channel",
        {"kind": "package or oci", "name": "the artifact", "from": "the channel before", "to": "the channel"} | _BY,
    ),
    "artifact.quarantined": EventType(
        "/registry",
        "the digest",
        "a digest was put into quarantine",
        {"reason": "why", "counted": "whether a recorded verdict rests on it, or it is in prod"} | _BY,
    ),
    "artifact.deleted": EventType(
        "/registry",
        "the digest, or the project",
        "a file, a manifest or a tag was deleted",
        {
            "project": "the project",
            "repository": "the OCI repository",
            "tag": "the tag, when only a tag was deleted",
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
    # -- gate and deployment
    "gate.answered": EventType(
        "/gate",
        "the release's digest",
        "the gate gave a verdict",
        {
            "reference": "the release",
            "allowed": "whether it may go to prod",
            "refused": "the rules that refused it",
            "excepted": "the rules that an exception let pass",
            "exception_ends_s": "time until the first of those exceptions ends; null without one",
            "policy": "digest of the policy",
            "seconds": "how long the verdict took",
        },
    ),
    "gate.failed": EventType(
        "/gate", "the release's digest", "the gate could not judge", {"reference": "the release", "why": "what failed"}
    ),
    "service.deployed": EventType(
        "/deploy",
        "the release's digest",
        "a release was deployed",
        _RELEASE,
    ),
    "service.rolledback": EventType(
        "/deploy",
        "the release's digest",
        "the deployment went back to an earlier release",
        _RELEASE,
    ),
    "service.restarted": EventType(
        "/deploy",
        "the release's digest",
        "the service was started again from the files that are installed",
        {key: _RELEASE[key] for key in ("reference", "model", "files")},
    ),
    # -- the monitor's own
    "artifact.inspected": EventType(
        "/monitor",
        "the wheel's digest",
        "a published wheel was compared with its source",
        {
            "project": "the project",
            "version": "the version",
            "compared": "whether there was a source to compare with",
            "why": "why it was not compared",
            "new_files": "files that the source does not have",
            "startup_files": "those among them that every start of Python runs",
            "changed_files": "files that differ from the source",
        },
    ),
    "dependencies.compared": EventType(
        "/monitor",
        "the release's digest",
        "a release's SBOM was compared with that of the release before",
        {
            "name": "the release's name",
            "before": "the digest of the release before; null for the first",
            "added": "purls that are new",
            "added_transitive": "those among them that the project does not require itself",
            "changed": "components with another version",
            "rehashed": "components with other bytes under the same version",
        },
    ),
    "log.watched": EventType(
        "/monitor",
        "the log's origin",
        "the log monitor compared a log with what it remembers",
        {
            "size": "entries of the tree",
            "entries": "entries read this time",
            "skipped": "entries that were not read",
            "consistent": "whether the tree extends the one seen before; null when unknown",
            "split": "whether another observer saw another tree of this size",
            "answered": "whether the log answered",
            "why": "what is wrong",
        },
    ),
    "log.identity": EventType(
        "/monitor",
        "the identity in the certificate",
        "an entry of a log was signed by an identity that is watched",
        {
            "log": "the log's origin",
            "index": "the entry's index",
            "issuer": "the certificate's issuer",
            "workflow": "build config URI of the certificate",
            "commit": "source commit of the certificate",
            "expected": "whether the watch list expects it",
        },
    ),
    "service.behaved": EventType(
        "/monitor",
        "the release's digest",
        "the running service did something that its hook reports",
        {
            "reference": "the release",
            "action": "process, connect, listen, read, write, code or load",
            "target": "what it acted on",
            "expected": "whether the release's attested behaviour includes it",
            "phase": "startup, load or serving",
        },
    ),
    "service.reverified": EventType(
        "/monitor",
        "the release's digest",
        "what runs was verified again",
        {
            "reference": "the release",
            "verified": "whether it would be admitted now",
            "cause": "revoked, advisory, bytes, runtime or unreachable; null when verified",
            "why": "what changed",
            "action": "none, reported or rolledback",
        },
    ),
    "monitor.heartbeat": EventType(
        "/monitor",
        "what was asked: gate, index, log, service",
        "the monitor asked a part whether it still answers",
        {"answered": "whether it did", "seconds": "how long it took", "silent_s": "time since its last answer"},
    ),
}
