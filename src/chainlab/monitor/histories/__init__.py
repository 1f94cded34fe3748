"""Labelled event sets: what detections are measured on.

    history          History: events and their labels
    benign           weeks without an attack: organisation, releases, upkeep
    attacked         attacks in such weeks: scene, attacks_on_*; other code than the benign generator's
    journal, memory  acts become events in order, with the fields that services compute

Both generators write the events that the services write (`chainlab.event_types`). Rules are written and tuned on seeds
of `TUNING`; figures are of seeds of `HELD_OUT`.
"""

from __future__ import annotations

from chainlab.monitor.histories.attacked import attacked
from chainlab.monitor.histories.benign import HELD_OUT, TUNING, benign
from chainlab.monitor.histories.history import History

__all__ = ["HELD_OUT", "TUNING", "History", "attacked", "benign"]
