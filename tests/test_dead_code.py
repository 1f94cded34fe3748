"""The check for dead code sees what nothing uses, and an allowance that nothing needs."""

from __future__ import annotations

from pathlib import Path

import dead_code
import pytest

MODULE = """
__all__ = ["alive", "planted"]

def alive():
    return 1

def planted():
    return 2

class Server:
    def do_GET(self):
        return alive()

Server()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one module, whose `planted` only `__all__` and a test name."""
    for folder in ("src", "lessons", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "module.py").write_text(MODULE)
    (tmp_path / "tests" / "test_module.py").write_text("from module import planted\nassert planted() == 2\n")
    return tmp_path


def test_a_function_that_only_all_and_tests_name_is_reported(tree: Path) -> None:
    found = list(dead_code.findings(tree, {"* do_GET": "http.server"}))
    assert found == ["src/module.py:7: unused function 'planted'"]


def test_a_lesson_is_a_user(tree: Path) -> None:
    (tree / "lessons" / "01.py").write_text("from module import planted\nplanted()\n")
    assert list(dead_code.findings(tree, {"* do_GET": "http.server"})) == []


def test_an_allowance_holds_for_its_file_alone(tree: Path) -> None:
    allowed = {"* do_GET": "http.server", "src/module.py planted": "until it has a user"}
    assert list(dead_code.findings(tree, allowed)) == []
    (tree / "src" / "module.py").rename(tree / "src" / "other.py")
    first, second = dead_code.findings(tree, allowed)
    assert first == "src/other.py:7: unused function 'planted'"
    assert "'src/module.py planted'" in second


def test_an_allowance_for_a_name_that_is_gone_is_reported(tree: Path) -> None:
    allowed = {"* do_GET": "http.server", "* planted": "until it has a user", "* removed": "until it has a user"}
    (stale,) = dead_code.findings(tree, allowed)
    assert "'* removed', which is not defined any more" in stale


def test_a_file_that_cannot_be_read_is_a_finding(tree: Path) -> None:
    (tree / "src" / "broken.py").write_text("def (")
    assert "a file could not be read; see above" in list(dead_code.findings(tree, {"* *": "all"}))


def test_each_allowance_has_a_reason_and_the_project_no_finding() -> None:
    assert all(dead_code.ALLOWED.values())
    assert list(dead_code.findings(dead_code.ROOT, dead_code.ALLOWED)) == []
