"""The cache of a CI host: files that one run saves for later runs, by key, in scopes.

An entry belongs to a repository, a scope (the ref whose run saved it), a key and a version (a digest of its paths). It
never changes. A job reads the scopes that its credential names, in order. In each scope an exact match of the first
key wins, then every key matches as a prefix, newest entry first. A job writes to one scope or to none. The host decides
the scopes; this service checks the grants alone:

    cache:read:0:acme/triage-model:refs/heads/feature       searched first
    cache:read:1:acme/triage-model:refs/heads/main          then
    cache:write:acme/triage-model:refs/heads/feature

    GET  /ci/cache/entry?version=V&key=K&key=PREFIX…        200 with the bytes and X-Cache-Key; 404
    PUT  /ci/cache/entry?version=V&key=K                    201; 409 if it exists; 403 without the right

The platform evicts above 10 GB a repository; nothing is evicted here.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.ci.services.access import identify, receive
from chainlab.credentials import Credential, Credentials
from chainlab.database import SqliteStore
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.file_response import StoredFile
from chainlab.registry.blobs import Blobs, Staged

__all__ = ["Cache", "CacheEntry", "cache_routes"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS cache_entries (
    id         INTEGER PRIMARY KEY,  -- a higher one is newer
    repository TEXT NOT NULL,
    scope      TEXT NOT NULL,        -- 'refs/heads/main'
    key        TEXT NOT NULL,
    version    TEXT NOT NULL,        -- digest of the paths
    digest     TEXT NOT NULL,
    size       INTEGER NOT NULL,     -- bytes
    saved      REAL NOT NULL,        -- seconds since 1970
    who        TEXT NOT NULL,        -- the subject of the credential that saved it
    UNIQUE (repository, scope, key, version)
) STRICT;
"""
COLUMNS = "repository, scope, key, version, digest, size, saved, who"
MAX_KEY = 512  # characters, the platform's limit
MAX_KEYS = 10  # of one request, the platform's limit
MAX_ENTRY = 2 * 2**30  # bytes


@dataclass(frozen=True)
class CacheEntry:
    """One saved entry of the cache."""

    repository: str
    scope: str
    key: str
    version: str
    digest: Digest
    size: int  # bytes
    saved: float  # seconds since 1970
    who: str  # the subject of the credential that saved it


class Cache(SqliteStore):
    """The cache entries of one state directory."""

    def __init__(self, directory: Path, database: Path) -> None:
        self._blobs = Blobs(directory)
        self._blobs.sweep()
        super().__init__(database, SCHEMA)
        self._events = Events(self._connection)

    def stage(self, *, limit: int = MAX_ENTRY) -> Staged:
        """Open a place to write an entry's bytes to, for `save`."""
        return self._blobs.stage(limit=limit)

    def save(self, credential: Credential, key: str, version: str, staged: Staged) -> CacheEntry:
        """Save the staged bytes. Raises `Refused`: 403 without a scope to write to, 409 if the entry exists."""
        repository, scope = self.writable(credential)
        _check(key, version)
        self._require_absent(repository, scope, key, version)
        digest = staged.commit()
        entry = CacheEntry(repository, scope, key, version, digest, staged.size, time.time(), credential.subject)
        with self._transaction():
            values = (*_columns(entry).values(), entry.saved, entry.who)
            try:
                self._connection.execute(
                    f"INSERT INTO cache_entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    values,
                )
            except sqlite3.IntegrityError as error:
                raise _conflict(key) from error
            self._events.append(
                "dev.chainlab.cache.saved",
                source="/ci/cache",
                subject=repository,
                data=_columns(entry) | {"who": entry.who},
            )
        return entry

    def find(self, credential: Credential, keys: list[str], version: str) -> CacheEntry | None:
        """Find the entry that the job gets for its keys, or None. Raises `MalformedInput` for a bad key."""
        if not 1 <= len(keys) <= MAX_KEYS:
            raise MalformedInput(f"expected 1 to {MAX_KEYS} keys")
        for key in keys:
            _check(key, version)
        for repository, scope in _readable(credential):
            for key, exact in [(keys[0], True), *((key, False) for key in keys)]:
                if entry := self._newest(repository, scope, key, version, exact=exact):
                    return entry
        return None

    def restore(self, credential: Credential, keys: list[str], version: str) -> CacheEntry | None:
        """Find an entry as `find` does, and report it in an event."""
        entry = self.find(credential, keys, version)
        if entry is not None:
            with self._transaction():
                self._events.append(
                    "dev.chainlab.cache.restored",
                    source="/ci/cache",
                    subject=entry.repository,
                    data=_columns(entry) | {"asked": keys[0], "who": credential.subject},
                )
        return entry

    def entries(self, repository: str | None = None) -> list[CacheEntry]:
        """List the entries, oldest first, of one repository or of all."""
        rows = self._rows(
            f"SELECT {COLUMNS} FROM cache_entries"  # noqa: S608
            " WHERE ? IS NULL OR repository = ? ORDER BY id",
            (repository, repository),
        )
        return [_entry(row) for row in rows]

    def path(self, entry: CacheEntry) -> Path:
        """Return the file with the entry's bytes: a tar with ``home/…`` and ``workspace/…``."""
        return self._blobs.path(entry.digest)

    def delete(self, repository: str, *, key: str | None = None) -> int:
        """Delete a repository's entries, all or those of one key; returns how many."""
        with self._transaction():
            return self._connection.execute(
                "DELETE FROM cache_entries WHERE repository = ? AND (? IS NULL OR key = ?)",
                (repository, key, key),
            ).rowcount

    def writable(self, credential: Credential) -> tuple[str, str]:
        """Return the repository and scope that the credential may write to. Raises `Refused` (403) without one."""
        grants = sorted(g.split(":", 3) for g in credential.grants if g.startswith("cache:write:"))
        complete = [grant for grant in grants if len(grant) == 4]
        if not complete:
            raise Refused(
                403,
                f"{credential.subject} may read caches but not save",
                why="people without write access to the repository can trigger its event",
            )
        return complete[0][2], complete[0][3]

    def _newest(self, repository: str, scope: str, key: str, version: str, *, exact: bool) -> CacheEntry | None:
        condition = "key = :key" if exact else "substr(key, 1, length(:key)) = :key"
        rows = self._rows(
            f"SELECT {COLUMNS} FROM cache_entries"  # noqa: S608
            f" WHERE {condition} AND repository = :repository AND scope = :scope AND version = :version"
            " ORDER BY id DESC LIMIT 1",
            {"key": key, "repository": repository, "scope": scope, "version": version},
        )
        return _entry(rows[0]) if rows else None

    def _require_absent(self, repository: str, scope: str, key: str, version: str) -> None:
        if self._newest(repository, scope, key, version, exact=True) is not None:
            raise _conflict(key)


def cache_routes(cache: Cache, credentials: Credentials) -> list[BaseRoute]:
    """Return the HTTP routes of a cache."""

    def job_credential(request: Request) -> Credential:
        credential = identify(request, credentials)
        if credential is None:
            raise Refused(401, "a job's credential is needed")
        return credential

    async def get(request: Request) -> Response:
        credential = job_credential(request)
        keys, version = request.query_params.getlist("key"), request.query_params.get("version", "")
        find = cache.find if request.method == "HEAD" else cache.restore
        entry = await run_sync(find, credential, keys, version)
        if entry is None:
            raise Refused(404, "no cache entry matches the keys")
        headers = {"X-Cache-Key": entry.key, "X-Cache-Scope": entry.scope}
        return StoredFile(cache.path(entry), headers=headers, media_type="application/octet-stream")

    async def put(request: Request) -> Response:
        credential = job_credential(request)
        key, version = (request.query_params.get(name, "") for name in ("key", "version"))
        cache.writable(credential)
        credentials.used(credential, "cache")
        _check(key, version)
        with cache.stage() as staged:
            await receive(request, staged, limit=MAX_ENTRY)
            await run_sync(cache.save, credential, key, version, staged)
        return PlainTextResponse("saved\n", 201)

    return [
        Route("/ci/cache/entry", get, methods=["GET"]),
        Route("/ci/cache/entry", put, methods=["PUT"]),
    ]


def _readable(credential: Credential) -> list[tuple[str, str]]:
    """Return (repository, scope) pairs in search order."""
    grants = [g.split(":", 4) for g in credential.grants if g.startswith("cache:read:")]
    numbered = [g for g in grants if len(g) == 5 and g[2].isascii() and g[2].isdigit()]
    return [(g[3], g[4]) for g in sorted(numbered, key=lambda grant: int(grant[2]))]


def _check(key: str, version: str) -> None:
    valid = 0 < len(key) <= MAX_KEY and key.isprintable() and "," not in key and key.isascii()
    if not valid:
        raise MalformedInput(f"a cache key has 1 to {MAX_KEY} printable ASCII characters and no comma")
    if not (version.isascii() and version.isalnum() and len(version) <= 128):
        raise MalformedInput("expected letters and digits in 'version'")


def _conflict(key: str) -> Refused:
    return Refused(409, f"the cache has an entry with key {key!r}, and an entry never changes")


def _columns(entry: CacheEntry) -> dict[str, str | int]:
    return {
        "repository": entry.repository,
        "scope": entry.scope,
        "key": entry.key,
        "version": entry.version,
        "digest": str(entry.digest),
        "size": entry.size,
    }


def _entry(row: tuple[str, str, str, str, str, int, float, str]) -> CacheEntry:
    repository, scope, key, version, digest, *rest = row
    size, saved, who = rest
    return CacheEntry(repository, scope, key, version, Digest.parse(digest), size, saved, who)  # type: ignore[arg-type]
