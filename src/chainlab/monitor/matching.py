"""Matches: what detections find in events.

A rule about one event matches it once. A correlation's windows slide, so ten events above a threshold of two fill nine
windows; windows that share an event are one match, for one burst is one thing to look at.

Each rule has a bounded time. One that takes longer, or fails, is in `Matches.failed` with the reason, and the others
go on: an alert that a rule did not run is the monitor's to raise.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from chainlab.display import Display, Fresh, Shown
from chainlab.events import Event
from chainlab.monitor.detections import Detection
from chainlab.monitor.event_table import TABLE, build_event_table, select_events

__all__ = ["Match", "Matches", "find_matches"]

STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock


@dataclass(frozen=True)
class Match:
    """What a rule found: one event, or the events of one burst.

    ``subject`` is the event's; of a burst, the values that its rule groups by. ``timestamp`` is that of the event that
    completed it first (scenario time where there is one).
    """

    rule: str
    subject: str
    timestamp: str  # RFC 3339
    sequences: tuple[int, ...]  # ascending


class Matches(Shown, list[Match]):
    """The matches in order of their first event, and the rules that could not be asked, with the reason."""

    def __init__(self, matches: Iterable[Match] = (), failed: dict[str, str] | None = None) -> None:
        super().__init__(matches)
        self.failed = failed or {}

    def _display(self) -> Display:
        rows = [(m.rule, m.subject, Fresh(m.timestamp), str(len(m.sequences))) for m in self]
        rows += [(rule, f"not asked: {why}", Fresh(""), "") for rule, why in self.failed.items()]
        return Display(f"{len(self)} match{'es' * (len(self) != 1)}", ("rule", "about", "time", "events"), rows)


def find_matches(
    detections: Iterable[Detection], events: Iterable[Event], *, after: int = 0, seconds: float = 5.0
) -> Matches:
    """Ask each rule about events, which come in the order of their sequence.

    With ``after``, a match needs an event with a higher sequence. Pass the events of the longest window before it as
    well (`Detections.window_s`), so that correlations see how a burst began; a burst that goes on is a match again,
    with the same subject. ``seconds`` bounds the time of each rule.
    """
    found = Matches()
    with closing(build_event_table(events)) as connection:
        connection.execute("PRAGMA temp_store = MEMORY")
        for detection in detections:
            try:
                with _bounded(connection, seconds):
                    look = _find_bursts if detection.window_s else _find_events
                    found.extend(look(connection, detection, after))
            except sqlite3.Error as error:
                slow = isinstance(error, sqlite3.OperationalError) and "interrupted" in str(error)
                found.failed[detection.name] = f"it took longer than {seconds:g} s" if slow else str(error)
    found.sort(key=lambda match: (match.sequences, match.rule))
    return found


class _bounded:  # noqa: N801
    """Interrupt a statement that takes longer than some seconds."""

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds

    def __enter__(self) -> None:
        end = time.monotonic() + self._seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)

    def __exit__(self, *_: object) -> None:
        self._connection.set_progress_handler(None, 0)


def _find_events(connection: sqlite3.Connection, detection: Detection, after: int) -> Iterator[Match]:
    query = f"SELECT sequence, subject, timestamp FROM ({detection.sql}) WHERE sequence > ?"  # noqa: S608
    for sequence, subject, timestamp in connection.execute(query, (after,)):
        yield Match(detection.name, subject, timestamp, (sequence,))


def _find_bursts(connection: sqlite3.Connection, detection: Detection, after: int) -> Iterator[Match]:
    """Join the windows of each group that share events."""
    (first_new,) = connection.execute(f"SELECT min(instant) FROM {TABLE} WHERE sequence > ?", (after,)).fetchone()  # noqa: S608
    if first_new is None:
        return
    select_events(connection, detection.types, since=first_new - detection.window_s - 1)
    bursts: dict[str, list[_Burst]] = defaultdict(list)
    cursor = connection.execute(f"SELECT group_keys, window_end, event_ids FROM ({detection.sql})")  # noqa: S608
    for groups, end, ids in sorted(cursor):
        sequences = {int(id_.partition(":")[2]) for id_ in json.loads(ids)}
        of_group = bursts[groups]
        if of_group and not of_group[-1].sequences.isdisjoint(sequences):
            of_group[-1].sequences |= sequences
        else:
            of_group.append(_Burst(end, sequences))
    for burst in (burst for of_group in bursts.values() for burst in of_group):
        if max(burst.sequences) > after:
            yield _match(connection, detection, burst)


@dataclass
class _Burst:
    """Events of one group, and the end of the first window that they filled."""

    end: float
    sequences: set[int]


def _match(connection: sqlite3.Connection, detection: Detection, burst: _Burst) -> Match:
    sequences = tuple(sorted(burst.sequences))
    columns = ", ".join(f'"{group}"' for group in detection.groups) or "subject"
    values = connection.execute(f"SELECT {columns} FROM {TABLE} WHERE sequence = ?", (sequences[0],)).fetchone()  # noqa: S608
    (timestamp,) = connection.execute(
        f"SELECT timestamp FROM {TABLE} WHERE sequence >= ? AND sequence <= ? AND instant <= ? "  # noqa: S608
        "ORDER BY instant DESC LIMIT 1",
        (sequences[0], sequences[-1], burst.end),
    ).fetchone()
    return Match(detection.name, " ".join(str(value) for value in values), timestamp, sequences)
