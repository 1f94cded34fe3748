"""A learner's progress: one JSON file in the workspace, and the board that shows it.

    {"format": "chainlab-progress/1", "exercises": {"1.2": {"status": "wrong", "message": "…", "attempts": 2, …}}}

Every change is made under a file lock and written whole, then flushed: a killed process loses at most the change it
was making. An import is validated before anything is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chainlab.characters import visible
from chainlab.course.syllabus import Course
from chainlab.errors import InUse, MalformedInput
from chainlab.storage import write_whole
from chainlab.workspace import learner_workspace

__all__ = ["MARKS", "STATUSES", "Entry", "Progress", "ProgressFile"]

FORMAT = "chainlab-progress/1"
MARKS = {"not attempted": "·", "wrong": "✘", "done": "✔"}  # never colour alone
STATUSES = tuple(MARKS)
PAUSE = 600  # seconds: a longer silence is a break, and counts as none
LOCK_SECONDS = 10
MAX_IMPORT = 2**20  # bytes


@dataclass(frozen=True)
class Entry:
    """What is known of one exercise."""

    status: str = "not attempted"
    message: str = ""  # of the last wrong answer
    attempts: int = 0  # checks of an answer, right or wrong
    hints: int = 0  # rungs shown
    active: int = 0  # seconds between its checks and hints, breaks left out
    changed: str = ""  # ISO 8601, UTC

    @classmethod
    def parse(cls, exercise: str, data: Any) -> Entry:
        """Read one entry; ``Entry.parse(id, asdict(entry)) == entry``. Raises `MalformedInput`."""
        if not isinstance(data, dict) or not data.keys() <= cls.__dataclass_fields__.keys():
            raise MalformedInput(f"exercise {exercise}: unknown or missing fields: {_cut(data)}")
        entry = cls(**data)
        if entry.status not in STATUSES:
            raise MalformedInput(f"exercise {exercise}: status {_cut(entry.status)} is none of {', '.join(STATUSES)}")
        for name in ("attempts", "hints", "active"):
            value = getattr(entry, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise MalformedInput(f"exercise {exercise}: {name} is to be a count, got {_cut(value)}")
        for name in ("message", "changed"):
            value = getattr(entry, name)
            if not isinstance(value, str) or value != value.encode(errors="ignore").decode():
                raise MalformedInput(f"exercise {exercise}: {name} is to be text for UTF-8")
        if entry.changed:
            try:
                datetime.fromisoformat(entry.changed)
            except ValueError as error:
                raise MalformedInput(f"exercise {exercise}: {_cut(entry.changed)} is no time") from error
        return entry


@dataclass(frozen=True)
class Progress:
    """Entries by exercise id."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    def of(self, exercise: str) -> Entry:
        """The entry of an exercise; a blank one where nothing is known."""
        return self.entries.get(exercise, Entry())

    def counts(self, course: Course) -> dict[str, int]:
        """How many exercises of the course have each status."""
        statuses = [self.of(e.id).status for u in course.written for e in u.exercises]
        return {status: statuses.count(status) for status in STATUSES}

    def dump(self) -> str:
        """JSON text; ``Progress.parse(p.dump()) == p``."""
        entries = {k: asdict(v) for k, v in sorted(self.entries.items())}
        return json.dumps({"format": FORMAT, "exercises": entries}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Progress:
        """Read JSON text. Raises `MalformedInput` that says what is wrong with it."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedInput(f"not JSON: {str(error)[:100]}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise MalformedInput(f'expected a JSON object with "format": "{FORMAT}"')
        exercises = data.get("exercises")
        if not isinstance(exercises, dict):
            raise MalformedInput('expected "exercises" to be an object')
        return cls({str(k): Entry.parse(str(k)[:20], v) for k, v in exercises.items()})


@dataclass(frozen=True)
class ProgressFile:
    """The file, with every change durable when the call returns."""

    path: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of_learner(cls) -> ProgressFile:
        """The one of the running workspace, else of this course folder's."""
        return cls(learner_workspace().path / "progress.json")

    def read(self) -> Progress:
        """What is on disk; blank where there is no file yet."""
        try:
            return Progress.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Progress()
        except (MalformedInput, UnicodeDecodeError) as error:
            raise MalformedInput(
                f"{self.path.name} cannot be read: {error}",
                mend="move that file away and import your last export: chainlab progress --import FILE",
            ) from error

    def record(self, exercise: str, status: str, message: str = "") -> Entry:
        """Note the outcome of a check."""
        attempted = status != "not attempted"
        return self._change(
            exercise,
            lambda e: replace(
                e,
                status=status,
                message=visible(message, lines=True) if status == "wrong" else "",
                attempts=e.attempts + attempted,
            ),
        )

    def hint_shown(self, exercise: str, at_most: int) -> int:
        """Count one more hint; the number it has, ``at_most + 1`` when all were shown before."""
        before = self.read().of(exercise).hints
        entry = self._change(exercise, lambda e: replace(e, hints=min(e.hints + 1, at_most)))
        return entry.hints if before < at_most else at_most + 1

    def reset(self, exercise: str) -> None:
        """Forget one exercise."""
        with self._locked() as progress:
            left = {k: v for k, v in progress.entries.items() if k != exercise}
            self._write(Progress(left))

    def restore(self, text: str, course: Course) -> Progress:
        """Replace everything by an export. Raises `MalformedInput` and changes nothing when it is not one."""
        if len(text.encode()) > MAX_IMPORT:
            raise MalformedInput(f"an export has at most {MAX_IMPORT} bytes")
        progress = Progress.parse(text)
        known = {e.id for u in course.units for e in u.exercises}
        for exercise in progress.entries:
            if exercise not in known:
                raise MalformedInput(f"exercise {_cut(exercise)} is not in this course")
        with self._locked():
            self._write(progress)
        return progress

    def _change(self, exercise: str, change: Callable[[Entry], Entry]) -> Entry:
        with self._locked() as progress:
            now = self.now().astimezone(UTC)
            entry = change(progress.of(exercise))
            entry = replace(
                entry,
                active=entry.active + _active(progress, now),
                changed=now.isoformat(timespec="seconds"),
            )
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
    """Seconds since the last change of any exercise; none after a break."""
    times = [datetime.fromisoformat(e.changed) for e in progress.entries.values() if e.changed]
    aware = [t if t.tzinfo else t.replace(tzinfo=UTC) for t in times]
    since = (now - max(aware)).total_seconds() if aware else 0
    return int(since) if 0 < since <= PAUSE else 0


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
