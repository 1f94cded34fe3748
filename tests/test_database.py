"""The database: what is committed stays, what is not leaves nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainlab import database
from chainlab.errors import MalformedInput, Unavailable


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = database.connect(tmp_path / "state.db")
    opened.execute("CREATE TABLE facts (fact TEXT)")
    yield opened
    opened.close()


def facts(connection: sqlite3.Connection) -> list[str]:
    return [fact for (fact,) in connection.execute("SELECT fact FROM facts")]


def add(connection: sqlite3.Connection, *added: str) -> None:
    with database.transaction(connection):
        for fact in added:
            connection.execute("INSERT INTO facts VALUES (?)", (fact,))


def add_and_fail(connection: sqlite3.Connection, error: BaseException) -> None:
    with database.transaction(connection):
        connection.execute("INSERT INTO facts VALUES ('lost')")
        raise error


def test_a_commit_waits_for_the_disk(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_file_is_its_owner_s_alone(connection: sqlite3.Connection, tmp_path: Path) -> None:
    add(connection, "a")
    for path in tmp_path.glob("state.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_all_of_a_transaction_is_committed_or_none_of_it(connection: sqlite3.Connection) -> None:
    add(connection, "kept")
    for error in (RuntimeError, KeyboardInterrupt, MalformedInput):
        with pytest.raises(error):
            add_and_fail(connection, error("x"))
    assert facts(connection) == ["kept"]
    assert not connection.in_transaction


def test_a_full_disk_is_told_and_leaves_nothing(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="nothing of it was"):
        add(connection, *["x" * 1000] * 100)
    assert facts(connection) == []
    assert not connection.in_transaction
    connection.execute("PRAGMA max_page_count = 10000")
    add(connection, "room again")
    assert facts(connection) == ["room again"]


def test_a_database_that_stays_locked_is_told(connection: sqlite3.Connection, tmp_path: Path) -> None:
    other = database.connect(tmp_path / "state.db")
    other.execute("PRAGMA busy_timeout = 20")  # milliseconds
    try:
        with database.transaction(connection):
            connection.execute("INSERT INTO facts VALUES ('first')")
            with pytest.raises(Unavailable, match="could not be written") as caught:
                add(other, "too early")
            assert "locked" in caught.value.why
        add(other, "second")
    finally:
        other.close()
    assert facts(connection) == ["first", "second"]


@pytest.mark.parametrize("what", ["a file that is no database", "a directory", "no directory"])
def test_what_cannot_be_opened_is_told(tmp_path: Path, what: str) -> None:
    path = tmp_path / "state.db"
    if what == "a file that is no database":
        path.write_bytes(b"x" * 10_000)
    elif what == "a directory":
        path.mkdir()
    else:
        path = tmp_path / "none" / "state.db"
    with pytest.raises(Unavailable, match="cannot open the state"):
        database.connect(path)


@pytest.mark.crash
def test_a_committed_row_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    program = (
        "import os, pathlib, signal, sys\n"
        "from chainlab import database\n"
        "connection = database.connect(pathlib.Path(sys.argv[1]))\n"
        "connection.execute('CREATE TABLE facts (fact TEXT)')\n"
        "with database.transaction(connection):\n"
        "    connection.execute(\"INSERT INTO facts VALUES ('committed')\")\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute(\"INSERT INTO facts VALUES ('not committed')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -9
    connection = database.connect(path)
    try:
        assert facts(connection) == ["committed"]
    finally:
        connection.close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch(mode=0o000)
    with pytest.raises(Unavailable):
        database.connect(path)
