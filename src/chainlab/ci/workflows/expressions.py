"""Expressions of workflow files, ``${{ … }}``: read, evaluated, and written again.

    >>> evaluate(parse("github.ref == 'refs/heads/main' && 'yes' || 'no'"), {"github": {"ref": "refs/heads/x"}})
    'no'

Names and keys do not depend on case (GitHub Docs, "Evaluate expressions in workflows and actions"). What the
documentation leaves open is as in the platform's own ``@actions/expressions``; tests compare the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chainlab.ci.workflows.values import FUNCTIONS, Function, Value, compare, number, text, truthy
from chainlab.errors import MalformedInput

__all__ = [
    "Call",
    "Expression",
    "IndexAccess",
    "Literal",
    "Named",
    "Operation",
    "children",
    "evaluate",
    "parse",
    "render",
    "rewrite",
]

MAX_CHARACTERS = 21_000  # of one expression, as on the platform
MAX_DEPTH = 50
MANY = 10**6
ARGUMENTS = {
    "case": (3, MANY), "contains": (2, 2), "endswith": (2, 2), "format": (1, 255), "fromjson": (1, 1),
    "join": (1, 2), "startswith": (2, 2), "tojson": (1, 1),
}  # fmt: skip
SPACE = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r"'(?:[^']|'')*'")
SIGN = re.compile(r"==|!=|<=|>=|&&|\|\||[()\[\],!<>*.]")
NUMBER = re.compile(r"[-+.0-9][^()\[\],!><=&|\s]*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?=[()\[\],.!><=&|\s]|\Z)")
WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "NaN": math.nan, "Infinity": math.inf}
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))  # operators, the loosest first


@dataclass(frozen=True)
class Literal:
    """A value that is written out."""

    value: Value


@dataclass(frozen=True)
class Named:
    """A context, such as ``github``."""

    name: str


@dataclass(frozen=True)
class IndexAccess:
    """A part of a value; ``key`` is None for ``*``, all parts."""

    of: Expression
    key: Expression | None
    dotted: bool


@dataclass(frozen=True)
class Call:
    """A function's value."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Operation:
    """``!`` with one part, any other operator with two."""

    sign: str
    parts: tuple[Expression, ...]


Expression = Literal | Named | IndexAccess | Call | Operation


class _Filtered(list[Value]):
    """What ``*`` gives: a further index is one of each of its values."""


def parse(
    source: str, contexts: Sequence[str] | None = None, functions: Mapping[str, tuple[int, int]] = {}
) -> Expression:
    """Read an expression without its braces.

    ``contexts`` are the ones that may be named (None: any), ``functions`` further functions with how few and how many
    arguments they take. Raises `MalformedInput` naming the word that is wrong.
    """
    if len(source) > MAX_CHARACTERS:
        raise MalformedInput(f"an expression has at most {MAX_CHARACTERS} characters")
    arguments = ARGUMENTS | {name.lower(): bounds for name, bounds in functions.items()}
    parser = _ExpressionParser(list(_tokens(source)), contexts, arguments)
    try:
        expression = parser.operation(0)
    except RecursionError as error:
        raise MalformedInput(f"an expression has at most {MAX_DEPTH} levels") from error
    if parser.sign():
        raise MalformedInput(f"the expression ends before {parser.sign()!r}")
    return expression


def _tokens(source: str) -> Iterator[tuple[str, Value]]:
    """Kind (``sign``, ``value`` or ``name``) and value of each word, then an empty sign."""
    place, before = len(source) - len(source.lstrip(" \t\r\n")), ""
    source = source.rstrip(" \t\r\n")
    while place < len(source):
        dot = source[place] == "." and before in ("name", "]", ")", "*")
        token: tuple[str, Value]
        if found := STRING.match(source, place):
            token = ("value", found[0][1:-1].replace("''", "'"))
        elif not dot and (found := NUMBER.match(source, place)):
            token = ("value", number(found[0]))
            if math.isnan(token[1]):
                raise MalformedInput(f"{found[0][:40]!r} is no number")
        elif found := SIGN.match(source, place):
            token = ("sign", found[0])
        elif found := NAME.match(source, place):
            token = ("value", WORDS[found[0]]) if found[0] in WORDS and before != "." else ("name", found[0])
        if found is None:
            raise MalformedInput(f"{source[place : place + 40]!r} is no part of an expression")
        yield token
        before = token[1] if token[0] == "sign" else token[0]
        space = SPACE.match(source, found.end())
        place = space.end() if space else found.end()
    yield "sign", ""


class _ExpressionParser:
    """Reads tokens by precedence."""

    def __init__(
        self, tokens: list[tuple[str, Value]], contexts: Sequence[str] | None, functions: Mapping[str, tuple[int, int]]
    ) -> None:
        self.tokens, self.functions = tokens, functions
        self.contexts = None if contexts is None else [name.lower() for name in contexts]
        self.place = self.depth = 0

    def sign(self) -> str:
        """The sign at the place; for a name or a value, its text."""
        return str(self.tokens[self.place][1])

    def take(self, *signs: str) -> str:
        """One of ``signs``, if it comes next, else an empty text."""
        kind, value = self.tokens[self.place]
        if kind != "sign" or value not in signs:
            return ""
        self.place += 1
        return str(value)

    def require(self, sign: str) -> None:
        if not self.take(sign):
            raise MalformedInput(f"expected {sign!r} before {self.sign() or 'the end'!r}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise MalformedInput(f"an expression has at most {MAX_DEPTH} levels")

    def operation(self, level: int) -> Expression:
        """Operators of one level of precedence, and of the tighter ones."""
        if level == len(LEVELS):
            return self.unary()
        found = self.operation(level + 1)
        while sign := self.take(*LEVELS[level]):
            found = Operation(sign, (found, self.operation(level + 1)))
        return found

    def unary(self) -> Expression:
        if not self.take("!"):
            return self.index()
        self.deeper()
        found = Operation("!", (self.unary(),))
        self.depth -= 1
        return found

    def index(self) -> Expression:
        """A value and the parts of it that are named behind it."""
        whole, steps = self.tokens[self.place][0] != "value", 0
        found = self.primary()
        while whole and (sign := self.take(".", "[")):
            self.deeper()
            steps += 1
            if self.take("*"):
                found = IndexAccess(found, None, sign == ".")
            elif sign == ".":
                kind, name = self.tokens[self.place]
                if kind != "name":
                    raise MalformedInput(f"expected a name behind '.', got {name or 'the end'!r}")
                self.place += 1
                found = IndexAccess(found, Literal(name), dotted=True)
            else:
                found = IndexAccess(found, self.operation(0), dotted=False)
            if sign == "[":
                self.require("]")
        self.depth -= steps
        return found

    def primary(self) -> Expression:
        if self.take("("):
            self.deeper()
            found = self.operation(0)
            self.depth -= 1
            self.require(")")
            return found
        kind, value = self.tokens[self.place]
        if kind == "sign":
            raise MalformedInput(f"expected a value, got {value or 'the end'!r}")
        self.place += 1
        if kind == "value":
            return Literal(value)
        if self.take("("):
            return self.call(value)
        if self.contexts is not None and value.lower() not in self.contexts:
            raise MalformedInput(f"{value!r} is not known here", why=f"known: {', '.join(self.contexts) or 'nothing'}")
        return Named(value)

    def call(self, name: str) -> Expression:
        arguments: list[Expression] = []
        while not self.take(")"):
            if arguments:
                self.require(",")
            self.deeper()
            arguments.append(self.operation(0))
            self.depth -= 1
        bounds = self.functions.get(name.lower())
        if bounds is None:
            known = ", ".join(sorted(self.functions))
            raise MalformedInput(f"there is no function {name!r} here", why=f"known: {known}")
        if not bounds[0] <= len(arguments) <= bounds[1] or (name.lower() == "case" and len(arguments) % 2 == 0):
            raise MalformedInput(f"{name} cannot take {len(arguments)} arguments")
        return Call(name, tuple(arguments))


def render(expression: Expression) -> str:
    """The expression's text; ``parse(render(e)) == e``."""
    match expression:
        case Literal(value):
            return (
                "'" + value.replace("'", "''") + "'"
                if isinstance(value, str)
                else text(value)
                if value is not None
                else "null"
            )
        case Named(name):
            return name
        case IndexAccess(of, key, dotted):
            whole = f"({render(of)})" if isinstance(of, Literal) or _is_not(of) else render(of)
            if key is None:
                return f"{whole}{'.*' if dotted else '[*]'}"
            return f"{whole}.{key.value}" if dotted and isinstance(key, Literal) else f"{whole}[{render(key)}]"
        case Call(name, arguments):
            return f"{name}({', '.join(map(render, arguments))})"
        case Operation("!", (part,)):
            return f"!{render(part)}"
        case Operation(sign, parts):
            return "(" + f" {sign} ".join(map(render, parts)) + ")"


def _is_not(expression: Expression) -> bool:
    return isinstance(expression, Operation) and expression.sign == "!"


def evaluate(expression: Expression, contexts: Mapping[str, Value], functions: Mapping[str, Function] = {}) -> Value:
    """The value of an expression. Raises `MalformedInput` for a function that refuses its arguments.

    ``contexts`` and ``functions`` have folded names; what they do not have cannot be known, which is an error, too.
    """
    match expression:
        case Literal(value):
            return value
        case Named(name):
            if name.lower() not in contexts:
                raise MalformedInput(f"the host cannot know `{name}` before the job runs")
            return contexts[name.lower()]
        case IndexAccess(of, key, _):
            place = None if key is None else (evaluate(key, contexts, functions),)
            return _part(evaluate(of, contexts, functions), place)
        case Call(name, arguments):
            function = {**FUNCTIONS, **functions}.get(name.lower())
            if function is None:
                raise MalformedInput(f"the host cannot know `{name}()` before the job runs")
            return function(*(evaluate(argument, contexts, functions) for argument in arguments))
        case Operation("!", (part,)):
            return not truthy(evaluate(part, contexts, functions))
        case Operation("&&" | "||" as sign, (left, right)):
            first = evaluate(left, contexts, functions)
            return evaluate(right, contexts, functions) if truthy(first) == (sign == "&&") else first
        case Operation(sign, (left, right)):
            return compare(sign, evaluate(left, contexts, functions), evaluate(right, contexts, functions))
    raise TypeError(expression)


def _part(value: Value, place: tuple[Value] | None) -> Value:
    """One part of a value, or with no place all of them; None for a part that is not there."""
    if isinstance(value, _Filtered):
        inside = [list(_parts(item, place)) for item in value]
        return _Filtered(part for parts in inside for part in parts)
    if place is None:
        return _Filtered(_parts(value, None))
    return next(_parts(value, place), None)


def _parts(value: Value, place: tuple[Value] | None) -> Iterator[Value]:
    if place is None:
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    elif isinstance(value, dict) and not isinstance(place[0], list | dict):
        wanted = text(place[0]).lower()
        yield from [inner for key, inner in value.items() if str(key).lower() == wanted][:1]
    elif isinstance(value, list):
        index = number(place[0])
        if 0 <= index < len(value):
            yield value[int(index)]


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that it is made of."""
    match expression:
        case IndexAccess(of, key, _):
            return (of, key) if key is not None else (of,)
        case Call(_, parts) | Operation(_, parts):
            return parts
    return ()


def rewrite(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The expression with ``change`` made to each part of it, the inner ones first."""
    match expression:
        case IndexAccess(of, key, dotted):
            inner = None if key is None else rewrite(key, change)
            return change(IndexAccess(rewrite(of, change), inner, dotted))
        case Call(name, parts):
            return change(Call(name, tuple(rewrite(part, change) for part in parts)))
        case Operation(sign, parts):
            return change(Operation(sign, tuple(rewrite(part, change) for part in parts)))
    return change(expression)
