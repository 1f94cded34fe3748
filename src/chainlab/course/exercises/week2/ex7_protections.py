"""Cases for exercise 2.7: whom did a protection inside an action reach?

A state is what a mirror knows of ``actions/checkout`` at one moment: its commits with their parents,
what tags and branches name, and which commits brought the protection in. Users are how workflows
refer to it. Two worlds occur: one before 20 July 2026, in which only v7 has it, and one after the
backport to v4, v5 and v6.

    >>> import random
    >>> [case.name for case in protections(None, random.Random(1))][0]
    'versions and branches'
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.learning.checks import Case, LabContext, Miss
from chainlab.course.learning.plain_data import short

__all__ = ["cases"]

SEE = "labs/02_hardening.ipynb, 'A pin is a promise to come back'"
TEACHES = {
    "versions and branches": (
        "No backport in this state: who follows v7 or main has it. A tag of an old major is where it was, "
        "floating or not. A commit has several parents where a line was merged: ask all of them."
    ),
    "the pinned ones": (
        "A pin keeps bad bytes out and good ones too. What counts is whether the commit you pinned descends from "
        "the one that brought the protection in."
    ),
    "the backport came": (
        "In this state v4, v5 and v6 were moved to commits that carry it. The floating tags got it overnight; "
        "`v4.2.2` and the pins of yesterday did not, and nor did v1."
    ),
    "a merge": (
        "A merge has two parents, and the protection may have come by either. Ancestors are the parents of all parents."
    ),
    "switched off, and gone round": (
        "The input `allow-unsafe-pr-checkout` turns it off, and a `git fetch` of your own never asks the action. "
        "Having the code is not having the protection. `false`, as a word or as a text, turns nothing off."
    ),
    "inside another action": (
        "The checkout that counts is the one that runs: an action's own, at the ref that *it* names, however many "
        "actions stand between."
    ),
    "a whole estate": "Resolve, ask the history, then ask whether it is in force.",
}


CHECKOUT = "actions/checkout"


class _Mirror:
    """The state, and which of its names lead to the protection."""

    def __init__(self, rng: random.Random, *, backport: bool) -> None:
        self.rng = rng
        commit = self._commit
        self.parents: dict[str, list[str]] = {}
        first = commit()
        old = {major: commit(first) for major in ("v1", "v4", "v5", "v6")}
        fixed = {major: commit(old[major]) for major in ("v4", "v5", "v6")} if backport else {}
        protected = commit(old["v6"])
        main = commit(protected)
        merged = commit(main, old["v5"])  # a merge of a line without it; main has it all the same
        self.joined = commit(old["v5"], main)  # the other way round: a line without it took it in
        self.refs = {
            "v1": old["v1"],
            "v4": fixed.get("v4", old["v4"]),
            "v4.2.2": old["v4"],
            "v5": fixed.get("v5", old["v5"]),
            "v6": fixed.get("v6", old["v6"]),
            "v7": main,
            "v7.0.0": protected,
            "main": merged,
        }
        self.added = sorted({protected, *fixed.values()})
        self.old, self.new = list(old.values()), [protected, main, merged, *fixed.values()]
        self.unmerged = commit(old["v6"])  # in a branch that never got it
        self.refs["try-something"] = self.unmerged
        self.safe = {"v7", "v7.0.0", "main", *(major for major in fixed)}

    def _commit(self, *parents: str) -> str:
        name = f"{self.rng.getrandbits(160):040x}"
        self.parents[name] = list(parents)
        return name

    def state(self, inner: dict[str, str] | None = None) -> dict[str, Any]:
        """What the exercise is given."""
        return {"parents": self.parents, "refs": self.refs, "protection_added_by": self.added, "inside": inner or {}}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Estates of workflows that check out a pull request's head on ``pull_request_target``."""
    taken: set[str] = set()

    def user(uses: str, *, by_hand: bool = False, unsafe: bool | str | None = None) -> dict[str, Any]:
        name = f"{rng.choice(['label', 'greet', 'size', 'docs', 'scan'])}-{rng.randrange(10_000)}"
        while name in taken:
            name += "x"
        taken.add(name)
        ref = "${{ github.event.pull_request.head.sha }}"
        inputs: dict[str, Any] = {} if by_hand else {"ref": ref}
        fetch = 'git fetch origin "pull/$NUMBER/head" && git checkout FETCH_HEAD'
        return {
            "name": name,
            "uses": uses,
            "with": inputs | ({} if unsafe is None else {"allow-unsafe-pr-checkout": unsafe}),
            "run": fetch if by_hand else "make size",
        }

    def case(
        name: str, mirror: _Mirror, users: list[tuple[dict[str, Any], bool]], inner: dict[str, str] | None = None
    ) -> Case:
        rng.shuffle(users)
        truth = {one["name"] for one, protected in users if protected}
        args = (mirror.state(inner), [one for one, _ in users])
        return Case(name, args, truth, accept=_names(args[1], truth))

    def by_ref(mirror: _Mirror) -> list[tuple[dict[str, Any], bool]]:
        return [(user(f"{CHECKOUT}@{ref}"), ref in mirror.safe) for ref in mirror.refs]

    mirror = _Mirror(rng, backport=False)
    yield case("versions and branches", mirror, by_ref(mirror))
    mirror = _Mirror(rng, backport=False)
    yield case(
        "the pinned ones",
        mirror,
        [(user(f"{CHECKOUT}@{commit}"), False) for commit in mirror.old]
        + [(user(f"{CHECKOUT}@{commit}"), True) for commit in mirror.new]
        + [(user(f"{CHECKOUT}@{mirror.unmerged}"), False)],
    )
    mirror = _Mirror(rng, backport=False)
    yield case(
        "a merge",
        mirror,
        [
            (user(f"{CHECKOUT}@{mirror.joined}"), True),
            (user(f"{CHECKOUT}@main"), True),
            (user(f"{CHECKOUT}@{mirror.unmerged}"), False),
        ],
    )
    mirror = _Mirror(rng, backport=True)
    yield case(
        "the backport came", mirror, by_ref(mirror) + [(user(f"{CHECKOUT}@{commit}"), False) for commit in mirror.old]
    )
    mirror = _Mirror(rng, backport=True)
    yield case(
        "switched off, and gone round",
        mirror,
        [
            (user(f"{CHECKOUT}@v7", unsafe=True), False),
            (user(f"{CHECKOUT}@v6", unsafe="true"), False),
            (user(f"{CHECKOUT}@v7", unsafe=False), True),
            (user(f"{CHECKOUT}@v7.0.0", unsafe="false"), True),
            (user(f"{CHECKOUT}@{mirror.new[0]}", by_hand=True), False),
            (user(f"{CHECKOUT}@v7"), True),
            (user(f"{CHECKOUT}@v1", unsafe=True), False),
        ],
    )
    mirror = _Mirror(rng, backport=rng.random() < 0.5)
    inner = {
        "acme/prepare@v1": f"{CHECKOUT}@{mirror.old[0]}",
        "acme/prepare@v2": f"{CHECKOUT}@v7",
        f"acme/begin@{rng.getrandbits(160):040x}": f"{CHECKOUT}@main",
        "northwind-ml/ready@v3": "acme/prepare@v1",
        "northwind-ml/ready@v4": "acme/prepare@v2",
        "acme/all-in-one@v1": "northwind-ml/ready@v4",
    }
    answers = dict(zip(inner, (False, True, True, False, True, True), strict=True))
    yield case(
        "inside another action",
        mirror,
        [(user(reference), protected) for reference, protected in answers.items()],
        inner,
    )
    mirror = _Mirror(rng, backport=rng.random() < 0.5)
    inner = {"acme/prepare@v1": f"{CHECKOUT}@v6", "acme/prepare@v2": f"{CHECKOUT}@{mirror.new[1]}"}
    mixed = [
        *by_ref(mirror),
        *((user(f"{CHECKOUT}@{commit}"), False) for commit in mirror.old),
        *((user(f"{CHECKOUT}@{commit}"), True) for commit in mirror.new),
        (user(f"{CHECKOUT}@v7", by_hand=True), False),
        (user(f"{CHECKOUT}@main", unsafe=True), False),
        (user("acme/prepare@v1"), "v6" in mirror.safe),
        (user("acme/prepare@v2"), True),
    ]
    yield case("a whole estate", mirror, mixed, inner)


def _names(users: list[dict[str, Any]], truth: set[str]) -> Callable[[Any], bool | Miss]:
    """Accepts the truth; else shows the first user who is missing or too many."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, list):  # plain data: a set comes as a sorted list
            return Miss("expected a set of names", why="")
        if strange := [n for n in answer if n not in {user["name"] for user in users}]:
            return Miss(f"no such user: {strange[0]!r}", why="")
        for user in users:
            if (user["name"] in answer) != (user["name"] in truth):
                does = "refuses" if user["name"] in truth else "does not refuse"
                return Miss(f"this user's next run {does} a fork's head: {short(user, 400)}")
        return True

    return accept
