"""Draw the package in docs/architecture.md: its layers, rooms and modules, made from the code.

    $ python tests/setup/architecture.py            writes docs/images/architecture.svg and the table of rooms
    $ python tests/setup/architecture.py --check    exit 1 when they are not of this code

A layer is a row of the picture, and a module imports only from its own row or from those below. A room is a folder;
what a box lists is in the folder. Numbers follow one digest from a workflow run to a deployment.
"""

from __future__ import annotations

import ast
import html
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "chainlab"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms, made by tests/setup/architecture.py -->", "<!-- end of rooms -->"

# From the top; a module imports only from its own row or from those below.
LAYERS = (
    ("cli", "__main__"),
    ("start", "doctor"),
    ("notebook_server",),
    ("__init__",),  # `chainlab.open` leads to lab
    ("lab",),
    ("world",),
    ("services",),
    ("course",),
    ("dashboards",),
    ("deploy",),
    ("ci",),
    ("policy",),
    ("archive",),
    ("registry",),
    ("evidence",),
    ("trust",),
    ("sandbox",),
    ("events",),
    ("visibility", "credentials", "jobs"),
    ("workspace", "database", "storage", "digests", "clock", "names", "shapes", "file_response", "protocol"),
    ("errors",),
    ("display",),
    ("characters",),
)
# One digest on its way, by the room or module where each step happens.
JOURNEY = (
    ("ci.runs", "a job of a workflow run makes the file and stores it"),
    ("registry", "bytes by digest, with the job that stored them"),
    ("ci.runs.job_provenance", "the platform signs what the job stored"),
    ("evidence.signing", "statements become Sigstore bundles"),
    ("trust", "certificate, log entry and timestamp of each signature"),
    ("registry.evidence", "one look-up finds every bundle about the digest"),
    ("policy.facts", "the release is read, its bundles are verified, the facts are written down"),
    ("policy.rego", "the rules decide"),
    ("policy.vsa", "the gate signs its verdict"),
    ("deploy", "promoted with the gate's yes, fetched by digest, hashed again, run"),
    ("archive", "the evidence stays"),
)
WIDTH, MARGIN, GAP = 1180, 12, 8  # pixels
LINE, TITLE, LETTER = 15, 20, 6.1  # pixels: height of a line and of a title, width of a letter
FONT = "ui-sans-serif, system-ui, sans-serif"


@dataclass(frozen=True)
class Box:
    """One module or room of a layer, with the lines that say what is in it."""

    name: str  # dotted, below chainlab
    lines: tuple[tuple[str, str], ...]  # (sub-room or "", its modules)

    def rows(self, width: float) -> list[tuple[str, str]]:
        """The lines as they fit into a box of that width."""
        rows = []
        for room, modules in self.lines:
            label = f"{room}/  " if room else ""
            wrapped = textwrap.wrap(label + modules, max(16, int((width - 2 * MARGIN) / LETTER))) or [label]
            rows += [(room if number == 0 else "", line) for number, line in enumerate(wrapped)]
        return rows


def modules(folder: Path) -> list[str]:
    """Names of the modules right in a folder."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))


def rooms(folder: Path) -> list[Path]:
    """The folders of modules right in a folder."""
    return sorted(path for path in folder.iterdir() if (path / "__init__.py").exists())


def boxes(names: tuple[str, ...]) -> list[Box]:
    """The boxes of one layer."""
    return [Box(name, tuple(_lines(SOURCE / name))) for name in names if not name.startswith("__")]


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        yield "", summary(folder)
        return
    if own := modules(folder):
        yield "", " · ".join(own)
    for room in rooms(folder):
        yield room.name, " · ".join([*modules(room), *(f"{below.name}/" for below in rooms(room))])
        if room.name != "exercises":  # 35 of them, found by their number
            yield from ((f"{room.name}/{below.name}", " · ".join(modules(below))) for below in rooms(room))


def summary(path: Path) -> str:
    """The first line of a room's or module's docstring, without the full stop."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def picture() -> str:
    """The SVG: one row of boxes for each layer."""
    parts: list[str] = []
    top = float(MARGIN)
    steps = {name: [n for n, (place, _) in enumerate(JOURNEY, 1) if place == name] for name, _ in JOURNEY}
    for layer in LAYERS:
        row = boxes(layer)
        if not row:
            continue
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        height = TITLE + 8 + LINE * max(len(box.rows(width)) for box in row)
        for number, box in enumerate(row):
            parts += _drawn(box, MARGIN + number * (width + GAP), top, width, height, steps)
        top += height + GAP
    legend = [f"{number}  {place.replace('.', '/')}: {text}" for number, (place, text) in enumerate(JOURNEY, 1)]
    parts.append(_text(MARGIN, top + LINE, "One digest, from a workflow run to a deployment", bold=True))
    parts += [_text(MARGIN, top + LINE * (n + 2), line) for n, line in enumerate(legend)]
    bottom = round(top + LINE * (len(legend) + 2))
    words = "The package in layers: a module imports only from its own row or from those below."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}"',
            f'  font-family="{FONT}" font-size="11">',
            f"<title>{words}</title>",
            f'<rect width="{WIDTH}" height="{bottom}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _drawn(
    box: Box, left: float, top: float, width: float, height: float, steps: dict[str, list[int]]
) -> Iterator[str]:
    yield (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="4" fill="#f4f6f8" stroke="#5b6770"/>'
    )
    yield _text(left + 8, top + TITLE - 5, box.name, bold=True, size=13)
    numbers = sorted(n for name, all_steps in steps.items() if name.split(".")[0] == box.name for n in all_steps)
    for place, number in enumerate(numbers):
        centre = left + width - 14 - 20 * (len(numbers) - 1 - place)
        yield f'<circle cx="{centre:g}" cy="{top + 13:g}" r="8" fill="#1f2d3a"/>'
        yield _text(centre, top + 17, str(number), bold=True, colour="#ffffff", middle=True)
    for number, (room, line) in enumerate(box.rows(width)):
        rest = line.removeprefix(f"{room}/") if room else line
        start = f'<tspan font-weight="600">{html.escape(room)}/</tspan>' if room else ""
        base = top + TITLE + LINE * (number + 1) - 4
        yield f'<text x="{left + 8:g}" y="{base:g}" fill="#1f2d3a">{start}{html.escape(rest)}</text>'


def _text(
    x: float, y: float, text: str, *, bold: bool = False, size: int = 11, colour: str = "#1f2d3a", middle: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}"{weight}{anchor}>{html.escape(text)}</text>'


def table() -> str:
    """The rooms and single modules as a Markdown table, from the top layer to the lowest."""
    rows = ["| where | what it does |", "|---|---|"]
    for layer in LAYERS:
        for name in layer:
            path = SOURCE / name
            if name.startswith("__"):
                continue
            rows.append(f"| `{name}{'/' if path.is_dir() else '.py'}` | {summary(path)} |")
            rows += [f"| `{name}/{room.name}/` | {summary(room)} |" for room in (rooms(path) if path.is_dir() else [])]
    return "\n".join(rows)


def page(text: str) -> str:
    """The page with today's table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(words: list[str]) -> int:
    """Write both files, or say which is not of this code."""
    wanted = {PICTURE: picture(), PAGE: page(PAGE.read_text(encoding="utf-8"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in words:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not of this code: run python tests/setup/architecture.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
