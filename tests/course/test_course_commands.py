"""The course's commands: exit status, JSON, and an example at the end of each help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from editing import answer_lab, edit

from chainlab.cli.course import commands
from chainlab.course.authoring import build as building
from chainlab.course.learner_code import source_digest
from chainlab.course.learner_copies import renew
from chainlab.course.learning.progress import ProgressFile
from chainlab.course.syllabus import Course
from chainlab.workspace import Workspace

RIGHT = {
    "9.1": "def total(numbers):\n    return sum(numbers)",
    "9.2": "def largest(numbers):\n    return max(numbers, default=None)",
}
GROUP = click.Group(commands=commands)


@pytest.fixture
def run(built: Course, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(built.root)
    return lambda *words: CliRunner().invoke(GROUP, [*words])


def workspace(course: Course) -> Path:
    return course.root / ".chainlab" / "workspace"


def test_check_tells_each_exercise_records_it_and_exits_1_until_all_is_done(run: Any, built: Course) -> None:
    ProgressFile(workspace(built) / "progress.json").record("9.1", "done", answer=source_digest("def total(): ..."))
    result: Result = run("check", "9")
    assert result.exit_code == 1
    assert f"{built.root / 'labs/09_numbers.ipynb'}, saved " in result.stdout
    assert "9.1: the last check in a notebook, " in result.stderr
    assert "ran another answer than the saved one" in result.stderr
    assert "9.1: done before, and so it stays on the board" in result.stderr
    assert "; last run: not attempted" in run("progress").stdout
    assert "· 9.1 add them: not attempted" in result.stdout
    answer_lab(built, RIGHT)
    result = run("check", "09_numbers", "--json", "--seed", "3")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["done"] is True
    saved = json.loads((workspace(built) / "progress.json").read_text())["exercises"]
    assert {k: (v["status"], v["attempts"]) for k, v in saved.items()} == {
        "9.1": ("done", 2),
        "9.2": ("done", 1),
    }


def test_check_and_hint_read_the_learners_copy(run: Any, built: Course) -> None:
    renew(built.root, Workspace(workspace(built)))
    copy = workspace(built) / "desk" / "labs" / "09_numbers.ipynb"
    answer_lab(built, RIGHT).replace(copy)
    building.build(built, say=lambda _: None)
    edit(copy, "What is the sum", "Mine: what is the sum")
    assert "Mine:" in run("hint", "9.1").stdout
    assert run("check", "9").exit_code == 0
    copy.unlink()
    assert "Mine:" not in run("hint", "9.1").stdout
    assert run("check", "9").exit_code == 1


def test_hints_and_progress_go_with_the_running_workspace(
    run: Any, built: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tmp_path / "running"
    running.mkdir()
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(running))
    assert "Hint 1 of 2 for exercise 9.1" in run("hint", "9.1").stdout
    assert json.loads(run("hint", "9.1", "--json").stdout)["number"] == 2
    assert (running / "progress.json").is_file()
    assert not workspace(built).exists()


def test_progress_is_shown_exported_imported_and_reset(run: Any, tmp_path: Path) -> None:
    run("hint", "9.1")
    assert "9.1 add them: not attempted (2 p, 1 hints)" in run("progress").stdout
    backup = tmp_path / "backup.json"
    assert run("progress", "--export", str(backup)).exit_code == 0
    assert run("progress", "--reset", "9.1").exit_code == 0
    assert "hints" not in run("progress").stdout
    assert run("progress", "--import", str(backup)).stdout == "restored 1 exercises\n"
    assert json.loads(run("progress", "--json").stdout)["units"][0]["exercises"][0]["hints"] == 1
    assert json.loads(run("progress", "--export", "-").stdout) == json.loads(backup.read_text())
    assert run("progress", "--export", "a", "--reset", "9.1").exit_code == 2


def test_build_check_exits_1_with_a_line_for_each_problem(run: Any, executed: Course) -> None:
    assert run("build", "--check").stdout == "sources, notebooks, labs and solutions agree\n"
    edit(executed.root / "lessons/09_sums.py", "# We add.", "# We add numbers.")
    result = run("build", "--check")
    assert result.exit_code == 1
    assert "notebooks/09_sums.ipynb: differs from lessons/09_sums.py at cell 09_sums-03, line 17" in result.stderr
    assert run("build").stdout == "wrote notebooks/09_sums.ipynb\n1 file changed\n"
    assert run("build", "--check").exit_code == 0
    assert run("build", "--check", "--execute").exit_code == 2


def test_solutions_exit_1_on_any_failure_and_print_json(run: Any, built: Course) -> None:
    result = run("solutions", "--jobs", "1", "--json", "-p", "sead=2", "9")
    assert result.exit_code == 1
    assert {r["failure"] for r in json.loads(result.stdout)} == {"unknown parameter sead (expected one of: seed)"}
    assert run("solutions", "10").exit_code == 2
    assert run("solutions", "-p", "seed").exit_code == 2
