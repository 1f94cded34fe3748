"""A learner in a real browser: pages run, answers get their messages, work outlives the session."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ROOT = Path(__file__).parents[1]
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden)"
PATIENCE = 90  # seconds for a step of the page; kernels start slowly on a busy machine


def chainlab() -> str:
    """The command line that a learner has: from the learner's set where the set-up built it."""
    built = ROOT / ".cache" / "environments" / "environment.yml" / "bin" / "chainlab"
    return str(built if built.exists() else Path(sys.executable).parent / "chainlab")


class Session:
    """`chainlab start` over a course and a workspace; can be ended and started again."""

    def __init__(self, course: Path, workspace: Path) -> None:
        self.course = course
        self.workspace = workspace
        self.address = self.start()

    def start(self) -> str:
        output = self.workspace.with_suffix(".out")
        command = [chainlab(), "start", "--no-browser", "--workspace", str(self.workspace)]
        # As on a machine whose login shells set a PATH of their own.
        environment = {**os.environ, "SHELL": "/bin/bash"}
        with output.open("w", encoding="utf-8") as stdout:
            self.process = subprocess.Popen(
                command, cwd=self.course, env=environment, stdout=stdout, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://\S+token=\S+", output.read_text(encoding="utf-8"))):
            assert self.process.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.2)
        return found[0]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def copy(self, name: str) -> Path:
        """The learner's copy of a notebook."""
        return self.workspace / "desk" / name


@pytest.fixture(scope="module")
def session(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session over a copy of the course and a fresh workspace."""
    session = Session(clone, tmp_path_factory.mktemp("ui") / "workspace")
    yield session
    session.end()


@pytest.fixture(scope="module")
def address(session: Session) -> str:
    """Address of week 1 in the session."""
    return session.address.replace("00_onramp", "01_threats")


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    report = ROOT / ".cache" / "browser.json"
    found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    if not found.get("path"):
        pytest.skip(found.get("reason") or "not set up: run `make test`, or tests/setup/browser.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found["path"], args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def asked(page: Page) -> list[str]:
    """Every address that the page asks for, from now on."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    return addresses


def show(page: Page, address: str) -> None:
    """Open a notebook and wait for its kernel: what is run before is lost."""
    page.goto(f"{address}&reset")  # without the tabs of before
    expect(page.locator(f"{FRONT} h1").first).to_be_visible(timeout=PATIENCE * 1000)
    status = page.locator("#jp-main-statusbar")
    expect(status).to_contain_text("| Idle", timeout=PATIENCE * 1000)


def clear(page: Page) -> None:
    """Clear the stored outputs of the notebook in front, folds included."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Edit").click()
    page.locator(".lm-Menu-itemLabel", has_text="Clear Outputs of All Cells").click()


def cell(page: Page, text: str) -> Locator:
    """The first code cell of the notebook in front whose source holds the text."""
    return page.locator(f"{FRONT} .jp-CodeCell", has_text=text).first


def run(page: Page, target: Locator) -> None:
    """Run one cell with the keyboard and wait until the kernel has finished it."""
    target.scroll_into_view_if_needed()
    target.locator(".jp-InputPrompt").click()
    prompt = target.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(before, timeout=PATIENCE * 1000)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE * 1000)


def write(page: Page, target: Locator, source: str) -> None:
    """Replace a cell's source as a person would."""
    target.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(source)
    page.keyboard.press("Escape")


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


def answers() -> tuple[str, str]:
    """To exercise 1.1: a plausible wrong answer, and the right one."""
    text = (ROOT / "lessons" / "01_assessment_lab.py").read_text(encoding="utf-8")
    blocks = re.split(r"^# %%", text, flags=re.MULTILINE)
    wrong = next(block for block in blocks if 'tags=["wrong"]' in block and "verify_manifest" in block)
    right = next(block for block in blocks if 'tags=["exercise"]' in block and "verify_manifest" in block)
    strip = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n", re.MULTILINE)
    imports = "import hashlib\nfrom pathlib import Path\n\n"
    return imports + wrong.partition("\n")[2].strip(), strip.sub("", right.partition("\n")[2].strip())


@pytest.mark.browser
def test_week_1_opens_and_its_first_cells_run(page: Page, address: str, asked: list[str]) -> None:
    show(page, address)
    expect(page.locator(f"{FRONT} h1").first).to_contain_text("Week 1")
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    folded = cell(page, "prediction = None").locator(".jp-OutputPlaceholder")
    expect(folded).to_be_visible()
    expect(folded.locator(".jp-PlaceholderText")).to_be_hidden()  # the output's first line may be the answer
    clear(page)
    for text in ("seed = 1", "import chainlab", "import matplotlib"):
        run(page, cell(page, text))
    figures = cell(page, "import matplotlib")
    expect(figures.locator(".jp-OutputArea")).to_contain_text("source → workflow run")
    expect(figures.locator("img")).to_have_count(1)
    expect(figures.locator(".jp-OutputArea-output pre").first).to_have_css("word-break", "normal")
    expect(page.locator(".jp-Dialog")).to_have_count(0)


@pytest.mark.browser
def test_a_starter_a_wrong_and_a_right_answer_get_their_messages(page: Page, address: str, tmp_path: Path) -> None:
    wrong, right = answers()
    show(page, address.replace("notebooks/01_threats", "labs/01_assessment"))
    clear(page)
    for text in ("seed = 1", "import chainlab", "listed = "):
        run(page, cell(page, text))
    exercise, check = cell(page, "def verify_manifest"), cell(page, 'lab.check("1.1"')
    output = check.locator(".jp-OutputArea")

    run(page, exercise)
    run(page, check)
    expect(output).to_contain_text("not attempted")

    write(page, exercise, wrong)
    run(page, exercise)
    run(page, check)
    expect(output).to_contain_text("✘ wrong exercise 1.1")
    expect(output).to_contain_text("an extra file in a hidden folder")
    expect(output).not_to_contain_text("Traceback")
    output.locator("p").last.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "wrong.png")
    output.locator("a").click()  # See: the section of this lab
    expect(page.locator(f"{FRONT} h2", has_text="What a manifest promises")).to_be_in_viewport()

    write(page, exercise, right)
    run(page, exercise)
    run(page, check)
    page.screenshot(path=tmp_path / "right.png")
    expect(output).to_contain_text("✔ right 1.1, 4 points")
    output.locator("summary").click()
    expect(output).to_contain_text("A list of good files says nothing about files that are not on it")


@pytest.mark.browser
def test_the_page_asks_nobody_but_this_machine(asked: list[str]) -> None:
    assert len(asked) > 10
    away = [url for url in asked if not re.match(r"(?:http://127\.0\.0\.1:\d+/|data:|blob:)", url)]
    assert away == []


@pytest.mark.browser
def test_chainlab_is_found_in_jupyterlabs_terminal(page: Page, session: Session) -> None:
    typed = "command -v chainlab > units/found; chainlab hint 1.2 > units/hint; touch units/done\r"
    page.evaluate(
        """async typed => {
          const token = document.cookie.match(/_xsrf=([^;]+)/)[1];
          const made = await fetch('/api/terminals', {method: 'POST', headers: {'X-XSRFToken': token}});
          const socket = new WebSocket(`ws://${location.host}/terminals/websocket/${(await made.json()).name}`);
          socket.onopen = () => socket.send(JSON.stringify(['stdin', typed]));
        }""",
        typed,
    )
    until((session.workspace / "desk" / "units" / "done").exists)
    assert (session.workspace / "desk" / "units" / "found").read_text().strip() == chainlab()
    assert "Hint 1 of 2 for exercise 1.2" in (session.workspace / "desk" / "units" / "hint").read_text()


@pytest.mark.browser
def test_what_is_typed_is_on_the_disk_within_ten_seconds_and_the_clone_is_as_it_was(
    page: Page, session: Session, address: str
) -> None:
    name = "labs/01_assessment.ipynb"
    before = {path: path.read_bytes() for path in (session.course / "labs").iterdir()}
    show(page, address.replace("notebooks/01_threats", "labs/01_assessment"))
    write(page, cell(page, "def verify_manifest"), "first_note = 1")
    until(lambda: "first_note" in session.copy(name).read_text(encoding="utf-8"), seconds=10.5)
    assert {path: path.read_bytes() for path in (session.course / "labs").iterdir()} == before


@pytest.mark.browser
def test_an_open_tab_goes_on_after_a_restart(page: Page, session: Session) -> None:
    lost = re.compile("Server Connection Error|File Save Error")  # which comes first is a matter of timing

    def dismiss() -> None:
        with contextlib.suppress(PlaywrightTimeout):  # it may go by itself meanwhile
            if page.locator(".jp-Dialog").count():
                page.locator(".jp-Dialog button", has_text="Close").first.click(timeout=2000)

    def written() -> int:
        dismiss()  # it may come before a word is typed, and again
        with contextlib.suppress(PlaywrightTimeout):
            cell(page, "first_note = 1").locator(".cm-content").click(timeout=2000)
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.insert_text("second_note = 2")
        return cell(page, "second_note = 2").count()

    session.end()
    until(written)
    expect(page.locator(".jp-Dialog").first).to_contain_text(lost, timeout=PATIENCE * 1000)
    assert session.start().startswith(session.address.partition("/lab")[0])

    def saved() -> bool:
        dismiss()
        return "second_note" in session.copy("labs/01_assessment.ipynb").read_text(encoding="utf-8")

    until(saved)


@pytest.mark.browser
def test_a_later_start_opens_what_was_open(page: Page, session: Session) -> None:
    session.end()
    address = session.start()
    assert "/lab?token=" in address
    page.goto(address)
    expect(page.locator(f"{FRONT} h1").first).to_contain_text("Week 1 lab", timeout=PATIENCE * 1000)
