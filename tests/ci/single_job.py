"""Run one job without a CI host, services or a repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chainlab.ci.runs.job import LONGEST, Job, execute
from chainlab.ci.runs.job_copy import copy
from chainlab.ci.runs.run_record import JobRun
from chainlab.ci.workflows.workflow import Workflow
from chainlab.sandbox import Sandbox

NOWHERE = "http://127.0.0.1:50009"  # nothing listens there
Ended = tuple[str, Mapping[str, str]]


def run(
    workflow: Workflow,
    name: str,
    folder: Path,
    *,
    secrets: Mapping[str, str] | None = None,
    url: str = NOWHERE,
    address: str = "",
    sandbox: Sandbox | None = None,
    seconds: float = LONGEST,
    **needs: Ended,
) -> JobRun:
    """The job ``name`` of ``workflow``; ``needs`` are results and outputs of the jobs that it needs."""
    (folder / "trust.json").write_text("{}")
    job = Job(
        name,
        copy(workflow, name, env={"BEARER": "b"}, ended=needs),
        "push",
        {"ref": "refs/heads/main", "repository": {"full_name": "acme/x"}},
        "1" * 40,
        "acme",
        url,
        folder / "trust.json",
        {"GITHUB_REPOSITORY": "acme/x", "GITHUB_REF": "refs/heads/main"},
        secrets or {},
        {},
        {},
        address=address,
        seconds=seconds,
    )
    return execute(job, sandbox or Sandbox.find(), folder / "log", lambda step: None)
