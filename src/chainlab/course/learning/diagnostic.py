"""The readiness diagnostic: twenty questions that show which primers to read.

Questions are data (``data/diagnostic.toml``). An answer sheet is a text with one letter per
question, in order; a dot means "I don't know", which is an honest answer and counts as a gap.

    >>> questions = [Question("00a_git", "Moves?", ("tag", "commit"), "a", ("", "ids are fixed"))]
    >>> print(mark(questions, "b"))
    0 of 1 right: ready after primer 00a_git
      question 1: b) ids are fixed
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chainlab.errors import MalformedInput

__all__ = ["DiagnosticOutcome", "Question", "Sheet", "load", "mark", "sheet"]

LETTERS = "abcd"
SLIPS = 1  # wrong answers on a primer's subject with which a reader may still skip it
TALK_FROM = 5  # primers needed: from here on, week 0 takes a week, not an afternoon


@dataclass(frozen=True)
class Question:
    """One question, its choices, and why each choice is wrong ("" for the right one)."""

    primer: str
    text: str
    choices: tuple[str, ...]
    answer: str  # a letter
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class DiagnosticOutcome:
    """The result of one answer sheet; its text is for the person who filled it in."""

    right: int
    questions: int
    verdict: str  # "not sat yet", "ready", "ready after primer …" or "talk to your instructor …"
    remarks: tuple[str, ...]  # one per wrong answer

    def __str__(self) -> str:
        lines = [f"{self.right} of {self.questions} right: {self.verdict}"]
        return "\n".join(lines + [f"  {remark}" for remark in self.remarks])

    def __repr__(self) -> str:
        return str(self)


def load(path: Path) -> list[Question]:
    """Read the questions of a TOML file, in order.

    Raises `MalformedInput` for a question whose answer is not one of its choices.
    """
    questions = []
    for number, entry in enumerate(tomllib.loads(path.read_text("utf-8"))["question"], 1):
        choices = entry["choices"]
        if sorted(choices) != list(LETTERS) or entry["answer"] not in choices:
            raise MalformedInput(f"{path.name}: question {number} needs choices a to d and an answer among them")
        wrong = entry["wrong"]
        if sorted([*wrong, entry["answer"]]) != list(LETTERS):
            raise MalformedInput(f"{path.name}: question {number} must say why each other choice is wrong")
        questions.append(
            Question(
                entry["primer"],
                entry["text"],
                tuple(choices[letter] for letter in LETTERS),
                entry["answer"],
                tuple(wrong.get(letter, "") for letter in LETTERS),
            )
        )
    return questions


@dataclass(frozen=True, repr=False)
class Sheet:
    """The questions of one primer, numbered as in the whole diagnostic; a notebook shows them as a list."""

    numbered: tuple[tuple[int, Question], ...]

    def __repr__(self) -> str:
        lines = []
        for number, question in self.numbered:
            lines.append(f"{number}. {question.text}")
            lines += [f"   {letter}) {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True)]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(
            f"**{number}.** {question.text}<br>\n"
            + "<br>\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True))
            for number, question in self.numbered
        )


def sheet(questions: Sequence[Question], primer: str) -> Sheet:
    """Select the questions of one primer from the whole diagnostic."""
    return Sheet(tuple((number, q) for number, q in enumerate(questions, 1) if q.primer == primer))


def mark(questions: Sequence[Question], answers: str) -> DiagnosticOutcome:
    """Compare an answer sheet with the key.

    Raises `MalformedInput` unless there is one letter or dot per question.
    """
    letters = "".join(answers.lower().split())
    if len(letters) != len(questions) or set(letters) - set(LETTERS + "."):
        raise MalformedInput(
            f"expected {len(questions)} letters a to d, or dots, got {answers!r}",
            hint="one character per question, in order; a dot means 'I don't know'",
        )
    missed: dict[str, int] = {question.primer: 0 for question in questions}
    remarks = []
    for number, (question, letter) in enumerate(zip(questions, letters, strict=True), 1):
        if letter != question.answer:
            missed[question.primer] += 1
        if letter not in (question.answer, "."):
            remarks.append(f"question {number}: {letter}) {question.wrong[LETTERS.index(letter)]}")
    counts = {primer: sum(question.primer == primer for question in questions) for primer in missed}
    needed = tuple(p for p, count in missed.items() if count > min(SLIPS, counts[p] - 1))
    right = len(questions) - sum(missed.values())
    if set(letters) == {"."}:
        return DiagnosticOutcome(0, len(questions), "not sat yet", ())
    return DiagnosticOutcome(right, len(questions), _verdict(needed), tuple(remarks))


def _verdict(needed: Sequence[str]) -> str:
    if not needed:
        return "ready"
    if len(needed) >= TALK_FROM:
        return f"talk to your instructor, and begin with {needed[0]}"
    return f"ready after primer {', '.join(needed)}"
