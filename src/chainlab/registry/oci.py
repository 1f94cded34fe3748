"""OCI repositories: manifests, tags and links to blobs, in SQLite; the bytes are in `Blobs`.

    repository   acme/triage-model
    tag          v1 → a manifest's digest; moves, unless the repository's tags are immutable
    link         this repository has this blob (uploaded or mounted)
    held         this manifest holds that blob: the map from a file to the manifests it is in

Referrers are no list of their own: they are the manifests whose ``subject`` is asked for, so that no two
writers can lose one another's. Whatever changes here is committed together with the event that reports it.

Specification: OCI distribution-spec 1.1.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.events import Events
from chainlab.registry.blobs import Blobs
from chainlab.registry.oci_errors import OciError
from chainlab.registry.oci_manifest import MAX_MANIFEST, Manifest
from chainlab.registry.oci_names import check_name, is_tag
from chainlab.registry.quarantine import Quarantine

__all__ = ["Holding", "Images", "Repository", "Stored", "Tag"]

SOURCE = "/registry"  # CloudEvents source of what the registry reports
SCHEMA = """
CREATE TABLE IF NOT EXISTS oci_repositories (
    name      TEXT PRIMARY KEY,
    created   REAL NOT NULL,               -- seconds since 1970
    private   INTEGER NOT NULL DEFAULT 0,  -- 1: pulling needs oci:pull:NAME
    immutable INTEGER NOT NULL DEFAULT 0   -- 1: a tag that is there stays where it points
) STRICT;
CREATE TABLE IF NOT EXISTS oci_manifests (
    id            INTEGER PRIMARY KEY,     -- order of arrival
    repository    TEXT NOT NULL REFERENCES oci_repositories,
    digest        TEXT NOT NULL,
    media_type    TEXT NOT NULL,
    size          INTEGER NOT NULL,        -- bytes
    artifact_type TEXT,
    annotations   TEXT NOT NULL,           -- JSON object
    subject       TEXT,                    -- digest of the manifest that this one is about
    pushed        REAL NOT NULL,           -- seconds since 1970
    pushed_by     TEXT NOT NULL,
    UNIQUE (repository, digest)
) STRICT;
CREATE INDEX IF NOT EXISTS oci_manifests_by_subject ON oci_manifests (subject, repository, id);
CREATE INDEX IF NOT EXISTS oci_manifests_by_digest ON oci_manifests (digest);
CREATE TABLE IF NOT EXISTS oci_tags (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, updated REAL NOT NULL,
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS oci_links (
    repository TEXT NOT NULL, digest TEXT NOT NULL, linked REAL NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS oci_held (
    repository TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    position   INTEGER NOT NULL,
    role       TEXT NOT NULL,              -- 'config', 'layer' or 'manifest'
    digest     TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL,           -- bytes
    title      TEXT NOT NULL,              -- the file's name as the layer's annotation gives it
    PRIMARY KEY (repository, manifest, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS oci_held_by_digest ON oci_held (digest);
"""
COLUMNS = (
    "id, repository, digest, media_type, size, artifact_type, annotations, subject, pushed, "
    "pushed_by"
)
BELOW = """
WITH RECURSIVE below (digest) AS (
    VALUES (?) UNION
    SELECT h.digest FROM oci_held h JOIN below b ON h.manifest = b.digest WHERE h.repository = ?
)
SELECT q.digest, q.reason FROM below JOIN quarantine q USING (digest) WHERE q.released IS NULL
"""
ABOVE = """
SELECT q.reason FROM oci_held h
LEFT JOIN quarantine q ON q.digest = h.manifest AND q.released IS NULL
WHERE h.repository = ? AND h.digest = ?
"""
PAGE = 1000  # tags in one answer when the client does not say how many


@dataclass(frozen=True)
class Repository:
    """A repository and its settings."""

    name: str
    created: float  # seconds since 1970
    private: bool
    immutable: bool


@dataclass(frozen=True)
class Tag:
    """Where a tag points."""

    name: str
    digest: Digest
    updated: float  # seconds since 1970


@dataclass(frozen=True)
class Stored:
    """A manifest as a repository has it."""

    order: int  # of arrival
    repository: str
    digest: Digest
    media_type: str
    size: int  # bytes
    artifact_type: str | None
    annotations: Mapping[str, str]
    subject: Digest | None
    pushed: float  # seconds since 1970
    pushed_by: str

    def descriptor(self) -> dict[str, Any]:
        """As the referrers API lists it."""
        entry: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.artifact_type:
            entry["artifactType"] = self.artifact_type
        if self.annotations:
            entry["annotations"] = dict(self.annotations)
        return entry


@dataclass(frozen=True)
class Holding:
    """Something that a manifest holds, and which manifest."""

    repository: str
    manifest: Digest
    role: str
    digest: Digest
    media_type: str
    size: int  # bytes
    title: str


class Images:
    """The OCI half of a registry; safe to call from several threads.

    What is in quarantine is not handed out, and neither is what holds it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        events: Events,
        quarantine: Quarantine,
    ) -> None:
        self.blobs = blobs
        self._connection = connection
        self._events = events
        self._quarantine = quarantine
        self._guard = threading.RLock()
        connection.executescript(SCHEMA)

    # -- repositories

    def repositories(self) -> list[Repository]:
        """All of them, by name."""
        rows = self._query(
            "SELECT name, created, private, immutable FROM oci_repositories ORDER BY name"
        )
        return [Repository(row[0], row[1], bool(row[2]), bool(row[3])) for row in rows]

    def repository(self, name: str) -> Repository:
        """One. Raises `OciError` (404 NAME_UNKNOWN)."""
        rows = self._query(
            "SELECT name, created, private, immutable FROM oci_repositories WHERE name = ?", name
        )
        if not rows:
            raise OciError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        row = rows[0]
        return Repository(row[0], row[1], bool(row[2]), bool(row[3]))

    def is_private(self, name: str) -> bool:
        """Whether pulling from it needs a credential; one that is not there is public."""
        return bool(
            self._query("SELECT 1 FROM oci_repositories WHERE name = ? AND private = 1", name)
        )

    def configure(
        self, name: str, *, private: bool | None = None, immutable: bool | None = None
    ) -> Repository:
        """Change a repository's settings; it is made when it does not exist."""
        with self._writing():
            self._ensure(check_name(name))
            for column, value in (("private", private), ("immutable", immutable)):
                if value is not None:
                    self._connection.execute(
                        f"UPDATE oci_repositories SET {column} = ? WHERE name = ?",  # noqa: S608
                        (int(value), name),
                    )
        return self.repository(name)

    # -- blobs

    def link(self, repository: str, digest: Digest) -> None:
        """Note that the repository has this blob, which is stored."""
        with self._writing():
            self._ensure(repository)
            self._link(repository, digest)

    def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """Link a blob that another repository has; false when it does not have it."""
        if self.held_back(source, digest) is not None:
            return False
        with self._writing():
            if not self._linked(source, digest):
                return False
            self._ensure(repository)
            self._link(repository, digest)
        return True

    def blob(self, repository: str, digest: Digest) -> Digest:
        """The blob, if the repository has it and may hand it out. Raises `OciError`."""
        with self._guard:
            if not self._linked(repository, digest) or digest not in self.blobs:
                raise OciError(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
        self._check_quarantine(repository, digest)
        return digest

    def delete_blob(self, repository: str, digest: Digest, *, by: str) -> None:
        """Forget a link. Raises `OciError`: 404, or 405 while a manifest needs the blob."""
        with self._writing():
            if not self._linked(repository, digest):
                raise OciError(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
            self._check_unused(repository, digest)
            self._connection.execute(
                "DELETE FROM oci_links WHERE repository = ? AND digest = ?",
                (repository, str(digest)),
            )
            self._report("deleted", str(digest), {"repository": repository, "blob": True, "by": by})

    # -- manifests

    def push(
        self, repository: str, reference: Digest | str, data: bytes, content_type: str, *, by: str
    ) -> Stored:
        """Store a manifest, and let the tag point to it when the reference is one.

        Raises `OciError` for what cannot be read, another digest, blobs that are not here, a
        quarantined digest, and a tag that may not move.
        """
        if len(data) > MAX_MANIFEST:
            raise OciError(413, "SIZE_INVALID", f"a manifest is at most {MAX_MANIFEST} bytes")
        if isinstance(reference, str) and not is_tag(reference):
            raise OciError(400, "MANIFEST_INVALID", f"not a tag: {reference[:80]!r}")
        manifest = Manifest.parse(data, content_type)
        if isinstance(reference, Digest) and reference != manifest.digest:
            raise OciError(400, "DIGEST_INVALID", f"the manifest has digest {manifest.digest}")
        if reason := self._quarantine.reason(manifest.digest):
            raise OciError(403, "DENIED", f"{manifest.digest} is quarantined: {reason}")
        self.blobs.put(data)
        with self._writing():
            self._check_holds(repository, manifest)
            self._ensure(repository)
            is_new = self._insert(repository, manifest, by)
            tag = reference if isinstance(reference, str) else None
            moved = tag is not None and self._point(repository, tag, manifest.digest)
            if is_new or moved:
                facts = {"repository": repository, "mediaType": manifest.media_type, "by": by}
                facts |= {"tag": tag} if tag is not None else {}
                facts |= {"artifactType": manifest.artifact_type} if manifest.artifact_type else {}
                facts |= {"about": str(manifest.subject)} if manifest.subject else {}
                self._report("published", str(manifest.digest), facts)
        return self.manifest(repository, manifest.digest)

    def manifest(self, repository: str, reference: Digest | str) -> Stored:
        """A manifest, quarantined or not. Raises `OciError` (404 MANIFEST_UNKNOWN)."""
        digest = str(reference)
        with self._guard:
            if isinstance(reference, str):
                rows = self._query(
                    "SELECT digest FROM oci_tags WHERE repository = ? AND tag = ?",
                    repository,
                    reference,
                )
                digest = rows[0][0] if rows else ""
            rows = self._query(
                f"SELECT {COLUMNS} FROM oci_manifests WHERE repository = ? AND digest = ?",  # noqa: S608
                repository,
                digest,
            )
        if not rows:
            raise OciError(404, "MANIFEST_UNKNOWN", f"{repository} has no manifest {reference}")
        return _stored(rows[0])

    def pull(self, repository: str, reference: Digest | str) -> Stored:
        """A manifest to hand out. Raises `OciError`: 404, or 403 for a quarantined digest.

        A tag of something in quarantine is hidden.
        """
        stored = self.manifest(repository, reference)
        reason = self.held_back(repository, stored.digest)
        if reason is not None and isinstance(reference, str):
            raise OciError(
                404,
                "MANIFEST_UNKNOWN",
                f"{repository} has no manifest {reference}: it is quarantined: {reason}",
            )
        self._check_quarantine(repository, stored.digest)
        return stored

    def delete_manifest(self, repository: str, reference: Digest | str, *, by: str) -> None:
        """Delete a tag, or a manifest with all its tags. Raises `OciError`.

        405 while an image index needs the manifest, 409 for an immutable tag.
        """
        with self._writing():
            stored = self.manifest(repository, reference)
            name, digest = repository, str(stored.digest)
            frozen = self._query(
                "SELECT tag FROM oci_tags JOIN oci_repositories ON name = repository"
                " WHERE immutable = 1 AND repository = ? AND (tag = ? OR digest = ?)",
                name,
                str(reference),
                str(reference),
            )
            if frozen:
                raise OciError(409, "DENIED", f"the tags of {name} are immutable: {frozen[0][0]}")
            if isinstance(reference, str):
                self._execute(
                    "DELETE FROM oci_tags WHERE repository = ? AND tag = ?", name, reference
                )
            else:
                self._check_unused(name, reference)
                for table, column in (
                    ("oci_tags", "digest"),
                    ("oci_held", "manifest"),
                    ("oci_manifests", "digest"),
                ):
                    self._execute(
                        f"DELETE FROM {table} WHERE repository = ? AND {column} = ?",  # noqa: S608
                        name,
                        digest,
                    )
            facts = {"repository": name, "by": by}
            facts |= {"tag": reference} if isinstance(reference, str) else {}
            self._report("deleted", digest, facts)

    # -- what is here

    def tags(self, repository: str) -> list[Tag]:
        """All tags of a repository, in lexical order, also of what is in quarantine."""
        rows = self._query(
            "SELECT tag, digest, updated FROM oci_tags WHERE repository = ? ORDER BY tag",
            repository,
        )
        return [Tag(tag, Digest.parse(digest), updated) for tag, digest, updated in rows]

    def tag_names(
        self, repository: str, *, count: int = PAGE, last: str = ""
    ) -> tuple[list[str], bool]:
        """A page of the tags that may be pulled, after ``last``; and whether more follow.

        Raises `OciError` (404 NAME_UNKNOWN).
        """
        self.repository(repository)
        rows = self._query(
            "SELECT tag, digest FROM oci_tags WHERE repository = ? AND tag > ? ORDER BY tag",
            repository,
            last,
        )
        held_back: dict[str, bool] = {}
        found: list[str] = []
        for tag, digest in rows:
            if digest not in held_back:
                held_back[digest] = self.held_back(repository, Digest.parse(digest)) is not None
            if held_back[digest]:
                continue
            if len(found) == count:
                return found, True
            found.append(tag)
        return found, False

    def manifests(self, repository: str) -> list[Stored]:
        """All manifests of a repository, newest first."""
        rows = self._query(
            f"SELECT {COLUMNS} FROM oci_manifests WHERE repository = ? ORDER BY id DESC",  # noqa: S608
            repository,
        )
        return [_stored(row) for row in rows]

    def referrers(
        self,
        repository: str | None,
        subject: Digest,
        *,
        artifact_type: str | None = None,
        after: int = 0,
    ) -> list[Stored]:
        """Manifests about a digest, in order of arrival; in one repository, or in all (None)."""
        rows = self._query(
            f"SELECT {COLUMNS} FROM oci_manifests WHERE subject = ? AND (? IS NULL OR repository = ?)"  # noqa: S608
            " AND (? IS NULL OR artifact_type = ?) AND id > ? ORDER BY id",
            str(subject),
            repository,
            repository,
            artifact_type,
            artifact_type,
            after,
        )
        return [_stored(row) for row in rows]

    def found(self, digest: Digest) -> list[Stored]:
        """The manifest with this digest, in every repository that has it."""
        rows = self._query(
            f"SELECT {COLUMNS} FROM oci_manifests WHERE digest = ? ORDER BY id",  # noqa: S608
            str(digest),
        )
        return [_stored(row) for row in rows]

    def holders(self, digest: Digest) -> list[Holding]:
        """The manifests that hold this file, in every repository: the file → manifest map."""
        return self._holdings("digest = ?", str(digest))

    def holdings(self, repository: str, manifest: Digest) -> list[Holding]:
        """What a manifest holds, in its order."""
        return self._holdings("repository = ? AND manifest = ?", repository, str(manifest))

    def has_blob(self, digest: Digest) -> list[str]:
        """The repositories that link to this blob."""
        rows = self._query(
            "SELECT repository FROM oci_links WHERE digest = ? ORDER BY repository", str(digest)
        )
        return [name for (name,) in rows]

    def held_back(self, repository: str, digest: Digest) -> str | None:
        """Why a digest is not handed out, or None.

        Itself is quarantined, or something that it holds is, or each manifest here that holds it.
        """
        if not self._query("SELECT 1 FROM quarantine WHERE released IS NULL LIMIT 1"):
            return None
        text = str(digest)
        if rows := self._query(BELOW, text, repository):
            found, reason = rows[0]
            return str(reason) if found == text else f"it holds {found}: {reason}"
        if rows := self._query(ABOVE, repository, text):
            reasons = [reason for (reason,) in rows]
            if all(reasons):
                return f"what holds it is quarantined: {reasons[0]}"
        return None

    # -- inside

    def _check_quarantine(self, repository: str, digest: Digest) -> None:
        if reason := self.held_back(repository, digest):
            raise OciError(
                403,
                "DENIED",
                f"{digest} is quarantined: {reason}",
                detail={"digest": str(digest), "reason": reason},
            )

    def _check_holds(self, repository: str, manifest: Manifest) -> None:
        """All that the manifest holds is here, as large as it says."""
        for entry in manifest.holds:
            text = str(entry.digest)
            if entry.role == "manifest":
                there = self._query(
                    "SELECT size FROM oci_manifests WHERE repository = ? AND digest = ?",
                    repository,
                    text,
                )
                size = there[0][0] if there else None
            else:
                linked = self._linked(repository, entry.digest) and entry.digest in self.blobs
                size = self.blobs.path(entry.digest).stat().st_size if linked else None
            if size is None:
                raise OciError(
                    404,
                    "MANIFEST_BLOB_UNKNOWN",
                    f"{repository} has no {entry.role} {text}",
                    detail={"digest": text},
                    mend="push what a manifest holds before the manifest",
                )
            if size != entry.size:
                raise OciError(
                    400, "SIZE_INVALID", f"{text} has {size} bytes, the manifest says {entry.size}"
                )

    def _check_unused(self, repository: str, digest: Digest) -> None:
        for holding in self.holders(digest):
            if holding.repository == repository:
                raise OciError(
                    405,
                    "UNSUPPORTED",
                    f"{holding.manifest} needs {digest}",
                    mend="delete that manifest first",
                )

    def _ensure(self, repository: str) -> None:
        self._execute(
            "INSERT OR IGNORE INTO oci_repositories (name, created) VALUES (?, ?)",
            repository,
            time.time(),
        )

    def _link(self, repository: str, digest: Digest) -> None:
        self._execute(
            "INSERT OR REPLACE INTO oci_links VALUES (?, ?, ?)",
            repository,
            str(digest),
            time.time(),
        )

    def _linked(self, repository: str, digest: Digest) -> bool:
        return bool(
            self._query(
                "SELECT 1 FROM oci_links WHERE repository = ? AND digest = ?",
                repository,
                str(digest),
            )
        )

    def _insert(self, repository: str, manifest: Manifest, by: str) -> bool:
        """Write the rows of a manifest; false when they are there."""
        written = self._connection.execute(
            "INSERT OR IGNORE INTO oci_manifests (repository, digest, media_type, size,"
            " artifact_type, annotations, subject, pushed, pushed_by)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                repository,
                str(manifest.digest),
                manifest.media_type,
                manifest.size,
                manifest.artifact_type,
                json.dumps(dict(manifest.annotations)),
                None if manifest.subject is None else str(manifest.subject),
                time.time(),
                by,
            ),
        ).rowcount
        if written:
            self._connection.executemany(
                "INSERT INTO oci_held VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(repository, str(manifest.digest), at, entry.role, str(entry.digest)),
                        *(entry.media_type, entry.size, entry.title),
                    )
                    for at, entry in enumerate(manifest.holds)
                ],
            )
        return bool(written)

    def _point(self, repository: str, tag: str, digest: Digest) -> bool:
        """Let a tag point to a manifest; false when it does. Raises `OciError` (409)."""
        rows = self._query(
            "SELECT digest FROM oci_tags WHERE repository = ? AND tag = ?", repository, tag
        )
        if rows and rows[0][0] == str(digest):
            return False
        if rows and self.repository(repository).immutable:
            raise OciError(
                409,
                "DENIED",
                f"the tags of {repository} are immutable, and {tag} is {rows[0][0]}",
                mend="push under another tag",
            )
        self._execute(
            "INSERT OR REPLACE INTO oci_tags VALUES (?, ?, ?, ?)",
            repository,
            tag,
            str(digest),
            time.time(),
        )
        return True

    def _holdings(self, condition: str, *values: str) -> list[Holding]:
        rows = self._query(
            "SELECT repository, manifest, role, digest, media_type, size, title FROM oci_held"  # noqa: S608
            f" WHERE {condition} ORDER BY repository, manifest, position",
            *values,
        )
        return [
            Holding(row[0], Digest.parse(row[1]), row[2], Digest.parse(row[3]), *row[4:])
            for row in rows
        ]

    def _report(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        self._events.append(
            f"dev.chainlab.artifact.{kind}", source=SOURCE, subject=subject, data=data
        )

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)

    def _query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guard:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guard, transaction(self._connection):
            yield


def _stored(row: Iterable[Any]) -> Stored:
    order, repository, digest, media_type, size, artifact, annotations, subject, pushed, by = row
    return Stored(
        order,
        repository,
        Digest.parse(digest),
        media_type,
        size,
        artifact,
        json.loads(annotations),
        Digest.parse(subject) if subject else None,
        pushed,
        by,
    )
