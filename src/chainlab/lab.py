"""What a notebook opens: a workspace with its services, checks and the progress board.

>>> lab = open("01_threats")                    # doctest: +SKIP
>>> lab.trust.token("alice@example.com")        # doctest: +SKIP
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab import database, trust
from chainlab.course import syllabus
from chainlab.course.learner_code import cell_source, source_digest
from chainlab.course.learning.case_arguments import CaseArguments, arguments
from chainlab.course.learning.checks import check
from chainlab.course.learning.deliverables import Deliverable, begin_deliverable
from chainlab.course.learning.hints import Hint, next_hint
from chainlab.course.learning.predictions import Prediction
from chainlab.course.learning.progress import ProgressFile
from chainlab.course.learning.results import NotRight, Right
from chainlab.course.learning.solution_reasons import reason_of
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Incorrect, MalformedInput, NotAttempted
from chainlab.events import EventList, Events
from chainlab.trust.instance import prepare
from chainlab.workspace import Workspace, course_root
from chainlab.world import World

if TYPE_CHECKING:
    from chainlab.course.exfiltration_sink import Sink
    from chainlab.course.learning.progress_board import Board
    from chainlab.course.syllabus import Course

__all__ = ["Lab", "open"]

LONGEST_RUN = 120  # seconds a program of a lesson may take
# Jupyter's server gives it to the kernel of a notebook that somebody opened. What runs a notebook by itself, such as
# pytest or papermill in a terminal of the session, does not: there a wrong answer must fail the cell.
SESSION = "JPY_SESSION_NAME"


class Lab(World):
    """The world of one unit, opened by `open`; a private one is removed by `close` or with the process."""

    def __init__(self, unit: str, seed: int) -> None:
        self.unit = unit
        self.seed = seed
        self._root = course_root()
        self._course = _course_with(self._root, unit)
        joined = Workspace.joined()
        self._joined = joined is not None
        self._watched = self._joined and SESSION in os.environ
        self._process = os.getpid()
        self._sinks: list[Sink] = []
        workspace = joined or Workspace.private(_checkpoint_key(), _checkpoint)
        try:
            super().__init__(workspace, private=not self._joined)
        except BaseException:
            if not self._joined:
                workspace.remove()
            raise
        self._progress = ProgressFile(self.workspace.path / "progress.json")
        self._environment = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.workspace.environment(self._environment))
        atexit.register(self.close)

    @property
    def path(self) -> Path:
        """This unit's own working directory."""
        return self.workspace.unit(self.unit)

    @property
    def data(self) -> Path:
        """The course's ``data/``; read it, do not write to it."""
        return self._root / "data"

    def copy(self, name: str) -> Path:
        """Copy a file or folder of ``data/`` into `path`; returns the copy, made anew each time."""
        source = (self.data / name).resolve()
        if self.data.resolve() not in source.parents or not source.exists():
            raise MalformedInput(f"data/ has no {name!r}", hint="list it: sorted(lab.data.iterdir())")
        target = self.path / source.name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
        return target

    def template(self, name: str) -> Deliverable:
        """Copy a template such as ``assessment.md`` into `path`, once; gives where it lies and what is written."""
        copy = self.path / Path(name).name
        place = copy.relative_to(self.workspace.desk).as_posix()
        return begin_deliverable(self._root / "templates" / copy.name, copy, place)

    def sink(self) -> Sink:
        """A loopback sink for payloads, open until this lab closes; give runs its port."""
        from chainlab.course.exfiltration_sink import Sink

        sink = Sink()
        self._sinks.append(sink)
        return sink

    def events(self, type: str = "", *, about: str = "") -> EventList:
        """What the services reported so far, oldest first.

        ``type`` chooses one type or those below a name (``service``: ``dev.chainlab.service.deployed`` and others);
        ``about`` what the subject begins with, such as ``acme/triage-model/runs/3``.
        """
        connection = database.connect(self.workspace.trust / "state.db")
        try:
            return EventList(e for e in Events(connection).read() if e.is_of(type) and e.subject.startswith(about))
        finally:
            connection.close()

    def set_scenario_time(self, moment: datetime | None) -> None:
        """Set the time that services write beside real time into their events; None leaves the scenario.

        Clients go on in real time: tokens, certificates and timestamps know nothing of a scenario.
        """
        with contextlib.closing(database.connect(self.workspace.trust / "state.db")) as connection:
            Events(connection).set_scenario_time(moment)

    def run(
        self, command: Sequence[str | Path], *, check: bool = True, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the workspace's environment, in `path` unless told; returns its output.

        Raises `ChainlabError` with what it printed when it fails, unless ``check`` is false.
        """
        words = [str(word) for word in command]
        if isinstance(command, str) or not words:
            raise MalformedInput("expected a list of words", hint='write lab.run(["sigstore", "--version"])')
        try:
            done = subprocess.run(
                words,
                cwd=cwd or self.path,
                env=self.workspace.environment(),
                timeout=LONGEST_RUN,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except FileNotFoundError as error:
            raise ChainlabError(f"there is no program {words[0]!r} here", hint="run `chainlab doctor`") from error
        except (OSError, ValueError) as error:  # not a program, or a name that none can have
            raise ChainlabError(f"{words[0]!r} cannot be run", why=str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise ChainlabError(f"{words[0]} did not end within {LONGEST_RUN} s") from error
        if check and done.returncode != 0:
            raise ChainlabError(f"{words[0]} ended with {done.returncode}", why=(done.stderr or done.stdout)[-2000:])
        return done

    # -- exercises

    def check(self, exercise: str, answer: Any, *, demo: bool = False) -> Right | NotRight:
        """Check an answer on visible cases and on those generated from the seed; progress notes the outcome.

        Raises `NotAttempted` or `Incorrect`, which say what to do next. In a notebook of a running session it returns
        them as a false result instead, so that Run All goes on. ``demo`` does so everywhere, and notes nothing.
        """
        try:
            result = check(exercise, answer, lab=self, seed=self.seed)
        except (NotAttempted, Incorrect) as error:
            missed = NotRight(error)
            if not demo:
                self._note(exercise, answer, missed.status, error.message)
                if not self._watched:
                    raise
            return missed
        if not demo:
            self._note(exercise, answer, "done")
        reason = reason_of(self._course, exercise) if self._watched else None
        return replace(result, points=self._course.exercise(exercise).points, reason=reason)

    def case(self, exercise: str, name: str, *, seed: int | None = None) -> CaseArguments:
        """The arguments of one case, to play with: ``answer(*lab.case("2.1", "a reusable workflow"))``.

        With a seed it is the case of that name which is generated from it. Raises `MalformedInput`, which lists the
        names, for a case that the exercise does not have.
        """
        return arguments(exercise, name, lab=self, seed=seed)

    def hint(self, exercise: str, *, demo: bool = False) -> Hint:
        """The exercise's next hint; each asks before the one after it tells. ``demo`` shows the first, uncounted."""
        return next_hint(self._course, exercise, None if demo else self._progress, self.workspace.copy)

    def _note(self, exercise: str, answer: Any, status: str, message: str = "") -> None:
        self._progress.record(exercise, status, message, source_digest(cell_source(answer)))

    def predicted(self, yours: Any, true: Any) -> Prediction:
        """Compare a prediction, None for none, with what came out; the cell shows both."""
        return Prediction(yours, true)

    def progress(self) -> Board:
        """The board: what is not attempted, wrong and done."""
        from chainlab.course.learning.progress_board import Board

        return Board(self._course, self._progress.read())

    def close(self) -> None:
        """End what this lab started; a private workspace is removed."""
        if os.getpid() != self._process:
            return  # a fork that exits: all of this is its parent's
        atexit.unregister(self.close)
        if self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
            self._environment = {}
        for sink in self._sinks:
            sink.close()
        self._sinks.clear()
        if self.is_open:
            if not self._joined and (self.workspace.path / "deploy").exists():
                self.deployment.stop()
            super().close()
            if not self._joined:
                self.workspace.remove()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = "your running workspace" if self._joined else "a private workspace"
        return f"{self.unit}: {kind}, services on loopback"


def open(unit: str, *, seed: int = 1) -> Lab:
    """The world of a unit: private unless ``CHAINLAB_WORKSPACE`` names a running workspace.

    ``seed`` chooses the generated cases of the exercises. Raises `Unavailable` where there is no
    course, and `MalformedInput` for a unit that the course does not have.
    """
    return Lab(unit, seed)


def _course_with(root: Path, name: str) -> Course:
    """The course. Units and their lessons alone have a world; anything else may be a path that leads out."""
    course = syllabus.load(root)
    known: dict[str, None] = {}  # in the course's order
    for unit in course.units:
        known |= dict.fromkeys((unit.id, *(lesson.file for lesson in unit.lessons)))
    if name not in known:
        raise MalformedInput(f"the course has no unit {name!r}", hint=f"known: {', '.join(known)}")
    return course


def _checkpoint_key() -> str:
    """Names the checkpoint by the code that makes it: other code, another checkpoint."""
    sources = sorted(Path(trust.__path__[0]).glob("*.py"))
    return str(Digest.of(b"\0".join(source.read_bytes() for source in sources)))


def _checkpoint(workspace: Workspace) -> None:
    """What weeks 0 and 1 begin with: an instance with its keys; its own root opens each log."""
    prepare(workspace.trust)
