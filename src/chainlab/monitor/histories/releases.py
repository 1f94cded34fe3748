"""Benign releases: what a push, its run, the publication and the way to prod leave as events."""

from __future__ import annotations

from typing import Any

from chainlab.monitor.histories.journal import Journal
from chainlab.monitor.histories.organisation import DAY, HOUR, MINUTE, Organisation, ReleasedProject

__all__ = ["BenignReleases"]

COOLDOWN_S = 3 * DAY  # data/policies/release.toml


class BenignReleases:
    """Writes the releases of one organisation into a journal."""

    def __init__(self, organisation: Organisation, journal: Journal, *, detailed_from: float) -> None:
        self._org, self._journal, self._rng = organisation, journal, organisation.rng
        self._detailed_from = detailed_from  # events of jobs are kept from here on
        self._runs: dict[str, int] = {}
        self._deployed: dict[str, str] = {}
        self.publications = 0

    def release(self, project: ReleasedProject, at: float) -> None:
        """Release a project: mostly as usual, now and then as one of the hard cases."""
        happens = self._org.happens
        if not project.released and happens("first_release_by_hand"):
            return self._by_hand(project, at, "first_release_by_hand")
        if happens("break_glass_on_sunday"):
            sunday = at - (at // DAY + 3) % 7 * DAY + 6 * DAY  # day 0 of Unix time was a Thursday
            return self._by_hand(project, sunday, "break_glass_on_sunday")
        if happens("night_backport"):
            return self._released_by_run(
                project, at - at % DAY + 23 * HOUR + self._rng.random() * 5 * HOUR, "night_backport"
            )
        if happens("three_versions_in_ten_minutes"):
            for attempt in range(3):
                self._released_by_run(project, at + attempt * 4 * MINUTE, "three_versions_in_ten_minutes")
            return None
        if happens("renamed_workflow"):
            project.workflow = (
                f".github/workflows/{self._rng.choice(('publish', 'ship', 'deliver', 'build-and-publish'))}.yml"
            )
            return self._released_by_run(project, at, "renamed_workflow")
        return self._released_by_run(project, at)

    # -- one release

    def _by_hand(self, project: ReleasedProject, at: float, case: str) -> None:
        by = f"release-manager-{self._rng.randint(1, 3)}"
        self._journal.add(at, "token.used", by, token=self._token(), run=None, service="index", outside=False)
        version = project.next_version()
        number, digest = self._publish(project, version, at + 1, by=by, run=None, job=None, attested=False)
        self._journal.label_case(case, number)
        self._journal.add(
            at + 60,
            "artifact.inspected",
            digest,
            project=project.name,
            version=version,
            compared=False,
            why="no run and no identity token names its source",
            startup_files=[],
        )

    def _released_by_run(self, project: ReleasedProject, at: float, case: str = "") -> None:
        journal, version = self._journal, project.next_version()
        editable = self._org.happens("editable_install_in_dev_wheel")
        if editable:
            version = f"{version}.dev{self._rng.randint(1, 30)}"
        commit, who = self._org.commit(), f"dev-{self._rng.randint(1, 40)}"
        ref = f"refs/tags/v{version}"
        journal.add(at, "change.pushed", project.repository, ref=ref, new=commit, who=who)
        number = self._runs[project.repository] = self._runs.get(project.repository, 0) + 1
        run = f"{project.repository}/runs/{number}"
        began, took = at + 5, self._rng.uniform(2, 9) * MINUTE
        facts = {"workflow": project.workflow, "event": "push", "ref": ref, "commit": commit, "actor": who}
        facts["control"] = "network namespace"
        if at >= self._detailed_from:
            journal.add(began, "pipelinerun.started", run, run=run, **facts)
            self._job(run, "build", began + 2, took / 2)
        if self._rng.random() < 0.5:
            self._served(run, began + 20)
        failed = self._org.happens("optional_job_failed")
        act, digest = self._publish_from(run, project, version, began + took * 0.8, run_failed=failed)
        late = not failed and self._org.happens("smoke_test_failed_after_publication")
        result = "failure" if failed or late else "success"
        over = began + took + 10 + late * 4 * MINUTE
        ended = journal.add(over, "pipelinerun.finished", run, run=run, result=result, **facts)
        for name, applies in (
            (case, bool(case)),
            ("optional_job_failed", failed),
            ("smoke_test_failed_after_publication", late),
        ):
            if applies:
                journal.label_case(name, act, ended)
        self._inspect(project, version, digest, began + took * 0.8 + 60, editable=editable)
        if project.model:
            self._to_prod(project, version, run, began + took * 0.8 + 2)

    def _publish_from(
        self, run: str, project: ReleasedProject, version: str, at: float, *, run_failed: bool
    ) -> tuple[int, str]:
        """Upload the wheel, and now and then an sdist, by the run's job; returns the act and the wheel's digest."""
        journal, job, token = self._journal, f"{run}/jobs/publish", self._token()
        if at >= self._detailed_from:
            self._job(run, "publish", at - 20, 30)
            held = {"run": run, "job": "publish", "grants": [f"package:{project.name}:upload"], "lifetime_s": 3600}
            journal.add(at - 19, "token.issued", job, token=token, **held)
        journal.add(at - 1, "token.used", job, token=token, run=run, job="publish", service="index", outside=False)
        facts: dict[str, Any] = {"by": job, "run": run, "job": "publish", "run_failed": run_failed}
        facts |= {"attested": project.attested, "identity": project.identity if project.attested else None}
        act, digest = self._publish(project, version, at, **facts)
        if self._rng.random() < 0.15:
            self._publish(project, version, at + 2, **facts, source=True)
        if self._org.happens("upload_retried_after_the_job"):
            late = {"run": run, "job": "publish", "service": "index", "reason": "job ended", "outside": True}
            again = journal.add(at + 10 * MINUTE, "token.refused", job, token=token, **late)
            journal.label_case("upload_retried_after_the_job", again)
        return act, digest

    def _token(self) -> str:
        return f"{self._rng.getrandbits(48):012x}"

    def _job(self, run: str, job: str, at: float, seconds: float) -> None:
        subject = f"{run}/jobs/{job}"
        self._journal.add(at, "taskrun.started", subject, run=run, job=job, permissions={"id-token": "write"})
        self._journal.add(
            at + seconds - 1,
            "step.finished",
            subject,
            run=run,
            job=job,
            step="run",
            result="success",
            milliseconds=round(seconds * 900),
        )
        self._journal.add(
            at + seconds,
            "taskrun.finished",
            subject,
            run=run,
            job=job,
            result="success",
            why="",
            provenance=self._org.digest(),
            milliseconds=round(seconds * 1000),
        )

    def _served(self, run: str, at: float) -> None:
        urgent = self._org.happens("urgent_security_update")
        internal = self._rng.random() < 0.3
        age = (
            self._rng.uniform(2 * HOUR, 2 * DAY)
            if urgent or internal
            else COOLDOWN_S + self._rng.expovariate(1 / (60 * DAY))
        )
        package = self._rng.choice(self._org.packages)
        version = f"{self._rng.randint(0, 9)}.{self._rng.randint(0, 20)}.{self._rng.randint(0, 9)}"
        act = self._journal.add(
            at,
            "artifact.served",
            self._org.digest(),
            run=run,
            job="build",
            project=package,
            version=version,
            file=f"{package.replace('-', '_')}-{version}-py3-none-any.whl",
            age_s=round(age),
            origin="internal" if internal and not urgent else "upstream",
        )
        if urgent:
            self._journal.label_case("urgent_security_update", act)

    def _publish(
        self, project: ReleasedProject, version: str, at: float, *, source: bool = False, **facts: Any
    ) -> tuple[int, str]:
        stem = f"{project.name.replace('-', '_')}-{version}"
        digest = self._org.digest()
        act = self._journal.add(
            at,
            "artifact.published",
            digest,
            project=project.name,
            version=version,
            repository=project.repository,
            file=f"{stem}.tar.gz" if source else f"{stem}-py3-none-any.whl",
            size=round(self._rng.lognormvariate(11.5, 0.2)),
            **facts,
        )
        self.publications += 1
        return act, digest

    def _inspect(self, project: ReleasedProject, version: str, digest: str, at: float, *, editable: bool) -> None:
        package, startup, changed = project.name.replace("-", "_"), list[str](), list[str]()
        new = [f"{package}/_version.py"] if project.version_file else []
        case = "generated_version_file" if new else ""
        if editable:
            startup, case = [f"__editable__.{package}-{version}.pth"], "editable_install_in_dev_wheel"
        elif self._org.happens("late_compiled_file"):
            new, case = [*new, f"{package}/_fast.so"], "late_compiled_file"
        elif not new and self._org.happens("version_written_into_a_module"):
            changed, case = [f"{package}/__init__.py"], "version_written_into_a_module"
        act = self._journal.add(
            at,
            "artifact.inspected",
            digest,
            project=project.name,
            version=version,
            compared=True,
            why=None,
            new_files=[*startup, *new],
            startup_files=startup,
            changed_files=changed,
        )
        if case:
            self._journal.label_case(case, act)

    def _to_prod(self, project: ReleasedProject, version: str, run: str, at: float) -> None:
        """The model's manifest, its evidence, the SBOM's difference, the gate, the channels, the deployment."""
        journal, rng = self._journal, self._rng
        digest, before = self._org.digest(), self._deployed.get(project.name)
        job = f"{run}/jobs/publish"
        repository = f"{self._org.name}/{project.name}"
        reference = f"registry/{repository}@{digest}"
        journal.add(
            at,
            "artifact.published",
            digest,
            project=None,
            version=None,
            file=None,
            repository=repository,
            tag=f"v{version}",
            by=job,
            run=run,
            job="publish",
            run_failed=False,
            size=rng.randint(10**5, 10**7),
        )
        self.publications += 1
        journal.add(at + 1, "evidence.added", digest, kind="sbom", evidence=self._org.digest(), by=job)
        self._compare(project.name, digest, before, at + 2)
        short, excepted = self._org.happens("short_exception"), rng.random() < 0.03
        ends = rng.uniform(0.5, 2) * DAY if short else rng.uniform(10, 80) * DAY if excepted else None
        answered = journal.add(
            at + 20,
            "gate.answered",
            digest,
            reference=reference,
            allowed=True,
            refused=[],
            excepted=["vulnerabilities"] if ends else [],
            exception_ends_s=None if ends is None else round(ends),
            policy="sha256:" + "5a" * 32,
            seconds=round(rng.uniform(0.5, 4), 2),
        )
        journal.add(
            at + 20,
            "artifact.published",
            self._org.digest(),
            project=None,
            version=None,
            file=None,
            repository=repository,
            about=digest,
            by="gate",
            run=None,
        )
        if short:
            journal.label_case("short_exception", answered)
        self._promote(project, reference, digest, job, at + 21)

    def _promote(self, project: ReleasedProject, reference: str, digest: str, by: str, at: float) -> None:
        """Promote a release to prod, step by step, and deploy it."""
        repository, before = f"{self._org.name}/{project.name}", self._deployed.get(project.name)
        for step, (source, target) in enumerate((("", "dev"), ("dev", "staging"), ("staging", "prod"))):
            channels = {"from": source, "to": target}
            self._journal.add(at + step, "artifact.promoted", digest, kind="oci", name=repository, by=by, **channels)
        self._journal.add(
            at + 19,
            "service.deployed",
            digest,
            reference=reference,
            artifact=project.name,
            model=self._org.digest(),
            summary=self._org.digest(),
            before=before,
        )
        self._deployed[project.name] = digest

    def _compare(self, name: str, digest: str, before: str | None, at: float) -> None:
        """Compare a release's SBOM with that of the release before."""
        if before is None:
            why = "it is the first release"
            self._journal.add(at, "dependencies.compared", digest, name=name, before=None, compared=False, why=why)
            return
        rng, added, transitive = self._rng, list[str](), list[str]()
        bot = self._org.happens("bot_update_with_new_dependencies")
        if bot or rng.random() > self._org.reused_dependencies:
            names = rng.sample(self._org.packages, rng.randint(1, 3))
            added = [f"pkg:pypi/{name}@{rng.randint(1, 9)}.0" for name in names]
            transitive = added if bot else added[1:]
        act = self._journal.add(
            at,
            "dependencies.compared",
            digest,
            name=name,
            before=before,
            compared=True,
            why=None,
            added=added,
            added_transitive=transitive,
            changed=[],
            rehashed=[],
        )
        if bot:
            self._journal.label_case("bot_update_with_new_dependencies", act)
