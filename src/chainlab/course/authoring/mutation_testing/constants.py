"""Other values for a solution's constants: a neighbouring number, an empty text, a rule with another operator.

    >>> [change for _, change in other_values("a == b\\nnot c", ast.Return())]
    ['the line `a == b` is dropped', '`a == b` becomes `a != b`', 'the line `not c` is dropped', '`not c` becomes `c`']

Text of several lines, such as Rego or YAML, changes line by line, and so does SQL. A regular expression also loses one
alternative at a time.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["other_values"]

SHOWN = 80  # characters of a value in a change's name
SQL = re.compile(r"\b(?:SELECT|WHERE|IS (?:NOT )?NULL)\b|^\s*(?:=|<>)\s")
WORDS = (  # operators of rules and queries inside strings
    (r"==", "!="),
    (r"!=", "=="),
    (r"<=", "<"),
    (r">=", ">"),
    (r"<>", "="),
    (r"(?<= )=(?= )|^=(?= )", "<>"),
    (r"\bnot ", ""),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r"\bAND\b", "OR"),
    (r"\bevery\b", "some"),
)


def other_values(value: Any, parent: ast.AST, is_key: bool = False) -> Iterator[tuple[Any, str]]:
    """The values that replace a constant, each with the name of its change."""
    others: list[Any] = []
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, (int, float)):
        others = [value + 1, value - 1]
    elif isinstance(value, bytes):
        others = [value + b"~", b""]
    elif isinstance(value, str) and isinstance(parent, ast.JoinedStr):
        digits = re.fullmatch(r"\.(\d+)([a-z%])", value)  # the format of a number
        others = [f".{int(digits[1]) + step}{digits[2]}" for step in (-1, 1)] if digits else [""]
    elif isinstance(value, str) and "\n" not in value.strip():
        looked_up = isinstance(parent, ast.Call) and getattr(parent.func, "attr", "") in ("get", "setdefault", "pop")
        others = [value + "~", *([] if is_key or looked_up else [""]), *_shorter_patterns(value)]
    yield from ((other, f"{_short(value)} becomes {_short(other)}") for other in others if other != value)
    if isinstance(value, str):
        yield from _other_lines(value)


def _other_lines(value: str) -> Iterator[tuple[str, str]]:
    """A text of several lines without one of them; it, or a query, with an operator changed."""
    lines = value.splitlines(keepends=True)
    if len(lines) == 1 and not SQL.search(value):
        return
    for number, line in enumerate(lines):
        before, after = "".join(lines[:number]), "".join(lines[number + 1 :])
        if line.strip() and len(lines) > 1:
            yield before + after, f"the line `{line.strip()}` is dropped"
        for pattern, other in WORDS:
            for match in re.finditer(pattern, line):
                changed = line[: match.start()] + other + line[match.end() :]
                yield before + changed + after, f"`{line.strip()}` becomes `{changed.strip()}`"


def _shorter_patterns(value: str) -> Iterator[str]:
    """A regular expression without one of its alternatives."""
    first_or_middle, last = r"(?:(?<=[(|])|^)[^()|]+\|", r"\|[^()|]+(?=\)|$)"
    for match in (*re.finditer(first_or_middle, value), *re.finditer(last, value)):
        shorter = value[: match.start()] + value[match.end() :]
        with contextlib.suppress(re.error):
            re.compile(shorter)
            yield shorter


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}…{text[-17:]}"
