"""Events of the CI host and of credentials."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.event_types.event_type import EventType

__all__ = ["PIPELINE"]

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
_CACHE = {
    "repository": "whose jobs use the cache",
    "scope": "the ref whose cache it is",
    "key": "the entry's key",
    "version": "digest of the paths that it holds",
    "digest": "of the entry's bytes",
    "size": "bytes",
    "who": "the job, as the credential says",
}
_PULL = {"repository": "the repository", "number": "of the pull request", "who": "who wrote it"}

PIPELINE: Mapping[str, EventType] = {
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
    "pull.labelled": EventType("/ci/pulls", "the pull request", "a label was set", _PULL | {"label": "the label"}),
    "pull.commented": EventType("/ci/pulls", "the pull request", "a comment was written", _PULL | {"comment": "it"}),
    "cache.saved": EventType("/ci/cache", "the repository", "a job stored an entry of the cache", _CACHE),
    "cache.restored": EventType(
        "/ci/cache",
        "the repository",
        "a job was given an entry of the cache",
        _CACHE | {"asked": "the key that it asked for first", "who": "the job that was given it"},
    ),
    "artifact.packaged": EventType(
        "/ci/artifacts",
        "the run's number and the artifact's name",
        "a job left an artifact for later jobs",
        {
            "run": "the run's number",
            "name": "the artifact",
            "digest": "of its tar",
            "size": "bytes of the tar",
            "files": "how many files it holds",
            "who": "the job",
            "replaced": "digest of the artifact of that name before; null for a new one",
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
    "token.issued": EventType(
        "/credentials",
        "who holds it",
        "a credential was issued to a job or a person",
        {
            "token": "the first 12 hex digits of its SHA-256",
            "run": "the run whose job holds it; null for a person's",
            "job": "the job that holds it; null for a person's",
            "grants": "what it may do; of an identity token, whom it is for",
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
            "job": "the job that holds it; null for a person's",
            "service": "index, oci, channels, git, cache, artifacts, pulls, issuer (of identity tokens) or authority",
            "outside": "whether a job's token came from an address that is not its job's; null where jobs have none",
        },
    ),
    "token.refused": EventType(
        "/credentials",
        "who held it; unknown when the secret names nobody",
        "a credential was refused",
        {
            "token": "as in token.issued",
            "run": "the run whose job held it; null for a person's",
            "job": "the job that held it; null for a person's",
            "service": "where it was presented: as in token.used",
            "reason": "unknown, expired, revoked or job ended",
            "outside": "whether a job's token was presented when the job had ended or from another address; else null",
        },
    ),
}
