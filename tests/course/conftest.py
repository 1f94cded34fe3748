"""A small made-up course: one walkthrough, one lab with two exercises, one draft unit."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from chainlab.course.authoring import build as building
from chainlab.course.syllabus import Course, load

HERE = Path(__file__).parent


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a fresh copy; kernels started in the test can import its ``madeup`` module."""
    root = tmp_path / "course"
    shutil.copytree(HERE / "made_up", root)
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in (str(root), inherited) if p))
    monkeypatch.setenv("CHAINLAB_COURSE", str(root))
    monkeypatch.delenv("CHAINLAB_WORKSPACE", raising=False)
    return root


@pytest.fixture
def course(made_up: Path) -> Course:
    return load(made_up)


@pytest.fixture
def built(course: Course) -> Course:
    building.build(course, say=lambda _: None)
    return course


@pytest.fixture(scope="session")
def executed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up course with its stored outputs, made once."""
    root = tmp_path_factory.mktemp("executed") / "course"
    shutil.copytree(HERE / "made_up", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setenv("PYTHONPATH", os.pathsep.join((str(root), os.environ.get("PYTHONPATH", ""))))
        building.execute(load(root), say=lambda _: None)
    return root


@pytest.fixture
def executed(course: Course, executed_once: Path) -> Course:
    """The made-up course with its stored outputs."""
    shutil.copytree(executed_once, course.root, dirs_exist_ok=True)
    return course


@pytest.fixture
def stub(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The made-up ``madeup`` module, as kernels import it."""
    monkeypatch.syspath_prepend(str(made_up))
    sys.modules.pop("madeup", None)
    return importlib.import_module("madeup")
