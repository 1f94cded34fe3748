"""``uses:`` lines of workflows and composite actions: what they name, and where they stand.

uses: acme/changed-files@v3                              an action, by tag, branch or commit
uses: acme/tools/sub/folder@v1                           an action in a folder of a repository
uses: acme/workflows/.github/workflows/notes.yml@main    a reusable workflow
uses: ./.github/actions/summary                          an action among the project's own files
uses: $/.github/actions/summary                          an action of the same repository, at the running commit
uses: docker://alpine:3.20                               an image

>>> ActionRef.parse("acme/tools/sub@v1").path
'sub'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from chainlab.ci.workflows.yaml_document import compose
from chainlab.errors import MalformedInput

__all__ = ["SELF", "ActionRef", "Uses", "find", "find_in_jobs"]

REFERENCE = re.compile(
    r"(?P<owner>[A-Za-z0-9][A-Za-z0-9-]*)/(?P<repo>[A-Za-z0-9._-]+)(?:/(?P<path>[^@\s]+))?@(?P<ref>\S+)"
)

SELF = "$/"  # changelog of 30 July 2026, "Reference same-repository actions with self-repository syntax"


@dataclass(frozen=True)
class ActionRef:
    """A reference to an action or a reusable workflow of another repository."""

    owner: str
    repo: str
    path: str  # below the repository's top; "" = the top
    ref: str

    @classmethod
    def parse(cls, text: str) -> ActionRef:
        """Read the text form, which ``str`` returns. Names are case-insensitive, refs are not.

        Raises `MalformedInput` for another form.
        """
        match = REFERENCE.fullmatch(text)
        path = (match["path"] or "") if match else ""
        if match is None or {"", ".", ".."} & set(path.split("/")[:-1]) or f"/{path}".endswith(("/..", "/.")):
            raise MalformedInput(
                f"not a reference to an action: {text[:120]!r}",
                hint="write owner/repo@ref or owner/repo/path@ref",
            )
        return cls(match["owner"].lower(), match["repo"].lower(), path.rstrip("/"), match["ref"])

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{self.name}{path}@{self.ref}"

    @property
    def name(self) -> str:
        """``owner/repo``."""
        return f"{self.owner}/{self.repo}"


@dataclass(frozen=True)
class Uses:
    """One ``uses:`` and its position in the text."""

    value: str
    line: int  # from 1
    start: int  # characters from the beginning of the text to the value, including quotes
    end: int
    of_job: bool  # whether it is a job's, and names a reusable workflow

    @property
    def of_repository(self) -> bool:
        """Whether it names a path of its own repository, at the running commit."""
        return self.value.startswith(SELF)

    @property
    def kind(self) -> str:
        """``local``, ``docker`` or ``remote``."""
        if self.value.startswith(("./", ".\\", SELF)) or self.value == ".":
            return "local"
        return "docker" if self.value.startswith("docker://") else "remote"


def find(text: str) -> list[Uses]:
    """List every ``uses:`` of a workflow's jobs and steps, or of a composite action's steps, in text order.

    Comments and scripts that look like one do not count. Raises `MalformedInput` for a text that is not YAML.
    """
    return _in_order(_nodes(compose(text), None))


def find_in_jobs(text: str, jobs: Iterable[str]) -> dict[str, list[Uses]]:
    """List as `find` does, for each job of a workflow apart. Raises `MalformedInput`."""
    root = compose(text)
    return {job: _in_order(_nodes(root, job)) for job in jobs}


def _in_order(nodes: Iterable[tuple[yaml.ScalarNode, bool]]) -> list[Uses]:
    by_start = {}
    for node, of_job in nodes:
        start, end = node.start_mark.index, node.end_mark.index
        by_start[start] = Uses(node.value.strip(), node.start_mark.line + 1, start, end, of_job)
    return [by_start[start] for start in sorted(by_start)]


def _nodes(root: yaml.Node | None, only: str | None) -> Iterator[tuple[yaml.ScalarNode, bool]]:
    visited: set[int] = set()  # an alias is the same node again; thousands of aliases are read once
    for name, job in _pairs(_member(root, "jobs")):
        if only not in (None, name):
            continue
        steps = id(_member(job, "steps") or job)
        if steps in visited and not _member(job, "uses"):
            continue
        visited.add(steps)
        if isinstance(uses := _member(job, "uses"), yaml.ScalarNode):
            yield uses, True
        yield from _steps(job)
    yield from _steps(_member(root, "runs"))


def _steps(holder: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, bool]]:
    steps = _member(holder, "steps")
    for step in steps.value if isinstance(steps, yaml.SequenceNode) else []:
        if isinstance(uses := _member(step, "uses"), yaml.ScalarNode):
            yield uses, False


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in _pairs(node) if key == name), None)
