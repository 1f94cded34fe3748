"""Versions of Python packages in the order of PEP 440, and ranges of them as OSV and vers write them.

    >>> is_same_version("1.0", "1.0.0")
    True
    >>> affected = Range.parse([{"introduced": "0"}, {"fixed": "1.10"}])
    >>> [version for version in ("1.9", "1.10rc1", "1.10") if affected.contains(Version(version))]
    ['1.9', '1.10rc1']

Compared as text, "1.10" would come before "1.9", and a release candidate after its release.

An OSV range is a list of events: a release is affected from ``introduced`` until before ``fixed``, or until
``last_affected``, which is still affected. A local build (``1.9+cpu``) counts as the release that it was built from,
unless the record names a local version.

PEP 440; OSV schema 1.7.5, "affected[].ranges[].events fields"; package-url/vers-spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote

from packaging.version import Version

from chainlab.errors import MalformedInput

__all__ = ["Range", "Version", "is_in_vers", "is_same_version", "parse_version", "version_key"]

MAX_VERSION = 256  # characters; no file system takes a file name with a longer one
KINDS = ("introduced", "fixed", "last_affected", "limit")
CONSTRAINT = re.compile(r"(>=|<=|!=|<|>|=|)([^<>=!]+)")  # one part of a vers
RANK = {"fixed": 0, "introduced": 1, "last_affected": 2}  # the order at one version, so that ranges may touch


def parse_version(text: str) -> Version | None:
    """Read a PEP 440 version; None for anything else, and for more than `MAX_VERSION` characters."""
    return _parse_cached(text) if len(text) <= MAX_VERSION else None


def is_same_version(one: str, other: str) -> bool:
    """Whether two texts are the same PEP 440 version; False if one is not a version."""
    version = parse_version(one)
    return version is not None and version == parse_version(other)


def version_key(text: str) -> tuple[bool, Version | str]:
    """A sort key: texts that are not versions first, then versions in the order of PEP 440."""
    version = parse_version(text)
    return (False, text) if version is None else (True, version)


@lru_cache(maxsize=65_536)
def _parse_cached(text: str) -> Version | None:
    try:
        return Version(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Range:
    """An OSV range: events in the order of their versions. None is "0", which comes before every version."""

    events: tuple[tuple[Version | None, str], ...]  # version and kind
    limits: tuple[Version | None, ...] = ()  # None: "*", no limit

    @classmethod
    def parse(cls, events: Sequence[Mapping[str, str]]) -> Range:
        """Read OSV's events. Raises `MalformedInput`, which names the event, for one that cannot be read."""
        parsed: list[tuple[Version | None, str]] = []
        limits: list[Version | None] = []
        for number, event in enumerate(events):
            if not isinstance(event, Mapping) or len(event) != 1:
                raise MalformedInput(f"events[{number}]: an event has one name and one version")
            ((kind, text),) = event.items()
            if kind not in KINDS:
                raise MalformedInput(f"events[{number}]: not an event: {kind!r} (expected {', '.join(KINDS)})")
            if kind == "limit":
                limits.append(None if text == "*" else _event_version(text, number))
            elif text == "0" and kind == "introduced":
                parsed.append((None, kind))
            else:
                parsed.append((_event_version(text, number), kind))
        if not any(kind == "introduced" for _, kind in parsed):
            raise MalformedInput(
                "events: no release is affected before one is introduced",
                hint='say where it starts; `{"introduced": "0"}` is the very beginning',
            )
        return cls(tuple(sorted(parsed, key=_event_order)), tuple(limits))

    def contains(self, version: Version) -> bool:
        """Whether a release is in the range."""
        release = None if version.local is None else Version(version.public)
        inside = False
        for at, kind in self.events:
            if at is None:
                inside = True
                continue
            compared = version if release is None or at.local is not None else release
            if kind == "introduced":
                inside = inside or compared >= at
            elif kind == "fixed":
                inside = inside and compared < at
            else:
                inside = inside and compared <= at
        return inside and (not self.limits or any(limit is None or version < limit for limit in self.limits))

    def fixed_after(self, version: Version | None) -> list[Version]:
        """Return the releases with a fix that are newer than ``version``; for None, all of them."""
        return [
            at for at, kind in self.events if kind == "fixed" and at is not None and (version is None or at > version)
        ]


def is_in_vers(text: str, kind: str, version: str) -> bool:
    """Whether a version is in a range such as ``vers:pypi/>=1.0|<1.4``; False also where it cannot be decided.

    ``kind`` is the type of the package's URL. The versions of other types have other orders: for them, a range of
    single versions is decided, and no other.
    """
    scheme, _, rest = "".join(text.split()).partition("/")
    if scheme != f"vers:{kind}":
        return False
    if rest == "*":
        return True
    matches = [CONSTRAINT.fullmatch(part) for part in rest.split("|")]
    constraints = [(match[1] or "=", unquote(match[2])) for match in matches if match]
    if len(constraints) != len(matches):
        return False
    if kind != "pypi":
        return all(sign == "=" for sign, _ in constraints) and version in {at for _, at in constraints}
    actual, bounds = parse_version(version), [(parse_version(at), sign) for sign, at in constraints]
    comparable = [(at, sign) for at, sign in bounds if at is not None]
    return actual is not None and len(comparable) == len(bounds) and _is_within(actual, comparable)


def _is_within(version: Version, constraints: list[tuple[Version, str]]) -> bool:
    """Follow vers-spec, "Checking if a version is contained within a range"."""
    for at, sign in constraints:
        if version == at and sign in ("=", "<=", ">="):
            return True
    if any(version == at for at, sign in constraints if sign == "!="):
        return False
    bounds = sorted((at, sign[0]) for at, sign in constraints if sign[0] in "<>")
    if not bounds:
        return False
    (first, opens), (last, closes) = bounds[0], bounds[-1]
    if (opens == "<" and version < first) or (closes == ">" and version > last):
        return True
    return any(low < version < high for (low, a), (high, b) in pairwise(bounds) if (a, b) == (">", "<"))


def _event_version(text: object, number: int) -> Version:
    version = parse_version(text) if isinstance(text, str) else None
    if version is None:
        raise MalformedInput(
            f"events[{number}]: not a PEP 440 version: {str(text)[:60]!r}",
            why="without an order the range is undefined",
        )
    return version


def _event_order(event: tuple[Version | None, str]) -> tuple[bool, Version, int]:
    at, kind = event
    return (at is not None, at or Version("0"), RANK[kind])
