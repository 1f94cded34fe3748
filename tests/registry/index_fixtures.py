"""Fixtures of the index's tests; a plugin, so that the other tests of the registry keep their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_index import BIN, WHEELHOUSE, Run, ServedIndex, listener, serve, serve_index

from chainlab.registry.index.upstream import Upstream
from chainlab.trust.app import routes as trust_routes
from chainlab.trust.client import Trust
from chainlab.trust.instance import Instance


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedIndex]:
    """An empty index without upstream."""
    yield from serve_index(tmp_path / "index")


@pytest.fixture
def upstream_world(tmp_path: Path) -> Iterator[ServedIndex]:
    """An index beside the course's wheelhouse."""
    yield from serve_index(tmp_path / "index", upstream=Upstream(WHEELHOUSE))


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """A private Sigstore instance."""
    instance = Instance(tmp_path_factory.mktemp("trust") / "state")
    bound = listener()
    end = serve(trust_routes(instance), bound)
    instance.publish(f"http://127.0.0.1:{bound.getsockname()[1]}")
    yield Trust(instance.directory)
    end()
    instance.close()


@pytest.fixture
def trusting_world(tmp_path: Path, trust: Trust) -> Iterator[ServedIndex]:
    """An index that checks attestations and tokens of that instance."""
    yield from serve_index(tmp_path / "index", trust=trust)


# -- clients


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a client's process sees: an empty home, this environment's programs, no settings."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(BIN), os.environ["PATH"])),
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "PYTHONWARNINGS": "ignore",  # a stranger's program, not ours
        **{name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a client's program to its end; fails the test with what it said."""

    def run(*command: str | Path, status: int | None = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        completed = subprocess.run(
            [str(word) for word in command],
            env=environment | extra,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert status is None or completed.returncode == status, (
            f"{command} → {completed.returncode}\n{completed.stdout}\n{completed.stderr}"
        )
        return completed

    return run


@pytest.fixture
def venv(run: Run, tmp_path: Path) -> Path:
    """The interpreter of a fresh environment."""
    run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    return tmp_path / "venv" / "bin" / "python"
