"""Alerts: what a person has to look at, and what is to be done first.

A rule that matches gives a `Signal`. Signals of one rule about one subject are one `Alert` while it is open
(`chainlab.monitor.alerts.alert_book` keeps them). Every change of its state is a `Notice`.

Times are scenario time while a drill goes on, else real time, RFC 3339: the time of an alert, of its acknowledgement
and of its resolution can be subtracted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from chainlab.display import Display, Fresh, Mark, Shown

__all__ = ["LEVELS", "Alert", "AlertList", "Notice", "Signal"]

LEVELS: Final = ("critical", "high", "medium", "low", "informational")  # Sigma's, the most urgent first


@dataclass(frozen=True)
class Signal:
    """A rule has matched, once: about which subject, when, in which events."""

    name: str  # of the rule
    level: str  # one of `LEVELS`
    subject: str
    summary: str
    response: str  # the first thing to do
    technique: tuple[str, ...]
    first: str  # RFC 3339
    last: str  # RFC 3339
    sequences: tuple[int, ...] = ()  # of the events; none for a condition on metrics


@dataclass(frozen=True)
class Alert:
    """The signals of one rule about one subject, from the first until a person or the end of the condition."""

    id: int
    name: str
    level: str
    subject: str
    summary: str
    response: str
    technique: tuple[str, ...]
    first: str
    last: str
    count: int  # signals
    sequences: tuple[int, ...]
    raised: str
    acknowledged: str | None = None
    acknowledged_by: str | None = None
    resolved: str | None = None
    resolved_by: str | None = None
    reason: str | None = None  # of the resolution

    @property
    def state(self) -> str:
        """Return firing, acknowledged or resolved."""
        return "resolved" if self.resolved else "acknowledged" if self.acknowledged else "firing"

    @property
    def urgency(self) -> tuple[bool, int, int]:
        """The key to sort by: open alerts first, then by level, then the oldest first."""
        return self.state == "resolved", LEVELS.index(self.level), self.id

    def document(self) -> dict[str, Any]:
        """Return the alert as plain data, its state included."""
        return asdict(self) | {"state": self.state}


@dataclass(frozen=True)
class Notice:
    """An alert has changed its state."""

    number: int  # rises by time
    state: str  # what it became
    time: str  # RFC 3339
    alert: Alert  # as it is now


class AlertList(Shown, list[Alert]):
    """Alerts, the most urgent first; shows itself as a table with what to do first about each."""

    def _display(self) -> Display:
        """Show each alert's number, level, rule, subject, number of events, state and response."""
        marks = {"firing": Mark("failed", "firing"), "acknowledged": Mark("waiting", "acknowledged")}
        rows = [
            (
                str(alert.id),
                alert.level,
                alert.name,
                alert.subject,
                f"{alert.count} times" if alert.count > 1 else "once",
                Fresh(alert.first),
                marks.get(alert.state, Mark("passed", alert.state)),
                alert.response,
            )
            for alert in self
        ]
        firing = sum(alert.state == "firing" for alert in self)
        result = Mark("failed", f"{firing} firing") if firing else Mark("passed", "none firing")
        columns = ("no.", "level", "rule", "about", "seen", "first seen", "state", "first thing to do")
        return Display(f"{len(self)} alert{'s' * (len(self) != 1)}", columns, rows, result)
