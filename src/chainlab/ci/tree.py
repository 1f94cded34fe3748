"""The tree of actions that workflows reach: who names what, by a commit or by a name that can move.

>>> mirror.closure({"ci.yml": text})                                  # doctest: +SKIP
✗ 2 movable · 4 actions reached
action                       named by          in
acme/setup-ml-python         ✓ commit 8d1f0ab  ci.yml, line 12
└ acme/pip-cache             ✗ movable v1      acme/setup-ml-python@8d1f…: action.yml, line 7
…
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from chainlab.display import Cell, Display, Mark, Shown

if TYPE_CHECKING:
    from chainlab.ci.mirror import Resolved

__all__ = ["ACTION_FILES", "Tree"]

ACTION_FILES = ("action.yml", "action.yaml")
DIGITS = 7  # of a commit that is named


class Tree(Shown, list["Resolved"]):
    """Everything that is reached, each once, outermost first."""

    def _display(self) -> Display:
        """Each action below the one that names it."""
        movable, forks = sum(not a.pinned for a in self), sum(a.only_in_fork for a in self)
        counts = [f"{movable} movable"] * bool(movable) + [f"{forks} of a fork"] * bool(forks)
        ended = Mark("movable", ", ".join(counts)) if counts else Mark("pinned", "all by commit")
        rows = [_row(action, depth) for action, depth in self._branches()]
        title = f"{len(self)} action{'s' * (len(self) != 1)} reached"
        return Display(title, ("action", "named by", "in"), rows, ended if self else None, empty="none is named")

    def _branches(self) -> Iterator[tuple[Resolved, int]]:
        """Each action with its depth, in the order of a tree."""
        named: dict[str, list[Resolved]] = {}
        for action in reversed(self):
            named.setdefault(action.file if action.depth else "", []).append(action)
        waiting = [(action, 0) for action in named.pop("", [])]
        while waiting:
            action, depth = waiting.pop()
            yield action, depth
            for file in _definitions(action):
                waiting += [(inner, depth + 1) for inner in named.pop(file, [])]
        yield from ((action, 0) for rest in named.values() for action in reversed(rest))  # in a file of another name


def _definitions(action: Resolved) -> list[str]:
    """The files that may define it, as `Resolved.file` names them."""
    below = [action.path] if action.is_workflow else [str(PurePosixPath(action.path, name)) for name in ACTION_FILES]
    return [f"{action.name}@{action.ref}: {path}" for path in below]


def _row(action: Resolved, depth: int) -> tuple[Cell, ...]:
    name = f"{action.name}/{action.path}" if action.path else action.name
    if action.only_in_fork:
        by = Mark("refused", f"a fork's commit {action.ref[:DIGITS]}")
    elif action.pinned:
        by = Mark("pinned", f"commit {action.ref[:DIGITS]}")
    else:
        by = Mark("movable", f"movable {action.ref}")
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name, by, f"{action.file}, line {action.line}"
