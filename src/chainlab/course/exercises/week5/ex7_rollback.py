"""Cases for exercise 5.7: a plan for what re-verification finds, tried on a small deployment.

Each situation is looked at several times, and every step has its effect (`fixtures.simulated_deployment`). In a quiet
situation nothing has to happen. The score is the share of incidents handled right × the share of quiet situations left
alone, so doing nothing and rolling back at every look both score nothing.

    >>> score(lambda look: []).value
    0.0
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss, Note
from chainlab.course.exercises.fixtures.rollback_situations import KINDS, MadeSituation, SituationMaker
from chainlab.course.exercises.fixtures.scoring import THRESHOLDS, Accept
from chainlab.course.exercises.fixtures.simulated_deployment import Plan, run_plan

__all__ = ["RehearsalScore", "cases", "rehearse", "sample", "score"]

SEE = "labs/05_monitoring.ipynb, 'What runs, verified again'"
SCORED = (
    "Incidents handled right × quiet situations left alone. `print(score(plan))` lists what is missed, in other "
    "situations than these."
)
TEACHES = {
    "it does not verify any more": "Report it, keep the evidence, then deploy the last release that verifies, by its "
    "digest. A release of the past that turned bad is somebody's work, and no reason to change what runs.",
    "what the policy rolls back": "The policy says for which causes a machine may change what runs. The others go to a "
    "person, once.",
    "a gate that does not answer": "'Nobody could be asked' is neither good nor bad. Whoever rolls back at it lets an "
    "outage of the gate change what runs, and changes it again when the gate is back.",
    "the release before is bad as well": "The release before the bad one often has the same cause in it. Go back "
    "until one verifies, and no further.",
    "the release before cannot be judged": "A release that cannot be verified now is not verified.",
    "nothing to go back to": "If nothing verifies, there is nothing to deploy. Whether the service then stops is a "
    "decision that the policy's owner has made before.",
    "a tag that moved": "A tag names what somebody pushed last. What runs was deployed by digest, and what you go back "
    "to is a digest too.",
    "evidence that does not wait": "Keep first what is gone first. The installation waits until the next deployment "
    "removes it; a connection does not.",
    "a deployment that fails": "The steps after a failed one are not done. What must be done anyway stands before it.",
    **{f"a score of {height:.0%}": SCORED for height in THRESHOLDS},
}
GROUPS: dict[str, tuple[str, ...]] = {
    "it does not verify any more": (
        "quiet: all is well",
        "it does not verify any more",
        "quiet: an old release is bad",
    ),
    "what the policy rolls back": ("a cause that is only reported", "an advisory, and the policy rolls back"),
    "a gate that does not answer": (
        "quiet: the gate is silent for one look",
        "the gate is silent for long",
        "the gate is silent for long, twice",
        "silent, then bad",
    ),
    "the release before is bad as well": (
        "it does not verify any more",
        "the release before is bad as well",
        "it ran before, with another between",
    ),
    "the release before cannot be judged": ("quiet: all is well", "the release before cannot be judged"),
    "nothing to go back to": ("nothing verifies", "nothing verifies, and the policy says run on"),
    "a tag that moved": ("quiet: a tag was moved", "the tag of the release before was moved"),
    "evidence that does not wait": ("quiet: all is well", "evidence that is gone soon"),
    "a deployment that fails": ("quiet: all is well", "the first deployment fails"),
}
RETAGGED = (
    "A tag says what the next pull gets. What runs goes on running, and whoever looks into it later finds that "
    "the tag's history was changed by you as well."
)
REPEATED = "A report that comes again at every look is one that people learn to close. `reported` says what was said."
LATE = (
    "A deployment and a stop remove the installation, and `delete` does so at once; what is in it is gone. The other "
    "pieces are gone after their seconds. Whoever investigates tomorrow has what you kept today."
)
EVERY_KIND = 2  # situations of each kind in a score


@dataclass(frozen=True)
class RehearsalScore:
    """A plan's score, shown as a table."""

    handled: int
    incidents: int
    left_alone: int
    quiet: int
    missed: tuple[str, ...]

    @property
    def value(self) -> float:
        """Incidents handled right × quiet situations left alone, 0 to 1."""
        return self.handled / self.incidents * self.left_alone / self.quiet

    def __repr__(self) -> str:
        lines = [
            f"incidents handled right:     {self.handled} of {self.incidents}",
            f"quiet situations left alone: {self.left_alone} of {self.quiet}",
            f"score: {self.value:.0%}",
        ]
        return "\n".join([*lines, *(f"  missed  {miss}" for miss in self.missed[:12])])


def sample(kind: str = "it does not verify any more", seed: int = 1) -> dict[str, Any]:
    """Make a situation of a kind."""
    rng = random.Random(f"sample/{seed}")  # noqa: S311 (variation, not secrecy)
    return SituationMaker(rng).make(kind).document


def rehearse(plan: Plan) -> Callable[..., list[dict[str, Any]]]:
    """Make the plan a function of situations: it gives what came of each."""
    return lambda situations: [run_plan(plan, situation) for situation in situations]


def score(plan: Plan, seed: int = 1) -> RehearsalScore:
    """Score a plan on the situations of one seed, which are others than the check's."""
    made = _all_kinds(random.Random(f"score/{seed}"))  # noqa: S311 (variation, not secrecy)
    return _score(made, rehearse(plan)([each.document for each in made]))


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Try each kind of incident beside what is quiet, then all of them for the score."""
    maker = SituationMaker(rng)
    for name, kinds in GROUPS.items():
        made = [maker.make(kind) for kind in kinds]
        yield Case(name, ([each.document for each in made],), accept=_all_right(made))
    made = _all_kinds(rng)
    for height in THRESHOLDS:
        name = f"a score of {height:.0%}"
        yield Case(name, ([each.document for each in made],), accept=_reaches(made, height))


def _all_kinds(rng: random.Random) -> list[MadeSituation]:
    maker = SituationMaker(rng)
    return [maker.make(kind) for kind in KINDS for _ in range(EVERY_KIND)]


def _all_right(made: list[MadeSituation]) -> Accept:
    def accept(outcomes: Any) -> bool | Miss:
        if len(outcomes) != len(made):
            return Miss("expected rehearse(plan)")
        misses = (_miss(each, outcome) for each, outcome in zip(made, outcomes, strict=True))
        return next((miss for miss in misses if miss is not None), True)

    return accept


def _reaches(made: list[MadeSituation], height: float) -> Accept:
    def accept(outcomes: Any) -> bool | Miss | Note:
        if len(outcomes) != len(made):
            return Miss("expected rehearse(plan)")
        reached = _score(made, outcomes)
        if reached.value < height:
            return Miss(
                f"{reached.handled} of {reached.incidents} incidents × {reached.left_alone} of {reached.quiet} quiet "
                f"= {reached.value:.0%}; {reached.missed[0]}"
            )
        return Note(f"score {reached.value:.0%}, still missed: {'; '.join(reached.missed)}") if reached.missed else True

    return accept


def _score(made: list[MadeSituation], outcomes: list[dict[str, Any]]) -> RehearsalScore:
    misses = [(each, _miss(each, outcome)) for each, outcome in zip(made, outcomes, strict=True)]
    quiet = [miss for each, miss in misses if each.quiet]
    incidents = [miss for each, miss in misses if not each.quiet]
    return RehearsalScore(
        incidents.count(None),
        len(incidents),
        quiet.count(None),
        len(quiet),
        tuple(miss.reason for _, miss in misses if miss),
    )


def _miss(made: MadeSituation, outcome: dict[str, Any]) -> Miss | None:
    """Say what is wrong with what came of a situation; None when all of it is right."""
    due, kind = made.due, made.kind
    if outcome["trouble"]:
        return Miss(f"{kind}: {outcome['trouble']}")
    if outcome["moved"]:
        return Miss(f"{kind}: the tag {outcome['moved'][0]!r} was set", RETAGGED)
    if outcome["deployed"] != due.deployed:
        return Miss(f"{kind}: {_wrong_release(made, outcome['deployed'])}")
    if outcome["runs"] != due.runs:
        state = "runs on" if outcome["runs"] else "was stopped"
        return Miss(f"{kind}: the service {state}")
    if outcome["reports"] != due.reports:
        repeated = len(outcome["reports"]) > len(set(outcome["reports"])) and len(outcome["reports"]) > len(due.reports)
        text = f"{kind}: reported {outcome['reports'] or 'nothing'}, expected {due.reports or 'nothing'}"
        return Miss(text, REPEATED) if repeated else Miss(text)
    if outcome["untold"]:
        return Miss(f"{kind}: the deployment failed, and nobody had been told by then")
    missing = sorted(made.document["evidence"].keys() - set(outcome["kept"]))
    if due.evidence and missing:
        return Miss(f"{kind}: evidence was lost: {', '.join(missing)}", LATE)
    return None


def _wrong_release(made: MadeSituation, deployed: list[str]) -> str:
    """Say in which way the deployed releases are not those that were due."""
    due = made.due.deployed
    if not deployed:
        return f"{made.document['releases'][-1][:15]}… still runs, and {due[0][:15]}… should"
    if not due or deployed[0] == due[0]:
        return f"deployed {len(deployed)} times, expected {len(due) or 'none'}; the first was {deployed[0][:15]}…"
    verdict = made.document["looks"][-1].get(deployed[0], {"verified": None, "cause": "unknown"})
    state = (
        "verifies, but is not the last that does" if verdict["verified"] else f"does not verify ({verdict['cause']})"
    )
    return f"{deployed[0][:15]}… was deployed, which {state}; expected {due[0][:15]}…"
