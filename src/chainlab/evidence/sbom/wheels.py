"""Wheels as bills of materials: one wheel as a component, and what it needs.

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
    """List a wheel and its needs: with ``lock``, the versions and hashes of all; else only what the wheel declares.

    ``wheels`` is a folder of the wheels that the lock names: their licences and requirements are read there. Raises
    `MalformedInput` for an invalid wheel, and for a lock that cannot be read.
    """
    wheel = open_wheel(path)
    subject = replace(wheel.component, type="application" if lock else "library")
    spots = [BlindSpot(kind, message, subject.ref) for kind, message in metadata.hidden_code(wheel.names).items()]
    spots += _dynamic_imports(wheel, subject.ref)
    values = markers_here(markers)
    if lock is not None:
        inventory = lock_inventory.read(
            lock,
            subject=subject,
            wheels=wheels,
            markers=values,
            requires=requirements_of(wheel.package, values),
        )
        all_spots = tuple(sorted({*inventory.blind_spots, *spots, *_extras(wheel, subject.ref)}))
        return _with_embedded(wheel, replace(inventory, lifecycle="build", blind_spots=all_spots))
    by_name: dict[str, list[Requirement]] = {}
    for text, scope in requirements_of(wheel.package, values):
        requirement = metadata.parse_requirement(text)
        if requirement is None:
            spots.append(BlindSpot("unreadable", f"the requirement {text[:80]!r}", subject.ref))
        elif scope == "required":
            by_name.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    components = [component_of_ranges(ranges, wheel.path.name) for ranges in by_name.values()]
    if components:
        spots.append(BlindSpot("missing", "a wheel names ranges: versions and transitive needs are not in it"))
    spots += _extras(wheel, subject.ref)
    ordered = tuple(sorted(components, key=lambda component: component.ref))
    subject = replace(subject, requires=tuple(component.ref for component in ordered), complete=True)
    return _with_embedded(wheel, Inventory(ordered, subject, "build", tuple(sorted(spots)), ()))


def requirements_of(package: metadata.PackageMetadata, markers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The requirements of a package, markers evaluated, each with its scope: ``optional`` if only an extra needs it."""
    result = []
    for text in package.requires:
        requirement = metadata.parse_requirement(text)
        if requirement is None:
            result.append((text, "required"))
        elif metadata.applies(requirement.marker, markers, package.extras):
            scope = "required" if metadata.applies(requirement.marker, markers) else "optional"
            extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            where = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
            result.append((f"{requirement.name}{extras}{where}", scope))
    return result


def component_of_ranges(requirements: Sequence[Requirement], where: str, scope: str = "required") -> Component:
    """A component of unknown version, from requirements of one name: version ranges or an address."""
    address = next((without_credentials(one.url) for one in requirements if one.url), "")
    ranges = dict.fromkeys(without_credentials(one.url or "") or str(one.specifier) for one in requirements)
    kind = "vcs_url" if "+" in address.partition(":")[0] else "download_url"
    name = requirements[0].name
    purl = "" if "file:" in address else purl_of(name, **{kind: address.partition("#")[0]})
    text = ", ".join(filter(None, ranges)) or "any version"
    return Component(name, "", purl, scope=scope, properties=((f"{PREFIX}version-range", text),), found_in=where)


def _with_embedded(wheel: Wheel, inventory: Inventory) -> Inventory:
    """Add the components of the SBOMs that the wheel carries (PEP 770)."""
    documents: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel.path) as archive:
        for name in sorted(n for n in set(wheel.names) if PLACE.fullmatch(n)):
            try:
                with archive.open(name) as member:
                    documents[name] = member.read(MAX_DOCUMENT + 1)
            except UNREADABLE:
                documents[name] = b""  # not a document: it becomes a blind spot
    subject, parts, spots = read_embedded(inventory.subject, documents, {c.key: c.ref for c in inventory.components})
    listed = {c.ref for c in inventory.components}
    inner = [part for part in merge_parts(parts) if part.ref not in listed]
    all_spots = tuple(sorted({*inventory.blind_spots, *spots}))
    return replace(inventory, subject=subject, components=(*inventory.components, *inner), blind_spots=all_spots)


def _extras(wheel: Wheel, ref: str) -> list[BlindSpot]:
    extras = wheel.package.extras
    return [BlindSpot("extra", f"not asked for: {', '.join(extras)}", ref)] if extras else []


def _dynamic_imports(wheel: Wheel, ref: str) -> list[BlindSpot]:
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
