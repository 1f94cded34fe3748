"""Wheels and source archives: their names, and whether their contents agree with the names.

    >>> FileName.parse("triage_model-1.2.0-py3-none-any.whl")
    FileName(text='triage_model-1.2.0-py3-none-any.whl', project='triage-model', version='1.2.0', kind='bdist_wheel')

`inspect` reads an uploaded file as an installer would, and refuses with one sentence any file that two installers could
read differently.

Specifications: PEP 427 and the "binary distribution format" (wheels), PEP 625 and 517 (source archives),
PEP 440 (versions), PEP 503 (names), PEP 376 and 627 (RECORD).
"""

from __future__ import annotations

import base64
import hashlib
import mmap
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from packaging.metadata import ExceptionGroup, InvalidMetadata, Metadata, parse_email
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from chainlab.errors import Refused
from chainlab.evidence.packages.metadata import parse_record
from chainlab.evidence.packages.strict_zip import (
    FREE_SIZE,
    MAX_MEMBERS,
    MAX_RATIO,
    MAX_UNPACKED,
    Member,
    check_names,
    members,
)
from chainlab.evidence.packages.versions import is_same_version

__all__ = ["Distribution", "FileName", "inspect", "wheel_metadata"]

MAX_NAME = 220  # characters of a file name; with its path it must fit a file system
MAX_METADATA = 2**20  # bytes of METADATA or PKG-INFO
MAX_RECORD = 8 * 2**20  # bytes
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
SIGNATURES = ("RECORD.jws", "RECORD.p7s")  # may stand beside RECORD without being listed
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
STRONG = {"sha256", "sha384", "sha512"}


@dataclass(frozen=True)
class FileName:
    """The parts of a distribution file's name."""

    text: str
    project: str  # normalised (PEP 503)
    version: str  # normalised (PEP 440)
    kind: str  # 'bdist_wheel' or 'sdist'

    @classmethod
    def parse(cls, text: str) -> FileName:
        """Read a normalised file name; the inverse of `str`.

        Raises `Refused` (400) for any other form, also for one that normalises to a valid name.
        """
        if len(text) > MAX_NAME or not FILE_NAME.fullmatch(text):
            raise Refused(400, f"not a distribution file's name: {text[:120]!r}")
        try:
            if text.endswith(".whl"):
                kind = "bdist_wheel"
                project, version = parse_wheel_filename(text)[:2]
            elif text.endswith(".tar.gz"):
                kind = "sdist"
                project, version = parse_sdist_filename(text)
            else:
                raise Refused(400, f"{text!r} is neither a wheel (.whl) nor a source archive (.tar.gz)")
        except (InvalidWheelFilename, InvalidSdistFilename, ValueError) as error:
            raise Refused(400, f"the file name {text!r} is not valid: {error}") from error
        expected = f"{project.replace('-', '_')}-{version!s}"
        if not text.startswith(f"{expected}-" if kind == "bdist_wheel" else f"{expected}.tar.gz"):
            raise Refused(
                400,
                f"the file name {text!r} is not normalised: it must begin with {expected!r}",
                why="two spellings of one name would be two files",
                see="https://packaging.python.org/specifications/binary-distribution-format/",
            )
        return cls(text, project, str(version), kind)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Distribution:
    """A consistent file, and its metadata."""

    name: FileName
    display_name: str  # as METADATA spells it
    metadata: bytes  # METADATA or PKG-INFO, whole
    requires_python: str | None


def inspect(path: Path, name: FileName) -> Distribution:
    """Check a file's contents against its name. Raises `Refused` (400) with the first disagreement."""
    if not path.stat().st_size:
        raise Refused(400, "the file is empty")
    try:
        if name.kind == "sdist":
            return _describe(name, _read_source(path, name))
        with _mapped(path) as data:
            return _describe(name, _read_wheel(data, name))
    except UNREADABLE as error:  # from the standard library's readers, on unforeseen bytes
        raise Refused(400, f"{name} cannot be read: {error}") from error


def wheel_metadata(path: Path) -> bytes:
    """Read METADATA from a wheel that is already trusted. Raises `Refused` (400) when there is not exactly one."""
    with _mapped(path) as data:
        matches = [m for m in members(data) if re.fullmatch(r"[^/]+\.dist-info/METADATA", m.name)]
        if len(matches) != 1:
            raise Refused(400, f"{path.name} has {len(matches)} METADATA files")
        return matches[0].read(data, limit=MAX_METADATA)


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """Map a file's bytes without reading them into memory."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        view = memoryview(mapped)
        try:
            yield view
        finally:
            # A propagating exception may still hold a slice; both are then freed with it.
            with suppress(BufferError):
                view.release()
                mapped.close()


def _describe(name: FileName, metadata: bytes) -> Distribution:
    try:
        parsed = Metadata.from_email(metadata)
    except (ExceptionGroup, InvalidMetadata, ValueError) as error:
        reasons = getattr(error, "exceptions", [error])
        raise Refused(400, "the metadata is not valid: " + "; ".join(str(reason) for reason in reasons)) from error
    if canonicalize_name(parsed.name) != name.project:
        raise Refused(400, f"the file name says {name.project!r}, its metadata {parsed.name!r}")
    if not is_same_version(str(parsed.version), name.version):
        raise Refused(400, f"the file name says version {name.version}, its metadata {parsed.version}")
    requires = parse_email(metadata)[0].get("requires_python")  # in its author's own words
    return Distribution(name, parsed.name, metadata, requires or None)


def _read_wheel(data: memoryview, name: FileName) -> bytes:
    """Read METADATA from a wheel after accounting for its every byte."""
    by_name = {member.name: member for member in members(data)}
    folders = sorted({text.split("/")[0] for text in by_name if text.split("/")[0].endswith(".dist-info")})
    if len(folders) != 1:
        raise Refused(
            400,
            f"expected exactly one .dist-info folder in the wheel, got {len(folders)}: {folders[:5]}",
        )
    folder = folders[0]
    owner, _, version = folder.removesuffix(".dist-info").partition("-")
    if canonicalize_name(owner) != name.project or not is_same_version(version, name.version):
        raise Refused(
            400,
            f"the folder {folder[:120]!r} does not belong to {name.project} {name.version}, which the file name says",
        )
    for needed in ("METADATA", "WHEEL", "RECORD"):
        if f"{folder}/{needed}" not in by_name:
            raise Refused(400, f"the wheel has no {folder}/{needed}")
    wheel = by_name[f"{folder}/WHEEL"].read(data, limit=MAX_METADATA)
    if not re.search(rb"^Wheel-Version: 1\.\d+\s*$", wheel, re.MULTILINE):
        raise Refused(400, "the wheel's WHEEL file does not say Wheel-Version: 1.x")
    _check_record(data, by_name, folder)
    return by_name[f"{folder}/METADATA"].read(data, limit=MAX_METADATA)


def _check_record(data: memoryview, by_name: dict[str, Member], folder: str) -> None:
    """Check that RECORD lists exactly the files of the wheel, with sizes and digests (PEP 376, PEP 627)."""
    own = f"{folder}/RECORD"
    try:
        listed, wrong = parse_record(by_name[own].read(data, limit=MAX_RECORD).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(400, f"the wheel's RECORD cannot be read: {error}") from error
    if wrong:
        raise Refused(400, f"the wheel's RECORD cannot be read: {wrong[0]}")
    unsigned = {own, *(f"{folder}/{text}" for text in SIGNATURES)}
    files = {text for text, member in by_name.items() if not member.is_folder}
    if stray := sorted(files - listed.keys() - unsigned):
        raise Refused(400, f"the wheel's RECORD does not list {stray[0]!r}")
    if ghosts := sorted(listed.keys() - files):
        raise Refused(400, f"the wheel's RECORD lists {ghosts[0][:120]!r}, which is not in the wheel")
    for text in sorted(files):  # every member is unpacked once, so its CRC is checked too
        algorithm, _, value = listed.get(text, ("", ""))[0].partition("=")
        if text not in unsigned and algorithm not in STRONG:
            raise Refused(400, f"the wheel's RECORD gives no SHA-256 (or longer) digest of {text!r}")
        hash = hashlib.new(algorithm if algorithm in STRONG else "sha256")
        for block in by_name[text].blocks(data):
            hash.update(block)
        if text in unsigned:
            continue
        if value != base64.urlsafe_b64encode(hash.digest()).rstrip(b"=").decode():
            raise Refused(400, f"the digest of {text!r} is not the one in the wheel's RECORD")
        if listed[text][1] not in ("", str(by_name[text].size)):
            raise Refused(400, f"the size of {text!r} is not the one in the wheel's RECORD")


def _read_source(path: Path, name: FileName) -> bytes:
    """Read PKG-INFO from a source archive with one top folder."""
    top = name.text.removesuffix(".tar.gz")
    with tempfile.TemporaryFile() as unpacked:
        size = _gunzip(path, unpacked)
        try:
            with tarfile.open(fileobj=unpacked, mode="r:", errorlevel=2) as archive:
                entries: list[tarfile.TarInfo] = []
                for entry in archive:
                    if len(entries) == MAX_MEMBERS:
                        raise Refused(400, f"the source archive has more than {MAX_MEMBERS} members")
                    entries.append(entry)
                _check_source(entries, top)
                info = next((e for e in entries if e.name == f"{top}/PKG-INFO" and e.isreg()), None)
                if info is None or info.size > MAX_METADATA:
                    raise Refused(400, f"the source archive has no readable {top}/PKG-INFO")
                file = archive.extractfile(info)
                metadata = file.read() if file else b""
                unpacked.seek(archive.offset)
        except (tarfile.TarError, ValueError, OverflowError, OSError, EOFError) as error:
            raise Refused(400, f"the source archive cannot be read: {error}") from error
        if size > MAX_UNPACKED or any(unpacked.read().strip(b"\0")):
            raise Refused(400, "bytes follow the end of the source archive")
    return metadata


def _check_source(entries: list[tarfile.TarInfo], top: str) -> None:
    for entry in entries:
        if not (entry.isreg() or entry.isdir()):
            raise Refused(400, f"{entry.name[:120]!r} in the source archive is a link or a device")
        if entry.name != top and not entry.name.startswith(f"{top}/"):
            raise Refused(400, f"{entry.name[:120]!r} is outside the source archive's only folder, {top}/")
    check_names(entry.name + ("/" if entry.isdir() else "") for entry in entries)


def _gunzip(path: Path, target: IO[bytes]) -> int:
    """Unpack the one gzip stream that fills the file; return the number of bytes written."""
    limit = min(MAX_UNPACKED, max(FREE_SIZE, MAX_RATIO * path.stat().st_size))
    machine, size = zlib.decompressobj(16 + zlib.MAX_WBITS), 0
    try:
        with path.open("rb") as file:
            while block := file.read(2**16):
                while block and not machine.eof:
                    data = machine.decompress(block, 2**20)
                    size += target.write(data)
                    if size > limit:
                        raise Refused(400, f"the source archive unpacks to more than {limit} bytes")
                    block = machine.unconsumed_tail
                if machine.eof and (machine.unused_data or file.read(1)):
                    raise Refused(400, "bytes follow the end of the source archive")
    except zlib.error as error:
        raise Refused(400, f"not a gzip file: {error}") from error
    if not machine.eof:
        raise Refused(400, "the source archive is cut off")
    target.seek(0)
    return size
