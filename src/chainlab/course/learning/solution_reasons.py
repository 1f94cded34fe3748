"""Reasons: why a solution is right, from the course's own solutions.

The reason of an exercise is the markdown tagged ``solution`` below its heading in ``solutions/<unit>.ipynb``. An
edition for graded courses leaves that folder out; then there is no reason to show.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainlab.characters import visible
from chainlab.course.learning.notebook_pages import HEADING, markdown_cells
from chainlab.course.syllabus import Course, Unit

__all__ = ["Reason", "reason_of", "solution_page"]


@dataclass(frozen=True)
class Reason:
    """Why the solution of an exercise is right."""

    page: str  # solutions/01_assessment.ipynb
    markdown: str

    def to_html(self) -> str:
        """The markdown rendered; HTML within it is shown as text."""
        import mistune  # when one is shown, which is in a notebook

        return str(
            mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(visible(self.markdown, lines=True))
        )


def solution_page(course: Course, unit: Unit) -> str:
    """The path of a unit's solutions, from the course's folder; empty in an edition without them."""
    page = f"solutions/{unit.id}.ipynb"
    return page if (course.root / page).is_file() else ""


def reason_of(course: Course, exercise_id: str) -> Reason | None:
    """The reason of an exercise; None where the edition has no solutions, or the exercise no reason."""
    page = solution_page(course, course.find(exercise_id)[0])
    if not page:
        return None
    texts: list[str] = []
    current = ""
    for cell in markdown_cells(course.root / page):
        heading = HEADING.search(cell.text)
        current = heading["id"] if heading else current
        if current == exercise_id and "solution" in cell.tags:
            texts.append(cell.text)
    return Reason(page, "\n\n".join(texts)) if texts else None
