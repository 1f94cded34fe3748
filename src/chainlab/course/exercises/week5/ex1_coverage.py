"""Cases for exercise 5.1: which event is a sign of which of six attacks?

Each case is a few days of events (`fixtures.scenario_events`). A rule looks at one event at a time; it is right when it
matches the signs of an attack, under its name, and nothing of a benign twin or of ordinary work.

    >>> watch(lambda event, internal: event["alarm"])([{"alarm": ""}, {"alarm": "tag-hijack"}], set())
    [(1, 'tag-hijack')]
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.scenario_events import INTERNAL, SCENARIOS, Days

__all__ = ["cases", "coverage", "watch"]

SEE = "labs/05_monitoring.ipynb, 'From a signal to a rule'"
TEACHES = {
    "stolen-token": (
        "A stolen token works at the owner's hour, under the owner's name, for the right project. What it does not "
        "have is a run: nothing in CI stands behind the file."
    ),
    "name-confusion": (
        "The name is right, that is the attack. Which index answered? One of the house's own names never comes from "
        "upstream."
    ),
    "tag-hijack": "All tags at once. The push says how many it moved, so one event is enough.",
    "poisoned-cache": (
        "Somebody else's entry ran in a job, the job went red, and a file was published all the same. Who publishes "
        "from a failed run?"
    ),
    "poisoned-model": (
        "A scanner reads the file; the service is where it is loaded. At load time a model starts no process, opens no "
        "connection and runs no code, unless the release's attested behaviour includes it."
    ),
    "startup-hook": (
        "Python runs more than .pth files at its start: sitecustomize.py and usercustomize.py too, and tomorrow "
        "something else. The comparison knows which files of the wheel are new and run at every start. Ask for that, "
        "not for a name."
    ),
    "a night release": "The hour is no evidence. This one has a run behind it.",
    "an internal rename": "A new dependency is a reason to look. The house's own index served it.",
    "an owner's re-tag": "An owner moves one or two short tags with each release. The attack moved all of them.",
    "a cache migration": "The failed run published nothing, and the run that published did not fail.",
    "an honest forest": "The scanner has an opinion; the hook has seen what loading did. This was expected.",
    "an editable install": (
        "This .pth is in the source, so the comparison does not list it. A rule on file names wakes somebody for it, "
        "and sleeps when the attacker chooses another name. A wheel that was not compared (null) is unknown, "
        "which is another alert."
    ),
    "ordinary days": "A rule that fires on ordinary work is switched off within a week.",
    "everything at once": "Six attacks, six twins, and work in between. Which event differs?",
}
TWINS = dict(zip(SCENARIOS, list(TEACHES)[6:12], strict=True))
ORDINARY = TEACHES["ordinary days"]
Sign = Callable[[dict[str, Any], set[str]], Any]


def watch(sign: Sign) -> Callable[..., list[Any]]:
    """Make a rule about one event a function of many: it lists what the rule gives, for the events that it matches."""

    def run(events: list[dict[str, Any]], internal: set[str]) -> list[Any]:
        signs = [(number, sign(dict(event), set(internal))) for number, event in enumerate(events)]
        return [(number, scenario) for number, scenario in signs if scenario]

    return run


def coverage(sign: Sign, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Count, for each scenario, the signs that a rule matched and the events of the twin that it matched too."""
    table: dict[str, dict[str, Any]] = {}
    for scenario in SCENARIOS:
        days = Days(random.Random(f"coverage/{seed}/{scenario}"))  # noqa: S311 (variation, not secrecy)
        days.ordinary(20)
        days.attack(scenario)
        days.twin(scenario)
        matched = {number for number, name in watch(sign)(days.events, set(INTERNAL)) if name == scenario}
        signs = days.signs[scenario]
        first = days.events[min(matched & signs)]["type"] if matched & signs else "no event"
        honest = len(matched - signs - days.allowed.get(scenario, set()))
        table[scenario] = {"first matched": first, "signs": f"{len(matched & signs)} of {len(signs)}", "false": honest}
    return table


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make days with one attack each, then with a twin beside another attack, then with everything."""
    for scenario in SCENARIOS:
        days = Days(rng)
        days.ordinary(6)
        days.attack(scenario)
        days.ordinary(4)
        yield _case(scenario, days)
    for scenario, name in TWINS.items():
        days = Days(rng)
        days.attack(rng.choice([other for other in SCENARIOS if other != scenario]))
        days.twin(scenario)
        days.ordinary(3)
        yield _case(name, days)
    days = Days(rng)
    days.ordinary(40)
    days.attack(rng.choice(SCENARIOS))
    days.ordinary(20)
    yield _case("ordinary days", days)
    days = Days(rng)
    for scenario in rng.sample(SCENARIOS, len(SCENARIOS)):
        days.ordinary(5)
        rng.choice((days.attack, days.twin))(scenario)
        days.attack(rng.choice(SCENARIOS))
    yield _case("everything at once", days)


def _case(name: str, days: Days) -> Case:
    return Case(name, (days.events, set(INTERNAL)), None, accept=_matches(days))


def _matches(days: Days) -> Callable[[Any], bool | Miss]:
    """Accept when every sign is matched under its scenario's name, and no other event."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, list):
            return Miss("expected watch(sign)", why="")
        got = dict(answer)
        for scenario, signs in days.signs.items():
            for number in sorted(signs):
                if got.get(number) != scenario:
                    gave = f"your rule gave {got.get(number)!r}"
                    return Miss(f"event {number} ({days.events[number]['type']}) is a sign of {scenario}; {gave}")
        for number, scenario in sorted(got.items()):
            if number not in days.signs.get(scenario, set()) | days.allowed.get(scenario, set()):
                own = [name for name, events in days.signs.items() if number in events]
                story = days.twins.get(number, f"a sign of {own[0]}" if own else "ordinary work")
                reason = f"event {number} ({days.events[number]['type']}): your rule says {scenario!r}; it is {story}"
                return Miss(reason, why=None if number in days.twins or own else ORDINARY)
        return True

    return accept
