"""Provenance of a job, made by the host: SLSA provenance v1 in an in-toto statement, in a Sigstore bundle.

No step of the job writes any of it. The host lists what it saw itself: the workflow file and commit, the commit of
each action, the packages that the index served to the job's address, and the digests of what the job stored. It signs
with an identity of its own, which no job can ask for.

What a job that failed stored has provenance too, which says so: `RESULT` is an extension field of the run's metadata,
``success`` or the word that the platform has for another end. Who takes files over demands a success.

It claims Build L1 and nothing above: on a laptop whoever runs the host holds its keys (SLSA v1.2, "Build track").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chainlab.ci.runs.event_payload import TriggerEvent
from chainlab.digests import Digest
from chainlab.evidence import signing
from chainlab.evidence.statements import PROVENANCE, Statement
from chainlab.evidence.verifying import RESULT
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

if TYPE_CHECKING:
    from chainlab.trust.client import Trust

__all__ = ["BUILDER", "BUILD_TYPE", "SIGNER", "invocation", "sign", "statement"]

BUILD_TYPE = f"{CI_ISSUER}/workflow/v1"
BUILDER = f"{CI_ISSUER}/host/build-l1"  # a consumer maps a builder's id to a level: this one is L1
HOST_WORKFLOW = "chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main"
SIGNER = f"{GIT_SERVER}/{HOST_WORKFLOW}"  # what the certificate names


def statement(
    change: TriggerEvent,
    workflow: str,
    job: str,
    *,
    subjects: Mapping[str, Digest],
    actions: Mapping[str, str],
    packages: Iterable[tuple[str, str, str]],
    started: str,
    finished: str,
    result: str,
) -> Statement:
    """The statement about ``subjects``, which the job stored before it ended with ``result``.

    ``actions`` map ``owner/repo@ref`` to a commit; ``packages`` are (project, file, ``sha256:…``); times are RFC 3339.
    """
    source = f"git+{GIT_SERVER}/{change.repository}@{change.origin.ref}"
    used: list[dict[str, Any]] = [{"uri": source, "digest": {"gitCommit": change.commit}}]
    for reference, commit in sorted(actions.items()):
        used.append({"uri": f"git+{GIT_SERVER}/{reference}", "digest": {"gitCommit": commit}})
    for project, file, digest in sorted(set(packages)):
        used.append({"uri": f"pkg:pypi/{project}", "name": file, "digest": _digest_set(digest)})
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "workflow": {
                    "repository": f"{GIT_SERVER}/{change.repository}",
                    "ref": change.origin.ref,
                    "path": workflow,
                },
                "inputs": dict(change.inputs or {}),
            },
            "internalParameters": {
                "event_name": change.origin.event,
                "actor": change.actor,
                "fork": change.origin.fork,
                "job": job,
            },
            "resolvedDependencies": used,
        },
        "runDetails": {
            "builder": {"id": BUILDER},
            "metadata": {
                "invocationId": invocation(change.repository, change.run),
                "startedOn": started,
                "finishedOn": finished,
                RESULT: result,
            },
        },
    }
    return Statement.about(subjects, PROVENANCE, predicate)


def invocation(repository: str, run: int | str) -> str:
    """The name of a run in provenance."""
    return f"{GIT_SERVER}/{repository}/actions/runs/{run}/attempts/1"


def sign(said: Statement, trust: Trust) -> bytes:
    """The statement in a signed Sigstore bundle; the signer is the host."""
    return signing.sign_as(HOST_WORKFLOW, said, trust)


def _digest_set(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
