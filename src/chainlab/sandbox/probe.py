"""The program that tries to escape from the wall; `chainlab.sandbox.wall` runs it inside, as it runs a job.

    python -I -S probe.py '{"read_only": "/path", …}'      prints {"remount": "", "sysctl": "wrote vm/swappiness", …}

An empty text: the escape was refused. Another text: how it succeeded. Null: it could not be tried. A success does no
harm: it opens a file that the host made for it, or writes to a kernel setting the value that it has.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["main"]

REMOUNT_BIND = 0x20 | 0x1000  # mount(2): MS_REMOUNT | MS_BIND
NEW_USER, NEW_MOUNTS = 0x10000000, 0x20000  # unshare(2)
SETTINGS = ("vm/swappiness", "kernel/core_pattern", "fs/suid_dumpable")
FEW = 16  # processes: a limit that is quickly reached
SECONDS = 2  # for one connection

LIBC = ctypes.CDLL(None, use_errno=True)


def _remount(facts: Mapping[str, Any]) -> str | None:
    """Make a read-only folder writable, directly and from a user namespace of its own."""
    places = [facts["read_only"], "/usr", "/proc/sys"]
    return _remounted(places) or _in_child(lambda: _remounted(places) if _own_namespace() else "")


def _remounted(places: list[str]) -> str:
    for place in places:
        if LIBC.mount(None, place.encode(), None, REMOUNT_BIND, None) == 0:
            return f"{place} is writable after a remount"
    if LIBC.mount(b"proc", b"/tmp", b"proc", 0, None) == 0 and os.access("/tmp/sys/vm/swappiness", os.W_OK):  # noqa: S108
        return "a second /proc was mounted"
    return ""


def _own_namespace() -> bool:
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_USER | NEW_MOUNTS) != 0:
        return False
    with contextlib.suppress(OSError):
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path(f"/proc/self/{name}").write_text(text)
    return True


def _write_outside(facts: Mapping[str, Any]) -> str | None:
    """Write to the host's files and folders; a folder would get a file without a name."""
    for path in facts["files"]:
        with contextlib.suppress(OSError), Path(path).open("ab"):
            return f"{path} was opened to write"
    nameless: int = getattr(os, "O_TMPFILE", 0)  # Linux has it
    for folder in facts["folders"] if nameless else ():
        with contextlib.suppress(OSError):
            os.close(os.open(folder, nameless | os.O_WRONLY, 0o600))
            return f"{folder} takes files"
    return ""


def _sysctl(facts: Mapping[str, Any]) -> str | None:
    """Write to a kernel setting the value that it already has."""
    tried = False
    for name in SETTINGS:
        path = Path(f"/proc/sys/{name}")
        with contextlib.suppress(OSError):
            value = path.read_bytes()
            tried = True
            with path.open("r+b", buffering=0) as file:
                file.write(value)
            return f"wrote {name}"
    return "" if tried else None


def _port(facts: Mapping[str, Any]) -> str | None:
    """Connect to a port and a Unix socket of the machine that the job was not given."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", facts["port"]), SECONDS):
        return "connected to a loopback port that was not granted"
    if facts["abstract"]:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + facts["abstract"])
            return "connected to an abstract Unix socket"
    return ""


def _other_slot(facts: Mapping[str, Any]) -> str | None:
    """Read files and memory of another job, and of the host."""
    host, roots = f"/proc/{facts['pid']}", ["", "/proc/1/root"]
    paths = []
    if _started(host) == facts["started"]:  # else the number is that of another process in here, or of none
        roots.append(f"{host}/root")
        paths += [f"{host}/environ", f"{host}/mem"]
    for path in (*paths, *(f"{root}{file}" for root in roots for file in facts["private"])):
        with contextlib.suppress(OSError), Path(path).open("rb"):
            return f"{path} was opened"
    return ""


def _started(process: str) -> str:
    """When a process began, in ticks since the machine did: field 22 of proc_pid_stat(5)."""
    with contextlib.suppress(OSError):
        return Path(f"{process}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _become_root(facts: Mapping[str, Any]) -> str | None:
    """Get another user, or a capability."""
    calls: list[Callable[[], None]] = [
        lambda: os.setresuid(0, 0, 0),
        lambda: os.setresgid(0, 0, 0),
        lambda: os.setgroups([0]),
    ]
    for call in calls:
        with contextlib.suppress(OSError):
            call()
            return "became another user"
    lines = Path("/proc/self/status").read_text().splitlines()
    held = [line.split()[1] for line in lines if line.startswith(("CapEff", "CapPrm", "CapInh"))]
    return "" if not any(int(mask, 16) for mask in held) else f"holds the capabilities {'/'.join(held)}"


def _processes(facts: Mapping[str, Any]) -> str | None:
    """Start more processes than a limit allows."""
    if resource.getrlimit(resource.RLIMIT_NPROC)[1] > facts["processes"]:
        return "there is no limit on processes"
    resource.setrlimit(resource.RLIMIT_NPROC, (FEW, FEW))
    children: list[int] = []
    try:
        while len(children) < 2 * FEW:
            child = os.fork()
            if not child:
                time.sleep(60)
                os._exit(0)
            children.append(child)
        return f"a limit of {FEW} processes let {len(children)} live"
    except OSError:
        return ""
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _in_child(action: Callable[[], str | None]) -> str | None:
    """Run the action in a process of its own; returns its result, None if it died."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(there, json.dumps(action()).encode())
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    result: str | None = json.loads(data) if data else None
    return result


TRIES = {
    "remount": _remount,
    "write outside": _write_outside,
    "sysctl": _sysctl,
    "port": _port,
    "other slot": _other_slot,
    "root": _become_root,
    "processes": _processes,
}


def main(facts: Mapping[str, Any]) -> dict[str, str | None]:
    """Try each escape that the facts name, in a process of its own."""
    return {name: _in_child(lambda name=name: TRIES[name](facts)) for name in facts["tries"]}  # type: ignore[misc]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
