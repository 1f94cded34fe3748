"""The types of events that services append, and the fields of each: what a detection may ask about.

    >>> EVENT_TYPES["artifact.published"].fields["run"]
    'the run whose job published it; null when no run did'

What is absent, compared or different is computed when the event is written, so that a rule about one event can match
it: a rule language has no word for "and nothing happened before".

Units: ``…_s`` is seconds, ``…_b`` bytes; ``hour`` is 0 to 23 and ``weekday`` 1 (Monday) to 7, both in UTC. A field that
does not apply is null. Types are written here without ``dev.chainlab.``.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.event_types.artifacts import ARTIFACTS
from chainlab.event_types.event_type import COMMON, EventType
from chainlab.event_types.observations import OBSERVATIONS
from chainlab.event_types.operations import OPERATIONS
from chainlab.event_types.pipeline import PIPELINE

__all__ = ["COMMON", "EVENT_TYPES", "EventType"]

EVENT_TYPES: Mapping[str, EventType] = {**PIPELINE, **ARTIFACTS, **OPERATIONS, **OBSERVATIONS}
