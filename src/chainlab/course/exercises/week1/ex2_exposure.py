"""Cases for exercise 1.2: exposure, detection, containment. The minutes come first, then their timestamps."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = "notebooks/01_measuring.ipynb, 'T0 to T5, and what lies between'"
TEACHES = {
    "every anchor known": (
        "Containment counts from the alert: T5−T2; from the publication, T5−T0, it is the exposure. Name the two "
        "events before you subtract. The rest is units: minutes, over days too."
    ),
    "an anchor is missing": (
        "What nobody wrote down is unknown: None, and out of the mean. Zero would say 'found at once' and make "
        "the worst record look like the best."
    ),
    "a day without a clock time": (
        "A source that gives only the day leaves up to 1,440 minutes open. Reading it as midnight invents a "
        "precision that the source does not have."
    ),
    "another time zone": "Press texts quote local clocks, for example CEST. Subtract instants, not digits.",
    "over before anyone noticed": (
        "The bad version was gone before the first alert. Nobody contained it, so there is no time to contain; "
        "the exposure stands. A negative duration is a definition that broke."
    ),
    "a known zero": (
        "Alert and containment in the same minute: 0 minutes, and known. Zero is measured; None says that nobody did."
    ),
    "nothing known": (
        'An unknown anchor is "" or None. A mean of no values is not zero: it is None, beside a count of what is '
        "unknown."
    ),
    "a mixed table": "Each row by itself, then the means over what is known.",
}


UNKNOWN = None


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make tables of incidents, each from the minutes that it has to give."""

    def case(name: str, rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> Case:
        truth = {row["id"]: minutes for row, minutes in rows}
        means: dict[str, Any] = {}
        for mean, key in (("mttd", "detect"), ("mttc", "contain")):
            minutes = [m[key] for m in truth.values() if m[key] is not None]
            means[mean] = sum(minutes) / len(minutes) if minutes else None
            means[f"{mean}_unknown"] = len(truth) - len(minutes)
        expected = {"rows": truth, **means}
        return Case(name, ([row for row, _ in rows],), expected, why_if=lambda got: not _rounded(got, expected))

    yield case("every anchor known", [_incident(rng, i) for i in range(rng.randrange(3, 6))])
    missing = [
        _incident(rng, 0),
        _incident(rng, 1, lost="T2"),
        _incident(rng, 2, lost="T0"),
        _incident(rng, 3, lost="T5"),
    ]
    rng.shuffle(missing)
    yield case("an anchor is missing", missing)
    yield case(
        "a day without a clock time", [_incident(rng, 0), _incident(rng, 1, day="T0"), _incident(rng, 2, day="T2")]
    )
    yield case(
        "another time zone",
        [_incident(rng, i, zone=z) for i, z in enumerate(rng.sample([-420, -300, 60, 120, 330], 3))],
    )
    yield case("over before anyone noticed", [_incident(rng, 0), _incident(rng, 1, unnoticed=True)])
    yield case("a known zero", [_incident(rng, 0), _incident(rng, 1, at_once=True)])
    yield case("nothing known", [_incident(rng, i, lost="T2") for i in range(2)])
    table = [
        _incident(rng, 0),
        _incident(rng, 1, lost="T0"),
        _incident(rng, 2, day="T5"),
        _incident(rng, 3, zone=120),
        _incident(rng, 4, unnoticed=True),
        _incident(rng, 5),
    ]
    rng.shuffle(table)
    yield case("a mixed table", table)


def _rounded(got: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Say whether only the means differ, and each by a rounding: no case teaches about that."""
    if got["rows"] != expected["rows"] or got.keys() != expected.keys():
        return False
    pairs = [(got[name], right) for name, right in expected.items() if name != "rows"]
    return all(mine == right or (None not in (mine, right) and abs(mine - right) < 1) for mine, right in pairs)


def _incident(
    rng: random.Random,
    number: int,
    *,
    lost: str = "",
    day: str = "",
    zone: int = 0,
    unnoticed: bool = False,
    at_once: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a row and its minutes: the ``lost`` anchor is empty, the ``day`` anchor has no clock time.

    Only the alert is in the ``zone`` (minutes from UTC), so an answer that drops offsets gets other minutes.
    """
    detect, contain = rng.randrange(7, 5000), 0 if at_once else rng.randrange(11, 3000)
    ended = rng.randrange(1, detect) if unnoticed else detect + contain
    start = dt.datetime(2026, 1, 5, tzinfo=dt.UTC) + dt.timedelta(minutes=rng.randrange(400_000))
    row: dict[str, Any] = {"id": f"incident-{number}-{rng.randrange(1000)}"}
    for anchor, minutes in (("T0", 0), ("T2", detect), ("T5", ended)):
        moment = start + dt.timedelta(minutes=minutes)
        local = dt.timezone(dt.timedelta(minutes=zone if anchor == "T2" else 0))
        text = moment.astimezone(local).isoformat(timespec="minutes")
        row[anchor] = text.replace("+00:00", "Z")
        if anchor == day:
            row[anchor] = moment.date().isoformat()
        if anchor == lost:
            row[anchor] = rng.choice([None, ""])
    vague = {lost, day}
    return row, {
        "exposure": UNKNOWN if vague & {"T0", "T5"} else ended,
        "detect": UNKNOWN if vague & {"T0", "T2"} else detect,
        "contain": UNKNOWN if vague & {"T2", "T5"} or unnoticed else contain,
    }
