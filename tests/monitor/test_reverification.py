"""A deployment lasts: what runs is verified again, for each cause, and goes back where the policy says so."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from gate_stack import ADVISORIES, POLICIES
from running_release import Production, production

from chainlab.cli import _main
from chainlab.deploy import prediction_service
from chainlab.deploy.admission import pinned
from chainlab.deploy.deployment import Deployed
from chainlab.deploy.prediction_service import BEHAVIOUR, model_served
from chainlab.errors import InUse, Refused, Unavailable
from chainlab.monitor.metrics.event_totals import EventTotals
from chainlab.monitor.reverification import Reverification, ReverificationObserver
from chainlab.monitor.runtime import RuntimeObserver
from chainlab.policy.gate import Gate

ALL = ("revoked", "advisory", "bytes", "runtime")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as opened:
        yield opened


@pytest.fixture(scope="module")
def references(running: Production) -> list[str]:
    """Three releases in prod."""
    return [running.release() for _ in range(3)]


def observer(running: Production, *rolls_back: str, gate: Gate | None = None) -> ReverificationObserver:
    return ReverificationObserver(
        running.deployment,
        running.registry,
        running.trust,
        lambda: gate or running.gate,
        database=running.database,
        rolls_back=rolls_back,
    )


def looked(observer: ReverificationObserver) -> Reverification:
    result = observer.reverify()
    assert result is not None
    return result


def deployed_last(running: Production, *references: str) -> Deployed:
    """Deploy releases one after the other, unless they were deployed last and the service is as it was installed."""
    current, history = running.deployment._read()
    if current is None or history[-len(references) :] != [*references] or not looked(observer(running)).verified:
        for reference in references:
            current = running.deployment.deploy(reference)
    assert current is not None
    return current


def quarantine(running: Production, reference: str) -> None:
    running.registry.quarantine.hold(pinned(reference)[1], "misses melanomas", by="security@acme.example")


def lift(running: Production, reference: str) -> None:
    running.registry.quarantine.release(pinned(reference)[1], by="security@acme.example")


def with_advisory(running: Production, folder: Path) -> Gate:
    """The gate of a world in which acme-cells is exploited."""
    advisories = Path(shutil.copytree(ADVISORIES, folder / "advisories"))
    record = json.loads((advisories / "ACME-2026-0004.json").read_text())
    record |= {"id": "ACME-2026-9001", "summary": "Cells are counted twice"}
    record["affected"][0] |= {"package": {"ecosystem": "PyPI", "name": "acme-cells"}}
    record["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}, {"fixed": "1.3.0"}]
    exploited = json.loads((advisories / "exploited.json").read_text())
    exploited["vulnerabilities"].append({**exploited["vulnerabilities"][0], "cveID": "ACME-2026-9001"})
    exploited["count"] += 1
    (advisories / "ACME-2026-9001.json").write_text(json.dumps(record))
    (advisories / "exploited.json").write_text(json.dumps(exploited))
    return Gate(running.registry, running.trust, POLICIES, advisories)


def test_what_did_not_change_verifies_and_nothing_is_signed_or_kept(running: Production, references: list[str]) -> None:
    deployed = deployed_last(running, references[0])
    bundles = running.registry.evidence.bundles(pinned(references[0])[1])
    verdicts = running.events("gate.answered")
    result = looked(observer(running, *ALL))
    assert (result.verified, result.cause, result.action) == (True, "", "none")
    assert running.registry.evidence.bundles(pinned(references[0])[1]).keys() == bundles.keys()
    assert running.events("gate.answered") == verdicts
    assert running.events("service.reverified")[-1] == {
        "reference": deployed.reference, "verified": True, "cause": None, "why": None, "action": "none"
    }  # fmt: skip
    assert running.deployment.current == deployed


def test_each_change_is_reported_with_its_cause_and_nothing_is_done(
    running: Production, references: list[str], tmp_path: Path
) -> None:
    deployed = deployed_last(running, references[0])
    folder = running.deployment.folder(deployed)

    def check(cause: str, why: str, gate: Gate | None = None) -> None:
        result = looked(observer(running, gate=gate))
        assert (result.cause, result.action) == (cause, "reported")
        assert why in result.why
        assert running.events("service.reverified")[-1]["cause"] == cause
        assert running.deployment.current == deployed

    # bytes
    [code] = folder.glob("venv/lib/*/site-packages/triage_model/serve.py")
    for path, text, why in [
        (code, code.read_text() + "# one line more\n", "changed venv/lib/"),
        (code.parents[1] / "zz.pth", "import os\n", "added venv/lib/"),
        (folder / "files.json", "{}", "the list of the installed files"),
    ]:
        before = path.read_text() if path.exists() else None
        path.write_text(text)
        check("bytes", why)
        path.unlink() if before is None else path.write_text(before)
    # revoked
    quarantine(running, deployed.reference)
    check("revoked", "is quarantined: misses melanomas")
    lift(running, deployed.reference)
    policies = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    with (policies / "release.toml").open("a") as file:
        file.write("\n# stricter since today\n")
    stricter = Gate(running.registry, running.trust, policies, ADVISORIES)
    check("revoked", "it was judged by the policy", stricter)
    # an advisory, and one that cannot be read
    tomorrow = with_advisory(running, tmp_path)
    check("advisory", "ACME-2026-9001 in acme-cells 1.2.0 is exploited", tomorrow)
    (tmp_path / "advisories" / "ACME-2026-9001.json").write_text("{")
    check("unreachable", "cannot be read", tomorrow)
    # a service that does not answer: no reason to go back, whatever the policy says
    prediction_service.stop(deployed.service)
    totals = EventTotals(running.database)
    totals.read()
    known: object = dict(totals.service)
    check("unreachable", "the service does not answer")
    assert looked(observer(running, *ALL, "unreachable")).action == "reported"
    totals.read()
    assert known == totals.service  # no check: the alert about an overdue one has to come


def test_unexpected_behaviour_is_a_cause(running: Production, references: list[str]) -> None:
    deployed = deployed_last(running, references[0])
    line = {"time": 1.0, "phase": "serving", "action": "process", "target": "id"}
    with (running.deployment.folder(deployed) / BEHAVIOUR).open("a") as file:
        file.write(json.dumps(line) + "\n")
    RuntimeObserver(running.deployment, policy=running.gate.policy, database=running.database).observe()
    result = looked(observer(running, "bytes"))
    assert (result.cause, result.action) == ("runtime", "reported")
    assert result.why == "1 unexpected, first process id at serving"


def test_it_goes_back_to_the_newest_release_that_verifies_and_keeps_the_evidence(
    running: Production, references: list[str]
) -> None:
    first, second, third = references
    deployed = deployed_last(running, *references)
    try:
        quarantine(running, third)
        quarantine(running, second)
        assert looked(observer(running, "advisory")).action == "reported"  # another cause
        result = looked(observer(running, "revoked"))
        assert (result.action, result.reference) == ("rolledback", third)
        now = running.deployment.current
        assert now is not None
        assert now.reference == first
        assert model_served(now.service) == now.service.model
        assert model_served(deployed.service) is None
        kept = running.deployment.evidence / deployed.service.folder
        assert kept.name.startswith(pinned(third)[1].value.hex()[:16])
        assert (kept / BEHAVIOUR).exists()
        assert "quarantined" in json.loads((kept / "refused.json").read_text())["why"]
        assert prediction_service.changed_files(deployed.service, kept) == []
        assert running.events("service.rolledback")[-1]["before"] == third
        # It does not go on from there: what runs now verifies.
        assert looked(observer(running, "revoked")).verified
    finally:
        lift(running, third)
        lift(running, second)


def test_without_an_earlier_release_that_verifies_it_stays_and_says_so(
    running: Production, references: list[str], tmp_path: Path
) -> None:
    deployed = deployed_last(running, *references[:2])
    gate = with_advisory(running, tmp_path)
    running.deployment._gate = lambda: gate  # the advisory is about every release
    try:
        result = looked(observer(running, *ALL, gate=gate))
    finally:
        running.deployment._gate = lambda: running.gate
    assert (result.cause, result.action) == ("advisory", "reported")
    assert "not rolled back: no release that ran before verifies now" in result.why
    assert "ACME-2026-9001" in result.note
    assert running.deployment.current == deployed
    assert model_served(deployed.service) == deployed.service.model


def test_a_gate_that_cannot_judge_an_earlier_release_is_no_reason_to_pass_over_it(
    running: Production, references: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = deployed_last(running, *references[:2])
    quarantine(running, references[1])

    def failing(*_: object, **__: object) -> object:
        raise Unavailable("too many callers wait")

    try:
        with monkeypatch.context() as patched:
            patched.setattr(Gate, "preview", failing)
            result = looked(observer(running, *ALL))
            assert (result.cause, result.action) == ("revoked", "reported")
            assert "too many callers wait" in result.note
            assert running.deployment.current == deployed
        assert looked(observer(running, *ALL)).action == "rolledback"
    finally:
        lift(running, references[1])


def test_another_release_that_is_deployed_meanwhile_is_not_rolled_back(
    running: Production, references: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = references
    deployed = deployed_last(running, first, second)
    quarantine(running, second)
    preview = Gate.preview

    def slow(gate: Gate, reference: str, policy: str = "release") -> object:
        answer = preview(gate, reference, policy)
        deploying = threading.Thread(target=running.deployment.deploy, args=(third,))
        deploying.start()
        deploying.join()
        return answer

    try:
        with monkeypatch.context() as patched:
            patched.setattr(Gate, "preview", slow)
            with pytest.raises(InUse, match="deployed while this one was verified"):
                observer(running, *ALL).reverify()
        assert running.deployment.current is not None
        assert running.deployment.current.reference == third
        with pytest.raises(Refused, match="does not run any more"):
            running.deployment.rollback(leaving=deployed, why="late")
        assert looked(observer(running, *ALL)).verified
    finally:
        lift(running, second)


KILLED = """
import os, signal, sys
from pathlib import Path
from chainlab.deploy import deployment as module
from chainlab.deploy import prediction_service
from chainlab.policy.gate import Gate
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

where, folder, policies, advisories = sys.argv[1], *map(Path, sys.argv[2:])
trust = Trust(folder / "trust")
registry = Registry(folder / "registry", folder / "trust" / "state.db", trust=trust)
gate = Gate(registry, trust, policies, advisories)
deployment = module.Deployment(folder / "deploy", registry=registry, trust=trust, gate=lambda: gate, archive=None)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "started":
    deployment._write = die
else:
    prediction_service.stop = die
deployment.rollback(leaving=deployment.current, why="bytes: changed")
"""


@pytest.mark.crash
def test_a_rollback_that_is_killed_leaves_one_service_and_the_evidence(
    running: Production, references: list[str]
) -> None:
    """Killed when the earlier release has started, or when the state names it and the refused one still runs."""
    first, second = references[:2]
    folders = [running.deployment.directory.parent, POLICIES, ADVISORIES]
    for where, names, action in [("started", second, "rolledback"), ("written", first, "none")]:
        deployed = deployed_last(running, first, second)
        quarantine(running, second)
        try:
            command = [sys.executable, "-c", KILLED, where, *map(str, folders)]
            assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
            current = running.deployment.current
            assert current is not None
            assert current.reference == names
            assert looked(observer(running, *ALL)).action == action
        finally:
            lift(running, second)
        now = running.deployment.deploy(second)
        assert model_served(deployed.service) is None
        assert [path.name for path in (running.deployment.directory / "releases").iterdir()] == [now.service.folder]
        assert (running.deployment.evidence / deployed.service.folder / "refused.json").exists()


def test_nothing_runs_of_an_empty_deployment(running: Production) -> None:
    running.deployment.stop()
    assert observer(running).reverify() is None
    with pytest.raises(Refused, match="nothing is deployed"):
        running.deployment.restart()


def test_the_command_says_when_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINLAB_WORKSPACE", raising=False)
    answer = CliRunner().invoke(_main, ["deploy", "--reverify"])
    assert (answer.exit_code, answer.output) == (1, "nothing is deployed\n")
    answer = CliRunner().invoke(_main, ["deploy", "--reverify", "--restart"])
    assert answer.exit_code == 2
    assert "--restart takes no REFERENCE" in answer.output
