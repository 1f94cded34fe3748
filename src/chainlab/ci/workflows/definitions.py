"""The shape of workflow files: keys, values, and the contexts and functions that each expression may use.

``workflow_shape.toml`` beside this file defines it; a test compares it with the platform's own parser on npm. Wherever
a definition has a context, an expression may replace a whole mapping or list:

    env: ${{ fromJSON(vars.SETTINGS) }}
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chainlab.ci.workflows.expression_parser import parse
from chainlab.ci.workflows.templates import names, segments
from chainlab.ci.workflows.yaml_document import compose
from chainlab.errors import MalformedInput

__all__ = ["check", "check_expressions"]

DEFINITIONS = Path(__file__).with_name("workflow_shape.toml")
FUNCTION = re.compile(r"([A-Za-z]+)\(([0-9]+),([0-9]+|MAX)\)")
IDENTIFIER = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_-]{0,98}")
MANY = 10**6
TAGS = {"null": "null", "bool": "boolean", "int": "number", "float": "number", "str": "string"}
BUILT_IN: Mapping[str, Any] = {
    **{kind: {"value": kind} for kind in ("null", "boolean", "number", "string")},
    "sequence": {"items": "any"},
    "mapping": {"others": ["string", "any"]},
    "any": {"either": ["null", "boolean", "number", "string", "sequence", "mapping"]},
}
# Features of the platform that this host lacks.
LACKING = {
    "background": "steps in the background",
    "wait": "steps in the background",
    "wait-all": "steps in the background",
    "cancel": "steps in the background",
    "parallel": "parallel steps",
    "snapshot": "images of a runner",
}
# What an expression cannot read here that replaces a mapping, or that the host evaluates before the job.
LATE = (
    "steps", "job", "runner", "env", "secrets", "hashfiles", "github.token", "github.workspace", "github.event_path",
    "github.api_url", "github.job",
)  # fmt: skip
EARLY = {"job-environment": ("matrix", "strategy"), "job-environment-name": ("matrix", "strategy")}
ACTION_CONTEXTS = (
    "github",
    "inputs",
    "steps",
    "job",
    "runner",
    "env",
    "strategy",
    "matrix",
    "needs",
    "vars",
    "secrets",
)
ACTION_FUNCTIONS = ("always(0,0)", "failure(0,0)", "cancelled(0,0)", "success(0,0)", "hashFiles(1,255)")


def check(path: str, text: str) -> None:
    """Check that a workflow has the platform's shape, and that this host can run it.

    Raises `MalformedInput` with the line of the first fault, and the others in its reason.
    """
    root = compose(text)
    if root is None:
        raise MalformedInput(f"{path}, line 1: the file is empty")
    reader = _ShapeChecker()
    reader.read(root, "workflow-root-strict", ())
    _refuse(path, reader.faults)


def check_expressions(path: str, text: str) -> None:
    """Check that `act` can evaluate the expressions of an action. Raises `MalformedInput` as `check` does."""
    reader = _ShapeChecker()
    contexts = (*ACTION_CONTEXTS, *ACTION_FUNCTIONS)
    for node in _scalars(compose(text), set()):
        reader.template(node, contexts)
        if re.search(r"\$\{\{[^}]*\bcase\s*\(", node.value):
            reader.fault(node, "this host cannot evaluate `case` inside an action")
    _refuse(path, reader.faults)


def _refuse(path: str, faults: list[tuple[int, str]]) -> None:
    if faults:
        (line, fault), *others = sorted(faults)
        raise MalformedInput(f"{path}, line {line}: {fault}", why="; ".join(f"line {n}: {f}" for n, f in others[:20]))


def _scalars(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    else:
        for inner in node.value:
            for part in inner if isinstance(inner, tuple) else (inner,):
                yield from _scalars(part, seen)


@dataclass(frozen=True)
class _Definition:
    """One definition, with the alternatives of a one-of written out."""

    name: str
    context: tuple[str, ...]
    scalars: tuple[tuple[str, str], ...]  # a kind and, if only one text is allowed, that text
    item: str  # the definition of a list's items; empty if no list is allowed
    mappings: tuple[Mapping[str, Any], ...]


@functools.cache
def _known() -> Mapping[str, Any]:
    return {**BUILT_IN, **tomllib.loads(DEFINITIONS.read_text(encoding="utf-8"))}


@functools.cache
def _definition(name: str) -> _Definition:
    table = _known()[name]
    scalars = [("string", word) for word in table.get("words", ())]
    scalars += [(table["value"], "")] if "value" in table else []
    mappings = [table] if "keys" in table or "others" in table else []
    item = table.get("items", "")
    for inner in map(_definition, table.get("either", ())):
        scalars += inner.scalars
        mappings += inner.mappings
        item = item or inner.item
    return _Definition(name, tuple(table.get("reads", ())), tuple(scalars), item, tuple(mappings))


class _ShapeChecker:
    """Compares a document with its definitions, and collects the faults."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def fault(self, node: yaml.Node, message: str) -> None:
        """Add a fault with its line."""
        self.faults.append((node.start_mark.line + 1, message))

    def read(self, node: yaml.Node, name: str, context: Sequence[str]) -> None:
        """Compare a node with the definition ``name``; ``context`` is allowed by the definitions around it."""
        definition = _definition(name)
        context = tuple(dict.fromkeys((*context, *definition.context)))
        if isinstance(node, yaml.ScalarNode):
            self.scalar(node, definition, context)
        elif isinstance(node, yaml.SequenceNode):
            if not definition.item:
                self.fault(node, "a list was not expected")
                return
            if definition.name == "steps":
                self.ids(node)
            for inner in node.value:
                self.read(inner, definition.item, context)
        elif isinstance(node, yaml.MappingNode) and definition.mappings:
            self.mapping(node, definition, context)
        else:
            self.fault(node, "a mapping was not expected")

    def scalar(self, node: yaml.ScalarNode, definition: _Definition, context: Sequence[str]) -> None:
        """Compare a value; an expression is allowed if there is a context."""
        if self.template(node, context):
            if not context:
                self.fault(node, "an expression is not expected here")
            late = () if definition.scalars or "container" in definition.name else LATE
            self.unknown(node, EARLY.get(definition.name, late))
            return
        if definition.name.endswith("-if"):
            self.expression(node, node.value.strip(), context)
        kind = TAGS.get(node.tag.rpartition(":")[2], "string")
        if not any(_fits(kind, node.value, *rule) for rule in definition.scalars):
            self.fault(node, f"unexpected value {node.value[:80]!r}")

    def template(self, node: yaml.ScalarNode, context: Sequence[str]) -> bool:
        """Check the expressions of a text; returns whether one of them must be evaluated."""
        if "${{" not in node.value or node.tag.rpartition(":")[2] != "str":
            return False
        try:
            parts = segments(node.value)
        except MalformedInput as error:
            self.fault(node, error.message)
            return True
        for part in parts:
            if isinstance(part, tuple):
                self.expression(node, part[0], context)
        return not (len(parts) == 1 and re.fullmatch(r"'(?:[^']|'')*'", parts[0][0]))

    def unknown(self, node: yaml.ScalarNode, late: Sequence[str]) -> None:
        """Add a fault for everything an expression reads that the host cannot know in time."""
        try:
            parts = segments(node.value)
        except MalformedInput:  # a fault already
            return
        read = {name for part in parts if isinstance(part, tuple) for name in names(part[0])}
        for name in late:
            if name in read:
                self.fault(node, f"this host cannot evaluate an expression here that reads `{name}`")

    def expression(self, node: yaml.ScalarNode, source: str, context: Sequence[str]) -> None:
        """Check one expression."""
        matches = [FUNCTION.fullmatch(entry) for entry in context]
        functions = {m[1]: (int(m[2]), MANY if m[3] == "MAX" else int(m[3])) for m in matches if m}
        contexts = [entry for entry, match in zip(context, matches, strict=True) if not match]
        try:
            if source or "${{" in node.value:
                parse(source, contexts, functions)
        except MalformedInput as error:
            shown = source if len(source) < 80 else f"{source[:80]}…"
            self.fault(node, f"expression {shown!r}: {error.message}" + (f" ({error.why})" if error.why else ""))

    def mapping(self, node: yaml.MappingNode, definition: _Definition, context: Sequence[str]) -> None:
        """Compare the keys of a mapping with its possible definitions."""
        options = list(definition.mappings)
        others, seen = options[0].get("others"), set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.fault(key, "a key is a mapping or a list")
                continue
            if "${{" in key.value:
                self.fault(key, f"{key.value[:80]!r}: this host has no keys by an expression")
                continue
            name = key.value
            if name.upper() in seen:
                self.fault(key, f"{name[:80]!r} is there twice")
                continue
            seen.add(name.upper())
            having = [option for option in options if name in option.get("keys", {})]
            if having:
                options = having
                if name in LACKING and definition.name in ("steps-item", "job"):
                    self.fault(key, f"`{name}`: this host has no {LACKING[name]}")
                self.read(value, having[0]["keys"][name], context)
            elif others is not None:
                if not any(_fits("string", name, *rule) for rule in _definition(others[0]).scalars):
                    self.fault(key, f"unexpected key {name[:80]!r}")
                if definition.name == "jobs" and not IDENTIFIER.fullmatch(name):
                    self.fault(key, f"{name[:80]!r} cannot be the id of a job")
                self.read(value, others[1], context)
            else:
                self.fault(key, f"unexpected key {name[:80]!r}")
        self.complete(node, options, seen)

    def complete(self, node: yaml.MappingNode, options: list[Mapping[str, Any]], seen: set[str]) -> None:
        """Check that a mapping has its required keys."""
        required = [option.get("required", ()) for option in options]
        if len(options) > 1:
            keys = sorted({key for keys in required for key in keys} - set(LACKING))
            self.fault(node, f"one of these keys is missing: {', '.join(keys)}")
            return
        for key in required[0]:
            if key.upper() not in seen:
                self.fault(node, f"the key {key!r} is missing")

    def ids(self, steps: yaml.SequenceNode) -> None:
        """Check the ids of steps by the platform's rules."""
        seen: set[str] = set()
        for step in steps.value:
            for key, value in step.value if isinstance(step, yaml.MappingNode) else ():
                if key.value == "id" and isinstance(value, yaml.ScalarNode):
                    if "${{" not in value.value and (value.value in seen or not IDENTIFIER.fullmatch(value.value)):
                        self.fault(value, f"{value.value[:80]!r} cannot be the id of a step, or is one already")
                    seen.add(value.value)


def _fits(kind: str, value: str, expected: str, word: str) -> bool:
    """Whether a scalar is of the kind ``expected``, or equals ``word`` if there is one; any scalar can be a text."""
    if word:
        return value == word
    if expected == "text":
        return kind != "null" and bool(value)
    return expected in ("string", kind)
