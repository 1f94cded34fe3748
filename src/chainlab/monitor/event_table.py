"""Events as one table in SQLite's memory: the form that compiled detections ask.

A row is an event, a column a field of any type (`chainlab.event_types`), missing ones NULL. Lists are JSON text,
booleans 1 and 0. Text is compared without regard to case, as Sigma does.

    >>> [c for c in COLUMNS if c.startswith("since")]
    ['since_last_s']

Two columns are not for rules: ``sequence`` identifies the event, and ``instant`` orders events in windows. It is the
timestamp's whole second since 1970, plus a millionth for each event before it in the same second, so that the order of
the log decides between equal timestamps.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter
from pydantic_core import SchemaError

from chainlab.errors import MalformedInput
from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.events import PREFIX, Event

__all__ = ["COLUMNS", "SELECTED", "SLACK", "TABLE", "build_event_table", "compile_pattern", "select_events"]

TABLE: Final = "events"
SELECTED: Final = "selected_events"  # the view that a correlation reads
COLUMNS: Final = (*COMMON, *sorted({field for kind in EVENT_TYPES.values() for field in kind.fields}))
STEP: Final = 1e-6  # seconds between events of one second
SLACK: Final = 0.45  # seconds to add to a window: its ends are whole seconds, and count (more than 400,000 steps)
INTEGERS: Final = range(-(2**63), 2**63)  # that SQLite holds


def build_event_table(events: Iterable[Event]) -> sqlite3.Connection:
    """Fill a table named `TABLE` in a database of its own; the caller closes the connection.

    Events come in the order of their sequence. Raises `MalformedInput` for one whose time cannot be read.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    columns = ", ".join(f'"{name}" COLLATE NOCASE' for name in COLUMNS)
    connection.execute(f"CREATE TABLE {TABLE} (sequence INTEGER PRIMARY KEY, instant REAL NOT NULL, {columns})")
    connection.create_function("regexp", 2, _matches, deterministic=True)
    connection.execute("BEGIN")
    for type_, rows in _rows_by_type(events).items():
        names = ["sequence", "instant", *COMMON, *_fields(type_)]
        listed = ", ".join(f'"{name}"' for name in names)
        places = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO {TABLE} ({listed}) VALUES ({places})", rows)  # noqa: S608
    connection.execute("COMMIT")
    connection.execute(f"CREATE INDEX by_type ON {TABLE} (type, sequence)")
    return connection


def select_events(connection: sqlite3.Connection, types: Iterable[str], *, since: float) -> None:
    """Let the view `SELECTED` have the events of some types alone, from an instant on."""
    listed = ", ".join("'" + type_.replace("'", "''") + "'" for type_ in sorted(types))
    where = f"type IN ({listed}) AND instant >= {since!r}"
    connection.execute(f"DROP VIEW IF EXISTS {SELECTED}")
    connection.execute(f"CREATE TEMP VIEW {SELECTED} AS SELECT * FROM {TABLE} WHERE {where}")  # noqa: S608


def compile_pattern(pattern: str) -> TypeAdapter[str]:
    """Compile a regular expression for search in time linear in the text: Rust's ``regex``, which pydantic has.

    Raises `MalformedInput` for a pattern that this engine lacks, such as a back reference.
    """
    try:
        return TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise MalformedInput(
            f"not a regular expression: {pattern[:80]!r}",
            why=reason[:300],
            hint="look-around and back references are not available, because they can take hours",
        ) from error


@lru_cache(256)
def _compiled(pattern: str) -> TypeAdapter[str]:
    return compile_pattern(pattern)


def _matches(pattern: str, text: object) -> bool:
    """SQLite's ``text REGEXP pattern``."""
    return text is not None and _compiled(pattern).validator.isinstance_python(str(text))


def _fields(type_: str) -> tuple[str, ...]:
    return tuple(EVENT_TYPES[type_].fields) if type_ in EVENT_TYPES else ()


def _rows_by_type(events: Iterable[Event]) -> Mapping[str, list[tuple[Any, ...]]]:
    """Make the rows of the table, by type: each type has its own list of fields."""
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    fields: dict[str, tuple[str, ...]] = {}
    taken: dict[int, int] = defaultdict(int)  # second → events in it
    for event in events:
        type_ = event.type.removeprefix(PREFIX)
        if type_ not in fields:
            fields[type_] = _fields(type_)
        timestamp = event.scenario_time or event.time
        second, hour, weekday = _parts_of(timestamp)
        instant = second + STEP * taken[second]
        taken[second] += 1
        common = (type_, event.source, event.subject, event.time, event.scenario_time, timestamp, hour, weekday)
        data = event.data
        rows[type_].append((event.sequence, instant, *common, *[_value(data.get(name)) for name in fields[type_]]))
    return rows


@lru_cache(2**16)
def _parts_of(timestamp: str) -> tuple[int, int, int]:
    """Seconds since 1970, hour and weekday in UTC."""
    try:
        moment = datetime.fromisoformat(timestamp).astimezone(UTC)
    except ValueError as error:
        raise MalformedInput(f"an event's time cannot be read: {timestamp[:40]!r}") from error
    return int(moment.timestamp()), moment.hour, moment.isoweekday()


def _value(value: Any) -> Any:
    """A field's value as SQLite holds it."""
    if value is None or isinstance(value, str | float):
        return value
    if isinstance(value, int):
        return value if value in INTEGERS else str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
