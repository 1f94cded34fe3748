"""The tables of OCI repositories, and their rows as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.digests import Digest
from chainlab.registry.oci.names import any_digest

__all__ = ["COLUMNS", "SCHEMA", "Holding", "ImageRepository", "Stored", "Tag"]

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
COLUMNS = (  # of oci_manifests
    "id, repository, digest, media_type, size, artifact_type, annotations, subject, pushed, pushed_by"
)


@dataclass(frozen=True)
class ImageRepository:
    """A repository and its settings."""

    name: str
    private: bool
    immutable: bool


@dataclass(frozen=True)
class Tag:
    """A tag and the manifest that it points to."""

    name: str
    digest: Digest
    updated: float  # seconds since 1970


@dataclass(frozen=True)
class Stored:
    """A manifest in a repository."""

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

    @classmethod
    def of(cls, row: Iterable[Any]) -> Stored:
        """Read a row with `COLUMNS`."""
        order, repository, digest, media_type, size, artifact, annotations, subject, pushed, by = row
        return cls(
            order,
            repository,
            Digest.parse(digest),
            media_type,
            size,
            artifact,
            json.loads(annotations),
            any_digest(subject) if subject else None,
            pushed,
            by,
        )

    def descriptor(self) -> dict[str, Any]:
        """Return the descriptor that the referrers API lists."""
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
    """Something that a manifest holds, and that manifest."""

    repository: str
    manifest: Digest
    role: str
    digest: Digest
    media_type: str
    size: int  # bytes
    title: str
