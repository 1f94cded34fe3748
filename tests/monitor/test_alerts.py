"""The book of alerts: grouping, deduplication, acknowledgement, resolution, and what is left after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chainlab.errors import MalformedInput
from chainlab.monitor.alerts.alert import Signal
from chainlab.monitor.alerts.alert_book import AlertBook

EARLY, LATE = "2026-05-08T02:00:00Z", "2026-05-08T02:07:00Z"
TAG = Signal("tag_moved", "high", "v1", "a tag moved", "Freeze.", ("T1195.002",), EARLY, EARLY, (3,))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], AlertBook]]:
    """Opens the book, each time as a process that starts would."""
    books: list[AlertBook] = []

    def again() -> AlertBook:
        books.append(AlertBook(tmp_path / "monitor" / "state.db", now=lambda: LATE))
        return books[-1]

    yield again
    for book in books:
        book.close()


def test_signals_of_a_rule_about_a_subject_are_one_alert(opened: Callable[[], AlertBook]) -> None:
    book = opened()
    book.record([TAG, replace(TAG, sequences=(5,), first=LATE, last=LATE), replace(TAG, subject="v2")], until=5)
    first, second = book.alerts()
    assert (first.subject, first.count, first.sequences, first.first, first.last) == ("v1", 2, (3, 5), EARLY, LATE)
    assert (second.subject, second.count) == ("v2", 1)
    assert [(notice.state, notice.alert.subject) for notice in book.notices()] == [("firing", "v1"), ("firing", "v2")]
    assert book.cursor() == 5


def test_the_same_events_never_count_twice(opened: Callable[[], AlertBook]) -> None:
    book = opened()
    burst = replace(TAG, sequences=(3, 4))
    book.record([burst], until=4)
    opened().record([burst], until=4)  # the other process, or this one after a kill
    grown = replace(TAG, sequences=(3, 4, 6), last=LATE)
    book.record([grown], until=6)
    (alert,) = book.alerts()
    assert (alert.count, alert.sequences, alert.last) == (1, (3, 4, 6), LATE)
    book.resolve(alert.id, by="alice", reason="a drill")
    book.record([grown], until=6)
    assert book.alerts() == []
    book.record([replace(TAG, sequences=(6, 7))], until=7)  # it goes on after the resolution
    (again,) = book.alerts()
    assert again.id != alert.id
    assert again.sequences == (7,)


def test_a_person_acknowledges_once_and_resolves_with_a_reason(opened: Callable[[], AlertBook]) -> None:
    book = opened()
    book.record([TAG], until=3)
    alert = book.acknowledge(1, by=" alice ")
    assert (alert.state, alert.acknowledged, alert.acknowledged_by) == ("acknowledged", LATE, "alice")
    assert book.acknowledge(1, by="bob").acknowledged_by == "alice"
    book.record([replace(TAG, sequences=(9,))], until=9)
    assert book.alert(1).state == "acknowledged"
    for by, reason in (("", "a drill"), ("alice", "  "), ("alice", "x" * 1001)):
        with pytest.raises(MalformedInput):
            book.resolve(1, by=by, reason=reason)
    alert = book.resolve(1, by="alice", reason="the owner moved it")
    assert (alert.state, alert.resolved, alert.reason) == ("resolved", LATE, "the owner moved it")
    assert [notice.state for notice in book.notices()] == ["firing", "acknowledged", "resolved"]
    assert book.alerts(resolved=True) == [alert]
    with pytest.raises(MalformedInput, match="alert 1 is resolved"):
        book.acknowledge(1, by="alice")
    with pytest.raises(MalformedInput, match="alert 1 is resolved"):
        book.resolve(1, by="alice", reason="again")
    with pytest.raises(MalformedInput, match="there is no alert 7"):
        book.acknowledge(7, by="alice")


def test_a_condition_that_ended_resolves_its_alert_and_no_other(opened: Callable[[], AlertBook]) -> None:
    book = opened()
    silent = Signal("GateSilent", "critical", "gate", "silent", "Freeze.", ("none: hygiene",), EARLY, EARLY)
    book.record([TAG], until=3)
    for _ in range(2):
        book.settle({"GateSilent"}, [silent])
    assert [(alert.name, alert.count) for alert in book.alerts()] == [("GateSilent", 1), ("tag_moved", 1)]
    book.settle({"Other"}, [])
    assert len(book.alerts()) == 2
    book.settle({"GateSilent"}, [])
    assert [alert.name for alert in book.alerts()] == ["tag_moved"]
    ended = next(alert for alert in book.alerts(resolved=True) if alert.name == "GateSilent")
    assert (ended.resolved_by, ended.reason) == ("monitor", "the condition has ended")
    assert str(book.alerts(resolved=True)).splitlines()[0] == "✗ 1 firing · 2 alerts"


WRITER = """
import sys
from pathlib import Path
from chainlab.monitor.alerts.alert_book import AlertBook
from chainlab.monitor.alerts.alert import Signal
book = AlertBook(Path(sys.argv[1]), now=lambda: "2026-05-08T02:00:00Z")
for number in range(book.cursor() + 1, 10**6):
    subject = f"v{number % 7}"
    book.record([Signal("r", "low", subject, "s", "a", (), book.now(), book.now(), (number,))], until=number)
    print(number, flush=True)
"""


@pytest.mark.crash
def test_a_kill_loses_no_alert_and_repeats_none(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(5):
                acknowledged = int(process.stdout.readline())
            time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        with AlertBook(state, now=lambda: LATE) as book:
            until = book.cursor()
            assert until >= acknowledged
            alerts = book.alerts()
            assert sorted(n for alert in alerts for n in alert.sequences) == list(range(1, until + 1))
            assert sum(alert.count for alert in alerts) == until
            assert len(list(book.notices())) == len(alerts) == min(7, until)
