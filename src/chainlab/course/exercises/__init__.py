"""The cases of the exercises: the number of exercise 3.3 leads to its one module, ``week3/ex3_*.py``.

Each module has

- ``cases(lab, rng)``: the cases, built so that their truth is known from how they were made,
- ``TEACHES``: the reason that a learner is told who misses a case, by the case's name,
- ``SEE``: where to read about it, one text for all cases or one for each case's name.

A module is imported when its exercise is checked, not before.

    >>> module_name("3.3")
    'chainlab.course.exercises.week3.ex3_truth_test'
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["cases", "module_name", "numbered"]

ID = re.compile(r"(\d{1,2})\.(\d{1,2})")
WEEK, MODULE = re.compile(r"week(\d+)"), re.compile(r"ex(\d+)_\w+")

Generator = Callable[[Any, random.Random], Iterable[Any]]  # of `course.cases.Case`


def numbered() -> dict[str, str]:
    """Map each exercise's id to the dotted name of its module, in order.

    Raises `ChainlabError` when two modules have one id.
    """
    modules: dict[str, str] = {}
    for week in pkgutil.iter_modules(__path__):
        if week_number := WEEK.fullmatch(week.name):
            folders = [f"{folder}/{week.name}" for folder in __path__]
            for module in pkgutil.iter_modules(folders):
                if number := MODULE.fullmatch(module.name):
                    exercise = f"{week_number[1]}.{number[1]}"
                    if exercise in modules:
                        raise ChainlabError(f"exercise {exercise} has two modules")
                    modules[exercise] = f"{__name__}.{week.name}.{module.name}"
    return modules


def module_name(exercise: str) -> str:
    """Give the dotted name of an exercise's module. Raises `MalformedInput` for an unknown exercise."""
    if ID.fullmatch(exercise) is None:
        raise MalformedInput(f"not an exercise: {exercise!r} (expected a number such as '1.2')")
    modules = numbered()
    if exercise not in modules:
        raise MalformedInput(f"there is no exercise {exercise}", hint=f"name one of {', '.join(modules)}")
    return modules[exercise]


def cases(exercise: str) -> Generator:
    """Give the generator of an exercise's cases, with their texts from the module's tables.

    A case that has a text already keeps it. Raises `MalformedInput` for an unknown exercise.
    """
    module = importlib.import_module(module_name(exercise))

    def generate(lab: Any, rng: random.Random) -> Iterator[Any]:
        for case in module.cases(lab, rng):
            see = module.SEE if isinstance(module.SEE, str) else module.SEE[case.name]
            yield replace(case, teaches=case.teaches or module.TEACHES[case.name], see=case.see or see)

    return generate
