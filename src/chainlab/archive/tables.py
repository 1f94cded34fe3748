"""The archive's index: an SQLite database of entries, documents, components and edges, derived from the files.

    DIR/tables/index.sqlite    the database, then 32 bytes: the SHA-256 of its schema and bytes

A process reads the file into memory, adds the entries that it lacks, and replaces the file as a whole. So nobody waits,
a changed or older file is noticed and made anew, and where none can be written the answers are the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

from chainlab.archive.documents import Reading, read, unwrap
from chainlab.archive.entries import Document
from chainlab.archive.files import Files
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.storage import write_whole

__all__ = ["Index"]

# `broken`: why an entry cannot be read; `faulty`: it or an object is missing or changed, so each question derives it
# again; `nearest`: the edge ends a shortest way from the subject.
SCHEMA: Final = """ -- 3: another number, or another schema, makes every index anew
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS entries (
  entry PRIMARY KEY, build, artifact, version, digest, repository, "commit", run, builder, built_at, broken, faulty);
CREATE TABLE IF NOT EXISTS documents (
  document INTEGER PRIMARY KEY, entry REFERENCES entries ON DELETE CASCADE, kind, object, size, verdict, status, why,
  signed, form, subjects, composition, stated_at, components, unhashed, unaddressed, dangling);
CREATE TABLE IF NOT EXISTS components (
  document REFERENCES documents ON DELETE CASCADE, node, name, title, version, purl, kind, sha256, hashes, licence,
  supplier, scope, PRIMARY KEY (document, node)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS edges (document REFERENCES documents ON DELETE CASCADE, child, parent, nearest,
  PRIMARY KEY (document, child, parent)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_build ON entries (build);
CREATE INDEX IF NOT EXISTS by_entry ON documents (entry);
CREATE INDEX IF NOT EXISTS by_name ON components (name, version);
CREATE INDEX IF NOT EXISTS by_purl ON components (purl);
CREATE INDEX IF NOT EXISTS by_sha256 ON components (sha256);
"""


class Index:
    """The index of one archive in the memory of one process; safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.path = files.directory / "tables" / "index.sqlite"
        self._guard = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Open the index of all entries as they are now; it does not change meanwhile."""
        with self._guard:
            if self._connection is None:
                self._connection = self._load()
            if self._refresh(self._connection):
                data = self._connection.serialize()
                with suppress(OSError):
                    write_whole(self.path, data + _checksum(data))
            yield self._connection

    def close(self) -> None:
        """Free the memory; the next question reads the file again."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def stored(self) -> bytes:
        """Return the database in the file; empty where there is none, or another one than was written."""
        with suppress(OSError):
            data = self.path.read_bytes()
            if _checksum(data[:-32]) == data[-32:]:
                return data[:-32]
        return b""

    def _load(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, connection.close)
        connection.row_factory = sqlite3.Row
        if data := self.stored():
            with closing(sqlite3.connect(":memory:")) as stored:
                stored.deserialize(data)
                stored.backup(connection)
        connection.executescript(SCHEMA)
        return connection

    def _refresh(self, connection: sqlite3.Connection) -> bool:
        # Derives new and faulty entries, forgets those that are gone; returns whether the file should be written.
        present = self._files.names()
        known = dict(connection.execute("SELECT entry, faulty FROM entries").fetchall())
        stale = {name for name, faulty in known.items() if faulty or name not in present}
        new = present - (known.keys() - stale)
        with connection:
            connection.executemany("DELETE FROM entries WHERE entry = ?", [(name,) for name in stale])
            for name in sorted(new):
                self._add(connection, name)
        return new != stale

    def _add(self, connection: sqlite3.Connection, name: str) -> None:
        try:
            entry = self._files.entry(name)
        except (VerificationFailed, MalformedInput) as error:
            _insert(connection, "entries", [(name, name, *[""] * 8, f"entries/{name}.json: {error.message}", True)])
            return
        readings = [(document, *self._read(document)) for document in entry.documents]
        faulty = any(status in ("missing", "changed") for _, status, _, _ in readings)
        _insert(connection, "entries", [(name, entry.build.id, *entry.build.document().values(), "", faulty)])
        for document, status, why, reading in readings:
            rows = reading.components
            parts = [row for row in rows if row.node]  # without the subject
            number = _insert(connection, "documents", [(
                None, name, document.kind, document.digest, document.size, document.verdict, status, why,
                reading.signed, reading.form, " ".join(reading.subjects), reading.composition, reading.stated_at,
                len(rows), sum(not row.sha256 for row in parts), sum(not row.purl for row in parts), reading.dangling,
            )])  # fmt: skip
            nearest = reading.nearest()
            _insert(connection, "components", [(number, *row) for row in rows])
            _insert(connection, "edges", [(number, c, p, (p, c) in nearest) for p, c in reading.edges])

    def _read(self, document: Document) -> tuple[str, str, Reading]:
        # A document's status, why it is not read, and its content.
        listed = document.kind in ("sbom", "mlbom")
        try:
            data = self._files.get(document.digest)
            return ("read", "", read(data)) if listed else ("stored", "", unwrap(data)[1])
        except VerificationFailed as error:
            exists = self._files.path(document.digest).exists()
            return "changed" if exists else "missing", error.message, Reading()
        except MalformedInput as error:
            why = f"{error.message}: {error.why}" if error.why else error.message
            return ("unreadable", why, Reading()) if listed else ("stored", "", Reading())  # which need not be JSON


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(SCHEMA.encode() + data).digest()


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]]) -> int:
    # Returns the number of the last row.
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
    return int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
