"""Numbers from events: what `/metrics` counts, kept up to date from one reading to the next.

totals = EventTotals(workspace.trust / "state.db")
totals.read()                      # takes in the events since the last call
totals.verdicts["false"]           # how many verdicts refused a release
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any, Final

from chainlab.database import connect
from chainlab.events import PREFIX, Event, Events

__all__ = ["BUCKETS", "EventTotals"]

BUCKETS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)  # seconds, upper bounds; a verdict may take 30
WHEEL: Final = ".whl"


class EventTotals:
    """Totals over every event of one state directory, each event read once."""

    def __init__(self, database_path: Path) -> None:
        self._database = database_path
        self._waiting: dict[str, float] = {}  # digest of a published wheel that was not inspected → when it came
        self._inspected: set[str] = set()
        self._read: dict[str, Callable[[Event], None]] = {
            "artifact.inspected": self._inspect,
            "artifact.published": self._publish,
            "gate.answered": self._answer,
            "gate.failed": self._fail,
            "log.watched": self._watch,
            "monitor.heartbeat": self._beat,
            "service.deployed": self._deploy,
            "service.removed": self._remove,
            "service.reverified": self._reverify,
            "service.rolledback": self._deploy,
        }
        self.last = 0  # sequence of the newest event
        self.types: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter({"true": 0, "false": 0})  # allowed?
        self.refusals: Counter[str] = Counter()  # by rule
        self.failures = 0
        self.verdict_buckets = [0] * (len(BUCKETS) + 1)
        self.verdict_seconds = 0.0
        self.answered: dict[str, bool] = {}  # part → whether it answered the last time
        self.answers: dict[str, float] = {}  # part → when it answered last, seconds since 1970
        self.log_looks: dict[str, float] = {}  # log's origin → when the log monitor saw it last
        self.log_sizes: dict[str, int] = {}
        self.skipped: Counter[str] = Counter()  # log's origin → entries that the log monitor did not read
        self.service: dict[
            str, Any
        ] = {}  # what runs: reference, verified, and when that was checked, seconds since 1970

    @property
    def waiting(self) -> list[float]:
        """List when each published wheel came that was not inspected yet, seconds since 1970."""
        return sorted(self._waiting.values())

    def read(self) -> None:
        """Take in the events since the last call. Raises `Unavailable` when the log cannot be read."""
        with closing(connect(self._database)) as connection:
            events = Events(connection)
            connection.execute("BEGIN")  # every query below sees the same events
            try:
                last = events.last
                counts = connection.execute("SELECT type, count(*) FROM events GROUP BY type").fetchall()
                self.types = Counter({type_.removeprefix(PREFIX): number for type_, number in counts})
                for event in merge(*(events.read(PREFIX + t, after=self.last) for t in self._read), key=_sequence):
                    self._read[event.type.removeprefix(PREFIX)](event)
                self.last = last
            finally:
                connection.execute("ROLLBACK")

    def _publish(self, event: Event) -> None:
        if str(event.data.get("file") or "").endswith(WHEEL) and event.subject not in self._inspected:
            self._waiting.setdefault(event.subject, _time(event))

    def _inspect(self, event: Event) -> None:
        self._inspected.add(event.subject)
        self._waiting.pop(event.subject, None)

    def _answer(self, event: Event) -> None:
        self.verdicts["true" if event.data.get("allowed") else "false"] += 1
        for rule in event.data.get("refused") or ():
            self.refusals[str(rule)] += 1
        seconds = event.data.get("seconds")
        if isinstance(seconds, int | float):
            self.verdict_buckets[bisect_left(BUCKETS, seconds)] += 1
            self.verdict_seconds += seconds

    def _fail(self, event: Event) -> None:
        self.failures += 1

    def _beat(self, event: Event) -> None:
        self.answered[event.subject] = bool(event.data.get("answered"))
        if self.answered[event.subject]:
            self.answers[event.subject] = _time(event)

    def _watch(self, event: Event) -> None:
        if not event.data.get("answered", True):
            return
        self.log_looks[event.subject] = _time(event)
        self.log_sizes[event.subject] = int(event.data.get("size") or 0)
        self.skipped[event.subject] += int(event.data.get("skipped") or 0)

    def _deploy(self, event: Event) -> None:
        now = _time(event)
        reference = str(event.data.get("reference", event.subject))
        self.service = {"reference": reference, "verified": True, "checked": now}

    def _remove(self, event: Event) -> None:
        self.service = {}

    def _reverify(self, event: Event) -> None:
        if event.data.get("cause") == "unreachable":  # nothing is known: the last check grows old
            return
        if self.service and event.data.get("reference", event.subject) == self.service["reference"]:
            self.service |= {"verified": bool(event.data.get("verified")), "checked": _time(event)}


def _sequence(event: Event) -> int:
    return event.sequence


def _time(event: Event) -> float:
    return datetime.fromisoformat(event.time).timestamp()
