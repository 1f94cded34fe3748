"""Questions to the archive, and the queries of its index that answer them.

    >>> parsed = question("acme-cells", range=">=1.2,<1.4")
    >>> [parsed.matches(version, "") for version in ("1.10", "1.3rc1", "1.4", "unknown", "")]
    [False, True, False, None, None]

SQL finds the components that may match. Their versions are compared in Python as PEP 440 says, because as text 1.10
comes before 1.9. When a version cannot be compared, the answer is neither yes nor no.

A new column of the archive's tables: the schema in `tables`, the row in `documents`, the query in `TABLES` here.
"""

# ruff: noqa: S608 — constants of this module; a person's words are parameters
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from sqlite3 import Connection, Row
from typing import Final

from packageurl import PackageURL
from packaging.specifiers import SpecifierSet

from chainlab.archive.documents import search_key
from chainlab.errors import MalformedInput
from chainlab.evidence.packages.versions import is_same_version, parse_version

__all__ = ["ArchiveProblem", "ArchiveQuestion", "answers", "question", "why_unknown"]

DIGEST: Final = re.compile(r"(?:sha-?256:)?([0-9a-f]{64})")
UNSAID: Final = "its SBOM does not say which bytes it is about"
# Why an SBOM does not prove that a component is absent, by the SBOM's level; 6 is complete.
CLAIMS: Final = (
    "its SBOM is about other bytes",
    "its SBOM is not readable: ",
    UNSAID,
    "its SBOM says that it is incomplete",
    "its SBOM does not say that it is complete",
    "its SBOM is complete in dependencies, not in what they contain",
)
ENOUGH: Final = {"complete": 6, "dependencies": 5, "silence": 4}  # the argument ``absence``: the level that suffices
# The table `builds`, oldest first. An ML-BOM speaks for a build only where there is no SBOM.
BUILDS: Final = """
WITH own AS (SELECT build FROM entries JOIN documents USING (entry) WHERE kind = 'sbom'),
  claims AS (SELECT *, kind = 'sbom' OR kind = 'mlbom' AND build NOT IN own AS speaks,
    CASE WHEN about = 'other' THEN 0 WHEN status <> 'read' THEN 1 WHEN about = 'unsaid' THEN 2
      ELSE CASE composition WHEN 'complete' THEN 6 WHEN 'dependencies' THEN 5 WHEN 'unsaid' THEN 4 ELSE 3 END
      END AS claim FROM entries LEFT JOIN documents USING (entry))
SELECT build, artifact, version, digest, repository, "commit", run, builder, built_at, broken,
  max(claim) FILTER (WHERE speaks) AS level, min(why) FILTER (WHERE speaks AND status <> 'read') AS unread,
  min(unhashed = 0) FILTER (WHERE speaks AND claim > 2) AS hashed,
  min(unaddressed = 0) FILTER (WHERE speaks AND claim > 2) AS addressed,
  group_concat(DISTINCT kind) AS kinds, group_concat(DISTINCT CASE WHEN signed THEN kind END) AS signed
FROM claims GROUP BY build ORDER BY rtrim(built_at, 'Z'), artifact, version, build
"""
OF_BUILD: Final = "JOIN documents USING (document) JOIN entries USING (entry)"
HITS: Final = f"""
SELECT title AS component, components.version AS found, purl, scope, documents.kind AS kind, signed, build, document,
  node, about FROM components {OF_BUILD} WHERE about <> 'other' AND
"""
OWN: Final = """
SELECT DISTINCT artifact AS component, version AS found, '' AS purl, '' AS scope, '' AS kind, 0 AS signed, build,
  0 AS document, 0 AS node, 'own' AS about FROM entries WHERE digest = ?
"""
# From documents' nodes up the nearest edges, one a step: the labels on a shortest path, the subject's first.
WAYS: Final = """
WITH RECURSIVE way(document, hit, node, step) AS (
  SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[1]'), 0 FROM json_each(?)
  UNION ALL SELECT way.document, hit, parent, step + 1
  FROM way JOIN edges ON edges.document = way.document AND child = way.node AND nearest
)
SELECT document, hit, trim(title || ' ' || version) FROM way JOIN components USING (document, node) ORDER BY step DESC
"""
PROBLEMS: Final = """
SELECT 'entry changed', 'entries/' || entry || '.json', replace(broken, 'entries/' || entry || '.json: ', ''),
  'add the build again, then delete this file' FROM entries WHERE broken <> ''
UNION SELECT iif(status = 'unreadable', 'document ', 'object ') || status,
  'objects/sha256/' || substr(object, 8, 2) || '/' || substr(object, 8),
  min(kind || ' of ' || artifact || ' ' || version || ': ' || why),
  iif(status = 'unreadable', 'its build answers unknown', 'add the document again')
FROM documents JOIN entries USING (entry) WHERE status IN ('missing', 'changed', 'unreadable') GROUP BY object
ORDER BY 1 DESC, 2
"""
TABLES: Final = {  # as `Archive.table` gives them
    "documents": "SELECT build, kind, object, size, signed <> 0 AS signed, verdict, form, subjects, stated, "
    "iif(about = 'other', 'about other bytes', status) AS status, why, about, composition, stated_at, components, "
    "unhashed, unaddressed, dangling FROM documents JOIN entries USING (entry)",
    "components": "SELECT build, documents.kind AS document, node, name, title, components.version AS version, purl, "
    f"components.kind AS kind, sha256, hashes, licence, supplier, scope FROM components {OF_BUILD} "
    "WHERE about <> 'other'",
    "edges": f"SELECT build, kind AS document, parent, child FROM edges {OF_BUILD} WHERE about <> 'other'",
}
Answer = tuple[str, Row, list[Row], str]  # the answer, the build, the places of one component version in it, and why


@dataclass(frozen=True)
class ArchiveProblem:
    """A file of the archive that is missing, changed or unreadable."""

    kind: str  # object missing | object changed | entry changed | document unreadable | table changed
    where: str  # the file, below the archive's folder
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.message} ({self.hint})"


@dataclass(frozen=True)
class ArchiveQuestion:
    """A question by one of name, purl and digest; a name or purl may come with a version or a range."""

    name: str = ""
    purl: PackageURL | None = None
    digest: str = ""  # hex digits of a SHA-256
    version: str = ""
    range: SpecifierSet | None = None

    def matches(self, version: str, purl: str) -> bool | None:
        """Whether a component with this name, purl's name or digest matches; None when its version does not tell."""
        if self.purl is not None:
            try:
                other = PackageURL.from_string(purl)
            except ValueError:
                return False
            same = all(getattr(self.purl, part) == getattr(other, part) for part in ("type", "namespace", "name"))
            qualified = dict(self.purl.qualifiers or {}).items() <= dict(other.qualifiers or {}).items()
            if not same or not qualified or self.purl.subpath not in (None, other.subpath):
                return False
            version = other.version or ""
        if self.range is None and self.version in ("", version):
            return True
        if not version:
            return None
        if self.range is None:
            return is_same_version(version, self.version)
        parsed = parse_version(version)
        return None if parsed is None else self.range.contains(parsed, prereleases=True)


def question(
    name: str = "", *, version: str = "", range: str = "", digest: str = "", purl: str = ""
) -> ArchiveQuestion:
    """Read a question. Raises `MalformedInput` for two things at once, or a malformed digest, range or purl."""
    if sum(map(bool, (name, digest, purl))) != 1:
        raise MalformedInput("ask for one thing: a name, a purl or a digest")
    if any("\ud800" <= character <= "\udfff" for character in name + version + range + digest + purl):
        raise MalformedInput("the question has half a character (a lone surrogate)")
    match = DIGEST.fullmatch(digest.lower())
    if digest and not match:
        raise MalformedInput(f"not a digest: {digest!r}", hint="write 'sha256:' and 64 hex digits")
    try:
        span = SpecifierSet(range) if range else None
        if span is not None:
            span.contains("0")  # raises for a version of thousands of digits
    except ValueError as error:
        raise MalformedInput(f"not a range of versions: {range!r}", hint="as in PEP 440: '>=1.2,<1.4'") from error
    try:
        package = PackageURL.from_string(purl) if purl else None
    except ValueError as error:
        raise MalformedInput(f"not a package URL: {purl!r}", why=str(error), hint="pkg:pypi/numpy@2.1.0") from error
    versions = [version, range, digest, (package and package.version) or ""]
    if sum(map(bool, versions)) > 1:
        raise MalformedInput("a version, a range, a digest and a purl's version exclude one another", hint="give one")
    return ArchiveQuestion(name.strip(), package, match[1] if match else "", version or versions[3], span)


def answers(connection: Connection, parsed: ArchiveQuestion, absence: str, every: bool = False) -> list[Answer]:
    """Return one answer for each component version in a build, and one for each other build; affected ones first."""
    if absence not in ENOUGH:
        raise MalformedInput(f"absence={absence!r}", hint=f"one of {', '.join(ENOUGH)}")
    builds = {row["build"]: row for row in connection.execute("SELECT * FROM builds")}
    order = {build: number for number, build in enumerate(builds)}
    matches = lru_cache(maxsize=None)(parsed.matches)
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for hit in sorted(_hits(connection, parsed), key=lambda hit: (order[hit["build"]], *hit)):
        if matches(hit["found"], hit["purl"]) is not False:
            groups.setdefault((hit["build"], *hit[:3]), []).append(hit)
    sure = {build for build, _, version, purl in groups if matches(version, purl)}
    affected: list[Answer] = []
    others: list[Answer] = []
    for (build, component, version, purl), hits in groups.items():
        if matches(version, purl):
            sure_of = any(hit["about"] == "own" for hit in hits)
            affected.append(("affected", builds[build], hits, "" if sure_of else UNSAID))
        elif build not in sure:
            odd = f"its version of {component} is {version!r}, which PEP 440 does not order"
            others.append(
                ("unknown", builds[build], hits, odd if version else f"it lists {component} without a version")
            )
    absent = builds.keys() - {build for build, *_ in groups}
    doubts = [(build, why_unknown(build, parsed, ENOUGH[absence])) for name, build in builds.items() if name in absent]
    others += [("unknown", build, [], why) for build, why in doubts if why]
    return affected + others + [("not affected", build, [], "") for build, why in doubts if every and not why]


def why_unknown(build: Row, parsed: ArchiveQuestion | None = None, enough: int = ENOUGH["complete"]) -> str:
    """Return why nobody can say that a component is absent from a build; empty when its SBOM proves it."""
    if build["broken"] or build["level"] is None:
        return build["broken"] or "no SBOM"
    if build["level"] < enough:
        return CLAIMS[build["level"]] + (build["unread"] if build["level"] == 1 else "")
    if parsed and parsed.digest and not build["hashed"]:
        return "its SBOM does not give a SHA-256 for every component"
    if parsed and parsed.purl and not build["addressed"]:
        return "its SBOM does not give a purl for every component"
    return ""


def _hits(connection: Connection, parsed: ArchiveQuestion) -> list[Row]:
    # Components that may match: their versions are not compared yet.
    condition, values = "name IN (?, ?)", [parsed.name, search_key(parsed.name)]
    if parsed.digest:
        condition, values = "sha256 = ?", [parsed.digest]
    elif parsed.purl is not None:
        bare = PackageURL(parsed.purl.type, parsed.purl.namespace, parsed.purl.name).to_string()
        condition, values = "purl BETWEEN ? AND ?", [bare, f"{bare}\U0010ffff"]
    hits = connection.execute(HITS + condition, values).fetchall()
    listed = {hit["build"] for hit in hits if not hit["node"]}
    own = connection.execute(OWN, [f"sha256:{parsed.digest}"])  # the build that made the file
    return hits + [row for row in own if row["build"] not in listed]
