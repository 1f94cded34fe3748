"""Bare repositories that are prepared elsewhere and taken over as copies."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["BareRepository", "copy_repository"]


@dataclass
class BareRepository:
    """A prepared bare repository to take over; it is public."""

    name: str
    path: Path
    parent: str | None = None
    refs: dict[str, str] = field(default_factory=dict)


def copy_repository(source: Path, target: Path) -> None:
    """Copy a bare repository that nobody changes, in place of one at ``target``; packs are shared by hard links."""
    part, old = target.with_suffix(".part"), target.with_suffix(".old")
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(source, part, copy_function=_link_or_copy)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    """Link packs and objects, which never change and can be shared; copy all else."""
    if "/objects/" in Path(source).as_posix():
        try:
            Path(target).hardlink_to(source)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)
