"""Drawing primitives of figures and diagrams: the palette, and boxes, frames and arrows on bare axes."""

from __future__ import annotations

from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

__all__ = ["arrow", "box", "canvas", "frame"]

INK: Final = "#1b3a57"
ACCENT: Final = "#c8651b"
PALE: Final = "#eef2f5"
GREY: Final = "#777777"
TEXT: Final = "#222222"

Point = tuple[float, float]


def canvas(width: float, height: float, title: str, xlim: Point, ylim: Point) -> tuple[Figure, Axes]:
    """A figure of a size in inches, its axes without ticks and frame."""
    fig, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=xlim, ylim=ylim, title=title)
    ax.axis("off")
    return fig, ax


def box(
    ax: Axes,
    centre: Point,
    width: float,
    height: float,
    text: str,
    *,
    fill: str = "white",
    ink: str = TEXT,
    dashed: bool = False,
) -> None:
    """Draw a rounded box around ``centre``, with a text in it; sizes are in the axes' units."""
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    ax.add_patch(
        FancyBboxPatch(
            corner,
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=fill,
            edgecolor=INK,
            linewidth=1.2,
            linestyle="--" if dashed else "-",
        )
    )
    ax.text(*centre, text, ha="center", va="center", fontsize=8.5, color=ink)


def frame(ax: Axes, x: float, y: float, width: float, height: float, name: str) -> None:
    """Draw a frame from its lower left corner, with its name at the top left."""
    ax.add_patch(Rectangle((x, y), width, height, facecolor="none", edgecolor=INK, linewidth=1))
    ax.text(x + 0.1, y + height - 0.08, name, fontsize=8.5, color=INK, va="top", weight="bold")


def arrow(ax: Axes, start: Point, stop: Point, text: str = "", *, dashed: bool = False, accent: bool = False) -> None:
    """Draw an arrow, with a text above its middle."""
    colour = ACCENT if accent else INK
    ax.annotate(
        "",
        stop,
        start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "lw": 1.3,
            "ls": "--" if dashed else "-",
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    if text:
        ax.text(
            (start[0] + stop[0]) / 2,
            (start[1] + stop[1]) / 2 + 0.1,
            text,
            fontsize=8.5,
            color=colour,
            ha="center",
            va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
