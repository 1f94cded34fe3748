"""The archive's index: an SQLite database of entries, documents, components and edges, derived from the files.

    DIR/tables/index.sqlite    the database, then 32 bytes: the SHA-256 of its schema and bytes

A process reads the file into memory, adds the entries that it lacks, and replaces the file as a whole. So nobody waits
for a lock, a changed or older file is noticed and derived again, and a read-only archive gives the same answers.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

from chainlab.archive.documents import SbomRows, layer_digests, read, shortest_paths, unwrap
from chainlab.archive.entries import MANIFEST, Document
from chainlab.archive.files import ArchiveFiles
from chainlab.archive.queries import BUILDS
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.storage import write_whole

__all__ = ["ArchiveIndex"]

# `broken`: why an entry cannot be read; `faulty`: it or an object is missing or changed, so each question derives it
# again; `stamp`: of the object when it was read, see `ArchiveFiles.stamp`; `stated`: the digest that an SBOM gives its
# subject; `holds`: the digests of a manifest's layers; `about`: own, other or unsaid, see `_compare`; `nearest`: the
# edge ends a shortest path from the subject.
SCHEMA: Final = """ -- 4: another number, or another schema, has every index derived again
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS entries (
  entry PRIMARY KEY, build, artifact, version, digest, repository, "commit", run, builder, built_at, broken, faulty);
CREATE TABLE IF NOT EXISTS documents (
  document INTEGER PRIMARY KEY, entry REFERENCES entries ON DELETE CASCADE, kind, object, size, verdict, status, why,
  signed, form, subjects, composition, stated_at, components, unhashed, unaddressed, dangling, stated, holds, stamp,
  about);
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
# The objects that answers rest on
ANSWERING: Final = """
SELECT object, stamp FROM documents JOIN entries USING (entry)
WHERE kind IN ('sbom', 'mlbom', 'manifest') AND NOT faulty
"""
NAMING: Final = """
SELECT document, entries.digest AS digest, kind, object, subjects, stated, holds
FROM documents JOIN entries USING (entry) WHERE build = ?
"""


class ArchiveIndex:
    """The index of one archive in the memory of one process; safe between threads."""

    def __init__(self, files: ArchiveFiles) -> None:
        self._files = files
        self.path = files.directory / "tables" / "index.sqlite"
        self._guard = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._sound: set[str] | None = None  # entries that need not be derived again; None: ask for all
        self._stamps: dict[str, int] = {}  # of the objects that answers rest on

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Open the index, brought up to date; it does not change while it is open."""
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
        """Return the database in the file; empty when it is missing or was changed."""
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
        self._sound, self._stamps = None, dict(connection.execute(ANSWERING).fetchall())
        return connection

    def _refresh(self, connection: sqlite3.Connection) -> bool:
        # Derives new, changed and faulty entries, drops those that are gone; returns whether to write the file.
        present = self._files.names()
        changed = [digest for digest, stamp in self._stamps.items() if self._is_other(digest, stamp)]
        if present == self._sound and not changed:
            return False
        rows = {row["entry"]: row for row in connection.execute("SELECT entry, build, faulty FROM entries")}
        stale = {name for name, row in rows.items() if row["faulty"] or name not in present}
        for digest in changed:
            stale |= {name for (name,) in connection.execute("SELECT entry FROM documents WHERE object = ?", (digest,))}
        new = present - (rows.keys() - stale)
        with connection:
            connection.executemany("DELETE FROM entries WHERE entry = ?", [(name,) for name in stale])
            builds = {rows[name]["build"] for name in stale} | {self._add(connection, name) for name in sorted(new)}
            _compare(connection, builds)
            connection.execute("DROP TABLE IF EXISTS temp.builds")
            connection.execute(f"CREATE TEMP TABLE builds AS {BUILDS}")
        self._sound = {name for (name,) in connection.execute("SELECT entry FROM entries WHERE NOT faulty")}
        renewed = {digest: stamp for digest, stamp in self._stamps.items() if digest not in changed}
        stamps = connection.execute(ANSWERING).fetchall()
        self._stamps = {digest: renewed.get(digest) or stamp for digest, stamp in stamps}
        return new != stale

    def _is_other(self, digest: str, stamp: int) -> bool:
        # Whether an object differs from what was read: in its stamp, and then in its digest.
        now = self._files.stamp(digest)
        if now and now == stamp:
            return False
        try:
            self._files.get(digest)
        except VerificationFailed:
            return True
        self._stamps[digest] = now
        return False

    def _add(self, connection: sqlite3.Connection, name: str) -> str:
        # Returns the build's id.
        try:
            entry = self._files.entry(name)
        except (VerificationFailed, MalformedInput) as error:
            broken = f"entries/{name}.json: {error.message}"
            _insert(connection, "entries", [(name, name, *[""] * 8, broken, True)])
            return name
        stamps = [self._files.stamp(document.digest) for document in entry.documents]  # before they are read
        readings = [(document, *self._read(document)) for document in entry.documents]
        faulty = any(status in ("missing", "changed") for _, status, _, _, _ in readings)
        _insert(connection, "entries", [(name, entry.build.id, *entry.build.document().values(), "", faulty)])
        for (document, status, why, reading, holds), stamp in zip(readings, stamps, strict=True):
            rows, bill = reading.rows(), reading.bill
            number = _insert(connection, "documents", [(
                None, name, document.kind, document.digest, document.size, document.verdict, status, why,
                reading.signed, reading.form, " ".join(reading.subjects), bill.composition, bill.stated_at, len(rows),
                sum(not each.hashes.get("SHA-256") for each in bill.components),
                sum(not each.purl for each in bill.components), bill.dangling,
                bill.digest, " ".join(holds), stamp, "",
            )])  # fmt: skip
            nearest = shortest_paths(bill.edges)
            _insert(connection, "components", [(number, *row) for row in rows])
            _insert(connection, "edges", [(number, c, p, (p, c) in nearest) for p, c in bill.edges])
        return entry.build.id

    def _read(self, document: Document) -> tuple[str, str, SbomRows, tuple[str, ...]]:
        # A document's status, why it was not read, its content, and the digests of the files that a manifest holds.
        listed = document.kind in ("sbom", "mlbom")
        try:
            data = self._files.get(document.digest)
            if document.kind == MANIFEST:
                return "stored", "", SbomRows(), layer_digests(data)
            return ("read", "", read(data), ()) if listed else ("stored", "", unwrap(data), ())
        except VerificationFailed as error:
            exists = self._files.path(document.digest).exists()
            return "changed" if exists else "missing", error.message, SbomRows(), ()
        except MalformedInput as error:
            why = f"{error.message}: {error.why}" if error.why else error.message
            return (
                ("unreadable", why, SbomRows(), ()) if listed else ("stored", "", SbomRows(), ())
            )  # it need not be JSON


def _compare(connection: sqlite3.Connection, builds: Iterable[str]) -> None:
    # Records which bytes each document is about, by its own words: its build's (the artifact, or a file that the
    # artifact's manifest holds), other bytes, or unsaid. A model's signature names its files in a way of its own.
    for build in builds:
        rows = connection.execute(NAMING, (build,)).fetchall()
        own = {row["digest"] for row in rows}
        own |= {file for row in rows if row["object"] == row["digest"] for file in row["holds"].split()}
        for row in rows:
            subjects = {name for name in row["subjects"].lower().split() if name.startswith("sha256:")}
            digests_named = [subjects, {row["object"]} if row["kind"] == MANIFEST else {row["stated"]} - {""}]
            claims = [digests for digests in digests_named if digests and row["kind"] != "signature"]
            about = "own" if all(digests & own for digests in claims) else "other"
            values = (about if claims else "unsaid", row["document"])
            connection.execute("UPDATE documents SET about = ? WHERE document = ?", values)


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(SCHEMA.encode() + data).digest()


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]]) -> int:
    # Returns the number of the last row.
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
    return int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
