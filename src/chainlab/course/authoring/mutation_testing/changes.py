"""Changes of a solution's syntax tree: an operator replaced, an operand, argument or line left out.

A comparison becomes its negation or its neighbour at the border, a loop ends after its first turn, a constant takes
another value (`constants`). Some code is left alone, because no check can see the change: annotations, docstrings,
messages of errors, copies such as ``list(x)``, and keys whose change ends every answer in a `KeyError`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.authoring.mutation_testing.constants import other_values

__all__ = ["Changes", "Place", "places"]

SHOWN = 80  # characters of source in a change's name

# Each operator with its replacements: the negation, and the neighbour at the border.
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# fmt: off
SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.And: "and", ast.Or: "or",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
}
# fmt: on
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
EITHER_SIDE = (ast.BitOr, ast.BitAnd, ast.Add, ast.Sub)  # operators whose one operand alone is a plausible answer
RENAMED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "startswith": "endswith",
    "endswith": "startswith",
    "union": "intersection",
    "intersection": "union",
    "partition": "rpartition",
    "rpartition": "partition",
    "fullmatch": "match",
    "match": "search",
    "search": "match",
    "rglob": "glob",
}
COPIES = {"bool", "dict", "frozenset", "iter", "len", "list", "range", "set", "sorted", "str", "sum", "tuple"}
CHANGES_TEXT = {"casefold", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip", "upper"}
DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.Continue, ast.Break)

Edit = tuple[ast.AST, str, Any]  # node, field, its new value
Change = tuple[str, tuple[Edit, ...]]  # its name, and the edits that make it


@dataclass(frozen=True)
class Place:
    """A node of the solution, with its parent."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None  # in a list
    around: ast.AST  # the nearest node above that has a text of its own

    def becomes(self, new: ast.AST) -> tuple[Edit, ...]:
        """The edit that puts another node here."""
        if self.index is None:
            return ((self.parent, self.field, new),)
        items = list(getattr(self.parent, self.field))
        items[self.index] = new
        return ((self.parent, self.field, items),)


def places(tree: ast.AST, inside: set[int]) -> Iterator[Place]:
    """Every node of the solution that may change, outermost first."""
    waiting: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while waiting:
        parent, around = waiting.pop(0)
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns") or isinstance(parent, ast.Raise):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST) or _is_docstring(node):
                    continue
                part_of_text = isinstance(node, ast.FormattedValue) or field == "format_spec"  # has no place in 3.11
                text = node if isinstance(node, (ast.expr, ast.stmt)) and not part_of_text else around
                waiting.append((node, text))
                if getattr(node, "lineno", getattr(text, "lineno", 0)) in inside:
                    yield Place(node, parent, field, index, around)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class Changes:
    """The changes that one node allows, each with a name made of the source's text."""

    def __init__(self, source: str, place: Place) -> None:
        self.source, self.place, self.node = source, place, place.node

    def all(self) -> Iterator[tuple[int, str, tuple[Edit, ...]]]:
        """The changes, each with its line in the cell."""
        line = getattr(self.node, "lineno", getattr(self.place.around, "lineno", 1))
        if isinstance(self.node, DROPPED) and not self._ends_in_none():
            yield line, f"`{self.text(self.node)}` is dropped", self.place.becomes(ast.Pass())
        if (own := KINDS.get(type(self.node))) is not None:
            yield from ((line, text, edits) for text, edits in own(self, self.node))

    def _ends_in_none(self) -> bool:
        """Whether this is a function's last line and returns None, as the function would without it."""
        place, node = self.place, self.node
        last = isinstance(place.parent, ast.FunctionDef) and node is place.parent.body[-1]
        return last and isinstance(node, ast.Return) and (node.value is None or ast.unparse(node.value) == "None")

    def text(self, node: ast.AST, limit: int = SHOWN) -> str:
        """A node's own source on one line."""
        words = " ".join((ast.get_source_segment(self.source, node) or ast.unparse(node)).split())
        return words if len(words) <= limit else f"{words[: limit - 30]} … {words[-27:]}"

    def _without(self, field: str, least: int = 0) -> Iterator[Change]:
        """Each item of a list left out, as long as ``least`` stay."""
        items = getattr(self.node, field)
        for index, item in enumerate(items) if len(items) > least else ():
            rest = items[:index] + items[index + 1 :]
            yield f"`{self.text(self.node)}` without `{self.text(item, 50)}`", ((self.node, field, rest),)

    def _instead(self, new: ast.AST, text: str = "") -> Change:
        return f"`{self.text(self.node)}` becomes `{text or self.text(new)}`", self.place.becomes(new)

    def _compare(self, node: ast.Compare) -> Iterator[Change]:
        decides = self.place.field == "test" or isinstance(self.place.parent, ast.UnaryOp)
        for index, operator in enumerate(node.ops):
            others = COMPARED[type(operator)]
            for other in others if not decides or (len(others) == 1 and len(node.ops) > 1) else others[:-1]:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                text = f"`{self.text(node)}`: {SIGNS[type(operator)]} becomes {SIGNS[other]}"
                yield text, ((node, "ops", ops),)

    def _boolop(self, node: ast.BoolOp) -> Iterator[Change]:
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        text = f"`{self.text(node)}`: {SIGNS[type(node.op)]} becomes {SIGNS[other]}"
        yield text, ((node, "op", other()),)
        if len(node.values) > 2:
            yield from self._without("values")
            return
        for kept, gone in ((1, 0), (0, 1)):
            text = f"`{self.text(node)}` without `{self.text(node.values[gone], 50)}`"
            yield text, self.place.becomes(node.values[kept])

    def _unaryop(self, node: ast.UnaryOp) -> Iterator[Change]:
        if isinstance(node.op, ast.Not):
            yield self._instead(node.operand)

    def _binop(self, node: ast.BinOp) -> Iterator[Change]:
        if (
            isinstance(node.left, ast.Constant)
            and isinstance(node.left.value, (str, bytes))
            and type(node.op) is ast.Mod
        ):
            return  # fills in a text
        if other := ARITHMETIC.get(type(node.op)):
            text = f"`{self.text(node)}`: {SIGNS[type(node.op)]} becomes {SIGNS[other]}"
            yield text, ((node, "op", other()),)
        if isinstance(node.op, EITHER_SIDE):
            yield self._instead(node.left)
            yield self._instead(node.right)

    def _augassign(self, node: ast.AugAssign) -> Iterator[Change]:
        new = ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)
        yield f"`{self.text(node)}` forgets what was there", self.place.becomes(new)

    def _branches(self, node: ast.If | ast.IfExp) -> Iterator[Change]:
        for verdict in (True, False):
            text = f"`{self.text(node.test)}` holds {'always' if verdict else 'never'}"
            yield text, ((node, "test", ast.Constant(verdict)),)

    def _loop(self, node: ast.For | ast.While) -> Iterator[Change]:
        over = node.test if isinstance(node, ast.While) else node.iter
        yield (
            f"the loop over `{self.text(over)}` ends after its first turn",
            ((node, "body", [*node.body, ast.Break()]),),
        )

    def _comprehension(self, node: ast.comprehension) -> Iterator[Change]:
        for index, condition in enumerate(node.ifs):
            rest = node.ifs[:index] + node.ifs[index + 1 :]
            yield f"`if {self.text(condition)}` is dropped", ((node, "ifs", rest),)

    def _excepthandler(self, node: ast.ExceptHandler) -> Iterator[Change]:
        caught = node.type
        if isinstance(caught, ast.Tuple):
            for index, name in enumerate(caught.elts):
                rest = caught.elts[:index] + caught.elts[index + 1 :]
                yield f"`except {self.text(caught)}` without {self.text(name)}", ((caught, "elts", rest),)
        elif caught is not None:
            yield f"`except {self.text(caught)}` catches nothing", ((node, "type", ast.Tuple([], ast.Load())),)

    def _call(self, node: ast.Call) -> Iterator[Change]:
        for index, word in enumerate(node.keywords):
            rest = node.keywords[:index] + node.keywords[index + 1 :]
            name = f"{word.arg}=" if word.arg else "**"
            yield f"`{self.text(node)}` without `{name}{self.text(word.value, 50)}`", ((node, "keywords", rest),)
        if len(node.args) > 1 or any(isinstance(a, ast.Starred) for a in node.args):
            yield f"`{self.text(node)}` without `{self.text(node.args[-1], 50)}`", ((node, "args", node.args[:-1]),)
        name, field = (
            (node.func.id, "id") if isinstance(node.func, ast.Name) else (getattr(node.func, "attr", ""), "attr")
        )
        if name in RENAMED:
            yield f"`{self.text(node)}`: {name} becomes {RENAMED[name]}", ((node.func, field, RENAMED[name]),)
        alone = (
            len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp))
        )
        if alone and isinstance(node.func, ast.Name) and name not in COPIES:
            yield self._instead(node.args[0])
        elif isinstance(node.func, ast.Attribute) and name in CHANGES_TEXT:
            yield self._instead(node.func.value)

    def _slice(self, node: ast.Slice) -> Iterator[Change]:
        for field in ("lower", "upper", "step"):
            if (limit := getattr(node, field)) is not None:
                text = f"`{self.text(self.place.around)}`: no {field} limit `{self.text(limit)}`"
                yield text, ((node, field, None),)

    def _list(self, node: ast.List) -> Iterator[Change]:
        if isinstance(node.ctx, ast.Load):
            yield from self._without("elts")

    def _set(self, node: ast.Set) -> Iterator[Change]:
        yield from self._without("elts", least=1)
        if len(node.elts) == 1:
            yield self._instead(ast.Call(ast.Name("set", ast.Load()), [], []), "set()")

    def _tuple(self, node: ast.Tuple) -> Iterator[Change]:
        tested = isinstance(self.place.parent, ast.Compare) and self.place.field == "comparators"
        looped = isinstance(self.place.parent, (ast.For, ast.comprehension)) and self.place.field == "iter"
        if tested or looped or isinstance(self.place.parent, ast.Call):
            yield from self._without("elts", least=1)

    def _dict(self, node: ast.Dict) -> Iterator[Change]:
        for index, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            name = f"{self.text(key)}: " if key else "**"
            edits = tuple(
                (node, f, getattr(node, f)[:index] + getattr(node, f)[index + 1 :]) for f in ("keys", "values")
            )
            yield f"`{self.text(node)}` without `{name}{self.text(value, 40)}`", edits

    def _constant(self, node: ast.Constant) -> Iterator[Change]:
        place = self.place
        if place.field == "slice" and isinstance(node.value, str):
            return  # d["name"]: every answer would raise KeyError
        around = self.text(place.around)
        for new, text in other_values(node.value, place.parent, is_key=place.field == "keys"):
            yield text if "`" in text else f"`{around}`: {text}", ((node, "value", new),)


KINDS: dict[type[ast.AST], Callable[[Changes, Any], Iterable[Change]]] = {
    ast.AugAssign: Changes._augassign,
    ast.BinOp: Changes._binop,
    ast.BoolOp: Changes._boolop,
    ast.Call: Changes._call,
    ast.Compare: Changes._compare,
    ast.Constant: Changes._constant,
    ast.Dict: Changes._dict,
    ast.ExceptHandler: Changes._excepthandler,
    ast.For: Changes._loop,
    ast.If: Changes._branches,
    ast.IfExp: Changes._branches,
    ast.List: Changes._list,
    ast.Set: Changes._set,
    ast.Slice: Changes._slice,
    ast.Tuple: Changes._tuple,
    ast.UnaryOp: Changes._unaryop,
    ast.While: Changes._loop,
    ast.comprehension: Changes._comprehension,
}
