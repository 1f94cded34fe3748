"""Texts that hold expressions: evaluated where the host knows enough, and said again in what `act` knows.

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
ANY = {"hashfiles": (1, 255)} | dict.fromkeys(STATUS, (0, 10**6))  # functions that are not in every place
Functions = Mapping[str, Callable[..., Any]]


def segments(template: str) -> list[str | tuple[str]]:
    """The parts of a text: texts as they are, and in a tuple each expression without its braces.

    Raises `MalformedInput` for an expression that does not end.
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
    """The value with every expression in it evaluated. Raises `MalformedInput` for what the host cannot know."""
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
    """Whether an ``if`` lets a job run; without a function of `STATUS` in it, only if ``success()``.

    Raises `MalformedInput` for what the host cannot know.
    """
    source = text(value).strip()
    if "${{" not in source:
        source = "${{ " + (source or "success()") + " }}"
    parts = [parse(part[0], functions=ANY) for part in segments(source) if isinstance(part, tuple)]
    asks = any(_asks(part) for part in parts)
    return (asks or bool(functions["success"]())) and truthy(resolve(source, contexts, functions))


def needs_evaluation(value: Any) -> bool:
    """Whether an expression stands in the place of a mapping or a list."""
    return isinstance(value, str) and "${{" in value


def translate(value: Any, context_values: Mapping[str, Mapping[str, Any]] = {}) -> Any:
    """The value with its expressions as `act` knows them: without ``case``, and with what contexts lack there.

    ``known`` has the parts of contexts that are written out, by folded names; ``strategy`` is written out as a whole.
    A text in which nothing changes stays as it is.
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
    """As `translate`, for an ``if``: an expression without braces; `act` takes no number there."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(value)
    if not isinstance(value, str) or needs_evaluation(value) or not value.strip():
        return translate(value, context_values)
    translated = _plain(value.strip(), context_values)
    return value if translated == value.strip() else translated


def literal(value: Any) -> Any:
    """The value in a form that an evaluation leaves as it is."""
    if isinstance(value, dict):
        return {literal(key): literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return "${{ " + render(Literal(value)) + " }}" if needs_evaluation(value) else value


def _asks(expression: Expression) -> bool:
    """Whether an expression asks how what came before has ended."""
    own = isinstance(expression, Call) and expression.name.lower() in STATUS
    return own or any(map(_asks, children(expression)))


def names(source: str) -> set[str]:
    """What an expression uses, folded: contexts, parts such as ``github.token``, functions; nothing for a bad one."""
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
    """One expression's text as `act` knows it; the same text where nothing has to change."""

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
    """``case`` by ``&&`` and ``||``: as JSON, no value is false."""
    choice: Expression = Call("toJSON", (arguments[-1],))
    for test, value in zip(arguments[-3::-2], arguments[-2::-2], strict=True):
        choice = Operation("||", (Operation("&&", (test, Call("toJSON", (value,)))), choice))
    return choice
