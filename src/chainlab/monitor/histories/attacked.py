"""Attacked histories: for each rule, attacks that it should notice, placed into benign weeks.

An attack is drawn among several ways of doing the same thing. Some of them evade the rule, because attackers read rules
too: a recall of 1 would say that they do not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from chainlab.monitor.histories.attacks_on_operations import ON_OPERATIONS
from chainlab.monitor.histories.attacks_on_releases import ON_RELEASES
from chainlab.monitor.histories.attacks_on_sources import ON_SOURCES
from chainlab.monitor.histories.benign import write_benign
from chainlab.monitor.histories.history import History
from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import Organisation
from chainlab.monitor.histories.scene import Scene, Way

__all__ = ["ATTACKS", "attacked"]

ATTACKS: Mapping[str, tuple[Way, ...]] = {**ON_RELEASES, **ON_SOURCES, **ON_OPERATIONS}
RELEASES_EACH = 8  # benign publications around each attack of a rule
FEWEST = 400


def attacked(seed: int, instances: int) -> History:
    """Make a history with this many attacks for each rule of the course; the same for the same seed."""
    organisation, journal = Organisation(random.Random(f"attacked {seed}")), Journal()  # noqa: S311
    span = write_benign(organisation, journal, max(FEWEST, RELEASES_EACH * instances))
    for rule, ways in ATTACKS.items():
        scene = Scene(organisation, journal, random.Random(f"{rule} {seed}"), span)  # noqa: S311
        for way in scene.rng.choices(ways, [way.weight for way in ways], k=instances):
            journal.label_attack(rule, way.attack(scene))
    return journal.history()
