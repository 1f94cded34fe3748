"""A learner's first minutes in a real browser: week 1 runs, answers get their messages."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

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


@pytest.fixture(scope="module")
def address(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a session over a copy of the course and a fresh workspace."""
    folder = tmp_path_factory.mktemp("ui")
    output = folder / "start.out"
    command = [chainlab(), "start", "--no-browser", "--workspace", str(folder / "workspace")]
    with output.open("w", encoding="utf-8") as stdout:
        process = subprocess.Popen(command, cwd=clone, stdout=stdout, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://\S+token=\S+", output.read_text(encoding="utf-8"))):
            assert process.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.2)
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


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
    """Open a notebook, wait for its kernel (what is run before is lost), clear stored outputs."""
    page.goto(f"{address}&reset")  # without the tabs of before
    expect(page.locator(f"{FRONT} h1").first).to_be_visible(timeout=PATIENCE * 1000)
    status = page.locator("#jp-main-statusbar")
    expect(status).to_contain_text("| Idle", timeout=PATIENCE * 1000)
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
    for text in ("seed = 1", "import chainlab", "import matplotlib"):
        run(page, cell(page, text))
    figures = cell(page, "import matplotlib")
    expect(figures.locator(".jp-OutputArea")).to_contain_text("source → workflow run")
    expect(figures.locator("img")).to_have_count(1)
    expect(page.locator(".jp-Dialog")).to_have_count(0)


@pytest.mark.browser
def test_a_starter_a_wrong_and_a_right_answer_get_their_messages(page: Page, address: str, tmp_path: Path) -> None:
    wrong, right = answers()
    show(page, address.replace("notebooks/01_threats", "labs/01_assessment"))
    for text in ("seed = 1", "import chainlab", "listed = "):
        run(page, cell(page, text))
    exercise, check = cell(page, "def verify_manifest"), cell(page, 'lab.check("1.1"')
    output = check.locator(".jp-OutputArea")

    run(page, exercise)
    run(page, check)
    expect(output).to_contain_text("NotAttempted")

    write(page, exercise, wrong)
    run(page, exercise)
    run(page, check)
    page.screenshot(path=tmp_path / "wrong.png")
    expect(output).to_contain_text("Incorrect: exercise 1.1")
    expect(output).to_contain_text("an extra file in a hidden folder")
    expect(output).not_to_contain_text("Traceback")

    write(page, exercise, right)
    run(page, exercise)
    run(page, check)
    page.screenshot(path=tmp_path / "right.png")
    expect(output).to_contain_text("exercise 1.1: right")


@pytest.mark.browser
def test_the_page_asks_nobody_but_this_machine(asked: list[str]) -> None:
    assert len(asked) > 10
    away = [url for url in asked if not re.match(r"(?:http://127\.0\.0\.1:\d+/|data:|blob:)", url)]
    assert away == []
