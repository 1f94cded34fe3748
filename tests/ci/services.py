"""The platform's services on a port of their own, and `act` beside them: no runner, no sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from chainlab.ci.app import platform_routes
from chainlab.ci.platform import Platform
from chainlab.workspace import Workspace

ACT = Path(sys.executable).parent / "act"
REPOSITORY = "acme/triage-model"


class Host:
    """Services over a fresh workspace, at ``url``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace(folder)
        self.workspace.trust.mkdir(exist_ok=True)
        self.platform = Platform(self.workspace)
        app = Starlette(routes=platform_routes(self.platform))
        config = uvicorn.Config(app, port=0, log_config=None, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.002)
        self.url = "http://127.0.0.1:{1}".format(
            *self._server.servers[0].sockets[0].getsockname()
        )

    def secret(self, *grants: str, subject: str = "run 1 job build") -> str:
        """A credential with these grants."""
        return self.platform.credentials.issue(subject, grants)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.platform.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Job:
    """What one run of `act` left."""

    def __init__(self, done: subprocess.CompletedProcess[str], workspace: Path) -> None:
        self.output = done.stdout + done.stderr
        self.passed = done.returncode == 0
        self.workspace = workspace  # copy of the job's workspace after its steps


def act(
    host: Host,
    folder: Path,
    steps: str,
    *,
    grants: tuple[str, ...] = (),
    token: str = "",
    event: str = "push",
    payload: Mapping[str, Any] | None = None,
    commit: str = "",
    ref: str = "refs/heads/main",
    run: int = 1,
    home: Path | None = None,
    **environment: str,
) -> Job:
    """Run a job's steps (YAML, at the left margin) with every action from the host's mirror."""
    folder.mkdir(parents=True, exist_ok=True)
    empty, post, left = folder / "empty", folder / "post", folder / "left"
    for directory in (empty, post, left):
        directory.mkdir(exist_ok=True)
    home = home or folder / "home"
    home.mkdir(exist_ok=True)
    body = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    text = (
        f"on: {event}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n{body}"
        "      - name: work after the last step\n"
        "        run: |\n"
        "          for script in $(ls -r \"$CHAINLAB_POST\"); do bash \"$CHAINLAB_POST/$script\"; done\n"
        "      - if: always()\n"
        f"        run: cp -R . '{left}'\n"
    )
    workflow = folder / "workflow.yml"
    workflow.write_text(text)
    mirror = host.platform.mirror
    mapped = []
    for used in mirror.closure({"workflow.yml": text}):
        mapped += ["--local-repository", f"{used.name}@{used.ref}={mirror.export(used)}"]
    (folder / "event.json").write_text(json.dumps(payload or {}))
    for name in ("env", "secrets", "vars", "input"):
        (folder / name).write_text("")
    given = {
        "CHAINLAB_URL": host.url,
        "CHAINLAB_POST": str(post),
        "ACTIONS_RUNTIME_TOKEN": host.secret(*grants) if grants else "none",
        "ACTIONS_CACHE_URL": f"{host.url}/ci/cache/",
        "ACTIONS_RESULTS_URL": f"{host.url}/ci/artifacts/",
        "GITHUB_API_URL": f"{host.url}/ci/api",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SHA": commit,
        "GITHUB_REF": ref,
        "GITHUB_RUN_ID": str(run),
        **environment,
    }
    words = [str(ACT), event, "-P", "ubuntu-latest=-self-hosted", "--no-cache-server"]
    words += ["--no-skip-checkout", "-W", str(workflow), "-e", str(folder / "event.json")]
    words += ["--env-file", str(folder / "env"), "--secret-file", str(folder / "secrets")]
    words += ["--var-file", str(folder / "vars"), "--input-file", str(folder / "input")]
    words += [word for key, value in given.items() for word in ("--env", f"{key}={value}")]
    words += ["-s", f"GITHUB_TOKEN={token}", *mapped]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        words,
        cwd=empty,
        env={"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shutil.rmtree(home / ".cache" / "act", ignore_errors=True)
    return Job(done, left)
