"""The README is true: its commands are run, its links lead somewhere, its tables are the course's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from chainlab.course.authoring import week_table
from chainlab.course.syllabus import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", README, re.MULTILINE)
RUN = {  # command: exit code
    ".venv/bin/chainlab doctor": 0,
    ".venv/bin/chainlab check 01_assessment": 1,  # nothing is attempted in a fresh clone
    ".venv/bin/chainlab hint 1.2": 0,
    ".venv/bin/chainlab progress": 0,
    ".venv/bin/chainlab ci run --project data/projects/second-model --event push": 0,
    ".venv/bin/chainlab ci pin --check data/projects/hardened/triage-model": 0,
    ".venv/bin/chainlab sbom build data/projects/hardened/triage-model --out triage.cdx.json": 0,
    ".venv/bin/chainlab sbom check triage.cdx.json": 0,
}
ELSEWHERE = {"make start"}  # test_start.py, test_ui.py
SERVE, TOKEN = (
    ".venv/bin/chainlab trust serve --state .chainlab/instance --port 8123",
    ".venv/bin/chainlab trust token --state .chainlab/instance --identity alice@example.com",
)


def test_every_command_of_the_readme_is_run() -> None:
    assert set(COMMANDS) == {*RUN, *ELSEWHERE, SERVE, TOKEN}


@pytest.mark.parametrize("command", RUN)
def test_a_readme_command_does_what_it_should(clone: Path, command: str) -> None:
    run = subprocess.run(command.split(), cwd=clone, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == RUN[command], run.stdout + run.stderr
    assert run.stdout.strip()
    assert "Traceback" not in run.stdout + run.stderr


def test_the_instance_of_the_readme_runs_alone(clone: Path) -> None:
    with subprocess.Popen(SERVE.replace("8123", "0").split(), cwd=clone, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            ready = server.stdout.readline()
            token = subprocess.run(TOKEN.split(), cwd=clone, capture_output=True, text=True, check=True).stdout
        finally:
            server.terminate()
    assert ready.startswith("ready: http://127.0.0.1:")
    assert token.count(".") == 2
    assert (clone / ".chainlab/instance/trust_config.json").exists()


def test_every_link_of_the_guides_leads_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
            assert (ROOT / link).exists(), f"{name}: {link}"


def test_the_week_table_is_the_one_of_course_toml() -> None:
    assert week_table.OPENING in README
    assert week_table.refresh(README, load(ROOT)) == README
