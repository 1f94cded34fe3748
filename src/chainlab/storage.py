"""Files that are written whole or not at all.

A reader sees the old bytes or the new ones, even if the writer is killed: the data goes to a temporary file beside the
target, which is then renamed. Only a regular file is replaced, and the target is never read. A symbolic link is
followed to its target. A device or a pipe is written into, as by a shell's ``>``.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from chainlab.errors import MalformedInput, Unavailable

__all__ = ["contains", "sync_directory", "write_whole"]


def write_whole(path: Path, data: str | bytes, *, durable: bool = False, mode: int = 0o644) -> None:
    """Replace the content of the file that ``path`` leads to by ``data``, text as UTF-8.

    ``durable`` waits for the disk; ``mode`` is that of a new file, while an old file keeps its own. Raises `OSError`
    and leaves the old file as it was; `Unavailable` for a pipe without a reader; `MalformedInput` for a socket or a
    disk.
    """
    data = data.encode() if isinstance(data, str) else data
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:  # also for a link to a missing file, which is then created
        _replace(Path(os.path.realpath(path)), data, mode, durable)
        return
    if stat.S_ISREG(kind):
        _replace(Path(os.path.realpath(path)), data, stat.S_IMODE(kind) & 0o777, durable)
    elif stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        _write_into(path, data)
    elif stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    else:
        raise MalformedInput(f"not a regular file: {path} is a socket or a disk", hint="name a file")


def contains(path: Path, data: str | bytes) -> bool:
    """Whether ``path`` leads to a regular file with these bytes; files of another kind or size are not read."""
    data = data.encode() if isinstance(data, str) else data
    try:
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and status.st_size == len(data) and path.read_bytes() == data
    except OSError:  # missing or unreadable
        return False


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk; syncing a file does not write its name."""
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
    """Write into an existing device or pipe, without waiting for ever on a pipe that nobody reads."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise Unavailable(f"no process reads from {path}", hint="start its reader first, or name a file") from error
    with os.fdopen(descriptor, "wb") as file:
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(descriptor, True)  # the pipe has a reader: wait for it as a shell would
        file.write(data)
