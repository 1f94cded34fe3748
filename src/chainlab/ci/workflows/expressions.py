"""Expressions of workflow files, ``${{ … }}``, as trees: evaluated, changed and written again.

    >>> evaluate(Operation("&&", (Named("github"), Literal("yes"))), {"github": {"ref": "refs/heads/x"}})
    'yes'

`chainlab.ci.workflows.expression_parser` reads them. Names and keys do not depend on case (GitHub Docs, "Evaluate
expressions in workflows and actions"). Where the documentation is silent, the rules are those of the platform's own
``@actions/expressions``; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    "render",
    "rewrite",
]


@dataclass(frozen=True)
class Literal:
    """A value written out in the text."""

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
    """The values that ``*`` gives: a further index applies to each of them."""


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
    """The value of an expression; ``contexts`` and ``functions`` have folded names.

    Raises `MalformedInput` for a context or function that they lack, and if a function refuses its arguments.
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
    """One part of a value, or all parts without a place; None for a missing part."""
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
        folded = text(place[0]).lower()
        yield from [inner for key, inner in value.items() if str(key).lower() == folded][:1]
    elif isinstance(value, list):
        index = number(place[0])
        if 0 <= index < len(value):
            yield value[int(index)]


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct parts of an expression."""
    match expression:
        case IndexAccess(of, key, _):
            return (of, key) if key is not None else (of,)
        case Call(_, parts) | Operation(_, parts):
            return parts
    return ()


def rewrite(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The expression with ``change`` applied to each part, the inner ones first."""
    match expression:
        case IndexAccess(of, key, dotted):
            inner = None if key is None else rewrite(key, change)
            return change(IndexAccess(rewrite(of, change), inner, dotted))
        case Call(name, parts):
            return change(Call(name, tuple(rewrite(part, change) for part in parts)))
        case Operation(sign, parts):
            return change(Operation(sign, tuple(rewrite(part, change) for part in parts)))
    return change(expression)
