"""Inputs of a run that a person starts: defaults, kinds and refusals as on the platform."""

from __future__ import annotations

from typing import Any

import pytest

from chainlab.ci.workflows.inputs import complete, typed
from chainlab.ci.workflows.workflow import Workflow
from chainlab.ci.workflows.yaml_document import dump
from chainlab.errors import MalformedInput

JOB = {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}
DISPATCH = "workflow_dispatch"


def declaring(inputs: Any) -> Workflow:
    return Workflow.parse("ci.yml", dump({"on": {DISPATCH: {"inputs": inputs}}, "jobs": {"a": JOB}}))


def completed(rule: Any, **given: str) -> dict[str, str]:
    return complete(declaring({"a": rule}), DISPATCH, given)


CHOICE = {"type": "choice", "options": ["x", 1, True]}


@pytest.mark.parametrize(
    ("rule", "given", "value"),
    [
        ({"default": "x"}, {}, "x"),
        ({"default": "x"}, {"a": "y"}, "y"),
        ({"default": "x"}, {"A": "y"}, "y"),
        ({"default": "x"}, {"a": ""}, ""),
        (None, {}, ""),
        ({"type": "boolean", "default": True}, {}, "true"),
        ({"type": "boolean"}, {}, "false"),
        ({"type": "boolean", "required": True}, {}, "false"),
        ({"type": "boolean", "default": True}, {"a": "false"}, "false"),
        ({"type": "number", "default": 1.50}, {}, "1.5"),
        ({"type": "number"}, {"a": "-2e3"}, "-2e3"),
        ({"type": "number"}, {}, ""),
        ({**CHOICE, "default": "x"}, {}, "x"),
        (CHOICE, {"a": "1"}, "1"),
        (CHOICE, {"a": "true"}, "true"),
        (CHOICE, {}, ""),
        ({"type": "environment"}, {"a": "release"}, "release"),
        ({"required": True, "default": "x"}, {}, "x"),
    ],
)
def test_an_input_has_the_value_that_the_platform_gives(rule: Any, given: dict[str, str], value: str) -> None:
    assert completed(rule, **given) == {"a": value}


@pytest.mark.parametrize(
    ("rule", "given", "words"),
    [
        ({}, {"b": "x"}, "unexpected input b"),
        ({"required": True}, {}, "input a is required"),
        ({"required": True}, {"a": ""}, "input a is required"),
        ({**CHOICE, "required": True}, {}, "is required"),
        (CHOICE, {"a": "y"}, "its options: x, 1, true"),
        (CHOICE, {"a": "X"}, "cannot be 'X'"),
        ({**CHOICE, "default": "z"}, {}, "cannot be 'z'"),
        ({"type": "boolean"}, {"a": "yes"}, "write true or false"),
        ({"type": "boolean"}, {"a": "True"}, "write true or false"),
        ({"type": "number"}, {"a": "one"}, "is a number"),
        ({"type": "number"}, {"a": "nan"}, "is a number"),
    ],
)
def test_what_the_platform_refuses_is_refused_with_its_reason(rule: Any, given: dict[str, str], words: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        completed(rule, **given)
    assert "ci.yml" in str(caught.value)
    assert words in str(caught.value)


def test_booleans_are_booleans_in_one_context_only() -> None:
    workflow = declaring({"a": {"type": "boolean", "default": True}, "b": {"default": "true"}})
    inputs = complete(workflow, DISPATCH, {})
    assert inputs == {"a": "true", "b": "true"}
    assert typed(workflow, DISPATCH, inputs) == {"a": True, "b": "true"}


def test_no_other_event_has_inputs() -> None:
    workflow = declaring({"a": {"required": True}})
    assert complete(workflow, "push", {}) == {}
    with pytest.raises(MalformedInput, match="unexpected input a"):
        complete(workflow, "push", {"a": "x"})


@pytest.mark.parametrize("on", [DISPATCH, [DISPATCH], {DISPATCH: None}, {DISPATCH: {}}])
def test_a_workflow_without_inputs_takes_none(on: Any) -> None:
    workflow = Workflow.parse("ci.yml", dump({"on": on, "jobs": {"a": JOB}}))
    assert complete(workflow, DISPATCH, {}) == {}
    with pytest.raises(MalformedInput, match="its inputs: none"):
        complete(workflow, DISPATCH, {"a": "x"})
