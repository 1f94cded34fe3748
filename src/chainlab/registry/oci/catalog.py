"""Reading OCI repositories: their contents, what may be handed out, and which manifests hold a file.

Referrers are not kept as a list: a query selects the manifests with that ``subject``, so two writers cannot overwrite
each other's.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from chainlab.credentials import Credential
from chainlab.database import Tables
from chainlab.digests import Digest
from chainlab.registry.blobs import Blobs
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.names import any_digest
from chainlab.registry.oci.tables import COLUMNS, SCHEMA, Holding, ImageRepository, Stored, Tag
from chainlab.registry.quarantine import Quarantine
from chainlab.visibility import Visibility, has_right

__all__ = ["PAGE", "Catalog"]

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


class Catalog(Tables):
    """The reading half of `chainlab.registry.oci.images.Images`; safe to call from several threads.

    It hands out no quarantined digest, and no manifest that holds one.
    """

    def __init__(self, connection: sqlite3.Connection, blobs: Blobs, *, quarantine: Quarantine) -> None:
        self.blobs = blobs
        self._quarantine = quarantine
        super().__init__(connection, SCHEMA)
        self._visibility = Visibility(connection)

    def repositories(self) -> list[ImageRepository]:
        """List all repositories, by name."""
        rows = self._query("SELECT name, private, immutable FROM oci_repositories ORDER BY name")
        return [ImageRepository(row[0], bool(row[1]), bool(row[2])) for row in rows]

    def repository(self, name: str) -> ImageRepository:
        """Return a repository. Raises `OciError` (404 NAME_UNKNOWN)."""
        rows = self._query("SELECT name, private, immutable FROM oci_repositories WHERE name = ?", name)
        if not rows:
            raise OciError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        row = rows[0]
        return ImageRepository(row[0], bool(row[1]), bool(row[2]))

    def is_private(self, name: str) -> bool:
        """Whether pulling needs a credential: the repository is private, or belongs to an internal one."""
        with self._guard:
            private = self._query("SELECT 1 FROM oci_repositories WHERE name = ? AND private = 1", name)
            return bool(private) or self._visibility.is_internal(name)

    def hidden(self, caller: Credential | None, rights: tuple[str, ...]) -> list[str]:
        """List the repositories, of the platform and of this registry, that a caller may not read."""
        with self._guard:
            rows = self._query("SELECT name FROM oci_repositories WHERE private = 1")
            private = {name for (name,) in rows if not has_right(caller, rights, name)}
            return sorted(private | set(self._visibility.hidden(caller, rights)))

    def manifest(self, repository: str, reference: Digest | str) -> Stored:
        """Return a manifest, quarantined or not. Raises `OciError` (404 MANIFEST_UNKNOWN)."""
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
        return Stored.of(rows[0])

    def pull(self, repository: str, reference: Digest | str) -> Stored:
        """Return a manifest to hand out. Raises `OciError`: 404, or 403 for a quarantined digest.

        A tag that points to a quarantined manifest is hidden: 404.
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

    def blob(self, repository: str, digest: Digest) -> Digest:
        """Check that the repository has a blob and may hand it out. Raises `OciError`: 404 or 403."""
        with self._guard:
            if not self._linked(repository, digest) or digest not in self.blobs:
                raise OciError(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
        self._check_quarantine(repository, digest)
        return digest

    def tags(self, repository: str) -> list[Tag]:
        """List all tags of a repository in lexical order, quarantined ones too."""
        rows = self._query(
            "SELECT tag, digest, updated FROM oci_tags WHERE repository = ? ORDER BY tag",
            repository,
        )
        return [Tag(tag, Digest.parse(digest), updated) for tag, digest, updated in rows]

    def tag_names(self, repository: str, *, count: int = PAGE, last: str = "") -> tuple[list[str], bool]:
        """Return a page of the tags that may be pulled, after ``last``, and whether more follow.

        Raises `OciError` (404 NAME_UNKNOWN).
        """
        self.repository(repository)
        rows = self._query(
            "SELECT tag, digest FROM oci_tags WHERE repository = ? AND tag > ? ORDER BY tag",
            repository,
            last,
        )
        held_back: dict[str, bool] = {}
        names: list[str] = []
        for tag, digest in rows:
            if digest not in held_back:
                held_back[digest] = self.held_back(repository, Digest.parse(digest)) is not None
            if held_back[digest]:
                continue
            if len(names) == count:
                return names, True
            names.append(tag)
        return names, False

    def manifests(self, repository: str) -> list[Stored]:
        """List all manifests of a repository, newest first."""
        rows = self._query(
            f"SELECT {COLUMNS} FROM oci_manifests WHERE repository = ? ORDER BY id DESC",  # noqa: S608
            repository,
        )
        return [Stored.of(row) for row in rows]

    def referrers(
        self,
        repository: str | None,
        subject: Digest,
        *,
        artifact_type: str | None = None,
        after: int = 0,
    ) -> list[Stored]:
        """List the manifests about a digest in order of arrival, in one repository or in all (None).

        ``after`` is the order of the last one that the caller has.
        """
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
        return [Stored.of(row) for row in rows]

    def with_digest(self, digest: Digest) -> list[Stored]:
        """List the manifests with this digest, one for every repository that has it."""
        rows = self._query(
            f"SELECT {COLUMNS} FROM oci_manifests WHERE digest = ? ORDER BY id",  # noqa: S608
            str(digest),
        )
        return [Stored.of(row) for row in rows]

    def holders(self, digest: Digest) -> list[Holding]:
        """List the manifests that hold this file, in every repository: the file → manifest map."""
        return self._holdings("digest = ?", str(digest))

    def holdings(self, repository: str, manifest: Digest) -> list[Holding]:
        """List what a manifest holds, in its order."""
        return self._holdings("repository = ? AND manifest = ?", repository, str(manifest))

    def repositories_linking(self, digest: Digest) -> list[str]:
        """List the repositories that link to this blob."""
        rows = self._query("SELECT repository FROM oci_links WHERE digest = ? ORDER BY repository", str(digest))
        return [name for (name,) in rows]

    def with_prefix(self, prefix: str) -> list[tuple[Digest, str]]:
        """List digest and repository of manifests, subjects and blobs that begin with ``prefix`` (``sha256:1f``)."""
        rows = self._query(
            "SELECT digest, repository FROM oci_manifests WHERE digest GLOB ?"
            " UNION SELECT subject, repository FROM oci_manifests WHERE subject GLOB ?"
            " UNION SELECT digest, repository FROM oci_links WHERE digest GLOB ? ORDER BY digest, repository",
            *[f"{prefix}*"] * 3,
        )
        return [(any_digest(digest), repository) for digest, repository in rows]

    def held_back(self, repository: str, digest: Digest) -> str | None:
        """Return why a digest is not handed out, or None.

        Reasons: it is quarantined itself, it holds something quarantined, or every manifest here that holds it is
        quarantined.
        """
        if not self._query("SELECT 1 FROM quarantine WHERE released IS NULL LIMIT 1"):
            return None
        text = str(digest)
        if rows := self._query(BELOW, text, repository):
            quarantined, reason = rows[0]
            return str(reason) if quarantined == text else f"it holds {quarantined}: {reason}"
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

    def _linked(self, repository: str, digest: Digest) -> bool:
        return bool(
            self._query(
                "SELECT 1 FROM oci_links WHERE repository = ? AND digest = ?",
                repository,
                str(digest),
            )
        )

    def _holdings(self, condition: str, *values: str) -> list[Holding]:
        rows = self._query(
            "SELECT repository, manifest, role, digest, media_type, size, title FROM oci_held"  # noqa: S608
            f" WHERE {condition} ORDER BY repository, manifest, position",
            *values,
        )
        return [Holding(row[0], Digest.parse(row[1]), row[2], Digest.parse(row[3]), *row[4:]) for row in rows]

    def _query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guard:
            return self._connection.execute(statement, values).fetchall()
