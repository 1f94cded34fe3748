"""Cases for week 2, hardening: secrets, injection, pins, rights, caches, publishers, updates, design.

Each exercise's truth comes from how its cases are made: a run is written down together with what
each step is handed, a repaired step is really run, commits are noted when git makes them, caches and
permissions are played, bundles are really signed, and every mutant knows which control it broke.

    >>> sorted(CASES)
    ['2.1', '2.2', '2.3', '2.4', '2.5', '2.6', '2.7', '2.8']
"""

from __future__ import annotations

from chainlab.course.exercises.caches import caches
from chainlab.course.exercises.injections import injections
from chainlab.course.exercises.mirrors import mirrors
from chainlab.course.exercises.mutants import reviews
from chainlab.course.exercises.privileges import privileges
from chainlab.course.exercises.protections import protections
from chainlab.course.exercises.publishers import publishers
from chainlab.course.exercises.runs import readers

__all__ = ["CASES"]

CASES = {
    "2.1": readers,
    "2.2": injections,
    "2.3": mirrors,
    "2.4": privileges,
    "2.5": caches,
    "2.6": publishers,
    "2.7": protections,
    "2.8": reviews,
}
