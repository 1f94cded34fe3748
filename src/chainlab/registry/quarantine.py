"""Quarantine: the digests that are held back, with reason and time.

The registry keeps what is in quarantine, and no protocol hands it out. Quarantine is about digests, not names: a whole
project of the package index is quarantined by its status (PEP 792).

Each change is committed together with its event, and the history is kept.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainlab.database import Tables
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events

__all__ = ["Held", "Quarantine"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS quarantine (
    id       INTEGER PRIMARY KEY,
    digest   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    REAL NOT NULL,   -- seconds since 1970
    held_by  TEXT NOT NULL,
    released REAL,            -- seconds since 1970; NULL = still held back
    released_by TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS quarantine_now ON quarantine (digest) WHERE released IS NULL;
CREATE INDEX IF NOT EXISTS quarantine_by_digest ON quarantine (digest);
"""
MAX_REASON = 1000  # characters


@dataclass(frozen=True)
class Held:
    """One stay in quarantine."""

    digest: Digest
    reason: str
    since: float  # seconds since 1970
    by: str
    released: float | None  # seconds since 1970


class Quarantine(Tables):
    """The quarantine of one registry; safe to call from several threads.

    ``counted`` returns whether a recorded verdict rests on a digest.
    """

    def __init__(
        self, connection: sqlite3.Connection, events: Events, *, counted: Callable[[Digest], bool] = lambda _: False
    ) -> None:
        self._events = events
        self._counted = counted
        super().__init__(connection, SCHEMA)

    def reason(self, digest: Digest) -> str | None:
        """Return why a digest is held back, or None."""
        with self._guard:
            row = self._connection.execute(
                "SELECT reason FROM quarantine WHERE digest = ? AND released IS NULL",
                (str(digest),),
            ).fetchone()
        return row[0] if row else None

    def hold(self, digest: Digest, reason: str, *, by: str) -> None:
        """Hold a digest back. Raises `Refused` (409) when it is already held back."""
        if not reason.strip() or len(reason) > MAX_REASON:
            raise MalformedInput(f"expected a reason for the quarantine, of at most {MAX_REASON} characters")
        counted = self._counted(digest)
        with self._transaction():
            if self.reason(digest) is not None:
                raise Refused(409, f"{digest} is already in quarantine")
            self._connection.execute(
                "INSERT INTO quarantine (digest, reason, since, held_by) VALUES (?, ?, ?, ?)",
                (str(digest), reason, time.time(), by),
            )
            self._report("quarantined", digest, {"reason": reason, "counted": counted, "by": by})

    def release(self, digest: Digest, *, by: str) -> None:
        """Release a digest from quarantine. Raises `Refused` (404) when it is not held back."""
        with self._transaction():
            released = self._connection.execute(
                "UPDATE quarantine SET released = ?, released_by = ? WHERE digest = ? AND released IS NULL",
                (time.time(), by, str(digest)),
            ).rowcount
            if not released:
                raise Refused(404, f"{digest} is not in quarantine")
            self._report("released", digest, {"by": by})

    def history(self, digest: Digest | None = None) -> list[Held]:
        """List every stay in quarantine, of one digest or of all (None), oldest first."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT digest, reason, since, held_by, released FROM quarantine"
                " WHERE ? IS NULL OR digest = ? ORDER BY id",
                (None if digest is None else str(digest),) * 2,
            ).fetchall()
        return [Held(Digest.parse(row[0]), *row[1:]) for row in rows]

    def _report(self, kind: str, digest: Digest, data: Mapping[str, object]) -> None:
        self._events.append(f"dev.chainlab.artifact.{kind}", source="/registry", subject=str(digest), data=data)
