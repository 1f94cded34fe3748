"""What the running service does is compared with its attested behaviour."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_release import Production, production

from chainlab.deploy.deployment import Deployed
from chainlab.deploy.prediction_service import BEHAVIOUR, model_served
from chainlab.monitor.runtime import RuntimeObserver, attested, read_report
from chainlab.policy.policy import Behaviour

SITE = f"venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as opened:
        yield opened


@pytest.fixture
def observer(running: Production) -> RuntimeObserver:
    return RuntimeObserver(running.deployment, policy=running.gate.policy, database=running.database)


@pytest.fixture(scope="module")
def honest(running: Production) -> Deployed:
    """A service that does what is expected."""
    return running.deployment.deploy(running.release())


def behaved(running: Production, reference: str, after: int = 0) -> list[tuple[str, str, str, bool]]:
    """Action, target, phase and whether it was expected, of each event about a release; ``after`` some of them."""
    found = [data for data in running.events("service.behaved") if data["reference"] == reference]
    return [(data["action"], data["target"], data["phase"], data["expected"]) for data in found][after:]


def test_an_honest_service_does_what_is_expected_and_is_quiet_while_it_serves(
    running: Production, observer: RuntimeObserver, honest: Deployed
) -> None:
    for _ in range(20):
        assert model_served(honest.service) == honest.service.model
    observer.observe()
    observer.observe()
    assert behaved(running, honest.reference) == [
        ("listen", "127.0.0.1:0", "serving", True),
        ("connect", "name 127.0.0.1", "serving", True),
    ]
    assert not list((running.deployment.folder(honest) / "venv").rglob("__pycache__"))


def test_a_pth_payload_is_seen_when_the_service_starts_again(
    running: Production, observer: RuntimeObserver, honest: Deployed
) -> None:
    observer.observe()
    before = len(behaved(running, honest.reference))
    payload = running.deployment.folder(honest) / SITE / "zz_telemetry.pth"
    payload.write_text("import subprocess; subprocess.run(['true'])\n")
    assert running.deployment.restart().service.pid != honest.service.pid
    payload.unlink()
    observer.observe()
    assert behaved(running, honest.reference, before) == [
        ("read", str(payload), "startup", False),
        ("code", str(payload), "startup", False),
        ("process", "true", "startup", False),
        ("listen", "127.0.0.1:0", "serving", True),  # once for each start
        ("connect", "name 127.0.0.1", "serving", True),
    ]


def test_a_report_that_was_changed_is_unexpected(
    running: Production, observer: RuntimeObserver, honest: Deployed
) -> None:
    report = running.deployment.folder(honest) / BEHAVIOUR
    observer.observe()
    whole = report.read_text()
    for text in (f"{whole}all is well\n", whole[: whole.rindex('{"time"')], None):
        before = len(behaved(running, honest.reference))
        report.unlink() if text is None else report.write_text(text)
        observer.observe()
        new = behaved(running, honest.reference, before)
        assert (new[0][0], new[0][3]) == ("write", False)
        observer.observe()
        assert behaved(running, honest.reference, before) == new


LOAD = """
import ctypes, os, pickle, socket
for n in range(3000):
    try:
        open(f"/nowhere/{n}")
    except OSError:
        pass
os.system("true")
pickle.loads(b"cos\\nsystem\\n.")
with socket.socket() as unbound:
    unbound.connect_ex(("127.0.0.1", 9))
open(os.devnull, "w").close()
ctypes.CDLL(None).getpid
"""


def test_what_is_not_attested_is_unexpected_and_a_flood_hides_no_process(
    running: Production, observer: RuntimeObserver
) -> None:
    serving = "import socket; socket.create_server(('127.0.0.1', 0)).close()"
    deployed = running.deployment.deploy(running.release(LOAD, serving))
    observer.observe()
    unexpected = [entry[:3] for entry in behaved(running, deployed.reference) if not entry[3]]
    assert sum(action == "read" for action, _, _ in unexpected) == 101
    assert [entry for entry in unexpected if entry[0] != "read"] == [
        ("process", "true", "load"),
        ("connect", "127.0.0.1:9", "load"),
        ("listen", "127.0.0.1:0", "serving"),
    ]
    report = running.deployment.folder(deployed) / BEHAVIOUR
    reads = [action for action in read_report(report, Behaviour()) if action.action == "read"]
    assert len(reads) == 1000
    assert any("further ones are not reported" in action.target for action in read_report(report, Behaviour()))


def test_without_a_service_there_is_nothing_to_see(running: Production, observer: RuntimeObserver) -> None:
    running.deployment.stop()
    count = len(running.events("service.behaved"))
    observer.observe()
    assert len(running.events("service.behaved")) == count


@pytest.mark.parametrize(
    ("action", "target", "listens", "answer"),
    [
        ("listen", "127.0.0.1:8080", 1, True),
        ("listen", "127.0.0.1:8080", 2, False),
        ("listen", "0.0.0.0:8080", 1, False),
        ("listen", "::1:8080", 1, True),
        ("listen", "/tmp/socket", 1, False),
        ("read", "/etc/os-release", 1, True),
        ("read", "/etc/passwd", 1, False),
        ("connect", "/etc/os-release", 1, False),
        ("load", "/opt/lib/a.so", 1, True),
    ],
)
def test_the_policy_says_what_is_attested(action: str, target: str, listens: int, answer: bool) -> None:
    behaviour = Behaviour(listens=1, reads=("/etc/os-release",), loads=("/opt/lib/*",))
    assert attested(action, target, behaviour, listens=listens) is answer


def test_a_line_that_the_hook_still_writes_waits(tmp_path: Path) -> None:
    report = tmp_path / BEHAVIOUR
    report.write_text('{"hook": 1}\n{"action": "rea')
    assert list(read_report(report, Behaviour())) == []
