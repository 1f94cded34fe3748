"""Mutants of an exercise's solution: the authored text with one change each, made on the syntax tree.

    >>> source = "def f(a, b):\\n    ### BEGIN SOLUTION\\n    return a < b\\n    ### END SOLUTION"
    >>> for mutant in mutants(source, "a file"):
    ...     print(mutant.line, mutant.change)
    3 `return a < b` is dropped
    3 `a < b`: < becomes <=
    3 `a < b`: < becomes >=

The source's own text names a change, so the name stays when other lines move. `changes` says what may change.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from types import CodeType

from chainlab.course.authoring.lesson_source import BEGIN, END
from chainlab.course.authoring.mutation_testing.changes import Changes, places

__all__ = ["Mutant", "mutants"]


@dataclass(frozen=True)
class Mutant:
    """A solution with one change."""

    line: int  # in the file
    change: str  # its own among the mutants of one solution
    code: CodeType  # of the whole cell


def mutants(source: str, file: str, above: int = 0) -> list[Mutant]:
    """All mutants of a cell's solution, in the order of their lines. ``above`` lines of the file precede the cell."""
    tree = ast.parse(source)
    solution = list(places(tree, _solution_lines(source)))
    changes = [change for place in solution for change in Changes(source, place).all()]
    ast.increment_lineno(tree, above)
    seen, unique, names = {compile(tree, file, "exec")}, [], Counter[str]()
    for line, text, edits in changes:
        before = [(node, field, getattr(node, field)) for node, field, _ in edits]
        for node, field, value in edits:
            setattr(node, field, value)
        code = compile(ast.fix_missing_locations(tree), file, "exec")
        for node, field, value in before:
            setattr(node, field, value)
        if code not in seen:
            seen.add(code)
            names[text] += 1
            unique.append(Mutant(line + above, f"{text} ({names[text]})" if names[text] > 1 else text, code))
    return sorted(unique, key=lambda mutant: mutant.line)


def _solution_lines(source: str) -> set[int]:
    numbers: set[int] = set()
    inside = False
    for number, line in enumerate(source.splitlines(), start=1):
        inside = (inside or line.strip() == BEGIN) and line.strip() != END
        numbers |= {number} if inside else set()
    return numbers
