"""A learner's own code: the cell that an answer was written in is found through whatever wraps it."""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chainlab.course.exercises.week2 import ex8_review
from chainlab.course.exercises.week4 import ex5_rego_rules, ex6_gate
from chainlab.course.learner_code import cell_source, source_digest

SOURCE = "def judge(*given):\n    return []\n"
CELL = "ipykernel_1/2.py"


@pytest.fixture
def judge() -> Iterator[Any]:
    """A function that a notebook's cell defined."""
    linecache.cache[CELL] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), CELL)
    namespace: dict[str, Any] = {}
    exec(compile(SOURCE, CELL, "exec"), namespace)
    yield namespace["judge"]
    del linecache.cache[CELL]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: f,
        lambda f: functools.partial(f, 1),
        lambda f: type("Judge", (), {"judge": f})().judge,
        ex8_review.bench,
        ex6_gate.bench,
        ex5_rego_rules.table,
    ],
    ids=["itself", "partial", "method", "2.8", "4.6", "4.5"],
)
def test_the_cell_of_a_wrapped_answer_is_found(judge: Any, wrap: Callable[[Any], Any]) -> None:
    assert cell_source(wrap(judge)) == SOURCE


@pytest.mark.parametrize(
    "answer", [print, 5, int, None, lambda: 1], ids=["built-in", "number", "class", "none", "lambda"]
)
def test_what_no_cell_defined_has_no_text(answer: Any) -> None:
    assert cell_source(answer) == ""


def test_a_text_is_named_without_the_space_at_its_ends() -> None:
    assert source_digest("\n" + SOURCE + "  \n") == source_digest(SOURCE.replace("given):", "given):  "))
    assert source_digest(SOURCE) != source_digest(SOURCE.replace("[]", "[1]"))
    assert source_digest("\n ") == ""
