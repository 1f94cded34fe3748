"""Texts with expressions: evaluated by the host, and said again in what `act` knows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.runs.contexts import functions
from chainlab.ci.runs.run_record import JobRun
from chainlab.ci.workflows.expression_parser import parse
from chainlab.ci.workflows.expressions import evaluate
from chainlab.ci.workflows.templates import condition, literal, resolve, segments, translate, translate_condition
from chainlab.errors import MalformedInput

CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "event": {"inputs": {"tests": "true"}}},
    "needs": {"a": {"result": "failure", "outputs": {"list": "[1, 2]", "text": "it's ${{ github.ref }}"}}},
    "inputs": {"deep": False},
}


def before(*results: str) -> dict[str, Any]:
    return functions([JobRun(str(n), result) for n, result in enumerate(results)])


@pytest.mark.parametrize(
    ("value", "results", "runs"),
    [
        (None, (), True),
        (None, ("success", "success"), True),
        (None, ("success", "failure"), False),
        (None, ("skipped",), False),
        ("", ("failure",), False),
        ("always()", ("failure",), True),
        ("failure()", ("failure",), True),
        ("failure()", ("success",), False),
        ("success()", ("skipped",), False),
        ("!cancelled()", ("failure",), True),
        ("!cancelled()", ("cancelled",), False),
        ("cancelled() || failure()", ("cancelled",), True),
        ("success() || github.ref == 'x'", ("failure",), False),
        ("format('{0}', failure())", ("success",), True),
        ("github.ref == 'REFS/heads/main'", (), True),
        ("github.ref == 'refs/heads/main'", ("failure",), False),
        ("needs.a.result == 'failure'", ("failure",), False),
        ("always() && needs.a.result == 'failure'", ("failure",), True),
        ("'success()'", ("failure",), False),
        ("github.event.inputs.tests == 'true'", (), True),
        ("inputs.deep", (), False),
        ("${{ inputs.deep }}", (), False),
        ("${{ inputs.deep }} == true", (), True),  # a text that is not empty, as on the platform
        ("!inputs.deep", (), True),
        (False, (), False),
        (True, (), True),
        (1.5, (), True),
        (0, (), False),
        ("case(inputs.deep, false, 'x')", (), True),
        ("fromJSON(needs.a.outputs.list)[1] == 2", (), True),
        ("github.lost.deeper", (), False),
    ],
)
def test_a_job_runs_when_its_if_says_so(value: Any, results: tuple[str, ...], runs: bool) -> None:
    assert condition(value, CONTEXTS, before(*results)) is runs


def test_a_failure_that_is_tolerated_counts_as_success() -> None:
    tolerated = functions([JobRun("a", "failure", tolerated=True)])
    assert condition(None, CONTEXTS, tolerated)
    assert not condition("failure()", CONTEXTS, tolerated)


@pytest.mark.parametrize("value", ["steps.a.outputs.b", "hashFiles('x') == ''", "fromJSON('{')", "a b"])
def test_an_if_that_cannot_be_known_is_no_answer(value: str) -> None:
    with pytest.raises(MalformedInput):
        condition(value, CONTEXTS, before())


def test_a_whole_expression_keeps_its_kind_and_any_other_is_text() -> None:
    value = {"a": "${{ fromJSON(needs.a.outputs.list) }}", "b": ["x${{ inputs.deep }}", 1], "c": "${{ inputs.deep }}"}
    assert resolve(value, CONTEXTS) == {"a": [1, 2], "b": ["xfalse", 1], "c": False}


def test_what_an_expression_gives_is_not_evaluated_again() -> None:
    assert resolve("${{ needs.a.outputs.text }}", CONTEXTS) == "it's ${{ github.ref }}"


@given(st.text(max_size=20) | st.sampled_from(["${{ x }}", "}}${{", "a '${{' b", "${{ '}}' }}"]))
def test_a_literal_means_itself(value: str) -> None:
    assert resolve(literal(value), {}) == value
    assert resolve(resolve(literal(literal({"k": value})), {}), {}) == {"k": value}


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("a ${{ b }} c", ["a ", ("b",), " c"]),
        ("${{b}}${{ 'x}}y' }}", [("b",), ("'x}}y'",)]),
        ("}} a", ["}} a"]),
        ("${{ }}", [("",)]),
    ],
)
def test_a_text_has_parts(template: str, parts: list[Any]) -> None:
    assert segments(template) == parts


# -- for act


UNCHANGED = ["a", "${{  github.ref}}", "a ${{ b.c }} ${{ d }}", "case(1)", "${{ format('case({0})', 1) }}"]


@pytest.mark.parametrize("value", UNCHANGED)
def test_what_act_knows_stays_as_it_is(value: str) -> None:
    assert translate({"run": value}, {"strategy": {}, "github": {"id": 1}}) == {"run": value}


@pytest.mark.parametrize(
    "source",
    [
        "case(true, '', 'y')",
        "case(false, 1, null)",
        "case(false, 1, true, fromJSON('{\"a\": [false]}'), 3).a[0]",
        "case(inputs.deep, 1, case(true, 'it''s', 2))",
        "format('{0}', case(inputs.deep, 'x', 0))",
        "!case(true, false, true)",
    ],
)
def test_case_is_said_in_other_words_that_mean_the_same(source: str) -> None:
    other = translate(f"x ${{{{ {source} }}}}")
    assert "case" not in other
    translated = segments(other)[1][0]
    assert evaluate(parse(translated), CONTEXTS) == evaluate(parse(source), CONTEXTS)
    assert translate_condition(source) == translated
    assert translate(other) == other


def test_the_strategy_is_written_out() -> None:
    strategy = {"fail-fast": True, "job-index": 1, "job-total": 2, "max-parallel": 2}
    translated = translate("${{ strategy.job-index }} of ${{ Strategy['job-total'] }}", {"strategy": strategy})
    assert resolve(translated, {}) == "1 of 2"
    whole = translate("${{ toJSON(strategy) }}", {"strategy": strategy})
    assert resolve(whole, {}) == resolve("${{ toJSON(x) }}", {"x": strategy})


@pytest.mark.parametrize(
    ("value", "translated"),
    [
        (1.5, "1.5"),
        (True, True),
        ("", ""),
        (" a.b ", " a.b "),
        ("${{ a }}", "${{ a }}"),
        ("steps.x == 1", "steps.x == 1"),
    ],
)
def test_an_if_without_case_stays_and_a_number_becomes_an_expression(value: Any, translated: Any) -> None:
    assert translate_condition(value) == translated


def test_an_input_called_if_is_a_text() -> None:
    assert translate({"with": {"if": "a b"}}) == {"with": {"if": "a b"}}


def test_what_a_context_lacks_there_is_written_out() -> None:
    values = {"github": {"workflow_ref": "a/b/c@d", "ref_protected": True}}
    translated = translate("${{ GitHub.Workflow_Ref }} ${{ github['ref_protected'] }} ${{ github.ref }}", values)
    assert translated == "${{ 'a/b/c@d' }} ${{ true }} ${{ github.ref }}"
