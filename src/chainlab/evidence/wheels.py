"""Wheels: one wheel as a component, and what it declares to need.

    >>> read(Path("acme_cells-1.2.0-py3-none-any.whl")).subject.hash_origin
    'file'

Binary distribution format; the archive is read, never unpacked or run.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence import imports, metadata
from chainlab.evidence.components import PREFIX, BlindSpot, Component, Inventory, bare, purl_of
from chainlab.evidence.embedded import MAX_DOCUMENT, PLACE, joined, stated
from chainlab.evidence.interpreters import markers_here
from chainlab.evidence.ranges import parse_version

__all__ = ["Wheel", "asked", "declared", "open_wheel", "read"]

MAX_METADATA = 2**20  # bytes
# What zipfile raises for archives that are none, or that use what it cannot do.
UNREADABLE = (
    zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error, struct.error,
)  # fmt: skip
MAX_SOURCE = 64 * 2**20  # bytes of all source files that are looked into


@dataclass(frozen=True)
class Wheel:
    """What a wheel says of itself."""

    path: Path
    package: metadata.Package
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


def read(
    path: Path,
    *,
    lock: Path | None = None,
    wheels: Path | Sequence[Path] | None = None,
    markers: Mapping[str, str] | None = None,
) -> Inventory:
    """A wheel and what it needs: with ``lock``, the versions and hashes of everything; else only what it declares.

    ``wheels`` is a folder of the wheels that the lock names: their licences and requirements are read there. Raises
    `MalformedInput` for what is no wheel, and for a lock that cannot be read.
    """
    wheel = open_wheel(path)
    subject = replace(wheel.component, type="application" if lock else "library")
    spots = [BlindSpot(k, said, subject.ref) for k, said in metadata.inside(wheel.names).items()]
    spots += _dynamic(wheel, subject.ref)
    values = markers_here(markers)
    if lock is not None:
        from chainlab.evidence import locks

        found = locks.read(
            lock,
            subject=subject,
            wheels=wheels,
            markers=values,
            requires=asked(wheel.package, values),
        )
        known = tuple(sorted({*found.blind_spots, *spots, *_extras(wheel, subject.ref)}))
        return _with_stated(wheel, replace(found, lifecycle="build", blind_spots=known))
    wanted: dict[str, list[Requirement]] = {}
    for text, scope in asked(wheel.package, values):
        needed = metadata.requirement(text)
        if needed is None:
            spots.append(BlindSpot("unreadable", f"the requirement {text[:80]!r}", subject.ref))
        elif scope == "required":
            wanted.setdefault(canonicalize_name(needed.name), []).append(needed)
    components = [declared(ranges, wheel.path.name) for ranges in wanted.values()]
    if components:
        spots.append(BlindSpot("missing", "a wheel names ranges: versions and transitive needs are not in it"))
    spots += _extras(wheel, subject.ref)
    ordered = tuple(sorted(components, key=lambda component: component.ref))
    subject = replace(subject, requires=tuple(component.ref for component in ordered), complete=True)
    return _with_stated(wheel, Inventory(ordered, subject, "build", tuple(sorted(spots)), ()))


def asked(package: metadata.Package, markers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a package asks for, without markers, with the scope: ``optional`` is what only an extra asks for."""
    found = []
    for text in package.requires:
        needed = metadata.requirement(text)
        if needed is None:
            found.append((text, "required"))
        elif metadata.applies(needed.marker, markers, package.extras):
            scope = "required" if metadata.applies(needed.marker, markers) else "optional"
            extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
            where = f" @ {needed.url}" if needed.url else str(needed.specifier)
            found.append((f"{needed.name}{extras}{where}", scope))
    return found


def declared(needed: Sequence[Requirement], where: str, scope: str = "required") -> Component:
    """A component that is asked for by ranges or an address, all of one name: its version is not known."""
    address = next((bare(one.url) for one in needed if one.url), "")
    ranges = dict.fromkeys(bare(one.url or "") or str(one.specifier) for one in needed)
    kind = "vcs_url" if "+" in address.partition(":")[0] else "download_url"
    name = needed[0].name
    purl = "" if "file:" in address else purl_of(name, **{kind: address.partition("#")[0]})
    asked_for = ", ".join(filter(None, ranges)) or "any version"
    return Component(name, "", purl, scope=scope, properties=((f"{PREFIX}version-range", asked_for),), found_in=where)


def open_wheel(path: Path) -> Wheel:
    """Read a wheel's own metadata. Raises `MalformedInput` for a file that is no wheel, or not the one it is named."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except ValueError as error:  # also of a version of thousands of digits
        raise MalformedInput(
            f"{path.name} is no wheel's name",
            why=str(error),
            mend="name a file NAME-VERSION-TAGS.whl",
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
        raise MalformedInput(f"{path.name} cannot be read: {error}", mend="fetch it again") from error
    package = metadata.package(text)
    if canonicalize_name(package.name) != name or parse_version(package.version) != version:
        raise MalformedInput(
            f"{path.name} says inside that it is {package.name or '?'} {package.version[:80] or '?'}",
            why="installers believe the name outside or the one inside, and not the same one",
            mend="do not use it; ask who built it",
        )
    return Wheel(path, package, tuple(sorted(map(str, tags))), names, digest)


def _with_stated(wheel: Wheel, found: Inventory) -> Inventory:
    """With the components of the SBOMs that the wheel carries (PEP 770)."""
    documents: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel.path) as archive:
        for name in sorted(n for n in set(wheel.names) if PLACE.fullmatch(n)):
            try:
                with archive.open(name) as member:
                    documents[name] = member.read(MAX_DOCUMENT + 1)
            except UNREADABLE:
                documents[name] = b""  # which is no document, and is named as such
    subject, parts, spots = stated(found.subject, documents, {c.key: c.ref for c in found.components})
    listed = {c.ref for c in found.components}
    inner = [part for part in joined(parts) if part.ref not in listed]
    known = tuple(sorted({*found.blind_spots, *spots}))
    return replace(found, subject=subject, components=(*found.components, *inner), blind_spots=known)


def _extras(wheel: Wheel, ref: str) -> list[BlindSpot]:
    extras = wheel.package.extras
    return [BlindSpot("extra", f"not asked for: {', '.join(extras)}", ref)] if extras else []


def _dynamic(wheel: Wheel, ref: str) -> list[BlindSpot]:
    places: list[str] = []
    read_so_far = 0
    with zipfile.ZipFile(wheel.path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".py") or info.file_size > imports.MAX_SIZE:
                continue
            read_so_far += info.file_size
            if read_so_far > MAX_SOURCE:
                return [
                    *imports.spots(places, ref),
                    BlindSpot("not looked for", "imports in all of its source", ref),
                ]
            try:
                source = archive.read(info)
            except UNREADABLE as error:
                raise MalformedInput(f"{wheel.path.name} cannot be read: {error}") from error
            if imports.LOOKS_DYNAMIC.search(source):
                places += [f"{info.filename}:{line}" for line in imports.seen(source).dynamic]
    return imports.spots(places, ref)
