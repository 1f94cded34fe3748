"""The prediction service of a release: an environment of its own, and a process on loopback.

    service = start(verified, folder, index="http://127.0.0.1:8000/simple/", wheels=wheels, tied=False)
    service.url, service.model        # where it answers, and the digest of the model that it says it serves
    stop(service)

The environment has what the release's lock pins and its jobs were served, and the release's wheel; nothing else
(`environment`). The process gets variables of its own, without a way to the network. One that is tied ends with the
process that started it, also when that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from chainlab.deploy import environment
from chainlab.deploy.releases import Verified
from chainlab.digests import Digest
from chainlab.errors import Unavailable, VerificationFailed

__all__ = ["PredictionService", "model_served", "remove", "start", "stop"]

PATIENCE = 30  # seconds until it answers
ANSWER = 3  # seconds for one answer
GRACE = 5  # seconds to end by itself
URL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")
MODULE = "triage_model.serve"
NOWHERE = "http://127.0.0.1:0"  # before a service said where it listens
BEGUN = "process.json"  # in its folder: which process was started there
KEEPER = Path(__file__).with_name("die_with_parent.py")
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # what this process started, by its number


@dataclass(frozen=True)
class PredictionService:
    """A running service. Raises `ValueError` for what can be none, such as a number that means every process."""

    url: str
    pid: int
    model: str  # digest of the model's file
    born: str = ""  # when the process began, in the system's words; with its number it names one process

    def __post_init__(self) -> None:
        if type(self.pid) is not int or self.pid < 2:
            raise ValueError(f"{self.pid!r} is no service's process")
        if not isinstance(self.url, str) or not URL.fullmatch(self.url):
            raise ValueError(f"{self.url!r} is no service's address")


def start(
    verified: Verified, folder: Path, *, index: str, wheels: Callable[[str], tuple[str, bytes]], tied: bool
) -> PredictionService:
    """Install a release into an empty folder and start it; returns when it answers with the right model.

    Raises `Unavailable` when it does not come up, `VerificationFailed` when it serves another model.
    """
    release = verified.release
    layer, wheel = release.ending(".onnx"), release.ending(".whl")
    name, model = layer.name, release.read(layer)
    own = wheel.name, release.read(wheel)
    python = environment.install(verified.requirements, own, folder, index=index, wheels=wheels)
    (folder / name).write_bytes(model)
    keeper = [sys.executable, "-I", str(KEEPER)] if tied else []
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*keeper, str(python), "-I", "-m", MODULE, name, "--port", "0"],
            cwd=folder,
            env=environment.surroundings(folder),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    begun = {"url": NOWHERE, "pid": process.pid, "model": "", "born": _born(process.pid)}
    try:
        (folder / BEGUN).write_text(json.dumps(begun), encoding="utf-8")
        service = PredictionService(_address(process, folder / "service.log"), process.pid, "")
        served, meant = model_served(service), str(Digest.of(model))
        if served != meant:
            raise VerificationFailed(f"it serves the model {served}, not {meant}")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    _CHILDREN[process.pid] = process
    return replace(service, model=meant, born=_born(process.pid))


def stop(service: PredictionService) -> None:
    """End a service, whatever it answers; one that ended, and a process that only has its number, are left alone."""
    child = _CHILDREN.pop(service.pid, None)
    if child is None and not _is_running(service):
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(service.pid, sign)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            if child.poll() is not None if child else not _is_running(service):
                return
            time.sleep(0.02)


def remove(folder: Path) -> None:
    """Remove a service's folder; ends the process that was started there, if whoever started it was killed since."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        stop(PredictionService(**json.loads((folder / BEGUN).read_text(encoding="utf-8"))))
    shutil.rmtree(folder, ignore_errors=True)


def model_served(service: PredictionService) -> str | None:
    """The digest of the model that a service says it serves; None when it does not answer, or not in time."""
    message: list[str] = []

    def ask() -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with (
            contextlib.suppress(Exception),
            opener.open(f"{service.url}/model", timeout=ANSWER) as answer,
        ):
            message.append(f"sha256:{json.loads(answer.read(2**16))['sha256']}")

    asking = threading.Thread(target=ask, daemon=True)  # it may answer a byte a second, for ever
    asking.start()
    asking.join(ANSWER)
    return message[0] if message else None


def _is_running(service: PredictionService) -> bool:
    """Whether the process is still this service; by what it answers where the system does not tell its beginning."""
    if service.born:
        return _born(service.pid) == service.born
    return model_served(service) == service.model


def _born(pid: int) -> str:
    """When a process began; empty when there is none, or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]  # proc(5): state, starttime
    except FileNotFoundError:
        pass
    except (OSError, IndexError):
        return ""
    if Path("/proc/self/stat").exists() or not (ps := shutil.which("ps")):
        return ""
    words = [ps, "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the service says that it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        first, ended, _ = log.read_text(errors="replace").partition("\n")
        if ended and URL.fullmatch(url := first.removesuffix("/predict")):
            return url
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise Unavailable("the service does not start", why=log.read_text(errors="replace")[-500:])
