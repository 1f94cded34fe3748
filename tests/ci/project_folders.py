"""Folders that become projects of the host: small ones of a few files, and the course's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from chainlab.ci.project import Project

PROJECTS = Path(__file__).parents[2] / "data" / "projects"
Make = Callable[..., Project]


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, their texts dedented."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text))
