"""What a run is told about its event: the payload, and the ``GITHUB_*`` variables.

The host computes all of it; nothing comes from the project but names, titles and texts, which whoever opens a pull
request chooses freely. Field names are the platform's (GitHub Docs, "Webhook events and payloads", "Variables
reference").
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
    """A pull request as its author made it."""

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
    """What happened, and which commit runs because of it."""

    origin: Origin
    repository: str  # "acme/triage-model"
    commit: str  # what GITHUB_SHA says
    actor: str
    run: int
    default_branch: str = "main"
    internal: bool = True
    previous: str = "0" * 40
    message: str = ""
    cron: str = ""
    inputs: Mapping[str, str] | None = None
    pull: PullRequestHead | None = None


def payload(change: TriggerEvent) -> dict[str, Any]:
    """The event's JSON, complete as far as workflows read it."""
    repository = _repository(change.repository, change)
    owner = repository["owner"]
    document: dict[str, Any] = {
        "repository": repository,
        "organization": {"login": owner["login"]},
        "sender": {"login": change.actor, "type": "User"},
    }
    event = change.origin.event
    if event == "push":
        head = {"id": change.commit, "message": change.message, "author": {"name": change.actor}}
        document |= {
            "ref": change.origin.ref,
            "before": change.previous,
            "after": change.commit,
            "created": change.previous == "0" * 40,
            "deleted": False,
            "forced": False,
            "pusher": {"name": change.actor},
            "head_commit": head,
            "commits": [head],
        }
    elif change.pull is not None:
        pull = change.pull
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
                "author_association": "NONE" if change.origin.fork else "MEMBER",
                "labels": [],
                "merge_commit_sha": pull.merge_commit,
                "head": _side(pull.repository, pull.branch, pull.commit, change),
                "base": _side(
                    change.repository,
                    change.origin.base.removeprefix("refs/heads/"),
                    pull.base_commit,
                    change,
                ),
            },
        }
    elif event == "schedule":
        document |= {"schedule": change.cron}
    else:
        document |= {"ref": change.origin.ref, "inputs": dict(change.inputs or {})}
    return document


def variables(change: TriggerEvent, workflow: str, name: str) -> dict[str, str]:
    """The ``GITHUB_*`` variables of a run of the workflow file ``workflow``, which calls itself ``name``."""
    ref = change.origin.ref
    pull = change.pull
    return {
        "GITHUB_REPOSITORY": change.repository,
        "GITHUB_REPOSITORY_OWNER": change.repository.partition("/")[0],
        "GITHUB_REF": ref,
        "GITHUB_REF_NAME": ref.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/pull/"),
        "GITHUB_REF_TYPE": "tag" if ref.startswith("refs/tags/") else "branch",
        "GITHUB_REF_PROTECTED": "true" if ref == change.origin.default else "false",
        "GITHUB_SHA": change.commit,
        "GITHUB_HEAD_REF": pull.branch if pull else "",
        "GITHUB_BASE_REF": change.origin.base.removeprefix("refs/heads/") if pull else "",
        "GITHUB_ACTOR": change.actor,
        "GITHUB_TRIGGERING_ACTOR": change.actor,
        "GITHUB_SERVER_URL": GIT_SERVER,
        "GITHUB_RUN_ID": str(change.run),
        "GITHUB_RUN_NUMBER": str(change.run),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_WORKFLOW": name,
        "GITHUB_WORKFLOW_REF": f"{change.repository}/{workflow}@{ref}",
        "GITHUB_WORKFLOW_SHA": change.commit,  # no event here takes the two from different commits
    }


def claims(
    change: TriggerEvent,
    workflow: str,
    name: str,
    *,
    environment: str = "",
    called: str = "",
    called_commit: str = "",
) -> dict[str, str]:
    """What the job's identity token says (GitHub Docs, "OpenID Connect reference").

    ``called`` is the reusable workflow that the job calls, as ``owner/repo/path@ref``, and ``called_commit`` the
    commit behind that ref; both are empty for none.
    """
    given = variables(change, workflow, name)
    ref = given["GITHUB_REF"]
    if environment:
        subject = f"repo:{change.repository}:environment:{environment.replace(':', '%3A')}"
    elif change.pull and change.origin.event == "pull_request":
        subject = f"repo:{change.repository}:pull_request"
    else:
        subject = f"repo:{change.repository}:ref:{ref}"
    found = {
        "sub": subject,
        "repository": change.repository,
        "repository_owner": given["GITHUB_REPOSITORY_OWNER"],
        "repository_id": _number(change.repository),
        "repository_owner_id": _number(given["GITHUB_REPOSITORY_OWNER"]),
        "repository_visibility": "internal" if change.internal else "public",
        "ref": ref,
        "ref_type": given["GITHUB_REF_TYPE"],
        "sha": change.commit,
        "workflow": name,
        "workflow_ref": given["GITHUB_WORKFLOW_REF"],
        "workflow_sha": given["GITHUB_WORKFLOW_SHA"],
        "job_workflow_ref": called or given["GITHUB_WORKFLOW_REF"],
        "job_workflow_sha": called_commit or given["GITHUB_WORKFLOW_SHA"],
        "event_name": change.origin.event,
        "actor": change.actor,
        "run_id": given["GITHUB_RUN_ID"],
        "run_number": given["GITHUB_RUN_NUMBER"],
        "run_attempt": "1",
        "runner_environment": "self-hosted",
        "head_ref": given["GITHUB_HEAD_REF"],
        "base_ref": given["GITHUB_BASE_REF"],
    }
    return found | ({"environment": environment} if environment else {})


def _repository(full_name: str, change: TriggerEvent) -> dict[str, Any]:
    owner, _, name = full_name.partition("/")
    return {
        "name": name,
        "full_name": full_name,
        "owner": {"login": owner},
        "default_branch": change.default_branch,
        "private": change.internal,
        "visibility": "internal" if change.internal else "public",
        "fork": full_name != change.repository,
        "html_url": f"{GIT_SERVER}/{full_name}",
        "clone_url": f"{GIT_SERVER}/{full_name}.git",
    }


def _side(full_name: str, branch: str, commit: str, change: TriggerEvent) -> dict[str, Any]:
    return {
        "label": f"{full_name.partition('/')[0]}:{branch}",
        "ref": branch,
        "sha": commit,
        "repo": _repository(full_name, change),
        "user": {"login": full_name.partition("/")[0]},
    }


def _number(name: str) -> str:
    """A stable number for a name, as the platform has ids that survive a renaming."""
    return str(int.from_bytes(Digest.of(name.encode()).value[:4], "big"))
