"""Benign weeks beside the releases: pushes, answers, looks at the log, the service, deletions, restarts."""

from __future__ import annotations

from chainlab.ci.git.refs import NO_COMMIT
from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import DAY, HOUR, MINUTE, WEEK, Organisation

__all__ = ["Upkeep"]

PARTS = ("gate", "index", "log", "service")
EVERY = 4 * HOUR  # seconds between two events of an observer that has nothing to report


class Upkeep:
    """Writes what an organisation's services and its monitor report in a week."""

    def __init__(self, organisation: Organisation, journal: Journal) -> None:
        self._org, self._journal, self._rng = organisation, journal, organisation.rng
        self._log_size, self._origin, self._shard = 1_000, f"{organisation.name}.log/1", 1

    def week(self, start: int) -> None:
        """Write one week that begins at ``start``."""
        self._watch(start)
        self._pushes(start)
        self._evidence(start)
        self._gate(start)
        self._log(start)
        self._service(start)

    def _moments(self, case: str, start: int) -> list[float]:
        count = self._org.times(self._org.shares[case])
        return sorted(self._org.working_time(start) for _ in range(count))

    # -- what repeats

    def _watch(self, start: int) -> None:
        digest = self._org.digest()
        for at in range(start + 60, start + WEEK, EVERY):
            for part in PARTS:
                self._beat(at, part)
            self._look(at + 30)
            for action, target in (("listen", "127.0.0.1:0"), ("connect", "name 127.0.0.1")):
                self._journal.add(
                    at + 40,
                    "service.behaved",
                    digest,
                    reference=f"registry/service@{digest}",
                    action=action,
                    target=target,
                    expected=True,
                    phase="serving",
                )
            self._journal.add(
                at + 50,
                "service.reverified",
                digest,
                reference=f"registry/service@{digest}",
                verified=True,
                cause=None,
                why="",
                action="none",
            )
            identity = self._rng.choice(self._org.projects).identity
            self._identity(at + 55, identity, expected=True)

    def _beat(self, at: float, part: str, *, answered: bool = True, seconds: float = 0.02) -> int:
        return self._journal.add(at, "monitor.heartbeat", part, answered=answered, seconds=seconds)

    def _look(self, at: float, *, consistent: bool | None = True, answered: bool = True, why: str = "") -> int:
        entries = self._rng.randint(0, 60) if answered else 0
        self._log_size += entries
        return self._journal.add(
            at,
            "log.watched",
            self._origin,
            size=self._log_size,
            entries=entries,
            skipped=0,
            consistent=consistent,
            split=False,
            answered=answered,
            why=why,
        )

    def _identity(self, at: float, identity: str, *, expected: bool) -> int:
        return self._journal.add(
            at,
            "log.identity",
            identity,
            log=self._origin,
            index=self._log_size,
            issuer="https://issuer.localhost",
            workflow=identity,
            commit=self._org.commit(),
            expected=expected,
        )

    # -- what happens now and then

    def _pushes(self, start: int) -> None:
        for project in self._org.projects:
            self._push(self._org.working_time(start, project.zone), project.repository, "refs/heads/main")
        for at in self._moments("own_branch_forced", start):
            repository, later = self._rng.choice(self._org.projects).repository, at + self._rng.uniform(0.5, 60) * HOUR
            for number in range(self._rng.choice((1, 1, 1, 2, 3, 6))):  # pull requests on top of each other
                ref = f"refs/heads/fix-{start // WEEK}-{number}"
                self._push(at + number, repository, ref)
                acts = [
                    self._push(later + number, repository, ref, moved=True),
                    self._push(later + DAY, repository, ref, gone=True),
                ]
                self._journal.label_case("own_branch_forced", *acts)
        self._tags(start)

    def _tags(self, start: int) -> None:
        for case in ("owner_moves_tag_after_typo", "owner_deletes_young_tag"):
            for at in self._moments(case, start):
                project = self._rng.choice(self._org.projects)
                ref = f"refs/tags/v{project.version}-rc{self._rng.randint(1, 99)}"
                gone = case == "owner_deletes_young_tag"
                later = at + 20 + self._rng.expovariate(1 / (90 * MINUTE if gone else 12 * MINUTE))
                self._push(at, project.repository, ref)
                self._journal.label_case(case, self._push(later, project.repository, ref, gone=gone))
                if gone:
                    again = later + self._rng.expovariate(1 / DAY)
                    self._journal.label_case(case, self._push(again, project.repository, ref))
        for at in self._moments("floating_major_tag", start):
            moved = self._push(at, f"{self._org.name}/setup-action", "refs/tags/v1")
            self._journal.label_case("floating_major_tag", moved)
        for at in self._moments("actions_released_together", start):
            for number in range(6):
                action = f"{self._org.name}/action-{number}"
                self._push(start - WEEK + number, action, "refs/tags/v1")
                moved = self._push(at + 30 * number, action, "refs/tags/v1")
                self._journal.label_case("actions_released_together", moved)
        for at in self._moments("old_candidates_deleted", start):
            repository = self._rng.choice(self._org.projects).repository
            for number in range(self._rng.randint(2, 8)):
                ref = f"refs/tags/v0.{start // WEEK}.{number}-rc1"
                self._push(start - 2 * DAY + number, repository, ref)
                self._journal.label_case("old_candidates_deleted", self._push(at + number, repository, ref, gone=True))
        for at in self._moments("history_rewritten", start):
            repository, count = f"{self._org.name}/datasets-{start}", self._rng.randint(5, 30)
            for number in range(count):
                ref = f"refs/tags/v0.{number}.0"
                self._push(start - DAY + number, repository, ref)
                moved = self._push(at + number // 10, repository, ref, batch=count)
                self._journal.label_case("history_rewritten", moved)

    def _push(self, at: float, repository: str, ref: str, *, gone: bool = False, **facts: object) -> int:
        new, who = NO_COMMIT if gone else self._org.commit(), f"dev-{self._rng.randint(1, 40)}"
        return self._journal.add(at, "change.pushed", repository, ref=ref, new=new, who=who, **facts)

    def _evidence(self, start: int) -> None:
        for at in self._moments("unneeded_evidence_deleted", start):
            act = self._journal.add(
                at,
                "artifact.deleted",
                self._org.digest(),
                repository=f"{self._org.name}/scratch",
                counted=False,
                by="janitor",
            )
            self._journal.label_case("unneeded_evidence_deleted", act)
        for at in self._moments("quarantine_after_false_alarm", start):
            act = self._journal.add(
                at,
                "artifact.quarantined",
                self._org.digest(),
                reason="scanner: suspicious string",
                counted=True,
                by="security-1",
            )
            self._journal.label_case("quarantine_after_false_alarm", act)

    def _gate(self, start: int) -> None:
        for at in self._moments("gate_restarted", start):
            self._beat(at - 30, "gate")
            acts = [self._beat(at + second, "gate", answered=False, seconds=5.0) for second in (0, 60)]
            self._beat(at + 120, "gate")
            self._journal.label_case("gate_restarted", *acts)
        for at in self._moments("gate_slow", start):
            self._journal.label_case("gate_slow", self._beat(at, "gate", seconds=self._rng.uniform(10, 40)))
        for at in self._moments("gate_moved", start):
            self._beat(at - 30, "gate")
            acts = [self._beat(at + minute * MINUTE, "gate", answered=False, seconds=5.0) for minute in range(12)]
            self._beat(at + 12 * MINUTE, "gate")
            self._journal.label_case("gate_moved", *acts)

    def _log(self, start: int) -> None:
        for at in self._moments("log_out_of_reach", start):
            self._beat(at - 60, "log")
            acts = [self._beat(at + minute * MINUTE, "log", answered=False, seconds=5.0) for minute in range(0, 15, 5)]
            acts.append(self._look(at + 90, consistent=None, answered=False, why="connection refused"))
            self._beat(at + 15 * MINUTE, "log")
            self._journal.label_case("log_out_of_reach", *acts)
        for at in self._moments("new_shard_of_the_log", start):
            self._shard, self._log_size = self._shard + 1, 0
            self._origin = f"{self._org.name}.log/{self._shard}"
            self._journal.label_case("new_shard_of_the_log", self._look(at, consistent=None, why="a new shard"))
        for at in self._moments("watch_list_behind", start):
            project = self._rng.choice(self._org.projects)
            act = self._identity(at, f"{project.repository}/.github/workflows/nightly.yml", expected=False)
            self._journal.label_case("watch_list_behind", act)

    def _service(self, start: int) -> None:
        for at in self._moments("attested_behaviour_behind", start):
            digest = self._org.digest()
            act = self._journal.add(
                at,
                "service.behaved",
                digest,
                reference=f"registry/service@{digest}",
                action="read",
                target="/proc/cpuinfo",
                expected=False,
                phase="startup",
            )
            self._journal.label_case("attested_behaviour_behind", act)
        for at in self._moments("advisory_withdrawn", start):
            digest = self._org.digest()
            act = self._journal.add(
                at,
                "service.reverified",
                digest,
                reference=f"registry/service@{digest}",
                verified=False,
                cause="advisory",
                why="an advisory that was withdrawn a day later",
                action="reported",
            )
            self._journal.label_case("advisory_withdrawn", act)
