"""The workspace: what runs in it stays in it, and a private one is a copy of its checkpoint."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from chainlab.errors import Unavailable
from chainlab.workspace import Workspace, cache_directory, course_root, learner_workspace


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; nothing of the learner's is touched."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("CHAINLAB_CACHE", str(directory))
    monkeypatch.delenv("CHAINLAB_WORKSPACE", raising=False)
    return directory


def make(workspace: Workspace) -> None:
    (workspace.path / "made").write_text("once")


def test_a_private_workspace_begins_as_its_checkpoint(cache: Path) -> None:
    calls = []

    def counted(workspace: Workspace) -> None:
        calls.append(workspace.path)
        (workspace.path / "fact").write_text("a")

    one, other = Workspace.private("key", counted), Workspace.private("key", counted)
    try:
        assert len(calls) == 1
        assert one.path != other.path
        (one.path / "fact").write_text("changed")
        assert (other.path / "fact").read_text() == "a"
        third = Workspace.private("key", counted)
        assert (third.path / "fact").read_text() == "a"
        third.remove()
        assert not third.path.exists()
    finally:
        one.remove()
        other.remove()


def test_another_key_is_another_checkpoint() -> None:
    calls = []
    for key in ("one", "other", "one"):
        Workspace.private(key, lambda workspace: calls.append(workspace.path)).remove()
    assert len(calls) == 2


def test_a_checkpoint_that_was_not_finished_is_made_again() -> None:
    def fails(workspace: Workspace) -> None:
        (workspace.path / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Workspace.private("key", fails)
    workspace = Workspace.private("key", make)
    try:
        assert (workspace.path / "made").exists()
        assert not (workspace.path / "half").exists()
    finally:
        workspace.remove()


def count_and_open(directory: str) -> str:
    os.environ["CHAINLAB_CACHE"] = directory

    def note(workspace: Workspace) -> None:
        with Path(directory, "made").open("a") as file:
            file.write("x")

    workspace = Workspace.private("key", note)
    complete = (workspace.path / "complete").exists()
    workspace.remove()
    return str(complete)


def test_two_processes_do_not_make_a_checkpoint_at_once(cache: Path) -> None:
    cache.mkdir()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(count_and_open, [str(cache)] * 4) == ["True"] * 4
    assert (cache / "made").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_reads_a_workspace_or_a_checkpoint(cache: Path) -> None:
    workspace = Workspace.private("key", make)
    try:
        directories = [workspace.path, workspace.home, cache / "checkpoints"]
        directories += (cache / "checkpoints").glob("*/")
        for directory in directories:
            if directory.is_dir():
                assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory
    finally:
        workspace.remove()


def test_home_and_configuration_are_inside(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    inside = workspace.environment({"PATH": "/usr/bin", "HOME": "/root", "LANG": "C"})
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        assert Path(inside[name]).is_relative_to(workspace.path), name
    assert Path(inside["GIT_CONFIG_GLOBAL"]).is_relative_to(workspace.path)
    assert inside["PIP_CONFIG_FILE"] == os.devnull
    assert (inside["UV_NO_CONFIG"], inside["GIT_CONFIG_NOSYSTEM"]) == ("1", "1")
    assert inside["LANG"] == "C"


def test_no_setting_of_the_machine_leads_out(tmp_path: Path) -> None:
    outside = {
        "PATH": "/usr/bin",
        "PIP_INDEX_URL": "https://index.example.com",
        "PIP_EXTRA_INDEX_URL": "https://index.example.com",
        "UV_INDEX_URL": "https://index.example.com",
        "SIGSTORE_ID_TOKEN": "x",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com",
        "GITHUB_TOKEN": "x",
        "https_proxy": "http://proxy.example.com",
        "FTP_PROXY": "http://proxy.example.com",
        "NO_PROXY": "*",
    }
    inside = Workspace(tmp_path / "w").environment(outside)
    assert "example.com" not in "".join(inside.values())
    assert not {"SIGSTORE_ID_TOKEN", "GITHUB_TOKEN", "FTP_PROXY"} & inside.keys()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert inside[name] == inside[name.lower()] == "http://127.0.0.1:9"
    assert "127.0.0.1" in inside["NO_PROXY"]
    assert inside["NO_PROXY"] == inside["no_proxy"] != "*"


def test_programs_of_this_environment_are_found_first(tmp_path: Path) -> None:
    inside = Workspace(tmp_path / "w").environment({"PATH": "/usr/bin"})
    assert inside["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    again = Workspace(tmp_path / "w").environment(inside)
    assert again["PATH"] == inside["PATH"]


def test_a_proxy_that_is_closed_answers_nobody(tmp_path: Path) -> None:
    program = (
        "import urllib.request\n"
        "try:\n"
        "    urllib.request.urlopen('http://index.example.com/', timeout=5)\n"
        "except OSError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=Workspace(tmp_path / "w").environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refused" in done.stdout.lower() or "unreachable" in done.stdout.lower(), done.stdout


def test_units_have_directories_of_their_own(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    one, other = workspace.unit("01_assessment"), workspace.unit("02_hardening")
    assert one != other
    assert one.is_dir()
    assert workspace.unit("01_assessment") == one


def test_only_the_variable_joins_a_running_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Workspace.joined() is None
    monkeypatch.setenv("CHAINLAB_WORKSPACE", "")
    assert Workspace.joined() is None
    running = Workspace(tmp_path / "running")
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(running.path))
    joined = Workspace.joined()
    assert joined is not None
    assert joined.path == running.path
    assert learner_workspace().path == running.path


def test_a_workspace_that_is_gone_is_told_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path / "gone"))
    with pytest.raises(Unavailable, match="not a directory"):
        Workspace.joined()
    assert not (tmp_path / "gone").exists()


def test_the_course_is_found_from_inside_it_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    clone = tmp_path / "clone"
    (clone / "notebooks").mkdir(parents=True)
    (clone / "course.toml").touch()
    monkeypatch.delenv("CHAINLAB_COURSE", raising=False)
    monkeypatch.chdir(clone / "notebooks")
    assert course_root() == clone
    monkeypatch.chdir(tmp_path)
    assert course_root() == root  # the clone that this package was installed from
    monkeypatch.setenv("CHAINLAB_COURSE", str(clone))
    assert course_root() == clone
    monkeypatch.setenv("CHAINLAB_COURSE", str(tmp_path))
    with pytest.raises(Unavailable, match=r"course\.toml is missing"):
        course_root()


def test_the_cache_is_where_the_variable_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() == cache
    monkeypatch.delenv("CHAINLAB_CACHE")
    assert cache_directory().name == "chainlab"


@pytest.mark.crash
def test_a_private_workspace_of_a_killed_process_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, signal; from chainlab.workspace import Workspace; "
        "w = Workspace.private('swept', lambda _: None); print(w.path, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(killed.stdout.strip())
    alive = Workspace.private("swept", lambda _: None)
    mine = tmp_path / "chainlab-notes"  # somebody's folder that only looks like one
    mine.mkdir()
    try:
        assert left.is_dir()  # too young to judge
        hour_ago = time.time() - 3600
        for workspace in (left, alive.path):
            os.utime(workspace / "held", (hour_ago, hour_ago))
        Workspace.private("swept", lambda _: None).remove()
        assert not left.exists()
        assert alive.path.is_dir()
        assert mine.is_dir()
    finally:
        alive.remove()
