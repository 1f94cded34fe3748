"""Displays: how an object shows itself in a notebook, and the same as stable text for terminals and nbval.

A class derives from `Shown` and returns a `Display` from `_display`; `_repr_html_` and `__repr__` follow. A notebook's
cell then names the object, and formats nothing:

    >>> class Basket(Shown):
    ...     def _display(self) -> Display:
    ...         rows = [("apple", Mark("passed")), ("pear", Mark("failed", "rotten"))]
    ...         return Display("a basket", ("fruit", "is"), rows, Mark("failed", "1 rotten"))
    >>> Basket()
    ✗ 1 rotten · a basket
    fruit  is
    apple  ✓ passed
    pear   ✗ rotten

A table's cell is text, a `Mark` (a result with its sign) or `Fresh` (a value that differs from run to run, such as a
time). Every text is escaped, and control characters are spelled out, so names may come from strangers. Digests and
commit ids, 12 hex digits or more, are cut: a notebook shows them whole on hovering, ``lessons/sanitise.cfg`` masks them
in stored outputs, and the text form leaves them out. So both forms are the same in every run. Empty columns are left
out, rows beyond `MAX_ROWS` are only counted, and a `Fold` hides details until the reader opens it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

from chainlab.characters import visible

__all__ = ["SIGNS", "Cell", "Display", "Fold", "Fresh", "Mark", "Shown", "brief_type"]

MAX_ROWS: Final = 30  # of a table
MAX_TEXT: Final = 300  # characters of a cell, and of a fold's line
MAX_LINES: Final = 40  # last lines of a fold
BRIEF: Final = 40  # characters of a cell that stays on one line
CUT: Final = 12  # shown hex digits of a digest
LONG_WORD: Final = re.compile(r"\S{25,}")  # may break only after its slashes
# Text that differs from run to run: a digest or commit id, a port, a credential's number, a temporary path.
FRESH: Final = re.compile(
    r"(\bsha(?:256|512):)?(?<![0-9A-Za-z])([0-9a-f]{12,})(?![0-9A-Za-z])…?"
    r"|((?:127\.0\.0\.1|\blocalhost|\[::1\]):)(\d{2,5})"
    r"|(\s#)([0-9a-f]{8})(?![0-9A-Za-z])"
    r"|(/(?:tmp|var/folders)/[^\s'\":,;]+)"
)
SIGNS: Final = {
    "passed": "✓",
    "success": "✓",
    "allowed": "✓",
    "pinned": "✓",
    "failed": "✗",
    "failure": "✗",
    "refused": "✗",
    "cancelled": "✗",
    "movable": "✗",
    "excepted": "~",
    "not asked": "–",
    "skipped": "–",
    "not reached": "·",
    "waiting": "○",
}
# Readable on a white and on a dark page; sign and word say the same without colour.
COLOURS: Final = {"✓": "#2f9a62", "✗": "#d9483b"}
TABLE: Final = "border-collapse:collapse;margin:0 0 6px 0"
CAPTION: Final = "caption-side:top;white-space:nowrap;text-align:left;font-weight:bold;color:inherit;padding:4px 0"
CELL: Final = "text-align:left;vertical-align:top;padding:2px 16px 2px 0"
LOG: Final = "white-space:pre-wrap;overflow-wrap:break-word;margin:4px 0 8px 16px"


@dataclass(frozen=True)
class Mark:
    """A result, one of `SIGNS`, with its sign; ``text`` replaces the word."""

    result: str
    text: str = ""

    def __str__(self) -> str:
        return f"{SIGNS.get(self.result, '·')} {self.text or self.result}"


@dataclass(frozen=True)
class Fresh:
    """A value that differs from run to run: shown in a notebook, masked where its output is stored."""

    text: str


Cell: TypeAlias = "str | Mark | Fresh"


@dataclass(frozen=True)
class Fold:
    """Lines that are closed at first, such as a log; only the last `MAX_LINES` are shown."""

    summary: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Display:
    """A titled table with a result, and folds below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    result: Mark | None = None
    folds: Sequence[Fold] = ()
    empty: str = "nothing"  # shown in place of a table without rows

    def text(self) -> str:
        """Write the text form, without folds: the same in every run."""
        lines = [(f"{_plain(self.result)} · " if self.result else "") + _plain(self.title)]
        cells = [[_plain(cell) for cell in row] for row in self._table()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        return "\n".join([*lines, *self._below()])

    def html(self) -> str:
        """Write the HTML for a notebook, without scripts; one line for each row."""
        caption = (f"{_html(self.result)} · " if self.result else "") + _html(self.title)
        rows = [f'<table style="{TABLE}"><caption style="{CAPTION}">{caption}</caption>']
        for number, row in enumerate(self._table()):
            rows.append(f"<tr>{''.join(map(_data if number else _heading, row))}</tr>")
        below = [f"<div>{_html(line)}</div>" for line in self._below()]
        folds = [_folded(fold) for fold in self.folds]
        return "\n".join(['<div style="overflow-x:auto">', *rows, "</table>", *below, *folds, "</div>"])

    def _table(self) -> list[list[Cell]]:
        """The header and the shown rows, without empty columns."""
        rows = self.rows[:MAX_ROWS]
        kept = [at for at in range(len(self.columns)) if any(_plain(row[at]) for row in rows)]
        return [[row[at] for at in kept] for row in (self.columns, *rows)] if kept else []

    def _below(self) -> list[str]:
        left = len(self.rows) - MAX_ROWS
        return [f"… and {left} more"] if left > 0 else [] if self.rows else [self.empty]


class Shown:
    """A base class of objects that show themselves; `_display` says how."""

    __slots__ = ()

    def _display(self) -> Display:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._display().html()

    def __repr__(self) -> str:
        return self._display().text()


def brief_type(predicate_type: str) -> str:
    """Shorten a predicate type of PEP 740, which is an address at a package index; others stay as they are.

    >>> brief_type("https://index.example/attestations/publish/v1"), brief_type("https://slsa.dev/provenance/v1")
    ('PEP 740 publish/v1', 'https://slsa.dev/provenance/v1')
    """
    return re.sub(r"^https://\S+/attestations/(publish/v\d+)$", r"PEP 740 \1", predicate_type)


def _parts(text: str) -> Iterator[str | Fresh]:
    """Split a text into parts that are the same in every run, and `Fresh` ones; at most `MAX_TEXT` characters."""
    text, left, at = visible(text[: 10 * MAX_TEXT]), MAX_TEXT, 0
    for match in FRESH.finditer(text):
        before = text[at : match.start()] + (match[1] or match[3] or match[5] or "")
        if len(before) > left:
            break
        yield before
        yield Fresh(match[2] or match[4] or match[6] or match[7])
        left, at = left - len(before) - CUT, match.end()
    yield text[at : at + max(left, 0)] + ("…" if len(text) - at > left else "")


def _plain(cell: Cell) -> str:
    if isinstance(cell, Fresh):
        return "…" if cell.text else ""
    return "".join("…" if isinstance(part, Fresh) else part for part in _parts(str(cell)))


def _html(cell: Cell) -> str:
    if isinstance(cell, Fresh):
        return _fresh(cell.text)
    text = "".join(_fresh(part.text) if isinstance(part, Fresh) else _spaced(part) for part in _parts(str(cell)))
    sign = text[:1] if isinstance(cell, Mark) else ""
    colour = COLOURS.get(sign)
    return f'<span style="color:{colour};font-weight:bold">{sign}</span>{text[1:]}' if colour else text


def _fresh(text: str) -> str:
    """Mark up a value that ``lessons/sanitise.cfg`` masks by its class; shown whole on hovering."""
    whole = visible(text)
    cut = f"{whole[:CUT]}…" if re.fullmatch(rf"[0-9a-f]{{{CUT},}}", whole) else whole
    return f'<code class="fresh" title="{escape(whole)}">{escape(cut)}</code>'


def _spaced(text: str) -> str:
    """Escape a text; long words may break after slashes, but not after hyphens."""

    def parted(match: re.Match[str]) -> str:
        parts = re.split(r"(?<=/)", match[0])
        return "<wbr>".join(f'<span style="white-space:nowrap">{p}</span>' if "-" in p else p for p in parts)

    return LONG_WORD.sub(parted, escape(text))


def _heading(name: Cell) -> str:
    return f'<th scope="col" style="{CELL}">{_html(name)}</th>'


def _data(cell: Cell) -> str:
    width = "white-space:pre" if len(_plain(cell)) <= BRIEF else "min-width:16em"
    return f'<td style="{CELL};{width}">{_html(cell)}</td>'


def _folded(fold: Fold) -> str:
    left = len(fold.lines) - MAX_LINES
    lines = [f"… {left} lines before", *fold.lines[left:]] if left > 0 else fold.lines
    text = "\n".join(map(_html, lines))
    return f'<details><summary>{_html(fold.summary)}</summary><pre style="{LOG}">{text}</pre></details>'
