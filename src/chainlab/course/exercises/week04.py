"""Cases for week 4, attestation and gate: envelopes, logs, promises, models, rules, releases, rotation.

Each exercise's truth comes from how its cases are made: a signature judges what was signed, a proof is cut from a tree
and then spoiled, a release is signed by whoever its name says, a story is played with a clock that can be set.

    >>> sorted(CASES)
    ['4.1', '4.2', '4.3', '4.4', '4.5', '4.6', '4.7']
"""

from __future__ import annotations

from chainlab.course.exercises.week4.ex1_dsse import envelopes
from chainlab.course.exercises.week4.ex2_inclusion_proof import proofs
from chainlab.course.exercises.week4.ex3_provenance_limits import promises
from chainlab.course.exercises.week4.ex4_model_signature import signed_models
from chainlab.course.exercises.week4.ex5_rego_rules import rules
from chainlab.course.exercises.week4.ex6_gate import gates
from chainlab.course.exercises.week4.ex7_root_rotation import rotations

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
