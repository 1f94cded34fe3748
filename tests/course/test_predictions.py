"""Predictions: what a learner wrote stands beside what is true, and nothing that is written ends the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import chainlab
from chainlab.course.learning.predictions import Prediction


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (None, 2, "it is 2 (no prediction: put yours in place of None, and run the cell again)"),
        (2, 2, "right: 2"),
        (2.0, 2, "right: 2"),
        (3, 2, "you said 3, it is 2"),
        (True, 1, "you said True, it is 1"),
        (" Subject ", "subject", "right: subject"),
        (["B", "a"], {"a", "b"}, "right: a, b"),
        ({"a"}, {"a", "b"}, "you said a, it is a, b"),
        (set(), {"a"}, "you said none, it is a"),
        (["b", "a"], ["a", "b"], "you said b, a, it is a, b"),
        ("a\x1b[2J", "b", "you said a\\x1b[2J, it is b"),
    ],
)
def test_a_prediction_is_shown_beside_the_truth(predicted: Any, true: Any, message: str) -> None:
    assert repr(Prediction(predicted, true)) == message


def test_each_entry_of_a_mapping_is_compared_alone() -> None:
    true = {"numpy": 1, "a set": {"x"}}
    assert repr(Prediction({"numpy": 2, "a set": None}, true)) == "numpy   you said 2, it is 1\na set   it is x"
    nothing: Any
    for nothing in (None, {"numpy": None, "a set": None}, 7):
        assert "no prediction" in repr(Prediction(nothing, true)).splitlines()[2]


@pytest.mark.parametrize("odd", [lambda: 2, float("nan"), [object()], 10**400, "x" * 10**6], ids=range(5))
def test_what_is_no_answer_is_wrong_and_raises_nothing(odd: Any) -> None:
    assert repr(Prediction(odd, 2)).endswith(", it is 2")


def test_a_lesson_asks_its_lab_and_the_board_keeps_nothing(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.delenv("CHAINLAB_WORKSPACE", raising=False)
    with chainlab.open("03_sbom") as lab:
        before = repr(lab.progress())
        assert repr(lab.predicted("subject", "subject")) == "right: subject"
        assert repr(lab.progress()) == before
