"""Check a learner's saved lab: run its notebook cell by cell in a private workspace, as ``chainlab check`` does.

One broken cell does not stop the others. A cell that kills the kernel is left out, and the rest runs again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chainlab.characters import visible
from chainlab.course.authoring import execution
from chainlab.course.authoring.notebook import grade_id, load
from chainlab.course.learner_code import source_digest
from chainlab.course.learning.progress import MARKS, Progress, time_text
from chainlab.course.learning.solution_reasons import solution_page
from chainlab.course.syllabus import Course, Exercise, Unit
from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["Attempt", "CellFinding", "run_saved_lab"]

CELL_SECONDS = 60  # an answer that takes longer counts as endless
# `exit()` would end the kernel some cells later, and the cell that called it could not be named.
EXIT = """\
def _stop():
    raise SystemExit("exit() would end the notebook here")


get_ipython().ask_exit = _stop
del _stop
"""


@dataclass(frozen=True)
class CellFinding:
    """The result of one exercise."""

    exercise: str
    title: str
    points: int
    status: str  # "not attempted", "wrong" or "done"
    message: str = ""
    answer: str = ""  # digest of the saved cell

    def __str__(self) -> str:
        lines = [f"{MARKS[self.status]} {self.exercise} {self.title}: {self.status}"]
        return "\n".join([*lines, *(f"    {line}" for line in self.message.splitlines())])


@dataclass(frozen=True)
class Attempt:
    """The results of all exercises of one lab."""

    unit: str
    seed: int
    findings: tuple[CellFinding, ...]
    file: Path
    saved: datetime
    reasons: str = ""  # the page that explains the right answers, in an edition that has it

    @property
    def complete(self) -> bool:
        """Whether every exercise is done."""
        return all(f.status == "done" for f in self.findings)

    def __str__(self) -> str:
        right = [f for f in self.findings if f.status == "done"]
        total = sum(f.points for f in self.findings)
        lines = [f"{self.file}, saved {time_text(self.saved)}", *(str(f) for f in self.findings)]
        if right and self.reasons:
            lines.append(f"Why the right ones work, and what they still do not prove: {self.reasons}")
        lines.append(
            f"{len(right)} of {len(self.findings)} exercises done, {sum(f.points for f in right)} of {total} points"
        )
        return "\n".join(lines)

    def warnings(self, progress: Progress) -> list[str]:
        """Name saved answers that differ from those last checked in a notebook, and exercises that were done before."""
        warnings = []
        for finding in self.findings:
            entry = progress.of(finding.exercise)
            if entry.answer and entry.answer != finding.answer:
                checked = datetime.fromisoformat(entry.checked)
                then = "save the notebook (Ctrl-S) and check again" if checked > self.saved else "it was changed since"
                warnings.append(
                    f"{finding.exercise}: the last check in a notebook, {time_text(checked)}, ran another answer than"
                    f" the saved one; {then}"
                )
            if entry.best == "done" and finding.status != "done":
                warnings.append(f"{finding.exercise}: done before, and so it stays on the board")
        return warnings

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "unit": self.unit,
            "seed": self.seed,
            "file": str(self.file),
            "saved": self.saved.isoformat(timespec="seconds"),
            "done": self.complete,
            "exercises": [asdict(f) for f in self.findings],
        }


def run_saved_lab(
    course: Course,
    unit: Unit,
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
    seconds: int = CELL_SECONDS,
    copy_of: Callable[[Path, str], Path] = Path.joinpath,
) -> Attempt:
    """Run ``labs/<unit>.ipynb`` with ``seed``. Raises `ChainlabError` when the notebook is missing.

    ``copy_of`` maps a file of the course to the path of the learner's copy, as `Workspace.copy` does.
    """
    import nbformat

    path = copy_of(course.root, f"labs/{unit.id}.ipynb")
    if unit.draft:
        raise MalformedInput(f"unit {unit.id} is a draft: its lab is not written yet")
    try:
        saved = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        lab = load(path)
    except FileNotFoundError:
        raise ChainlabError(f"labs/{path.name} is missing", hint="restore it, or run: chainlab build") from None
    _set_seed(lab, seed)
    lab.cells.insert(0, nbformat.v4.new_code_cell(EXIT, id="exit"))  # type: ignore[no-untyped-call]
    skipped: dict[int, str] = {}
    while True:
        trial = copy.deepcopy(lab)
        for index, reason in skipped.items():
            trial.cells[index].source = f"raise SystemError({reason!r})\n{lab.cells[index].source}"
        say(f"running labs/{path.name}" + (f" without {len(skipped)} cells that end it" if skipped else ""))
        try:
            execution.run(trial, path.parent, keep_going=True, seconds=seconds, root=course.root)
        except execution.CellFailure as error:
            if error.cell in skipped or error.cell < 0:
                raise ChainlabError(f"labs/{path.name} cannot be run: {error.message}") from error
            skipped[error.cell] = "this cell ended the Python process, so it was left out"
            continue
        break
    return Attempt(
        unit.id,
        seed,
        tuple(_judge(trial, e) for e in unit.exercises),
        path,
        saved,
        solution_page(course, unit),
    )


def _set_seed(lab: Any, seed: int) -> None:
    """Set the seed as papermill does: by a cell below the parameters cell."""
    import nbformat

    for position, cell in enumerate(lab.cells):
        if "parameters" in cell.metadata.get("tags", []):
            lab.cells.insert(position + 1, nbformat.v4.new_code_cell(f"seed = {seed:d}", id="seed"))  # type: ignore[no-untyped-call]
            return


def _judge(lab: Any, exercise: Exercise) -> CellFinding:
    answer = _cell(lab, grade_id("exercise", exercise.id))
    digest = source_digest(answer.source) if answer is not None else ""

    def finding(status: str, message: str = "") -> CellFinding:
        return CellFinding(exercise.id, exercise.title, exercise.points, status, visible(message, lines=True), digest)

    check = _cell(lab, grade_id("check", exercise.id))
    restore = f"restore it from the course's copy of labs/ (grade_id {grade_id('check', exercise.id)})"
    if check is None:
        return finding("wrong", f"the check cell is missing\nHelp: {restore}")
    if f'lab.check("{exercise.id}"' not in check.source:
        return finding(
            "wrong",
            f"the check cell was changed: it no longer checks {exercise.id}\nHelp: {restore}",
        )
    error = _error(check)
    if error is None:
        if any(text.startswith(f"{MARKS['done']} {exercise.id} right") for text in _results(check)):
            return finding("done")
        return finding("wrong", f"the check cell gave no result\nHelp: {restore}")
    if error.ename == "NotAttempted":
        return finding("not attempted")
    if error.ename == "Incorrect":
        return finding("wrong", error.evalue)
    cause = _error(answer) if answer is not None else None
    if cause is not None and cause.ename == "NotImplementedError" and cause.evalue == f"exercise {exercise.id}":
        return finding("not attempted")
    if cause is not None:
        return finding("wrong", f"the exercise's cell fails: {_error_line(cause)}")
    if answer is None:
        return finding("wrong", f"the exercise's cell is missing\nHelp: {restore}")
    first = _first_error(lab)
    if first is not None and first is not error and error.ename == "NameError":
        return finding("wrong", f"{_error_line(error)}\nAn earlier cell failed: {_error_line(first)}")
    return finding("wrong", f"the check could not run: {_error_line(error)}")


def _cell(lab: Any, name: str) -> Any:
    for cell in lab.cells:
        grading = cell.metadata.get("nbgrader")
        if cell.cell_type == "code" and isinstance(grading, dict) and grading.get("grade_id") == name:
            return cell
    return None


def _error(cell: Any) -> Any:
    return next((o for o in cell.outputs if o.output_type == "error"), None)


def _first_error(lab: Any) -> Any:
    return next((e for c in lab.cells if c.cell_type == "code" for e in [_error(c)] if e), None)


def _results(cell: Any) -> list[str]:
    return [o.data.get("text/plain", "") for o in cell.outputs if o.output_type == "execute_result"]


def _error_line(error: Any) -> str:
    return f"{error.ename}: {error.evalue}".splitlines()[0][:300]
