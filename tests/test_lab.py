"""What a notebook opens: private unless it is told to join, and nothing of it is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sigstore.models import Bundle
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

import chainlab
from chainlab.errors import ChainlabError, MalformedInput, Unavailable
from chainlab.lab import Lab
from chainlab.services import Server
from chainlab.workspace import Workspace

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def lab(cache: Path) -> Iterator[Lab]:
    with chainlab.open("01_assessment") as lab:
        yield lab


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace with its services, as `chainlab start` leaves them to its kernels."""
    workspace = Workspace(tmp_path / "running")
    with Server(workspace.trust):
        monkeypatch.setenv("CHAINLAB_WORKSPACE", str(workspace.path))
        yield workspace


def test_a_lab_is_private_by_default(lab: Lab) -> None:
    assert "a private workspace" in repr(lab)
    with chainlab.open("01_assessment") as other:
        assert other.workspace.path != lab.workspace.path
        assert other.trust.url != lab.trust.url
        (other.path / "note").touch()
        assert not (lab.path / "note").exists()
    assert httpx.get(f"{lab.trust.url}/healthz", trust_env=False).status_code == 200


def _sign(lab: Lab) -> Bundle:
    token = IdentityToken(lab.trust.token("alice@example.com"))
    with SigningContext.from_trust_config(lab.trust.config).signer(token) as signer:
        return signer.sign_artifact(b"weights")


def test_a_lab_signs_and_the_event_shows(lab: Lab) -> None:

    before = len(lab.events())
    bundle = _sign(lab)
    who = policy.Identity(identity="alice@example.com", issuer=lab.trust.issuer)
    Verifier(trusted_root=lab.trust.config.trusted_root).verify_artifact(b"weights", bundle, who)
    assert [event.type for event in lab.events()[before:]] == [
        "dev.chainlab.certificate.issued",
        "dev.chainlab.logentry.created",
    ]
    assert len(lab.events("dev.chainlab.logentry.created")) == 2 + 1


def test_only_the_variable_joins_a_running_workspace(running: Workspace) -> None:
    with chainlab.open("01_assessment") as lab:
        assert "your running workspace" in repr(lab)
        assert lab.workspace.path == running.path
        assert lab.path == running.path / "desk" / "units" / "01_assessment"
        (lab.path / "work").write_text("mine")
        url = lab.trust.url
    assert (running.path / "desk" / "units" / "01_assessment" / "work").read_text() == "mine"
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200  # not ours to end


def test_a_template_is_copied_once_and_its_sections_tell_what_is_written(running: Workspace, root: Path) -> None:
    with chainlab.open("01_assessment") as lab:
        first = lab.template("assessment.md")
        copy = running.desk / first.place
        assert first.place == "units/01_assessment/assessment.md"
        assert copy.read_text() == (root / "templates" / "assessment.md").read_text()
        assert next(iter(first.sections)) == "1. Threat map"
        assert set(first.sections.values()) == {False}
        copy.write_text(copy.read_text().replace("## 2. Inventory\n", "## 2. Inventory\nThree actions, none pinned.\n"))
        later = lab.template("assessment.md")
        assert [title for title, written in later.sections.items() if written] == ["2. Inventory"]
        assert "none pinned" in copy.read_text()
        assert "units/01_assessment/assessment.md" in repr(later)
        with pytest.raises(MalformedInput, match="no template") as refusal:
            lab.template("../README.md")
        assert "design_guide.md" in refusal.value.hint


def test_what_a_lab_runs_joins_as_it_did(running: Workspace) -> None:
    with chainlab.open("01_assessment") as lab:
        assert os.environ["CHAINLAB_WORKSPACE"] == str(running.path)
        program = "import os; print(os.environ.get('CHAINLAB_WORKSPACE'))"
        assert lab.run([sys.executable, "-c", program]).stdout.strip() == str(running.path)


def test_a_workspace_that_is_gone_is_not_joined_and_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path / "gone"))
    before = dict(os.environ)
    with pytest.raises(Unavailable, match="not a directory"):
        chainlab.open("01_assessment")
    assert dict(os.environ) == before


def test_closing_leaves_the_process_as_it_was() -> None:
    before, here = dict(os.environ), Path.cwd()
    lab = chainlab.open("01_assessment")
    url, path = lab.trust.url, lab.workspace.path
    assert os.environ["HOME"] == str(lab.workspace.home)
    assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert Path.cwd() == here
    lab.close()
    assert dict(os.environ) == before
    assert Path.cwd() == here
    assert not path.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
    lab.close()  # again: nothing to do
    assert dict(os.environ) == before


def test_an_error_inside_closes_it_too() -> None:
    before = dict(os.environ)

    def fail() -> Path:
        with chainlab.open("01_assessment") as lab:
            paths.append(lab.workspace.path)
            raise RuntimeError

    paths: list[Path] = []
    with pytest.raises(RuntimeError):
        fail()
    assert dict(os.environ) == before
    assert not paths[0].exists()


def test_a_process_that_does_not_close_leaves_no_workspace_behind(tmp_path: Path, cache: Path) -> None:
    program = "import chainlab; print(chainlab.open('01_assessment').workspace.path)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    assert not done.stderr


def test_home_is_inside_and_nothing_leads_out(lab: Lab) -> None:
    program = (
        "import json, os, pathlib; "
        "print(json.dumps({'home': str(pathlib.Path.home()), 'cwd': os.getcwd(), "
        "'proxy': os.environ['https_proxy'], 'index': os.environ.get('PIP_INDEX_URL')}))"
    )
    said = json.loads(lab.run([sys.executable, "-c", program]).stdout)
    assert said == {
        "home": str(lab.workspace.home),
        "cwd": str(lab.path),
        "proxy": "http://127.0.0.1:9",
        "index": None,
    }


@pytest.mark.parametrize("unit", ["01_threats", "01_assessment", "00_onramp"])
def test_units_and_lessons_have_a_world(unit: str) -> None:
    with chainlab.open(unit, seed=7) as lab:
        assert (lab.unit, lab.seed) == (unit, 7)
        assert lab.path.is_dir()
        assert list(lab.path.iterdir()) == []


@pytest.mark.parametrize("unit", ["", "99_nothing", "../01_assessment", "/tmp", "01"])
def test_a_unit_that_the_course_does_not_have_is_refused(unit: str) -> None:
    before = dict(os.environ)
    with pytest.raises(MalformedInput, match="the course has no unit"):
        chainlab.open(unit)
    assert dict(os.environ) == before


def test_a_copy_is_the_lab_s_own(lab: Lab) -> None:
    copied = lab.copy("models/triage.onnx")
    original = lab.data / "models" / "triage.onnx"
    assert copied.parent == lab.path
    assert copied.read_bytes() == original.read_bytes()
    copied.write_bytes(b"tampered")
    assert original.read_bytes() != b"tampered"
    assert lab.copy("models/triage.onnx").read_bytes() == original.read_bytes()


def test_a_folder_is_copied_whole_and_anew(lab: Lab) -> None:
    copied = lab.copy("projects/triage-model")
    (copied / "added").touch()
    assert (copied / ".github" / "workflows").is_dir()
    assert not (lab.copy("projects/triage-model") / "added").exists()


@pytest.mark.parametrize("name", ["none", "", "..", "../course.toml", "/etc/passwd", "models/../.."])
def test_nothing_is_copied_from_outside_the_data(lab: Lab, name: str) -> None:
    with pytest.raises(MalformedInput, match="has no"):
        lab.copy(name)
    assert list(lab.path.iterdir()) == []


def test_a_program_s_failure_is_told_with_what_it_said(lab: Lab) -> None:
    fails = [sys.executable, "-c", "import sys; sys.exit('no luck')"]
    with pytest.raises(ChainlabError, match="ended with 1") as told:
        lab.run(fails)
    assert "no luck" in told.value.why
    assert lab.run(fails, check=False).returncode == 1
    with pytest.raises(ChainlabError, match="there is no program"):
        lab.run(["no-such-program"])


def test_the_programs_of_the_environment_are_found(lab: Lab) -> None:
    assert lab.run(["sigstore", "--version"]).stdout.startswith("sigstore ")


def test_every_private_lab_has_the_same_root_and_none_of_another_s_entries() -> None:
    seen = set()
    for _ in range(2):
        with chainlab.open("01_assessment") as lab:
            seen.add(str(lab.trust.fingerprint))
            assert len(lab.events()) == 2  # the first entry of each log: the instance's own root
            _sign(lab)
    assert len(seen) == 1


def test_opening_takes_no_more_than_the_warm_cache_needs(cache: Path) -> None:
    """Not timed: the second opening makes no keys, which is what makes it quick."""
    with chainlab.open("01_assessment"):
        pass
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("keys.json")}
    assert len(made) == 1
    with chainlab.open("01_assessment"):
        pass
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("keys.json")} == made
