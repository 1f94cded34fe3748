"""Events: chained by hash, so that removal, change and reordering show."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from chainlab import database
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.events import Event, Events

MOMENT = datetime(2026, 5, 11, 19, 20, 39, 999_999, tzinfo=UTC)
TEXT = st.text(max_size=20)
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = database.connect(tmp_path / "state.db")
    yield opened
    opened.close()


@pytest.fixture
def events(connection: sqlite3.Connection) -> Events:
    return Events(connection, clock=lambda: MOMENT)


def fill(events: Events, connection: sqlite3.Connection, count: int) -> list[Event]:
    with database.transaction(connection):
        return [
            events.append(
                f"dev.chainlab.test.{'odd' if number % 2 else 'even'}",
                source="/test",
                subject=f"subject-{number}",
                data={"number": number},
            )
            for number in range(count)
        ]


def test_an_empty_chain_verifies(events: Events) -> None:
    assert events.verify() == (0, bytes(32))
    assert list(events.read()) == []


def test_what_was_appended_is_read_in_order(events: Events, connection: sqlite3.Connection) -> None:
    appended = fill(events, connection, 5)
    assert list(events.read()) == appended
    assert [event.id for event in appended] == ["1", "2", "3", "4", "5"]
    assert [event.sequence for event in events.read("dev.chainlab.test.odd")] == [2, 4]
    assert [event.sequence for event in events.read(after=3)] == [4, 5]
    assert [e.sequence for e in events.read("dev.chainlab.test.odd", after=2)] == [4]
    assert list(events.read("dev.chainlab.test")) == []  # a type, not a prefix


def test_an_event_is_a_cloudevent(events: Events, connection: sqlite3.Connection) -> None:
    (event,) = fill(events, connection, 1)
    assert event.envelope() == {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": "dev.chainlab.test.even",
        "subject": "subject-0",
        "time": "2026-05-11T19:20:39Z",
        "data": {"number": 0},
    }


def test_scenario_time_is_a_field_of_its_own(events: Events, connection: sqlite3.Connection) -> None:
    with database.transaction(connection):
        event = events.append(
            *("dev.chainlab.test.even",),
            source="/drill",
            subject="x",
            data={},
            scenario_time="2025-03-14T16:57:00Z",
        )
    assert event.envelope()["scenariotime"] == "2025-03-14T16:57:00Z"
    assert event.envelope()["time"] == "2026-05-11T19:20:39Z"
    assert list(events.read()) == [event]


@given(type=TEXT, source=TEXT, subject=TEXT, data=DATA, scenario=st.none() | TEXT)
def test_an_event_reads_back_from_its_envelope(
    type: str, source: str, subject: str, data: dict[str, Any], scenario: str | None
) -> None:
    event = Event(7, type, source, subject, "2026-05-11T19:20:39Z", data, scenario)
    assert Event.from_envelope(json.loads(rfc8785.dumps(event.envelope()))) == event


def test_the_chain_is_as_its_module_says(events: Events, connection: sqlite3.Connection) -> None:
    fill(events, connection, 4)
    previous = bytes(32)
    for envelope, stored in connection.execute("SELECT envelope, hash FROM events ORDER BY 1"):
        assert rfc8785.dumps(json.loads(envelope)) == envelope
        previous = hashlib.sha256(previous + envelope).digest()
        assert stored == previous
    assert events.verify() == (4, previous)


def replaced(connection: sqlite3.Connection, sequence: int, envelope: bytes) -> None:
    """Put another envelope in an event's place, with a hash that fits it."""
    (previous,) = connection.execute("SELECT hash FROM events WHERE sequence = ?", (sequence - 1,)).fetchone()
    connection.execute(
        "UPDATE events SET envelope = ?, hash = ? WHERE sequence = ?",
        (envelope, hashlib.sha256(previous + envelope).digest(), sequence),
    )


def rehashed(connection: sqlite3.Connection, sequence: int, **changes: Any) -> None:
    """Change an event together with its own hash, as somebody would who does not want to be seen."""
    (envelope,) = connection.execute("SELECT envelope FROM events WHERE sequence = ?", (sequence,)).fetchone()
    replaced(connection, sequence, rfc8785.dumps(json.loads(envelope) | changes))


def swap(connection: sqlite3.Connection, one: int, other: int) -> None:
    for old, new in ((one, -1), (other, one), (-1, other)):
        connection.execute("UPDATE events SET sequence = ? WHERE sequence = ?", (new, old))


TAMPERING: dict[str, tuple[Callable[[sqlite3.Connection], Any], int]] = {
    "the first is removed": (lambda c: c.execute("DELETE FROM events WHERE sequence = 1"), 1),
    "one is removed": (lambda c: c.execute("DELETE FROM events WHERE sequence = 3"), 3),
    "one is removed and the gap is closed": (
        lambda c: c.executescript(
            "DELETE FROM events WHERE sequence = 3;UPDATE events SET sequence = sequence - 1 WHERE sequence > 3"
        ),
        3,
    ),
    "data is changed": (
        lambda c: c.execute(
            "UPDATE events SET envelope = CAST(replace(CAST(envelope AS TEXT), 'subject-2', "
            "'subject-9') AS BLOB) WHERE sequence = 3"
        ),
        3,
    ),
    "data is changed and hashed anew": (lambda c: rehashed(c, 3, subject="other"), 4),
    "the column of the type is changed": (
        lambda c: c.execute("UPDATE events SET type = 'dev.chainlab.other' WHERE sequence = 3"),
        3,
    ),
    "the id is changed and hashed anew": (lambda c: rehashed(c, 3, id="9"), 3),
    "a hash is changed": (
        lambda c: c.execute("UPDATE events SET hash = zeroblob(32) WHERE sequence = 3"),
        3,
    ),
    "an envelope is no JSON, hashed anew": (lambda c: replaced(c, 3, b"{"), 3),
    "an envelope is a list, hashed anew": (lambda c: replaced(c, 3, b"[]"), 3),
    "two are swapped": (lambda c: swap(c, 3, 4), 3),
    "one is added": (
        lambda c: c.execute("INSERT INTO events SELECT 7, type, envelope, hash FROM events WHERE sequence = 6"),
        7,
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_breaks_the_chain_where_it_happened(
    events: Events, connection: sqlite3.Connection, name: str
) -> None:
    tamper, broken = TAMPERING[name]
    fill(events, connection, 6)
    events.verify()
    tamper(connection)
    with pytest.raises(VerificationFailed, match=f"event {broken} does not fit the chain"):
        events.verify()


@given(sequence=st.integers(1, 5), at=st.integers(0, 500), mask=st.integers(1, 255))
def test_flipping_any_byte_breaks_the_chain(sequence: int, at: int, mask: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        events = Events(connection, clock=lambda: MOMENT)
        fill(events, connection, 5)
        column = "envelope" if at % 2 else "hash"
        (value,) = connection.execute(f"SELECT {column} FROM events WHERE sequence = ?", (sequence,)).fetchone()
        place = at % len(value)
        flipped = value[:place] + bytes((value[place] ^ mask,)) + value[place + 1 :]
        connection.execute(f"UPDATE events SET {column} = ? WHERE sequence = ?", (flipped, sequence))
        with pytest.raises(VerificationFailed):
            events.verify()
    finally:
        connection.close()


def test_losing_the_newest_shows_against_a_remembered_head(events: Events, connection: sqlite3.Connection) -> None:
    fill(events, connection, 6)
    remembered = events.verify()
    connection.execute("DELETE FROM events WHERE sequence = 6")
    assert events.verify() != remembered  # the chain alone still verifies


def test_an_event_goes_with_the_transaction_that_it_reports(events: Events, connection: sqlite3.Connection) -> None:
    fill(events, connection, 2)

    def append_and_fail() -> None:
        with database.transaction(connection):
            events.append("dev.chainlab.test.even", source="/test", subject="x", data={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        append_and_fail()
    assert events.verify()[0] == 2


def test_two_processes_append_to_one_chain(tmp_path: Path) -> None:
    def append_many(number: int) -> None:
        connection = database.connect(tmp_path / "state.db")
        try:
            events = Events(connection)
            for _ in range(25):
                with database.transaction(connection):
                    events.append("dev.chainlab.test.even", source=f"/{number}", subject="", data={})
        finally:
            connection.close()

    connection = database.connect(tmp_path / "state.db")
    try:
        events = Events(connection)
        threads = [threading.Thread(target=append_many, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert events.verify()[0] == 100
    finally:
        connection.close()


def test_a_scenario_clock_stamps_every_event_beside_real_time(events: Events, connection: sqlite3.Connection) -> None:
    fill(events, connection, 1)
    Events(connection).set_scenario_time(datetime(2026, 5, 8, 2, 0, tzinfo=UTC))
    (during,) = fill(events, connection, 1)
    Events(connection).set_scenario_time(None)
    fill(events, connection, 1)
    assert [e.scenario_time for e in events.read()] == [None, "2026-05-08T02:00:00Z", None]
    assert during.time == "2026-05-11T19:20:39Z"
    events.verify()


def test_a_scenario_time_without_a_time_zone_is_refused(events: Events) -> None:
    with pytest.raises(MalformedInput, match="time zone"):
        events.set_scenario_time(datetime(2026, 5, 8, 2, 0))
    assert events.scenario_time is None
