"""Reasons: the text that explains an exercise's solution, read from the course's solutions.

The reason is the markdown tagged ``solution`` below the exercise's heading in ``solutions/<unit>.ipynb``. An edition
for graded courses has no such folder, and so shows no reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainlab.characters import visible
from chainlab.course.learning.notebook_pages import HEADING, markdown_cells
from chainlab.course.syllabus import Course, Unit

__all__ = ["Reason", "reason_of", "solution_page"]


@dataclass(frozen=True)
class Reason:
    """The text that explains why a solution is right."""

    page: str  # solutions/01_assessment.ipynb
    markdown: str

    def to_html(self) -> str:
        """Render the markdown; HTML within it is shown as text."""
        import mistune  # here, because only notebooks show reasons

        return str(
            mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(visible(self.markdown, lines=True))
        )


def solution_page(course: Course, unit: Unit) -> str:
    """The path of a unit's solutions below the course's folder; empty in an edition without them."""
    page = f"solutions/{unit.id}.ipynb"
    return page if (course.root / page).is_file() else ""


def reason_of(course: Course, exercise_id: str) -> Reason | None:
    """Find the reason of an exercise; None without solutions, or without a reason there."""
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
