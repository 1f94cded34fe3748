"""promtool's test files: series in its notation, and the same rules evaluated by the kit.

expand("0+1x3 _ stale")  →  [0.0, 1.0, 2.0, 3.0, MISSING, None]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainlab.monitor.metrics.alert_rules import AlertEvaluation, AlertRule
from chainlab.monitor.metrics.promql_parser import SeriesSelector, parse_query, seconds
from chainlab.monitor.metrics.series import Labels, Series

MISSING = "missing"
PROGRESSION = re.compile(r"([-+.\d]+?)(?:([-+])([.\d]+))?x(\d+)")


def expand(values: str) -> Iterator[float | str | None]:
    for word in values.split():
        if match := PROGRESSION.fullmatch(word):
            start, sign, step, times = match.groups()
            grows = float(f"{sign}{step}") if step else 0.0
            yield from (float(start) + grows * number for number in range(int(times) + 1))
        elif word.startswith("_"):
            yield from [MISSING] * int(word[2:] or 1)
        else:
            yield None if word == "stale" else float(word)


def labels_of(text: str) -> Labels:
    selector = parse_query(text)
    assert isinstance(selector, SeriesSelector)
    return tuple(sorted((label, value) for label, _, value in selector.matchers))


def embedded(
    rules: Sequence[AlertRule], test: Mapping[str, Any], times: Sequence[float], every: float
) -> dict[float, list[dict[str, Any]]]:
    """What fires at each of the times, in the form of promtool's ``exp_alerts`` with the rule's name beside it."""
    columns = {labels_of(each["series"]): list(expand(str(each["values"]))) for each in test["input_series"]}
    evaluation, series, fired = AlertEvaluation(rules), Series(), {}
    step, until = seconds(test["interval"]), max(times)
    scraped = 0
    for number in range(int(until / every) + 1):
        now = number * every
        while scraped * step <= now:
            row = {name: column[scraped] for name, column in columns.items() if scraped < len(column)}
            series.extend(scraped * step, {name: value for name, value in row.items() if not isinstance(value, str)})
            scraped += 1
        active = evaluation.step(series, now)
        assert not evaluation.problems
        for time in times:
            if now <= time < now + every:
                fired[time] = [
                    {
                        "alertname": alert.rule.name,
                        "exp_labels": {k: v for k, v in alert.labels if k != "alertname"},
                        "exp_annotations": {name: alert.annotation(name) for name in alert.rule.annotations},
                    }
                    for alert in active
                    if alert.firing
                ]
    return fired
