"""Called workflows and composite actions, checked for what this host can run.

`act` reads a called workflow of the project from a copy, which can differ from the file. It reads actions, and files of
other repositories, as they are; so features that need a changed file are refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chainlab.ci.actions.mirror import Mirror, Reached
from chainlab.ci.actions.uses import find
from chainlab.ci.runs.job_copy import RIGHTS, called
from chainlab.ci.runs.rights import NEWER
from chainlab.ci.workflows.definitions import check, check_expressions
from chainlab.ci.workflows.yaml_document import load
from chainlab.errors import MalformedInput

__all__ = ["runnable"]

UNKNOWN_SCOPES = {"artifact-metadata", *NEWER}  # to `act`


def runnable(
    mirror: Mirror,
    used: Iterable[Reached],
    files: Mapping[str, str],
    read: Callable[[str], str | None],
    repository: str,
) -> dict[str, str]:
    """The called workflows among ``files`` as `act` can run them, path to text.

    ``read`` returns the text of a project's action, ``repository`` is the meaning of ``$/``. Raises `MalformedInput`
    naming file and line of a feature that cannot run here.
    """
    workflows = {}
    for reached in used:
        for path in reached.files:
            if path in files:
                check(path, files[path])
                workflows[path] = called(path, files[path], repository)
            else:
                _check_action(path, read(path) or "")
        for action in reached.actions:
            path, text = mirror.definition(action)
            where = f"{action.name}@{action.ref}: {path}"
            if not action.is_workflow:
                _check_action(where, text)
                continue
            check(where, text)
            if load(called(where, text, repository)) != _without_rights(where, load(text)):
                raise MalformedInput(
                    f"{where}: this host cannot run it",
                    why="it has `$/`, `case` or `strategy`, which `act` does not know, and its file cannot be changed",
                )
    return workflows


def _without_rights(where: str, document: Any) -> Any:
    """A called workflow without the keys that the host decides. Raises `MalformedInput` for an unknown scope."""
    for holder in (document, *document["jobs"].values()):
        scopes = holder.get("permissions")
        if isinstance(scopes, dict) and (unknown := sorted(UNKNOWN_SCOPES & set(scopes))):
            raise MalformedInput(f"{where}: this host does not know the scope {unknown[0]!r} inside a called workflow")
    jobs = {name: {k: v for k, v in job.items() if k not in RIGHTS} for name, job in document["jobs"].items()}
    return {**{key: value for key, value in document.items() if key not in RIGHTS}, "jobs": jobs}


def _check_action(path: str, text: str) -> None:
    check_expressions(path, text)
    for uses in find(text):
        if uses.of_repository:
            raise MalformedInput(f"{path}, line {uses.line}: {uses.value!r}: this host has no `$/` inside an action")
