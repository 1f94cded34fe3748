"""Case generators of all exercises: one module a week (``week01``), found by the exercise's number.

A module has ``CASES``: exercise id to generator, ``{"1.2": exposure}``. It is imported when one of its exercises is
checked, not before.

    >>> module_name("1.2")
    'week01'
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable, Iterable
from typing import Any

from chainlab.errors import MalformedInput

__all__ = ["cases", "module_name"]

ID = re.compile(r"(\d{1,2})\.(\d{1,2})")


def module_name(exercise: str) -> str:
    """The week's module that an exercise belongs to."""
    found = ID.fullmatch(exercise)
    if found is None:
        raise MalformedInput(f"{exercise!r} is not an exercise", mend="write its number as in '1.2'")
    return f"week{int(found[1]):02d}"


def cases(exercise: str) -> Callable[[Any, random.Random], Iterable[Any]]:
    """The generator of one exercise's cases. Raises `MalformedInput` for an exercise that has none."""
    generators = _load(module_name(exercise))
    if exercise not in generators:
        known = ", ".join(sorted(generators)) or "another week's: this one has none"
        raise MalformedInput(f"there is no exercise {exercise}", mend=f"name one of {known}")
    return generators[exercise]


def _load(module: str) -> dict[str, Callable[[Any, random.Random], Iterable[Any]]]:
    name = f"{__name__}.{module}"
    try:
        return dict(importlib.import_module(name).CASES)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return {}
