"""Labels and comments: the right to write pull requests, and an event for each."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from platform_world import Host

pytest_plugins = ["platform_fixtures"]

REPO = "acme/triage-model"
WRITE, READ = f"pull-requests:write:{REPO}", f"contents:read:{REPO}"


def post(host: Host, what: str, document: Any, *grants: str, number: str = "7") -> httpx.Response:
    path = f"/ci/api/repos/{REPO}/issues/{number}/{what}"
    return host.http.post(path, json=document, headers=host.bearer(*grants))


def test_labels_and_comments_are_kept_and_told(fresh: Host) -> None:
    assert post(fresh, "labels", {"labels": ["tests", "code"]}, WRITE).status_code == 200
    answer = post(fresh, "labels", {"labels": ["code"]}, f"issues:write:{REPO}")
    assert answer.json() == [{"name": "tests"}, {"name": "code"}]
    assert post(fresh, "comments", {"body": "<b>ü\n"}, WRITE).status_code == 201
    assert fresh.platform.comments.labels(REPO, 7) == ["tests", "code"]
    assert fresh.platform.comments.labels(REPO, 8) == []
    (comment,) = fresh.platform.comments.list(REPO, 7, "comment")
    assert (comment.text, comment.who) == ("<b>ü\n", "run 1 job build")
    labelled = fresh.events("dev.chainlab.pull.labelled")
    assert [event["label"] for event in labelled] == ["tests", "code", "code"]
    assert len(fresh.events("dev.chainlab.pull.commented")) == 1
    path = f"/ci/api/repos/{REPO}/issues/7/"
    read = fresh.bearer(READ)
    assert fresh.http.get(f"{path}labels", headers=read).json() == answer.json()
    assert fresh.http.get(f"{path}comments", headers=read).json()[0]["body"] == "<b>ü\n"
    assert fresh.http.get(f"{path}labels").status_code == 401


@pytest.mark.parametrize("grants", [(), (READ,), ("pull-requests:write:acme/other",), ("contents:write:*",)])
def test_only_the_right_to_write_pull_requests_counts(fresh: Host, grants: tuple[str, ...]) -> None:
    answer = post(fresh, "labels", {"labels": ["x"]}, *grants)
    assert (answer.status_code, "lacks the right" in answer.text) == (403, True)
    assert fresh.platform.comments.list(REPO, 7) == []


BAD = [
    ("labels", {}),
    ("labels", []),
    ("labels", {"labels": "x"}),
    ("labels", {"labels": []}),
    ("labels", {"labels": [1]}),
    ("labels", {"labels": [""]}),
    ("labels", {"labels": ["x" * 51]}),
    ("labels", {"labels": ["x"] * 101}),
    ("labels", {"labels": ["good", "x" * 51]}),
    ("comments", {"body": None}),
    ("comments", {"body": "x" * 65_537}),
    ("merge", {"body": "x"}),
]


@pytest.mark.parametrize(("what", "document"), BAD)
def test_bad_bodies_leave_nothing(fresh: Host, what: str, document: Any) -> None:
    assert post(fresh, what, document, WRITE).status_code == 400
    assert fresh.platform.comments.list(REPO, 7) == []


@pytest.mark.parametrize("number", ["0x7", "-1", "²", "9" * 30, "%2e%2e"])
def test_odd_numbers_are_refused(host: Host, number: str) -> None:
    answer = post(host, "labels", {"labels": ["x"]}, WRITE, number=number)
    assert answer.status_code in (400, 404)


def test_what_is_not_json_or_too_large_is_refused(host: Host) -> None:
    path, headers = f"/ci/api/repos/{REPO}/issues/7/labels", host.bearer(WRITE)
    lone = b'{"labels": ["\\ud800"]}'
    for content, status in (
        (lone, 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (bytes(2**18 + 1), 413),
    ):
        assert host.http.post(path, content=content, headers=headers).status_code == status
