"""What an attacker, a fork or a typing slip does to a lab and to the cache it begins from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chainlab
import chainlab.lab
from chainlab.errors import ChainlabError, MalformedInput, Unavailable
from chainlab.lab import Lab
from chainlab.workspace import Workspace
from chainlab.world import World

pytestmark = pytest.mark.usefixtures("cache")
posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and file modes")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with chainlab.open("01_assessment") as lab:
        yield lab


@posix
def test_a_forked_child_s_end_is_not_the_lab_s(lab: Lab) -> None:
    child = os.fork()
    if child == 0:
        lab.close()  # what `atexit` does in a child that ends by itself
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert lab.workspace.path.is_dir()
    assert lab.trust.url.startswith("http://127.0.0.1:")


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(world: World, workspace: Workspace, *, private: bool) -> None:
        raise Unavailable("no room")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(World, "__init__", fail)
    before = dict(os.environ)
    with pytest.raises(Unavailable, match="no room"):
        chainlab.open("01_assessment")
    assert dict(os.environ) == before
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("level", ["checkpoints", "checkpoint"])
def test_a_cache_that_others_can_write_to_gives_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("CHAINLAB_CACHE", str(tmp_path))
    Workspace.private("key", lambda workspace: None).remove()
    checkpoint = next(path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir())
    (checkpoint if level == "checkpoint" else checkpoint.parent).chmod(0o777)
    with pytest.raises(Unavailable, match="others can write to it"):
        Workspace.private("key", lambda workspace: None)


@pytest.mark.parametrize("command", ["sigstore --version", [], [""], ["a\0b"], [os.sep]])
def test_what_is_no_program_is_said_in_words(lab: Lab, command: Any) -> None:
    with pytest.raises(ChainlabError) as caught:
        lab.run(command)
    assert isinstance(caught.value, MalformedInput) == (not command or isinstance(command, str))


def test_output_that_is_no_text_is_still_shown(lab: Lab) -> None:
    done = lab.run([sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'a\xffb')"])
    assert done.stdout == "a\ufffdb"
