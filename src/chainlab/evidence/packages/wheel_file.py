"""Wheel files: a wheel's own metadata, read and held to the file's name.

    >>> open_wheel(Path("acme_cells-1.2.0-py3-none-any.whl")).package.version  # doctest: +SKIP
    '1.2.0'

Binary distribution format; the archive is read, never unpacked or run.
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
# What zipfile raises for archives that are none, or that use what it cannot do.
UNREADABLE = (
    zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Wheel:
    """What a wheel says of itself."""

    path: Path
    package: metadata.PackageMetadata
    tags: tuple[str, ...]
    names: tuple[str, ...]  # its files
    digest: Digest

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
    """Read a wheel's own metadata. Raises `MalformedInput` for a file that is no wheel, or not the one it is named."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except ValueError as error:  # also of a version of thousands of digits
        raise MalformedInput(
            f"{path.name} is no wheel's name",
            why=str(error),
            hint="name a file NAME-VERSION-TAGS.whl",
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.namelist())
            members = [n for n in names if n.count("/") == 1 and n.endswith(".dist-info/METADATA")]
            if len(members) != 1:
                raise MalformedInput(f"{path.name} has {len(members)} METADATA, and a wheel has one")
            if archive.getinfo(members[0]).file_size > MAX_METADATA:
                raise MalformedInput(f"the METADATA of {path.name} are longer than {MAX_METADATA} bytes")
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
            why="installers believe the name outside or the one inside, and not the same one",
            hint="do not use it; ask who built it",
        )
    return Wheel(path, package, tuple(sorted(map(str, tags))), names, digest)
