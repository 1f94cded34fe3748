"""Notebook files as pages of text: their markdown cells, and the anchors of their headings."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["HEADING", "MarkdownCell", "anchor", "markdown_cells"]

HEADING = re.compile(r"^## Exercise (?P<id>\d+\.\d+)\b(?P<rest>[^\n]*)", re.MULTILINE)


def anchor(heading: str) -> str:
    """Form the anchor of a heading as JupyterLab does: its shown text, with dashes for spaces.

    >>> anchor("What `act` cannot protect")
    'What-act-cannot-protect'
    """
    return quote(heading.replace("`", "").replace(" ", "-"))


@dataclass(frozen=True)
class MarkdownCell:
    """One cell of text."""

    text: str
    tags: tuple[str, ...]


def markdown_cells(path: Path) -> list[MarkdownCell]:
    """Read the markdown cells of a notebook file, as JSON: nbformat takes 2 s to import.

    Raises `ChainlabError` when the file is missing, and `MalformedInput` if it is not a notebook.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            MarkdownCell("".join(cell["source"]), tuple(cell.get("metadata", {}).get("tags", ())))
            for cell in cells
            if cell["cell_type"] == "markdown"
        ]
    except FileNotFoundError:
        raise ChainlabError(f"{name} is missing", hint="restore it, or run: chainlab build") from None
    except (AttributeError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise MalformedInput(f"{name} is not a notebook", hint="restore it") from error
