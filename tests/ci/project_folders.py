"""Folders that become projects of the host: small ones of a few files, and the course's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from chainlab.ci.host import Project

PROJECTS = Path(__file__).parents[2] / "data" / "projects"
Make = Callable[..., Project]


def copy_triage(folder: Path, kind: str) -> None:
    """A working copy of triage-model with its ``weak`` or its ``hardened`` workflows."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(PROJECTS / "triage-model", folder, ignore=ignored)
    if kind == "hardened":
        shutil.rmtree(folder / ".github")
        shutil.copytree(PROJECTS / "hardened" / "triage-model", folder, dirs_exist_ok=True)


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, their texts dedented."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text))
