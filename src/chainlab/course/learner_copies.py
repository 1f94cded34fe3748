"""The learner's copies of notebooks, labs, solutions, docs and templates: the files that JupyterLab shows and saves.

    DESK/notebooks/ labs/ solutions/ docs/ templates/    copies of the course's files
    DESK/data                                            a link to the course's data, read only
    DESK/units/ID/                                       working files of a unit, with its deliverables
    WORKSPACE/copies.json                                the version of the course that each copy was made from

`renew` brings them up to date: an unchanged copy follows the course, a copy that the learner changed stays as it is. A
notebook counts as changed when the text of a cell is; outputs and metadata, which JupyterLab writes by itself, do not.
`fresh_copy` gives a fresh copy and keeps the old one under a name with its date. The clone itself is only read.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from filelock import FileLock

from chainlab.course.authoring.lesson_source import LessonSource
from chainlab.course.authoring.links import References
from chainlab.course.authoring.notebook import Edition, derive
from chainlab.course.syllabus import load
from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.storage import write_whole
from chainlab.workspace import Workspace

__all__ = ["Renewal", "fresh_copy", "renew"]

FOLDERS = ("notebooks", "labs", "solutions", "docs", "templates")
WRITABLE: dict[str, Edition] = {"notebooks": "notebooks", "labs": "labs"}  # where learners write
NOTEBOOK = ".ipynb"


@dataclass(frozen=True)
class Renewal:
    """The copies that need a word to the learner; names as ``labs/01_assessment.ipynb``."""

    taken: tuple[str, ...] = ()  # the learner had worked in the clone itself; that work is now the copy
    newer: tuple[str, ...] = ()  # the learner changed the copy, and the course has a newer one

    def __str__(self) -> str:
        lines = [
            f"somebody wrote into the clone's {name}: that is your copy now (git restore {name} makes the clone clean)"
            for name in self.taken
        ]
        lines += [
            f"the course has a newer {name}; yours is kept (chainlab fresh {name.removesuffix(NOTEBOOK)} brings it)"
            for name in self.newer
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Origin:
    """The course's file that a copy was made from."""

    file: str  # digest of its bytes
    text: str  # digest of the text that a learner can change in it


def renew(root: Path, workspace: Workspace) -> Renewal:
    """Make missing copies, and renew those that the learner did not change."""
    desk = workspace.desk
    _move_units(workspace)
    _link_data(root, desk)
    taken, newer = [], []
    references = functools.cache(lambda: References.of(load(root)))
    with _origins(workspace) as origins:
        names = _names(root)
        for name in names:
            data, copy = (root / name).read_bytes(), desk / name
            now = _Origin(str(Digest.of(data)), _text(name, data))
            before = origins.get(name)
            if not copy.is_file():
                origin = now
                if before is None and (authored := _authored(root, name, references)) not in (None, now.text):
                    taken.append(name)
                    origin = _Origin(now.file, str(authored))
                write_whole(copy, data)
                origins[name] = origin
            elif before is None or before.file != now.file:
                mine = _text(name, copy.read_bytes())
                if mine == now.text or (before is not None and mine == before.text):
                    write_whole(copy, data)
                    origins[name] = now
                elif before is None or before.text != now.text:
                    newer.append(name)
        for name in origins.keys() - set(names):  # the course no longer has it
            copy = desk / name
            if copy.is_file() and _text(name, copy.read_bytes()) == origins[name].text:
                copy.unlink()
            del origins[name]
    return Renewal(tuple(taken), tuple(newer))


def fresh_copy(root: Path, workspace: Workspace, name: str) -> tuple[str, Path | None]:
    """Make a fresh copy of a lab or walkthrough by its name, or of a file by its path, such as ``docs/glossary.md``.

    Returns the copy's name, and the path of the old copy, or None when it held no work of the learner's. Raises
    `MalformedInput` for an unknown or ambiguous name.
    """
    chosen = _choose(_names(root), name)
    with _origins(workspace) as origins:
        data, copy = (root / chosen).read_bytes(), workspace.desk / chosen
        now = _Origin(str(Digest.of(data)), _text(chosen, data))
        kept = None
        if copy.is_file():
            before = origins.get(chosen)
            if _text(chosen, copy.read_bytes()) not in (now.text, before.text if before else now.text):
                kept = copy.rename(_dated(copy))
        write_whole(copy, data)
        origins[chosen] = now
    return chosen, kept


def _choose(names: list[str], name: str) -> str:
    stem = name.removesuffix(NOTEBOOK)
    paths = [n for n in names if stem in (n, n.removesuffix(NOTEBOOK)) or name == n]
    matches = paths or [
        n for n in names if Path(n).suffix == NOTEBOOK and Path(n).stem == stem and Path(n).parts[0] in WRITABLE
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise MalformedInput(f"{name!r} names more than one file", hint=f"name one of {', '.join(matches)}")
    raise MalformedInput(
        f"there is no copy {name!r}", hint="name a lab or a walkthrough, as in labs/01_assessment or 01_threats"
    )


def _dated(copy: Path) -> Path:
    """A free name beside the copy: with today's date, and a number from the day's second on."""
    today, number, path = date.today().isoformat(), 1, copy
    while path.exists():
        path = copy.with_stem(f"{copy.stem}-{today}" + (f"-{number}" if number > 1 else ""))
        number += 1
    return path


def _names(root: Path) -> list[str]:
    """The course's files that are copied for learners, as ``labs/01_assessment.ipynb``."""
    files = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file())
    names = (path.relative_to(root) for path in files)
    return [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]


def _text(name: str, data: bytes) -> str:
    """The digest of the text that a person writes: a notebook's cell sources, every byte of another file."""
    if name.endswith(NOTEBOOK):
        try:
            cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(data)["cells"]]
            return str(Digest.of(json.dumps(cells).encode()))
        except (ValueError, LookupError, TypeError, RecursionError):
            pass  # no longer a notebook: every byte counts
    return str(Digest.of(data))


def _authored(root: Path, name: str, references: Callable[[], References]) -> str | None:
    """The `_text` of a notebook as its lesson derives it, whoever worked in the clone's; None without a lesson."""
    path = Path(name)
    edition = WRITABLE.get(path.parts[0])
    source = root / "lessons" / f"{path.stem}{'_lab' if edition == 'labs' else ''}.py"
    if edition is None or not source.is_file():
        return None
    try:
        return _text(name, json.dumps(derive(LessonSource.read(source), edition, references())).encode())
    except MalformedInput:  # an author at work
        return None


def _move_units(workspace: Workspace) -> None:
    """Move the units' folders of an older workspace to the desk; a link stays at the old path."""
    old, new = workspace.path / "units", workspace.desk / "units"
    if old.is_symlink() or not old.is_dir():
        return
    for folder in old.iterdir():
        if not (new / folder.name).exists():
            folder.rename(new / folder.name)
    if not any(old.iterdir()):
        old.rmdir()
        _link(old, new)


def _link_data(root: Path, desk: Path) -> None:
    link = desk / "data"
    if link.is_symlink() and link.resolve() != (root / "data").resolve():
        link.unlink()  # the clone was moved
    if not link.exists() and (root / "data").is_dir():
        _link(link, root / "data")


def _link(link: Path, target: Path) -> None:
    """Make a link where the user may (on Windows not everybody may); nothing depends on it."""
    with contextlib.suppress(OSError):
        link.symlink_to(target)


@contextlib.contextmanager
def _origins(workspace: Workspace) -> Iterator[dict[str, _Origin]]:
    """The origins of all copies, to change; they are saved when the block ends without an error."""
    file = workspace.path / "copies.json"
    with FileLock(file.with_suffix(".lock")):
        try:
            origins = {str(k): _Origin(str(v["file"]), str(v["text"])) for k, v in json.loads(file.read_text()).items()}
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            origins = {}  # lost or damaged: every copy that differs from the course counts as changed
        yield origins
        kept = {name: {"file": o.file, "text": o.text} for name, o in sorted(origins.items())}
        write_whole(file, json.dumps(kept, indent=1) + "\n")
