"""Cases for exercise 3.5: advisories about stretches of a ladder of versions.

A ladder is a list of versions in the order in which they were released. An advisory covers a stretch of it, given by
places. So the affected builds are known without comparing two versions.

    >>> [LADDER.index(v) for v in ("1.9.0", "1.10.0", "2.0rc1", "2.0")]
    [1, 2, 5, 6]

OSV schema 1.7.5; PEP 440.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from packageurl import PackageURL

from chainlab.course.cases import Case, LabContext

__all__ = ["LADDER", "Releases", "cases"]

SEE = "labs/03_sbom.ipynb, 'Twenty builds, and one advisory'"
TEACHES = {
    "plain ranges": (
        "`introduced` switches on, `fixed` switches off at exactly that version, '0' is "
        "before all versions. Ranges of type GIT speak of commits: skip them."
    ),
    "ten comes after nine": (
        "'1.10.0' < '1.9.0' as text; 2.0rc1 comes before 2.0, a local version after its public one, an epoch "
        "(1!) after everything without. `packaging.version.Version` knows; and a purl writes + as %2B."
    ),
    "events in another order": (
        "OSV's schema recommends an order of `events` and does not require one; its algorithm sorts them by version "
        'first, with "0" before everything.'
    ),
    "other forms of a range": (
        "Two stretches with a gap; `last_affected`, which includes its version; a bare list of `versions`."
    ),
    "versions beside a range": "A version that `versions` names is affected, whether a range covers it or not.",
    "two ranges, two entries": (
        "`affected` is a list, and so is `ranges`: a version is affected if any range of any entry for its package "
        "covers it."
    ),
    "withdrawn": "A record with `withdrawn` has been taken back. It stays in the database, and must not count.",
    "two names, one vulnerability": (
        "Databases name the same thing differently, and `aliases` join them, over several steps too. Count it "
        "once, by the first of its ids; a withdrawn record is no reason to forget the others, and lends no name."
    ),
    "an alias without a record": (
        "An alias joins the records that name it, though nobody gave you its own record. It lends no name: a "
        "vulnerability is called by the id of a record."
    ),
    "the same name": (
        "Acme_Tables and acme-tables are one package (PEP 503); an advisory about acme-queues of npm is about another."
    ),
    "a component of npm": (
        "A build may list `pkg:npm/acme-tables@1.4.0`. That is no package of PyPI: ask the purl for its `type`."
    ),
    "all of it": "See the cases before, one by one.",
}


LADDER = [
    "1.2.0", "1.9.0", "1.10.0", "1.10.0.post1", "1.11.0+acme.3", "2.0rc1", "2.0", "2.0.1", "2.10.0", "10.0",
    "1!0.9", "1!1.0",
]  # fmt: skip
PLAIN = ["0.dev3", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0", "1.9.0"]
NAMES = ["acme-tables", "acme-queues", "acme-fonts", "acme-codecs"]
BUILDS = 20

Record = dict[str, Any]


class Releases:
    """Twenty builds, each with a place on the ladder of every package, and advisories about stretches of it."""

    def __init__(self, rng: random.Random, ladder: list[str] | None = None) -> None:
        self._rng, self._ladder = rng, ladder or PLAIN
        first = rng.randrange(2, 30)
        self._builds = {f"triage-model 1.4.{first + n}": self._places() for n in range(BUILDS)}
        self._hits: dict[str, set[str]] = {}
        self._foreign: dict[str, dict[str, int]] = {}  # build to npm packages and their places
        self._numbers = iter(rng.sample(range(100, 999), 100))
        self.advisories: list[Record] = []

    def stretch(self) -> tuple[int, int]:
        """Choose a stretch of places [from, to), without the first and the last, so that no advisory covers all."""
        start = self._rng.randrange(1, len(self._ladder) - 3)
        return start, self._rng.randrange(start + 1, len(self._ladder) - 1)

    def advise(
        self,
        name: str,
        stretches: list[tuple[int, int]],
        *,
        form: str = "fixed",
        ids: list[str] | None = None,
        counts: bool = True,
        withdrawn: list[int] | None = None,
        ecosystem: str = "PyPI",
        shown: str = "",
        absent: int | None = None,
    ) -> None:
        """Add records about a package, one per id, each an alias of the next; they cover the places [from, to).

        ``absent`` is the place of an id that other records have as an alias, and that has no record of its own.
        """
        names = ids or [f"ACME-2026-{next(self._numbers)}"]
        for number, id_ in enumerate(names):
            beside = [number + 1] if absent is None else [number - 1, number + 1]
            record: Record = {
                "schema_version": "1.7.5",
                "id": id_,
                "modified": "2026-09-01T00:00:00Z",
                "aliases": [names[n] for n in beside if 0 <= n < len(names)],
                "summary": "Made up for this course.",
                "affected": [
                    {
                        "package": {"ecosystem": ecosystem, "name": shown or name},
                        "ranges": [
                            {"type": "GIT", "repo": "https://git.example", "events": [{"introduced": "0"}]},
                            *self._ranges(stretches, form),
                        ],
                    }
                ],
            }
            if form == "entries":
                [entry] = record["affected"]
                record["affected"] = [{**entry, "ranges": [*entry["ranges"][:1], one]} for one in entry["ranges"][1:]]
            if not record["aliases"]:
                del record["aliases"]
            if form == "versions":
                del record["affected"][0]["ranges"]
                record["affected"][0]["versions"] = [v for start, stop in stretches for v in self._ladder[start:stop]]
            if number in (withdrawn or []):
                record["withdrawn"] = "2026-09-02T00:00:00Z"
            if form == "beside":
                start, stop = stretches[-1]
                record["affected"][0]["versions"] = self._ladder[start:stop]
            if number != absent:
                self.advisories.append(record)
        alive = [id_ for number, id_ in enumerate(names) if number not in (withdrawn or []) and number != absent]
        if not counts or not alive:
            return
        for build, places in self._builds.items():
            if name in places and any(start <= places[name] < stop for start, stop in stretches):
                self._hits.setdefault(build, set()).add(min(alive))

    def add_npm(self, name: str) -> None:
        """Add a package of npm by this name to every build without the package."""
        for build, places in self._builds.items():
            if name not in places:
                self._foreign[build] = {name: self._rng.randrange(len(self._ladder))}

    def names(self, count: int) -> list[str]:
        """Make ids of several databases for one vulnerability, in no order."""
        ids = [f"{kind}-2026-{next(self._numbers)}" for kind in ("PYSEC", "ACME", "MAL", "EXA")[:count]]
        self._rng.shuffle(ids)
        return ids

    def case(self, name: str) -> Case:
        """Make the case: advisories, documents, and which build is affected by what."""
        self._rng.shuffle(self.advisories)
        documents = {build: self._document(places) for build, places in self._builds.items()}
        for build, places in self._foreign.items():
            listed = documents[build]["components"]
            listed += [{**c, "purl": c["purl"].replace("pypi", "npm")} for c in self._document(places)["components"]]
        return Case(name, (self.advisories, documents), {b: sorted(h) for b, h in self._hits.items()})

    def _places(self) -> dict[str, int]:
        chosen = self._rng.sample(NAMES, self._rng.randrange(2, 4))
        return {name: self._rng.randrange(len(self._ladder)) for name in chosen}

    def _ranges(self, stretches: list[tuple[int, int]], form: str) -> list[Record]:
        if form == "beside":  # the last stretch is a list of versions
            return [self._range(stretches[:-1], "fixed")]
        if form in ("ranges", "entries"):
            return [self._range([stretch], "fixed") for stretch in stretches]
        return [self._range(stretches, form)]

    def _range(self, stretches: list[tuple[int, int]], form: str) -> Record:
        events = []
        for start, stop in stretches:
            events.append({"introduced": "0" if start == 0 else self._ladder[start]})
            if form == "last":
                events.append({"last_affected": self._ladder[stop - 1]})
            elif form != "open":
                events.append({"fixed": self._ladder[stop]})
        if form == "shuffled":
            events.reverse()
        return {"type": "ECOSYSTEM", "events": events}

    def _document(self, places: dict[str, int]) -> Record:
        components = []
        for name, place in places.items():
            purl = PackageURL("pypi", None, name, self._ladder[place]).to_string()
            components.append(
                {"type": "library", "bom-ref": name, "name": name, "version": self._ladder[place], "purl": purl}
            )
        return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make twenty builds each time, and advisories in all the forms that OSV allows."""
    yield from _ranges(rng)
    yield from _records(rng)
    yield from _packages(rng)
    yield _all(rng)


def _ranges(rng: random.Random) -> Iterator[Case]:
    """Forms of a range."""
    releases = Releases(rng)
    for name in NAMES[:2]:
        releases.advise(name, [releases.stretch()])
    releases.advise(NAMES[2], [(0, 3)])
    releases.advise(NAMES[3], [(5, len(PLAIN))], form="open")
    yield releases.case("plain ranges")
    releases = Releases(rng, LADDER)
    releases.advise(NAMES[0], [(1, 3)])  # 1.9.0 to before 1.10.0.post1
    releases.advise(NAMES[1], [(2, 6)])  # 1.10.0 to before 2.0
    releases.advise(NAMES[2], [(7, 9)])
    releases.advise(NAMES[3], [(4, 11)])
    yield releases.case("ten comes after nine")
    releases = Releases(rng)
    releases.advise(NAMES[0], [(1, 3), (5, 7)], form="shuffled")
    releases.advise(NAMES[1], [releases.stretch()], form="shuffled")
    releases.advise(NAMES[2], [(0, 2), (4, 6)], form="shuffled")
    yield releases.case("events in another order")
    releases = Releases(rng, LADDER)
    releases.advise(NAMES[0], [(1, 5), (7, 10)])
    releases.advise(NAMES[1], [(2, 6)], form="last")
    releases.advise(NAMES[2], [(1, 4), (6, 8)], form="versions")
    releases.advise(NAMES[3], [(0, 3), (5, 8)], form="last")
    yield releases.case("other forms of a range")
    releases = Releases(rng)
    releases.advise(NAMES[0], [(1, 3), (5, 7)], form="beside")
    releases.advise(NAMES[1], [(2, 4), (6, 7)], form="beside")
    yield releases.case("versions beside a range")
    releases = Releases(rng)
    releases.advise(NAMES[0], [(1, 3), (5, 7)], form="ranges")
    releases.advise(NAMES[1], [(1, 3), (4, 7)], form="entries")
    yield releases.case("two ranges, two entries")


def _records(rng: random.Random) -> Iterator[Case]:
    """Records that were withdrawn, and records with aliases."""
    releases = Releases(rng)
    releases.advise(NAMES[0], [releases.stretch()], withdrawn=[0])
    releases.advise(NAMES[1], [releases.stretch()])
    releases.advise(NAMES[2], [(0, 6)], withdrawn=[0, 1], ids=releases.names(2))
    yield releases.case("withdrawn")
    releases = Releases(rng)
    releases.advise(NAMES[0], [releases.stretch()], ids=releases.names(2))
    releases.advise(NAMES[1], [releases.stretch()], ids=releases.names(4))
    ids = releases.names(3)
    releases.advise(NAMES[2], [(1, 6)], ids=ids, withdrawn=[ids.index(min(ids))])
    yield releases.case("two names, one vulnerability")
    releases = Releases(rng)
    releases.advise(NAMES[0], [releases.stretch()], ids=releases.names(3), absent=1)
    releases.advise(NAMES[1], [(1, 6)], ids=sorted(releases.names(3)), absent=0)
    yield releases.case("an alias without a record")


def _packages(rng: random.Random) -> Iterator[Case]:
    """Spellings of a package's name, and other ecosystems."""
    releases = Releases(rng)
    releases.advise(NAMES[0], [releases.stretch()], shown="Acme_Tables")
    releases.advise(NAMES[1], [(0, 7)], ecosystem="npm", counts=False)
    releases.advise("acme-table", [(0, 7)], counts=False)
    releases.advise(NAMES[3], [releases.stretch()], shown="acme.codecs")
    yield releases.case("the same name")
    releases = Releases(rng)
    releases.advise(NAMES[0], [(0, 7)])
    releases.advise(NAMES[1], [releases.stretch()])
    releases.add_npm(NAMES[0])
    yield releases.case("a component of npm")


def _all(rng: random.Random) -> Case:
    releases = Releases(rng, LADDER)
    for name in NAMES:
        releases.advise(
            name,
            [releases.stretch()],
            ids=releases.names(rng.randrange(1, 4)),
            form=rng.choice(["fixed", "last", "versions"]),
        )
    releases.advise(NAMES[0], [releases.stretch()], withdrawn=[0])
    return releases.case("all of it")
