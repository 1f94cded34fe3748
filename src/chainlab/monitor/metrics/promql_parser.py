"""Read PromQL, as much of it as the alert rules use; everything else is refused by its name.

    >>> parse_query('sum by (part) (rate(asked_total{part!="log"}[5m])) > 2')
    BinaryOperation(operator='>', left=Aggregation(name='sum', ...), right=NumberLiteral(value=2.0), on=None)

    number, time()                                      scalars
    name{label="…", label!="…", label=~"…", label!~"…"} series, now
    rate(name{…}[5m]), increase(…)                      series, over the last minutes
    absent(…), histogram_quantile(0.9, …)
    sum, min, max, avg, count, with by (…) or without (…)
    + - * /    == != > < >= <=    and or unless         with on (…) or ignoring (…), one to one

Specification: Prometheus 2.42, "Querying".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from chainlab.errors import MalformedInput

__all__ = [
    "LONGEST_RANGE",
    "Aggregation",
    "BinaryOperation",
    "FunctionCall",
    "Node",
    "NumberLiteral",
    "SeriesSelector",
    "parse_query",
    "seconds",
]

TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|(?:Inf|NaN)\b)
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^(){}\[\],=<>@:])
    )""",
    re.VERBOSE | re.ASCII,
)
UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}  # seconds
FUNCTIONS: Final = {"absent": 1, "histogram_quantile": 2, "increase": 1, "rate": 1, "time": 0}  # their arguments
AGGREGATIONS: Final = ("avg", "count", "max", "min", "sum")
COMPARISONS: Final = ("==", "!=", ">", "<", ">=", "<=")
BINDING: Final = {  # a higher number binds closer
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(COMPARISONS, 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
}
LONGEST_RANGE: Final = 3600.0  # seconds: samples are kept for no longer
SUPPORTED = f"functions {', '.join(FUNCTIONS)}; {', '.join(AGGREGATIONS)}; + - * /, comparisons, and, or, unless"


@dataclass(frozen=True)
class NumberLiteral:
    """A number."""

    value: float


@dataclass(frozen=True)
class SeriesSelector:
    """The series with these labels; with a range, their samples of the last ``range_s`` seconds."""

    matchers: tuple[tuple[str, str, str], ...]  # label, operator, value; the metric's name is __name__
    range_s: float | None = None


@dataclass(frozen=True)
class FunctionCall:
    """A function of `FUNCTIONS` with its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Aggregation:
    """One value for each group of series: those that share the labels, or all labels but these."""

    name: str
    body: Node
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True)
class BinaryOperation:
    """An operator of `BINDING` between two sides; ``on`` are the labels that two series must share.

    With ``ignoring`` they must share all others.
    """

    operator: str
    left: Node
    right: Node
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] = ()


Node: TypeAlias = "NumberLiteral | SeriesSelector | FunctionCall | Aggregation | BinaryOperation"


@lru_cache(maxsize=512)
def parse_query(text: str) -> Node:
    """Read a query. Raises `MalformedInput`, which names what is not PromQL or not evaluated here."""
    return _QueryParser(text).whole()


def seconds(text: str) -> float:
    """Read a duration such as ``1h30m``, in seconds. Raises `MalformedInput`."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text, re.ASCII)
    if text != "0" and (not parts or "".join(map("".join, parts)) != text):
        raise MalformedInput(f"not a duration: {text!r}", hint="write 30s, 5m or 1h30m")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


class _QueryParser:
    """The tokens of one query, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if not match or not match.lastgroup:
                raise self._error(f"cannot read {text[at:].strip()[:20]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def whole(self) -> Node:
        node = self._instant(self._expression(0))
        if self._at < len(self._tokens):
            raise self._error(f"cannot read {self._peek()!r} here")
        return node

    def _expression(self, bound: int) -> Node:
        left = self._operand()
        while (operator := self._peek().lower()) and (strength := BINDING.get(operator, 0)) > bound:
            self._at += 1
            on, ignoring = self._matching()
            right = self._instant(self._expression(strength))
            left = BinaryOperation(operator, self._instant(left), right, on, ignoring)
        if self._peek() in ("%", "^", "@") or self._peek().lower() == "offset":
            raise self._refusal(self._peek())
        return left

    def _instant(self, node: Node) -> Node:
        if isinstance(node, SeriesSelector) and node.range_s is not None:
            raise self._error("a range such as [5m] stands only within rate or increase")
        return node

    def _matching(self) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        on: tuple[str, ...] | None = None
        ignoring: tuple[str, ...] = ()
        if self._peek().lower() == "bool":
            raise self._refusal("bool")
        if self._skip("on"):
            on = self._names()
        elif self._skip("ignoring"):
            ignoring = self._names()
        if self._peek().lower() in ("group_left", "group_right"):
            raise self._refusal(self._peek())
        return on, ignoring

    def _operand(self) -> Node:
        kind, word = self._next()
        if word == "-":
            return BinaryOperation("*", NumberLiteral(-1.0), self._expression(BINDING["*"]))
        if word == "(":
            node = self._expression(0)
            self._expect(")")
            return node
        if kind == "number":
            return NumberLiteral(float(word))
        if word == "{":
            self._at -= 1
            return self._selector("")
        if kind != "name":
            raise self._error(f"cannot read {word!r} here")
        if word in AGGREGATIONS:
            return self._aggregation(word)
        if self._peek() == "(" or self._peek().lower() in ("by", "without"):
            return self._call(word)
        return self._selector(word)

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise self._refusal(f"{name}(…)")
        self._expect("(")
        arguments = []
        while not self._skip(")"):
            arguments.append(self._expression(0))
            if self._peek() != ")":
                self._expect(",")
        if len(arguments) != FUNCTIONS[name]:
            raise self._error(f"{name} takes {FUNCTIONS[name]} arguments, got {len(arguments)}")
        over_time = name in ("rate", "increase")
        if any(isinstance(node, SeriesSelector) and bool(node.range_s) != over_time for node in arguments) or (
            over_time and not isinstance(arguments[0], SeriesSelector)
        ):
            raise self._error(f"{name} takes {'a range such as name[5m]' if over_time else 'no range'}")
        return FunctionCall(name, tuple(arguments))

    def _aggregation(self, name: str) -> Node:
        clause = self._clause()
        self._expect("(")
        body = self._instant(self._expression(0))
        self._expect(")")
        clause = clause or self._clause() or ((), False)
        return Aggregation(name, body, *clause)

    def _clause(self) -> tuple[tuple[str, ...], bool] | None:
        if self._skip("by"):
            return self._names(), False
        return (self._names(), True) if self._skip("without") else None

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        names = []
        while not self._skip(")"):
            names.append(self._take("name", "a label"))
            if self._peek() != ")":
                self._expect(",")
        return tuple(names)

    def _selector(self, name: str) -> Node:
        matchers = [("__name__", "=", name)] if name else []
        if self._skip("{"):
            while not self._skip("}"):
                label = self._take("name", "a label")
                operator = self._next()[1]
                if operator not in ("=", "!=", "=~", "!~"):
                    raise self._error(f"cannot read {operator!r} after the label {label}")
                matchers.append((label, operator, self._string()))
                if self._peek() != "}":
                    self._expect(",")
        if not matchers:
            raise self._error("a selector needs a name or a label")
        range_s = None
        if self._skip("["):
            range_s = seconds(duration := self._take("duration", "a duration such as 5m"))
            if range_s > LONGEST_RANGE:
                raise self._refusal(f"a range longer than an hour, [{duration}],")
            if self._peek() == ":":
                raise self._refusal("a subquery")
            self._expect("]")
        return SeriesSelector(tuple(matchers), range_s)

    def _string(self) -> str:
        text = self._take("text", "a text in quotes")
        return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])

    # -- tokens

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise self._error("ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, token: str) -> bool:
        matches = self._peek().lower() == token
        self._at += matches
        return matches

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise self._error(f"expected {token!r}, got {self._peek() or 'the end'!r}")

    def _take(self, kind: str, what: str) -> str:
        found, token = self._next()
        if found != kind:
            raise self._error(f"expected {what}, got {token!r}")
        return token

    def _error(self, problem: str) -> MalformedInput:
        return MalformedInput(f"{problem} in the query {self._text!r}", hint=f"evaluated here: {SUPPORTED}")

    def _refusal(self, what: str) -> MalformedInput:
        return MalformedInput(
            f"{what} is not evaluated here, in the query {self._text!r}",
            why="the embedded evaluation knows a part of PromQL, so that it can be right about all of that part",
            hint=f"let Prometheus evaluate the rule, or use: {SUPPORTED}",
        )
