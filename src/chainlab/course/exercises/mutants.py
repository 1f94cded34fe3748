"""Cases for exercise 2.8: each control of a hardened set is broken in turn.

A *mutant* is the set with one control broken; a review is right when it names that control, and
names none that holds. A *benign change* leaves every control in force; a review is right when it
names nothing. The score is mutants refused for the right reason × benign changes accepted, both as
shares, so who refuses all and who accepts all score nothing.

    >>> score(lambda workflows, resolve: []).value
    0.0
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.checks import Case, Miss, World
from chainlab.course.exercises.hardened import resolver
from chainlab.course.exercises.variants import Variant, variants

__all__ = ["CONTROLS", "GROUPS", "Score", "bench", "reviews", "score"]

SEE = "labs/02_hardening.ipynb, 'Sixteen controls, and a way to count them'"
GROUPS: dict[str, tuple[str, ...]] = {
    "what a reference names": ("unpinned", "foreign-commit"),
    "what a job holds": ("permissions", "identity", "environment", "secrets"),
    "a stranger's words and code": ("injection", "pull-checkout", "artifact", "credentials"),
    "what comes back from a cache": ("release-cache", "cache-key"),
    "where packages come from": ("index", "hashes"),
    "the machine underneath": ("runner", "commands"),
}
CONTROLS = tuple(control for group in GROUPS.values() for control in group)
TEACHES = {
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
}
THRESHOLDS = (0.6, 0.8, 0.95)  # of the score; each reached is a case, and a share of the points

Review = Callable[[dict[str, str], Callable[[str], str | None]], Any]


@dataclass(frozen=True)
class Score:
    """What a review is worth; shown as a table."""

    refused: int
    mutants: int
    accepted: int
    benign: int
    missed: tuple[str, ...]  # as `_said` puts them
    of: str = "changes"  # what the benign ones are

    @property
    def value(self) -> float:
        """Mutants refused for the right reason × benign changes accepted, 0 to 1."""
        return self.refused / self.mutants * self.accepted / self.benign

    def __repr__(self) -> str:
        lines = [
            f"mutants refused for the right reason: {self.refused} of {self.mutants}",
            f"{f'benign {self.of} accepted:':37} {self.accepted} of {self.benign}",
            f"score: {self.value:.0%}",
            *(f"  missed  {miss}" for miss in self.missed[:12]),
        ]
        if len(self.missed) > 12:
            lines.append(f"  … and {len(self.missed) - 12} more")
        return "\n".join(lines)


def bench(review: Review) -> Callable[..., dict[str, Any]]:
    """The review as a function of many sets at once: their names to what it names in each.

    A set is reviewed once. An exception is its answer in words, which is never right: a crashed
    review has refused nothing for a reason.
    """
    known: dict[tuple[tuple[str, str], ...], Any] = {}

    def run(sets: dict[str, dict[str, str]], refs: dict[str, str]) -> dict[str, Any]:
        verdicts, resolve = {}, resolver(refs)
        for name, texts in sets.items():
            key = tuple(sorted(texts.items()))
            if key not in known:
                known[key] = _reviewed(review, dict(texts), resolve)
            verdicts[name] = known[key]
        return verdicts

    return run


def _reviewed(review: Review, texts: dict[str, str], resolve: Callable[[str], str | None]) -> Any:
    try:
        named = review(texts, resolve)
        return sorted({str(name) for name in named})
    except NotImplementedError:
        raise  # a starter
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def score(review: Review, seed: int = 1) -> Score:
    """The score of a review on the variants of one seed; other ones than the check's."""
    made, refs = variants(random.Random(f"score/{seed}"))  # noqa: S311 (variation, not secrecy)
    return _score(made, bench(review)({v.name: v.texts for v in made}, refs))


def _score(made: list[Variant], verdicts: dict[str, Any]) -> Score:
    right = {v.name for v in made if v.right(verdicts.get(v.name))}
    benign = [v for v in made if not v.control]
    mutants = [v for v in made if v.control]
    return Score(
        sum(v.name in right for v in mutants),
        len(mutants),
        sum(v.name in right for v in benign),
        len(benign),
        tuple(_said(v, verdicts.get(v.name)) for v in made if v.name not in right),
    )


def _said(variant: Variant, verdict: Any) -> str:
    """``mutant 'index: for a job': expected index, your review named nothing``."""
    label = f"mutant {variant.name!r}" if variant.control else f"benign {variant.name!r}"
    named = ", ".join(map(str, verdict)) if isinstance(verdict, list) else ""
    did = verdict if isinstance(verdict, str) else f"named {named or 'nothing'}"
    return f"{label}: expected {variant.control or 'nothing'}, your review {did}"


def reviews(lab: World, rng: random.Random) -> Iterator[Case]:
    """Benign changes, every group of controls, then the score at three heights."""
    made, refs = variants(rng)

    def case(
        name: str, chosen: list[Variant], accept: Callable[[Any], bool | Miss], teaches: str
    ) -> Case:
        return Case(name, ({v.name: v.texts for v in chosen}, refs), None, teaches, SEE, accept)

    benign = [v for v in made if not v.control]
    yield case(
        "benign changes",
        benign,
        _at_least(benign, [], 0.8),
        "Nobody keeps a gate that refuses a comment or a newer pin. A refusal has to name a "
        "control that does not hold.",
    )
    for group, controls in GROUPS.items():
        chosen = [v for v in made if v.control in controls]
        yield case(
            group, [made[0], *chosen], _at_least([made[0]], chosen, 1, controls), TEACHES[group]
        )
    for height in THRESHOLDS:
        yield case(
            f"a score of {height:.0%}",
            made,
            _reaches(made, height),
            "Mutants refused for the right reason × benign changes accepted. `score(review)` lists "
            "what is missed, on other variants than these.",
        )


def _at_least(
    benign: list[Variant],
    mutants: list[Variant],
    share: float,
    controls: tuple[str, ...] = (),
) -> Callable[[Any], bool | Miss]:
    """Accepts a share of the benign and, for every control, one of its mutants refused."""

    def accept(verdicts: Any) -> bool | Miss:
        if not isinstance(verdicts, dict):
            return Miss("expected bench(review)")
        wrong = [v for v in benign if not v.right(verdicts.get(v.name))]
        if len(wrong) > (1 - share) * len(benign):
            first = _said(wrong[0], verdicts.get(wrong[0].name))
            return Miss(f"{len(benign) - len(wrong)} of {len(benign)} accepted; {first}")
        for control in controls:
            own = [v for v in mutants if v.control == control]
            if not any(v.right(verdicts.get(v.name)) for v in own):
                return Miss(
                    f"no mutant of {control} refused; {_said(own[0], verdicts.get(own[0].name))}"
                )
        return True

    return accept


def _reaches(made: list[Variant], height: float) -> Callable[[Any], bool | Miss]:
    def accept(verdicts: Any) -> bool | Miss:
        if not isinstance(verdicts, dict):
            return Miss("expected bench(review)")
        got = _score(made, verdicts)
        if got.value >= height:
            return True
        missed = f"; {got.missed[0]}" if got.missed else ""
        return Miss(
            f"{got.refused} of {got.mutants} mutants × {got.accepted} of {got.benign} benign "
            f"= {got.value:.0%}{missed}"
        )

    return accept
