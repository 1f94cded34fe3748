"""Cases for exercise 4.3: a bad artifact with provenance; which promise was never made?

The provenance of every case is really signed, and says what the host saw. What went in, by whose hand and with which
file, is decided here, so the case knows which sentence nobody said.

    >>> sorted(PROMISES)[:2]
    ['completeness', 'dependency']
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from chainlab.course.exercises.fixtures.releases import TestSigner, provenance
from chainlab.course.learning.checks import Case, LabContext
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


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """One release for each promise, and some in which the obvious answer is wrong."""
    by = TestSigner(lab.trust)
    run, other_run = rng.sample(range(100, 900), 2)
    version = f"v2.{rng.randrange(40)}.0"
    bad = Digest.of(rng.randbytes(20))
    harmless = [Digest.of(rng.randbytes(20)) for _ in range(3)]

    def release(
        name: str,
        promise: str,
        *,
        entered: tuple[tuple[str, Digest, int, bool], ...],
        committed: tuple[Digest, ...] = (),
        found_bad: bool = True,
        missed: int = 0,
        spoil: str = "",
    ) -> Case:
        """``entered``: name, digest, the run that wrote it, and whether the provenance lists it."""
        artifact = Digest.of(rng.randbytes(20))
        used = tuple(
            {"uri": f"pkg:pypi/{what}", "digest": {"sha256": digest.value.hex()}}
            for what, digest, _, listed in entered
            if listed
        )
        said = provenance("build", {"artifact": artifact}, version, run, used=used)
        laptop = spoil == "a laptop"
        bundle = by.person(said, "alice@example.com") if laptop else by.host(said)
        if spoil == "other bytes":
            artifact = bad
        case: dict[str, Any] = {
            "artifact": str(artifact),
            "bundle": bundle.decode(),
            "run": run,
            "bad_file": str(bad) if found_bad else None,
            "commit": {f"src/{i}.py": str(d) for i, d in enumerate((*harmless[:2], *committed))},
            "entered": [
                {"what": what, "digest": str(digest), "written_by_run": writer} for what, digest, writer, _ in entered
            ],
            "misses_of_100": missed,
        }
        return Case(name, (case,), promise)

    listed = ("numlib", harmless[2], run, True)
    yield release("an honest release", "nothing", entered=(listed,), found_bad=False, missed=rng.randrange(9))
    yield release("the maintainer's own commit", "source", committed=(bad,), entered=(listed,))
    yield release("a cache of another run", "isolation", entered=(listed, ("cache: deps", bad, other_run, False)))
    yield release("a listed package", "dependency", entered=(("helperlib", bad, run, True), listed))
    yield release(
        "a script fetched by a step",
        "completeness",
        entered=(listed, ("https://tools.example.com/setup.sh", bad, run, False)),
    )
    yield release(
        "a model that learned the wrong thing",
        "fitness",
        entered=(listed,),
        found_bad=False,
        missed=rng.randrange(40, 90),
    )
    yield release("one miss more than is fit", "fitness", entered=(listed,), found_bad=False, missed=11)
    yield release(
        "bytes of somebody else",
        "evidence",
        entered=(listed, ("cache: deps", bad, other_run, False)),
        spoil="other bytes",
    )
    yield release("a build on a laptop", "evidence", committed=(bad,), entered=(listed,), spoil="a laptop")
    yield release(
        "a listed package with a harmless cache",
        "dependency",
        entered=(("helperlib", bad, run, True), ("cache: deps", harmless[0], other_run, False)),
    )
    yield release(
        "no bad file, and few misses",
        "nothing",
        entered=(listed, ("cache: deps", harmless[1], other_run, False)),
        found_bad=False,
        missed=10,
    )
