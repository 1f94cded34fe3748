"""Cases for exercise 2.5: keys and write permissions of caches, judged by playing them.

`Store` keeps entries as the platform does: an entry belongs to a scope (a ref) and never changes. A run restores from
its own scope, then from the default branch's: the exact key first, then the newest that begins with it, then with a
restore key. A replay lets every run that executes a stranger's words write wherever it may, and looks for a trusted
job that restores the result.

    >>> store = Store()
    >>> store.save("refs/heads/main", "pip-1", CacheRow(lock=1))
    True
    >>> store.restore(["refs/pull/7/merge", "refs/heads/main"], "pip-2", ["pip-"]).lock
    1
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss

__all__ = ["BEFORE", "CURRENT", "FLOOR", "CacheRow", "Store", "cases", "hit_rate", "poisoned"]

SEE = "labs/02_hardening.ipynb, 'Who may write what the release will read?'"
TEACHES = {
    "tests only": (
        "Nobody here holds anything, so a cache is free speed. A key names what is inside: the platform and the "
        "lock file. With the commit in it nothing is ever found again; without the lock file what is found is "
        "old, and an entry never changes."
    ),
    "a run on main that was injected": (
        "The notes job pastes a stranger's words into a shell, on main. Its token may write main's scope under "
        "any key: key names and `save` are lines of a file, the right is in the job. The release reads main's "
        "scope after its own."
    ),
    "a stranger's event in main's scope": (
        "`{outside}` runs in the default branch's scope. Since 26 June 2026 its cache token only reads there; before "
        "that day it wrote, and other CI hosts still let it. A design that leans on one host's rule falls with the "
        "host."
    ),
    "no stranger can write here": (
        "Pull requests write their own scope, and main never reads it: under both rules nobody from outside can "
        "put a thing where this training looks. Uncached it trains for hours."
    ),
    "another branch": (
        "A branch's scope is its own: main does not read what `next` wrote, and everybody on `next` does. Decide "
        "per job, by the scopes it reads."
    ),
    "a release that only reads": (
        "Not saving protects the others from this job. What protects this job is not restoring."
    ),
    "a mixed repository": "For each trusted job: who writes where it reads?",
}


SLOW = (
    "Nothing is poisoned, and too little is cached: deny all, for caches. Take the cache from those trusted jobs alone "
    "that read a scope which a stranger writes; a key without the commit and without the run is found again."
)
ABOUT_SPEED = {"tests only", "no stranger can write here"}
BEFORE, CURRENT = "before 2026-06-26", "since 2026-06-26"
FLOOR = 0.5  # of all runs that restore what they need
DEFAULT = "refs/heads/main"
# Events that somebody without write access can cause, and that run in the default branch's scope.
# Since 2026-06-26 their cache token only reads there. [GitHub changelog, read through a copy]
FROM_OUTSIDE = {"pull_request_target", "issue_comment", "workflow_run"}
FIELDS = ["os", "lock", "job", "ref", "sha", "run"]


@dataclass(frozen=True)
class CacheRow:
    """An entry of a cache: the state of the lock file that it was made for, and whether a stranger wrote it."""

    lock: int
    poison: bool = False


class Store:
    """The caches of one repository."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], CacheRow] = {}  # (scope, key), oldest first

    def save(self, scope: str, key: str, entry: CacheRow) -> bool:
        """Store an entry, unless its scope has the key already; returns whether it was stored."""
        if (scope, key) in self._entries:
            return False
        self._entries[scope, key] = entry
        return True

    def restore(self, scopes: Sequence[str], key: str, restore_keys: Sequence[str]) -> CacheRow | None:
        """Restore an entry, scope by scope; None when no scope has one.

        In a scope the exact key comes first, then the newest key that begins with it, then with a restore key.
        """
        for scope in scopes:
            if (scope, key) in self._entries:
                return self._entries[scope, key]
            for prefix in [key, *restore_keys]:
                for (place, name), entry in reversed(self._entries.items()):
                    if place == scope and name.startswith(prefix):
                        return entry
        return None

    def has(self, scope: str, key: str) -> bool:
        """Say whether the scope has exactly this key."""
        return (scope, key) in self._entries


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make repositories whose jobs differ in what a stranger may reach."""

    def case(name: str, jobs: list[dict[str, Any]], teaches: str = "") -> Case:
        rng.shuffle(jobs)
        return Case(name, (jobs,), None, teaches, accept=_safe_and_fast(jobs, about_speed=name in ABOUT_SPEED))

    def job(name: str, event: str, runs: int, ref: str = DEFAULT, **facts: bool) -> dict[str, Any]:
        return {
            "name": f"{name}-{rng.randrange(100)}",
            "event": event,
            "ref": ref,
            "runs_a_strangers_words": facts.get("strange", False),
            "trusted": facts.get("trusted", False),
            "runs_per_week": runs + rng.randrange(3),
        }

    def tests() -> list[dict[str, Any]]:
        return [job("test", "push", 14), job("test-pull", "pull_request", 18, "refs/pull/N/merge", strange=True)]

    tag = f"refs/tags/v1.{rng.randrange(9)}.0"
    yield case("tests only", tests())
    yield case(
        "a run on main that was injected",
        [*tests(), job("notes", "push", 5, strange=True), job("release", "push", 1, tag, trusted=True)],
    )
    outside = rng.choice(["pull_request_target", "issue_comment", "workflow_run"])
    yield case(
        "a stranger's event in main's scope",
        [*tests(), job("greet", outside, 6, strange=True), job("release", "push", 1, tag, trusted=True)],
        TEACHES["a stranger's event in main's scope"].format(outside=outside),
    )
    yield case("no stranger can write here", [*tests(), job("train", "schedule", 60, trusted=True)])
    yield case(
        "another branch",
        [
            *tests(),
            job("try", "push", 9, "refs/heads/next", strange=True),
            job("preview", "push", 4, "refs/heads/next", trusted=True),
            job("train", "workflow_dispatch", 60, trusted=True),
        ],
    )
    yield case(
        "a release that only reads",
        [
            *tests(),
            job("greet", "pull_request_target", 6, strange=True),
            job("train", "schedule", 6, trusted=True),
            job("release", "push", 1, tag, trusted=True),
        ],
    )
    yield case("a mixed repository", _mixed(rng, job))


def _mixed(rng: random.Random, job: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """Make jobs on three branches and the default branch; a stranger's words never run on the default branch."""
    branches = [f"refs/heads/{name}" for name in rng.sample(["next", "docs", "gpu", "old"], 3)]
    jobs = [
        job("test", "push", 12),
        job("test-pull", "pull_request", 15, "refs/pull/N/merge", strange=True),
        job("train", "schedule", 40, trusted=True),
        job("release", "push", 1, f"refs/tags/v2.{rng.randrange(9)}", trusted=True),
    ]
    for number, branch in enumerate(branches):
        jobs.append(job("build", "push", 6, branch, trusted=number != 1))
        if number < 2:
            jobs.append(job("demo", "push", 5, branch, strange=True))
    return jobs


def _write_scope(job: dict[str, Any], pull: int) -> str:
    if job["event"] == "pull_request":
        return f"refs/pull/{pull}/merge"
    return str(job["ref"])


def _may_write(job: dict[str, Any], scope: str, rule: str) -> bool:
    return rule == BEFORE or not (job["event"] in FROM_OUTSIDE and scope == DEFAULT)


def _key(template: str, job: dict[str, Any], scope: str, lock: int, number: int) -> str:
    values = {"os": "Linux", "lock": f"lock{lock}", "job": job["name"], "ref": scope}
    return template.format_map({**values, "sha": f"sha{number}", "run": f"run{number}"})


def hit_rate(jobs: Sequence[dict[str, Any]], design: dict[str, Any], weeks: int = 4) -> float:
    """Compute the share of all runs that restore a cache made for the present lock file."""
    rng = random.Random(len(jobs))  # noqa: S311 (the order of runs, the same for every design)
    store, hits, number = Store(), 0, 0
    runs = [job for job in jobs for _ in range(job["runs_per_week"])]
    for week in range(weeks):
        rng.shuffle(runs)
        for place, job in enumerate(runs):
            number += 1
            lock = 2 * week + (place >= len(runs) // 2)  # the lock file changes twice a week
            scope = _write_scope(job, pull=number // 25)
            plan = design[job["name"]]
            if plan is None:
                continue
            key = _key(plan["key"], job, scope, lock, number)
            prefixes = [_key(p, job, scope, lock, number) for p in plan["restore_keys"]]
            entry = store.restore([scope, DEFAULT], key, prefixes)
            hits += entry is not None and entry.lock == lock
            exact = store.has(scope, key) or store.has(DEFAULT, key)
            if plan["save"] and not exact and _may_write(job, scope, CURRENT):
                store.save(scope, key, CacheRow(lock))
    return hits / (number or 1)


def poisoned(jobs: Sequence[dict[str, Any]], design: dict[str, Any], rule: str) -> tuple[str, str] | None:
    """Find a trusted job that restores a stranger's entry; returns it and the job whose run wrote the entry."""
    now, later, lock = 1, 2, 1  # the attack comes first, so it cannot foresee a commit or a run id
    writers = [job for job in jobs if job["runs_a_strangers_words"]]
    for writer in writers:
        scope = _write_scope(writer, pull=7)
        if not _may_write(writer, scope, rule):
            continue
        store = Store()  # simplified: no earlier entry is in the attacker's way
        for job in jobs:
            plan = design[job["name"]]
            for template in [plan["key"], *plan["restore_keys"]] if plan else []:
                # the workflow file is public, so its keys are known; a prefix may end in anything
                name = _key(template, job, _write_scope(job, 7), lock, now)
                for key in (name, f"{name}~"):
                    store.save(scope, key, CacheRow(lock, poison=True))
        for job in jobs:
            plan = design[job["name"]]
            if not job["trusted"] or plan is None:
                continue
            own = _write_scope(job, pull=8)
            key = _key(plan["key"], job, own, lock, later)
            prefixes = [_key(p, job, own, lock, later) for p in plan["restore_keys"]]
            entry = store.restore([own, DEFAULT], key, prefixes)
            if entry is not None and entry.poison:
                return job["name"], writer["name"]
    return None


def _safe_and_fast(jobs: list[dict[str, Any]], about_speed: bool) -> Callable[[Any], bool | Miss]:
    """Accept a design that no replay poisons and whose caches are restored often enough.

    A slow design gets a reason of its own, unless the case is ``about_speed``.
    """
    names = [job["name"] for job in jobs]

    def accept(design: Any) -> bool | Miss:
        if not isinstance(design, dict) or design.keys() != set(names):
            return Miss(f"expected a dict with the jobs {', '.join(names)}", why="")
        for name, plan in design.items():
            if plan is None:
                continue
            if not isinstance(plan, dict) or plan.keys() != {"key", "restore_keys", "save"}:
                return Miss(f"{name}: expected None, or a dict with key, restore_keys and save", why="")
            try:
                for template in [plan["key"], *plan["restore_keys"]]:
                    template.format_map(dict.fromkeys(FIELDS, ""))
            except (KeyError, ValueError, IndexError) as error:
                return Miss(f"{name}: no such field in a key: {error}", why="")
        for rule in (BEFORE, CURRENT):
            if attack := poisoned(jobs, design, rule):
                return Miss(f"{rule}: {attack[0]} restored what {attack[1]} had written")
        rate = hit_rate(jobs, design)
        if rate < FLOOR:
            return Miss(
                f"safe, but only {rate:.0%} of the runs find a cache made for the present lock "
                f"file; {FLOOR:.0%} are asked",
                None if about_speed else SLOW,
            )
        return True

    return accept
