"""What happened: CloudEvents with CDEvents-style types, chained by hash, in SQLite.

Each event's hash covers the hash before it, so that a removed, changed or reordered event breaks
the chain. Losing the newest events cannot be seen from the chain alone; a monitor that remembers
a ``(sequence, hash)`` pair sees it.

    hash(n) = SHA-256( hash(n-1) || RFC 8785 of the envelope )     with hash(0) = 32 zero bytes

Envelope: CloudEvents 1.0 (``specversion, id, source, type, subject, time, data``) plus the
extension ``scenariotime``, which only drills set. Types are ``dev.chainlab.<subject>.<predicate>``
after the CDEvents pattern.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, SupportsIndex, overload

import rfc8785

from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.display import Display, Shown
from chainlab.errors import VerificationFailed

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
        """Whether this is its type or one above it, with or without `PREFIX`; every event is of the type ""."""
        wanted = PREFIX + type.removeprefix(PREFIX)
        return not type or self.type == wanted or self.type.startswith(f"{wanted}.")

    def envelope(self) -> dict[str, Any]:
        """The CloudEvents 1.0 JSON object."""
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
        """The inverse of `envelope`."""
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
    """Events in order; a slice of them is a list of events, too."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> Event: ...

    @overload
    def __getitem__(self, at: slice) -> EventList: ...

    def __getitem__(self, at: SupportsIndex | slice) -> Event | EventList:
        found = super().__getitem__(at)
        return EventList(found) if isinstance(found, list) else found

    def _display(self) -> Display:
        """What happened to what, and which service says so; repeated ones are counted."""
        told = [(event.type.removeprefix(PREFIX), event.subject, event.source) for event in self]
        times = [(row, sum(1 for _ in same)) for row, same in groupby(told)]
        rows = [(*row, f"{count} times" if count > 1 else "") for row, count in times]
        return Display(f"{len(self)} event{'s' * (len(self) != 1)}", ("event", "about", "reported by", ""), rows)


class Events:
    """The chain of one state directory; safe beside other processes that append to it."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Clock = utc_now) -> None:
        self._connection = connection
        self._clock = clock
        connection.executescript(SCHEMA)

    def append(
        self,
        type: str,
        *,
        source: str,
        subject: str,
        data: Mapping[str, Any],
        scenario_time: str | None = None,
    ) -> Event:
        """Add an event; call it inside a `database.transaction`, with what it reports."""
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
        """Events in order, of one type or all, with a sequence above ``after``."""
        rows = self._connection.execute(
            "SELECT envelope FROM events WHERE sequence > ? AND (? IS NULL OR type = ?) ORDER BY sequence",
            (after, type, type),
        )
        for (envelope,) in rows:
            yield Event.from_envelope(json.loads(envelope))

    @property
    def last(self) -> int:
        """Sequence of the newest event; 0 before the first."""
        row = self._connection.execute("SELECT max(sequence) FROM events").fetchone()
        return row[0] or 0

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
            if (sequence, stored) != (count, expected) or not _says(envelope, count, type_):
                raise VerificationFailed(
                    f"event {count} does not fit the chain",
                    why="an event before it was removed, changed or reordered, or this one was",
                    hint="compare with a copy kept elsewhere; do not repair the chain in place",
                )
            previous = expected
        return count, previous


def _says(envelope: bytes, sequence: int, type: str) -> bool:
    """Whether the envelope is of this event; its columns are only copies for the index."""
    try:
        fields = json.loads(envelope)
        return (fields["id"], fields["type"]) == (str(sequence), type)
    except (ValueError, KeyError, TypeError):
        return False


def _link(previous: bytes, envelope: bytes) -> bytes:
    return hashlib.sha256(previous + envelope).digest()
