"""Wheel files: a wheel's metadata, checked against the name of the file.

    >>> open_wheel(Path("acme_cells-1.2.0-py3-none-any.whl")).package.version  # doctest: +SKIP
    '1.2.0'

A wheel is a zip archive called ``NAME-VERSION-TAGS.whl``. Its metadata (`metadata`) name the package again, and an
attacker may let the two differ: `open_wheel` refuses that. The archive is read, never unpacked or run.

PyPA, "Binary distribution format".
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.packages import metadata
from chainlab.evidence.packages.versions import parse_version

__all__ = ["UNREADABLE", "Wheel", "open_wheel"]

MAX_METADATA = 2**20  # bytes
# What zipfile raises for an invalid archive, or for one that uses what it does not support.
UNREADABLE = (
    zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Wheel:
    """A wheel: its metadata, its files and its digest."""

    path: Path
    package: metadata.PackageMetadata
    tags: tuple[str, ...]  # the platforms that it is for, from the file's name
    names: tuple[str, ...]  # of the files in it
    digest: Digest  # of the wheel itself

    @property
    def component(self) -> Component:
        """The wheel as a component, with the hash of the file."""
        return Component(
            name=self.package.name,
            version=self.package.version,
            purl=purl_of(self.package.name, self.package.version),
            hashes={"SHA-256": self.digest.value.hex()},
            hash_origin="file",
            licence=self.package.licence,
            licence_name=self.package.licence_name,
            supplier=self.package.supplier,
            description=self.package.summary,
            found_in=self.path.name,
        )


def open_wheel(path: Path) -> Wheel:
    """Read a wheel. Raises `MalformedInput` for an invalid one, and for one whose metadata contradict its file name."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except ValueError as error:  # also for a version of thousands of digits
        raise MalformedInput(
            f"not the name of a wheel: {path.name}",
            why=str(error),
            hint="name a file NAME-VERSION-TAGS.whl",
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.namelist())
            members = [n for n in names if n.count("/") == 1 and n.endswith(".dist-info/METADATA")]
            if len(members) != 1:
                raise MalformedInput(f"{path.name} has {len(members)} METADATA files (expected one)")
            if archive.getinfo(members[0]).file_size > MAX_METADATA:
                raise MalformedInput(f"the METADATA of {path.name} is longer than {MAX_METADATA} bytes")
            text = archive.read(members[0]).decode("utf-8", errors="replace")
        digest = Digest.of_file(path)
    except UNREADABLE as error:
        if isinstance(error, MalformedInput):
            raise
        raise MalformedInput(f"{path.name} cannot be read: {error}", hint="fetch it again") from error
    package = metadata.parse_metadata(text)
    if canonicalize_name(package.name) != name or parse_version(package.version) != version:
        raise MalformedInput(
            f"{path.name} says inside that it is {package.name or '?'} {package.version[:80] or '?'}",
            why="some installers believe the name outside, some the name inside",
            hint="do not use it; ask who built it",
        )
    return Wheel(path, package, tuple(sorted(map(str, tags))), names, digest)
