"""Names, order and limits of thirty cell measurements.

Ten measurements of the cell nuclei in an image, each as mean, standard error and worst value:

    >>> FEATURES[:2], FEATURES[10], FEATURES[-1]
    (('mean radius', 'mean texture'), 'radius error', 'worst fractal dimension')
    >>> validate([14.1, 20.3], FEATURES[:2])
    [14.1, 20.3]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__version__ = "1.2.0"
__all__ = ["FEATURES", "LARGEST", "MEASUREMENTS", "column", "validate"]

MEASUREMENTS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
FEATURES = (
    *(f"mean {name}" for name in MEASUREMENTS),
    *(f"{name} error" for name in MEASUREMENTS),
    *(f"worst {name}" for name in MEASUREMENTS),
)
LARGEST = 10_000.0  # no measurement of the data set comes near it; areas reach 4,254


def column(name: str) -> int:
    """Where a measurement stands, counted from 0. Raises `ValueError` for an unknown name."""
    try:
        return FEATURES.index(name)
    except ValueError:
        raise ValueError(f"no measurement is called {name!r}") from None


def validate(
    case: Sequence[object] | Mapping[str, object], features: Sequence[str] = FEATURES
) -> list[float]:
    """One case as numbers in the order of ``features``; a mapping gives them by name.

    Raises `ValueError`, naming the measurement, for a missing or surplus value, for anything that is
    not a number, and for a number below 0 or above `LARGEST`.
    """
    if isinstance(case, Mapping):
        if surplus := sorted(str(name) for name in case.keys() - set(features)):
            raise ValueError(f"no such measurement here: {surplus[0]!r}")
        if missing := [name for name in features if name not in case]:
            raise ValueError(f"missing: {missing[0]!r}")
        case = [case[name] for name in features]
    if isinstance(case, str | bytes) or not isinstance(case, Sequence):
        raise ValueError("a case is a list of numbers, or a mapping of names to numbers")
    if len(case) != len(features):
        raise ValueError(f"expected {len(features)} numbers, got {len(case)}")
    return [_number(value, name) for value, name in zip(case, features, strict=True)]


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: not a number")
    if not 0 <= value <= LARGEST:  # false for NaN, too
        raise ValueError(f"{name}: a number from 0 to {LARGEST:g} was expected")
    return float(value)
