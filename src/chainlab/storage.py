"""Files that are written whole or not at all.

A reader sees the old bytes or the new ones, also when the writer is killed half-way: the data goes to a file beside
the target, which then takes the target's name. Only a regular file is replaced, and the target is never read. Through
a symbolic link its target is written. Into a device or a pipe the bytes go as a shell's ``>`` would send them.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from chainlab.errors import MalformedInput, Unavailable

__all__ = ["holds", "sync_directory", "write_whole"]


def write_whole(path: Path, data: str | bytes, *, durable: bool = False, mode: int = 0o644) -> None:
    """Make ``data``, text as UTF-8, the content of the file that ``path`` leads to.

    ``durable`` waits for the disk; ``mode`` is that of a new file, an old one keeps its own. Raises `OSError`, and
    leaves the old file as it was; `Unavailable` for a pipe without a reader, `MalformedInput` for a socket or a disk.
    """
    data = data.encode() if isinstance(data, str) else data
    try:
        found = path.stat().st_mode
    except FileNotFoundError:  # a link to nothing leads here too: what it names is made
        _replace(Path(os.path.realpath(path)), data, mode, durable)
        return
    if stat.S_ISREG(found):
        _replace(Path(os.path.realpath(path)), data, stat.S_IMODE(found) & 0o777, durable)
    elif stat.S_ISFIFO(found) or stat.S_ISCHR(found):
        _write_into(path, data)
    elif stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    else:
        raise MalformedInput(f"{path} is a socket or a disk, which is not written to", hint="name a file")


def holds(path: Path, data: str | bytes) -> bool:
    """Whether ``path`` leads to a regular file of these bytes; reads no other kind, and none of another size."""
    data = data.encode() if isinstance(data, str) else data
    try:
        found = path.stat()
        return stat.S_ISREG(found.st_mode) and found.st_size == len(data) and path.read_bytes() == data
    except OSError:  # missing, or not readable: not known to hold them
        return False


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk: they are its data, not the files'."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(target: Path, data: bytes, mode: int, durable: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.chmod(mode)
        part.replace(target)
        if durable:
            sync_directory(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_into(path: Path, data: bytes) -> None:
    """Write into a device or a pipe that exists; opening a pipe that nobody reads would wait for ever."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise Unavailable(f"nobody reads from {path}", hint="start its reader first, or name a file") from error
    with os.fdopen(descriptor, "wb") as file:
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(descriptor, True)  # a reader is there: wait for it as a shell would
        file.write(data)
