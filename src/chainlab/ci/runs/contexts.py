"""The contexts and status functions of a job's expressions, as far as the host knows them before the job runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chainlab.ci.runs.event_payload import TriggerEvent, claims, payload, variables
from chainlab.ci.runs.run_record import JobRun
from chainlab.ci.workflows.inputs import typed
from chainlab.ci.workflows.workflow import Workflow
from chainlab.trust.issuer import GIT_SERVER

__all__ = ["contexts", "functions", "lacking"]

LACKING = (
    "ref_protected", "repository_id", "repository_owner_id", "repositoryurl", "triggering_actor", "workflow",
    "workflow_ref", "workflow_sha",
)  # fmt: skip
RUNNER = {"name": "chainlab", "environment": "self-hosted"}


def contexts(
    trigger: TriggerEvent, workflow: Workflow, configured: Mapping[str, str], needed: Mapping[str, JobRun]
) -> dict[str, Any]:
    """The contexts ``github``, ``inputs``, ``vars`` and ``needs`` of a job that needs the jobs ``needed``."""
    environment = variables(trigger, workflow.path, workflow.name)
    github: dict[str, Any] = {name.removeprefix("GITHUB_").lower(): value for name, value in environment.items()}
    identity = claims(trigger, workflow.path, workflow.name)
    github |= {
        "event": payload(trigger),
        "event_name": trigger.origin.event,
        "ref_protected": github["ref_protected"] == "true",
        "repository_id": identity["repository_id"],
        "repository_owner_id": identity["repository_owner_id"],
        "repositoryurl": f"{GIT_SERVER.replace('https:', 'git:')}/{trigger.repository}.git",
    }
    return {
        "github": github,
        "inputs": typed(workflow, trigger.origin.event, trigger.inputs or {}),
        "vars": dict(configured),
        "needs": {name: {"result": job.counted, "outputs": dict(job.outputs)} for name, job in needed.items()},
    }


def lacking(job_contexts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The values of `contexts` that `act` lacks or sets differently, by folded names."""
    github = job_contexts.get("github", {})
    return {"github": {name: github[name] for name in LACKING if name in github}, "runner": RUNNER}


def functions(ancestors: Iterable[JobRun]) -> dict[str, Callable[..., bool]]:
    """The status functions of a job's ``if``; ``ancestors`` are all jobs before it in its chain of ``needs``.

    GitHub Docs, jobs.<job_id>.needs: "a failure or skip applies to all jobs in the dependency chain from the point of
    failure or skip onwards".
    """
    results = [job.counted for job in ancestors]
    return {
        "always": lambda *names: True,
        "cancelled": lambda *names: "cancelled" in results,
        "failure": lambda *names: "failure" in results,
        "success": lambda *names: all(result == "success" for result in results),
    }
