"""The learner's copies: what nobody changed follows the course, what the learner wrote is never lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chainlab.course.authoring import build as building
from chainlab.course.learner_copies import Renewal, fresh_copy, renew
from chainlab.course.syllabus import Course
from chainlab.errors import MalformedInput
from chainlab.workspace import Workspace

LAB, WALK = "labs/09_numbers.ipynb", "notebooks/09_sums.ipynb"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def change(path: Path, alter: Callable[[Any], None]) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    alter(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def type_into(path: Path, text: str = "mine = 1") -> None:
    """Write into the last cell, as a learner does."""
    change(path, lambda notebook: notebook["cells"][-1].update(source=text))


def run_in_jupyterlab(path: Path) -> None:
    """Change what JupyterLab changes by itself when a notebook is opened and run."""

    def alter(notebook: Any) -> None:
        notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
        for cell in notebook["cells"]:
            cell["source"] = cell["source"].splitlines(keepends=True)
            if cell["cell_type"] == "code":
                cell.update(execution_count=7, outputs=[{"output_type": "stream", "name": "stdout", "text": ["7\n"]}])

    change(path, alter)


def publish(course: Course, text: str = "# One more sentence of the course.") -> None:
    """Bring a newer version of both lessons, as a pull does."""
    for source in (course.root / "lessons").glob("*.py"):
        source.write_text(source.read_text(encoding="utf-8") + f"\n# %% [markdown]\n{text}\n", encoding="utf-8")
    building.build(course, say=lambda _: None)


def held(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_page_gets_a_copy_and_the_clone_is_only_read(built: Course, workspace: Workspace) -> None:
    (built.root / "docs").mkdir()
    (built.root / "docs" / "glossary.md").write_text("words\n")
    before = held(built.root)
    assert renew(built.root, workspace) == Renewal()
    assert held(built.root) == before
    for name in (LAB, WALK, "solutions/09_numbers.ipynb", "docs/glossary.md"):
        assert (workspace.desk / name).read_bytes() == before[name]
    assert (workspace.desk / LAB).stat().st_ino != (built.root / LAB).stat().st_ino


def test_a_page_that_was_opened_and_run_follows_the_course(built: Course, workspace: Workspace) -> None:
    renew(built.root, workspace)
    run_in_jupyterlab(workspace.desk / WALK)
    seen = (workspace.desk / WALK).read_bytes()
    renew(built.root, workspace)
    assert (workspace.desk / WALK).read_bytes() == seen  # the course is as before: outputs stay
    publish(built)
    assert renew(built.root, workspace) == Renewal()
    assert (workspace.desk / WALK).read_bytes() == (built.root / WALK).read_bytes() != seen


def test_what_the_learner_wrote_stays_and_the_newer_one_is_named(built: Course, workspace: Workspace) -> None:
    renew(built.root, workspace)
    type_into(workspace.desk / LAB)
    mine = (workspace.desk / LAB).read_bytes()
    assert renew(built.root, workspace) == Renewal()
    publish(built)
    for _ in range(2):
        assert renew(built.root, workspace) == Renewal(newer=(LAB,))
        assert (workspace.desk / LAB).read_bytes() == mine
    assert "chainlab fresh labs/09_numbers" in str(renew(built.root, workspace))


def test_a_fresh_copy_keeps_the_old_one_under_its_date(built: Course, workspace: Workspace) -> None:
    renew(built.root, workspace)
    today = date.today().isoformat()
    for ending in ("", "-2"):
        type_into(workspace.desk / LAB, f"mine = {ending!r}")
        mine = (workspace.desk / LAB).read_bytes()
        name, kept = fresh_copy(built.root, workspace, "09_numbers")
        assert name == LAB
        assert kept == workspace.desk / f"labs/09_numbers-{today}{ending}.ipynb"
        assert kept.read_bytes() == mine
        assert (workspace.desk / LAB).read_bytes() == (built.root / LAB).read_bytes()
    assert fresh_copy(built.root, workspace, LAB) == (LAB, None)  # nothing of the learner's was in it


def test_a_fresh_copy_ends_the_word_of_a_newer_one(built: Course, workspace: Workspace) -> None:
    renew(built.root, workspace)
    type_into(workspace.desk / LAB)
    publish(built)
    assert renew(built.root, workspace).newer == (LAB,)
    fresh_copy(built.root, workspace, "labs/09_numbers")
    assert renew(built.root, workspace) == Renewal()


@pytest.mark.parametrize("name", ["99_nothing", "../09_numbers", "", "copies.json"])
def test_a_name_that_no_copy_has_is_refused(built: Course, workspace: Workspace, name: str) -> None:
    renew(built.root, workspace)
    before = held(workspace.path)
    with pytest.raises(MalformedInput, match="there is no copy"):
        fresh_copy(built.root, workspace, name)
    assert held(workspace.path) == before


def test_a_name_of_two_copies_is_asked_about(built: Course, workspace: Workspace) -> None:
    shutil.copy(built.root / WALK, built.root / "notebooks" / "09_numbers.ipynb")
    with pytest.raises(MalformedInput, match="more than one file") as refusal:
        fresh_copy(built.root, workspace, "09_numbers")
    assert refusal.value.hint == "name one of notebooks/09_numbers.ipynb, labs/09_numbers.ipynb"


def test_work_in_the_clone_becomes_the_copy_and_outlives_a_clean_clone(built: Course, workspace: Workspace) -> None:
    clean = (built.root / LAB).read_bytes()
    type_into(built.root / LAB)
    run_in_jupyterlab(built.root / WALK)  # run, and nothing written: no work
    mine = (built.root / LAB).read_bytes()
    renewal = renew(built.root, workspace)
    assert renewal == Renewal(taken=(LAB,))
    assert f"git restore {LAB}" in str(renewal)
    (built.root / LAB).write_bytes(clean)
    assert renew(built.root, workspace) == Renewal()
    assert (workspace.desk / LAB).read_bytes() == mine
    publish(built)
    assert renew(built.root, workspace) == Renewal(newer=(LAB,))
    assert (workspace.desk / LAB).read_bytes() == mine


def test_a_pull_meets_no_work_of_the_learners(built: Course, root: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=author", "-c", "user.email=author@example.com")
        return subprocess.run(["git", *who, *words], capture_output=True, text=True, check=True).stdout

    def commit() -> None:
        git("-C", str(built.root), "add", "--all")
        git("-C", str(built.root), "commit", "--quiet", "--message", "as it is")

    shutil.copy(root / ".gitignore", built.root)
    git("init", "--quiet", str(built.root))
    commit()
    clone = built.root.with_name("clone")
    git("clone", "--quiet", str(built.root), str(clone))
    workspace = Workspace(clone / ".chainlab" / "workspace")
    renew(clone, workspace)
    type_into(workspace.desk / LAB)
    run_in_jupyterlab(workspace.desk / WALK)
    (workspace.desk / "labs" / ".ipynb_checkpoints").mkdir()
    (workspace.desk / "labs" / ".ipynb_checkpoints" / "09_numbers-checkpoint.ipynb").touch()
    publish(built)
    commit()
    assert git("-C", str(clone), "status", "--porcelain") == ""
    git("-C", str(clone), "pull", "--quiet", "--ff-only")
    assert renew(clone, workspace) == Renewal(newer=(LAB,))
    assert (workspace.desk / WALK).read_bytes() == (built.root / WALK).read_bytes()
    assert "mine = 1" in (workspace.desk / LAB).read_text()


def test_without_a_record_a_copy_that_differs_counts_as_the_learners(built: Course, workspace: Workspace) -> None:
    renew(built.root, workspace)
    type_into(workspace.desk / LAB)
    mine = (workspace.desk / LAB).read_bytes()
    for record in (None, "{", "[]", '{"labs/09_numbers.ipynb": 1}'):
        file = workspace.path / "copies.json"
        if record is None:
            file.unlink()
        else:
            file.write_text(record)
        assert renew(built.root, workspace) == Renewal(newer=(LAB,))
        assert (workspace.desk / LAB).read_bytes() == mine


def test_a_page_that_the_course_drops_goes_unless_the_learner_wrote_in_it(built: Course, workspace: Workspace) -> None:
    for name in ("a", "b"):
        shutil.copy(built.root / WALK, built.root / "notebooks" / f"{name}.ipynb")
    renew(built.root, workspace)
    type_into(workspace.desk / "notebooks" / "b.ipynb")
    for name in ("a", "b"):
        (built.root / "notebooks" / f"{name}.ipynb").unlink()
    renew(built.root, workspace)
    assert not (workspace.desk / "notebooks" / "a.ipynb").exists()
    assert (workspace.desk / "notebooks" / "b.ipynb").exists()


def test_units_of_an_older_workspace_move_and_their_old_path_still_leads_there(
    built: Course, workspace: Workspace
) -> None:
    old = workspace.path / "units" / "09_numbers"
    old.mkdir(parents=True)
    (old / "assessment.md").write_text("mine\n")
    for _ in range(2):
        renew(built.root, workspace)
        assert (workspace.unit("09_numbers") / "assessment.md").read_text() == "mine\n"
        assert (old / "assessment.md").read_text() == "mine\n"


def test_the_courses_data_is_there_to_read_also_after_the_clone_was_moved(built: Course, workspace: Workspace) -> None:
    for root in (built.root, built.root.with_name("moved")):
        if root != built.root:
            built.root.rename(root)
        (root / "data").mkdir(exist_ok=True)
        (root / "data" / "facts.csv").write_text("1\n")
        renew(root, workspace)
        assert (workspace.desk / "data" / "facts.csv").read_text() == "1\n"
