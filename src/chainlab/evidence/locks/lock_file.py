"""Lock files as values: the versions and addresses that a lock names, and the files that it accepts for each.

    >>> parse_hash("sha256", "AB" * 32, "acme-cells")[0]
    'SHA-256'

`requirements_file` and `pylock` read them. Other tools' locks are refused, each with the command that exports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, HASH_LENGTHS, purl_of
from chainlab.evidence.packages.versions import Version, parse_version

if TYPE_CHECKING:
    from packaging.pylock import Pylock

__all__ = ["EXPORTS", "MAX_VERSION", "Lock", "LockedFile", "LockedPackage", "merge_pins", "parse_hash", "read_bytes"]

MAX_SIZE = 2**24  # bytes
MAX_VERSION = 200  # characters
ENVIRONMENT = "install it, and read the environment: chainlab sbom build FOLDER"
EXPORTS = {  # locks of other tools → the command that exports one that is read here
    "uv.lock": "uv export --format pylock.toml --output-file pylock.toml",
    "poetry.lock": "poetry export --format requirements.txt --output requirements.txt (by poetry-plugin-export)",
    "pdm.lock": "pdm export --format requirements --output requirements.txt",
    "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
    "conda-lock.yml": ENVIRONMENT,
    "pixi.lock": ENVIRONMENT,
}


@dataclass(frozen=True)
class LockedFile:
    """A file that a lock accepts."""

    hashes: tuple[tuple[str, str], ...]  # algorithm as CycloneDX writes it, hex
    name: str = ""  # empty: the lock does not say

    @property
    def sha256(self) -> str:
        """The SHA-256 in hex; empty where the lock does not name it."""
        return dict(self.hashes).get("SHA-256", "")


@dataclass(frozen=True)
class LockedPackage:
    """One version of a package that a lock names: a pin."""

    name: str
    version: str  # as written; may be empty where there is an address
    marker: str = ""
    files: tuple[LockedFile, ...] = ()  # empty: any
    via: tuple[str, ...] | None = None  # packages that ask for it; None: the lock does not say
    direct: bool = False  # a person asks for it
    source: str = ""  # a URL, when it comes from no index
    local: str = ""  # "a local file", for example, when it comes from this machine
    extras: tuple[str, ...] = ()  # those that are asked for

    @property
    def key(self) -> str:
        """The name by which requirements find it."""
        return canonicalize_name(self.name)

    @property
    def is_revision(self) -> bool:
        """Whether it is a revision of a repository."""
        return self.local == "a local repository" or "+" in self.source.partition(":")[0]

    @property
    def purl(self) -> str:
        """Its package URL; empty for what comes from this machine."""
        if self.local:
            return ""
        kind = "vcs_url" if self.is_revision else "download_url"
        return purl_of(self.name, self.version, **{kind: self.source})

    @property
    def ref(self) -> str:
        """How a document refers to it, as `Component.ref`."""
        return self.purl or (f"{self.name}@{self.version}" if self.version else self.name)

    @property
    def identity(self) -> tuple[str, Version | str, str]:
        """What tells one pin from another: name, version as PEP 440 compares it, and where it comes from."""
        return self.key, parse_version(self.version) or self.version, self.source or self.local


@dataclass(frozen=True)
class Lock:
    """A lock file as read."""

    name: str
    pins: tuple[LockedPackage, ...]
    unread: tuple[str, ...] = ()  # lines that cannot be read, or that installers read in different ways
    open: tuple[str, ...] = ()  # requirements that pin nothing
    included: tuple[Path, ...] = ()  # files that it includes
    pylock: Pylock | None = None  # with a package for each pin

    @property
    def has_edges(self) -> bool:
        """Whether it says which package asks for which."""
        return any(pin.via is not None for pin in self.pins)


def read_bytes(path: Path) -> bytes:
    """Read a lock file. Raises `MalformedInput` for a missing file, another tool's, and more than `MAX_SIZE` bytes."""
    if path.name in EXPORTS:
        raise MalformedInput(f"{path.name} is not read here", hint=EXPORTS[path.name])
    try:
        if not path.is_file():
            raise MalformedInput(f"{path.name} is not a file", hint="name a lock file")
        if path.stat().st_size > MAX_SIZE:
            raise MalformedInput(f"{path.name} is longer than {MAX_SIZE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise MalformedInput(f"{path.name} cannot be read: {error}", hint="name a lock file") from error


def parse_hash(algorithm: str, value: str, name: str) -> tuple[str, str]:
    """Read a hash of a file of the package ``name``: its algorithm as CycloneDX writes it, and lower-case hex.

    Raises `MalformedInput` for an invalid hash: an installer that leaves it out would accept any file.
    """
    standard = ALGORITHMS.get(algorithm, "")
    if standard == "BLAKE2b-512" and len(value) == HASH_LENGTHS["BLAKE2b-256"]:  # as PyPI shortens it
        standard = "BLAKE2b-256"
    if len(value) != HASH_LENGTHS.get(standard) or not set(value.lower()) <= set("0123456789abcdef"):
        raise MalformedInput(
            f"a hash of {name} cannot be read: {f'{algorithm}:{value}'[:80]!r}",
            why=f"expected one of {', '.join(ALGORITHMS)}, and its hex digits; a damaged lock protects nothing",
            hint="make the lock again, or take it from the repository",
        )
    return standard, value.lower()


def merge_pins(pins: Iterable[LockedPackage]) -> list[LockedPackage]:
    """Merge pins of the same package, version and marker: as for pip, only files that all of them accept remain.

    Raises `MalformedInput` where no file remains.
    """
    groups: dict[tuple[object, str], list[LockedPackage]] = {}
    for pin in pins:
        groups.setdefault((pin.identity, pin.marker), []).append(pin)
    return [group[0] if len(group) == 1 else _merge_group(group) for group in groups.values()]


def _merge_group(group: Sequence[LockedPackage]) -> LockedPackage:
    first = group[0]
    accepting = [pin.files for pin in group if pin.files]
    files = set(accepting[0]).intersection(*accepting[1:]) if accepting else set()
    if accepting and not files:
        raise MalformedInput(
            f"{first.name} {first.version} is locked {len(group)} times, and no file fits all of them",
            hint="leave one of the lines, or make the lock again",
        )
    callers = [pin.via for pin in group if pin.via is not None]
    return replace(
        first,
        files=tuple(sorted(files, key=lambda file: (file.name, file.hashes))),
        via=tuple(sorted({name for names in callers for name in names})) if callers else None,
        direct=any(pin.direct for pin in group),
        extras=tuple(sorted({extra for pin in group for extra in pin.extras})),
    )
