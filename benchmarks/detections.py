"""Times all detections over 100,000 events beside a plain pandas pass that asks the same questions: ``make bench``.

Both begin with the events as Python objects, so each figure includes its table: rows in SQLite, a frame of each type in
pandas. The pass must select the same events rule by rule, or the benchmark fails. The aim is 5 s for all rules.

    python benchmarks/detections.py [--events N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from figures import machine, report, save, seconds

from chainlab.events import PREFIX, Event
from chainlab.monitor.detections import load_detections
from chainlab.monitor.event_table import build_event_table
from chainlab.monitor.histories import HELD_OUT, benign
from chainlab.monitor.matching import find_matches

RULES = Path(__file__).parents[1] / "data" / "detections"
Frames = dict[str, pd.DataFrame]


def frames(events: Sequence[Event]) -> Frames:
    """A frame of each type, indexed by sequence."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        moment = datetime.fromisoformat(event.scenario_time or event.time)
        common = {"sequence": event.sequence, "subject": event.subject, "moment": moment}
        rows[event.type.removeprefix(PREFIX)].append({**event.data, **common})
    return {type_: pd.DataFrame(of_type).set_index("sequence") for type_, of_type in rows.items()}


def true(column: pd.Series) -> pd.Series:
    """Where a column is true; what is missing is not."""
    return column.eq(True)


def false(column: pd.Series) -> pd.Series:
    """Where a column is false; what is missing is not."""
    return column.eq(False)


def some(column: pd.Series) -> pd.Series:
    """Where a list has an item."""
    return column.str.len().gt(0)


def alone(column: pd.Series, pattern: str) -> pd.Series:
    """Where a list has one item, which fits a pattern."""
    return column.str.len().eq(1) & column.str[0].str.fullmatch(pattern).eq(True)


def silent(f: pd.DataFrame, least: int, gate: bool) -> pd.Series:
    """Heartbeats without an answer for so many seconds, of the gate or of all else."""
    return false(f.answered) & f.silent_s.ge(least) & f.subject.eq("gate").eq(gate)


def wheel_differs(f: pd.DataFrame) -> pd.Series:
    """Wheels that differ from their source, other than by a version file."""
    version_file = alone(f.new_files, r"[^\"]*/_version\.py") & f.changed_files.str.len().eq(0)
    return (some(f.new_files) | some(f.changed_files)) & ~version_file


def startup_file(f: pd.DataFrame) -> pd.Series:
    """Wheels with a start-up file, other than those of an editable installation."""
    editable = alone(f.startup_files, r"__editable__[^\"]*\.pth") & f.version.str.contains(".dev", regex=False)
    return some(f.startup_files) & ~editable


def off_hours(f: pd.DataFrame) -> pd.Series:
    """Published at night or at a weekend, other than evidence."""
    night = f.moment.dt.hour.lt(6) | f.moment.dt.hour.ge(20)
    return (night | f.moment.dt.day_of_week.ge(5)) & f.about.isna()


def tag_moved(f: pd.DataFrame) -> pd.Series:
    """Tags that had stood for a while."""
    gone = f.new.eq("0" * 40) & f.age_s.ge(86400)
    return f.kind.eq("tag") & (true(f.moved) & f.age_s.ge(3600) | gone)


def many_tags(f: Frames) -> set[int]:
    """Moves of tags, five different ones in ten minutes of one repository."""
    moved = f["change.pushed"].query("kind == 'tag' and moved == True").sort_values("moment", kind="stable")
    found: set[int] = set()
    for _, of_one in moved.groupby("subject"):
        times = of_one.moment.dt.tz_localize(None).to_numpy()
        starts = times.searchsorted(times - pd.Timedelta(minutes=10).to_numpy())
        for last, first in enumerate(starts):
            if of_one.ref.iloc[first : last + 1].nunique() >= 5:
                found.update(of_one.index[first : last + 1])
    return found


def run_failed(f: Frames) -> set[int]:
    """Publications whose run failed within an hour, and those failures."""
    published = f["artifact.published"].dropna(subset="run").reset_index()
    failed = f["pipelinerun.finished"].query("result == 'failure'").reset_index()
    both = published.merge(failed, on="run", suffixes=("", "_failed"))
    wait = both.moment_failed - both.moment
    later = wait.gt(pd.Timedelta(0)) | (wait.eq(pd.Timedelta(0)) & both.sequence_failed.gt(both.sequence))
    both = both[later & wait.le(pd.Timedelta(hours=1))]
    return {*both.sequence, *both.sequence_failed}


# rule → event types, and where their frames match
FILTERS: dict[str, tuple[list[str], Callable[[pd.DataFrame], pd.Series]]] = {
    "attestation_lost": (["artifact.published"], lambda f: true(f.attestation_lost)),
    "counted_evidence_removed": (["artifact.deleted", "artifact.quarantined"], lambda f: true(f.counted)),
    "exception_about_to_expire": (["gate.answered"], lambda f: f.exception_ends_s.between(0, 604799.999)),
    "file_not_in_source": (["artifact.inspected"], wheel_differs),
    "gate_stopped_answering": (["monitor.heartbeat"], lambda f: silent(f, 300, gate=True)),
    "heartbeat_missing": (["monitor.heartbeat"], lambda f: silent(f, 900, gate=False)),
    "identity_changed": (["artifact.published"], lambda f: true(f.identity_changed)),
    "installed_before_cooldown": (["artifact.served"], lambda f: f.origin.eq("upstream") & f.age_s.lt(259200)),
    "log_inconsistent": (["log.watched"], lambda f: false(f.consistent)),
    "log_split_view": (["log.watched"], lambda f: true(f.split)),
    "new_transitive_dependency": (
        ["dependencies.compared"],
        lambda f: some(f.added_transitive) & f.before.notna(),
    ),
    "publish_from_failed_run": (["artifact.published"], lambda f: true(f.run_failed)),
    "publish_without_run": (["artifact.published"], lambda f: f.run.isna() & f.about.isna()),
    "release_off_hours": (["artifact.published"], off_hours),
    "service_no_longer_verified": (
        ["service.reverified"],
        lambda f: false(f.verified) & ~f.cause.eq("unreachable"),
    ),
    "service_unexpected_behaviour": (["service.behaved"], lambda f: false(f.expected)),
    "startup_file_in_wheel": (["artifact.inspected"], startup_file),
    "tag_moved": (["change.pushed"], tag_moved),
    "token_outside_its_job": (["token.used", "token.refused"], lambda f: true(f.outside)),
    "two_versions_within_minutes": (["artifact.published"], lambda f: f.versions_in_10min.ge(2)),
    "unexpected_identity_in_log": (["log.identity"], lambda f: false(f.expected)),
}
CORRELATIONS = {"many_tags_moved": many_tags, "run_failed_after_publish": run_failed}


def by_pandas(events: Sequence[Event]) -> dict[str, set[int]]:
    """The events that each rule selects, by pandas."""
    f = frames(events)
    found = {
        rule: {sequence for type_ in types if type_ in f for sequence in f[type_].index[selects(f[type_])]}
        for rule, (types, selects) in FILTERS.items()
    }
    return found | {rule: select(f) for rule, select in CORRELATIONS.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    events = benign(HELD_OUT[0], round(arguments.events / 7)).events[: arguments.events]
    detections = load_detections(RULES)
    print(f"{machine()}; {len(events):,} events, {len(detections)} rules", flush=True)
    timed: dict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.rounds):
        timed["table"].append(seconds(lambda: build_event_table(events).close())[0])
        took, matches = seconds(lambda: find_matches(detections, events))
        timed["rules"].append(took)
        took, expected = seconds(lambda: by_pandas(events))
        timed["pandas"].append(took)
    selected: dict[str, set[int]] = {detection.name: set() for detection in detections}
    for match in matches:
        selected[match.rule].update(match.sequences)
    for rule in sorted({*selected, *expected}):
        if differ := sorted(selected.get(rule, set()) ^ expected.get(rule, set())):
            raise SystemExit(f"{rule}: SQL and pandas differ in {len(differ)} events, as {differ[:5]}; see FILTERS")
    report("all rules over the events", timed["rules"], "s", f"with their table; {len(matches):,} matches")
    report("of it, the table", timed["table"], "s", "rows of one table in memory")
    report("pandas, the same questions", timed["pandas"], "s", "with its frames; the same events selected")
    if arguments.json:
        save(arguments.json)


if __name__ == "__main__":
    main()
