"""The figures of detections, against scipy's own intervals and against counting by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from scipy.stats import binomtest

from chainlab.events import PREFIX, Event
from chainlab.monitor.detections import Detection, load_detections
from chainlab.monitor.histories import History
from chainlab.monitor.measurement import BASE_RATES, Precision, Rate, measure, precision

DETECTIONS = Path(__file__).parents[2] / "data" / "detections"


@pytest.mark.parametrize(("count", "n"), [(1, 10), (3, 4), (50, 100), (2, 10181), (999, 1000)])
def test_an_interval_is_that_of_an_exact_binomial_test(count: int, n: int) -> None:
    exact = binomtest(count, n).proportion_ci(0.95, "exact")
    assert Rate(count, n).interval() == pytest.approx((exact.low, exact.high), rel=1e-6)


def test_no_alarm_in_n_units_leaves_three_by_n_and_no_unit_leaves_everything() -> None:
    low, high = Rate(0, 1000).interval()
    assert (low, round(high, 4)) == (0, 0.003)
    assert Rate(7, 7).interval()[1] == 1
    assert Rate(0, 0).interval() == (0, 1)


def test_precision_half_at_one_in_ten_thousand_needs_thirty_thousand_benign_units() -> None:
    def bound(n: int) -> float | None:
        return precision(1, Rate(0, n).interval()[1], 1 / 10_000)

    assert (bound(29_000) or 0) < 0.5 < (bound(31_000) or 0)
    assert precision(0, 0, 0.5) is None


def _publish(sequence: int, day: int, **data: object) -> Event:
    return Event(sequence, PREFIX + "artifact.published", "/registry", "x", f"2026-05-{day:02}T10:00:00Z", data)


def _rule() -> Detection:
    return load_detections(DETECTIONS).named("attestation_lost")[0]


def test_figures_are_those_that_counting_by_hand_gives() -> None:
    benign = History(tuple(_publish(n, n, attestation_lost=n in (3, 4)) for n in range(1, 16)))
    events = tuple(_publish(n, n, attestation_lost=n % 2 == 0) for n in range(1, 9))
    attacks = {"attestation_lost": (frozenset({1, 2}), frozenset({3}), frozenset({8}))}
    figures = measure([_rule()], benign, History(events, attacks))["attestation_lost"]
    assert (figures.recall, figures.false_positives) == (Rate(2, 3), Rate(2, 15))
    assert figures.alerts_a_week == pytest.approx(1)  # two in two weeks
    for got, base_rate in zip(figures.precisions, BASE_RATES, strict=True):
        true, false = 2 / 3 * base_rate, 2 / 15 * (1 - base_rate)
        assert got.value == pytest.approx(true / (true + false))
        assert got.low < true / (true + false) < got.high
    assert figures.passed
    assert "2 of 15 artifact.published" in figures.false_positive_rate()
    seldom = History((*benign.events, dataclasses.replace(_publish(16, 1), time="2027-05-01T10:00:00Z")))
    assert repr(measure([_rule()], seldom, History(events, attacks))).endswith("< 0.1")


def test_without_a_false_alarm_precision_has_a_lower_bound_alone() -> None:
    benign = History(tuple(_publish(n, 1) for n in range(1, 601)))
    attacked = History((_publish(1, 1, attestation_lost=True),), {"attestation_lost": (frozenset({1}),)})
    measured = measure([_rule()], benign, attacked)
    figures = measured["attestation_lost"]
    assert figures.false_positive_rate() == "≤ 0.0050 (0 of 600 artifact.published)"
    assert figures.alerts_a_week is None  # all events have one time
    assert {p.value for p in figures.precisions} == {None}
    assert str(figures.precisions[0]).startswith("≥ 0.")
    assert measured.document()[0]["false_positive_rate"]["n"] == 600


def test_an_alarm_about_another_type_counts_as_a_unit() -> None:
    rule = load_detections(DETECTIONS).named("token_outside_its_job")[0]
    assert rule.unit == "token.used"
    types = ["token.used", "token.used", "token.refused"]
    events = tuple(
        Event(n, PREFIX + type_, "/credentials", "x", "2026-05-01T10:00:00Z", {"outside": True, "run": "r", "by": "x"})
        for n, type_ in enumerate(types, 1)
        if type_ != "token.used" or n == 2
    )
    quiet = tuple(dataclasses.replace(e, data={**e.data, "outside": e.type.endswith("refused")}) for e in events)
    assert measure([rule], History(quiet), History(()))["token_outside_its_job"].false_positives == Rate(1, 1)


def test_a_rule_that_cannot_be_asked_has_not_passed() -> None:
    broken = dataclasses.replace(_rule(), sql="SELECT * FROM absent")
    measured = measure([broken], History((_publish(1, 1),)), History(()))
    assert not measured.passed
    assert "not asked" in repr(measured)


def test_a_small_precision_keeps_two_digits() -> None:
    assert str(Precision(1 / 10_000, 0.00421, 0.0998, 0.5)) == "0.0042 (0.100 to 0.50)"
    assert str(Precision(1 / 10_000, None, 0.0312, 1.0)) == "≥ 0.031"
    assert str(Precision(1 / 10_000, 0.0, 0.0, 1.0)) == "0.00 (0.00 to 1.00)"
