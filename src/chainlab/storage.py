"""Files that are written whole or not at all.

A reader sees the old bytes or the new ones, also when the writer is killed half-way: the data goes
to a file beside the target, which then takes the target's name.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["sync_directory", "write_whole"]


def write_whole(path: Path, data: str | bytes, *, durable: bool = False, mode: int = 0o644) -> bool:
    """Replace ``path`` by ``data``, text as UTF-8; false when the file holds it already.

    ``durable`` waits for the disk; ``mode`` is that of a new file, an old one keeps its own.
    Raises `OSError`, and leaves the old file as it was.
    """
    data = data.encode() if isinstance(data, str) else data
    try:
        if path.read_bytes() == data:
            return False
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.chmod(mode)
        part.replace(path)
        if durable:
            sync_directory(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return True


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk: they are its data, not the files'."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
