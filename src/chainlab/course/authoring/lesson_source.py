"""Authored lessons: py:percent text, read into cells that know their line.

``lessons/NN_topic.py`` is a walkthrough, ``lessons/NN_topic_lab.py`` a lab. A cell begins at a marker line:
``# %%`` or ``# %% [markdown]``, with ``tags=["…"]`` for special cells:

    parameters        the one cell with the values that papermill sets, such as the seed
    exercise          the learner's cell; its solution stands between `BEGIN` and `END`
    check             checks the exercise (lab), or asserts what the text claims (walkthrough)
    wrong             a plausible wrong answer, for the author lint only
    solution          markdown that explains the solution; only in solutions
    raises-exception  an expected failure, with a comment that says why
    predict           a walkthrough's output that is folded until the reader asks for it
    folded            code that runs but teaches nothing; folded

The hints of an exercise are ``<details>`` elements below its heading.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from chainlab.course.learning.hints import hints_in
from chainlab.course.learning.notebook_pages import HEADING
from chainlab.errors import ChainlabError, MalformedInput

__all__ = [
    "BEGIN",
    "END",
    "TAGS",
    "Cell",
    "ExerciseSource",
    "LessonProblem",
    "LessonSource",
    "checked_answer",
    "parse_code",
    "starter",
    "wrong_cell_header",
]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TAGS = ("parameters", "exercise", "check", "wrong", "solution", "raises-exception", "predict", "folded")
MARKER = re.compile(r"^\s*#\s*%%")  # jupytext also accepts an indented marker
FORMAT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
LAB_SUFFIX = "_lab"


@dataclass(frozen=True)
class LessonProblem:
    """A problem in an authored file, with its line."""

    file: str  # lessons/01_threats.py
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson."""

    index: int
    line: int  # of the marker, from 1; the cell's text begins on the next
    kind: str  # "code" or "markdown"
    tags: tuple[str, ...]
    source: str
    attributes: tuple[str, ...] = ()  # names of other attributes on the marker line

    def line_of(self, needle: str) -> int:
        """The line of the first occurrence of ``needle`` in the file."""
        before, match, _ = self.source.partition(needle)
        return self.line + 1 + before.count("\n") if match else self.line

    @property
    def numbered(self) -> list[tuple[int, str]]:
        """Lines of the cell with their numbers in the file."""
        return list(enumerate(self.source.splitlines(), start=self.line + 1))

    def has(self, tag: str) -> bool:
        """Whether the cell carries a tag."""
        return tag in self.tags


@dataclass(frozen=True)
class ExerciseSource:
    """All cells of one exercise, from its heading to the next."""

    id: str
    title: str
    points: int | None
    heading: Cell
    cells: tuple[Cell, ...]  # without the heading

    @property
    def line(self) -> int:
        """The line of the heading."""
        return self.heading.line_of(f"## Exercise {self.id}")

    def tagged(self, tag: str) -> list[Cell]:
        """The exercise's cells with a tag."""
        return [c for c in self.cells if c.has(tag)]

    @property
    def hints(self) -> list[str]:
        """The hints, the first one first."""
        return hints_in(self.heading.source)


@dataclass(frozen=True)
class LessonSource:
    """One authored file."""

    name: str  # lessons/01_threats.py
    stem: str  # 01_threats; of a lab without its suffix
    is_lab: bool
    cells: tuple[Cell, ...]

    @classmethod
    def read(cls, path: Path) -> LessonSource:
        """Read a file. Raises `MalformedInput` if it is not py:percent text."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ChainlabError(f"{path.name} cannot be read: {error}") from error
        return cls.parse(text, f"{path.parent.name}/{path.name}")

    @classmethod
    def parse(cls, text: str, name: str) -> LessonSource:
        """Read text; messages call it ``name``."""
        lines = text.splitlines()
        markers = [n for n, line in enumerate(lines, start=1) if MARKER.match(line)]
        if not markers or any(line.strip() for line in lines[: markers[0] - 1]):
            raise MalformedInput(f"{name}:1: expected '# %% [markdown]' on the first line")
        import jupytext  # here, because it takes 2.5 s: the notebook format with its schemas

        cells = jupytext.reads(text, fmt=FORMAT).cells
        if len(cells) != len(markers):
            raise MalformedInput(
                f"{name}:{markers[0]}: {len(markers)} cell markers, but jupytext reads {len(cells)} cells"
            )
        stem = Path(name).stem
        return cls(
            name=name,
            stem=stem.removesuffix(LAB_SUFFIX),
            is_lab=stem.endswith(LAB_SUFFIX),
            cells=tuple(
                Cell(
                    index=index,
                    line=line,
                    kind=cell.cell_type,
                    tags=tuple(cell.metadata.get("tags", ())),
                    source=cell.source,
                    attributes=tuple(k for k in cell.metadata if k not in ("tags", "lines_to_next_cell")),
                )
                for index, (line, cell) in enumerate(zip(markers, cells, strict=True))
            ),
        )

    @property
    def code(self) -> list[Cell]:
        """Code cells."""
        return [c for c in self.cells if c.kind == "code"]

    @property
    def words(self) -> int:
        """Words of the text; reading minutes follow from them."""
        prose = (c.source for c in self.cells if c.kind == "markdown")
        return sum(len(re.findall(r"\b\w[\w'’./-]*", text)) for text in prose)

    @cached_property
    def exercises(self) -> tuple[ExerciseSource, ...]:
        """The exercises in order, each from its heading to the next ``##`` heading."""
        exercises: list[ExerciseSource] = []
        for position, cell in enumerate(self.cells):
            head = HEADING.search(cell.source) if cell.kind == "markdown" else None
            if head is None:
                continue
            rest: list[Cell] = []
            for follower in self.cells[position + 1 :]:
                if follower.kind == "markdown" and re.search(r"(?m)^##? ", follower.source):
                    break
                rest.append(follower)
            points = re.search(r"\((\d+) points?\)\s*$", head["rest"])
            title = re.sub(r"\s*\(\d+ points?\)\s*$", "", head["rest"]).lstrip(" —–-:").strip()
            exercises.append(ExerciseSource(head["id"], title, int(points[1]) if points else None, cell, tuple(rest)))
        return tuple(exercises)


def starter(cell: Cell, exercise_id: str) -> Cell:
    """Make the learner's cell: `raise NotImplementedError` in place of the solution, with its indentation."""
    lines: list[str] = []
    inside = False
    for line in cell.source.splitlines():
        if line.strip() == BEGIN:
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f'{indent}raise NotImplementedError("exercise {exercise_id}")')
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return replace(cell, source="\n".join(lines))


def parse_code(cell: Cell) -> ast.Module:
    """Parse a cell; line numbers count from 1 within it. Raises SyntaxError."""
    tree = compile(cell.source, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)  # noqa: S101 (what PyCF_ONLY_AST gives)
    return tree


def checked_answer(cell: Cell) -> tuple[str, str] | None:
    """Read ``lab.check("1.2", f)`` in a check cell: the exercise's id, and the answer's expression."""
    for node in ast.walk(parse_code(cell)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "check"
            and len(node.args) == 2
            and not node.keywords
            and isinstance(node.args[0], ast.Constant)
        ):
            return str(node.args[0].value), ast.unparse(node.args[1])
    return None


def wrong_cell_header(cell: Cell) -> tuple[str, str] | None:
    """Read the first line of a wrong cell: the description, and the case it must fail at."""
    first = cell.source.splitlines()[0] if cell.source.strip() else ""
    match = re.match(r"#\s*wrong:\s*(.+?)\s*->\s*(.+?)\s*$", first)
    return (match[1], match[2]) if match else None
