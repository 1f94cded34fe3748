"""Values of expressions: truth, comparison, text form, and the functions.

Values are those of JSON. The rules are those of the platform's own ``@actions/expressions``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from chainlab.errors import MalformedInput

__all__ = ["FUNCTIONS", "Function", "Value", "compare", "number", "text", "truthy"]

Value = Any  # None, bool, int, float, str, list or dict
Function = Callable[..., Value]
DIGITS = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
BASED = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
HOLE = re.compile(r"\{\{|\}\}|\{([0-9]+)[^}]*\}|[{}]")  # of `format`


def truthy(value: Value) -> bool:
    """Whether a value counts as true in a condition."""
    return isinstance(value, list | dict) or bool(value and value == value)  # NaN is false


def text(value: Value) -> str:
    """The value as text, as the platform writes it into a string."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return "Array" if isinstance(value, list) else "Object"
    if isinstance(value, int) and value.bit_length() > 1023:  # more than any float
        value = math.copysign(math.inf, value >> 1000)
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return re.sub(r"e([-+])0+", r"e\1", f"{value:.15g}")


def _numeric(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _simple(value: Value) -> bool:
    return not isinstance(value, list | dict)


def number(value: Value) -> float:
    """The value as a number; NaN if it has none."""
    if value is None or isinstance(value, bool) or _numeric(value):
        return value or 0
    if not isinstance(value, str):
        return math.nan
    word = value.strip()
    if BASED.fullmatch(word):
        return int(word, 0)
    if DIGITS.fullmatch(word):
        result = float(word)
        return int(result) if result.is_integer() and abs(result) < 2**53 else result
    return {"": 0, "Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}.get(word, math.nan)


def _kind(value: Value) -> str:
    return "number" if _numeric(value) else type(value).__name__


def _fold(value: str) -> str:
    """Upper case except for the small dotless i, as the platform compares."""
    return "ı".join(part.upper() for part in value.split("ı"))


def compare(sign: str, left: Value, right: Value) -> bool:
    """Compare as JavaScript's loose comparison, except that texts are folded and objects are never converted."""
    if _kind(left) != _kind(right):
        if isinstance(left, list | dict) or isinstance(right, list | dict):
            return sign == "!="
        left, right = number(left), number(right)
    if isinstance(left, str):
        left, right = _fold(left), _fold(right)
    if left is None or isinstance(left, list | dict):
        equal = left is right
        less = greater = False
    else:
        equal, less, greater = left == right, left < right, left > right
    answers = {"==": equal, "!=": not equal, "<": less, "<=": equal or less, ">": greater, ">=": equal or greater}
    return answers[sign]


def _case(*arguments: Value) -> Value:
    for condition, value in zip(arguments[:-1:2], arguments[1::2], strict=False):
        if not isinstance(condition, bool):
            raise MalformedInput("a condition of `case` is neither true nor false")
        if condition:
            return value
    return arguments[-1]


def _contains(search: Value, item: Value) -> bool:
    if isinstance(search, list):
        return any(compare("==", item, value) for value in search)
    return _simple(search) and _simple(item) and text(item).lower() in text(search).lower()


def _ends(word: Callable[[str, str], bool]) -> Function:
    return lambda a, b: _simple(a) and _simple(b) and word(_fold(text(a)), _fold(text(b)))


def _format(pattern: Value, *values: Value) -> str:
    def fill(hole: re.Match[str]) -> str:
        if hole[0] in ("{{", "}}"):
            return hole[0][0]
        if hole[1] is None or int(hole[1]) >= len(values):
            raise MalformedInput(f"`format` has no value for {hole[0]!r}")
        return text(values[int(hole[1])])

    return HOLE.sub(fill, text(pattern))


def _join(values: Value, separator: Value = ",") -> str:
    if not isinstance(values, list):
        return "" if isinstance(values, dict) else text(values)
    return ("," if isinstance(separator, list | dict) else text(separator)).join(map(text, values))


def _from_json(value: Value) -> Value:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        return json.loads(text(value), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"`fromJSON` cannot read {text(value)[:80]!r}", why=str(error)) from error


def _to_json(value: Value) -> str:
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def _plain(value: Value) -> Value:
    """Write whole numbers as integers, as the platform's JSON does."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return (int(value) if value.is_integer() else value) if math.isfinite(value) else None
    return value


FUNCTIONS: Mapping[str, Function] = {
    "case": _case,
    "contains": _contains,
    "endswith": _ends(str.endswith),
    "format": _format,
    "fromjson": _from_json,
    "join": _join,
    "startswith": _ends(str.startswith),
    "tojson": _to_json,
}
