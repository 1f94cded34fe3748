"""Rounding of learned numbers, so that a model's digest is the same on every processor.

    >>> quantise([0.12345678, -2.0], 4).tolist()
    [0.1235, -2.0]

Fitted numbers of one training differ between processors by about 1e-12. Rounding hides that, unless
a number stands at x.xxxx5, where it could fall either way: `quantise` refuses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__ = "1.0.3"
__all__ = ["SAFE", "Undecided", "distance", "quantise"]

SAFE = 1e-9  # least distance from a rounding boundary; a thousand times what processors differ by


class Undecided(ValueError):
    """A number stands where two processors could round it differently."""


def distance(values: ArrayLike, decimals: int) -> float:
    """How near the nearest number is to where its rounding would flip; infinite for none."""
    scaled = np.asarray(values, dtype=np.float64) * 10.0**decimals
    if not scaled.size:
        return float("inf")
    return float(np.abs(scaled - np.floor(scaled) - 0.5).min() / 10.0**decimals)


def quantise(values: ArrayLike, decimals: int, safe: float = SAFE) -> NDArray[np.float64]:
    """The numbers, rounded to ``decimals`` places, as a new array.

    Raises `ValueError` for a number that is not finite, `Undecided` for one within ``safe`` of a
    rounding boundary.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("only finite numbers can be rounded")
    if distance(array, decimals) < safe:
        raise Undecided(f"a number is within {safe:g} of where rounding to {decimals} places flips")
    return array.round(decimals)
