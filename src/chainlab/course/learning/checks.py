"""Checks of exercises: an answer is a function, and a check calls it on cases whose right result is known.

    >>> def cases(lab, rng):
    ...     n = rng.randrange(10, 99)
    ...     yield Case("double", (n,), 2 * n, teaches="add the number to itself")
    >>> check("9.1", lambda n: n + n, lab=None, seed=7, cases=cases)
    ✔ 9.1 right (1 case, 1 generated from seed 7)

A starter raises `NotAttempted`; a wrong answer or an exception raises `Incorrect`. Both name the exercise, and the
second also the case, what was expected and what came back. Only plain data is compared (`plain_data.plain`), so an
object with its own ``__eq__`` gains nothing. The check and the answer share one process, so an answer could read the
expected value out of a stack frame. That is why grading repeats the check elsewhere with another seed.

A right answer may still get a remark, such as the mutants that it missed: ``accept`` returns a `Note`.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from chainlab.characters import shortened, visible
from chainlab.course import exercises
from chainlab.course.cases import ODD_SHAPE, Case, Cases, Miss, Note
from chainlab.course.learner_code import own_line
from chainlab.course.learning.results import Right
from chainlab.course.plain_data import NotPlain, difference, plain, same, short
from chainlab.errors import ChainlabError, Incorrect, NotAttempted

__all__ = [
    "CheckOutcome",
    "CheckReport",
    "call_for",
    "cases_of",
    "check",
    "examine",
]


ON_ONE_LINE = 100  # characters: a longer value is not shown beside a reason
NOTHING_RETURNED = " (does every path end in a `return`?)"


Verdict: TypeAlias = Literal["right", "wrong", "raised", "not attempted"]


@dataclass(frozen=True)
class CheckOutcome:
    """The result of one case."""

    case: Case
    verdict: Verdict
    message: str = ""  # one line: "expected None, got 0"
    why: str = ""  # the case's reason, where it is about this mistake
    at: str = ""  # the learner's line that raised
    note: str = ""  # a remark on a right answer
    generated: bool = False  # whether the case comes from the seed, or is a visible one


@dataclass(frozen=True)
class CheckReport:
    """The results of all cases of one exercise: the visible ones, then those generated from the seed."""

    exercise: str
    seed: int
    outcomes: tuple[CheckOutcome, ...]

    @property
    def first_miss(self) -> CheckOutcome | None:
        """The first outcome that is not right; None if all are."""
        return next((o for o in self.outcomes if o.verdict != "right"), None)

    @property
    def score(self) -> float:
        """The share of cases that are right, 0 to 1."""
        return sum(o.verdict == "right" for o in self.outcomes) / len(self.outcomes)

    def result(self) -> Right:
        """Return `Right` when all cases are right; raises `NotAttempted` or `Incorrect` otherwise."""
        miss = self.first_miss
        if miss is None:
            visible = sum(not o.generated for o in self.outcomes)
            notes = tuple(dict.fromkeys(o.note for o in self.outcomes if o.note))
            return Right(self.exercise, visible, len(self.outcomes) - visible, self.seed, notes)
        if miss.verdict == "not attempted":
            raise NotAttempted(
                f"exercise {self.exercise} is not attempted yet",
                hint="replace the line `raise NotImplementedError(…)` with your answer, run that cell, then this one",
            )
        origin = f" (generated from seed {self.seed})" if miss.generated else ""
        right = sum(o.verdict == "right" for o in self.outcomes)
        raise Incorrect(
            f"exercise {self.exercise}, case '{miss.case.name}'{origin}: {miss.message}"
            f" [{right} of {len(self.outcomes)} cases right]",
            at=miss.at,
            why=miss.why,
            attempt=call_for(self.exercise, miss.case.name, self.seed if miss.generated else None),
            see=miss.case.see,
        )


def check(exercise: str, answer: Any, *, lab: Any, seed: int, cases: Cases | None = None) -> Right:
    """Check ``answer`` on the visible cases and on those generated from ``seed``; returns `Right`.

    Raises `NotAttempted` for a starter, and `Incorrect` for any other answer that is not right.
    """
    return examine(exercise, answer, lab=lab, seed=seed, cases=cases).result()


def examine(exercise: str, answer: Any, *, lab: Any, seed: int, cases: Cases | None = None) -> CheckReport:
    """Run every case and report the outcomes, without raising for a wrong answer."""
    generate = exercises.cases(exercise) if cases is None else cases
    if not callable(answer):
        raise Incorrect(
            f"exercise {exercise}: expected a function, got {short(answer)}",
            hint="pass the function itself, without calling it",
        )
    outcomes: list[CheckOutcome] = []
    for source in (None, seed):
        for case in cases_of(exercise, generate, lab, source):
            outcomes.append(_run_case(exercise, answer, case, source is not None))
            if outcomes[-1].verdict == "not attempted":
                return CheckReport(exercise, seed, tuple(outcomes))
    if not outcomes:
        raise ChainlabError(f"exercise {exercise} has no cases")
    return CheckReport(exercise, seed, tuple(outcomes))


def cases_of(exercise: str, generate: Cases, lab: Any, seed: int | None) -> Iterator[Case]:
    """Generate the cases of a seed; without a seed the visible cases, which are the same for every seed."""
    label = f"{exercise}/{'visible' if seed is None else seed}"
    seen: set[str] = set()
    for case in generate(lab, random.Random(label)):  # noqa: S311 (variation, not secrecy)
        if case.name in seen:
            raise ChainlabError(f"exercise {exercise} has two cases named '{case.name}'")
        seen.add(case.name)
        yield case


def call_for(exercise: str, name: str, seed: int | None) -> str:
    """Write the call that gives a learner the arguments of a case."""
    quoted = json.dumps(name, ensure_ascii=False)
    return f'lab.case("{exercise}", {quoted}{"" if seed is None else f", seed={seed}"})'


def _run_case(exercise: str, answer: Callable[..., Any], case: Case, generated: bool) -> CheckOutcome:
    arguments = f", given {text}" if (text := _arguments_line(case.args)) else ""

    def outcome(verdict: Verdict, message: str = "", **details: str) -> CheckOutcome:
        return CheckOutcome(case, verdict, message, generated=generated, **details)

    def raised(error: BaseException) -> CheckOutcome:
        return outcome("raised", _raised_text(error) + arguments, at=own_line(error))

    try:
        got = plain(answer(*copy.deepcopy(case.args)), like=case.expected)
    except NotPlain as error:
        expectation = f"expected {short(case.expected)}" if case.accept is None else "expected plain data"
        return outcome("wrong", f"{expectation}, got {error}{arguments}")
    except NotImplementedError as error:
        return outcome("not attempted") if _is_starter(exercise, error) else raised(error)
    except (Exception, SystemExit) as error:
        return raised(error)
    if case.accept is None:
        expected = plain(case.expected)
        if same(expected, got):
            return outcome("right")
        nothing = NOTHING_RETURNED if got is None and isinstance(expected, (dict, list)) else ""
        return outcome("wrong", difference(expected, got) + nothing + arguments, why=case.reason(got))
    verdict: bool | Miss | Note
    try:
        verdict = case.accept(got)
    except ODD_SHAPE:
        verdict = False
    if verdict:
        return outcome("right", note=verdict.text if isinstance(verdict, Note) else "")
    own = verdict.why if isinstance(verdict, Miss) else None
    return outcome("wrong", _reason(verdict, got) + arguments, why=case.reason(got) if own is None else own)


def _reason(verdict: bool | Miss | Note, got: Any) -> str:
    """Say why an answer is not accepted; a long answer is not repeated beside a `Miss`'s own reason."""
    if not isinstance(verdict, Miss):
        return f"not accepted: {short(got)}"
    text = _one_line(got)
    return f"{verdict.reason}; you returned {text}" if text else verdict.reason


def _one_line(value: Any) -> str:
    """``value`` on one line; empty if it is too long or has no plain form."""
    try:
        plain(value)
    except Exception:  # such as a function among the arguments
        return ""
    text = short(value, 1000)
    return text if len(text) <= ON_ONE_LINE else ""


def _arguments_line(values: tuple[Any, ...]) -> str:
    """All arguments on one line; empty if they do not fit."""
    texts = [_one_line(value) for value in values]
    line = ", ".join(texts)
    return line if all(texts) and len(line) <= ON_ONE_LINE else ""


def _is_starter(exercise: str, error: NotImplementedError) -> bool:
    return re.match(rf"exercise {re.escape(exercise)}(?![\w.])", str(error)) is not None


def _raised_text(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # the learner's own exception may fail to give a text
        text = ""
    name = type(error).__name__
    return shortened(visible(f"raised {name}: {text}" if text else f"raised {name}"))
