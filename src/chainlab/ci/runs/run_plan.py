"""The plan of a run: what starts it, which jobs it has, with which rights, and which actions they use.

`RunPlan.prepare` refuses everything that can be refused before a job runs: a workflow that breaks the platform's rules,
unknown permissions, inputs that are not declared, actions that the mirror does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from chainlab.ci.actions.mirror import Mirror, Reached
from chainlab.ci.runs.calls import runnable
from chainlab.ci.runs.event_payload import TriggerEvent
from chainlab.ci.runs.rights import Rights, effective_permissions, permissions
from chainlab.ci.runs.run_record import StepRecord
from chainlab.ci.services.platform import Platform
from chainlab.ci.settings import Secret, Settings
from chainlab.ci.workflows.definitions import check
from chainlab.ci.workflows.inputs import complete
from chainlab.ci.workflows.workflow import Workflow
from chainlab.errors import MalformedInput, Refused
from chainlab.registry.index.publishers import Publisher
from chainlab.registry.registry import Registry
from chainlab.sandbox import Sandbox
from chainlab.storage import write_whole
from chainlab.trust.client import Trust

__all__ = ["OnStep", "RunContext", "RunOptions", "RunPlan"]

OnStep = Callable[[str, StepRecord], None]  # called with the job's name and each step as it ends


def _ignore(job: str, step: StepRecord) -> None:
    """Report a step to nobody."""


@dataclass(frozen=True)
class RunOptions:
    """How to run a workflow, besides what started it."""

    job: str = ""  # run only this job and those it needs; empty = all
    inputs: Mapping[str, str] = field(default_factory=dict)  # of a workflow_dispatch
    approved: tuple[str, ...] = ()  # environments whose reviewer approves
    cache_rule: str = "current"  # one of `rights.CACHE_RULES`
    ports: tuple[int, ...] = ()  # loopback ports that jobs may reach besides the services
    on_step: OnStep = _ignore


@dataclass(frozen=True)
class RunContext:
    """The services and folders that every run of a CI host uses."""

    directory: Path  # WORKSPACE/ci
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
        """The value of a secret; a credential is issued once and kept, as people keep such tokens."""
        if not secret.grants:
            return secret.value
        path = self.directory / "secrets.json"
        tokens: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        key = f"{repository} {name}"
        if key not in tokens:
            tokens[key] = self.platform.credentials.issue(
                f"{repository} secret {name}", secret.grants, prefix="pypi", repository=repository
            )
            write_whole(path, json.dumps(tokens), durable=True, mode=0o600)
        return tokens[key]


@dataclass(frozen=True)
class RunPlan:
    """Everything about a run that is fixed before its first job."""

    context: RunContext
    settings: Settings
    trigger: TriggerEvent
    workflow: Workflow
    options: RunOptions
    rights: Rights
    used: Mapping[str, Reached]  # job -> the actions and files that it uses
    called: Mapping[str, str]  # path -> text of the called workflows, as `act` can run them
    folder: Path  # WORKSPACE/ci/runs/N

    @classmethod
    def prepare(
        cls,
        context: RunContext,
        settings: Settings,
        trigger: TriggerEvent,
        workflow: Workflow,
        *,
        files: Mapping[str, str],
        options: RunOptions,
    ) -> RunPlan:
        """Check a workflow and give its run a number; ``files`` are all workflow files of the commit, path to text.

        Raises `MalformedInput` for an unknown job and for anything that the platform or this host refuses.
        """
        if options.job and options.job not in workflow.jobs:
            raise MalformedInput(
                f"{workflow.path} has no job {options.job!r}",
                hint=f"its jobs: {', '.join(workflow.jobs)}",
            )
        check(workflow.path, workflow.text)
        rights = effective_permissions(trigger.origin, options.cache_rule)
        for job in workflow.jobs.values():
            permissions(workflow.document.get("permissions"), job.get("permissions"), rights)

        def read(path: str) -> str | None:
            try:
                data = context.platform.repositories.show(trigger.repository, trigger.commit, path)
            except Refused:  # there is no such file, or it is too large for a definition
                return None
            return data.decode("utf-8", "replace")

        mirror = context.platform.mirror.view_of(trigger.repository, fork=trigger.origin.fork)
        inputs = complete(workflow, trigger.origin.event, options.inputs)
        used = mirror.reach(workflow.path, workflow.text, workflow.jobs, read=read)
        reached = {path for job in used.values() for path in job.files}
        called = {path: text for path, text in files.items() if path in reached}
        called = runnable(mirror, used.values(), called, read, f"{trigger.repository}@{trigger.commit}")
        number, folder = _next_run(context.directory / "runs")
        trigger = replace(trigger, run=number, inputs=inputs)
        return cls(context, settings, trigger, workflow, options, rights, used, called, folder)

    @property
    def subject(self) -> str:
        """The name of the run in events and credentials, such as ``acme/triage-model/runs/7``."""
        return f"{self.trigger.repository}/runs/{self.trigger.run}"

    def job_subject(self, job: str) -> str:
        """The name of a job in events and credentials."""
        return f"{self.subject}/jobs/{job}"

    @property
    def commit_reference(self) -> str:
        """The repository at the run's commit, ``owner/name@commit``: the meaning of ``$/`` in ``uses``."""
        return f"{self.trigger.repository}@{self.trigger.commit}"

    @property
    def mirror(self) -> Mirror:
        """The mirror of actions, as this run may see it."""
        return self.context.platform.mirror.view_of(self.trigger.repository, fork=self.trigger.origin.fork)

    @cached_property
    def actions(self) -> dict[str, str]:
        """The actions of all jobs: ``owner/repo@ref`` to commit."""
        actions = [action for reached in self.used.values() for action in reached.actions]
        return {f"{action.name}@{action.ref}": action.commit for action in actions}

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """The repository's variables; empty for a run that gets no secrets."""
        return self.settings.with_url(self.context.trust.url).variables if self.rights.secrets else {}

    def jobs(self) -> list[str]:
        """The jobs to run, each after those it needs: all, or the one of the options with those it needs."""
        if not self.options.job:
            return self.workflow.order()
        selected = {self.options.job}
        for name in reversed(self.workflow.order()):
            if name in selected:
                selected.update(self.workflow.needs(name))
        return [name for name in self.workflow.order() if name in selected]

    def permissions(self, job: str) -> Mapping[str, str]:
        """The level of every scope of a job's GITHUB_TOKEN."""
        return permissions(
            self.workflow.document.get("permissions"),
            self.workflow.jobs[job].get("permissions"),
            self.rights,
            default=self.settings.default_permissions,
        )


def _next_run(folder: Path) -> tuple[int, Path]:
    """Make the directory of the next run; returns its number and path."""
    number = 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)
    while True:
        try:
            (folder / str(number)).mkdir()
            return number, folder / str(number)
        except FileExistsError:  # another process was quicker
            number += 1
