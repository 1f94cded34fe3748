"""A learner's own code: which line of it an exception came from, and the text that an answer was written as.

Own code is whatever is neither the standard library, an installed package nor chainlab: a notebook's cell, or a file
that the learner wrote.

    >>> def ratio(a: int, b: int) -> float:
    ...     return a / b
    >>> try:
    ...     ratio(1, 0)
    ... except ZeroDivisionError as error:
    ...     print(own_line(error))
    line 2, in ratio: return a / b
"""

from __future__ import annotations

import linecache
import sysconfig
import traceback
import types
from functools import cache
from pathlib import Path

from chainlab.characters import visible

__all__ = ["own_line"]

LONGEST_LINE = 160  # characters of a line that is shown


def own_line(error: BaseException) -> str:
    """Name the innermost line of the learner's code that an exception passed; empty where it passed none."""
    steps = [(f.f_code, n) for f, n in traceback.walk_tb(error.__traceback__) if _is_own(f.f_code.co_filename)]
    for code, number in reversed(steps):
        text = linecache.getline(code.co_filename, number).strip()
        if text:
            called = "" if code is steps[0][0] or code.co_name.startswith("<") else f", in {code.co_name}"
            return _short(visible(f"{_file(code)}line {number}{called}: {text}"))
    return ""


def _file(code: types.CodeType) -> str:
    """The name of a file; a notebook's cell has none."""
    path = Path(code.co_filename)
    return f"{path.name}, " if path.is_file() else ""


def _is_own(file: str) -> bool:
    if file.startswith("<frozen"):
        return False
    path = Path(file)
    return not any(root in path.parents for root in _libraries())


@cache
def _libraries() -> tuple[Path, ...]:
    """Folders of code that no learner wrote."""
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {path.resolve() for path in installed}
    return (*installed, Path(__file__).parents[2])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"
