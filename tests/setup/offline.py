"""Run a Python command with the network cut to loopback.

    python tests/setup/offline.py -m pytest -n 2

On Linux the command gets a network namespace of its own whose only interface is loopback. Where the
kernel grants none (macOS, a locked-down container) the command runs all the same with
``CHAINLAB_NO_NAMESPACE`` set to the reason, and `guard` fails each connection that leaves loopback.

Root keeps its user namespace: in one that knows root alone, the CI host could give no job a user of its own. Anybody
else stays who they are in theirs, and has no rights there but to raise loopback before the command begins.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4  # linux/prctl.h


def raise_loopback() -> None:
    """Bring `lo` up; a new namespace has it down, and this needs no iproute2."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def cut() -> list[str]:
    """The command that starts another one without a network."""
    return ["unshare", "-n", *([] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"])]


def obstacle() -> str:
    """Why no namespace can be had here; empty when one can."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no network namespaces"
    if shutil.which("unshare") is None:
        return "unshare (util-linux) is not installed"
    trial = subprocess.run(
        [*cut(), sys.executable, __file__, "--inside", "-c", ""],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if trial.returncode == 0 else f"unshare: {trial.stderr.strip()[-200:]}"


def main(arguments: list[str]) -> None:
    """Replace this process by the command."""
    if arguments[:1] == ["--inside"]:
        raise_loopback()
        ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # the tests run without rights
        os.execv(sys.executable, [sys.executable, *arguments[1:]])
    reason = obstacle()
    if reason:
        os.environ["CHAINLAB_NO_NAMESPACE"] = reason
        os.execv(sys.executable, [sys.executable, *arguments])
    command = [*cut(), sys.executable, __file__, "--inside", *arguments]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
