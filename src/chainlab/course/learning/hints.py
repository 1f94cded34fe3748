"""Hints of exercises, shown one at a time: the first asks a question, the second gives a pointer.

Authors write an exercise's hints in ``lessons/<unit>_lab.py``, below its heading. Here they are read from the learner's
lab, ``labs/<unit>.ipynb``; the progress file counts how many were shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chainlab.course.learning.notebook_pages import HEADING, markdown_cells
from chainlab.course.learning.progress import ProgressFile
from chainlab.course.learning.solution_reasons import solution_page
from chainlab.course.syllabus import Course
from chainlab.errors import ChainlabError

__all__ = ["Hint", "all_hints", "hints_in", "next_hint", "with_blank_lines"]

HINT = re.compile(r"<details>\s*<summary>\s*Hint (\d+)\s*</summary>(.*?)</details>", re.DOTALL)


@dataclass(frozen=True)
class Hint:
    """One hint of an exercise, and how many there are."""

    exercise: str
    number: int
    of: int
    markdown: str
    repeated: bool = False  # whether all were shown before, and this is the last one again
    solutions: str = ""  # the page with the solution, in an edition that has it

    @property
    def text(self) -> str:
        """The hint as plain text, on one line."""
        return _plain(self.markdown)

    def __str__(self) -> str:
        line = f"{self._label}: {self.text}"
        return f"{line}\n{self._advice.format(self.solutions)}" if self.repeated else line

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        parts = [f"**{self._label}**", self.markdown]
        if self.repeated:
            parts.append(self._advice.format(f"[{self.solutions}](../{self.solutions})"))
        return "\n\n".join(parts)

    @property
    def _label(self) -> str:
        return f"Hint {self.number} of {self.of} for exercise {self.exercise}"

    @property
    def _advice(self) -> str:
        """Advice after the last hint, with braces for the page of the solution."""
        last = "That was the last hint. Read what the check says, then "
        return last + ("look at {}, close it, and write it again from memory." if self.solutions else "ask a person.")


def all_hints(course: Course, exercise_id: str, copy_of: Callable[[Path, str], Path] = Path.joinpath) -> list[str]:
    """Read all hints of an exercise, as markdown. Raises `ChainlabError` when the lab has none.

    ``copy_of`` maps a file of the course to the path of the learner's copy, as `Workspace.copy` does.
    """
    unit, _ = course.find(exercise_id)
    path = copy_of(course.root, f"labs/{unit.id}.ipynb")
    for cell in markdown_cells(path):
        heading = HEADING.search(cell.text)
        if heading and heading["id"] == exercise_id:
            hints = hints_in(cell.text[heading.start() :])
            if hints:
                return hints
    raise ChainlabError(
        f"labs/{path.name} has no hints for exercise {exercise_id}",
        hint="restore the markdown cell with the exercise's heading",
    )


def next_hint(
    course: Course,
    exercise_id: str,
    progress: ProgressFile | None,
    copy_of: Callable[[Path, str], Path] = Path.joinpath,
) -> Hint:
    """Get the next hint that was not shown yet, and count it; without a progress file always the first."""
    hints = all_hints(course, exercise_id, copy_of)
    if progress is None:
        return Hint(exercise_id, 1, len(hints), hints[0])
    shown = progress.count_hint(exercise_id, at_most=len(hints))
    number = min(shown, len(hints))
    solutions = solution_page(course, course.find(exercise_id)[0])
    return Hint(exercise_id, number, len(hints), hints[number - 1], shown > len(hints), solutions)


def hints_in(markdown: str) -> list[str]:
    """Read the texts of ``<details><summary>Hint n</summary>…</details>``, hint 1 first."""
    return [text.strip() for _, text in sorted(HINT.findall(markdown), key=lambda h: int(h[0]))]


def with_blank_lines(markdown: str) -> str:
    """Put blank lines around the text of each hint; without them markdown inside HTML does not render."""
    return HINT.sub(
        lambda hint: f"<details><summary>Hint {hint[1]}</summary>\n\n{hint[2].strip()}\n\n</details>\n", markdown
    ).rstrip("\n")


def _plain(text: str) -> str:
    unlinked = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(text.split()))
    return html.unescape(re.sub(r"<[^>]+>", "", unlinked)).strip()
