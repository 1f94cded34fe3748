"""``chainlab monitor``: watch what happens, and be told."""

from __future__ import annotations

import click

from chainlab.cli.monitor.alerts import alerts
from chainlab.cli.monitor.log import log
from chainlab.cli.monitor.run import run
from chainlab.cli.monitor.test import test

__all__ = ["commands", "monitor"]


@click.group(
    short_help="Watch logs, releases and what runs; measure detections.", epilog="Example: chainlab monitor run"
)
def monitor() -> None:
    """Watch what happens in your workspace, and in logs of others."""


monitor.add_command(run)
monitor.add_command(alerts)
monitor.add_command(log)
monitor.add_command(test)
commands = [monitor]
