"""A running instance, and the surroundings in which unmodified clients meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from client_requests import ALICE, Run, Signer, enrol

from chainlab.services import Server
from chainlab.trust.client import Trust


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An instance shared by the tests that only add to it."""
    with Server(tmp_path_factory.mktemp("instance") / "state") as server:
        yield server


@pytest.fixture(scope="session")
def trust(server: Server) -> Trust:
    return Trust(server.instance.directory)


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """An instance of the test's own."""
    with Server(tmp_path / "state") as server:
        yield server


@pytest.fixture
def fresh_http(fresh: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fresh.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def alice(trust: Trust, http: httpx.Client) -> Signer:
    """A key that the shared instance has certified for alice."""
    return enrol(http, trust.token(ALICE))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a client's process sees: an empty home, this environment's programs, no CI."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",  # a stranger's program, not ours
        **{name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a client's program to its end; fails the test with what it said."""

    def run(*command: str | Path, status: int = 0, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        completed = subprocess.run(
            [str(word) for word in command],
            env=environment | extra,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert completed.returncode == status, (
            f"{command} → {completed.returncode}\n{completed.stdout}\n{completed.stderr}"
        )
        return completed

    return run
