"""The event that starts a run: its payload, the ``GITHUB_*`` variables, and the claims of identity tokens.

The host computes everything except names, titles and texts, which the author of a pull request chooses freely. Field
names are the platform's (GitHub Docs, "Webhook events and payloads", "Variables reference").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.ci.runs.rights import Origin
from chainlab.digests import Digest
from chainlab.trust.issuer import GIT_SERVER

__all__ = ["PullRequestHead", "TriggerEvent", "claims", "payload", "variables"]


@dataclass(frozen=True)
class PullRequestHead:
    """The author's side of a pull request."""

    number: int
    title: str
    repository: str  # "mallory/triage-model"
    branch: str
    commit: str  # 40 hex digits
    author: str
    base_commit: str
    merge_commit: str
    body: str = ""


@dataclass(frozen=True)
class TriggerEvent:
    """An event, and the commit that runs because of it."""

    origin: Origin
    repository: str  # "acme/triage-model"
    commit: str  # GITHUB_SHA
    actor: str
    run: int
    default_branch: str = "main"
    internal: bool = True
    previous: str = "0" * 40
    message: str = ""
    cron: str = ""
    inputs: Mapping[str, str] | None = None
    pull: PullRequestHead | None = None


def payload(trigger: TriggerEvent) -> dict[str, Any]:
    """The event's JSON, with the fields that workflows read."""
    repository = _repository(trigger.repository, trigger)
    owner = repository["owner"]
    document: dict[str, Any] = {
        "repository": repository,
        "organization": {"login": owner["login"]},
        "sender": {"login": trigger.actor, "type": "User"},
    }
    event = trigger.origin.event
    if event == "push":
        head = {"id": trigger.commit, "message": trigger.message, "author": {"name": trigger.actor}}
        document |= {
            "ref": trigger.origin.ref,
            "before": trigger.previous,
            "after": trigger.commit,
            "created": trigger.previous == "0" * 40,
            "deleted": False,
            "forced": False,
            "pusher": {"name": trigger.actor},
            "head_commit": head,
            "commits": [head],
        }
    elif trigger.pull is not None:
        pull = trigger.pull
        document |= {
            "action": "opened",
            "number": pull.number,
            "pull_request": {
                "number": pull.number,
                "title": pull.title,
                "body": pull.body,
                "state": "open",
                "draft": False,
                "merged": False,
                "user": {"login": pull.author},
                "author_association": "NONE" if trigger.origin.fork else "MEMBER",
                "labels": [],
                "merge_commit_sha": pull.merge_commit,
                "head": _side(pull.repository, pull.branch, pull.commit, trigger),
                "base": _side(
                    trigger.repository,
                    trigger.origin.base.removeprefix("refs/heads/"),
                    pull.base_commit,
                    trigger,
                ),
            },
        }
    elif event == "schedule":
        document |= {"schedule": trigger.cron}
    else:
        document |= {"ref": trigger.origin.ref, "inputs": dict(trigger.inputs or {})}
    return document


def variables(trigger: TriggerEvent, workflow: str, name: str) -> dict[str, str]:
    """The ``GITHUB_*`` variables of a run; ``workflow`` is the file's path, ``name`` the workflow's own name."""
    ref = trigger.origin.ref
    pull = trigger.pull
    return {
        "GITHUB_REPOSITORY": trigger.repository,
        "GITHUB_REPOSITORY_OWNER": trigger.repository.partition("/")[0],
        "GITHUB_REF": ref,
        "GITHUB_REF_NAME": ref.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/pull/"),
        "GITHUB_REF_TYPE": "tag" if ref.startswith("refs/tags/") else "branch",
        "GITHUB_REF_PROTECTED": "true" if ref == trigger.origin.default else "false",
        "GITHUB_SHA": trigger.commit,
        "GITHUB_HEAD_REF": pull.branch if pull else "",
        "GITHUB_BASE_REF": trigger.origin.base.removeprefix("refs/heads/") if pull else "",
        "GITHUB_ACTOR": trigger.actor,
        "GITHUB_TRIGGERING_ACTOR": trigger.actor,
        "GITHUB_SERVER_URL": GIT_SERVER,
        "GITHUB_RUN_ID": str(trigger.run),
        "GITHUB_RUN_NUMBER": str(trigger.run),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_WORKFLOW": name,
        "GITHUB_WORKFLOW_REF": f"{trigger.repository}/{workflow}@{ref}",
        "GITHUB_WORKFLOW_SHA": trigger.commit,  # no event here takes the two from different commits
    }


def claims(
    trigger: TriggerEvent,
    workflow: str,
    name: str,
    *,
    environment: str = "",
    called: str = "",
    called_commit: str = "",
) -> dict[str, str]:
    """The claims of a job's identity token (GitHub Docs, "OpenID Connect reference").

    ``called`` is the reusable workflow that the job calls, as ``owner/repo/path@ref``, and ``called_commit`` the
    commit behind that ref; both are empty if it calls none.
    """
    environment_variables = variables(trigger, workflow, name)
    ref = environment_variables["GITHUB_REF"]
    if environment:
        subject = f"repo:{trigger.repository}:environment:{environment.replace(':', '%3A')}"
    elif trigger.pull and trigger.origin.event == "pull_request":
        subject = f"repo:{trigger.repository}:pull_request"
    else:
        subject = f"repo:{trigger.repository}:ref:{ref}"
    job_claims = {
        "sub": subject,
        "repository": trigger.repository,
        "repository_owner": environment_variables["GITHUB_REPOSITORY_OWNER"],
        "repository_id": _number(trigger.repository),
        "repository_owner_id": _number(environment_variables["GITHUB_REPOSITORY_OWNER"]),
        "repository_visibility": "internal" if trigger.internal else "public",
        "ref": ref,
        "ref_type": environment_variables["GITHUB_REF_TYPE"],
        "sha": trigger.commit,
        "workflow": name,
        "workflow_ref": environment_variables["GITHUB_WORKFLOW_REF"],
        "workflow_sha": environment_variables["GITHUB_WORKFLOW_SHA"],
        "job_workflow_ref": called or environment_variables["GITHUB_WORKFLOW_REF"],
        "job_workflow_sha": called_commit or environment_variables["GITHUB_WORKFLOW_SHA"],
        "event_name": trigger.origin.event,
        "actor": trigger.actor,
        "run_id": environment_variables["GITHUB_RUN_ID"],
        "run_number": environment_variables["GITHUB_RUN_NUMBER"],
        "run_attempt": "1",
        "runner_environment": "self-hosted",
        "head_ref": environment_variables["GITHUB_HEAD_REF"],
        "base_ref": environment_variables["GITHUB_BASE_REF"],
    }
    return job_claims | ({"environment": environment} if environment else {})


def _repository(full_name: str, trigger: TriggerEvent) -> dict[str, Any]:
    owner, _, name = full_name.partition("/")
    return {
        "name": name,
        "full_name": full_name,
        "owner": {"login": owner},
        "default_branch": trigger.default_branch,
        "private": trigger.internal,
        "visibility": "internal" if trigger.internal else "public",
        "fork": full_name != trigger.repository,
        "html_url": f"{GIT_SERVER}/{full_name}",
        "clone_url": f"{GIT_SERVER}/{full_name}.git",
    }


def _side(full_name: str, branch: str, commit: str, trigger: TriggerEvent) -> dict[str, Any]:
    return {
        "label": f"{full_name.partition('/')[0]}:{branch}",
        "ref": branch,
        "sha": commit,
        "repo": _repository(full_name, trigger),
        "user": {"login": full_name.partition("/")[0]},
    }


def _number(name: str) -> str:
    """A stable number for a name: the platform's ids survive a renaming."""
    return str(int.from_bytes(Digest.of(name.encode()).value[:4], "big"))
