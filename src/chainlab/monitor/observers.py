"""Observers: parts of the monitor that look again and again, and append what they saw as events.

    >>> report(workspace.trust / "state.db", "monitor.heartbeat", "gate", {"answered": True})    # doctest: +SKIP

Each looks at one thing: published files against their sources, a transparency log, the running service. What an
observer saw is an event like any service's, so a detection can ask about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from chainlab.database import connect, transaction
from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX, Event, Events

__all__ = ["Observer", "report"]


class Observer(Protocol):
    """Something that looks at one thing, every so often."""

    name: str  # 'inspection', 'log', 'runtime', …
    every_s: float  # seconds between two looks

    def observe(self) -> None:
        """Look once, and append events. Raises `ChainlabError` when it cannot look."""


def report(database_path: Path, type: str, subject: str, data: Mapping[str, Any]) -> Event:
    """Append an event of the monitor's own; ``type`` is one of `EVENT_TYPES`, such as ``log.watched``.

    Raises `Unavailable` when the event log cannot be written.
    """
    source = EVENT_TYPES[type].source
    with closing(connect(database_path)) as connection:
        events = Events(connection)
        with transaction(connection):
            return events.append(PREFIX + type, source=source, subject=subject, data=data)
