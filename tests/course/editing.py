"""Changing a made-up course as authors and learners do."""

from __future__ import annotations

from pathlib import Path

from chainlab.course.authoring.lesson_source import LessonSource
from chainlab.course.authoring.links import References
from chainlab.course.authoring.notebook import derive, dump
from chainlab.course.syllabus import Course


def edit(path: Path, old: str, new: str) -> None:
    """Replace ``old``, which must be there once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def answer_lab(course: Course, answers: dict[str, str]) -> Path:
    """Put answers into the made-up lab: exercise id to the text of its cell."""
    path = course.root / "labs" / "09_numbers.ipynb"
    lesson = LessonSource.read(course.root / "lessons" / "09_numbers_lab.py")
    notebook = derive(lesson, "labs", References.of(course))
    for cell in notebook.cells:
        grading = cell.metadata.get("nbgrader", {})
        for exercise, text in answers.items():
            if grading.get("grade_id") == f"exercise-{exercise.replace('.', '-')}":
                cell.source = text
    path.write_text(dump(notebook), encoding="utf-8")
    return path
