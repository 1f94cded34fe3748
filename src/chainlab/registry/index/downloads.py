"""Which files of the index each CI job was served: the package digests that its provenance lists.

Each is an event, once for each job, with the file's age. A job's requests come from a loopback address of its own, in
127.64.0.0/10. Downloads by other addresses are not recorded, so ordinary serving writes nothing.
"""

from __future__ import annotations

import ipaddress
import sqlite3
import threading

from chainlab import jobs
from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.events import Events
from chainlab.registry.index.models import IndexFile
from chainlab.registry.index.upload_facts import moment, seconds_between

__all__ = ["JOBS", "Downloads"]

JOBS = ipaddress.IPv4Network("127.64.0.0/10")
SCHEMA = """
CREATE TABLE IF NOT EXISTS downloads (
    id      INTEGER PRIMARY KEY,
    address TEXT NOT NULL,
    project TEXT NOT NULL,
    file    TEXT NOT NULL,
    digest  TEXT NOT NULL,
    time    TEXT NOT NULL,          -- RFC 3339, of the first time
    UNIQUE (address, file, digest)
) STRICT;
"""


class Downloads:
    """The downloads recorded in one index; ``guard`` is the lock of its connection, which ``events`` share."""

    def __init__(
        self, connection: sqlite3.Connection, events: Events, guard: threading.RLock, *, clock: Clock = utc_now
    ) -> None:
        connection.executescript(jobs.SCHEMA + SCHEMA)
        self._connection = connection
        self._events = events
        self._guard = guard
        self._clock = clock

    def record(self, address: str, file: IndexFile) -> bool:
        """Record once that a job's address was served a file; false for any other address, without a query."""
        try:
            if ipaddress.IPv4Address(address) not in JOBS:
                return False
        except ValueError:
            return False
        key = (address, file.filename, str(file.digest))
        with self._guard:
            row = self._connection.execute(
                "SELECT 1 FROM downloads WHERE address = ? AND file = ? AND digest = ?", key
            ).fetchone()
            if row is None:
                with transaction(self._connection):
                    self._connection.execute(
                        "INSERT OR IGNORE INTO downloads (address, project, file, digest, time) VALUES (?, ?, ?, ?, ?)",
                        (address, file.project, *key[1:], rfc3339(self._clock())),
                    )
                    self._report(address, file)
        return True

    def _report(self, address: str, file: IndexFile) -> None:
        name = jobs.name_of(self._connection, jobs.job_at(self._connection, address))
        facts = {
            "run": name.run if name else None,
            "job": name.job if name else None,
            "project": file.project,
            "version": file.version,
            "file": file.filename,
            "age_s": seconds_between(moment(file), self._events.scenario_time or rfc3339(self._clock())),
            "origin": "upstream" if file.upstream else "internal",
        }
        self._events.append(
            "dev.chainlab.artifact.served", source="/registry/index", subject=str(file.digest), data=facts
        )

    def forget(self, address: str) -> None:
        """Delete what an address was served, because another job has it now."""
        with self._guard, transaction(self._connection):
            self._connection.execute("DELETE FROM downloads WHERE address = ?", (address,))

    def of(self, address: str) -> list[tuple[str, str, Digest]]:
        """List what an address was served: project, file name, digest; in order."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT project, file, digest FROM downloads WHERE address = ? ORDER BY id",
                (address,),
            ).fetchall()
        return [(project, file, Digest.parse(digest)) for project, file, digest in rows]
