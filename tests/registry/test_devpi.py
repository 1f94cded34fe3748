"""Beside devpi-server, which may take our place: what both answer alike, and what only ours keeps."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypi_attestations import Attestation, Distribution
from served_index import CLAIMS, HTML, JSON, REPOSITORY, ROOT, Run, ServedIndex, digest_of, sdist, wheel
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from simple_repository.parser import parse_html_project_page, parse_json_project_page

from chainlab.registry.index.publishers import Publisher
from chainlab.trust.client import Trust

pytest_plugins = ["index_fixtures"]

REPORT = ROOT / ".cache" / "devpi.json"
QUICK = [
    "--argon2-time-cost=1",
    "--argon2-memory-cost=1024",
    "--argon2-parallelism=1",
]


@dataclass
class Place:
    """Where an index takes uploads, where it lists them, and who may."""

    legacy: str
    simple: str
    user: str
    password: str


@pytest.fixture(scope="module")
def devpi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A devpi-server with one user and one index."""
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    programs = Path(report.get("programs", ""))
    if not report.get("lock"):
        pytest.skip(report.get("reason") or "not set up: run `make test`, or tests/setup/devpi.py")
    folder = tmp_path_factory.mktemp("devpi")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = ["--serverdir", str(folder / "state")]
    subprocess.run(
        [programs / "devpi-init", *state, "--no-root-pypi"],
        check=True,
        capture_output=True,
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [programs / "devpi-server", *state, *QUICK, "--host=127.0.0.1", f"--port={port}"],
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield prepared(f"http://127.0.0.1:{port}", process, folder / "log")
        finally:
            process.terminate()


def prepared(url: str, process: subprocess.Popen[bytes], log: Path) -> Place:
    """Wait for the server, then make a user and an index."""
    deadline = time.monotonic() + 60
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        while True:
            try:
                http.get("/+api")
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        http.put("/acme", json={"password": "FAKE-password"}).raise_for_status()
        login = http.post("/+login", json={"user": "acme", "password": "FAKE-password"})
        token = login.raise_for_status().json()["result"]["password"]
        right = base64.b64encode(f"acme:{token}".encode()).decode()
        answer = http.put("/acme/dev", json={"type": "stage", "bases": []}, headers={"X-Devpi-Auth": right})
        answer.raise_for_status()
    return Place(f"{url}/acme/dev/", f"{url}/acme/dev/+simple/", "acme", "FAKE-password")


def places(devpi: Place, world: ServedIndex) -> dict[str, Place]:
    secret = world.secret("packages:upload:*")
    ours = Place(f"{world.url}/legacy/", f"{world.url}/simple/", "__token__", secret)
    return {"devpi": devpi, "ours": ours}


def upload(run: Run, place: Place, *files: str | Path) -> str:
    completed = run(
        *("twine", "upload", "--non-interactive", "--verbose", *files),
        TWINE_REPOSITORY_URL=place.legacy,
        TWINE_USERNAME=place.user,
        TWINE_PASSWORD=place.password,
    )
    return completed.stdout + completed.stderr


def listing(place: Place, name: str) -> dict[str, dict[str, Any]]:
    page = httpx.get(f"{place.simple}{name}/", headers=JSON, trust_env=False).raise_for_status()
    return {entry["filename"]: entry for entry in page.json()["files"]}


@pytest.mark.clients("devpi")
def test_both_take_uploads_list_them_alike_and_serve_pip_and_uv(
    devpi: Place, world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    paths = [make(tmp_path, "alike", Requires_Python=">=3.11") for make in (wheel, sdist)]
    listed: dict[str, dict[str, Any]] = {}
    for who, place in places(devpi, world).items():
        upload(run, place, *paths)
        listed[who] = {
            name: (entry["hashes"]["sha256"], entry.get("requires-python"))
            for name, entry in listing(place, "alike").items()
        }
        address = f"{place.simple}alike/"
        text = httpx.get(address, headers=JSON, trust_env=False).text
        html = httpx.get(address, headers=HTML, trust_env=False).text
        from_json = {file.filename: file.hashes for file in parse_json_project_page(text).files}
        page = parse_html_project_page(html, "alike")
        assert {file.filename: file.hashes for file in page.files} == from_json
        pip = (sys.executable, "-m", "pip", "--python", venv)
        index = ("--no-cache-dir", "--index-url", place.simple, "--only-binary", ":all:")
        run(*pip, "install", *index, "alike")
        run("uv", "pip", "uninstall", "--python", venv, "alike")
        run("uv", "pip", "install", "--python", venv, "--default-index", place.simple, "alike")
        assert run(venv, "-c", "import alike; print(alike.ANSWER)").stdout == "42\n"
        run("uv", "pip", "uninstall", "--python", venv, "alike")
    assert listed["devpi"] == listed["ours"]
    assert listed["ours"][paths[0].name] == (digest_of(paths[0]).value.hex(), ">=3.11")


@pytest.mark.clients("devpi")
def test_devpi_drops_an_attestation_silently_and_ours_keeps_it(
    devpi: Place, trusting_world: ServedIndex, trust: Trust, run: Run, tmp_path: Path
) -> None:
    world = trusting_world
    world.index.add_publisher("attested", Publisher(REPOSITORY, "release.yml"), owner="acme")
    path = wheel(tmp_path, "attested")
    config = trust.config
    config.force_tlog_version = 1
    token = IdentityToken(trust.token(claims=CLAIMS))
    with SigningContext.from_trust_config(config).signer(token) as signer:
        attestation = Attestation.sign(signer, Distribution.from_file(path)).model_dump_json()
    Path(f"{path}.publish.attestation").write_text(attestation)
    kept = {}
    for who, place in places(devpi, world).items():
        output = upload(run, place, "--attestations", path, f"{path}.publish.attestation")
        assert "200 OK" in output  # neither complains
        kept[who] = listing(place, "attested")[path.name].get("provenance")
    assert kept["devpi"] is None
    assert kept["ours"] is not None
    provenance = httpx.get(kept["ours"], trust_env=False).json()
    assert provenance["attestation_bundles"][0]["attestations"] == [json.loads(attestation)]


@pytest.mark.clients("devpi")
def test_devpi_replaces_a_files_bytes_and_ours_never_does(
    devpi: Place, world: ServedIndex, run: Run, tmp_path: Path
) -> None:
    seen = {}
    for who, place in places(devpi, world).items():
        path = wheel(tmp_path, "changing")
        upload(run, place, path)
        first = digest_of(path).value.hex()
        path = wheel(tmp_path, "changing", code=b"ANSWER = 13\n")
        completed = run(
            *("twine", "upload", "--non-interactive", path),
            status=None,
            TWINE_REPOSITORY_URL=place.legacy,
            TWINE_USERNAME=place.user,
            TWINE_PASSWORD=place.password,
        )
        now = listing(place, "changing")[path.name]["hashes"]["sha256"]
        seen[who] = (completed.returncode, now == first)
    assert seen == {"devpi": (0, False), "ours": (1, True)}  # devpi's `volatile` is on unless told
