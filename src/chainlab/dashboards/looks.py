"""A figure of re-verification: which question each look answered yes, no or unknown.

>>> import matplotlib
>>> matplotlib.use("Agg")
>>> fig, ax = looks({"Monday": result}, title="All five hold on Monday")  # doctest: +SKIP
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chainlab.dashboards.drawing import ACCENT, INK, PALE, box, canvas
from chainlab.monitor.reverification import Reverification

__all__ = ["looks"]

STEP = 1.35  # between two questions
NAME = 2.3  # width of a look's name


def looks(results: Mapping[str, Reverification], *, title: str) -> tuple[Figure, Axes]:
    """Draw a row for each look and a column for each question: yes, no with its cause, or unknown."""
    questions = list(dict.fromkeys(answer.question for result in results.values() for answer in result.answers))
    width, height = NAME + STEP * len(questions), len(results)
    fig, ax = canvas(9, 1.2 + 0.5 * height, title, (0, width), (-height, 1.1))
    for column, question in enumerate(questions):
        words = "\n".join(textwrap.wrap(question, 15))
        ax.text(NAME + STEP * (column + 0.5), 0.1, words, fontsize=8.5, color=INK, ha="center", va="bottom")
    for row, (name, result) in enumerate(results.items()):
        ax.text(0.05, -row - 0.5, name, fontsize=9, color=INK, va="center")
        for column, question in enumerate(questions):
            causes = [answer.cause for answer in result.answers if answer.question == question]
            place = (NAME + STEP * (column + 0.5), -row - 0.5)
            if not any(causes):
                box(ax, place, STEP - 0.12, 0.8, "yes", fill=PALE)
            elif set(causes) == {"unreachable"}:
                box(ax, place, STEP - 0.12, 0.8, "unknown", fill="white", dashed=True)
            else:
                box(ax, place, STEP - 0.12, 0.8, f"no: {causes[0]}", fill=ACCENT, ink="white")
    return fig, ax
