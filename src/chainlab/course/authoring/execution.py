"""Execution of notebooks, each with its own kernel and private workspace, and stable forms of their outputs.

The kernel starts without ``CHAINLAB_WORKSPACE``, so `chainlab.open` in it makes its own workspace and never touches
the learner's. Outputs are stored as nbval compares them: ``lessons/sanitise.cfg`` is applied, streams are joined, and
tracebacks are reduced to the message.
"""

from __future__ import annotations

import atexit
import os
import re
import warnings
from pathlib import Path
from typing import Any

from chainlab.course.authoring.lesson_source import LessonProblem, LessonSource
from chainlab.course.authoring.notebook import METADATA
from chainlab.errors import ChainlabError

__all__ = ["CellFailure", "line_of", "private_environment", "run", "sanitiser", "stabilise", "unstable_outputs"]

CELL_SECONDS = 300  # a whole lesson runs in under a minute; this limit only ends a cell that hangs
KERNEL = "python3"

# Text that differs from run to run; stored outputs must not contain it.
UNSTABLE = {
    "a port": re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):\d{2,5}"),
    "a temporary path": re.compile(r"/tmp/|/var/folders/|\\Temp\\"),  # noqa: S108
    "a memory address": re.compile(r"\bat 0x[0-9a-f]{6,}"),
}


class CellFailure(ChainlabError):
    """A cell failed, the kernel died or time ran out; ``cell`` is the cell's position, -1 before the first."""

    def __init__(self, message: str, *, cell: int) -> None:
        super().__init__(message)
        self.cell = cell


def private_environment() -> dict[str, str]:
    """The environment of a kernel that must not join the learner's workspace."""
    environment = {k: v for k, v in os.environ.items() if k != "CHAINLAB_WORKSPACE"}
    environment.pop("JPY_PARENT_PID", None)
    return environment


def run(
    notebook: Any,
    folder: Path,
    *,
    keep_going: bool = False,
    seconds: int = CELL_SECONDS,
    root: Path | None = None,
) -> Any:
    """Execute all cells of ``notebook`` in place, with ``folder`` as working directory.

    ``root`` is the course that the cells open; by default the one around ``folder``. With ``keep_going`` a failing
    cell's error stays in its outputs and the next cell runs; printed output, which may be endless, is dropped.

    Raises `CellFailure` for a dead kernel, and without ``keep_going`` for a failing cell.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class Client(NotebookClient):
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if keep_going and msg["msg_type"] == "stream":
                return None
            return super().process_message(msg, cell, cell_index)

    running = -1

    def begin(cell: Any, cell_index: int) -> None:
        nonlocal running
        running = cell_index

    client = Client(
        notebook,
        kernel_name=KERNEL,
        timeout=seconds,
        allow_errors=keep_going,
        interrupt_on_timeout=keep_going,
        error_on_timeout=(
            {"ename": "Timeout", "evalue": f"stopped after {seconds} s", "traceback": []} if keep_going else None
        ),
        extra_arguments=["--log-level=ERROR"],  # the kernel warns of loopback TCP on every start
        coalesce_streams=True,
        record_timing=False,
        on_cell_start=begin,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zmq, asyncio and traitlets warn at shutdown
            client.execute(env=private_environment() | ({"CHAINLAB_COURSE": str(root)} if root else {}))
    except CellExecutionError as error:
        raise CellFailure(f"{error.ename}: {error.evalue}", cell=running) from error
    except CellTimeoutError as error:
        raise CellFailure(f"the cell did not end within {seconds} s", cell=running) from error
    except DeadKernelError as error:
        raise CellFailure("the kernel died in this cell", cell=running) from error
    except RuntimeError as error:  # no kernel answered within the client's own time limit
        atexit.unregister(client._cleanup_kernel)  # there is no kernel, and nbclient's cleanup would fail
        raise CellFailure(f"the kernel did not start: {error}", cell=running) from error
    return notebook


def sanitiser(root: Path) -> list[tuple[re.Pattern[str], str]]:
    """Read the patterns of ``lessons/sanitise.cfg``, by nbval's own reader."""
    from nbval.plugin import (  # type: ignore[import-untyped, unused-ignore]
        get_sanitize_patterns,
    )

    path = root / "lessons" / "sanitise.cfg"
    if not path.is_file():
        return []
    patterns = []
    for pattern, replacement in get_sanitize_patterns(path.read_text(encoding="utf-8")):
        try:
            patterns.append((re.compile(pattern), replacement))
        except re.error as error:
            raise ChainlabError(f"lessons/sanitise.cfg: not a regular expression: {pattern!r}: {error}") from error
    return patterns


def stabilise(notebook: Any, patterns: list[tuple[re.Pattern[str], str]]) -> Any:
    """Bring a notebook's outputs into their stored form: sanitised, without tracebacks, transient data or timing."""
    import nbformat

    notebook.metadata = nbformat.from_dict(METADATA)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            output.pop("transient", None)
            for key in ("text", "evalue"):
                if key in output:
                    output[key] = _clean(output[key], patterns)
            for kind, value in output.get("data", {}).items():
                if isinstance(value, str) and not kind.startswith("image/"):
                    output["data"][kind] = _clean(value, patterns)
            if output.output_type == "error":
                output["traceback"] = [f"{output.ename}: {output.evalue}"]
    return notebook


def unstable_outputs(lesson: LessonSource, notebook: Any) -> list[LessonProblem]:
    """List outputs that would differ on the next run, by the line of their cell in the source."""
    problems = []
    for cell in notebook.cells:
        for text in _texts(cell):
            for what, pattern in UNSTABLE.items():
                match = pattern.search(text)
                if match:
                    problems.append(
                        LessonProblem(
                            lesson.name,
                            line_of(lesson, cell.id),
                            f"the output shows {what} ({match[0]}): print a logical name instead",
                        )
                    )
    return problems


def line_of(lesson: LessonSource, cell_id: str) -> int:
    """The source line of a derived cell."""
    index = int(cell_id.rpartition("-")[2])
    return lesson.cells[index].line


def _texts(cell: Any) -> list[str]:
    texts: list[str] = []
    for output in cell.get("outputs", []):
        texts += [output[k] for k in ("text", "evalue") if k in output]
        texts += [v for k, v in output.get("data", {}).items() if isinstance(v, str) and k.startswith("text/")]
    return texts


def _clean(text: str, patterns: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in patterns:
        text = pattern.sub(replacement, text)
    return text
