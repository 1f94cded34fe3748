"""Evaluate PromQL on `Series`, as Prometheus 2.42 does, for the part of it that `promql_parser` reads.

    >>> series = Series()
    >>> series.add(0.0, {labels("answers", part="gate"): 0.0, labels("answers", part="index"): 1.0})
    >>> evaluate(parse_query("answers == 0"), series, 0.0)
    {(('__name__', 'answers'), ('part', 'gate')): 0.0}

A query is a number, or a vector: the labels of each series that it returns, with its value. A comparison keeps the
series for which it holds; so a query that returns nothing says that all is well, or that there is no data. `absent` is
what tells the two apart.
"""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Final, TypeAlias

from chainlab.errors import MalformedInput
from chainlab.monitor.metrics.promql_parser import (
    Aggregation,
    BinaryOperation,
    FunctionCall,
    Node,
    NumberLiteral,
    SeriesSelector,
)
from chainlab.monitor.metrics.series import Labels, Series, milliseconds

__all__ = ["Vector", "evaluate"]

Vector: TypeAlias = dict[Labels, float]
ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: _quotient(left, right),
}
COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
REDUCTIONS: Final[dict[str, Callable[[list[float]], float]]] = {
    "avg": lambda values: sum(values) / len(values),
    "count": lambda values: float(len(values)),
    "max": max,
    "min": min,
    "sum": sum,
}
SET_OPERATORS: Final = ("and", "or", "unless")
NAME: Final = ("__name__",)
JOIN: Final = "aggregate first: sum by (part) (…)"


def evaluate(node: Node, series: Series, time: float) -> float | Vector:
    """Return what a query gives at a time. Raises `MalformedInput` for a query that has no answer, such as 1 > 2."""
    if isinstance(node, NumberLiteral):
        return node.value
    if isinstance(node, SeriesSelector):
        return {name: value for name in _selected(node, series) if (value := series.at(name, time)) is not None}
    if isinstance(node, FunctionCall):
        return _call(node, series, time)
    if isinstance(node, Aggregation):
        return _aggregate(node, _vector(node.body, series, time))
    return _combine(node, evaluate(node.left, series, time), evaluate(node.right, series, time))


def _vector(node: Node, series: Series, time: float) -> Vector:
    value = evaluate(node, series, time)
    if not isinstance(value, dict):
        raise MalformedInput("expected series, got a number", hint="name a metric")
    return value


def _selected(selector: SeriesSelector, series: Series) -> list[Labels]:
    return [name for name in series.names() if _matches(selector, dict(name))]


def _matches(selector: SeriesSelector, name: dict[str, str]) -> bool:
    """Whether a series has the labels; one that it lacks is empty, and patterns cover the whole value."""
    for label, sign, expected in selector.matchers:
        value = name.get(label, "")
        same = value == expected if sign in ("=", "!=") else re.fullmatch(expected, value) is not None
        if same is not (sign in ("=", "=~")):
            return False
    return True


def _without(name: Labels, dropped: Collection[str]) -> Labels:
    return tuple(pair for pair in name if pair[0] not in dropped)


def _only(name: Labels, kept: Collection[str]) -> Labels:
    return tuple(pair for pair in name if pair[0] in kept)


# -- functions


def _call(node: FunctionCall, series: Series, time: float) -> float | Vector:
    if node.name == "time":
        return milliseconds(time) / 1000
    body = node.arguments[-1]
    if node.name == "absent":
        return {} if _vector(body, series, time) else {_certain_labels(body): 1.0}
    if node.name == "histogram_quantile":
        quantile = evaluate(node.arguments[0], series, time)
        if isinstance(quantile, dict):
            raise MalformedInput("histogram_quantile takes a number first, such as 0.9")
        return _quantiles(quantile, _vector(body, series, time))
    if not isinstance(body, SeriesSelector) or body.range_s is None:
        raise MalformedInput(f"{node.name} takes a range such as name[5m]")
    result: Vector = {}
    for name in _selected(body, series):
        start, per_s = time - body.range_s, body.range_s if node.name == "rate" else 1.0
        growth = _growth(series.between(name, start, time), start, time, per_s)
        if growth is not None:
            result[_without(name, NAME)] = growth
    return result


def _certain_labels(node: Node) -> Labels:
    """Return the labels that an absent series would have had: those that the selector fixes."""
    if not isinstance(node, SeriesSelector):
        return ()
    names = [label for label, _, _ in node.matchers]
    pairs = ((label, text) for label, sign, text in node.matchers if sign == "=" and names.count(label) == 1)
    return tuple(sorted((label, text) for label, text in pairs if label not in NAME and text))


def _growth(samples: list[tuple[int, float]], start: float, end: float, per_s: float) -> float | None:
    """How much a counter grew in a range by ``per_s`` seconds, restarts counted; None with fewer than two samples.

    Samples seldom lie on the range's ends. The growth between the first and the last is extended to an end that is
    nearer than 1.1 average distances of two samples, else by half a distance, and never to below zero (Prometheus,
    "rate").
    """
    if len(samples) < 2:
        return None
    values = [value for _, value in samples]
    growth = values[-1] - values[0]
    growth += sum(before for before, after in pairwise(values) if after < before)
    first, last = samples[0][0], samples[-1][0]
    span = (last - first) / 1000
    distance = span / (len(samples) - 1)
    to_start, to_end = (first - milliseconds(start)) / 1000, (milliseconds(end) - last) / 1000
    if growth > 0 and values[0] >= 0:
        to_start = min(to_start, span * values[0] / growth)
    extended = span + sum(gap if gap < 1.1 * distance else distance / 2 for gap in (to_start, to_end))
    return growth * (extended / span / per_s)  # in Prometheus' order, for the same last digit


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    histograms: defaultdict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for name, count in buckets.items():
        try:
            bound = float(dict(name)["le"])
        except (KeyError, ValueError):
            continue  # not a bucket
        histograms[_without(name, ("__name__", "le"))].append((bound, count))
    return {name: _quantile(quantile, sorted(histogram)) for name, histogram in histograms.items()}


def _quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """Interpolate a quantile within its bucket, as Prometheus does; NaN without observations."""
    if quantile < 0 or quantile > 1:
        return math.copysign(math.inf, quantile)
    highest = 0.0
    monotonic = [(bound, highest := max(highest, count)) for bound, count in buckets]
    if not math.isinf(monotonic[-1][0]) or len(monotonic) < 2 or highest == 0:
        return math.nan
    rank = quantile * highest
    at = next((at for at, (_, count) in enumerate(monotonic[:-1]) if count >= rank), len(monotonic) - 1)
    if at == len(monotonic) - 1:
        return monotonic[-2][0]
    bound, count = monotonic[at]
    if at == 0 and bound <= 0:
        return bound
    lower, below = monotonic[at - 1] if at else (0.0, 0.0)
    return lower + (bound - lower) * ((rank - below) / (count - below))


# -- aggregations and operators


def _aggregate(node: Aggregation, vector: Vector) -> Vector:
    groups: defaultdict[Labels, list[float]] = defaultdict(list)
    for name, value in vector.items():
        key = _without(name, (*NAME, *node.labels)) if node.without else _only(name, node.labels)
        groups[key].append(value)
    return {name: REDUCTIONS[node.name](values) for name, values in groups.items()}


def _combine(node: BinaryOperation, left: float | Vector, right: float | Vector) -> float | Vector:
    if isinstance(left, dict) and isinstance(right, dict):
        if node.operator in SET_OPERATORS:
            return _set_operation(node, left, right)
        return _joined(node, left, right)
    if node.operator in SET_OPERATORS:
        raise MalformedInput(f"{node.operator!r} stands between series, not numbers")
    if not isinstance(left, dict) and not isinstance(right, dict):
        if node.operator in COMPARISONS:
            raise MalformedInput(f"{left} {node.operator} {right} compares two numbers", hint="compare a metric")
        return ARITHMETIC[node.operator](left, right)
    result: Vector = {}
    if isinstance(left, dict):
        for name, value in left.items():
            _add(result, node, name, value, (value, right))  # type: ignore[arg-type]  # a number
    elif isinstance(right, dict):
        for name, value in right.items():
            _add(result, node, name, value, (left, value))
    return result


def _add(result: Vector, node: BinaryOperation, name: Labels, kept: float, sides: tuple[float, float]) -> None:
    """Add what an operator gives for a pair: a comparison keeps the series' value, arithmetic drops its name."""
    if node.operator in ARITHMETIC:
        result[_without(name, NAME)] = ARITHMETIC[node.operator](*sides)
    elif COMPARISONS[node.operator](*sides):
        result[name] = kept


def _key(node: BinaryOperation, name: Labels) -> Labels:
    return _without(name, (*NAME, *node.ignoring)) if node.on is None else _only(name, node.on)


def _set_operation(node: BinaryOperation, left: Vector, right: Vector) -> Vector:
    on_left, on_right = {_key(node, name) for name in left}, {_key(node, name) for name in right}
    if node.operator == "or":
        return left | {name: value for name, value in right.items() if _key(node, name) not in on_left}
    kept = node.operator == "and"
    return {name: value for name, value in left.items() if (_key(node, name) in on_right) is kept}


def _joined(node: BinaryOperation, left: Vector, right: Vector) -> Vector:
    """Join two vectors, one series to one. Raises `MalformedInput` where a series has several partners."""
    partners: dict[Labels, float] = {}
    for name, value in right.items():
        if (key := _key(node, name)) in partners:
            raise MalformedInput(f"several series on the right of {node.operator!r} fit one on the left", hint=JOIN)
        partners[key] = value
    result: Vector = {}
    seen: set[Labels] = set()
    for name, value in left.items():
        key = _key(node, name)
        if key not in partners:
            continue
        if key in seen:
            raise MalformedInput(f"several series on the left of {node.operator!r} fit one on the right", hint=JOIN)
        seen.add(key)
        dropped = _without(name, node.ignoring) if node.on is None else _only(name, node.on)
        _add(result, node, dropped, value, (value, partners[key]))
    return result


def _quotient(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
