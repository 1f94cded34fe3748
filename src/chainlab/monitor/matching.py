"""Matches: what detections find in events.

A rule about one event matches it once. A correlation's windows slide, so ten events above a threshold of two fill nine
windows; windows that share an event are one match, for one burst is one thing to look at.

Each rule has a bounded time. One that takes longer, or fails, is in `Matches.failed` with the reason, and the others
go on: an alert that a rule did not run is the monitor's to raise.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from chainlab.display import Display, Fresh, Shown
from chainlab.events import Event
from chainlab.monitor.detections import Detection
from chainlab.monitor.event_table import TABLE, build_event_table, select_events

__all__ = ["Match", "Matches", "find_matches"]

MAX_SEQUENCE: Final = 2**63
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
    with the same subject. ``seconds`` bounds each rule's processor time, so that a busy machine switches none off.
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


@contextmanager
def _bounded(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Interrupt a statement that takes longer than some seconds of this thread's processor time."""
    end = time.thread_time() + seconds
    connection.set_progress_handler(lambda: time.thread_time() > end, STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def _find_events(connection: sqlite3.Connection, detection: Detection, after: int) -> Iterator[Match]:
    query = f"SELECT sequence, subject, timestamp FROM ({detection.sql}) WHERE sequence > ?"  # noqa: S608
    for sequence, subject, timestamp in connection.execute(query, (after,)):
        yield Match(detection.name, subject, timestamp, (sequence,))


def _find_bursts(connection: sqlite3.Connection, detection: Detection, after: int) -> Iterator[Match]:
    """Join the windows of each group that share an event, and give the events of each burst."""
    (first_new,) = connection.execute(f"SELECT min(instant) FROM {TABLE} WHERE sequence > ?", (after,)).fetchone()  # noqa: S608
    if first_new is None:
        return
    select_events(connection, detection.types, since=first_new - detection.window_s - 1)
    windows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    events: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for groups, start, end, event in connection.execute(detection.sql):
        if event is None:
            windows[groups].append((end, start))
        else:
            events[groups].append((end, int(event.rpartition(":")[2])))
    for groups, of_group in windows.items():
        in_order = sorted(set(events[groups]))
        for first_end, start, last_end in _bursts(sorted(of_group)):
            low, high = bisect_left(in_order, (start, 0)), bisect_left(in_order, (last_end, MAX_SEQUENCE))
            sequences = tuple(sorted({sequence for _, sequence in in_order[low:high]}))
            completing = in_order[bisect_left(in_order, (first_end, 0))][1]
            if sequences[-1] > after:
                yield _match(connection, detection, sequences, completing)


def _bursts(windows: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Join overlapping windows, (end, start) in order; yields the first end, the start and the last end of each burst.

    A window ends with an event, so windows that overlap share one.
    """
    burst: tuple[float, float, float] | None = None
    for end, start in windows:
        if burst is not None and start <= burst[2]:
            burst = (burst[0], min(start, burst[1]), end)
            continue
        if burst is not None:
            yield burst
        burst = (end, start, end)
    if burst is not None:
        yield burst


def _match(connection: sqlite3.Connection, detection: Detection, sequences: tuple[int, ...], completing: int) -> Match:
    columns = ", ".join(f'"{group}"' for group in detection.groups) or "subject"
    values = connection.execute(f"SELECT {columns} FROM {TABLE} WHERE sequence = ?", (sequences[0],)).fetchone()  # noqa: S608
    (timestamp,) = connection.execute(f"SELECT timestamp FROM {TABLE} WHERE sequence = ?", (completing,)).fetchone()  # noqa: S608
    return Match(detection.name, " ".join(str(value) for value in values), timestamp, sequences)
