"""Survivors: mutants that a check accepts, and the record of those that may survive, ``lessons/survivors.toml``.

    ["0.4"]
    mutants = 6

    [["0.4".survivor]]
    change = "`size > 1` becomes `size > 0`"
    why = "There is no log of no entries: the text says so."

The record also holds the number of mutants, so that a change of the solution or of the mutations is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chainlab.course.authoring.lesson_source import LessonProblem
from chainlab.course.toml import Table

__all__ = [
    "RECORD",
    "Recorded",
    "Survivor",
    "Tally",
    "blank_entries",
    "compare",
    "read_record",
    "table",
    "with_reasons",
]

RECORD = "lessons/survivors.toml"


@dataclass(frozen=True)
class Survivor:
    """A mutant that a check accepts."""

    line: int  # of the lab's source
    change: str
    seed: int  # the first of `SEEDS` with which it passes


@dataclass(frozen=True)
class Tally:
    """The result of one exercise's mutants."""

    exercise: str
    file: str  # lessons/00_onramp_lab.py
    mutants: int
    endless: int  # refused mutants that ran into the limit of time or memory
    survivors: tuple[Survivor, ...]
    seconds: float

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Tally:
        """Read what `to_json` wrote."""
        return cls(**value | {"survivors": tuple(Survivor(**s) for s in value["survivors"])})

    def __str__(self) -> str:
        endless = f" ({self.endless} by the limit of time)" if self.endless else ""
        refused = self.mutants - len(self.survivors)
        return f"{self.exercise:4} {self.mutants} mutants, {refused} refused{endless}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Recorded:
    """The record's entry for one exercise."""

    mutants: int
    reasons: Mapping[str, str]  # by change: why this mutant may survive
    line: int


NOTHING = Recorded(0, {}, 1)


def read_record(root: Path) -> dict[str, Recorded]:
    """Read the record, by exercise; empty without a file. Raises `MalformedInput` with file, line and key."""
    path = root / RECORD
    if not path.is_file():
        return {}
    record = Table.parse(path.read_text(encoding="utf-8"), RECORD)
    recorded = {}
    for exercise in record.data:
        table = record.table(exercise)
        reasons: dict[str, str] = {}
        for entry in table.tables("survivor", []):
            change = entry.text("change")
            if change in reasons:
                raise entry.error("change", f"recorded twice: {change}")
            reasons[change] = entry.text("why")
            entry.refuse_unknown_keys()
        line = record.source.partition(f'["{exercise}"]')[0].count("\n") + 1
        recorded[exercise] = Recorded(table.whole("mutants", least=1), reasons, line)
        table.refuse_unknown_keys()
    return recorded


def compare(
    tallies: Iterable[Tally], record: Mapping[str, Recorded], exercise_ids: Collection[str]
) -> list[LessonProblem]:
    """Report where tallies and record disagree: a survivor without a reason, a stale entry, another number.

    ``exercise_ids`` are all exercises of the course; an entry of the record for any other is a problem.
    """
    problems: list[LessonProblem] = []
    for tally in tallies:
        recorded = record.get(tally.exercise, NOTHING)
        for survivor in _unrecorded(tally, record):
            at = f"exercise {tally.exercise}, seed {survivor.seed}"
            problems.append(
                LessonProblem(tally.file, survivor.line, f"{at}: the check accepts a mutant: {survivor.change}")
            )
        stale = [change for change in recorded.reasons if change not in {s.change for s in tally.survivors}]
        problems += [
            LessonProblem(RECORD, recorded.line, f"exercise {tally.exercise}: no such survivor: {c}") for c in stale
        ]
        if recorded.mutants != tally.mutants:
            text = f"exercise {tally.exercise}: expected 'mutants = {tally.mutants}', got {recorded.mutants}"
            problems.append(LessonProblem(RECORD, recorded.line, text))
    problems += [
        LessonProblem(RECORD, r.line, f"there is no exercise {e}") for e, r in record.items() if e not in exercise_ids
    ]
    return problems


def table(tallies: Sequence[Tally]) -> str:
    """One line for each exercise, and the sums."""
    rows = [(t.exercise, (t.mutants, t.mutants - len(t.survivors), t.endless, len(t.survivors))) for t in tallies]
    rows.append(("all", tuple(map(sum, zip(*(counts for _, counts in rows), strict=True)))))  # type: ignore[arg-type]
    lines = [f"{name:8}" + "".join(f"{count:>9}" for count in counts) for name, counts in rows]
    return "\n".join(["exercise  mutants  refused  by time  survive", *lines])


def blank_entries(tallies: Iterable[Tally], record: Mapping[str, Recorded]) -> list[str]:
    """Write a blank record entry for each survivor without one; the author fills in the reason."""
    blocks = []
    for tally in tallies:
        for survivor in _unrecorded(tally, record):
            change = json.dumps(survivor.change, ensure_ascii=False)  # TOML reads JSON's text
            at = f"# {tally.file}:{survivor.line}, seed {survivor.seed}"
            blocks.append(f'\n{at}\n[["{tally.exercise}".survivor]]\nchange = {change}\nwhy = ""')
    return blocks


def with_reasons(tally: Tally, record: Mapping[str, Recorded]) -> dict[str, Any]:
    """Give a tally as plain data, with the recorded reasons."""
    recorded = record.get(tally.exercise, NOTHING)
    survivors = [asdict(s) | {"why": recorded.reasons.get(s.change)} for s in tally.survivors]
    return asdict(tally) | {"survivors": survivors}


def _unrecorded(tally: Tally, record: Mapping[str, Recorded]) -> list[Survivor]:
    reasons = record.get(tally.exercise, NOTHING).reasons
    return [s for s in tally.survivors if s.change not in reasons]
