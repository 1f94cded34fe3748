"""Notebooks derived from lessons, byte for byte.

A walkthrough becomes ``notebooks/<stem>.ipynb``. A lab becomes ``labs/<stem>.ipynb``, with starters in place of
answers, and ``solutions/<stem>.ipynb``, complete. Cell ids are the stem and the cell's number in the source, so a lab's
cell and its solution have the same id. Cells carry tags, nbgrader's metadata, and what JupyterLab folds: the output
below a question, and code that only asserts what the text claims. References become links, and hints get the blank
lines that make their markdown render. In a lab, a given cell that uses an answer carries ``raises-exception``, so that
Run All goes on after it.
"""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from chainlab.course.authoring.lesson_source import Cell, LessonSource, parse_code, starter
from chainlab.course.authoring.links import References
from chainlab.course.learning.hints import with_blank_lines
from chainlab.errors import MalformedInput

__all__ = [
    "EDITIONS",
    "METADATA",
    "Edition",
    "derive",
    "dump",
    "editions",
    "grade_id",
    "keep_outputs",
    "load",
]

Edition: TypeAlias = Literal["notebooks", "labs", "solutions"]
EDITIONS: tuple[Edition, ...] = ("notebooks", "labs", "solutions")

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
NBGRADER_SCHEMA = 3
FOLDED_FROM = 4  # lines: a walkthrough's check of this length is folded; a shorter one is not


def editions(lesson: LessonSource) -> tuple[Edition, ...]:
    """The folders that a lesson is derived into."""
    return ("labs", "solutions") if lesson.is_lab else ("notebooks",)


def derive(lesson: LessonSource, edition: Edition, references: References) -> Any:
    """Derive a lesson's notebook, without outputs; ``references`` become links."""
    import nbformat

    exercise_of = {cell.index: exercise for exercise in lesson.exercises for cell in exercise.cells}
    using_answers = _cells_using_answers(lesson) if edition == "labs" else frozenset()
    cells = []
    for cell in lesson.cells:
        if cell.has("wrong") or (edition == "labs" and cell.has("solution")):
            continue
        exercise = exercise_of.get(cell.index) if lesson.is_lab else None
        grading: dict[str, Any] | None = None
        if exercise and cell.has("exercise"):
            grading = _nbgrader("exercise", exercise.id, solution=True)
            if edition == "labs":
                cell = starter(cell, exercise.id)
        elif exercise and cell.has("check"):
            grading = _nbgrader("check", exercise.id, grade=True, points=exercise.points)
        if cell.index in using_answers:
            cell = replace(cell, tags=(*cell.tags, "raises-exception"))
        if cell.kind == "markdown":
            page = f"{edition}/{lesson.stem}.ipynb"
            cell = replace(cell, source=references.link(with_blank_lines(cell.source), page))
        cells.append(_cell(lesson, cell, grading))
    return nbformat.from_dict(  # type: ignore[no-untyped-call]
        {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    )


def dump(notebook: Any) -> str:
    """Write a notebook as text: indent 1, keys sorted, one newline at the end."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def load(path: Path) -> Any:
    """Read a notebook file. Raises `MalformedInput` if it is not a notebook."""
    import nbformat

    name = f"{path.parent.name}/{path.name}"
    try:
        notebook = nbformat.reads(  # type: ignore[no-untyped-call]
            path.read_text(encoding="utf-8"), as_version=4
        )
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise
    except Exception as error:  # nbformat raises many types
        text = " ".join(str(error).split())[:120]
        raise MalformedInput(
            f"{name} is not a notebook: {text}",
            hint="restore it from your copy, or from git: git checkout -- " + name,
        ) from error
    return notebook


def keep_outputs(notebook: Any, stored: Any) -> Any:
    """Copy the outputs of ``stored`` into ``notebook`` wherever cell id and source are unchanged."""
    stored_cells = {(cell.get("id"), cell.source): cell for cell in stored.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        old = stored_cells.get((cell.id, cell.source)) if cell.cell_type == "code" else None
        if old is not None:
            cell.outputs = old.outputs
            cell.execution_count = old.execution_count
    return notebook


def grade_id(part: str, exercise_id: str) -> str:
    """nbgrader's name for an exercise's cell: ``check-1-2`` (dots are not allowed)."""
    return f"{part}-{exercise_id.replace('.', '-')}"


def _nbgrader(part: str, exercise_id: str, **fields: Any) -> dict[str, Any]:
    grading = {
        "grade": False,
        "grade_id": grade_id(part, exercise_id),
        "locked": bool(fields.get("grade")),
        "schema_version": NBGRADER_SCHEMA,
        "solution": False,
        "task": False,
    }
    return grading | fields


def _cell(lesson: LessonSource, cell: Cell, grading: dict[str, Any] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": list(cell.tags)} if cell.tags else {}
    if grading:
        metadata["nbgrader"] = grading
    if folded := _folded(lesson, cell):
        metadata["jupyter"] = folded
    derived: dict[str, Any] = {
        "cell_type": cell.kind,
        "id": f"{lesson.stem}-{cell.index:02d}",
        "metadata": metadata,
        "source": cell.source,
    }
    if cell.kind == "code":
        derived |= {"execution_count": None, "outputs": []}
    return derived


def _cells_using_answers(lesson: LessonSource) -> frozenset[int]:
    """Indices of a lab's given cells that use an answer: they fail until the answer is written."""
    answers: set[str] = set()  # names of answers, and of values made with one
    indices = set()
    for cell in lesson.code:
        if cell.has("check") or cell.has("wrong"):
            continue
        body = parse_code(cell).body
        defined = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        run = [name for node in body if node not in defined for name in ast.walk(node) if isinstance(name, ast.Name)]
        bound = {node.name for node in defined} | {name.id for name in run if isinstance(name.ctx, ast.Store)}
        if cell.has("exercise"):
            answers |= bound
        elif answers & {name.id for name in run if isinstance(name.ctx, ast.Load)}:
            indices.add(cell.index)
            answers |= bound
        else:
            answers -= bound
    return frozenset(indices)


def _folded(lesson: LessonSource, cell: Cell) -> dict[str, bool]:
    """The parts of a cell that JupyterLab hides until a reader opens them; running a cell opens its output."""
    checks = cell.has("check") and not lesson.is_lab
    long = len([line for line in cell.source.splitlines() if line.strip()]) >= FOLDED_FROM
    folded = {}
    if cell.has("folded") or (checks and long):
        folded["source_hidden"] = True
    if cell.has("predict"):
        folded["outputs_hidden"] = True
    return folded
