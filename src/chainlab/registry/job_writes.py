"""Job writes: which CI job stored what in the registry, by the credential that it used.

    >>> job_writes.of("412345678901234567")                                    # doctest: +SKIP
    [JobWrite(place='index', name='triage_model-1.4.0-py3-none-any.whl', digest=…)]

The row is written in the transaction that stores the thing itself, so nobody has to guess from names and times what a
job stored. A job is identified by the id of its row in `chainlab.jobs`. A person's credential carries no such id, and
records nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

from chainlab import jobs
from chainlab.digests import Digest

__all__ = ["JobWrite", "JobWrites", "job_facts"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id     INTEGER PRIMARY KEY,
    job    TEXT NOT NULL,   -- id in running_jobs
    place  TEXT NOT NULL,   -- 'index' or 'oci'
    name   TEXT NOT NULL,   -- a file of the index, or an OCI repository
    digest TEXT NOT NULL,
    UNIQUE (job, place, name, digest)
) STRICT;
"""


@dataclass(frozen=True)
class JobWrite:
    """One thing that a job stored."""

    place: str  # 'index' or 'oci'
    name: str  # a file of the index, or an OCI repository
    digest: Digest


class JobWrites:
    """The writes recorded in one registry; ``guard`` is the lock of the connection."""

    def __init__(self, connection: sqlite3.Connection, guard: threading.RLock) -> None:
        connection.executescript(SCHEMA)
        self._connection = connection
        self._guard = guard

    def record(self, job: str, place: str, name: str, digest: Digest) -> None:
        """Record once that a job stored something; call it inside a transaction. An empty ``job`` records nothing."""
        if job:
            self._connection.execute(
                "INSERT OR IGNORE INTO products (job, place, name, digest) VALUES (?, ?, ?, ?)",
                (job, place, name, str(digest)),
            )

    def of(self, job: str) -> list[JobWrite]:
        """List what a job stored, oldest first."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT place, name, digest FROM products WHERE job = ? ORDER BY id", (job,)
            ).fetchall()
        return [JobWrite(place, name, Digest.parse(digest)) for place, name, digest in rows]


def job_facts(connection: sqlite3.Connection, job: str) -> dict[str, str | bool | None]:
    """Name the run and the job with an id, for the event of what it stored; null for a write by no job."""
    name = jobs.name_of(connection, job)
    return {
        "run": name.run if name else None,
        "job": name.job if name else None,
        "run_failed": jobs.has_failed(connection, name.run) if name else None,
    }
