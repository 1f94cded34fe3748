"""Lock files as they are written: pins with hashes, in pip's form or as pylock.toml.

    >>> load(Path("requirements.lock")).pins[0].version
    '1.2.0'

A hash that cannot be one is refused: an installer that leaves it out would accept any file. pip's requirements file
format; PEP 751; the ``# via`` remarks are uv's and pip-compile's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import bare

__all__ = ["Lock", "Locked", "load", "parse"]

PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^\]]*)\])?\s*===?\s*(?P<version>[^\s;,\\]+)"
    r"\s*(?:;(?P<marker>[^#]*))?\Z"
)
HASH = re.compile(r"--hash[= ](\w+):(\w+)(?=\s|\Z)")
MAX_SIZE = 32 * 2**20  # bytes
DIGEST = re.compile(r"[0-9a-f]{64}\Z")  # SHA-256


@dataclass(frozen=True)
class Locked:
    """One version that the lock names."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()  # SHA-256, hex, of every file listed
    files: Mapping[str, str] = field(default_factory=dict)  # file name → SHA-256, where names are given
    via: tuple[str, ...] | None = None  # who asks for it; None: not said
    direct: bool = False  # a person asks for it
    source: str = ""  # a URL, when it comes from no index

    @property
    def key(self) -> str:
        """The name by which requirements find it."""
        return canonicalize_name(self.name)


@dataclass(frozen=True)
class Lock:
    """A lock file as read."""

    name: str
    pins: tuple[Locked, ...]
    unread: tuple[str, ...]  # lines that are no pin
    edges: bool  # whether it says who asks for what


def load(path: Path, *, empty: bool = False) -> Lock:
    """Read a requirements file with pins, or a pylock.toml.

    Raises `MalformedInput` for another file, and unless ``empty`` for one that pins nothing.
    """
    try:
        if path.stat().st_size > MAX_SIZE:
            raise MalformedInput(f"{path.name} is longer than {MAX_SIZE} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise MalformedInput(f"{path.name} cannot be read: {error}", mend="name a lock file") from error
    return parse(path.name, data, empty=empty)


def parse(name: str, data: bytes, *, empty: bool = False) -> Lock:
    """What `load` does, of bytes; the name tells pylock.toml from pip's form."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedInput(f"{name} cannot be read: {error}", mend="name a lock file") from error
    found = _pylock(name, text) if name.endswith(".toml") else _requirements(name, text)
    for pin in found.pins:
        for digest in pin.hashes:
            if not DIGEST.match(digest):
                raise MalformedInput(
                    f"{name}: the hash {digest[:70]!r} of {pin.name} is no SHA-256",
                    why="64 hex digits are expected; a lock that is damaged protects nothing",
                    mend="make the lock again, or take it from the repository",
                )
    if not found.pins and not empty:
        raise MalformedInput(
            f"{name} pins nothing",
            why="no line has the form name==version",
            mend="make one: uv pip compile --generate-hashes requirements.txt -o requirements.lock",
        )
    return found


def _requirements(name: str, text: str) -> Lock:
    pins: list[Locked] = []
    unread: list[str] = []
    vias: list[list[str] | None] = []
    remark = False
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("#"):
            said = line.lstrip("#").strip()
            if said == "via" or said.startswith("via "):
                remark, said = True, said[3:].strip()
                if vias and vias[-1] is None:
                    vias[-1] = []
            if remark and said and vias and vias[-1] is not None:
                vias[-1].append(said)
            continue
        remark = False
        if not line or line.startswith(("--index-url", "--extra-index-url", "-i ", "--find-links", "--no-index")):
            continue
        words, *rest = re.split(r"\s--hash[= ]", line, maxsplit=1)
        match = PIN.match(words.split(" #")[0].strip())
        if match is None or match["version"].endswith(".*"):
            unread.append(bare(line))
            continue
        options = f"--hash={rest[0]}" if rest else ""
        named = HASH.findall(options)
        if len(named) != len(re.findall(r"--hash", options)):
            raise MalformedInput(f"{name}: a hash of {match['name']} cannot be read", mend="make the lock again")
        digests = [value.lower() for algorithm, value in named if algorithm == "sha256"]
        pins.append(
            Locked(
                match["name"],
                match["version"],
                (match["marker"] or "").strip(),
                tuple(sorted(set(digests))),
            )
        )
        vias.append(None)
    done = []
    for pin, said_by in zip(pins, vias, strict=True):
        people = [v for v in said_by or () if v.startswith(("-r ", "-c ")) or "(" in v]
        packages = [canonicalize_name(v.partition("[")[0]) for v in said_by or () if v not in people]
        done.append(
            replace(
                pin,
                via=tuple(packages) if said_by is not None else None,
                direct=any(not v.startswith("-c ") for v in people),
            )
        )
    return Lock(name, tuple(done), tuple(unread), any(v is not None for v in vias))


def _pylock(name: str, text: str) -> Lock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    try:
        lock = Pylock.from_dict(tomllib.loads(text))
    except (
        tomllib.TOMLDecodeError,
        RecursionError,
        PylockValidationError,
        PylockUnsupportedVersionError,
    ) as error:
        raise MalformedInput(
            f"{name} is no lock: {error}", mend="make it again: uv export --format pylock.toml"
        ) from error
    asked: dict[str, set[str]] = {}
    for package in lock.packages:
        for needed in package.dependencies or ():
            asked.setdefault(str(needed.get("name", "")), set()).add(package.name)
    edges = any(package.dependencies is not None for package in lock.packages)
    pins, unread = [], []
    for package in lock.packages:
        files = {w.filename: w.hashes["sha256"].lower() for w in package.wheels or () if "sha256" in w.hashes}
        hashes = set(files.values())
        if package.sdist is not None and "sha256" in package.sdist.hashes:
            hashes.add(package.sdist.hashes["sha256"].lower())
        source = ""
        if package.archive is not None:
            source = package.archive.url or "a local archive"
            hashes |= {h.lower() for a, h in package.archive.hashes.items() if a == "sha256"}
        elif package.vcs is not None:
            source = f"{package.vcs.type}+{package.vcs.url or 'a local repository'}@{package.vcs.commit_id}"
        elif package.directory is not None:
            unread.append(f"{package.name}: a local folder")
            continue
        pins.append(
            Locked(
                package.name,
                str(package.version or ""),
                str(package.marker or ""),
                tuple(sorted(hashes)),
                files,
                tuple(sorted(asked.get(package.name, ()))) if edges else None,
                source=bare(source),
            )
        )
    return Lock(name, tuple(pins), tuple(unread), edges)
