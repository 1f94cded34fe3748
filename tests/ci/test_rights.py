"""What a run may do, cell by cell: event × origin × rule, each with the platform's own words for it.

Labels: V = read in the platform's documentation (its text in the repository of GitHub Docs, November 2026), or for a
changelog entry in a full copy of it; S = read in secondary text only. docs/ci-platform.md shows this table, and a test
holds the two equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.runs.rights import (
    CACHE_RULES,
    EVENTS,
    LEVELS,
    SCOPES,
    Origin,
    effective_permissions,
    permissions,
    runtime_grants,
    token_grants,
)
from chainlab.errors import MalformedInput

PAGE = Path(__file__).parents[2] / "docs" / "ci-platform.md"
MAIN, NEXT, FEATURE, TAG = "refs/heads/main", "refs/heads/next", "refs/heads/f", "refs/tags/v1"
MERGE = "refs/pull/7/merge"

SOURCES = {
    1: "GitHub Docs, Events that trigger workflows: the section of the event, columns GITHUB_SHA and GITHUB_REF",
    2: "GitHub Docs, Securely using pull_request_target: The risks of the pull_request_target event",
    3: "GitHub Docs, GITHUB_TOKEN reference: Permissions for the GITHUB_TOKEN",
    4: "GitHub Docs, Dependency caching reference: Restrictions for accessing a cache",
    5: "GitHub changelog, 26 June 2026: Read-only Actions cache for untrusted triggers",
    6: "GitHub changelog, 7 November 2025: pull_request_target and environment rules, from 8 December 2025",
    7: "GitHub Docs, Deployments and environments: Deployment branches and tags",
    8: "GitHub Docs, Secure use reference: Use secrets for sensitive information",
}


@dataclass(frozen=True)
class Cell:
    """One field's value, its label and the number of its source."""

    value: Any
    label: str
    source: int


V, S = "V", "S"
OWN = {
    "secrets": Cell(True, V, 8),
    "cap": Cell("write", V, 3),
    "identity": Cell(True, V, 3),
}
HEAD = {"workflow": Cell("head", V, 1), "checkout": Cell("head", V, 1)}
DEFAULT = {"workflow": Cell("default", V, 1), "checkout": Cell("default", V, 1)}
TARGET = {
    "secrets": Cell(True, V, 2),
    "cap": Cell("write", V, 3),
    "identity": Cell(True, V, 2),
    "workflow": Cell("default", V, 2),
    "checkout": Cell("default", V, 1),
    "cache_read": Cell((MAIN,), V, 5),
    "environment_ref": Cell(MAIN, S, 6),
}
PULL = {
    "workflow": Cell("merge", V, 2),
    "checkout": Cell("merge", V, 1),
    "cache_read": Cell((MERGE, NEXT, MAIN), V, 4),
    "cache_write": Cell(MERGE, V, 4),
    "environment_ref": Cell(MERGE, V, 7),
}
# name of the row: origin, rule, cells. Pull requests go from a branch to `next`; the default branch is `main`.
TABLE: dict[str, tuple[Origin, str, dict[str, Cell]]] = {
    "push to a branch": (
        Origin("push", ref=FEATURE),
        "current",
        OWN
        | HEAD
        | {
            "cache_read": Cell((FEATURE, MAIN), V, 4),
            "cache_write": Cell(FEATURE, V, 5),
            "environment_ref": Cell(FEATURE, V, 7),
        },
    ),
    "push of a tag": (
        Origin("push", ref=TAG),
        "current",
        OWN
        | HEAD
        | {
            "cache_read": Cell((TAG, MAIN), V, 4),
            "cache_write": Cell(TAG, V, 4),
            "environment_ref": Cell(TAG, V, 7),
        },
    ),
    "schedule": (
        Origin("schedule", ref=MAIN),
        "current",
        OWN
        | DEFAULT
        | {
            "cache_read": Cell((MAIN,), V, 4),
            "cache_write": Cell(MAIN, V, 5),
            "environment_ref": Cell(MAIN, V, 7),
        },
    ),
    "workflow_dispatch on a branch": (
        Origin("workflow_dispatch", ref=FEATURE),
        "current",
        OWN
        | HEAD
        | {
            "cache_read": Cell((FEATURE, MAIN), V, 4),
            "cache_write": Cell(FEATURE, V, 5),
            "environment_ref": Cell(FEATURE, V, 7),
        },
    ),
    "pull_request, same repository": (
        Origin("pull_request", ref=MERGE, base=NEXT),
        "current",
        OWN | PULL,
    ),
    "pull_request, fork": (
        Origin("pull_request", fork=True, ref=MERGE, base=NEXT),
        "current",
        PULL
        | {
            "secrets": Cell(False, V, 2),
            "cap": Cell("read", V, 3),
            "identity": Cell(False, V, 3),
        },
    ),
    "pull_request_target, same repository": (
        Origin("pull_request_target", ref=MAIN, base=NEXT),
        "current",
        TARGET | {"cache_write": Cell(None, V, 5)},
    ),
    "pull_request_target, fork": (
        Origin("pull_request_target", fork=True, ref=MAIN, base=NEXT),
        "current",
        TARGET | {"cache_write": Cell(None, V, 5)},
    ),
    "pull_request_target, same repository, before 26 June 2026": (
        Origin("pull_request_target", ref=MAIN, base=NEXT),
        "before-2026-06-26",
        TARGET | {"cache_write": Cell(MAIN, V, 5)},
    ),
    "pull_request_target, fork, before 26 June 2026": (
        Origin("pull_request_target", fork=True, ref=MAIN, base=NEXT),
        "before-2026-06-26",
        TARGET | {"cache_write": Cell(MAIN, V, 5)},
    ),
}
FIELDS = {
    "secrets": "secrets",
    "cap": "token, at most",
    "identity": "id-token",
    "cache_read": "cache read, in order",
    "cache_write": "cache written",
    "workflow": "workflow from",
    "checkout": "GITHUB_SHA",
    "environment_ref": "environment rules see",
}
WORDS = {
    MAIN: "default",
    NEXT: "base",
    FEATURE: "branch",
    TAG: "tag",
    MERGE: "merge ref",
    None: "none",
    True: "yes",
    False: "no",
    "merge": "merge commit",
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("row", TABLE)
def test_a_cell_is_as_the_platform_documents_it(row: str, field: str) -> None:
    origin, rule, cells = TABLE[row]
    assert getattr(effective_permissions(origin, rule), field) == cells[field].value


def test_every_event_origin_and_field_has_a_cell_with_a_source() -> None:
    kinds = {(origin.event, origin.fork) for origin, _, _ in TABLE.values()}
    pulls = {(e, fork) for e in EVENTS if e.startswith("pull") for fork in (True, False)}
    assert kinds == pulls | {(e, False) for e in EVENTS if not e.startswith("pull")}
    for name, (_, _, cells) in TABLE.items():
        assert set(cells) == set(FIELDS), name
        assert all(c.source in SOURCES and c.label in (V, S) for c in cells.values()), name
    assert {c.source for _, _, cells in TABLE.values() for c in cells.values()} == set(SOURCES)
    assert set(FIELDS) == set(effective_permissions(Origin("push")).__dataclass_fields__)


@pytest.mark.parametrize("row", [r for r, (o, _, _) in TABLE.items() if o.event != EVENTS[2]])
def test_the_rule_of_june_2026_changes_nothing_but_pull_request_target(row: str) -> None:
    origin = TABLE[row][0]
    assert effective_permissions(origin, "before-2026-06-26") == effective_permissions(origin, "current")


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(shown(v) for v in value)
    return WORDS.get(value, str(value))


def page_table() -> list[str]:
    """The table as docs/ci-platform.md has it, line by line."""
    lines = ["| run | " + " | ".join(FIELDS.values()) + " |", "|---" * (len(FIELDS) + 1) + "|"]
    for name, (_, _, cells) in TABLE.items():
        shows = (f"{shown(cells[f].value)} ({cells[f].label}{cells[f].source})" for f in FIELDS)
        lines.append(f"| {name} | " + " | ".join(shows) + " |")
    return lines


def test_the_page_shows_this_table_and_these_sources() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(page_table()) in text, "\n" + "\n".join(page_table())
    listed = dict(re.findall(r"^(\d+)\. (GitHub .+)$", text, re.MULTILINE))
    assert {int(number): title for number, title in listed.items()} == SOURCES


@pytest.mark.parametrize(("event", "rule"), [("workflow_run", "current"), ("", "current"), ("push", "yesterday")])
def test_an_unknown_event_or_rule_is_refused(event: str, rule: str) -> None:
    with pytest.raises(MalformedInput, match="unknown event or cache rule"):
        effective_permissions(Origin(event), rule)


origins = st.builds(
    Origin,
    event=st.sampled_from(EVENTS),
    fork=st.booleans(),
    ref=st.sampled_from([MAIN, FEATURE, TAG, MERGE]),
    base=st.sampled_from([MAIN, NEXT]),
)
rules = st.sampled_from(CACHE_RULES)


@given(origins, rules)
def test_a_written_cache_scope_is_one_that_the_run_may_read(origin: Origin, rule: str) -> None:
    rights = effective_permissions(origin, rule)
    assert rights.cache_write in (None, *rights.cache_read)
    assert len(set(rights.cache_read)) == len(rights.cache_read)


@given(st.sampled_from([MAIN, NEXT]), st.booleans(), rules)
def test_no_pull_request_writes_a_branch_s_cache(base: str, fork: bool, rule: str) -> None:
    assert effective_permissions(Origin("pull_request", fork, MERGE, base), rule).cache_write == MERGE


# -- permissions

SAME = effective_permissions(Origin("push"))
FORK = effective_permissions(Origin("pull_request", fork=True, ref=MERGE))
READ = {"contents": "read", "packages": "read"}


def above_none(levels: Any) -> dict[str, str]:
    return {scope: level for scope, level in levels.items() if level != "none"}


# GITHUB_TOKEN reference, the table of default access; Workflow syntax, `permissions`.
@pytest.mark.parametrize(
    ("workflow", "job", "default", "expected"),
    [
        (None, None, "read", READ),
        (
            None,
            None,
            "write",
            dict.fromkeys(set(SCOPES) - {"id-token"}, "write") | {"models": "read"},
        ),
        ("read-all", None, "write", dict.fromkeys(set(SCOPES) - {"id-token"}, "read")),
        ("write-all", None, "read", dict.fromkeys(SCOPES, "write") | {"models": "read"}),
        ({}, None, "write", {}),
        ("", None, "write", {}),
        ({"contents": "read"}, None, "write", {"contents": "read"}),
        ({"contents": "write"}, {"issues": "read"}, "write", {"issues": "read"}),
        ("write-all", {}, "write", {}),
        ({}, "read-all", "read", dict.fromkeys(set(SCOPES) - {"id-token"}, "read")),
        ({"id-token": "write"}, None, "read", {"id-token": "write"}),
        ({"id-token": "read"}, None, "read", {}),
        ({"contents": "none", "packages": "write"}, None, "read", {"packages": "write"}),
    ],
)
def test_permissions_are_the_platform_s(workflow: Any, job: Any, default: str, expected: dict[str, str]) -> None:
    assert above_none(permissions(workflow, job, SAME, default=default)) == expected


@pytest.mark.parametrize("block", [None, "write-all", {"contents": "write", "id-token": "write"}])
def test_a_fork_s_pull_request_reads_at_most(block: Any) -> None:
    levels = permissions(None, block, FORK, default="write")
    assert "write" not in levels.values()
    assert levels["id-token"] == "none"
    assert levels["contents"] == "read"


@pytest.mark.parametrize(
    "block",
    [
        {"content": "read"},
        {"contents": "admin"},
        {"contents": None},
        {1: "read"},
        "admin-all",
        ["read-all"],
        3,
        True,
        {"contents": ["write"]},
    ],
)
def test_an_unknown_permission_is_refused(block: Any) -> None:
    with pytest.raises(MalformedInput, match="permissions"):
        permissions(block, None, SAME)


blocks = (
    st.none()
    | st.sampled_from(["read-all", "write-all", ""])
    | st.dictionaries(st.sampled_from(SCOPES), st.sampled_from(LEVELS))
)


@given(blocks, blocks, origins, rules, st.sampled_from(["read", "write"]))
def test_no_scope_is_ever_above_the_cap(workflow: Any, job: Any, origin: Origin, rule: str, default: str) -> None:
    rights = effective_permissions(origin, rule)
    levels = permissions(workflow, job, rights, default=default)
    assert tuple(levels) == SCOPES
    highest = LEVELS.index(rights.cap)
    assert all(LEVELS.index(level) <= highest for s, level in levels.items() if s != "id-token")
    block = job if job is not None else workflow
    requested = block == "write-all" or (isinstance(block, dict) and block.get("id-token") == "write")
    assert (levels["id-token"] == "write") == (requested and rights.identity)


@given(blocks, blocks, rules, st.sampled_from(["read", "write"]))
def test_a_fork_s_pull_request_never_gets_secrets_identity_or_a_writing_token(
    workflow: Any, job: Any, rule: str, default: str
) -> None:
    rights = effective_permissions(Origin("pull_request", True, MERGE, MAIN), rule)
    assert not rights.secrets
    levels = permissions(workflow, job, rights, default=default)
    grants = token_grants(levels, "acme/triage-model")
    assert levels["id-token"] == "none"
    assert not [grant for grant in grants if ":write:" in grant or ":push:" in grant]


def test_the_two_tokens_say_the_rights_in_the_services_words() -> None:
    levels = permissions({"contents": "write", "packages": "write"}, None, SAME)
    assert token_grants(levels, "acme/m") == [
        "contents:read:acme/m",
        "contents:write:acme/m",
        "oci:pull:acme/m",
        "oci:push:acme/m",
    ]
    assert runtime_grants(FORK, "acme/m", 3) == [
        "artifacts:read:3",
        "artifacts:write:3",
        f"cache:read:0:acme/m:{MERGE}",
        f"cache:read:1:acme/m:{MAIN}",
        f"cache:write:acme/m:{MERGE}",
    ]
    target = effective_permissions(Origin("pull_request_target", fork=True))
    assert not [g for g in runtime_grants(target, "acme/m", 3) if g.startswith("cache:write")]
