"""Correlations: rules that count or order the events of other rules in a window of time.

    correlation:
      type: event_count
      rules: [token_refused]      # a document of the same file
      group-by: [subject]
      timespan: 10m
      condition: {gte: 5}

A correlation sees events, never their absence: ``a and not b`` would look forward from an ``a``, and a ``b`` that came
before it would go unseen. So `not` is a mistake here; what is absent is computed when an event is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.monitor.rules.rule_file import Mistake, RuleDocument, suggestion

__all__ = ["check_correlation", "check_groups"]

KEYS: Final = ("type", "rules", "group-by", "timespan", "condition")
TYPES: Final = (
    "event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile",
    "value_median",
)  # fmt: skip
MAX_RULES: Final = 6
MAX_SPAN: Final = 31 * 86400  # seconds
SPAN: Final = re.compile(r"([1-9][0-9]{0,6})([smhdw])", re.ASCII)
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
WORDS: Final = re.compile(r"[A-Za-z0-9_]+")


def check_correlation(document: RuleDocument, names: Mapping[str, RuleDocument]) -> Iterator[Mistake]:
    """Report the mistakes in a correlation; ``names`` are the other rules of its file."""
    correlation = document.values["correlation"]
    if not isinstance(correlation, dict):
        yield document.mistake("`correlation` is not a mapping", f"write the keys {', '.join(KEYS)}", "correlation")
        return
    for key in correlation:
        if key not in KEYS:
            hint = suggestion(str(key), KEYS, f"a correlation has the keys {', '.join(KEYS)}")
            yield document.mistake(f"unsupported key {str(key)[:80]!r} of a correlation", hint, "correlation", str(key))
    kind = correlation.get("type")
    if kind not in TYPES:
        hint = suggestion(str(kind), TYPES, f"types are {', '.join(TYPES)}")
        yield document.mistake(f"unknown type of correlation: {str(kind)[:80]!r}", hint, "correlation", "type")
    yield from _about_rules(document, correlation, names)
    for key, field in _fields(correlation):
        if not isinstance(field, str):
            yield document.mistake(f"not a field: {str(field)[:80]!r}", "write a field's name", "correlation", key)
    yield from _about_span(document, correlation.get("timespan"))
    yield from _about_condition(document, correlation.get("condition"), str(kind))
    yield from _about_threshold(document, correlation, str(kind))


def check_groups(document: RuleDocument, types: Mapping[str, frozenset[str]]) -> Iterator[Mistake]:
    """Report fields that the events of a correlation lack; ``types`` has the event types of each of its rules."""
    for key, field in _fields(document.values["correlation"]):
        for rule, possible in types.items():
            lacking = sorted(type_ for type_ in possible if field not in {*COMMON, *EVENT_TYPES[type_].fields})
            if lacking:
                known = {*COMMON}.union(*(EVENT_TYPES[type_].fields for type_ in possible))
                hint = suggestion(str(field), known, f"they have {', '.join(sorted(known - {*COMMON}))}")
                why = "an event without it is never counted"
                message = f"{lacking[0]} events, of {rule}, have no field {str(field)[:80]!r}: {why}"
                yield document.mistake(message, hint, "correlation", key)


def _fields(correlation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that a correlation names: the groups, and what it counts or sums; each with its key."""
    groups, condition = correlation.get("group-by"), correlation.get("condition")
    for field in groups if isinstance(groups, list) else [groups]:
        if groups is not None:
            yield "group-by", field
    if isinstance(condition, dict) and "field" in condition:
        yield "condition", condition["field"]


def _about_rules(
    document: RuleDocument, correlation: Mapping[str, Any], names: Mapping[str, RuleDocument]
) -> Iterator[Mistake]:
    rules = correlation.get("rules")
    listed = [rules] if isinstance(rules, str) else rules
    if not isinstance(listed, list) or not listed or not all(isinstance(rule, str) for rule in listed):
        yield document.mistake("the correlation names no rules", "write `rules: [NAME]`", "correlation", "rules")
        return
    if len(listed) > MAX_RULES or len(set(listed)) < len(listed):
        hint = f"name at most {MAX_RULES} rules, each once"
        yield document.mistake("the correlation has too many rules", hint, "correlation", "rules")
    for rule in listed:
        if rule not in names:
            hint = suggestion(rule, names, "write that rule in the same file, a document with this `name:`")
            message = f"the correlation is over a rule that this file does not have: {rule[:80]!r}"
            yield document.mistake(message, hint, "correlation", "rules")
        elif "correlation" in names[rule].values:
            hint = "correlate rules about events"
            yield document.mistake(f"{rule!r} is a correlation itself", hint, "correlation", "rules")


def _about_span(document: RuleDocument, span: object) -> Iterator[Mistake]:
    match = SPAN.fullmatch(span) if isinstance(span, str) else None
    if match is None:
        hint = "write a number and s, m, h, d or w: `timespan: 10m`"
        yield document.mistake(f"not a time span: {str(span)[:80]!r}", hint, "correlation", "timespan")
    elif int(match[1]) * SECONDS[match[2]] > MAX_SPAN:
        hint = f"write at most {MAX_SPAN // 86400}d: the monitor keeps the events of a window"
        yield document.mistake(f"the time span {span} is too long", hint, "correlation", "timespan")


def _about_threshold(document: RuleDocument, correlation: Mapping[str, Any], kind: str) -> Iterator[Mistake]:
    """Report a temporal correlation that needs more rules than it names: it would never match."""
    condition, rules = correlation.get("condition"), correlation.get("rules")
    named = len(rules) if isinstance(rules, list) else 1
    if kind.startswith("temporal") and isinstance(condition, dict):
        for operator, most in (("gte", named), ("gt", named - 1), ("eq", named)):
            if isinstance(condition.get(operator), int | float) and condition[operator] > most:
                hint = f"a temporal correlation counts its rules: write at most `{{{operator}: {most}}}`"
                message = f"the threshold is above the number of rules, {named}: it is never reached"
                yield document.mistake(message, hint, "correlation", "condition")


def _about_condition(document: RuleDocument, condition: object, kind: str) -> Iterator[Mistake]:
    if isinstance(condition, dict) or (condition is None and kind.startswith("temporal")):
        return
    if not isinstance(condition, str):
        hint = "write a threshold: `condition: {gte: 3}`"
        yield document.mistake("the correlation has no condition", hint, "correlation", "condition")
        return
    words = {word.lower() for word in WORDS.findall(condition)}
    if "not" in words:
        message = "`not` in a correlation looks forward only: what came before the other event still counts as absent"
        hint = "compute the absence when the event is written, as a field of it, and match that field by a plain rule"
        yield document.mistake(message, hint, "correlation", "condition")
    elif {"and", "or"} <= words or not kind.startswith("temporal"):
        hint = "write a threshold, `{gte: 3}`; a temporal one may join names by `and` alone or by `or` alone"
        yield document.mistake(f"unsupported condition {condition[:80]!r}", hint, "correlation", "condition")
