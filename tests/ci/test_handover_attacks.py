"""Attacks on handing over: what a stage lays beside its files, names as its output, or links to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from project_folders import Make

from chainlab.ci.runs.handover import Handover, bundle_name
from chainlab.digests import Digest
from chainlab.errors import VerificationFailed
from chainlab.evidence.signing import sign
from chainlab.evidence.statements import OPENVEX, SBOM, Statement
from chainlab.evidence.verifying import Verdict, VerificationStep
from chainlab.world import World

FAILED = """
on: push
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: mkdir out && echo 'before END' > out/wheel
      - uses: actions/upload-artifact@v4
        with: {name: wheel, path: out}
      - run: END
  package:
    needs: build
    if: always()
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v4
        with: {name: wheel, path: out}
      - uses: acme/evidence/verify@v1
        with: {path: out, job: build}
"""
REPOSITORY = "acme/triage-model"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"
Signed = Callable[..., bytes]


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> Handover:
    """A job that takes over, where the platform vouches for every file."""
    passed = Verdict((VerificationStep("signature", "passed"),), Statement((), "", {}))
    monkeypatch.setattr(Handover, "provenance", lambda *_: passed)
    config = world.trust.config
    return Handover(world.url, REPOSITORY, "refs/tags/v1.4.0", "0" * 40, "1", WORKFLOW, config)


@pytest.fixture(scope="module")
def signed(world: World) -> Signed:
    """What the workflow signs about a file."""

    def signed_bundle(file: Path, kind: str = SBOM, workflow: str = WORKFLOW) -> bytes:
        claims = {"sub": "x", "repository": REPOSITORY, "job_workflow_ref": workflow}
        statement = Statement.about({file.name: Digest.of_file(file)}, kind, {})
        return sign(statement, world.trust.config, world.trust.token(claims=claims))

    return signed_bundle


@pytest.fixture
def source(tmp_path: Path, signed: Signed) -> Path:
    """What the first job handed over: attested."""
    file = tmp_path / "source" / "source.tar"
    file.parent.mkdir()
    file.write_bytes(b"source")
    file.with_name(bundle_name(file.name, "sbom")).write_bytes(signed(file))
    return file


@pytest.mark.parametrize("name", ["../source/source.tar", "", ".", "x/../../source/source.tar"])
def test_a_stage_s_output_names_no_file_of_another_stage(
    here: Handover, source: Path, tmp_path: Path, name: str
) -> None:
    """Else a wheel without an attestation goes on, by the name of something that has one."""
    (tmp_path / "wheel" / "x").mkdir(parents=True)
    (tmp_path / "wheel" / "triage_model-1.4.0-py3-none-any.whl").write_bytes(b"wheel")
    here.accept(source.parent, "source", ["source.tar:sbom"])
    with pytest.raises(VerificationFailed, match="no evidence"):
        here.accept(tmp_path / "wheel", "build", [f"{name}:sbom"])


@pytest.mark.parametrize("folder", [True, False])
def test_a_link_is_no_file_that_was_handed_over(here: Handover, source: Path, tmp_path: Path, folder: bool) -> None:
    (tmp_path / "wheel").mkdir()
    (tmp_path / "wheel" / "a.whl").write_bytes(b"wheel")
    target = source.parent if folder else source
    (tmp_path / "wheel" / "b.whl").symlink_to(target)
    with pytest.raises(VerificationFailed, match="not a plain file"):
        here.accept(tmp_path / "wheel", "build")


def test_only_a_stage_s_own_attestations_go_along_with_a_file(here: Handover, source: Path, signed: Signed) -> None:
    """The training job has the workflow's name too: it could say that no vulnerability matters."""
    good = source.with_name(bundle_name(source.name, "sbom"))
    for kind, said in (("vex", OPENVEX), ("sbom2", SBOM), ("x.sbom", SBOM)):
        source.with_name(bundle_name(source.name, kind)).write_bytes(signed(source, said))
    assert here.beside(source) == [good.read_bytes()]
    with pytest.raises(VerificationFailed, match=r"source\.tar \(sbom\)"):
        replace(here, workflow_ref=WORKFLOW.replace("v1.4.0", "v1.4.1")).beside(source)
    good.write_bytes(signed(source, OPENVEX))
    with pytest.raises(VerificationFailed, match="predicate type"):
        here.beside(source)


@pytest.mark.parametrize("end", ["true", "exit 1"])
def test_what_a_job_that_failed_stored_is_not_taken_over(make: Make, end: str) -> None:
    run = make("acme/handing", {".github/workflows/x.yml": FAILED.replace("END", end)}).run("push")
    assert run.jobs["build"].provenance
    assert run.jobs["package"].result == ("success" if end == "true" else "failure")
    assert ("Why: the job ended with failure, expected success" in run.log) == (end == "exit 1")
