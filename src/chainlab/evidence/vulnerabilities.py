"""Vulnerabilities: components matched with advisories.

    >>> for found in match(components, advisories.load(folder)):               # doctest: +SKIP
    ...     print(found)
    northwind-tensors 2.3.0: ACME-2026-0003, high (8.7), fixed in 2.3.1

Records that are aliases of one another are one vulnerability. A component whose version nobody can compare is not
safe by silence: what is known about its name is reported with ``certain=False``. A score is CVSS v4's where the record
has one, else v3's; a record without either is "unknown", not "none".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cvss import CVSS3, CVSS4, CVSSError

from chainlab.evidence.advisories import Advisories, Advisory, Affected
from chainlab.evidence.packages.purls import PYPI, TYPES, Package, package_named, package_of, parse_purl
from chainlab.evidence.packages.versions import Version, parse_version

__all__ = ["Vulnerability", "is_compared", "match", "score"]

ORDER = ("CVSS_V4", "CVSS_V3")
RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))  # CVSS v4.0, table 23


@dataclass(frozen=True)
class Vulnerability:
    """One vulnerability of one component."""

    component: str
    version: str
    purl: str
    id: str
    aliases: tuple[str, ...] = ()  # every other id, sorted
    summary: str = ""
    severity: str = "unknown"  # critical, high, medium, low, none, unknown
    score: float | None = None
    fixed: tuple[str, ...] = ()  # releases newer than this one that have a fix, oldest first
    exploited: bool = False
    certain: bool = True
    message: str = ""  # why it is not certain

    @property
    def ids(self) -> frozenset[str]:
        """Every name that it has."""
        return frozenset((self.id, *self.aliases))

    def __str__(self) -> str:
        words = [self.severity + (f" ({self.score})" if self.score is not None else "")]
        words += ["exploited"] if self.exploited else []
        words += [f"fixed in {self.fixed[0]}" if self.fixed else "no fix known"]
        words += [] if self.certain else [f"uncertain: {self.message}"]
        return f"{self.component} {self.version or '(no version)'}: {self.id}, {', '.join(words)}"


def match(components: Iterable[Any], known: Advisories) -> list[Vulnerability]:
    """What is known about each component, in the order of components, then of ids.

    A component has ``name``, ``version`` and ``purl``, as attributes or as keys. Withdrawn records do not count.
    """
    found: list[Vulnerability] = []
    for component in components:
        name, version, purl = _identity(component)
        records: list[tuple[Advisory, Affected]] = []
        for each in _packages(name, purl):
            records += known.about(each)
        if records:
            found += _of(name, version, purl, records, known.exploited)
    return found


def is_compared(component: Any) -> bool:
    """Whether records about the component's ecosystem are compared; about others nothing is ever found."""
    named = package_of(_identity(component)[2])
    return named is None or named[0] in TYPES.values()


@lru_cache(maxsize=4_096)
def score(severity: tuple[tuple[str, str], ...]) -> tuple[float | None, str]:
    """Score and rating, of CVSS v4 or else v3; (None, "unknown") where neither can be read."""
    read: dict[str, Any] = {"CVSS_V4": CVSS4, "CVSS_V3": CVSS3}
    for kind in ORDER:
        for found, vector in severity:
            if found == kind:
                try:
                    value = float(read[kind](vector).base_score)
                except CVSSError:
                    continue
                return value, next((r for at, r in RATINGS if value >= at), "none")
    return None, "unknown"


def _identity(component: Any) -> tuple[str, str, str]:
    if isinstance(component, Mapping):
        name, version, purl = (component.get(key) for key in ("name", "version", "purl"))
    else:
        name, version, purl = component.name, component.version, component.purl
    read = parse_purl(str(purl or ""))
    return str(name or ""), str(version or (read and read.version) or ""), str(purl or "")


def _packages(name: str, purl: str) -> list[Package]:
    """The packages that a component may be: by its purl, and a Python package by its name where the two differ.

    Without a purl that can be read the name is taken for PyPI's.
    """
    by_purl, by_name = package_of(purl), package_named(PYPI, name)
    if by_purl is not None and by_purl[0] != "pypi":
        return [by_purl]
    return [each for each in dict.fromkeys((by_purl, by_name)) if each]


def _of(
    name: str,
    text: str,
    purl: str,
    records: list[tuple[Advisory, Affected]],
    exploited: Mapping[str, str],
) -> list[Vulnerability]:
    version = parse_version(text)
    affected: dict[str, tuple[Advisory, list[Affected], str]] = {}
    for record, entry in records:
        # The range comes first: a list is read, version by version, only when it must be.
        hit = (version is not None and entry.has(version)) or entry.lists(text, version)
        doubt = "" if hit else _doubt(text, version, entry)
        if hit or doubt:
            _, entries, before = affected.setdefault(record.id, (record, [], doubt))
            entries.append(entry)
            if hit and before:  # one entry is certain: so is the record
                affected[record.id] = (record, entries, "")
    if not affected:
        return []
    return [
        _merged(name, text, purl, group, version, exploited)
        for group in _groups(sorted(affected.values(), key=lambda item: item[0].id))
    ]


def _doubt(text: str, version: Version | None, entry: Affected) -> str:
    """Why nobody can say whether this release is affected, where nothing says that it is; empty when one can."""
    if not text:
        return "the component has no version"
    if entry.ecosystem != PYPI:
        return f"{entry.ecosystem} orders versions in another way" if entry.skipped else ""
    if version is None:
        return f"{text!r} is no PEP 440 version"
    if not entry.ranges and not entry.versions:
        return "the record names no release, only commits" if entry.skipped else ""
    return ""


def _groups(
    found: list[tuple[Advisory, list[Affected], str]],
) -> list[list[tuple[Advisory, list[Affected], str]]]:
    """Records that share an id or an alias are one vulnerability, also by way of a third."""
    if len(found) == 1:
        return [found]
    groups: list[tuple[set[str], list[tuple[Advisory, list[Affected], str]]]] = []
    for item in found:
        ids, members = {item[0].id, *item[0].aliases}, [item]
        apart = []
        for other in groups:
            if ids & other[0]:
                ids, members = ids | other[0], other[1] + members
            else:
                apart.append(other)
        groups = [*apart, (ids, members)]
    ordered = [sorted(members, key=lambda item: item[0].id) for _, members in groups]
    return sorted(ordered, key=lambda members: members[0][0].id)


def _merged(
    name: str,
    text: str,
    purl: str,
    group: list[tuple[Advisory, list[Affected], str]],
    version: Version | None,
    exploited: Mapping[str, str],
) -> Vulnerability:
    ids = {id for record, _, _ in group for id in (record.id, *record.aliases)}
    scores = [score(entry.severity or record.severity) for record, entries, _ in group for entry in entries]
    value, rating = max(scores, key=lambda found: -1.0 if found[0] is None else found[0])
    fixed = {
        at for _, entries, _ in group for entry in entries for each in entry.ranges for at in each.fixed_after(version)
    }
    doubts = [doubt for _, _, doubt in group]
    return Vulnerability(
        name,
        text,
        purl,
        id=group[0][0].id,
        aliases=tuple(sorted(ids - {group[0][0].id})),
        summary=next((record.summary for record, _, _ in group if record.summary), ""),
        severity=rating,
        score=value,
        fixed=tuple(str(at) for at in sorted(fixed)),
        exploited=any(id in exploited for id in ids),
        certain=not all(doubts),
        message=doubts[0] if all(doubts) else "",
    )
