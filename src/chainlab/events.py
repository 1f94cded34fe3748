"""The event log: CloudEvents with CDEvents-style types, chained by hash, in SQLite.

Each event's hash covers the hash before it, so removing, changing or reordering an event breaks the chain. The chain
alone does not show that the newest events are missing; a monitor that remembers a ``(sequence, hash)`` pair sees it.

    hash(n) = SHA-256( hash(n-1) || RFC 8785 of the envelope )     with hash(0) = 32 zero bytes

Envelope: CloudEvents 1.0 (``specversion, id, source, type, subject, time, data``) plus the
extension ``scenariotime``, the time of a drill. While a scenario clock is set (`Events.set_scenario_time`), every event
that any service appends gets it. Types are ``dev.chainlab.<subject>.<predicate>`` after the CDEvents pattern;
`chainlab.event_types` lists them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, SupportsIndex, overload

import rfc8785

from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.display import Display, Shown
from chainlab.errors import MalformedInput, VerificationFailed

__all__ = ["PREFIX", "Event", "EventList", "Events"]

PREFIX = "dev.chainlab."  # of every type

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY,   -- 1, 2, 3, … without gaps
    type     TEXT NOT NULL,
    envelope BLOB NOT NULL,         -- RFC 8785
    hash     BLOB NOT NULL          -- 32 bytes
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_type ON events (type, sequence);
CREATE TABLE IF NOT EXISTS scenario_clock (  -- one row while a drill goes on
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    time TEXT NOT NULL               -- RFC 3339
) STRICT;
"""
GENESIS = bytes(32)


@dataclass(frozen=True)
class Event:
    """One event as it was stored."""

    sequence: int
    type: str
    source: str
    subject: str
    time: str  # RFC 3339, real time
    data: Mapping[str, Any]
    scenario_time: str | None = None  # RFC 3339, the drill's clock

    @property
    def id(self) -> str:
        """CloudEvents ``id``: unique with ``source``."""
        return str(self.sequence)

    def is_of(self, type: str) -> bool:
        """Whether the event has this type or a type below it, with or without `PREFIX`; "" matches every event."""
        full = PREFIX + type.removeprefix(PREFIX)
        return not type or self.type == full or self.type.startswith(f"{full}.")

    def envelope(self) -> dict[str, Any]:
        """Return the CloudEvents 1.0 JSON object."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "data": dict(self.data),
        }
        if self.scenario_time is not None:
            envelope["scenariotime"] = self.scenario_time
        return envelope

    @classmethod
    def from_envelope(cls, envelope: Mapping[str, Any]) -> Event:
        """Read an event from what `envelope` returned."""
        return cls(
            int(envelope["id"]),
            envelope["type"],
            envelope["source"],
            envelope["subject"],
            envelope["time"],
            envelope["data"],
            envelope.get("scenariotime"),
        )


class EventList(Shown, list[Event]):
    """Events in order; a slice of the list is an `EventList`, too."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> Event: ...

    @overload
    def __getitem__(self, at: slice) -> EventList: ...

    def __getitem__(self, at: SupportsIndex | slice) -> Event | EventList:
        item = super().__getitem__(at)
        return EventList(item) if isinstance(item, list) else item

    def _display(self) -> Display:
        """Show each event's type, subject and service; repeated events are counted."""
        events = [(event.type.removeprefix(PREFIX), event.subject, event.source) for event in self]
        counts = [(row, sum(1 for _ in same)) for row, same in groupby(events)]
        rows = [(*row, f"{count} times" if count > 1 else "") for row, count in counts]
        return Display(f"{len(self)} event{'s' * (len(self) != 1)}", ("event", "about", "reported by", ""), rows)


class Events:
    """The event log of one state directory; other processes may append to it at the same time."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Clock = utc_now) -> None:
        self._connection = connection
        self._clock = clock
        connection.executescript(SCHEMA)

    @property
    def scenario_time(self) -> str | None:
        """The time of the drill that goes on, RFC 3339; None outside a drill."""
        row = self._connection.execute("SELECT time FROM scenario_clock").fetchone()
        return row[0] if row else None

    def set_scenario_time(self, moment: datetime | None) -> None:
        """Set the scenario clock of every service of this state directory; None ends the drill.

        Raises `MalformedInput` for a moment without a time zone.
        """
        if moment is None:
            self._connection.execute("DELETE FROM scenario_clock")
            return
        if moment.tzinfo is None:
            raise MalformedInput("a scenario's time needs a time zone", hint="datetime(2026, 5, 8, 2, 0, tzinfo=UTC)")
        self._connection.execute("INSERT OR REPLACE INTO scenario_clock VALUES (1, ?)", (rfc3339(moment),))

    def append(
        self,
        type: str,
        *,
        source: str,
        subject: str,
        data: Mapping[str, Any],
        scenario_time: str | None = None,
    ) -> Event:
        """Append an event; call it in the `database.transaction` that makes the reported change.

        Its scenario time is the scenario clock's, unless given.
        """
        scenario_time = scenario_time or self.scenario_time
        row = self._connection.execute("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
        last, previous = row or (0, GENESIS)
        event = Event(last + 1, type, source, subject, rfc3339(self._clock()), data, scenario_time)
        envelope = rfc8785.dumps(event.envelope())
        self._connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            (event.sequence, type, envelope, _link(previous, envelope)),
        )
        return event

    def read(self, type: str | None = None, *, after: int = 0) -> Iterator[Event]:
        """Read the events with a sequence above ``after``, of one type or all, in order."""
        rows = self._connection.execute(
            "SELECT envelope FROM events WHERE sequence > ? AND (? IS NULL OR type = ?) ORDER BY sequence",
            (after, type, type),
        )
        for (envelope,) in rows:
            yield Event.from_envelope(json.loads(envelope))

    @property
    def last(self) -> int:
        """The sequence of the newest event; 0 without events."""
        row = self._connection.execute("SELECT max(sequence) FROM events").fetchone()
        return row[0] or 0

    def hash_of(self, sequence: int) -> bytes | None:
        """Return an event's hash, 32 bytes; None when there is no such event."""
        row = self._connection.execute("SELECT hash FROM events WHERE sequence = ?", (sequence,)).fetchone()
        return row[0] if row else None

    def verify(self) -> tuple[int, bytes]:
        """Check the whole chain; returns its length and last hash (32 bytes).

        Raises `VerificationFailed` naming the first event that does not fit.
        """
        previous, count = GENESIS, 0
        for sequence, type_, envelope, stored in self._connection.execute(
            "SELECT sequence, type, envelope, hash FROM events ORDER BY sequence"
        ):
            count += 1
            expected = _link(previous, envelope)
            if (sequence, stored) != (count, expected) or not _describes(envelope, count, type_):
                raise VerificationFailed(
                    f"event {count} does not fit the chain",
                    why="this event or an earlier one was removed, changed or reordered",
                    hint="compare with a copy kept elsewhere; do not repair the chain in place",
                )
            previous = expected
        return count, previous


def _describes(envelope: bytes, sequence: int, type: str) -> bool:
    """Whether the envelope has this sequence and type, which the row's columns copy for the index."""
    try:
        fields = json.loads(envelope)
        return (fields["id"], fields["type"]) == (str(sequence), type)
    except (ValueError, KeyError, TypeError):
        return False


def _link(previous: bytes, envelope: bytes) -> bytes:
    return hashlib.sha256(previous + envelope).digest()
