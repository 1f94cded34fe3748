"""Time series: the samples of metrics over time, as Prometheus keeps them.

    >>> series = Series()
    >>> series.add(0.0, {labels("up", job="chainlab"): 1.0})
    >>> series.at(labels("up", job="chainlab"), 60.0), series.at(labels("up", job="chainlab"), 600.0)
    (1.0, None)

A series that a scrape no longer brings is *stale* from then on; without a newer sample it is known for five minutes
(Prometheus, "Staleness"). Times are seconds since 1970, kept in milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

__all__ = ["LOOKBACK", "Labels", "Series", "labels", "milliseconds"]

Labels: TypeAlias = tuple[tuple[str, str], ...]  # sorted; the metric's name is the label __name__
LOOKBACK: Final = 300_000  # milliseconds: Prometheus' default


def labels(name: str = "", /, **values: str) -> Labels:
    """Return the labels of a series; an empty value is no label."""
    named = {"__name__": name, **values}
    return tuple(sorted((key, value) for key, value in named.items() if value))


def milliseconds(time: float) -> int:
    """Return a time in whole milliseconds."""
    return round(time * 1000)


class Series:
    """The samples of many series, oldest first."""

    def __init__(self) -> None:
        self._samples: dict[Labels, list[tuple[int, float | None]]] = {}  # None: stale
        self._present: set[Labels] = set()  # in the newest scrape

    def add(self, time: float, samples: Mapping[Labels, float]) -> None:
        """Add the samples of one scrape, later than all before; what it does not bring becomes stale."""
        self.extend(time, {**dict.fromkeys(self._present - samples.keys()), **samples})
        self._present = set(samples)

    def extend(self, time: float, samples: Mapping[Labels, float | None]) -> None:
        """Add samples later than all of their series, and leave other series as they are; None marks stale."""
        moment = milliseconds(time)
        for name, value in samples.items():
            self._samples.setdefault(name, []).append((moment, value))

    def forget(self, before: float) -> None:
        """Drop the samples older than a time, and series without any left."""
        limit = milliseconds(before)
        for name in list(self._samples):
            kept = self._samples[name]
            del kept[: bisect_left(kept, limit, key=_time)]
            if not kept:
                del self._samples[name]
                self._present.discard(name)

    def names(self) -> Iterator[Labels]:
        """Yield the labels of every series."""
        yield from self._samples

    def at(self, name: Labels, time: float) -> float | None:
        """Return a series' value at a time; None when it is stale or has no sample in the last five minutes."""
        samples, moment = self._samples[name], milliseconds(time)
        at = bisect_right(samples, moment, key=_time) - 1
        return samples[at][1] if at >= 0 and samples[at][0] >= moment - LOOKBACK else None

    def between(self, name: Labels, start: float, end: float) -> list[tuple[int, float]]:
        """Return the samples from one time to another, ends included, without stale marks."""
        samples = self._samples[name]
        first = bisect_left(samples, milliseconds(start), key=_time)
        last = bisect_right(samples, milliseconds(end), key=_time)
        return [(moment, value) for moment, value in samples[first:last] if value is not None]


def _time(sample: tuple[int, float | None]) -> int:
    return sample[0]
