"""A history: labelled events, with what in them was an attack, and which hard case a harmless event belongs to.

>>> History(()).joined([]).events
()
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache

from chainlab.events import Event

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """Events in order, and their labels."""

    events: tuple[Event, ...]
    # rule → for each attack that it should notice: the sequences of which one must be in a match
    attacks: Mapping[str, tuple[frozenset[int], ...]] = field(default_factory=dict)
    # name of a hard benign case → the sequences of its events
    cases: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def joined(self, others: Iterable[History]) -> History:
        """Append other histories, each some whole weeks later than the one before, so that hours and days stay."""
        events = list(self.events)
        attacks = defaultdict(list, {rule: list(instances) for rule, instances in self.attacks.items()})
        cases = defaultdict(set, {name: set(sequences) for name, sequences in self.cases.items()})
        for other in others:
            shift, later = len(events), _later(events, other.events)
            events += (_moved(event, shift, later) for event in other.events)
            for rule, instances in other.attacks.items():
                attacks[rule] += [frozenset(shift + number for number in instance) for instance in instances]
            for name, sequences in other.cases.items():
                cases[name] |= {shift + number for number in sequences}
        return History(
            tuple(events),
            {rule: tuple(instances) for rule, instances in attacks.items()},
            {name: frozenset(sequences) for name, sequences in cases.items()},
        )


def _later(events: Sequence[Event], following: Sequence[Event]) -> timedelta:
    """How many whole weeks to move following events, so that they come after the others."""
    if not events or not following:
        return timedelta()
    gap = datetime.fromisoformat(events[-1].time) - datetime.fromisoformat(following[0].time)
    return timedelta(weeks=max(0, gap // timedelta(weeks=1) + 1))


def _moved(event: Event, shift: int, later: timedelta) -> Event:
    time = _moved_date(event.time[:10], later.days) + event.time[10:]
    return Event(event.sequence + shift, event.type, event.source, event.subject, time, event.data)


@lru_cache
def _moved_date(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days)).isoformat()
