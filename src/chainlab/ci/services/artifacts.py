"""Artifacts: files that a job of a run leaves for later jobs, and for people.

An artifact belongs to a run, has a name and never changes. It travels as a tar of plain files. A tar with links,
devices or paths that lead out of it is refused, so unpacking an accepted one is safe.

    GET  /ci/artifacts/RUN              the names, one a line
    GET  /ci/artifacts/RUN/NAME         the tar
    PUT  /ci/artifacts/RUN/NAME         201; 409 if it exists, unless ?overwrite=true

Reading needs ``artifacts:read:RUN``, writing ``artifacts:write:RUN``. The limits count everything that a job uploads,
including replaced artifacts: the host hashes, names and signs each file after the job has ended. A job that exceeds a
limit fails (`Artifacts.exceeded`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.ci.services.access import ConcurrencyLimit, receive, require
from chainlab.credentials import Credentials
from chainlab.database import SqliteStore
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.file_response import StoredFile
from chainlab.registry.blobs import Blobs, Staged

__all__ = ["Artifacts", "RunArtifact", "artifact_routes"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS artifacts (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    run    TEXT NOT NULL,
    name   TEXT NOT NULL,
    digest TEXT NOT NULL,     -- of the tar
    size   INTEGER NOT NULL,  -- bytes of the tar
    files  TEXT NOT NULL,     -- JSON: path to digest
    saved  REAL NOT NULL,     -- seconds since 1970
    who    TEXT NOT NULL,
    UNIQUE (run, name)
) STRICT;
CREATE TABLE IF NOT EXISTS artifact_work (  -- what a job has uploaded, including replaced and refused artifacts
    run     TEXT NOT NULL,
    who     TEXT NOT NULL,
    uploads INTEGER NOT NULL,
    files   INTEGER NOT NULL,
    size    INTEGER NOT NULL,  -- bytes
    passed  TEXT NOT NULL,     -- the limit that it exceeded; empty = none
    PRIMARY KEY (run, who)
) STRICT, WITHOUT ROWID;
"""
COLUMNS = "id, run, name, digest, size, files, saved, who"
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME = re.compile(r"[^\x00-\x1f\x7f\"<>|*?:\\/]{1,200}")  # the platform's rule
MAX_NAME = 255  # bytes of an artifact's name, which becomes a folder name: NAME_MAX of usual file systems
MAX_ARTIFACT = 2**30  # bytes
MAX_FILES = 10_000  # and folders
# The limits of one job, all its artifacts together; the first is the platform's.
MAX_UPLOADS = 500
MAX_JOB_FILES = 10_000
MAX_JOB_SIZE = 2 * 2**30  # bytes
MAX_PATH = 1000  # characters
AT_ONCE = 8  # uploads of one job
MAX_PIECE = 2**20  # bytes read at once
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)  # no sparse file, link or device


@dataclass(frozen=True)
class RunArtifact:
    """An artifact of a run: its tar, and the digest of each file in it."""

    id: int
    run: str
    name: str
    digest: Digest  # of the tar
    size: int  # bytes of the tar
    files: Mapping[str, str]  # path to digest
    saved: float  # seconds since 1970
    who: str  # the subject of the credential that saved it


class Artifacts(SqliteStore):
    """The artifacts of one state directory."""

    def __init__(self, directory: Path, database: Path) -> None:
        self._blobs = Blobs(directory)
        self._blobs.sweep()
        super().__init__(database, SCHEMA)
        self._events = Events(self._connection)

    def stage(self, *, limit: int = MAX_ARTIFACT) -> Staged:
        """Open a place to write a tar to, for `save`."""
        return self._blobs.stage(limit=limit)

    def save(self, run: int | str, name: str, staged: Staged, *, who: str, overwrite: bool = False) -> RunArtifact:
        """Save a staged tar.

        Raises `Refused` (409) for a name in use, (413) beyond a limit of the job ``who``, (422) for a bad tar.
        """
        run = str(run)
        _check(run, name)
        size = staged.size
        self._count(run, who, uploads=1, size=size)
        digest = staged.commit()
        files = _members(self._blobs.path(digest))
        self._count(run, who, files=len(files))
        with self._transaction():
            existing = self._find(run, name)
            if existing and not overwrite:
                raise Refused(409, f"run {run} has an artifact {name!r}, and it never changes")
            if existing:
                self._connection.execute("DELETE FROM artifacts WHERE id = ?", (existing.id,))
            self._connection.execute(
                f"INSERT INTO artifacts ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (run, name, str(digest), size, json.dumps(files), time.time(), who),
            )
            self._events.append(
                "dev.chainlab.artifact.packaged",
                source="/ci/artifacts",
                subject=f"{run}/{name}",
                data={
                    "run": run,
                    "name": name,
                    "digest": str(digest),
                    "size": size,
                    "files": len(files),
                    "who": who,
                    "replaced": str(existing.digest) if existing else None,
                },
            )
            saved = self._find(run, name)
        if saved is None:
            raise Refused(409, f"artifact {name!r} of run {run} was deleted meanwhile")
        return saved

    def exceeded(self, run: int | str, who: str) -> str:
        """Return the limit that a job's artifacts exceeded; empty when they exceeded none."""
        rows = self._rows("SELECT passed FROM artifact_work WHERE run = ? AND who = ?", (str(run), who))
        return str(rows[0][0]) if rows else ""

    def _count(self, run: str, who: str, *, uploads: int = 0, files: int = 0, size: int = 0) -> None:
        """Add to a job's upload counters. Raises `Refused` (413) beyond a limit, and every time after that."""
        with self._transaction():
            rows = self._rows(
                "SELECT uploads, files, size, passed FROM artifact_work WHERE run = ? AND who = ?", (run, who)
            )
            before = rows[0] if rows else (0, 0, 0, "")
            counts = (before[0] + uploads, before[1] + files, before[2] + size)
            limits = ((MAX_UPLOADS, "artifacts"), (MAX_JOB_FILES, "files in artifacts"), (MAX_JOB_SIZE, "bytes"))
            over = [
                f"a job leaves at most {most} {unit}"
                for count, (most, unit) in zip(counts, limits, strict=True)
                if count > most
            ]
            exceeded = before[3] or "".join(over[:1])
            self._connection.execute(
                "INSERT OR REPLACE INTO artifact_work VALUES (?, ?, ?, ?, ?, ?)", (run, who, *counts, exceeded)
            )
        if exceeded:
            raise Refused(413, exceeded, hint="pack small files into one archive, or leave fewer")

    def list(self, run: int | str) -> Sequence[RunArtifact]:
        """List a run's artifacts, oldest first."""
        rows = self._rows(f"SELECT {COLUMNS} FROM artifacts WHERE run = ? ORDER BY id", (str(run),))  # noqa: S608
        return [_artifact(row) for row in rows]

    def get(self, run: int | str, name: str) -> RunArtifact:
        """Return one artifact. Raises `Refused` (404) when the run has no such artifact."""
        run = str(run)
        _check(run, name)
        artifact = self._find(run, name)
        if artifact is None:
            raise Refused(404, f"run {run} has no artifact {name!r}")
        return artifact

    def path(self, artifact: RunArtifact) -> Path:
        """Return the file with the artifact's tar."""
        return self._blobs.path(artifact.digest)

    def files(self, run: int | str) -> dict[str, dict[str, str]]:
        """Return the digest of each file by path, for each artifact of a run by name."""
        return {artifact.name: dict(artifact.files) for artifact in self.list(run)}

    def _find(self, run: str, name: str) -> RunArtifact | None:
        rows = self._rows(f"SELECT {COLUMNS} FROM artifacts WHERE run = ? AND name = ?", (run, name))  # noqa: S608
        return _artifact(rows[0]) if rows else None


def artifact_routes(artifacts: Artifacts, credentials: Credentials) -> list[BaseRoute]:
    """Return the HTTP routes of the artifacts."""
    uploads = ConcurrencyLimit(AT_ONCE)

    async def names(request: Request) -> Response:
        run = request.path_params["run"]
        _check(run)
        require(request, credentials, f"artifacts:read:{run}")
        return PlainTextResponse("".join(f"{artifact.name}\n" for artifact in artifacts.list(run)))

    async def get(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        _check(run, name)
        require(request, credentials, f"artifacts:read:{run}")
        artifact = await run_sync(artifacts.get, run, name)
        return StoredFile(artifacts.path(artifact), media_type="application/x-tar")

    async def put(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        _check(run, name)
        credential = require(request, credentials, f"artifacts:write:{run}")
        overwrite = request.query_params.get("overwrite") == "true"
        if exceeded := artifacts.exceeded(run, credential.subject):
            raise Refused(413, exceeded)
        with uploads.take(credential.subject), artifacts.stage() as staged:
            await receive(request, staged, limit=MAX_ARTIFACT)

            def save() -> RunArtifact:
                return artifacts.save(run, name, staged, who=credential.subject, overwrite=overwrite)

            saved = await run_sync(save)
        digest = saved.digest.value.hex()
        return PlainTextResponse(f"artifact-id={saved.id}\nartifact-digest={digest}\n", 201)

    return [
        Route("/ci/artifacts/{run}", names, methods=["GET"]),
        Route("/ci/artifacts/{run}/{name}", get, methods=["GET"]),
        Route("/ci/artifacts/{run}/{name}", put, methods=["PUT"]),
    ]


def _check(run: str, name: str = "artifact") -> None:
    """Raise `MalformedInput` for an invalid run id or artifact name."""
    if not RUN.fullmatch(run):
        raise MalformedInput(f"not a run id: {run[:80]!r} (expected letters, digits, '.', '_' and '-')")
    if len(name.encode(errors="replace")) > MAX_NAME:
        raise MalformedInput(f"an artifact's name has at most {MAX_NAME} bytes, and {name[:40]!r}… has more")
    if not NAME.fullmatch(name) or name.strip(". ") == "":
        raise MalformedInput(
            f"not an artifact name: {name[:80]!r}",
            hint='leave out line breaks and the characters " < > | * ? : \\ /',
        )


def _members(path: Path) -> dict[str, str]:
    """Return the digest of each file of a tar by path. Raises `Refused` (422) unless all are plain files below it."""
    digests: dict[str, str] = {}
    try:
        with _BoundedReads(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                name = PurePosixPath(member.name)
                inside = not name.is_absolute() and ".." not in name.parts
                valid = inside and "\\" not in member.name and member.name.isprintable()
                valid = valid and len(member.name) <= MAX_PATH and bool(name.name or member.isdir())
                if not valid or member.type not in PLAIN or member.issparse():
                    raise Refused(422, f"an artifact holds plain files, not {member.name[:80]!r}")
                if member.isfile() and (data := tar.extractfile(member)) is not None:
                    digests[name.as_posix()] = f"sha256:{_sha256(data)}"
                if count > MAX_FILES:
                    raise Refused(413, f"an artifact has at most {MAX_FILES} files")
            if tar.offset > path.stat().st_size:
                raise Refused(422, "the tar ends early")
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        raise Refused(422, "the body is not a tar", why=str(error)) from error
    return digests


class _BoundedReads(io.FileIO):
    """A file that refuses large reads, which the header of a hostile tar can demand."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_PIECE:
            raise tarfile.ReadError("a tar header is too large")
        return super().read(size)


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def _artifact(row: tuple[int, str, str, str, int, str, float, str]) -> RunArtifact:
    id, run, name, digest, size, files, saved, who = row
    return RunArtifact(id, run, name, Digest.parse(digest), size, json.loads(files), saved, who)
