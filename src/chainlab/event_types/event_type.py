"""The type of events, and the fields that every event has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COMMON", "EventType"]


@dataclass(frozen=True)
class EventType:
    """One type of event: who writes it, what its subject is, and its fields with their meaning."""

    source: str
    subject: str
    meaning: str
    fields: Mapping[str, str]


# Every event has these, whatever its type.
COMMON: Mapping[str, str] = {
    "type": "the event's type, without dev.chainlab.",
    "source": "the service that wrote it",
    "subject": "what it is about",
    "time": "real time, RFC 3339",
    "scenario_time": "the drill's time, RFC 3339; null outside a drill",
    "timestamp": "scenario time where there is one, else real time",
    "hour": "of the timestamp, 0 to 23, UTC",
    "weekday": "of the timestamp, 1 (Monday) to 7, UTC",
}
