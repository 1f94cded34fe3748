"""Scrapes: the metrics over time that alert rules look back on, kept on disk for as long as a rule needs them.

    scrapes = Scrapes(workspace.path / "monitor" / "state.db")
    scrapes.add(now, read_exposition(text))
    scrapes.series(now)                # the samples of the last hours, as `Series`

What is pending is kept, too: a rule's ``for`` goes on where it was when the monitor starts again.
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from chainlab.database import SqliteStore
from chainlab.errors import MalformedInput, Unavailable
from chainlab.monitor.metrics.promql_parser import LONGEST_RANGE
from chainlab.monitor.metrics.series import LOOKBACK, Labels, Series, labels

__all__ = ["JOB", "KEPT_S", "Scrapes", "read_exposition", "read_metrics"]

JOB: Final = "chainlab"  # the label `job`, as in Prometheus' configuration
KEPT_S: Final = LONGEST_RANGE + LOOKBACK / 1000  # seconds
PATIENCE: Final = 10  # seconds to wait for the metrics
MAX_BYTES: Final = 2**22  # of the metrics
GAP_S: Final = 600.0  # after a longer pause nothing is pending any more
SCHEMA = """
CREATE TABLE IF NOT EXISTS scrapes (
    time    REAL PRIMARY KEY,  -- seconds since 1970
    samples TEXT NOT NULL      -- JSON: [labels, value as text]
) STRICT;
CREATE TABLE IF NOT EXISTS pending_alerts (
    rule   TEXT NOT NULL,
    labels TEXT NOT NULL,      -- JSON
    since  REAL NOT NULL,      -- seconds since 1970
    PRIMARY KEY (rule, labels)
) STRICT;
"""


class Scrapes(SqliteStore):
    """The scrapes of one workspace's metrics."""

    def __init__(self, database: Path) -> None:
        super().__init__(database, SCHEMA)
        self._series, self._last = Series(), 0.0

    def add(self, now: float, samples: Mapping[Labels, float]) -> None:
        """Keep a scrape, and drop what no rule looks back on."""
        document = json.dumps([[name, str(value)] for name, value in samples.items()])
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO scrapes VALUES (?, ?)", (now, document))
            self._connection.execute("DELETE FROM scrapes WHERE time < ?", (now - KEPT_S,))

    def series(self, now: float) -> Series:
        """Return the kept samples. Scrapes of other processes are among them."""
        rows = self._rows("SELECT time, samples FROM scrapes WHERE time > ? ORDER BY time", (self._last,))
        for self._last, document in rows:
            self._series.add(self._last, {_labels(name): float(value) for name, value in json.loads(document)})
        self._series.forget(now - KEPT_S)
        return self._series

    def pending(self, now: float) -> dict[tuple[str, Labels], float]:
        """Return since when alerts are pending, by rule and labels; nothing after a long pause."""
        newest = self._rows("SELECT max(time) FROM scrapes")[0][0]
        if newest is None or not 0 <= now - newest <= GAP_S:
            return {}
        rows = self._rows("SELECT rule, labels, since FROM pending_alerts")
        return {(rule, _labels(json.loads(text))): since for rule, text, since in rows}

    def keep_pending(self, since: Mapping[tuple[str, Labels], float]) -> None:
        """Replace what `pending` returns."""
        rows = [(rule, json.dumps(name), moment) for (rule, name), moment in since.items()]
        with self._transaction():
            self._connection.execute("DELETE FROM pending_alerts")
            self._connection.executemany("INSERT INTO pending_alerts VALUES (?, ?, ?)", rows)


def read_metrics(url: str) -> str:
    """Ask the services at ``url`` for their metrics. Raises `Unavailable` when they do not answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/metrics", timeout=PATIENCE) as answer:
            return str(answer.read(MAX_BYTES).decode())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable("/metrics does not answer", why=str(error), hint="are the services running?") from error


def read_exposition(text: str) -> dict[Labels, float]:
    """Read metrics in Prometheus' text format, as a scrape of the job `JOB`. Raises `MalformedInput`."""
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise MalformedInput("/metrics is not in the format of Prometheus", why=str(error)) from error
    return {
        labels(sample.name, **{**sample.labels, "job": JOB}): float(sample.value)
        for family in families
        for sample in family.samples
    }


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)
