"""The archive's files: objects named by their digest, and one entry for each build that was added.

    DIR/objects/sha256/ab/abcd…    a document's bytes, named by their SHA-256; never changed
    DIR/entries/HEX.json           a build and the digests of its documents; HEX is the SHA-256 of this file

A file named by its digest shows any change, and any number of processes can write at once without a lock. Objects
are on the disk before the entry that names them, so ``kill -9`` leaves at most objects that no entry names.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

from chainlab.archive.entries import ArchiveEntry, Build, Document
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.storage import contains, sync_directory, write_whole

__all__ = ["ArchiveFiles"]

KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
HEX: Final = re.compile(r"[0-9a-f]{64}")
SETTLED: Final = 2 * 10**9  # nanoseconds; FAT, the coarsest file system, counts two seconds
EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same archive, the same bytes
Documents = Mapping[str, bytes | Sequence[bytes]]  # by kind: sbom, mlbom, provenance, vex, summary, signature, …


class ArchiveFiles:
    """The files of one archive."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._objects = f"{directory / 'objects' / 'sha256'}/"

    def path(self, digest: str) -> Path:
        """Return where an object is, or would be."""
        digits = digest.removeprefix("sha256:")
        return self.directory / "objects" / "sha256" / digits[:2] / digits

    def get(self, digest: str) -> bytes:
        """Return an object's bytes. Raises `VerificationFailed` when they are missing or have another digest."""
        return _whole(self.path(digest), f"the object {digest}")

    def names(self) -> set[str]:
        """Return the names of all entries."""
        with suppress(FileNotFoundError):
            files = os.listdir(self.directory / "entries")  # noqa: PTH208 — 2,000 in each answer
            return {name[:-5] for name in files if name.endswith(".json") and HEX.fullmatch(name[:-5])}
        return set()

    def stamp(self, digest: str) -> int:
        """Return a number that differs when an object's file may have changed; 0 when it is too new to tell."""
        # Writing to a file, or moving one over it, changes its ctime; Windows keeps none. Two changes in one moment
        # have one time, so a file is trusted only when it has been left alone for a while.
        try:
            status = os.stat(f"{self._objects}{digest[7:9]}/{digest[7:]}")  # noqa: PTH116 — 2,000 in each answer
        except OSError:
            return 0
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        return changed if changed < time.time_ns() - SETTLED else 0

    def entry(self, name: str) -> ArchiveEntry:
        """Read an entry. Raises `VerificationFailed` when it is missing, or its name is not its digest."""
        return ArchiveEntry.load(_whole(self.directory / "entries" / f"{name}.json", "the entry"))

    def add(self, build: Build, documents: Documents, verdicts: Mapping[str, str]) -> None:
        """Store a build and its documents: the objects first, the entry last."""
        if unknown := set(verdicts) - set(documents):
            raise MalformedInput(f"a verdict without its document: {', '.join(sorted(unknown))}")
        stored = []
        for kind, contents in documents.items():
            if not KIND.fullmatch(kind):
                raise MalformedInput(
                    f"not a kind of document: {kind!r}", hint="lower-case letters: sbom, vex, provenance"
                )
            for data in [contents] if isinstance(contents, bytes) else contents:
                digest = str(Digest.of(data))
                self._write(self.path(digest), data)
                stored.append(Document(kind, digest, len(data), verdicts.get(kind, "")))
        data = ArchiveEntry(build, tuple(stored)).dump()
        self._write(self.directory / "entries" / f"{hashlib.sha256(data).hexdigest()}.json", data)

    def _write(self, path: Path, data: bytes) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in path.relative_to(self.directory).parents[1:]:
                sync_directory(self.directory / folder)
        if not contains(path, data):
            write_whole(path, data, durable=True, mode=0o444)

    def export(self, target: Path, builds: Collection[str] | None) -> int:
        """Copy all entries, or those of some builds, with their objects to a new folder or ``.zip``; count the entries.

        Raises `VerificationFailed` when a file was changed, `MalformedInput` for an id that no build has; then nothing
        is written.
        """
        if os.path.lexists(target):  # also a link to nothing
            raise MalformedInput(f"{target} exists", hint="name a file or folder that does not exist")
        entries = {name: self.entry(name) for name in self.names()}
        ids = {entry.build.id for entry in entries.values()}
        if unknown := set(builds or ()) - ids:
            raise MalformedInput(
                f"no build here has the id {', '.join(sorted(unknown))}", hint="chainlab archive query"
            )
        entries = {name: entry for name, entry in entries.items() if builds is None or entry.build.id in builds}
        paths = {self.directory / "entries" / f"{name}.json" for name in entries}
        paths |= {self.path(document.digest) for entry in entries.values() for document in entry.documents}
        files_by_name = {path.relative_to(self.directory).as_posix(): path for path in sorted(paths)}
        sums = "".join(f"{path.stem}  {name}\n" for name, path in files_by_name.items()).encode()
        files = chain([("SHA256SUMS", sums)], ((name, _whole(path, name)) for name, path in files_by_name.items()))
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        try:
            if target.suffix == ".zip":
                with zipfile.ZipFile(staged / "copy", "w") as zipped:
                    for name, data in files:
                        zipped.writestr(zipfile.ZipInfo(name, EARLIEST), data, zipfile.ZIP_DEFLATED)
            else:
                for name, data in files:
                    write_whole(staged / "copy" / name, data)
            (staged / "copy").rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return len(entries)


def _whole(path: Path, name: str) -> bytes:
    # Raises VerificationFailed when the file is missing, or its name is not its digest.
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VerificationFailed(f"{name} is missing", hint="chainlab archive verify") from error
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise VerificationFailed(f"{name} was changed: its bytes have another digest", hint="chainlab archive verify")
    return data
