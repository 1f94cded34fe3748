"""What ``act --json`` says, line by line, and the steps, outputs and summary of a job that come of it.

    {"jobID": "build", "stepID": ["0"], "raw_output": true, "msg": "hello\\n"}
    {"jobID": "build", "stepID": ["0"], "stage": "Main", "step": "say", "stepResult": "success", "executionTime": 9}

Result and outputs come from the report, a job that the host adds as the last (`chainlab.ci.workflows.workflow`).
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
WORKFLOW = "workflow.yml"  # the copy's file, which is its name when it has none
MAX_STEPS = 1000  # steps and matrix entries kept for a job; what it says of more is dropped
RESULTS = ("success", "failure", "skipped", "cancelled")  # what act says of a job or a step


class Transcript:
    """What act said while it ran the job ``job`` of ``copy``.

    ``secrets`` are texts that nothing kept may say; ``log`` gets act's own words, ``tell`` each step as it ends.
    A job can write to act's output like act itself, so nothing is taken on trust but that it speaks of this job.
    """

    def __init__(
        self,
        job: str,
        copy: Mapping[str, Any],
        secrets: Sequence[str],
        log: Path,
        tell: Callable[[StepRecord], None],
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
        self._tell = tell
        self._kept = bytearray()
        self._said: dict[tuple[str, str], list[str]] = {}  # (matrix, step) -> what it printed
        self._size = 0
        self._report = ""
        self._steps: list[StepRecord] = []
        self._summary = ""
        self._words: deque[str] = deque(maxlen=3)  # of act itself, when it says no JSON or an error

    def read(self, line: bytes) -> None:
        """Take one line."""
        self._size += len(line) + 1
        try:
            said = self._masked(json.loads(line))
            matrix = json.dumps(said.get("matrix") or {}) if isinstance(said, dict) else ""
        except (ValueError, RecursionError):
            said, matrix = self._masked(line.decode(errors="replace")), ""
            self._words.append(said[:500].strip())
        if self._size <= MAX_LOG:
            kept = said if isinstance(said, str) else json.dumps(said)
            self._kept += kept.encode(errors="replace") + b"\n"
        if not isinstance(said, dict):
            return
        job, message = said.get("jobID"), _text(said.get("msg", ""))
        full = _text(said.get("job", "")).rstrip()  # act pads names to one width
        if full == self._name:
            if said.get("raw_output"):
                self._report += message[: MAX_LOG - len(self._report)]
            return
        if not isinstance(job, str) or full in self._others:
            if said.get("level") == "error" and "git repository" not in message:
                self._words.append(message[:500])
            return
        self._read_step(job + matrix, job, said, message)

    def _masked(self, value: Any) -> Any:
        """The same without secrets: act masks what steps print, not their names and summaries."""
        if isinstance(value, dict):
            return {self._masked(key): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._masked(inner) for inner in value]
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "***")
        return value

    def _read_step(self, where: str, job: str, said: dict[str, Any], message: str) -> None:
        ids = said.get("stepID")
        ids = [_text(id) for id in ids] if isinstance(ids, list) else []
        key = (where, ids[0] if ids else "")
        printed = ""
        if said.get("command") == "summary":
            content = _text(said.get("content", ""))
            self._summary += content[: MAX_LOG - len(self._summary)]
        elif said.get("raw_output"):
            printed = message
        elif said.get("level") == "error" and "git repository" not in message:
            printed = f"error: {message}\n"
        if printed and self._size <= MAX_LOG:
            self._said.setdefault(key, []).append(printed)
        result = said.get("stepResult")
        if result not in RESULTS or len(ids) != 1 or said.get("stage") != "Main":
            return
        name = _text(said.get("step", "")).strip().split("\n")[0]
        taken = said.get("executionTime", 0)
        seconds = taken / 1e9 if type(taken) is int and 0 <= taken < 1e15 else 0.0
        log = _plain("".join(self._said.pop(key, [])))
        if name == AFTER and not log:
            return  # no action had left any work
        if job != self._job:
            name = f"{_text(job)} / {name}"
        if len(self._steps) < MAX_STEPS:
            step = StepRecord(_line(name), str(result), seconds, log)
            self._steps.append(step)
            self._tell(step)

    def finish(self, code: int | None, seconds: float, address: str) -> JobRun:
        """The job's end, with the log written; ``code`` is act's exit code, None when time ran out."""
        self._log.write_bytes(bytes(self._kept))
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
        rest = _plain("".join("".join(said) for said in self._said.values()))
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
    """As text that UTF-8 can hold."""
    known = isinstance(value, str | int | float)
    return str(value).encode(errors="replace").decode() if known else ""


def _plain(text: str) -> str:
    """Without what steers a terminal, colours above all; line ends and tabs stay."""
    return CONTROL.sub("", ESCAPE.sub("", text))


def _line(text: str) -> str:
    """The same in one line."""
    return re.sub(r"[\r\n\t]", " ", _plain(text))
