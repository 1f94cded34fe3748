"""Bytes by digest: wheels, layers, manifests, attestations.

    DIRECTORY/sha256/ab/abcd…        the bytes, named by their SHA-256; never changed
    DIRECTORY/staging/…              bytes that are still arriving

A blob appears under its name only when all of it is on the disk. So ``kill -9`` leaves at most a file in staging, which
`Blobs.sweep` removes.

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
GRACE = 3600.0  # seconds in which a stored blob is not swept, so that its sender can refer to it


class Staged:
    """Bytes that are arriving. Leaving the ``with`` block without `commit` discards them."""

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
        """The digest of the bytes written so far."""
        return Digest("sha256", self._hash.digest())

    def flush(self) -> None:
        """Flush, so that a reader of ``path`` sees all bytes written so far."""
        self._file.flush()

    def commit(self, expected: Digest | None = None) -> Digest:
        """Store the bytes durably; return their digest.

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
    """The blobs of one directory; other threads and processes may add to it at the same time."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._staging = directory / "staging"
        self._staging.mkdir(parents=True, exist_ok=True)

    def stage(self, *, limit: int = MAX_SIZE) -> Staged:
        """Open a place to write at most ``limit`` bytes to; use it in a ``with`` block."""
        return Staged(self, self._staging / secrets.token_hex(16), limit)

    def put(self, data: bytes) -> Digest:
        """Store bytes that are already in memory."""
        with self.stage() as staged:
            staged.write(data)
            return staged.commit()

    def adopt(self, path: Path, expected: Digest) -> None:
        """Store a file of the same file system, whose bytes are on the disk, by renaming it.

        Raises `Refused` (400) for another digest; then the file stays where it is.
        """
        digest = Digest.of_file(path)
        if digest != expected:
            raise Refused(400, f"the bytes have digest {digest}, not {expected}")
        self._admit(path, digest)

    def path(self, digest: Digest) -> Path:
        """Return where the bytes are, or would be."""
        name = digest.value.hex()
        return self._root / digest.algorithm / name[:2] / name

    def read(self, digest: Digest) -> bytes:
        """Read the bytes. Raises `Refused` (404) when they are not here."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise Refused(404, f"no blob has the digest {digest}") from error

    def verified(self, digest: Digest) -> bytes:
        """Read the bytes and hash them again. Raises `Refused` (404) for none, `VerificationFailed` for other bytes."""
        data = self.read(digest)
        if (actual := Digest.of(data)) != digest:
            raise VerificationFailed(
                f"the bytes of {digest} were changed",
                why=f"they have the digest {actual}",
                hint="somebody wrote into the store: keep it as evidence, and find out who could",
            )
        return data

    def __contains__(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def __iter__(self) -> Iterator[Digest]:
        for path in sorted(self._root.glob("sha256/??/*")):
            with contextlib.suppress(ValueError):
                yield Digest("sha256", bytes.fromhex(path.name))

    def discard(self, digest: Digest, *, grace: float = GRACE) -> int:
        """Remove a blob that nothing refers to; return how many bytes it had.

        A blob that was stored (again) within ``grace`` seconds stays: 0.
        """
        target, aside = self.path(digest), self._staging / secrets.token_hex(16)
        try:
            target.rename(aside)  # so that nobody can store them again between check and removal
        except FileNotFoundError:
            return 0
        status = aside.stat()
        if time.time() - status.st_mtime < grace:
            aside.replace(target)
            return 0
        aside.unlink()
        return status.st_size

    def sweep(self, *, grace: float = GRACE) -> int:
        """Remove files left in staging for more than ``grace`` seconds; return how many."""
        removed = 0
        for path in self._staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > grace:
                    path.unlink()
                    removed += 1
        return removed

    def _admit(self, path: Path, digest: Digest) -> None:
        """Rename a complete file to its digest."""
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            for directory in (target.parent.parent.parent, target.parent.parent):
                sync_directory(directory)
        path.chmod(0o444)
        os.utime(path)
        path.replace(target)  # also over the same bytes, whose age starts again: see `discard`
        sync_directory(target.parent)
