"""The workflows: weak in the ways that the course teaches, hardened without a finding, and runnable here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chainlab.ci.actions.mirror_history import prepare
from chainlab.ci.actions.uses import ActionRef, find
from chainlab.ci.git.git import Git
from chainlab.ci.settings import Settings

PROJECTS = Path(__file__).parents[2] / "data" / "projects"
PLACES = {
    "triage-model": PROJECTS / "triage-model",
    "second-model": PROJECTS / "second-model",
    "hardened": PROJECTS / "hardened" / "triage-model",
}
NAMED = {  # by the course; the others of a project are in `KINDS`
    "artipacked",
    "cache-poisoning",
    "dangerous-triggers",
    "excessive-permissions",
    "template-injection",
    "unpinned-uses",
}
KINDS = {
    "triage-model": NAMED
    | {
        "bot-conditions",
        "github-env",
        "insecure-commands",
        "overprovisioned-secrets",
        "secrets-inherit",
        "secrets-outside-env",
        "unpinned-images",
        "use-trusted-publishing",
    },
    "second-model": (NAMED - {"cache-poisoning"})
    | {"overprovisioned-secrets", "secrets-inherit", "self-hosted-runner"},
}
EVENTS = {
    "triage-model": {
        "ci.yml": {"push", "pull_request"},
        "bench.yml": {"pull_request_target"},
        "label.yml": {"pull_request_target"},
        "release.yml": {"push"},
        "train.yml": {"schedule", "workflow_dispatch"},
    },
    "second-model": {
        "check.yml": {"push", "pull_request"},
        "fit.yml": {"workflow_call"},
        "nightly.yml": {"schedule", "workflow_dispatch"},
        "publish.yml": {"workflow_run", "workflow_dispatch"},
    },
    "hardened": {
        "ci.yml": {"push", "pull_request"},
        "label.yml": {"pull_request"},
        "release.yml": {"push"},
        "train.yml": {"schedule", "workflow_dispatch"},
    },
}


def findings(folder: Path) -> list[dict[str, object]]:
    zizmor = Path(sys.executable).parent / "zizmor"
    done = subprocess.run(
        [zizmor, "--offline", "--persona", "auditor", "--format", "json", "."],
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode in range(15), done.stderr.decode()
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def files(place: str) -> Iterator[tuple[str, str]]:
    for path in sorted((PLACES[place] / ".github").rglob("*.yml")):
        yield path.name, path.read_text()


@pytest.mark.parametrize("project", KINDS)
def test_the_weak_workflows_are_weak_in_many_ways(project: str) -> None:
    kinds = {str(finding["ident"]) for finding in findings(PLACES[project])}
    assert kinds >= KINDS[project]
    assert len(kinds) >= 10


def test_each_project_has_a_weakness_that_the_other_has_not() -> None:
    first, second = ({f["ident"] for f in findings(PLACES[p])} for p in KINDS)
    assert "self-hosted-runner" in second - first
    assert "cache-poisoning" in first - second


def test_the_hardened_workflows_have_no_finding() -> None:
    assert findings(PLACES["hardened"]) == []


@pytest.mark.parametrize("place", PLACES)
def test_it_runs_on_the_events_that_the_course_says(place: str) -> None:
    found = {}
    for name, text in files(place):
        on = yaml.load(text, yaml.BaseLoader).get("on")
        if on is not None:
            found[name] = {on} if isinstance(on, str) else set(on)
    assert found == EVENTS[place]


@pytest.mark.parametrize("place", PLACES)
def test_every_name_is_in_the_mirror_and_every_pin_is_the_commit_that_its_comment_says(
    place: str, tmp_path: Path
) -> None:
    data = PROJECTS.parent
    past, git = prepare(data), Git(tmp_path)
    commented = re.compile(r"uses: (\S+)@([0-9a-f]{40})(?:  # (\S+))?")
    for name, text in files(place):
        for use in find(text):
            if use.kind != "remote":
                continue
            reference = ActionRef.parse(use.value)
            refs = past[reference.name].refs
            if not re.fullmatch("[0-9a-f]{40}", reference.ref):
                names = {f"refs/heads/{reference.ref}", f"refs/tags/{reference.ref}"}
                assert names & refs.keys(), (name, use.value)
        for target, commit, tag in commented.findall(text):
            repository = past["/".join(target.split("/")[:2])]
            spelled = repository.refs.get(f"refs/tags/{tag}")
            assert spelled, (name, target, tag)
            said = git(repository.path, "rev-parse", f"{spelled}^{{commit}}").decode().strip()
            assert said == commit, f"{name}: {target} {tag} is {said}"


@pytest.mark.parametrize("place", PLACES)
def test_nothing_in_them_needs_node(place: str) -> None:
    """`hashFiles` is a program for node, which a laptop need not have."""
    assert not [name for name, text in files(place) if "hashFiles" in text]


def test_only_the_hardened_release_may_publish_and_it_runs_no_code_of_the_project_there() -> None:
    text = dict(files("hardened"))["release.yml"]
    document = yaml.load(text, yaml.BaseLoader)
    assert document["permissions"] == {}
    for name, job in document["jobs"].items():
        writes = {scope for scope, level in job["permissions"].items() if level == "write"}
        assert bool(writes) == (job.get("environment") == "release"), name
        if writes:
            assert not [step for step in job["steps"] if "run" in step], name
    assert "cache" not in re.sub("#.*", "", text)


@pytest.mark.parametrize("project", ["triage-model", "second-model"])
def test_its_settings_are_read_and_every_plain_secret_says_that_it_is_fake(project: str) -> None:
    settings = Settings.load(PROJECTS / "settings" / f"{project}.toml")
    secrets = [*settings.secrets.values()]
    secrets += [s for e in settings.environments.values() for s in e.secrets.values()]
    assert all(s.grants or "FAKE" in s.value for s in secrets)
    named = set(re.findall(r"secrets\.(\w+)", "".join(text for _, text in files(project))))
    assert named - {"GITHUB_TOKEN"} <= settings.secrets.keys()
    (publisher,) = settings.publishers
    assert (PLACES[project] / ".github" / "workflows" / publisher.workflow).is_file()


def test_the_hub_s_file_is_the_project_s_baseline() -> None:
    hub = PROJECTS.parent / "actions" / "northwind-ml" / "wdbc-baseline" / "baseline.onnx"
    assert hub.read_bytes() == (PLACES["triage-model"] / "models" / "baseline.onnx").read_bytes()
