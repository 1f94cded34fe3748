"""Metrics of a workspace: its state in numbers, in the format that Prometheus scrapes.

    print(exposition(Metrics(workspace.trust / "state.db", book, schedule)).decode())

Everything is computed from what is on disk when it is asked for, so the numbers are right after a restart, and the same
from every process. A moment is given as a time since 1970, as Prometheus' naming rules say: a rule subtracts it from
``time()``, and so also notices that whoever should renew it has died.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chainlab.monitor.alerts.alert import LEVELS
from chainlab.monitor.alerts.alert_book import AlertBook
from chainlab.monitor.metrics.event_totals import BUCKETS, EventTotals
from chainlab.monitor.schedule import MONITOR, Schedule

__all__ = ["CONTENT_TYPE", "Metrics", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STATES: Final = ("firing", "acknowledged")


class Metrics(Collector):
    """The metrics of one workspace; safe to collect from several threads."""

    def __init__(self, database_path: Path, book: AlertBook, schedule: Schedule) -> None:
        self._totals = EventTotals(database_path)
        self._book = book
        self._schedule = schedule
        self._guard = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric. Raises `Unavailable` when the state cannot be read: then nothing is served."""
        with self._guard:
            self._totals.read()
            families = [*_events(self._totals), *_gate(self._totals), *_watching(self._totals), *self._monitor()]
        yield from families

    def _monitor(self) -> Iterator[Metric]:
        looks = {look.name: look for look in self._schedule.looks()}
        own = looks.pop(MONITOR, None)
        observers = {name: float(look.problem is None) for name, look in looks.items()}
        yield _gauge("chainlab_observer_succeeded", "Whether the observer's last look succeeded", "observer", observers)
        yield _gauge(
            "chainlab_observer_last_success_timestamp_seconds",
            "When the observer's last look succeeded",
            "observer",
            {name: look.succeeded for name, look in looks.items() if look.succeeded is not None},
        )
        if own is not None:
            yield GaugeMetricFamily(
                "chainlab_monitor_last_look_timestamp_seconds", "When the monitor looked last", value=own.looked
            )
        behind = self._totals.last - self._book.cursor()
        yield GaugeMetricFamily("chainlab_monitor_events_behind", "Events no detection has looked at", value=behind)
        alerts = Counter((alert.level, alert.state) for alert in self._book.alerts())
        family = GaugeMetricFamily("chainlab_alerts", "Open alerts", labels=("level", "state"))
        for level in LEVELS:
            for state in STATES:
                family.add_metric((level, state), alerts[level, state])
        yield family


def exposition(metrics: Metrics) -> bytes:
    """Write all metrics in the text format of Prometheus. Raises `Unavailable` when the state cannot be read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    return generate_latest(registry)


def _events(totals: EventTotals) -> Iterator[Metric]:
    yield _counter("chainlab_events", "Events by type", "type", totals.types)
    waiting = totals.waiting
    yield GaugeMetricFamily(
        "chainlab_publications_uninspected", "Published wheels not yet compared with their source", value=len(waiting)
    )
    if waiting:
        yield GaugeMetricFamily(
            "chainlab_publications_uninspected_oldest_timestamp_seconds",
            "When the first published wheel that waits for its inspection was published",
            value=waiting[0],
        )


def _gate(totals: EventTotals) -> Iterator[Metric]:
    yield _counter("chainlab_gate_verdicts", "The gate's verdicts, by whether they allowed", "allowed", totals.verdicts)
    yield _counter("chainlab_gate_refusals", "Refusals by the rule that refused", "rule", totals.refusals)
    yield CounterMetricFamily("chainlab_gate_failures", "Verdicts the gate could not give", value=totals.failures)
    bounds = (*map(str, BUCKETS), "+Inf")
    buckets = [(bound, float(count)) for bound, count in zip(bounds, accumulate(totals.verdict_buckets), strict=True)]
    yield HistogramMetricFamily(
        "chainlab_gate_verdict_seconds",
        "How long the gate's verdicts took",
        buckets=buckets,
        sum_value=totals.verdict_seconds,
    )


def _watching(totals: EventTotals) -> Iterator[Metric]:
    yield _gauge(
        "chainlab_part_answered",
        "Whether the part answered the last heartbeat",
        "part",
        {part: float(answered) for part, answered in totals.answered.items()},
    )
    yield _gauge("chainlab_part_last_answer_timestamp_seconds", "When the part answered last", "part", totals.answers)
    yield _gauge(
        "chainlab_log_last_look_timestamp_seconds", "When the log monitor saw the log last", "log", totals.log_looks
    )
    yield _gauge("chainlab_log_entries", "Entries of the log, as the log monitor saw them", "log", totals.log_sizes)
    yield _counter("chainlab_log_skipped_entries", "Entries the log monitor did not read", "log", totals.skipped)
    service = totals.service
    verified = {service["reference"]: float(service["verified"])} if service else {}
    checked = {service["reference"]: service["checked"]} if service else {}
    yield _gauge("chainlab_service_verified", "Whether the release that runs would be admitted", "release", verified)
    yield _gauge("chainlab_service_last_check_timestamp_seconds", "When that was checked last", "release", checked)


def _gauge(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=(label,))
    for text, value in sorted(values.items()):
        family.add_metric((text,), value)
    return family


def _counter(name: str, documentation: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=(label,))
    for text, value in sorted(values.items()):
        family.add_metric((text,), value)
    return family
