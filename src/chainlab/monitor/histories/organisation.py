"""A made organisation: its projects, when its teams work, and how often the hard cases happen; all drawn by a seed.

Everything that a rule could learn by heart differs from seed to seed: names, sizes, hours, cadences, shares.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["DAY", "HARD_CASES", "HOUR", "MINUTE", "WEEK", "Organisation", "ReleasedProject"]

MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800  # seconds
MONDAY = int(datetime(2025, 1, 6, tzinfo=UTC).timestamp())  # the earliest first day

# Name → about how often; a seed draws its own share around that.
HARD_CASES: Mapping[str, float] = {
    # by release of a package or model
    "night_backport": 1 / 150,  # a fix for an old version, at night, for a customer who waits
    "three_versions_in_ten_minutes": 1 / 900,  # the first two miss a file
    "break_glass_on_sunday": 1 / 4_000,  # a person uploads by hand while CI is down; announced
    "first_release_by_hand": 1 / 30,  # of first releases: reserves a project's name before its workflow exists
    "renamed_workflow": 1 / 1_200,  # the publisher's identity changes, and is right
    "editable_install_in_dev_wheel": 1 / 400,  # a .pth file, as pip install --editable writes it
    "optional_job_failed": 1 / 300,  # documentation fails, the release goes on
    "smoke_test_failed_after_publication": 1 / 700,  # the mirror was slow
    "urgent_security_update": 1 / 500,  # a dependency younger than the cooldown, on purpose
    "bot_update_with_new_dependencies": 1 / 25,
    "upload_retried_after_the_job": 1 / 1_500,  # a queue sends once more when the token has ended
    "version_written_into_a_module": 1 / 250,  # a build replaces a placeholder
    "late_compiled_file": 1 / 1_200,  # a build writes a file that its source does not have
    "short_exception": 1 / 250,  # two days, until the fix is out
    # by project
    "generated_version_file": 0.3,  # its build writes _version.py
    # by week
    "owner_moves_tag_after_typo": 0.5,
    "owner_deletes_young_tag": 0.3,  # before it is set again, elsewhere
    "own_branch_forced": 3.0,  # a branch of a pull request is rebased, or deleted after its merge
    "old_candidates_deleted": 0.03,  # tags of release candidates, some at a time
    "actions_released_together": 0.08,  # and v1 of each of them follows
    "floating_major_tag": 0.25,  # v1 of an action follows its newest release
    "history_rewritten": 0.03,  # a large file is removed from all commits; announced
    "unneeded_evidence_deleted": 2.0,
    "quarantine_after_false_alarm": 0.02,
    "gate_restarted": 0.7,  # two minutes
    "gate_moved": 0.015,  # to another machine, in twelve minutes; announced
    "gate_slow": 1.5,  # answers after half a minute
    "log_out_of_reach": 0.1,  # does not answer for a quarter of an hour
    "new_shard_of_the_log": 0.04,
    "watch_list_behind": 0.05,  # an identity that nobody has entered yet
    "attested_behaviour_behind": 0.05,  # a library reads one more file than before
    "advisory_withdrawn": 0.03,  # what runs is refused for a day
}
_FIRST = (
    "amber birch cedar clear coral dune east fern flint grey harbour hazel high iris juniper kelp larch linden low "
    "maple marsh moss north oak ochre olive opal pine quartz reed river sage slate south stone tidal umber west willow"
)
_SECOND = (
    "atlas bench cluster codec cohort corpus dataset embedder encoder feature fold forest graph kernel label ledger "
    "lens mapper matrix mixer model parser pipeline probe ranker reader recall sampler schema score segment signal "
    "slice splitter stream tagger tensor tokens trainer triage tuner vector viewer"
)


@dataclass
class ReleasedProject:
    """A project that is released: a package, or a model, which is an OCI artifact and passes the gate."""

    name: str
    repository: str
    model: bool
    zone: int  # hours that its team's day starts before UTC's
    weekly: float  # releases
    attested: bool
    version_file: bool  # its build writes _version.py
    workflow: str = ".github/workflows/release.yml"
    released: list[int] = field(default_factory=list)  # version

    @property
    def identity(self) -> str:
        """The identity that its release workflow signs with."""
        return f"{self.repository}/{self.workflow}"

    def next_version(self) -> str:
        """Return the next version: mostly a patch; ``1.2.3``."""
        if not self.released:
            self.released = [0, 1, 0]
        self.released[2] += 1
        if self.released[2] > 9:
            self.released[1:] = [self.released[1] + 1, 0]
        return ".".join(map(str, self.released))

    @property
    def version(self) -> str:
        """The newest version."""
        return ".".join(map(str, self.released or [0, 1, 0]))


class Organisation:
    """What one seed draws; `rng` goes on from there."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._first, self._second = _FIRST.split(), _SECOND.split()
        self.name = f"{rng.choice(self._first)}{rng.choice(self._second)}"
        self.start = MONDAY + WEEK * rng.randrange(52)
        self.shares = {name: share * math.exp(rng.gauss(0, 0.35)) for name, share in HARD_CASES.items()}
        self.office = (rng.uniform(7.5, 9.5), rng.uniform(16.5, 19))  # local hours
        self.reused_dependencies = rng.uniform(0.85, 0.97)  # share of releases whose SBOM has nothing new
        self.packages = [
            f"{a}-{b}" for a, b in zip(rng.sample(self._second, 30), rng.choices(self._first, k=30), strict=True)
        ]
        self.projects = self._draw_projects()

    def _draw_projects(self) -> list[ReleasedProject]:
        rng, names, projects = self.rng, set[str](), []
        far, attested, models = rng.uniform(0.0, 0.12), rng.uniform(0.85, 1.0), rng.uniform(0.15, 0.3)
        for _ in range(rng.randint(6, 14)):
            zone = rng.choice((-8, -5, 5, 9)) if rng.random() < far else rng.choice((0, 1, 2))
            for _ in range(rng.randint(4, 10)):
                name = f"{rng.choice(self._first)}-{rng.choice(self._second)}"
                if name in names:
                    continue
                names.add(name)
                weekly = min(8.0, rng.lognormvariate(0.6, 0.7))
                project = ReleasedProject(
                    name,
                    f"{self.name}/{name}",
                    rng.random() < models,
                    zone,
                    weekly,
                    rng.random() < attested,
                    rng.random() < self.shares["generated_version_file"],
                )
                projects.append(project)
        return projects

    def digest(self) -> str:
        """Draw a digest."""
        return f"sha256:{self.rng.getrandbits(256):064x}"

    def commit(self) -> str:
        """Draw a commit's id."""
        return f"{self.rng.getrandbits(160):040x}"

    def happens(self, case: str) -> bool:
        """Whether a hard case of a release happens now."""
        return self.rng.random() < self.shares[case]

    def times(self, weekly: float) -> int:
        """Draw how often something happens in a week (Poisson)."""
        count, product, limit = 0, self.rng.random(), math.exp(-weekly)
        while product > limit:
            count, product = count + 1, product * self.rng.random()
        return count

    def working_time(self, week: int, zone: int = 0) -> float:
        """Draw a moment of a working day in the office's hours, in the team's zone."""
        first, last = self.office
        hour = self.rng.triangular(first, last, (first + last) / 2)
        return week + self.rng.randrange(5) * DAY + (hour - zone) * HOUR
