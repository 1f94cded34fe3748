"""YAML 1.2 documents, read with the place of every value, and written.

    load("on: push\\nversion: 010")    ->    {'on': 'push', 'version': 10}

``on``, ``yes`` and ``off`` are texts, ``<<`` merges nothing, and each key stands once. PyYAML reads version 1.1; the
scanner below differs from it where 1.2 does: a tab separates like a space (section 6.2), ``?`` and ``:`` may begin and
stand in plain words of a flow collection (7.3.3), an anchor has any characters (6.9.2) and may be used again (3.2.2.2),
and only CR and LF end a line (5.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError
from yaml.scanner import ScannerError
from yaml.tokens import AliasToken, AnchorToken, ScalarToken

from chainlab.errors import MalformedInput

__all__ = ["NotYaml", "compose", "compose_all", "construct", "dump", "load"]

_Root = TypeVar("_Root", yaml.Node, yaml.Node | None)

MAX_CHARACTERS = 2**18
MAX_NODES = 50_000  # of a document with every alias written out
MAX_DEPTH = 50  # levels of a document
# Tags of plain words that YAML 1.1 gives other values, or that the platform does not have.
DROPPED = ("bool", "float", "int", "merge", "timestamp")
PLAIN = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}  # YAML 1.2.2, section 10.3.2
KINDS = ("null", "bool", "int", "float", "str", "seq", "map")  # of values that a workflow has
UNHOLDABLE = re.compile(r"[\x00\ud800-\udfff]")  # written as escapes, for YAML's own text has none
ODD = re.compile(r"[\x85\u2028\u2029\r]")  # line breaks to one version of YAML, not to the other
# Private characters that stand for those while PyYAML scans, one for one, so that places stay true.
HIDDEN = {0x85: "\U0010fff1", 0x2028: "\U0010fff2", 0x2029: "\U0010fff3"}
SHOWN = {ord(hidden): chr(odd) for odd, hidden in HIDDEN.items()}
ENDS = "\0 \t\r\n"
WORD = {
    False: re.compile(r"(?:[^\0 \t\r\n:]|:(?![\0 \t\r\n]))*"),
    True: re.compile(r"(?:[^\0 \t\r\n:,\[\]{}]|:(?![\0 \t\r\n,\[\]{}]))*"),
}  # of a plain scalar, outside and inside of a flow collection
FIRST = {
    False: re.compile(r"[^\0 \t\r\n\-?:,\[\]{}#&*!|>'\"%@`]|[\-?:](?![\0 \t\r\n])"),
    True: re.compile(r"[^\0 \t\r\n\-?:,\[\]{}#&*!|>'\"%@`]|[\-?:](?![\0 \t\r\n,\[\]{}])"),
}
ANCHOR = re.compile(r"[^\0 \t\r\n,\[\]{}]*")
HEADER = re.compile(r"(?:(?P<before>[+-])(?P<indent>[1-9]?)|(?P<other>[1-9]?)(?P<after>[+-]?))(?=[\0 \t\r\n])")
REST = re.compile(r"[ \t]*(?:#[^\0\r\n]*)?(?=[\0\r\n])")  # of a line that holds nothing more


class NotYaml(MalformedInput):
    """The text is not YAML at ``line``, from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: this is not YAML", why=why)
        self.line = line


class _WorkflowLoader(yaml.SafeLoader):
    """SafeLoader with the scanner, the booleans and the numbers of YAML 1.2, without merge keys."""

    buffer: str
    pointer: int

    def scan_to_next_token(self) -> None:
        """Skip white space and comments; a tab counts as indentation of nothing."""
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " " or (self.peek() == "\t" and self._separates()):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in "\0\r\n":
                    self.forward()
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def _separates(self) -> bool:
        """Whether a tab here separates; after one on a line, no block collection can begin."""
        if self.flow_level or not self.allow_simple_key or REST.match(self.buffer, self.pointer):
            return True
        if self.column <= self.indent:
            return False
        self.allow_simple_key = False
        return True

    def check_key(self) -> bool:
        """A ``?`` that has white space behind it."""
        return self.peek(1) in ENDS

    def check_value(self) -> bool:
        """A ``:`` that has white space behind it, or that follows a quoted or bracketed key."""
        following = self.peek(1)
        if not self.flow_level or following in ENDS:
            return following in ENDS
        before = self.pointer - 1
        while self.buffer[before] in " \t":
            before -= 1
        return following in ",[]{}" or self.buffer[before] in "\"']}"

    def check_plain(self) -> bool:
        """Whether a plain scalar begins."""
        return FIRST[bool(self.flow_level)].match(self.buffer, self.pointer) is not None

    def scan_plain(self) -> ScalarToken:
        """Scan a plain scalar and fold its lines."""
        start = end = self.get_mark()
        word, chunks, spaces = WORD[bool(self.flow_level)], "", ""
        while self.peek() != "#" and (match := word.match(self.buffer, self.pointer)) and match[0]:
            self.allow_simple_key = False
            chunks += spaces + match[0]
            self.forward(len(match[0]))
            end = self.get_mark()
            spaces = self._fold()
            if not spaces or (not self.flow_level and self.column <= self.indent):
                break
        return ScalarToken(chunks, True, start, end)

    def _fold(self) -> str:
        """The white space between two words of a plain scalar; empty where the scalar ends."""
        blanks, breaks = "", 0
        while self.peek() in ("\r", "\n", " ", "\t"):
            if self.peek() in " \t":
                blanks += self.peek()
                self.forward()
                continue
            self.scan_line_break()  # type: ignore[no-untyped-call]
            self.allow_simple_key = True
            breaks += 1
            if self.prefix(3) in ("---", "...") and self.peek(3) in ENDS:
                return ""
        return "\n" * (breaks - 1) or " " if breaks else blanks

    def scan_anchor(self, token: type[AnchorToken] | type[AliasToken]) -> AnchorToken | AliasToken:
        """Scan the name of an anchor or alias."""
        start = self.get_mark()
        self.forward()
        match = ANCHOR.match(self.buffer, self.pointer)
        name = match[0] if match else ""
        if not name:
            raise ScannerError(None, None, "an anchor has no name", start)
        self.forward(len(name))
        return token(name, start, self.get_mark())

    def scan_block_scalar_indicators(self, start_mark: yaml.Mark) -> tuple[bool | None, int | None]:
        """Scan whether a block scalar keeps or strips its last line breaks, and its indentation."""
        match = HEADER.match(self.buffer, self.pointer)
        if match is None:
            raise ScannerError("while scanning a block scalar", start_mark, "expected one + or -", self.get_mark())
        self.forward(len(match[0]))
        sign = match["before"] or match["after"]
        return {"+": True, "-": False}.get(sign), int(match["indent"] or match["other"] or 0) or None

    def scan_block_scalar_ignored_line(self, start_mark: yaml.Mark) -> None:
        """Scan the rest of the line behind the sign of a block scalar."""
        while self.peek() in (" ", "\t"):
            self.forward()
        super().scan_block_scalar_ignored_line(start_mark)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; a repeated anchor replaces the older one."""
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Compose a scalar, with its own characters again."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        event.value = event.value.translate(SHOWN)
        return super().compose_scalar_node(anchor)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """The text of a scalar, if a file and an environment variable can hold it."""
        if isinstance(node.value, str) and UNHOLDABLE.search(node.value):
            raise ConstructorError(None, None, "a character that no text has", node.start_mark)
        return super().construct_scalar(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge nothing, and refuse repeated keys: readers differ in which one counts."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise ConstructorError(None, None, f"{key.value[:80]!r} is there twice", key.start_mark)
            seen.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key))

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A number, without YAML 1.1's octals and sexagesimals."""
        text = str(self.construct_scalar(node))
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


class _WorkflowDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # an anchor would be a difference from the file


_WorkflowLoader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in KINDS
}
_WorkflowLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in DROPPED
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # fmt: skip
for _tag, _words_of_it in PLAIN.items():
    for _class in (_WorkflowLoader, _WorkflowDumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}",
            re.compile(f"^(?:{_words_of_it})$"),
            list("tTfF" if _tag == "bool" else "-+.0123456789"),
        )
_WorkflowLoader.add_constructor("tag:yaml.org,2002:int", _WorkflowLoader.construct_yaml_int)


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A text in a style that reads back the same; a block if it has several lines."""
    style = '"' if ODD.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_WorkflowDumper.add_representer(str, _represent)


def compose(text: str) -> yaml.Node | None:
    """The document's nodes; None if it is empty. Raises `MalformedInput` with the line of the fault.

    Aliases count as their targets, so that a document cannot grow when it is written out.
    """
    with _reading(text) as loader:
        root: yaml.Node | None = loader.get_single_node()
    return _bounded(root)


def compose_all(text: str) -> list[yaml.Node]:
    """The nodes of each document that is not empty in a text of several. Raises `MalformedInput` as `compose` does."""
    roots: list[yaml.Node] = []
    with _reading(text) as loader:
        while loader.check_node():
            root = loader.get_node()
            if root is not None and root.tag != "tag:yaml.org,2002:null":
                roots.append(root)
    return [_bounded(root) for root in roots]


def load(text: str) -> Any:
    """The values of the document in ``text``. Raises `MalformedInput` as `compose` does."""
    root = compose(text)
    return construct(root, text) if root else None


def construct(root: yaml.Node, text: str) -> Any:
    """The values of a document's nodes; ``text`` is what they were composed from. Raises `MalformedInput`."""
    try:
        return _WorkflowLoader("").construct_document(root)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError) as error:
        raise _not_yaml(text, error) from error


@contextmanager
def _reading(text: str) -> Iterator[_WorkflowLoader]:
    if len(text) > MAX_CHARACTERS:
        raise MalformedInput(f"a document has at most {MAX_CHARACTERS} characters")
    try:
        yield _WorkflowLoader(text.translate(HIDDEN))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError) as error:
        raise _not_yaml(text, error) from error


def _bounded(root: _Root) -> _Root:
    nodes, levels = _measure(root, {})
    if nodes > MAX_NODES or levels > MAX_DEPTH:
        raise MalformedInput(f"a document has at most {MAX_NODES} values in {MAX_DEPTH} levels, aliases written out")
    return root


def dump(document: Any) -> str:
    """YAML that reads back as ``document``."""
    return yaml.dump(document, Dumper=_WorkflowDumper, sort_keys=False, width=1000, allow_unicode=True)


def _not_yaml(text: str, error: Exception) -> MalformedInput:
    """A YAML error in one line, with its place."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return NotYaml(line, f"it holds the character U+{ord(text[error.position]):04X}")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark, problem = error.problem_mark, error.problem or error.context or ""
        return NotYaml(mark.line + 1, f"column {mark.column + 1}: {problem[:300]}")
    if isinstance(error, RecursionError):
        return MalformedInput(f"a document has at most {MAX_DEPTH} levels")
    return MalformedInput("this is not YAML", why=" ".join(str(error).split())[:300])


def _measure(node: yaml.Node | None, measured: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """The number of values and of levels of a document with each alias written out."""
    if not isinstance(node, yaml.CollectionNode):
        return 1, 1
    if id(node) not in measured and depth <= MAX_DEPTH:
        inside = [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else node.value
        sizes = [_measure(n, measured, depth + 1) for n in inside] or [(0, 0)]
        measured[id(node)] = 1 + sum(n for n, _ in sizes), 1 + max(levels for _, levels in sizes)
    return measured.get(id(node), (1, MAX_DEPTH + 1))
