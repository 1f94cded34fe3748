"""The course's detections on the events of the real services: what an attack leaves is what its rule asks for.

One workspace, in which each attack is done once, beside releases as they should be. Times are those of a scenario.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gate_stack import ADVISORIES, POLICIES
from pypi_attestations import Attestation, Distribution
from release_maker import REPOSITORY, apart
from running_release import USED, Production, production, service_wheel
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from watched_logs import Observed, Writer, filled, forked, size_of, source_of

from chainlab import database
from chainlab.ci.git.repositories import Repositories
from chainlab.ci.git.tree_files import File
from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.events import PREFIX, Event, Events
from chainlab.monitor.detections import Detections, load_detections
from chainlab.monitor.heartbeats import Heartbeats
from chainlab.monitor.inspection import Inspection
from chainlab.monitor.matching import find_matches
from chainlab.monitor.reverification import ReverificationObserver
from chainlab.monitor.runtime import RuntimeObserver
from chainlab.policy.gate import Gate
from chainlab.policy.rego import rego_client
from chainlab.registry.index.publishers import Publisher
from chainlab.services import Server
from chainlab.trust.client import workflow_claims
from chainlab.workspace import Workspace
from chainlab.world import World

DETECTIONS = Path(__file__).parents[2] / "data" / "detections"
TUESDAY = datetime(2026, 5, 12, 10, tzinfo=UTC)
SUNDAY = datetime(2026, 5, 17, 3, tzinfo=UTC)
SOURCE = {"demo/__init__.py": b"ANSWER = 42\n", "pyproject.toml": b""}


class Services:
    """A workspace's services, and the scenario's clock."""

    def __init__(self, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.folder, self.monkeypatch = world, folder, monkeypatch
        self.state = world.workspace.trust / "state.db"
        self.now = TUESDAY
        repositories = world.platform.repositories
        repositories.create("acme", "demo")
        self.commit = repositories.import_tree("acme/demo", {path: File(data) for path, data in SOURCE.items()}, "1")
        self.other = repositories.import_tree("acme/demo", {"README": b""}, "2")

    def wait(self, delay: timedelta = timedelta(), *, until: datetime | None = None) -> None:
        self.now = until or self.now + delay
        with closing(database.connect(self.state)) as connection:
            Events(connection).set_scenario_time(self.now)

    def run(self, number: int) -> str:
        """Begin a run at the commit of `SOURCE`, and a job that publishes; returns the job's id."""
        run = f"acme/demo/runs/{number}"
        self.world.platform.report("pipelinerun.started", run, {"run": run, "commit": self.commit})
        return self.world.platform.jobs.begin(f"{run}/jobs/publish", "acme/demo")

    def end(self, number: int, result: str) -> None:
        run = f"acme/demo/runs/{number}"
        self.world.platform.report("pipelinerun.finished", run, {"run": run, "result": result})

    def upload(
        self, project: str, version: str, *, job: str = "", more: Mapping[str, bytes] | None = None, signer: str = ""
    ) -> str:
        """Upload a wheel as a person, or as a job; returns its digest."""
        path = self.folder / f"{project}-{version}-py3-none-any.whl"
        path.write_bytes(wheel(project, version, more or {}))
        by = Credential("acme", frozenset({"packages:upload:*"}), job=job)
        signed = json.dumps([self.attest(path, signer)]) if signer else None
        return str(self.world.registry.index.publish(path, by=by, attestations=signed).digest)

    def attest(self, path: Path, workflow: str) -> object:
        config = self.world.trust.config
        config.force_tlog_version = 1
        claims = workflow_claims("acme/demo", workflow, "refs/tags/v1.0.0")
        with SigningContext.from_trust_config(config).signer(IdentityToken(self.world.trust.token(claims=claims))) as s:
            return json.loads(Attestation.sign(s, Distribution.from_file(path)).model_dump_json())

    def events(self) -> list[Event]:
        with closing(database.connect(self.state)) as connection:
            return list(Events(connection).read())


def wheel(project: str, version: str, more: Mapping[str, bytes]) -> bytes:
    info = f"{project}-{version}.dist-info"
    files = {path: data for path, data in SOURCE.items() if path.startswith("demo/")} | {
        **more,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return buffer.getvalue()


# -- attacks: each returns the subject of what its rule must match


def a_person_uploads(services: Services) -> str:
    return services.upload("byhand", "1.0")


def a_failed_run_uploads(services: Services) -> str:
    job = services.run(11)
    services.world.platform.jobs.fail("acme/demo/runs/11/jobs/test")
    return services.upload("failed", "1.0", job=job)


def a_run_fails_after_its_upload(services: Services) -> str:
    services.upload("fails", "1.0", job=services.run(12))
    services.wait(timedelta(minutes=5))
    services.end(12, "failure")
    return "acme/demo/runs/12"


def an_attestation_is_missing(services: Services) -> str:
    return services.upload("signed", "1.2", job=services.run(13))


def another_workflow_signs(services: Services) -> str:
    services.wait(timedelta(hours=1))
    return services.upload("signed", "1.1", job=services.run(14), signer="format.yml")


def a_tag_moves(services: Services) -> str:
    services.world.platform.repositories.tag("acme/demo", "v1", services.other, who="mallory")
    return "acme/demo"


def many_tags_move(services: Services) -> str:
    for number in range(6):
        services.world.platform.repositories.tag("acme/demo", f"v1.{number}", services.other, who="mallory")
    return "acme/demo"


def a_young_version_is_installed(services: Services) -> str:
    registry = services.world.registry
    file = next(file for file in registry.index.files("numpy") if file.uploaded)
    assert file.uploaded is not None
    before = services.now
    services.wait(until=file.uploaded + timedelta(days=1))
    services.world.platform.jobs.set_address(services.run(15), "127.64.3.1")
    registry.index.served.record("127.64.3.1", file)
    services.wait(until=before)
    return str(file.digest)


def a_startup_file_is_in_a_wheel(services: Services) -> str:
    return services.upload("demo", "1.1", job=services.run(16), more={"demo_init.pth": b"import demo\n"})


def a_module_is_in_a_wheel(services: Services) -> str:
    return services.upload("demo", "1.2", job=services.run(17), more={"demo/extra.py": b""})


def a_token_is_used_elsewhere(services: Services) -> str:
    credentials, job = services.world.registry.index.credentials, services.run(18)
    services.world.platform.jobs.set_address(job, "127.64.3.2")
    subject = "acme/demo/runs/18/jobs/publish"
    secret = credentials.issue(subject, ["packages:upload:demo"], job=job, lifetime=60)
    credential = services.world.registry.index.present(secret, "127.0.0.1")
    assert credential is not None
    services.world.registry.index.used(credential)
    return subject


def a_release_at_night(services: Services) -> str:
    before = services.now
    services.wait(until=SUNDAY)
    digest = services.upload("night", "1.0", job=services.run(19))
    services.wait(until=before)
    return digest


def two_versions_at_once(services: Services) -> str:
    services.upload("twice", "1.0", job=services.run(20))
    services.wait(timedelta(minutes=4))
    return services.upload("twice", "1.1", job=services.run(21))


def evidence_goes_into_quarantine(services: Services) -> str:
    registry, digest = services.world.registry, Digest.parse(services.upload("counted", "1.0", job=services.run(22)))
    registry.evidence.add(digest, "summary", b"{}", "application/json", "gate")
    registry.quarantine.hold(digest, "out of date", by="mallory")
    return str(digest)


def the_gate_does_not_answer(services: Services) -> str:
    def silent(*_: object) -> bool:
        raise ChainlabError("the rules did not answer within 5 s")

    world = services.world
    parts = Heartbeats(services.state, world.trust, gate=lambda: world.gate, deployment=lambda: world.deployment)
    parts.observe()
    with services.monkeypatch.context() as patched:
        patched.setattr(rego_client, "ask", silent)
        services.wait(timedelta(minutes=6))
        parts.observe()
    return "gate"


def the_index_and_the_log_do_not_answer(services: Services) -> str:
    def cut(*_: object) -> bool:
        raise ConnectionRefusedError

    world = services.world
    parts = Heartbeats(services.state, world.trust, gate=lambda: world.gate, deployment=lambda: world.deployment)
    parts.observe()
    with services.monkeypatch.context() as patched:
        patched.setattr(Heartbeats, "_serves", cut)
        services.wait(timedelta(minutes=16))
        parts.observe()
    return "index"


ATTACKS: Mapping[str, Callable[[Services], str]] = {
    "publish_without_run": a_person_uploads,
    "publish_from_failed_run": a_failed_run_uploads,
    "run_failed_after_publish": a_run_fails_after_its_upload,
    "identity_changed": another_workflow_signs,
    "attestation_lost": an_attestation_is_missing,
    "tag_moved": a_tag_moves,
    "many_tags_moved": many_tags_move,
    "installed_before_cooldown": a_young_version_is_installed,
    "startup_file_in_wheel": a_startup_file_is_in_a_wheel,
    "file_not_in_source": a_module_is_in_a_wheel,
    "token_outside_its_job": a_token_is_used_elsewhere,
    "release_off_hours": a_release_at_night,
    "two_versions_within_minutes": two_versions_at_once,
    "counted_evidence_removed": evidence_goes_into_quarantine,
    "gate_stopped_answering": the_gate_does_not_answer,
    "heartbeat_missing": the_index_and_the_log_do_not_answer,
}


@pytest.fixture(scope="module")
def detections() -> Detections:
    return load_detections(DETECTIONS)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, detections: Detections) -> Iterator[tuple[Services, set[str]]]:
    """The services after all attacks, and the digests of the releases before them, which are as they should be."""
    with World(Workspace(tmp_path_factory.mktemp("workspace"))) as world, pytest.MonkeyPatch.context() as monkeypatch:
        services = Services(world, tmp_path_factory.mktemp("wheels"), monkeypatch)
        services.wait()
        for workflow in ("release.yml", "format.yml"):
            world.registry.index.add_publisher("signed", Publisher("acme/demo", workflow, ""), owner="acme")
        fine = {services.upload("signed", "1.0", job=services.run(1), signer="release.yml")}
        services.end(1, "success")
        for tag in ("v1", *(f"v1.{number}" for number in range(6))):
            world.platform.repositories.tag("acme/demo", tag, services.commit)
        services.wait(timedelta(hours=2))
        fine.add(services.upload("demo", "1.0", job=services.run(2)))
        services.end(2, "success")
        yield services, fine


@pytest.fixture(scope="module")
def matched(attacked: tuple[Services, set[str]], detections: Detections) -> dict[str, tuple[str, set[str]]]:
    """Rule → the subject that it must match, and those that it matches."""
    services, _ = attacked
    expected = {rule: attack(services) for rule, attack in ATTACKS.items()}
    world = services.world
    Inspection(services.state, world.registry, world.platform.repositories, lambda: world.gate, world.trust).observe()
    found = find_matches(detections, services.events())
    assert not found.failed
    return {rule: (expected.get(rule, ""), {m.subject for m in found if m.rule == rule}) for rule in expected}


@pytest.mark.parametrize("rule", ATTACKS)
def test_what_an_attack_leaves_in_the_services_events_matches_its_rule(
    rule: str, matched: dict[str, tuple[str, set[str]]]
) -> None:
    expected, subjects = matched[rule]
    assert any(expected in subject for subject in subjects), subjects


def test_a_release_as_it_should_be_matches_no_rule(
    attacked: tuple[Services, set[str]], matched: dict[str, tuple[str, set[str]]]
) -> None:
    _, fine = attacked
    assert not {rule: subjects & fine for rule, (_, subjects) in matched.items() if subjects & fine}


LOOKS = {"unexpected_identity_in_log": 1, "log_split_view": 2, "log_inconsistent": 4}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, detections: Detections) -> dict[str, set[int]]:
    """Rule → the looks in which it matched.

    After the first look come a stray identity, a face that another observer contradicts, that observer's face, and the
    contradicted face again: no tree extends both.
    """
    folder = tmp_path_factory.mktemp("log")
    mine, other, looks = Observed(folder / "mine"), Observed(folder / "other"), list[int]()
    with filled(folder / "state", "v2", 4) as (server, _):
        mine.look(source_of(server, "v2"))
        looks.append(len(mine.events))
        Writer(server.instance, "refs/heads/main").add("v2", b"stray")
        mine.look(source_of(server, "v2"))
        looks.append(len(mine.events))
        size = size_of(server.instance, "v2")
    faces = [forked(folder / "state", folder / name, "v2", size) for name in ("one", "two")]
    with Server(faces[0]) as one, Server(faces[1]) as two:
        for server in (one, two):
            Writer(server.instance).add("v2", server.instance.directory.name.encode())
        (seen,) = other.look(source_of(two, "v2"))
        assert seen.head is not None
        mine.look(source_of(one, "v2"), witnesses=(seen.head,))
        looks.append(len(mine.events))
        mine.look(source_of(two, "v2"))
        looks.append(len(mine.events))
        mine.look(source_of(one, "v2"))
    events = [
        Event(number, PREFIX + type, "/monitor", subject, "2026-05-12T10:00:00Z", data)
        for number, (type, subject, data) in enumerate(mine.events)
    ]
    found: dict[str, set[int]] = {}
    for match in find_matches(detections, events):
        found.setdefault(match.rule, set()).add(bisect_right(looks, match.sequences[0]))
    return found


@pytest.mark.parametrize(("rule", "look"), LOOKS.items())
def test_what_a_watched_log_does_matches_its_rule_when_it_does_it(
    rule: str, look: int, watched: dict[str, set[int]]
) -> None:
    assert watched[rule] == {look}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, detections: Detections) -> dict[str, set[str]]:
    """Rule → the causes and actions that it matched, of a release that runs, before and after both are attacked."""
    with production(tmp_path_factory.mktemp("production")) as prod:
        behaviour = RuntimeObserver(prod.deployment, policy=prod.gate.policy, database=prod.database)
        again = ReverificationObserver(
            prod.deployment, prod.registry, prod.trust, lambda: prod.gate, database=prod.database, rolls_back=()
        )
        deployed = prod.deployment.deploy(prod.release())
        behaviour.observe()
        again.observe()
        before = prod.registry.events.last
        assert not find_matches(detections.named(*RUNNING), prod.registry.events.read())
        (site,) = prod.deployment.folder(deployed).glob("venv/lib/*/site-packages")
        (site / "zz_telemetry.pth").write_text("import subprocess; subprocess.run(['true'])\n")
        prod.deployment.restart()
        behaviour.observe()
        again.observe()
        an_exception_lets_a_new_dependency_pass(prod, tmp_path_factory.mktemp("excepting"))
        events = {event.sequence: event.data for event in prod.registry.events.read(after=before)}
        found: dict[str, set[str]] = {}
        for match in find_matches(detections.named(*RUNNING), prod.registry.events.read()):
            data = events[match.sequences[0]]
            about = data.get("cause") or data.get("action") or data.get("excepted") or data["added_transitive"]
            found.setdefault(match.rule, set()).update([about] if isinstance(about, str) else about)
        return found


def an_exception_lets_a_new_dependency_pass(prod: Production, folder: Path) -> None:
    """Release something that has a known vulnerability: an exception of five days lets it pass."""
    parts = apart(prod.maker.parts(used=(*USED, VULNERABLE), wheel=service_wheel()))
    reference = prod.maker.push(parts, name=f"{REPOSITORY}/release")
    policies = Path(shutil.copytree(POLICIES, folder / "policies"))
    expires = datetime.now(UTC) + timedelta(days=5)
    with (policies / "release.toml").open("a") as file:
        file.write(
            f'\n[[exceptions]]\nrule = "vulnerabilities"\ndigest = "{reference.partition("@")[2]}"\n'
            f'owner = "security@acme.example"\nreason = "not reachable"\nexpires = {expires:%Y-%m-%d}\n'
        )
    gate = Gate(prod.registry, prod.trust, policies, ADVISORIES)
    assert gate.judge(reference).allowed
    repositories = Repositories(folder / "git", prod.database)
    Inspection(prod.database, prod.registry, repositories, lambda: gate, prod.trust).observe()


VULNERABLE = "northwind_loader-1.5.0-py3-none-any.whl"
RUNNING = {
    "service_unexpected_behaviour": "process",
    "service_no_longer_verified": "bytes",
    "exception_about_to_expire": "vulnerabilities",
    "new_transitive_dependency": "pkg:pypi/northwind-loader@1.5.0",
}


@pytest.mark.parametrize("rule", RUNNING)
def test_what_is_done_to_a_release_and_to_its_running_service_matches(rule: str, running: dict[str, set[str]]) -> None:
    assert RUNNING[rule] in running[rule]


def test_each_rule_of_the_course_is_matched_here(detections: Detections) -> None:
    assert {*ATTACKS, *LOOKS, *RUNNING} == {detection.name for detection in detections}
