"""The services of a workspace on a port of their own, and `act` beside them: no runner, no sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from chainlab.ci.services.platform import Platform
from chainlab.database import connect
from chainlab.registry.registry import Registry
from chainlab.workspace import Workspace
from chainlab.world import World

ACT = Path(sys.executable).parent / "act"
REPOSITORY = "acme/triage-model"
MAIN = "refs/heads/main"


class Host:
    """Services over a fresh workspace, at ``url``."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder)
        self.world = World(self.workspace, join=False)
        self.url = self.world.url
        self._cleared = 0
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        self.platform: Platform = self.world.platform
        self.registry: Registry = self.world.registry

    def secret(self, *grants: str, subject: str = "run 1 job build") -> str:
        """A credential with these grants."""
        return self.platform.credentials.issue(subject, grants)

    def bearer(self, *grants: str, subject: str = "run 1 job build") -> dict[str, str]:
        """Headers with one."""
        return {"Authorization": f"Bearer {self.secret(*grants, subject=subject)}"}

    def events(self, type: str) -> list[dict[str, Any]]:
        """Data of the events of a type."""
        events = self.registry.events.read(type, after=self._cleared)
        return [dict(event.data) for event in events]

    def clear(self) -> None:
        """Forget what earlier tests did."""
        self.platform.mirror.reset()
        connection = connect(self.workspace.trust / "state.db")
        for table in ("cache_entries", "artifacts", "pull_notes"):
            connection.execute(f"DELETE FROM {table}")
        connection.close()
        for kept in ("cache", "artifacts"):
            for path in (self.workspace.path / "ci" / kept / "sha256").rglob("*"):
                if path.is_file():
                    path.unlink()
        self._cleared = self.registry.events.last

    def close(self) -> None:
        self.http.close()
        self.world.close()


class Job:
    """What one run of `act` left."""

    def __init__(self, completed: subprocess.CompletedProcess[str], workspace: Path) -> None:
        self.output = completed.stdout + completed.stderr  # act's log
        self.passed = completed.returncode == 0
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
    for name in ("objects", "refs"):  # act asks git for the commit
        (empty / ".git" / name).mkdir(parents=True, exist_ok=True)
    (empty / ".git" / "HEAD").write_text(f"{commit or '0' * 40}\n")
    (empty / ".git" / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
    home = home or folder / "home"
    home.mkdir(exist_ok=True)
    body = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    text = (
        f"on: {event}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n{body}"
        "      - name: work after the last step\n"
        "        run: |\n"
        '          for script in $(ls -r "$CHAINLAB_POST"); do bash "$CHAINLAB_POST/$script"; done\n'
        "      - if: always()\n"
        f"        run: cp -R . '{left}'\n"
    )
    workflow = folder / "workflow.yml"
    workflow.write_text(text)
    mirror = host.platform.mirror
    mapped: list[str] = []
    for used in mirror.closure({"workflow.yml": text}):
        mapped += ["--local-repository", f"{used.name}@{used.ref}={mirror.export(used)}"]
    (folder / "event.json").write_text(json.dumps(payload or {}))
    for name in ("env", "secrets", "vars", "input"):
        (folder / name).write_text("")
    variables = {
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
        "GITHUB_EVENT_NAME": event,
        "TWINE_REPOSITORY_URL": f"{host.url}/legacy/",
        "CHAINLAB_TRUST_CONFIG": str(host.workspace.trust / "trust_config.json"),
        **environment,
    }
    words = [str(ACT), event, "-P", "ubuntu-latest=-self-hosted", "--no-cache-server"]
    words += ["--no-skip-checkout", "-W", str(workflow), "-e", str(folder / "event.json")]
    words += ["--env-file", str(folder / "env"), "--secret-file", str(folder / "secrets")]
    words += ["--var-file", str(folder / "vars"), "--input-file", str(folder / "input")]
    words += [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    words += ["-s", f"GITHUB_TOKEN={token}", *mapped]
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "chainlab-python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "chainlab-python").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    completed = subprocess.run(
        words,
        cwd=empty,
        env={"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shutil.rmtree(home / ".cache" / "act", ignore_errors=True)
    return Job(completed, left)
