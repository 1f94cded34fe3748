"""Cases for exercise 1.6: which controls first, when the budget does not reach for all?

A profile is a site, its threats and the controls on offer. What a control does is a judgement; each profile states it,
so that an answer is judged by the rules it was given. Trying every affordable set finds the best value.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.controls import CONTROLS, THREAT_FACTS, VECTORS, best, open_threats

__all__ = ["cases"]

SEE = "labs/01_assessment.ipynb, 'When does a control count?'"
TEACHES = {
    "one purchase": (
        "A budget may be spent to the last day. Add up loss, do not count threats. And what no control on offer "
        "covers stays open: name it too."
    ),
    "the SBOM arrives too late": (
        "An SBOM says where a component is once somebody else has found it bad. By then the harm is done. It "
        "prevents nothing; it shortens the clean-up."
    ),
    "nobody reads the alerts": (
        "A detection that reaches nobody detects nothing. Without a response there is no 'in time', however fast "
        "the signal."
    ),
    "an alert in time": (
        "Detection counts when signal and response together are not later than the harm. Preventing the wrong "
        "half is worth less."
    ),
    "two controls, one threat": (
        "Two controls that stop the same threats stop them once. Judge the set, not its members."
    ),
    "two small ones beat one large": (
        "The best value for money comes first and leaves a rest that buys nothing. Compare whole purchases."
    ),
    "a control that needs another": (
        "Pinning what an action calls begins with pinning the action. Alone the second does nothing, and the "
        "first only half."
    ),
    "a precondition that fails": (
        "Trusted publishing needs an index that takes OIDC tokens, a rebuild comparison needs a reproducible "
        "build. This site has neither."
    ),
    "a precondition that holds": (
        "This site's index takes OIDC tokens, so trusted publishing acts, and what needs it acts too. A fact of the "
        "site meets a need, and so does a control that acts."
    ),
    "money for everything": "Everything on offer is affordable and stops something: all of it is a choice too.",
    "nothing is affordable": "No money, no controls: every threat stays open, and the assessment says so.",
    "a mixed profile": (
        "Every rule at once. Print what your set leaves open, and ask of each threat which control you believed "
        "would stop it."
    ),
    "another mixed profile": (
        "Every rule at once. Print what your set leaves open, and ask of each threat which control you believed "
        "would stop it."
    ),
}


ENOUGH = 0.95  # of the best value


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make profiles that each punish one short cut, then two mixed ones."""
    big, small = rng.randrange(10, 16), rng.randrange(7, 10)  # losses
    yield from _kinds_of_controls(big, small, rng)
    yield from _sets_of_controls(big, small, rng)
    yield from _preconditions(big, small, rng)
    yield from _extreme_budgets(big, small, rng)
    for name in ("a mixed profile", "another mixed profile"):
        yield _mixed(name, rng)


def _kinds_of_controls(big: int, small: int, rng: random.Random) -> Iterator[Case]:
    """What one control is worth: prevention, inventory, detection."""
    yield _case(
        "one purchase",
        rng,
        budget=3,
        response=30,
        costs={"safe-model-format": 3, "separate-caches": 2},
        threats=[
            ("model-that-runs-code", big, 60, []),
            ("poisoned-cache", 2, 60, []),
            ("poisoned-cache", 3, 60, []),
            ("maintainer-means-harm", small, 60, []),
        ],
    )
    yield _case(
        "the SBOM arrives too late",
        rng,
        budget=2,
        response=30,
        costs={"sbom-lookup": 1, "cooldown": 2, "separate-caches": 2},
        threats=[("bad-dependency", big, rng.randrange(40, 200), []), ("poisoned-cache", small, 20, [])],
    )
    yield _case(
        "nobody reads the alerts",
        rng,
        budget=4,
        response=None,
        costs={"egress-watch": 2, "independent-rebuild": 4, "least-privilege-tokens": 4},
        threats=[("moved-tag", big, 600, []), ("injected-pull-request", small, 600, [])],
    )
    response = rng.randrange(10, 40)
    yield _case(
        "an alert in time",
        rng,
        budget=3,
        response=response,  # to the minute: 3 for signal
        costs={"egress-watch": 3, "pin-own-actions": 3},
        threats=[("moved-tag", big, response + 3, ["nested"]), ("moved-tag", small, 5, [])],
    )


def _sets_of_controls(big: int, small: int, rng: random.Random) -> Iterator[Case]:
    """What several controls are worth together."""
    yield _case(
        "two controls, one threat",
        rng,
        budget=8,
        response=30,
        costs={"cooldown": 4, "hash-locked-install": 4, "safe-model-format": 4},
        threats=[
            ("bad-dependency", big, 60, []),
            ("name-confusion", small, 60, []),
            ("model-that-runs-code", big, 60, []),
        ],
    )
    yield _case(
        "two small ones beat one large",
        rng,
        budget=10,
        response=30,
        costs={"cooldown": 6, "safe-model-format": 5, "separate-caches": 5},
        threats=[
            ("bad-dependency", 5 * big, 60, []),
            ("model-that-runs-code", 4 * big, 60, []),
            ("poisoned-cache", 4 * big, 60, []),
        ],
    )
    yield _case(
        "a control that needs another",
        rng,
        budget=6,
        response=30,
        costs={"pin-own-actions": 2, "pin-nested-actions": 4, "separate-caches": 5},
        threats=[("moved-tag", big, 60, ["nested"]), ("poisoned-cache", small, 60, [])],
    )


def _preconditions(big: int, small: int, rng: random.Random) -> Iterator[Case]:
    """Facts of the site that a control needs."""
    yield _case(
        "a precondition that fails",
        rng,
        budget=5,
        response=30,
        site=[],
        costs={"trusted-publishing": 2, "expected-publisher": 3, "independent-rebuild": 1, "least-privilege-tokens": 5},
        threats=[("stolen-upload-token", big, 600, []), ("injected-pull-request", small, 60, [])],
    )
    yield _case(
        "a precondition that holds",
        rng,
        budget=5,
        response=30,
        site=["oidc-at-the-index"],
        costs={"trusted-publishing": 2, "expected-publisher": 3, "least-privilege-tokens": 5},
        threats=[
            ("stolen-upload-token", big, 600, ["old-token-left-behind"]),
            ("stolen-upload-token", small, 600, []),
            ("injected-pull-request", small, 60, []),
        ],
    )


def _extreme_budgets(big: int, small: int, rng: random.Random) -> Iterator[Case]:
    """Money for all controls, and for none."""
    yield _case(
        "money for everything",
        rng,
        budget=9,
        response=30,
        costs={"cooldown": 3, "safe-model-format": 2, "separate-caches": 4},
        threats=[
            ("bad-dependency", big, 60, []),
            ("model-that-runs-code", small, 60, []),
            ("poisoned-cache", 2, 60, []),
        ],
    )
    yield _case(
        "nothing is affordable",
        rng,
        budget=0,
        response=30,
        costs={"cooldown": 2, "safe-model-format": 1},
        threats=[("bad-dependency", big, 60, []), ("model-that-runs-code", small, 60, [])],
    )


def _case(
    name: str,
    rng: random.Random,
    *,
    budget: int,
    response: int | None,
    costs: dict[str, int],
    threats: list[tuple[str, int, int, list[str]]],
    site: list[str] | None = None,
) -> Case:
    chosen = [{**c, "cost": costs[c["id"]]} for c in CONTROLS if c["id"] in costs]
    rows = [
        {
            "id": f"{vector}-{rng.randrange(1000)}-{i}",
            "vector": vector,
            "facts": facts,
            "loss": loss,
            "minutes_to_harm": minutes,
        }
        for i, (vector, loss, minutes, facts) in enumerate(threats)
    ]
    rng.shuffle(chosen)
    rng.shuffle(rows)
    profile = {
        "budget": budget,
        "response_minutes": response,
        "site": ["oidc-at-the-index", "reproducible-build"] if site is None else site,
        "controls": chosen,
        "threats": rows,
    }
    return Case(name, (profile,), None, accept=_worth_enough(profile))


def _mixed(name: str, rng: random.Random) -> Case:
    """Offer all twelve controls against nine to twelve threats, and a third of the money for all."""
    costs = {c["id"]: rng.randrange(1, 7) for c in CONTROLS}
    vectors = VECTORS + rng.choices(VECTORS, k=rng.randrange(1, 5))
    threats = [
        (
            v,
            rng.randrange(2, 21),
            rng.choice([2, 15, 45, 120, 600, 3000]),
            [f for f in THREAT_FACTS[v] if rng.random() < 0.35],
        )
        for v in vectors
    ]
    threats.append(("maintainer-means-harm", rng.randrange(2, 21), 600, []))  # no control covers it
    site = [s for s in ("oidc-at-the-index", "reproducible-build") if rng.random() < 0.6]
    return _case(
        name,
        rng,
        budget=sum(costs.values()) // 3,
        response=rng.choice([10, 40, 100, None]),
        costs=costs,
        threats=threats,
        site=site,
    )


def _worth_enough(profile: dict[str, Any]) -> Callable[[Any], bool | Miss]:
    """Accept an affordable set that is worth enough, with the threats it leaves open."""
    cost = {c["id"]: c["cost"] for c in profile["controls"]}
    loss = {t["id"]: t["loss"] for t in profile["threats"]}
    top: list[int] = []

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or set(answer) != {"controls", "residual"}:
            return Miss("expected a dict with controls and residual", why="")
        chosen, residual = set(answer["controls"]), set(answer["residual"])
        if unknown := (chosen - cost.keys()) | (residual - loss.keys()):
            return Miss(f"no such id: {min(unknown)}", why="")
        if (spent := sum(cost[c] for c in chosen)) > profile["budget"]:
            return Miss(f"cost {spent}, the budget is {profile['budget']}")
        left = open_threats(profile, chosen)
        if hidden := left - residual:
            return Miss(f"your choice leaves {min(hidden)} open, and residual does not say so")
        if stopped := residual - left:
            return Miss(f"your choice stops {min(stopped)}, and residual calls it open")
        if not top:
            top.append(best(profile))
        avoided = sum(loss.values()) - sum(loss[t] for t in left)
        if avoided < ENOUGH * top[0]:
            return Miss(f"value {avoided}, the best choice is worth {top[0]}")
        return True

    return accept
