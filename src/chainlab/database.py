"""SQLite, opened so that what was committed survives ``kill -9`` and power loss.

WAL with ``synchronous=FULL``: a commit returns when its log record is on the disk
(SQLite documentation, "PRAGMA synchronous"). One file per state directory: ``state.db``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from chainlab.errors import ChainlabError, Unavailable

__all__ = ["SqliteStore", "Tables", "connect", "transaction"]

BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode (`transaction` opens transactions), usable from any thread.

    A new file is readable by its owner alone; with ``read_only`` the file must exist. Raises `Unavailable` when the
    file is not a database or cannot be opened.
    """
    connection: sqlite3.Connection | None = None
    try:
        if read_only:
            address = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(
                address, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            connection.execute("SELECT 1 FROM sqlite_schema")
            return connection
        if not path.exists():
            path.touch(mode=0o600)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=4194304")  # bytes; a longer log is truncated
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise Unavailable(
            f"cannot open the state in {path}",
            why=str(error),
            hint="check the free disk space, the file's owner, and that it is a chainlab state",
        ) from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all of the block, or none of it; writers wait for one another.

    Raises `Unavailable` when the disk is full or another process keeps the database locked.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except ChainlabError:
        raise
    except sqlite3.Error as error:
        raise Unavailable(
            "the state could not be written, and nothing of it was",
            why=str(error),
            hint="free some disk space, then try again",
        ) from error


class Tables:
    """Tables of the state database, over a connection that the caller closes; safe to use from several threads."""

    def __init__(self, connection: sqlite3.Connection, schema: str) -> None:
        self._guard = threading.RLock()
        self._connection = connection
        connection.executescript(schema)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the guard, and commit all of the block or none of it (`transaction`)."""
        with self._guard, transaction(self._connection):
            yield

    def _rows(self, query: str, values: tuple[Any, ...] | Mapping[str, Any] = ()) -> list[Any]:
        """Return every row of a query, each a tuple."""
        with self._guard:
            return self._connection.execute(query, values).fetchall()


class SqliteStore(Tables):
    """Tables with a connection of their own; several processes may have one database's stores open."""

    def __init__(self, database: Path, schema: str = "") -> None:
        super().__init__(connect(database), schema)

    def close(self) -> None:
        """Close the connection."""
        with self._guard:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
