"""The prediction service of a release: an environment from the lock, and a process on loopback.

    service = start(release, folder, index="http://127.0.0.1:8000/simple/")
    service.url, service.model        # where it answers, and the digest of the model that it says it serves
    stop(service)

The environment has what the release's lock lists, by hash, and the release's wheel; nothing else is installed. The
process gets an environment of its own, without a way to the network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from chainlab.deploy.releases import Release
from chainlab.digests import Digest
from chainlab.errors import Unavailable, VerificationFailed
from chainlab.workspace import CLOSED, LOOPBACK, cache_directory

__all__ = ["Service", "model_served", "start", "stop"]

PATIENCE = 30  # seconds until it answers
ANSWER = 3  # seconds for one answer
MODULE = "triage_model.serve"
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # what this process started, by its number


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    pid: int
    model: str  # digest of the model's file


def start(release: Release, folder: Path, *, index: str) -> Service:
    """Install and start a release; returns when it answers with the right model.

    Raises `Unavailable` when it does not come up, `VerificationFailed` when it serves another model.
    """
    name, model = release.one(".onnx")
    folder.mkdir(parents=True, exist_ok=True)
    python = _environment(release, folder, index)
    (folder / name).write_bytes(model)
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-I", "-m", MODULE, name, "--port", "0"],
            cwd=folder,
            env=_variables(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        service = Service(_address(process, folder / "service.log"), process.pid, "")
        served, meant = model_served(service), str(Digest.of(model))
        if served != meant:
            raise VerificationFailed(f"it serves the model {served}, not {meant}")
    except BaseException:
        process.kill()
        process.wait()
        raise
    _CHILDREN[process.pid] = process
    return Service(service.url, service.pid, meant)


def stop(service: Service) -> None:
    """End a service; one that does not answer as itself any more is left alone, its number may be another's."""
    if model_served(service) != service.model:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(service.pid, signal.SIGTERM)
    if child := _CHILDREN.pop(service.pid, None):
        child.wait()


def model_served(service: Service) -> str | None:
    """The digest of the model that a service says it serves; None when it does not answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{service.url}/model", timeout=ANSWER) as answer:
            return f"sha256:{json.loads(answer.read(2**16))['sha256']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _environment(release: Release, folder: Path, index: str) -> Path:
    """A virtual environment of the release alone; its Python. Made once, and anew when making was interrupted."""
    venv, done = folder / "venv", folder / "installed"
    python = venv / "bin" / "python"
    if done.exists():
        return python
    shutil.rmtree(venv, ignore_errors=True)
    lock, wheel = folder / "requirements.lock", folder / release.one(".whl")[0]
    lock.write_bytes(release.one("requirements.lock")[1])
    wheel.write_bytes(release.one(".whl")[1])
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    uv = [str(Path(sys.prefix) / "bin" / "uv")]
    into = ["--quiet", "--python", str(python)]
    for words in (
        [*uv, "venv", "--quiet", "--python", str(base), str(venv)],
        [*uv, "pip", "sync", *into, "--require-hashes", "--index-url", index, str(lock)],
        [*uv, "pip", "install", *into, "--no-deps", "--no-index", str(wheel)],
    ):
        made = subprocess.run(
            words,
            env=_variables(folder) | {"UV_CACHE_DIR": str(cache_directory() / "uv")},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise Unavailable(
                "the release cannot be installed",
                why=made.stderr.strip()[-500:],
                mend="the index must have what the lock lists: `make setup` keeps the wheels",
            )
    done.touch()
    return python


def _variables(folder: Path) -> dict[str, str]:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        **dict.fromkeys(names, CLOSED),
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the service says that it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        first, ended, _ = log.read_text(errors="replace").partition("\n")
        if ended and first.startswith("http://127.0.0.1:"):
            return first.removesuffix("/predict")
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise Unavailable("the service does not start", why=log.read_text(errors="replace")[-500:])
