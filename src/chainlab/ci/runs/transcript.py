"""The transcript of a job: steps, outputs, summary and log, from the lines that ``act --json`` prints.

    {"jobID": "build", "stepID": ["0"], "raw_output": true, "msg": "hello\\n"}
    {"jobID": "build", "stepID": ["0"], "stage": "Main", "step": "say", "stepResult": "success", "executionTime": 9}

Result and outputs come from the report, a last job that the host adds (`chainlab.ci.workflows.workflow`).
Times are in nanoseconds.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainlab.ci.runs.run_record import AROUND, JobRun, StepRecord
from chainlab.ci.workflows.workflow import AFTER, REPORT
from chainlab.ci.workflows.yaml_document import dump

__all__ = ["WORKFLOW", "Transcript"]

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MAX_LOG = 8 * 2**20  # bytes of log kept for a job
WORKFLOW = "workflow.yml"  # the copy's file, and its name if it has none
MAX_STEPS = 1000  # steps and matrix entries kept for a job; further ones are dropped
RESULTS = ("success", "failure", "skipped", "cancelled")  # of a job or a step


class Transcript:
    """Reads act's output while it runs the job ``job`` of ``copy``.

    ``secrets`` are masked in everything that is kept; act's output goes to the file ``log``; ``on_step`` is called with
    each step as it ends. A job can write to act's output like act itself, so no line is trusted, except that it is
    about this job.
    """

    def __init__(
        self,
        job: str,
        copy: Mapping[str, Any],
        secrets: Sequence[str],
        log: Path,
        on_step: Callable[[StepRecord], None],
    ) -> None:
        self._job = job
        name = copy.get("name", "")
        name = name if isinstance(name, str) else dump(name).split("\n")[0]  # as YAML writes it
        name = WORKFLOW if name in ("", "null") else name
        # Stubs and report by their full names: a called workflow's jobs may have the same ids.
        self._others = {f"{name}/{id}" for id in copy["jobs"] if id != job}
        self._name = f"{name}/{REPORT}"
        self._secrets = secrets
        self._log = log
        self._on_step = on_step
        self._lines = bytearray()
        self._printed: dict[tuple[str, str], list[str]] = {}  # (matrix, step) -> what it printed
        self._size = 0
        self._report = ""
        self._steps: list[StepRecord] = []
        self._summary = ""
        self._words: deque[str] = deque(maxlen=3)  # act's own last lines that are errors or not JSON

    def read(self, line: bytes) -> None:
        """Read one line of act's output."""
        self._size += len(line) + 1
        try:
            entry = self._masked(json.loads(line))
            matrix = json.dumps(entry.get("matrix") or {}) if isinstance(entry, dict) else ""
        except (ValueError, RecursionError):
            entry, matrix = self._masked(line.decode(errors="replace")), ""
            self._words.append(entry[:500].strip())
        if self._size <= MAX_LOG:
            logged = entry if isinstance(entry, str) else json.dumps(entry)
            self._lines += logged.encode(errors="replace") + b"\n"
        if not isinstance(entry, dict):
            return
        job, message = entry.get("jobID"), _text(entry.get("msg", ""))
        full = _text(entry.get("job", "")).rstrip()  # act pads names to one width
        if full == self._name:
            if entry.get("raw_output"):
                self._report += message[: MAX_LOG - len(self._report)]
            return
        if not isinstance(job, str) or full in self._others:
            if entry.get("level") == "error" and "git repository" not in message:
                self._words.append(message[:500])
            return
        self._read_step(job + matrix, job, entry, message)

    def _masked(self, value: Any) -> Any:
        """Replace secrets in a value: act masks what steps print, not their names and summaries."""
        if isinstance(value, dict):
            return {self._masked(key): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._masked(inner) for inner in value]
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "***")
        return value

    def _read_step(self, where: str, job: str, entry: dict[str, Any], message: str) -> None:
        ids = entry.get("stepID")
        ids = [_text(id) for id in ids] if isinstance(ids, list) else []
        key = (where, ids[0] if ids else "")
        printed = ""
        if entry.get("command") == "summary":
            content = _text(entry.get("content", ""))
            self._summary += content[: MAX_LOG - len(self._summary)]
        elif entry.get("raw_output"):
            printed = message
        elif entry.get("level") == "error" and "git repository" not in message:
            printed = f"error: {message}\n"
        if printed and self._size <= MAX_LOG:
            self._printed.setdefault(key, []).append(printed)
        result = entry.get("stepResult")
        if result not in RESULTS or len(ids) != 1 or entry.get("stage") != "Main":
            return
        name = _text(entry.get("step", "")).strip().split("\n")[0]
        taken = entry.get("executionTime", 0)
        seconds = taken / 1e9 if type(taken) is int and 0 <= taken < 1e15 else 0.0
        log = _plain("".join(self._printed.pop(key, [])))
        if name == AFTER and not log:
            return  # no action had left any work
        if job != self._job:
            name = f"{_text(job)} / {name}"
        if len(self._steps) < MAX_STEPS:
            step = StepRecord(_line(name), str(result), seconds, log)
            self._steps.append(step)
            self._on_step(step)

    def finish(self, code: int | None, seconds: float, address: str) -> JobRun:
        """Write the log; returns the job's result. ``code`` is act's exit code, None if time ran out."""
        self._log.write_bytes(bytes(self._lines))
        result, outputs, why = "failure", {}, ""
        try:
            report = json.loads(self._report)[self._job]
            if report["result"] in RESULTS:
                result, outputs = report["result"], dict(report.get("outputs") or {})
        except (ValueError, KeyError, TypeError, RecursionError):
            why = _line(" / ".join(self._words))
        if code is None:
            result, why = "failure", f"ended after {seconds:.0f} s: it took too long"
        elif code not in (0, 1):  # 1: a job failed, also one that it needs
            result, why = "failure", f"act ended with {code}"
        rest = _plain("".join("".join(texts) for texts in self._printed.values()))
        if rest:
            self._steps.append(StepRecord(AROUND, result, 0.0, rest))
        return JobRun(
            self._job,
            result,
            {_text(name): _text(value) for name, value in outputs.items()},
            tuple(self._steps),
            seconds,
            self._summary,
            why,
            address,
        )


def _text(value: Any) -> str:
    """A value as text that UTF-8 can hold; empty for a list or a mapping."""
    has_text = isinstance(value, str | int | float)
    return str(value).encode(errors="replace").decode() if has_text else ""


def _plain(text: str) -> str:
    """Remove terminal control sequences, such as colours; line ends and tabs stay."""
    return CONTROL.sub("", ESCAPE.sub("", text))


def _line(text: str) -> str:
    """As `_plain`, in one line."""
    return re.sub(r"[\r\n\t]", " ", _plain(text))
