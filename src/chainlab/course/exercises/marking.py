"""Scoring by mutants: what a learner's judge names in each variant of a thing, and what that is worth.

A *mutant* is a variant with one thing broken; a judge is right when it names that, and nothing that holds. In a
*benign* variant nothing is broken; a judge is right when it names nothing. The score is mutants refused for the right
reason × benign variants accepted, both as shares, so who refuses all and who accepts all score nothing.

    >>> print(Score(refused=3, mutants=4, accepted=2, benign=2, missed=(), of="changes"))
    mutants refused for the right reason: 3 of 4
    benign changes accepted:              2 of 2
    score: 75%
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from chainlab.course.checks import Miss

__all__ = ["THRESHOLDS", "Marking", "Score", "Tried", "named"]

THRESHOLDS = (0.6, 0.8, 0.95)  # of the score; each reached is a case, and a share of the points

Accept = Callable[[Any], bool | Miss]


class Tried(Protocol):
    """A variant."""

    @property
    def name(self) -> str:
        """Its own among all variants."""

    @property
    def breaks(self) -> frozenset[str]:
        """All that does not hold, and may be named."""

    def right(self, verdict: Any) -> bool:
        """Whether these names are right."""


V = TypeVar("V", bound=Tried)


@dataclass(frozen=True)
class Score:
    """What a judge is worth; shown as a table."""

    refused: int
    mutants: int
    accepted: int
    benign: int
    missed: tuple[str, ...]  # as `Marking.said` puts them
    of: str  # what the benign ones are: changes, releases

    @property
    def value(self) -> float:
        """Mutants refused for the right reason × benign variants accepted, 0 to 1."""
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


def named(judge: Callable[..., Iterable[Any]], *given: Any) -> Any:
    """What a judge names, sorted.

    An exception is its answer in words, which is never right: a judge that crashed has refused nothing for a reason.
    Raises `NotImplementedError` where the judge is still a starter.
    """
    try:
        return sorted({str(name) for name in judge(*given)})
    except NotImplementedError:
        raise
    except Exception as error:  # a learner's code raises anything
        return f"raised {type(error).__name__}: {error}"


@dataclass(frozen=True)
class Marking(Generic[V]):
    """How variants of one kind are marked. ``verdicts`` are by the variants' names, each as `named` gives it."""

    judge: str  # what the learner writes: review, gate
    of: str  # what is judged: changes, releases
    broken: Callable[[V], str]  # what must be named; empty for a benign variant

    def score(self, made: Sequence[V], verdicts: dict[str, Any]) -> Score:
        """The score of these verdicts."""
        right = {v.name for v in made if v.right(verdicts.get(v.name))}
        benign = [v for v in made if not self.broken(v)]
        mutants = [v for v in made if self.broken(v)]
        return Score(
            sum(v.name in right for v in mutants),
            len(mutants),
            sum(v.name in right for v in benign),
            len(benign),
            tuple(self.said(v, verdicts) for v in made if v.name not in right),
            self.of,
        )

    def said(self, variant: V, verdicts: dict[str, Any]) -> str:
        """``mutant 'index: for a job': expected index, your review named nothing``."""
        link, verdict = self.broken(variant), verdicts.get(variant.name)
        label = f"mutant {variant.name!r}" if link else f"benign {variant.name!r}"
        expected = f"{label}: expected {link or 'nothing'}, your {self.judge}"
        if isinstance(verdict, str):
            return f"{expected} {verdict}"  # raised KeyError: …
        names = [str(name) for name in verdict] if isinstance(verdict, (list, tuple)) else []
        holds = sorted(set(names) - variant.breaks) if link else []
        too_many = f"; {', '.join(holds)} {'hold' if len(holds) > 1 else 'holds'}" if holds else ""
        return f"{expected} named {', '.join(names) or 'nothing'}{too_many}"

    def at_least(
        self,
        benign: Sequence[V],
        mutants: Sequence[V] = (),
        each: Collection[str] = (),
        *,
        share: float = 1,
    ) -> Accept:
        """Accepts when a share of the benign is accepted and, of ``each`` that can be broken, one mutant is refused."""

        def accept(verdicts: Any) -> bool | Miss:
            if not isinstance(verdicts, dict):
                return self._no_bench
            wrong = [v for v in benign if not v.right(verdicts.get(v.name))]
            if len(wrong) > (1 - share) * len(benign):
                first = self.said(wrong[0], verdicts)
                return Miss(f"{len(benign) - len(wrong)} of {len(benign)} accepted; {first}")
            for name in each:
                own = [v for v in mutants if self.broken(v) == name]
                if not any(v.right(verdicts.get(v.name)) for v in own):
                    return Miss(f"no mutant of {name!r} refused; {self.said(own[0], verdicts)}")
            return True

        return accept

    def reaches(self, made: Sequence[V], height: float) -> Accept:
        """Accepts a score of at least ``height``, 0 to 1."""

        def accept(verdicts: Any) -> bool | Miss:
            if not isinstance(verdicts, dict):
                return self._no_bench
            got = self.score(made, verdicts)
            if got.value >= height:
                return True
            missed = f"; {got.missed[0]}" if got.missed else ""
            return Miss(
                f"{got.refused} of {got.mutants} mutants × {got.accepted} of {got.benign} benign "
                f"= {got.value:.0%}{missed}"
            )

        return accept

    @property
    def _no_bench(self) -> Miss:
        return Miss(f"expected bench({self.judge})")
