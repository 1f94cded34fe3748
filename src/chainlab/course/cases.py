"""Cases of an exercise: calls of the answer whose right result is known, and what a wrong one teaches.

The learner is told a case's reason (``teaches``) only for the mistake that it is about:

- an answer that raises an exception is shown its own line, and no reason,
- ``Case.why_if`` takes the wrong answer as plain data and says whether the reason is about it,
- a `Miss` may carry the reason for one particular mistake, or ``why=""`` for none,
- order does the rest: only the first failing case is reported, so a simple case stands before one with a trap.

    >>> trap = Case("of nothing", ([],), None, teaches="unknown is not zero", why_if=lambda got: got == 0)
    >>> trap.reason(0), trap.reason([])
    ('unknown is not zero', '')
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

__all__ = ["ODD_SHAPE", "Case", "Cases", "LabContext", "Miss", "Note"]

# What a case's `accept` raises for data of an unexpected shape.
ODD_SHAPE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class LabContext(Protocol):
    """What a case generator may use of a lab; ``chainlab.open`` returns one."""

    @property
    def path(self) -> Path:
        """This lesson's own working directory; writable."""

    @property
    def data(self) -> Path:
        """The course's ``data/`` folder; read only."""

    @property
    def trust(self) -> Any:
        """The private Sigstore instance: ``url``, ``config``, ``token(identity)``."""


@dataclass(frozen=True)
class Miss:
    """A false value that says why; `Case.accept` may return it instead of False."""

    reason: str  # told to the learner: "cost 7, the budget is 6"
    why: str | None = None  # the reason for this mistake, instead of `teaches`; "" for none

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class Note:
    """A true value with a remark for the learner; `Case.accept` may return it instead of True."""

    text: str  # "missed: 'a VEX without a justification'"


@dataclass(frozen=True)
class Case:
    """One call of the answer whose right result is known by construction."""

    name: str  # unique in the exercise, and the same for every seed
    args: tuple[Any, ...]
    expected: Any = None  # compared as plain data: sets sorted, tuples as lists, dataclasses as dicts
    teaches: str = ""  # the reason that a learner who misses this case is told
    see: str = ""  # "notebooks/01_threats.ipynb, 'Unknown is not zero'"
    accept: Callable[[Any], bool | Miss | Note] | None = None  # instead of `expected`; gets plain data
    why_if: Callable[[Any], bool] | None = None  # gets the wrong answer as plain data; whether `teaches` is about it

    def reason(self, got: Any) -> str:
        """Return `teaches` if it is about the mistake in ``got``, else an empty text."""
        if self.why_if is None:
            return self.teaches
        try:
            return self.teaches if self.why_if(got) else ""
        except ODD_SHAPE:
            return ""


Cases: TypeAlias = Callable[[Any, random.Random], Iterable[Case]]
