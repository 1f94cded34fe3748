"""Expressions: what they mean, held against the platform's own parser, and what is refused."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from platform_parsers import ask, rounds

from chainlab.ci.workflows.expression_parser import parse
from chainlab.ci.workflows.expressions import evaluate, render
from chainlab.ci.workflows.values import text
from chainlab.errors import MalformedInput

EVENT = {"n": 1, "s": "Ab", "l": [1, "x", None, {"k": True}], "e": "", "z": 0, "o": {"a": {"k": "v"}, "b": {"k": 2}}}
CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "Event": EVENT},
    "matrix": {"os": "linux", "n": 1.5, "t": True, "nil": None},
}
TABLE = {
    "github.ref": "refs/heads/main",
    "GitHub.EVENT.S": "Ab",
    "github['ref']": "refs/heads/main",
    "github.event.l[1]": "x",
    "github.event.l[9]": None,
    "github.event.lost.deeper": None,
    "github.event.o.*.k": ["v", 2],
    "github.event.l[*].k": [True],
    "(github.event).n": 1,
    "fromJSON('[3]')[0]": 3,
    "1 == '1'": True,
    "'A' == 'a'": True,
    "'ı' == 'I'": False,
    "null == ''": True,
    "null == 0": True,
    "true == 1": True,
    "'true' == true": False,
    "NaN == NaN": False,
    "github == github": True,
    "github.event.l == '1'": False,
    "'b' > 'A'": True,
    "false < true": True,
    "!0": True,
    "!'0'": False,
    "'' || 0 || 'x'": "x",
    "1 && 'y' && null": None,
    "true || false && false": True,
    "1 < 2 == true": True,
    "0x1f": 31,
    "-1.50": -1.5,
    "'it''s '''": "it's '",
    "contains('Hello', 'ELL')": True,
    "contains(github.event.l, 'X')": True,
    "contains(github.event.l, 2)": False,
    "startsWith('Hello', 'he')": True,
    "endsWith('Hello', 'LO')": True,
    "format('{1}{{0}}{0}', 1, true)": "true{0}1",
    "join(github.event.l)": "1,x,,Object",
    "join('a', ';')": "a",
    "toJSON(github.event.o)": '{\n  "a": {\n    "k": "v"\n  },\n  "b": {\n    "k": 2\n  }\n}',
    "fromJSON('{\"a\": [1.0]}').a": [1],
    "case(false, 1, 1 == 1, 'b', 'c')": "b",
    "case(false, 1, 'd')": "d",
    " \t github.ref \n ": "refs/heads/main",
}
REFUSED = {
    "": "the end",
    "1 +": "not a number",
    "github.": "expected a name",
    "github[": "expected a value",
    "github ref": "ends before 'ref'",
    "(1": "expected '\\)'",
    "'a": "not part of an expression",
    "1.2.3": "not a number",
    "-": "not a number",
    "lost.x": "'lost' is not known here",
    "cas(1, 2, 3)": "no function 'cas'",
    "case(true, 1)": "cannot take 2 arguments",
    "case(true, 1, true, 2)": "cannot take 4 arguments",
    "contains('a')": "cannot take 1 arguments",
    "'a'.b": "not a number",
    '"a"': "not part of an expression",
    "True": "'True' is not known here",
    "a" * 21_001: "at most 21000 characters",
    "(" * 60 + "1" + ")" * 60: "at most 50 levels",
    "!" * 5000 + "1": "at most 50 levels",
}
FAILING = ["case('yes', 1, 2)", "fromJSON('{')", "fromJSON('')", "format('{0} {1}', 1)", "format('{', 1)"]


def folded(contexts: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in contexts.items()}


def value(source: str) -> Any:
    return evaluate(parse(source, list(CONTEXTS)), folded(CONTEXTS))


@pytest.mark.parametrize("source", TABLE)
def test_an_expression_means_what_the_documentation_says(source: str) -> None:
    assert value(source) == TABLE[source]
    tree = parse(source)
    assert repr(parse(render(tree))) == repr(tree)  # NaN equals nothing, itself included


@pytest.mark.clients("node")
def test_the_platform_s_parser_gives_the_same_values() -> None:
    answers = ask({"expression": source, "contexts": CONTEXTS} for source in TABLE)
    assert dict(zip(TABLE, [answer.get("value") for answer in answers], strict=True)) == TABLE | {
        "'it''s '''": "it's ''"  # a slip of its own: it undoubles the first quote only
    }


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_no_expression_is_refused_with_the_word(source: str) -> None:
    with pytest.raises(MalformedInput, match=REFUSED[source]):
        parse(source, list(CONTEXTS))


@pytest.mark.parametrize("source", FAILING)
def test_a_function_refuses_what_it_cannot_take(source: str) -> None:
    with pytest.raises(MalformedInput):
        value(source)


def test_what_the_host_cannot_know_is_named() -> None:
    with pytest.raises(MalformedInput, match="cannot know `steps`"):
        evaluate(parse("steps.a.outputs.b"), {})
    with pytest.raises(MalformedInput, match=r"cannot know `hashFiles\(\)`"):
        evaluate(parse("hashFiles('x')", functions={"hashFiles": (1, 255)}), {})


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (1e20, "1e+20"),
        (1 / 3, "0.333333333333333"),
        (math.inf, "Infinity"),
    ],
)
def test_a_number_is_written_as_there(number: float, written: str) -> None:
    assert text(number) == written


# -- against the platform's parser

ATOMS = [
    "github", "matrix", "github.ref", "github.event", "github.event.l", "github.event.o", "matrix.n", "matrix.os",
    "matrix.t", "matrix.nil", "1", "0", "-1", "1.5", "0x1f", "1e3", ".5", "true", "false", "null", "Infinity", "NaN",
    "0.1", "lost", "True", "'a'", "''", "'1'", "'true'", "'0x10'", "'ı'", "'é'", "'É'", "'[1,2]'", "'{\"a\":1}'",
    "'-'", "'{0}'", "'{{'",
]  # fmt: skip
SIGNS = ["==", "!=", "<", "<=", ">", ">=", "&&", "||"]
NAMES = ["contains", "startsWith", "endsWith", "format", "join", "toJSON", "fromJSON", "case", "TOJSON", "cas"]
PARTS = [".a", ".k", ".*", "[0]", "['a']", "[*]", "['k']", ".l", ".o"]


def drawn(draw: random.Random, depth: int) -> str:
    kind = draw.random()
    if depth <= 0 or kind < 0.3:
        return draw.choice(ATOMS)
    if kind < 0.5:
        return f"{drawn(draw, depth - 1)} {draw.choice(SIGNS)} {drawn(draw, depth - 1)}"
    if kind < 0.66:
        return f"!{drawn(draw, depth - 1)}" if kind < 0.58 else f"({drawn(draw, depth - 1)})"
    if kind < 0.78:
        return drawn(draw, depth - 1) + draw.choice(PARTS)
    arguments = [drawn(draw, depth - 1) for _ in range(draw.choice([1, 2, 2, 3, 5]))]
    return f"{draw.choice(NAMES)}({', '.join(arguments)})"


def spoilt(draw: random.Random, source: str) -> str:
    if draw.random() < 0.8:
        return source
    place = draw.randrange(len(source))
    found = source[:place] + draw.choice("()[]'.,!<>=&|* ") + source[place + draw.choice([0, 1]) :]
    return source if ",)" in found.replace(" ", "") else found  # the platform's parser alone takes a last comma


def answer(source: str) -> tuple[bool, Any]:
    try:
        found = value(source)
        return True, None if isinstance(found, float) and not math.isfinite(found) else found  # as JSON has it
    except MalformedInput:
        return False, None


@pytest.mark.clients("node")
@pytest.mark.parametrize("seed", rounds())
def test_drawn_expressions_mean_the_same_to_the_platform(seed: int) -> None:
    draw = random.Random(seed)
    sources = [spoilt(draw, drawn(draw, 3)) for _ in range(1000)]
    theirs = ask({"expression": source, "contexts": CONTEXTS} for source in sources)
    differing = {
        source: (answer(source), answered)
        for source, answered in zip(sources, theirs, strict=True)
        if answer(source) != ("value" in answered, answered.get("value"))
    }
    assert differing == {}
    assert sum("value" in answered for answered in theirs) > 250


def test_drawn_expressions_read_back_the_same() -> None:
    draw = random.Random(1)
    for _ in range(500):
        source = drawn(draw, 3)
        try:
            tree = parse(source)
        except MalformedInput:
            continue
        if "NaN" not in source:
            assert repr(parse(render(tree))) == repr(tree)  # NaN equals nothing, itself included
