"""A learner's own code: the line that raised an exception, and the source of the cell that defines an answer.

Own code is a notebook's cell, or a file outside the standard library, installed packages and chainlab.

    >>> def ratio(a: int, b: int) -> float:
    ...     return a / b
    >>> try:
    ...     ratio(1, 0)
    ... except ZeroDivisionError as error:
    ...     print(own_line(error))
    line 2, in ratio: return a / b
"""

from __future__ import annotations

import functools
import linecache
import sysconfig
import traceback
import types
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from chainlab.characters import shortened, visible
from chainlab.digests import Digest

__all__ = ["cell_source", "own_line", "source_digest"]

MOST_PARTS = 20  # functions of an answer that are inspected


def own_line(error: BaseException) -> str:
    """Name the innermost line of the learner's code in an exception's traceback; empty if there is none."""
    steps = [(f.f_code, n) for f, n in traceback.walk_tb(error.__traceback__) if _is_own(f.f_code.co_filename)]
    for code, number in reversed(steps):
        text = linecache.getline(code.co_filename, number).strip()
        if text:
            called = "" if code is steps[0][0] or code.co_name.startswith("<") else f", in {code.co_name}"
            return shortened(visible(f"{_file(code)}line {number}{called}: {text}"))
    return ""


def cell_source(answer: Any) -> str:
    """Find the source of the notebook cell that defines an answer; empty if no cell does.

    A wrapped answer, as in ``bench(gate)``, gives the cell of the function inside.
    """
    for function in _functions(answer):
        file = function.__code__.co_filename
        if _is_own(file) and _is_cell(file) and (lines := linecache.getlines(file)):
            return "".join(lines)
    return ""


def source_digest(text: str) -> str:
    """Digest a cell's source, ignoring space at the ends of lines; empty for empty source."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return str(Digest.of("\n".join(lines).encode(errors="surrogatepass"))) if lines else ""


def _functions(answer: Any) -> Iterator[types.FunctionType]:
    """Yield the functions that an answer consists of, outer before inner; at most `MOST_PARTS` parts."""
    parts = [answer]
    for part in parts:  # the list grows in the loop
        inner: list[Any] = []
        if isinstance(part, types.FunctionType):
            yield part
            with suppress(ValueError):  # an empty closure cell: the variable has no value yet
                inner = [cell.cell_contents for cell in part.__closure__ or ()]
        elif isinstance(part, types.MethodType):
            inner = [part.__func__]
        elif isinstance(part, functools.partial):
            inner = [part.func]
        parts += [each for each in inner if not any(each is other for other in parts)][: MOST_PARTS - len(parts)]


def _file(code: types.CodeType) -> str:
    """The file's name for messages; empty for a notebook's cell."""
    return "" if _is_cell(code.co_filename) else f"{Path(code.co_filename).name}, "


def _is_cell(file: str) -> bool:
    path = Path(file)
    return path.parent.name.startswith("ipykernel_") or not path.is_file()


def _is_own(file: str) -> bool:
    if file.startswith("<frozen"):
        return False
    path = Path(file)
    return not any(root in path.parents for root in _libraries())


@cache
def _libraries() -> tuple[Path, ...]:
    """Folders of the standard library, installed packages and chainlab."""
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {path.resolve() for path in installed}
    return (*installed, Path(__file__).parents[2])
