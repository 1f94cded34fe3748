"""Wheels: one wheel as a component, and what it declares to need.

    >>> read(Path("acme_cells-1.2.0-py3-none-any.whl")).subject.hash_origin
    'file'

Binary distribution format; the archive is read, never unpacked or run.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX, BlindSpot, Component, Inventory, purl_of, without_credentials
from chainlab.evidence.locks import lock_inventory
from chainlab.evidence.packages import imports, metadata
from chainlab.evidence.packages.interpreters import markers_here
from chainlab.evidence.packages.wheel_file import UNREADABLE, Wheel, open_wheel
from chainlab.evidence.sbom.embedded import MAX_DOCUMENT, PLACE, merge_parts, read_embedded

__all__ = ["component_of_ranges", "read", "requirements_of"]

MAX_SOURCE = 64 * 2**20  # bytes of all source files that are looked into


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
    spots = [BlindSpot(k, said, subject.ref) for k, said in metadata.hidden_code(wheel.names).items()]
    spots += _dynamic(wheel, subject.ref)
    values = markers_here(markers)
    if lock is not None:
        found = lock_inventory.read(
            lock,
            subject=subject,
            wheels=wheels,
            markers=values,
            requires=requirements_of(wheel.package, values),
        )
        known = tuple(sorted({*found.blind_spots, *spots, *_extras(wheel, subject.ref)}))
        return _with_stated(wheel, replace(found, lifecycle="build", blind_spots=known))
    wanted: dict[str, list[Requirement]] = {}
    for text, scope in requirements_of(wheel.package, values):
        needed = metadata.parse_requirement(text)
        if needed is None:
            spots.append(BlindSpot("unreadable", f"the requirement {text[:80]!r}", subject.ref))
        elif scope == "required":
            wanted.setdefault(canonicalize_name(needed.name), []).append(needed)
    components = [component_of_ranges(ranges, wheel.path.name) for ranges in wanted.values()]
    if components:
        spots.append(BlindSpot("missing", "a wheel names ranges: versions and transitive needs are not in it"))
    spots += _extras(wheel, subject.ref)
    ordered = tuple(sorted(components, key=lambda component: component.ref))
    subject = replace(subject, requires=tuple(component.ref for component in ordered), complete=True)
    return _with_stated(wheel, Inventory(ordered, subject, "build", tuple(sorted(spots)), ()))


def requirements_of(package: metadata.PackageMetadata, markers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a package asks for, without markers, with the scope: ``optional`` is what only an extra asks for."""
    found = []
    for text in package.requires:
        needed = metadata.parse_requirement(text)
        if needed is None:
            found.append((text, "required"))
        elif metadata.applies(needed.marker, markers, package.extras):
            scope = "required" if metadata.applies(needed.marker, markers) else "optional"
            extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
            where = f" @ {needed.url}" if needed.url else str(needed.specifier)
            found.append((f"{needed.name}{extras}{where}", scope))
    return found


def component_of_ranges(needed: Sequence[Requirement], where: str, scope: str = "required") -> Component:
    """A component that is asked for by ranges or an address, all of one name: its version is not known."""
    address = next((without_credentials(one.url) for one in needed if one.url), "")
    ranges = dict.fromkeys(without_credentials(one.url or "") or str(one.specifier) for one in needed)
    kind = "vcs_url" if "+" in address.partition(":")[0] else "download_url"
    name = needed[0].name
    purl = "" if "file:" in address else purl_of(name, **{kind: address.partition("#")[0]})
    asked_for = ", ".join(filter(None, ranges)) or "any version"
    return Component(name, "", purl, scope=scope, properties=((f"{PREFIX}version-range", asked_for),), found_in=where)


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
    subject, parts, spots = read_embedded(found.subject, documents, {c.key: c.ref for c in found.components})
    listed = {c.ref for c in found.components}
    inner = [part for part in merge_parts(parts) if part.ref not in listed]
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
                    *imports.blind_spots(places, ref),
                    BlindSpot("not looked for", "imports in all of its source", ref),
                ]
            try:
                source = archive.read(info)
            except UNREADABLE as error:
                raise MalformedInput(f"{wheel.path.name} cannot be read: {error}") from error
            if imports.LOOKS_DYNAMIC.search(source):
                places += [f"{info.filename}:{line}" for line in imports.imports_of(source).dynamic]
    return imports.blind_spots(places, ref)
