"""Cases for week 4, attestation and gate: envelopes, logs, promises, models, rules, releases, rotation.

Each exercise's truth comes from how its cases are made: a signature judges what was signed, a proof is cut from a tree
and then spoiled, a release is signed by whoever its name says, a story is played with a clock that can be set.

    >>> sorted(CASES)
    ['4.1', '4.2', '4.3', '4.4', '4.5', '4.6', '4.7']
"""

from __future__ import annotations

from chainlab.course.exercises.envelopes import envelopes
from chainlab.course.exercises.gates import gates
from chainlab.course.exercises.promises import promises
from chainlab.course.exercises.proofs import proofs
from chainlab.course.exercises.rotations import rotations
from chainlab.course.exercises.rules import rules
from chainlab.course.exercises.signed_models import signed_models

__all__ = ["CASES"]

CASES = {
    "4.1": envelopes,
    "4.2": proofs,
    "4.3": promises,
    "4.4": signed_models,
    "4.5": rules,
    "4.6": gates,
    "4.7": rotations,
}
