"""Real time, in UTC.

Trust services use real time alone, because clients refuse tokens that are a day off. Scenario time, which drills and
detections read, is a field of events and never comes from here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "rfc3339", "utc_now"]

Clock = Callable[[], datetime]  # returns an aware datetime in UTC; tests pass their own


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime, timespec: str = "seconds") -> str:
    """Format a moment as RFC 3339 in UTC: ``2026-05-11T19:20:39Z``; ``timespec`` as for `datetime.isoformat`."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
