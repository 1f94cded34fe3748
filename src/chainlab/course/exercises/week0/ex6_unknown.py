"""Cases for exercise 0.6: three kinds of answer. The truth is how many events of each kind were made."""

from __future__ import annotations

import random
from collections.abc import Iterator

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = "notebooks/00f_policies.ipynb, 'NULL: the third answer'"
TEACHES = {
    "all of it known": "Two kinds of upload, both counted.",
    "some of it unknown": (
        "A missing workflow is neither equal to release.yml nor different from it: both comparisons give NULL, "
        "and WHERE drops NULL. Ask `IS NULL`."
    ),
    "nothing known": (
        "An upload that nobody accounts for is the one that a stolen token would make. And `sum` over nothing "
        "but NULL is NULL: count rows."
    ),
    "other events too": (
        "Only uploads count, whether the other events name a workflow or not: a finished run uploads nothing, and a "
        "removed package is gone."
    ),
    "no uploads": ("Over no rows `sum` gives NULL, `count` gives 0. Nothing happened is not the same as nobody knows."),
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make events with a known number of each kind; some have no `workflow` field at all."""

    def case(name: str, release: int, other: int, unknown: int, noise: int = 0) -> Case:
        upload = "package.uploaded"
        events: list[dict[str, str]] = []
        for count, extra in ((release, {"workflow": "release.yml"}), (unknown, {})):
            events += [{"type": upload, "subject": _wheel(rng), **extra} for _ in range(count)]
        others = ["test.yml", "docs.yml", "Release.yml"]
        events += [{"type": upload, "subject": _wheel(rng), "workflow": rng.choice(others)} for _ in range(other)]
        for extra in ({"workflow": "release.yml"}, {"workflow": "test.yml"}, {}):
            events += [{"type": "run.finished", "subject": f"run {rng.randrange(100)}", **extra} for _ in range(noise)]
            events += [{"type": "package.removed", "subject": _wheel(rng), **extra} for _ in range(noise)]
        rng.shuffle(events)
        truth = {"release": release, "other": other, "unknown": unknown}
        return Case(name, (events,), truth)

    few = [rng.randrange(1, 9) for _ in range(9)]
    yield case("all of it known", few[0], few[1], 0)
    yield case("some of it unknown", few[2], few[3], few[4])
    yield case("nothing known", 0, 0, few[5])
    yield case("other events too", few[6], few[7], few[8], noise=few[0])
    yield case("no uploads", 0, 0, 0, noise=few[1])


def _wheel(rng: random.Random) -> str:
    return f"triage-{rng.randrange(1, 5)}.{rng.randrange(10)}.{rng.randrange(10)}-py3-none-any.whl"
