"""The labelled event sets: deterministic, of the services' shapes, with each hard case and attacks that evade."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX
from chainlab.monitor.detections import load_detections
from chainlab.monitor.histories import HELD_OUT, TUNING, History, attacked, benign
from chainlab.monitor.histories.attacked import ATTACKS

DETECTIONS = Path(__file__).parents[2] / "data" / "detections"


@pytest.fixture(scope="module")
def quiet() -> History:
    return benign(TUNING[0], 1_500)


@pytest.fixture(scope="module")
def loud() -> History:
    return attacked(TUNING[0], 10)


def test_a_seed_gives_the_same_history_again_and_another_seed_another(quiet: History) -> None:
    assert benign(TUNING[0], 1_500) == quiet
    assert attacked(TUNING[3], 2) == attacked(TUNING[3], 2)
    assert {event.subject for event in benign(TUNING[1], 300).events} != {event.subject for event in quiet.events}


def test_tuning_and_held_out_seeds_have_nothing_in_common() -> None:
    assert not set(TUNING) & set(HELD_OUT)


@pytest.mark.parametrize("name", ["quiet", "loud"])
def test_events_have_the_fields_of_their_types_and_stand_in_order(name: str, request: pytest.FixtureRequest) -> None:
    history: History = request.getfixturevalue(name)
    for event in history.events:
        kind = EVENT_TYPES[event.type.removeprefix(PREFIX)]
        assert event.data.keys() <= kind.fields.keys(), event
        assert event.source == kind.source
    assert [event.sequence for event in history.events] == list(range(1, len(history.events) + 1))
    times = [event.time for event in history.events]
    assert times == sorted(times)


def test_a_benign_history_has_no_attack_and_as_many_publications_as_asked(quiet: History) -> None:
    published = sum(event.type == f"{PREFIX}artifact.published" for event in quiet.events)
    assert not quiet.attacks
    assert 1_500 <= published < 2_500  # whole weeks


def test_each_rule_of_the_course_has_attacks_and_some_of_them_evade_it(loud: History) -> None:
    names = {detection.name for detection in load_detections(DETECTIONS)}
    assert names == ATTACKS.keys() == loud.attacks.keys()
    for rule, ways in ATTACKS.items():
        assert len(loud.attacks[rule]) == 10
        assert len(ways) > 1, rule


def test_joined_histories_follow_each_other_and_keep_hours_and_labels(loud: History) -> None:
    other = attacked(TUNING[2], 3)
    both = loud.joined([other])
    shift = len(loud.events)
    first, moved = other.events[0], both.events[shift]
    assert datetime.fromisoformat(moved.time) > datetime.fromisoformat(loud.events[-1].time)
    later = datetime.fromisoformat(moved.time) - datetime.fromisoformat(first.time)
    assert later % timedelta(weeks=1) == timedelta()
    assert both.attacks["tag_moved"][10] == frozenset(number + shift for number in other.attacks["tag_moved"][0])
    assert [event.sequence for event in both.events] == list(range(1, len(both.events) + 1))
