"""What a run reports and leaves: events of the run, its jobs and steps; logs; and the record ``run.json``.

    DIR/runs/7/run.json   DIR/runs/7/build.log   events pipelinerun.*, taskrun.*, step.finished

Whatever a job does, its run ends with a record.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chainlab.ci.runs.run_plan import RunPlan
from chainlab.ci.runs.run_record import JobRun, Run, StepRecord, reason
from chainlab.errors import Unavailable
from chainlab.jobs import settle

__all__ = ["RunReports"]

REPORTS = 6  # times that an event is reported before the run goes on without it
PAUSE = 0.5  # seconds between them; each waits for the database besides (`database.BUSY_TIMEOUT`)


class RunReports:
    """Reports one run while it goes on, and writes what it leaves."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        trigger = plan.trigger
        self._facts = {
            "run": plan.subject,
            "workflow": plan.workflow.path,
            "event": trigger.origin.event,
            "ref": trigger.origin.ref,
            "commit": trigger.commit,
            "actor": trigger.actor,
            "control": plan.context.sandbox.control,
        }

    def run_started(self) -> None:
        """Report the beginning of the run."""
        self._report("pipelinerun.started", self._plan.subject, self._facts)

    def job_started(self, job: str, permissions: Mapping[str, str]) -> None:
        """Report the beginning of a job, with the scopes of its token above "none"."""
        self._report(
            "taskrun.started",
            self._plan.job_subject(job),
            {"run": self._plan.subject, "job": job, "permissions": permissions},
        )

    def step_finished(self, job: str, step: StepRecord) -> None:
        """Report the end of a step, here and to the caller of the run."""
        facts = {
            "run": self._plan.subject,
            "job": job,
            "step": step.name[:200],
            "result": step.result,
            "milliseconds": round(step.seconds * 1000),
        }
        with contextlib.suppress(Unavailable):  # the database is busy, perhaps by this job; its record has the step
            self._plan.context.platform.report("step.finished", self._plan.job_subject(job), facts)
        self._plan.options.on_step(job, step)

    def job_finished(self, job: JobRun) -> JobRun:
        """Write a job's log and report its end; returns the job, a failure if its log could not be written."""
        try:
            (self._plan.folder / f"{job.name}.log").write_text(job.log, encoding="utf-8", errors="replace")
        except OSError as error:
            job = replace(job, result="failure", why=f"its log could not be written: {reason(error)}")
        if job.counted == "failure":
            settle(lambda: self._plan.context.platform.jobs.fail(self._plan.job_subject(job.name)), patience=PAUSE)
        facts = {
            "run": self._plan.subject,
            "job": job.name,
            "result": job.result,
            "why": job.why[:500],
            "provenance": job.provenance,
            "milliseconds": round(job.seconds * 1000),
        }
        self._report("taskrun.finished", self._plan.job_subject(job.name), facts)
        return job

    def run_finished(self, jobs: Mapping[str, JobRun], copies: Mapping[str, str], seconds: float) -> Run:
        """Write the run's record and report its end; ``copies`` say how each job's copy differs from the file."""
        trigger = self._plan.trigger
        artifacts: Mapping[str, Mapping[str, str]] = {}
        with contextlib.suppress(Unavailable):  # a database that is locked or full; the record counts more
            artifacts = self._plan.context.platform.artifacts.files(trigger.run)
        run = Run(
            trigger.run,
            trigger.repository,
            self._plan.workflow.path,
            trigger.origin.event,
            trigger.origin.ref,
            trigger.commit,
            trigger.actor,
            jobs,
            actions=self._plan.actions,
            seconds=seconds,
            artifacts=artifacts,
            copies=copies,
        )
        try:
            run.dump(self._plan.folder)
        finally:
            self._report("pipelinerun.finished", self._plan.subject, {**self._facts, "result": run.result})
        return run

    def _report(self, type: str, subject: str, facts: Mapping[str, Any]) -> None:
        """Report an event, several times when the database is busy."""
        for _ in range(REPORTS):
            try:
                self._plan.context.platform.report(type, subject, facts)
                return
            except Unavailable:
                time.sleep(PAUSE)
