"""The progress board: every written exercise with its best and its last result, as text, JSON or HTML."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from chainlab.characters import visible
from chainlab.course.learning.progress import MARKS, Progress
from chainlab.course.syllabus import Course, Unit

__all__ = ["Board"]


@dataclass(frozen=True, repr=False)
class Board:
    """A learner's progress beside the course's exercises."""

    course: Course
    progress: Progress

    def __str__(self) -> str:
        lines: list[str] = []
        for unit in self.course.written:
            lines.append(self._headline(unit))
            for exercise in unit.exercises:
                entry = self.progress.of(exercise.id)
                details = [f"{exercise.points} p"]
                details += [f"{entry.attempts} tried"] if entry.attempts else []
                details += [f"{entry.hints} hints"] if entry.hints else []
                details += [f"{(entry.active + 30) // 60} of {exercise.minutes} min"] if entry.active >= 60 else []
                lines.append(f"  {MARKS[entry.best]} {exercise.id} {exercise.title}: {entry} ({', '.join(details)})")
                lines += [f"      {line}" for line in visible(entry.message, lines=True).splitlines()]
        drafts = [str(u.week) for u in self.course.units if u.draft]
        if drafts:
            lines.append(f"Weeks {', '.join(drafts)}: draft, not written yet")
        return "\n".join(lines)

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Give plain data: units with their exercises, and the counts by status."""
        return {
            "counts": self.progress.counts(self.course),
            "units": [
                {
                    "id": unit.id,
                    "draft": unit.draft,
                    "exercises": [
                        {
                            "id": e.id,
                            "title": e.title,
                            "points": e.points,
                            **asdict(self.progress.of(e.id)),
                        }
                        for e in unit.exercises
                    ],
                }
                for unit in self.course.units
            ],
        }

    def _repr_html_(self) -> str:
        rows = []
        for unit in self.course.written:
            rows.append(f'<tr><th colspan="4" style="text-align:left">{escape(self._headline(unit))}</th></tr>')
            for exercise in unit.exercises:
                entry = self.progress.of(exercise.id)
                cells = (
                    exercise.id,
                    exercise.title,
                    f"{MARKS[entry.best]} {entry}",
                    visible(entry.message, lines=True).partition("\n")[0],
                )
                rows.append("<tr>" + "".join(f'<td style="text-align:left">{escape(c)}</td>' for c in cells) + "</tr>")
        return (
            "<table><caption>Your progress</caption>"
            '<tr><th scope="col">exercise</th><th scope="col">title</th><th scope="col">status</th>'
            f'<th scope="col">last message</th></tr>{"".join(rows)}</table>'
        )

    def _headline(self, unit: Unit) -> str:
        completed = [e for e in unit.exercises if self.progress.of(e.id).best == "done"]
        points = sum(e.points for e in completed)
        return (
            f"Week {unit.week} · {unit.title} — {len(completed)} of {len(unit.exercises)} done,"
            f" {points} of {unit.points} points"
        )
