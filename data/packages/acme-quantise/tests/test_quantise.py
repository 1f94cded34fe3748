import doctest

import acme_quantise
import numpy as np
import pytest
from acme_quantise import Undecided, distance, quantise


def test_the_examples_hold():
    assert doctest.testmod(acme_quantise).failed == 0


def test_what_processors_differ_by_disappears():
    values = np.linspace(-3, 3, 37) + 1e-5
    noise = np.random.default_rng(904).uniform(-1e-12, 1e-12, values.shape)
    assert quantise(values, 4).tobytes() == quantise(values + noise, 4).tobytes()


def test_rounding_twice_changes_nothing():
    once = quantise([[1.23456, -9.87654]], 3)
    assert (quantise(once, 3) == once).all()
    assert once.shape == (1, 2)


def test_the_argument_is_left_alone():
    values = np.array([0.123456])
    quantise(values, 2)
    assert values[0] == 0.123456


@pytest.mark.parametrize("value", [0.00005, -0.12345, 2.00015 + 1e-12])
def test_a_number_on_the_boundary_is_refused(value):
    with pytest.raises(Undecided):
        quantise([1.0, value], 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        quantise([value], 4)


def test_distance_is_in_the_numbers_own_unit():
    assert distance([0.12], 1) == pytest.approx(0.03)
    assert distance([], 1) == float("inf")
