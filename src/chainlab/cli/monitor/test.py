"""``chainlab monitor test``: measure detections on labelled events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from chainlab.monitor.detections import Detections
    from chainlab.monitor.measurement import Measurement

__all__ = ["test"]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(
    short_help="Measure detections on labelled events.",
    epilog="""\b
Examples: chainlab monitor test
          chainlab monitor test tag_moved publish_without_run
          chainlab monitor test --rules my-rules --seed 7 --json""",
)
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--rules", "folder", type=FOLDER, help="Folder of your own rules (default: detections on your desk).")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Seed of one made organisation, to write rules by; 0 to 999 (default: four that no rule was tuned on).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def test(rules: tuple[str, ...], folder: Path | None, seed: int | None, as_json: bool) -> None:
    """Measure the course's rules and your own, or those named: what they detect, and what an alert is worth.

    For each rule: recall; false-positive rate, with its unit and n; precision at three base rates, with 95 % intervals;
    alerts a week. A rule of yours is measured on the attacks of the rule that it names: `chainlab: {detects: RULE}`.
    While you write it, use a --seed: figures of a history that a rule was changed for are too good.

    Exit status: 0 each rule detects an attack, 1 one detects none or has a mistake.
    """
    from chainlab.monitor.detections import load_detections
    from chainlab.workspace import course_root, learner_workspace

    own = folder or learner_workspace().desk / "detections"
    detections = load_detections(course_root() / "data" / "detections", own)
    chosen = detections.named(*rules)
    mistakes = [m for m in detections.mistakes if not rules or m.path.stem in rules]
    for mistake in mistakes:
        echo(mistake, err=True, lines=True)
    measurement = _measure(chosen, own, seed)
    if as_json:
        echo_json(_document(measurement, chosen))
    else:
        echo(measurement, lines=True)
    for rule in measurement.rules:
        if not rule.recall.n:
            echo(f"{rule.detection.name}: the histories have no attacks for {rule.detection.detects!r}", err=True)
            echo("  Help: name a rule of the course below `chainlab:`, as in `detects: tag_moved`", err=True)
    sys.exit(0 if measurement.passed and not mistakes else 1)


def _measure(detections: Detections, own: Path, seed: int | None) -> Measurement:
    """Measure on the held-out histories or on those of a seed, and report the progress on standard error."""
    from chainlab.course.authoring import detection_figures as figures
    from chainlab.monitor.histories import attacked, benign
    from chainlab.monitor.measurement import measure

    organisations = figures.ORGANISATIONS if seed is None else 1
    echo(f"making benign weeks with {organisations * figures.PUBLICATIONS:,} publications, and attacks", err=True)
    if seed is None:
        quiet, loud = figures.held_out_histories()
    else:
        quiet, loud = benign(seed, figures.PUBLICATIONS), attacked(seed, figures.ATTACKS)
    echo(f"asking {len(detections)} rules about {len(quiet.events) + len(loud.events):,} events", err=True)
    return measure(detections, quiet, loud, own=[rule.name for rule in detections if rule.path.parent == own])


def _document(measurement: Measurement, detections: Detections) -> dict[str, Any]:
    mistakes = [
        {"file": m.path.name, "line": m.line, "message": m.message, "hint": m.hint} for m in detections.mistakes
    ]
    return {"rules": measurement.document(), "mistakes": mistakes}
