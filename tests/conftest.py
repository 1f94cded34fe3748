"""What every test runs under: loopback alone, and no settings of the machine's package clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # mypy refuses a list of files that share one name, and checks what is imported
    import tests.ci.conftest
    import tests.course.conftest
    import tests.course.exercises.conftest
    import tests.evidence.conftest
    import tests.policy.conftest
    import tests.registry.conftest
    import tests.trust.conftest  # noqa: F401

ROOT = Path(__file__).parents[1]
GUARD = Path(__file__).parent / "setup" / "guard"
STRIPPED = ("MAKE", "MFLAGS", "PIP_", "UV_", "NPM_CONFIG_", "JUPYTER_", "CHAINLAB_WORKSPACE", "SIGSTORE_", "TUF_")

# A shared CI core misses any deadline, and draws slowly while others use it.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("suite"), max_examples=2_000)
settings.load_profile("suite")


def strip_environment() -> None:
    """Drop proxies, indexes, client settings, and what `make` tells a make below it: a test sets its own."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.upper().startswith(STRIPPED):
            del os.environ[name]
    os.environ["PIP_CONFIG_FILE"] = os.devnull
    os.environ["UV_NO_CONFIG"] = "1"


def cut_network() -> str:
    """Make sure that nothing leaves the machine; says by which proof."""
    if [name for _, name in socket.if_nameindex() if name != "lo"]:
        reason = os.environ.get("CHAINLAB_NO_NAMESPACE", "the suite was not started by `make test`")
        sys.path.insert(0, str(GUARD))
        inherited = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *inherited])
        sys.modules.pop("sitecustomize", None)  # the interpreter's own, where it has one
        __import__("sitecustomize")
        return (
            "an audit hook refuses every connection of a Python process that leaves loopback "
            f"(other programs are not held; no namespace: {reason})"
        )
    return "cut by a network namespace: loopback is the only interface"


strip_environment()
NETWORK = cut_network()


@pytest.fixture
def shorten() -> Callable[[Path], None]:
    """Leaves out of triage-model's weak workflows what only costs time: tests, training, what they need."""
    stand_ins = {
        r"python -m pytest -q": "true",
        r"-r requirements\.txt -e \.": "acme-quantise",
        r"python -m triage_model\.train --out (\S+)/(\S+)": r"mkdir \1 && python -c 'import acme_quantise' > \1/\2",
    }

    def shortened(folder: Path) -> None:
        texts = {path: path.read_text() for path in (folder / ".github/workflows").iterdir()}
        for pattern, stand_in in stand_ins.items():
            assert any(re.search(pattern, text) for text in texts.values()), pattern
            texts = {path: re.sub(pattern, stand_in, text) for path, text in texts.items()}
        for path, text in texts.items():
            path.write_text(text)

    return shortened


def pytest_report_header() -> str:
    return f"network: {NETWORK}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("proof")
    terminalreporter.line(f"network: {NETWORK}")
    report = ROOT / ".cache" / "environments.json"
    if report.exists():
        entries = json.loads(report.read_text(encoding="utf-8"))
        size = entries["environment.yml"]["bytes"] / 1e6
        pythons = [entry["python"] for name, entry in entries.items() if name != "sources"]
        terminalreporter.line(f"a learner's set: {size:.0f} MB")
        wheels = sum(f.stat().st_size for f in (ROOT / ".cache/wheelhouse").glob("*.whl")) / 1e6
        terminalreporter.line(f"the projects' wheelhouse: {wheels:.0f} MB")
        terminalreporter.line(f"built with Python {', '.join(filter(None, pythons)) or 'none'}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Files that are or would be committed."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def clone(tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as a learner has it after `make setup`."""
    folder = tmp_path_factory.mktemp("clone")
    for path in tracked:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "wheelhouse").symlink_to(ROOT / ".cache" / "wheelhouse")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of a module's own, and no running workspace: nothing of the learner's is touched."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINLAB_CACHE", str(directory))
        patch.delenv("CHAINLAB_WORKSPACE", raising=False)
        yield directory
