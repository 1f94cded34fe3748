"""The legs of a matrix as the platform makes them, and which of them run on this system."""

from __future__ import annotations

import platform
import sys
from typing import Any

import pytest

from chainlab.ci.workflows.matrix import Leg, elsewhere, legs
from chainlab.errors import MalformedInput

# GitHub Docs, "Running variations of jobs in a workflow", its examples.
FRUIT = {
    "fruit": ["apple", "pear"],
    "animal": ["cat", "dog"],
    "include": [
        {"color": "green"},
        {"color": "pink", "animal": "cat"},
        {"fruit": "apple", "shape": "circle"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ],
}
FRUITS = [
    {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
    {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
    {"fruit": "pear", "animal": "cat", "color": "pink"},
    {"fruit": "pear", "animal": "dog", "color": "green"},
    {"fruit": "banana"},
    {"fruit": "banana", "animal": "cat"},
]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ({"a": [1, 2], "b": ["x"]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]),
        (FRUIT, FRUITS),
        ({"include": [{"a": 1}, {"a": 2}]}, [{"a": 1}, {"a": 2}]),
        ({"a": [1, 2], "b": [3, 4], "exclude": [{"a": 1}, {"a": 2, "b": 3}]}, [{"a": 2, "b": 4}]),
        ({"a": [1], "exclude": [{"a": 1}], "include": [{"a": 1}]}, [{"a": 1}]),
        ({"a": [{"b": 1}, [2]]}, [{"a": {"b": 1}}, {"a": [2]}]),
    ],
)
def test_combinations_are_those_of_the_documentation(matrix: Any, expected: list[Any]) -> None:
    every = legs({"matrix": matrix})
    assert [leg.matrix for leg in every] == expected
    assert [leg.strategy["job-index"] for leg in every] == list(range(len(expected)))
    assert {leg.strategy["job-total"] for leg in every} == {len(expected)}


@pytest.mark.parametrize("strategy", [None, "", {}, {"fail-fast": False}])
def test_a_job_without_a_matrix_has_one_leg(strategy: Any) -> None:
    (leg,) = legs(strategy)
    assert leg.matrix is None
    assert leg.strategy == {"fail-fast": True, "job-index": 0, "job-total": 1, "max-parallel": 1}


def test_what_the_strategy_says_is_in_its_context() -> None:
    (leg, _) = legs({"fail-fast": False, "max-parallel": 1, "matrix": {"a": [1, 2]}})
    assert leg.strategy == {"fail-fast": False, "job-index": 0, "job-total": 2, "max-parallel": 1}
    assert legs({"matrix": {"a": [1, 2]}})[0].strategy["max-parallel"] == 2
    assert str(leg) == "a: 1"


@pytest.mark.parametrize(
    "strategy",
    [
        "text",
        {"matrix": None},
        {"matrix": "text"},
        {"matrix": {}},
        {"matrix": {"a": []}},
        {"matrix": {"a": "text"}},
        {"matrix": {"a": [1], "exclude": [{"a": 1}]}},
        {"matrix": {"a": [1], "include": ["text"]}},
        {"matrix": {"a": [1], "exclude": {"a": 1}}},
        {"matrix": {"a": list(range(257))}},
        {"matrix": {name: list(range(200)) for name in "abcdefgh"}},
    ],
)
def test_a_matrix_without_combinations_or_with_too_many_is_refused(strategy: Any) -> None:
    with pytest.raises(MalformedInput):
        legs(strategy)


@pytest.mark.parametrize(
    "labels",
    [
        "ubuntu-latest",
        "ubuntu-22.04",
        "self-hosted",
        ["self-hosted", "gpu"],
        ["self-hosted", "Linux", "X64"],
        {"group": "g", "labels": "ubuntu-latest"},
        {"labels": ["self-hosted"]},
    ],
)
def test_a_job_for_this_system_runs_here(labels: Any) -> None:
    assert elsewhere(labels) == ""


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("windows-latest", "windows-latest"),
        ("Windows-2022", "Windows-2022"),
        (["self-hosted", "windows"], "windows"),
        ({"group": "g", "labels": ["windows-11-arm"]}, "windows-11-arm"),
        ("gpu", "no such runner"),
        ({"group": "g"}, "a group"),
        (None, "no such runner"),
        ([], "no such runner"),
        ("macos-latest" if sys.platform != "darwin" else "windows-latest", "this host's system"),
        pytest.param(
            "ubuntu-24.04-arm",
            "this host's processor",
            marks=pytest.mark.skipif(platform.machine() in ("arm64", "aarch64"), reason="this machine is one"),
        ),
    ],
)
def test_a_job_for_another_system_says_why_it_does_not(labels: Any, words: str) -> None:
    assert words in elsewhere(labels)


def test_a_leg_names_what_is_special_about_it() -> None:
    assert str(Leg({"os": "a", "python": 3.12})) == "os: a, python: 3.12"
