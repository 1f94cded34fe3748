"""Vulnerabilities: components matched with advisories.

    >>> for vulnerability in match(components, advisories.load(folder)):       # doctest: +SKIP
    ...     print(vulnerability)
    northwind-tensors 2.3.0: ACME-2026-0003, high (8.7), fixed in 2.3.1

Records that are aliases of one another are one vulnerability. When a component's version cannot be compared, every
record about its name is reported with ``certain=False``. A score is CVSS v4's if the record has one, else v3's; without
either it is "unknown", not "none".
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
        """The id and every alias."""
        return frozenset((self.id, *self.aliases))

    def __str__(self) -> str:
        words = [self.severity + (f" ({self.score})" if self.score is not None else "")]
        words += ["exploited"] if self.exploited else []
        words += [f"fixed in {self.fixed[0]}" if self.fixed else "no fix known"]
        words += [] if self.certain else [f"uncertain: {self.message}"]
        return f"{self.component} {self.version or '(no version)'}: {self.id}, {', '.join(words)}"


def match(components: Iterable[Any], advisories: Advisories) -> list[Vulnerability]:
    """List the vulnerabilities of each component, in the order of components, then of ids.

    A component has ``name``, ``version`` and ``purl``, as attributes or as keys. Withdrawn records do not count.
    """
    vulnerabilities: list[Vulnerability] = []
    for component in components:
        name, version, purl = _identity(component)
        records: list[tuple[Advisory, Affected]] = []
        for each in _packages(name, purl):
            records += advisories.about(each)
        if records:
            vulnerabilities += _of(name, version, purl, records, advisories.exploited)
    return vulnerabilities


def is_compared(component: Any) -> bool:
    """Whether records about the component's ecosystem are compared; a component of another one is never matched."""
    by_purl = package_of(_identity(component)[2])
    return by_purl is None or by_purl[0] in TYPES.values()


@lru_cache(maxsize=4_096)
def score(severity: tuple[tuple[str, str], ...]) -> tuple[float | None, str]:
    """Score and rating, of CVSS v4 or else v3; (None, "unknown") when neither can be read."""
    classes: dict[str, Any] = {"CVSS_V4": CVSS4, "CVSS_V3": CVSS3}
    for kind in ORDER:
        for vector_kind, vector in severity:
            if vector_kind == kind:
                try:
                    value = float(classes[kind](vector).base_score)
                except CVSSError:
                    continue
                return value, next((r for at, r in RATINGS if value >= at), "none")
    return None, "unknown"


def _identity(component: Any) -> tuple[str, str, str]:
    if isinstance(component, Mapping):
        name, version, purl = (component.get(key) for key in ("name", "version", "purl"))
    else:
        name, version, purl = component.name, component.version, component.purl
    parsed = parse_purl(str(purl or ""))
    return str(name or ""), str(version or (parsed and parsed.version) or ""), str(purl or "")


def _packages(name: str, purl: str) -> list[Package]:
    """The packages that a component may be: by its purl, and for a Python package also by its name.

    Without a readable purl, the name counts as a PyPI name.
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
        # The range comes first: comparing with a list of versions is slower.
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
    """Why an entry that does not list a release may still affect it; empty when it does not."""
    if not text:
        return "the component has no version"
    if entry.ecosystem != PYPI:
        return f"{entry.ecosystem} orders versions in another way" if entry.skipped else ""
    if version is None:
        return f"not a PEP 440 version: {text!r}"
    if not entry.ranges and not entry.versions:
        return "the record names no release, only commits" if entry.skipped else ""
    return ""


def _groups(
    matches: list[tuple[Advisory, list[Affected], str]],
) -> list[list[tuple[Advisory, list[Affected], str]]]:
    """Group records that share an id or an alias, also by way of a third record."""
    if len(matches) == 1:
        return [matches]
    groups: list[tuple[set[str], list[tuple[Advisory, list[Affected], str]]]] = []
    for item in matches:
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
    value, rating = max(scores, key=lambda scored: -1.0 if scored[0] is None else scored[0])
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
