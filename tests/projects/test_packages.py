"""acme's libraries: what is released is what lies there, and the lock asks for exactly that."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

DATA = Path(__file__).parents[2] / "data"
PACKAGES = DATA / "packages"
LOCK = DATA / "projects" / "hardened" / "triage-model" / "requirements.lock"
ENTRY = re.compile(r"(?m)^([a-z0-9-]+)==(\S+?)(?: ;[^\\\n]*)? \\\n((?:    --hash=sha256:\S+.*\n)+)")
RELEASED = {str(parse_wheel_filename(w.name)[0]): w for w in sorted((PACKAGES / "wheels").glob("*.whl"))}


@pytest.mark.parametrize("name", ["acme-cells", "acme-quantise"])
def test_the_released_wheel_is_what_its_sources_give(name: str, tmp_path: Path) -> None:
    """Contents, not bytes: compression differs between builds of zlib."""
    build = [sys.executable, "-m", "flit_core.wheel", str(PACKAGES / name), "-o", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, timeout=60)
    (built,) = tmp_path.glob("*.whl")
    assert built.name == RELEASED[name].name
    contents = []
    for wheel in (built, RELEASED[name]):
        with zipfile.ZipFile(wheel) as archive:
            contents.append({n: archive.read(n) for n in archive.namelist() if is_source(n)})
    assert contents[0] == contents[1], "a released version does not change: give it a new number"


def is_source(entry: str) -> bool:
    return not entry.endswith(("/WHEEL", "/RECORD"))  # they name the builder's version


def test_the_lock_holds_acme_s_wheels_by_digest() -> None:
    done = subprocess.run([sys.executable, PACKAGES / "lock.py", "--check"], timeout=60)
    assert done.returncode == 0, "run python data/packages/lock.py"


def test_the_lock_answers_every_requirement_with_hashes_and_names_no_index() -> None:
    text = LOCK.read_text()
    locked = {name: version for name, version, _ in ENTRY.findall(text)}
    assert len(ENTRY.findall(text)) == text.count("==") - text.count("== ")
    project = DATA / "projects" / "triage-model"
    lines = (project / "requirements.txt").read_text().splitlines()
    table = tomllib.loads((project / "pyproject.toml").read_text())
    lines += table["build-system"]["requires"] + table["project"]["dependencies"]
    lines += table["project"]["optional-dependencies"]["train"]
    for line in (line.partition("#")[0].strip() for line in lines):
        if line:
            wanted = Requirement(line)
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), line
    assert not re.search(r"https?://|--(?:extra-)?index|--find-links", text)


@pytest.mark.parametrize(
    ("project", "used"),
    [("triage-model", {"acme_cells", "acme_quantise"}), ("second-model", {"acme_quantise"})],
)
def test_the_libraries_are_used(project: str, used: set[str]) -> None:
    sources = (f.read_text() for f in (DATA / "projects" / project).rglob("*.py") if "test" not in f.name)
    found = set(re.findall(r"(?m)^from (acme_\w+) import", "\n".join(sources)))
    assert found == used
