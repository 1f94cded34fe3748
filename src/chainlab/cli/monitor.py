"""``chainlab monitor``: watch what happens, and be told."""

from __future__ import annotations

import click

from chainlab.cli.monitor_log import log
from chainlab.cli.monitor_test import test

__all__ = ["commands"]


@click.group(
    short_help="Watch logs, releases and what runs; measure detections.", epilog="Example: chainlab monitor log --once"
)
def monitor() -> None:
    """Watch what happens in your workspace, and in logs of others."""


monitor.add_command(log)
monitor.add_command(test)
commands = [monitor]
