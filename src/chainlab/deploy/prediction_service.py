"""The prediction service of a release: an environment of its own, and a process on loopback.

    service = start(admitted, folder, index="http://127.0.0.1:8000/simple/", wheels=wheels, tied=False)
    service.url, service.model        # its address, and the digest of the model that it reports
    stop(service)

The environment holds the release's wheel, and the files that its lock pins and its jobs were served; nothing else
(`installation`). The process gets its own environment variables, without a way to the network. It starts under an audit
hook, which reports what it does (`audit_hook`). A tied service ends with the process that started it, even if that is
killed.

    FOLDER/files.json         every installed file with its digest, as compared with the wheels; the model too
    FOLDER/behaviour.jsonl    the audit hook's report
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chainlab.deploy import installation
from chainlab.deploy.admission import AdmittedRelease
from chainlab.digests import Digest
from chainlab.errors import Unavailable, VerificationFailed

__all__ = [
    "BEHAVIOUR",
    "PredictionService",
    "changed_files",
    "end",
    "model_served",
    "remove",
    "restart",
    "start",
    "stop",
]

PATIENCE = 30  # seconds to wait until it answers
ANSWER = 3  # seconds to wait for one answer
GRACE = 5  # seconds to end after a signal
URL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")
MODULE = "triage_model.serve"
VENV = "venv"  # the environment's folder
NOWHERE = "http://127.0.0.1:0"  # before the service has printed its address
PROCESS_FILE = "process.json"  # in its folder: which process was started there
FILES = "files.json"
BEHAVIOUR = "behaviour.jsonl"
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
AUDIT_HOOK = Path(__file__).with_name("audit_hook.py")
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # services that this process started, by PID


@dataclass(frozen=True)
class PredictionService:
    """A running service. Raises `ValueError` for an invalid PID or URL: signalling PID 0 or -1 hits many processes."""

    url: str
    pid: int
    model: str  # digest of the model's file
    born: str = ""  # when the process began, as the system prints it; PID and beginning identify one process
    folder: str = ""  # the name of its installation
    files: str = ""  # digest of the list of its files

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
    model = release.read(layer)
    own = wheel.name, release.read(wheel)
    files = installation.install(admitted.requirements, own, folder, index=index, wheels=wheels)
    (folder / layer.name).write_bytes(model)
    listing = {f"{VENV}/{path}": fingerprint for path, fingerprint in files.items()}
    listing[layer.name] = f"file {Digest.of(model).value.hex()}"
    text = json.dumps(listing, indent=0, sort_keys=True)
    (folder / FILES).write_text(text, encoding="utf-8")
    expected = PredictionService(
        NOWHERE, os.getpid(), str(Digest.of(model)), folder=folder.name, files=str(Digest.of(text.encode()))
    )
    return _run(expected, folder, layer.name, tied=tied)


def restart(service: PredictionService, folder: Path, *, tied: bool) -> PredictionService:
    """End a service and start it again from the files in its folder; compares nothing (`changed_files` does).

    Raises as `start`.
    """
    stop(service)
    [name] = [path for path in _listing(service, folder) if not path.startswith(f"{VENV}/")]
    return _run(service, folder, name, tied=tied)


def changed_files(service: PredictionService, folder: Path) -> list[str]:
    """Return the files of an installation that are missing, changed or additional, as ``added lib/x.pth``.

    Raises `VerificationFailed` when the list of its files is not the one that was written when it was installed.
    """
    before = _listing(service, folder)
    after = {f"{VENV}/{path}": fingerprint for path, fingerprint in installation.fingerprints(folder / VENV).items()}
    for path in before:
        if not path.startswith(f"{VENV}/") and (folder / path).is_file():
            after[path] = f"file {Digest.of_file(folder / path).value.hex()}"
    words = {(True, True): "changed", (True, False): "missing", (False, True): "added"}
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return [f"{words[path in before, path in after]} {path}" for path in paths]


def _listing(service: PredictionService, folder: Path) -> dict[str, str]:
    try:
        text = (folder / FILES).read_bytes()
    except OSError as error:
        raise VerificationFailed("the list of the installed files is gone", why=str(error)) from error
    if str(Digest.of(text)) != service.files:
        raise VerificationFailed(
            "the list of the installed files is not the one that was written when they were installed",
            hint="keep the folder, and find out who can write to it",
        )
    listing: dict[str, str] = json.loads(text)
    return listing


def _run(expected: PredictionService, folder: Path, name: str, *, tied: bool) -> PredictionService:
    """Start the service of an installation; ``expected`` has its model, folder and files."""
    wrapper = [sys.executable, "-I", str(DIE_WITH_PARENT)] if tied else []
    python = [str(folder / VENV / "bin" / "python"), "-I", "-S", "-B"]
    hook = [str(AUDIT_HOOK), BEHAVIOUR, FILES, name]
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*wrapper, *python, *hook, MODULE, name, "--port", "0"],
            cwd=folder,
            env=installation.variables(folder),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = replace(expected, url=NOWHERE, pid=process.pid, born=_born(process.pid))
    try:
        (folder / PROCESS_FILE).write_text(json.dumps(asdict(replace(service, model=""))), encoding="utf-8")
        service = replace(service, url=_address(process, folder / "service.log"))
        served = model_served(service)
        if served != expected.model:
            raise VerificationFailed(f"the service serves the model {served}, expected {expected.model}")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        raise
    _CHILDREN[process.pid] = process
    return replace(service, born=_born(process.pid))


def stop(service: PredictionService) -> None:
    """End a service. Does nothing when it has ended, also when another process has its PID now."""
    child = _CHILDREN.pop(service.pid, None)
    if child is None and not _is_running(service):
        return
    with contextlib.ExitStack() as opened:
        if child is not None and child.stdin is not None:
            opened.enter_context(child.stdin)
        _signal(service, child)


def _signal(service: PredictionService, child: subprocess.Popen[bytes] | None) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(service.pid, number)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            if child.poll() is not None if child else not _is_running(service):
                return
            time.sleep(0.02)


def end(folder: Path) -> None:
    """End the process that was started in a service's folder, in case its starter was killed."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        stop(PredictionService(**json.loads((folder / PROCESS_FILE).read_text(encoding="utf-8"))))


def remove(folder: Path) -> None:
    """Remove a service's folder; ends the process that was started there."""
    end(folder)
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
