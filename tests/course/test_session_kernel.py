"""Checks in a running session: a notebook that somebody opened goes on, whatever runs one by itself fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from chainlab.course.authoring.notebook import dump, grade_id, load
from chainlab.course.learner_code import source_digest
from chainlab.course.learning.progress import Progress, ProgressFile
from chainlab.course.saved_lab import Attempt, CellFinding
from chainlab.services import Server
from chainlab.workspace import Workspace

pytestmark = [pytest.mark.notebooks, pytest.mark.usefixtures("cache")]

ROOT = Path(__file__).parents[2]
OPEN = 'import hashlib\nfrom pathlib import Path\n\nimport chainlab\n\nlab = chainlab.open("01_assessment")'
CHECK = 'lab.check("1.1", verify_manifest)'


def of_lab(part: str, edition: str = "labs") -> Any:
    """A cell of exercise 1.1, with the metadata that graders go by: ``exercise`` or ``check``."""
    cells = load(ROOT / edition / "01_assessment.ipynb").cells
    return next(c for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id(part, "1.1"))


STARTER, RIGHT = (of_lab("exercise", edition).source for edition in ("labs", "solutions"))
SPLITS_AT_SPACES = RIGHT.replace('split("  ", 1)', "split()")


def notebook(*cells: Any) -> Any:
    v4: Any = nbformat.v4
    document = v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    document.cells = [v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return document


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with its services, as `chainlab start` leaves them to its kernels and terminals."""
    workspace = Workspace(tmp_path_factory.mktemp("session"))
    with Server(workspace.trust), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINLAB_WORKSPACE", str(workspace.path))
        patch.setenv("CHAINLAB_COURSE", str(ROOT))
        patch.delenv("JPY_SESSION_NAME", raising=False)
        yield workspace


@pytest.fixture(scope="module")
def ran(session: Workspace) -> Any:
    """A notebook that was opened in the session, after Run All."""
    document = notebook(
        OPEN,
        STARTER,
        CHECK,
        SPLITS_AT_SPACES,
        CHECK,
        "\n" + RIGHT + "  ",
        CHECK,
        'root, manifest = lab.case("1.1", "two files swapped")\nprint("went on:", len(manifest.splitlines()), "files")',
        'lab.case("1.1", "two files swapped", seed=3)',
    )
    environment = os.environ | {"JPY_SESSION_NAME": "labs/01_assessment.ipynb"}
    NotebookClient(document, kernel_name="python3", timeout=120).execute(env=environment)
    return document


def shown(ran: Any, cell: int, kind: str = "text/plain") -> str:
    (output,) = ran.cells[cell].outputs
    return str(output["text"] if kind == "stdout" else output["data"][kind])


def test_run_all_goes_on_after_a_check_that_fails(ran: Any) -> None:
    assert shown(ran, 2).startswith("· exercise 1.1 is not attempted yet\n  Help: replace the line")
    assert shown(ran, 4).startswith("✘ exercise 1.1, case '")
    assert shown(ran, 6).startswith("✔ 1.1 right, 4 points (")
    assert shown(ran, 7, "stdout").startswith("went on: ")


def test_not_attempted_is_not_red_and_no_colour_stands_alone(ran: Any) -> None:
    forms = [shown(ran, cell, "text/html") for cell in (2, 4, 6)]
    assert [f.count("#b42318") > 0 for f in forms] == [False, True, False]
    assert [f.count("#1a7f37") > 0 for f in forms] == [False, False, True]
    for form, word in zip(forms, ("· not attempted", "✘ wrong", "✔ right"), strict=True):
        assert f">{word}</strong>" in form


def test_the_learners_own_line_is_shown(ran: Any) -> None:
    text = shown(ran, 4)
    assert "raised ValueError: too many values to unpack (expected 2)" in text
    number = SPLITS_AT_SPACES.splitlines().index("        digest, path = line.split()") + 1
    line = f"line {number}: digest, path = line.split()"
    assert f"\n  At: {line}\n" in text
    assert f"<code>{line}</code>" in shown(ran, 4, "text/html")


def test_a_failing_case_can_be_played_with(ran: Any) -> None:
    assert '\n  To try it: lab.case("1.1", "' in shown(ran, 4)
    assert shown(ran, 8).startswith("exercise 1.1, case 'two files swapped', generated from seed 3: 2 arguments\n")
    assert shown(ran, 8).endswith('To try it: your_function(*lab.case("1.1", "two files swapped", seed=3))')


def test_a_right_answer_is_shown_the_reason_of_the_solution(ran: Any) -> None:
    reference = "Why it works, and what it still does not prove: solutions/01_assessment.ipynb, 1.1"
    assert shown(ran, 6).splitlines()[1].strip() == reference
    form = shown(ran, 6, "text/html")
    assert "<details><summary>Why it works" in form
    assert "<strong>Why.</strong> A list of good files says nothing" in form
    assert 'href="../solutions/01_assessment.ipynb"' in form


def test_the_board_knows_which_answer_the_notebook_checked(ran: Any, session: Workspace) -> None:
    entry = ProgressFile(session.path / "progress.json").read().of("1.1")
    assert (entry.best, entry.attempts) == ("done", 2)
    assert entry.answer == source_digest(RIGHT)


def test_an_unsaved_answer_is_told(ran: Any, session: Workspace) -> None:
    progress = ProgressFile(session.path / "progress.json").read()
    checked = datetime.fromisoformat(progress.of("1.1").checked)

    def warnings(saved_answer: str, saved: datetime, status: str, progress: Progress = progress) -> list[str]:
        finding = CellFinding("1.1", "t", 4, status, answer=source_digest(saved_answer))
        return Attempt("01_assessment", 1, (finding,), Path("labs/x.ipynb"), saved).warnings(progress)

    before, after = checked - timedelta(minutes=1), checked + timedelta(minutes=1)
    unsaved, kept = warnings(STARTER, before, "not attempted")
    assert "ran another answer than the saved one; save the notebook (Ctrl-S) and check again" in unsaved
    assert kept == "1.1: done before, and so it stays on the board"
    assert warnings(STARTER, after, "not attempted")[0].endswith("; it was changed since")
    assert warnings(RIGHT, after, "done") == []
    assert warnings(STARTER, after, "wrong", Progress()) == []


ENGINES: dict[str, Callable[[Path], list[str]]] = {
    "nbval": lambda path: [
        *("pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(path.parent), "-q"),
        *("--nbval-lax", "--nbval-kernel-name=python3", str(path)),
    ],
    "papermill": lambda path: ["papermill", str(path), str(path.with_suffix(".out")), "-k", "python3"],
    "nbgrader": lambda path: ["nbgrader", "validate", path.name],
}
FAILS = {
    "nbval": "1 failed, 2 passed",
    "papermill": "NotAttempted: exercise 1.1",
    "nbgrader": "NotAttempted: exercise 1.1",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_in_a_terminal_of_the_session_every_engine_fails_the_cell(
    engine: str, session: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "lab.ipynb"
    path.write_text(dump(notebook(OPEN, of_lab("exercise"), of_lab("check"))))
    completed = subprocess.run(
        [sys.executable, "-m", *ENGINES[engine](path)],
        cwd=tmp_path,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert FAILS[engine] in completed.stdout + completed.stderr
