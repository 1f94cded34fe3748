"""The figures of the course's detections on histories that no rule was tuned on: ``data/detections/figures.toml``.

A rule that was changed shows here as a figure that changed. For each rule: its recall; its false positives among benign
units; its precision at three base rates; its alerts in a benign week; and the hard cases behind its false alarms.

    python -m chainlab.course.authoring.detection_figures            writes it
    python -m chainlab.course.authoring.detection_figures --check    exit 1 when the figures are others
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from chainlab.monitor.detections import load_detections
from chainlab.monitor.histories import HELD_OUT, History, attacked, benign
from chainlab.monitor.measurement import RuleMeasurement, measure
from chainlab.storage import write_whole

__all__ = ["NAME", "build", "held_out_histories"]

NAME = "figures.toml"
ORGANISATIONS = 4  # seeds; each draws its own organisation
PUBLICATIONS = 8_000  # of each: a rule without a false alarm in 32,000 is precise enough at 1:10,000
ATTACKS = 25  # for each rule, in each organisation
HEADER = """# Made by python -m chainlab.course.authoring.detection_figures; a test compares.
# recall: attacks; false_positives: benign units; precision: at 1:200, 1:2,000 and 1:10,000, with its 95 % interval;
# alarms: benign matches by the hard case behind them."""


def held_out_histories() -> tuple[History, History]:
    """Make the benign history and the attacked one of the figures."""
    seeds = HELD_OUT[:ORGANISATIONS]
    quiet, *others = (benign(seed, PUBLICATIONS) for seed in seeds)
    loud, *more = (attacked(seed, ATTACKS) for seed in seeds)
    return quiet.joined(others), loud.joined(more)


def build(folder: Path, quiet: History, loud: History) -> str:
    """Measure the rules of a folder and return the text of their figures.

    Raises `MalformedInput` for a mistake in a rule.
    """
    detections = load_detections(folder)
    for mistake in detections.mistakes:
        raise mistake.error()
    cases = {sequence: name for name, sequences in quiet.cases.items() for sequence in sequences}
    lines = [
        HEADER,
        "[histories]",
        f"organisations = {ORGANISATIONS}",
        f"benign_events = {len(quiet.events)}",
        f"attacked_events = {len(loud.events)}",
    ]
    for rule in measure(detections, quiet, loud).rules:
        alarms = Counter(
            next((cases[number] for number in alarm.sequences if number in cases), "ordinary") for alarm in rule.alarms
        )
        lines += ["", f"[{rule.detection.name}]", *_figures(rule, alarms)]
    return "\n".join(lines) + "\n"


def _figures(rule: RuleMeasurement, alarms: Counter[str]) -> Iterator[str]:
    if rule.failed:
        yield f'failed = "{rule.failed}"'
        return
    yield f'recall = "{rule.recall}"'
    yield f'false_positives = "{rule.false_positives} {rule.detection.unit}"'
    precisions = ", ".join(f'"{precision}"' for precision in rule.precisions)
    yield f"precision = [{precisions}]"
    yield f"alerts_a_week = {rule.alerts_a_week or 0:.2f}"
    counts = ", ".join(f"{case} = {count}" for case, count in sorted(alarms.items()))
    yield f"alarms = {{ {counts} }}" if counts else "alarms = {}"


def main(argv: list[str]) -> int:
    """Write the figures of ``data/detections``, or with ``--check`` compare them."""
    folder = Path(__file__).parents[4] / "data" / "detections"
    text, target = build(folder, *held_out_histories()), folder / NAME
    if "--check" not in argv:
        write_whole(target, text.encode())
        return 0
    same = target.is_file() and target.read_text("utf-8") == text
    sys.stdout.write(f"data/detections/{NAME}: {'as measured' if same else 'other figures are measured now'}\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
