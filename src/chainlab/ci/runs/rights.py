"""What a run and its jobs may do: secrets, tokens, identity, caches, and which commit runs, by event and origin.

    effective_permissions   what the platform gives a run, before the workflow's own `permissions` narrow it
    permissions             the level of each scope for one job
    token_grants            what the job's GITHUB_TOKEN opens, in the words of the services that check it
    runtime_grants          what its ACTIONS_RUNTIME_TOKEN opens

This is the platform's table, as its documentation gives it (docs/ci-platform.md cites it cell by cell; a test fixes
each cell). One rule changed with time; the older one can be chosen, because documented attacks need it:

    before-2026-06-26  a run of ``pull_request_target`` may write the cache of the default branch
    current            it may only read it

    >>> fork = Origin("pull_request", fork=True, ref="refs/pull/7/merge", base="refs/heads/main")
    >>> effective_permissions(fork).secrets, effective_permissions(fork).cap
    (False, 'read')

`chainlab.ci.runs.job_access` issues the tokens and picks the secrets; `chainlab.trust.lifetimes` has the lifetimes.

A new event needs its name in `EVENTS`, its case in `effective_permissions` and in `event_payload.payload`, and, if it
has filters, in `Workflow.triggered`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.errors import MalformedInput

__all__ = [
    "CACHE_RULES",
    "EVENTS",
    "SCOPES",
    "Origin",
    "Rights",
    "effective_permissions",
    "permissions",
    "runtime_grants",
    "token_grants",
]

EVENTS = ("push", "pull_request", "pull_request_target", "schedule", "workflow_dispatch")
CACHE_RULES = ("current", "before-2026-06-26")
# The scopes of the platform's token that something here checks; the others are carried and do nothing.
SCOPES = (
    "actions", "artifact-metadata", "attestations", "checks", "contents", "deployments", "discussions", "id-token",
    "issues", "models", "packages", "pages", "pull-requests", "repository-projects", "security-events", "statuses",
)  # fmt: skip
NEWER = ("code-quality", "copilot-requests", "drives", "vulnerability-alerts")  # where a workflow names them
LEVELS = ("none", "read", "write")
CHECKED = ("contents", "pull-requests", "issues")  # scopes whose services know read and write


@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    event: str
    fork: bool = False  # the head of the pull request lies in another repository
    ref: str = "refs/heads/main"  # what GITHUB_REF says
    base: str = "refs/heads/main"  # the branch that a pull request wants to change
    default: str = "refs/heads/main"  # the default branch


@dataclass(frozen=True)
class Rights:
    """What the platform gives a run, before the workflow's own ``permissions`` narrow it."""

    secrets: bool  # and variables: the repository's and, where it names one, the environment's
    cap: str  # the highest level of any scope: "read" or "write"
    identity: bool  # whether `id-token: write` is honoured
    workflow: str  # whose workflow file runs: "head", "merge" or "default"
    checkout: str  # what GITHUB_SHA is: "head", "merge" or "default"
    cache_read: tuple[str, ...]  # scopes, in the order of search
    cache_write: str | None  # the scope that new entries go to; None = read only
    environment_ref: str  # the ref that an environment's rules are held against


def effective_permissions(origin: Origin, rule: str = "current") -> Rights:
    """Say what the platform gives a run of ``origin``, under one of `CACHE_RULES`.

    Raises `MalformedInput` for an unknown event or rule.
    """
    if origin.event not in EVENTS or rule not in CACHE_RULES:
        raise MalformedInput(
            f"unknown event or cache rule: {origin.event!r}, {rule!r}",
            hint=f"events: {', '.join(EVENTS)}; rules: {', '.join(CACHE_RULES)}",
        )
    if origin.event == "pull_request":
        return Rights(
            secrets=not origin.fork,
            cap="read" if origin.fork else "write",
            identity=not origin.fork,
            workflow="merge",
            checkout="merge",
            cache_read=_once(origin.ref, origin.base, origin.default),
            cache_write=origin.ref,
            environment_ref=origin.ref,
        )
    if origin.event == "pull_request_target":
        return Rights(
            secrets=True,  # of the base repository, whoever opened the pull request
            cap="write",
            identity=True,
            workflow="default",
            checkout="default",
            cache_read=(origin.default,),
            cache_write=origin.default if rule == "before-2026-06-26" else None,
            environment_ref=origin.default,
        )
    at_default = origin.event == "schedule"
    ref = origin.default if at_default else origin.ref
    return Rights(
        secrets=True,
        cap="write",
        identity=True,
        workflow="default" if at_default else "head",
        checkout="default" if at_default else "head",
        cache_read=_once(ref, origin.default),
        cache_write=ref,
        environment_ref=ref,
    )


def permissions(workflow: Any, job: Any, rights: Rights, *, default: str = "read") -> Mapping[str, str]:
    """The level of every scope for one job: scope to "none", "read" or "write".

    ``workflow`` and ``job`` are the values of their ``permissions`` keys, None for an absent one; a job's replaces the
    workflow's. ``default`` is the repository's setting for workflows without any: "read" gives contents and packages,
    "write" everything but identity. Raises `MalformedInput` for an unknown scope or level.
    """
    block = job if job is not None else workflow
    if block is None:
        levels = (
            {scope: "write" for scope in SCOPES if scope != "id-token"}
            if default == "write"
            else {"contents": "read", "packages": "read"}
        )
    elif block in ("read-all", "write-all"):
        levels = dict.fromkeys(SCOPES, block.removesuffix("-all"))
        if block == "read-all":
            levels["id-token"] = "none"  # it has no level below write
    elif isinstance(block, Mapping) or block == "":
        levels = {str(scope): str(level) for scope, level in dict(block or {}).items()}
    else:
        raise MalformedInput(f"permissions cannot be {block!r}", hint="write scopes, or {}")
    for scope, level in levels.items():
        if scope not in (*SCOPES, *NEWER) or level not in LEVELS:
            raise MalformedInput(
                f"permissions: {scope}: {level} is unknown",
                hint=f"scopes: {', '.join(SCOPES)}; levels: {', '.join(LEVELS)}",
            )
    cap = LEVELS.index(rights.cap)
    capped = {scope: LEVELS[min(LEVELS.index(level), cap)] for scope, level in levels.items()}
    if capped.get("models") == "write":
        capped["models"] = "read"  # it has no level above read
    capped["id-token"] = "write" if levels.get("id-token") == "write" and rights.identity else "none"
    return {scope: capped.get(scope, "none") for scope in (*SCOPES, *(scope for scope in NEWER if scope in levels))}


def token_grants(levels: Mapping[str, str], repository: str) -> list[str]:
    """The grants of a job's GITHUB_TOKEN; ``levels`` are those of `permissions`."""
    grants = [
        f"{scope}:{level}:{repository}"
        for scope in CHECKED
        for level in {"read": ("read",), "write": ("read", "write")}.get(levels[scope], ())
    ]
    if levels["packages"] in ("read", "write"):
        grants.append(f"oci:pull:{repository}")
    if levels["packages"] == "write":
        grants.append(f"oci:push:{repository}")
    return grants


def runtime_grants(rights: Rights, repository: str, run: int) -> list[str]:
    """The grants of a job's ACTIONS_RUNTIME_TOKEN: the run's artifacts, its cache scopes, its repository's evidence."""
    grants = [f"artifacts:read:{run}", f"artifacts:write:{run}"]
    scopes = enumerate(rights.cache_read)  # numbered: the services search in this order
    grants += [f"cache:read:{order}:{repository}:{scope}" for order, scope in scopes]
    if rights.identity:  # not for a fork's pull request, whose files have no provenance either
        grants.append(f"evidence:read:{repository}")
    if rights.cache_write:
        grants.append(f"cache:write:{repository}:{rights.cache_write}")
    return grants


def _once(*scopes: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scopes))
