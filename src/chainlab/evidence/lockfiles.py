"""Lock files as they are written: pins with hashes, in pip's form or as pylock.toml.

    >>> load(Path("requirements.lock")).pins[0].version
    '1.2.0'

A hash that cannot be one is refused: an installer that leaves it out would accept any file. pip's requirements file
format; PEP 751; the ``# via`` remarks are uv's and pip-compile's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import bare

__all__ = ["Lock", "Locked", "contents", "load", "parse"]

# Read after white space was made single spaces; no two parts can match the same character, so time is linear.
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*) ?(?:\[[^\]]*\] ?)?===? ?([^ ;,\\]+) ?")
HASH = re.compile(r"(\w+):(\w+)")
INDEX_OPTIONS = ("--index-url", "--extra-index-url", "-i", "--find-links", "-f")  # with one value
BREAKS = frozenset("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")  # some readers begin a new line here, and others do not
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
    return parse(path.name, contents(path), empty=empty)


def contents(path: Path) -> bytes:
    """The bytes of a lock file. Raises `MalformedInput` where there are none, or too many."""
    try:
        if path.stat().st_size > MAX_SIZE:
            raise MalformedInput(f"{path.name} is longer than {MAX_SIZE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise MalformedInput(f"{path.name} cannot be read: {error}", mend="name a lock file") from error


@lru_cache(maxsize=4)
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
    for line in _logical(text):
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
        words = line.split()
        if not words or _is_index_option(words):
            continue
        found = _pinned(name, words)
        if not found:
            unread.append(bare(line))
        pins += found
        vias += [None] * len(found)
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


def _logical(text: str) -> Iterator[str]:
    """Logical lines without the remarks behind them; a remark that has a line of its own is one.

    A remark ends with its line, whatever it ends with: pip and uv agree on that. What they read differently comes with
    its backslash or its line break still in it, so that it is no pin, and the lines after it are read by themselves.
    """
    begun: list[str] = []
    for physical in text.removeprefix("\ufeff").split("\n"):
        line = physical.removesuffix("\r")
        bare_line = line.strip(" \t")
        if bare_line.startswith("#"):
            if begun:  # pip ends the line here, uv goes on
                yield " ".join([*begun, "\\"])
                begun = []
            yield from bare_line.splitlines() if BREAKS.isdisjoint(bare_line) else [f"\\ {bare_line}"]
            continue
        shown, hash_sign, _ = line.replace("\t#", " #").partition(" #")
        if not BREAKS.isdisjoint(line) or (hash_sign and line.endswith("\\")):
            yield " ".join([*begun, line if "\\" in line else f"\\ {line}"])
            begun = []
        elif line.endswith("\\"):
            begun.append(line[:-1])
        else:
            yield " ".join([*begun, shown]).strip()
            begun = []
    if begun:
        yield " ".join(begun).strip()


def _is_index_option(words: list[str]) -> bool:
    """Whether a line is nothing but an option that says where to look, and so names no package."""
    option, equals, _ = words[0].partition("=")
    if words == ["--no-index"]:
        return True
    return option in INDEX_OPTIONS and len(words) == (1 if equals else 2)


def _pinned(name: str, words: list[str]) -> list[Locked]:
    """The pins of a logical line, of which uv reads several; none when a part of it is anything else.

    Raises `MalformedInput` for a hash that cannot be read.
    """
    pins = []
    words = words[::-1]
    while words:
        parts = []
        while words and not words[-1].startswith("-"):
            parts.append(words.pop())
        requirement, _, marker = " ".join(parts).partition(";")
        match = PIN.fullmatch(requirement)
        if match is None or match[2].endswith(".*"):
            return []
        digests: set[str] = set()
        while words and words[-1].startswith("-"):
            option, equals, value = words.pop().partition("=")
            if option != "--hash":
                return []
            digest = HASH.fullmatch(value if equals or not words else words.pop())
            if digest is None:
                raise MalformedInput(f"{name}: a hash of {match[1]} cannot be read", mend="make the lock again")
            digests |= {digest[2].lower()} if digest[1] == "sha256" else set()
        pins.append(Locked(match[1], match[2], marker.strip(), tuple(sorted(digests))))
    return pins


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
