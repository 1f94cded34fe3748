"""The archive's files: objects found by their digest, and one entry for each build that was added.

    DIR/objects/sha256/ab/abcd…    a document's bytes, named by their SHA-256; never changed
    DIR/entries/HEX.json           a build and the digests of its documents; HEX is the SHA-256 of this file

A name that is a digest makes a change visible, and lets any number of processes write at once without a lock: the
same bytes have the same name. Objects are on the disk before the entry that names them. So ``kill -9`` leaves an
archive that reads as before, and at most objects that no entry names.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chainlab.archive.entries import Build, Document, Entry
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.storage import sync_directory, write_whole

__all__ = ["Files", "Problem"]

KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
HEX: Final = re.compile(r"[0-9a-f]{64}")
EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same archive, the same bytes


@dataclass(frozen=True)
class Problem:
    """Something in the archive that is not as it was put there."""

    kind: str  # object missing | object changed | entry changed | entry missing | document unreadable | table changed
    where: str  # the file, below the archive's folder
    said: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.said}" + (f" ({self.mend})" if self.mend else "")


class Files:
    """The files of one archive, made when they do not exist."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entries = directory / "entries"
        with contextlib.suppress(OSError):  # one that can only be read, or is on a full disk
            self.entries.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes, *, durable: bool = True) -> Digest:
        """Store an object."""
        digest = Digest.of(data)
        path = self.path(str(digest))
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            if durable:
                for directory in (path.parent.parent, path.parent.parent.parent, self.directory):
                    sync_directory(directory)
        write_whole(path, data, durable=durable, mode=0o444)
        return digest

    def path(self, digest: str) -> Path:
        """Where an object is, or would be."""
        digits = digest.removeprefix("sha256:")
        return self.directory / "objects" / "sha256" / digits[:2] / digits

    def get(self, digest: str) -> bytes:
        """An object's bytes. Raises `VerificationFailed` when they are missing or have another digest."""
        if not HEX.fullmatch(digest.removeprefix("sha256:")):
            raise MalformedInput(f"not a digest: {digest!r}", mend="write 'sha256:' and 64 hex digits")
        try:
            data = self.path(digest).read_bytes()
        except OSError as error:
            raise VerificationFailed(f"the object {digest} is missing") from error
        if Digest.of(data).value.hex() != digest.removeprefix("sha256:"):
            raise VerificationFailed(f"the object {digest} was changed: its bytes have another digest")
        return data

    def add(
        self,
        build: Build,
        documents: Mapping[str, bytes | Sequence[bytes]],
        verdicts: Mapping[str, str],
        *,
        durable: bool = True,
    ) -> str:
        """Store a build and its documents; its entry's name. The objects first, the entry last."""
        if unknown := set(verdicts) - set(documents):
            raise MalformedInput(f"a verdict for no document: {', '.join(sorted(unknown))}")
        stored = []
        for kind, given in documents.items():
            if not KIND.fullmatch(kind):
                raise MalformedInput(
                    f"{kind!r} is no kind of document",
                    mend="lower-case letters: sbom, vex, provenance",
                )
            for data in [given] if isinstance(given, bytes) else given:
                digest = self.put(data, durable=durable)
                stored.append(Document(kind, str(digest), len(data), verdicts.get(kind, "")))
        data = Entry(build, tuple(stored)).dump()
        name = hashlib.sha256(data).hexdigest()
        self.entries.mkdir(parents=True, exist_ok=True)
        write_whole(self.entries / f"{name}.json", data, durable=durable, mode=0o444)
        return name

    def names(self) -> set[str]:
        """Names of all entries."""
        try:
            with os.scandir(self.entries) as found:
                return {e.name[:-5] for e in found if len(e.name) == 69 and e.name.endswith(".json")}
        except FileNotFoundError:
            return set()

    def entry(self, name: str) -> Entry:
        """An entry. Raises `VerificationFailed` when it is missing, or its name is not its digest."""
        try:
            data = (self.entries / f"{name}.json").read_bytes()
        except OSError as error:
            raise VerificationFailed("the entry is missing") from error
        if hashlib.sha256(data).hexdigest() != name:
            raise VerificationFailed("the entry was changed: its name is not its digest")
        return Entry.load(data)

    def problems(self, tell: Callable[[int, int], None] | None = None) -> list[Problem]:
        """Entries and objects that are missing or changed; ``tell`` hears how many entries of how many are done."""
        found, checked = [], set()
        names = sorted(self.names())
        for done, name in enumerate(names):
            if tell and done % 200 == 0:
                tell(done, len(names))
            try:
                entry = self.entry(name)
            except (VerificationFailed, MalformedInput) as error:
                found.append(Problem("entry changed", f"entries/{name}.json", error.message,
                    "add the build again, then delete this file"))  # fmt: skip
                continue
            for document in entry.documents:
                if document.digest in checked:
                    continue
                checked.add(document.digest)
                try:
                    self.get(document.digest)
                except (VerificationFailed, MalformedInput) as error:
                    path = self.path(document.digest)
                    found.append(Problem(
                        "object changed" if path.exists() else "object missing",
                        path.relative_to(self.directory).as_posix(),
                        f"{error.message}; {document.kind} of {entry.build.artifact} {entry.build.version}",
                        "add the document again",
                    ))  # fmt: skip
        return found

    def export(self, target: Path, builds: Collection[str] | None) -> int:
        """Copy entries, all or those of some builds (their ids), and what they name to a new folder or a new ``.zip``.

        Returns how many entries.

        ``SHA256SUMS`` in it has the digest of every file: ``sha256sum -c SHA256SUMS`` checks them.
        Raises `VerificationFailed` when a file is not what its name says; then nothing is written.
        """
        if target.exists():
            raise MalformedInput(f"{target} exists", mend="name a file or folder that does not exist")
        target.parent.mkdir(parents=True, exist_ok=True)
        wanted = {}  # name in the export to digest
        count = 0
        for name in sorted(self.names()):
            entry = self.entry(name)
            if builds is None or entry.build.id in builds:
                count += 1
                wanted[f"entries/{name}.json"] = name
                for document in entry.documents:
                    path = self.path(document.digest).relative_to(self.directory).as_posix()
                    wanted[path] = document.digest.removeprefix("sha256:")
        sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(wanted.items())).encode()
        zipped = target.suffix == ".zip"
        staged = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        try:
            if zipped:
                with zipfile.ZipFile(staged / "zip", "w", zipfile.ZIP_DEFLATED) as file:
                    for name, data in self._contents(wanted, sums):
                        file.writestr(zipfile.ZipInfo(name, EARLIEST), data, zipfile.ZIP_DEFLATED)
                (staged / "zip").replace(target)
            else:
                folder = staged / "archive"
                for name, data in self._contents(wanted, sums):
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(data)
                folder.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return count

    def _contents(self, wanted: Mapping[str, str], sums: bytes) -> Iterable[tuple[str, bytes]]:
        yield "SHA256SUMS", sums
        for name, digest in sorted(wanted.items()):
            try:
                data = (self.directory / name).read_bytes()
            except FileNotFoundError as error:
                raise VerificationFailed(f"{name} is missing", mend="chainlab archive verify") from error
            if hashlib.sha256(data).hexdigest() != digest:
                raise VerificationFailed(f"{name} was changed", mend="chainlab archive verify")
            yield name, data
