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
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from chainlab.ci.actions.uses import ActionRef
from chainlab.ci.git.refs import COMMIT
from chainlab.display import Cell, Display, Mark, Shown

__all__ = ["ACTION_FILES", "Resolved", "Tree"]

ACTION_FILES = ("action.yml", "action.yaml")
DIGITS = 7  # of a commit that is named


@dataclass(frozen=True)
class Resolved:
    """A ``uses:``, and the commit it stands for now; ``file`` and ``line`` say where it was named."""

    owner: str
    repo: str
    path: str  # below the repository's top: a folder, or a reusable workflow's file; "" = the top
    ref: str  # as written
    commit: str
    only_in_fork: bool = False  # no branch or tag of this repository reaches the commit
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    depth: int = field(default=0, compare=False)  # 0: named by the project itself

    @property
    def name(self) -> str:
        """``owner/repo``."""
        return f"{self.owner}/{self.repo}"

    @property
    def pinned(self) -> bool:
        """Whether the reference is a full commit id."""
        return COMMIT.fullmatch(self.ref) is not None

    @property
    def is_workflow(self) -> bool:
        """Whether it is a reusable workflow."""
        return self.path.startswith(".github/workflows/")

    def __str__(self) -> str:
        return str(ActionRef(self.owner, self.repo, self.path, self.ref))


class Tree(Shown, list[Resolved]):
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
