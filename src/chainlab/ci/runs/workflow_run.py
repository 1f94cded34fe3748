"""A workflow run: its jobs one after another, each with its legs, until the run's record is written.

    plan = RunPlan.prepare(…)          what starts, which jobs, with which rights
    run = WorkflowRun(plan).perform()  a `Run`: results, outputs, logs, provenance

Whatever a job does, its run ends with a record: what fails at a job's end is that job's failure, with its reason.
Each job that stored something gets the platform's provenance (`job_provenance`) as soon as it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chainlab.ci.runs.contexts import contexts, functions
from chainlab.ci.runs.job import execute
from chainlab.ci.runs.job_access import JobAccess, environment_name, refusal
from chainlab.ci.runs.job_provenance import attest
from chainlab.ci.runs.run_plan import RunPlan
from chainlab.ci.runs.run_record import JobRun, Run, reason
from chainlab.ci.runs.run_reports import RunReports
from chainlab.ci.workflows.matrix import Leg, elsewhere, legs
from chainlab.ci.workflows.templates import condition, resolve
from chainlab.ci.workflows.values import truthy
from chainlab.clock import rfc3339, utc_now
from chainlab.errors import MalformedInput

__all__ = ["WorkflowRun"]

RANKS = ("skipped", "success", "cancelled", "failure")  # results of a job's legs, the worst last


class WorkflowRun:
    """One run while it goes on; ``jobs`` are those that have ended or begun."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.jobs: dict[str, JobRun] = {}
        self._reports = RunReports(plan)
        self._copies: dict[str, str] = {}  # job -> how its copy of the workflow differs from the file

    def perform(self) -> Run:
        """Run all jobs of the plan; returns the run's record."""
        began = time.monotonic()
        self._reports.run_started()
        stopped_by: BaseException | None = None
        for position, name in enumerate(self.plan.jobs(), start=1):
            try:
                ended = self._job(name, position)
            except MalformedInput as error:  # of an expression, which could not be evaluated earlier
                ended = replace(self._begun(name), result="failure", why=f"it cannot run: {reason(error)}")
            except Exception as error:
                ended = replace(self._begun(name), result="failure", why=f"the host could not end it: {reason(error)}")
            except BaseException as error:  # an interrupt ends the run, and its record says so
                stopped_by, why = error, f"the host was stopped: {reason(error)}"
                ended = replace(self._begun(name), result="cancelled", why=why)
            self.jobs[name] = self._reports.job_finished(ended)
            if stopped_by is not None:
                break
        run = self._reports.run_finished(self.jobs, self._copies, time.monotonic() - began)
        if stopped_by is not None:
            raise stopped_by
        return run

    def _begun(self, name: str) -> JobRun:
        """A job as far as it came."""
        return self.jobs.get(name) or JobRun(name, "failure")

    def _job(self, name: str, position: int) -> JobRun:
        """Run one job to its end, or say why it does not start."""
        plan, platform = self.plan, self.plan.context.platform
        job_contexts = contexts(plan.trigger, plan.workflow, plan.variables, self._needed(name))
        if ended := self._not_due(name, job_contexts):
            return ended
        environment = environment_name(plan, name, job_contexts)
        if ended := refusal(plan, name, environment):
            return ended
        every = legs(resolve(plan.workflow.jobs[name].get("strategy"), job_contexts))
        subject, permissions = plan.job_subject(name), plan.permissions(name)
        scopes = {scope: level for scope, level in permissions.items() if level != "none"}
        with platform.jobs.running(
            subject, plan.trigger.repository, lambda: platform.credentials.revoke(subject=subject)
        ) as id:
            self._reports.job_started(name, scopes)
            started = rfc3339(utc_now())
            access = JobAccess(plan, name, id, position, environment, permissions)
            ended = self._legs(access, every, job_contexts)
            self.jobs[name] = ended  # if what follows fails, its steps are recorded
        left_out = ", ".join(plan.workflow.left_out(name))
        why = ended.why or (f"`{left_out}` is ignored: there is no docker here" if left_out else "")
        ended = replace(ended, permissions=scopes, why=why)
        if exceeded := platform.artifacts.exceeded(plan.trigger.run, subject):
            ended = replace(ended, result="failure", tolerated=False, why=exceeded)
        return self._attested(ended, id, started)

    def _attested(self, job: JobRun, id: str, started: str) -> JobRun:
        """The job with the platform's provenance; a fork's pull request gets no statement about our repository."""
        plan = self.plan
        if not plan.rights.identity:
            return job
        try:
            return attest(
                job,
                plan.trigger,
                plan.workflow.path,
                plan.actions,
                id=id,
                artifacts=plan.context.platform.artifacts,
                registry=plan.context.registry,
                trust=plan.context.trust,
                started=started,
            )
        except Exception as error:
            return replace(job, result="failure", tolerated=False, why=f"it has no provenance: {reason(error)}")

    def _needed(self, job: str) -> dict[str, JobRun]:
        """The ended jobs that a job names in its ``needs``."""
        return {name: self.jobs[name] for name in self.plan.workflow.needs(job)}

    def _not_due(self, name: str, job_contexts: Mapping[str, Any]) -> JobRun | None:
        """The end of a job that waits or is skipped; None when it is due.

        Raises `MalformedInput` for an ``if`` that the host cannot evaluate.
        """
        workflow = self.plan.workflow
        if any(job.result == "waiting" for job in self._needed(name).values()):
            return JobRun(name, "waiting", why="it needs a job that waits")
        status = functions(self.jobs[ancestor] for ancestor in workflow.ancestors(name))
        if not condition(workflow.jobs[name].get("if"), job_contexts, status):
            why = "its `if` is false" if status["success"]() else "a job that it needs did not succeed"
            return JobRun(name, "skipped", why=why)
        return None

    def _legs(self, access: JobAccess, every: list[Leg], job_contexts: Mapping[str, Any]) -> JobRun:
        """Run the legs of a job one after another; returns them as one job."""
        name, document = access.name, self.plan.workflow.jobs[access.name]
        ended: JobRun | None = None
        for leg in every:
            if leg.fail_fast and ended and ended.counted == "failure":
                why = f"{ended.why}; `fail-fast`: not run: {leg} and the legs after it".removeprefix("; ")
                return replace(ended, why=why)
            inside = {**job_contexts, "strategy": leg.strategy, "matrix": leg.matrix}
            if "uses" not in document and (why := elsewhere(resolve(document.get("runs-on"), inside))):
                leg_run = JobRun(name, "failure", why=why)
            else:
                leg_run = self._leg(access, leg, job_contexts)
            if leg_run.result == "failure":
                tolerated = truthy(resolve(document.get("continue-on-error"), inside))
                leg_run = replace(leg_run, tolerated=tolerated)
            ended = _joined(ended, leg_run, leg)
            self.jobs[name] = ended
        return ended or JobRun(name, "skipped")

    def _leg(self, access: JobAccess, leg: Leg, job_contexts: Mapping[str, Any]) -> JobRun:
        """Run one leg of a job on this machine."""
        name = access.name
        job, difference = access.prepare_leg(leg, job_contexts, self._needed(name))
        self._copies[name] = "\n".join(filter(None, [self._copies.get(name), difference]))
        log = self.plan.folder / (f"{name}.{leg.index}.jsonl" if leg.index else f"{name}.jsonl")
        sandbox = self.plan.context.sandbox
        return execute(job, sandbox, log, lambda step: self._reports.step_finished(name, step))


def _joined(before: JobRun | None, leg_run: JobRun, leg: Leg) -> JobRun:
    """A job with one more of its legs: the last output of a name counts, and the worst result."""
    if leg_run.why and leg.matrix:
        leg_run = replace(leg_run, why=f"{leg}: {leg_run.why}")
    if before is None:
        return leg_run
    worst = max(before, leg_run, key=lambda run: (RANKS.index(run.counted), run.tolerated))
    return replace(
        leg_run,
        result=worst.result,
        tolerated=worst.tolerated,
        outputs={**before.outputs, **{name: value for name, value in leg_run.outputs.items() if value}},
        steps=before.steps + leg_run.steps,
        seconds=before.seconds + leg_run.seconds,
        summary=before.summary + leg_run.summary,
        why="; ".join(filter(None, [before.why, leg_run.why])),
        address=leg_run.address or before.address,
    )
