"""OCI repositories: manifests, tags and links to blobs, in SQLite; the bytes are in `Blobs`.

    repository   acme/triage-model
    tag          v1 → a manifest's digest; moves, unless the repository's tags are immutable
    link         this repository has this blob (uploaded or mounted)
    held         this manifest holds that blob: the map from a file to the manifests it is in

Each change is committed together with the event that reports it. `chainlab.registry.oci.catalog` has the methods that
only read.

Specification: OCI distribution-spec 1.1.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chainlab import jobs
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.events import Events
from chainlab.registry.blobs import Blobs
from chainlab.registry.job_writes import JobWrites, job_facts
from chainlab.registry.oci.catalog import Catalog
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.manifest import MAX_MANIFEST, Descriptor, Manifest
from chainlab.registry.oci.names import check_name, is_tag
from chainlab.registry.oci.tables import ImageRepository, Stored
from chainlab.registry.quarantine import Quarantine

__all__ = ["Images"]

SOURCE = "/registry"  # CloudEvents source of what the registry reports


class Images(Catalog):
    """The OCI half of a registry; safe to call from several threads.

    It hands out no quarantined digest, and no manifest that holds one. ``counted`` returns whether a recorded verdict
    rests on a digest.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        events: Events,
        *,
        quarantine: Quarantine,
        counted: Callable[[Digest], bool] = lambda _: False,
    ) -> None:
        super().__init__(connection, blobs, quarantine=quarantine)
        connection.executescript(jobs.SCHEMA)
        self._events = events
        self._counted = counted
        self._job_writes = JobWrites(connection, self._guard)

    # -- repositories

    def configure(self, name: str, *, private: bool | None = None, immutable: bool | None = None) -> ImageRepository:
        """Change a repository's settings; create it when it does not exist."""
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
        """Record that the repository has this blob, which is already stored."""
        with self._writing():
            self._ensure(repository)
            self._link(repository, digest)

    def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """Link a blob of another repository; false when that one does not have it."""
        if self.held_back(source, digest) is not None:
            return False
        with self._writing():
            if not self._linked(source, digest):
                return False
            self._ensure(repository)
            self._link(repository, digest)
        return True

    def delete_blob(self, repository: str, digest: Digest, *, by: str) -> None:
        """Remove a link. Raises `OciError`: 404, or 405 while a manifest needs the blob."""
        counted = self._counted(digest)
        with self._writing():
            if not self._linked(repository, digest):
                raise OciError(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
            self._check_unused(repository, digest)
            self._connection.execute(
                "DELETE FROM oci_links WHERE repository = ? AND digest = ?", (repository, str(digest))
            )
            facts = {"repository": repository, "blob": True, "counted": counted, "by": by}
            self._report("deleted", str(digest), facts)

    # -- manifests

    def push(
        self,
        repository: str,
        reference: Digest | str,
        data: bytes,
        content_type: str,
        *,
        by: str,
        job: str = "",
        at: str = "",
    ) -> Stored:
        """Store a manifest; when the reference is a tag, point it there.

        ``job`` is the id of the CI job whose credential pushes, ``at`` of the job that the push came from.

        Raises `OciError` for an unreadable manifest, another digest, missing blobs, a quarantined digest, and a tag
        that may not move.
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
        self._check_sizes(repository, manifest)  # before the database is locked for writing
        self.blobs.put(data)
        with self._writing():
            self._check_holds(repository, manifest)
            self._ensure(repository)
            is_new = self._insert(repository, manifest, by)
            if manifest.subject is None:  # with a subject it is evidence, which is no output of the job
                self._job_writes.record(job, "oci", repository, manifest.digest)
            tag = reference if isinstance(reference, str) else None
            before = self._target(repository, tag) if tag is not None else None
            moved = tag is not None and self._point(repository, tag, manifest.digest)
            if is_new or moved:
                facts: dict[str, Any] = {
                    **job_facts(self._connection, job or at),
                    "repository": repository,
                    "mediaType": manifest.media_type,
                    "size": manifest.size + sum(entry.size for entry in manifest.holds),
                    "by": by,
                }
                if tag is not None:
                    facts |= {"tag": tag, "tag_before": before, "tag_moved": moved and before is not None}
                facts |= {"artifactType": manifest.artifact_type} if manifest.artifact_type else {}
                facts |= {"about": str(manifest.subject)} if manifest.subject else {}
                self._report("published", str(manifest.digest), facts)
        return self.manifest(repository, manifest.digest)

    def delete_manifest(self, repository: str, reference: Digest | str, *, by: str) -> None:
        """Delete a tag, or a manifest with all its tags. Raises `OciError`.

        405 while an image index needs the manifest, 409 for an immutable tag, 403 for a manifest in quarantine: without
        it, the blobs that it holds would no longer be held back.
        """
        counted = self._counted(self.manifest(repository, reference).digest)
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
                self._execute("DELETE FROM oci_tags WHERE repository = ? AND tag = ?", name, reference)
            else:
                if reason := self._quarantine.reason(stored.digest):
                    raise OciError(403, "DENIED", f"{digest} is quarantined, and kept: {reason}")
                self._check_unused(name, reference)
                for table, column in (("oci_tags", "digest"), ("oci_held", "manifest"), ("oci_manifests", "digest")):
                    self._execute(
                        f"DELETE FROM {table} WHERE repository = ? AND {column} = ?",  # noqa: S608
                        name,
                        digest,
                    )
            facts: dict[str, object] = {"repository": name, "counted": counted, "by": by}
            facts |= {"tag": reference} if isinstance(reference, str) else {}
            self._report("deleted", digest, facts)

    # -- inside

    def _check_holds(self, repository: str, manifest: Manifest) -> None:
        """Check that the repository has all that the manifest holds, in two queries. Raises `OciError` (404)."""
        digests = json.dumps(sorted({str(entry.digest) for entry in manifest.holds}))
        rows = {
            role: {
                digest
                for (digest,) in self._query(
                    f"SELECT digest FROM {table} WHERE repository = ?"  # noqa: S608
                    " AND digest IN (SELECT value FROM json_each(?))",
                    repository,
                    digests,
                )
            }
            for role, table in (("manifest", "oci_manifests"), ("blob", "oci_links"))
        }
        for entry in manifest.holds:
            if str(entry.digest) not in rows["manifest" if entry.role == "manifest" else "blob"]:
                raise _absent(repository, entry)

    def _check_sizes(self, repository: str, manifest: Manifest) -> None:
        """Check that the repository has all that the manifest holds, with the sizes that it says. Raises `OciError`."""
        self._check_holds(repository, manifest)
        for entry in manifest.holds:
            try:
                if entry.role == "manifest":
                    size = self.manifest(repository, entry.digest).size
                else:
                    size = self.blobs.path(entry.digest).stat().st_size
            except (FileNotFoundError, OciError) as error:
                raise _absent(repository, entry) from error
            if size != entry.size:
                raise OciError(400, "SIZE_INVALID", f"{entry.digest} has {size} bytes, the manifest says {entry.size}")

    def _check_unused(self, repository: str, digest: Digest) -> None:
        for holding in self.holders(digest):
            if holding.repository == repository:
                raise OciError(
                    405, "UNSUPPORTED", f"{holding.manifest} needs {digest}", hint="delete that manifest first"
                )

    def _ensure(self, repository: str) -> None:
        self._execute("INSERT OR IGNORE INTO oci_repositories (name, created) VALUES (?, ?)", repository, time.time())

    def _link(self, repository: str, digest: Digest) -> None:
        self._execute("INSERT OR REPLACE INTO oci_links VALUES (?, ?, ?)", repository, str(digest), time.time())

    def _insert(self, repository: str, manifest: Manifest, by: str) -> bool:
        """Insert the rows of a manifest; false when they exist."""
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
        """Point a tag to a manifest; false when it already does. Raises `OciError` (409)."""
        before = self._target(repository, tag)
        if before == str(digest):
            return False
        if before and self.repository(repository).immutable:
            raise OciError(
                409,
                "DENIED",
                f"the tags of {repository} are immutable, and {tag} is {before}",
                hint="push under another tag",
            )
        self._execute("INSERT OR REPLACE INTO oci_tags VALUES (?, ?, ?, ?)", repository, tag, str(digest), time.time())
        return True

    def _target(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag points to; None for a new tag."""
        rows = self._query("SELECT digest FROM oci_tags WHERE repository = ? AND tag = ?", repository, tag)
        return rows[0][0] if rows else None

    def _report(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        self._events.append(f"dev.chainlab.artifact.{kind}", source=SOURCE, subject=subject, data=data)

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guard, transaction(self._connection):
            yield


def _absent(repository: str, entry: Descriptor) -> OciError:
    return OciError(
        404,
        "MANIFEST_BLOB_UNKNOWN",
        f"{repository} has no {entry.role} {entry.digest}",
        detail={"digest": str(entry.digest)},
        hint="push what a manifest holds before the manifest",
    )
