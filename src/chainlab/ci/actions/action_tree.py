"""The tree of actions that workflows use, directly or indirectly, each pinned to a commit or movable.

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
DIGITS = 7  # of a commit, as shown


@dataclass(frozen=True)
class Resolved:
    """A ``uses:`` and the commit that it resolves to now; ``file`` and ``line`` say where it stands."""

    owner: str
    repo: str
    path: str  # below the repository's top: a folder, or a reusable workflow's file; "" = the top
    ref: str  # as written in the file
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
    """Every action reached, each once, outermost first."""

    def _display(self) -> Display:
        """Show each action below the one that uses it."""
        movable, forks = sum(not a.pinned for a in self), sum(a.only_in_fork for a in self)
        counts = [f"{movable} movable"] * bool(movable) + [f"{forks} of a fork"] * bool(forks)
        verdict = Mark("movable", ", ".join(counts)) if counts else Mark("pinned", "all by commit")
        rows = [_row(action, depth) for action, depth in self._branches()]
        title = f"{len(self)} action{'s' * (len(self) != 1)} reached"
        return Display(title, ("action", "named by", "in"), rows, verdict if self else None, empty="no action is used")

    def _branches(self) -> Iterator[tuple[Resolved, int]]:
        """Yield each action with its depth, in the order of a tree."""
        by_file: dict[str, list[Resolved]] = {}
        for action in reversed(self):
            by_file.setdefault(action.file if action.depth else "", []).append(action)
        waiting = [(action, 0) for action in by_file.pop("", [])]
        while waiting:
            action, depth = waiting.pop()
            yield action, depth
            for file in _definitions(action):
                waiting += [(inner, depth + 1) for inner in by_file.pop(file, [])]
        yield from ((action, 0) for rest in by_file.values() for action in reversed(rest))  # of other files


def _definitions(action: Resolved) -> list[str]:
    """Return the files that may define an action, as `Resolved.file` names them."""
    below = [action.path] if action.is_workflow else [str(PurePosixPath(action.path, name)) for name in ACTION_FILES]
    return [f"{action.name}@{action.ref}: {path}" for path in below]


def _row(action: Resolved, depth: int) -> tuple[Cell, ...]:
    name = f"{action.name}/{action.path}" if action.path else action.name
    if action.only_in_fork:
        pin = Mark("refused", f"a fork's commit {action.ref[:DIGITS]}")
    elif action.pinned:
        pin = Mark("pinned", f"commit {action.ref[:DIGITS]}")
    else:
        pin = Mark("movable", f"movable {action.ref}")
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name, pin, f"{action.file}, line {action.line}"
