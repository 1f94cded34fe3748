"""Results of a check (right, wrong, not attempted), each as text and as HTML for notebooks.

    >>> Right("1.1", visible=8, generated=8, seed=1, points=4)
    ✔ 1.1 right, 4 points (8 cases, 8 generated from seed 1)
    >>> bool(NotRight(Incorrect("exercise 1.1, case 'one file': expected [], got None")))
    False

The text is the same on every machine, so stored outputs can be compared with it. The HTML has a mark and a word beside
each colour, is escaped, and links to pages so that the links work from ``labs/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from chainlab.characters import join_lines, visible
from chainlab.course.learning.notebook_pages import anchor
from chainlab.course.learning.progress import MARKS
from chainlab.course.learning.solution_reasons import Reason
from chainlab.errors import Incorrect, NotAttempted

__all__ = ["NotRight", "Right"]

# White text on each colour has a contrast of at least 5 to 1, in a light and in a dark theme.
COLOURS = {"done": "#1a7f37", "wrong": "#b42318", "not attempted": "#57606a"}
PAGE = re.compile(
    r"(?P<path>(?:notebooks|labs|solutions|docs|templates)/[\w./-]+\.(?:ipynb|md))(?:, '(?P<heading>.+)')?"
)
CODE = re.compile(r"`([^`]+)`")
COMMANDS = ("At", "To try it")  # parts shown as code


@dataclass(frozen=True, repr=False)
class Right:
    """The result of a right answer; true."""

    exercise: str
    visible: int  # cases
    generated: int  # cases
    seed: int
    notes: tuple[str, ...] = ()  # what a right answer may still miss
    points: int = 0  # 0 where they are unknown
    reason: Reason | None = None  # why it works, in an edition that shows it

    def __str__(self) -> str:
        lines = [f"{MARKS['done']} {self.exercise} right{self._points} ({self._cases})"]
        lines += [f"  {note}" for note in self.notes]
        if self.reason:
            lines.append(f"  Why it works, and what it still does not prove: {self.reason.page}, {self.exercise}")
        return join_lines(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"{_badge('done', 'right')} {self.exercise}{self._points} ({self._cases})"]
        parts += [escape(visible(note)) for note in self.notes]
        folded = ""
        if self.reason:
            folded = (
                "<details><summary>Why it works, and what it still does not prove</summary>"
                f"{self.reason.to_html()}<p>From {_linked(self.reason.page)}</p></details>"
            )
        return _box("done", parts, folded)

    @property
    def _points(self) -> str:
        return f", {self.points} point{'s' * (self.points != 1)}" if self.points else ""

    @property
    def _cases(self) -> str:
        cases = f"{self.visible} case{'s' * (self.visible != 1)}"
        return f"{cases}, {self.generated} generated from seed {self.seed}" if self.generated else cases


@dataclass(frozen=True, repr=False)
class NotRight:
    """The result of a wrong or missing answer where the notebook's next cells still run; false."""

    error: Incorrect | NotAttempted

    def __bool__(self) -> bool:
        return False

    @property
    def status(self) -> str:
        """The status for the progress board: wrong, or not attempted."""
        return "wrong" if isinstance(self.error, Incorrect) else "not attempted"

    def __str__(self) -> str:
        return f"{MARKS[self.status]} {self.error}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        (_, message), *parts = self.error.parts()
        lines = [f"{_badge(self.status, self.status)} {_text(message)}"]
        for label, text in parts:
            shown = f"<code>{escape(visible(text))}</code>" if label in COMMANDS else _text(text)
            lines.append(f"<b>{escape(label)}:</b> {_linked(text) if label == 'See' else shown}")
        return _box(self.status, lines)


def _box(status: str, lines: Iterable[str], below: str = "") -> str:
    """Put lines of HTML into a box with a coloured edge; long lines break between words."""
    style = f"border-left:4px solid {COLOURS[status]};padding:0 .8em;overflow-wrap:break-word;word-break:normal"
    paragraphs = "".join(f'<p style="margin:.3em 0">{line}</p>' for line in lines)
    return f'<div style="{style}">{paragraphs}{below}</div>'


def _badge(status: str, word: str) -> str:
    style = f"background:{COLOURS[status]};color:#fff;padding:.1em .5em;border-radius:3px"
    return f'<strong style="{style}">{MARKS[status]} {word}</strong>'


def _text(text: str) -> str:
    """Escape a text, with words in backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(visible(text)))


def _linked(text: str) -> str:
    """Turn a reference such as "notebooks/01_threats.ipynb, 'Unknown is not zero'" into a link to that heading."""
    match = PAGE.fullmatch(text)
    if match is None:
        return _text(text)
    place = f"#{anchor(match['heading'])}" if match["heading"] else ""
    return f'<a href="../{quote(match["path"])}{place}">{escape(visible(text))}</a>'
