"""The monitor's inspection and heartbeats: every new file is inspected or the reason is given; silence is measured."""

from __future__ import annotations

import hashlib
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chainlab import database
from chainlab.ci.git.tree_files import File
from chainlab.credentials import Credential
from chainlab.errors import ChainlabError
from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX, Event, Events
from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.sbom import builder
from chainlab.monitor.heartbeats import Heartbeats
from chainlab.monitor.inspection import Inspection, _dependencies
from chainlab.workspace import Workspace
from chainlab.world import World

SOURCE = {"src/demo/__init__.py": b"ANSWER = 42\n", "src/demo/model.py": b"LAYERS = 3\n", "pyproject.toml": b""}
RUN = "acme/demo/runs/7"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(Workspace(tmp_path_factory.mktemp("workspace"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def job(world: World) -> Credential:
    """What a job of a run at a commit of `SOURCE` publishes with."""
    repositories = world.platform.repositories
    repositories.create("acme", "demo")
    commit = repositories.import_tree("acme/demo", {path: File(data) for path, data in SOURCE.items()}, "first")
    world.platform.report("pipelinerun.started", RUN, {"run": RUN, "commit": commit})
    id = world.platform.jobs.begin(f"{RUN}/jobs/publish", "acme/demo")
    return Credential("acme", frozenset({"packages:upload:*"}), job=id)


def wheel(folder: Path, version: str, more: dict[str, bytes]) -> Path:
    info = f"demo-{version}.dist-info"
    files = {path.removeprefix("src/"): data for path, data in SOURCE.items() if path.startswith("src/")}
    files |= more | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{path},sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for path, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,\n"]).encode()
    path = folder / f"demo-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def events(world: World, type: str) -> list[Event]:
    with closing(database.connect(world.workspace.trust / "state.db")) as connection:
        return list(Events(connection).read(PREFIX + type))


def inspection(world: World) -> Inspection:
    state = world.workspace.trust / "state.db"
    return Inspection(state, world.registry, world.platform.repositories, lambda: world.gate, world.trust)


CASES = {
    "as its source": ({}, ([], [], [])),
    "a start-up file": ({"demo_init.pth": b"import demo\n"}, (["demo_init.pth"], ["demo_init.pth"], [])),
    "another module": ({"demo/extra.py": b""}, (["demo/extra.py"], [], [])),
    "a changed module": ({"demo/model.py": b"LAYERS = 4\n"}, ([], [], ["demo/model.py"])),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wheel_of_a_run_is_compared_with_the_runs_commit(
    world: World, job: Credential, tmp_path: Path, case: str
) -> None:
    more, expected = CASES[case]
    version = f"1.{list(CASES).index(case)}"
    file = world.registry.index.publish(wheel(tmp_path, version, more), by=job)
    inspection(world).observe()
    (event,) = (e for e in events(world, "artifact.inspected") if e.subject == str(file.digest))
    assert (event.data["compared"], event.data["why"]) == (True, None)
    assert tuple(event.data[name] for name in ("new_files", "startup_files", "changed_files")) == expected
    assert event.data.keys() <= EVENT_TYPES["artifact.inspected"].fields.keys()


def test_a_wheel_without_a_run_is_not_compared_and_its_startup_files_are_named(world: World, tmp_path: Path) -> None:
    by = Credential("acme", frozenset({"packages:upload:*"}))
    file = world.registry.index.publish(wheel(tmp_path, "2.0", {"demo.pth": b"import demo\n"}), by=by)
    observer = inspection(world)
    observer.observe()
    (event,) = (e for e in events(world, "artifact.inspected") if e.subject == str(file.digest))
    assert (event.data["compared"], event.data["startup_files"]) == (False, ["demo.pth"])
    assert event.data["why"] == "no run and no identity token names its source"
    assert "new_files" not in event.data
    count = len(events(world, "artifact.inspected"))
    assert count == len({e.subject for e in events(world, "artifact.published") if e.data.get("file")})
    observer.observe()  # again: nothing is new
    inspection(world).observe()  # nor for another process
    assert len(events(world, "artifact.inspected")) == count


def test_a_new_dependency_that_the_project_does_not_require_is_transitive() -> None:
    def bill(*components: Component, requires: tuple[str, ...]) -> dict[str, object]:
        top = Component("top", "1", type="application", requires=requires)
        return dict(builder.document(components, subject=top, at=datetime(2026, 5, 11, tzinfo=UTC), spec="1.6"))

    parts = {name: Component(name, "1", purl_of(name, "1")) for name in ("numpy", "direct", "hidden")}
    old = bill(parts["numpy"], requires=(parts["numpy"].ref,))
    new = bill(*parts.values(), requires=(parts["numpy"].ref, parts["direct"].ref))
    found = _dependencies(old, new)
    assert found["added"] == ["pkg:pypi/direct@1", "pkg:pypi/hidden@1"]
    assert found["added_transitive"] == ["pkg:pypi/hidden@1"]
    assert (found["changed"], found["rehashed"]) == ([], [])


def test_a_part_that_stops_answering_is_silent_since_its_last_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = world.workspace.trust / "state.db"
    heartbeats = Heartbeats(state, world.trust, gate=lambda: world.gate, deployment=lambda: world.deployment)
    heartbeats.observe()
    seen = {event.subject: event.data for event in events(world, "monitor.heartbeat")}
    assert {part: (data["answered"], data["silent_s"]) for part, data in seen.items()} == dict.fromkeys(
        ("gate", "index", "log"),
        (True, 0),  # no service was deployed
    )

    def silent(*_: object) -> bool:
        raise ChainlabError("the rules did not answer within 5 s")

    monkeypatch.setattr("chainlab.monitor.heartbeats.rego_client.ask", silent)
    with closing(database.connect(state)) as connection:
        log = Events(connection)
        start = datetime.now(UTC)
        for minutes in (5, 20):
            log.set_scenario_time(start + timedelta(minutes=minutes))
            heartbeats.observe()
        log.set_scenario_time(None)
    silences = [e.data["silent_s"] for e in events(world, "monitor.heartbeat") if not e.data["answered"]]
    assert [round(seconds, -1) for seconds in silences] == [300, 1200]
