"""Cases for week 3, SBOM: lies, metadata, the truth test, model cards, advisories, VEX, unknowns, figures.

Each exercise's truth comes from how its cases are made: a document is bent and the bend is noted, folders are written
from a plan that has the edges, plants know their class, versions have a place on a ladder before anybody compares
them, calls are laid out for one statement, and evidence is taken away build by build.

    >>> sorted(CASES)
    ['3.1', '3.2', '3.3', '3.4', '3.5', '3.6', '3.7', '3.8']
"""

from __future__ import annotations

from chainlab.course.exercises.week3.ex1_valid_lies import falsehoods
from chainlab.course.exercises.week3.ex2_metadata_sbom import installations
from chainlab.course.exercises.week3.ex3_truth_test import plants
from chainlab.course.exercises.week3.ex4_mlbom import cards
from chainlab.course.exercises.week3.ex5_advisory_ranges import ladders
from chainlab.course.exercises.week3.ex6_vex import reachability
from chainlab.course.exercises.week3.ex7_unknown_evidence import holdings
from chainlab.course.exercises.week3.ex8_dashboard import dashboards

__all__ = ["CASES"]

CASES = {
    "3.1": falsehoods,
    "3.2": installations,
    "3.3": plants,
    "3.4": cards,
    "3.5": ladders,
    "3.6": reachability,
    "3.7": holdings,
    "3.8": dashboards,
}
