"""The file system that a job sees behind the wall: the system, this Python and its own directory, nothing else.

    /usr /bin /lib …      read-only, as they are
    /etc                  `SETTINGS` of the machine, and names of its own (`hosts`, `passwd`, `group`)
    the interpreter       read-only: this Python, its environment, this package
    the job's directory   writable; its ``tmp`` is /tmp

The result is a list of bubblewrap's options; bubblewrap makes the binds.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from chainlab.errors import MalformedInput

__all__ = ["NOBODY", "SYSTEM", "bind_options", "is_system"]

NOBODY = 65_534  # the user that the root of a user namespace becomes
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")  # shown whole
SETTINGS = (  # below /etc
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "ssl",
)
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


def bind_options(job: Path, readable: Sequence[Path], user: int | None) -> list[str]:
    """Bubblewrap's options for a job's file system; ``readable`` paths are read-only.

    ``user`` is the job's user if it has one of its own; None: it runs as the current user. Raises `MalformedInput` for
    a link in the job's directory where bubblewrap, as root, would make mount points.
    """
    shown = list(dict.fromkeys((*_interpreter(), *readable)))
    options = ["--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108 - the sandbox's own, as is /tmp
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            options += ["--ro-bind", str(path), str(path)]
    options += ["--perms", "0755", "--dir", "/etc"]
    for name in SETTINGS:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in _etc_files(0):
        options += ["--ro-bind", str(_etc_folder(_id() if user is None else user) / name), f"/etc/{name}"]
    _check(job / "tmp", [path.relative_to("/tmp") for path in (*shown, job) if path.is_relative_to("/tmp")])  # noqa: S108
    options += ["--bind", str(job / "tmp"), "/tmp"]  # noqa: S108
    # Bubblewrap gives a parent the mode of its source, and what lies below a home (0700) would be out of reach.
    for parent in dict.fromkeys(p for path in (*shown, job) for p in reversed(path.parents)):
        if parent != Path("/") and not is_system(parent):
            options += ["--perms", "0755", "--dir", str(parent)]
    for path in shown:
        options += ["--ro-bind", str(path), str(path)]
    options += ["--bind", str(job), str(job)]
    return options


def _check(tmp: Path, mounted: Sequence[Path]) -> None:
    """Make the directory that becomes ``/tmp``; refuse links where bubblewrap, as root, would make mount points."""
    tmp.mkdir(exist_ok=True)
    for path in (tmp, *(tmp / part for place in mounted for part in (place, *place.parents))):
        if not stat.S_ISDIR(path.lstat().st_mode if os.path.lexists(path) else stat.S_IFDIR):
            raise MalformedInput(f"not a directory: {path}", why="an earlier command in this directory replaced it")


@functools.cache
def _etc_folder(user: int) -> Path:
    """A directory with the host's own files of a job's ``/etc``; removed when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="chainlab-etc-")
    _FOLDERS.append(folder)
    path = Path(folder.name)
    path.chmod(0o755)
    for name, text in _etc_files(user).items():
        (path / name).write_text(text)
        (path / name).chmod(0o644)
    return path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _etc_files(user: int) -> Mapping[str, str]:
    people = f"root:x:0:0:root:/:/bin/sh\nrunner:x:{user}:{user}:runner:/:/bin/sh\n"
    return {
        "hosts": HOSTS,
        "resolv.conf": "",
        "passwd": people,
        "group": f"root:x:0:\nrunner:x:{user}:\n",
    }


def _id() -> int:
    return getattr(os, "getuid", int)() or NOBODY


def _interpreter() -> tuple[Path, ...]:
    """What a job may read besides the system: this Python, its environment, and this package's code."""
    paths = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[1]]
    paths += [Path(os.path.realpath(sys.executable)).parents[1]]
    return tuple(p for p in dict.fromkeys(paths) if p.exists() and not is_system(p))


def is_system(path: Path) -> bool:
    """Whether a path lies within `SYSTEM`, where a job sees everything."""
    return any(path == Path(s) or Path(s) in path.parents for s in SYSTEM)
