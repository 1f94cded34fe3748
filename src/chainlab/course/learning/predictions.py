"""Predictions: a learner's guess at an output, shown beside the true value.

    >>> Prediction(None, 2)
    it is 2 (no prediction: put yours in place of None, and run the cell again)
    >>> Prediction(3, 2)
    you said 3, it is 2
    >>> Prediction({"numpy": "refused", "scipy": None}, {"numpy": "Refused", "scipy": "passed"})
    numpy   right: Refused
    scipy   it is passed

A prediction is not marked, and the progress board does not keep it. It is compared like an exercise's answer; capitals
and surrounding space do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from chainlab.characters import visible
from chainlab.course.plain_data import NotPlain, plain, same, short

__all__ = ["Prediction"]

MISSING = " (no prediction: put yours in place of None, and run the cell again)"


@dataclass(frozen=True, repr=False)
class Prediction:
    """A predicted value (None for no prediction) and the true one; the entries of a mapping are compared singly."""

    predicted: Any
    true: Any

    def __repr__(self) -> str:
        if not isinstance(self.true, Mapping):
            missing = MISSING if self.predicted is None else ""
            return _compared(self.predicted, self.true) + missing
        predicted = self.predicted if isinstance(self.predicted, Mapping) else {}
        width = max(map(len, map(str, self.true)))
        lines = [f"{name!s:{width}}   {_compared(predicted.get(name), true)}" for name, true in self.true.items()]
        if all(predicted.get(name) is None for name in self.true):
            lines.append(MISSING.strip())
        return "\n".join(lines)


def _compared(predicted: Any, true: Any) -> str:
    if predicted is None:
        return f"it is {_shown(true)}"
    if _same(predicted, true):
        return f"right: {_shown(true)}"
    return f"you said {_shown(predicted)}, it is {_shown(true)}"


def _same(predicted: Any, true: Any) -> bool:
    try:
        return same(plain(_casefolded(predicted), like=true), plain(_casefolded(true)))
    except NotPlain:
        return False  # not comparable, such as a function


def _casefolded(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, (list, tuple)):
        return [_casefolded(item) for item in value]
    return {_casefolded(item) for item in value} if isinstance(value, Set) else value


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple, Set)):
        items = sorted(value, key=str) if isinstance(value, Set) else value
        return ", ".join(map(_shown, items)) or "none"
    return visible(value if isinstance(value, str) else short(value))
