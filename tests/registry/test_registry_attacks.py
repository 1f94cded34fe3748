"""What others may not do to the registry: take an upstream name, show a token twice, fill its memory."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import pytest
from served_index import CLAIMS, REPOSITORY, ServedIndex
from served_registry import ServedRegistry

from chainlab.errors import MalformedInput, Refused
from chainlab.registry.index.publishers import AUDIENCE, Publisher
from chainlab.trust.client import Trust

pytest_plugins = ["index_fixtures"]

RELEASE = Publisher(REPOSITORY, "release.yml", "release")


def test_a_publisher_does_not_take_the_name_of_an_upstream_project(upstream_world: ServedIndex) -> None:
    index = upstream_world.index
    name = next(project.name for project in index.projects() if project.upstream)
    with pytest.raises(Refused, match="it is an upstream project"):
        index.add_publisher(name, RELEASE, owner="mallory")
    assert index.project(name).upstream
    assert index.offered(name)


def test_a_token_mints_once(trusting_world: ServedIndex, trust: Trust) -> None:
    trusting_world.index.add_publisher("triage-model", RELEASE, owner="acme")
    tokens = [trust.token(claims=CLAIMS, audience=AUDIENCE) for _ in range(2)]
    answers = [trusting_world.http.post("/_/oidc/mint-token", json={"token": token}) for token in (*tokens, *tokens)]
    assert [answer.status_code for answer in answers] == [200, 200, 422, 422]
    assert "exchanged before" in answers[2].text


def test_endless_headers_end_the_connection(shared: ServedRegistry) -> None:
    address = urlsplit(shared.server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), 10) as client:
        sent = 0
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            while sent < 100 * 2**20:
                client.sendall(b"a" * 2**18)
                sent += 2**18
    assert sent < 50 * 2**20
    assert shared.nobody.get("/healthz").status_code == 200


def test_a_grant_does_not_hold_another(world: ServedIndex) -> None:
    with pytest.raises(MalformedInput, match="one line"):
        world.index.credentials.issue("mallory", ["packages:upload:x\nchannel:prod"])
