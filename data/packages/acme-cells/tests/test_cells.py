import doctest

import acme_cells
import pytest
from acme_cells import FEATURES, column, validate

CASE = [1.0] * 30


def test_there_are_thirty_different_names():
    assert len(set(FEATURES)) == 30


def test_the_examples_hold():
    assert doctest.testmod(acme_cells).failed == 0


def test_a_name_says_its_column():
    assert [column(name) for name in FEATURES] == list(range(30))
    with pytest.raises(ValueError, match="no measurement"):
        column("colour")


def test_names_and_order_give_the_same_case():
    numbers = [float(n) for n in range(30)]
    assert validate(dict(zip(reversed(FEATURES), reversed(numbers), strict=True))) == numbers


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (CASE[1:], "expected 30 numbers, got 29"),
        ([*CASE[1:], "1"], "worst fractal dimension: not a number"),
        ([True, *CASE[1:]], "mean radius: not a number"),
        ([float("nan"), *CASE[1:]], "mean radius"),
        ([-1, *CASE[1:]], "mean radius"),
        ([10**400, *CASE[1:]], "mean radius"),
        (dict.fromkeys(FEATURES[1:], 1.0), "missing: 'mean radius'"),
        ({**dict.fromkeys(FEATURES, 1.0), "colour": 1.0}, "no such measurement"),
        ("1" * 30, "a case is a list"),
        (7, "a case is a list"),
    ],
)
def test_what_cannot_be_is_refused_by_name(case, said):
    with pytest.raises(ValueError, match=said):
        validate(case)
