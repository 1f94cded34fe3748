"""Set up what the chosen tests need, and nothing else: ``python tests/setup/prepare.py [pytest's arguments]``.

The tests are collected, not run, and say by their markers what they need: ``browser``, ``clients(NAME, …)``. What is
set up already costs nothing. This is the one part of a test run that may use the network.

The module is also the pytest plugin that reads the markers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import alerting
import browser
import devpi
import environments
import node
import opa
import pytest
import registry

HERE = Path(__file__).parent
LINE = re.compile(r"^set-ups: (.*)$", re.MULTILINE)


def openssl() -> None:
    """The machine's own, or the one that comes with the browser's libraries."""
    if shutil.which("openssl") is None:
        browser.main()


SETUPS: dict[str, Callable[[], None]] = {
    "alerting": alerting.main,
    "browser": browser.main,
    "devpi": devpi.main,
    "docker-registry": registry.main,
    "node": node.main,
    "opa": opa.main,
    "openssl": openssl,
    "pythons": environments.main,
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print the names of the set-ups that the collected tests need."""
    names = {"browser" for item in session.items if item.get_closest_marker("browser")}
    for item in session.items:
        for marker in item.iter_markers("clients"):
            names.update(marker.args)
    print(f"\nset-ups: {' '.join(sorted(names))}")


def main(arguments: list[str]) -> int:
    """Collect, then set up; pytest's exit status when the tests cannot be collected."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "prepare"]
    collected = subprocess.run(
        [*command, *arguments], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if collected.returncode:
        print(collected.stdout[-4000:] + collected.stderr[-4000:])
        return collected.returncode
    found = LINE.search(collected.stdout)
    for name in found[1].split() if found else []:
        SETUPS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
