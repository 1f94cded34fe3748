"""`chainlab start` and `chainlab doctor`."""

from __future__ import annotations

import contextlib
import html
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import pytest

from chainlab import doctor
from chainlab.errors import MalformedInput, Unavailable
from chainlab.notebook_server import choose_address
from chainlab.sandbox import EscapeAttempt, Sandbox
from chainlab.start import find_page, open_workspace
from chainlab.workspace import Workspace

CHAINLAB = str(Path(sys.executable).parent / "chainlab")
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
SERVICE = """
import http.server

class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"sha256": "sha256:0000"}')

    def log_message(self, *words):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Service)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
"""
PATIENCE = 120  # seconds; two cores may be busy with other tests


class Started:
    """A `chainlab start` in the background, with a browser that notes its command line and stays open."""

    def __init__(self, course: Path, workspace: Path, *options: str) -> None:
        self.workspace = workspace
        self.output = workspace.with_suffix(".out")
        browser = workspace.with_suffix(".bin") / "xdg-open"
        browser.parent.mkdir(exist_ok=True)
        browser.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{workspace.with_suffix('.opened')}'\nsleep 5\n")
        browser.chmod(0o755)
        with self.output.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [CHAINLAB, "start", "--workspace", str(workspace), *options],
                cwd=course,
                env={**os.environ, "DISPLAY": ":99", "PATH": f"{browser.parent}{os.pathsep}{os.environ['PATH']}"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def address(self) -> str:
        return wait_for(lambda: re.search(r"http://\S+token=\S+", self.printed()), self)[0]

    def child(self) -> int:
        """Process id of JupyterLab."""
        info = next((self.workspace / "jupyter" / "runtime").glob("jpserver-*.json"))
        return int(json.loads(info.read_text(encoding="utf-8"))["pid"])

    def opened(self) -> str:
        """What the browser was told to open."""
        note = self.workspace.with_suffix(".opened")
        return wait_for(lambda: re.search(r".+", note.read_text() if note.exists() else ""), self)[0]

    def redirects(self) -> list[Path]:
        """JupyterLab's pages that lead to an address with its token."""
        return list((self.workspace / "jupyter" / "runtime").glob("*.html"))

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def wait_for(condition: Callable[[], re.Match[str] | None], started: Started) -> re.Match[str]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := condition():
            return result
        assert started.process.poll() is None, started.printed()
        time.sleep(0.1)
    raise AssertionError(f"nothing after {PATIENCE} s: {started.printed()}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def course(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of two empty lessons and one empty lab."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(root / "course.toml", folder)
    shutil.copy(root / "requirements.lock", folder)
    for page in ("notebooks/00_onramp.ipynb", "notebooks/01_threats.ipynb", "labs/01_assessment.ipynb"):
        (folder / page).parent.mkdir(exist_ok=True)
        (folder / page).write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("start") / "workspace"


@pytest.fixture(scope="module")
def started(course: Path, workspace: Path) -> Iterator[Started]:
    session = Started(course, workspace)
    session.address()
    yield session
    if session.process.poll() is None:
        session.end()


def ask(address: str, path: str, document: object = None, method: str = "GET") -> Any:
    """What JupyterLab's API answers at a path of the place that a session printed."""
    place, _, token = address.partition("/lab")
    request = urllib.request.Request(
        f"{place}/{path}",
        data=None if document is None else json.dumps(document).encode(),
        method=method,
        headers={"Authorization": f"token {token.rpartition('token=')[2]}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")


def held(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_start_opens_the_on_ramp(started: Started) -> None:
    address = started.address()
    assert "/lab/tree/notebooks/00_onramp.ipynb?token=" in address
    with urllib.request.urlopen(address) as answer:
        page = answer.read().decode()
    config = json.loads(re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert config["news"] == {"disabled": True}


def test_jupyterlab_keeps_its_token(started: Started) -> None:
    place = started.address().partition("/lab")[0]
    with pytest.raises(urllib.error.HTTPError, match="403") as refusal:
        urllib.request.urlopen(f"{place}/api/contents")
    refusal.value.close()


@pytest.mark.skipif(sys.platform != "linux", reason="xdg-open and /proc")
def test_the_token_is_in_no_command_line(started: Started) -> None:
    token = started.address().partition("token=")[2].encode()
    assert started.opened().startswith("file://")
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            assert token not in words.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="xdg-open")
def test_the_browser_opens_a_file_of_its_owner_alone_that_leads_to_the_address(started: Started) -> None:
    opened = Path(url2pathname(started.opened().removeprefix("file://")))
    assert opened.is_relative_to(started.workspace)
    assert stat.S_IMODE(opened.stat().st_mode) == 0o600
    refresh = re.search(r'http-equiv="refresh" content="\d;\s*url=([^"]+)"', opened.read_text(encoding="utf-8"))
    assert refresh is not None
    assert html.unescape(refresh[1]) == started.address()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_the_token_is_in_no_file_that_others_can_read(started: Started) -> None:
    token = started.address().partition("token=")[2].encode()
    for path in started.workspace.rglob("*"):
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            assert token not in path.read_bytes(), path


def test_a_second_start_on_the_same_workspace_is_refused(started: Started, course: Path, workspace: Path) -> None:
    run = subprocess.run(
        [CHAINLAB, "start", "--no-browser", "--workspace", str(workspace)],
        cwd=course,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 1
    assert "this workspace already has an open session" in run.stderr
    address = re.search(r"http://\S+token=\S+", run.stderr)
    assert address is not None
    assert [entry["name"] for entry in ask(address[0], "api/contents/labs")["content"]] == ["01_assessment.ipynb"]
    assert "Traceback" not in run.stderr


def test_what_jupyterlab_saves_goes_into_the_learners_copy(started: Started, course: Path) -> None:
    before = held(course)
    page = ask(started.address(), "api/contents/notebooks/01_threats.ipynb")
    page["content"]["cells"] = [{"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "mine"}]
    ask(started.address(), "api/contents/notebooks/01_threats.ipynb", page, "PUT")
    assert "mine" in (started.workspace / "desk" / "notebooks" / "01_threats.ipynb").read_text()
    assert held(course) == before


def test_deliverables_are_seen_in_jupyterlab(started: Started) -> None:
    (Workspace(started.workspace).unit("01_assessment") / "assessment.md").write_text("mine\n")
    shown = ask(started.address(), "api/contents/units/01_assessment/assessment.md?type=file&format=text")
    assert shown["content"] == "mine\n"


def test_a_projects_workflows_are_seen_in_jupyterlab_and_its_own_checkpoints_are_not(started: Started) -> None:
    project = Workspace(started.workspace).unit("02_hardening") / "triage-model"
    for hidden in (".github/workflows", ".ipynb_checkpoints"):
        (project / hidden).mkdir(parents=True)
    (project / ".github/workflows/release.yml").write_text("on: push\n")
    shown = ask(started.address(), "api/contents/units/02_hardening/triage-model")
    assert [entry["name"] for entry in shown["content"]] == [".github"]
    path = "api/contents/units/02_hardening/triage-model/.github/workflows/release.yml?type=file&format=text"
    assert ask(started.address(), path)["content"] == "on: push\n"


def test_jupyterlab_saves_every_eight_seconds(started: Started) -> None:
    settings = ask(started.address(), "lab/api/settings/@jupyterlab/docmanager-extension:plugin")
    assert settings["schema"]["properties"]["autosaveInterval"]["default"] == 8


def test_terminate_ends_jupyterlab_too(started: Started) -> None:
    child = started.child()
    assert started.redirects() != []
    assert started.end() == 0
    assert not alive(child)
    assert started.redirects() == []
    assert "To end: save (Ctrl-S in the browser), then Ctrl-C here. What is saved is kept." in started.printed()
    assert started.printed().endswith(f"ended; what you saved is kept in {started.workspace}\n")


@pytest.fixture
def ended(started: Started) -> tuple[str, str]:
    """Place and token of the session, which has ended."""
    place, _, rest = started.address().partition("/lab")
    if started.process.poll() is None:
        started.end()
    return place, rest.partition("token=")[2]


@pytest.fixture
def service(tmp_path: Path, workspace: Path) -> Iterator[str]:
    """A service in prod, as far as a session needs one: a process that answers, and the state that names it."""
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        running = {"url": url, "pid": process.pid, "model": "sha256:" + "0" * 64, "born": ""}
        state = workspace / "deploy" / "state.json"
        state.parent.mkdir(exist_ok=True)
        state.write_text(json.dumps({"current": {"reference": "oci/x", "service": running}, "history": ["oci/x"]}))
        yield url
        process.kill()
    state.unlink()


def test_a_later_start_has_the_address_of_before_and_says_what_goes_on_in_prod(
    ended: tuple[str, str], course: Path, workspace: Path, service: str
) -> None:
    saved = workspace / "jupyter" / "workspaces" / "default-37a8.jupyterlab-workspace"  # as a tab leaves it
    saved.parent.mkdir(exist_ok=True)
    saved.write_text('{"data": {}, "metadata": {"id": "default"}}')
    session = Started(course, workspace)
    assert session.address() == f"{ended[0]}/lab?token={ended[1]}"  # where the learner was
    assert session.end() == 0
    assert f"the service that you deployed goes on: {service}" in session.printed()


def test_a_new_token_shuts_out_the_tabs_of_before(ended: tuple[str, str], course: Path, workspace: Path) -> None:
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    session = Started(course, workspace)
    address, place = session.address(), ended[0]
    browser.open(address).close()
    browser.open(f"{place}/api/contents").close()  # by its cookie
    session.end()
    renewed = Started(course, workspace, "--new-token", "--unit", "01_assessment")
    try:
        assert renewed.address().startswith(f"{place}/lab/tree/labs/01_assessment.ipynb?")
        assert ask(renewed.address(), "api/contents/labs")["name"] == "labs"
        with pytest.raises(urllib.error.HTTPError, match="403") as by_token:
            ask(address, "api/contents")
        with pytest.raises(urllib.error.HTTPError, match="403") as by_cookie:
            browser.open(f"{place}/api/contents")
        by_token.value.close()
        by_cookie.value.close()
    finally:
        renewed.end()


def test_the_kept_address_is_used_again_while_nobody_else_has_it(tmp_path: Path) -> None:
    assert choose_address(tmp_path)[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port, token = other.getsockname()[1], "t" * 32
        file = tmp_path / "address.json"
        file.write_text(json.dumps({"port": port, "token": token}))
        file.chmod(0o600)
        taken = choose_address(tmp_path)
        assert taken[0] == 0
        assert taken[1] != token  # a tab that is left open tells the old one to whoever listens there
        with pytest.raises(Unavailable, match="uses port") as refusal:
            choose_address(tmp_path, port)
        assert refusal.value.hint == "give another port, or none"
    assert choose_address(tmp_path) == (port, token)
    assert choose_address(tmp_path, new_token=True)[0] == port
    assert choose_address(tmp_path, new_token=True)[1] != token
    file.chmod(0o644)  # others could have read it
    assert choose_address(tmp_path)[1] != token
    for damaged in ("", "[]", '{"port": 99999999, "token": "x"}', '{"port": 1, "token": "short"}'):
        file.write_text(damaged)
        file.chmod(0o600)
        assert choose_address(tmp_path)[0] == 0


@pytest.mark.parametrize("place", ["/proc/chainlab", "file"])
def test_a_place_that_cannot_be_written_names_the_option(course: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot keep your work") as refusal:
        open_workspace(tmp_path / place / "workspace")
    assert "--workspace DIR" in refusal.value.hint


def test_doctor_finds_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINLAB_WORKSPACE", raising=False)
    assert doctor.workspace(tmp_path).level == "ok"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("CHAINLAB_WORKSPACE", "/proc/chainlab")
    finding = doctor.workspace(tmp_path)
    assert finding.level == "fail"
    assert finding.hint == "keep them elsewhere: chainlab start --workspace DIR"


@pytest.mark.crash
def test_when_jupyterlab_breaks_start_says_so_and_ends(course: Path, tmp_path: Path) -> None:
    session = Started(course, tmp_path / "workspace")
    session.address()
    os.kill(session.child(), signal.SIGKILL)
    assert session.process.wait(PATIENCE) == 1
    assert "JupyterLab ended by itself" in session.printed()
    assert session.redirects() == []
    assert "Traceback" not in session.printed()


@pytest.mark.crash
def test_a_start_after_a_kill_ends_the_jupyterlab_that_was_left(course: Path, tmp_path: Path) -> None:
    killed = Started(course, tmp_path / "workspace")
    killed.address()
    orphan, address = killed.child(), killed.address()
    killed.process.kill()
    killed.process.wait(PATIENCE)
    assert alive(orphan)
    left = killed.redirects()
    assert left != []
    session = Started(course, tmp_path / "workspace")
    try:
        assert session.address() == address  # tabs of before go on
        assert session.child() != orphan
        assert not set(left) & set(session.redirects())
        deadline = time.monotonic() + PATIENCE
        while alive(orphan) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive(orphan)
    finally:
        session.end()


@pytest.mark.parametrize(
    ("unit", "page"),
    [
        ("0", "notebooks/00_onramp.ipynb"),
        ("01_assessment", "labs/01_assessment.ipynb"),
        ("01_threats.ipynb", "notebooks/01_threats.ipynb"),
        ("1", "notebooks/01_threats.ipynb"),
    ],
)
def test_a_unit_opens_its_notebook(course: Path, unit: str, page: str) -> None:
    assert find_page(course, unit) == page


def test_an_unknown_unit_names_the_known_ones(course: Path) -> None:
    with pytest.raises(MalformedInput, match="00_onramp, 01_assessment, 01_threats"):
        find_page(course, "99_nothing")


def test_doctor_answers_programs_and_exits_0_where_nothing_fails(course: Path) -> None:
    run = subprocess.run([CHAINLAB, "doctor", "--json"], cwd=course, capture_output=True, text=True, check=False)
    findings = json.loads(run.stdout)
    assert [finding["check"] for finding in findings if finding["level"] == "fail"] == []
    assert run.returncode == 0
    assert {"Python", "packages", "loopback", "proxies", "clock", "disk space", "sandbox"} <= {
        finding["check"] for finding in findings
    }


def test_doctor_shows_which_escapes_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: tuple[EscapeAttempt, ...] = (
        EscapeAttempt("leave", "refused"),
        EscapeAttempt("become root", "untried", "it cannot be tried here"),
    )
    monkeypatch.setattr(Sandbox, "find", lambda: Sandbox("namespace", attempts=attempts))
    assert str(doctor.sandbox()) == "ok    sandbox: namespace; escapes refused: leave; escapes untried: become root"
    attempts = (EscapeAttempt("leave", "succeeded", "by the door"),)
    monkeypatch.setattr(Sandbox, "find", lambda: Sandbox("none", "a job could leave (by the door)", attempts=attempts))
    assert doctor.sandbox().level == "warn"
    assert doctor.sandbox().seen == "a job could leave (by the door); escapes succeeded: leave"


def test_doctor_finds_a_python_without_wheels() -> None:
    assert doctor.python((3, 14)).level == "fail"
    assert doctor.python((3, 13)).level == "ok"


def test_doctor_finds_packages_that_differ_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "click==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n    --hash=sha256:00\n"
        "nor-this==1 ; sys_platform == 'nowhere' \\\n    --hash=sha256:00\n",
        encoding="utf-8",
    )
    finding = doctor.packages(lock)
    assert finding.level == "fail"
    assert "1 missing (no-such-package)" in finding.seen
    assert "click" in finding.seen


def test_doctor_finds_proxies_that_catch_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    assert doctor.proxies().level == "warn"
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert doctor.proxies().level == "ok"


def test_doctor_finds_a_clock_in_the_past(course: Path) -> None:
    assert doctor.clock(course, now=0).level == "fail"


def test_doctor_finds_a_path_too_long_for_sockets() -> None:
    assert doctor.path_length(Path("/srv")).level == "ok"
    assert doctor.path_length(Path("/srv") / ("x" * 80)).level == "warn"


def test_doctor_goes_on_when_a_check_breaks(tmp_path: Path) -> None:
    findings = doctor.examine(tmp_path)  # no lock here
    assert "could not be checked" in next(str(f) for f in findings if f.check == "packages")
    assert len(findings) == 12
