"""Plain data, as in JSON: numbers, text, lists and dicts with text keys.

    >>> plain({"b": (1, 2), "a": {"y", "x"}})
    {'b': (1, 2), 'a': {'x', 'y'}}
    >>> plain({"y", "x"}) == ["x", "y"]
    True
    >>> difference([1, 2, 3], [1, 2, 4])
    'expected [1, 2, 3], got [1, 2, 4]'
    >>> short(({10, 9}, set()))
    '({9, 10}, set())'

Two plain values are the same when they have the same shape and the same leaves. ``744`` and ``744.0`` are the same,
``1`` and ``True`` are not. A float may differ by one part in 10⁹.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from pathlib import PurePath
from typing import Any

from chainlab.characters import shortened

__all__ = ["NotPlain", "difference", "plain", "same", "short"]

MAX_ITEMS = 100_000  # of one iterator, so that an endless generator fails its check
MAX_DEPTH = 50  # levels, so that cyclic data fails its check
SHOWN = 160  # characters of a value in a message


class _PlainSet(list[Any]):
    """A set as a sorted list, still shown as a set."""

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}" if self else "set()"


class _PlainTuple(list[Any]):
    """A tuple as a list, still shown as a tuple."""

    def __repr__(self) -> str:
        return repr(tuple(self))


class NotPlain(Exception):
    """A value has no plain form; the message names it and says what to return."""


def plain(value: Any, *, like: Any = None, depth: int = 0) -> Any:
    """Convert ``value`` to built-in types only.

    Sets become sorted lists, tuples and iterators lists (still shown as sets and tuples), dataclasses dicts, enums
    their value, dates ISO text, paths text with slashes, bytes hex. Where ``like`` has a set, a list counts as a set.
    Raises `NotPlain`.
    """
    if depth > MAX_DEPTH:
        raise NotPlain(f"data nested more than {MAX_DEPTH} levels deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, enum.Enum):
        return plain(value.value, depth=depth + 1)
    if issubclass(kind, int):
        return int.__index__(value)
    if issubclass(kind, float):
        number = float.__float__(value)
        if not math.isfinite(number):
            raise NotPlain(f"{number}, which cannot be compared (use None for unknown)")
        return number
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if issubclass(kind, (datetime.date, datetime.time)):
        return value.isoformat()
    if issubclass(kind, PurePath):
        return value.as_posix()
    if dataclasses.is_dataclass(kind):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        kind = dict
    if issubclass(kind, Mapping):
        model = like if isinstance(like, Mapping) else {}
        return {_key(k): plain(v, like=model.get(k), depth=depth + 1) for k, v in value.items()}
    if issubclass(kind, (Set, _PlainSet)):
        return _in_order(plain(v, depth=depth + 1) for v in _items(value))
    if issubclass(kind, (list, tuple, range, deque, Iterator)) or issubclass(kind, type({}.values())):
        items = list(_items(value))
        if isinstance(like, Set):
            return _in_order(plain(v, depth=depth + 1) for v in items)
        models = list(like) if isinstance(like, (list, tuple)) else []
        models += [None] * (len(items) - len(models))
        parts = [plain(v, like=m, depth=depth + 1) for v, m in zip(items, models, strict=False)]
        return _PlainTuple(parts) if issubclass(kind, (tuple, _PlainTuple)) else parts
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), like=like, depth=depth + 1)
    article = "an" if kind.__name__[:1].lower() in "aeiou" else "a"
    raise NotPlain(f"{article} {kind.__name__}, which is not plain data (numbers, text, lists, sets, dicts)")


def same(one: Any, other: Any) -> bool:
    """Tell whether two plain values are the same."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        try:
            return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
        except OverflowError:  # a whole number too large for a float
            return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def difference(expected: Any, got: Any) -> str:
    """Describe in one line how ``got`` differs from ``expected``; of long values only the differing part."""
    if len(_text(expected)) <= SHOWN // 2 and len(_text(got)) <= SHOWN // 2:
        return f"expected {_text(expected)}, got {_text(got)}"
    where = ""
    while True:
        if isinstance(expected, dict) and isinstance(got, dict):
            if expected.keys() != got.keys():
                return _members(where, list(expected), list(got))
            step: Any = next(k for k in expected if not same(expected[k], got[k]))
        elif isinstance(expected, list) and isinstance(got, list):
            if len(expected) != len(got):
                return _members(where, expected, got)
            step = next(i for i, e in enumerate(expected) if not same(e, got[i]))
        else:
            place = f"at {where}: " if where else ""
            return f"{place}expected {short(expected)}, got {short(got)}"
        where += f"[{step!r}]"
        expected, got = expected[step], got[step]


def short(value: Any, limit: int = SHOWN) -> str:
    """Write ``value`` as one short line."""
    try:
        text = _text(plain(value))
    except Exception:  # name at least the type of a value that cannot be read
        text = f"<{type(value).__name__}>"
    return shortened(text, limit)


def _members(where: str, expected: list[Any], got: list[Any]) -> str:
    sort = _PlainSet if isinstance(expected, _PlainSet) else list
    missing = sort(e for e in expected if not any(same(e, g) for g in got))
    surplus = sort(g for g in got if not any(same(e, g) for e in expected))
    parts = [f"expected {len(expected)} item{'s' * (len(expected) != 1)}, got {len(got)}"]
    parts += [f"missing {short(missing)}"] if missing else []
    parts += [f"too many {short(surplus)}"] if surplus else []
    return (f"at {where}: " if where else "") + "; ".join(parts)


def _text(value: Any) -> str:
    """Write plain data on one line, as Python does."""
    return " ".join(repr(value).split())


def _key(key: Any) -> str:
    value = plain(key)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return value if isinstance(value, str) else str(value)


def _items(value: Iterable[Any]) -> Iterator[Any]:
    """At most `MAX_ITEMS` items."""
    items = iter(value)
    yield from islice(items, MAX_ITEMS)
    if next(items, _END) is not _END:
        raise NotPlain(f"more than {MAX_ITEMS} items")


_END = object()


def _in_order(values: Iterable[Any]) -> list[Any]:
    return _PlainSet(sorted(values, key=_rank))


def _rank(value: Any) -> tuple[Any, ...]:
    """A sort key for plain values of any type: numbers by size, lists by their items."""
    if value is None or isinstance(value, bool):
        return (0, str(value))
    if isinstance(value, (int, float)):
        return (1, value)
    if isinstance(value, str):
        return (2, value)
    if isinstance(value, list):
        return (3, [_rank(item) for item in value])
    return (4, json.dumps(value, sort_keys=True))
