"""A workspace: the directory in which a lesson, a lab or a learner's eight weeks take place.

    DIR/trust/      state of the Sigstore instance
    DIR/home/       HOME of everything that runs here; XDG, pip and uv configuration below it
    DIR/desk/       shown by JupyterLab: the learner's copies of the course's files (`chainlab.course.learner_copies`)
    DIR/desk/units/ID/   working files of one unit
    DIR/progress.json

A private workspace is a temporary copy of a checkpoint, and is deleted with the process that opened it. The checkpoint
is made once per user and version, and kept in the cache directory (mode 0700).
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
PRIVATE = "chainlab-"  # prefix of a private workspace's name
FRESH = 60  # seconds; a private workspace younger than this may still be being made
LOOPBACK = "127.0.0.1,localhost,::1,.localhost"
CLOSED = "http://127.0.0.1:9"  # a proxy that does not exist: nothing listens on the discard port
# Variables that would lead to other indexes or another configuration; removed from the environment.
CLEARED_PREFIXES = ("PIP_", "UV_", "SIGSTORE_", "ACTIONS_", "GITHUB_")


class Workspace:
    """One workspace directory; created when it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._held: FileLock | None = None  # of a private workspace, while its process lives
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
        """Return the learner's copy of a course file, such as ``labs/x.ipynb``; the course's own if there is none."""
        copy = self.desk / name
        return copy if copy.is_file() else root / name

    def unit(self, unit: str) -> Path:
        """Return the working directory of a unit; creates it if needed."""
        directory = self.desk / "units" / unit
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables for programs that run here, from ``base`` (this process's when None).

        They keep programs from the network: proxies point to a closed port, except for loopback, and the configuration
        of pip and uv is empty.
        """
        base = os.environ if base is None else base
        inherited = {
            name: value
            for name, value in base.items()
            if not name.startswith(CLEARED_PREFIXES) and not name.lower().endswith("_proxy")
        }
        home = str(self.home)
        # matplotlib would rebuild its font cache in every new home, so share it.
        cache = inherited.get("MPLCONFIGDIR") or str(cache_directory() / "matplotlib")
        scripts = str(Path(sys.executable).parent)  # `sigstore`, `chainlab`, … of this environment
        path = inherited.get("PATH", os.defpath)
        return inherited | {
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
        """Open the running workspace that the environment names; None when it names none."""
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
        """Create a temporary workspace as a copy of the checkpoint named ``key``.

        ``make`` fills the checkpoint the first time; a lock keeps two processes from doing it at once.
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
                    why="it holds signing keys, which somebody else may have put there",
                    hint="delete that directory, or set CHAINLAB_CACHE to a directory of your own",
                )
        _sweep()
        # A short path, because a Unix socket below it must stay under 104 characters.
        path = Path(tempfile.mkdtemp(prefix=PRIVATE))
        held = FileLock(path / "held", mode=0o600)
        held.acquire()
        shutil.copytree(checkpoint, path, dirs_exist_ok=True)
        path.chmod(0o700)
        workspace = cls(path)
        workspace._held = held
        return workspace

    def remove(self) -> None:
        """Delete the workspace and everything in it."""
        if self._held is not None:
            self._held.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _open_to_others(path: Path) -> bool:
    if os.name != "posix":
        return False
    status = path.stat()
    return status.st_uid not in (0, os.getuid()) or bool(status.st_mode & 0o022)


def _sweep() -> None:
    """Delete private workspaces that a killed process left behind: they hold keys."""
    for held in Path(tempfile.gettempdir()).glob(f"{PRIVATE}*/held"):
        try:
            status = held.stat()
            if time.time() - status.st_mtime < FRESH or status.st_uid != getattr(os, "getuid", int)():
                continue
            with FileLock(held, timeout=0, mode=0o600):
                shutil.rmtree(held.parent)
        except (OSError, Timeout):  # its process lives, or another sweep has deleted it
            continue


def cache_directory() -> Path:
    """Return where checkpoints are kept between runs: ``$CHAINLAB_CACHE``, else the user's cache."""
    name = os.environ.get("CHAINLAB_CACHE")
    return Path(name) if name else platformdirs.user_cache_path("chainlab", appauthor=False)


def course_root() -> Path:
    """Find the directory that holds ``course.toml``. Raises `Unavailable` when there is none."""
    name = os.environ.get("CHAINLAB_COURSE")
    candidates = [Path(name)] if name else [Path.cwd(), *Path.cwd().parents, Path(__file__).parents[2]]
    for candidate in candidates:
        if (candidate / "course.toml").is_file():
            return candidate.resolve()
    raise Unavailable(
        "there is no course here: course.toml is missing",
        hint="run this inside a clone of the course, or set CHAINLAB_COURSE to one",
    )


def wheelhouse() -> Path | None:
    """Return where `make setup` keeps the projects' wheels; None before `make setup` has run."""
    folder = course_root() / ".cache" / "wheelhouse"
    return folder if (folder / ".complete").exists() else None


def learner_workspace() -> Workspace:
    """Open the workspace of this clone's learner: the running one, else ``.chainlab/workspace``."""
    return Workspace.joined() or Workspace(course_root() / ".chainlab" / "workspace")
