"""Shapes of documents: what does not fit is told by document and path, and nothing is converted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BeforeValidator, Field

from chainlab.errors import MalformedInput
from chainlab.shapes import Many, Moment, Shape, Text


def even(value: object) -> object:
    if type(value) is int and value % 2:
        raise MalformedInput(f"{value} is odd", why="it is so", hint="take another")
    return value


class Part(Shape):
    name: Text
    number: Annotated[int, BeforeValidator(even)] = 0
    right: bool = False


class Whole(Shape, extra="forbid"):
    parts: Many[Part] = ()
    table: dict[str, Part] | None = None
    kind: Literal["a", "b"] = "a"
    at: Moment | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "doc: expected an object, got []"),
        (None, "doc: expected an object, got None"),
        ({"parts": {"name": "x"}}, "doc: parts: expected a list, got {'name': 'x'}"),
        ({"parts": [{"name": "x"}, 5]}, "doc: parts[1]: expected an object, got 5"),
        ({"parts": [{}]}, "doc: parts[0].name: missing"),
        ({"parts": [{"name": ""}]}, "doc: parts[0].name: missing"),
        ({"parts": [{"name": 5}]}, "doc: parts[0].name: expected a text, got 5"),
        ({"parts": [{"name": "x", "number": "4"}]}, "doc: parts[0].number: expected a whole number, got '4'"),
        ({"parts": [{"name": "x", "number": True}]}, "doc: parts[0].number: expected a whole number, got True"),
        ({"parts": [{"name": "x", "right": 1}]}, "doc: parts[0].right: expected true or false, got 1"),
        ({"table": {"one": {}}}, "doc: table.one.name: missing"),
        ({"kind": "c"}, "doc: kind: 'c' is none of 'a' or 'b'"),
        ({"at": "2026-01-01T00:00:00"}, "doc: at: '2026-01-01T00:00:00' is not a time with a zone"),
        ({"share": -1}, "doc: share: expected at least 0"),
        ({"share": 1.5}, "doc: share: expected at most 1"),
        ({"at": 5}, "doc: at: 5 is not a time with a zone"),
        ({"part": []}, "doc: part: unknown"),
        ({"parts": [{"name": "x" * 10**6, "number": []}]}, "doc: parts[0].number: expected a whole number, got []"),
    ],
)
def test_what_does_not_fit_is_told_by_its_path(document: Any, message: str) -> None:
    with pytest.raises(MalformedInput) as refused:
        Whole.read(document, "doc")
    assert refused.value.message.startswith(message)


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(MalformedInput) as refused:
        Whole.read({"part": []})
    assert (refused.value.message, refused.value.hint) == ("part: unknown", "known: at, kind, parts, share, table")


def test_an_error_of_ours_keeps_its_reason_and_its_remedy() -> None:
    with pytest.raises(MalformedInput) as refused:
        Whole.read({"parts": [{"name": "x", "number": 3}]}, at="whole")
    error = refused.value
    assert (error.message, error.why, error.hint) == ("whole.parts[0].number: 3 is odd", "it is so", "take another")


def test_what_is_quoted_is_short() -> None:
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    for value in ("x" * 10**6, nested, {str(n): n for n in range(10**4)}):
        with pytest.raises(MalformedInput) as refused:
            Whole.read({"parts": [{"name": "x", "right": value}]})
        assert len(refused.value.message) < 300


def test_null_is_an_empty_list() -> None:
    assert Whole.read({"parts": None}).parts == ()
