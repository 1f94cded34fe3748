"""A workflow file: its jobs, their order, and what starts it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chainlab import names
from chainlab.ci.workflows.filters import matches
from chainlab.ci.workflows.templates import needs_evaluation
from chainlab.ci.workflows.yaml_document import dump, load
from chainlab.errors import MalformedInput

__all__ = ["AFTER", "REPORT", "Workflow"]

AFTER = "after the job"  # the step that runs what actions left for the end
REPORT = "chainlab-report"  # the job that prints the other one's result and outputs
RUNNER = "ubuntu-latest"
NO_DOCKER = ("container", "services")
MAX_JOBS = 250  # of one workflow; each has a loopback address of its own
MAX_NAME = 255  # characters of a workflow's name
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
MENTION = re.compile(r"(?ia)\bsecrets\s*\.\s*([a-z_][a-z0-9_]*)")
WHOLE = re.compile(r"(?ia)\bsecrets\s*(?:\[|\)|,|\}\}|\.\s*\*)")
ACTIVITY = "opened"  # the one activity type that the host's pull requests have


@dataclass(frozen=True)
class Workflow:
    """One file of ``.github/workflows``."""

    path: str  # ".github/workflows/release.yml"
    text: str
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, path: str, text: str) -> Workflow:
        """Read a file. Raises `MalformedInput` for a file that the platform refuses, too."""
        try:
            document = load(text)
        except MalformedInput as error:
            raise MalformedInput(f"{path}, {error.message}", why=error.why, hint=error.hint) from error
        jobs = document.get("jobs") if isinstance(document, dict) else None
        if not isinstance(document, dict) or "on" not in document or not isinstance(jobs, dict):
            raise MalformedInput(f"not a workflow: {path}", hint="it needs `on:` and `jobs:`")
        if len(jobs) > MAX_JOBS:
            raise MalformedInput(f"{path}: a workflow has at most {MAX_JOBS} jobs here")
        for name, job in jobs.items():
            if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(job, dict):
                raise MalformedInput(f"{path}: not a job: {str(name)[:80]!r}")
            if name == REPORT:
                raise MalformedInput(f"{path}: the host uses the name {REPORT} itself")
            missing = [n for n in _needs(job) if n not in jobs]
            if missing:
                raise MalformedInput(f"{path}: job {name} needs {missing[0]!r}, which is not a job")
        workflow = cls(path, text, document)
        workflow.order()
        for name in jobs:
            try:
                if not needs_evaluation(place := workflow.environment(name)) and place not in ("", None):
                    names.environment(str(place))
            except MalformedInput as error:
                raise MalformedInput(f"{path}: job {name}: {error.message}", hint=error.hint) from error
        return workflow

    @property
    def name(self) -> str:
        """Its ``name`` in one line, or its path if it has none."""
        words = " ".join(str(self.document.get("name") or self.path).split())
        return "".join(c for c in words if c.isprintable())[:MAX_NAME]

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Its jobs by id."""
        jobs: Mapping[str, Mapping[str, Any]] = self.document["jobs"]
        return jobs

    def order(self) -> list[str]:
        """Job ids, each after those it needs. Raises `MalformedInput` for a circle."""
        ordered: list[str] = []
        while len(ordered) < len(self.jobs):
            ready = [n for n, job in self.jobs.items() if n not in ordered and set(_needs(job)) <= set(ordered)]
            if not ready:
                raise MalformedInput(f"{self.path}: its jobs need one another in a circle")
            ordered += ready
        return ordered

    def ancestors(self, job: str) -> list[str]:
        """All jobs before ``job`` in its chain of ``needs``."""
        ancestors: list[str] = []
        waiting = self.needs(job)
        for name in waiting:  # grows as it is walked
            if name not in ancestors:
                ancestors.append(name)
                waiting += self.needs(name)
        return ancestors

    def needs(self, job: str) -> list[str]:
        """The jobs that ``job`` names in its ``needs``."""
        return _needs(self.jobs[job])

    def environment(self, job: str) -> Any:
        """The name in a job's ``environment``: a text that may hold expressions; None if there is none."""
        value = self.jobs[job].get("environment")
        return value.get("name") if isinstance(value, dict) else value

    def secrets(self, job: str, secrets: Iterable[str]) -> set[str]:
        """The names among ``secrets`` that a job can use: those that its text mentions.

        All of them if it takes the whole set: ``secrets: inherit``, ``toJSON(secrets)``, ``secrets[…]``.
        """
        shared = {key: value for key, value in self.document.items() if key != "jobs"}
        text = dump([shared, dict(self.jobs[job])])
        if self.jobs[job].get("secrets") == "inherit" or WHOLE.search(text):
            return set(secrets)
        mentioned = {name.lower() for name in MENTION.findall(text)}
        return {name for name in secrets if name.lower() in mentioned}

    def triggered(self, event: str, ref: str, base: str = "") -> bool:
        """Whether ``event`` at ``ref`` starts it; ``base`` is the branch that a pull request wants to change.

        A pull request counts as just opened (``types``); ``paths`` filters are not applied.
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

    def left_out(self, job: str) -> list[str]:
        """The keys of a job that this host ignores."""
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
