"""Artifacts: files that a job of a run leaves for later jobs, and for people.

An artifact belongs to a run, has a name and never changes. It travels as a tar of plain files; one with
links, devices or paths that lead out of it is refused, so whoever unpacks it need not look.

    GET  /ci/artifacts/RUN              the names, one a line
    GET  /ci/artifacts/RUN/NAME         the tar
    PUT  /ci/artifacts/RUN/NAME         201; 409 if there is one, unless ?overwrite=true

Reading needs ``artifacts:read:RUN``, writing ``artifacts:write:RUN``. All that one job uploads has limits together,
also what it replaces: the host hashes, names and signs each file after the job has ended. A job that passes a limit
fails (`Artifacts.passed`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.ci.services.access import ConcurrencyLimit, answering, receive, require
from chainlab.credentials import Credentials
from chainlab.database import connect, transaction
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
CREATE TABLE IF NOT EXISTS artifact_work (  -- what a job has uploaded, replaced and refused artifacts too
    run     TEXT NOT NULL,
    who     TEXT NOT NULL,
    uploads INTEGER NOT NULL,
    files   INTEGER NOT NULL,
    size    INTEGER NOT NULL,  -- bytes
    passed  TEXT NOT NULL,     -- the limit that it passed; empty = none
    PRIMARY KEY (run, who)
) STRICT, WITHOUT ROWID;
"""
COLUMNS = "id, run, name, digest, size, files, saved, who"
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME = re.compile(r"[^\x00-\x1f\x7f\"<>|*?:\\/]{1,200}")  # the platform's rule
MAX_NAME = 255  # bytes of an artifact's name, which becomes a folder's: NAME_MAX of usual file systems
MAX_ARTIFACT = 2**30  # bytes
MAX_FILES = 10_000  # and folders
# Of one job, all its artifacts together; the first is the platform's limit.
MAX_UPLOADS = 500
MAX_JOB_FILES = 10_000
MAX_JOB_SIZE = 2 * 2**30  # bytes
MAX_PATH = 1000  # characters
AT_ONCE = 8  # uploads of one job
MAX_PIECE = 2**20  # bytes read at once
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)  # no sparse file, link or device


@dataclass(frozen=True)
class RunArtifact:
    """What is known of one artifact."""

    id: int
    run: str
    name: str
    digest: Digest  # of the tar
    size: int  # bytes of the tar
    files: Mapping[str, str]  # path to digest
    saved: float  # seconds since 1970
    who: str  # the subject of the credential that saved it


class Artifacts:
    """The artifacts of one state directory."""

    def __init__(self, directory: Path, database: Path) -> None:
        self._blobs = Blobs(directory)
        self._blobs.sweep()
        self._lock = threading.Lock()
        self._connection = connect(database)
        self._events = Events(self._connection)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._connection.close()

    def stage(self, *, limit: int = MAX_ARTIFACT) -> Staged:
        """A place to write a tar to, for `save`."""
        return self._blobs.stage(limit=limit)

    def save(self, run: int | str, name: str, staged: Staged, *, who: str, overwrite: bool = False) -> RunArtifact:
        """Keep a staged tar.

        Raises `Refused` (409) for a name that is taken, (413) beyond a limit of the job ``who``, (422) for a bad tar.
        """
        run = str(run)
        _check(run, name)
        size = staged.size
        self._count(run, who, uploads=1, size=size)
        digest = staged.commit()
        files = _members(self._blobs.path(digest))
        self._count(run, who, files=len(files))
        with self._lock, transaction(self._connection):
            taken = self._row(run, name)
            if taken and not overwrite:
                raise Refused(409, f"run {run} has an artifact {name!r}, and it never changes")
            if taken:
                self._connection.execute("DELETE FROM artifacts WHERE id = ?", (taken.id,))
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
                    "replaced": str(taken.digest) if taken else None,
                },
            )
            saved = self._row(run, name)
        if saved is None:
            raise Refused(409, f"artifact {name!r} of run {run} is gone again")
        return saved

    def passed(self, run: int | str, who: str) -> str:
        """The limit that a job passed with its artifacts; empty when it kept to all."""
        with self._lock:
            row = self._connection.execute(
                "SELECT passed FROM artifact_work WHERE run = ? AND who = ?", (str(run), who)
            ).fetchone()
        return str(row[0]) if row else ""

    def _count(self, run: str, who: str, *, uploads: int = 0, files: int = 0, size: int = 0) -> None:
        """Add to what a job has uploaded. Raises `Refused` (413) beyond a limit, and from then on."""
        with self._lock, transaction(self._connection):
            row = self._connection.execute(
                "SELECT uploads, files, size, passed FROM artifact_work WHERE run = ? AND who = ?", (run, who)
            ).fetchone()
            before = row or (0, 0, 0, "")
            now = (before[0] + uploads, before[1] + files, before[2] + size)
            limits = ((MAX_UPLOADS, "artifacts"), (MAX_JOB_FILES, "files in artifacts"), (MAX_JOB_SIZE, "bytes"))
            over = [
                f"a job leaves at most {most} {what}" for n, (most, what) in zip(now, limits, strict=True) if n > most
            ]
            passed = before[3] or "".join(over[:1])
            self._connection.execute(
                "INSERT OR REPLACE INTO artifact_work VALUES (?, ?, ?, ?, ?, ?)", (run, who, *now, passed)
            )
        if passed:
            raise Refused(413, passed, hint="pack small files into one archive, or leave fewer")

    def list(self, run: int | str) -> Sequence[RunArtifact]:
        """A run's artifacts, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM artifacts WHERE run = ? ORDER BY id",  # noqa: S608
                (str(run),),
            ).fetchall()
        return [_artifact(row) for row in rows]

    def get(self, run: int | str, name: str) -> RunArtifact:
        """One artifact. Raises `Refused` (404)."""
        run = str(run)
        _check(run, name)
        with self._lock:
            found = self._row(run, name)
        if found is None:
            raise Refused(404, f"run {run} has no artifact {name!r}")
        return found

    def path(self, artifact: RunArtifact) -> Path:
        """The tar."""
        return self._blobs.path(artifact.digest)

    def files(self, run: int | str) -> dict[str, dict[str, str]]:
        """Each artifact of a run, with the digest of each of its files by path."""
        return {found.name: dict(found.files) for found in self.list(run)}

    def _row(self, run: str, name: str) -> RunArtifact | None:
        row = self._connection.execute(
            f"SELECT {COLUMNS} FROM artifacts WHERE run = ? AND name = ?",  # noqa: S608
            (run, name),
        ).fetchone()
        return _artifact(row) if row else None


def artifact_routes(artifacts: Artifacts, credentials: Credentials) -> list[BaseRoute]:
    """The routes of the artifacts."""
    turns = ConcurrencyLimit(AT_ONCE)

    async def names(request: Request) -> Response:
        run = request.path_params["run"]
        _check(run)
        require(request, credentials, f"artifacts:read:{run}")
        return PlainTextResponse("".join(f"{found.name}\n" for found in artifacts.list(run)))

    async def get(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        _check(run, name)
        require(request, credentials, f"artifacts:read:{run}")
        found = await run_sync(artifacts.get, run, name)
        return StoredFile(artifacts.path(found), media_type="application/x-tar")

    async def put(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params["name"]
        _check(run, name)
        credential = require(request, credentials, f"artifacts:write:{run}")
        overwrite = request.query_params.get("overwrite") == "true"
        if passed := artifacts.passed(run, credential.subject):
            raise Refused(413, passed)
        with turns.take(credential.subject), artifacts.stage() as staged:
            await receive(request, staged, limit=MAX_ARTIFACT)

            def save() -> RunArtifact:
                return artifacts.save(run, name, staged, who=credential.subject, overwrite=overwrite)

            saved = await run_sync(save)
        digest = saved.digest.value.hex()
        return PlainTextResponse(f"artifact-id={saved.id}\nartifact-digest={digest}\n", 201)

    return [
        Route("/ci/artifacts/{run}", answering(names), methods=["GET"]),
        Route("/ci/artifacts/{run}/{name}", answering(get), methods=["GET"]),
        Route("/ci/artifacts/{run}/{name}", answering(put), methods=["PUT"]),
    ]


def _check(run: str, name: str = "artifact") -> None:
    """Raises `MalformedInput` for what can be no run's id or no artifact's name."""
    if not RUN.fullmatch(run):
        raise MalformedInput("that is no run's id")
    if len(name.encode(errors="replace")) > MAX_NAME:
        raise MalformedInput(f"an artifact's name has at most {MAX_NAME} bytes, not as {name[:40]!r}…")
    if not NAME.fullmatch(name) or name.strip(". ") == "":
        raise MalformedInput(
            f"{name[:80]!r} cannot be an artifact's name",
            hint='leave out line breaks and the characters " < > | * ? : \\ /',
        )


def _members(path: Path) -> dict[str, str]:
    """Path and digest of each file of a tar. Raises `Refused` (422) for anything but plain files below it."""
    found: dict[str, str] = {}
    try:
        with _Bytes(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                name = PurePosixPath(member.name)
                inside = not name.is_absolute() and ".." not in name.parts
                named = inside and "\\" not in member.name and member.name.isprintable()
                named = named and len(member.name) <= MAX_PATH and bool(name.name or member.isdir())
                if not named or member.type not in PLAIN or member.issparse():
                    raise Refused(422, f"an artifact holds plain files, not {member.name[:80]!r}")
                if member.isfile() and (data := tar.extractfile(member)) is not None:
                    found[name.as_posix()] = f"sha256:{_sha256(data)}"
                if count > MAX_FILES:
                    raise Refused(413, f"an artifact has at most {MAX_FILES} files")
            if tar.offset > path.stat().st_size:
                raise Refused(422, "the tar ends early")
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        raise Refused(422, "the body is not a tar", why=str(error)) from error
    return found


class _Bytes(io.FileIO):
    """A file that refuses to be read in large pieces, as the header of a hostile tar asks for."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_PIECE:
            raise tarfile.ReadError("a header is too large")
        return super().read(size)


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def _artifact(row: tuple[int, str, str, str, int, str, float, str]) -> RunArtifact:
    id, run, name, digest, size, files, saved, who = row
    return RunArtifact(id, run, name, Digest.parse(digest), size, json.loads(files), saved, who)
