"""Cases for exercise 4.3: a bad artifact has provenance; which promise was never made?

The provenance of every case is really signed, and says what the host saw. The case decides which file went in, and
which run wrote it, so it knows the promise that the provenance does not make.

    >>> sorted(PROMISES)[:2]
    ['completeness', 'dependency']
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.releases import provenance
from chainlab.course.exercises.fixtures.signers import TestSigner
from chainlab.digests import Digest

__all__ = ["PROMISES", "cases"]

SEE = "notebooks/04a_attestation.ipynb, 'What it never said'"
TEACHES = {
    "an honest release": "The six steps hold and no file is bad. Suspicion is not a finding.",
    "the maintainer's own commit": (
        "The bad file is in the commit that the provenance names. It says *which* source, truly; whether "
        "somebody read it is the source track's question."
    ),
    "a cache of another run": (
        "Signature, subject, builder and source all hold. Another run wrote the cache that this one restored, "
        "and Build L1 and L2 do not promise to keep runs apart; L3 does."
    ),
    "a listed package": (
        "The package is in resolvedDependencies, with its digest. Provenance lists ingredients and tastes none."
    ),
    "a script fetched by a step": (
        "The build fetched it itself, and the list does not have it. Completeness of resolvedDependencies is "
        "best effort, even at L3."
    ),
    "a model that learned the wrong thing": (
        "No file is bad. The model misses what it is for, and no provenance says how well it does."
    ),
    "one miss more than is fit": "More than 10 of 100 is not fit for use, and 11 is more. No file is bad here either.",
    "bytes of somebody else": (
        "The statement is about other bytes: the second step fails. Here the provenance did its work."
    ),
    "a build on a laptop": ("A valid signature by a person, where the platform's was asked for. The first step fails."),
    "a listed package with a harmless cache": (
        "The other run's cache is there, and its digest is not the bad file's. Follow the bytes."
    ),
    "no bad file, and few misses": (
        "A cache by another run is a risk that this release was exposed to. No byte of it is bad."
    ),
}


PROMISES = {
    "nothing": "nothing is wrong with it",
    "evidence": "the evidence does not hold for these bytes, and promises nothing about them",
    "source": "that the source is harmless",
    "dependency": "that what is listed is harmless",
    "completeness": "that everything which went in is listed",
    "isolation": "that no other run could influence this one",
    "fitness": "that the artifact does what it is for",
}


Ingredient = tuple[str, Digest, int, bool]  # name, digest, the run that wrote it, whether the provenance lists it


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make one release for each promise, and some in which the obvious answer is wrong."""
    releases = _Releases(lab, rng)
    yield from releases.one_for_each_promise()
    yield from releases.other_than_obvious()


class _Releases:
    """Releases of one version by one run; one of their ingredients may be bad."""

    def __init__(self, lab: LabContext, rng: random.Random) -> None:
        self.rng, self.signer = rng, TestSigner(lab.trust)
        self.run, self.other_run = rng.sample(range(100, 900), 2)
        self.version = f"v2.{rng.randrange(40)}.0"
        self.bad = Digest.of(rng.randbytes(20))
        self.harmless = [Digest.of(rng.randbytes(20)) for _ in range(3)]
        self.listed = ("numlib", self.harmless[2], self.run, True)
        self.poisoned_cache = ("cache: deps", self.bad, self.other_run, False)

    def case(
        self,
        name: str,
        promise: str,
        *entered: Ingredient,
        committed: tuple[Digest, ...] = (),
        found_bad: bool = True,
        missed: int = 0,
        spoil: str = "",
    ) -> Case:
        """Make the case: what ``entered`` the build beside the ``committed`` files; the model ``missed`` n of 100."""
        artifact = Digest.of(self.rng.randbytes(20))
        used = tuple(
            {"uri": f"pkg:pypi/{what}", "digest": {"sha256": digest.value.hex()}}
            for what, digest, _, listed in entered
            if listed
        )
        statement = provenance("build", {"artifact": artifact}, self.version, self.run, used=used)
        by_person = spoil == "a laptop"
        bundle = self.signer.person(statement, "alice@example.com") if by_person else self.signer.host(statement)
        if spoil == "other bytes":
            artifact = self.bad
        release: dict[str, Any] = {
            "artifact": str(artifact),
            "bundle": bundle.decode(),
            "run": self.run,
            "bad_file": str(self.bad) if found_bad else None,
            "commit": {f"src/{i}.py": str(d) for i, d in enumerate((*self.harmless[:2], *committed))},
            "entered": [
                {"what": what, "digest": str(digest), "written_by_run": writer} for what, digest, writer, _ in entered
            ],
            "misses_of_100": missed,
        }
        return Case(name, (release,), promise)

    def one_for_each_promise(self) -> Iterator[Case]:
        """An honest release, and one for each promise that was not made."""
        listed, few, many = self.listed, self.rng.randrange(9), (40, 90)
        yield self.case("an honest release", "nothing", listed, found_bad=False, missed=few)
        yield self.case("the maintainer's own commit", "source", listed, committed=(self.bad,))
        yield self.case("a cache of another run", "isolation", listed, self.poisoned_cache)
        yield self.case("a listed package", "dependency", ("helperlib", self.bad, self.run, True), listed)
        script = ("https://tools.example.com/setup.sh", self.bad, self.run, False)
        yield self.case("a script fetched by a step", "completeness", listed, script)
        missed = self.rng.randrange(*many)
        name = "a model that learned the wrong thing"
        yield self.case(name, "fitness", listed, found_bad=False, missed=missed)
        yield self.case("one miss more than is fit", "fitness", listed, found_bad=False, missed=11)

    def other_than_obvious(self) -> Iterator[Case]:
        """Evidence that does not hold, and caches that are harmless."""
        listed = self.listed
        name = "bytes of somebody else"
        yield self.case(name, "evidence", listed, self.poisoned_cache, spoil="other bytes")
        yield self.case("a build on a laptop", "evidence", listed, committed=(self.bad,), spoil="a laptop")
        bad_package = ("helperlib", self.bad, self.run, True)
        one, two = (("cache: deps", digest, self.other_run, False) for digest in self.harmless[:2])
        yield self.case("a listed package with a harmless cache", "dependency", bad_package, one)
        yield self.case("no bad file, and few misses", "nothing", listed, two, found_bad=False, missed=10)
