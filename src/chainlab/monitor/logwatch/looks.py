"""Looks: what one look at the trees of a log showed, and the entries whose signers are watched.

>>> Looks([Look("log.example", size=7, before=5, entries=2, consistent=True)])
✓ nothing wrong · a look at 1 tree
log          entries  seen before  read  tree
log.example  7        5            2     ✓ consistent
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chainlab.display import Cell, Display, Mark, Shown
from chainlab.monitor.logwatch.checkpoints import Checkpoint
from chainlab.monitor.logwatch.watch_list import Signer
from chainlab.monitor.logwatch.watch_state import Contradiction

__all__ = ["Look", "Looks", "Sighting"]

NAMELESS = "(no name)"  # a certificate whose subject is of another kind than an email address or a URI


@dataclass(frozen=True)
class Sighting:
    """An entry whose signer is watched."""

    log: str  # the tree's origin
    index: int
    signer: Signer
    expected: bool

    @property
    def name(self) -> str:
        """The signer's name in the certificate."""
        return self.signer["identity"] or NAMELESS

    def data(self) -> dict[str, Any]:
        """Return the fields of the event ``log.identity``."""
        return {
            "log": self.log,
            "index": self.index,
            "issuer": self.signer.get("issuer"),
            "workflow": self.signer.get("build_config_uri"),
            "commit": self.signer.get("source_repository_digest"),
            "expected": self.expected,
        }


@dataclass
class Look:
    """What one look at a tree showed."""

    origin: str
    size: int | None = None
    before: int | None = None  # size at the look before; None when there was none
    entries: int = 0  # read this time
    skipped: int = 0  # never read, or read and of a kind that is not understood
    consistent: bool | None = None
    split: bool | None = None
    answered: bool = True
    why: str = ""
    head: Checkpoint | None = None
    pair: tuple[Checkpoint, Checkpoint] | None = None  # two signed checkpoints that contradict each other
    kept: list[Contradiction] = field(default_factory=list)  # of this look and of earlier ones
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def status(self) -> int:
        """0 nothing is wrong, 1 a contradiction or an unexpected signer, 3 unknown."""
        if self.consistent is False or self.split or any(not each.expected for each in self.sightings):
            return 1
        return 0 if self.answered else 3

    def summary(self) -> str:
        """Say in one line what the look showed."""
        earlier = f"; {len(self.kept)} earlier contradiction(s) kept" if self.kept and self.pair is None else ""
        return self._now() + earlier

    def _now(self) -> str:
        if not self.answered:
            return f"UNKNOWN: {self.why}"
        if self.consistent is False or self.split:
            return f"{_entries(self.size)}, CONTRADICTION: {self.why}"
        parts = [_entries(self.size)]
        if self.before is None:
            parts.append("first look: nothing to compare with yet")
        elif self.before == self.size:
            parts.append("unchanged")
        else:
            parts.append(f"consistent with the {self.before} seen before")
        if self.split is False:
            parts.append("the witness saw the same tree")
        parts.append(f"{self.entries} read")
        if self.skipped:
            parts.append(f"{self.skipped} never read")
        return ", ".join(parts) + (f" ({self.why})" if self.why else "")

    def data(self) -> dict[str, Any]:
        """Return the fields of the event ``log.watched``."""
        names = ("size", "entries", "skipped", "consistent", "split", "answered")
        return {name: getattr(self, name) for name in names} | {"why": self.why or None}


class Looks(Shown, list[Look]):
    """The looks at each tree of some logs."""

    @property
    def sightings(self) -> list[Sighting]:
        """The entries of watched signers that were read."""
        return [sighting for look in self for sighting in look.sightings]

    def _display(self) -> Display:
        """Show a row for each tree, then one for each watched signer."""
        rows: list[tuple[Cell, ...]] = []
        for look in self:
            counts = ["" if count is None else str(count) for count in (look.size, look.before)]
            rows.append((look.origin, *counts, str(look.entries), str(look.skipped or ""), _tree(look), look.why))
            for each in look.sightings:
                mark = Mark("passed", "expected") if each.expected else Mark("failed", "unexpected")
                rows.append((f"  entry {each.index}", "", "", "", "", mark, each.name))
        statuses = {look.status for look in self}
        result = Mark("passed", "nothing wrong")
        if 1 in statuses:
            result = Mark("failed", "something is wrong")
        elif 3 in statuses:
            result = Mark("skipped", "unknown")
        columns = ("log", "entries", "seen before", "read", "never read", "tree", "")
        return Display(f"a look at {len(self)} tree{'s' * (len(self) != 1)}", columns, rows, result)


def _tree(look: Look) -> Mark:
    if not look.answered:
        return Mark("skipped", "no answer")
    if look.split:
        return Mark("failed", "two faces")
    if look.consistent is False:
        return Mark("failed", "contradiction")
    if look.before is None:
        return Mark("skipped", "first look")
    return Mark("passed", "consistent, and the witness's" if look.split is False else "consistent")


def _entries(count: int | None) -> str:
    return "no size" if count is None else "1 entry" if count == 1 else f"{count} entries"
