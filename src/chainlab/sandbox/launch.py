"""The program that starts a command inside the wall, as a user without rights; the host's last code in there.

    python -I -S launch.py USER PROCESSES -- COMMAND …      USER: a user id, or "-" to stay who it is

Bubblewrap makes the binds as whoever starts it, and leaves root all capabilities, also the root of a user namespace.
So this program sets the process limit, gives up every capability, changes its user and group for good if root started
it, and becomes the command. It uses the standard library only; `setpriv` (util-linux) does the same, but not every
machine has it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

__all__ = ["main"]

# prctl(2)
PDEATHSIG, CAPBSET_READ, CAPBSET_DROP, NO_NEW_PRIVS, AMBIENT, CLEAR_ALL = 1, 23, 24, 38, 47, 4
CAPABILITY_VERSION = 0x20080522  # capset(2)
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}  # numbers of keyctl(2); elsewhere the keyring stays
JOIN_SESSION_KEYRING = 1
FAILED = 72  # exit code if the rights could not be given up; nothing was started


def _limit(kind: int, most: int) -> None:
    """Set a soft and a hard limit, never above the hard limit that holds."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _become(user: int | None, libc: ctypes.CDLL) -> None:
    """Give up groups and capabilities, and change user and group for good if there is another. Raises `OSError`."""
    if _holds():
        capability = 0
        while libc.prctl(CAPBSET_READ, capability, 0, 0, 0) >= 0:
            if libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), f"capability {capability} stays in the bounding set")
            capability += 1
        libc.prctl(AMBIENT, CLEAR_ALL, 0, 0, 0)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        if os.getresuid() != (user, user, user) or os.getresgid() != (user, user, user) or os.getgroups():
            raise OSError("the user did not change")
    header, nothing = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0 or _holds():
        raise OSError(ctypes.get_errno(), "the capabilities could not be dropped")


def _holds() -> bool:
    """Whether this process has a capability, or hands one on to programs that it starts."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = [line.split()[1] for line in lines if line.startswith(("CapEff", "CapPrm", "CapInh", "CapAmb"))]
    return any(int(mask, 16) for mask in held)


def main(arguments: list[str]) -> None:
    """Become the command."""
    split = arguments.index("--")
    user, processes = arguments[:split]
    libc = ctypes.CDLL(None, use_errno=True)
    _limit(resource.RLIMIT_NPROC, int(processes))
    _limit(resource.RLIMIT_CORE, 0)  # the machine's own program would be given a job's memory
    try:
        _become(None if user == "-" else int(user), libc)
        if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "programs could still gain rights")
    except OSError as error:
        sys.stderr.write(f"the rights could not be given up: {error}\n")
        sys.exit(FAILED)
    if number := KEYCTL.get(os.uname().machine):  # whoever holds the session's keyring may read the keys in it
        libc.syscall(ctypes.c_long(number), ctypes.c_long(JOIN_SESSION_KEYRING), None)
    libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # changing the user cleared it
    words = arguments[split + 1 :]
    try:
        os.execvp(words[0], words)  # noqa: S606 - there is no shell, on purpose
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
