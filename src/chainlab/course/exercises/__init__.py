"""The exercises' cases: exercise 3.3 is the one module ``week3/ex3_*.py``, found by its number.

A module gives

- ``cases(lab, rng)``: the cases, built so that their truth is known from how they were made,
- ``TEACHES``: for each case, by its name, what a learner who misses it is told,
- ``SEE``: where to look, the same for all cases or by the case's name.

It is imported when its exercise is checked, not before.

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

Generator = Callable[[Any, random.Random], Iterable[Any]]  # of `checks.Case`


def numbered() -> dict[str, str]:
    """Every exercise's id and its module's dotted name, in order. Raises `ChainlabError` for two modules of one id."""
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
    """The dotted name of an exercise's module. Raises `MalformedInput` for an exercise that has none."""
    if ID.fullmatch(exercise) is None:
        raise MalformedInput(f"not an exercise: {exercise!r}", hint="write its number as in '1.2'")
    modules = numbered()
    if exercise not in modules:
        raise MalformedInput(f"there is no exercise {exercise}", hint=f"name one of {', '.join(modules)}")
    return modules[exercise]


def cases(exercise: str) -> Generator:
    """The generator of one exercise's cases, each with its text. Raises `MalformedInput` for an exercise that has none.

    A case that brings a text of its own keeps it.
    """
    module = importlib.import_module(module_name(exercise))

    def generate(lab: Any, rng: random.Random) -> Iterator[Any]:
        for case in module.cases(lab, rng):
            see = module.SEE if isinstance(module.SEE, str) else module.SEE[case.name]
            yield replace(case, teaches=case.teaches or module.TEACHES[case.name], see=case.see or see)

    return generate
