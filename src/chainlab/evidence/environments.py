"""Environments: what is installed in a site-packages folder, read without running its interpreter.

    >>> found = read(Path(".venv"), lock=Path("requirements.lock"))
    >>> found.lifecycle
    'operations'

An installed file is not the wheel that it came from: installers rewrite RECORD and add files. So a component's hash is
a wheel's, from the lock, from the installer's own note (``direct_url.json``) or from a folder of wheels; where there is
none of them, the digest of the RECORD stands in a property, and says so.

"Recording installed projects", PEP 610, PEP 508 for the markers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence import metadata
from chainlab.evidence.components import (
    ALGORITHMS,
    PREFIX,
    RECORD_DIGEST,
    BlindSpot,
    Component,
    Inventory,
    bare,
    purl_of,
)
from chainlab.evidence.graph import Graph, Node, roots, unreached
from chainlab.evidence.interpreters import described, home, markers_of, site_packages

__all__ = ["read"]

UNOWNED = {
    "__pycache__",
    "_virtualenv.py",
    "_virtualenv.pth",
    "distutils-precedence.pth",
    "README.txt",
}


@dataclass
class _Installed:
    package: metadata.Package
    folder: str  # *.dist-info
    paths: list[str]
    record: str  # hex; empty without a RECORD
    direct: dict[str, Any]
    tags: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name by which requirements find it."""
        return canonicalize_name(self.package.name)

    @property
    def ref(self) -> str:
        """The purl, or name@version of what was never published."""
        return self.purl or f"{self.package.name}@{self.package.version}"

    @property
    def purl(self) -> str:
        """Its address; empty for what was installed from a local folder or file."""
        url = str(self.direct.get("url", ""))
        name, version = self.package.name, self.package.version
        vcs = self.direct.get("vcs_info")
        if url.startswith("file:"):
            return ""
        if isinstance(vcs, dict):
            source = f"{vcs.get('vcs')}+{bare(url)}@{vcs.get('commit_id')}"
            return purl_of(name, version, vcs_url=source)
        return purl_of(name, version, download_url=bare(url))


def read(
    path: Path,
    *,
    lock: Path | None = None,
    wheels: Path | Sequence[Path] | None = None,
    subject: Component | str | None = None,
    markers: Mapping[str, str] | None = None,
    look_inside: bool = False,
) -> Inventory:
    """What is installed at ``path``: a virtual environment, its interpreter, or a site-packages folder.

    ``subject`` may name the installed package that the environment exists for. With ``look_inside`` every source file
    is searched for imports with a computed name, which takes seconds. Raises `MalformedInput` where nothing is
    installed.
    """
    folder = site_packages(path)
    found = [_installed(entry) for entry in _dist_infos(folder)]
    installed = [i for i in found if i.package.name]
    if not installed:
        raise MalformedInput(
            f"nothing is installed in {folder.name}",
            mend="name a virtual environment, its python, or a site-packages folder",
        )
    values = {**markers_of(folder, [t for i in installed for t in i.tags]), **(markers or {})}
    nodes = {i.key: Node(i.ref, i.package.requires) for i in installed}
    graph = Graph(nodes, values)
    spots = [BlindSpot("unreadable", f"{d}: no name in its METADATA") for d in _nameless(found)]
    spots += _unowned(folder, installed)
    components = []
    for one in installed:
        component, seen = _component(one, graph)
        components.append(component)
        spots += seen
    if lock is not None or wheels is not None:
        from chainlab.evidence import locks

        components = locks.with_hashes(components, lock=lock, wheels=wheels, tags={i.ref: i.tags for i in installed})
    if look_inside:
        from chainlab.evidence import imports

        for one in installed:
            spots += imports.dynamic_in(folder, one.paths, one.ref)
    else:
        spots.append(BlindSpot("not looked for", "imports with a computed name, in installed code"))
    top, rest = _subject(subject, components, folder)
    if not top.requires:
        top = replace(top, requires=roots(rest))
    elif strangers := unreached(top.requires, rest):
        said = ", ".join(c.name for c in rest if c.ref in strangers)
        spots.append(BlindSpot("unexplained", f"installed, and {top.name} does not ask for: {said}"))
    return Inventory(tuple(rest), top, "operations", tuple(sorted(spots)), described(values))


def _dist_infos(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(str(folder / e.name) for e in entries if e.name.endswith(".dist-info"))


def _installed(folder: str) -> _Installed:
    about = _read(f"{folder}/METADATA").decode(errors="replace")
    record = _read(f"{folder}/RECORD")
    direct = _read(f"{folder}/direct_url.json")
    wheel = _read(f"{folder}/WHEEL").decode(errors="replace")
    try:
        origin = json.loads(direct) if direct else {}
    except (ValueError, RecursionError):
        origin = {}
    return _Installed(
        metadata.package(about),
        os.path.basename(folder),  # noqa: PTH119 - hundreds of Path objects cost milliseconds
        metadata.record_paths(record.decode(errors="replace")),
        hashlib.sha256(record).hexdigest() if record else "",
        origin if isinstance(origin, dict) else {},
        tuple(line[5:] for line in wheel.splitlines() if line.startswith("Tag: ")),
    )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return b""


def _nameless(found: Iterable[_Installed]) -> list[str]:
    return [i.folder for i in found if not i.package.name]


def _fits(algorithm: str, digest: str) -> bool:
    wanted = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    return re.fullmatch(rf"[0-9a-fA-F]{{{wanted}}}", digest) is not None


def _component(one: _Installed, graph: Graph) -> tuple[Component, list[BlindSpot]]:
    package = one.package
    ref = one.ref
    properties, hashes, origin = [], {}, ""
    archive = one.direct.get("archive_info")
    noted = archive.get("hashes") if isinstance(archive, dict) else None
    if isinstance(noted, dict):
        hashes = {
            ALGORITHMS[name]: digest.lower()
            for name, digest in sorted(noted.items())
            if name in ALGORITHMS and isinstance(digest, str) and _fits(name, digest)
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
    spots = [BlindSpot(kind, said, ref) for kind, said in metadata.inside(one.paths).items()]
    active = graph.extras.get(one.key, set())
    if left := [e for e in package.extras if e not in active]:
        spots.append(BlindSpot("extra", f"not asked for: {', '.join(left)}", ref))
    needs = graph.needs(one.key)
    spots += [BlindSpot("missing", f"{n} is required and not installed", ref) for n in needs.missing]
    spots += [BlindSpot("unreadable", f"the requirement {t[:80]!r}", ref) for t in needs.unreadable]
    component = Component(
        name=package.name,
        version=package.version,
        purl=one.purl,
        hashes=hashes,
        hash_origin=origin,
        licence=package.licence,
        licence_name=package.licence_name,
        supplier=package.supplier,
        scope="required",
        requires=needs.refs,
        properties=tuple(properties),
        complete=not needs.missing and not needs.unreadable,
        found_in=f"{one.folder}/METADATA",
        description=package.summary,
    )
    return component, spots


def _imports(one: _Installed) -> set[str]:
    """The top-level names that it puts into site-packages."""
    names = set()
    for path in one.paths:
        head, slash, _ = path.partition("/")
        if slash:
            if not head.endswith((".dist-info", ".libs", ".data")) and head not in (
                "..",
                "__pycache__",
            ):
                names.add(head)
        elif head.endswith((".py", ".so", ".pyd")):
            names.add(head.partition(".")[0])
    return names


def _unowned(folder: Path, installed: Iterable[_Installed]) -> list[BlindSpot]:
    """What lies in site-packages and belongs to no RECORD: copied there by hand, or by somebody else."""
    owned = {path.partition("/")[0] for i in installed for path in i.paths}
    owned |= {i.folder for i in installed}
    found = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name not in owned and entry.name not in UNOWNED and not entry.name.endswith(".pyc")
    )
    unlisted = sorted(i.folder for i in installed if not i.record)
    return [
        *(BlindSpot("unowned", f"{name} belongs to no installed package") for name in found),
        *(BlindSpot("unowned", f"{name} has no RECORD") for name in unlisted),
    ]


def _subject(
    subject: Component | str | None, components: list[Component], folder: Path
) -> tuple[Component, list[Component]]:
    if isinstance(subject, Component):
        return subject, components
    if subject is None:
        name = home(folder).resolve().name  # the same, whichever way it was named
        return Component(name, type="application", description="a Python environment"), components
    key = canonicalize_name(subject)
    found = next((c for c in components if c.key == key), None)
    if found is None:
        raise MalformedInput(f"{subject!r} is not installed there", mend="name an installed package")
    return replace(found, type="application"), [c for c in components if c is not found]
