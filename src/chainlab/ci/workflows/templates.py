"""Texts with expressions: evaluated if the host knows enough, or translated to what `act` knows.

>>> resolve({"os": "${{ github.ref }}-x"}, {"github": {"ref": "main"}})
{'os': 'main-x'}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from chainlab.ci.workflows.expression_parser import parse
from chainlab.ci.workflows.expressions import (
    Call,
    Expression,
    IndexAccess,
    Literal,
    Named,
    Operation,
    children,
    evaluate,
    render,
    rewrite,
)
from chainlab.ci.workflows.values import text, truthy
from chainlab.errors import MalformedInput

__all__ = [
    "condition",
    "literal",
    "names",
    "needs_evaluation",
    "resolve",
    "segments",
    "translate",
    "translate_condition",
]

STATUS = ("always", "cancelled", "failure", "success")
ANY = {"hashfiles": (1, 255)} | dict.fromkeys(STATUS, (0, 10**6))  # functions that only some places allow
Functions = Mapping[str, Callable[..., Any]]


def segments(template: str) -> list[str | tuple[str]]:
    """The parts of a text: plain texts, and in a tuple each expression without its braces.

    Raises `MalformedInput` for an expression without an end.
    """
    parts: list[str | tuple[str]] = []
    place = 0
    while (start := template.find("${{", place)) >= 0:
        if start > place:
            parts.append(template[place:start])
        quoted = False
        for end in range(start + 3, len(template)):
            if template[end] == "'":
                quoted = not quoted
            elif not quoted and template[end - 1 : end + 1] == "}}" and end > start + 3:
                break
        else:
            raise MalformedInput("an expression that begins with ${{ does not end with }}")
        parts.append((template[start + 3 : end - 1].strip(),))
        place = end + 1
    if place < len(template):
        parts.append(template[place:])
    return parts


def resolve(value: Any, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = {}) -> Any:
    """The value with every expression in it evaluated. Raises `MalformedInput` for values that the host cannot know."""
    if isinstance(value, dict):
        return {resolve(key, contexts): resolve(inner, contexts, functions) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, contexts, functions) for inner in value]
    if not isinstance(value, str) or "${{" not in value:
        return value
    values = [
        evaluate(parse(part[0], functions=ANY), contexts, functions) if isinstance(part, tuple) else part
        for part in segments(value)
    ]
    return values[0] if len(values) == 1 else "".join(map(text, values))


def condition(value: Any, contexts: Mapping[str, Any], functions: Functions) -> bool:
    """Whether an ``if`` lets a job run; without a function of `STATUS`, it also requires ``success()``.

    Raises `MalformedInput` for values that the host cannot know.
    """
    source = text(value).strip()
    if "${{" not in source:
        source = "${{ " + (source or "success()") + " }}"
    parts = [parse(part[0], functions=ANY) for part in segments(source) if isinstance(part, tuple)]
    has_status = any(_has_status(part) for part in parts)
    return (has_status or bool(functions["success"]())) and truthy(resolve(source, contexts, functions))


def needs_evaluation(value: Any) -> bool:
    """Whether a value is a text with an expression, which may replace a mapping or a list."""
    return isinstance(value, str) and "${{" in value


def translate(value: Any, context_values: Mapping[str, Mapping[str, Any]] = {}) -> Any:
    """Translate the expressions in a value for `act`: without ``case``, and with the context values that `act` lacks.

    ``context_values`` has the values to write out, by folded names of context and part; ``strategy`` is written out as
    a whole. A text in which nothing changes stays as it is.
    """
    if isinstance(value, dict):
        return {name: translate(inner, context_values) for name, inner in value.items()}
    if isinstance(value, list):
        return [translate(inner, context_values) for inner in value]
    if not needs_evaluation(value):
        return value
    parts = segments(value)
    translated = [_plain(part[0], context_values) if isinstance(part, tuple) else part for part in parts]
    if translated == [part[0] if isinstance(part, tuple) else part for part in parts]:
        return value
    pairs = zip(translated, parts, strict=True)
    return "".join("${{ " + new + " }}" if isinstance(old, tuple) else new for new, old in pairs)


def translate_condition(value: Any, context_values: Mapping[str, Mapping[str, Any]] = {}) -> Any:
    """As `translate`, for an ``if``: its expression needs no braces; a number becomes a text, which `act` takes."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(value)
    if not isinstance(value, str) or needs_evaluation(value) or not value.strip():
        return translate(value, context_values)
    translated = _plain(value.strip(), context_values)
    return value if translated == value.strip() else translated


def literal(value: Any) -> Any:
    """Quote a value, so that its evaluation returns the value itself."""
    if isinstance(value, dict):
        return {literal(key): literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return "${{ " + render(Literal(value)) + " }}" if needs_evaluation(value) else value


def _has_status(expression: Expression) -> bool:
    """Whether an expression uses a status function."""
    own = isinstance(expression, Call) and expression.name.lower() in STATUS
    return own or any(map(_has_status, children(expression)))


def names(source: str) -> set[str]:
    """The folded names in an expression: contexts, parts such as ``github.token``, functions; empty if invalid."""
    try:
        waiting: list[Expression] = [parse(source, functions=ANY)]
    except MalformedInput:
        return set()
    used = set()
    for part in waiting:  # grows as it is walked
        waiting += children(part)
        match part:
            case Named(name) | Call(name, _):
                used.add(name.lower())
            case IndexAccess(Named(name), Literal(str(key)), _):
                used.add(f"{name}.{key}".lower())
    return used


def _plain(source: str, context_values: Mapping[str, Mapping[str, Any]]) -> str:
    """Translate one expression for `act`; the same text if nothing has to change."""

    def change(part: Expression) -> Expression:
        match part:
            case Named(name) if name.lower() == "strategy" and "strategy" in context_values:
                return Call("fromJSON", (Literal(json.dumps(context_values["strategy"])),))
            case IndexAccess(Named(name), Literal(str(key)), _) if key.lower() in context_values.get(name.lower(), ()):
                return Literal(context_values[name.lower()][key.lower()])
            case Call(name, arguments) if name.lower() == "case":
                return Call("fromJSON", (_chosen(arguments),))
        return part

    before = parse(source, functions=ANY)
    after = rewrite(before, change)
    return source if after == before else render(after)


def _chosen(arguments: tuple[Expression, ...]) -> Expression:
    """``case`` written with ``&&`` and ``||``; as JSON texts, all values are true."""
    choice: Expression = Call("toJSON", (arguments[-1],))
    for test, value in zip(arguments[-3::-2], arguments[-2::-2], strict=True):
        choice = Operation("||", (Operation("&&", (test, Call("toJSON", (value,)))), choice))
    return choice
