"""``chainlab trust serve`` alone: a stranger signs and verifies with nothing but its trust config."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from client_requests import ALICE, CLAIMS, Run, enrol

from chainlab.trust.client import Trust
from chainlab.trust.instance import prepare
from chainlab.trust.issuer import ISSUER


@contextmanager
def serving(state: Path, environment: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running program and its address, once it says that it is ready."""
    with subprocess.Popen(
        ["chainlab", "trust", "serve", "--state", str(state), *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            assert line.startswith("ready: http://127.0.0.1:"), line
            yield program, line.removeprefix("ready: ").strip()
        finally:
            program.kill()


def end(program: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str]:
    program.send_signal(how)
    _, errors = program.communicate(timeout=20)
    return program.returncode, errors


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "sigstore"


def test_a_stranger_signs_and_verifies_with_the_trust_config_alone(
    run: Run, state: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    artifact, elsewhere = tmp_path / "model.onnx", tmp_path / "elsewhere"
    artifact.write_bytes(b"weights of a small model")
    elsewhere.mkdir()
    with serving(state, environment) as (program, _):
        config = shutil.copy(state / "trust_config.json", elsewhere)
        token = run("chainlab", "trust", "token", "--state", state, "--identity", ALICE).stdout
        sigstore = ("sigstore", "--trust-config", config)
        run(*sigstore, "sign", "--identity-token", token.strip(), artifact)
        assert end(program, signal.SIGTERM) == (0, "")
    # The instance is gone: what was signed verifies by the trust config and the bundle alone.
    who = ("--cert-identity", ALICE, "--cert-oidc-issuer", ISSUER)
    run(*sigstore, "verify", "identity", *who, artifact)
    artifact.write_bytes(b"other weights")
    run(*sigstore, "verify", "identity", *who, artifact, status=1)


def test_a_stranger_signs_as_a_job(run: Run, state: Path, environment: dict[str, str], tmp_path: Path) -> None:
    claims, artifact = tmp_path / "claims.json", tmp_path / "model.onnx"
    claims.write_text(json.dumps(CLAIMS))
    artifact.write_bytes(b"weights")
    with serving(state, environment):
        token = ("chainlab", "trust", "token", "--state", state, "--claims", claims)
        lines = run(*token, "--ambient").stdout.splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        sign = ("sigstore", "--trust-config", state / "trust_config.json", "sign", artifact)
        run(*sign, GITHUB_ACTIONS="true", **variables)
        assert run(*token).stdout.count(".") == 2  # a compact JWT


def test_interrupting_ends_it_cleanly_and_frees_the_state(state: Path, environment: dict[str, str]) -> None:
    for how in (signal.SIGINT, signal.SIGTERM):
        with serving(state, environment) as (program, _):
            assert (state / "serving.json").exists()
            assert end(program, how) == (0, "")
        assert not (state / "serving.json").exists()


def test_a_second_process_on_the_same_state_is_refused_and_told_why(
    run: Run, state: Path, environment: dict[str, str]
) -> None:
    with serving(state, environment) as (program, url):
        for command in (("serve",), ("rotate",)):
            refused = run("chainlab", "trust", *command, "--state", state, status=1)
            assert f"process {program.pid} serves it at {url}" in refused.stderr
            assert "Help:" in refused.stderr
            assert "Traceback" not in refused.stderr
        httpx.get(f"{url}/healthz", trust_env=False).raise_for_status()


def test_the_trusted_root_does_not_change_when_the_port_does(state: Path, environment: dict[str, str]) -> None:
    def serve_once() -> tuple[str, bytes, bytes, dict[str, str]]:
        with serving(state, environment) as (program, url):
            root, tuf = state / "trusted_root.json", state / "tuf" / "root.json"
            config = json.loads((state / "signing_config.json").read_text())
            trust_material = url, root.read_bytes(), tuf.read_bytes(), config["caUrls"][0]
            end(program, signal.SIGTERM)
        return trust_material

    first, second = serve_once(), serve_once()
    assert first[0] != second[0]
    assert first[1:3] == second[1:3]
    assert [run[3]["url"] for run in (first, second)] == [first[0], second[0]]


def test_it_listens_where_it_is_told(state: Path, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with serving(state, environment, "--port", str(port)) as (_, url):
        assert url == f"http://127.0.0.1:{port}"


def test_a_port_in_use_is_refused_and_told_why(run: Run, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("chainlab", "trust", "serve", "--state", state, "--port", port, status=1)
    assert f"cannot listen on 127.0.0.1 port {port}" in refused.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "localhost", ""])
def test_it_listens_on_no_address_but_loopback(run: Run, state: Path, host: str) -> None:
    refused = run("chainlab", "trust", "serve", "--state", state, "--host", host, status=2)
    assert "is not a loopback address" in refused.stderr
    assert not state.exists()


def test_a_state_that_cannot_be_made_is_refused_without_a_traceback(run: Run) -> None:
    refused = run("chainlab", "trust", "serve", "--state", "/proc/none/here", status=1)
    assert "Traceback" not in refused.stderr
    assert "/proc/none/here" in refused.stderr


def test_what_is_secret_is_readable_by_its_owner_alone(state: Path, environment: dict[str, str]) -> None:
    with serving(state, environment):
        for name in ("keys.json", "state.db", "lock"):
            assert stat.S_IMODE((state / name).stat().st_mode) == 0o600, name
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        for public in state.rglob("*.json"):
            if public.name != "keys.json":
                assert b"PRIVATE" not in public.read_bytes(), public


def test_enrol_prints_the_digest_of_the_tuf_root(run: Run, state: Path) -> None:
    assert "there is no instance" in run("chainlab", "enrol", "--state", state, status=2).stderr
    prepare(state)
    printed = run("chainlab", "enrol", "--state", state).stdout
    again = json.loads(run("chainlab", "enrol", "--state", state, "--json").stdout)
    digest = run("sha256sum", state / "tuf" / "root.json").stdout.split()[0]
    assert printed == f"your root: sha256:{digest}\n"
    assert again == {"root": f"sha256:{digest}"}


@pytest.mark.parametrize(
    "words",
    [(), ("--identity", "alice"), ("--identity", ALICE, "--ambient")],
    ids=["nobody", "no email address", "a person with ambient variables"],
)
def test_a_wrong_call_for_a_token_ends_with_2(run: Run, state: Path, words: tuple[str, ...]) -> None:
    prepare(state)
    assert run("chainlab", "trust", "token", "--state", state, *words, status=2).stderr


def test_a_token_from_a_state_without_keys_is_refused(run: Run, state: Path) -> None:
    refused = run("chainlab", "trust", "token", "--state", state, "--identity", ALICE, status=1)
    assert "cannot read the keys" in refused.stderr


def test_an_end_under_load_prints_no_traceback(state: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM wait for the requests in hand before the state is let go."""
    error_log = tmp_path / "message"
    command = ["chainlab", "trust", "serve", "--state", str(state)]
    with (
        error_log.open("w") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            token = Trust(state).token(ALICE)

            def sign() -> None:
                with (
                    httpx.Client(base_url=url, trust_env=False) as http,
                    contextlib.suppress(httpx.TransportError),
                ):
                    while process.poll() is None:
                        enrol(http, token)

            with ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    pool.submit(sign)
                time.sleep(0.5)
                process.terminate()
                assert process.wait(30) == 0
        finally:
            process.kill()
    assert error_log.read_text() == ""
