"""Measure detections on labelled events: recall, false positives, and what an alert is worth at a base rate.

    precision = recall · π ÷ (recall · π + FPR · (1 − π))        π: the share of units that are attacks

A false-positive rate has a unit, the event type of one trial: units matched in a benign history ÷ its units. A match
without an event of that type counts as one unit. Intervals are exact binomial ones (Clopper and Pearson) at 95 %. A
rule without a false alarm in n units has no rate of zero: its rate is at most 3 ÷ n. The interval of a precision
combines those of its two rates, each at √95 %, because both must hold: it errs to the wide side.

    >>> [round(precision(1, 0.001, rate), 3) for rate in BASE_RATES]
    [0.834, 0.333, 0.091]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor, log10, sqrt
from typing import Any, Final

from scipy.special import betaincinv

from chainlab.display import Display, Shown
from chainlab.events import PREFIX
from chainlab.monitor.detections import Detection
from chainlab.monitor.histories import History
from chainlab.monitor.matching import Match, find_matches

__all__ = ["BASE_RATES", "Measurement", "Precision", "Rate", "RuleMeasurement", "measure", "precision"]

BASE_RATES: Final = (1 / 200, 1 / 2000, 1 / 10000)
CONFIDENCE: Final = 0.95
WEEK: Final = 7 * 86400  # seconds


@dataclass(frozen=True)
class Rate:
    """How many of n trials had an outcome."""

    count: int
    n: int

    @property
    def value(self) -> float | None:
        """The share; None without trials."""
        return self.count / self.n if self.n else None

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the exact binomial interval; one-sided where none or all had the outcome, so that 0 of n is 3 ÷ n."""
        if not self.n:
            return 0.0, 1.0
        one_sided = self.count in (0, self.n)
        tail = (1 - confidence) / (1 if one_sided else 2)
        low = 0.0 if self.count == 0 else float(betaincinv(self.count, self.n - self.count + 1, tail))
        high = 1.0 if self.count == self.n else float(betaincinv(self.count + 1, self.n - self.count, 1 - tail))
        return low, high

    def __str__(self) -> str:
        return f"{self.count} of {self.n}"


@dataclass(frozen=True)
class Precision:
    """The share of a rule's alerts that are attacks, at one base rate, with its interval.

    The value is None where it cannot be estimated: without attacks or units, and without a false alarm, when only a
    lower bound is known.
    """

    base_rate: float
    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        if self.value is None:
            return f"≥ {_share(self.low)}" if self.low else "unknown"
        return f"{_share(self.value)} ({_share(self.low)} to {_share(self.high)})"


@dataclass(frozen=True)
class RuleMeasurement:
    """The figures of one rule. ``failed`` says why it could not be asked; its figures are worth nothing then."""

    detection: Detection
    recall: Rate  # n: attacks
    false_positives: Rate  # n: benign units
    alarms: tuple[Match, ...]  # in the benign history
    alerts_a_week: float | None  # in the benign history; None for one without length
    failed: str = ""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precision at each of `BASE_RATES`."""
        return tuple(self._precision(base_rate) for base_rate in BASE_RATES)

    @property
    def passed(self) -> bool:
        """Whether the rule was asked, and detected an attack."""
        return not self.failed and self.recall.count > 0

    def _precision(self, base_rate: float) -> Precision:
        recall, rate = self.recall.value, self.false_positives.value
        each = sqrt(CONFIDENCE)
        (recall_low, recall_high), (rate_low, rate_high) = (
            self.recall.interval(each),
            self.false_positives.interval(each),
        )
        low, high = precision(recall_low, rate_high, base_rate), precision(recall_high, rate_low, base_rate)
        value = precision(recall, rate, base_rate) if recall is not None and rate else None
        return Precision(base_rate, value, low or 0.0, 1.0 if high is None else high)

    def false_positive_rate(self, *, interval: bool = True) -> str:
        """Write the rate with its unit, n and interval: "≤ 0.0030 (0 of 1000 artifact.published)"."""
        rate = self.false_positives
        of = f"{rate} {self.detection.unit}"
        if not rate.n:
            return f"unknown ({of})"
        if not rate.count:
            return f"≤ {min(1.0, 3 / rate.n):.4f} ({of})"
        low, high = rate.interval()
        return f"{rate.value:.4f} ({low:.4f} to {high:.4f}; {of})" if interval else f"{rate.value:.4f} ({of})"

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them."""
        return {
            "rule": self.detection.name,
            "technique": list(self.detection.technique) or "none: hygiene",
            "framework": self.detection.framework,
            "unit": self.detection.unit,
            "recall": _rate_document(self.recall),
            "false_positive_rate": _rate_document(self.false_positives),
            "precision": [
                {"base_rate": p.base_rate, "value": p.value, "interval": [p.low, p.high]} for p in self.precisions
            ],
            "alerts_a_week": self.alerts_a_week,
            "failed": self.failed or None,
        }


class Measurement(Shown):
    """The figures of several rules, in the order of their detections."""

    def __init__(self, rules: Sequence[RuleMeasurement], own: Iterable[str] = ()) -> None:
        self.rules = tuple(rules)
        self._own = frozenset(own)  # names of a learner's rules

    def __getitem__(self, name: str) -> RuleMeasurement:
        return next(rule for rule in self.rules if rule.detection.name == name)

    @property
    def passed(self) -> bool:
        """Whether each rule detected an attack."""
        return all(rule.passed for rule in self.rules)

    def document(self) -> list[dict[str, Any]]:
        """Return the figures as JSON can hold them."""
        return [rule.document() | {"own": rule.detection.name in self._own} for rule in self.rules]

    def _display(self) -> Display:
        columns = (
            "rule",
            "technique",
            "recall",
            "FPR",
            *(f"{'precision ' if rate == BASE_RATES[0] else ''}1:{1 / rate:,.0f}" for rate in BASE_RATES),
            "a week",
        )
        rows = [self._row(rule) for rule in self.rules]
        return Display(f"{len(rows)} rule{'s' * (len(rows) != 1)} measured", columns, rows)

    def _row(self, rule: RuleMeasurement) -> tuple[str, ...]:
        name = f"{rule.detection.name} (yours)" if rule.detection.name in self._own else rule.detection.name
        technique = ", ".join(rule.detection.technique) or "hygiene"
        if rule.failed:
            return (name, technique, f"not asked: {rule.failed}", *[""] * 5)
        weekly = "–" if rule.alerts_a_week is None else _a_week(rule.alerts_a_week)
        rate = rule.false_positive_rate(interval=False)  # the intervals of the precisions have it already
        return (name, technique, str(rule.recall), rate, *map(str, rule.precisions), weekly)


def precision(recall: float, false_positive_rate: float, base_rate: float) -> float | None:
    """Return the share of alerts that are attacks, when ``base_rate`` of the units are; None when nothing alerts."""
    alerts = recall * base_rate + false_positive_rate * (1 - base_rate)
    return recall * base_rate / alerts if alerts else None


def measure(
    detections: Iterable[Detection], benign: History, attacked: History, *, own: Iterable[str] = ()
) -> Measurement:
    """Measure rules: false alarms on benign events, recall on attacked ones. ``own`` marks rules in the table."""
    detections = tuple(detections)
    quiet, loud = find_matches(detections, benign.events), find_matches(detections, attacked.events)
    types = {event.sequence: event.type.removeprefix(PREFIX) for event in benign.events}
    units: dict[str, int] = {}
    for type_ in types.values():
        units[type_] = units.get(type_, 0) + 1
    weeks = _length(benign) / WEEK
    rules = []
    for detection in detections:
        alarms = [match for match in quiet if match.rule == detection.name]
        seen = _sequences(match for match in loud if match.rule == detection.name)
        attacks = attacked.attacks.get(detection.detects, ())
        rules.append(
            RuleMeasurement(
                detection,
                recall=Rate(sum(not attack.isdisjoint(seen) for attack in attacks), len(attacks)),
                false_positives=_false_positives(detection.unit, alarms, types, units.get(detection.unit, 0)),
                alarms=tuple(alarms),
                alerts_a_week=len(alarms) / weeks if weeks else None,
                failed=quiet.failed.get(detection.name) or loud.failed.get(detection.name) or "",
            )
        )
    return Measurement(rules, own)


def _false_positives(unit: str, alarms: Iterable[Match], types: Mapping[int, str], n: int) -> Rate:
    """Count the units in alarms; an alarm without one, about an event of another type, counts as one."""
    matched: set[int] = set()
    for alarm in alarms:
        matched.update([s for s in alarm.sequences if types[s] == unit] or alarm.sequences[:1])
    return Rate(min(len(matched), n), n)


def _share(value: float) -> str:
    """Write a share with two decimals, or two digits below a tenth: 0.91, 0.0042."""
    return f"{value:.2f}" if value >= 0.1 or not value else f"{value:.{1 - floor(log10(value))}f}"


def _sequences(matches: Iterable[Match]) -> set[int]:
    return {sequence for match in matches for sequence in match.sequences}


def _length(history: History) -> float:
    """Seconds between the first event of a history and its last."""
    times = [datetime.fromisoformat(event.scenario_time or event.time) for event in history.events]
    return (max(times) - min(times)).total_seconds() if times else 0.0


def _a_week(alerts: float) -> str:
    return "< 0.1" if 0 < alerts < 0.05 else f"{alerts:.1f}"


def _rate_document(rate: Rate) -> dict[str, Any]:
    return {"count": rate.count, "n": rate.n, "value": rate.value, "interval": list(rate.interval())}
