"""Hints: a ladder per exercise, one rung at a time; the first asks, the second points.

The ladder stands in the lab that the learner has, ``labs/<unit>.ipynb``, below the exercise's heading; how far a
learner climbed is kept with the progress.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chainlab.course.learning.progress import ProgressFile
from chainlab.course.syllabus import Course
from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["HEADING", "Hint", "hints_in", "ladder", "next_hint", "rendered"]

HEADING = re.compile(r"^## Exercise (?P<id>\d+\.\d+)\b(?P<rest>[^\n]*)", re.MULTILINE)
HINT = re.compile(r"<details>\s*<summary>\s*Hint (\d+)\s*</summary>(.*?)</details>", re.DOTALL)


@dataclass(frozen=True)
class Hint:
    """One rung, and how many there are."""

    exercise: str
    number: int
    of: int
    text: str
    repeated: bool = False  # all were shown before; this is the last one again

    def __str__(self) -> str:
        lines = [f"Hint {self.number} of {self.of} for exercise {self.exercise}: {self.text}"]
        if self.repeated:
            lines.append("That was the last hint. Read what the check says, then ask a person.")
        return "\n".join(lines)

    __repr__ = __str__


def ladder(course: Course, exercise_id: str, copy_of: Callable[[Path, str], Path] = Path.joinpath) -> list[str]:
    """All hints of an exercise, as plain text. Raises `ChainlabError` where the lab has none.

    ``copy_of`` gives the path of a file of the course, such as `Workspace.copy`: the learner's, where there is one.
    """
    unit, _ = course.find(exercise_id)
    path = copy_of(course.root, f"labs/{unit.id}.ipynb")
    for text in _markdown(path):
        heading = HEADING.search(text)
        if heading and heading["id"] == exercise_id:
            hints = [_plain(hint) for hint in hints_in(text[heading.start() :])]
            if hints:
                return hints
    raise ChainlabError(
        f"labs/{path.name} has no hints for exercise {exercise_id}",
        mend="restore the markdown cell with the exercise's heading",
    )


def next_hint(
    course: Course,
    exercise_id: str,
    progress: ProgressFile | None,
    copy_of: Callable[[Path, str], Path] = Path.joinpath,
) -> Hint:
    """The next rung that was not shown yet; without a progress file always the first."""
    rungs = ladder(course, exercise_id, copy_of)
    if progress is None:
        return Hint(exercise_id, 1, len(rungs), rungs[0])
    shown = progress.hint_shown(exercise_id, at_most=len(rungs))
    number = min(shown, len(rungs))
    return Hint(exercise_id, number, len(rungs), rungs[number - 1], repeated=shown > len(rungs))


def hints_in(markdown: str) -> list[str]:
    """Texts of ``<details><summary>Hint n</summary>…</details>``, first rung first."""
    return [text.strip() for _, text in sorted(HINT.findall(markdown), key=lambda h: int(h[0]))]


def rendered(markdown: str) -> str:
    """Set the text of each hint between blank lines: only then does markdown inside HTML render."""
    return HINT.sub(
        lambda hint: f"<details><summary>Hint {hint[1]}</summary>\n\n{hint[2].strip()}\n\n</details>\n", markdown
    ).rstrip("\n")


def _markdown(path: Path) -> list[str]:
    """Markdown cells of a notebook file; read as JSON, because the format's library takes 2 s to import."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    except FileNotFoundError:
        raise ChainlabError(f"labs/{path.name} is missing", mend="restore it, or run: chainlab build") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise MalformedInput(f"labs/{path.name} is not a notebook", mend="restore it") from error


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"\s+", " ", text))).strip()
