"""Fixtures of the platform's services: one host for a module, or a fresh one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_world import Host


@pytest.fixture(scope="session", autouse=True)
def no_joined_workspace() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHAINLAB_WORKSPACE", raising=False)
        yield


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host") / "workspace")
    yield host
    host.close()


@pytest.fixture
def fresh(host: Host) -> Host:
    """The module's host with empty caches, no artifacts or labels, and the mirror as it began."""
    host.clear()
    return host


@pytest.fixture
def separate(tmp_path: Path) -> Iterator[Host]:
    """A host of the test's own."""
    host = Host(tmp_path / "workspace")
    yield host
    host.close()


@pytest.fixture
def git_environment(tmp_path: Path) -> dict[str, str]:
    """What a person's git sees: an empty home, nobody to ask for a password."""
    home = tmp_path / "git-home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "a role",
        "GIT_AUTHOR_EMAIL": "role@example.com",
        "GIT_COMMITTER_NAME": "a role",
        "GIT_COMMITTER_EMAIL": "role@example.com",
    }
