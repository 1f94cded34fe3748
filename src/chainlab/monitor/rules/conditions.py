"""What a rule's condition asks: which event types it can match, and whether their events have its fields.

pySigma parses the condition; its tree is walked here. A condition that names no type would match every event, and a
field that no event of the type has would never match: both are mistakes, where SQL would be silent.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionOR, ConditionValueExpression
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import SigmaFieldReference, SigmaString, SpecialChars

from chainlab.errors import MalformedInput
from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.events import PREFIX
from chainlab.monitor.event_table import COLUMNS, compile_pattern
from chainlab.monitor.rules.rule_file import Mistake, RuleDocument, suggestion

__all__ = ["check_condition", "check_modifiers"]

MAX_CONDITION: Final = 500  # characters
MAX_STARS: Final = 2  # of a name in `1 of NAME*`: each further one multiplies the time that matching it takes
MODIFIERS: Final = (
    "contains", "startswith", "endswith", "all", "cased", "re", "i", "lt", "lte", "gt", "gte", "neq", "exists",
    "fieldref", "hour", "minute", "day", "week", "month", "year",
)  # fmt: skip
TYPES_ARE: Final = "docs/events.md lists the types and their fields"


@dataclass(frozen=True)
class _Question:
    """One comparison in a condition: a field with a value."""

    field: str
    value: Any


def check_modifiers(document: RuleDocument) -> list[Mistake]:
    """Report modifiers and patterns that detections here do not have, and a condition that is no text or too long."""
    detection = document.values.get("detection")
    if not isinstance(detection, dict):
        hint = "write `detection:` with a selection below it, such as `selection: {type: artifact.published}`"
        return [document.mistake("the rule has no detection", hint, "detection")]
    mistakes = []
    condition = detection.get("condition")
    if not isinstance(condition, str) or not condition.strip():
        hint = "write `condition: selection`, below `detection:`"
        mistakes.append(document.mistake("the rule has no condition", hint, "detection", "condition"))
    elif len(condition) > MAX_CONDITION or any(w.count("*") > MAX_STARS for w in re.split(r"[\s()]+", condition)):
        hint = f"write at most {MAX_CONDITION} characters, with at most {MAX_STARS} `*` in a name"
        mistakes.append(document.mistake("the condition is too long", hint, "detection", "condition"))
    for key, value in _keys(detection):
        field, *modifiers = key.split("|")
        if "re" in modifiers:
            mistakes += _about_patterns(document, field, value if isinstance(value, list) else [value])
        for modifier in modifiers:
            if modifier not in MODIFIERS:
                hint = suggestion(modifier, MODIFIERS, f"modifiers are {', '.join(MODIFIERS)}")
                line = document.line_of_field(field)
                mistakes.append(Mistake(document.path, line, f"unsupported modifier {modifier!r}", hint))
    return mistakes


def check_condition(document: RuleDocument, rule: SigmaRule) -> tuple[frozenset[str], list[Mistake]]:
    """Return the event types that a rule can match, and the mistakes in what it asks."""
    try:
        parsed = rule.detection.parsed_condition[0].parsed
    except (SigmaError, RecursionError, TypeError, AttributeError) as error:
        hint = "a condition joins names of selections with and, or, not and brackets: `selection and not known`"
        message = " ".join(str(error).split())[:300]
        return frozenset(), [
            document.mistake(f"the condition cannot be read: {message}", hint, "detection", "condition")
        ]
    questions = list(_questions(parsed))
    mistakes = [mistake for question in questions for mistake in _about_value(document, question)]
    types = _possible_types(parsed)
    if mistakes:
        return types or frozenset(), mistakes
    if types is None:
        hint = "name the type in a selection that must hold: `type: artifact.published`"
        mistakes.append(document.mistake("the rule can match events of any type", hint, "detection"))
    elif not types:
        hint = "an event has one type: join selections of different types with `or`"
        mistakes.append(document.mistake("no event can match: its type would be two at once", hint, "detection"))
    else:
        fields = dict.fromkeys(field for question in questions for field in _fields_of(question))
        mistakes.extend(mistake for field in fields for mistake in _about_field(document, field, types))
    return types or frozenset(), mistakes


def _keys(node: Any) -> Iterator[tuple[str, Any]]:
    """The keys of a detection with their values, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key), value
            yield from _keys(value)
    elif isinstance(node, list):
        for item in node:
            yield from _keys(item)


def _about_patterns(document: RuleDocument, field: str, patterns: Sequence[Any]) -> Iterator[Mistake]:
    for pattern in patterns:
        try:
            compile_pattern(str(pattern))
        except MalformedInput as error:
            yield Mistake(document.path, document.line_of_field(field), f"{error.message}: {error.why}", error.hint)


def _questions(condition: Any) -> Iterator[_Question]:
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        yield _Question(condition.field, condition.value)
    elif isinstance(condition, ConditionValueExpression):
        yield _Question("", condition.value)
    for part in getattr(condition, "args", []):
        yield from _questions(part)


def _fields_of(question: _Question) -> list[str]:
    """The fields that a question compares: one, or two with `fieldref`."""
    both = isinstance(question.value, SigmaFieldReference)
    return [question.field, *([question.value.field] if both else [])]


def _about_value(document: RuleDocument, question: _Question) -> Iterator[Mistake]:
    """Mistakes in one question: a value without a field, an unknown field or type."""
    field, value = question.field, question.value
    if not field:
        hint = "write `FIELD|contains: …`, with the field that may hold the text"
        yield document.mistake("a value stands without a field", hint, "detection")
        return
    for name in _fields_of(question):
        if name not in COLUMNS:
            line = document.line_of_field(field)
            yield Mistake(document.path, line, f"unknown field {name!r}", suggestion(name, COLUMNS, TYPES_ARE))
    if field == "type" and isinstance(value, SigmaString) and not _types_like(value):
        name = str(value)
        line = document.line_of_field(field)
        if name.startswith(PREFIX):
            hint = f"write {name.removeprefix(PREFIX)!r}: types stand without {PREFIX}"
        else:
            hint = suggestion(name, EVENT_TYPES, TYPES_ARE)
        yield Mistake(document.path, line, f"unknown event type {name!r}: no event has it", hint)


def _about_field(document: RuleDocument, field: str, types: frozenset[str]) -> Iterator[Mistake]:
    """The mistake that no event of the types has a field."""
    known = {*COMMON, *(name for type_ in types for name in EVENT_TYPES[type_].fields)}
    if field in known:
        return
    having = [type_ for type_, kind in EVENT_TYPES.items() if field in kind.fields]
    own = ", ".join(sorted(known - {*COMMON}))
    message = f"{' and '.join(sorted(types))} events have no field {field!r}"
    hint = f"they have {own}; {field!r} is a field of {', '.join(having[:4])}"
    yield Mistake(document.path, document.line_of_field(field), message, hint)


def _possible_types(condition: Any) -> frozenset[str] | None:
    """The types that an event needs for the condition to hold; None when it may have any."""
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return _types_like(condition.value) if condition.field == "type" else None
    if isinstance(condition, ConditionAND):
        bounds = [bound for part in condition.args if (bound := _possible_types(part)) is not None]
        return frozenset.intersection(*bounds) if bounds else None
    if isinstance(condition, ConditionOR):
        alternatives = [_possible_types(part) for part in condition.args]
        bounded = [bound for bound in alternatives if bound is not None]
        return frozenset().union(*bounded) if len(bounded) == len(alternatives) else None
    return None  # `not` says what a type is not


def _types_like(value: Any) -> frozenset[str] | None:
    """The event types that fit a value of the field `type`; None for a value that is not a text or a pattern."""
    if not isinstance(value, SigmaString):
        return None
    wild: dict[object, str] = {SpecialChars.WILDCARD_MULTI: "*", SpecialChars.WILDCARD_SINGLE: "?"}
    parts = [re.sub(r"([*?\[])", r"[\1]", part) if isinstance(part, str) else wild.get(part, "?") for part in value.s]
    pattern = "".join(parts).lower()
    return frozenset(type_ for type_ in EVENT_TYPES if fnmatch.fnmatchcase(type_, pattern))
