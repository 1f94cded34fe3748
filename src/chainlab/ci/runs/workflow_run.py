"""A run from its beginning to its end: which jobs, with which rights, in which order, and what they left.

What is kept: ``runs/N/run.json`` and logs; an event for the run, each job and each step; the platform's provenance
(`outcome`) for what each job stored, as soon as it has ended. Whatever a job does, its run ends with a record: what
fails at a job's end is that job's failure, with its reason.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chainlab import names
from chainlab.ci.actions.mirror import Reached
from chainlab.ci.actions.uses import SELF, ActionRef
from chainlab.ci.runs.calls import runnable
from chainlab.ci.runs.contexts import contexts, functions
from chainlab.ci.runs.event_payload import TriggerEvent, claims, payload, variables
from chainlab.ci.runs.grants import runtime_grants, token_grants
from chainlab.ci.runs.job import LONGEST, Job, execute
from chainlab.ci.runs.job_copy import copy
from chainlab.ci.runs.job_provenance import attest
from chainlab.ci.runs.rights import Rights, effective_permissions, permissions
from chainlab.ci.runs.run_record import JobRun, Run, StepRecord, reason
from chainlab.ci.services.platform import Platform
from chainlab.ci.settings import Secret, Settings
from chainlab.ci.workflows.definitions import check
from chainlab.ci.workflows.inputs import complete
from chainlab.ci.workflows.matrix import Leg, elsewhere, legs
from chainlab.ci.workflows.templates import condition, resolve
from chainlab.ci.workflows.values import truthy
from chainlab.ci.workflows.workflow import Workflow
from chainlab.clock import rfc3339, utc_now
from chainlab.errors import MalformedInput, Refused, Unavailable
from chainlab.registry.index.downloads import JOBS
from chainlab.registry.index.publishers import Publisher
from chainlab.registry.registry import Registry
from chainlab.sandbox import Sandbox
from chainlab.storage import write_whole
from chainlab.trust.client import Trust

__all__ = ["RunContext", "RunOptions", "perform"]

# A job's tokens end with its row in `chainlab.jobs`, by the row's deadline if the host is killed, and at the latest:
TOKEN_LIFETIME = 2 * LONGEST  # seconds
REPORTS = 6  # times that an event is reported before the run goes on without it
RANKS = ("skipped", "success", "cancelled", "failure")  # of a job's legs, the worst last
PAUSE = 0.5  # seconds between them; each waits for the database besides (`database.BUSY_TIMEOUT`)


@dataclass(frozen=True)
class RunOptions:
    """How to run it, besides what happened."""

    job: str
    inputs: Mapping[str, str]
    approved: tuple[str, ...]
    cache_rule: str
    ports: tuple[int, ...]
    tell: Callable[[str, StepRecord], None]


@dataclass(frozen=True)
class RunContext:
    """What runs use."""

    directory: Path
    platform: Platform
    registry: Registry
    trust: Trust
    wheelhouse: Path | None
    sandbox: Sandbox

    def register_publishers(self, repository: str, settings: Settings) -> None:
        """Let the settings' workflows publish without a stored token."""
        for publisher in settings.publishers:
            trusted = Publisher(repository, publisher.workflow, publisher.environment)
            self.registry.index.add_publisher(publisher.project, trusted, owner=repository.partition("/")[0])

    def secret(self, repository: str, name: str, secret: Secret) -> str:
        """A secret's value; a credential is issued once and kept, as people keep such tokens."""
        if not secret.grants:
            return secret.value
        path = self.directory / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        key = f"{repository} {name}"
        if key not in known:
            known[key] = self.platform.credentials.issue(
                f"{repository} secret {name}", secret.grants, prefix="pypi", repository=repository
            )
            write_whole(path, json.dumps(known), durable=True, mode=0o600)
        return known[key]


def perform(
    services: RunContext,
    settings: Settings,
    change: TriggerEvent,
    workflows: list[Workflow],
    files: Mapping[str, str],
    workflow: Workflow,
    order: RunOptions,
) -> Run:
    """Run one workflow; returns what it left. Raises `MalformedInput` for a job that it does not have."""
    if order.job and order.job not in workflow.jobs:
        raise MalformedInput(
            f"{workflow.path} has no job {order.job!r}",
            hint=f"its jobs: {', '.join(workflow.jobs)}",
        )
    check(workflow.path, workflow.text)  # all that may refuse comes before any job runs
    given, common = effective_permissions(change.origin, order.cache_rule), workflow.document.get("permissions")
    for job in workflow.jobs.values():
        permissions(common, job.get("permissions"), given)

    def read(path: str) -> str | None:
        try:
            return services.platform.repositories.show(change.repository, change.commit, path).decode(
                "utf-8", "replace"
            )
        except Refused:  # there is none, or it is too large for any definition
            return None

    mirror = services.platform.mirror.view_of(change.repository, fork=change.origin.fork)
    inputs = complete(workflow, change.origin.event, order.inputs)
    used = mirror.reach(workflow.path, workflow.text, workflow.jobs, read=read)
    files = {path: text for path, text in files.items() if any(path in reached.files for reached in used.values())}
    files = runnable(mirror, used.values(), files, read, f"{change.repository}@{change.commit}")
    number, folder = _next(services.directory / "runs")
    change = replace(change, run=number, inputs=inputs)
    return _Running(services, settings, change, workflow, files, order, folder, used).perform()


class _Running:
    """One run in the making."""

    def __init__(
        self,
        services: RunContext,
        settings: Settings,
        change: TriggerEvent,
        workflow: Workflow,
        files: Mapping[str, str],
        order: RunOptions,
        folder: Path,
        used: Mapping[str, Reached],
    ) -> None:
        self.services, self.settings, self.change = services, settings, change
        self.workflow, self.files, self.order, self.folder = workflow, files, order, folder
        self.used = used
        every = [action for reached in used.values() for action in reached.actions]
        self.actions = {f"{action.name}@{action.ref}": action.commit for action in every}
        self.rights: Rights = effective_permissions(change.origin, order.cache_rule)
        self.jobs: dict[str, JobRun] = {}
        self.places: dict[str, str] = {}  # job -> folded name of its environment; empty for none
        self.variables = settings.with_url(services.trust.url).variables if self.rights.secrets else {}
        self.copies: dict[str, str] = {}
        self.subject = f"{change.repository}/runs/{change.run}"

    def perform(self) -> Run:
        """All jobs, then what they left."""
        began = time.monotonic()
        facts = {
            "workflow": self.workflow.path,
            "event": self.change.origin.event,
            "ref": self.change.origin.ref,
            "commit": self.change.commit,
            "actor": self.change.actor,
            "control": self.services.sandbox.control,
        }
        self._tell("pipelinerun.started", self.subject, facts)
        ended_by: BaseException | None = None
        for position, name in enumerate(self._wanted()):
            try:
                ended = self._job(name, position + 1)
            except MalformedInput as error:  # of an expression, which no earlier look could evaluate
                ended = replace(self._seen(name), result="failure", why=f"it cannot run: {reason(error)}")
            except Exception as error:
                ended = replace(self._seen(name), result="failure", why=f"the host could not end it: {reason(error)}")
            except BaseException as error:  # an interrupt ends the run, and its record says so
                ended_by, why = error, f"the host was stopped: {reason(error)}"
                ended = replace(self._seen(name), result="cancelled", why=why)
            self.jobs[name] = self._keep(ended)
            if ended_by is not None:
                break
        run = self._finish(time.monotonic() - began, facts)
        if ended_by is not None:
            raise ended_by
        return run

    def _seen(self, name: str) -> JobRun:
        """A job as far as it came."""
        return self.jobs.get(name) or JobRun(name, "failure")

    def _keep(self, ended: JobRun) -> JobRun:
        """Write a job's log and report its end; returns the job, a failure if its log could not be written."""
        try:
            (self.folder / f"{ended.name}.log").write_text(ended.log, encoding="utf-8", errors="replace")
        except OSError as error:
            ended = replace(ended, result="failure", why=f"its log could not be kept: {reason(error)}")
        self._report(ended)
        return ended

    def _finish(self, seconds: float, facts: Mapping[str, Any]) -> Run:
        """Write the run's record and report its end."""
        artifacts: Mapping[str, Mapping[str, str]] = {}
        with contextlib.suppress(Unavailable):  # a database that is locked or full; the record counts more
            artifacts = self.services.platform.artifacts.files(self.change.run)
        run = Run(
            self.change.run,
            self.change.repository,
            self.workflow.path,
            self.change.origin.event,
            self.change.origin.ref,
            self.change.commit,
            self.change.actor,
            self.jobs,
            actions=self.actions,
            seconds=seconds,
            artifacts=artifacts,
            copies=self.copies,
        )
        try:
            run.dump(self.folder)
        finally:
            self._tell("pipelinerun.finished", self.subject, {**facts, "result": run.result})
        return run

    def _tell(self, type: str, subject: str, facts: Mapping[str, Any]) -> bool:
        """Report an event, again when the database was busy; says whether it is there."""
        for _ in range(REPORTS):
            try:
                self.services.platform.report(type, subject, facts)
                return True
            except Unavailable:
                time.sleep(PAUSE)
        return False

    def _wanted(self) -> list[str]:
        """The jobs to run, in order: all, or one with those it needs."""
        if not self.order.job:
            return self.workflow.order()
        wanted = {self.order.job}
        for name in reversed(self.workflow.order()):
            if name in wanted:
                wanted.update(self.workflow.needs(name))
        return [name for name in self.workflow.order() if name in wanted]

    def _job(self, name: str, position: int) -> JobRun:
        known = contexts(self.change, self.workflow, self.variables, self._before(self.workflow.needs(name)))
        if refused := self._refusal(name, known):
            return refused
        every = legs(resolve(self.workflow.jobs[name].get("strategy"), known))
        subject = f"{self.subject}/jobs/{name}"
        granted = permissions(
            self.workflow.document.get("permissions"),
            self.workflow.jobs[name].get("permissions"),
            self.rights,
            default=self.settings.default_permissions,
        )
        jobs, credentials = self.services.platform.jobs, self.services.platform.credentials
        with jobs.running(subject, self.change.repository, lambda: credentials.revoke(subject=subject)) as id:
            facts = {"job": name, "permissions": _above_none(granted)}
            self._tell("taskrun.started", subject, facts)
            started = rfc3339(utc_now())
            prepare = functools.partial(self._prepare, name, position, granted, id, known)
            ended_job = self._legs(name, every, known, prepare)
            self.jobs[name] = ended_job  # if what follows fails, its steps are known
        left_out = ", ".join(self.workflow.left_out(name))
        why = ended_job.why or (f"`{left_out}` is ignored: there is no docker here" if left_out else "")
        ended_job = replace(ended_job, permissions=_above_none(granted), why=why)
        if exceeded := self.services.platform.artifacts.exceeded(self.change.run, subject):
            ended_job = replace(ended_job, result="failure", tolerated=False, why=exceeded)
        if not self.rights.identity:  # a fork's pull request gets no statement about our repository
            return ended_job
        try:
            return attest(
                ended_job,
                self.change,
                self.workflow.path,
                self.actions,
                id=id,
                artifacts=self.services.platform.artifacts,
                registry=self.services.registry,
                trust=self.services.trust,
                started=started,
            )
        except Exception as error:
            return replace(ended_job, result="failure", tolerated=False, why=f"it has no provenance: {reason(error)}")

    def _before(self, names: list[str]) -> dict[str, JobRun]:
        """Those of the named jobs that have ended."""
        return {name: self.jobs[name] for name in names}

    def _legs(self, name: str, every: list[Leg], known: Mapping[str, Any], prepare: Callable[[Leg], Job]) -> JobRun:
        """Run the legs of a job one after another; returns them as one job."""
        document = self.workflow.jobs[name]
        ended: JobRun | None = None
        for leg in every:
            if leg.fail_fast and ended and ended.counted == "failure":
                return replace(
                    ended, why=f"{ended.why}; `fail-fast`: not run: {leg} and what follows".removeprefix("; ")
                )
            inside = {**known, "strategy": leg.strategy, "matrix": leg.matrix}
            if "uses" not in document and (why := elsewhere(resolve(document.get("runs-on"), inside))):
                ran = JobRun(name, "failure", why=why)
            else:
                log = self.folder / (f"{name}.{leg.index}.jsonl" if leg.index else f"{name}.jsonl")
                ran = execute(prepare(leg), self.services.sandbox, log, lambda step: self._step(name, step))
            if ran.result == "failure":
                ran = replace(ran, tolerated=truthy(resolve(document.get("continue-on-error"), inside)))
            ended = _joined(ended, ran, leg)
            self.jobs[name] = ended
        return ended or JobRun(name, "skipped")

    def _prepare(
        self, name: str, position: int, granted: Mapping[str, str], id: str, known: Mapping[str, Any], leg: Leg
    ) -> Job:
        """All that one leg of the job with this ``id`` needs: its copy of the workflow, credentials, what it uses."""
        subject = f"{self.subject}/jobs/{name}"
        document = self.workflow.jobs[name]
        bearer = self._bearer(name, id) if granted["id-token"] == "write" else ""
        identity = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.services.trust.url}/ci/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer,
        }
        environment = variables(self.change, self.workflow.path, self.workflow.name)
        calls = "uses" in document  # a reusable workflow: its jobs take no `env` from the caller
        this = f"{self.change.repository}@{self.change.commit}"
        document_of_leg = copy(
            self.workflow,
            name,
            env=identity if bearer and not calls else {},
            ended={n: (job.counted, job.outputs) for n, job in self._before(self.workflow.needs(name)).items()},
            event=self.change.origin.event,
            leg=leg,
            contexts=known,
            repository=this,
        )
        shown = self.workflow.explain(name, document_of_leg).replace(bearer or "\0", "(the job's own bearer)")
        self.copies[name] = "\n".join(filter(None, [self.copies.get(name), shown]))
        credentials = self.services.platform.credentials
        token = credentials.issue(
            subject,
            token_grants(granted, self.change.repository),
            lifetime=TOKEN_LIFETIME,
            prefix="ghs",
            repository=self.change.repository,
            job=id,
        )
        runtime = credentials.issue(
            subject,
            runtime_grants(self.rights, self.change.repository, self.change.run),
            lifetime=TOKEN_LIFETIME,
            prefix="run",
            repository=self.change.repository,
            job=id,
        )
        address = self._address(position)
        mirror, used = self.services.platform.mirror, self.used[name]
        mirror = mirror.view_of(self.change.repository, fork=self.change.origin.fork)
        actions = {f"{action.name}@{action.ref}": mirror.export(action) for action in used.actions}
        texts = (self.files[path] for path in used.files if path in self.files)
        if SELF in self.workflow.text or any(f"@{self.change.commit}" in text for text in texts):
            actions[this] = self.services.platform.repositories.archive(self.change.repository, self.change.commit)
        seconds = resolve(document.get("timeout-minutes"), {**known, "strategy": leg.strategy, "matrix": leg.matrix})
        return Job(
            name,
            document_of_leg,
            self.change.origin.event,
            payload(self.change),
            self.change.commit,
            self.change.actor,
            self.services.trust.url,
            self.services.trust.config_path,
            environment | {"ACTIONS_RUNTIME_TOKEN": runtime} | (identity if bearer and calls else {}),
            self._secrets(name) | {"GITHUB_TOKEN": token},
            self.variables,
            actions,
            {path: text for path, text in self.files.items() if path in used.files},
            self.services.wheelhouse,
            self.order.ports,
            address if self.services.sandbox.is_namespace else "",
            _seconds(seconds),
        )

    def _refusal(self, name: str, known: Mapping[str, Any]) -> JobRun | None:
        """Why a job does not start at all, if it does not. Raises `MalformedInput` for what the host cannot know."""
        document = self.workflow.jobs[name]
        if any(job.result == "waiting" for job in self._before(self.workflow.needs(name)).values()):
            return JobRun(name, "waiting", why="it needs a job that waits")
        before = functions(self._before(self.workflow.ancestors(name)).values())
        if not condition(document.get("if"), known, before):
            why = "its `if` is false" if before["success"]() else "a job that it needs did not succeed"
            return JobRun(name, "skipped", why=why)
        named = resolve(self.workflow.environment(name), known)
        self.places[name] = names.environment(str(named)) if named not in ("", None) else ""
        place = self.places[name]
        rules = self.settings.environment(place)
        if rules is None:
            return None
        if not rules.admits(self.rights.environment_ref):
            return JobRun(
                name,
                "failure",
                why=f"environment {place} does not admit {self.rights.environment_ref} (only {', '.join(rules.refs)})",
            )
        if rules.reviewers and place not in map(names.environment, self.order.approved):
            return JobRun(name, "waiting", why=f"environment {place} waits for a reviewer")
        return None

    def _bearer(self, name: str, id: str) -> str:
        called, commit = str(self.workflow.jobs[name].get("uses", "")).strip(), ""
        if called.startswith(("./", SELF)):
            called = f"{self.change.repository}/{called[2:]}@{self.change.origin.ref}"
        elif called:
            reference = ActionRef.parse(called)
            commit = self.actions[f"{reference.name}@{reference.ref}"]
        said = claims(
            self.change,
            self.workflow.path,
            self.workflow.name,
            environment=self._place(name),
            called=called,
            called_commit=commit,
        )
        return self.services.trust.job_bearer(said, job=id)

    def _place(self, name: str) -> str:
        """The environment of a job as the settings spell it; as it is folded where they do not name it."""
        place = self.places[name]
        rules = self.settings.environment(place)
        return rules.name if rules else place

    def _address(self, position: int) -> str:
        """The loopback address of a job, with nothing noted for it yet; numbers come round after 2**14 runs."""
        address = str(JOBS[(self.change.run % 2**14 << 8) + position])
        downloads = self.services.registry.index.served
        if downloads.of(address):
            downloads.forget(address)
        return address

    def _secrets(self, name: str) -> dict[str, str]:
        if not self.rights.secrets:
            return {}
        found = dict(self.settings.secrets)
        rules = self.settings.environment(self.places[name])
        for key, secret in rules.secrets.items() if rules else ():
            found = {other: kept for other, kept in found.items() if other.lower() != key.lower()}
            found[key] = secret  # names of secrets do not depend on case, and the environment's counts
        named = self.workflow.secrets(name, found)
        return {n: self.services.secret(self.change.repository, n, found[n]) for n in sorted(named)}

    def _step(self, job: str, step: StepRecord) -> None:
        subject = f"{self.subject}/jobs/{job}"
        facts = {
            "step": step.name[:200],
            "result": step.result,
            "milliseconds": round(step.seconds * 1000),
        }
        with contextlib.suppress(Unavailable):  # the database is busy, perhaps by this job; its record has the step
            self.services.platform.report("step.finished", subject, facts)
        self.order.tell(job, step)

    def _report(self, job: JobRun) -> None:
        facts = {
            "job": job.name,
            "result": job.result,
            "why": job.why[:500],
            "provenance": job.provenance,
            "milliseconds": round(job.seconds * 1000),
        }
        self._tell("taskrun.finished", f"{self.subject}/jobs/{job.name}", facts)


def _next(folder: Path) -> tuple[int, Path]:
    """The next run's number and its directory."""
    number = 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)
    while True:
        try:
            (folder / str(number)).mkdir()
            return number, folder / str(number)
        except FileExistsError:  # another process was quicker
            number += 1


def _above_none(granted: Mapping[str, str]) -> dict[str, str]:
    return {scope: level for scope, level in granted.items() if level != "none"}


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


def _seconds(minutes: Any) -> float:
    return min(LONGEST, 60 * minutes) if isinstance(minutes, int | float) and minutes > 0 else LONGEST
