"""The real lessons: they are built, they run, their stored outputs are compared and every change is noticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlab.course.authoring import execution
from chainlab.course.authoring.lesson_rules import course_problems
from chainlab.course.authoring.notebook import dump, load
from chainlab.course.authoring.replay import notebooks_to_run, run_all, table
from chainlab.course.syllabus import load as load_course

ROOT = Path(__file__).parents[2]
STORED = sorted(
    str(p.relative_to(ROOT)) for folder in ("notebooks", "solutions") for p in (ROOT / folder).glob("*.ipynb")
)
STORED_WITH = (3, 11)  # the Python whose outputs the notebooks hold
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
WORDS = {
    "accepted": "refused",
    "refused": "accepted",
    "verified": "refused",
    "valid": "invalid",
    "passed": "failed",
    "failed": "passed",
    "True": "False",
    "False": "True",
    "right": "wrong",
    "unknown": "known",
    "yes": "no",
}
WORD = re.compile(r"\b(?:" + "|".join(WORDS) + r")\b")


def nbval(*paths: Path, mode: str = "--nbval") -> tuple[int, int, str]:
    """Cells that passed and failed under nbval, which compares outputs unless the mode is lax."""
    completed = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            paths[0].parents[1],
            "-q",
            mode,
            f"--nbval-sanitize-with={ROOT / 'lessons/sanitise.cfg'}",
            "--nbval-kernel-name=python3",
            *paths,
        ],
        cwd=paths[0].parents[1],
        env=os.environ | {"CHAINLAB_COURSE": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", completed.stdout)}
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0), completed.stdout


def code_cells(notebook: Any) -> list[Any]:
    return [c for c in notebook.cells if c.cell_type == "code"]


def shown(notebook: Any) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Every text that nbval compares: its cell, the mapping it lies in, and the key."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            yield from ((cell, output, key) for key in ("text", "evalue") if key in output)
            data = output.get("data", {})
            yield from ((cell, data, key) for key in data if key.startswith("text/") and key != "text/latex")


def changed(text: str) -> Iterator[str]:
    """``text`` with one number or one verdict changed, each in turn."""
    for match in NUMBER.finditer(text):
        yield text[: match.start()] + str(int(match[0]) + 1) + text[match.end() :]
    for match in WORD.finditer(text):
        yield text[: match.start()] + WORDS[match[0]] + text[match.end() :]


def test_no_lesson_breaks_a_rule_of_authoring(root: Path) -> None:
    assert [str(p) for p in course_problems(load_course(root))] == []


def test_each_walkthrough_asks_a_reader_at_least_four_times(root: Path) -> None:
    course = load_course(root)
    for part in (part for unit in course.written for part in unit.lessons):
        text = (root / "lessons" / f"{part.file}.py").read_text(encoding="utf-8")
        tasks = re.findall(r"\*\*(?:Predict|Change it)\b", text)
        assert len(tasks) >= 4, f"{part.file} asks {len(tasks)} times"


@pytest.mark.notebooks
@pytest.mark.parametrize("half", [0, 1])
def test_nbval_passes(half: int) -> None:
    """Strictly on the Python that stored the outputs: for another there are other wheels, with other files inside.

    Papermill runs the solutions once more, below; `make soak` runs everything again and again.
    """
    paths = [ROOT / name for name in STORED[half::2]]
    cells = sum(len(code_cells(load(path))) for path in paths)
    passed, failed, report = nbval(*paths, mode="--nbval" if sys.version_info[:2] == STORED_WITH else "--nbval-lax")
    assert (passed, failed) == (cells, 0), report[-2000:]


@pytest.mark.parametrize("name", STORED)
def test_no_printed_number_or_verdict_is_hidden_by_the_sanitiser(name: str) -> None:
    patterns = execution.sanitiser(ROOT)
    for _, place, key in shown(load(ROOT / name)):
        for other in changed(place[key]):
            assert execution._clean(other, patterns) != execution._clean(place[key], patterns), other


@pytest.mark.notebooks
def test_strict_nbval_fails_every_cell_whose_number_or_verdict_was_changed(tmp_path: Path) -> None:
    name = "notebooks/01_threats.ipynb"  # a sample: the test above holds for all, without running them
    notebook = load(ROOT / name)
    cells = set()
    for cell, place, key in shown(notebook):
        if cell.id not in cells:
            for other in changed(place[key]):
                place[key] = other
                cells.add(cell.id)
                break
    assert cells
    copy = tmp_path / name
    copy.parent.mkdir()
    copy.write_text(dump(notebook))
    passed, failed, report = nbval(copy)
    assert (passed, failed) == (len(code_cells(notebook)) - len(cells), len(cells)), report


def test_no_output_is_longer_than_a_reader_takes_in(root: Path) -> None:
    for name in STORED:
        for cell in code_cells(load(root / name)):
            lines = sum(
                output.get("text", output.get("data", {}).get("text/plain", "")).count("\n") + 1
                for output in cell.outputs
            )
            assert lines <= 40, f"{name}, cell {cell.id}: {lines} lines of output"


@pytest.mark.notebooks
def test_every_solution_passes_under_papermill(root: Path) -> None:
    course = load_course(root)
    work = [(path, ids) for path, ids in notebooks_to_run(course, course.written) if ids]
    runs = run_all(work, {"seed": 2}, jobs=2, say=lambda _: None)
    assert not [r for r in runs if r.failure], table(runs)
