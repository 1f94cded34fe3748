"""The monitor's memory of the event log: the newest event that it saw, by number and hash.

    memory.rewritten()                 # what differs from what was seen; "" when nothing does
    memory.broken()                    # the first event that does not fit the chain
    memory.remember(120)               # every event up to number 120 was seen

The log's chain shows an event that was removed or changed in its middle. That the newest events were taken away, or all
of it was computed anew, shows only to somebody who remembers an earlier end.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from chainlab.database import SqliteStore, connect
from chainlab.errors import VerificationFailed
from chainlab.events import Events

__all__ = ["EventMemory"]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen_event (  -- one row
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    hash     BLOB NOT NULL           -- 32 bytes
) STRICT;
"""


class EventMemory(SqliteStore):
    """What a monitor remembers of one event log."""

    def __init__(self, database: Path, events_path: Path) -> None:
        self._events = events_path
        super().__init__(database, SCHEMA)

    def rewritten(self) -> str:
        """Return how the log differs from what was seen; empty when it only grew."""
        rows = self._rows("SELECT sequence, hash FROM seen_event")
        if not rows:
            return ""
        sequence, seen = rows[0]
        with closing(connect(self._events)) as connection:
            now = Events(connection).hash_of(sequence)
        if now is None:
            return f"event {sequence}, which the monitor saw, is gone, and so may be others"
        return "" if now == seen else f"event {sequence} is not the one that the monitor saw: the log was written anew"

    def broken(self) -> str:
        """Check the whole chain; return the first event that does not fit, empty when all do."""
        with closing(connect(self._events)) as connection:
            try:
                Events(connection).verify()
            except VerificationFailed as error:
                return error.message
        return ""

    def remember(self, sequence: int) -> None:
        """Remember an event as the newest that was seen."""
        with closing(connect(self._events)) as connection:
            seen = Events(connection).hash_of(sequence)
        if seen is not None:
            with self._transaction():
                self._connection.execute("INSERT OR REPLACE INTO seen_event VALUES (1, ?, ?)", (sequence, seen))
