"""Cases for exercise 2.7: which workflows did a protection inside an action reach?

A state is what a mirror knows of ``actions/checkout`` at one moment: its commits with their parents, what tags and
branches name, and which commits added the protection. A user is a workflow that refers to the action. Two kinds of
state occur: before 20 July 2026 only v7 has the protection; later v4, v5 and v6 have it too.

    >>> next(cases(None, random.Random(1))).name
    'versions and branches'
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.plain_data import short

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
    """A state, and which of its names lead to the protection."""

    def __init__(self, rng: random.Random, *, backport: bool) -> None:
        self.rng = rng
        commit = self._commit
        self.parents: dict[str, list[str]] = {}
        first = commit()
        old = {major: commit(first) for major in ("v1", "v4", "v5", "v6")}
        fixed = {major: commit(old[major]) for major in ("v4", "v5", "v6")} if backport else {}
        protected = commit(old["v6"])
        main = commit(protected)
        merged = commit(main, old["v5"])  # merges a line without it; main has it all the same
        self.joined = commit(old["v5"], main)  # the other way round: a line without it merged main
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
        self.unmerged = commit(old["v6"])  # on a branch without it
        self.refs["try-something"] = self.unmerged
        self.safe = {"v7", "v7.0.0", "main", *(major for major in fixed)}

    def _commit(self, *parents: str) -> str:
        name = f"{self.rng.getrandbits(160):040x}"
        self.parents[name] = list(parents)
        return name

    def state(self, inner: dict[str, str] | None = None) -> dict[str, Any]:
        """Give the state as the exercise sees it; ``inner`` maps actions to what they use."""
        return {"parents": self.parents, "refs": self.refs, "protection_added_by": self.added, "inside": inner or {}}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make sets of workflows that check out a pull request's head on ``pull_request_target``."""
    estates = _Estates(rng)
    yield from estates.by_commit()
    yield from estates.after_backport()
    yield from estates.inside_actions()


User = tuple[dict[str, Any], bool]  # a workflow's use of the action, and whether the protection reaches it


class _Estates:
    """Sets of users of the action, each user by a name of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.taken: set[str] = set()

    def by_commit(self) -> Iterator[Case]:
        """Before the backport: versions, pins and merges."""
        mirror = _Mirror(self.rng, backport=False)
        yield self.case("versions and branches", mirror, self.by_ref(mirror))
        mirror = _Mirror(self.rng, backport=False)
        pinned = self.pinned(mirror.old, False) + self.pinned(mirror.new, True)
        yield self.case("the pinned ones", mirror, pinned + self.pinned([mirror.unmerged], False))
        mirror = _Mirror(self.rng, backport=False)
        merges = [*self.pinned([mirror.joined], True), (self.user(f"{CHECKOUT}@main"), True)]
        yield self.case("a merge", mirror, merges + self.pinned([mirror.unmerged], False))

    def after_backport(self) -> Iterator[Case]:
        """After the backport, and where the protection is not in force."""
        mirror = _Mirror(self.rng, backport=True)
        yield self.case("the backport came", mirror, self.by_ref(mirror) + self.pinned(mirror.old, False))
        mirror = _Mirror(self.rng, backport=True)
        users = [
            (self.user(f"{CHECKOUT}@v7", unsafe=True), False),
            (self.user(f"{CHECKOUT}@v6", unsafe="true"), False),
            (self.user(f"{CHECKOUT}@v7", unsafe=False), True),
            (self.user(f"{CHECKOUT}@v7.0.0", unsafe="false"), True),
            (self.user(f"{CHECKOUT}@{mirror.new[0]}", by_hand=True), False),
            (self.user(f"{CHECKOUT}@v7"), True),
            (self.user(f"{CHECKOUT}@v1", unsafe=True), False),
        ]
        yield self.case("switched off, and gone round", mirror, users)

    def inside_actions(self) -> Iterator[Case]:
        """The action inside another one; then everything in one estate."""
        rng = self.rng
        mirror = _Mirror(rng, backport=rng.random() < 0.5)
        inner = {
            "acme/prepare@v1": f"{CHECKOUT}@{mirror.old[0]}",
            "acme/prepare@v2": f"{CHECKOUT}@v7",
            f"acme/begin@{rng.getrandbits(160):040x}": f"{CHECKOUT}@main",
            "northwind-ml/ready@v3": "acme/prepare@v1",
            "northwind-ml/ready@v4": "acme/prepare@v2",
            "acme/all-in-one@v1": "northwind-ml/ready@v4",
        }
        protected = (False, True, True, False, True, True)
        users = [(self.user(reference), truth) for reference, truth in zip(inner, protected, strict=True)]
        yield self.case("inside another action", mirror, users, inner)
        mirror = _Mirror(rng, backport=rng.random() < 0.5)
        inner = {"acme/prepare@v1": f"{CHECKOUT}@v6", "acme/prepare@v2": f"{CHECKOUT}@{mirror.new[1]}"}
        mixed = [
            *self.by_ref(mirror),
            *self.pinned(mirror.old, False),
            *self.pinned(mirror.new, True),
            (self.user(f"{CHECKOUT}@v7", by_hand=True), False),
            (self.user(f"{CHECKOUT}@main", unsafe=True), False),
            (self.user("acme/prepare@v1"), "v6" in mirror.safe),
            (self.user("acme/prepare@v2"), True),
        ]
        yield self.case("a whole estate", mirror, mixed, inner)

    def case(self, name: str, mirror: _Mirror, users: list[User], inner: dict[str, str] | None = None) -> Case:
        """Make the case: which of these users does the protection reach?"""
        self.rng.shuffle(users)
        truth = {user["name"] for user, protected in users if protected}
        args = (mirror.state(inner), [user for user, _ in users])
        return Case(name, args, truth, accept=_reached_users(args[1], truth))

    def by_ref(self, mirror: _Mirror) -> list[User]:
        """Make a user of each tag and branch."""
        return [(self.user(f"{CHECKOUT}@{ref}"), ref in mirror.safe) for ref in mirror.refs]

    def pinned(self, commits: list[str], protected: bool) -> list[User]:
        """Make a user of each commit."""
        return [(self.user(f"{CHECKOUT}@{commit}"), protected) for commit in commits]

    def user(self, uses: str, *, by_hand: bool = False, unsafe: bool | str | None = None) -> dict[str, Any]:
        """Make a workflow that uses the action, or fetches the head ``by_hand``; ``unsafe`` is the action's input."""
        name = f"{self.rng.choice(['label', 'greet', 'size', 'docs', 'scan'])}-{self.rng.randrange(10_000)}"
        while name in self.taken:
            name += "x"
        self.taken.add(name)
        inputs: dict[str, Any] = {} if by_hand else {"ref": "${{ github.event.pull_request.head.sha }}"}
        fetch = 'git fetch origin "pull/$NUMBER/head" && git checkout FETCH_HEAD'
        return {
            "name": name,
            "uses": uses,
            "with": inputs | ({} if unsafe is None else {"allow-unsafe-pr-checkout": unsafe}),
            "run": fetch if by_hand else "make size",
        }


def _reached_users(users: list[dict[str, Any]], truth: set[str]) -> Callable[[Any], bool | Miss]:
    """Accept the truth; otherwise show the first user that is missing or too many."""

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
