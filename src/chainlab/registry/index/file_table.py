"""The files of the package index: an append-only table of what was uploaded.

A deleted file leaves its row as a tombstone, so its name is never used again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.index.models import IndexFile

__all__ = ["FileTable"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    filename        TEXT PRIMARY KEY,
    project         TEXT NOT NULL,
    version         TEXT NOT NULL,
    kind            TEXT NOT NULL,  -- 'bdist_wheel' or 'sdist'
    digest          TEXT NOT NULL,  -- 'sha256:…'
    size            INTEGER NOT NULL,
    uploaded        TEXT NOT NULL,  -- RFC 3339
    requires_python TEXT,
    metadata        TEXT,           -- digest
    yanked          TEXT,           -- reason, '' = none given; NULL = not yanked
    uploader        TEXT NOT NULL,  -- subject of the credential
    provenance      TEXT,           -- digest
    publisher       TEXT,           -- JSON: publisher and claims; NULL = a person's credential
    scenario_time   TEXT,
    deleted         TEXT            -- RFC 3339; NULL = it is there. The row stays: a tombstone
) STRICT;
CREATE INDEX IF NOT EXISTS files_by_project ON files (project);
CREATE INDEX IF NOT EXISTS files_by_digest ON files (digest);
"""
COLUMNS = (
    "filename, project, version, kind, digest, size, uploaded, requires_python, metadata, yanked,"
    " uploader, provenance, publisher, scenario_time"
)


class FileTable:
    """The table of one index; ``guard`` is the lock of its connection. Change it inside transactions only."""

    def __init__(self, connection: sqlite3.Connection, guard: threading.RLock) -> None:
        connection.executescript(SCHEMA)
        self._connection = connection
        self._guard = guard

    def of(self, project: str) -> list[IndexFile]:
        """List the files of a project; deleted ones are left out."""
        return self._select("project = ? AND deleted IS NULL", project)

    def with_digest(self, digest: Digest) -> list[IndexFile]:
        """List the files with these bytes; deleted ones are left out."""
        return self._select("digest = ? AND deleted IS NULL", str(digest))

    def uploads(self, project: str, *, most: int = 50) -> list[IndexFile]:
        """List the last uploads of a project, the newest first; deleted files, too."""
        return self._select("project = ?", project, order=f"rowid DESC LIMIT {most}")

    def all(self) -> list[IndexFile]:
        """List every file; deleted ones are left out."""
        return self._select("deleted IS NULL")

    def same(self, filename: str, digest: Digest) -> IndexFile | None:
        """Return the file of that name if it has these bytes, None when the name is free.

        Raises `Refused` (400) if it has, or had, other bytes.
        """
        with self._guard:
            row = self._connection.execute(
                "SELECT digest, deleted FROM files WHERE filename = ?", (filename,)
            ).fetchone()
        if row is None:
            return None
        again = "upload under a new version; a file of the index never changes"
        if row[1] is not None:
            raise Refused(400, f"the file name {filename} was used and deleted", hint=again)
        if row[0] != str(digest):
            # twine and uv look for these words when they are to skip existing files.
            raise Refused(400, f"File already exists: {filename} has digest {row[0]}", hint=again)
        return self._select("filename = ?", filename)[0]

    def add(self, file: IndexFile) -> None:
        """Add a file. Raises `TypeError` when its time of upload is unknown."""

        def text(digest: Digest | None) -> str | None:
            return str(digest) if digest else None

        if file.uploaded is None:
            raise TypeError("an uploaded file has a time of upload")
        origin = json.dumps(file.publisher) if file.publisher else None
        self._connection.execute(
            f"INSERT INTO files ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)",  # noqa: S608
            (
                *(file.filename, file.project, file.version, file.kind, str(file.digest)),
                *(file.size, rfc3339(file.uploaded), file.requires_python, text(file.metadata)),
                *(file.uploader, text(file.provenance), origin, file.scenario_time),
            ),
        )

    def yank(self, files: Iterable[IndexFile], reason: str) -> None:
        """Set the reason of a yank."""
        self._connection.executemany(
            "UPDATE files SET yanked = ? WHERE filename = ?",
            [(reason, file.filename) for file in files],
        )

    def bury(self, files: Iterable[IndexFile], now: str) -> None:
        """Mark files as deleted at ``now`` (RFC 3339); their names stay used."""
        self._connection.executemany(
            "UPDATE files SET deleted = ? WHERE filename = ?",
            [(now, file.filename) for file in files],
        )

    def _select(self, where: str, *values: str, order: str = "filename") -> list[IndexFile]:
        with self._guard:
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM files WHERE {where} ORDER BY {order}",  # noqa: S608
                values,
            ).fetchall()
        return [_file(row) for row in rows]


def _file(row: tuple[Any, ...]) -> IndexFile:
    filename, project, version, kind, digest, size, uploaded, python, metadata, yanked, *more = row
    uploader, provenance, publisher, scenario_time = more
    return IndexFile(
        filename=filename,
        project=project,
        version=version,
        kind=kind,
        digest=Digest.parse(digest),
        size=size,
        uploaded=datetime.fromisoformat(uploaded),
        requires_python=python,
        metadata=Digest.parse(metadata) if metadata else None,
        yanked=yanked,
        uploader=uploader,
        provenance=Digest.parse(provenance) if provenance else None,
        publisher=json.loads(publisher) if publisher else None,
        scenario_time=scenario_time,
    )
