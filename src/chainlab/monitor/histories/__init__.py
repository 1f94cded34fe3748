"""Labelled event sets: what detections are measured on.

A benign history holds ordinary weeks, hard cases among them; an attacked one holds attacks with known sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chainlab.events import Event

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """Events in order, and which of them are attacks.

    ``attacks`` maps a rule's name to one set of sequences for each attack; a rule that matches an event of the set has
    detected the attack.
    """

    events: tuple[Event, ...]
    attacks: Mapping[str, tuple[frozenset[int], ...]] = field(default_factory=dict)
