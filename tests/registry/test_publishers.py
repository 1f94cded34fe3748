"""Trusted publishing: a job's identity is exchanged for minutes of right to upload, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from served_index import (
    CLAIMS,
    REPOSITORY,
    Run,
    ServedIndex,
    listener,
    self_signed,
    serve,
    wheel,
)

from chainlab.errors import MalformedInput, Refused
from chainlab.protocol import ProtocolRoute
from chainlab.registry.index.app import index_app
from chainlab.registry.index.publishers import AUDIENCE, Publisher
from chainlab.trust.client import Trust

pytest_plugins = ["index_fixtures"]

RELEASE = Publisher(REPOSITORY, "release.yml", "release")
FORK = "mallory/triage-model"


@pytest.fixture
def world(trusting_world: ServedIndex) -> ServedIndex:
    trusting_world.index.add_publisher("triage-model", RELEASE, owner="acme")
    return trusting_world


def mint(world: ServedIndex, token: str) -> tuple[int, dict[str, Any]]:
    answer = world.http.post("/_/oidc/mint-token", json={"token": token})
    return answer.status_code, answer.json()


def test_uv_publishes_without_a_password(world: ServedIndex, trust: Trust, run: Run, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "tls.pem")
    bound = listener()
    end = serve([ProtocolRoute(index_app(world.index))], bound, certificate=certificate)
    url = f"https://127.0.0.1:{bound.getsockname()[1]}/legacy/"  # uv asks for a token over TLS alone
    try:
        run(
            *("uv", "publish", "--trusted-publishing", "always", "--publish-url", url),
            wheel(tmp_path),
            SSL_CERT_FILE=str(certificate),
            GITHUB_ACTIONS="true",
            ACTIONS_ID_TOKEN_REQUEST_URL=f"{trust.url}/ci/token?job=1",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN=trust.job_bearer(CLAIMS),
        )
    finally:
        end()
    (file,) = world.index.files("triage-model")
    assert file.publisher is not None
    assert file.publisher["publisher"]["workflow"] == "release.yml"
    assert file.publisher["claims"]["run_id"] == "12"
    (event,) = world.events.read("dev.chainlab.artifact.published")
    assert event.data["claims"]["ref"] == "refs/tags/v1.0.0"
    assert world.index.project("triage-model").owner == "acme"


def test_a_minted_credential_is_for_that_project_alone(world: ServedIndex, trust: Trust, tmp_path: Path) -> None:
    assert world.http.get("/_/oidc/audience").json() == {"audience": AUDIENCE}
    status, body = mint(world, trust.token(claims=CLAIMS, audience=AUDIENCE))
    assert (status, body["success"]) == (200, True)
    credential = world.index.credentials.check(body["token"])
    assert credential is not None
    assert credential.grants == {"packages:upload:triage-model"}
    path = wheel(tmp_path, "other")
    answer = world.post(path.name, path.read_bytes(), secret=body["token"])
    assert (answer.status_code, "may not upload to other" in answer.text) == (403, True)
    path = wheel(tmp_path)
    assert world.post(path.name, path.read_bytes(), secret=body["token"]).status_code == 200


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "another repository": ({"repository": FORK}, "no project trusts a workflow of repository"),
    "a workflow of a fork": (
        {"job_workflow_ref": f"{FORK}/.github/workflows/release.yml@refs/tags/v1.0.0"},
        "which is not in 'acme/triage-model'",
    ),
    "another workflow": (
        {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/test.yml@refs/tags/v1.0.0"},
        "the job ran the workflow 'test.yml', and the project trusts 'release.yml'",
    ),
    "a workflow in another folder": (
        {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/x/release.yml@refs/tags/v1.0.0"},
        "which is not in",
    ),
    "a workflow from another ref": (
        {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/evil"},
        "the workflow came from 'refs/heads/evil', and the run was for 'refs/tags/v1.0.0'",
    ),
    "no ref": (
        {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/release.yml"},
        "which is not in",
    ),
    "another environment": (
        {"environment": "staging"},
        "the job ran in environment 'staging', and the project trusts 'release'",
    ),
    "no environment": ({"environment": None}, "the job ran in environment ''"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_job_that_is_not_the_publisher_is_refused_with_the_reason(
    world: ServedIndex, trust: Trust, case: str
) -> None:
    changes, reason = WRONG[case]
    changed: dict[str, str | None] = {**CLAIMS, **changes}
    claims = {name: value for name, value in changed.items() if value is not None}
    status, body = mint(world, trust.token(claims=claims, audience=AUDIENCE))
    assert (status, body["errors"][0]["code"]) == (422, "invalid-publisher")
    assert reason in body["errors"][0]["description"]
    assert "token" not in body


def test_what_is_no_token_for_us_is_refused(world: ServedIndex, trust: Trust) -> None:
    person = trust.token("alice@example.com", audience=AUDIENCE)
    stale = trust.token(claims=CLAIMS, audience=AUDIENCE, lifetime=-100)
    for token in (trust.token(claims=CLAIMS), person, stale, "", "a.b.c", "\x00", "é" * 50):
        status, body = mint(world, token)
        assert (status, body["errors"][0]["code"]) == (422, "invalid-token"), token
    for data in (b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "\\ud800"}', b"\xff", b"[" * 9999):
        answer = world.http.post("/_/oidc/mint-token", content=data)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid-payload")


def test_a_publisher_without_an_environment_takes_any(world: ServedIndex, trust: Trust) -> None:
    world.index.remove_publisher("triage-model", RELEASE, by="acme")
    token = trust.token(claims=CLAIMS, audience=AUDIENCE)
    assert mint(world, token)[0] == 422
    wide = Publisher("Acme/Triage-Model", "release.yml")  # case does not count, as on the platform
    world.index.add_publisher("triage-model", wide, owner="acme")
    assert mint(world, token)[0] == 200
    kinds = ["registered", "publisher-added", "publisher-removed", "publisher-added"]
    assert world.kinds() == kinds


def test_only_the_owner_of_a_name_adds_publishers(world: ServedIndex) -> None:
    with pytest.raises(Refused, match="is acme") as refused:
        world.index.add_publisher("triage-model", Publisher(FORK, "x.yml"), owner="mallory")
    assert refused.value.status == 409


@pytest.mark.parametrize(
    "parts",
    [
        ("acme", "release.yml", ""),
        ("acme/x/y", "release.yml", ""),
        ("acme/../x", "release.yml", ""),
        ("acme/x", "../release.yml", ""),
        ("acme/x", "release", ""),
        ("acme/x", "release.yml", "a\nb"),
    ],
)
def test_what_cannot_be_a_publisher_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(MalformedInput, match="trusted publisher needs"):
        Publisher(*parts)
