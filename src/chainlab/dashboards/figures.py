"""Figures of the lessons on threats and measuring. Each function returns its figure and its axes.

The caller chooses the style and gives the finding as the title:

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> fig, ax = exposure(windows, title="Most windows are hours long")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chainlab.dashboards.drawing import ACCENT, GREY, INK, PALE
from chainlab.dashboards.tables import spoken

__all__ = ["clocks", "exposure", "pipeline"]

# The place of each stage: two rows, the upper from left to right, the lower back. Units: box widths, rows.
_PLACES: Final = {
    "producer": (0.0, 0.0),
    "source": (1.35, 0.0),
    "run": (2.7, 0.0),
    "artifact": (4.05, 0.0),
    "sbom": (5.4, 0.0),
    "attest": (6.75, 0.0),
    "registry": (6.75, -1.5),
    "gate": (5.4, -1.5),
    "deploy": (4.05, -1.5),
    "watch": (2.7, -1.5),
    "inputs": (0.7, -1.5),
}
_ORDER: Final = (
    "producer",
    "source",
    "run",
    "artifact",
    "sbom",
    "attest",
    "registry",
    "gate",
    "deploy",
    "watch",
)
_HALF_WIDTH, _HALF_HEIGHT = 0.47, 0.36
_DAY: Final = 24 * 60  # minutes
_FLOOR: Final = 20.0  # minutes: the left edge of the exposure windows
_TICKS: Final = {
    30: "30 min",
    60: "1 h",
    180: "3 h",
    720: "12 h",
    _DAY: "1 d",
    7 * _DAY: "1 wk",
    30 * _DAY: "30 d",
    300 * _DAY: "300 d",
}


def pipeline(stages: pd.DataFrame, threats: pd.DataFrame, *, title: str) -> tuple[Figure, Axes]:
    """Draw the pipeline as boxes and arrows, with the letters of the threats on them.

    ``stages``: index stage; columns kind, title, holds. ``threats``: index letter; column at: a
    stage, or ``one>other`` for the arrow between two.
    """
    fig, ax = plt.subplots(figsize=(10, 4.4))
    for stage in _ORDER:
        kind = stages.loc[stage, "kind"]
        _box(
            ax,
            stage,
            stages.loc[stage, "title"],
            stages.loc[stage, "holds"],
            dashed=kind in ("control", "evidence"),
        )
    inputs = stages[stages["kind"] == "input"]
    _box(ax, "inputs", "inputs", "\n".join(inputs["title"]), dashed=False)
    for start, stop in [*pairwise(_ORDER), ("inputs", "run")]:
        ax.annotate(
            "",
            _edge(stop, start),
            _edge(start, stop),
            arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkA": 0, "shrinkB": 0},
        )
    for letter, at in threats["at"].items():
        x, y = _letter_place(at)
        ax.text(
            x,
            y,
            letter,
            ha="center",
            va="center",
            weight="bold",
            color="white",
            fontsize=9.5,
            bbox={"boxstyle": "circle,pad=0.22", "facecolor": ACCENT, "edgecolor": "white"},
        )
    ax.text(
        1.98,
        -0.98,
        "each has its\nown A to I",
        ha="left",
        va="center",
        fontsize=8,
        color=ACCENT,
        weight="bold",
    )
    ax.text(
        0.7,
        -2.0,
        "Solid: what is made and run. Dashed: evidence and controls.",
        ha="center",
        va="center",
        fontsize=7.5,
        color="#333333",
    )
    ax.set(xlim=(-0.55, 7.35), ylim=(-2.1, 0.5), title=title)
    ax.axis("off")
    return fig, ax


def exposure(
    windows: pd.DataFrame,
    *,
    title: str,
    detected: pd.Series,
    remarks: Mapping[str, str] | None = None,
) -> tuple[Figure, Axes]:
    """Draw exposure windows on a log scale, shortest at the bottom, each with its length beside it.

    ``windows`` as `chainlab.dashboards.tables.elapsed` gives it: a dot where the length is known,
    a bar where it is bounded (an arrow where it may be shorter), words where it is unknown.
    ``detected``: minutes to detection (index id), drawn as a ring where the end is unknown.
    ``remarks``: id to words that follow the length, where a number alone would mislead.
    """
    rows = windows.sort_values(["high", "low"], na_position="last")
    fig, ax = plt.subplots(figsize=(9, 0.27 * len(rows) + 1.4))
    for y, (name, row) in enumerate(rows.iterrows()):
        words, end = _window(ax, y, row, float(detected[name]) if name in detected.index else None)
        words = f"{words} {(remarks or {}).get(str(name), '')}".strip()
        side = -1 if end > 30 * _DAY else 1
        near = min(row["low"], end) if side < 0 and pd.notna(row["low"]) else end
        ax.annotate(
            words,
            (near, y),
            (9 * side, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="center",
            ha="left" if side > 0 else "right",
            color="#333333",
        )
    key = "dot: length known\nbar: bounded by what the source states\nring: end not dated"
    ax.text(0.99, 0.04, key, transform=ax.transAxes, ha="right", fontsize=8.5, color="#333333")
    ax.set_xscale("log")
    ax.set_xticks(list(_TICKS), labels=list(_TICKS.values()))
    ax.minorticks_off()
    ax.set(
        xlim=(_FLOOR, 500 * _DAY),
        ylim=(-0.7, len(rows) - 0.3),
        title=title,
        xlabel="from available (T0) to contained (T5), log scale",
    )
    ax.set_yticks(range(len(rows)), labels=list(rows.index))
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    return fig, ax


def _window(ax: Axes, y: int, row: pd.Series, detected: float | None) -> tuple[str, float]:
    """Draw one window; returns its length in words, and its right end in minutes."""
    if pd.notna(row["minutes"]):
        ax.plot(row["minutes"], y, "o", color=INK)
        return spoken(row["minutes"]), row["minutes"]
    if pd.notna(row["high"]):
        low = max(row["low"], _FLOOR)
        ax.plot([low, row["high"]], [y, y], color=ACCENT, lw=5, solid_capstyle="butt")
        if row["low"] < _FLOOR:
            ax.plot(_FLOOR, y, "<", color=ACCENT, clip_on=False)
        return _bounded(row["low"], row["high"]), row["high"]
    if detected is not None:
        ax.plot(detected, y, "o", markerfacecolor="white", color=INK)
        return f"{spoken(detected)} to detection; end not dated", detected
    return "unknown", _FLOOR


def clocks(sources: pd.DataFrame, *, title: str) -> tuple[Figure, Axes]:
    """Draw what each source states about one window: a bar on the clock, or words where it gives no times.

    ``sources``: columns source, label, start, stop (timestamps, NaT where not stated), minutes.
    """
    rows = sources.iloc[::-1].reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(9, 0.42 * len(rows) + 1.2))
    day = rows["start"].min().normalize()
    hours = (rows[["start", "stop"]] - day) / pd.Timedelta(hours=1)
    last = hours["stop"].max()
    for y, row in rows.iterrows():
        if pd.notna(hours.loc[y, "start"]):
            ax.barh(
                y,
                row["minutes"] / 60,
                left=hours.loc[y, "start"],
                height=0.5,
                color=INK if row["label"] == "V" else GREY,
            )
        text = spoken(row["minutes"]) + ("" if pd.notna(row["start"]) else ", no clock times given")
        at = hours.loc[y, "stop"] if pd.notna(row["stop"]) else hours["start"].min()
        ax.annotate(text, (at, y), (5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(
        range(len(rows)),
        labels=[f"{s} [{v}]" for s, v in zip(rows["source"], rows["label"], strict=True)],
    )
    ax.set(
        title=title,
        xlabel=f"hour of {day.day} {day:%B %Y}, UTC",
        xlim=(None, last + 1.2),
        ylim=(-0.6, len(rows) - 0.4),
    )
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    return fig, ax


def _box(ax: Axes, stage: str, title: str, holds: str, *, dashed: bool) -> None:
    x, y = _PLACES[stage]
    ax.add_patch(
        Rectangle(
            (x - _HALF_WIDTH, y - _HALF_HEIGHT),
            2 * _HALF_WIDTH,
            2 * _HALF_HEIGHT,
            facecolor="white" if dashed else PALE,
            edgecolor=INK,
            linestyle="--" if dashed else "-",
        )
    )
    ax.text(x, y + 0.2, title, ha="center", va="center", weight="bold", fontsize=9, color=INK)
    lines = holds if "\n" in holds else _wrapped(holds)
    ax.text(x, y - 0.1, lines, ha="center", va="center", fontsize=7.5, color="#333333")


def _wrapped(text: str, width: int = 17) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _edge(stage: str, towards: str) -> tuple[float, float]:
    """The point on a box's border that faces another box."""
    (x, y), (u, v) = _PLACES[stage], _PLACES[towards]
    if y == v:
        return x + (_HALF_WIDTH if u > x else -_HALF_WIDTH), y
    if x == u:
        return x, y + (_HALF_HEIGHT if v > y else -_HALF_HEIGHT)
    return x + (_HALF_WIDTH if u > x else -_HALF_WIDTH), y + (0.2 if v > y else -0.2)


def _letter_place(at: str) -> tuple[float, float]:
    """The place of a threat's letter: on a box's upper border, or in the middle of an arrow."""
    if ">" not in at:
        x, y = _PLACES[at]
        return x - _HALF_WIDTH + 0.08, y + _HALF_HEIGHT
    start, _, stop = at.partition(">")
    (x, y), (u, v) = _edge(start, stop), _edge(stop, start)
    return (x + u) / 2, (y + v) / 2


def _bounded(low: float, high: float) -> str:
    if low < 1:
        return f"under {spoken(high)}"
    return f"{spoken(low)} to {spoken(high)}"
