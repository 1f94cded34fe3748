"""Deliverables: a learner's copy of a template, its place, and which sections are written.

>>> Deliverable("units/01_assessment/assessment.md", {"1. Threat map": True, "2. Inventory": False})
your copy: units/01_assessment/assessment.md, in the file browser at the left
section        so far
1. Threat map  yours
2. Inventory   as in the template
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chainlab.display import Display, Shown
from chainlab.errors import MalformedInput
from chainlab.storage import write_whole

__all__ = ["Deliverable", "begin_deliverable"]


@dataclass(frozen=True, repr=False)
class Deliverable(Shown):
    """A document that a learner hands in."""

    place: str  # path below the folder that JupyterLab shows
    sections: Mapping[str, bool]  # by heading: whether the section differs from the template's

    def _display(self) -> Display:
        rows = [(title, "yours" if written else "as in the template") for title, written in self.sections.items()]
        return Display(f"your copy: {self.place}, in the file browser at the left", ("section", "so far"), rows)


def begin_deliverable(template: Path, copy: Path, place: str) -> Deliverable:
    """Copy a template unless there is a copy, and compare its sections. Raises `MalformedInput` without a template."""
    if not template.is_file():
        names = ", ".join(sorted(path.name for path in template.parent.glob("*.md")))
        raise MalformedInput(f"there is no template {template.name!r}", hint=f"name one of {names}")
    original = template.read_text(encoding="utf-8")
    if not copy.exists():
        write_whole(copy, original)
    begun, blank = _sections(copy.read_text(encoding="utf-8")), _sections(original)
    return Deliverable(place, {title: text != blank.get(title) for title, text in begun.items()})


def _sections(text: str) -> dict[str, str]:
    """Split a text into sections by heading; the part before the first heading is left out."""
    parts = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)[1:]
    return {title.strip(): body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}
