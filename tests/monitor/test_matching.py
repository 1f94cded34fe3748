"""Compiled rules match the events that they describe: one-event rules, and correlations burst by burst."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.events import PREFIX, Event
from chainlab.monitor.detections import Detection, load_detections
from chainlab.monitor.event_table import build_event_table
from chainlab.monitor.matching import find_matches

START = datetime(2026, 5, 4, 10, tzinfo=UTC)  # a Monday
KEYS = """
level: high
falsepositives: [x]
chainlab: {{technique: "none: hygiene", unit: {unit}, response: x}}
"""


def rule(folder: Path, detection: str, unit: str = "artifact.published") -> Detection:
    """Compile a rule about one event; ``detection`` is the YAML below `detection:`."""
    text = "title: x\nlogsource: {product: chainlab}\ndetection:\n" + detection + KEYS.format(unit=unit)
    (folder / "one.yml").write_text(text)
    loaded = load_detections(folder)
    assert len(loaded) == 1, loaded.mistakes
    return loaded[0]


def correlation(folder: Path, correlation: str) -> Detection:
    """Compile a correlation over `moved` (a tag moved) and `published` (a file was published)."""
    folder.mkdir(exist_ok=True)
    rules = [
        "title: a\nname: moved\nlogsource: {product: chainlab}\n"
        "detection: {s: {type: change.pushed, moved: true}, condition: s}\n",
        "title: b\nname: published\nlogsource: {product: chainlab}\n"
        "detection: {s: {type: artifact.published}, condition: s}\n",
    ]
    main = "title: x\ncorrelation:\n" + correlation + KEYS.format(unit="change.pushed")
    (folder / "many.yml").write_text("---\n".join([main, *rules]))
    loaded = load_detections(folder)
    assert len(loaded) == 1, loaded.mistakes
    return loaded[0]


def event(sequence: int, type_: str, seconds: float = 0, subject: str = "acme/x", **data: Any) -> Event:
    """Make an event some seconds after `START`."""
    time = rfc3339(START + timedelta(seconds=seconds))
    return Event(sequence, PREFIX + type_, EVENT_TYPES[type_].source, subject, time, data)


def pushes(seconds: Sequence[float], subject: str = "acme/x") -> list[Event]:
    """Make moves of a tag at these seconds."""
    return [event(n, "change.pushed", second, subject, moved=True) for n, second in enumerate(seconds, 1)]


def sequences(detection: Detection, events: Sequence[Event], after: int = 0) -> list[tuple[int, ...]]:
    """The events of each match."""
    found = find_matches([detection], events, after=after)
    assert not found.failed
    return [match.sequences for match in found]


@pytest.mark.parametrize(
    ("detection", "data", "matches"),
    [
        ("  s: {run: null}", {"run": None}, True),
        ("  s: {run: null}", {}, True),
        ("  s: {run: null}", {"run": "acme/x/runs/1"}, False),
        ("  s: {attestation_lost: true}", {"attestation_lost": True}, True),
        ("  s: {attestation_lost: true}", {"attestation_lost": False}, False),
        ("  s: {attestation_lost: true}", {}, False),
        ("  s: {since_last_s|lt: 600}", {"since_last_s": 599.5}, True),
        ("  s: {since_last_s|lt: 600}", {"since_last_s": None}, False),
        ("  s: {size|gte: 10}", {"size": 2**70}, True),
        ("  s: {by: Acme-Bot}", {"by": "acme-bot"}, True),  # Sigma's texts have no case
        ("  s: {by|cased: Acme-Bot}", {"by": "acme-bot"}, False),
        ("  s: {file|endswith: .whl}", {"file": "x-1.whl"}, True),
        ("  s: {file|contains: '%'}", {"file": "x-1.whl"}, False),
        ("  s: {file|re: '^x-[0-9]+'}", {"file": "x-1.whl"}, True),
        ("  s: {file|re: '^X-[0-9]+'}", {"file": "x-1.whl"}, False),
        ("  s: {identity|fieldref: identity_before}", {"identity": "a", "identity_before": "a"}, True),
        ("  s: {identity|exists: true}", {"identity": None}, False),
        ("  s: {file: [a, b]}", {"file": "b"}, True),
        ("  s: {hour: 10, weekday: 1}", {}, True),
        ("  s: {timestamp|hour: 10}", {}, True),
        ("  s: {subject: acme/x, source: /registry}", {}, True),
        ('  s: {file: "a\' OR 1=1 --"}', {"file": "x"}, False),
        ('  s: {file: "it\'s"}', {"file": "it's"}, True),
    ],
)
def test_a_rule_about_one_event(tmp_path: Path, detection: str, data: dict[str, Any], matches: bool) -> None:
    compiled = rule(tmp_path, f"  t: {{type: artifact.published}}\n{detection}\n  condition: t and s")
    events = [event(1, "artifact.published", **data), event(2, "change.pushed")]
    assert sequences(compiled, events) == ([(1,)] if matches else [])


def test_not_holds_for_an_event_without_the_field(tmp_path: Path) -> None:
    compiled = rule(tmp_path, "  t: {type: artifact.published}\n  f: {by: bot}\n  condition: t and not f")
    fields: list[dict[str, Any]] = [{}, {"by": "bot"}, {"by": "eve"}]
    events = [event(n, "artifact.published", **data) for n, data in enumerate(fields, 1)]
    assert sequences(compiled, events) == [(1,), (3,)]


def test_a_list_is_json_text(tmp_path: Path) -> None:
    compiled = rule(
        tmp_path,
        "  t: {type: artifact.inspected, new_files|contains: '.pth'}\n  condition: t",
        "artifact.inspected",
    )
    events = [event(n, "artifact.inspected", new_files=files) for n, files in enumerate([[], ["a.py", "é.pth"]], 1)]
    assert sequences(compiled, events) == [(2,)]


def test_scenario_time_comes_before_real_time(tmp_path: Path) -> None:
    compiled = rule(tmp_path, "  t: {type: artifact.published, hour: 3}\n  condition: t")
    night = dataclasses.replace(event(1, "artifact.published"), scenario_time="2026-05-09T05:10:00+02:00")
    (match,) = find_matches([compiled], [night, event(2, "artifact.published")])
    assert (match.sequences, match.timestamp) == ((1,), "2026-05-09T05:10:00+02:00")
    with closing(build_event_table([night])) as connection:
        assert connection.execute("SELECT hour, weekday FROM events").fetchone() == (3, 6)


def test_an_event_without_a_readable_time_is_refused() -> None:
    with pytest.raises(MalformedInput, match="time cannot be read"):
        build_event_table([dataclasses.replace(event(1, "artifact.published"), time="yesterday")])


COUNT = "  {type: event_count, rules: moved, group-by: [subject], timespan: 10m, condition: {gte: 3}}"


def test_a_burst_is_one_match_with_the_group_as_subject_and_the_moment_it_was_complete(tmp_path: Path) -> None:
    (match,) = find_matches([correlation(tmp_path, COUNT)], pushes([60 * n for n in range(10)], "Acme/X"))
    assert match.sequences == tuple(range(1, 11))
    assert (match.subject, match.timestamp) == ("Acme/X", rfc3339(START + timedelta(minutes=2)))


def test_windows_include_their_ends_and_bursts_apart_are_apart(tmp_path: Path) -> None:
    compiled = correlation(tmp_path, COUNT)
    assert sequences(compiled, pushes([0, 300, 600])) == [(1, 2, 3)]
    assert sequences(compiled, pushes([0, 300, 601])) == []
    assert sequences(compiled, pushes([0, 1, 2, 5000, 5001, 5002])) == [(1, 2, 3), (4, 5, 6)]
    others = [dataclasses.replace(push, subject=f"acme/{push.sequence}") for push in pushes([0, 1, 2])]
    assert sequences(compiled, others) == []


def test_order_counts_and_the_log_decides_within_a_second(tmp_path: Path) -> None:
    compiled = correlation(
        tmp_path, "  {type: temporal_ordered, rules: [moved, published], group-by: [subject], timespan: 5m}"
    )
    for gap in (0, 0.4, 60):
        events = [event(1, "change.pushed", 0, moved=True), event(2, "artifact.published", gap)]
        assert sequences(compiled, events) == [(1, 2)]
        events = [event(1, "artifact.published", 0), event(2, "change.pushed", gap, moved=True)]
        assert sequences(compiled, events) == []


def test_only_new_events_match_and_they_see_the_window_before(tmp_path: Path) -> None:
    compiled = correlation(tmp_path, COUNT)
    events = pushes([0, 1, 2, 3, 4000])
    assert sequences(compiled, events, after=3) == [(1, 2, 3, 4)]
    assert sequences(compiled, events, after=4) == []
    assert sequences(compiled, events, after=5) == []
    (tmp_path / "one").mkdir()
    one = rule(tmp_path / "one", "  t: {type: change.pushed}\n  condition: t", "change.pushed")
    assert sequences(one, events, after=3) == [(4,), (5,)]


@given(st.lists(st.integers(0, 3000), max_size=25), st.integers(2, 5))
def test_bursts_are_those_that_counting_by_hand_gives(
    tmp_path_factory: pytest.TempPathFactory, seconds: list[int], threshold: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"count{threshold}"
    compiled = correlation(folder, COUNT.replace("gte: 3", f"gte: {threshold}"))
    events = pushes(sorted(seconds))
    in_order = list(enumerate(sorted(seconds), 1))
    in_bursts = [{n for n, second in in_order[:last] if end - 600 <= second} for last, end in in_order]
    expected: list[set[int]] = []
    for window in (window for window in in_bursts if len(window) >= threshold):
        if expected and expected[-1] & window:
            expected[-1] |= window
        else:
            expected.append(set(window))
    assert [set(found) for found in sequences(compiled, events)] == expected


def test_a_rule_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    quick = rule(tmp_path, "  t: {type: artifact.published}\n  condition: t")
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT 1 AS sequence, x AS subject, x AS timestamp FROM n WHERE x < 0"  # noqa: E501
    slow = dataclasses.replace(quick, name="slow", sql=endless)
    broken = dataclasses.replace(quick, name="broken", sql="SELECT * FROM absent")
    found = find_matches([slow, broken, quick], [event(1, "artifact.published")], seconds=0.2)
    assert [match.rule for match in found] == ["one"]
    assert found.failed == {"slow": "it took longer than 0.2 s", "broken": "no such table: absent"}
    assert "slow" in repr(found)


def test_a_flood_does_not_switch_a_correlation_off(tmp_path: Path) -> None:
    compiled = correlation(tmp_path, COUNT)
    (match,) = find_matches([compiled], pushes([n % 600 for n in range(5000)]), seconds=2)
    assert len(match.sequences) == 5000


def test_no_field_of_a_type_has_the_name_of_a_common_one() -> None:
    assert not {field for kind in EVENT_TYPES.values() for field in kind.fields} & {*COMMON, "sequence", "instant"}


def test_the_courses_rules_select_what_pandas_selects_in_the_benchmark() -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "detections.py"
    command = [sys.executable, str(benchmark), "--events", "8000", "--rounds", "1"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "the same events selected" in ended.stdout
