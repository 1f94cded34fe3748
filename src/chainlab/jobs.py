"""Running jobs: a row for each job that runs, and the deadline until which its credentials are good.

The CI host begins a row when a job starts, renews its deadline while the job lives, and ends it with the job. Every
credential of a job is checked against that row: its ``GITHUB_TOKEN``, the bearer for identity tokens, what was minted
or derived from either. So one write ends them all; and where nobody renews the deadline, because the host was killed
or cannot write, they end by themselves within `LEASE` seconds.

    >>> with jobs.running("acme/demo/runs/3/jobs/build", "acme/demo") as job:    # doctest: +SKIP
    ...     credentials.issue("acme/demo/runs/3/jobs/build", grants, job=job)
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chainlab.database import connect, transaction

__all__ = ["LEASE", "RENEWAL", "SCHEMA", "Jobs", "is_running", "settle"]

LEASE = 30.0  # seconds that a job's credentials stay good after the last renewal
RENEWAL = 5.0  # seconds between renewals: several may fail before the lease ends
PAUSE = 0.1  # seconds before a write that failed is tried again
SCHEMA = """
CREATE TABLE IF NOT EXISTS running_jobs (
    id         TEXT PRIMARY KEY,  -- a random number, in no other job's claims
    subject    TEXT NOT NULL,     -- 'acme/triage-model/runs/3/jobs/build'
    repository TEXT NOT NULL,     -- folded
    deadline   REAL NOT NULL,     -- seconds since 1970; renewed while the job runs
    ended      REAL               -- seconds since 1970; NULL = it runs, as far as anybody knows
) STRICT;
"""


class Jobs:
    """The running jobs of one state directory; safe beside other processes that use it."""

    def __init__(self, database: Path) -> None:
        self._guard = threading.Lock()
        self._connection = connect(database)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        with self._guard:
            self._connection.close()

    def begin(self, subject: str, repository: str) -> str:
        """Note that a job runs; returns the id that its credentials carry."""
        job = str(secrets.randbelow(9 * 10**17) + 10**17)
        with self._guard, transaction(self._connection):
            self._connection.execute(
                "INSERT INTO running_jobs VALUES (?, ?, ?, ?, NULL)",
                (job, subject, repository, time.time() + LEASE),
            )
        return job

    def renew(self, job: str) -> None:
        """Move a running job's deadline; a job that ended stays ended. Raises `Unavailable`."""
        with self._guard, transaction(self._connection):
            self._connection.execute(
                "UPDATE running_jobs SET deadline = ? WHERE id = ? AND ended IS NULL", (time.time() + LEASE, job)
            )

    def end(self, job: str) -> None:
        """Note that a job has ended: from now on none of its credentials is good. Raises `Unavailable`."""
        with self._guard, transaction(self._connection):
            self._connection.execute(
                "UPDATE running_jobs SET ended = ? WHERE id = ? AND ended IS NULL", (time.time(), job)
            )

    @contextmanager
    def running(self, subject: str, repository: str, *then: Callable[[], object]) -> Iterator[str]:
        """A job's id, good as long as the block runs; its deadline is renewed by a thread.

        After the block the id is not good: its end is written, and so is what ``then`` writes, each by itself. What
        cannot be written is tried again until the last deadline is over.
        """
        job = self.begin(subject, repository)
        over = threading.Event()
        renewing = threading.Thread(target=self._keep, args=(job, over), name="chainlab-lease", daemon=True)
        renewing.start()
        try:
            yield job
        finally:
            over.set()
            renewing.join()
            settle(lambda: self.end(job), *then)

    def _keep(self, job: str, over: threading.Event) -> None:
        pause = RENEWAL
        while not over.wait(pause):
            pause = RENEWAL if _succeeds(lambda: self.renew(job)) else PAUSE


def settle(*writes: Callable[[], object], patience: float | None = None) -> list[Callable[[], object]]:
    """Do every write; those that fail are tried again, each by itself, for ``patience`` seconds (a lease).

    Returns the writes that failed to the last.
    """
    end = time.monotonic() + (LEASE if patience is None else patience)
    while True:
        writes = tuple(write for write in writes if not _succeeds(write))
        if not writes or time.monotonic() >= end:
            return list(writes)
        time.sleep(PAUSE)


def is_running(connection: sqlite3.Connection, job: str) -> bool:
    """Whether the job with this id runs, by a connection to a database with `SCHEMA`."""
    row = connection.execute(
        "SELECT 1 FROM running_jobs WHERE id = ? AND ended IS NULL AND deadline > ?", (job, time.time())
    ).fetchone()
    return row is not None


def _succeeds(write: Callable[[], object]) -> bool:
    try:
        write()
    except Exception:  # whatever went wrong, it is tried again, and the others are done
        return False
    return True
