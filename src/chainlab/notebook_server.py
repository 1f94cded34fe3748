"""JupyterLab as a child process of `chainlab start`: its settings, its address, its end.

Its files are in one folder of the workspace, and no extension contacts the network. ``address.json``, which only the
owner can read, keeps port and token. The next start uses them again, so a tab that is still open reconnects.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from chainlab.errors import Unavailable
from chainlab.storage import write_whole

__all__ = ["NotebookServer", "choose_address", "kept_address"]

READY_TIMEOUT = 90.0  # seconds; a cold start on a slow disk took 20
STOP_TIMEOUT = 10.0  # seconds for JupyterLab to end its kernels
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    "@jupyterlab/filebrowser-extension:browser": {"showHiddenFiles": True},  # as far as the server allows
    "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 8},  # seconds; an edit is on the disk within 10
}
# JupyterLab breaks printed lines inside words; this style breaks only words that are longer than a line.
# For a folded output it shows the first line, which would give the answer away.
STYLE = """\
body .jp-OutputArea-output pre { word-break: normal; overflow-wrap: break-word; }
.jp-OutputPlaceholder .jp-PlaceholderText { display: none; }
.jp-OutputPlaceholder .jp-Placeholder-contentContainer::before { content: "folded: run the cell, or click here"; }
"""
HIDDEN = (".ipynb_checkpoints", ".jupyter*", ".venv", "__pycache__", "*.pyc", ".DS_Store")  # from the file browser
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # uses no proxy
TOKEN_BYTES = 24


def kept_address(folder: Path) -> str | None:
    """Return the address at which a JupyterLab of that folder answers now, with its token; None when none does."""
    port, token = _kept(folder)
    try:
        DIRECT.open(f"http://127.0.0.1:{port}/api", timeout=5).close()
    except (OSError, ValueError):
        return None
    return f"http://127.0.0.1:{port}/lab?token={token}"


def choose_address(folder: Path, port: int = 0, *, new_token: bool = False) -> tuple[int, str]:
    """Choose port and token for the next start: the kept ones if they can be used again. Port 0 is any free port.

    Raises `Unavailable` when ``port`` is given and in use.
    """
    if port and not _is_free(port):
        raise Unavailable(f"another program uses port {port}", hint="give another port, or none")
    kept, token = _kept(folder)
    free = _is_free(kept)
    if new_token or not free:  # an open tab sends the token to whatever listens there now
        token = secrets.token_urlsafe(TOKEN_BYTES)
        (folder / "runtime" / "jupyter_cookie_secret").unlink(missing_ok=True)  # browsers must sign in again
    return port or (kept if free else 0), token


class NotebookServer:
    """A running JupyterLab, until `close`."""

    def __init__(
        self,
        folder: Path,
        *,
        shown: Path,
        page: str,
        environment: Mapping[str, str],
        port: int = 0,
        new_token: bool = False,
    ) -> None:
        """Start JupyterLab on the files of ``shown``, with its own files in ``folder``; returns when it answers.

        An empty ``page`` opens what was open last. Raises `Unavailable` when ``port`` is in use, or when it does not
        start.
        """
        self._folder = folder
        self._page = page
        _end_orphan(folder)
        port, self._token = choose_address(folder, port, new_token=new_token)
        self._child = self._launch(shown, port, environment)
        try:
            self._port = self._await_ready()
            self.redirect.chmod(0o600)
            file = _address_file(folder)
            file.unlink(missing_ok=True)  # an old one would keep its mode
            write_whole(file, json.dumps({"port": self._port, "token": self._token}) + "\n", mode=0o600)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The address to open in a browser; it contains the token."""
        return f"http://127.0.0.1:{self._port}{_path(self._page)}?token={self._token}"

    @property
    def redirect(self) -> Path:
        """A page that redirects to `address`. Only its owner can read it, so it may stand on a command line."""
        return self._folder / "runtime" / f"jpserver-{self._child.pid}-open.html"

    @property
    def log(self) -> Path:
        """The file with JupyterLab's own messages."""
        return self._folder / "jupyterlab.log"

    def wait(self) -> None:
        """Wait until it is shut down from its File menu. Raises `Unavailable` when it fails."""
        code = self._child.wait()
        if code != 0:
            raise self._failure(f"JupyterLab ended by itself with exit code {code}")

    def close(self) -> None:
        """End JupyterLab and its kernels."""
        self._child.terminate()  # does nothing if it has ended
        try:
            self._child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.redirect.unlink(missing_ok=True)  # a killed JupyterLab leaves it

    def _launch(self, shown: Path, port: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        settings = self._folder / "settings"
        settings.mkdir(exist_ok=True)
        (settings / "overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        style = self._folder / "config" / "custom" / "custom.css"
        style.parent.mkdir(parents=True, exist_ok=True)
        style.write_text(STYLE, encoding="utf-8")
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": str(port),  # 0: JupyterLab takes any free port
            "ServerApp.port_retries": "0",
            "ServerApp.root_dir": str(shown),
            "ServerApp.allow_remote_access": "False",
            "ServerApp.allow_root": "True",  # usual in a container; loopback and token still protect it
            "ServerApp.open_browser": "False",
            "ContentsManager.allow_hidden": "True",  # lab 2 is about a project's .github
            "LabApp.default_url": _path(self._page),
            "LabApp.app_settings_dir": str(settings),
            "LabApp.user_settings_dir": str(self._folder / "user-settings"),
            "LabApp.workspaces_dir": str(self._folder / "workspaces"),
            "LabApp.news_url": "None",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LabApp.extension_manager": "readonly",
            "LabApp.custom_css": "True",
        }
        if shell := os.environ.get("SHELL") or shutil.which("bash") or shutil.which("sh"):
            # By itself JupyterLab runs a login shell, whose /etc/profile may set a PATH without `chainlab`.
            options["ServerApp.terminado_settings"] = f"shell_command={shlex.quote(shell)}"
        command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
        command += [f"--ContentsManager.hide_globs={pattern}" for pattern in HIDDEN]
        with self.log.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                cwd=shown,
                env={
                    **environment,
                    "JUPYTER_TOKEN": self._token,  # every user can read a command line
                    "JUPYTER_CONFIG_DIR": str(self._folder / "config"),
                    "JUPYTER_DATA_DIR": str(self._folder / "data"),
                    "JUPYTER_RUNTIME_DIR": str(self._folder / "runtime"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the parent, which ends the child
            )

    def _await_ready(self) -> int:
        """Wait until JupyterLab answers; returns its port."""
        info = self._folder / "runtime" / f"jpserver-{self._child.pid}.json"
        deadline = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < deadline:
            if (code := self._child.poll()) is not None:
                raise self._failure(f"JupyterLab did not start (exit code {code})")
            try:
                port = int(json.loads(info.read_text(encoding="utf-8"))["port"])
                DIRECT.open(f"http://127.0.0.1:{port}/api", timeout=5).close()
            except (OSError, ValueError):  # not written yet, half written, or not listening yet
                time.sleep(0.1)
                continue
            return port
        raise self._failure(f"JupyterLab did not answer within {READY_TIMEOUT:.0f} seconds")

    def _failure(self, message: str) -> Unavailable:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Unavailable(
            message,
            why=f"its last messages: {' / '.join(line.strip() for line in lines[-3:]) or 'none'}",
            hint="run `chainlab doctor`, which often names the cause",
            see=str(self.log),
        )


def _path(page: str) -> str:
    return f"/lab/tree/{page}" if page else "/lab"


def _address_file(folder: Path) -> Path:
    return folder / "address.json"


def _kept(folder: Path) -> tuple[int, str]:
    """Return port and token of the last session; port 0 and a new token if none are kept, or others could read them."""
    file = _address_file(folder)
    try:
        if not (os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077):
            kept = json.loads(file.read_text(encoding="utf-8"))
            port, token = int(kept["port"]), str(kept["token"])
            if 0 < port < 2**16 and len(token) >= TOKEN_BYTES:
                return port, token
    except (OSError, ValueError, LookupError, TypeError):
        pass  # the first start, or a damaged file
    return 0, secrets.token_urlsafe(TOKEN_BYTES)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":  # as JupyterLab does; on Windows this would allow a port in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _end_orphan(folder: Path) -> None:
    """Shut down the JupyterLab of a killed session with the token that it left, and wait for its end."""
    for info in (folder / "runtime").glob("jpserver-*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # it ended long ago
            orphan = json.loads(info.read_text(encoding="utf-8"))
            os.kill(int(orphan["pid"]), 0)  # raises when it has ended: another program may use its port now
            DIRECT.open(
                urllib.request.Request(
                    f"http://127.0.0.1:{int(orphan['port'])}/api/shutdown",
                    method="POST",
                    headers={"Authorization": f"token {orphan['token']}"},
                ),
                timeout=5,
            ).close()
            deadline = time.monotonic() + STOP_TIMEOUT
            while not _is_free(int(orphan["port"])) and time.monotonic() < deadline:
                time.sleep(0.1)
        info.unlink(missing_ok=True)
    for redirect in (folder / "runtime").glob("jpserver-*-open.html"):
        redirect.unlink(missing_ok=True)
