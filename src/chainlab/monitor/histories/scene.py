"""Where an attack happens: an organisation's weeks, and the acts that an attacker's doings leave.

Nothing here is shared with the code that writes benign releases: what both get wrong alike would not be noticed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import DAY, HOUR, MINUTE, WEEK, Organisation, ReleasedProject

__all__ = ["Scene", "Way"]


class Way(NamedTuple):
    """One way of an attack: how often attackers choose it, compared with the other ways, and what it does.

    ``attack`` returns the numbers of the acts of which a detection must match one.
    """

    weight: float
    attack: Callable[[Scene], list[int]]


class Scene:
    """The weeks into which the attacks of one rule are placed."""

    def __init__(self, organisation: Organisation, journal: Journal, rng: random.Random, span: tuple[int, int]) -> None:
        self.organisation, self.journal, self.rng = organisation, journal, rng
        self._first, self._end = span

    # -- when and where

    def day(self, *, working: bool = True) -> int:
        """Draw a day, its first second; a working day, or one of a weekend."""
        weeks = max(1, (self._end - self._first) // WEEK)
        day = self.rng.randrange(5) if working else self.rng.choice((5, 6))
        return self._first + self.rng.randrange(weeks) * WEEK + day * DAY

    def in_office_hours(self) -> float:
        """Draw a moment when nobody wonders."""
        return self.day() + self.rng.uniform(8 * HOUR, 16 * HOUR)

    def at_night(self) -> float:
        """Draw a moment when nobody looks."""
        return self.day() + self.rng.choice((self.rng.uniform(0, 5), self.rng.uniform(21, 24))) * HOUR

    def at_a_weekend(self) -> float:
        """Draw a moment of a weekend."""
        return self.day(working=False) + self.rng.uniform(1, 23) * HOUR

    def at_any_time(self) -> float:
        """Draw a moment; attackers live in all time zones."""
        return self.rng.choice((self.in_office_hours, self.at_night, self.at_a_weekend))()

    def between_beats(self) -> float:
        """Draw a moment followed by two hours without a routine look of the monitor."""
        return self.day() + self.rng.randrange(6) * 4 * HOUR + self.rng.uniform(10, 90) * MINUTE

    def victim(self, *, attested: bool | None = None) -> ReleasedProject:
        """Choose a project, of those whose releases are attested, or of the others; of all where there are none."""
        projects = self.organisation.projects
        fitting = [project for project in projects if attested in (None, project.attested)]
        return self.rng.choice(fitting or projects)

    # -- what an attack leaves

    def hex(self, digits: int) -> str:
        """Draw hexadecimal digits."""
        return f"{self.rng.getrandbits(4 * digits):0{digits}x}"

    def digest(self) -> str:
        """Draw a digest."""
        return f"sha256:{self.hex(64)}"

    def version(self, project: ReleasedProject) -> str:
        """Choose a version that the project does not have yet."""
        major, minor, patch = (int(part) for part in project.version.split("."))
        return f"{major}.{minor}.{patch}.post{self.rng.randrange(10**6)}"

    def run(self, project: ReleasedProject) -> str:
        """Name a run that the attacker started or took over."""
        return f"{project.repository}/runs/{self.rng.randrange(10**6, 10**7)}"

    def upload(self, project: ReleasedProject, at: float, **facts: Any) -> int:
        """Upload a wheel as facts say: by whom, from which run, attested or not."""
        version = facts.pop("version", None) or self.version(project)
        given = {"by": "owner", "run": None, "job": None, "attested": False, "identity": None} | facts
        return self.journal.add(
            at,
            "artifact.published",
            self.digest(),
            project=project.name,
            version=version,
            repository=project.repository,
            file=f"{project.name.replace('-', '_')}-{version}-py3-none-any.whl",
            size=self.rng.randrange(50_000, 400_000),
            **given,
        )

    def upload_by_run(self, project: ReleasedProject, at: float, **facts: Any) -> tuple[int, str]:
        """Upload from a run, as its workflow would; returns the act and the run."""
        run = self.run(project)
        identity = project.identity if project.attested else None
        from_run = {"by": f"{run}/jobs/publish", "run": run, "job": "publish", "attested": project.attested}
        return self.upload(project, at, **(from_run | {"identity": identity, "run_failed": False} | facts)), run

    def end_run(self, project: ReleasedProject, run: str, at: float, result: str) -> int:
        """End a run."""
        return self.journal.add(
            at,
            "pipelinerun.finished",
            run,
            run=run,
            workflow=project.workflow,
            event="pull_request_target",
            ref="refs/heads/main",
            commit=self.hex(40),
            actor="outsider",
            control="network namespace",
            result=result,
        )
