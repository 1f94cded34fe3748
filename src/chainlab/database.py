"""SQLite, opened so that what was committed survives ``kill -9`` and power loss.

WAL with ``synchronous=FULL``: a commit returns when its log record is on the disk
(SQLite documentation, "PRAGMA synchronous"). One file per state directory: ``state.db``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chainlab.errors import ChainlabError, Unavailable

__all__ = ["connect", "transaction"]

BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode (`transaction` opens transactions), usable from any thread.

    The file is readable by its owner alone; one that is opened ``read_only`` has to be there. Raises `Unavailable` when
    it is not a database or cannot be opened.
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
        connection.execute("PRAGMA journal_size_limit=4194304")  # bytes; a full log is cut back
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise Unavailable(
            f"cannot open the state in {path}",
            why=str(error),
            hint="check the disk's room, the file's owner, and that it is a chainlab state",
        ) from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block is committed, or none of it; writers wait for one another.

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
