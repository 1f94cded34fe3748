"""The inputs of a run that a person starts, checked against the workflow's declarations.

GitHub Docs, "Workflow syntax", on.workflow_dispatch.inputs, and "Events that trigger workflows": all are texts in
``github.event.inputs``, defaults too; ``inputs`` holds booleans as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainlab.ci.workflows.values import text
from chainlab.ci.workflows.workflow import Workflow
from chainlab.errors import MalformedInput

__all__ = ["complete", "typed"]

EMPTY = {"boolean": "false"}  # the value of an input that was not typed; of any other type: empty


def complete(workflow: Workflow, event: str, values: Mapping[str, str]) -> dict[str, str]:
    """The inputs of a run, with defaults. Raises `MalformedInput` for values that the platform refuses."""
    declared = _declared(workflow) if event == "workflow_dispatch" else {}
    names = {name.lower(): name for name in declared}
    if unknown := sorted(name for name in values if name.lower() not in names):
        raise MalformedInput(
            f"{workflow.path}: unexpected input {', '.join(unknown)}",
            why="only a workflow_dispatch has inputs" if event != "workflow_dispatch" else "",
            hint=f"its inputs: {', '.join(declared) or 'none'}",
        )
    typed_in = {names[name.lower()]: value for name, value in values.items()}
    return {name: _value(workflow, name, rule, typed_in.get(name)) for name, rule in declared.items()}


def typed(workflow: Workflow, event: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The ``inputs`` context, with booleans as such."""
    declared = _declared(workflow) if event == "workflow_dispatch" else {}
    booleans = {name for name, rule in declared.items() if rule.get("type") == "boolean"}
    return {name: value == "true" if name in booleans else value for name, value in inputs.items()}


def _declared(workflow: Workflow) -> dict[str, Mapping[str, Any]]:
    on = workflow.document["on"]
    dispatch = on.get("workflow_dispatch") if isinstance(on, dict) else None
    inputs = dispatch.get("inputs") if isinstance(dispatch, dict) else None
    return {str(name): rule or {} for name, rule in (inputs or {}).items()}


def _value(workflow: Workflow, name: str, rule: Mapping[str, Any], typed_value: str | None) -> str:
    """The value of one input; ``typed_value`` is None if nobody typed one."""
    kind = str(rule.get("type") or "string")
    where = f"{workflow.path}: input {name}"
    value = text(rule.get("default")) if typed_value is None else typed_value
    if not value and rule.get("required") is True and kind != "boolean":
        raise MalformedInput(f"{where} is required", hint=f"give it: --input {name}=VALUE")
    if not value and typed_value is None:
        return EMPTY.get(kind, "")
    options = [text(option) for option in rule.get("options") or []]
    if kind == "choice" and value not in options:
        raise MalformedInput(f"{where} cannot be {value!r}", hint=f"its options: {', '.join(options)}")
    if kind == "boolean" and value not in ("true", "false"):
        raise MalformedInput(f"{where} is a boolean and cannot be {value!r}", hint="write true or false")
    if kind == "number" and not _is_number(value):
        raise MalformedInput(f"{where} is a number and cannot be {value!r}")
    return value


def _is_number(value: str) -> bool:
    try:
        return bool(value.strip()) and float(value) == float(value)
    except ValueError:
        return False
