"""Products: what each CI job stored in the registry, noted when it came, by the credential that brought it.

    >>> products.of("412345678901234567")                                      # doctest: +SKIP
    [Product(place='index', name='triage_model-1.4.0-py3-none-any.whl', digest=…)]

The row is written in the transaction that stores the thing itself. Who asks later what a job made need not guess it
from names and times. A job goes by the id of its row in `chainlab.jobs`; a person's credential carries none, and notes
nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

from chainlab.digests import Digest

__all__ = ["Product", "Products"]

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
class Product:
    """One thing that a job stored."""

    place: str  # 'index' or 'oci'
    name: str  # a file of the index, or an OCI repository
    digest: Digest


class Products:
    """The notes of one registry; ``guard`` is the lock of the connection."""

    def __init__(self, connection: sqlite3.Connection, guard: threading.RLock) -> None:
        connection.executescript(SCHEMA)
        self._connection = connection
        self._guard = guard

    def note(self, job: str, place: str, name: str, digest: Digest) -> None:
        """Note that a job stored something, once; call it inside a transaction. Without a job nothing is noted."""
        if job:
            self._connection.execute(
                "INSERT OR IGNORE INTO products (job, place, name, digest) VALUES (?, ?, ?, ?)",
                (job, place, name, str(digest)),
            )

    def of(self, job: str) -> list[Product]:
        """What a job stored, oldest first."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT place, name, digest FROM products WHERE job = ? ORDER BY id", (job,)
            ).fetchall()
        return [Product(place, name, Digest.parse(digest)) for place, name, digest in rows]
