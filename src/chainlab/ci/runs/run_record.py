"""The record of a run: its jobs, steps, outputs and logs, stored as ``run.json`` beside the jobs' logs.

DIR/runs/7/run.json  DIR/runs/7/build.log  DIR/runs/7/build.jsonl (act's own output; build.1.jsonl: the second leg)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chainlab.characters import join_lines
from chainlab.display import Display, Fold, Mark, Shown
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.storage import write_whole

__all__ = ["AROUND", "JobRun", "Run", "StepRecord", "reason"]

AROUND = "around the steps"  # the name of a job's log outside its steps


@dataclass(frozen=True)
class StepRecord:
    """One step of a job; the inner steps of a composite action are in its log."""

    name: str
    result: str
    seconds: float
    log: str = ""


@dataclass(frozen=True)
class JobRun:
    """The result of one job, and what it left."""

    name: str
    result: str  # success, failure, skipped, cancelled or waiting
    outputs: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    seconds: float = 0.0
    summary: str = ""  # Markdown that steps wrote
    why: str = ""  # why it did not run or failed, or what the host left out
    address: str = ""  # loopback address of its requests
    permissions: Mapping[str, str] = field(default_factory=dict)  # scopes above "none"
    produced: Mapping[str, str] = field(default_factory=dict)  # file or package -> digest
    provenance: str = ""  # digest of the platform's provenance bundle; empty = none
    tolerated: bool = False  # it failed, but its `continue-on-error` lets the run go on

    @property
    def counted(self) -> str:
        """The result that counts for the run, and for the jobs that need this one."""
        return "success" if self.tolerated else self.result

    @property
    def log(self) -> str:
        """Everything that its steps printed."""
        return "".join(step.log for step in self.steps)

    @property
    def broken(self) -> StepRecord | None:
        """The step that failed, the last of several; None if none did, or if the job went on."""
        failed = [step for step in self.steps if step.result == "failure" == self.result]
        return next((step for step in reversed(failed) if step.name != AROUND), failed[-1] if failed else None)


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """A finished workflow run."""

    id: int
    repository: str
    workflow: str  # ".github/workflows/release.yml"
    event: str
    ref: str
    commit: str
    actor: str
    jobs: Mapping[str, JobRun]
    seconds: float = 0.0
    actions: Mapping[str, str] = field(default_factory=dict)  # "owner/repo@ref" -> commit
    # name -> file -> digest
    artifacts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)  # job -> its copy's difference from the file

    @property
    def result(self) -> str:
        """The worst of its jobs; skipped jobs do not count unless all are."""
        results = [job.counted for job in self.jobs.values()]
        for worst in ("failure", "cancelled", "waiting", "success"):
            if worst in results:
                return worst
        return "skipped"

    @property
    def produced(self) -> dict[str, str]:
        """Everything that its jobs stored: file or package to digest; the last job that stored a name counts."""
        return {name: text for job in self.jobs.values() for name, text in job.produced.items()}

    @property
    def log(self) -> str:
        """All jobs' logs, in order."""
        return "".join(job.log for job in self.jobs.values())

    @property
    def summary(self) -> str:
        """All jobs' summaries, Markdown."""
        return "".join(job.summary for job in self.jobs.values())

    def explain(self) -> str:
        """The changes that the host made to the workflow file for each job, as unified diffs."""
        return "\n".join(self.copies.values())

    def table(self) -> str:
        """Jobs and steps with results and seconds, for a terminal."""
        lines = [f"run {self.id}: {self.workflow} on {self.event} at {self.ref}: {self.result}, {self.seconds:.1f} s"]
        for job in self.jobs.values():
            tolerated = " (continue-on-error)" if job.tolerated else ""
            lines.append(f"  {job.result:<8} {job.name}{tolerated}" + (f": {job.why}" if job.why else ""))
            lines += [f"    {s.result:<8} {s.seconds:5.1f} s  {s.name[:80]}" for s in job.steps]
        return join_lines(lines)

    def _display(self) -> Display:
        """A table of jobs with permissions, products and reasons; folded, their steps and a failed step's log."""
        rows, folds = [], []
        for job in self.jobs.values():
            why = job.why or (f"failed at: {job.broken.name}" if job.broken else "")
            rows.append((job.name, Mark(job.result), _may(job.permissions), ", ".join(job.produced), why))
            if job.steps:
                lines = [str(Mark(step.result, step.name)) for step in job.steps]
                folds.append(Fold(f"{job.name}: {len(lines)} step{'s' * (len(lines) != 1)}", lines))
            if job.broken:
                folds.append(Fold(f"{job.name}: the log of '{job.broken.name}'", job.broken.log.splitlines()))
        title = f"run {self.id}: {self.workflow.rpartition('/')[2]} on {self.event} at {self.ref}"
        return Display(title, ("job", "result", "may", "stored", "why"), rows, Mark(self.result), folds, "no job")

    def dump(self, folder: Path) -> None:
        """Write ``run.json``."""
        write_whole(folder / "run.json", json.dumps(asdict(self), indent=1) + "\n", durable=True)

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read ``run.json``; the inverse of `dump`. Raises `MalformedInput`."""
        try:
            document: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            document["jobs"] = {
                name: JobRun(**{**job, "steps": tuple(StepRecord(**s) for s in job["steps"])})
                for name, job in document["jobs"].items()
            }
            return cls(**document)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise MalformedInput(f"{folder.name}: cannot read the run", why=str(error)) from error


def _may(permissions: Mapping[str, str]) -> str:
    """The scopes of a job's token; by level if there are many."""
    if len(permissions) <= 4:
        return ", ".join(f"{scope}: {level}" for scope, level in permissions.items()) or "nothing"
    levels: dict[str, list[str]] = {}
    for scope, level in permissions.items():
        levels.setdefault(level, []).append(scope)
    return "; ".join(f"{level}: {', '.join(scopes)}" for level, scopes in levels.items())


def reason(error: BaseException) -> str:
    """An error in one line, for `JobRun.why`."""
    if isinstance(error, ChainlabError):
        text = f"{error.message}: {error.why}" if error.why else error.message
    else:
        text = f"{type(error).__name__}: {error}"
    return "".join(c if c.isprintable() else " " for c in text)[:500]
