"""What an attacker tried on the instance and its state directory, and what each attempt gets."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from client_requests import CLAIMS, enrol
from cryptography import x509

from chainlab.errors import Unavailable
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.issuer import CI_ISSUER

REPOSITORY = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.12")

# -- HTTP


def raw(server: Server, request: str | bytes) -> bytes:
    """The beginning of the answer to bytes that no client's library would send."""
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request.encode() if isinstance(request, str) else request)
        return connection.recv(4096)


@pytest.mark.parametrize(("name", "status"), [("Host", b"400"), ("Origin", b"403")])
def test_a_header_that_says_two_things_is_refused(server: Server, name: str, status: bytes) -> None:
    here = server.url.removeprefix("http://")
    twice = {
        "Host": f"Host: {here}\r\nHost: example.com\r\nOrigin: http://example.com",
        "Origin": f"Host: {here}\r\nOrigin: http://example.com\r\nOrigin: {server.url}",
    }[name]
    assert raw(server, f"GET /healthz HTTP/1.1\r\n{twice}\r\n\r\n").startswith(b"HTTP/1.1 " + status)


def test_a_proxy_s_header_does_not_change_the_addresses(http: httpx.Client) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    answer = http.get("/oidc/.well-known/openid-configuration", headers=forwarded)
    assert answer.json()["token_endpoint"].startswith("http://127.0.0.1:")


def test_a_stranger_s_garbage_prints_nothing(
    server: Server, http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    post = b"POST /api/v2/log/entries HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"
    upgrade = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for request in (post, upgrade, b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(request)
            time.sleep(0.05)  # the request is being read when its sender goes
    assert http.get("/healthz").status_code == 200
    assert capfd.readouterr() == ("", "")


# -- tokens and claims


def test_a_job_cannot_name_the_git_server(trust: Trust, http: httpx.Client) -> None:
    claims = CLAIMS | {"server": "https://github.com", "repository": "{sub}"}
    extension = enrol(http, trust.token(claims=claims)).certificate.extensions
    value: Any = extension.get_extension_for_oid(REPOSITORY).value
    assert value.value[2:] == b"https://git.chainlab.localhost/{sub}"


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": 1}, 1.5, "a\nb", "a\0b", "\u202emain", "r" * 2049])
def test_a_claim_is_one_line_of_text(trust: Trust, value: Any) -> None:
    with pytest.raises(ValueError, match="the claim 'environment'"):
        trust.token(claims=CLAIMS | {"environment": value})


def test_a_whole_number_may_be_a_claim(trust: Trust) -> None:
    numbered: Any = CLAIMS | {"run_attempt": 2}
    token = trust.token(claims=numbered)
    assert jwt.decode(token, options={"verify_signature": False})["run_attempt"] == "2"


def test_a_token_for_the_bearers_audience_is_no_bearer(trust: Trust, http: httpx.Client) -> None:
    def exchange(bearer: str, audience: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}"}
        return http.get("/ci/token", params={"audience": audience}, headers=headers)

    gained = exchange(trust.job_bearer(CLAIMS), "chainlab:job").json()["value"]
    assert exchange(gained, "sigstore").status_code == 401


def test_a_job_s_token_without_its_workflow_is_refused(server: Server, http: httpx.Client) -> None:
    now = int(time.time())
    claims = {"iss": CI_ISSUER, "aud": "sigstore", "sub": "x", "iat": now, "exp": now + 60}
    token = jwt.encode(claims, server.instance.keys.issuer_key, algorithm="ES256")
    headers = {"Authorization": f"Bearer {token}"}
    answer = http.post("/api/v2/signingCert", json={}, headers=headers)
    assert answer.status_code == 400
    assert "job_workflow_ref" in answer.json()["message"]


@pytest.mark.parametrize(
    "target",
    [
        "http://example.com\\[::1]:80/",
        "http://example.com[::1]:80/",
        "http://[::1]example.com:80/",
        "http://x; script-src *[::1]:80/",
        " http://localhost:80/",
        "http://localhost:80/#",
    ],
)
def test_a_redirect_that_two_parsers_read_differently_is_refused(http: httpx.Client, target: str) -> None:
    parameters = {
        "response_type": "code",
        "code_challenge_method": "S256",
        "code_challenge": "x" * 43,
        "client_id": "sigstore",
        "redirect_uri": target,
    }
    assert http.get("/oidc/authorize", params=parameters).status_code == 400


# -- the state directory


def served(state: Path) -> str:
    """Serve once; gives the SHA-256 of the root that clients enrolled."""
    with Server(state):
        return hashlib.sha256((state / "tuf" / "root.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"version": 1, "exp', b"\xff"])
@pytest.mark.parametrize("name", ["tuf/published.json", "tuf/root.json", "tuf/1.root.json"])
def test_a_damaged_repository_is_mended(tmp_path: Path, name: str, damage: bytes) -> None:
    enrolled = served(tmp_path / "state")
    (tmp_path / "state" / name).write_bytes(damage)
    assert served(tmp_path / "state") == enrolled


def test_a_lost_root_is_put_back_and_never_replaced(tmp_path: Path) -> None:
    state = tmp_path / "state"
    enrolled = served(state)
    (state / "tuf" / "root.json").unlink()
    assert served(state) == enrolled
    (state / "tuf" / "root.json").unlink()
    (state / "tuf" / "1.root.json").unlink()
    for _ in range(2):  # a start that failed holds nothing
        with pytest.raises(Unavailable, match="root"):
            served(state)


def test_lost_keys_of_an_enrolled_root_are_not_replaced(tmp_path: Path) -> None:
    served(tmp_path / "state")
    (tmp_path / "state" / "keys.json").unlink()
    with pytest.raises(Unavailable, match=r"keys\.json is gone"):
        served(tmp_path / "state")


def test_a_version_that_was_cut_short_is_not_made_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Server(state) as server:
        note = (state / "tuf" / "published.json").read_bytes()
        server.instance.publish("http://127.0.0.1:2")
        (state / "tuf" / "published.json").write_bytes(note)  # as if killed before the note
        server.instance.publish("http://127.0.0.1:3")
    assert json.loads((state / "tuf" / "timestamp.json").read_bytes())["signed"]["version"] == 3


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
sys.argv = ["chainlab", "trust", "serve", "--state", sys.argv[1]]
from chainlab.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "state")]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 1
    assert "Help: free some disk space" in completed.stderr
    assert "Traceback" not in completed.stderr
