"""Readers: one shape for logs that speak differently.

A log is one or more trees: Rekor v1 closes a tree (a shard) and goes on in the next one, under one address; a Rekor v2
shard and a CT log are one tree each. A reader fetches, and proves nothing: `watching` checks each answer against a
signed checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chainlab.monitor.logwatch.checkpoints import Checkpoint
from chainlab.trust.merkle import Frontier

__all__ = ["Leaf", "LogReader", "LogTree"]


@dataclass(frozen=True)
class LogTree:
    """One tree of a log, as its newest checkpoint states it."""

    head: Checkpoint
    offset: int = 0  # index of its first entry in the whole log


@dataclass(frozen=True)
class Leaf:
    """One entry as the log hashes it."""

    index: int  # in its tree
    data: bytes


class LogReader(Protocol):
    """Reads one log."""

    batch: int  # entries between two proofs

    def trees(self) -> Sequence[LogTree]:
        """Return the log's trees, oldest first; each head's signature holds."""

    def prove(self, tree: LogTree, first: int, second: int) -> Sequence[bytes]:
        """Ask for the proof that ``first`` entries of a tree are the beginning of ``second``."""

    def frontier(self, tree: LogTree, size: int) -> Frontier:
        """Ask for the right edge of the first ``size`` entries of a tree."""

    def leaves(self, tree: LogTree, start: int, stop: int) -> Iterator[Leaf]:
        """Read the entries from ``start`` to ``stop`` (exclusive), each of them, in order."""

    def close(self) -> None:
        """Close the connection."""
