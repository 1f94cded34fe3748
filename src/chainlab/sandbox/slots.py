"""One user for each sandbox that runs at the same time, where the host is root.

    65408 … 65471      below the ids that containers map (65536), above people's and services' (Debian keeps them free)

Sandboxes that shared a user could read each other's files, signal each other and use up each other's process limit.
A locked file for each user keeps two processes of the machine from taking the same; the lock ends with its process.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from chainlab.errors import Unavailable

__all__ = ["USERS", "Slot", "can_change_user", "give"]

USERS = range(65_408, 65_472)
LOCKS = ("/run", tempfile.gettempdir())  # the first that can be written
STATUS = re.compile(rb"\nState:\t(?P<state>.)(?s:.*?)\nUid:\t(?P<user>\d+)")  # proc_pid_status(5)
ROUNDS = 50  # times that a user's processes are killed before the host gives up


class Slot:
    """One user, held until `close`."""

    def __init__(self) -> None:
        """Take a free user. Raises `Unavailable` when all are taken."""
        import fcntl  # not on every system, and needed where root runs sandboxes

        folder = _folder()
        for user in USERS:
            descriptor = os.open(folder / str(user), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            if _processes(user):  # of somebody else, or of a host that was killed
                os.close(descriptor)
                continue
            self.user = user
            self._lock = descriptor
            return
        raise Unavailable(
            "no user is free for another sandbox",
            why=f"the ids {USERS[0]} to {USERS[-1]} all run something",
            hint="wait until other jobs of this machine have ended",
        )

    def close(self) -> None:
        """End the user's processes, then free the user. Raises `Unavailable` if a process does not end."""
        try:
            for _ in range(ROUNDS):
                if not _processes(self.user):
                    return
                # The user's own signal to all: nothing that is forked meanwhile escapes it, and nobody else is hit.
                subprocess.run(
                    ["/bin/sh", "-c", "kill -s KILL -- -1"],
                    user=self.user,
                    group=self.user,
                    extra_groups=[],
                    capture_output=True,
                    cwd="/",
                    check=False,
                )
                time.sleep(0.02)
            raise Unavailable(f"processes of user {self.user} do not end", why="the kernel does not let them go")
        finally:
            os.close(self._lock)


def can_change_user() -> bool:
    """Whether this process is root and the kernel knows the users: a namespace may have mapped root alone."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    with contextlib.suppress(OSError, ValueError):
        return all(_maps(Path(f"/proc/self/{kind}_map").read_text()) for kind in ("uid", "gid"))
    return False


def give(folder: Path, user: int) -> None:
    """Change the owner of a folder and everything in it, without following links."""
    for _, folders, files, directory in os.fwalk(folder, follow_symlinks=False):
        os.chown(directory, user, user)
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=directory, follow_symlinks=False)


def _maps(table: str) -> bool:
    """Whether a ``uid_map`` or ``gid_map`` (user_namespaces(7)) holds all `USERS`."""
    rows = [[int(word) for word in line.split()] for line in table.splitlines()]
    return any(first <= USERS[0] and USERS[-1] < first + count for first, _, count in rows)


def _folder() -> Path:
    """The folder of the locks, which only root can write. Raises `Unavailable` if there is none."""
    for parent in LOCKS:
        folder = Path(parent) / "chainlab-users"
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                continue
            return folder
    raise Unavailable("no user is available for a sandbox", why=f"cannot write to {' or '.join(LOCKS)}")


def _processes(user: int) -> list[int]:
    """The process ids of a user, by each process's status: the owner of its path can be hidden."""
    processes = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                facts = STATUS.search((path / "status").read_bytes())
                if facts and facts["state"] not in b"ZX" and int(facts["user"]) == user:  # a dead one holds nothing
                    processes.append(int(path.name))
    return processes
