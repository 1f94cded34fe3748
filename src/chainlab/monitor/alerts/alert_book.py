"""The book of alerts: on disk, until somebody says what became of them.

    book = AlertBook.of(workspace.path / "monitor", workspace.trust / "state.db")
    book.record([signal], until=120)       # a detection matched; every event up to number 120 was looked at
    book.acknowledge(1, by="alice")          # somebody works on it
    book.resolve(1, by="alice", reason="the night release that was announced")

Signals of one rule about one subject are grouped into one alert while it is open. An event counts once for a rule and a
subject, so looking at the same events again raises nothing, also after the process was killed. Every change of state is
a numbered `Notice`, written in the transaction that makes the change; whoever passes alerts on keeps the number that
they came to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from chainlab.clock import rfc3339, utc_now
from chainlab.database import SqliteStore, connect
from chainlab.errors import MalformedInput
from chainlab.events import Events
from chainlab.monitor.alerts.alert import LEVELS, Alert, AlertList, Notice, Signal

__all__ = ["STATE", "AlertBook"]

STATE: Final = "state.db"  # in the monitor's folder

MAX_REASON: Final = 1000  # characters
MAX_NAME: Final = 100  # characters
BY_ITSELF: Final = "monitor"  # who resolves an alert whose condition has ended
ENDED: Final = "the condition has ended"
SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    id              INTEGER PRIMARY KEY,
    name            TEXT NOT NULL,   -- of the rule
    level           TEXT NOT NULL,
    subject         TEXT NOT NULL,
    summary         TEXT NOT NULL,
    response        TEXT NOT NULL,
    technique       TEXT NOT NULL,   -- JSON: a list of texts
    first           TEXT NOT NULL,   -- RFC 3339, as all times here
    last            TEXT NOT NULL,
    count           INTEGER NOT NULL,
    raised          TEXT NOT NULL,
    acknowledged    TEXT,            -- NULL = nobody has it
    acknowledged_by TEXT,
    resolved        TEXT,            -- NULL = open
    resolved_by     TEXT,
    reason          TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS open_alerts ON alerts (name, subject) WHERE resolved IS NULL;
CREATE TABLE IF NOT EXISTS alert_events (  -- an event counts once for a rule and a subject
    name     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    alert    INTEGER NOT NULL,
    PRIMARY KEY (name, subject, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_events_by_alert ON alert_events (alert);
CREATE TABLE IF NOT EXISTS alert_notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    alert  INTEGER NOT NULL,
    state  TEXT NOT NULL,    -- what the alert became
    time   TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS monitor_cursors (  -- how far each reader came: detections in the events, webhooks in notices
    reader TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
"""
DETECTIONS = "detections"
COLUMNS = (
    "id, name, level, subject, summary, response, technique, first, last, count, raised,"
    " acknowledged, acknowledged_by, resolved, resolved_by, reason"
)


class AlertBook(SqliteStore):
    """The alerts of one workspace; several processes may have it open.

    ``now`` returns the time that changes of state get, RFC 3339.
    """

    def __init__(self, database: Path, *, now: Callable[[], str]) -> None:
        self.now = now
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(database, SCHEMA)

    @classmethod
    def of(cls, folder: Path, events_path: Path) -> AlertBook:
        """Open the book in a monitor's folder; its times are those of the event log at ``events_path``."""

        def now() -> str:
            with closing(connect(events_path)) as connection:
                return Events(connection).scenario_time or rfc3339(utc_now())

        return cls(folder / STATE, now=now)

    # -- what the monitor writes

    def record(self, signals: Iterable[Signal], *, until: int) -> None:
        """Raise or extend an alert for each signal; every event up to number ``until`` was looked at.

        All of it is written in one transaction, or none.
        """
        with self._transaction():
            for signal in signals:
                self._take(signal)
            self._move(DETECTIONS, until)

    def settle(self, rules: Collection[str], signals: Iterable[Signal]) -> None:
        """Raise what is in ``signals``, and resolve the open alerts of these rules that are not: they have ended."""
        held = {(signal.name, signal.subject): signal for signal in signals}
        with self._transaction():
            for alert in self._select("resolved IS NULL"):
                if alert.name in rules and (alert.name, alert.subject) not in held:
                    self._resolve(alert.id, BY_ITSELF, ENDED)
            for (name, subject), signal in held.items():
                if number := self._open(name, subject):
                    self._connection.execute("UPDATE alerts SET last = ? WHERE id = ?", (signal.last, number))
                else:
                    self._raise(signal)

    def _take(self, signal: Signal) -> None:
        place = signal.name, signal.subject
        rows = self._connection.execute(
            "SELECT sequence, alert FROM alert_events WHERE name = ? AND subject = ? AND sequence BETWEEN ? AND ?",
            (*place, min(signal.sequences), max(signal.sequences)),
        )
        known: dict[int, int] = dict(rows)
        added = [sequence for sequence in signal.sequences if sequence not in known]
        if not added:
            return  # looked at before
        alert = self._open(*place)
        if alert is None:
            alert = self._raise(signal)
        else:
            overlaps = any(known.get(sequence) == alert for sequence in signal.sequences)  # a burst that goes on
            self._connection.execute(
                "UPDATE alerts SET count = count + ?, first = min(first, ?), last = max(last, ?) WHERE id = ?",
                (0 if overlaps else 1, signal.first, signal.last, alert),
            )
        self._connection.executemany(
            "INSERT INTO alert_events VALUES (?, ?, ?, ?)", ((*place, sequence, alert) for sequence in added)
        )

    def _open(self, name: str, subject: str) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM alerts WHERE name = ? AND subject = ? AND resolved IS NULL", (name, subject)
        ).fetchone()
        return row[0] if row else None

    def _raise(self, signal: Signal) -> int:
        if signal.level not in LEVELS:
            raise MalformedInput(f"no level of an alert: {signal.level!r}", hint=f"one of {', '.join(LEVELS)}")
        row = self._connection.execute(
            "INSERT INTO alerts (name, level, subject, summary, response, technique, first, last, count, raised)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?) RETURNING id",
            (
                signal.name,
                signal.level,
                signal.subject,
                signal.summary,
                signal.response,
                json.dumps(signal.technique),
                signal.first,
                signal.last,
                self.now(),
            ),
        ).fetchone()
        self._notify(row[0], "firing")
        return int(row[0])

    # -- what a person writes

    def acknowledge(self, id: int, *, by: str) -> Alert:
        """Record that a person works on an alert; the first acknowledgement counts.

        Raises `MalformedInput` for an unknown alert, a resolved one, and a name that is empty or too long.
        """
        _check_text("name", by, MAX_NAME)
        with self._transaction():
            if self.alert(id).resolved:
                raise MalformedInput(f"alert {id} is resolved", hint="list the open ones: chainlab monitor alerts")
            changed = self._connection.execute(
                "UPDATE alerts SET acknowledged = ?, acknowledged_by = ? WHERE id = ? AND acknowledged IS NULL",
                (self.now(), by.strip(), id),
            ).rowcount
            if changed:
                self._notify(id, "acknowledged")
            return self.alert(id)

    def resolve(self, id: int, *, by: str, reason: str) -> Alert:
        """Record what became of an alert. If its rule matches again, in other events, that is another alert.

        Raises `MalformedInput` for an unknown alert, one that was resolved before, and a text that is empty or too
        long.
        """
        _check_text("name", by, MAX_NAME)
        _check_text("reason", reason, MAX_REASON)
        with self._transaction():
            if self.alert(id).resolved:
                raise MalformedInput(f"alert {id} is resolved", hint="list the open ones: chainlab monitor alerts")
            self._resolve(id, by.strip(), reason.strip())
            return self.alert(id)

    def _resolve(self, id: int, by: str, reason: str) -> None:
        self._connection.execute(
            "UPDATE alerts SET resolved = ?, resolved_by = ?, reason = ? WHERE id = ?", (self.now(), by, reason, id)
        )
        self._notify(id, "resolved")

    def _notify(self, alert: int, state: str) -> None:
        self._connection.execute(
            "INSERT INTO alert_notices (alert, state, time) VALUES (?, ?, ?)", (alert, state, self.now())
        )

    # -- what is read

    def alert(self, id: int) -> Alert:
        """Return one alert. Raises `MalformedInput` when there is none with this number."""
        for alert in self._select("id = ?", (id,)):
            return alert
        raise MalformedInput(f"there is no alert {id}", hint="list them: chainlab monitor alerts --all")

    def alerts(self, *, resolved: bool = False) -> AlertList:
        """List the open alerts, or with ``resolved`` all of them, the most urgent first."""
        return AlertList(sorted(self._select("1" if resolved else "resolved IS NULL"), key=lambda a: a.urgency))

    def notices(self, *, after: int = 0) -> Iterator[Notice]:
        """Yield the changes of state with a number above ``after``, in order."""
        for number, alert, state, time in self._rows(
            "SELECT number, alert, state, time FROM alert_notices WHERE number > ? ORDER BY number", (after,)
        ):
            yield Notice(number, state, time, self.alert(alert))

    @property
    def last_notice(self) -> int:
        """The number of the newest notice; 0 without any."""
        return int(self._rows("SELECT coalesce(max(number), 0) FROM alert_notices")[0][0])

    @property
    def before_open(self) -> int:
        """The number before the first notice of an open alert; that of the newest notice without open ones."""
        rows = self._rows(
            "SELECT min(number) - 1 FROM alert_notices WHERE alert IN (SELECT id FROM alerts WHERE resolved IS NULL)"
        )
        return self.last_notice if rows[0][0] is None else int(rows[0][0])

    def cursor(self, reader: str = DETECTIONS) -> int:
        """Return the number that a reader came to; 0 at its beginning."""
        rows = self._rows("SELECT number FROM monitor_cursors WHERE reader = ?", (reader,))
        return int(rows[0][0]) if rows else 0

    def move(self, reader: str, number: int) -> None:
        """Store the number that a reader came to."""
        with self._transaction():
            self._move(reader, number)

    def _move(self, reader: str, number: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO monitor_cursors VALUES (?, ?)", (reader, number))

    def _select(self, condition: str, values: tuple[Any, ...] = ()) -> list[Alert]:
        rows = self._rows(f"SELECT {COLUMNS} FROM alerts WHERE {condition}", values)  # noqa: S608 - of constants
        alerts = []
        for id, name, level, subject, summary, response, technique, first, last, count, *rest in rows:
            sequences = self._rows("SELECT sequence FROM alert_events WHERE alert = ? ORDER BY sequence", (id,))
            text = name, level, subject, summary, response, tuple(json.loads(technique)), first, last
            alerts.append(Alert(id, *text, count, tuple(row[0] for row in sequences), *rest))
        return alerts


def _check_text(what: str, text: str, limit: int) -> None:
    if not text.strip() or len(text) > limit:
        raise MalformedInput(f"expected a {what} of 1 to {limit} characters", hint="say who, and why, in a few words")
