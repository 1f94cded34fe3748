"""Environments: what is installed in a site-packages folder, read without running its interpreter.

    >>> inventory = read(Path(".venv"), lock=Path("requirements.lock"))
    >>> inventory.lifecycle
    'operations'

An installed package is not the wheel that it came from: installers rewrite RECORD and add files. So a component's hash
is its wheel's, from the lock, from the installer's note (``direct_url.json``) or from a folder of wheels. Without any
of them, a property has the digest of the RECORD.

"Recording installed projects", PEP 610, PEP 508 for the markers.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, PREFIX, RECORD_DIGEST, BlindSpot, Component, Inventory, printable
from chainlab.evidence.packages import metadata
from chainlab.evidence.packages.dependency_graph import Graph, Node, roots, unreached
from chainlab.evidence.packages.interpreters import (
    INFO,
    environment_of,
    interpreter_properties,
    markers_of,
    other_folders,
    site_packages,
)
from chainlab.evidence.sbom import conda
from chainlab.evidence.sbom.embedded import MAX_DOCUMENT, merge_parts, read_embedded
from chainlab.evidence.sbom.installed import Installed, find

__all__ = ["read"]

NOT_READ = "is required, and not among what could be read"
UNREAD = ("unreadable", "not looked for")  # kinds of blind spots after which more may be installed than is listed
UNOWNED = {
    "__pycache__",
    "conda-meta",
    "_virtualenv.py",
    "_virtualenv.pth",
    "distutils-precedence.pth",
    "README.txt",
}


def read(
    path: Path,
    *,
    lock: Path | None = None,
    wheels: Path | Sequence[Path] | None = None,
    subject: Component | str | None = None,
    markers: Mapping[str, str] | None = None,
    look_inside: bool = False,
) -> Inventory:
    """List what is installed at ``path``: a virtual environment, its interpreter, or a site-packages folder.

    ``subject`` may name the installed package that the environment exists for. With ``look_inside`` every source file
    is searched for imports with a computed name, which takes seconds. Raises `MalformedInput` where nothing is
    installed.
    """
    folder = site_packages(path)
    installed, packages, spots = _find_installed(folder)
    first: dict[str, Installed] = {}
    for one in installed:
        first.setdefault(one.key, one)
    values = {**markers_of(folder, [t for i in installed for t in i.tags]), **(markers or {})}
    missing_text = NOT_READ if any(s.kind in UNREAD for s in spots) else "is required and not installed"
    components, inner, more_spots = _components(first, values, missing_text)
    spots += [*more_spots, *(_second_spot(one, first[one.key]) for one in installed if _is_second(one, first[one.key]))]
    if lock is not None or wheels is not None:
        from chainlab.evidence.locks import lock_inventory

        tags = {i.ref: i.tags for i in installed}
        components = lock_inventory.with_hashes(components, lock=lock, wheels=wheels, tags=tags)
    by_folder = {one.folder: one.ref for one in first.values()}
    components, conda_spots = conda.with_packages(
        [*components, *_other_versions(installed, first)], packages, by_folder, missing_text
    )
    spots += conda_spots
    listed = {c.ref for c in components}
    components += [part for part in merge_parts(inner) if part.ref not in listed]
    if look_inside:
        from chainlab.evidence.packages import imports

        for one in installed:
            spots += imports.dynamic_imports(one.site, one.paths, one.ref)
    else:
        spots.append(BlindSpot("not looked for", "imports with a computed name, in installed code"))
    top, rest = _subject(subject, components, folder)
    if not top.requires:
        top = replace(top, requires=roots(rest))
    elif strangers := unreached(top.requires, rest):
        names = ", ".join(c.name for c in rest if c.ref in strangers)
        spots.append(BlindSpot("unexplained", f"installed, and {top.name} does not ask for: {names}"))
    return Inventory(tuple(rest), top, "operations", tuple(sorted(set(spots))), interpreter_properties(values))


def _find_installed(folder: Path) -> tuple[list[Installed], list[conda.CondaPackage], list[BlindSpot]]:
    """Find Python's packages, in the order in which it imports them, conda's packages, and blind spots.

    Raises `MalformedInput` where nothing is installed.
    """
    others, spots = other_folders(folder)
    installed: list[Installed] = []
    for site in (folder, *others):
        packages_here, unread = find(site)
        # Of two installations of one package in one folder the one with a RECORD counts.
        installed += sorted(packages_here, key=lambda one: (not one.record, one.folder))
        spots += unread
    packages, unread = conda.read_records(environment_of(folder))
    spots += unread
    if not installed and not packages:
        raise MalformedInput(
            f"nothing is installed in {folder.name}",
            why="; ".join(map(str, spots))[:500],
            hint="name a virtual environment, its python, or a site-packages folder",
        )
    for site in (folder, *others):
        if environment_of(site) == environment_of(folder):
            spots += _unowned(site, installed, packages)
    return installed, packages, spots


def _components(
    first: Mapping[str, Installed], values: Mapping[str, str], missing_text: str
) -> tuple[list[Component], list[Component], list[BlindSpot]]:
    """The packages as components, the parts that their SBOMs state, and blind spots."""
    graph = Graph({key: Node(one.ref, one.package.requires) for key, one in first.items()}, values)
    refs = {key: one.ref for key, one in first.items()}
    components: list[Component] = []
    inner: list[Component] = []
    spots: list[BlindSpot] = []
    for one in first.values():
        component, more_spots = _component(one, graph, missing_text)
        component, parts, unread = read_embedded(component, _documents(one), refs)
        components.append(component)
        inner += parts
        spots += [*more_spots, *unread]
    return components, inner, spots


def _is_second(one: Installed, first: Installed) -> bool:
    """Whether it is a second installation that matters: an editable package is also in the folder of its source."""
    return one is not first and (one.site == first.site or one.package.version != first.package.version)


def _second_spot(one: Installed, first: Installed) -> BlindSpot:
    place = "in the same folder" if one.site == first.site else f"in {one.site.parent.name}/{one.site.name}, behind it"
    message = f"{one.package.name} {one.package.version} ({printable(one.folder)}) is there too, {place}"
    return BlindSpot("installed twice", message, first.ref)


def _other_versions(installed: Iterable[Installed], first: Mapping[str, Installed]) -> list[Component]:
    """Other versions of a package in the folder of the first: Python may import either."""
    by_ref: dict[str, Component] = {}
    for one in installed:
        counted = first[one.key]
        if one.site == counted.site and one.ref != counted.ref:
            by_ref[one.ref] = _component_of(one)
    return list(by_ref.values())


def _documents(one: Installed) -> dict[str, bytes]:
    """The SBOMs that a package carries (PEP 770), by their path below site-packages."""
    place = one.site / one.folder / "sboms"
    if not place.is_dir():
        return {}
    documents = {}
    for file in sorted(p for p in place.rglob("*") if p.is_file()):
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_DOCUMENT + 1)
        except OSError:
            data = b""  # not a document: it becomes a blind spot
        documents[printable(file.relative_to(one.site).as_posix())] = data
    return documents


def _is_hash(algorithm: str, digest: str) -> bool:
    length = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    return re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", digest) is not None


def _component(one: Installed, graph: Graph, missing_text: str) -> tuple[Component, list[BlindSpot]]:
    ref = one.ref
    spots = [BlindSpot(kind, message, ref) for kind, message in metadata.hidden_code(one.paths).items()]
    active = graph.extras.get(one.key, set())
    if unused := [e for e in one.package.extras if e not in active]:
        spots.append(BlindSpot("extra", f"not asked for: {', '.join(unused)}", ref))
    needs = graph.needs(one.key)
    spots += [BlindSpot("missing", f"{n} {missing_text}", ref) for n in needs.missing]
    spots += [BlindSpot("unreadable", f"the requirement {t[:80]!r}", ref) for t in needs.unreadable]
    complete = not needs.missing and not needs.unreadable
    return replace(_component_of(one), requires=needs.refs, complete=complete), spots


def _component_of(one: Installed) -> Component:
    """A component as its metadata describe it."""
    package = one.package
    properties, hashes, origin = [], {}, ""
    archive = one.direct.get("archive_info")
    recorded = archive.get("hashes") if isinstance(archive, dict) else None
    if isinstance(recorded, dict):
        hashes = {
            ALGORITHMS[name]: digest.lower()
            for name, digest in sorted(recorded.items())
            if name in ALGORITHMS and isinstance(digest, str) and _is_hash(name, digest)
        }
        origin = "index" if hashes else ""
    if not hashes and one.record:
        origin = "record"
        properties.append((RECORD_DIGEST, one.record))
    if str(one.direct.get("url")).startswith("file:"):
        editable = isinstance(one.direct.get("dir_info"), dict) and one.direct["dir_info"].get("editable")
        properties.append((f"{PREFIX}installed-from", "a local folder, editable" if editable else "a local file"))
    names = _imports(one)
    if names and canonicalize_name(package.name).replace("-", "_") not in {n.lower() for n in names}:
        properties.append((f"{PREFIX}imported-as", ", ".join(sorted(names)[:8])))
    return Component(
        name=package.name,
        version=package.version,
        purl=one.purl,
        hashes=hashes,
        hash_origin=origin,
        licence=package.licence,
        licence_name=package.licence_name,
        supplier=package.supplier,
        scope="required",
        properties=tuple(properties),
        found_in=printable(f"{one.folder}/{one.source}".rstrip("/")),
        description=package.summary,
    )


def _imports(one: Installed) -> set[str]:
    """The top-level names that a package puts into site-packages."""
    names = set()
    for path in one.paths:
        head, slash, _ = path.partition("/")
        if not head or ":" in head:
            continue  # an absolute path
        if slash:
            if not head.endswith((".dist-info", ".libs", ".data")) and head not in (
                "..",
                "__pycache__",
            ):
                names.add(head)
        elif head.endswith((".py", ".so", ".pyd")):
            names.add(head.partition(".")[0])
    return names


def _unowned(folder: Path, installed: Iterable[Installed], packages: Iterable[conda.CondaPackage]) -> list[BlindSpot]:
    """Entries of site-packages that no RECORD lists: somebody copied them there."""
    here = [one for one in installed if one.site == folder]
    owned = {path.partition("/")[0] for one in here for path in one.paths}
    prefix = f"{folder.relative_to(environment_of(folder)).as_posix()}/" if environment_of(folder) != folder else ""
    owned |= {f.removeprefix(prefix).partition("/")[0] for p in packages for f in p.files if f.startswith(prefix)}
    unowned = sorted(
        printable(entry.name)
        for entry in os.scandir(folder)
        if entry.name not in owned and entry.name not in UNOWNED and not entry.name.endswith((".pyc", *INFO))
    )
    unlisted = sorted(printable(one.folder) for one in here if not one.record and one.folder.endswith(".dist-info"))
    return [
        *(BlindSpot("unowned", f"{name} belongs to no installed package") for name in unowned),
        *(BlindSpot("unowned", f"{name} has no RECORD") for name in unlisted),
    ]


def _subject(
    subject: Component | str | None, components: list[Component], folder: Path
) -> tuple[Component, list[Component]]:
    if isinstance(subject, Component):
        return subject, components
    if subject is None:
        name = environment_of(folder).resolve().name  # the same, whichever way it was named
        return Component(name, type="application", description="a Python environment"), components
    key = canonicalize_name(subject)
    component = next((c for c in components if c.key == key), None)
    if component is None:
        raise MalformedInput(f"{subject!r} is not installed there", hint="name an installed package")
    return replace(component, type="application"), [c for c in components if c is not component]
