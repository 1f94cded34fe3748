"""``chainlab monitor run``: watch a workspace in a terminal."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from chainlab.cli.monitor.alerts import print_alerts
from chainlab.cli.terminal import echo

if TYPE_CHECKING:
    from chainlab.monitor.alerts.alert import Notice
    from chainlab.monitor.monitor import Monitor, MonitorLook

__all__ = ["run"]

QUIET = 60.0  # seconds without a line, after which one says that nothing happened


@click.command(
    short_help="Watch your workspace, and print alerts.",
    epilog="""\b
Examples: chainlab monitor run
          chainlab monitor run --once
          chainlab monitor run --webhook http://127.0.0.1:5001/alerts""",
)
@click.option("--once", is_flag=True, help="Look once, then end.")
@click.option(
    "--every", default=5.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds between two looks."
)
@click.option("--webhook", default="", help="Also post alerts to this address of this machine, as Alertmanager does.")
def run(once: bool, every: float, webhook: str) -> None:
    """Watch your workspace until Ctrl-C: let observers look, ask detections about new events, judge the metrics.

    Each alert is printed when it begins and when it ends: time, state, level, rule, subject, and the first thing to do.
    A second monitor of the same workspace does no harm. What was seen is on disk, so a later one goes on from there.

    Exit status: 0 it was ended, or with --once no alert fires; 1 with --once an alert fires.
    """
    from chainlab.start import end_on_signals
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    end_on_signals()
    with World(learner_workspace()) as world:
        monitor = world.monitor
        if webhook:
            monitor.notify(webhook, link=lambda: f"{world.url}/alerts")
        if once:
            for problem in monitor.look().problems:
                echo(f"not looked at: {problem}", err=True)
            open_alerts = monitor.alerts()
            print_alerts(open_alerts)
            sys.exit(any(alert.state == "firing" for alert in open_alerts))
        echo(f"watching {world.workspace.path}; alerts are at {world.url}/alerts, too. To end: Ctrl-C")
        try:
            _watch(monitor, every)
        except KeyboardInterrupt:
            echo("ended; the next monitor goes on from here")


def _watch(monitor: Monitor, every: float) -> None:
    events, problems, printed = 0, frozenset[str](), 0.0
    while True:
        look = monitor.look()
        events += look.events
        if look.notices or frozenset(look.problems) != problems:
            _show(look, without=problems)
            printed = time.monotonic()
        elif time.monotonic() - printed > QUIET or not printed:
            echo(f"{_clock()}  {events} events since the start, {len(monitor.alerts())} alerts open, nothing new")
            printed = time.monotonic()
        problems = frozenset(look.problems)
        time.sleep(every)


def _show(look: MonitorLook, without: frozenset[str] = frozenset()) -> None:
    for notice in look.notices:
        echo(_line(notice), lines=True)
    for problem in look.problems:
        if problem not in without:
            echo(f"{_clock()}  not looked at: {problem}", err=True)


def _line(notice: Notice) -> str:
    from chainlab.characters import join_lines

    alert = notice.alert
    head = f"{notice.time}  {notice.state}  {alert.level}  {alert.name}  {alert.subject}"
    if notice.state == "firing":
        return join_lines([head, f"  {alert.summary}", f"  First: {alert.response}"])
    by = alert.resolved_by if notice.state == "resolved" else alert.acknowledged_by
    return f"{head}  by {by}" + (f": {alert.reason}" if notice.state == "resolved" else "")


def _clock() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
