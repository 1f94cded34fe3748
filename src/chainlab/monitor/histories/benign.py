"""Benign histories: weeks of an organisation that releases packages and models, nobody attacking.

>>> history = benign(TUNING[0], releases=200)
>>> len(history.attacks), len(history.events) > 1_000
(0, True)
"""

from __future__ import annotations

import random

from chainlab.monitor.histories.history import History
from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import MINUTE, WEEK, Organisation
from chainlab.monitor.histories.releases import BenignReleases
from chainlab.monitor.histories.upkeep import Upkeep

__all__ = ["HELD_OUT", "TUNING", "benign", "write_benign"]

# Seeds for writing and tuning rules, and seeds for the figures; no seed is in both.
TUNING = range(1_000)
HELD_OUT = range(1_000_000, 1_001_000)
DETAILED_WEEKS = 3  # as long as the events of single jobs are kept


def benign(seed: int, releases: int) -> History:
    """Make whole weeks with at least this many publications; the same for the same seed."""
    journal = Journal()
    write_benign(Organisation(random.Random(f"benign {seed}")), journal, releases)  # noqa: S311 - a seed on purpose
    return journal.history()


def write_benign(organisation: Organisation, journal: Journal, releases: int) -> tuple[int, int]:
    """Write benign weeks into a journal; returns the seconds between which they lie."""
    weekly = sum(project.weekly for project in organisation.projects)
    start = organisation.start
    end = start + WEEK * max(1, round(releases / weekly))
    work = BenignReleases(organisation, journal, detailed_from=end - DETAILED_WEEKS * WEEK)
    upkeep = Upkeep(organisation, journal)
    week = start
    while work.publications < releases:
        upkeep.week(week)
        for project in organisation.projects:
            moments = sorted(
                organisation.working_time(week, project.zone) for _ in range(organisation.times(project.weekly))
            )
            last = 0.0
            for at in moments:
                last = max(at, last + 25 * MINUTE)  # a team waits for its run
                work.release(project, last)
        week += WEEK
    return start, week
