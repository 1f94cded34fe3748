"""Cases for exercise 3.5: advisories whose versions were placed on a ladder before any record was written.

A ladder is a list of versions in the order in which they were released. An advisory covers a stretch of it, by places;
so which build is affected is known without comparing two versions.

    >>> [LADDER.index(v) for v in ("1.9.0", "1.10.0", "2.0rc1", "2.0")]
    [1, 2, 5, 6]

OSV schema 1.7.5; PEP 440.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from packageurl import PackageURL

from chainlab.course.learning.checks import Case, World

__all__ = ["LADDER", "Releases", "cases"]

SEE = "labs/03_sbom.ipynb, 'Twenty builds, and one advisory'"
TEACHES = {
    "plain ranges": (
        "Events in their order: `introduced` switches on, `fixed` switches off at exactly that version, '0' is "
        "before all versions. Ranges of type GIT speak of commits: skip them."
    ),
    "ten comes after nine": (
        "'1.10.0' < '1.9.0' as text; 2.0rc1 comes before 2.0, a local version after its public one, an epoch "
        "(1!) after everything without. `packaging.version.Version` knows; and a purl writes + as %2B."
    ),
    "other forms of a range": (
        "Two stretches with a gap; `last_affected`, which includes its version; a bare list of `versions`."
    ),
    "withdrawn": "A record with `withdrawn` has been taken back. It stays in the database, and must not count.",
    "two names, one vulnerability": (
        "Databases name the same thing differently, and `aliases` join them, over several steps too. Count it "
        "once, by the first of its ids; a withdrawn record is no reason to forget the others, and lends no name."
    ),
    "the same name": (
        "Acme_Tables and acme-tables are one package (PEP 503); acme-queues of npm is another ecosystem's."
    ),
    "all of it": "See the cases before, one by one.",
}


LADDER = [
    "1.2.0", "1.9.0", "1.10.0", "1.10.0.post1", "1.11.0+acme.3", "2.0rc1", "2.0", "2.0.1", "2.10.0", "10.0",
    "1!0.9", "1!1.0",
]  # fmt: skip
PLAIN = ["1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0", "1.9.0"]
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
        self._numbers = iter(rng.sample(range(100, 999), 100))
        self.advisories: list[Record] = []

    def stretch(self) -> tuple[int, int]:
        """Places from and to, without the first and the last step, so that no advisory covers all."""
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
    ) -> None:
        """Records about a package, one per id, each an alias of the next; they cover the places [from, to)."""
        names = ids or [f"ACME-2026-{next(self._numbers)}"]
        for number, id_ in enumerate(names):
            record: Record = {
                "schema_version": "1.7.5",
                "id": id_,
                "modified": "2026-09-01T00:00:00Z",
                "aliases": names[number + 1 : number + 2],
                "summary": "Made up for this course.",
                "affected": [
                    {
                        "package": {"ecosystem": ecosystem, "name": shown or name},
                        "ranges": [
                            {"type": "GIT", "repo": "https://git.example", "events": [{"introduced": "0"}]},
                            *([] if form == "versions" else [self._range(stretches, form)]),
                        ],
                    }
                ],
            }
            if form == "versions":
                record["affected"][0]["versions"] = [v for start, stop in stretches for v in self._ladder[start:stop]]
            if number in (withdrawn or []):
                record["withdrawn"] = "2026-09-02T00:00:00Z"
            self.advisories.append(record)
        alive = [id_ for number, id_ in enumerate(names) if number not in (withdrawn or [])]
        if not counts or not alive:
            return
        for build, places in self._builds.items():
            if name in places and any(start <= places[name] < stop for start, stop in stretches):
                self._hits.setdefault(build, set()).add(min(alive))

    def names(self, count: int) -> list[str]:
        """Ids of several databases for one vulnerability, in no order."""
        made = [f"{kind}-2026-{next(self._numbers)}" for kind in ("PYSEC", "ACME", "MAL", "EXA")[:count]]
        self._rng.shuffle(made)
        return made

    def case(self, name: str) -> Case:
        """Advisories and documents, and who is affected by what."""
        self._rng.shuffle(self.advisories)
        documents = {build: self._document(places) for build, places in self._builds.items()}
        return Case(name, (self.advisories, documents), {b: sorted(h) for b, h in self._hits.items()})

    def _places(self) -> dict[str, int]:
        chosen = self._rng.sample(NAMES, self._rng.randrange(2, 4))
        return {name: self._rng.randrange(len(self._ladder)) for name in chosen}

    def _range(self, stretches: list[tuple[int, int]], form: str) -> Record:
        events = []
        for start, stop in stretches:
            events.append({"introduced": "0" if start == 0 else self._ladder[start]})
            if form == "last":
                events.append({"last_affected": self._ladder[stop - 1]})
            elif form != "open":
                events.append({"fixed": self._ladder[stop]})
        return {"type": "ECOSYSTEM", "events": events}

    def _document(self, places: dict[str, int]) -> Record:
        components = []
        for name, place in places.items():
            purl = PackageURL("pypi", None, name, self._ladder[place]).to_string()
            components.append(
                {"type": "library", "bom-ref": name, "name": name, "version": self._ladder[place], "purl": purl}
            )
        return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


def cases(lab: World, rng: random.Random) -> Iterator[Case]:
    """Twenty builds each time; advisories in all the forms that OSV allows."""
    made = Releases(rng)
    for name in NAMES[:2]:
        made.advise(name, [made.stretch()])
    made.advise(NAMES[2], [(0, 3)])
    made.advise(NAMES[3], [(5, len(PLAIN))], form="open")
    yield made.case("plain ranges")
    made = Releases(rng, LADDER)
    made.advise(NAMES[0], [(1, 3)])  # 1.9.0 to before 1.10.0.post1
    made.advise(NAMES[1], [(2, 6)])  # 1.10.0 to before 2.0
    made.advise(NAMES[2], [(7, 9)])
    made.advise(NAMES[3], [(4, 11)])
    yield made.case("ten comes after nine")
    made = Releases(rng, LADDER)
    made.advise(NAMES[0], [(1, 5), (7, 10)])
    made.advise(NAMES[1], [(2, 6)], form="last")
    made.advise(NAMES[2], [(1, 4), (6, 8)], form="versions")
    made.advise(NAMES[3], [(0, 3), (5, 8)], form="last")
    yield made.case("other forms of a range")
    made = Releases(rng)
    made.advise(NAMES[0], [made.stretch()], withdrawn=[0])
    made.advise(NAMES[1], [made.stretch()])
    made.advise(NAMES[2], [(0, 6)], withdrawn=[0, 1], ids=made.names(2))
    yield made.case("withdrawn")
    made = Releases(rng)
    made.advise(NAMES[0], [made.stretch()], ids=made.names(2))
    made.advise(NAMES[1], [made.stretch()], ids=made.names(4))
    made.advise(NAMES[2], [(1, 6)], ids=made.names(3), withdrawn=[rng.randrange(3)])
    yield made.case("two names, one vulnerability")
    made = Releases(rng)
    made.advise(NAMES[0], [made.stretch()], shown="Acme_Tables")
    made.advise(NAMES[1], [(0, 7)], ecosystem="npm", counts=False)
    made.advise("acme-table", [(0, 7)], counts=False)
    made.advise(NAMES[3], [made.stretch()], shown="acme.codecs")
    yield made.case("the same name")
    made = Releases(rng, LADDER)
    for name in NAMES:
        made.advise(
            name, [made.stretch()], ids=made.names(rng.randrange(1, 4)), form=rng.choice(["fixed", "last", "versions"])
        )
    made.advise(NAMES[0], [made.stretch()], withdrawn=[0])
    yield made.case("all of it")
