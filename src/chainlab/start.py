"""A working session: the services and JupyterLab over one workspace, until the learner ends it.

The services run in this process. JupyterLab is a child process with its own token, on a loopback port. Its kernels join
this session, because they get ``CHAINLAB_WORKSPACE``. It shows the learner's copies of the course, not the clone.

    with Session(root, workspace, unit="01_assessment") as session:
        webbrowser.open(session.server.redirect.as_uri())
        session.wait()
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from chainlab.course import learner_copies
from chainlab.course.syllabus import load
from chainlab.deploy import prediction_service as prod
from chainlab.errors import ChainlabError, InUse, MalformedInput, Unavailable
from chainlab.notebook_server import NotebookServer, kept_address
from chainlab.workspace import Workspace
from chainlab.world import World

__all__ = ["Session", "end_on_signals", "find_page", "has_display", "open_workspace"]

FOLDERS = ("notebooks", "labs")  # searched for a page in this order
FIRST_PAGE = "00_onramp"  # opened by the first start


def find_page(root: Path, unit: str) -> str:
    """Find the notebook to open, as a path in the course; ``unit`` names a lesson, a lab or a whole unit.

    Raises `MalformedInput` for a name that has no notebook.
    """
    name = unit.removesuffix(".ipynb")
    candidates = [name]
    with contextlib.suppress(ChainlabError):  # not a unit: try it as a lesson's own name
        candidates += [lesson.file for lesson in load(root).unit(name).lessons[:1]]
    for candidate in candidates:
        for folder in FOLDERS:
            page = f"{folder}/{Path(candidate).name}.ipynb"
            if (root / page).is_file():
                return page
    names = sorted({path.stem for f in FOLDERS for path in (root / f).glob("*.ipynb")})
    raise MalformedInput(
        f"no notebook for {name!r}",
        hint=f"name one of {', '.join(names)}" if names else "derive the notebooks: chainlab build",
    )


def has_display() -> bool:
    """Whether this machine can show a browser window."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def end_on_signals() -> None:
    """Let SIGTERM and a closed terminal end the session like Ctrl-C: with all its children."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


def open_workspace(path: Path) -> Workspace:
    """Open the workspace at a path; creates it if needed. Raises `Unavailable` when it cannot be written."""
    try:
        workspace = Workspace(path)
        (workspace.path / "jupyter").mkdir(mode=0o700, exist_ok=True)
        (workspace.path / "start.lock").touch()
    except OSError as error:
        raise Unavailable(
            f"cannot keep your work in {path}",
            why=error.strerror or str(error),
            hint="use a folder that you can write to: chainlab start --workspace DIR",
        ) from error
    return workspace


class Session:
    """The services and JupyterLab of one workspace; a context manager that ends both."""

    def __init__(self, root: Path, workspace: Path, *, unit: str = "", port: int = 0, new_token: bool = False) -> None:
        """Bring the learner's copies up to date, start both, and return when JupyterLab answers.

        Without a unit, the first start opens the on-ramp and a later start opens what was open last. Raises `InUse`
        when another session holds the workspace, `Unavailable` when it cannot be written or JupyterLab does not start,
        `MalformedInput` for a unit without a notebook.
        """
        self.workspace = open_workspace(workspace)
        folder = self.workspace.path / "jupyter"
        has_layout = any((folder / "workspaces").glob("*.jupyterlab-workspace"))
        page = "" if has_layout and not unit else find_page(root, unit or FIRST_PAGE)
        self._lock = FileLock(self.workspace.path / "start.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as err:
            address = kept_address(folder)
            raise InUse(
                "this workspace already has an open session" + (f": {address}" if address else ""),
                why="two sessions would write into the same log and the same progress",
                hint="use its browser page, end it with Ctrl-C, or take another: chainlab start --workspace DIR",
            ) from err
        with contextlib.ExitStack() as undo:  # in reverse, as far as the start came
            undo.callback(self._lock.release)
            self.renewal = learner_copies.renew(root, self.workspace)
            self._world = undo.enter_context(World(self.workspace, join=False))
            self.services = self._world.url  # of the private Sigstore instance, the registry and the CI host
            self.server = NotebookServer(
                folder,
                shown=self.workspace.desk,
                page=page,
                environment={
                    **self.workspace.environment(),
                    "CHAINLAB_WORKSPACE": str(self.workspace.path),
                    "CHAINLAB_COURSE": str(root),
                },
                port=port,
                new_token=new_token,
            )
            undo.callback(self.server.close)
            self._undo = undo.pop_all()

    @property
    def deployed(self) -> str | None:
        """The address of the service in prod, which goes on without this session; None when none answers."""
        current = self._world.deployment.current
        return current.service.url if current and prod.model_served(current.service) else None

    def wait(self) -> None:
        """Wait until JupyterLab is shut down from its File menu. Raises `Unavailable` when it fails."""
        self.server.wait()

    def close(self) -> None:
        """End JupyterLab with its kernels, then the services, and release the workspace."""
        self._undo.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
