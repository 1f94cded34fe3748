"""pylock.toml, the lock format of PEP 751: read by `packaging`, which also selects what an installer takes.

    >>> lock = read("pylock.toml", data)
    >>> [pin.name for pin in select(lock, lock.pylock, markers_here())]
    ['acme-cells', 'acme-speed']

The default groups are installed, and no extra. A lock that is for another Python or environment is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from packaging.utils import parse_wheel_filename

from chainlab.errors import MalformedInput
from chainlab.evidence.components import without_credentials
from chainlab.evidence.locks import lock_markers
from chainlab.evidence.locks.lock_file import MAX_VERSION, Lock, LockedFile, LockedPackage, parse_hash

if TYPE_CHECKING:
    from packaging.markers import Environment
    from packaging.pylock import Package, Pylock

__all__ = ["read", "select"]

# Comparisons that only a pylock.toml has; every installer reads them alike.
SETS = re.compile(r"""(['"])[^'"]*\1\s+(?:not\s+)?in\s+(?:extras|dependency_groups)""")


def read(name: str, data: bytes) -> Lock:
    """Read a pylock.toml. Raises `MalformedInput` for an invalid one, and for a hash that cannot be read."""
    from packaging.pylock import Pylock, PylockValidationError

    try:
        lock = Pylock.from_dict(tomllib.loads(data.decode("utf-8-sig")))
    except (ValueError, RecursionError, PylockValidationError) as error:
        hint = "make it again: uv export --format pylock.toml"
        raise MalformedInput(f"{name} is not a pylock.toml: {error}", hint=hint) from error
    dependents: dict[str, set[str]] = {}
    for package in lock.packages:
        for dependency in package.dependencies or ():
            dependents.setdefault(str(dependency.get("name", "")), set()).add(package.name)
    pins = [_pin(package) for package in lock.packages]
    if any(package.dependencies is not None for package in lock.packages):
        pins = [replace(pin, via=tuple(sorted(dependents.get(pin.name, ())))) for pin in pins]
    return Lock(name, tuple(pins), pylock=lock)


def select(lock: Lock, pylock: Pylock, markers: Mapping[str, str]) -> list[LockedPackage]:
    """Select the pins that an installer takes for ``markers``.

    A marker that installers read in different ways leaves nothing out. Raises `MalformedInput` where an installer
    refuses the lock.
    """
    from packaging.pylock import PylockSelectError

    packages = [one if _is_read_alike(one, markers) else replace(one, marker=None) for one in pylock.packages]
    # Every file fits: `file_hashes` asks later which of them is for this platform.
    tags = {tag for one in packages for wheel in one.wheels or () for tag in parse_wheel_filename(wheel.filename)[3]}
    environment = cast("Environment", dict(markers))
    try:
        selected = replace(pylock, packages=packages).select(environment=environment, tags=list(tags))
        chosen = {id(package) for package, _ in selected}
    except (PylockSelectError, ValueError, KeyError) as error:
        hint = "make the lock for this interpreter, or use the interpreter that it is for"
        raise MalformedInput(f"{lock.name} is refused by installers here: {error}", hint=hint) from error
    return [pin for pin, package in zip(lock.pins, packages, strict=True) if id(package) in chosen]


def _is_read_alike(package: Package, markers: Mapping[str, str]) -> bool:
    """Whether every installer evaluates the marker of a package alike."""
    try:
        lock_markers.parse(SETS.sub("os_name == ''", str(package.marker or "os_name == ''"))).holds(markers)
    except MalformedInput:
        return False
    return True


def _pin(package: Package) -> LockedPackage:
    source = local = ""
    listed = [(wheel.filename, wheel.hashes) for wheel in package.wheels or ()]
    if package.sdist is not None:
        listed.append((package.sdist.filename, package.sdist.hashes))
    if package.archive is not None:
        listed.append(("", package.archive.hashes))
        source, local = package.archive.url or "", "" if package.archive.url else "a local file"
    elif package.vcs is not None:
        where = f"#{package.vcs.subdirectory}" if package.vcs.subdirectory else ""
        source = f"{package.vcs.type}+{package.vcs.url}@{package.vcs.commit_id}{where}" if package.vcs.url else ""
        local = "" if package.vcs.url else "a local repository"
    elif package.directory is not None:
        local = "a local folder"
    files = [
        LockedFile(tuple(sorted(parse_hash(alg, value, package.name) for alg, value in hashes.items())), name)
        for name, hashes in listed
    ]
    version = str(package.version or "")
    if len(version) > MAX_VERSION:
        raise MalformedInput(f"the version of {package.name} has {len(version)} characters, more than {MAX_VERSION}")
    return LockedPackage(
        package.name, version, str(package.marker or ""), tuple(files), source=without_credentials(source), local=local
    )
