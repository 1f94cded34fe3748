"""What one job may reach, and for how long: its tokens, identity, secrets, actions and loopback address.

    GITHUB_TOKEN, ACTIONS_RUNTIME_TOKEN   issued for each leg, with the grants of `rights`
    ACTIONS_ID_TOKEN_REQUEST_TOKEN        only with `id-token: write`; it gets this job's identity tokens
    secrets                               the repository's and the environment's, as far as the job names them

How long a token lives: as long as its job runs, and at most as `chainlab.trust.lifetimes` says. A job's credentials
all end with its row in `chainlab.jobs`: with the job, or `LEASE` seconds after the host was killed.

What a job may reach of the machine: `chainlab.sandbox` has the files and processes, `chainlab.ci.runs.relay` the ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainlab import names
from chainlab.ci.actions.uses import SELF, ActionRef
from chainlab.ci.runs.event_payload import claims, payload, variables
from chainlab.ci.runs.job import LONGEST, Job
from chainlab.ci.runs.job_copy import copy
from chainlab.ci.runs.rights import runtime_grants, token_grants
from chainlab.ci.runs.run_plan import RunPlan
from chainlab.ci.runs.run_record import JobRun
from chainlab.ci.workflows.matrix import Leg
from chainlab.ci.workflows.templates import resolve
from chainlab.registry.index.downloads import JOBS
from chainlab.trust.lifetimes import JOB_TOKEN_SECONDS

__all__ = ["JobAccess", "environment_name", "refusal"]


def environment_name(plan: RunPlan, job: str, contexts: Mapping[str, Any]) -> str:
    """The folded name of a job's environment; empty for none. Raises `MalformedInput` for a name that cannot be one."""
    value = resolve(plan.workflow.environment(job), contexts)
    return names.environment(str(value)) if value not in ("", None) else ""


def refusal(plan: RunPlan, job: str, environment: str) -> JobRun | None:
    """The end of a job that its environment does not admit, or that waits for a reviewer; None when it may run."""
    rules = plan.settings.environment(environment)
    if rules is None:
        return None
    ref = plan.rights.environment_ref
    if not rules.admits(ref):
        why = f"environment {environment} does not admit {ref} (only {', '.join(rules.refs)})"
        return JobRun(job, "failure", why=why)
    if rules.reviewers and environment not in map(names.environment, plan.options.approved):
        return JobRun(job, "waiting", why=f"environment {environment} waits for a reviewer")
    return None


@dataclass(frozen=True)
class JobAccess:
    """The access of one job of a run."""

    plan: RunPlan
    name: str
    id: str  # the job's id, which its credentials carry
    position: int  # among the jobs of the run, from 1
    environment: str  # folded name; empty for none
    permissions: Mapping[str, str]  # the level of every scope

    def prepare_leg(self, leg: Leg, contexts: Mapping[str, Any], needed: Mapping[str, JobRun]) -> tuple[Job, str]:
        """One leg of the job, ready to run, and how its copy of the workflow differs from the file.

        ``contexts`` are those of the job's expressions, ``needed`` the ended jobs that it needs.
        """
        plan, trigger, context = self.plan, self.plan.trigger, self.plan.context
        document = plan.workflow.jobs[self.name]
        calls = "uses" in document  # a reusable workflow: its jobs take no `env` from the caller
        bearer = self._bearer() if self.permissions["id-token"] == "write" else ""
        identity = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{context.trust.url}/ci/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer,
        }
        copy_of_leg = copy(
            plan.workflow,
            self.name,
            env=identity if bearer and not calls else {},
            ended={name: (job.counted, job.outputs) for name, job in needed.items()},
            event=trigger.origin.event,
            leg=leg,
            contexts=contexts,
            repository=plan.commit_reference,
        )
        difference = plan.workflow.explain(self.name, copy_of_leg).replace(bearer or "\0", "(the job's own bearer)")
        environment = variables(trigger, plan.workflow.path, plan.workflow.name)
        token = self._token("ghs", token_grants(self.permissions, trigger.repository))
        runtime = self._token("run", runtime_grants(plan.rights, trigger.repository, trigger.run))
        environment["ACTIONS_RUNTIME_TOKEN"] = runtime
        minutes = resolve(document.get("timeout-minutes"), {**contexts, "strategy": leg.strategy, "matrix": leg.matrix})
        used = plan.used[self.name]
        job = Job(
            self.name,
            copy_of_leg,
            event=trigger.origin.event,
            payload=payload(trigger),
            commit=trigger.commit,
            actor=trigger.actor,
            url=context.trust.url,
            trust_config=context.trust.config_path,
            environment=environment | (identity if bearer and calls else {}),
            secrets=self._secrets() | {"GITHUB_TOKEN": token},
            variables=plan.variables,
            actions=self._actions(),
            workflows={path: text for path, text in plan.called.items() if path in used.files},
            wheelhouse=context.wheelhouse,
            ports=plan.options.ports,
            address=self._address() if context.sandbox.is_namespace else "",
            seconds=_seconds(minutes),
        )
        return job, difference

    def _token(self, prefix: str, grants: list[str]) -> str:
        """Issue one of the job's tokens."""
        return self.plan.context.platform.credentials.issue(
            self.plan.job_subject(self.name),
            grants,
            lifetime=JOB_TOKEN_SECONDS,
            prefix=prefix,
            repository=self.plan.trigger.repository,
            job=self.id,
        )

    def _bearer(self) -> str:
        """The token with which the job asks for its identity tokens."""
        plan, trigger = self.plan, self.plan.trigger
        called, commit = str(plan.workflow.jobs[self.name].get("uses", "")).strip(), ""
        if called.startswith(("./", SELF)):
            called = f"{trigger.repository}/{called[2:]}@{trigger.origin.ref}"
        elif called:
            reference = ActionRef.parse(called)
            commit = plan.actions[f"{reference.name}@{reference.ref}"]
        rules = plan.settings.environment(self.environment)
        job_claims = claims(
            trigger,
            plan.workflow.path,
            plan.workflow.name,
            environment=rules.name if rules else self.environment,  # as the settings spell it
            called=called,
            called_commit=commit,
        )
        return plan.context.trust.job_bearer(job_claims, job=self.id)

    def _secrets(self) -> dict[str, str]:
        """The secrets that the job names, by name; none where the run gets none."""
        if not self.plan.rights.secrets:
            return {}
        secrets = dict(self.plan.settings.secrets)
        rules = self.plan.settings.environment(self.environment)
        for name, secret in rules.secrets.items() if rules else ():
            # Names of secrets do not depend on case, and the environment's secret counts.
            secrets = {other: value for other, value in secrets.items() if other.lower() != name.lower()}
            secrets[name] = secret
        used = self.plan.workflow.secrets(self.name, secrets)
        repository = self.plan.trigger.repository
        return {name: self.plan.context.secret(repository, name, secrets[name]) for name in sorted(used)}

    def _actions(self) -> dict[str, Path]:
        """The files of each action that the job uses, and of its own repository where it uses that."""
        plan, used = self.plan, self.plan.used[self.name]
        mirror = plan.mirror
        actions = {f"{action.name}@{action.ref}": mirror.export(action) for action in used.actions}
        called = (plan.called[path] for path in used.files if path in plan.called)
        if SELF in plan.workflow.text or any(f"@{plan.trigger.commit}" in text for text in called):
            trigger = plan.trigger
            archive = plan.context.platform.repositories.archive(trigger.repository, trigger.commit)
            actions[plan.commit_reference] = archive
        return actions

    def _address(self) -> str:
        """The job's loopback address, with no downloads recorded for it yet; numbers come round after 2**14 runs."""
        address = str(JOBS[(self.plan.trigger.run % 2**14 << 8) + self.position])
        downloads = self.plan.context.registry.index.served
        if downloads.of(address):
            downloads.forget(address)
        self.plan.context.platform.jobs.set_address(self.id, address)
        return address


def _seconds(minutes: Any) -> float:
    """The time limit of a job by its ``timeout-minutes``."""
    return min(LONGEST, 60 * minutes) if isinstance(minutes, int | float) and minutes > 0 else LONGEST
