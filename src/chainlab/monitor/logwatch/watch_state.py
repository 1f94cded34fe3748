"""What the monitor remembers of each log, on disk: the newest checkpoint that it accepted, and how far it read.

A row is written in one transaction after each proof, so a monitor that is killed goes on where its last proof was.
Entries between that and its end are read again: an identity may be reported twice, and is never left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chainlab.clock import rfc3339, utc_now
from chainlab.database import SqliteStore
from chainlab.digests import SHA256_SIZE
from chainlab.monitor.logwatch.checkpoints import Checkpoint
from chainlab.trust.merkle import Frontier

__all__ = ["Contradiction", "Remembered", "WatchState"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS watched_trees (
    log      TEXT,               -- which log, and by which key
    origin   TEXT,               -- which of its trees
    size     INTEGER NOT NULL,   -- the newest checkpoint accepted
    root     BLOB NOT NULL,
    head     TEXT NOT NULL,      -- that checkpoint as it was signed
    start    INTEGER NOT NULL,   -- entries before this one were never read
    frontier BLOB NOT NULL,      -- of the entries read: 32 bytes a hash
    position INTEGER NOT NULL,   -- the next entry to read
    PRIMARY KEY (log, origin)
) STRICT;
CREATE TABLE IF NOT EXISTS contradictions (  -- pairs that no proof connects
    log TEXT, origin TEXT, accepted_root BLOB, presented_root BLOB,
    accepted TEXT NOT NULL, presented TEXT NOT NULL, why TEXT NOT NULL, time TEXT NOT NULL,
    PRIMARY KEY (log, origin, accepted_root, presented_root)
) STRICT;
"""
MAX_CONTRADICTIONS = 100  # kept for one log


@dataclass(frozen=True)
class Remembered:
    """What is known of one tree."""

    head: Checkpoint  # the newest one accepted
    start: int
    frontier: Frontier  # its size is the next entry to read


@dataclass(frozen=True)
class Contradiction:
    """Two checkpoints, as they were signed, that no proof connects."""

    accepted: str
    presented: str
    why: str
    time: str  # of the look, RFC 3339


class WatchState(SqliteStore):
    """The memory of the log monitor; several processes may have it open."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(path, SCHEMA)

    def trees(self, log: str) -> dict[str, Remembered]:
        """Return what is remembered of each tree of a log, by its origin."""
        rows = self._rows(
            "SELECT origin, size, root, head, start, frontier, position FROM watched_trees WHERE log = ?", (log,)
        )
        return {
            origin: Remembered(
                Checkpoint(origin, size, root, head),
                start,
                Frontier(position, [frontier[at : at + SHA256_SIZE] for at in range(0, len(frontier), SHA256_SIZE)]),
            )
            for origin, size, root, head, start, frontier, position in rows
        }

    def remember(self, log: str, tree: Remembered) -> None:
        """Replace what is remembered of a tree."""
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO watched_trees VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(log, tree.head.origin, tree.head.size, tree.head.root, tree.head.text, tree.start),
                    *(b"".join(tree.frontier.hashes), tree.frontier.size),
                ),
            )

    def keep_contradiction(self, log: str, accepted: Checkpoint, presented: Checkpoint, why: str) -> None:
        """Keep two signed checkpoints that contradict each other, once."""
        with self._transaction():
            (count,) = self._connection.execute("SELECT count(*) FROM contradictions WHERE log = ?", (log,)).fetchone()
            if count < MAX_CONTRADICTIONS:
                self._connection.execute(
                    "INSERT OR IGNORE INTO contradictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(log, accepted.origin, accepted.root, presented.root),
                        *(accepted.text, presented.text, why, rfc3339(utc_now())),
                    ),
                )

    def contradictions(self, log: str, origin: str) -> list[Contradiction]:
        """Return the pairs kept of a tree, oldest first."""
        query = "SELECT accepted, presented, why, time FROM contradictions WHERE log = ? AND origin = ? ORDER BY time"
        return [Contradiction(*row) for row in self._rows(query, (log, origin))]
