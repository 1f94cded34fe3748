"""Figures of the benchmarks: measured, printed one a line, kept for ``--json``.

A line has name, median, spread (5th to 95th percentile), unit, and how the figure was taken.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

rows: list[dict[str, object]] = []


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it gives."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def times(action: Callable[[], object], count: int, warm: int = 1) -> list[float]:
    """Milliseconds of ``count`` calls, after ``warm`` others."""
    for _ in range(warm):
        action()
    return [seconds(action)[0] * 1000 for _ in range(count)]


def report(name: str, values: list[float], unit: str, how: str) -> None:
    """Print one figure and keep it."""
    ordered = sorted(values)
    low, high = ordered[int(len(ordered) * 0.05)], ordered[int((len(ordered) - 1) * 0.95)]
    median = statistics.median(ordered)
    rows.append({"name": name, "median": median, "p05": low, "p95": high, "unit": unit, "how": how})
    print(f"{name:36} {median:10.3f} {unit:9} [{low:.3f} … {high:.3f}]  {how}", flush=True)


def machine() -> str:
    """What the figures were taken on."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def save(path: Path) -> None:
    """Write down all that was reported."""
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))
