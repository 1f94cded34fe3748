"""Cases for exercise 2.8: a review, tried on hardened sets of workflows with one control broken, or none.

A *mutant* is a set with one control broken; a *benign change* leaves every control in force. `fixtures.scoring`
scores the review on them.

    >>> score(lambda workflows, resolve: []).value
    0.0
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.scoring import THRESHOLDS, Accept, Marking, Score, names_of
from chainlab.course.exercises.fixtures.workflow_variants import Variant, variants
from chainlab.course.exercises.fixtures.workflows import resolver

__all__ = ["CONTROLS", "GROUPS", "bench", "cases", "score"]

SEE = "labs/02_hardening.ipynb, 'Sixteen controls, and a way to count them'"
SCORED = (
    "Mutants refused for the right reason × benign changes accepted. `score(review)` lists what is missed, "
    "on other variants than these."
)
TEACHES = {
    "benign changes": (
        "Nobody keeps a gate that refuses a comment or a newer pin. A refusal has to name a control that does not hold."
    ),
    "what a reference names": "Forty hex digits, in that repository's own branches or tags; jobs "
    "have a `uses:` as well as steps.",
    "what a job holds": "Compare parsed YAML: a missing block, a word in place of a block, one "
    "scope too many. A secret can stand in any value of the job.",
    "a stranger's words and code": "Which events can a stranger cause, what of the stranger's "
    "reaches a shell, and what stays on disk?",
    "what comes back from a cache": "An action's cache, another's `cache:` input, a restore without "
    "a save; a key that names no content, a prefix that matches what others wrote.",
    "where packages come from": "Options in scripts and variables in any `env` choose the index.",
    "the machine underneath": "`runs-on` is a text, a list or a mapping; `env` is in three places.",
    **{f"a score of {height:.0%}": SCORED for height in THRESHOLDS},
}

GROUPS: dict[str, tuple[str, ...]] = {
    "what a reference names": ("unpinned", "foreign-commit"),
    "what a job holds": ("permissions", "identity", "environment", "secrets"),
    "a stranger's words and code": ("injection", "pull-checkout", "artifact", "credentials"),
    "what comes back from a cache": ("release-cache", "cache-key"),
    "where packages come from": ("index", "hashes"),
    "the machine underneath": ("runner", "commands"),
}
CONTROLS = tuple(control for group in GROUPS.values() for control in group)
Review = Callable[[dict[str, str], Callable[[str], str | None]], Any]
MARKING = Marking[Variant]("review", "changes", attrgetter("control"))


def bench(review: Review) -> Callable[..., dict[str, Any]]:
    """Make the review a function of many sets at once: it maps a set's name to what `scoring.names_of` gives.

    Each set is reviewed once.
    """
    reviews: dict[tuple[tuple[str, str], ...], Any] = {}

    def run(sets: dict[str, dict[str, str]], refs: dict[str, str]) -> dict[str, Any]:
        verdicts, resolve = {}, resolver(refs)
        for name, texts in sets.items():
            key = tuple(sorted(texts.items()))
            if key not in reviews:
                reviews[key] = names_of(review, dict(texts), resolve)
            verdicts[name] = reviews[key]
        return verdicts

    return run


def score(review: Review, seed: int = 1) -> Score:
    """Score a review on the variants of one seed, which are others than the check's."""
    sets, refs = variants(random.Random(f"score/{seed}"))  # noqa: S311 (variation, not secrecy)
    return MARKING.score(sets, bench(review)({v.name: v.texts for v in sets}, refs))


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Try benign changes, every group of controls, then the score at three heights."""
    sets, refs = variants(rng)

    def case(name: str, chosen: list[Variant], accept: Accept) -> Case:
        return Case(name, ({v.name: v.texts for v in chosen}, refs), None, accept=accept)

    benign = [v for v in sets if not v.control]
    yield case("benign changes", benign, MARKING.at_least(benign, share=0.8))
    for group, controls in GROUPS.items():
        chosen = [v for v in sets if v.control in controls]
        yield case(group, [sets[0], *chosen], _each_control_and_kind(sets[0], chosen, controls))
    for height in THRESHOLDS:
        yield case(f"a score of {height:.0%}", sets, MARKING.reaches(sets, height))


def _each_control_and_kind(unchanged: Variant, mutants: list[Variant], controls: tuple[str, ...]) -> Accept:
    """Accept when the unchanged set is accepted, each control caught, and every kind of mutant refused."""
    each_control, every_kind = MARKING.at_least([unchanged], mutants, controls), MARKING.every_kind(mutants)
    return lambda verdicts: each_control(verdicts) and every_kind(verdicts)
