"""Cases for week 1, assessment: manifest, clock, verifier, weaknesses, inventory, budget.

Each exercise's truth comes from how its cases are made: files are changed on purpose, incidents are
built from their minutes, bundles are really signed and really verified, projects are written down
together with their inventory.

    >>> import random
    >>> [case.name for case in exposure(None, random.Random("1.2/visible"))][:2]
    ['every anchor known', 'an anchor is missing']
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chainlab.course.exercises.week1.ex3_verifier import verdicts
from chainlab.course.exercises.week1.ex4_cicd_risks import weaknesses
from chainlab.course.exercises.week1.ex5_inventory import inventories
from chainlab.course.exercises.week1.ex6_control_budget import budgets
from chainlab.course.learning.checks import Case, World

__all__ = ["CASES"]


# 1.1 verify the kit's manifest -------------------------------------------------------------------

FOLDERS = ["models", "policies", "actions/acme/cache", "projects/triage/src", "notes of the team"]
HIDDEN = "projects/triage/.github/workflows"


def manifest(lab: World, rng: random.Random) -> Iterator[Case]:
    """A small kit with its manifest; each case spoils a fresh copy in one way and knows which."""
    see = "labs/01_assessment.ipynb, 'What a manifest promises'"
    kit = _kit(rng)
    listed = "".join(f"{hashlib.sha256(kit[p]).hexdigest()}  {p}\n" for p in sorted(kit))
    names = sorted(kit)
    rng.shuffle(names)
    one = next(name for name in names if kit[name])
    two, three, four = [name for name in names if name != one][:3]
    hidden = f"{HIDDEN}/{rng.choice(['nightly', 'bonus', 'update'])}-{rng.randrange(100)}.yml"

    def case(
        name: str,
        files: dict[str, bytes],
        wrong: dict[str, set[str]],
        teaches: str,
        text: str = listed,
    ) -> Case:
        root = _write(lab.path / "exercise-1.1" / f"{rng.getrandbits(32):08x}", files)
        (root / "SHA256SUMS").write_text(text)
        nothing: dict[str, set[str]] = {"changed": set(), "missing": set(), "extra": set()}
        return Case(name, (root, text), {**nothing, **wrong}, teaches, see)

    yield case(
        "an untouched kit",
        kit,
        {},
        "Nothing was touched, so nothing is to be reported. Mind hidden folders, names with "
        "spaces, empty files, and SHA256SUMS itself, which cannot list its own digest.",
    )
    yield case(
        "one bit flipped",
        {**kit, one: _flip(kit[one], rng)},
        {"changed": {one}},
        "The size is the same and the name is the same. Only the bytes tell.",
    )
    yield case(
        "a file is missing",
        {p: c for p, c in kit.items() if p != two},
        {"missing": {two}},
        "A listed file that is not there is a finding, not an exception.",
    )
    yield case(
        "an extra file in a hidden folder",
        {**kit, hidden: b"on: push\n"},
        {"extra": {hidden}},
        "Every listed file is as listed, and there is one more. A workflow that nobody "
        "listed runs all the same: compare both ways, hidden folders too.",
    )
    planted = f"{rng.choice(FOLDERS)}/SHA256SUMS"
    yield case(
        "an extra file with a trusted name",
        {**kit, planted: listed.encode()},
        {"extra": {planted}},
        "Only the SHA256SUMS at the top is the manifest. The same name deeper down is a "
        "file like any other, and nobody listed it.",
    )
    yield case(
        "two files swapped",
        {**kit, three: kit[four], four: kit[three]},
        {"changed": {three, four}},
        "Both digests are in the list, each beside the other name. A manifest binds a name "
        "to bytes; a set of good digests does not.",
    )
    yield case(
        "an empty manifest",
        kit,
        {"extra": set(kit)},
        "A manifest that lists nothing vouches for nothing. Every file is extra.",
        text="",
    )
    spoilt = {**kit, one: _flip(kit[one], rng), hidden: b"on: push\n"}
    del spoilt[two]
    yield case(
        "all three at once",
        spoilt,
        {"changed": {one}, "missing": {two}, "extra": {hidden}},
        "Report everything; a person who mends one finding at a time needs three downloads.",
    )


def _kit(rng: random.Random) -> dict[str, bytes]:
    """Path to content: eight files; one empty, one hidden, one with a space; contents differ."""
    files = {
        f"{folder}/{rng.choice('abcdef')}{i}{rng.randrange(1000)}.txt": rng.randbytes(rng.randrange(20, 400))
        for i, folder in enumerate(FOLDERS)
    }
    files[f"{HIDDEN}/ci.yml"] = b"on: pull_request\n# " + rng.randbytes(8).hex().encode()
    files[f"model-{rng.randrange(100)}.onnx"] = rng.randbytes(600)
    files[f"empty-{rng.randrange(100)}.txt"] = b""
    return files


def _write(root: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def _flip(content: bytes, rng: random.Random) -> bytes:
    """The content with one bit flipped."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


# 1.2 exposure, detection, containment ------------------------------------------------------------

UNKNOWN = None


def exposure(lab: World, rng: random.Random) -> Iterator[Case]:
    """Tables built from minutes: first the minutes, then the timestamps that give them."""
    see = "notebooks/01_threats.ipynb, 'How long was the door open?'"

    def case(name: str, rows: list[tuple[dict[str, Any], dict[str, Any]]], teaches: str) -> Case:
        truth = {given["id"]: minutes for given, minutes in rows}
        means: dict[str, Any] = {}
        for mean, key in (("mttd", "detect"), ("mttc", "contain")):
            known = [m[key] for m in truth.values() if m[key] is not None]
            means[mean] = sum(known) / len(known) if known else None
            means[f"{mean}_unknown"] = len(truth) - len(known)
        return Case(name, ([given for given, _ in rows],), {"rows": truth, **means}, teaches, see)

    yield case(
        "every anchor known",
        [_incident(rng, i) for i in range(rng.randrange(3, 6))],
        "Containment counts from the alert: T5−T2; from the publication, T5−T0, it is the "
        "exposure. Name the two events before you subtract. The rest is units: minutes, "
        "over days too.",
    )
    missing = [
        _incident(rng, 0),
        _incident(rng, 1, lost="T2"),
        _incident(rng, 2, lost="T0"),
        _incident(rng, 3, lost="T5"),
    ]
    rng.shuffle(missing)
    yield case(
        "an anchor is missing",
        missing,
        "What nobody wrote down is unknown: None, and out of the mean. Zero would say "
        "'found at once' and make the worst record look like the best.",
    )
    yield case(
        "a day without a clock time",
        [_incident(rng, 0), _incident(rng, 1, day="T0"), _incident(rng, 2, day="T2")],
        "A source that gives only the day leaves up to 1,440 minutes open. Reading it as "
        "midnight invents a precision that the source does not have.",
    )
    yield case(
        "another time zone",
        [_incident(rng, i, zone=z) for i, z in enumerate(rng.sample([-420, -300, 60, 120, 330], 3))],
        "Press texts quote local clocks, for example CEST. Subtract instants, not digits.",
    )
    yield case(
        "over before anyone noticed",
        [_incident(rng, 0), _incident(rng, 1, unnoticed=True)],
        "The bad version was gone before the first alert. Nobody contained it, so there "
        "is no time to contain; the exposure stands. A negative duration is a definition "
        "that broke.",
    )
    yield case(
        "nothing known",
        [_incident(rng, i, lost="T2") for i in range(2)],
        'An unknown anchor is "" or None. A mean of no values is not zero: it is None, '
        "beside a count of what is unknown.",
    )
    table = [
        _incident(rng, 0),
        _incident(rng, 1, lost="T0"),
        _incident(rng, 2, day="T5"),
        _incident(rng, 3, zone=120),
        _incident(rng, 4, unnoticed=True),
        _incident(rng, 5),
    ]
    rng.shuffle(table)
    yield case("a mixed table", table, "Each row by itself, then the means over what is known.")


def _incident(
    rng: random.Random,
    number: int,
    *,
    lost: str = "",
    day: str = "",
    zone: int = 0,
    unnoticed: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One row and its minutes: ``lost`` anchors are empty, a ``day`` anchor has no clock time.

    Only the alert is told in the ``zone``: whoever drops offsets gets other minutes.
    """
    detect, contain = rng.randrange(7, 5000), rng.randrange(11, 3000)
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


CASES = {
    "1.1": manifest,
    "1.2": exposure,
    "1.3": verdicts,
    "1.4": weaknesses,
    "1.5": inventories,
    "1.6": budgets,
}
