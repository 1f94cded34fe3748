"""The monitor's looks: what they raise, what they resume, and what they report instead of failing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlab.database import connect
from chainlab.errors import Unavailable
from chainlab.events import Events
from chainlab.monitor import monitor as monitor_module
from chainlab.monitor.metrics.exposition import exposition
from chainlab.monitor.monitor import Monitor
from chainlab.monitor.observers import Observer, report

TAG = """\
title: A tag was moved
id: 0c5f1a44-6f5e-4d50-9a53-0c2a2a3f6a01
status: stable
logsource: {product: chainlab}
detection:
  selection: {type: change.pushed, kind: tag, moved: 1}
  condition: selection
level: high
falsepositives: [none]
chainlab: {technique: [T1195.002], framework: ATT&CK v18.1, unit: change.pushed, response: Freeze releases.}
"""
PUSH = {"ref": "refs/tags/v1", "old": "1" * 40, "new": "2" * 40, "who": "eve", "kind": "tag", "moved": True}
SILENT = """\
groups:
  - name: own
    rules:
      - alert: LogSilent
        expr: chainlab_part_answered{part="log"} == 0
        for: 2s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.part }} is silent", response: Ask it.}
      - alert: NoNumbers
        expr: up{job="chainlab"} == 0
        labels: {severity: high}
        annotations: {summary: no numbers, response: Look.}
"""


class Eye:
    """An observer that counts its looks, and may fail."""

    name, every_s = "eye", 3600.0

    def __init__(self) -> None:
        self.looks, self.problem = 0, ""

    def observe(self) -> None:
        self.looks += 1
        if self.problem:
            raise Unavailable("cannot look", why=self.problem)


class Desk:
    """A workspace's folders for a monitor, and monitors over it."""

    def __init__(self, path: Path) -> None:
        self.path, self.events, self.eye = path, path / "events.db", Eye()
        self.scrape_fails = False
        self._opened: list[Monitor] = []
        for name, text in (("detections/tag.yml", TAG), ("alerts/own.yml", SILENT)):
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def monitor(self, *observers: Observer) -> Monitor:
        def scrape() -> str:
            if self.scrape_fails:
                raise Unavailable("/metrics does not answer")
            return exposition(monitor.metrics).decode()

        monitor = Monitor(
            self.path / "monitor",
            self.events,
            detections=[self.path / "detections"],
            alert_rules=[self.path / "alerts"],
            observers=lambda: observers,
            scrape=scrape,
        )
        self._opened.append(monitor)
        return monitor

    def push(self, subject: str = "acme/triage-model") -> int:
        connection = connect(self.events)
        event = Events(connection).append("dev.chainlab.change.pushed", source="/ci/git", subject=subject, data=PUSH)
        connection.close()
        return event.sequence

    def beat(self, answered: bool) -> None:
        report(self.events, "monitor.heartbeat", "log", {"answered": answered, "seconds": 0.1, "silent_s": 0})

    def close(self) -> None:
        for monitor in self._opened:
            monitor.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_look_raises_what_is_new_and_the_next_does_not(desk: Desk) -> None:
    number = desk.push()
    monitor = desk.monitor()
    look = monitor.look()
    (notice,) = look.notices
    assert (notice.state, notice.alert.name, notice.alert.sequences) == ("firing", "tag", (number,))
    assert (look.events, look.problems) == (1, ())
    assert monitor.look().notices == ()
    desk.push()
    assert monitor.look().notices == ()  # grouped with the first
    (alert,) = monitor.alerts()
    assert (alert.count, alert.technique, alert.response) == (2, ("T1195.002",), "Freeze releases.")


def test_a_new_monitor_goes_on_and_two_share_a_workspace(desk: Desk) -> None:
    desk.push()
    first = desk.monitor()
    first.look()
    second = desk.monitor()
    assert second.look().events == 0
    desk.push("acme/other")
    assert [notice.alert.subject for notice in second.look().notices] == ["acme/other"]
    assert [notice.alert.subject for notice in first.look().notices] == ["acme/other"]
    assert len(first.alerts()) == 2


def test_a_broken_rule_is_an_alert_and_the_others_go_on(desk: Desk) -> None:
    desk.write("detections/mine.yml", TAG.replace("moved: 1", "mooved: 1").replace("6a01", "6a02"))
    desk.write("alerts/mine.yml", SILENT.replace("== 0", "== 0 offset 5m"))
    desk.push()
    monitor = desk.monitor()
    look = monitor.look()
    assert sorted(notice.alert.name for notice in look.notices) == ["RuleFileBroken", "tag"]
    broken = next(alert for alert in monitor.alerts() if alert.name == "RuleFileBroken")
    assert "moved" in broken.response
    assert [problem for problem in look.problems if "offset is not evaluated here" in problem]
    (desk.path / "detections" / "mine.yml").unlink()
    assert [(n.state, n.alert.name) for n in monitor.look().notices] == [("resolved", "RuleFileBroken")]


def test_an_observer_looks_when_it_is_due_and_its_failure_is_told(desk: Desk) -> None:
    monitor = desk.monitor(desk.eye)
    desk.eye.problem = "the door is closed"
    assert monitor.look().problems == ("eye: cannot look: the door is closed",)
    monitor.look()
    desk.monitor(desk.eye).look()
    assert desk.eye.looks == 1  # every hour, in whatever process
    assert b'chainlab_observer_succeeded{observer="eye"} 0.0' in exposition(monitor.metrics)


def test_missing_numbers_raise_and_end_when_they_are_back(desk: Desk) -> None:
    monitor = desk.monitor()
    desk.scrape_fails = True
    look = monitor.look()
    assert [notice.alert.name for notice in look.notices] == ["NoNumbers"]
    assert look.problems == ("metrics: /metrics does not answer",)
    desk.scrape_fails = False
    assert [notice.state for notice in monitor.look().notices] == ["resolved"]


def test_a_pending_alert_goes_on_in_the_next_process(desk: Desk) -> None:
    desk.beat(answered=False)
    assert desk.monitor().look().notices == ()
    time.sleep(2.1)
    (notice,) = desk.monitor().look().notices
    assert (notice.alert.name, notice.alert.subject, notice.alert.summary) == ("LogSilent", "log", "log is silent")
    desk.beat(answered=True)
    assert [notice.state for notice in desk.monitor().look().notices] == ["resolved"]


def test_times_are_the_scenarios_while_a_drill_goes_on(desk: Desk) -> None:
    connection = connect(desk.events)
    connection.close()
    desk.push()
    monitor = desk.monitor()
    moment: dict[str, Any] = {}

    def drill(time_of_day: str) -> str:
        from datetime import datetime

        connection = connect(desk.events)
        Events(connection).set_scenario_time(datetime.fromisoformat(f"2026-05-08T{time_of_day}:00+00:00"))
        connection.close()
        return f"2026-05-08T{time_of_day}:00Z"

    moment["pushed"] = drill("02:00")
    desk.push("acme/night")
    moment["raised"] = drill("02:10")
    monitor.look()
    alert = next(alert for alert in monitor.alerts() if alert.subject == "acme/night")
    moment["acknowledged"] = drill("02:25")
    alert = monitor.book.acknowledge(alert.id, by="alice")
    assert (alert.first, alert.raised, alert.acknowledged) == tuple(moment.values())


def tampered(desk: Desk, statement: str) -> None:
    connection = connect(desk.events)
    assert connection.execute(statement).rowcount == 1
    connection.close()


@pytest.mark.parametrize(
    ("statement", "rule", "summary"),
    [
        ("DELETE FROM events WHERE sequence = 2", "EventLogBroken", "event 2 does not fit the chain"),
        ("UPDATE events SET envelope = zeroblob(9) WHERE sequence = 1", "EventLogBroken", "event 1 does not fit"),
        ("DELETE FROM events WHERE sequence = 3", "EventLogRewritten", "event 3, which the monitor saw, is gone"),
        ("UPDATE events SET hash = zeroblob(32) WHERE sequence = 3", "EventLogRewritten", "event 3 is not the one"),
    ],
)
def test_an_event_that_was_removed_or_changed_raises(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, statement: str, rule: str, summary: str
) -> None:
    monkeypatch.setattr(monitor_module, "CHAIN_S", 0.0)
    for subject in ("a", "b", "c"):
        desk.push(subject)
    assert len(desk.monitor().look().notices) == 3
    tampered(desk, statement)
    raised = {notice.alert.name: notice.alert for notice in desk.monitor().look().notices}
    assert summary in raised[rule].summary
    desk.push("d")  # a later event does not heal it
    assert "resolved" not in [notice.state for notice in desk.monitor().look().notices]


WATCHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_monitor import Desk
monitor = Desk(Path(sys.argv[1])).monitor()
while True:
    monitor.look()
    print(monitor.book.cursor(), flush=True)
"""


@pytest.mark.crash
def test_a_kill_in_the_middle_of_looks_loses_and_repeats_nothing(desk: Desk) -> None:
    pushed = []
    for round_ in range(2):
        command = [sys.executable, "-c", WATCHER, str(desk.path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(5):
                pushed.append(desk.push(f"acme/{round_}"))
            os.kill(process.pid, signal.SIGKILL)
    monitor = desk.monitor()
    monitor.look()
    assert sorted(n for alert in monitor.alerts() for n in alert.sequences) == pushed
    assert [alert.count for alert in monitor.alerts()] == [5, 5]
    assert len(list(monitor.book.notices())) == 2
