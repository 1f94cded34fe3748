"""Projects: what a folder of source code declares, locks and imports.

    >>> inventory = read(Path("triage-model"))
    >>> [c.name for c in inventory.components if c.scope == "optional"]
    ['acme-quantise', 'scikit-learn', 'skl2onnx']

The scope of the package's dependencies is ``required``, that of its extras ``optional``. Dependency groups are
``excluded``: they never run in production. A lock beside pyproject.toml gives versions and hashes.

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
# Module → distribution, where the names differ; any other module is looked for by its own name.
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
    """List what a project needs. Raises `MalformedInput` for a folder without pyproject.toml and without a lock."""
    pyproject = _pyproject(path)
    lock = _load_lock(path)
    unread_locks = _unread_locks(path, lock)
    has_pins = lock is not None and bool(lock.pins)
    if not pyproject and not has_pins:
        if other := next((path / name for name in EXPORTS if (path / name).is_file()), None):
            lock_inventory.load(other)  # an error, with the command that exports it
        raise MalformedInput(
            f"not a Python project: {path.name or path}",
            why=f"it has no pyproject.toml, and none of {', '.join(LOCKS)} with pins",
            hint="name a folder that has one of them",
        )
    values = markers_here(markers)
    requirements = _requirements(pyproject)
    names = {canonicalize_name(r.name) for text, _ in requirements if (r := metadata.parse_requirement(text))}
    for text in lock.open if lock is not None else ():
        if (requirement := metadata.parse_requirement(text)) and canonicalize_name(requirement.name) not in names:
            requirements.append((text, "required"))
    subject = _subject(path, pyproject)
    spots = [BlindSpot("not looked for", message) for message in unread_locks] + _unread_needs(pyproject)
    components: list[Component] = []
    interpreter: tuple[tuple[str, str], ...] = ()
    if lock is not None and has_pins:
        inventory = lock_inventory.read(
            path / lock.name, subject=subject, wheels=wheels, markers=values, requires=requirements or None
        )
        subject, components, interpreter = inventory.subject, list(inventory.components), inventory.properties
        # `_with_declared` adds what is declared and not locked, with a blind spot of its own.
        spots += [s for s in inventory.blind_spots if (s.kind, s.where) != ("missing", subject.ref)]
    else:
        state = f"{lock.name} pins nothing" if lock else "no lock is read" if unread_locks else "nothing is locked"
        spots.append(BlindSpot("missing", f"{state}: versions and transitive needs are open"))
        spots += lock_inventory.unpinned(lock, ()) if lock is not None else []
    components, declared_spots = _with_declared(requirements, components, subject, values, has_pins)
    spots += declared_spots
    direct = {c.ref for c in components if c.found_in == "pyproject.toml"} | set(subject.requires)
    subject = replace(subject, requires=tuple(sorted(direct)), complete=bool(requirements) or None)
    spots += _source_spots(path, components, subject)
    return Inventory(tuple(components), subject, "pre-build", tuple(sorted(set(spots))), interpreter)


def _load_lock(path: Path) -> Lock | None:
    """Load the project's lock, or a requirements.txt that pins nothing. Raises `MalformedInput` for a broken one."""
    for file in (path / name for name in LOCKS):
        if file.is_file():
            return lock_inventory.load(file)
    return None


def _unread_locks(path: Path, lock: Lock | None) -> list[str]:
    """Files that look like locks and are not read, each with what to do about it."""
    read_files = {path.resolve() / lock.name, *lock.included} if lock is not None else set()
    files = {file for pattern in LIKE_LOCKS for file in path.glob(pattern) if file.is_file()}
    names = sorted(file.relative_to(path).as_posix() for file in files if file.resolve() not in read_files)
    return [
        f"{name} is not read here: {EXPORTS[name]}" if name in EXPORTS else f"{name} is not read with the project"
        for name in names
    ]


def _unread_needs(pyproject: Mapping[str, Any]) -> list[BlindSpot]:
    """Dependencies that only a build backend or another tool reads."""
    places = [f"project.{name}, which is dynamic" for name in _texts(_table(pyproject, "project").get("dynamic"))]
    places = [place for place in places if "dependencies" in place]
    for tool, table in _table(pyproject, "tool").items():
        names = table if isinstance(table, dict) else {}
        places += [f"tool.{tool}.{name}" for name in names if name.endswith("dependencies")]
    return [BlindSpot("not looked for", f"what pyproject.toml needs by {place}") for place in places]


def _pyproject(path: Path) -> dict[str, Any]:
    file = path / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedInput(f"pyproject.toml cannot be read: {error}") from error


def _subject(path: Path, pyproject: Mapping[str, Any]) -> Component:
    project = _table(pyproject, "project")
    declared = project.get("license")
    text = (
        declared if isinstance(declared, str) else str(declared.get("text", "")) if isinstance(declared, dict) else ""
    )
    expression, name = read_licence(text if isinstance(declared, str) else "", text, [])
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
        found_in="pyproject.toml" if pyproject else "",
    )


def _version(path: Path, name: str) -> str:
    """The version that a backend would take from ``__version__``; empty where that is not a plain string."""
    module = canonicalize_name(name).replace("-", "_")
    for folder in (path / "src" / module, path / module):
        file = folder / "__init__.py"
        if module and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            match = re.search(r"""^__version__\s*=\s*["']([^"'\n]+)["']""", text, re.MULTILINE)
            return match[1] if match else ""
    return ""


def _requirements(pyproject: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Requirements as written, each with its scope."""
    project = _table(pyproject, "project")
    result = [(text, "required") for text in _texts(project.get("dependencies"))]
    for extra in _table(project, "optional-dependencies").values():
        result += [(text, "optional") for text in _texts(extra)]
    for group in _table(pyproject, "dependency-groups").values():
        result += [(text, "excluded") for text in _texts(group)]
    return result


def _with_declared(
    requirements: Sequence[tuple[str, str]],
    components: list[Component],
    subject: Component,
    values: Mapping[str, str],
    has_pins: bool,
) -> tuple[list[Component], list[BlindSpot]]:
    """Give components their scopes, and add what is declared and not locked."""
    by_key = {c.key: c for c in components}
    spots = []
    strongest = {"required": 0, "optional": 1, "excluded": 2}
    scopes: dict[str, str] = {}
    by_name: dict[str, list[Requirement]] = {}
    for text, scope in requirements:
        parsed = metadata.parse_requirement(text)
        if parsed is None:
            spots.append(BlindSpot("unreadable", f"the requirement {text[:80]!r}", subject.ref))
            continue
        key = canonicalize_name(parsed.name)
        if key == subject.key or not metadata.applies(parsed.marker, values):
            continue  # its own extra, or not for this platform
        by_name.setdefault(key, []).append(parsed)
        scopes[key] = min(scopes.get(key, scope), scope, key=strongest.__getitem__)
    for name, ranges in by_name.items():
        if name not in by_key:
            by_key[name] = component = component_of_ranges(ranges, "pyproject.toml", scopes[name])
            if has_pins:
                message = f"{component.name} is declared ({component.scope}) and not locked for this platform"
                spots.append(BlindSpot("missing", message, component.ref))
    result = [  # where the graph is known, `lock_inventory` has set the scopes
        c if c.complete is not None else replace(c, scope=scopes.get(c.key, c.scope)) for c in by_key.values()
    ]
    return sorted(result, key=lambda c: (c.key, c.ref)), spots


def _source_spots(path: Path, components: Sequence[Component], subject: Component) -> list[BlindSpot]:
    """Search the source for vendored code, compiled files, computed imports, and imports that no component provides."""
    files = list(_files(path))
    spots = [BlindSpot(k, message, subject.ref) for k, message in metadata.hidden_code(files).items()]
    if len(files) >= MAX_FILES:
        spots.append(BlindSpot("not looked for", f"files after the first {MAX_FILES}", subject.ref))
    places: list[str] = []
    names: set[str] = set()
    unread: list[str] = []
    for file in files:
        if not file.endswith(".py") or "vendor" in file:
            continue
        source = (path / file).read_bytes()
        module_imports = imports.imports_of(source) if len(source) <= imports.MAX_SIZE else None
        if module_imports is None or not module_imports.readable:
            unread.append(file)
            continue
        places += [f"{file}:{line}" for line in module_imports.dynamic]
        names |= module_imports.names
    spots += imports.blind_spots(places, subject.ref)
    spots += [BlindSpot("unreadable", f"the source file {file}", subject.ref) for file in unread]
    own = {Path(part).stem for file in files if file.endswith(".py") for part in file.split("/")}
    keys = {c.key for c in components} | {subject.key}
    for name in sorted(names - own - sys.stdlib_module_names):
        provider = canonicalize_name(PROVIDERS.get(name, name))
        if provider not in keys:
            message = f"{name} is imported, and no component is known to provide it"
            spots.append(BlindSpot("undeclared import", message, subject.ref))
    return spots


def _files(path: Path) -> Iterator[str]:
    """Yield files below the project, relative and sorted, without environments, caches and hidden folders."""
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
    table = value.get(name)
    return table if isinstance(table, dict) else {}


def _texts(value: Any) -> list[str]:
    """The strings of a list; dependency groups may also hold tables. Raises `MalformedInput` for anything else."""
    if not isinstance(value, list | None) or not all(isinstance(v, str | dict) for v in value or ()):
        raise MalformedInput(
            f"pyproject.toml has {str(value)[:80]!r} where a list of texts is expected",
            hint='write each requirement as a text: ["acme-cells>=1"]',
        )
    return [v for v in value or () if isinstance(v, str)]
