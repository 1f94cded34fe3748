"""The files of a git tree, and folders read as trees or written from them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chainlab.errors import MalformedInput, Refused

__all__ = ["MAX_FILE", "File", "read_folder", "write_folder"]

MAX_FILE = 100 * 2**20  # bytes of one file, the platform's limit
IGNORED = {  # left by tools, never part of a project
    ".git",
    ".venv",
    ".DS_Store",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
}


@dataclass(frozen=True)
class File:
    """One file of a tree."""

    data: bytes
    mode: str = "100644"  # 100755 executable, 120000 symbolic link, 160000 submodule


def read_folder(folder: Path) -> dict[str, File]:
    """Read a folder's files as a commit has them, by path; caches and other repositories are left out.

    Raises `MalformedInput` when the folder is missing or a file is too large.
    """
    if not folder.is_dir():
        raise MalformedInput(f"not a folder: {folder}")
    files = {}
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if name not in IGNORED)
        links = [name for name in below if Path(directory, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(directory, name)
            if name in IGNORED or name.endswith((".pyc", ".egg-info")):
                continue
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                files[relative] = File(os.fsencode(os.readlink(path)), "120000")  # noqa: PTH115
            elif path.is_file():
                if path.stat().st_size > MAX_FILE:
                    raise MalformedInput(f"{relative} is larger than {MAX_FILE} bytes")
                executable = os.name == "posix" and path.stat().st_mode & 0o100
                files[relative] = File(path.read_bytes(), "100755" if executable else "100644")
    return files


def write_folder(files: Mapping[str, File], target: Path) -> None:
    """Write a tree's files below ``target``, readable by everybody; ``target`` appears whole or not at all.

    Raises `Refused` (422) for a link that leads out of the tree, and for a name that the file system cannot hold.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_folder(files, target)
    except (OSError, ValueError) as error:
        raise Refused(422, "cannot write the files of the tree", why=str(error)[:300]) from error


def _write_folder(files: Mapping[str, File], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tree-") as staging:
        root = Path(staging) / "tree"
        root.mkdir()
        links = []
        for name, file in files.items():
            path = root / name
            if {"..", ".git"} & set(PurePosixPath(name).parts) or name.startswith("/"):
                raise Refused(422, f"cannot write {name!r}", why="the path leads out of its tree")
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.mode == "120000":
                links.append((path, os.fsdecode(file.data)))
            elif file.mode != "160000":
                path.write_bytes(file.data)
                path.chmod(0o755 if file.mode == "100755" else 0o644)
        for path, to in links:  # last, so that nothing is written through a link
            inside = os.path.normpath(path.parent.relative_to(root) / to)
            if to.startswith("/") or inside.startswith(".."):
                raise Refused(422, f"the link {path.name!r} leads out of its tree")
            path.symlink_to(to)
        for path, _ in links:  # a link may lead through another
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
                raise Refused(422, f"the link {path.name!r} leads out of its tree")
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o755)  # whatever the umask: a job may run as another user
        if not target.exists():
            root.rename(target)
