"""Links: references in a lesson's text, as links that work in JupyterLab and on a web page.

An author writes ``01_threats`` or ``labs/01_assessment.ipynb`` as a code span, and "exercise 2.6" as plain words. The
derived notebook has a relative link in their place. Learners' copies lie in folders of the same names, so the link
also works there. A link's text is not a code span, because JupyterLab would show it in the colours of code.

    >>> references = References({"01_threats": "notebooks/01_threats.ipynb"}, {})
    >>> references.link("Read `01_threats` first.", "labs/01_assessment.ipynb")
    'Read [01_threats](../notebooks/01_threats.ipynb) first.'
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from chainlab.course.learning.notebook_pages import anchor
from chainlab.course.syllabus import Course, Exercise

__all__ = ["References"]

FOLDERS = ("notebooks/", "labs/", "solutions/", "docs/", "templates/")
PAGES = (".ipynb", ".md")
SPAN = re.compile(r"(?<![`\[])`(?P<name>[\w./-]+)`(?![`\]])")
NUMBER = re.compile(r"\b(?P<words>[Ee]xercise (?P<id>\d+\.\d+))\b(?!\])")
FENCE = re.compile(r"^ {0,3}(?:```|~~~)")


@dataclass(frozen=True)
class References:
    """The pages and exercises that texts may refer to; paths are relative to the course, with forward slashes."""

    targets: Mapping[str, str]  # 01_threats -> notebooks/01_threats.ipynb; docs/glossary.md -> itself
    exercises: Mapping[str, tuple[str, str]]  # 1.2 -> the lab's stem, the anchor of its heading

    @classmethod
    def of(cls, course: Course) -> References:
        """Collect a course's lessons, labs, solutions, exercises, docs and templates."""
        walkthroughs = {part.file: f"notebooks/{part.file}.ipynb" for unit in course.written for part in unit.lessons}
        labs = {unit.id: f"labs/{unit.id}.ipynb" for unit in course.written}
        paths = [
            *walkthroughs.values(),
            *labs.values(),
            *(f"solutions/{unit.id}.ipynb" for unit in course.written),
            *(
                path.relative_to(course.root).as_posix()
                for folder in ("docs", "templates")
                for path in (course.root / folder).rglob("*.md")
            ),
        ]
        return cls(
            targets=labs | walkthroughs | {path: path for path in paths},  # a walkthrough's name wins over a lab's
            exercises={e.id: (unit.id, anchor(_heading(e))) for unit in course.written for e in unit.exercises},
        )

    def link(self, markdown: str, page: str) -> str:
        """Turn the references of ``markdown``, which stands on ``page``, into links.

        Headings, fenced code, existing links and references to ``page`` itself stay as they are.
        """
        lines = []
        fenced = False
        for line in markdown.split("\n"):
            fence = FENCE.match(line) is not None
            fenced ^= fence
            lines.append(line if fenced or fence or line.startswith("#") else self._line(line, page))
        return "\n".join(lines)

    def unresolved(self, markdown: str) -> Iterator[str]:
        """Yield each path in a code span that names a missing page."""
        for span in SPAN.finditer(markdown):
            name = span["name"]
            if name.startswith(FOLDERS) and name.endswith(PAGES) and name not in self.targets:
                yield name

    def _line(self, line: str, page: str) -> str:
        def span(match: re.Match[str]) -> str:
            target = self.targets.get(match["name"])
            return f"[{match['name']}]({_relative(target)})" if target and target != page else match[0]

        def number(match: re.Match[str]) -> str:
            place = self.exercises.get(match["id"])
            if place is None:
                return match[0]
            stem, heading = place
            here = page in (f"labs/{stem}.ipynb", f"solutions/{stem}.ipynb")
            return f"[{match['words']}]({'' if here else _relative(f'labs/{stem}.ipynb')}#{heading})"

        return NUMBER.sub(number, SPAN.sub(span, line))


def _relative(target: str) -> str:
    """The link to a page from any other; all lie one folder deep."""
    return f"../{quote(target)}"


def _heading(exercise: Exercise) -> str:
    """The heading of an exercise in its lab."""
    points = f"{exercise.points} point{'s' * (exercise.points != 1)}"
    return f"Exercise {exercise.id} — {exercise.title} ({points})"
