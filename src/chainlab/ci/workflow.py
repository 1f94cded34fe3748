"""A workflow file, and the copy of it that runs one job.

A job runs alone: in a process, a sandbox and a directory of its own, as on the platform. Its copy of the workflow is
the file as it is, but for

- a job-level ``env`` that gives its identity (address and bearer), when it may have one;
- stubs in place of the jobs it needs, which end as those did and give what those gave;
- a last step that does what actions left for the end (a real runner's "post" steps), if all went well;
- a last job that prints what came of it;
- ``container`` and ``services``, which need docker: they are left out, and the run says so.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chainlab import names
from chainlab.ci.document import dump, load
from chainlab.ci.filters import matches
from chainlab.errors import MalformedInput

__all__ = ["AFTER", "REPORT", "Workflow"]

AFTER = "after the job"  # the step that does what actions left for the end
REPORT = "chainlab-report"  # the job that prints what came of the other
RUNNER = "ubuntu-latest"
NO_DOCKER = ("container", "services")
MAX_JOBS = 250  # of one workflow; each has a loopback address of its own
MAX_NAME = 255  # characters of a workflow's name
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
NAMED = re.compile(r"(?ia)\bsecrets\s*\.\s*([a-z_][a-z0-9_]*)")
WHOLE = re.compile(r"(?ia)\bsecrets\s*(?:\[|\)|,|\}\}|\.\s*\*)")
ACTIVITY = "opened"  # the one activity type that the host's pull requests have
# Its `env` is the step's: act evaluates that of a job twice, and would run what an output says.
_PRINT = {
    "run": "printf '%s' \"$NEEDS\"",
    "shell": "sh",
    "env": {"NEEDS": "${{ toJSON(needs) }}"},
}


@dataclass(frozen=True)
class Workflow:
    """One file of ``.github/workflows``."""

    path: str  # ".github/workflows/release.yml"
    text: str
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, path: str, text: str) -> Workflow:
        """Read a file. Raises `MalformedInput` for what the platform would not take either."""
        document = load(text)
        jobs = document.get("jobs") if isinstance(document, dict) else None
        if not isinstance(document, dict) or "on" not in document or not isinstance(jobs, dict):
            raise MalformedInput(f"{path} is no workflow", mend="it needs `on:` and `jobs:`")
        if len(jobs) > MAX_JOBS:
            raise MalformedInput(f"{path}: a workflow has at most {MAX_JOBS} jobs here")
        for name, job in jobs.items():
            if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(job, dict):
                raise MalformedInput(f"{path}: job {str(name)[:80]!r} is not a job")
            if name == REPORT:
                raise MalformedInput(f"{path}: the host uses the name {REPORT} itself")
            if not isinstance(job.get("env") or {}, dict):
                raise MalformedInput(f"{path}: job {name}: `env` is no mapping")
            missing = [n for n in _needs(job) if n not in jobs]
            if missing:
                raise MalformedInput(f"{path}: job {name} needs {missing[0]!r}, which is no job")
        workflow = cls(path, text, document)
        workflow.order()
        for name in jobs:
            try:
                workflow.environment(name)
            except MalformedInput as error:
                raise MalformedInput(f"{path}: job {name}: {error.message}", mend=error.mend) from error
        return workflow

    @property
    def name(self) -> str:
        """Its ``name`` in one line, or the path where it has none."""
        words = " ".join(str(self.document.get("name") or self.path).split())
        return "".join(c for c in words if c.isprintable())[:MAX_NAME]

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Its jobs by id."""
        found: Mapping[str, Mapping[str, Any]] = self.document["jobs"]
        return found

    def order(self) -> list[str]:
        """Job ids, each after those it needs. Raises `MalformedInput` for a circle."""
        done: list[str] = []
        while len(done) < len(self.jobs):
            ready = [n for n, job in self.jobs.items() if n not in done and set(_needs(job)) <= set(done)]
            if not ready:
                raise MalformedInput(f"{self.path}: its jobs need one another in a circle")
            done += ready
        return done

    def needs(self, job: str) -> list[str]:
        """The jobs that ``job`` names in its ``needs``."""
        return _needs(self.jobs[job])

    def environment(self, job: str) -> str:
        """The folded name of the environment that a job uses; empty for none."""
        value = self.jobs[job].get("environment", "")
        name = value.get("name", "") if isinstance(value, dict) else value
        return "" if name in ("", None) else names.environment(str(name))

    def secrets(self, job: str, known: Iterable[str]) -> set[str]:
        """Which of the ``known`` secrets a job can use: those that its text names.

        All of them where it takes the whole set: ``secrets: inherit``, ``toJSON(secrets)``, ``secrets[…]``.
        """
        shared = {key: value for key, value in self.document.items() if key != "jobs"}
        text = dump([shared, dict(self.jobs[job])])
        if self.jobs[job].get("secrets") == "inherit" or WHOLE.search(text):
            return set(known)
        named = {name.lower() for name in NAMED.findall(text)}
        return {name for name in known if name.lower() in named}

    def triggered(self, event: str, ref: str, base: str = "") -> bool:
        """Whether ``event`` at ``ref`` starts it; ``base`` is the branch that a pull request wants to change.

        A pull request has just been opened (``types``); ``paths`` filters are not applied.
        """
        on = self.document["on"]
        if isinstance(on, str):
            return on == event
        if isinstance(on, list):
            return event in on
        if not isinstance(on, dict) or event not in on:
            return False
        if event == "schedule":
            return bool(on[event])
        filters = on[event] if isinstance(on[event], dict) else {}
        if event == "push":
            kind, name = ("tags", ref.removeprefix("refs/tags/"))
            other = "branches"
            if ref.startswith("refs/heads/"):
                kind, name, other = "branches", ref.removeprefix("refs/heads/"), "tags"
            if kind not in filters and f"{kind}-ignore" not in filters:
                return not (other in filters or f"{other}-ignore" in filters)
        elif event in ("pull_request", "pull_request_target"):
            kind, name = "branches", base.removeprefix("refs/heads/")
            if "types" in filters and ACTIVITY not in _words(filters["types"]):
                return False
        else:
            return True
        if kind in filters:
            return matches(name, _words(filters[kind]))
        return not matches(name, _words(filters.get(f"{kind}-ignore")))

    def copy(
        self,
        job: str,
        *,
        env: Mapping[str, str],
        ended: Mapping[str, tuple[str, Mapping[str, str]]],
    ) -> dict[str, Any]:
        """The document that runs ``job`` alone.

        ``env`` is added to its environment; ``ended`` gives result and outputs of each job that it needs.
        """
        target = {k: v for k, v in self.jobs[job].items() if k not in NO_DOCKER}
        if env and "uses" not in target:  # a call of a reusable workflow takes no env
            target["env"] = {**(target.get("env") or {}), **env}
        if isinstance(target.get("steps"), list):
            target["steps"] = [
                *target["steps"],
                {"name": AFTER, "run": "chainlab-post", "shell": "sh"},
            ]
        # `defaults` name a folder that is not there where nothing was checked out.
        where = {"working-directory": "."} if "defaults" in self.document else {}
        jobs: dict[str, Any] = {n: _stub(*ended[n], where) for n in _needs(target)}
        jobs[job] = target
        jobs[REPORT] = {
            "needs": [job],
            "if": "always()",
            "runs-on": RUNNER,
            "steps": [_PRINT | where],
        }
        return {**self.document, "jobs": jobs}

    def left_out(self, job: str) -> list[str]:
        """Keys of a job that this host cannot follow."""
        return [key for key in NO_DOCKER if key in self.jobs[job]]

    def explain(self, job: str, copy: Mapping[str, Any]) -> str:
        """The difference between this file and a copy, as a unified diff of their YAML."""
        before = dump(dict(self.document)).splitlines()
        after = dump(dict(copy)).splitlines()
        names = (self.path, f"{self.path} as job {job} ran it")
        return "\n".join(difflib.unified_diff(before, after, *names, lineterm="", n=1))


def _needs(job: Mapping[str, Any]) -> list[str]:
    return _words(job.get("needs"))


def _words(value: Any) -> list[str]:
    """One word or a list of them."""
    return [str(n) for n in value] if isinstance(value, list) else [str(value)] if value else []


def _stub(result: str, outputs: Mapping[str, str], where: Mapping[str, str]) -> dict[str, Any]:
    stub: dict[str, Any] = {
        "runs-on": RUNNER,
        "outputs": {name: _literal(value) for name, value in outputs.items()},
        "steps": [{"run": "true" if result == "success" else "false", "shell": "sh", **where}],
    }
    return {"if": "${{ false }}", **stub} if result == "skipped" else stub


def _literal(value: str) -> str:
    """Text that an expression evaluator leaves as it is."""
    return "${{ '" + value.replace("'", "''") + "' }}" if "${{" in value else value
