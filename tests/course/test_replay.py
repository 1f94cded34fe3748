"""`chainlab solutions`: what papermill alone lets pass is a failure here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chainlab.course.authoring.notebook import dump, load
from chainlab.course.authoring.replay import NotebookRun, notebooks_to_run, run_all, run_one, table
from chainlab.course.syllabus import Course

IDS = ("9.1", "9.2")


def rerun(course: Course, change: Any, parameters: dict[str, Any] | None = None) -> NotebookRun:
    path = course.root / "solutions" / "09_numbers.ipynb"
    notebook = load(path)
    change(notebook.cells)
    path.write_text(dump(notebook))
    return run_one(path, {"seed": 1} if parameters is None else parameters, IDS)


@pytest.mark.notebooks
def test_all_run_in_parallel_and_the_table_says_what_happened(built: Course) -> None:
    message: list[str] = []
    work = notebooks_to_run(built, built.units)
    assert [(p.name, e) for p, e in work] == [("09_sums.ipynb", ()), ("09_numbers.ipynb", IDS)]
    work.append((built.root / "solutions" / "gone.ipynb", ()))
    runs = run_all(work, {"seed": 1}, jobs=2, say=message.append)
    assert [r.verdict for r in runs] == [
        "passed",
        "passed",
        "FAILED: missing: run chainlab build --execute",
    ]
    assert [r.cells for r in runs] == [7, 7, 0]  # the injected parameters are a cell too
    assert len(message) == 3
    lines = table(runs).splitlines()
    assert lines[0].split() == ["file", "cells", "seconds", "verdict"]
    assert lines[2].startswith("solutions/09_numbers.ipynb")
    assert lines[-1] == "2 of 3 passed"


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c[2].update(source="1 / 0"),
            "cell 09_numbers-02: ZeroDivisionError: division by zero",
        ),
        (
            lambda c: c[4].update(source="def total(numbers):\n    return 0"),
            "cell 09_numbers-05: Incorrect: exercise 9.1, case 'several numbers'",
        ),
        (
            lambda c: c[4].update(source='def total(n):\n    raise NotImplementedError("exercise 9.1")'),
            "cell 09_numbers-05: NotAttempted",
        ),
        (
            lambda c: c[2].update(source="import sys\nsys.exit(0)"),
            "early exit: 2 of 7 code cells ran",
        ),
        (
            lambda c: c[-1].update(cell_type="code", source="raise SystemExit", outputs=[], execution_count=None),
            "early exit: 7 of 8 code cells ran",
        ),
        (  # the kernel goes a tenth of a second later: the next cells may still run into its absence
            lambda c: c[2].update(source="exit()"),
            ("the kernel died", "cell 09_numbers-05: NameError"),
        ),
        (lambda c: c[2].update(source="import os\nos._exit(0)"), "the kernel died"),
        (lambda c: c.pop(5), "missing check: exercise 9.1"),
        (lambda c: c[5].update(source="total"), "missing check: exercise 9.1 was not found right"),
    ],
    ids=[
        "exception",
        "incorrect",
        "not attempted",
        "sys.exit",
        "at the end",
        "exit",
        "os._exit",
        "deleted",
        "emptied",
    ],
)
def test_what_is_not_finished_and_found_right_is_a_failure(
    built: Course, change: Any, message: str | tuple[str, ...]
) -> None:
    assert rerun(built, change).failure.startswith(message)


@pytest.mark.notebooks
def test_an_unknown_parameter_is_a_failure(built: Course) -> None:
    run = rerun(built, lambda c: None, {"seed": 1, "sead": 2})
    assert run.failure == "unknown parameter sead (expected one of: seed)"
    assert run.cells == 0


@pytest.mark.notebooks
def test_another_seed_reaches_the_checks(built: Course) -> None:
    path = built.root / "solutions" / "09_numbers.ipynb"
    notebook = load(path)
    notebook.cells[5].source = 'assert "seed 77" in str(lab.check("9.1", total))\nlab.check("9.1", total)'
    path.write_text(dump(notebook))
    assert run_one(path, {"seed": 77}, IDS).failure == ""


@pytest.mark.notebooks
def test_runs_join_no_workspace(built: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path))
    path = built.root / "solutions" / "09_numbers.ipynb"
    notebook = load(path)
    notebook.cells[2].source += "\nimport os\nassert 'CHAINLAB_WORKSPACE' not in os.environ"
    path.write_text(dump(notebook))
    assert run_all([(path, IDS)], {"seed": 1}, jobs=1, say=lambda _: None)[0].failure == ""
