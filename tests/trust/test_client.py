"""A running instance as those see it who have its state directory."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from client_requests import ALICE, CLAIMS, enrol

from chainlab.errors import InUse, MalformedInput, Unavailable
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.instance import Instance, prepare


def test_the_address_is_known_while_it_is_served_and_not_afterwards(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    with pytest.raises(Unavailable, match="no running instance"):
        _ = trust.url
    with Server(tmp_path) as server:
        assert trust.url == server.url
    with pytest.raises(Unavailable, match="no running instance"):
        _ = trust.url


def test_what_is_needed_to_verify_is_there_without_serving(tmp_path: Path) -> None:
    prepare(tmp_path / "state")
    trust = Trust(tmp_path / "state")
    assert trust.config.trusted_root.get_fulcio_certs()
    first = trust.fingerprint
    prepare(tmp_path / "state")
    with Server(tmp_path / "state"):
        assert trust.fingerprint == first


def test_without_a_root_there_is_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no root\.json"):
        _ = Trust(tmp_path).fingerprint


def test_a_token_is_a_person_s_or_a_job_s(trust: Trust) -> None:
    person = claims_of(trust.token(ALICE))
    assert (person["iss"], person["sub"], person["aud"]) == (trust.issuer, ALICE, "sigstore")
    job = claims_of(trust.token(claims=CLAIMS))
    assert job["iss"] == trust.ci_issuer
    assert CLAIMS.items() <= job.items()
    for call in ({}, {"email": ALICE, "claims": CLAIMS}):
        with pytest.raises(TypeError):
            trust.token(**call)  # type: ignore[arg-type]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_no_claim_of_a_job_replaces_what_the_issuer_states(trust: Trust) -> None:
    planted = CLAIMS | {"iss": trust.issuer, "aud": "other", "exp": "9999999999", "email": ALICE}
    claims = claims_of(trust.token(claims=planted))
    assert (claims["iss"], claims["aud"]) == (trust.ci_issuer, "sigstore")
    assert isinstance(claims["exp"], int)


@pytest.mark.parametrize("lifetime", [-1, 0])
def test_a_token_ends_when_it_says(trust: Trust, http: httpx.Client, lifetime: int) -> None:
    token = trust.token(ALICE, lifetime=lifetime)
    with pytest.raises(AssertionError, match="expired"):
        enrol(http, token)


def test_a_job_asks_for_its_tokens_with_its_own_bearer(trust: Trust, http: httpx.Client) -> None:
    headers = {"Authorization": f"bearer {trust.job_bearer(CLAIMS)}"}
    for audience, expected in (("sigstore", "sigstore"), ("other", "other"), ("", "sigstore")):
        answer = http.get("/ci/token", params={"audience": audience}, headers=headers)
        claims = claims_of(answer.json()["value"])
        assert (claims["aud"], claims["sub"]) == (expected, CLAIMS["sub"])


def test_one_instance_at_a_time_holds_a_state(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        with pytest.raises(InUse, match=f"serves it at {server.url}"):
            Instance(tmp_path)
        with pytest.raises(InUse):
            Server(tmp_path)
    Instance(tmp_path).close()


def test_ipv6_loopback_is_served_too(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with Server(tmp_path, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            enrol(http, Trust(tmp_path).token(ALICE))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", "example.com", ""])
def test_no_other_address_is(tmp_path: Path, host: str) -> None:
    with pytest.raises(MalformedInput, match="not a loopback address"):
        Server(tmp_path / "state", host=host)
    assert not (tmp_path / "state").exists()
