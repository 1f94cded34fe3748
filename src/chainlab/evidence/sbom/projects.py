"""Projects: what a folder of source declares, locks and imports.

    >>> found = read(Path("triage-model"))
    >>> [c.name for c in found.components if c.scope == "optional"]
    ['acme-quantise', 'scikit-learn', 'skl2onnx']

Needs of the package are ``required``, its extras ``optional``, its dependency groups ``excluded``: they never run in
production. A lock beside pyproject.toml gives versions and hashes.

PEP 621, PEP 735 (dependency groups).
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import BlindSpot, Component, Inventory
from chainlab.evidence.locks import lock_inventory
from chainlab.evidence.locks.lock_file import EXPORTS, Lock
from chainlab.evidence.packages import imports, metadata
from chainlab.evidence.packages.interpreters import markers_here
from chainlab.evidence.packages.licences import read_licence
from chainlab.evidence.sbom.wheels import component_of_ranges

__all__ = ["read"]

LOCKS = ("pylock.toml", "requirements.lock", "requirements.txt")
LIKE_LOCKS = ("*.lock", "pylock.*toml", "*requirements*.txt", "requirements/*.txt", "*constraints*.txt", *EXPORTS)
SKIPPED = {
    "__pycache__", "node_modules", "build", "dist", "site-packages", ".venv", "venv", "env"
}  # fmt: skip
MAX_FILES = 20_000
# Distributions whose modules have another name; what is not here is looked for by its own name.
PROVIDERS = {
    "sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python",
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "attr": "attrs", "jwt": "pyjwt",
    "OpenSSL": "pyopenssl", "google": "protobuf", "skimage": "scikit-image", "git": "gitpython",
    "dotenv": "python-dotenv", "serial": "pyserial", "magic": "python-magic",
}  # fmt: skip


def read(
    path: Path,
    *,
    wheels: Path | Sequence[Path] | None = None,
    markers: Mapping[str, str] | None = None,
) -> Inventory:
    """What a project needs. Raises `MalformedInput` for a folder without pyproject.toml and without a lock."""
    about = _pyproject(path)
    listed = _listed(path)
    beside = _beside(path, listed)
    locked = listed is not None and bool(listed.pins)
    if not about and not locked:
        if other := next((path / name for name in EXPORTS if (path / name).is_file()), None):
            lock_inventory.load(other)  # an error, with the command that exports it
        raise MalformedInput(
            f"{path.name or path} is no Python project",
            why=f"it has no pyproject.toml, and none of {', '.join(LOCKS)} with pins",
            hint="name the folder with one of them",
        )
    values = markers_here(markers)
    asked = _asked(about)
    named = {canonicalize_name(r.name) for text, _ in asked if (r := metadata.parse_requirement(text))}
    for text in listed.open if listed is not None else ():
        if (needed := metadata.parse_requirement(text)) and canonicalize_name(needed.name) not in named:
            asked.append((text, "required"))
    subject = _subject(path, about)
    spots = [BlindSpot("not looked for", words) for words in beside] + _undeclared(about)
    components: list[Component] = []
    looked: tuple[tuple[str, str], ...] = ()
    if listed is not None and locked:
        found = lock_inventory.read(
            path / listed.name, subject=subject, wheels=wheels, markers=values, requires=asked or None
        )
        subject, components, looked = found.subject, list(found.components), found.properties
        # What is declared and not locked becomes a component below, and is named there.
        spots += [s for s in found.blind_spots if (s.kind, s.where) != ("missing", subject.ref)]
    else:
        what = f"{listed.name} pins nothing" if listed else "no lock is read" if beside else "nothing is locked"
        spots.append(BlindSpot("missing", f"{what}: versions and transitive needs are open"))
        spots += lock_inventory.unpinned(listed, ()) if listed is not None else []
    components, more = _declared(asked, components, subject, values, locked)
    spots += more
    wanted = {c.ref for c in components if c.found_in == "pyproject.toml"} | set(subject.requires)
    subject = replace(subject, requires=tuple(sorted(wanted)), complete=bool(asked) or None)
    spots += _source(path, components, subject)
    return Inventory(tuple(components), subject, "pre-build", tuple(sorted(set(spots))), looked)


def _listed(path: Path) -> Lock | None:
    """The project's lock, or a requirements.txt that pins nothing; a broken one is an error, and no reason to go on."""
    for file in (path / name for name in LOCKS):
        if file.is_file():
            return lock_inventory.load(file)
    return None


def _beside(path: Path, listed: Lock | None) -> list[str]:
    """Files that look like locks, and are not read: each with what to do about it."""
    read = {path.resolve() / listed.name, *listed.included} if listed is not None else set()
    found = {file for pattern in LIKE_LOCKS for file in path.glob(pattern) if file.is_file()}
    names = sorted(file.relative_to(path).as_posix() for file in found if file.resolve() not in read)
    return [
        f"{name} is not read here: {EXPORTS[name]}" if name in EXPORTS else f"{name} is not read with the project"
        for name in names
    ]


def _undeclared(about: Mapping[str, Any]) -> list[BlindSpot]:
    """Needs that stand where only a build backend or another tool reads them."""
    found = [f"project.{name}, which is dynamic" for name in _texts(_table(about, "project").get("dynamic"))]
    found = [words for words in found if "dependencies" in words]
    for tool, table in _table(about, "tool").items():
        names = table if isinstance(table, dict) else {}
        found += [f"tool.{tool}.{name}" for name in names if name.endswith("dependencies")]
    return [BlindSpot("not looked for", f"what pyproject.toml needs by {words}") for words in found]


def _pyproject(path: Path) -> dict[str, Any]:
    file = path / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedInput(f"pyproject.toml cannot be read: {error}") from error


def _subject(path: Path, about: Mapping[str, Any]) -> Component:
    project = _table(about, "project")
    found = project.get("license")
    text = found if isinstance(found, str) else str(found.get("text", "")) if isinstance(found, dict) else ""
    expression, name = read_licence(text if isinstance(found, str) else "", text, [])
    authors = project.get("authors")
    people = [p.get("name") for p in authors if isinstance(p, dict)] if isinstance(authors, list) else []
    return Component(
        name=str(project.get("name") or path.resolve().name),
        version=str(project.get("version") or _version(path, str(project.get("name", "")))),
        licence=expression,
        licence_name=name,
        supplier=str(next((p for p in people if p), "")),
        type="application",
        description=str(project.get("description") or ""),
        found_in="pyproject.toml" if about else "",
    )


def _version(path: Path, name: str) -> str:
    """The version that a backend would take from the package's ``__version__``; empty where it is not plain there."""
    module = canonicalize_name(name).replace("-", "_")
    for folder in (path / "src" / module, path / module):
        file = folder / "__init__.py"
        if module and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            match = re.search(r"""^__version__\s*=\s*["']([^"'\n]+)["']""", text, re.MULTILINE)
            return match[1] if match else ""
    return ""


def _asked(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Requirements as written, each with its scope."""
    project = _table(about, "project")
    found = [(text, "required") for text in _texts(project.get("dependencies"))]
    for extra in _table(project, "optional-dependencies").values():
        found += [(text, "optional") for text in _texts(extra)]
    for group in _table(about, "dependency-groups").values():
        found += [(text, "excluded") for text in _texts(group)]
    return found


def _declared(
    asked: Sequence[tuple[str, str]],
    components: list[Component],
    subject: Component,
    values: Mapping[str, str],
    locked: bool,
) -> tuple[list[Component], list[BlindSpot]]:
    """The components with their scopes, and what is declared and not locked."""
    by_key = {c.key: c for c in components}
    spots = []
    strongest = {"required": 0, "optional": 1, "excluded": 2}
    scopes: dict[str, str] = {}
    wanted: dict[str, list[Requirement]] = {}
    for text, scope in asked:
        parsed = metadata.parse_requirement(text)
        if parsed is None:
            spots.append(BlindSpot("unreadable", f"the requirement {text[:80]!r}", subject.ref))
            continue
        key = canonicalize_name(parsed.name)
        if key == subject.key or not metadata.applies(parsed.marker, values):
            continue  # an extra of its own; or not for this platform
        wanted.setdefault(key, []).append(parsed)
        scopes[key] = min(scopes.get(key, scope), scope, key=strongest.__getitem__)
    for name, needed in wanted.items():
        if name not in by_key:
            by_key[name] = component = component_of_ranges(needed, "pyproject.toml", scopes[name])
            if locked:
                said = f"{component.name} is declared ({component.scope}) and not locked for this platform"
                spots.append(BlindSpot("missing", said, component.ref))
    found = [  # where the graph is known, the lock's reader has followed the scopes
        c if c.complete is not None else replace(c, scope=scopes.get(c.key, c.scope)) for c in by_key.values()
    ]
    return sorted(found, key=lambda c: (c.key, c.ref)), spots


def _source(path: Path, components: Sequence[Component], subject: Component) -> list[BlindSpot]:
    """What the source itself says: vendored code, compiled files, computed imports, and names that nothing provides."""
    files = list(_files(path))
    spots = [BlindSpot(k, said, subject.ref) for k, said in metadata.hidden_code(files).items()]
    if len(files) >= MAX_FILES:
        spots.append(BlindSpot("not looked for", f"files after the first {MAX_FILES}", subject.ref))
    places: list[str] = []
    names: set[str] = set()
    unread: list[str] = []
    for file in files:
        if not file.endswith(".py") or "vendor" in file:
            continue
        source = (path / file).read_bytes()
        found = imports.imports_of(source) if len(source) <= imports.MAX_SIZE else None
        if found is None or not found.readable:
            unread.append(file)
            continue
        places += [f"{file}:{line}" for line in found.dynamic]
        names |= found.names
    spots += imports.blind_spots(places, subject.ref)
    spots += [BlindSpot("unreadable", f"the source file {file}", subject.ref) for file in unread]
    own = {Path(part).stem for file in files if file.endswith(".py") for part in file.split("/")}
    known = {c.key for c in components} | {subject.key}
    for name in sorted(names - own - sys.stdlib_module_names):
        provider = canonicalize_name(PROVIDERS.get(name, name))
        if provider not in known:
            said = f"{name} is imported, and no component is known to provide it"
            spots.append(BlindSpot("undeclared import", said, subject.ref))
    return spots


def _files(path: Path) -> Iterator[str]:
    """Files below the project, relative and sorted; no environments, caches or hidden folders."""
    count = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(
            f for f in folders if f not in SKIPPED and not f.startswith(".") and not f.endswith(".egg-info")
        )
        for name in sorted(names):
            file = Path(folder, name)
            if not file.is_symlink() and file.is_file():
                yield file.relative_to(path).as_posix()
                count += 1
                if count >= MAX_FILES:
                    return


def _table(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _texts(value: Any) -> list[str]:
    """The texts of a list; groups may hold tables, too. Raises `MalformedInput` for anything else."""
    if not isinstance(value, list | None) or not all(isinstance(v, str | dict) for v in value or ()):
        raise MalformedInput(
            f"pyproject.toml has {str(value)[:80]!r} where a list of texts is expected",
            hint='write each requirement as a text: ["acme-cells>=1"]',
        )
    return [v for v in value or () if isinstance(v, str)]
