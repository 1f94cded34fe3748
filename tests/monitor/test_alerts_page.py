"""The page /alerts: who may read and write, that hostile text is only text, and a person's way through it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

import chainlab
from chainlab.lab import Lab
from chainlab.monitor import app
from chainlab.monitor.alerts.alert import Signal

ROOT = Path(__file__).parents[2]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
SHOTS = os.environ.get("CHAINLAB_SHOTS")  # a directory, to look at what was seen
TIME = "2026-05-08T02:00:00Z"
HOSTILE = "<script>window.pwned = 1</script>\u202egnp.exe\"' onfocus=window.pwned=2 {{ 7 * 7 }}"
DIGEST = "sha256:" + "5" * 64
SIGNALS = (
    Signal("tag_moved", "high", DIGEST, "a tag was moved", "Freeze releases.", ("T1195.002",), TIME, TIME),
    Signal("hostile", "low", HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), TIME, TIME),
    Signal(
        "gate_quiet", "critical", "gate", "the gate is silent", "Deploy nothing.", ("none: hygiene",), TIME, TIME, (5,)
    ),
)
FORM = {"name": "alice", "reason": "a drill"}


@pytest.fixture(scope="module")
def opened() -> Iterator[Lab]:
    with chainlab.open("01_threats") as lab:
        yield lab


@pytest.fixture
def lab(opened: Lab) -> Iterator[Lab]:
    """A lab with the three alerts alone."""
    book, until = opened.monitor.book, opened.monitor.book.cursor()
    fresh = [replace(signal, sequences=(until + number,)) for number, signal in enumerate(SIGNALS, 1)]
    book.record(fresh, until=until + len(SIGNALS))
    yield opened
    for alert in book.alerts():
        book.resolve(alert.id, by="a test", reason="over")


def token_of(page: str) -> str:
    match = re.search(r'name="token" value="([^"]+)"', page)
    assert match
    return match[1]


def test_only_a_form_of_the_page_changes_an_alert(lab: Lab) -> None:
    number = lab.monitor.alerts()[0].id
    with httpx.Client(base_url=lab.url, trust_env=False) as person, httpx.Client(trust_env=False) as stranger:
        token = token_of(person.get("/alerts").text)
        for fields, client in ((FORM, person), (FORM | {"token": "x"}, person), (FORM | {"token": token}, stranger)):
            for act in ("acknowledge", "resolve"):
                assert client.post(f"{lab.url}/alerts/{number}/{act}", data=fields).status_code == 403
        foreign = {"Origin": "http://evil.example"}
        answer = person.post(f"/alerts/{number}/resolve", data=FORM | {"token": token}, headers=foreign)
        assert answer.status_code == 403
        assert lab.monitor.alerts()[0].state == "firing"
        assert person.post(f"/alerts/{number}/resolve", data={"token": token, "name": "alice"}).status_code == 400
        assert person.post("/alerts/99/acknowledge", data=FORM | {"token": token}).status_code == 400
        assert person.post(f"/alerts/{number}/acknowledge", data=FORM | {"token": token}).status_code == 303
        assert person.post(f"/alerts/{number}/resolve", data=FORM | {"token": token}).status_code == 303
        documents = person.get("/alerts.json", params={"all": "1"}).json()
        assert [document["state"] for document in documents[:3]] == ["firing", "firing", "resolved"]
        assert next(each for each in documents if each["id"] == number)["reason"] == "a drill"
        assert len(person.get("/alerts.json").json()) == 2


def test_a_job_neither_reads_nor_changes_alerts(lab: Lab) -> None:
    job = httpx.HTTPTransport(local_address="127.64.0.5")  # where the CI host's jobs come from
    with httpx.Client(base_url=lab.url, transport=job) as client:
        for path in ("/alerts", "/alerts.json", "/metrics"):
            assert client.get(path).status_code == 403
        assert client.post("/alerts/1/resolve", data=FORM).status_code == 403


def test_the_page_warns_when_the_monitor_has_stopped(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.monitor.look()
    assert "is not on this page" not in httpx.get(f"{lab.url}/alerts", trust_env=False).text
    monkeypatch.setattr(app, "STALE", 0.0)
    assert "is not on this page" in httpx.get(f"{lab.url}/alerts", trust_env=False).text


def test_the_metrics_are_in_prometheus_format_and_count_the_state(lab: Lab) -> None:
    answer = httpx.get(f"{lab.url}/metrics", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'chainlab_alerts{level="critical",state="firing"} 1.0' in answer.text
    published = len(lab.events("artifact.published"))
    assert f'chainlab_events_total{{type="artifact.published"}} {float(published)}' in answer.text


def command(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``chainlab monitor`` in a terminal of the workspace."""
    environment = lab.workspace.environment() | {"CHAINLAB_WORKSPACE": str(lab.workspace.path)}
    program = Path(sys.executable).with_name("chainlab")
    return subprocess.run(
        [program, "monitor", *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_terminal_watches_and_changes_the_same_alerts(lab: Lab) -> None:
    looked = command(lab, "run", "--once")
    assert looked.returncode == 1, looked.stderr
    assert "critical  gate_quiet: the gate is silent" in looked.stdout
    assert "      First: Deploy nothing." in looked.stdout
    assert "\u202e" not in looked.stdout
    number = str(lab.monitor.alerts()[0].id)
    assert command(lab, "alerts", "--ack", number, "--by", "alice").returncode == 0
    assert lab.monitor.alerts()[0].acknowledged_by == "alice"
    refused = command(lab, "alerts", "--resolve", number, "--by", "alice")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, "expected a reason of 1 to 1000 characters")
    resolved = command(lab, "alerts", "--resolve", number, "--by", "alice", "--reason", "a drill", "--json")
    assert json.loads(resolved.stdout)[0]["state"] == "resolved"
    for alert in lab.monitor.alerts():
        lab.monitor.book.resolve(alert.id, by="alice", reason="a drill")
    assert command(lab, "run", "--once").returncode == 0


@pytest.mark.browser
def test_a_person_reads_acknowledges_and_resolves_without_scripts(lab: Lab) -> None:
    path = ROOT / ".cache" / "browser.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not report.get("path"):
        pytest.skip(report.get("reason") or "not set up: run `make test`, or tests/setup/browser.py")
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=report["path"], args=FLAGS)
        page = browser.new_page(base_url=lab.url, viewport={"width": 1100, "height": 1000})
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto("/")
        page.get_by_role("link", name="Alerts").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
        expect(page.get_by_text(re.compile("The monitor (has not looked yet|looked last at)"))).to_be_visible()
        cards = page.get_by_role("article")
        expect(cards.get_by_role("heading")).to_have_text(["critical gate_quiet", "high tag_moved", "low hostile"])
        assert page.evaluate("window.pwned") is None
        assert HOSTILE.split("\u202e")[0] in cards.nth(2).inner_text()
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/alerts.png", full_page=True)
        first = cards.first
        first.get_by_label("Your name, to acknowledge gate_quiet").fill("alice")
        first.get_by_role("button", name="Acknowledge").click()
        expect(first.get_by_text("acknowledged")).to_be_visible()
        first.get_by_label("Your name, to resolve gate_quiet").fill("alice")
        first.get_by_label("What became of gate_quiet").fill("the gate was restarted")
        first.get_by_role("button", name="Resolve").click()
        expect(cards).to_have_count(2)
        page.goto("/alerts?all=1")
        expect(cards.filter(has_text="by alice: the gate was restarted")).to_have_count(1)
        if SHOTS:
            page.set_viewport_size({"width": 420, "height": 900})
            page.screenshot(path=f"{SHOTS}/alerts-narrow.png", full_page=True)
        browser.close()
    assert wrong == []
