"""The arguments of a case, for a learner to try an answer on; the expected value stays hidden.

>>> def cases(lab, rng):
...     yield Case("two numbers", ([3, 4],), 7)
>>> args = arguments("9.1", "two numbers", lab=None, seed=None, cases=cases)
>>> args
exercise 9.1, case 'two numbers': 1 argument
  [3, 4]
To try it: your_function(*lab.case("9.1", "two numbers"))
>>> numbers, = args
"""

from __future__ import annotations

import copy
import pprint
from typing import Any

from chainlab.characters import visible
from chainlab.course import exercises
from chainlab.course.cases import Cases
from chainlab.course.learning import checks
from chainlab.errors import MalformedInput

__all__ = ["CaseArguments", "arguments"]

WIDTH, LINES = 110, 40  # characters and lines of a shown argument


class CaseArguments(tuple[Any, ...]):
    """The arguments of a case as a tuple of deep copies, which may be changed."""

    exercise: str
    call: str  # the call that returns them

    def __repr__(self) -> str:
        count = f"{len(self)} argument{'s' * (len(self) != 1)}"
        lines = [f"{self.exercise}: {count}"]
        for argument in self:
            lines += [f"  {line}" for line in _shown(argument)]
        return "\n".join([*lines, f"To try it: your_function(*{self.call})"])


def arguments(exercise: str, name: str, *, lab: Any, seed: int | None, cases: Cases | None = None) -> CaseArguments:
    """Get the arguments of a case by its name: a visible case, or with a seed the case generated from it.

    Raises `MalformedInput`, with the names of all cases, when there is none of that name.
    """
    generate = exercises.cases(exercise) if cases is None else cases
    names = []
    for case in checks.cases_of(exercise, generate, lab, seed):
        if case.name == name:
            result = CaseArguments(copy.deepcopy(case.args))
            result.call = checks.call_for(exercise, name, seed)
            origin = "" if seed is None else f", generated from seed {seed}"
            result.exercise = f"exercise {exercise}, case '{visible(name)}'{origin}"
            return result
        names.append(case.name)
    raise MalformedInput(f"exercise {exercise} has no case {name!r}", hint=f"name one of {', '.join(map(repr, names))}")


def _shown(argument: Any) -> list[str]:
    """Format an argument on at most `LINES` lines."""
    lines = visible(pprint.pformat(argument, width=WIDTH, sort_dicts=False), lines=True).splitlines()
    return lines if len(lines) <= LINES else [*lines[:LINES], f"… and {len(lines) - LINES} lines more"]
