"""The journal of a made history: acts in any order become events in the order of their time.

An act is what somebody did: a push, an upload, an answer. What depends on earlier events (``tag_before``,
``attestation_lost``, ``since_last_s``) is filled in by `Memory` when the acts are in order, as the services do.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX, Event
from chainlab.monitor.histories.history import History
from chainlab.monitor.histories.memory import Memory

__all__ = ["Journal", "RecordedAct"]


DAY = 86_400  # seconds


class RecordedAct(NamedTuple):
    """One act, before its place among the others is known."""

    second: int  # Unix time
    number: int  # acts of one second stay in the order in which they were written
    type: str
    subject: str
    data: dict[str, Any]


class Journal:
    """Collects acts and their labels, and makes the history of them."""

    def __init__(self) -> None:
        self._acts: list[RecordedAct] = []
        self._attacks: dict[str, list[frozenset[int]]] = defaultdict(list)  # numbers of acts
        self._cases: dict[str, set[int]] = defaultdict(set)

    def add(self, second: float, type: str, subject: str, **data: Any) -> int:
        """Note an act and return its number; fields that are left out are null, or filled in by `Memory`."""
        number = len(self._acts)
        self._acts.append(RecordedAct(int(second), number, type, subject, data))
        return number

    def label_attack(self, rule: str, numbers: list[int]) -> None:
        """Label acts as one attack; the rule notices it when it matches one of them."""
        self._attacks[rule].append(frozenset(numbers))

    def label_case(self, name: str, *numbers: int) -> None:
        """Label acts as a hard benign case."""
        self._cases[name].update(numbers)

    def history(self) -> History:
        """Put the acts in order, fill in what services compute, and number the events."""
        memory = Memory()
        sequences: dict[int, int] = {}
        events: list[Event] = []
        for sequence, act in enumerate(sorted(self._acts), start=1):
            sequences[act.number] = sequence
            data = memory.complete(act.type, act.subject, act.second, act.data)
            days, second = divmod(act.second, DAY)
            time = f"{_date(days)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
            events.append(Event(sequence, PREFIX + act.type, EVENT_TYPES[act.type].source, act.subject, time, data))
        return History(
            tuple(events),
            {
                rule: tuple(frozenset(sequences[number] for number in instance) for instance in instances)
                for rule, instances in self._attacks.items()
            },
            {name: frozenset(sequences[number] for number in numbers) for name, numbers in self._cases.items()},
        )


@lru_cache
def _date(days: int) -> str:
    """Format a day since 1970; a history has many events a day."""
    return (date(1970, 1, 1) + timedelta(days)).isoformat()
