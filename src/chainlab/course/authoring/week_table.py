"""The README's table of weeks, rendered from the syllabus between two markers.

<!-- weeks -->
| Week | Unit | … |
<!-- /weeks -->
"""

from __future__ import annotations

import re

from chainlab.course.syllabus import Course, Unit

__all__ = ["refresh", "week_table"]

OPENING, CLOSING = "<!-- weeks -->", "<!-- /weeks -->"


def week_table(course: Course) -> str:
    """Render the table as markdown: one row per unit, with its hours by kind of work."""
    lines = [
        "| Week | Unit | What you do | What you make | Hours |",
        "|---|---|---|---|---|",
        *(_row(u) for u in course.units),
    ]
    counted = sum(u.hours.total for u in course.units if u.counted)
    drafts = [str(u.week) for u in course.units if u.draft]
    lines += [
        "",
        f"{counted:g} hours in all. Hours: total (reading · walkthrough · lab · deliverable · review).",
    ]
    if drafts:
        lines.append(f"*Draft*: planned and not written yet (weeks {', '.join(drafts)}).")
    return "\n".join(lines)


def refresh(text: str, course: Course) -> str:
    """Renew the table between the markers of ``text``; a text without markers stays as it is."""
    pattern = re.compile(re.escape(OPENING) + r".*?" + re.escape(CLOSING), re.DOTALL)
    return pattern.sub(lambda _: f"{OPENING}\n{week_table(course)}\n{CLOSING}", text, count=1)


def _row(unit: Unit) -> str:
    name = unit.title.replace("|", "\\|")
    if unit.draft:
        name += " *(draft)*"
    elif unit.lessons:
        first = unit.lessons[0].file
        name = f"[{name}](notebooks/{first}.ipynb)"
    hours = unit.hours
    split = " · ".join(f"{h:g}" for h in (hours.reading, hours.walkthrough, hours.lab, hours.deliverable, hours.review))
    total = f"{hours.total:g}" if unit.counted else f"3–5, outside the {100}"
    return f"| {unit.week} | {name} | {unit.activity} | {unit.makes} | {total} ({split}) |"
