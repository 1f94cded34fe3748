"""Running jobs: a row for each job, with the deadline until which the job's credentials are valid.

The CI host adds a row when a job starts, renews its deadline while the job runs, and ends it with the job. Every
credential of a job is checked against that row: its ``GITHUB_TOKEN``, the bearer for identity tokens, and whatever
was minted or derived from either. One write therefore ends them all. If the host is killed or cannot write, nobody
renews the deadline, and they expire within `LEASE` seconds.

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
from dataclasses import dataclass
from pathlib import Path

from chainlab.database import SqliteStore

__all__ = [
    "LEASE",
    "RENEWAL",
    "SCHEMA",
    "JobName",
    "Jobs",
    "address_of",
    "has_failed",
    "is_running",
    "job_at",
    "name_of",
    "settle",
]

LEASE = 30.0  # seconds that a job's credentials stay valid after the last renewal
RENEWAL = 5.0  # seconds between renewals: several may fail before the lease ends
PAUSE = 0.1  # seconds before a failed write is tried again
SCHEMA = """
CREATE TABLE IF NOT EXISTS running_jobs (
    id         TEXT PRIMARY KEY,  -- a random number, in no other job's claims
    subject    TEXT NOT NULL,     -- 'acme/triage-model/runs/3/jobs/build'
    repository TEXT NOT NULL,     -- folded
    deadline   REAL NOT NULL,     -- seconds since 1970; renewed while the job runs
    ended      REAL               -- seconds since 1970; NULL = not known to have ended
) STRICT;
CREATE TABLE IF NOT EXISTS job_addresses (  -- of jobs whose requests come from a loopback address of their own
    job     TEXT PRIMARY KEY,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS job_addresses_by_address ON job_addresses (address);
CREATE TABLE IF NOT EXISTS failed_jobs (run TEXT, job TEXT, PRIMARY KEY (run, job)) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class JobName:
    """A job as events name it."""

    run: str  # 'acme/triage-model/runs/3'
    job: str  # 'build'

    @classmethod
    def parse(cls, subject: str) -> JobName:
        """Read ``acme/triage-model/runs/3/jobs/build``."""
        run, _, job = subject.partition("/jobs/")
        return cls(run, job)


class Jobs(SqliteStore):
    """The running jobs of one state directory; other processes may use it at the same time."""

    def __init__(self, database: Path) -> None:
        super().__init__(database, SCHEMA)

    def begin(self, subject: str, repository: str) -> str:
        """Record that a job runs; returns the id that its credentials carry."""
        job = str(secrets.randbelow(9 * 10**17) + 10**17)
        with self._transaction():
            self._connection.execute(
                "INSERT INTO running_jobs VALUES (?, ?, ?, ?, NULL)",
                (job, subject, repository, time.time() + LEASE),
            )
        return job

    def renew(self, job: str) -> None:
        """Extend a running job's deadline; an ended job stays ended. Raises `Unavailable` when the write fails."""
        with self._transaction():
            self._connection.execute(
                "UPDATE running_jobs SET deadline = ? WHERE id = ? AND ended IS NULL", (time.time() + LEASE, job)
            )

    def end(self, job: str) -> None:
        """Record that a job has ended, which ends its credentials. Raises `Unavailable` when the write fails."""
        with self._transaction():
            self._connection.execute(
                "UPDATE running_jobs SET ended = ? WHERE id = ? AND ended IS NULL", (time.time(), job)
            )

    def set_address(self, job: str, address: str) -> None:
        """Record the loopback address that a job's requests come from."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO job_addresses VALUES (?, ?)", (job, address))

    def fail(self, subject: str) -> None:
        """Record that a job has failed, by its name in events."""
        name = JobName.parse(subject)
        with self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO failed_jobs VALUES (?, ?)", (name.run, name.job))

    @contextmanager
    def running(self, subject: str, repository: str, *then: Callable[[], object]) -> Iterator[str]:
        """Give the block a job's id, valid while the block runs; a thread renews its deadline.

        After the block the job's end is written, then each of ``then``'s writes, independently of one another. Failed
        writes are tried again until the last deadline has passed.
        """
        job = self.begin(subject, repository)
        over = threading.Event()
        renewing = threading.Thread(target=self._renew_until, args=(job, over), name="chainlab-lease", daemon=True)
        renewing.start()
        try:
            yield job
        finally:
            over.set()
            renewing.join()
            settle(lambda: self.end(job), *then)

    def _renew_until(self, job: str, over: threading.Event) -> None:
        pause = RENEWAL
        while not over.wait(pause):
            pause = RENEWAL if _succeeds(lambda: self.renew(job)) else PAUSE


def settle(*writes: Callable[[], object], patience: float | None = None) -> list[Callable[[], object]]:
    """Do every write; a failed one is tried again for ``patience`` seconds (`LEASE` when None).

    Returns the writes that never succeeded.
    """
    end = time.monotonic() + (LEASE if patience is None else patience)
    while True:
        writes = tuple(write for write in writes if not _succeeds(write))
        if not writes or time.monotonic() >= end:
            return list(writes)
        time.sleep(PAUSE)


def is_running(connection: sqlite3.Connection, job: str) -> bool:
    """Whether the job with this id runs; the connection is to a database with `SCHEMA`."""
    row = connection.execute(
        "SELECT 1 FROM running_jobs WHERE id = ? AND ended IS NULL AND deadline > ?", (job, time.time())
    ).fetchone()
    return row is not None


def name_of(connection: sqlite3.Connection, job: str) -> JobName | None:
    """Return the name of the job with this id, running or ended; None when no job has it."""
    row = connection.execute("SELECT subject FROM running_jobs WHERE id = ?", (job,)).fetchone() if job else None
    return JobName.parse(row[0]) if row else None


def address_of(connection: sqlite3.Connection, job: str) -> str:
    """Return the address that a job's requests come from; empty when it has none of its own."""
    row = connection.execute("SELECT address FROM job_addresses WHERE job = ?", (job,)).fetchone()
    return row[0] if row else ""


def job_at(connection: sqlite3.Connection, address: str) -> str:
    """Return the id of the running job whose requests come from an address; empty when no job's do."""
    row = connection.execute(
        "SELECT r.id FROM job_addresses a JOIN running_jobs r ON r.id = a.job"
        " WHERE a.address = ? AND r.ended IS NULL AND r.deadline > ? ORDER BY a.rowid DESC LIMIT 1",
        (address, time.time()),
    ).fetchone()
    return row[0] if row else ""


def has_failed(connection: sqlite3.Connection, run: str) -> bool:
    """Whether a job of a run has failed so far."""
    return connection.execute("SELECT 1 FROM failed_jobs WHERE run = ? LIMIT 1", (run,)).fetchone() is not None


def _succeeds(write: Callable[[], object]) -> bool:
    try:
        write()
    except Exception:  # whatever went wrong: it is tried again, and the other writes go on
        return False
    return True
