"""Replay of every solution and walkthrough by papermill, in parallel, with a strict verdict.

papermill alone exits 0 on ``exit()`` in a cell, and on a parameter that the notebook does not have. Here a run passes
only if every code cell ran to its end, every parameter is in the parameters cell, and every exercise of a lab was
checked and right.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chainlab.course.authoring.execution import private_environment
from chainlab.course.authoring.notebook import grade_id, load
from chainlab.course.learning.progress import MARKS
from chainlab.course.syllabus import Course, Unit

__all__ = ["NotebookRun", "notebooks_to_run", "run_all", "run_one", "table"]

START_SECONDS = 60
CELL_SECONDS = 300


@dataclass(frozen=True)
class NotebookRun:
    """One notebook's verdict."""

    file: str  # "solutions/01_assessment.ipynb"
    cells: int  # code cells that ran to their end
    seconds: float
    failure: str = ""

    @property
    def verdict(self) -> str:
        """``passed``, or ``FAILED`` and why."""
        return f"FAILED: {self.failure}" if self.failure else "passed"


def notebooks_to_run(course: Course, units: Sequence[Unit]) -> list[tuple[Path, tuple[str, ...]]]:
    """List the notebooks to run for the units, each with the exercises that it must check."""
    work: list[tuple[Path, tuple[str, ...]]] = []
    for unit in units:
        if unit.draft:
            continue
        work += [(course.root / "notebooks" / f"{p.file}.ipynb", ()) for p in unit.lessons]
        ids = tuple(e.id for e in unit.exercises)
        work.append((course.root / "solutions" / f"{unit.id}.ipynb", ids))
    return work


def run_all(
    work: Sequence[tuple[Path, tuple[str, ...]]],
    parameters: Mapping[str, Any],
    jobs: int,
    say: Callable[[str], None] = print,
    seconds: int = CELL_SECONDS,
) -> list[NotebookRun]:
    """Run notebooks in ``jobs`` processes; returns the runs in the order of ``work``."""
    runs: dict[int, NotebookRun] = {}
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = {
            pool.submit(_run_in_subprocess, path, parameters, exercises, seconds): position
            for position, (path, exercises) in enumerate(work)
        }
        for future in as_completed(futures):
            run = future.result()
            runs[futures[future]] = run
            say(f"[{len(runs)}/{len(work)}] {run.file} {run.seconds:.1f} s {run.verdict}")
    return [runs[i] for i in range(len(work))]


def _run_in_subprocess(
    path: Path, parameters: Mapping[str, Any], exercises: tuple[str, ...], seconds: int
) -> NotebookRun:
    """Call `run_one` in a process whose environment names no workspace."""
    task = json.dumps([str(path), dict(parameters), exercises, seconds])
    completed = subprocess.run(
        [sys.executable, "-m", __name__],
        input=task,
        env=private_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return NotebookRun(**json.loads(completed.stdout))
    except (ValueError, TypeError):
        last = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        return NotebookRun(f"{path.parent.name}/{path.name}", 0, 0.0, f"the run itself failed: {last}")


def run_one(
    path: Path, parameters: dict[str, Any], exercises: tuple[str, ...], seconds: int = CELL_SECONDS
) -> NotebookRun:
    """Run one notebook by papermill in this process, whose environment names no workspace."""
    began = time.perf_counter()
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        return NotebookRun(name, 0, 0.0, "missing: run chainlab build --execute")
    with tempfile.TemporaryDirectory(prefix="chainlab-") as folder:
        output = Path(folder) / path.name
        failure = _unknown_parameters(path, parameters) or _execute(path, output, parameters, seconds)
        executed = load(output) if output.is_file() else None
    cells = [c for c in executed.cells if c.cell_type == "code" and c.source.strip()] if executed else []
    finished = [c for c in cells if _finished(c)]
    if not failure and executed is not None:
        failure = _early_exit(cells, len(finished)) or _missing_check(executed, exercises)
    return NotebookRun(name, len(finished), time.perf_counter() - began, failure)


def table(runs: Sequence[NotebookRun]) -> str:
    """Format the closing table: file, cells, seconds, verdict."""
    width = max((len(r.file) for r in runs), default=4)
    lines = [f"{'file':<{width}}  cells  seconds  verdict"]
    lines += [f"{r.file:<{width}}  {r.cells:>5}  {r.seconds:>7.1f}  {r.verdict}" for r in runs]
    failed = sum(bool(r.failure) for r in runs)
    lines.append(f"{len(runs) - failed} of {len(runs)} passed")
    return "\n".join(lines)


def _unknown_parameters(path: Path, parameters: Mapping[str, Any]) -> str:
    """Refuse parameters that the notebook does not declare; papermill itself injects them."""
    import papermill

    declared = papermill.inspect_notebook(str(path))
    wrong = [name for name in parameters if name not in declared]
    if not wrong:
        return ""
    return f"unknown parameter {', '.join(wrong)} (expected one of: {', '.join(declared) or 'none'})"


def _execute(path: Path, output: Path, parameters: dict[str, Any], seconds: int) -> str:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(path),
            str(output),
            parameters=parameters,
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=False,
            start_timeout=START_SECONDS,
            execution_timeout=seconds,
        )
    except PapermillExecutionError as error:
        cell = _failed_cell(output)
        if cell is None:
            return ""  # papermill also raises for cells tagged raises-exception
        first = (str(error.evalue).splitlines() or [""])[0]
        return f"cell {cell}: {error.ename}: {first}".rstrip(": ")
    except DeadKernelError:
        return "the kernel died: a cell ended the Python process"
    except Exception as error:  # a timeout, or a kernel that does not start: one line in the table
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return ""


def _failed_cell(output: Path) -> str | None:
    """The id of the first cell with an unexpected error."""
    for cell in load(output).cells:
        expected = "raises-exception" in cell.metadata.get("tags", [])
        if not expected and any(o.output_type == "error" for o in cell.get("outputs", [])):
            return str(cell.id)
    return None


def _finished(cell: Any) -> bool:
    metadata = cell.metadata.get("papermill", {})
    return metadata.get("status") == "completed" and cell.execution_count is not None


def _early_exit(cells: list[Any], finished: int) -> str:
    if finished == len(cells):
        return "" if cells else "it has no code cells"
    return f"early exit: {finished} of {len(cells)} code cells ran"


def _missing_check(notebook: Any, exercises: tuple[str, ...]) -> str:
    """Name the first exercise whose check did not run, or was not right."""
    checks = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in notebook.cells}
    for exercise in exercises:
        cell = checks.get(grade_id("check", exercise))
        if cell is None:
            return f"missing check: exercise {exercise}"
        output = "".join(o.get("data", {}).get("text/plain", "") for o in cell.outputs)
        if f"{MARKS['done']} {exercise} right" not in output:
            return f"missing check: exercise {exercise} was not found right"
    return ""


def main() -> None:
    """Run the notebook named on standard input, and write the verdict to standard output as JSON."""
    path, parameters, exercises, seconds = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    run = run_one(Path(path), parameters, tuple(exercises), seconds)
    sys.stdout.write(json.dumps(asdict(run)))


if __name__ == "__main__":
    main()
