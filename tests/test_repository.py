"""The repository keeps its own rules: locks, names, licences, and what the README says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "chainlab"
BIN = Path(sys.executable).parent

# Written in two parts, so that this file does not name one itself.
REGISTRIES = [
    "".join(parts)
    for parts in (
        ("pypi.", "org"),
        ("pythonhosted.", "org"),
        ("registry.npmjs", ".org"),
        ("deb.debian", ".org"),
        ("conda.anaconda", ".org"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.$}{/~-])/(?:root|work|Users|home/(?!runner|me\b)\w+)/[\w.]")


@pytest.fixture(scope="module")
def texts(tracked: list[Path]) -> dict[str, str]:
    """Text of every file that is or would be committed, by its path."""
    found = {}
    for path in tracked:
        with contextlib.suppress(UnicodeDecodeError):
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return found


# -- locks


def locked(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def requirements() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {group: [Requirement(line) for line in lines] for group, lines in groups.items()}


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("requirements.lock", ["", "setup"]), ("requirements-test.lock", ["", "setup", "test"])],
)
def test_a_lock_satisfies_pyproject(lock: str, groups: list[str]) -> None:
    versions = locked(lock)
    for group in groups:
        for requirement in requirements()[group]:
            version = versions[requirement.name.lower().replace("_", "-")]
            assert requirement.specifier.contains(Version(version)), f"{requirement}: make lock"


def test_the_tests_run_on_what_learners_run() -> None:
    learners, tests = locked("requirements.lock"), locked("requirements-test.lock")
    assert learners.items() <= tests.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock", "wheelhouse.lock"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    for block in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("folder", ["tests/js", "tests/js/node22"])
def test_the_javascript_lock_has_hashes_and_no_address(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if not entry.get("integrity")] == []


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    dependencies = [line for line in lines if re.match(r'\s+"[a-z][\w-]*[><=]', line)]
    assert len(dependencies) == sum(len(group) for group in requirements().values())
    assert [line.strip() for line in dependencies if "#" not in line.partition('",')[2]] == []


# -- types


def test_mypy_reaches_every_conftest(tracked: list[Path]) -> None:
    """They share one name, so mypy checks only the first, and those that the first imports."""
    first = ROOT / "tests" / "conftest.py"
    imported = re.findall(r"^    import (tests\.[\w.]+)", first.read_text(encoding="utf-8"), re.MULTILINE)
    others = [path for path in tracked if path.name == first.name and path != first]
    assert imported == sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in others)


# -- what is committed


def test_no_file_names_a_package_registry(texts: dict[str, str]) -> None:
    found = {name: host for name, text in texts.items() for host in REGISTRIES if host in text}
    assert found == {}


def test_no_file_holds_a_path_of_somebodys_machine(texts: dict[str, str]) -> None:
    found = {name: match[0] for name, text in texts.items() if (match := MACHINE_PATH.search(text))}
    assert found == {}


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > 300_000} == {}


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "END OF TERMS AND CONDITIONS" in text
    assert "CC-BY-4.0" in (ROOT / "LICENSE-TEXT").read_text(encoding="utf-8")


def test_our_own_workflow_passes_the_strictest_audit() -> None:
    program = [str(BIN / "zizmor"), "--offline", "--persona", "auditor", "--format", "json"]
    run = subprocess.run([*program, str(ROOT / ".github")], capture_output=True, text=True, check=False)
    findings = json.loads(run.stdout)
    assert [(f["ident"], f["locations"][0]["symbolic"]["key"]) for f in findings] == []
    assert run.returncode == 0, run.stderr


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").endswith("exec make check\n")


# -- make and the hooks


@pytest.mark.parametrize("target", re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
def test_every_make_target_can_be_planned(target: str) -> None:
    run = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what make reads, and an environment that was set up there."""
    for name in ("Makefile", "requirements.lock", "requirements-test.lock", "pyproject.toml", "wheelhouse.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".learner").write_text(f"{tmp_path.resolve()}\n")
    return tmp_path


def make(clone: Path, *words: str) -> str:
    """What make says, in an environment that names no Python."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    run = subprocess.run(["make", *words], cwd=clone, env=environment, capture_output=True, text=True, check=True)
    return run.stdout


def test_make_help_removes_nothing_from_a_moved_clone(clone: Path) -> None:
    stamp = clone / ".venv" / ".learner"
    assert "rm -rf .venv\n" not in make(clone, "-n", "start")
    stamp.write_text("/somewhere/else\n")
    assert "make check" in make(clone, "help")
    planned = make(clone, "-n", "start")
    assert stamp.exists()
    assert planned.index("rm -rf .venv") < planned.index("pip install")


@pytest.mark.parametrize(
    ("named", "anew"), [(None, False), ("3.12", False), ("3.13", True), ("3.9", False)], ids=lambda value: str(value)
)
def test_an_environment_of_another_python_is_made_anew_when_one_is_named(
    clone: Path, named: str | None, anew: bool
) -> None:
    for path, version in ((clone / ".venv" / "bin" / "python", "3.12"), (clone / "another", named)):
        path.write_text(f"#!/bin/sh\necho {version}\n")
        path.chmod(0o755)
    planned = make(clone, "-n", "check", *([] if named is None else [f"PYTHON={clone}/another"]))
    assert ("rm -rf .venv\n" in planned) is anew
    assert (f".venv was made with another Python than {named}" in planned) is anew


def test_a_commit_waits_for_local_checks_alone() -> None:
    """Nothing is cloned; each hook runs a program of the environment that `make` sets up."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    for repo in hooks["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            assert hook["language"] == "system"
            assert hook["entry"].startswith(".venv/bin/")
            assert (BIN / Path(hook["entry"].split()[0]).name).exists()
