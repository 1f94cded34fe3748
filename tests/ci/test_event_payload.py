"""What a run is told: the event's JSON, the ``GITHUB_*`` variables and the identity token's claims."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.runs.event_payload import PullRequestHead, TriggerEvent, claims, payload, variables
from chainlab.ci.runs.rights import EVENTS, Origin

DATA = Path(__file__).parents[2] / "data"
MAIN, MERGE = "refs/heads/main", "refs/pull/7/merge"
COMMIT, BASE, HEAD, MERGED = "c" * 40, "b" * 40, "a" * 40, "d" * 40
PULL = PullRequestHead(7, "a title", "mallory/triage-model", "fix", HEAD, "mallory", BASE, MERGED, "a body")
FILE = ".github/workflows/release.yml"
REPOSITORY = "acme/triage-model"


def change(event: str, **fields: Any) -> TriggerEvent:
    is_pull = event.startswith("pull_request")
    ref = fields.pop("ref", MERGE if event == "pull_request" else MAIN)
    return TriggerEvent(
        Origin(event, is_pull, ref, MAIN),
        REPOSITORY,
        MERGED if event == "pull_request" else COMMIT,
        "mallory" if is_pull else "acme",
        12,
        pull=PULL if is_pull else None,
        **fields,
    )


def read(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[part]
    return document


# GitHub Docs, "Webhook events and payloads": what scripts and actions read of each event.
EVERYWHERE: dict[str, object] = {
    "repository.full_name": REPOSITORY,
    "repository.name": "triage-model",
    "repository.owner.login": "acme",
    "repository.default_branch": "main",
    "repository.private": True,
    "repository.visibility": "internal",
    "repository.fork": False,
    "organization.login": "acme",
}
OF_A_PULL: dict[str, object] = {
    "action": "opened",
    "number": 7,
    "pull_request.number": 7,
    "pull_request.title": "a title",
    "pull_request.body": "a body",
    "pull_request.user.login": "mallory",
    "pull_request.author_association": "NONE",
    "pull_request.merge_commit_sha": MERGED,
    "pull_request.head.ref": "fix",
    "pull_request.head.sha": HEAD,
    "pull_request.head.label": "mallory:fix",
    "pull_request.head.repo.full_name": "mallory/triage-model",
    "pull_request.head.repo.fork": True,
    "pull_request.base.ref": "main",
    "pull_request.base.sha": BASE,
    "pull_request.base.repo.full_name": REPOSITORY,
    "sender.login": "mallory",
}
PAYLOADS: dict[str, dict[str, object]] = {
    "push": {
        "ref": MAIN,
        "before": "0" * 40,
        "after": COMMIT,
        "created": True,
        "deleted": False,
        "forced": False,
        "head_commit.id": COMMIT,
        "head_commit.message": "m",
        "pusher.name": "acme",
        "sender.login": "acme",
    },
    "pull_request": OF_A_PULL,
    "pull_request_target": OF_A_PULL,
    "schedule": {"schedule": "17 3 * * 1"},
    "workflow_dispatch": {"ref": MAIN, "inputs": {"recall": "0.9"}},
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_payload_has_what_workflows_read(event: str) -> None:
    document = payload(change(event, message="m", cron="17 3 * * 1", inputs={"recall": "0.9"}))
    assert json.loads(json.dumps(document)) == document
    for path, value in (EVERYWHERE | PAYLOADS[event]).items():
        assert read(document, path) == value, path


def test_everything_that_the_course_s_workflows_read_is_in_the_payload() -> None:
    """Every ``github.event.X`` of the projects and actions is there for one of the events, but for workflow_run's,
    which this host does not have."""
    documents = [payload(change(event, inputs={"recall": "0.9"})) for event in EVENTS]
    texts = [p.read_text(encoding="utf-8") for p in DATA.rglob("*.yml")]
    paths = {m for text in texts for m in re.findall(r"github\.event\.([a-z_.]+[a-z_])", text)}
    assert paths
    for path in paths:
        present = 0
        for document in documents:
            try:
                read(document, path)
                present += 1
            except (KeyError, TypeError):
                pass
        assert present or path.startswith("workflow_run."), path


def test_a_public_repository_says_so() -> None:
    document = payload(change("push", internal=False))
    assert (document["repository"]["private"], document["repository"]["visibility"]) == (
        False,
        "public",
    )
    assert claims(change("push", internal=False), FILE, "r")["repository_visibility"] == "public"


def test_a_member_s_pull_request_is_no_fork() -> None:
    own = replace(PULL, repository=REPOSITORY, author="acme")
    trigger = replace(change("pull_request"), origin=Origin("pull_request", False, MERGE), pull=own)
    document = payload(trigger)["pull_request"]
    assert document["author_association"] == "MEMBER"
    assert not document["head"]["repo"]["fork"]


@given(st.text(), st.text(), st.text())
def test_texts_of_strangers_arrive_unchanged(title: str, body: str, branch: str) -> None:
    trigger = replace(change("pull_request"), pull=replace(PULL, title=title, body=body, branch=branch))
    document = json.loads(json.dumps(payload(trigger)))["pull_request"]
    assert (document["title"], document["body"], document["head"]["ref"]) == (title, body, branch)


# -- variables: GitHub Docs, "Variables reference", "Default environment variables"


@pytest.mark.parametrize(
    ("event", "ref", "expected"),
    [
        ("push", MAIN, {"REF_NAME": "main", "REF_TYPE": "branch", "REF_PROTECTED": "true"}),
        ("push", "refs/heads/a/b", {"REF_NAME": "a/b", "REF_PROTECTED": "false"}),
        ("push", "refs/tags/v1.0.0", {"REF_NAME": "v1.0.0", "REF_TYPE": "tag"}),
        (
            "pull_request",
            MERGE,
            {
                "REF": MERGE,
                "REF_NAME": "7/merge",
                "HEAD_REF": "fix",
                "BASE_REF": "main",
                "SHA": MERGED,
            },
        ),
        (
            "pull_request_target",
            MAIN,
            {"REF": MAIN, "HEAD_REF": "fix", "BASE_REF": "main", "SHA": COMMIT},
        ),
        ("schedule", MAIN, {"HEAD_REF": "", "BASE_REF": "", "SHA": COMMIT}),
    ],
)
def test_variables_are_the_event_s(event: str, ref: str, expected: dict[str, str]) -> None:
    environment_variables = variables(change(event, ref=ref), FILE, "release")
    assert {name: environment_variables[f"GITHUB_{name}"] for name in expected} == expected


@pytest.mark.parametrize("event", EVENTS)
def test_the_workflow_s_commit_is_the_one_that_runs(event: str) -> None:
    trigger = change(event)
    environment_variables = variables(trigger, FILE, "release")
    assert environment_variables["GITHUB_SHA"] == environment_variables["GITHUB_WORKFLOW_SHA"] == trigger.commit
    assert environment_variables["GITHUB_WORKFLOW_REF"] == f"{REPOSITORY}/{FILE}@{trigger.origin.ref}"
    assert environment_variables["GITHUB_REPOSITORY_OWNER"] == "acme"
    assert environment_variables["GITHUB_ACTOR"] == trigger.actor
    assert (environment_variables["GITHUB_RUN_ID"], environment_variables["GITHUB_RUN_ATTEMPT"]) == ("12", "1")


# -- claims: GitHub Docs, "OpenID Connect reference", "Example subject claims"


@pytest.mark.parametrize(
    ("event", "ref", "environment", "subject"),
    [
        ("push", MAIN, "", f"repo:{REPOSITORY}:ref:refs/heads/main"),
        ("push", "refs/tags/v1", "", f"repo:{REPOSITORY}:ref:refs/tags/v1"),
        ("push", "refs/tags/v1", "release", f"repo:{REPOSITORY}:environment:release"),
        ("push", MAIN, "prod:v1", f"repo:{REPOSITORY}:environment:prod%3Av1"),
        ("pull_request", MERGE, "", f"repo:{REPOSITORY}:pull_request"),
        ("pull_request", MERGE, "preview", f"repo:{REPOSITORY}:environment:preview"),
        ("pull_request_target", MAIN, "", f"repo:{REPOSITORY}:ref:refs/heads/main"),
        ("schedule", MAIN, "", f"repo:{REPOSITORY}:ref:refs/heads/main"),
        ("workflow_dispatch", "refs/heads/f", "", f"repo:{REPOSITORY}:ref:refs/heads/f"),
    ],
)
def test_the_subject_is_the_platform_s(event: str, ref: str, environment: str, subject: str) -> None:
    token_claims = claims(change(event, ref=ref), FILE, "release", environment=environment)
    assert token_claims["sub"] == subject
    assert token_claims.get("environment", "") == environment


# OpenID Connect reference, "Custom claims provided by GitHub", and `sha`, which its example token has; what is
# missing, docs/ci-platform.md names.
DOCUMENTED = {
    "actor", "base_ref", "event_name", "head_ref", "job_workflow_ref", "job_workflow_sha", "ref", "ref_type",
    "repository", "repository_id", "repository_owner", "repository_owner_id", "repository_visibility", "run_attempt",
    "run_id", "run_number", "runner_environment", "sha", "sub", "workflow", "workflow_ref", "workflow_sha",
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_claims_have_the_documented_names_and_agree_with_the_variables(event: str) -> None:
    trigger = change(event)
    token_claims, environment_variables = claims(trigger, FILE, "release"), variables(trigger, FILE, "release")
    assert set(token_claims) == DOCUMENTED
    assert all(isinstance(value, str) for value in token_claims.values())
    for name in ("ref", "sha", "head_ref", "base_ref", "workflow_ref", "run_id", "actor"):
        assert token_claims.get(name, trigger.commit) == environment_variables[f"GITHUB_{name.upper()}"], name
    assert (token_claims["event_name"], token_claims["workflow"]) == (event, "release")
    assert token_claims["job_workflow_ref"] == token_claims["workflow_ref"]
    assert token_claims["runner_environment"] == "self-hosted"


def test_a_reusable_workflow_names_itself_and_its_caller() -> None:
    called = "acme/workflows/.github/workflows/notes.yml@main"
    token_claims = claims(change("push"), FILE, "release", called=called, called_commit="e" * 40)
    assert (token_claims["job_workflow_ref"], token_claims["job_workflow_sha"]) == (called, "e" * 40)
    assert token_claims["workflow_ref"] == f"{REPOSITORY}/{FILE}@{MAIN}"
    assert token_claims["workflow_sha"] == COMMIT


def test_ids_belong_to_names() -> None:
    first, again = claims(change("push"), FILE, "r"), claims(change("schedule"), FILE, "r")
    assert first["repository_id"] == again["repository_id"]
    assert first["repository_id"] != first["repository_owner_id"]
    other = claims(replace(change("push"), repository="acme/second-model"), FILE, "r")
    assert other["repository_owner_id"] == first["repository_owner_id"]
    assert other["repository_id"] != first["repository_id"]
