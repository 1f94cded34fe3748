"""Cases for week 2, hardening: secrets, injection, pins, rights, caches, publishers, updates, design.

Each exercise's truth comes from how its cases are made: a run is written down together with what
each step is handed, a repaired step is really run, commits are noted when git makes them, caches and
permissions are played, bundles are really signed, and every mutant knows which control it broke.

    >>> sorted(CASES)
    ['2.1', '2.2', '2.3', '2.4', '2.5', '2.6', '2.7', '2.8']
"""

from __future__ import annotations

from chainlab.course.exercises.week2.ex1_secret_reach import readers
from chainlab.course.exercises.week2.ex2_injection import injections
from chainlab.course.exercises.week2.ex3_pinning import mirrors
from chainlab.course.exercises.week2.ex4_permissions import privileges
from chainlab.course.exercises.week2.ex5_cache_scopes import caches
from chainlab.course.exercises.week2.ex6_trusted_publisher import publishers
from chainlab.course.exercises.week2.ex7_protections import protections
from chainlab.course.exercises.week2.ex8_review import reviews

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
