"""An unanswered and a wrong cell fail under every engine: chainlab, plain nbval, papermill, nbgrader."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from editing import answer_lab, edit

from chainlab.course.authoring.notebook import load
from chainlab.course.saved_lab import run_saved_lab
from chainlab.course.syllabus import Course

WRONG = "def largest(numbers):\n    return max(numbers, default=0)"
RIGHT = "def total(numbers):\n    return sum(numbers)"
RIGHT_TOO = "def largest(numbers):\n    return max(numbers, default=None)"

ANSWERS: dict[str, dict[str, str]] = {
    "not attempted": {"9.2": RIGHT_TOO},
    "incorrect": {"9.1": RIGHT, "9.2": WRONG},
}
ALL_RIGHT = {"9.1": RIGHT, "9.2": RIGHT_TOO}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )


def nbval(*paths: Path, options: Sequence[str] = ("--nbval-lax",)) -> tuple[int, int]:
    """Cells that passed and failed under plain pytest with nbval."""
    root = paths[0].parents[1]
    completed = run(
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        root,
        "-q",
        *options,
        "--nbval-kernel-name=python3",
        *paths,
        cwd=root,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", completed.stdout)}
    assert counts, completed.stdout + completed.stderr
    return counts.get("passed", 0), counts.get("failed", 0)


@pytest.mark.notebooks
@pytest.mark.parametrize("kind", ANSWERS)
def test_chainlab_fails_the_cell_and_goes_on(built: Course, kind: str) -> None:
    answer_lab(built, ANSWERS[kind])
    outcome = run_saved_lab(built, built.unit("9"))
    assert not outcome.complete
    assert [f.status for f in outcome.findings] == {
        "not attempted": ["not attempted", "done"],
        "incorrect": ["done", "wrong"],
    }[kind]


@pytest.mark.notebooks
@pytest.mark.parametrize("kind", ANSWERS)
def test_plain_nbval_fails_the_cell(built: Course, kind: str) -> None:
    assert nbval(answer_lab(built, ANSWERS[kind]))[1] == 1


@pytest.mark.notebooks
def test_plain_nbval_passes_right_answers(built: Course) -> None:
    assert nbval(answer_lab(built, ALL_RIGHT))[1] == 0


@pytest.mark.notebooks
@pytest.mark.parametrize("kind", ANSWERS)
def test_papermill_fails_the_cell_without_a_traceback_of_ours(built: Course, kind: str, tmp_path: Path) -> None:
    path = answer_lab(built, ANSWERS[kind])
    completed = run(
        "papermill",
        path,
        tmp_path / "out.ipynb",
        "--cwd",
        path.parent,
        "-k",
        "python3",
        cwd=tmp_path,
    )
    assert completed.returncode != 0
    name = {
        "not attempted": "NotAttempted: exercise 9.1 is not attempted yet",
        "incorrect": "Incorrect: exercise 9.2, case 'unknown': expected None, got 0",
    }[kind]
    assert name in completed.stderr
    (error,) = (o for c in load(tmp_path / "out.ipynb").cells for o in c.get("outputs", []) if o.output_type == "error")
    shown = "\n".join(error.traceback)
    assert name in shown
    assert "Traceback" not in shown
    assert "checks.py" not in shown


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory: pytest.TempPathFactory, executed_once: Path) -> dict[str, Any]:
    """What nbgrader gives for the released lab, answered in three ways."""
    folder = tmp_path_factory.mktemp("nbgrader")
    learners = {
        "blank": ANSWERS["not attempted"],
        "wrong": ANSWERS["incorrect"],
        "right": ALL_RIGHT,
    }
    source = folder / "source" / "numbers"
    source.mkdir(parents=True)
    shutil.copy(executed_once / "solutions" / "09_numbers.ipynb", source)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.syspath_prepend(str(executed_once))
        patch.setenv("PYTHONPATH", os.pathsep.join((str(executed_once), os.environ.get("PYTHONPATH", ""))))
        patch.setenv("HOME", str(folder))
        # nbgrader calls `alembic` by name
        patch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
        patch.chdir(folder)
        from nbgrader.api import Gradebook
        from nbgrader.apps import NbGraderAPI
        from traitlets.config import Config

        config = Config()
        config.CourseDirectory.root = str(folder)
        config.CourseDirectory.course_id = "made-up"
        config.Exchange.root = str(folder / "exchange")
        api = NbGraderAPI(config=config)
        assert api.generate_assignment("numbers")["success"]
        from chainlab.course.syllabus import load as load_course

        course = load_course(shutil.copytree(executed_once, folder / "course"))
        for name, answers in learners.items():
            answered = answer_lab(course, answers)
            target = folder / "submitted" / name / "numbers" / answered.name
            target.parent.mkdir(parents=True)
            shutil.copy(answered, target)
            graded = api.autograde("numbers", name)
            assert graded["success"], graded["log"]
        with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
            scores = {n: book.find_submission("numbers", n).score for n in learners}
            largest = book.find_assignment("numbers").max_score
    return {
        "scores": scores,
        "max": largest,
        "released": folder / "release/numbers/09_numbers.ipynb",
    }


@pytest.mark.notebooks
def test_nbgrader_gives_points_for_right_cells_only(gradebook: dict[str, Any]) -> None:
    assert gradebook["max"] == 5
    assert gradebook["scores"] == {"blank": 3, "wrong": 2, "right": 5}


@pytest.mark.notebooks
def test_nbgraders_release_asks_what_our_lab_asks(gradebook: dict[str, Any], built: Course) -> None:
    ours = [c.source for c in load(built.root / "labs/09_numbers.ipynb").cells if "nbgrader" in c.metadata]
    theirs = [c.source for c in load(gradebook["released"]).cells if "nbgrader" in c.metadata]
    assert [c for c in ours if "lab.check" in c] == [c for c in theirs if "lab.check" in c]
    assert len(ours) == len(theirs)


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("answers", "passes"),
    [({}, False), (ANSWERS["incorrect"], False), (ALL_RIGHT, True)],
    ids=["blank", "wrong", "right"],
)
def test_nbgrader_validate_accepts_the_lab_and_fails_the_cell(
    built: Course, answers: dict[str, str], passes: bool
) -> None:
    path = answer_lab(built, answers)
    completed = run("nbgrader", "validate", path.name, cwd=path.parent)
    assert ("Success! Your notebook passes all the tests." in completed.stdout) is passes, (
        completed.stdout + completed.stderr
    )
    assert ("failed" in completed.stdout) is not passes


def strict(course: Course) -> tuple[int, int]:
    config = course.root / "lessons/sanitise.cfg"
    names = ("notebooks/09_sums.ipynb", "solutions/09_numbers.ipynb")
    return nbval(*(course.root / n for n in names), options=("--nbval", f"--nbval-sanitize-with={config}"))


@pytest.mark.notebooks
def test_strict_nbval_passes_the_stored_outputs_twice(executed: Course) -> None:
    assert strict(executed) == (12, 0)
    assert strict(executed) == (12, 0)


@pytest.mark.notebooks
def test_strict_nbval_fails_on_every_changed_verdict_count_and_result(executed: Course) -> None:
    changes = (
        ("notebooks/09_sums.ipynb", r"accepted\nserial", r"refused\nserial"),
        ("notebooks/09_sums.ipynb", '"text/plain": "6"', '"text/plain": "7"'),
        ("notebooks/09_sums.ipynb", '"evalue": "9 is not', '"evalue": "8 is not'),
        ("solutions/09_numbers.ipynb", "9.1 right (3 cases", "9.1 right (4 cases"),
        ("solutions/09_numbers.ipynb", "9.2 right (2 cases, 2 generated", "9.2 right (2 cases, 3 generated"),
    )
    for name, old, new in changes:
        edit(executed.root / name, old, new)
    assert strict(executed) == (12 - len(changes), len(changes))
