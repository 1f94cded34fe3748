"""The doctor: checks of this machine for problems that would disturb the course.

Each `DoctorFinding` says what was observed, what it means and how to fix it:

    >>> print(DoctorFinding("disk space", "warn", "0.4 GB free", "the caches may not fit", "free 2 GB"))
    warn  disk space: 0.4 GB free
          the caches may not fit
          help: free 2 GB

``ok`` needs nothing, ``warn`` costs a part of the course, ``fail`` stops it. A check that cannot run on this platform
says so; it is never left out.
"""

from __future__ import annotations

import importlib.metadata
import locale
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chainlab.characters import join_lines
from chainlab.sandbox import Sandbox

__all__ = [
    "DoctorFinding",
    "browser",
    "clock",
    "encoding",
    "examine",
    "git",
    "loopback",
    "packages",
    "path_length",
    "proxies",
    "python",
    "sandbox",
    "space",
    "workspace",
]

DAY = 86_400  # seconds
SPACE_NEEDED = 2.0  # GB: caches and workspaces of all weeks
SOCKET_LIMIT = 104  # bytes of a Unix socket's path: sun_path on macOS; Linux has 108
SOCKET_TAIL = "/desk/units/01_assessment/kernel-00000000-ipc-1"  # the longest one below a workspace
BROWSERS = ("firefox", "chromium", "chromium-browser", "google-chrome", "x-www-browser")


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one check."""

    check: str
    level: Literal["ok", "warn", "fail"]
    seen: str
    meaning: str = ""  # for the course; empty when ok
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"{self.level:<4}  {self.check}: {self.seen}"]
        lines += [f"      {self.meaning}"] if self.meaning else []
        lines += [f"      help: {self.hint}"] if self.hint else []
        return join_lines(lines)


def examine(root: Path) -> list[DoctorFinding]:
    """Run all checks for the course in a folder."""
    checks: list[tuple[str, Callable[[], DoctorFinding]]] = [
        ("Python", python),
        ("packages", lambda: packages(root / "requirements.lock")),
        ("loopback", loopback),
        ("proxies", proxies),
        ("clock", lambda: clock(root)),
        ("disk space", lambda: space(root)),
        ("workspace", lambda: workspace(root)),
        ("sandbox", sandbox),
        ("browser", browser),
        ("git", git),
        ("path length", lambda: path_length(root)),
        ("text encoding", encoding),
    ]
    findings = []
    for name, check in checks:
        try:
            findings.append(check())
        except Exception as err:  # one broken check must not hide the others
            findings.append(DoctorFinding(name, "warn", f"could not be checked: {err}", "this may be a problem"))
    return findings


def python(version: tuple[int, int] = sys.version_info[:2]) -> DoctorFinding:
    """Check the interpreter's version."""
    seen = f"{version[0]}.{version[1]}"
    if (3, 11) <= version <= (3, 13):
        return DoctorFinding("Python", "ok", seen)
    return DoctorFinding(
        "Python",
        "fail",
        seen,
        "the locked packages have no wheels for it",
        "install Python 3.11, 3.12 or 3.13, then: make clean, make setup PYTHON=python3.12",
    )


def packages(lock: Path) -> DoctorFinding:
    """Compare the installed packages with the lock."""
    missing, other = [], []
    total = 0
    for name, version, marker in _locked(lock.read_text(encoding="utf-8")):
        if not _applies(marker):
            continue
        total += 1
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed != version:
            other.append(f"{name} {installed} in place of {version}")
    if not missing and not other:
        return DoctorFinding("packages", "ok", f"all {total} as locked")
    seen = "; ".join([f"{len(missing)} missing ({', '.join(missing[:3])})"] * bool(missing) + other[:3])
    return DoctorFinding(
        "packages",
        "fail" if missing else "warn",
        seen,
        "notebooks may fail, or differ from what their text says",
        "make setup",
    )


def loopback() -> DoctorFinding:
    """Check that a server can listen on 127.0.0.1 and be reached."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            with socket.create_connection(server.getsockname(), timeout=5):
                server.accept()[0].close()
            port = server.getsockname()[1]
    except OSError as err:
        return DoctorFinding(
            "loopback",
            "fail",
            f"127.0.0.1 does not answer: {err}",
            "neither the services nor JupyterLab can run",
            "look for a firewall or security tool that keeps programs from listening on 127.0.0.1",
        )
    return DoctorFinding("loopback", "ok", f"a free port ({port}) answers")


def proxies() -> DoctorFinding:
    """Check that no proxy variable catches traffic to this machine itself."""
    caught = [name for name in urllib.request.getproxies() if name in ("http", "https", "all")]
    bypassed = all(urllib.request.proxy_bypass(host) for host in ("127.0.0.1", "localhost"))
    if not caught:
        return DoctorFinding("proxies", "ok", "none set")
    if bypassed:
        return DoctorFinding("proxies", "ok", f"{', '.join(caught)}; loopback bypasses them")
    return DoctorFinding(
        "proxies",
        "warn",
        f"{', '.join(caught)} set, loopback not excepted",
        "programs that you run yourself would ask the proxy; kernels of `chainlab start` do not",
        "export NO_PROXY=127.0.0.1,localhost,::1,.localhost",
    )


def clock(root: Path, now: float | None = None) -> DoctorFinding:
    """Check that the clock is plausible: clients refuse tokens of another day."""
    now = time.time() if now is None else now
    newest = max(path.stat().st_mtime for path in (root / "requirements.lock", root / "course.toml"))
    with tempfile.NamedTemporaryFile() as probe:
        drift = Path(probe.name).stat().st_mtime - now
    seen = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if newest - now > DAY:
        return DoctorFinding(
            "clock",
            "fail",
            f"{seen}, before the course's own files were written",
            "certificates and tokens will be refused as not yet valid",
            "set the date, by network time if you can",
        )
    if abs(drift) > 60:
        return DoctorFinding(
            "clock",
            "warn",
            f"{seen}; the disk's clock is {drift:+.0f} s off",
            "files look older or newer than they are",
            "set the date of the machine that holds the disk",
        )
    return DoctorFinding("clock", "ok", seen)


def space(root: Path) -> DoctorFinding:
    """Check the free space on the course's disk."""
    free = shutil.disk_usage(root).free / 1e9
    seen = f"{free:.1f} GB free"
    if free >= SPACE_NEEDED:
        return DoctorFinding("disk space", "ok", seen)
    return DoctorFinding(
        "disk space",
        "fail" if free < SPACE_NEEDED / 10 else "warn",
        seen,
        "the log and the caches of later weeks may not fit",
        f"free {SPACE_NEEDED:.0f} GB on this disk",
    )


def workspace(root: Path) -> DoctorFinding:
    """Check that the folder with the learner's work can be written."""
    directory = Path(os.environ.get("CHAINLAB_WORKSPACE") or root / ".chainlab" / "workspace")
    existing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            return DoctorFinding("workspace", "ok", str(directory))
    except OSError as err:
        return DoctorFinding(
            "workspace",
            "fail",
            f"{existing} cannot be written to: {err.strerror}",
            "your answers and your progress could not be kept",
            "keep them elsewhere: chainlab start --workspace DIR",
        )


def sandbox() -> DoctorFinding:
    """Check what confines the attacks' payloads, and which escapes from it were tried; from week 2 on."""
    wall = Sandbox.find()
    tried = {
        outcome: ", ".join(attempt.escape for attempt in wall.attempts if attempt.outcome == outcome)
        for outcome in ("refused", "succeeded", "untried")
    }
    escapes = "".join(f"; escapes {outcome}: {names}" for outcome, names in tried.items() if names)
    if wall.control != "none":
        weakness = f"; {wall.why}" if wall.why else ""
        return DoctorFinding("sandbox", "ok", f"{wall.control}{weakness}{escapes}")
    return DoctorFinding(
        "sandbox",
        "warn",
        f"{wall.why}{escapes}",
        "weeks 0 and 1 do not need it; the attacks of week 2 and grading do not run without it",
        "allow unprivileged programs to use user namespaces; on Ubuntu 23.10 and later, per program (AppArmor). "
        "As root, use the machine's root or a container with 65,536 user ids",
    )


def browser() -> DoctorFinding:
    """Check that a browser can be opened from here."""
    if sys.platform in ("darwin", "win32"):
        return DoctorFinding("browser", "ok", "the system's default")
    names = [name for name in BROWSERS if shutil.which(name)]
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if names and display:
        return DoctorFinding("browser", "ok", names[0])
    return DoctorFinding(
        "browser",
        "warn",
        "no display" if names or not display else "none found",
        "chainlab start cannot open the page by itself",
        "open the printed address in a browser on this machine (over ssh: forward both ports)",
    )


def git() -> DoctorFinding:
    """Check that git runs, and its version."""
    program = shutil.which("git")
    if program is None:
        return DoctorFinding(
            "git",
            "warn",
            "not found",
            "primer 00a and the labs from week 2 on need it",
            "install git (macOS: xcode-select --install)",
        )
    run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    if run.returncode:
        return DoctorFinding(
            "git",
            "warn",
            f"does not run: {run.stderr.strip()[-100:]}",
            "primer 00a needs it",
            "install git",
        )
    return DoctorFinding("git", "ok", run.stdout.strip().removeprefix("git version "))


def path_length(root: Path) -> DoctorFinding:
    """Check that the paths of Unix sockets below the workspace fit into an address."""
    longest = len(os.fsencode(root / ".chainlab" / "workspace")) + len(SOCKET_TAIL)
    seen = f"a socket's path would have {longest} bytes, at most {SOCKET_LIMIT - 1} are allowed"
    if sys.platform == "win32":
        return DoctorFinding("path length", "ok", "no Unix sockets are used on Windows")
    if longest < SOCKET_LIMIT:
        return DoctorFinding("path length", "ok", seen)
    return DoctorFinding(
        "path length",
        "warn",
        seen,
        "sandboxed kernels of later weeks cannot open their sockets",
        "keep the workspace elsewhere: chainlab start --workspace ~/chainlab",
    )


def encoding() -> DoctorFinding:
    """Check the encoding in which programs read and write text."""
    preferred = locale.getpreferredencoding(do_setlocale=False)
    if preferred.lower().replace("-", "") == "utf8":
        return DoctorFinding("text encoding", "ok", preferred)
    return DoctorFinding(
        "text encoding",
        "warn",
        preferred,
        "names outside ASCII may be garbled or refused",
        "export LANG=C.UTF-8, or PYTHONUTF8=1 on Windows",
    )


def _locked(text: str) -> list[tuple[str, str, str]]:
    """Return name, version and marker of every package in a lock."""
    line = r"^([a-z0-9._-]+)==([^\s;\\]+)(?: *; *([^\\\n]+?))? *\\?$"
    return [match.groups("") for match in re.finditer(line, text, re.MULTILINE)]  # type: ignore[misc]


def _applies(marker: str) -> bool:
    """Whether an environment marker holds here (PEP 508)."""
    if not marker:
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate()
