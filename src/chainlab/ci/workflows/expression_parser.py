"""The parser of expressions of workflow files, ``${{ … }}``.

>>> evaluate(parse("github.ref == 'refs/heads/main' && 'yes' || 'no'"), {"github": {"ref": "refs/heads/x"}})
'no'
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from chainlab.ci.workflows.expressions import Call, Expression, IndexAccess, Literal, Named, Operation
from chainlab.ci.workflows.values import Value, number
from chainlab.errors import MalformedInput

__all__ = ["parse"]

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


def parse(
    source: str, contexts: Sequence[str] | None = None, functions: Mapping[str, tuple[int, int]] = {}
) -> Expression:
    """Read an expression without its braces.

    ``contexts`` are the contexts that it may name (None: any), ``functions`` further functions with the least and the
    largest number of their arguments. Raises `MalformedInput` naming the wrong word.
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
        if match := STRING.match(source, place):
            token = ("value", match[0][1:-1].replace("''", "'"))
        elif not dot and (match := NUMBER.match(source, place)):
            token = ("value", number(match[0]))
            if math.isnan(token[1]):
                raise MalformedInput(f"not a number: {match[0][:40]!r}")
        elif match := SIGN.match(source, place):
            token = ("sign", match[0])
        elif match := NAME.match(source, place):
            token = ("value", WORDS[match[0]]) if match[0] in WORDS and before != "." else ("name", match[0])
        if match is None:
            raise MalformedInput(f"not part of an expression: {source[place : place + 40]!r}")
        yield token
        before = token[1] if token[0] == "sign" else token[0]
        space = SPACE.match(source, match.end())
        place = space.end() if space else match.end()
    yield "sign", ""


class _ExpressionParser:
    """A reader of tokens by precedence, from the loosest operators to single values."""

    def __init__(
        self, tokens: list[tuple[str, Value]], contexts: Sequence[str] | None, functions: Mapping[str, tuple[int, int]]
    ) -> None:
        self.tokens, self.functions = tokens, functions
        self.contexts = None if contexts is None else [name.lower() for name in contexts]
        self.place = self.depth = 0

    def sign(self) -> str:
        """The text of the current token."""
        return str(self.tokens[self.place][1])

    def take(self, *signs: str) -> str:
        """Take one of ``signs`` if it comes next; returns an empty text otherwise."""
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
        """An operation of one level of precedence, its parts of the tighter levels."""
        if level == len(LEVELS):
            return self.unary()
        expression = self.operation(level + 1)
        while sign := self.take(*LEVELS[level]):
            expression = Operation(sign, (expression, self.operation(level + 1)))
        return expression

    def unary(self) -> Expression:
        if not self.take("!"):
            return self.index()
        self.deeper()
        expression = Operation("!", (self.unary(),))
        self.depth -= 1
        return expression

    def index(self) -> Expression:
        """A value with the index accesses behind it."""
        whole, steps = self.tokens[self.place][0] != "value", 0
        expression = self.primary()
        while whole and (sign := self.take(".", "[")):
            self.deeper()
            steps += 1
            if self.take("*"):
                expression = IndexAccess(expression, None, sign == ".")
            elif sign == ".":
                kind, name = self.tokens[self.place]
                if kind != "name":
                    raise MalformedInput(f"expected a name behind '.', got {name or 'the end'!r}")
                self.place += 1
                expression = IndexAccess(expression, Literal(name), dotted=True)
            else:
                expression = IndexAccess(expression, self.operation(0), dotted=False)
            if sign == "[":
                self.require("]")
        self.depth -= steps
        return expression

    def primary(self) -> Expression:
        if self.take("("):
            self.deeper()
            expression = self.operation(0)
            self.depth -= 1
            self.require(")")
            return expression
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
            names = ", ".join(sorted(self.functions))
            raise MalformedInput(f"there is no function {name!r} here", why=f"known: {names}")
        if not bounds[0] <= len(arguments) <= bounds[1] or (name.lower() == "case" and len(arguments) % 2 == 0):
            raise MalformedInput(f"{name} cannot take {len(arguments)} arguments")
        return Call(name, tuple(arguments))
