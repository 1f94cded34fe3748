"""How an alert leaves: the kit's webhook, and Prometheus with Alertmanager as docs/monitoring.md sets them up."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml
from alert_receiver import AlertReceiver

import chainlab
from chainlab.errors import MalformedInput, Unavailable
from chainlab.monitor.alerts.alert import Signal
from chainlab.monitor.alerts.alert_book import AlertBook
from chainlab.monitor.alerts.webhook import Webhook
from chainlab.monitor.metrics.alert_rules import load_alert_rules
from chainlab.monitor.observers import report

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
REPORT = ROOT / ".cache" / "alerting.json"
EARLY, LATE = "2026-05-08T02:00:00Z", "2026-05-08T02:07:00Z"
TAG = Signal("tag_moved", "high", "v1", "a tag moved", "Freeze.", ("T1195.002",), EARLY, EARLY, (3,))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AlertBook]:
    with AlertBook(tmp_path / "state.db", now=lambda: LATE) as book:
        yield book


def webhook(url: str, book: AlertBook) -> Webhook:
    return Webhook(url, book, link=lambda: "http://127.0.0.1:8000/alerts")


def test_each_beginning_and_end_is_posted_once_in_order(book: AlertBook) -> None:
    with AlertReceiver() as receiver:
        hook = webhook(receiver.url, book)
        book.record([TAG, replace(TAG, subject="v2")], until=3)
        book.acknowledge(1, by="alice")
        book.resolve(1, by="alice", reason="a drill")
        assert hook.deliver() == 3
        assert hook.deliver() == webhook(receiver.url, book).deliver() == 0
    sent = [(message["status"], message["groupLabels"]["subject"]) for message in receiver.messages]
    assert sent == [("firing", "v1"), ("firing", "v2"), ("resolved", "v1")]
    begins, other, ends = (message["alerts"][0] for message in receiver.messages)
    assert begins["fingerprint"] == ends["fingerprint"] != other["fingerprint"]
    assert (begins["startsAt"], begins["endsAt"], ends["endsAt"]) == (EARLY, "0001-01-01T00:00:00Z", LATE)
    assert begins["labels"] == {"alertname": "tag_moved", "subject": "v1", "severity": "high"}
    assert begins["annotations"]["response"] == "Freeze."


def test_what_a_receiver_does_not_take_waits_on_disk(book: AlertBook) -> None:
    with AlertReceiver(500, 302, 500, 503) as receiver:
        hook = webhook(receiver.url, book)
        book.record([TAG, replace(TAG, subject="v2")], until=3)
        with pytest.raises(Unavailable, match="does not take alerts") as error:
            hook.deliver()
        assert (error.value.why, receiver.attempts) == ("it answered with HTTP status 500", 3)
        with pytest.raises(Unavailable, match="tried again in"):
            hook.deliver()
        assert receiver.attempts == 3
        assert webhook(receiver.url, book).deliver() == 2  # the next process, at once
        assert [message["groupLabels"]["subject"] for message in receiver.messages] == ["v1", "v2"]


def test_a_new_receiver_is_told_what_is_open(book: AlertBook) -> None:
    book.record([TAG, replace(TAG, subject="v2")], until=3)
    book.resolve(1, by="alice", reason="a drill")
    with AlertReceiver() as receiver:
        webhook(receiver.url, book).deliver()
    assert ("firing", "v2") in [(m["status"], m["groupLabels"]["subject"]) for m in receiver.messages]
    assert "v1" not in [m["groupLabels"]["subject"] for m in receiver.messages if m["status"] == "firing"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/alerts",
        "http://192.0.2.1:9093/",
        "https://127.0.0.1/alerts",
        "http://127.0.0.1@example.com/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1:99999/",
        "file:///etc/passwd",
        "127.0.0.1:5001",
    ],
)
def test_an_address_elsewhere_is_refused(book: AlertBook, url: str) -> None:
    with pytest.raises(MalformedInput, match="not an address of this machine"):
        webhook(url, book)


# -- the real programs


def test_the_guide_lists_every_alert_rule() -> None:
    for rule in load_alert_rules(ROOT / "data" / "alerts").rules:
        summary = re.sub(r"{{.*?}}", "…", rule.annotations["summary"])
        assert f"| `{rule.name}` | {rule.level} | {summary} |" in GUIDE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(stack: ExitStack, command: list[str], folder: Path, ready: str) -> None:
    process = stack.enter_context(
        subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    stack.callback(process.kill)
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(ready, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.clients("alerting")
def test_prometheus_and_alertmanager_pass_on_the_same_alert(tmp_path: Path) -> None:
    found = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    if not found.get("prometheus"):
        pytest.skip(found.get("reason") or "not set up: run `make test`, or tests/setup/alerting.py")
    prometheus, alertmanager = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.S))
    ports = free_port(), free_port()
    with ExitStack() as stack:
        lab = stack.enter_context(chainlab.open("01_threats"))
        receiver = stack.enter_context(AlertReceiver())
        events = lab.workspace.trust / "state.db"
        report(events, "service.deployed", "sha256:" + "1" * 64, {"reference": "oci/acme/x"})
        report(events, "service.reverified", "sha256:" + "1" * 64, {"reference": "oci/acme/x", "verified": False})
        prometheus["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms", "scrape_timeout": "200ms"}
        prometheus["rule_files"] = [str(ROOT / path) for path in prometheus["rule_files"]]
        prometheus["scrape_configs"][0]["static_configs"][0]["targets"] = [lab.url.removeprefix("http://")]
        prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{ports[1]}"]
        alertmanager["route"]["group_wait"] = "0s"
        alertmanager["receivers"][0]["webhook_configs"][0]["url"] = receiver.url
        (tmp_path / "prometheus.yml").write_text(json.dumps(prometheus))
        (tmp_path / "alertmanager.yml").write_text(json.dumps(alertmanager))
        options = [f"--web.listen-address=127.0.0.1:{ports[1]}", "--cluster.listen-address=", "--storage.path=am"]
        command = [found["alertmanager"], "--config.file=alertmanager.yml", *options]
        started(stack, command, tmp_path, f"http://127.0.0.1:{ports[1]}/-/ready")
        options = [f"--web.listen-address=127.0.0.1:{ports[0]}", "--storage.tsdb.path=db"]
        command = [found["prometheus"], "--config.file=prometheus.yml", *options]
        started(stack, command, tmp_path, f"http://127.0.0.1:{ports[0]}/-/ready")
        assert receiver.arrived.wait(30)
        theirs = next(m for m in receiver.messages if m["groupLabels"]["alertname"] == "ServiceUnverified")
        receiver.messages.clear()
        monitor = lab.monitor
        monitor.notify(receiver.url, link=lambda: f"{lab.url}/alerts")
        monitor.look()
        ours = next(m for m in receiver.messages if m["groupLabels"]["alertname"] == "ServiceUnverified")
    assert theirs.keys() == ours.keys()
    assert theirs["alerts"][0].keys() == ours["alerts"][0].keys()
    (first,), (second,) = theirs["alerts"], ours["alerts"]
    for part in ("summary", "response"):
        assert first["annotations"][part] == second["annotations"][part]
    assert (first["labels"]["severity"], theirs["status"]) == (second["labels"]["severity"], ours["status"])
    assert first["labels"]["release"] == second["labels"]["subject"]
