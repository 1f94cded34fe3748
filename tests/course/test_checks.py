"""Checks: what a learner is told, and what gains nothing."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import itertools
import json
import random
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.course import exercises
from chainlab.course.cases import Case, Miss, Note
from chainlab.course.learning.checks import check, examine
from chainlab.course.plain_data import NotPlain, difference, plain, same, short
from chainlab.errors import ChainlabError, Incorrect, NotAttempted


def doubled(world: Any, rng: random.Random) -> Any:
    n = rng.randrange(10, 1000)
    yield Case("a number", (n,), 2 * n, "add it to itself", "notebooks/09.ipynb, 'Doubling'")
    yield Case("zero", (0,), 0)


def ask(answer: Any, cases: Any = doubled, seed: int = 1) -> Any:
    return check("9.1", answer, lab=None, seed=seed, cases=cases)


def one(expected: Any, *args: Any, **fields: Any) -> Any:
    return lambda world, rng: [Case("the case", args, expected, **fields)]


def test_a_right_answer_says_on_how_many_cases() -> None:
    result = ask(lambda n: n + n)
    assert str(result) == "✔ 9.1 right (2 cases, 2 generated from seed 1)"
    assert repr(result) == str(result)


def test_a_starter_is_not_attempted_by_its_own_name() -> None:
    def starter(n: int) -> int:
        raise NotImplementedError("exercise 9.1")

    with pytest.raises(NotAttempted, match=r"exercise 9\.1 is not attempted"):
        ask(starter)


@pytest.mark.parametrize("text", ["exercise 9.12", "exercise 9.1.1", "later", ""])
def test_another_not_implemented_error_is_incorrect(text: str) -> None:
    def answer(n: int) -> int:
        raise NotImplementedError(text)

    with pytest.raises(Incorrect, match="raised NotImplementedError"):
        ask(answer)


def test_an_exception_is_told_in_one_line_with_its_case() -> None:
    with pytest.raises(Incorrect) as caught:
        ask(lambda n: dict[str, int]()["a\nb"])
    assert caught.value.message.startswith("exercise 9.1, case 'a number': raised KeyError: 'a\\nb'")
    assert "\n" not in caught.value.message


def test_an_exception_without_a_text_is_told_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    def answer(n: int) -> int:
        raise Mute

    with pytest.raises(Incorrect, match="raised Mute, given"):
        ask(answer)


def test_endless_recursion_is_told_with_the_line_that_recurs() -> None:
    def answer(n: int) -> int:
        return answer(n + 1)

    with pytest.raises(Incorrect, match="raised RecursionError") as caught:
        ask(answer)
    assert caught.value.at.endswith(": return answer(n + 1)")


def test_leaving_the_process_is_an_exception_like_others() -> None:
    with pytest.raises(Incorrect, match="raised SystemExit"):
        ask(lambda n: exit())


def test_a_wrong_answer_is_told_expected_got_why_and_where() -> None:
    with pytest.raises(Incorrect) as caught:
        ask(lambda n: n)
    message, why, attempt, see = str(caught.value).splitlines()
    assert message.startswith("exercise 9.1, case 'a number': expected ")
    assert ", got " in message
    assert "[2 of 4 cases right]" in message
    assert why == "  Why: add it to itself"
    assert attempt == '  To try it: lab.case("9.1", "a number")'
    assert see == "  See: notebooks/09.ipynb, 'Doubling'"


def test_a_miss_on_a_generated_case_names_the_seed() -> None:
    visible = next(iter(doubled(None, random.Random("9.1/visible")))).args[0]
    with pytest.raises(Incorrect, match=r"case 'a number' \(generated from seed 7\)") as caught:
        ask(lambda n: {visible: 2 * visible}.get(n, 0), seed=7)
    assert caught.value.attempt == 'lab.case("9.1", "a number", seed=7)'


def test_the_visible_cases_do_not_change_with_the_seed_and_the_generated_do() -> None:
    seen: dict[int, list[int]] = {}
    for seed in (1, 2):
        seen[seed] = [o.case.args[0] for o in examine("9.1", lambda n: 0, lab=None, seed=seed, cases=doubled).outcomes]
    assert seen[1][:2] == seen[2][:2]
    assert seen[1][2:] != seen[2][2:]


def test_an_object_equal_to_everything_gains_nothing() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    class EqualText(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    class EqualNumber(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    for answer in (Equal(), EqualText("x"), EqualNumber(5), [EqualNumber(5)]):
        with pytest.raises(Incorrect):
            ask(lambda *_, answer=answer: answer, one([7] if isinstance(answer, list) else 7))


def test_an_answer_that_changes_its_arguments_changes_only_its_own() -> None:
    given_list = [3, 1, 2]
    cases = one(6, given_list)

    def answer(numbers: list[int]) -> int:
        value = sum(numbers)
        numbers.clear()
        return value

    ask(answer, cases)
    assert given_list == [3, 1, 2]


def test_an_answer_that_is_no_function_is_told_so() -> None:
    with pytest.raises(Incorrect, match="expected a function, got 4"):
        ask(4)


def test_generators_are_exhausted_and_endless_ones_end() -> None:
    ask(lambda: (n for n in (1, 2)), one([1, 2]))
    with pytest.raises(Incorrect, match="more than 100000 items"):
        ask(lambda: itertools.count(), one([1, 2]))


def test_a_failing_generator_is_an_exception_of_the_answer() -> None:
    def answer() -> Any:
        yield 1
        raise ValueError("half-way")

    with pytest.raises(Incorrect, match="raised ValueError: half-way"):
        ask(answer, one([1, 2]))


def test_cyclic_data_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Incorrect, match="nested more than 50 levels"):
        ask(lambda: loop, one([]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "an object, which is not plain data"),
        (float("nan"), "None for unknown"),
        (print, "not plain data"),
    ],
    ids=["object", "nan", "function"],
)
def test_what_is_not_plain_data_is_told(value: Any, message: str) -> None:
    with pytest.raises(Incorrect, match=message):
        ask(lambda: value, one(5))


def test_accept_judges_plain_data_where_several_answers_are_right() -> None:
    cases = one(None, accept=lambda got: got["x"] > 3)
    ask(lambda: {"x": 4}, cases)
    for wrong in ({"x": 2}, {}, None, [1]):
        with pytest.raises(Incorrect, match="not accepted"):
            ask(lambda wrong=wrong: wrong, cases)


def test_two_cases_of_one_name_are_the_authors_error() -> None:
    with pytest.raises(ChainlabError, match="two cases named 'the case'"):
        ask(lambda: 1, lambda world, rng: [Case("the case", (), 1), Case("the case", (), 1)])


def test_an_exercise_without_cases_is_the_authors_error() -> None:
    with pytest.raises(ChainlabError, match="has no cases"):
        ask(lambda: 1, lambda world, rng: [])


@pytest.mark.parametrize("exercise", ["99.9", "1", "one", "../week01"])
def test_an_unknown_exercise_is_named(exercise: str) -> None:
    with pytest.raises(ChainlabError, match=exercise.replace(".", r"\.")):
        exercises.cases(exercise)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Pair:
    name: str
    parts: tuple[int, ...]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ({3, 1, 2}, [1, 2, 3]),
        ((1, (2,)), [1, [2]]),
        (Pair("a", (1, 2)), {"name": "a", "parts": [1, 2]}),
        (Colour.RED, "red"),
        (datetime.date(2026, 5, 11), "2026-05-11"),
        (PurePosixPath("a/b"), "a/b"),
        (b"\x00\xff", "00ff"),
        ({1: {"x"}}, {"1": ["x"]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ({"a": 1}.keys(), ["a"]),
        (map(str, [1]), ["1"]),
        (range(2), [0, 1]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_values_have_one_plain_form(value: Any, form: Any) -> None:
    assert plain(value) == form


def test_numpy_values_are_plain_numbers_and_lists() -> None:
    np = pytest.importorskip("numpy")
    assert plain(np.float64(1.5)) == 1.5
    assert plain(np.array([[1, 2]])) == [[1, 2]]
    assert plain(np.bool_(True)) is True


def test_order_counts_in_lists_and_not_in_sets() -> None:
    ask(lambda: ["b", "a"], one({"a", "b"}))
    with pytest.raises(Incorrect):
        ask(lambda: ["b", "a"], one(["a", "b"]))
    ask(lambda: {"k": ["b", "a"]}, one({"k": {"a", "b"}}))


@pytest.mark.parametrize(
    ("one_value", "other", "equal"),
    [
        (1, True, False),
        (0, False, False),
        (0, None, False),
        ("", None, False),
        (744, 744.0, True),
        (0.1 + 0.2, 0.3, True),
        (1.0, 1.001, False),
        ([], {}, False),
        ("1", 1, False),
    ],
)
def test_sameness_keeps_kinds_apart(one_value: Any, other: Any, equal: bool) -> None:
    assert same(one_value, other) is equal
    assert same(other, one_value) is equal


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_data_is_its_own_plain_form(value: Any) -> None:
    assert plain(value) == value
    assert same(value, json.loads(json.dumps(value)))


@given(json_values, json_values)
def test_a_difference_is_told_in_one_short_line(one_value: Any, other: Any) -> None:
    if not same(one_value, other):
        line = difference(one_value, other)
        assert "\n" not in line
        assert len(line) < 1000


def test_a_long_difference_shows_only_the_place() -> None:
    expected = {"rows": [{"id": n, "minutes": n} for n in range(50)]}
    got = {"rows": [{"id": n, "minutes": n if n != 30 else 0} for n in range(50)]}
    assert difference(expected, got) == "at ['rows'][30]['minutes']: expected 30, got 0"
    assert "missing ['n49']" in difference([f"n{i}" for i in range(50)], [f"n{i}" for i in range(49)])


def test_sets_look_like_sets_in_the_order_of_their_numbers() -> None:
    assert difference(plain({1, 2, 10}), plain({10, 9})) == "expected {1, 2, 10}, got {9, 10}"
    assert short(({"b", "a"}, set(), {3.5, 10, -2})) == "({'a', 'b'}, set(), {-2, 3.5, 10})"
    assert short([{(10, "x"), (9, "y")}, (1,), ()]) == "[{(9, 'y'), (10, 'x')}, (1,), ()]"
    assert short({None, True, "x", 2, frozenset({1})}) == "{None, True, 2, 'x', {1}}"
    long = {f"n{i}" for i in range(50)}
    assert difference(plain({"all": long | {"x"}}), plain({"all": long})).endswith("got 50; missing {'x'}")
    assert difference(plain({"one": {"x" * 90}}), plain({"one": set()})).startswith(
        "at ['one']: expected 1 item, got 0"
    )
    assert short({"names": {"b", "a"}}) == "{'names': {'a', 'b'}}"
    with pytest.raises(Incorrect, match=r"expected \{2, 10\}, got \{2\}"):
        ask(lambda: [2], one({10, 2}))  # a list in place of a set is taken for one


@given(st.lists(st.none() | st.integers() | st.text() | st.tuples(st.integers(), st.text())))
def test_a_set_has_one_plain_form_in_whichever_order_it_was_filled(values: list[Any]) -> None:
    assert plain(dict.fromkeys(values).keys()) == plain(dict.fromkeys(values[::-1]).keys())


def test_a_value_that_cannot_be_read_is_still_named() -> None:
    assert short(object()) == "<object>"
    with pytest.raises(NotPlain):
        plain({object()})


def test_beside_a_reason_stands_the_whole_answer_or_none_of_it() -> None:
    def message_for(answer: object, *args: object) -> str:
        case = Case("whole", args, accept=lambda got: Miss("the budget is 6"))
        report = examine("9.1", lambda *_: answer, lab=None, seed=1, cases=lambda *_: [case])
        return report.outcomes[0].message

    assert message_for([7]) == "the budget is 6; you returned [7]"
    assert message_for(["x" * 200]) == "the budget is 6"  # no torso
    assert message_for([7], [1], "x") == "the budget is 6; you returned [7], given [1], 'x'"
    assert message_for([7], print) == "the budget is 6; you returned [7]"  # a function has no plain form: not "<tuple>"


def error_of(answer: Any, **fields: Any) -> Incorrect:
    """The error for a wrong answer to a case with a reason."""
    with pytest.raises(Incorrect) as caught:
        ask(answer, one(None, teaches="unknown is not zero", **fields))
    return caught.value


def test_a_reason_is_told_only_for_the_mistake_that_it_is_about() -> None:
    assert error_of(lambda: 0).why == "unknown is not zero"
    assert error_of(lambda: 0, why_if=lambda got: got == 0).why == "unknown is not zero"
    assert error_of(lambda: 7, why_if=lambda got: got == 0).why == ""
    assert error_of(lambda: 7, why_if=lambda got: got["x"]).why == ""  # data of another shape


def test_an_exception_is_told_without_a_reason_that_is_about_something_else() -> None:
    numbers: dict[str, int] = {}
    error = error_of(lambda: numbers["x"])
    assert error.why == ""
    assert error.at.endswith('error = error_of(lambda: numbers["x"])')


def test_a_judge_tells_the_reason_of_what_it_found() -> None:
    def because(**fields: Any) -> str:
        return error_of(lambda: 1, accept=lambda got: Miss("too small", **fields)).why

    assert because() == "unknown is not zero"
    assert because(why="one is not two") == "one is not two"
    assert because(why="") == ""


def test_a_right_answer_is_told_what_it_missed() -> None:
    result = ask(lambda: 1, one(None, accept=lambda got: Note("missed: a forged\nname")))
    assert str(result).splitlines()[1:] == ["  missed: a forged\\nname"]


def test_a_line_in_code_that_an_answer_calls_is_told_by_the_innermost_own_one() -> None:
    def part(text: str) -> Any:
        return json.loads(text)

    def answer() -> Any:
        return part("{")

    number = part.__code__.co_firstlineno + 1
    assert error_of(answer).at == f"test_checks.py, line {number}, in part: return json.loads(text)"


def test_an_answer_without_a_text_has_no_line() -> None:
    assert error_of(eval("lambda: [][0]")).at == ""
