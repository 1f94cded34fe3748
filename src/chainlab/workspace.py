"""A workspace: the directory in which a lesson, a lab or a learner's eight weeks take place.

    DIR/trust/      state of the Sigstore instance
    DIR/home/       HOME of everything that runs here; XDG, pip and uv configuration below it
    DIR/desk/       what JupyterLab shows: the learner's copies of the course's files (`chainlab.course.learner_copies`)
    DIR/desk/units/ID/   working files of one unit
    DIR/progress.json

A private workspace is a temporary copy of a checkpoint and goes with the process that opened it.
The checkpoint is made once per user and version, and kept in the cache directory (mode 0700).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from chainlab.errors import Unavailable

__all__ = ["Workspace", "cache_directory", "course_root", "learner_workspace", "wheelhouse"]

JOIN = "CHAINLAB_WORKSPACE"  # the environment variable that names a running workspace
PRIVATE = "chainlab-"  # begins the name of a private workspace
FRESH = 60  # seconds: a younger one may be in the making
LOOPBACK = "127.0.0.1,localhost,::1,.localhost"
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens, so no proxy leads out
# Reach other indexes or another configuration: taken out of the environment.
CLEARED_PREFIXES = ("PIP_", "UV_", "SIGSTORE_", "ACTIONS_", "GITHUB_")


class Workspace:
    """One workspace directory; made when it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._held: FileLock | None = None  # of a private one, as long as its process lives
        for directory in (self.path, self.home, self.desk, self.desk / "units"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def trust(self) -> Path:
        """State directory of the Sigstore instance."""
        return self.path / "trust"

    @property
    def home(self) -> Path:
        """HOME inside the workspace."""
        return self.path / "home"

    @property
    def desk(self) -> Path:
        """The folder that JupyterLab shows."""
        return self.path / "desk"

    def copy(self, root: Path, name: str) -> Path:
        """The learner's copy of a file of the course, such as ``labs/x.ipynb``; the course's own if there is none."""
        copy = self.desk / name
        return copy if copy.is_file() else root / name

    def unit(self, unit: str) -> Path:
        """Working directory of a unit, made when it does not exist."""
        directory = self.desk / "units" / unit
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of what runs here, from ``base`` (this process's when None).

        Nothing in it leads out: proxies point to a closed port, loopback excepted, and the
        configuration of pip and uv is empty.
        """
        base = os.environ if base is None else base
        kept = {
            name: value
            for name, value in base.items()
            if not name.startswith(CLEARED_PREFIXES) and not name.lower().endswith("_proxy")
        }
        home = str(self.home)
        # matplotlib would build its font cache anew in every fresh home: leave it where it is.
        cache = kept.get("MPLCONFIGDIR") or str(cache_directory() / "matplotlib")
        scripts = str(Path(sys.executable).parent)  # `sigstore`, `chainlab`, … of this environment
        path = kept.get("PATH", os.defpath)
        return kept | {
            "PATH": path if scripts in path.split(os.pathsep) else os.pathsep.join((scripts, path)),
            "HOME": home,
            "USERPROFILE": home,
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "XDG_DATA_HOME": f"{home}/.local/share",
            "XDG_STATE_HOME": f"{home}/.local/state",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
            "GIT_CONFIG_GLOBAL": f"{home}/.gitconfig",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "MPLCONFIGDIR": cache,
            "CHAINLAB_CACHE": str(cache_directory()),
            "HTTP_PROXY": CLOSED,
            "HTTPS_PROXY": CLOSED,
            "ALL_PROXY": CLOSED,
            "NO_PROXY": LOOPBACK,
            "http_proxy": CLOSED,
            "https_proxy": CLOSED,
            "all_proxy": CLOSED,
            "no_proxy": LOOPBACK,
        }

    @classmethod
    def joined(cls) -> Workspace | None:
        """The running workspace that the environment names, if it names one."""
        name = os.environ.get(JOIN)
        if not name:
            return None
        if not Path(name).is_dir():
            raise Unavailable(
                f"{JOIN} names {name}, which is not a directory",
                hint=f"start it with `chainlab start`, or unset {JOIN} for a private workspace",
            )
        return cls(Path(name))

    @classmethod
    def private(cls, key: str, make: Callable[[Workspace], None]) -> Workspace:
        """A fresh temporary workspace that begins as the checkpoint named ``key``.

        ``make`` fills the checkpoint the first time; two processes never do it at once.
        """
        checkpoint = cache_directory() / "checkpoints" / hashlib.sha256(key.encode()).hexdigest()[:16]
        if not (checkpoint / "complete").exists():
            checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{checkpoint}.lock", mode=0o600):
                if not (checkpoint / "complete").exists():
                    shutil.rmtree(checkpoint, ignore_errors=True)
                    make(cls(checkpoint))
                    (checkpoint / "complete").touch()
        for directory in (checkpoint.parent, checkpoint):
            if _open_to_others(directory):
                raise Unavailable(
                    f"{directory} belongs to another user, or others can write to it",
                    why="it holds signing keys, and whoever put them there could be anyone",
                    hint="delete that directory, or let CHAINLAB_CACHE name one of your own",
                )
        _sweep()
        # Short, because the path of a Unix socket below it must stay under 104 characters.
        path = Path(tempfile.mkdtemp(prefix=PRIVATE))
        held = FileLock(path / "held", mode=0o600)
        held.acquire()
        shutil.copytree(checkpoint, path, dirs_exist_ok=True)
        path.chmod(0o700)
        workspace = cls(path)
        workspace._held = held
        return workspace

    def remove(self) -> None:
        """Delete the workspace and all in it."""
        if self._held is not None:
            self._held.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _open_to_others(path: Path) -> bool:
    if os.name != "posix":
        return False
    status = path.stat()
    return status.st_uid not in (0, os.getuid()) or bool(status.st_mode & 0o022)


def _sweep() -> None:
    """Delete private workspaces whose process was killed before it could: they hold keys."""
    for held in Path(tempfile.gettempdir()).glob(f"{PRIVATE}*/held"):
        try:
            status = held.stat()
            if time.time() - status.st_mtime < FRESH or status.st_uid != getattr(os, "getuid", int)():
                continue
            with FileLock(held, timeout=0, mode=0o600):
                shutil.rmtree(held.parent)
        except (OSError, Timeout):  # its process lives, or another sweep was quicker
            continue


def cache_directory() -> Path:
    """Where checkpoints are kept between runs: ``$CHAINLAB_CACHE``, else the user's cache."""
    named = os.environ.get("CHAINLAB_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("chainlab", appauthor=False)


def course_root() -> Path:
    """The directory that holds ``course.toml``. Raises `Unavailable` when there is none."""
    named = os.environ.get("CHAINLAB_COURSE")
    candidates = [Path(named)] if named else [Path.cwd(), *Path.cwd().parents, Path(__file__).parents[2]]
    for candidate in candidates:
        if (candidate / "course.toml").is_file():
            return candidate.resolve()
    raise Unavailable(
        "there is no course here: course.toml is missing",
        hint="run this inside a clone of the course, or let CHAINLAB_COURSE name one",
    )


def wheelhouse() -> Path | None:
    """Where `make setup` keeps the projects' wheels; None before it has."""
    folder = course_root() / ".cache" / "wheelhouse"
    return folder if (folder / ".complete").exists() else None


def learner_workspace() -> Workspace:
    """The workspace of this clone's learner: the running one, else ``.chainlab/workspace``."""
    return Workspace.joined() or Workspace(course_root() / ".chainlab" / "workspace")
