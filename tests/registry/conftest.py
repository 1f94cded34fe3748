"""A running registry beside its instance, as a workspace has it, and who may do what to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_registry import GRANTS, ServedRegistry, served

from chainlab.registry.registry import Registry


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRegistry]:
    """A registry that the tests of one module share; each uses names of its own."""
    with served(tmp_path_factory.mktemp("registry")) as (server, registry):
        world = ServedRegistry.of(server, registry)
        yield world
        world.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry of the test's own, not served."""
    with Registry(tmp_path / "registry", tmp_path / "state.db") as registry:
        for subject, grants in GRANTS.items():
            registry.credentials.issue(subject, grants)
        yield registry
