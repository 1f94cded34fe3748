"""A working session: the services and JupyterLab over one workspace, until the learner ends it.

The services run in this process. JupyterLab is a child with a token of its own, on a free loopback
port that it picks itself and writes into its runtime folder; its kernels get ``CHAINLAB_WORKSPACE``
and so join this session. Everything JupyterLab keeps (settings, runtime files, log) stays in
``jupyter/`` of the workspace, and nothing in it asks the network.

    with Session(root, workspace, page="notebooks/01_threats.ipynb") as session:
        webbrowser.open(session.redirect.as_uri())
        session.wait()
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from chainlab.course.syllabus import load
from chainlab.errors import ChainlabError, InUse, MalformedInput, Unavailable
from chainlab.services import serve
from chainlab.stores import Stores
from chainlab.workspace import Workspace

__all__ = ["Session", "end_on_signals", "find_page", "has_display"]

READY_TIMEOUT = 90.0  # seconds; a cold start on a slow disk took 20
STOP_TIMEOUT = 10.0  # seconds for JupyterLab to end its kernels
NOTIFICATIONS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
FOLDERS = ("notebooks", "labs")  # where a page is looked for, in this order
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, past any proxy
MAIN_PAGE = "01_threats"  # what opens when nothing else is asked for


def find_page(root: Path, unit: str = "") -> str:
    """The notebook to open, relative to the course; `unit` names a lesson, a lab or a whole unit.

    Raises `MalformedInput` for a name that has no notebook.
    """
    name = unit.removesuffix(".ipynb") or MAIN_PAGE
    candidates = [name]
    with contextlib.suppress(ChainlabError):  # not a unit; a lesson's own name will do
        candidates += [lesson.file for lesson in load(root).unit(name).lessons[:1]]
    for candidate in candidates:
        for folder in FOLDERS:
            page = f"{folder}/{Path(candidate).name}.ipynb"
            if (root / page).is_file():
                return page
    known = sorted({path.stem for f in FOLDERS for path in (root / f).glob("*.ipynb")})
    raise MalformedInput(
        f"there is no notebook for {name!r}",
        mend=f"name one of {', '.join(known)}" if known else "make them: chainlab build",
    )


def has_display() -> bool:
    """Whether a browser opened here would be seen by somebody."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def end_on_signals() -> None:
    """Make SIGTERM and a closed terminal end the session as Ctrl-C does: with all its children."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


class Session:
    """Services and JupyterLab of one workspace; a context manager that ends both."""

    def __init__(self, root: Path, workspace: Path, *, page: str, port: int = 0) -> None:
        """Start both and return when JupyterLab answers.

        Raises `InUse` when a session holds the workspace, `Unavailable` when JupyterLab does not
        start.
        """
        self.root = root
        self.page = page
        self.workspace = Workspace(workspace)
        self._folder = self.workspace.path / "jupyter"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = FileLock(self.workspace.path / "start.lock")
        self._token = secrets.token_urlsafe(24)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise InUse(
                "a session is open on this workspace already",
                why="two sessions would write into the same log and the same progress",
                mend="use its browser page, end it with Ctrl-C, or start one elsewhere: chainlab start --workspace DIR",
            ) from err
        with contextlib.ExitStack() as undo:  # in reverse, as far as the start came
            undo.callback(self._lock.release)
            self._end_orphan()
            stores = Stores(self.workspace)
            undo.callback(stores.close)
            self._services = serve(self.workspace.trust, stores=stores)
            undo.callback(self._services.close)
            self._child = self._launch(port)
            undo.callback(self._end_child)
            self._port = self._await_ready()
            self.redirect.chmod(0o600)
            self._undo = undo.pop_all()

    @property
    def address(self) -> str:
        """What to open in a browser; carries the token."""
        return f"http://127.0.0.1:{self._port}/lab/tree/{self.page}?token={self._token}"

    @property
    def redirect(self) -> Path:
        """JupyterLab's page that leads to `address`; its owner alone can read it, so a command line may name it."""
        return self._folder / "runtime" / f"jpserver-{self._child.pid}-open.html"

    @property
    def services(self) -> str:
        """Address of the private Sigstore instance."""
        return self._services.url

    @property
    def log(self) -> Path:
        """JupyterLab's own messages."""
        return self._folder / "jupyterlab.log"

    def wait(self) -> None:
        """Return when JupyterLab was shut down from its File menu.

        Raises `Unavailable` when it broke.
        """
        code = self._child.wait()
        if code != 0:
            raise self._broken(f"JupyterLab ended by itself with exit code {code}")

    def close(self) -> None:
        """End JupyterLab with its kernels, then the services, and let go of the workspace."""
        self._undo.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_child(self) -> None:
        self._child.terminate()  # does nothing to one that has ended
        try:
            self._child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.redirect.unlink(missing_ok=True)  # one that was killed left it

    def _end_orphan(self) -> None:
        """Ask the JupyterLab of a session that was killed to end, with the token it left behind."""
        for info in (self._folder / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):  # it ended long ago
                left = json.loads(info.read_text(encoding="utf-8"))
                DIRECT.open(
                    urllib.request.Request(
                        f"http://127.0.0.1:{int(left['port'])}/api/shutdown",
                        method="POST",
                        headers={"Authorization": f"token {left['token']}"},
                    ),
                    timeout=5,
                ).close()
            info.unlink(missing_ok=True)
        for redirect in (self._folder / "runtime").glob("jpserver-*-open.html"):
            redirect.unlink(missing_ok=True)

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        settings = self._folder / "settings"
        settings.mkdir(exist_ok=True)
        (settings / "overrides.json").write_text(json.dumps(NOTIFICATIONS), encoding="utf-8")
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": str(port),  # 0: JupyterLab takes a free one
            "ServerApp.port_retries": "0",
            "ServerApp.root_dir": str(self.root),
            "ServerApp.allow_remote_access": "False",
            "ServerApp.allow_root": "True",  # root is usual in a container; loopback and token hold
            "ServerApp.open_browser": "False",
            "LabApp.default_url": f"/lab/tree/{self.page}",
            "LabApp.app_settings_dir": str(settings),
            "LabApp.user_settings_dir": str(self._folder / "user-settings"),
            "LabApp.workspaces_dir": str(self._folder / "workspaces"),
            "LabApp.news_url": "None",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LabApp.extension_manager": "readonly",
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
        with self.log.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which ends the child
            )

    def _environment(self) -> dict[str, str]:
        return {
            **self.workspace.environment(),
            "CHAINLAB_WORKSPACE": str(self.workspace.path),
            "JUPYTER_TOKEN": self._token,  # a command line could be read by every user
            "JUPYTER_CONFIG_DIR": str(self._folder / "config"),
            "JUPYTER_DATA_DIR": str(self._folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._folder / "runtime"),
        }

    def _await_ready(self) -> int:
        """The port, once JupyterLab answers on it."""
        info = self._folder / "runtime" / f"jpserver-{self._child.pid}.json"
        deadline = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < deadline:
            if (code := self._child.poll()) is not None:
                raise self._broken(f"JupyterLab did not start (exit code {code})")
            try:
                port = int(json.loads(info.read_text(encoding="utf-8"))["port"])
                DIRECT.open(f"http://127.0.0.1:{port}/api", timeout=5).close()
            except (OSError, ValueError):  # not written yet, half written, or not listening yet
                time.sleep(0.1)
                continue
            return port
        raise self._broken(f"JupyterLab did not answer within {READY_TIMEOUT:.0f} seconds")

    def _broken(self, message: str) -> Unavailable:
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Unavailable(
            message,
            why=f"its last words were: {' / '.join(line.strip() for line in said[-3:]) or 'none'}",
            mend="run 'chainlab doctor'; its findings often name the cause",
            see=str(self.log),
        )
