"""Cases for exercise 5.6: alert rules of Prometheus, evaluated over an hour of metrics.

The embedded evaluation (`chainlab.monitor.metrics.alert_rules`) looks every half minute, as Prometheus would. Every
timeline has a time when an alert is due and one when none may fire (`fixtures.metric_timelines`), so rules that never
fire and rules that always fire are right nowhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.metric_timelines import EVERY_S, FAILING, NO_DATA, Timeline
from chainlab.monitor.metrics.alert_rules import AlertEvaluation, parse_alert_rules
from chainlab.monitor.metrics.series import Series, labels

__all__ = ["cases", "evaluated", "sample"]

SEE = "labs/05_monitoring.ipynb, 'Numbers, and their absence'"
TEACHES = {
    "a gate that fails": "A counter counts since its process was started, so its value alone says nothing. "
    "`increase(…[10m])` is what it rose in ten minutes.",
    "failures that end": "An alert ends when its query returns nothing. Ten minutes after the last failure nothing is "
    "left in the window.",
    "failures that trickle": "More than three within ten minutes, and two are not: look at how long the window is.",
    "an exporter that is down": "Prometheus writes `up` itself, at each scrape: 0 when the exporter did not answer. It "
    "must fire within five minutes, and for as long as nothing is known.",
    "an exporter that is gone": "When nobody scrapes it any more there is no `up` either. A comparison with nothing "
    "returns nothing: no alert. `absent(…)` returns something when there is no series.",
    "one of two is gone": "`absent` asks whether there is *any* such series. Ask for each job by itself.",
    "a restart": "A restart takes a minute or so, several times a day. `for` is how long it has to be so before "
    "somebody is called.",
    "a counter that begins anew": "After a restart the counter is lower than before. `increase` knows that a counter "
    "only rises and reads the fall as a new beginning; a difference of two values does not.",
}

# Why an alert fires while all is well, in the first minutes of every hour.
AT_ONCE = {
    FAILING: TEACHES["a gate that fails"],
    NO_DATA: "`up` has a series for every job, of other teams as well. Select yours.",
}
QUIET = 14  # minutes


def evaluated(rules: Callable[[], str]) -> Callable[..., dict[str, list[float]]]:
    """Make the rules a function of series: it maps each alert to the minutes at which it fires."""

    def run(series: list[dict[str, Any]]) -> dict[str, list[float]]:
        text = rules()
        if not isinstance(text, str):
            raise TypeError(f"expected the text of a rule file, got {type(text).__name__}")
        evaluation, known = AlertEvaluation(parse_alert_rules(text)), Series()
        fired: dict[str, list[float]] = {rule.name: [] for rule in evaluation.rules}
        for step in range(len(series[0]["values"])):
            now = float(step * EVERY_S)
            known.add(now, _scrape(series, step))
            for alert in evaluation.step(known, now):
                if alert.firing and now / 60 not in fired[alert.rule.name]:
                    fired[alert.rule.name].append(now / 60)
            if evaluation.problems:
                name, why = next(iter(evaluation.problems.items()))
                raise ValueError(f"{name}: {why}")
        return fired

    return run


def sample(seed: int = 1) -> list[dict[str, Any]]:
    """Make an hour in which the gate's exporter is gone after forty minutes."""
    timeline = Timeline(random.Random(f"sample/{seed}"))  # noqa: S311 (variation, not secrecy)
    timeline.outage("gate", 40, 60, None)
    return timeline.series


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Let the gate fail and the exporters fall silent, each in its own hour."""
    for name, timeline in _timelines(rng):
        yield Case(name, (timeline.series,), accept=_in_time(timeline))


def _timelines(rng: random.Random) -> Iterator[tuple[str, Timeline]]:
    def timeline(name: str) -> Timeline:
        made[name] = Timeline(rng)
        return made[name]

    made: dict[str, Timeline] = {}
    start = rng.randrange(24, 30)
    job, other = rng.sample(["gate", "service"], 2)
    timeline("a gate that fails").failing(start, 60)
    timeline("failures that end").failing(start - 4, start + 4)
    timeline("failures that trickle").trickle(28, 44)
    made["failures that trickle"].failing(50, 60)
    timeline("an exporter that is down").outage(job, start, start + 12)
    timeline("an exporter that is gone").outage(job, start, start + 12, None)
    made["an exporter that is gone"].outage(other, start, start + 12, None)
    timeline("one of two is gone").outage(other, start + 3, 60, None)
    timeline("a restart").restart(job, 20, rng.choice([2, 3]))
    made["a restart"].restart(other, start + 2, 3)
    made["a restart"].outage(other, start + 12, start + 24)
    timeline("a counter that begins anew").restart("gate", 20, 2)
    made["a counter that begins anew"].failing(start + 10, start + 20)
    yield from made.items()


def _scrape(series: list[dict[str, Any]], step: int) -> dict[Any, float]:
    scrape = {}
    for one in series:
        name, value = dict(one["metric"]), one["values"][step]
        if value is not None:
            scrape[labels(name.pop("__name__"), **name)] = float(value)
    return scrape


def _in_time(timeline: Timeline) -> Callable[[Any], bool | Miss]:
    """Accept alerts that fire whenever they are due, and at no time when they may not."""

    def accept(fired: Any) -> bool | Miss:
        if missing := [name for name in (FAILING, NO_DATA) if name not in fired]:
            return Miss(f"there is no alert {missing[0]}", "The two alerts have the names that the task gives them.")
        for name in (FAILING, NO_DATA):
            for minute in fired[name]:
                if not any(alert == name and first <= minute <= last for alert, first, last in timeline.allowed):
                    text = f"{name} fires at minute {minute:g}, when nothing is wrong"
                    return Miss(text, AT_ONCE[name]) if minute < QUIET else Miss(text)
        for name, first, last in timeline.due:
            if not any(first <= minute <= last for minute in fired[name]):
                return Miss(f"{name} does not fire between minute {first} and minute {last}")
        return True

    return accept
