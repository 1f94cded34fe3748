from pathlib import Path

import pytest

from chainlab.course.learning import diagnostic
from chainlab.errors import MalformedInput

QUESTIONS = diagnostic.load(Path(__file__).parents[2] / "data" / "diagnostic.toml")
KEY = "".join(question.answer for question in QUESTIONS)
PRIMERS = list(dict.fromkeys(question.primer for question in QUESTIONS))
FOUR, FIVE = tuple(PRIMERS[:4]), tuple(PRIMERS[:5])


def sheet(wrong: dict[str, int]) -> str:
    """The key with the first ``n`` answers of some primers replaced by a dot."""
    left = dict(wrong)
    letters = []
    for question in QUESTIONS:
        missed = left.get(question.primer, 0) > 0
        left[question.primer] = left.get(question.primer, 0) - 1
        letters.append("." if missed else question.answer)
    return "".join(letters)


def test_there_are_twenty_questions_in_the_order_of_the_primers() -> None:
    assert len(QUESTIONS) == 20
    assert sorted(PRIMERS) == PRIMERS
    lessons = Path(__file__).parents[2] / "lessons"
    assert all((lessons / f"{primer}.py").is_file() for primer in PRIMERS)


def test_a_sheet_shows_the_questions_of_one_primer_as_text_and_as_a_list() -> None:
    for primer in PRIMERS:
        shown = diagnostic.sheet(QUESTIONS, primer)
        for number, question in enumerate(QUESTIONS, 1):
            mine = question.primer == primer
            assert (f"{number}. {question.text}\n   a) {question.choices[0]}\n" in repr(shown)) == mine
            assert (f"**{number}.** {question.text}<br>\na) " in shown._repr_markdown_()) == mine
        assert repr(shown).count("\n   d) ") == sum(question.primer == primer for question in QUESTIONS)


def test_no_letter_answers_more_than_a_third() -> None:
    assert max(KEY.count(letter) for letter in "abcd") <= 7


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({}, "ready"),
        ({"00a_git": 1, "00f_policies": 1}, "ready"),
        ({"00d_merkle": 2}, "ready after primer 00d_merkle"),
        (dict.fromkeys(FOUR, 2), f"ready after primer {', '.join(FOUR)}"),
        (dict.fromkeys(FIVE, 2), "talk to your instructor, and begin with 00a_git"),
    ],
)
def test_outcomes(wrong: dict[str, int], verdict: str) -> None:
    outcome = diagnostic.mark(QUESTIONS, sheet(wrong))
    assert outcome.verdict == verdict
    assert outcome.right == 20 - sum(wrong.values())


def test_a_sheet_of_dots_is_not_a_failure() -> None:
    assert diagnostic.mark(QUESTIONS, "." * 20).verdict == "not sat yet"


def test_every_wrong_choice_has_its_own_reason_and_a_dot_none() -> None:
    reasons = set()
    for number, question in enumerate(QUESTIONS):
        for letter in set("abcd") - {question.answer}:
            outcome = diagnostic.mark(QUESTIONS, KEY[:number] + letter + KEY[number + 1 :])
            (remark,) = outcome.remarks
            reasons.add(remark.partition(")")[2])
    assert len(reasons) == 60
    assert diagnostic.mark(QUESTIONS, sheet({"00a_git": 1})).remarks == ()


@pytest.mark.parametrize("answers", ["", KEY[:-1], KEY + "a", "e" + KEY[1:]])
def test_a_sheet_of_another_shape_is_refused(answers: str) -> None:
    with pytest.raises(MalformedInput, match="expected 20 letters"):
        diagnostic.mark(QUESTIONS, answers)
