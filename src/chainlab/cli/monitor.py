"""``chainlab monitor``: watch what happens, and be told."""

from __future__ import annotations

import click

from chainlab.cli.monitor_log import log

__all__ = ["commands"]


@click.group(short_help="Watch logs, releases and what runs.", epilog="Example: chainlab monitor log --once")
def monitor() -> None:
    """Watch what happens in your workspace, and in logs of others."""


monitor.add_command(log)
commands = [monitor]
