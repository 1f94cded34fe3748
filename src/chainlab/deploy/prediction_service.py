"""The prediction service of a release: an environment of its own, and a process on loopback.

    service = start(admitted, folder, index="http://127.0.0.1:8000/simple/", wheels=wheels, tied=False)
    service.url, service.model        # its address, and the digest of the model that it reports
    stop(service)

The environment holds the release's wheel, and the files that its lock pins and its jobs were served; nothing else
(`installation`). The process gets its own environment variables, without a way to the network. A tied service ends with
the process that started it, even if that is killed.
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

from chainlab.deploy import installation
from chainlab.deploy.admission import AdmittedRelease
from chainlab.digests import Digest
from chainlab.errors import Unavailable, VerificationFailed

__all__ = ["PredictionService", "model_served", "remove", "start", "stop"]

PATIENCE = 30  # seconds to wait until it answers
ANSWER = 3  # seconds to wait for one answer
GRACE = 5  # seconds to end after a signal
URL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")
MODULE = "triage_model.serve"
NOWHERE = "http://127.0.0.1:0"  # before the service has printed its address
PROCESS_FILE = "process.json"  # in its folder: which process was started there
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # services that this process started, by PID


@dataclass(frozen=True)
class PredictionService:
    """A running service. Raises `ValueError` for an invalid PID or URL: signalling PID 0 or -1 hits many processes."""

    url: str
    pid: int
    model: str  # digest of the model's file
    born: str = ""  # when the process began, as the system prints it; PID and beginning identify one process

    def __post_init__(self) -> None:
        if type(self.pid) is not int or self.pid < 2:
            raise ValueError(f"invalid service PID: {self.pid!r}")
        if not isinstance(self.url, str) or not URL.fullmatch(self.url):
            raise ValueError(f"invalid service URL: {self.url!r}")


def start(
    admitted: AdmittedRelease, folder: Path, *, index: str, wheels: Callable[[str], tuple[str, bytes]], tied: bool
) -> PredictionService:
    """Install a release into an empty folder and start its service; returns when it serves the right model.

    Raises `Unavailable` when it does not come up, `VerificationFailed` when it serves another model.
    """
    release = admitted.release
    layer, wheel = release.ending(".onnx"), release.ending(".whl")
    name, model = layer.name, release.read(layer)
    own = wheel.name, release.read(wheel)
    python = installation.install(admitted.requirements, own, folder, index=index, wheels=wheels)
    (folder / name).write_bytes(model)
    wrapper = [sys.executable, "-I", str(DIE_WITH_PARENT)] if tied else []
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*wrapper, str(python), "-I", "-m", MODULE, name, "--port", "0"],
            cwd=folder,
            env=installation.variables(folder),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = {"url": NOWHERE, "pid": process.pid, "model": "", "born": _born(process.pid)}
    try:
        (folder / PROCESS_FILE).write_text(json.dumps(record), encoding="utf-8")
        service = PredictionService(_address(process, folder / "service.log"), process.pid, "")
        served, expected = model_served(service), str(Digest.of(model))
        if served != expected:
            raise VerificationFailed(f"the service serves the model {served}, expected {expected}")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    _CHILDREN[process.pid] = process
    return replace(service, model=expected, born=_born(process.pid))


def stop(service: PredictionService) -> None:
    """End a service. Does nothing when it has ended, also when another process has its PID now."""
    child = _CHILDREN.pop(service.pid, None)
    if child is None and not _is_running(service):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(service.pid, number)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            if child.poll() is not None if child else not _is_running(service):
                return
            time.sleep(0.02)


def remove(folder: Path) -> None:
    """Remove a service's folder. Ends the process that was started there, in case its starter was killed."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        stop(PredictionService(**json.loads((folder / PROCESS_FILE).read_text(encoding="utf-8"))))
    shutil.rmtree(folder, ignore_errors=True)


def model_served(service: PredictionService) -> str | None:
    """Ask a service for the digest of its model; None when it does not answer in time."""
    answers: list[str] = []

    def ask() -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with (
            contextlib.suppress(Exception),
            opener.open(f"{service.url}/model", timeout=ANSWER) as answer,
        ):
            answers.append(f"sha256:{json.loads(answer.read(2**16))['sha256']}")

    request = threading.Thread(target=ask, daemon=True)  # the service may send a byte a second, for ever
    request.start()
    request.join(ANSWER)
    return answers[0] if answers else None


def _is_running(service: PredictionService) -> bool:
    """Whether the process is still this service. Without a known beginning, its answer decides."""
    if service.born:
        return _born(service.pid) == service.born
    return model_served(service) == service.model


def _born(pid: int) -> str:
    """When a process began; empty when it has ended, or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]  # proc(5): state, starttime
    except FileNotFoundError:
        pass
    except (OSError, IndexError):
        return ""
    if Path("/proc/self/stat").exists() or not (ps := shutil.which("ps")):
        return ""
    command = [ps, "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that the service prints first. Raises `Unavailable` when it prints none in time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        first_line, newline, _ = log.read_text(errors="replace").partition("\n")
        if newline and URL.fullmatch(url := first_line.removesuffix("/predict")):
            return url
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise Unavailable("the service did not start", why=log.read_text(errors="replace")[-500:])
