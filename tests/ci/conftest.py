"""A workspace with its CI host, one for each test module, and small projects for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from project_folders import PROJECTS, Make, write

from chainlab.ci.project import Project
from chainlab.ci.settings import Settings
from chainlab.course.exfiltration_sink import Sink
from chainlab.course.project_states import settings_of, working_copy
from chainlab.workspace import Workspace
from chainlab.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A fresh workspace, its services running in this process."""
    with World(Workspace(tmp_path_factory.mktemp("workspace"))) as opened:
        yield opened


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as listening:
        yield listening


@pytest.fixture
def make(world: World, tmp_path: Path) -> Make:
    """Makes a project of files: ``make("acme/demo", {".github/workflows/x.yml": text})``."""

    def make_project(repository: str, files: dict[str, str], settings: dict[str, object] | None = None) -> Project:
        folder = tmp_path / repository.replace("/", "-")
        write(folder, files)
        return world.ci.project(repository, folder, Settings.from_document(settings or {}))

    return make_project


@pytest.fixture
def triage(world: World, tmp_path: Path) -> Callable[[str], Project]:
    """The course's project in one of its states (`chainlab.course.project_states`), as a repository of its own."""

    def make_project(kind: str) -> Project:
        folder = working_copy(PROJECTS, tmp_path / "triage-model", kind)
        return world.ci.project("acme/triage-model", folder, settings_of(PROJECTS, kind))

    return make_project
