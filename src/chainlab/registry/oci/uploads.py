"""Blob uploads in several requests, which survive restarts.

The bytes are in a file; SQLite has the number of bytes that count. A chunk counts when it is on the disk and committed.
The next request cuts off whatever a killed or aborted one left after the last committed byte.

Specification: OCI distribution-spec 1.1, "Pushing a blob in chunks".
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.blobs import MAX_SIZE, Blobs
from chainlab.registry.oci.errors import OciError

__all__ = ["LIFETIME", "Chunk", "Uploads"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS oci_uploads (
    id TEXT PRIMARY KEY, repository TEXT NOT NULL,
    size    INTEGER NOT NULL,  -- bytes that count
    updated REAL NOT NULL      -- seconds since 1970
) STRICT;
"""
ID = re.compile(r"[0-9a-f]{32}")
LIFETIME = 24 * 3600.0  # seconds without a request after which an upload counts as abandoned


class Chunk:
    """Bytes being added to an upload; they count after `keep` or `finish`."""

    def __init__(self, uploads: Uploads, id: str, offset: int, file: BinaryIO) -> None:
        self._uploads = uploads
        self._file = file
        self.id = id
        self.offset = offset  # bytes that were there before
        self.size = 0  # bytes of this chunk so far

    def write(self, data: bytes) -> None:
        """Add bytes. Raises `OciError` (413) beyond the largest blob."""
        self.size += len(data)
        if self.offset + self.size > MAX_SIZE:
            raise OciError(413, "SIZE_INVALID", f"a blob is at most {MAX_SIZE} bytes")
        self._file.write(data)

    def keep(self) -> int:
        """Make the bytes count; return how many the upload has now."""
        self._sync()
        return self._uploads._grow(self.id, self.offset, self.size)

    def finish(self, expected: Digest) -> None:
        """Store the whole upload as a blob.

        Raises `OciError` (400 DIGEST_INVALID) for other bytes; then this chunk does not count.
        """
        self._sync()
        self._uploads._finish(self.id, expected)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


class Uploads:
    """The unfinished uploads of one registry; safe to call from several threads."""

    def __init__(self, connection: sqlite3.Connection, blobs: Blobs, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._blobs = blobs
        self._directory = directory
        self._connection = connection
        self._guard = threading.Lock()
        self._busy: set[str] = set()
        connection.executescript(SCHEMA)

    def start(self, repository: str) -> str:
        """Begin an upload; return its id."""
        id = secrets.token_hex(16)
        (self._directory / id).touch(mode=0o600)
        with self._guard, transaction(self._connection):
            self._connection.execute("INSERT INTO oci_uploads VALUES (?, ?, 0, ?)", (id, repository, time.time()))
        return id

    def size(self, repository: str, id: str) -> int:
        """Return how many bytes count. Raises `OciError` (404 BLOB_UPLOAD_UNKNOWN)."""
        row = None
        if ID.fullmatch(id) and (self._directory / id).is_file():
            with self._guard:
                row = self._connection.execute(
                    "SELECT size FROM oci_uploads WHERE id = ? AND repository = ?", (id, repository)
                ).fetchone()
        if row is None:
            raise OciError(404, "BLOB_UPLOAD_UNKNOWN", f"{repository} has no upload {id[:80]!r}")
        return int(row[0])

    @contextmanager
    def chunk(self, repository: str, id: str, start: int | None) -> Iterator[Chunk]:
        """Add a chunk to an upload, from byte ``start`` on when that is known.

        Raises `OciError`: 404, or 416 when the chunk is not the next one, or while another one is being received.
        """
        with self._guard:
            if id in self._busy:
                raise _out_of_order("another chunk of this upload is being received")
            self._busy.add(id)
        try:
            offset = self.size(repository, id)
            if start is not None and start != offset:
                raise _out_of_order(f"the next byte of this upload is {offset}, not {start}")
            with (self._directory / id).open("r+b") as file:
                file.truncate(offset)
                file.seek(offset)
                yield Chunk(self, id, offset, file)
        finally:
            with self._guard:
                self._busy.discard(id)

    def cancel(self, repository: str, id: str) -> None:
        """Cancel an upload. Raises `OciError` (404 BLOB_UPLOAD_UNKNOWN)."""
        self.size(repository, id)
        self._forget(id)

    def sweep(self, *, lifetime: float = LIFETIME) -> int:
        """Remove uploads without a request for ``lifetime`` seconds; return how many."""
        limit = time.time() - lifetime
        with self._guard:
            rows = self._connection.execute("SELECT id FROM oci_uploads WHERE updated <= ?", (limit,)).fetchall()
        stale = [id for (id,) in rows if id not in self._busy]
        for id in stale:
            self._forget(id)
        for path in self._directory.iterdir():  # killed before its row was written
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= limit and not self._exists(path.name):
                    path.unlink()
        return len(stale)

    def _exists(self, id: str) -> bool:
        with self._guard:
            query = "SELECT 1 FROM oci_uploads WHERE id = ?"
            return self._connection.execute(query, (id,)).fetchone() is not None

    def _grow(self, id: str, offset: int, size: int) -> int:
        with self._guard, transaction(self._connection):
            written = self._connection.execute(
                "UPDATE oci_uploads SET size = ?, updated = ? WHERE id = ? AND size = ?",
                (offset + size, time.time(), id, offset),
            ).rowcount
            if not written:
                raise _out_of_order("the upload was changed or cancelled meanwhile")
        return offset + size

    def _finish(self, id: str, expected: Digest) -> None:
        try:
            self._blobs.adopt(self._directory / id, expected)
        except Refused as error:
            raise OciError(400, "DIGEST_INVALID", error.message) from error
        except FileNotFoundError as error:
            raise OciError(404, "BLOB_UPLOAD_UNKNOWN", "the upload was cancelled") from error
        self._forget(id)

    def _forget(self, id: str) -> None:
        (self._directory / id).unlink(missing_ok=True)
        with self._guard, transaction(self._connection):
            self._connection.execute("DELETE FROM oci_uploads WHERE id = ?", (id,))


def _out_of_order(message: str) -> OciError:
    return OciError(416, "BLOB_UPLOAD_INVALID", message, hint="ask for the upload's status (GET)")
