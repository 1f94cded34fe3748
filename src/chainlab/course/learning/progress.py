"""A learner's progress: one JSON file in the workspace.

    {"format": "chainlab-progress/2", "exercises": {"1.2": {"status": "wrong", "best": "done", "attempts": 2, …}}}

An exercise that was done stays done: an entry has the last status, and the best one with its day. A file of the first
format, which had only the last status, can be read; the next change writes it in this format.

Every change is made under a file lock, written whole and flushed: a killed process loses at most the change it was
making. An import is validated before it replaces anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic.dataclasses
from filelock import FileLock, Timeout
from pydantic import AfterValidator, ConfigDict, Field, StrictInt, StrictStr

from chainlab.characters import shortened, visible
from chainlab.course.syllabus import Course
from chainlab.errors import InUse, MalformedInput
from chainlab.shapes import Shape
from chainlab.storage import write_whole
from chainlab.workspace import learner_workspace

__all__ = ["MARKS", "STATUSES", "Progress", "ProgressEntry", "ProgressFile", "day_text", "time_text"]

FORMAT = "chainlab-progress/2"
MARKS = {"not attempted": "·", "wrong": "✘", "done": "✔"}  # never colour alone
STATUSES = tuple(MARKS)  # from the least to the best
PAUSE = 600  # seconds: a longer gap is a break, and does not count
LOCK_SECONDS = 10
MAX_IMPORT = 2**20  # bytes


def day_text(when: datetime) -> str:
    """Write the day of a time in the reader's zone: 30 Nov."""
    here = when.astimezone()
    return f"{here.day} {here:%b}"


def time_text(when: datetime) -> str:
    """Write a time in the reader's zone: 30 Nov 15:04:10."""
    return f"{day_text(when)} {when.astimezone():%H:%M:%S}"


def _status(text: str) -> str:
    if text not in STATUSES:
        raise MalformedInput(f"expected one of {', '.join(STATUSES)}, got {_shortened(text)}")
    return text


def _time(text: str) -> str:
    try:
        if text:
            datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedInput(f"expected an ISO 8601 time, got {_shortened(text)}") from error
    return text


Count = Annotated[StrictInt, Field(ge=0)]
Status = Annotated[StrictStr, AfterValidator(_status)]
TimeText = Annotated[StrictStr, AfterValidator(_time)]  # ISO 8601, UTC; empty for never
Source = Annotated[StrictStr, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
Message = Annotated[StrictStr, Field(max_length=MAX_IMPORT)]  # with a bound, pydantic also refuses lone surrogates


@pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProgressEntry:
    """The progress of one exercise."""

    status: Status = "not attempted"  # the last check's
    message: Message = ""  # the last wrong answer's
    attempts: Count = 0  # checks of an answer, right or wrong
    hints: Count = 0  # hints shown
    active: Count = 0  # seconds between its checks and hints, without breaks
    changed: TimeText = ""
    best: Status = "not attempted"  # never less than `status`
    reached: TimeText = ""  # when `best` was first reached
    answer: Source = ""  # digest of the cell with the answer last checked in a notebook
    checked: TimeText = ""  # time of that check

    def __post_init__(self) -> None:
        if STATUSES.index(self.status) > STATUSES.index(self.best):  # an entry of the first format
            object.__setattr__(self, "best", self.status)
            object.__setattr__(self, "reached", self.changed)

    def __str__(self) -> str:
        since = f" {day_text(datetime.fromisoformat(self.reached))}" if self.best == "done" and self.reached else ""
        last = f"; last run: {self.status}" if self.status != self.best else ""
        return f"{self.best}{since}{last}"


class _Export(Shape):
    format: Literal["chainlab-progress/1", "chainlab-progress/2"]
    exercises: dict[str, ProgressEntry]


@dataclass(frozen=True)
class Progress:
    """Entries by exercise id."""

    entries: Mapping[str, ProgressEntry] = field(default_factory=dict)

    def of(self, exercise: str) -> ProgressEntry:
        """Get the entry of an exercise; a blank one if there is none."""
        return self.entries.get(exercise, ProgressEntry())

    def counts(self, course: Course) -> dict[str, int]:
        """Count the course's exercises by best status."""
        statuses = [self.of(e.id).best for u in course.written for e in u.exercises]
        return {status: statuses.count(status) for status in STATUSES}

    def dump(self) -> str:
        """Write JSON text; ``Progress.parse(p.dump()) == p``."""
        entries = {k: asdict(v) for k, v in sorted(self.entries.items())}
        return json.dumps({"format": FORMAT, "exercises": entries}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Progress:
        """Read JSON text. Raises `MalformedInput` for another format."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedInput(f"not JSON: {str(error)[:100]}") from error
        return cls(_Export.read(data).exercises)


@dataclass(frozen=True)
class ProgressFile:
    """The progress file; every change is durable when the call returns."""

    path: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of_learner(cls) -> ProgressFile:
        """The file of the running workspace, else of this course folder's workspace."""
        return cls(learner_workspace().path / "progress.json")

    def read(self) -> Progress:
        """Read the file; blank progress if there is none yet."""
        try:
            return Progress.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Progress()
        except (MalformedInput, UnicodeDecodeError) as error:
            raise MalformedInput(
                f"{self.path.name} cannot be read: {error}",
                hint="move that file away and import your last export: chainlab progress --import FILE",
            ) from error

    def record(self, exercise: str, status: str, message: str = "", answer: str | None = None) -> ProgressEntry:
        """Record the result of a check; ``answer`` is the digest of the notebook cell that was checked.

        A check of a saved file gives no digest, and so keeps the entry's last check in a notebook.
        """
        attempted = status != "not attempted"

        def with_result(before: ProgressEntry, now: str) -> ProgressEntry:
            better = STATUSES.index(status) > STATUSES.index(before.best)
            return replace(
                before,
                status=status,
                message=visible(message, lines=True) if status == "wrong" else "",
                attempts=before.attempts + attempted,
                best=status if better else before.best,
                reached=now if better else before.reached,
                answer=before.answer if answer is None else answer,
                checked=before.checked if answer is None else now,
            )

        return self._change(exercise, with_result)

    def count_hint(self, exercise: str, at_most: int) -> int:
        """Count one more hint; returns its number, or ``at_most + 1`` if all were shown before."""
        before = self.read().of(exercise).hints
        entry = self._change(exercise, lambda e, _: replace(e, hints=min(e.hints + 1, at_most)))
        return entry.hints if before < at_most else at_most + 1

    def reset(self, exercise: str) -> None:
        """Remove the entry of one exercise."""
        with self._locked() as progress:
            left = {k: v for k, v in progress.entries.items() if k != exercise}
            self._write(Progress(left))

    def restore(self, text: str, course: Course) -> Progress:
        """Replace everything with an export. Raises `MalformedInput`, and changes nothing, if it is not valid."""
        if len(text.encode()) > MAX_IMPORT:
            raise MalformedInput(f"an export has at most {MAX_IMPORT} bytes")
        progress = Progress.parse(text)
        exercise_ids = {e.id for u in course.units for e in u.exercises}
        for exercise in progress.entries:
            if exercise not in exercise_ids:
                raise MalformedInput(f"exercise {_shortened(exercise)} is not in this course")
        with self._locked():
            self._write(progress)
        return progress

    def _change(self, exercise: str, change: Callable[[ProgressEntry, str], ProgressEntry]) -> ProgressEntry:
        with self._locked() as progress:
            now = self.now().astimezone(UTC)
            text = now.isoformat(timespec="seconds")
            entry = change(progress.of(exercise), text)
            entry = replace(entry, active=entry.active + _active(progress, now), changed=text)
            self._write(Progress({**progress.entries, exercise: entry}))
            return entry

    @contextmanager
    def _locked(self) -> Iterator[Progress]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=LOCK_SECONDS):
                yield self.read()
        except Timeout as error:
            raise InUse(f"another process has held {self.path.name} for {LOCK_SECONDS} s") from error

    def _write(self, progress: Progress) -> None:
        write_whole(self.path, progress.dump(), durable=True)


def _active(progress: Progress, now: datetime) -> int:
    """Seconds since the last change of any exercise; 0 after a break."""
    times = [datetime.fromisoformat(e.changed) for e in progress.entries.values() if e.changed]
    aware = [t if t.tzinfo else t.replace(tzinfo=UTC) for t in times]
    since = (now - max(aware)).total_seconds() if aware else 0
    return int(since) if 0 < since <= PAUSE else 0


def _shortened(value: Any) -> str:
    return shortened(repr(value), 60)
