"""Derived notebooks: what bytes they have, and that nothing differs unnoticed."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from editing import edit

from chainlab.course.authoring import build as building
from chainlab.course.authoring import execution
from chainlab.course.authoring.notebook import dump, load
from chainlab.course.syllabus import Course
from chainlab.course.syllabus import load as load_course
from chainlab.storage import write_whole

LAB = "lessons/09_numbers_lab.py"
WALK = "lessons/09_sums.py"


def hush(_: str) -> None:
    """Say nothing."""


def files(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and (p.suffix == ".ipynb" or p.name == "README.md")
    }


def test_a_walkthrough_gives_a_notebook_and_a_lab_gives_lab_and_solution(built: Course) -> None:
    assert list(files(built.root)) == [
        "README.md",
        "labs/09_numbers.ipynb",
        "notebooks/09_sums.ipynb",
        "solutions/09_numbers.ipynb",
    ]
    for name in list(files(built.root))[1:]:
        nbformat.validate(nbformat.read(built.root / name, as_version=4))  # type: ignore[no-untyped-call]


def test_building_twice_changes_nothing(built: Course) -> None:
    before = files(built.root)
    assert building.build(built, say=hush) == []
    assert files(built.root) == before


def test_cell_ids_are_stem_and_number_and_the_same_in_lab_and_solution(built: Course) -> None:
    lab = {c.id: c for c in load(built.root / "labs/09_numbers.ipynb").cells}
    solution = {c.id: c for c in load(built.root / "solutions/09_numbers.ipynb").cells}
    assert all(re.fullmatch(r"09_numbers-\d\d", name) for name in solution)
    assert lab.keys() < solution.keys()
    assert {i for i in lab if lab[i].source != solution[i].source} == {
        "09_numbers-04",
        "09_numbers-09",
    }


def test_a_lab_holds_nothing_of_a_solution(built: Course) -> None:
    text = (built.root / "labs/09_numbers.ipynb").read_text()
    for part in (
        "SOLUTION",
        "accumulated_answer",
        "default=None",
        "**Why.**",
        "secretly",
        "wrong:",
        "abs(",
    ):
        assert part not in text
    lab = load(built.root / "labs/09_numbers.ipynb")
    assert all(c.outputs == [] and c.execution_count is None for c in lab.cells if c.cell_type == "code")


def test_a_starter_fails_loudly_at_the_regions_indentation(built: Course) -> None:
    lab = load(built.root / "labs/09_numbers.ipynb")
    assert lab.cells[4].source == (
        "def total(numbers: list[int]) -> int:\n"
        '    """The sum of all numbers."""\n'
        '    raise NotImplementedError("exercise 9.1")'
    )


def test_only_tags_and_nbgrader_metadata_are_kept(built: Course) -> None:
    for name in files(built.root):
        if name.endswith(".ipynb"):
            notebook = load(built.root / name)
            assert notebook.metadata.kernelspec.name == "python3"
            assert notebook.metadata.keys() == {"kernelspec", "language_info"}
            for cell in notebook.cells:
                assert cell.metadata.keys() <= {"tags", "nbgrader"}


def test_exercise_and_check_cells_carry_nbgraders_fields(built: Course) -> None:
    lab = load(built.root / "labs/09_numbers.ipynb")
    grading = [dict(c.metadata.nbgrader) for c in lab.cells if "nbgrader" in c.metadata]
    assert grading[:2] == [
        {
            "schema_version": 3,
            "grade_id": "exercise-9-1",
            "solution": True,
            "grade": False,
            "locked": False,
            "task": False,
        },
        {
            "schema_version": 3,
            "grade_id": "check-9-1",
            "solution": False,
            "grade": True,
            "locked": True,
            "task": False,
            "points": 2,
        },
    ]


def test_a_broken_source_derives_nothing(course: Course) -> None:
    edit(course.root / LAB, "    ### BEGIN SOLUTION\n    accumulated", "    accumulated")
    with pytest.raises(building.BrokenLessons, match=r"lessons/09_numbers_lab\.py:\d+: '### END SOLUTION'"):
        building.build(course, say=hush)
    assert list(files(course.root)) == ["README.md"]


def test_a_unit_a_lesson_and_a_notebook_name_what_to_build(course: Course) -> None:
    for name, stems in {
        "9": {"09_sums", "09_numbers_lab"},
        "09_numbers": {"09_sums", "09_numbers_lab"},
        "09_sums": {"09_sums"},
        "lessons/09_sums.py": {"09_sums"},
        "09_numbers_lab.py": {"09_numbers_lab"},
        "labs/09_numbers.ipynb": {"09_numbers_lab"},
        "notebooks/09_sums.ipynb": {"09_sums"},
    }.items():
        assert {Path(x.name).stem for x in building.select(course, [name])} == stems, name


@pytest.mark.notebooks
def test_check_finds_every_kind_of_drift(executed: Course) -> None:
    root = executed.root
    assert building.drift(executed) == []
    changes: dict[str, Any] = {
        "a cell's source": lambda nb: nb.cells[2].update(source="x = 1"),
        "an id": lambda nb: nb.cells[2].update(id="other"),
        "a tag": lambda nb: nb.cells[2].metadata.update(tags=["raises-exception"]),
        "other metadata": lambda nb: nb.metadata.update(author="me"),
        "a missing cell": lambda nb: nb.cells.pop(),
        "the kernel": lambda nb: nb.metadata.kernelspec.update(name="julia"),
        "an added cell": lambda nb: nb.cells.append(
            nbformat.v4.new_markdown_cell("x", id="y")  # type: ignore[no-untyped-call]
        ),
    }
    for name in ("notebooks/09_sums.ipynb", "labs/09_numbers.ipynb", "solutions/09_numbers.ipynb"):
        path = root / name
        good = path.read_bytes()
        for what, change in changes.items():
            notebook = load(path)
            change(notebook)
            path.write_text(dump(notebook))
            assert name in "\n".join(building.drift(executed)), what
            path.write_bytes(good)
        path.write_bytes(good.replace(b'"cells"', b' "cells"'))
        assert f"{name}: differs" in "\n".join(building.drift(executed))
        path.write_bytes(good)
        path.unlink()
        assert f"{name}: missing" in "\n".join(building.drift(executed))
        path.write_bytes(good)
    (root / "labs/old.ipynb").write_bytes((root / "labs/09_numbers.ipynb").read_bytes())
    assert "labs/old.ipynb: no lesson derives it" in "\n".join(building.drift(executed))
    (root / "labs/old.ipynb").unlink()
    edit(root / "README.md", "Adding.", "Subtracting.")
    assert "README.md: the week table differs" in "\n".join(building.drift(executed))


def test_check_refuses_outputs_that_were_never_stored(built: Course) -> None:
    lines = building.drift(built)
    assert any("notebooks/09_sums.ipynb: 6 cells have no stored run" in line for line in lines)


@pytest.mark.notebooks
def test_check_executes_nothing(executed: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "run", lambda *a, **k: pytest.fail("a notebook was run"))
    assert building.drift(executed) == []


@pytest.mark.notebooks
def test_outputs_stay_where_source_is_unchanged_and_go_where_it_changed(executed: Course) -> None:
    edit(executed.root / WALK, "sum(numbers)\n\n# %% tags", "sum(numbers) + 0\n\n# %% tags")
    building.build(executed, say=hush)
    by_source = {c.source: c for c in load(executed.root / "notebooks/09_sums.ipynb").cells if c.cell_type == "code"}
    assert by_source["sum(numbers) + 0"].execution_count is None
    assert by_source["sum(numbers) + 0"].outputs == []
    assert by_source['print("verdict: accepted")\nprint("serial:", uuid.uuid4().hex)'].outputs
    assert "1 cell has no stored run (lessons/09_sums.py:" in "\n".join(building.drift(executed))


@pytest.mark.notebooks
def test_executing_twice_leaves_no_diff(executed: Course) -> None:
    before = files(executed.root)
    message: list[str] = []
    assert building.execute(executed, say=message.append) == []
    assert files(executed.root) == before
    assert sum("outputs as before" in line for line in message) == 2


@pytest.mark.notebooks
def test_stored_outputs_are_sanitised_and_carry_no_timing_and_no_traceback(
    executed: Course,
) -> None:
    text = (executed.root / "notebooks/09_sums.ipynb").read_text()
    assert "serial: SERIAL" in text
    for part in ("iopub", "shell.execute_reply", "Traceback", "ipykernel_", "\\u001b["):
        assert part not in text
    notebook = load(executed.root / "notebooks/09_sums.ipynb")
    (error,) = (o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error")
    assert error.traceback == ["ValueError: 9 is not in list"]


@pytest.mark.notebooks
def test_a_failing_cell_is_told_by_its_line_and_its_notebook_stays(executed: Course) -> None:
    before = files(executed.root)["notebooks/09_sums.ipynb"]
    edit(executed.root / WALK, "== 6  # the text says six", "== 7  # the text says six")
    line = next(
        n for n, text in enumerate((executed.root / WALK).read_text().splitlines(), start=1) if 'tags=["check"]' in text
    )
    with pytest.raises(building.BrokenLessons, match=rf"lessons/09_sums\.py:{line}: the cell fails: AssertionError"):
        building.execute(executed, ["09_sums"], say=hush)
    stored = json.loads(before)
    left = json.loads(files(executed.root)["notebooks/09_sums.ipynb"])
    assert [c.get("outputs") for c in left["cells"][:3]] == [c.get("outputs") for c in stored["cells"][:3]]


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(object())", "a memory address"),
        ('print("http://127.0.0.1:43211/")', "a port"),
        ("import tempfile; print(tempfile.gettempdir() + '/x')", "a temporary path"),
    ],
    ids=["address", "port", "path"],
)
def test_an_output_that_will_differ_next_time_is_told(course: Course, code: str, message: str) -> None:
    edit(course.root / WALK, "sum(numbers)\n\n# %% tags", f"{code}\n\n# %% tags")
    with pytest.raises(building.BrokenLessons, match=rf"lessons/09_sums\.py:\d+: the output shows {message}"):
        building.execute(course, ["09_sums"], say=hush)


@pytest.mark.notebooks
def test_notebooks_run_apart_from_the_learners_workspace(
    course: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path))
    edit(
        course.root / WALK,
        "sum(numbers)\n\n# %% tags",
        "import os\nassert 'CHAINLAB_WORKSPACE' not in os.environ\n\n# %% tags",
    )
    building.execute(course, ["09_sums"], say=hush)


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_whole(path, "old")
    monkeypatch.setattr(Path, "replace", lambda *a: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_real_sanitiser_is_anchored_by_labels_and_idempotent(root: Path) -> None:
    patterns = execution.sanitiser(root)
    assert patterns
    sample = (
        "serial: 7f00aa\nlogIndex: 41\nfingerprint: sha256:" + "ab" * 32 + "\nissued: 2026-11-23T10:00:00Z\n"
        "verdict: refused\n41 entries, 3 findings, " + "ab" * 32 + " 2026-11-23T10:00:00Z\n"
    )
    once = execution._clean(sample, patterns)
    assert once.splitlines()[-1] == sample.splitlines()[-1]
    assert "verdict: refused" in once
    assert "7f00aa" not in once
    assert "41\nf" not in once
    assert execution._clean(once, patterns) == once


def test_the_repository_is_built_in_under_ten_seconds(root: Path) -> None:
    course = load_course(root)
    began = time.perf_counter()
    lines = building.drift(course)
    took = time.perf_counter() - began
    assert lines == []
    assert took < 10


def test_no_real_lab_holds_a_line_of_its_solution(root: Path) -> None:
    course = load_course(root)
    for lesson in building.select(course):
        if not lesson.is_lab:
            continue
        solution_lines, visible = set[str](), set[str]()
        for cell in lesson.cells:
            inside = False
            for line in cell.source.splitlines():
                inside = line.strip() == "### BEGIN SOLUTION" or (inside and line.strip() != "### END SOLUTION")
                hidden = inside or cell.has("wrong") or cell.has("solution")
                (solution_lines if hidden else visible).add(line.strip())
        secret = {line for line in solution_lines - visible if len(line) >= 20}
        lab = "\n".join(c.source for c in load(root / "labs" / f"{lesson.stem}.ipynb").cells)
        assert not [line for line in secret if line in lab], lesson.name
