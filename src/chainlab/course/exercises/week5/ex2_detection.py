"""Cases for exercise 5.2: a Sigma rule, measured on histories that it has not seen, and what its alarm is worth.

The rule is about publications that the release workflow did not make. It is compiled by the monitor's own engine and
tried on `chainlab.monitor.histories`: one organisation to tune on, and for each seed two others. Counts are turned into
a precision by the learner's second function.

    >>> interval(0, 400)[0], round(interval(0, 400)[1], 4)
    (0.0, 0.0092)
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from math import sqrt
from pathlib import Path
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.errors import MalformedInput
from chainlab.events import PREFIX, Event
from chainlab.monitor.detections import Detection, load_detections
from chainlab.monitor.histories import HELD_OUT, TUNING, History, attacked, benign
from chainlab.monitor.histories.organisation import Organisation
from chainlab.monitor.matching import find_matches
from chainlab.monitor.measurement import CONFIDENCE, Rate, precision

__all__ = ["cases", "detection", "interval", "try_rule", "tuning_attacks"]

SEE = "labs/05_monitoring.ipynb, 'What is an alarm worth?'"
TEACHES = {
    "a rule that the engine can read": (
        "A rule file that cannot be read detects nothing, and nobody is told at night. Read the line that the message "
        "names. `chainlab.unit` is `artifact.published`, for that is what one trial is."
    ),
    "the history you tuned on": (
        "`try_rule` shows which ways of an attack the rule misses and which honest cases it matches. Ask for what the "
        "release workflow's file has and this one has not, and leave out what half of all honest releases have too."
    ),
    "attacks it has not seen": (
        "Names, digests, hours and sizes of the shown attacks are this week's. The next thief has others; what stays "
        "is what the thief does not have: a run, the attestation, the identity."
    ),
    "honest work it has not seen": (
        "Your organisation attests everything and lives in one time zone. Others do not. A clause that costs nothing "
        "at home may match a tenth of what others publish."
    ),
    "99 % accurate, at 1:10,000": (
        "Of 10,000 publications 9,999 are honest, and one in a hundred of them alarms: about 100 false alarms beside "
        "one attack. Accuracy is a figure about the 9,999."
    ),
    "a rule that is good enough": "Precision falls out of three numbers: recall, false-positive rate, base rate.",
    "no false alarm in 400": (
        "Nothing in 400 does not mean never: a rate of 3 in 400 would show nothing once in twenty times. So there is a "
        "lower bound, and no best value."
    ),
    "no false alarm in 40,000": "The same silence over a hundred times as many units says a hundred times as much.",
    "no attack was detected": "A rule that detected none of 12 may still detect one in five: the interval says so.",
    "everything alarms": "A rule that matches all has recall 1, and its alarms are worth the base rate.",
    "one in two is an attack": (
        "In a test set of half attacks and half honest cases every rule looks good. The base rate is the world's, not "
        "the set's."
    ),
}
LEAST_RECALL = 0.5
MOST_FALSE = 1 / 100
KINDS = ("publish_without_run", "publish_from_failed_run", "attestation_lost", "identity_changed")
PUBLICATIONS, INSTANCES = 3_000, 30  # of all organisations of a case together; the second for each kind
UNIT = "artifact.published"
Rule = Callable[[], str]
Worth = Callable[..., Any]


def interval(count: int, n: int) -> tuple[float, float]:
    """Return the interval of a rate; of two such rates, both hold in 95 % of all samples."""
    return Rate(count, n).interval(sqrt(CONFIDENCE))


def detection(rule: Rule, worth: Worth) -> Callable[..., Any]:
    """Make one function of both answers: it measures the rule on histories, or asks what an alarm is worth."""

    def run(task: str, *numbers: Any) -> Any:
        if task != "rule":
            return worth(*numbers)
        text = rule()
        if not isinstance(text, str):
            raise MalformedInput(f"rule() returned {type(text).__name__}", hint="return the text of a Sigma rule")
        return _measured(text, tuple(numbers[0]))

    return run


def try_rule(text: str) -> dict[str, Any]:
    """Measure a rule on the history to tune on: attacks detected of each kind, and the honest cases it matched.

    Raises `MalformedInput` for a mistake in the rule.
    """
    return {key: value for key, value in _measured(text, _home()).items() if key not in ("seeds", "unit")}


def tuning_attacks() -> list[Event]:
    """List the attacks' events of the history to tune on."""
    _, history = _histories(_home())
    sequences = {sequence for kind in KINDS for attack in history.attacks[kind] for sequence in attack}
    return [event for event in history.events if event.sequence in sequences]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Measure the rule at home and elsewhere, then ask for the worth of an alarm."""
    elsewhere = tuple(sorted(rng.sample(HELD_OUT, 2)))
    home = _home()
    yield Case("a rule that the engine can read", ("rule", home), accept=_readable(home))
    yield Case("the history you tuned on", ("rule", home), accept=_good(home, recall=True, false=True))
    yield Case("attacks it has not seen", ("rule", elsewhere), accept=_good(elsewhere, recall=True))
    yield Case("honest work it has not seen", ("rule", elsewhere), accept=_good(elsewhere, false=True))
    units = rng.randrange(3_000, 6_000)
    yield _worth("99 % accurate, at 1:10,000", 99, 100, units // 100, units, 1 / 10_000)
    attacks = rng.randrange(30, 90)
    yield _worth("a rule that is good enough", attacks * 3 // 4, attacks, rng.randrange(4, 12), units, 1 / 2_000)
    yield _worth("no false alarm in 400", attacks * 2 // 3, attacks, 0, 400, 1 / rng.choice([200, 2_000]))
    yield _worth("no false alarm in 40,000", attacks * 2 // 3, attacks, 0, 40_000, 1 / rng.choice([2_000, 10_000]))
    yield _worth("no attack was detected", 0, 12, rng.randrange(1, 9), units, 1 / 2_000)
    yield _worth("everything alarms", attacks, attacks, units, units, 1 / rng.choice([200, 2_000]))
    yield _worth("one in two is an attack", attacks * 2 // 3, attacks, units // 90, units, 0.5)


def _worth(name: str, detected: int, attacks: int, false_alarms: int, units: int, base_rate: float) -> Case:
    """Ask for the lowest, the best and the highest precision; without a false alarm there is no best."""
    (recall_low, recall_high), (rate_low, rate_high) = interval(detected, attacks), interval(false_alarms, units)
    best = precision(detected / attacks, false_alarms / units, base_rate) if false_alarms else None
    low, high = precision(recall_low, rate_high, base_rate), precision(recall_high, rate_low, base_rate)
    return Case(name, ("worth", detected, attacks, false_alarms, units, base_rate), (low, best, high))


@cache
def _home() -> tuple[int, ...]:
    """Choose the organisation to tune on: the first in which every project attests, which is not so elsewhere."""
    for seed in TUNING:
        organisation = Organisation(random.Random(f"benign {seed}"))  # noqa: S311 (variation, not secrecy)
        if all(project.attested for project in organisation.projects):
            return (seed,)
    raise LookupError("no organisation to tune on attests everything")


@lru_cache(maxsize=8)
def _histories(seeds: tuple[int, ...]) -> tuple[History, History]:
    """Make the publications of benign and of attacked weeks, one organisation for each seed."""
    quiet, *other_quiet = [_publications(benign(seed, PUBLICATIONS // len(seeds))) for seed in seeds]
    loud, *other_loud = [_publications(attacked(seed, INSTANCES // len(seeds))) for seed in seeds]
    return quiet.joined(other_quiet), loud.joined(other_loud)


def _publications(history: History) -> History:
    """Leave publications alone, numbered anew."""
    kept = [event for event in history.events if event.type == PREFIX + UNIT]
    numbers = {event.sequence: number for number, event in enumerate(kept, start=1)}

    def renumbered(sequences: frozenset[int]) -> frozenset[int]:
        return frozenset(numbers[sequence] for sequence in sequences if sequence in numbers)

    return History(
        tuple(_with_sequence(event, number) for event, number in zip(kept, numbers.values(), strict=True)),
        {kind: tuple(renumbered(attack) for attack in history.attacks.get(kind, ())) for kind in KINDS},
        {name: renumbered(events) for name, events in history.cases.items()},
    )


def _with_sequence(event: Event, number: int) -> Event:
    return Event(number, event.type, event.source, event.subject, event.time, event.data, event.scenario_time)


@lru_cache(maxsize=64)
def _measured(text: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Measure a rule's text. Raises `MalformedInput` for a mistake in it, with its line."""
    rule = _compiled(text)
    quiet, loud = _histories(seeds)
    alarms, hits = find_matches([rule], quiet.events), find_matches([rule], loud.events)
    matched = {sequence for match in alarms for sequence in match.sequences}
    seen = {sequence for match in hits for sequence in match.sequences}
    detected = {kind: sum(bool(seen & attack) for attack in loud.attacks[kind]) for kind in KINDS}
    honest = Counter(next((name for name, events in quiet.cases.items() if s in events), "plain work") for s in matched)
    return {
        "seeds": list(seeds),
        "unit": rule.unit,
        "detected": {kind: f"{count} of {len(loud.attacks[kind])}" for kind, count in detected.items()},
        "recall": [sum(detected.values()), sum(len(loud.attacks[kind]) for kind in KINDS)],
        "false alarms": [len(matched), len(quiet.events)],
        "false alarms about": dict(sorted(honest.items())),
    }


def _compiled(text: str) -> Detection:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "stolen_publication.yml").write_text(text, encoding="utf-8")
        [rule] = load_detections(Path(folder)).named("stolen_publication")
    return rule


def _readable(seeds: tuple[int, ...]) -> Callable[[Any], bool | Miss]:
    """Accept a rule that was compiled and is about publications."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or answer.get("seeds") != list(seeds):
            return Miss("expected detection(rule, worth)", why="")
        unit = answer["unit"]
        return True if unit == UNIT else Miss(f"the rule's unit is {unit}, and a trial here is one {UNIT}")

    return accept


def _good(seeds: tuple[int, ...], *, recall: bool = False, false: bool = False) -> Callable[[Any], bool | Miss]:
    """Accept a rule that detects enough, or that is quiet enough."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or answer.get("seeds") != list(seeds):
            return Miss("expected detection(rule, worth)", why="")
        (detected, attacks), (alarms, units) = answer["recall"], answer["false alarms"]
        if recall and detected < LEAST_RECALL * attacks:
            kinds = ", ".join(f"{kind} {count}" for kind, count in answer["detected"].items())
            return Miss(f"recall {detected} of {attacks}, expected at least {LEAST_RECALL:.0%}: {kinds}")
        if false and alarms > MOST_FALSE * units:
            about = max(answer["false alarms about"].items(), key=lambda pair: pair[1])
            return Miss(
                f"{alarms} false alarms in {units} publications, expected at most 1 in {1 / MOST_FALSE:.0f}; "
                f"{about[1]} of them about: {about[0].replace('_', ' ')}"
            )
        return True

    return accept
