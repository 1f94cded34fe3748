"""Compile the documents of a rule file to SQL, by pySigma and its backend for SQLite.

First our own checks, which know the events; then pySigma's, which know Sigma; then SQLite prepares the statement on an
empty table. What any of the three refuses is a `Mistake`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sigma.backends.sqlite.correlation import CorrelationCompiler
from sigma.backends.sqlite.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.rule import SigmaRule

from chainlab.monitor.event_table import SELECTED, SLACK, TABLE, build_event_table, select_events
from chainlab.monitor.rules.conditions import check_condition
from chainlab.monitor.rules.correlations import check_correlation, check_groups
from chainlab.monitor.rules.keys import FIX, OwnKey, check_keys, check_main_keys
from chainlab.monitor.rules.rule_file import Mistake, RuleDocument

__all__ = ["CompiledRule", "compile_rule"]

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")


@dataclass(frozen=True)
class CompiledRule:
    """A rule without a mistake: its keys, and its SQL (as in `Detection`)."""

    values: Mapping[str, Any]
    own: OwnKey
    sql: str
    types: frozenset[str]
    window_s: int
    groups: tuple[str, ...]


def compile_rule(path: Path, documents: Sequence[RuleDocument]) -> tuple[CompiledRule | None, list[Mistake]]:
    """Compile a file's documents; returns the mistakes when there are any."""
    main, mistakes = _main_document(path, documents)
    if main is None:
        return None, mistakes
    others = {document.name: document for document in documents if document is not main}
    mistakes += [mistake for document in documents for mistake in check_keys(document)]
    mistakes += list(check_main_keys(main))
    if "correlation" in main.values:
        mistakes += list(check_correlation(main, others))
    if mistakes:
        return None, mistakes
    rules, mistakes = _parse(documents)
    if mistakes:
        return None, mistakes
    types: dict[str, frozenset[str]] = {}
    for document, rule in rules:
        if isinstance(rule, SigmaRule):
            types[document.name or path.stem], found = check_condition(document, rule)
            mistakes += found
    if not mistakes and "correlation" in main.values:
        mistakes += list(check_groups(main, types))
    all_types = frozenset[str]().union(*types.values())
    if not mistakes:
        mistakes += list(_about_unit(main, all_types))
    if mistakes:
        return None, mistakes
    return _compile(main, rules, all_types)


def _main_document(path: Path, documents: Sequence[RuleDocument]) -> tuple[RuleDocument | None, list[Mistake]]:
    """Find the rule that gives the file its name; the others serve its correlation."""
    first = documents[0]
    if path.suffix != ".yml":
        return None, [first.mistake(f"the suffix is {path.suffix}", f"rename the file to {path.stem}.yml")]
    if not NAME.fullmatch(path.stem):
        hint = "name the file in lower case, with letters, digits and underscores: tag_moved.yml"
        return None, [first.mistake("the file's name is not a rule's name", hint)]
    mains = [document for document in documents if len(documents) == 1 or "correlation" in document.values]
    if len(mains) != 1:
        hint = "give each rule a file; only the rules that a correlation counts stand beside it"
        return None, [first.mistake(f"the file has {len(mains) or len(documents)} rules", hint)]
    named = [document.name for document in documents if document is not mains[0]]
    for document in documents:
        if document is mains[0] and document.name not in ("", path.stem):
            hint = f"write `name: {path.stem}`, or leave it out"
            return None, [document.mistake("the name is not that of the file", hint, "name")]
        if document is not mains[0] and (not document.name or named.count(document.name) > 1):
            hint = "write a `name:` that the correlation's `rules:` can refer to"
            return None, [document.mistake("a rule beside a correlation needs a name of its own", hint, "name")]
    return mains[0], []


def _about_unit(document: RuleDocument, types: frozenset[str]) -> Iterator[Mistake]:
    unit = document.values["chainlab"]["unit"]
    if unit not in types:
        hint = f"write one of {', '.join(sorted(types))}: a false-positive rate is matched units by units"
        yield document.mistake(f"the rule never matches its unit, {unit}", hint, "chainlab", "unit")


_Parsed = tuple[RuleDocument, SigmaRule | SigmaCorrelationRule]


def _parse(documents: Sequence[RuleDocument]) -> tuple[list[_Parsed], list[Mistake]]:
    """Parse each document by pySigma."""
    parsed: list[_Parsed] = []
    mistakes = []
    for document in documents:
        kind = SigmaCorrelationRule if "correlation" in document.values else SigmaRule
        values = {key: value for key, value in document.values.items() if key != "chainlab"}
        try:
            rule = kind.from_dict(values, collect_errors=True)
            problems = [str(error) for error in rule.errors]
        except (SigmaError, TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
            problems = [" ".join(str(error).split())[:300] or type(error).__name__]
        else:
            parsed += [(document, rule)] if not problems else []
        part = "correlation" if "correlation" in values else "detection"
        mistakes += [document.mistake(f"pySigma refuses the rule: {problem}", FIX, part) for problem in problems]
    return parsed, mistakes


def _compile(
    main: RuleDocument, parsed: Sequence[_Parsed], types: frozenset[str]
) -> tuple[CompiledRule | None, list[Mistake]]:
    """Convert the rules, and prepare the statement on an empty table."""
    rules: list[SigmaRule | SigmaCorrelationRule | SigmaFilter] = [rule for _, rule in parsed]
    root = next(rule for document, rule in parsed if document is main)
    window_s = 0
    groups: Sequence[str] = ()
    try:
        collection = SigmaCollection([*rules])  # resolves what a correlation refers to
        if isinstance(root, SigmaCorrelationRule):
            window_s, groups = int(root.timespan.seconds), tuple(root.group_by or ())
            root.timespan.seconds = window_s + SLACK  # type: ignore[assignment]  # the backend only prints it
        sql = _convert(collection, root)
        _prepare(sql)
    except (SigmaError, ValueError, TypeError, AttributeError, RecursionError, sqlite3.Error) as error:
        problem = " ".join(str(error).split())[:300]
        part = "correlation" if isinstance(root, SigmaCorrelationRule) else "detection"
        return None, [main.mistake(f"the rule cannot be compiled: {problem}", FIX, part)]
    own = OwnKey.read(main.values["chainlab"])
    return CompiledRule(main.values, own, sql, types, window_s, tuple(groups)), []


def _convert(collection: SigmaCollection, root: SigmaRule | SigmaCorrelationRule) -> str:
    """The SQL of the root; a correlation's other rules are converted first, for it contains their conditions."""
    correlated = isinstance(root, SigmaCorrelationRule)
    backend = sqliteBackend(
        table=SELECTED if correlated else TABLE,
        timestamp_field="instant",
        timestamp_seconds_expression="{field}",
        event_id_field="sequence",
    )
    if not isinstance(root, SigmaCorrelationRule):
        (sql,) = backend.convert_rule(root)
        return str(sql)
    for rule in collection.rules:
        if isinstance(rule, SigmaRule):
            backend.convert_rule(rule)
    backend.convert_correlation_rule(root)  # resolves its fields
    _, plan = CorrelationCompiler(backend, root).compile()
    return _windows_and_events(plan["prepare"], len(root.group_by or ()))


def _windows_and_events(stages: Sequence[Mapping[str, Any]], groups: int) -> str:
    """A query for the windows that reached a correlation's threshold, and for the events that fill them.

    The backend's own query lists the events of each window. In a burst of n events that is n times n: 1,000 take three
    seconds. Its stages before that are linear.
    """
    names = [str(stage["name"]) for stage in stages]
    windows = [name for name in names if name.endswith("_qualified")]
    if not windows:
        raise ValueError("the condition of the correlation can never hold")
    (events,) = (name for name in names if name.endswith("_n0_matches"))
    needed = stages[: names.index(windows[-1]) + 1]
    keys = f"json_array({', '.join(f'g{number}' for number in range(groups))})"
    parts = [f"SELECT {keys} AS keys, start, end, NULL AS event FROM {name}" for name in windows]  # noqa: S608
    parts.append(f"SELECT {keys}, ts, ts, eid FROM {events}")  # noqa: S608
    return f"WITH {', '.join('{name} AS ({select})'.format(**stage) for stage in needed)} {' UNION ALL '.join(parts)}"


def _prepare(sql: str) -> None:
    with closing(build_event_table([])) as connection:
        select_events(connection, [], since=0)
        connection.execute(f"EXPLAIN {sql}").close()
