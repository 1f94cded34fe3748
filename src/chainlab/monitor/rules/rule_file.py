"""Rule files as they stand on disk: YAML documents with the line of every key, and the mistakes in them.

    data/detections/tag_moved.yml line 14: unknown field 'moved_'
      Help: did you mean 'moved'?

A file is a rule; where a correlation needs other rules, it is the correlation and those. A learner's file is untrusted:
its size is bounded, and the one YAML reader of the kit reads it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from chainlab.ci.workflows.yaml_document import NotYaml, compose_all, construct
from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["Mistake", "RuleDocument", "read_rule_file", "suggestion"]

MAX_BYTES: Final = 2**16  # of a file
MAX_DOCUMENTS: Final = 10  # of a file


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a rule file, and how to mend it; ``line`` counts from 1."""

    path: Path
    line: int
    message: str
    hint: str

    def error(self) -> MalformedInput:
        """Return the mistake as an error for a person."""
        return MalformedInput(f"{self.path.name} line {self.line}: {self.message}", hint=self.hint)

    def __str__(self) -> str:
        return str(self.error())


@dataclass(frozen=True)
class RuleDocument:
    """One YAML document of a rule file: its values, and the nodes that know their lines."""

    path: Path
    node: yaml.MappingNode
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The rule's name as other documents of the file refer to it; "" without one."""
        name = self.values.get("name")
        return name if isinstance(name, str) else ""

    def line(self, *keys: str) -> int:
        """Return the line of a key below other keys, or of the last of them that is there."""
        node: yaml.Node = self.node
        line: int = node.start_mark.line + 1
        for key in keys:
            value = _value_of(node, key)
            if value is None:
                break
            line, node = value
        return line

    def line_of_field(self, field: str) -> int:
        """Return the line of the first detection that asks about a field, with any modifiers."""
        detection = _value_of(self.node, "detection")
        lines = [] if detection is None else list(_lines_of_field(detection[1], field))
        return min(lines, default=self.line("detection"))

    def mistake(self, message: str, hint: str, *keys: str) -> Mistake:
        """Report a mistake at the line of a key."""
        return Mistake(self.path, self.line(*keys), message, hint)


def read_rule_file(path: Path) -> tuple[list[RuleDocument], list[Mistake]]:
    """Read the documents of a file, and what keeps it from being read."""
    try:
        text = _text(path)
        nodes = compose_all(text)
        if not nodes:
            raise MalformedInput("the file is empty", hint="write a rule: docs/detections.md begins with one")
        if len(nodes) > MAX_DOCUMENTS:
            raise MalformedInput(f"a file has at most {MAX_DOCUMENTS} documents", hint="give each rule a file")
        documents = []
        for node in nodes:
            if not isinstance(node, yaml.MappingNode) or not all(_is_text(key) for key, _ in node.value):
                return [], [
                    Mistake(path, node.start_mark.line + 1, "a rule is a mapping of keys to values", "write `title: …`")
                ]
            documents.append(RuleDocument(path, node, construct(node, text)))
    except NotYaml as error:
        hint = "mend the YAML: mind the indentation, and quote values that hold `: ` or begin with `*`, `%` or `[`"
        return [], [Mistake(path, error.line, f"this is not YAML: {error.why}", hint)]
    except ChainlabError as error:
        return [], [Mistake(path, 1, error.message, error.hint or "make the file smaller and simpler")]
    return documents, []


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """Suggest the known word that is nearest, else say ``otherwise``."""
    near = difflib.get_close_matches(word[:80], list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise MalformedInput("this is not a file", hint="a rule is a file with the suffix .yml")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise MalformedInput(f"a rule file has at most {MAX_BYTES} bytes", hint="split it: one file for a rule")
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedInput("the file is not UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        raise MalformedInput(f"the file cannot be read: {error.strerror}", hint="check its permissions") from error


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str"


def _value_of(node: yaml.Node, key: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return name.start_mark.line + 1, value
    return None


def _lines_of_field(node: yaml.Node, field: str) -> Iterable[int]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value.partition("|")[0] == field:
                yield name.start_mark.line + 1
            yield from _lines_of_field(value, field)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _lines_of_field(item, field)
