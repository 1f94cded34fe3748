"""Advisories: OSV records, indexed by the packages that they name.

    >>> advisories = load(course_root() / "data" / "advisories")               # doctest: +SKIP
    >>> [advisory.id for advisory, _ in advisories.about(package_of("PyPI", "northwind-tensors"))]      # doctest: +SKIP
    ['ACME-2026-0003']

They come from a folder, a .zip of records (as OSV publishes its dumps), a .jsonl file or one record. A record is left
out, and counted, when it is withdrawn or names no package of an ecosystem that is compared. A record that cannot be
read is listed with the reason. A file ``exploited.json`` beside the records, in the form of CISA's catalogue of known
exploited vulnerabilities (KEV), says which are used in attacks.
OSV schema 1.7.5.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from chainlab.errors import MalformedInput
from chainlab.evidence.packages.purls import PYPI, Package, package_named
from chainlab.evidence.packages.versions import Range, Version, parse_version
from chainlab.evidence.statements import parse_json, value_at
from chainlab.shapes import Many, Moment, Shape, Text

__all__ = ["Advisories", "Advisory", "Affected", "Unread", "load", "read", "read_exploited"]

EXPLOITED = "exploited.json"
MAX_BYTES = 64 * 2**20  # of one record; OSV's largest have a few MB
MAX_RECORDS = 1_000_000  # of one archive
FORMS = (".json", ".jsonl", ".zip")
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)  # raised by zipfile


@dataclass(frozen=True)
class Affected:
    """One record's entry about one package."""

    package: Package
    ecosystem: str
    versions: frozenset[str]  # listed one by one, as the record writes them
    ranges: tuple[Range, ...]
    severity: tuple[tuple[str, str], ...] = ()  # (type, vector); empty: the record's severity counts
    skipped: tuple[str, ...] = ()  # types of ranges that say nothing about releases: GIT

    @cached_property
    def _parsed(self) -> frozenset[Version | None]:
        return frozenset(map(parse_version, self.versions))

    def lists(self, text: str, version: Version | None) -> bool:
        """Whether a release is listed by its version; for PyPI ``1.0`` and ``1.0.0`` are one."""
        return text in self.versions or (self.ecosystem == PYPI and version is not None and version in self._parsed)

    def has(self, version: Version) -> bool:
        """Whether a release is in one of the ranges."""
        return any(each.contains(version) for each in self.ranges)


@dataclass(frozen=True)
class Advisory:
    """One OSV record."""

    id: str
    modified: datetime
    withdrawn: datetime | None  # None: not withdrawn
    aliases: tuple[str, ...]
    summary: str
    severity: tuple[tuple[str, str], ...]
    affected: tuple[Affected, ...]


@dataclass(frozen=True, order=True)
class Unread:
    """A record that cannot be read; its ``id`` is the file's name when the record gives none."""

    id: str
    where: str
    why: str


@dataclass(frozen=True)
class Advisories:
    """Records, with how many were left out and why, and those that cannot be read."""

    records: tuple[Advisory, ...]
    exploited: Mapping[str, str] = field(default_factory=dict)  # id, and the day it was listed
    skipped: Mapping[str, int] = field(default_factory=dict)  # reason, and how many
    unread: tuple[Unread, ...] = ()

    @cached_property
    def _by_package(self) -> dict[Package, list[tuple[Advisory, Affected]]]:
        entries: dict[Package, list[tuple[Advisory, Affected]]] = {}
        for record in self.records:
            for affected in record.affected:
                entries.setdefault(affected.package, []).append((record, affected))
        return entries

    def about(self, package: Package) -> list[tuple[Advisory, Affected]]:
        """The records about a package, each with its entry for it."""
        return self._by_package.get(package, [])


class _Score(Shape):
    type: Text
    score: Text


class _Package(Shape):
    ecosystem: Text
    name: Text


class _Range(Shape):
    type: Literal["ECOSYSTEM", "SEMVER", "GIT"]
    events: Many[dict[str, str]] = ()


class _Affected(Shape):
    package: _Package | None = None
    ranges: Many[_Range] = ()
    versions: Many[str] = ()
    severity: Many[_Score] = ()


class _Record(Shape):
    schema_version: str = "1.0.0"
    id: Text
    modified: Moment
    withdrawn: Moment | None = None
    aliases: Many[str] = ()
    summary: str | None = None
    severity: Many[_Score] = ()
    affected: Many[_Affected] = ()


class _Exploited(Shape):
    cveID: Text  # noqa: N815 — KEV's own name
    dateAdded: str = ""  # noqa: N815


class _Catalogue(Shape):
    vulnerabilities: Many[_Exploited]


def load(path: Path) -> Advisories:
    """Load every record at ``path``: a folder, a .zip, a .jsonl or one .json file.

    Of two records with one id, the later ``modified`` counts. Raises `MalformedInput` when the path is missing, or the
    catalogue of exploited vulnerabilities cannot be read.
    """
    records: dict[str, Advisory] = {}
    exploited: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    unread: list[Unread] = []
    for name, content in _files(path):
        if Path(name).name == EXPLOITED:
            exploited |= read_exploited(content(), name)
            continue
        data = b""
        try:
            data = content()
            record = read(data, name)
        except (MalformedInput, *UNREADABLE) as error:
            unread.append(_unread(name, data, error))
            continue
        if reason := _reason_to_skip(record):
            skipped[reason] += 1
        before = records.get(record.id)
        if before is None or before.modified < record.modified:
            records[record.id] = record
    kept = tuple(records[id] for id in sorted(records) if not _reason_to_skip(records[id]))
    return Advisories(kept, exploited, dict(sorted(skipped.items())), tuple(sorted(unread)))


def read(data: bytes, name: str = "the record") -> Advisory:
    """Read one OSV record. Raises `MalformedInput`, naming file and field."""
    record = _Record.read(parse_json(data, name), name)
    if not record.schema_version.startswith("1."):
        raise MalformedInput(
            f"{name}: schema_version: {record.schema_version!r} is not version 1 of OSV's schema",
            hint="update chainlab, or fetch the record in the older form",
        )
    entries = (_affected(entry, f"{name}: affected[{number}]") for number, entry in enumerate(record.affected))
    return Advisory(
        id=record.id,
        modified=record.modified,
        withdrawn=record.withdrawn,
        aliases=tuple(sorted(set(record.aliases))),
        summary=record.summary or "",
        severity=_scores(record.severity),
        affected=tuple(entry for entry in entries if entry),
    )


def read_exploited(data: bytes, name: str = EXPLOITED) -> dict[str, str]:
    """Read a catalogue of exploited vulnerabilities in KEV's form: id to the day of its listing."""
    entries = _Catalogue.read(parse_json(data, name), name).vulnerabilities
    return {entry.cveID: entry.dateAdded for entry in entries}


def _affected(entry: _Affected, at: str) -> Affected | None:
    """An entry about a package; None when its ecosystem is not compared."""
    if entry.package is None:
        return None
    ecosystem = entry.package.ecosystem.partition(":")[0]
    package = package_named(ecosystem, entry.package.name)
    if package is None:
        return None
    ranges, skipped = [], []
    for number, each in enumerate(entry.ranges):
        if each.type == "GIT" or ecosystem != PYPI:  # commits, or an order that is not PEP 440's
            skipped.append(each.type)
            continue
        try:
            ranges.append(Range.parse(each.events))
        except MalformedInput as error:
            raise MalformedInput(f"{at}.ranges[{number}].{error.message}", why=error.why, hint=error.hint) from error
    versions = frozenset(entry.versions)
    return Affected(package, ecosystem, versions, tuple(ranges), _scores(entry.severity), tuple(skipped))


def _scores(listed: tuple[_Score, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((each.type, each.score) for each in listed)


def _reason_to_skip(record: Advisory) -> str:
    """Why a record is left out; empty when it is not."""
    if record.withdrawn:
        return "withdrawn"
    return "" if record.affected else "about no package of an ecosystem that is compared"


def _unread(name: str, data: bytes, error: Exception) -> Unread:
    try:
        id = value_at(parse_json(data, name), "id")
    except MalformedInput:
        id = None
    why = error.message if isinstance(error, MalformedInput) else f"{name}: {error}"
    return Unread(id if isinstance(id, str) and id else Path(name).name.removesuffix(".json"), name, why[:300])


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Each record's name, and a function that reads its bytes."""
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.suffix.lower() in FORMS and not file.is_dir():
                    yield from _of_file(file, file.relative_to(path).as_posix())
        elif path.exists():
            yield from _of_file(path, path.name)
        else:
            raise MalformedInput(f"there are no advisories at {path}", hint="name a folder, .zip, .jsonl or .json file")
    except UNREADABLE as error:
        raise MalformedInput(f"the advisories at {path.name} cannot be read", why=str(error)) from error


def _of_file(path: Path, name: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    form = path.suffix.lower() if path.is_file() else ""
    if form == ".zip":
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.lower().endswith(".json")]
            if len(infos) > MAX_RECORDS:
                raise MalformedInput(f"{name} has {len(infos)} records; OSV's dumps have fewer")
            for info in sorted(infos, key=lambda info: info.filename):
                yield info.filename, lambda info=info: _member(archive, info)  # type: ignore[misc]
    elif form == ".jsonl":
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                yield f"{name}:{number}", lambda line=line: line  # type: ignore[misc]
    else:
        yield name, lambda: _regular(path)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MAX_BYTES:
        raise MalformedInput(f"{info.filename} has {info.file_size} bytes; OSV's records are smaller")
    return archive.read(info)


def _regular(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise MalformedInput(f"{path.name} is not a file, or is too large for a record")
    return path.read_bytes()
