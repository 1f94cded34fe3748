"""``chainlab monitor alerts``: what is open, who works on it, what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput, Unavailable

if TYPE_CHECKING:
    from chainlab.monitor.alerts.alert import AlertList

__all__ = ["alerts", "print_alerts"]


@click.command(
    short_help="List alerts, acknowledge or resolve one.",
    epilog="""\b
Examples: chainlab monitor alerts
          chainlab monitor alerts --ack 3 --by alice
          chainlab monitor alerts --resolve 3 --by alice --reason "the announced night release"
          chainlab monitor alerts --all --json""",
)
@click.option("--all", "resolved", is_flag=True, help="List the resolved ones, too.")
@click.option("--ack", type=click.IntRange(1), help="Acknowledge this alert: you work on it.")
@click.option("--resolve", type=click.IntRange(1), help="Resolve this alert; give --reason.")
@click.option("--by", default="", help="Your name, for --ack and --resolve.")
@click.option("--reason", default="", help="What became of the alert.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per alert.")
def alerts(resolved: bool, ack: int | None, resolve: int | None, by: str, reason: str, as_json: bool) -> None:
    """List the open alerts, the most urgent first, with the first thing to do about each.

    Exit status: 0, also when alerts fire; `chainlab monitor run --once` looks and answers with its status.
    """
    from chainlab.monitor.alerts.alert import AlertList
    from chainlab.monitor.alerts.alert_book import STATE, AlertBook
    from chainlab.workspace import learner_workspace

    if ack and resolve:
        raise MalformedInput("--ack and --resolve do not go together")
    if (by or reason) and not (ack or resolve):
        raise MalformedInput("--by and --reason belong to --ack or --resolve")
    if reason and not resolve:
        raise MalformedInput("--reason belongs to --resolve")
    workspace = learner_workspace()
    folder, events = workspace.path / "monitor", workspace.trust / "state.db"
    if not events.exists() or not (folder / STATE).exists():
        raise Unavailable("nothing was watched yet", hint="watch your workspace: chainlab monitor run")
    with AlertBook.of(folder, events) as book:
        if ack:
            shown = AlertList([book.acknowledge(ack, by=by)])
        elif resolve:
            shown = AlertList([book.resolve(resolve, by=by, reason=reason)])
        else:
            shown = book.alerts(resolved=resolved)
    if as_json:
        echo_json([alert.document() for alert in shown])
    else:
        print_alerts(shown)


def print_alerts(alerts: AlertList) -> None:
    """Print alerts, three lines each: what, about what, the first thing to do."""
    for alert in alerts:
        echo(f"{alert.id:>4}  {alert.state}  {alert.level}  {alert.name}: {alert.summary}")
        times = f"{alert.count} times since {alert.first}" if alert.count > 1 else f"at {alert.first}"
        echo(f"      about {alert.subject}, {times}")
        if alert.resolved:
            echo(f"      resolved by {alert.resolved_by}: {alert.reason}")
        else:
            echo(f"      First: {alert.response}")
    firing = sum(alert.state == "firing" for alert in alerts)
    echo(f"{len(alerts)} alert{'s' * (len(alerts) != 1)}, {firing} firing")
