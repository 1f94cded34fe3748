"""Cases for exercise 5.3: bursts of moved tags in a list of events.

A day is built from groups of moves whose bursts are known. The list is in the order of writing, which is the order
of time unless an event comes late. Where a case is about moves that are no burst, another repository has one.

    >>> pushes = Pushes(random.Random(1))
    >>> numbers = pushes.burst(0, 1, 2, 3, 4)
    >>> [len(burst) for burst in pushes.bursts]
    [5]
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss

__all__ = ["LEAST", "WINDOW_S", "Pushes", "cases"]

SEE = "labs/05_monitoring.ipynb, 'Ten minutes, from where to where?'"
TEACHES = {
    "five in ten minutes": "Five different tags of one repository in nine minutes: one alert with its events.",
    "four are too few": "The rule says at least five. Four moves in ten minutes are a maintainer who tidies up.",
    "exactly ten minutes": "Both ends belong to the window: a move and one ten minutes later are in it together.",
    "a second too long": "600 seconds are a window, 601 are not.",
    "across a boundary": (
        "No clock cuts the day for the attacker. A tumbling window begins at fixed times, and a burst across two of "
        "them is in neither. A sliding window begins at every event. And the move 9 minutes before belongs to no full "
        "window: a small gap is not yet a burst."
    ),
    "all at one time": (
        "One forced push moves all tags at one time. Nothing lies between equal times, and each of them counts."
    ),
    "a long burst is one alert": (
        "Every full window is about the same attack as the one that shares an event with it. Ten moves give six "
        "full windows; a person needs one alert, with all ten."
    ),
    "two bursts": "Two full windows without a common event are two alerts, also in one repository.",
    "a late event": (
        "An event is written when its service gets round to it. The list is in the order of writing; the window is "
        "about the times at which things happened."
    ),
    "a late event that joins two bursts": (
        "With the late move there is a full window that shares events with both. What two alerts were before it came "
        "is one burst after."
    ),
    "the first move comes last": (
        "The burst's first move is written after another burst began. It still belongs to the first one, and does not "
        "begin a third."
    ),
    "one tag, back and forth": (
        "Many tags, not many moves: count different refs. Somebody who corrects one tag six times moved one tag. Once "
        "a window is full, every move in it belongs to the burst."
    ),
    "new tags, and branches": "A tag that is new moved nowhere, and branches move all day.",
    "two repositories": "A window is about one repository. Three moves here and three there are two owners at work.",
    "clocks in other zones": (
        "14:05+02:00 is before 12:06Z. Compare times, not texts: `datetime.fromisoformat` reads offset and fraction."
    ),
    "another rule": "`least` and `window_s` come with the call.",
    "nothing happened": "No event, no burst: an empty list, which is an answer as well.",
    "a whole day": "Everything at once. Which burst differs, and by which event?",
}
LEAST, WINDOW_S = 5, 600
REPOSITORIES = ("acme/changed-files", "acme/checkout", "northwind-ml/labeler", "northwind-ml/scan")


class Pushes:
    """Events of one day, and the bursts among them."""

    def __init__(self, rng: random.Random, least: int = LEAST, window_s: int = WINDOW_S) -> None:
        self.rng, self.least, self.window_s = rng, least, window_s
        self.midnight = datetime(2026, rng.randrange(1, 13), rng.randrange(1, 28), tzinfo=UTC)
        self.hour = rng.randrange(6, 10)
        self.repositories = rng.sample(REPOSITORIES, len(REPOSITORIES))
        self.written: list[tuple[float, float, int, dict[str, Any]]] = []  # written at, happened at, number, event
        self.bursts: list[list[int]] = []  # by number
        self.zones: tuple[timezone | None, ...] = (None,)

    def push(self, minute: float, *, repository: int = 0, late: float = 0, **fields: Any) -> int:
        """Add a push at a minute after the start, written ``late`` minutes after; returns its number."""
        number = len(self.written)
        happened = self.midnight + timedelta(hours=self.hour, minutes=minute)
        event = {
            "type": "change.pushed",
            "subject": self.repositories[repository],
            "time": self._text(happened),
            "ref": f"refs/tags/v{number // 7 + 1}.{number % 7}",
            "kind": "tag",
            "moved": True,
            **fields,
        }
        self.written.append((minute + late, minute, number, event))
        return number

    def publish(self, minute: float) -> None:
        """Add an event of another type, which has other fields."""
        number = self.push(minute)
        event = {"type": "artifact.published", "subject": self.repositories[0], "tag": "v1", "tag_moved": True}
        self.written[number] = (minute, minute, number, event | {"time": self.written[number][3]["time"]})

    def burst(self, *minutes: float, **fields: Any) -> list[int]:
        """Add moves that are a burst, each of another tag; returns their numbers."""
        numbers = [self.push(minute, **fields) for minute in minutes]
        self.bursts.append(numbers)
        return numbers

    def moves(self, *minutes: float, **fields: Any) -> None:
        """Add moves of different tags that are no burst by themselves."""
        for minute in minutes:
            self.push(minute, **fields)

    def elsewhere(self) -> None:
        """Add a burst of another repository, later in the day."""
        start = 10 * self.rng.randrange(30, 40)
        self.burst(*sorted(start + self.rng.uniform(0, 9) for _ in range(self.least + 1)), repository=3)

    def case(self, name: str) -> Case:
        """Make the case: the events in the order of writing, numbered in that order."""
        order = sorted(range(len(self.written)), key=lambda number: self.written[number][:3])
        first = self.rng.randrange(1, 500)
        sequences = {number: first + at for at, number in enumerate(order)}
        events = [{"sequence": sequences[number], **self.written[number][3]} for number in order]
        bursts = {frozenset(sequences[number] for number in burst) for burst in self.bursts}
        return Case(name, (events, self.least, self.window_s), None, accept=_exactly(bursts))

    def _text(self, time: datetime) -> str:
        zone = self.rng.choice(self.zones)
        if zone is None:
            return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z" if time.microsecond else f"{time:%Y-%m-%dT%H:%M:%SZ}"
        return time.astimezone(zone).isoformat()


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make days of pushes: the window, the alert, late events, what counts, then all of it."""
    yield from _windows(rng)
    yield from _alerts(rng)
    yield from _late_events(rng)
    yield from _counted(rng)
    yield from _whole_days(rng)


def _windows(rng: random.Random) -> Iterator[Case]:
    """Where a window begins and ends."""
    pushes = Pushes(rng)
    pushes.moves(-120, 200)
    pushes.burst(*sorted(rng.sample(range(9), 5)))
    yield pushes.case("five in ten minutes")
    pushes = Pushes(rng)
    pushes.moves(*sorted(rng.sample(range(9), 4)))
    pushes.elsewhere()
    yield pushes.case("four are too few")
    pushes = Pushes(rng)
    start = 10 * rng.randrange(3, 12)
    pushes.moves(start - 2)
    pushes.burst(*(start + minute + rng.randrange(2) / 4 for minute in (7, 8, 9, 11, 12)))
    yield pushes.case("across a boundary")
    pushes = Pushes(rng)
    pushes.burst(0, *sorted(rng.sample(range(1, 10), 3)), 10)
    yield pushes.case("exactly ten minutes")
    pushes = Pushes(rng)
    pushes.moves(0, *sorted(rng.sample(range(1, 10), 3)), 10 + 1 / 60)
    pushes.elsewhere()
    yield pushes.case("a second too long")
    pushes = Pushes(rng)
    pushes.burst(*[rng.randrange(60)] * rng.randrange(5, 9))
    yield pushes.case("all at one time")


def _alerts(rng: random.Random) -> Iterator[Case]:
    """How many alerts a burst gives, and two bursts."""
    pushes = Pushes(rng)
    pushes.burst(*(2 * minute + rng.randrange(30) / 60 for minute in range(10)))
    yield pushes.case("a long burst is one alert")
    pushes = Pushes(rng)
    pushes.burst(0, 1, 2, 3, 4)
    start = 14.5 + rng.randrange(40)  # no event of the first is in a window with one of these
    pushes.burst(*(start + minute for minute in (0, 1, 2, 3, 4, 5)))
    yield pushes.case("two bursts")


def _late_events(rng: random.Random) -> Iterator[Case]:
    """Events that are written long after they happened."""
    pushes = Pushes(rng)
    late = rng.randrange(4)
    pushes.bursts.append([pushes.push(2 * at, late=90 if at == late else 0) for at in range(5)])
    pushes.moves(60, 75)
    yield pushes.case("a late event")
    pushes = Pushes(rng)
    joined = [pushes.push(minute) for minute in (0, 1, 2, 3, 4, 12, 13, 14, 15, 16)]
    pushes.bursts.append([*joined, pushes.push(rng.randrange(6, 11), late=rng.randrange(60, 90))])
    yield pushes.case("a late event that joins two bursts")
    pushes = Pushes(rng)
    pushes.bursts.append([pushes.push(2 * at, late=0 if at else 90) for at in range(6)])
    start = rng.randrange(30, 60)
    pushes.burst(*(start + at for at in range(5)))
    yield pushes.case("the first move comes last")


def _counted(rng: random.Random) -> Iterator[Case]:
    """Which events count, and what is counted."""
    pushes = Pushes(rng)
    pushes.moves(*range(6), ref="refs/tags/v4")
    start = rng.randrange(100, 150)
    numbers = pushes.burst(*(start + minute for minute in range(5)))
    again = pushes.written[numbers[2]][3]["ref"]
    pushes.bursts[-1].append(pushes.push(start + 6, ref=again))
    yield pushes.case("one tag, back and forth")
    pushes = Pushes(rng)
    pushes.moves(0, 1, 2, repository=0)
    pushes.moves(1, 2, 3, 4, moved=False)
    pushes.moves(2, 3, 4, kind="branch", ref="refs/heads/main")
    pushes.publish(4)
    for minute in range(3):
        pushes.push(3 + minute / 2, kind="branch", ref=f"refs/heads/fix-{minute}")
    pushes.elsewhere()
    yield pushes.case("new tags, and branches")
    pushes = Pushes(rng)
    pushes.moves(0, 2, 4, repository=0)
    pushes.moves(1, 3, 5, repository=1)
    pushes.elsewhere()
    yield pushes.case("two repositories")
    pushes = Pushes(rng)
    pushes.zones = (None, timezone(timedelta(hours=2)), timezone(-timedelta(hours=7, minutes=30)))
    pushes.burst(*sorted(rng.uniform(0, 9.9) for _ in range(6)))
    pushes.moves(120, 125, 129, 135)
    yield pushes.case("clocks in other zones")


def _whole_days(rng: random.Random) -> Iterator[Case]:
    """Another threshold, an empty list, and a day with everything in it."""
    pushes = Pushes(rng, least=rng.choice([2, 3]), window_s=rng.choice([60, 120]))
    window = pushes.window_s / 60
    pushes.burst(*(at * window / (pushes.least - 1) for at in range(pushes.least)))
    pushes.moves(*(60 + at * (window + 1) for at in range(4)))
    yield pushes.case("another rule")
    yield Pushes(rng).case("nothing happened")
    pushes = Pushes(rng)
    pushes.zones = (None, timezone(timedelta(hours=1)))
    for repository in range(3):
        for start in (30, 120, 210):
            length = rng.randrange(5, 14)
            late = rng.choice([0, 0, 45])
            pushes.burst(*(start + 2.4 * at for at in range(length)), repository=repository, late=late)
            pushes.moves(*(start + 50 + 3 * at for at in range(4)), repository=repository)
            pushes.moves(*(start + at for at in range(6)), repository=repository, moved=False)
    yield pushes.case("a whole day")


def _exactly(bursts: set[frozenset[int]]) -> Callable[[Any], bool | Miss]:
    """Accept one set of sequences for each burst, in any order."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, list) or any(not isinstance(alert, list) for alert in answer):
            return Miss("expected a list of sets of sequence numbers, one set for each burst", why="")
        alerts = [frozenset(alert) for alert in answer]
        for at, alert in enumerate(alerts):
            if any(alert & other for other in alerts[:at]):
                return Miss(f"{len(alerts)} alerts, of which two share event {min(alert)}: one burst is one alert")
        if missing := sorted(sorted(burst) for burst in bursts - set(alerts)):
            return Miss(f"expected an alert with the events {missing[0]}")
        if surplus := sorted(sorted(alert) for alert in set(alerts) - bursts):
            return Miss(f"the events {surplus[0]} are no burst")
        return True

    return accept
