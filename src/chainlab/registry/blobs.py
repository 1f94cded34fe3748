"""Bytes that are found by their digest: wheels, layers, manifests, attestations.

    DIRECTORY/sha256/ab/abcd…        the bytes, named by their SHA-256; never changed
    DIRECTORY/staging/…              what is still being received

A blob appears under its name only when all of it is on the disk, so that ``kill -9`` leaves at most a file in
staging, which `Blobs.sweep` removes.

    >>> with blobs.stage() as staged:
    ...     staged.write(b"model")
    ...     digest = staged.commit(expected=None)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from chainlab.digests import Digest
from chainlab.errors import Refused, VerificationFailed
from chainlab.storage import sync_directory

__all__ = ["GRACE", "MAX_SIZE", "Blobs", "Staged"]

MAX_SIZE = 2 * 2**30  # bytes of one blob
GRACE = 3600.0  # seconds in which nothing is swept: time enough to refer to what was just stored


class Staged:
    """Bytes on their way in. Leaving the ``with`` block without `commit` throws them away."""

    def __init__(self, blobs: Blobs, path: Path, limit: int) -> None:
        self._blobs = blobs
        self._limit = limit
        self._hash = hashlib.sha256()
        self.path = path
        self.size = 0  # bytes written so far
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes. Raises `Refused` (413) beyond the limit."""
        if self.size + len(data) > self._limit:
            raise Refused(413, f"the body is larger than {self._limit} bytes")
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> Digest:
        """Of what was written so far."""
        return Digest("sha256", self._hash.digest())

    def flush(self) -> None:
        """Let whoever reads ``path`` see what was written so far."""
        self._file.flush()

    def commit(self, expected: Digest | None = None) -> Digest:
        """Store what was written, durably; returns its digest.

        Raises `Refused` (400) when it is not the expected one; then nothing is stored.
        """
        digest = self.digest
        if expected is not None and digest != expected:
            raise Refused(400, f"the bytes have digest {digest}, not {expected}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._blobs._admit(self.path, digest)
        return digest

    def __enter__(self) -> Staged:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """The blobs of one directory; safe beside other threads and processes that add to it."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._staging = directory / "staging"
        self._staging.mkdir(parents=True, exist_ok=True)

    def stage(self, *, limit: int = MAX_SIZE) -> Staged:
        """A place to write bytes to; use it in a ``with`` block. ``limit`` in bytes."""
        return Staged(self, self._staging / secrets.token_hex(16), limit)

    def put(self, data: bytes) -> Digest:
        """Store bytes that are in memory already."""
        with self.stage() as staged:
            staged.write(data)
            return staged.commit()

    def adopt(self, path: Path, expected: Digest) -> None:
        """Take over a file of the same file system, whose bytes are on the disk, by renaming it.

        Raises `Refused` (400) when its digest is another one; then the file stays where it is.
        """
        digest = Digest.of_file(path)
        if digest != expected:
            raise Refused(400, f"the bytes have digest {digest}, not {expected}")
        self._admit(path, digest)

    def path(self, digest: Digest) -> Path:
        """Where the bytes are, or would be."""
        name = digest.value.hex()
        return self._root / digest.algorithm / name[:2] / name

    def read(self, digest: Digest) -> bytes:
        """All of the bytes. Raises `Refused` (404) when they are not here."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise Refused(404, f"there are no bytes with digest {digest}") from error

    def verified(self, digest: Digest) -> bytes:
        """All of the bytes, hashed again. Raises `Refused` (404) for none, `VerificationFailed` for others."""
        data = self.read(digest)
        if (found := Digest.of(data)) != digest:
            raise VerificationFailed(
                f"the bytes of {digest} are others",
                why=f"they have the digest {found}",
                hint="somebody wrote into the store: keep it, and look who could",
            )
        return data

    def __contains__(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def __iter__(self) -> Iterator[Digest]:
        for path in sorted(self._root.glob("sha256/??/*")):
            with contextlib.suppress(ValueError):
                yield Digest("sha256", bytes.fromhex(path.name))

    def discard(self, digest: Digest, *, grace: float = GRACE) -> int:
        """Forget bytes that nothing refers to; returns how many they were.

        What was stored (again) within ``grace`` seconds stays: 0.
        """
        target, aside = self.path(digest), self._staging / secrets.token_hex(16)
        try:
            target.rename(aside)  # so that nobody stores them anew between look and removal
        except FileNotFoundError:
            return 0
        status = aside.stat()
        if time.time() - status.st_mtime < grace:
            aside.replace(target)
            return 0
        aside.unlink()
        return status.st_size

    def sweep(self, *, grace: float = GRACE) -> int:
        """Remove what was abandoned in staging longer than ``grace`` seconds ago; how many."""
        removed = 0
        for path in self._staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > grace:
                    path.unlink()
                    removed += 1
        return removed

    def _admit(self, path: Path, digest: Digest) -> None:
        """Give a whole file on the disk its name."""
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            for directory in (target.parent.parent.parent, target.parent.parent):
                sync_directory(directory)
        path.chmod(0o444)
        os.utime(path)
        path.replace(target)  # also over the same bytes: they are new again, see `discard`
        sync_directory(target.parent)
