"""Cases for exercise 3.8: tables of builds, and the five shares that an archive's dashboard shows.

Each row is made together with what it adds to the numerator and the denominator of every share.

    >>> next(cases(None, random.Random(1))).name
    'all in order'
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = "labs/03_sbom.ipynb, 'Five figures'"
TEACHES = {
    "all in order": "Numerator and denominator, summed over all builds.",
    "builds without an SBOM": (
        "They count below the line everywhere: as builds, and with every package of their lock. Leaving them out "
        "makes the figure better the less you have."
    ),
    "about other bytes": "A document about another build is no SBOM of this one; what it lists is not listed.",
    "signatures that nobody verified": (
        "A signature counts when it was verified against the signer you expect. A file called .sigstore.json is "
        "no verdict."
    ),
    "licences": (
        "NOASSERTION, 'BSD style' and 'see LICENSE' are not SPDX expressions; MIT OR Apache-2.0 is one. "
        "`get_spdx_licensing().validate(text).errors` knows."
    ),
    "late documents": "Fresh: made at most one day after the build, and not before it.",
    "all of it": "A build without a lock says nothing about completeness, and counts in the other four.",
}


Document = dict[str, Any]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make tables of builds and the five shares of each."""

    def case(name: str, rows: list[Document]) -> Case:
        rng.shuffle(rows)
        counted = {key: [0, 0] for key in ("coverage", "completeness", "fresh", "licensed", "signed")}
        for row in rows:
            for key, (numerator, denominator) in row.pop("truth").items():
                counted[key][0] += numerator
                counted[key][1] += denominator
        return Case(name, (rows,), counted)

    def rows(count: int, **changes: Any) -> list[Document]:
        return [_row(rng, n, **changes) for n in range(count)]

    yield case("all in order", rows(5))
    yield case("builds without an SBOM", [*rows(3), *rows(3, sbom=None)])
    yield case("about other bytes", [*rows(3), *rows(2, about=False)])
    yield case(
        "signatures that nobody verified",
        [*rows(2), *rows(2, signature="not verified"), *rows(2, signature="refused"), *rows(1, signature=None)],
    )
    yield case("licences", [*rows(4, odd=True)])
    yield case("late documents", [*rows(3, late=True), *rows(2)])
    mixed = [
        *rows(2),
        *rows(2, sbom=None, signature=None),
        *rows(2, about=False),
        *rows(2, odd=True, late=True),
        *rows(2, lock=None),
    ]
    yield case("all of it", mixed)


def _row(
    rng: random.Random,
    number: int,
    *,
    sbom: str | None = "made",
    about: bool = True,
    signature: str | None = "verified",
    odd: bool = False,
    late: bool = False,
    lock: str | None = "there",
) -> Document:
    built = datetime(2026, rng.randrange(1, 12), rng.randrange(1, 28), rng.randrange(24), tzinfo=UTC)
    locked = [f"acme-{word}" for word in rng.sample(["fonts", "tables", "queues", "units", "codecs", "paths"], 4)]
    listed = locked[: rng.randrange(2, 5)]
    hours = rng.choice([-30, -1, 25, 300]) if late else rng.choice([0, 24, rng.randrange(24)])
    components, good = [], 0
    for name in [*listed, "acme-vendored"]:
        bad = odd and rng.random() < 0.6
        licence = rng.choice(
            ["NOASSERTION", "BSD style", "see LICENSE", None] if bad else ["MIT", "BSD-3-Clause", "MIT OR Apache-2.0"]
        )
        components.append({"name": name, "licence": licence})
        good += not bad
    usable = sbom is not None and about
    digest = f"sha256:{rng.randbytes(32).hex()}"
    return {
        "build": f"triage-model {number}.{rng.randrange(10**6)}",
        "digest": digest,
        "built_at": built.isoformat(),
        "lock": locked if lock else None,
        "signature": signature,
        "sbom": sbom
        and {
            "about": digest if about else f"sha256:{rng.randbytes(32).hex()}",
            "made_at": (built + timedelta(hours=hours)).isoformat(),
            "components": components,
        },
        "truth": {
            "coverage": (int(usable), 1),
            "completeness": (len(listed) if usable and lock else 0, len(locked) if lock else 0),
            "fresh": (int(usable and not late), 1),
            "licensed": (good if usable else 0, len(components) if usable else 0),
            "signed": (int(signature == "verified"), 1),
        },
    }
