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
    ("monitor",),
    ("deploy",),
    ("ci",),
    ("policy",),
    ("archive",),
    ("registry",),
    ("evidence",),
    ("trust",),
    ("sandbox",),
    ("visibility", "credentials", "token_events"),
    ("events", "event_types", "jobs"),
    ("workspace", "database", "storage", "digests", "clock", "names", "shapes", "file_response", "protocol"),
    ("errors",),
    ("display",),
    ("characters",),
)
# One digest on its way, by the module where each step happens. Steps 1 to 6 repeat for each job of the run.
JOURNEY = (
    (
        "ci.runs.workflow_run",
        "a job makes a file and stores it, for later jobs (`ci/services`) or in the registry",
    ),
    ("registry.job_writes", "the registry keeps bytes by digest, and which job's credential brought them"),
    ("evidence.signing", "what the job states (SBOM, ML-BOM, model signature) becomes a Sigstore bundle"),
    ("trust.instance", "each signature gets a certificate, a log entry and a timestamp"),
    ("ci.runs.job_provenance", "when the job has ended, the platform signs what it stored"),
    ("ci.runs.handover", "the next job verifies a file before it uses it"),
    ("deploy.app", "the last jobs ask for a verdict and for promotion: `Deployment` asks the gate, each time anew"),
    ("policy.gate", "one verdict, from the facts to the signature: steps 9 to 12"),
    ("registry.evidence", "one look-up finds every bundle about the release"),
    ("policy.facts", "the release is read, its bundles are verified, the facts are written down"),
    ("policy.rego", "the rules decide on the facts"),
    ("policy.vsa", "the gate signs its verdict"),
    ("archive.archive", "promotion archives the evidence first"),
    ("registry.channels", "then it enters the release in prod"),
    ("deploy.admission", "`chainlab deploy` fetches by digest, hashes again and checks the verdict"),
    ("deploy.prediction_service", "the service runs, under an audit hook (`deploy/audit_hook.py`)"),
    ("monitor.reverification", "what runs is verified again, and its behaviour compared with what is attested"),
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


def steps_of(place: str) -> str:
    """The numbers of the steps that happen in a room or module, such as "(9)"; empty for most."""
    return "".join(f"({number})" for number, (name, _) in enumerate(JOURNEY, 1) if name == place)


def boxes(names: tuple[str, ...]) -> list[Box]:
    """The boxes of one layer."""
    return [Box(name, tuple(_lines(SOURCE / name))) for name in names if not name.startswith("__")]


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        yield "", summary(folder)
        return
    if own := _listed(folder):
        yield "", " · ".join(own)
    for room in rooms(folder):
        inner = [f"{below.name}/" for below in rooms(room)]
        numbers = steps_of(f"{folder.name}.{room.name}")
        yield room.name, f"{numbers}{'  ' if numbers else ''}{' · '.join([*_listed(room), *inner])}"
        if room.name != "exercises":  # 35 of them, found by their number
            yield from ((f"{room.name}/{below.name}", " · ".join(_listed(below))) for below in rooms(room))


def _listed(folder: Path) -> list[str]:
    """The modules of a folder, each with the numbers of its steps."""
    place = ".".join(folder.relative_to(SOURCE).parts)
    return [" ".join(filter(None, (name, steps_of(f"{place}.{name}")))) for name in modules(folder)]


def summary(path: Path) -> str:
    """The first line of a room's or module's docstring, without the full stop."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".").replace("``", "`")


def picture() -> str:
    """The SVG: one row of boxes for each layer."""
    parts: list[str] = []
    top = float(MARGIN)
    for layer in LAYERS:
        row = boxes(layer)
        if not row:
            continue
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        height = TITLE + 8 + LINE * max(len(box.rows(width)) for box in row)
        for number, box in enumerate(row):
            parts += _drawn(box, MARGIN + number * (width + GAP), top, width, height)
        top += height + GAP
    bottom = round(top + MARGIN)
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


def _drawn(box: Box, left: float, top: float, width: float, height: float) -> Iterator[str]:
    yield (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="4" fill="#f4f6f8" stroke="#5b6770"/>'
    )
    yield (
        f'<text x="{left + 8:g}" y="{top + TITLE - 5:g}" font-size="13" fill="#1f2d3a" font-weight="600">'
        f"{html.escape(box.name)}</text>"
    )
    for number, (room, line) in enumerate(box.rows(width)):
        rest = line.removeprefix(f"{room}/") if room else line
        start = f'<tspan font-weight="600">{html.escape(room)}/</tspan>' if room else ""
        base = top + TITLE + LINE * (number + 1) - 4
        yield f'<text x="{left + 8:g}" y="{base:g}" fill="#1f2d3a">{start}{html.escape(rest)}</text>'


def table() -> str:
    """The steps of the digest as a list, then the rooms and single modules as a table, in Markdown."""
    steps = []
    for number, (place, text) in enumerate(JOURNEY, 1):
        where = place.replace(".", "/") + ("/" if SOURCE.joinpath(*place.split(".")).is_dir() else ".py")
        steps.append(f"{number}. `{where}`: {text}")
    rows = ["| where | what it does |", "|---|---|"]
    for layer in LAYERS:
        for name in layer:
            path = SOURCE / name
            if name.startswith("__"):
                continue
            rows.append(f"| `{name}{'/' if path.is_dir() else '.py'}` | {summary(path)} |")
            rows += [f"| `{name}/{room.name}/` | {summary(room)} |" for room in (rooms(path) if path.is_dir() else [])]
    return "\n".join(["One digest, from a workflow run to a deployment:", "", *steps, "", *rows])


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
