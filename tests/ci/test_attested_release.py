"""The attested release: each stage refuses bytes that were swapped on the way, and what comes out is sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from project_folders import PROJECTS

from chainlab.ci import running
from chainlab.ci.copies import settings_of, working_copy
from chainlab.ci.handover import Handover
from chainlab.ci.runs import JobRun, Run
from chainlab.errors import VerificationFailed
from chainlab.world import World

JOBS = ("source", "build", "train", "package", "gate", "promote")
# An artifact between two jobs, and the file of it that is swapped
EDGES = [
    ("source", "build", "source", "source.tar"),
    ("source", "train", "source", "source.tar"),
    ("source", "package", "source", "source.tar"),
    ("build", "train", "wheel", "*.whl"),
    ("build", "package", "wheel", "*.whl"),
    ("train", "package", "model", "triage.onnx"),
    ("train", "package", "model", "metrics.json"),
]


@dataclass
class Released:
    world: World
    run: Run
    running: Any  # what ran it, and can run one of its jobs again

    @property
    def reference(self) -> str:
        return self.run.jobs["package"].outputs["reference"]

    @property
    def handover(self) -> Handover:
        """What a job of the run knows of itself."""
        return Handover(
            self.world.url,
            self.run.repository,
            self.run.ref,
            self.run.commit,
            str(self.run.id),
            f"{self.run.repository}/{self.run.workflow}@{self.run.ref}",
            self.world.trust.config,
        )

    def again(self, job: str) -> JobRun:
        """One job once more, with what the jobs before it left."""
        before = JOBS[: JOBS.index(job)]
        self.running.jobs = {name: self.run.jobs[name] for name in before}
        ended: JobRun = self.running._job(job, 20 + JOBS.index(job))
        return ended

    @contextmanager
    def swapped(self, artifact: str, files: dict[str, bytes]) -> Iterator[None]:
        """An artifact of the run with other files, as whatever can write to its storage may leave it."""
        store = self.world.ci.platform.artifacts
        good = store.read(self.run.id, artifact)
        try:
            store.add(self.run.id, artifact, files, who="mallory", overwrite=True)
            yield
        finally:
            store.add(self.run.id, artifact, good, who="nobody", overwrite=True)


@pytest.fixture(scope="module")
def released(world: World, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = working_copy(PROJECTS, tmp_path_factory.mktemp("project") / "triage-model", "attested")
    project = world.ci.project("acme/triage-model", folder, settings_of(PROJECTS, "attested"))
    project.tag("v1.4.0")
    seen = []
    perform = running._Running.perform

    def noted(self: Any) -> Run:
        seen.append(self)
        return perform(self)

    with patch.object(running._Running, "perform", noted):
        run = project.run("push", ref="refs/tags/v1.4.0", approve=["release", "production"])
    assert run.result == "success", run.log
    assert tuple(run.jobs) == JOBS
    return Released(world, run, seen[0])


@pytest.mark.parametrize(("producer", "consumer", "artifact", "file"), EDGES)
def test_bytes_swapped_between_two_stages_stop_the_run(
    released: Released, producer: str, consumer: str, artifact: str, file: str
) -> None:
    files = released.world.ci.platform.artifacts.read(released.run.id, artifact)
    (name,) = (n for n in files if Path(n).match(file))
    with released.swapped(artifact, files | {name: files[name] + b" "}):
        ended = released.again(consumer)
    assert ended.result == "failure"
    assert f"refused: {name}: there is no evidence for these bytes" in ended.log
    verdicts = [(step.name, step.result) for step in ended.steps]
    stopped = verdicts.index(("verify it", "failure"))
    assert {result for _, result in verdicts[stopped + 1 :]} <= {"skipped", "failure"}


def test_a_file_of_another_job_of_the_run_is_no_substitute(released: Released) -> None:
    """It has provenance; but of the job that runs other people's code, say."""
    store = released.world.ci.platform.artifacts
    wheel = next(
        data for name, data in store.read(released.run.id, "wheel").items() if name.endswith(".whl")
    )
    model = store.read(released.run.id, "model") | {"triage.onnx": wheel}
    with released.swapped("model", model):
        ended = released.again("package")
    assert "triage.onnx: refused at step 'parameters'" in ended.log
    assert "job is build, expected train" in ended.log


@pytest.mark.parametrize(
    ("other", "step"),
    [
        ({"run": "2"}, "source"),
        ({"commit": "0" * 40}, "source"),
        ({"ref": "refs/heads/main"}, "source"),
        ({"repository": "mallory/triage-model"}, "source"),
        (
            {"workflow_ref": "acme/triage-model/.github/workflows/ci.yml@refs/tags/v1.4.0"},
            "parameters",
        ),
    ],
)
def test_what_another_run_made_is_not_accepted(
    released: Released, tmp_path: Path, other: dict[str, str], step: str
) -> None:
    store, here = released.world.ci.platform.artifacts, released.handover
    (tmp_path / "source.tar").write_bytes(store.read(released.run.id, "source")["source.tar"])
    assert here.accept(tmp_path, "source") == ["✓ source.tar: stored by job source of this run"]
    with pytest.raises(VerificationFailed, match=f"refused at step '{step}'"):
        replace(here, **other).accept(tmp_path, "source")


def test_a_job_that_hands_over_nothing_or_no_attestation_is_refused(
    released: Released, tmp_path: Path
) -> None:
    store, run = released.world.ci.platform.artifacts, released.run
    here = released.handover
    with pytest.raises(VerificationFailed, match="handed over nothing"):
        here.accept(tmp_path, "source")
    (tmp_path / "source.tar").write_bytes(store.read(run.id, "source")["source.tar"])
    with pytest.raises(VerificationFailed, match=r"source\.tar \(sbom\): there is no evidence"):
        here.accept(tmp_path, "source", ["source.tar:sbom"])


def test_the_same_job_goes_on_with_what_was_handed_over(released: Released) -> None:
    assert released.again("gate").result == "success"
