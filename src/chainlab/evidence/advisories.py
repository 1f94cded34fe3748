"""Advisories: OSV records, read strictly and indexed by the packages that they name.

    >>> known = load(course_root() / "data" / "advisories")                    # doctest: +SKIP
    >>> [advisory.id for advisory, _ in known.about("PyPI", "northwind-tensors")]      # doctest: +SKIP
    ['ACME-2026-0003']

A folder of .json files, a .zip of them (as OSV publishes its dumps), a .jsonl file or one record. A withdrawn record
does not count, and one that cannot be read is an error. A file ``exploited.json`` beside the records, in the form of
CISA's catalogue of known exploited vulnerabilities (KEV), says which are used in attacks.
OSV schema 1.7.5.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.ranges import Range, Version, normal, parse_version
from chainlab.evidence.statements import parse_json

__all__ = ["Advisories", "Advisory", "Affected", "load", "read", "read_exploited"]

EXPLOITED = "exploited.json"
PYPI = "PyPI"
MAX_BYTES = 64 * 2**20  # of one record; the largest that OSV publishes have a few MB
MAX_RECORDS = 1_000_000  # of one archive


@dataclass(frozen=True)
class Affected:
    """What one record says about one package."""

    ecosystem: str
    name: str  # as `ranges.normal` writes it
    versions: frozenset[str]  # listed one by one, as the record writes them
    ranges: tuple[Range, ...]
    severity: tuple[tuple[str, str], ...] = ()  # (type, vector); empty: the record's own
    skipped: tuple[str, ...] = ()  # types of ranges that say nothing about releases: GIT

    @cached_property
    def _parsed(self) -> frozenset[Version | None]:
        return frozenset(map(parse_version, self.versions))

    def lists(self, text: str, version: Version | None) -> bool:
        """Whether a release is listed by its version; ``1.0`` and ``1.0.0`` are one."""
        return text in self.versions or (version is not None and version in self._parsed)

    def has(self, version: Version) -> bool:
        """Whether a release is in one of the ranges."""
        return any(each.has(version) for each in self.ranges)


@dataclass(frozen=True)
class Advisory:
    """One OSV record."""

    id: str
    modified: str  # RFC 3339
    withdrawn: str  # RFC 3339; empty: it stands
    aliases: tuple[str, ...]
    summary: str
    severity: tuple[tuple[str, str], ...]
    affected: tuple[Affected, ...]


@dataclass(frozen=True)
class Advisories:
    """Records by package, without those that were withdrawn."""

    records: tuple[Advisory, ...]
    exploited: Mapping[str, str] = field(default_factory=dict)  # id, and the day it was listed

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[tuple[Advisory, Affected]]]:
        found: dict[tuple[str, str], list[tuple[Advisory, Affected]]] = {}
        for record in self.records:
            for affected in record.affected:
                at = (affected.ecosystem, affected.name)
                found.setdefault(at, []).append((record, affected))
        return found

    def about(self, ecosystem: str, name: str) -> list[tuple[Advisory, Affected]]:
        """What is known about a package; ``name`` as `ranges.normal` writes it."""
        return self._index.get((ecosystem, name), [])


def load(path: Path) -> Advisories:
    """Every record at ``path``: a folder, a .zip, a .jsonl or one .json file.

    Raises `MalformedInput`, naming file and field, for a record that cannot be read. One id twice: the later
    ``modified`` counts.
    """
    found: dict[str, Advisory] = {}
    listed: dict[str, str] = {}
    try:
        for name, data in _files(path):
            if Path(name).name == EXPLOITED:
                listed |= read_exploited(data, name)
                continue
            record = read(data, name)
            before = found.get(record.id)
            if before is None or _moment(before) < _moment(record):
                found[record.id] = record
    except OSError as error:
        raise MalformedInput(
            f"the advisories at {path.name} cannot be read",
            why=str(error),
            mend="name a folder, a .zip, a .jsonl or a .json file of OSV records",
        ) from error
    return Advisories(tuple(found[id] for id in sorted(found) if not found[id].withdrawn), listed)


def read(data: bytes, name: str = "the record") -> Advisory:
    """One OSV record. Raises `MalformedInput`, naming file and field."""
    document = parse_json(data, name)
    return _Reader(name).record(document)


def read_exploited(data: bytes, name: str = EXPLOITED) -> dict[str, str]:
    """A catalogue of exploited vulnerabilities in KEV's form: id, and the day it was listed."""
    document = parse_json(data, name)
    entries = document.get("vulnerabilities") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise MalformedInput(f"{name}: `vulnerabilities` is missing", mend="KEV's form has a list")
    found = {}
    for number, entry in enumerate(entries):
        id = entry.get("cveID") if isinstance(entry, dict) else None
        if not isinstance(id, str) or not id:
            raise MalformedInput(f"{name}: vulnerabilities[{number}].cveID is missing")
        found[id] = str(entry.get("dateAdded", ""))
    return found


def _moment(record: Advisory) -> datetime:
    return datetime.fromisoformat(record.modified)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.relative_to(path).as_posix(), file.read_bytes()
    elif zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                infos = [info for info in archive.infolist() if info.filename.endswith(".json")]
                large = next((info for info in infos if info.file_size > MAX_BYTES), None)
                if large is not None or len(infos) > MAX_RECORDS:
                    what = f"a record of {large.file_size} bytes" if large else f"{len(infos)} records"
                    raise MalformedInput(f"{path.name} has {what}: no dump of OSV is like that")
                for info in sorted(infos, key=lambda info: info.filename):
                    yield info.filename, archive.read(info)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
        ) as error:
            raise MalformedInput(f"{path.name} is no readable zip", why=str(error)) from error
    elif path.suffix == ".jsonl":
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                yield f"{path.name}:{number}", line
    else:
        yield path.name, path.read_bytes()


class _Reader:
    """Reads one record; every complaint names the file and the field."""

    def __init__(self, name: str) -> None:
        self.name = name

    def record(self, value: Any) -> Advisory:
        record = self.object(value, "the record")
        version = self.text(record, "schema_version", "", default="1.0.0")
        if not version.startswith("1."):
            self.fail("schema_version", f"{version!r} is not a version 1 of OSV's schema")
        aliases = self.texts(record, "aliases", "")
        return Advisory(
            id=self.text(record, "id", ""),
            modified=self.moment(record, "modified"),
            withdrawn=self.moment(record, "withdrawn", required=False),
            aliases=tuple(sorted(set(aliases))),
            summary=self.text(record, "summary", "", default=""),
            severity=self.severity(record, ""),
            affected=tuple(
                self.affected(entry, f"affected[{number}]")
                for number, entry in enumerate(self.items(record, "affected", ""))
            ),
        )

    def affected(self, value: Any, at: str) -> Affected:
        entry = self.object(value, at)
        package = self.object(entry.get("package"), f"{at}.package")
        ecosystem = self.text(package, "ecosystem", f"{at}.package").partition(":")[0]
        ranges, skipped = [], []
        for number, each in enumerate(self.items(entry, "ranges", at)):
            where = f"{at}.ranges[{number}]"
            kind = self.text(self.object(each, where), "type", where)
            if kind not in ("ECOSYSTEM", "SEMVER", "GIT"):
                self.fail(f"{where}.type", f"{kind!r} is no type of range")
            events = self.items(each, "events", where)
            if kind == "GIT" or ecosystem != PYPI:  # commits, or an order that is not PEP 440's
                skipped.append(kind)
                continue
            try:
                ranges.append(Range.of(events))
            except MalformedInput as error:
                self.fail(f"{where}.{error.message}", error.why, error.mend)
        return Affected(
            ecosystem,
            normal(self.text(package, "name", f"{at}.package")),
            frozenset(self.texts(entry, "versions", at)),
            tuple(ranges),
            self.severity(entry, at),
            tuple(skipped),
        )

    def severity(self, entry: Mapping[str, Any], at: str) -> tuple[tuple[str, str], ...]:
        found = []
        for number, each in enumerate(self.items(entry, "severity", at)):
            where = self.join(at, f"severity[{number}]")
            score = self.object(each, where)
            found.append((self.text(score, "type", where), self.text(score, "score", where)))
        return tuple(found)

    def object(self, value: Any, at: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(at, "expected an object")
        return value  # type: ignore[no-any-return]

    def items(self, entry: Mapping[str, Any], field: str, at: str) -> list[Any]:
        value = entry.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(self.join(at, field), "expected a list")
        return value  # type: ignore[no-any-return]

    def texts(self, entry: Mapping[str, Any], field: str, at: str) -> list[str]:
        found = self.items(entry, field, at)
        if not all(isinstance(item, str) for item in found):
            self.fail(self.join(at, field), "expected a list of texts")
        return found

    def text(self, entry: Mapping[str, Any], field: str, at: str, default: str | None = None) -> str:
        value = entry.get(field, default)
        if not isinstance(value, str) or (default is None and not value):
            self.fail(self.join(at, field), "missing" if value in (None, "") else "expected a text")
        return value  # type: ignore[no-any-return]

    def moment(self, record: Mapping[str, Any], field: str, *, required: bool = True) -> str:
        if not required and record.get(field) is None:
            return ""
        text = self.text(record, field, "")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(field, f"{text[:40]!r} is no time in UTC, such as 2026-05-11T19:20:39Z")
        return text

    @staticmethod
    def join(at: str, field: str) -> str:
        return f"{at}.{field}" if at else field

    def fail(self, field: str, said: str, mend: str = "") -> None:
        raise MalformedInput(f"{self.name}: {field}: {said}".removesuffix(": "), mend=mend)
