"""The kit's manifest holds, says what differs, and is read by sha256sum."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chainlab.course.authoring import checksums
from chainlab.errors import MalformedInput

ROOT = Path(__file__).parents[2]


def test_the_kit_is_as_its_manifest_says() -> None:
    text = (ROOT / "data" / checksums.NAME).read_text()
    differences = checksums.compare(ROOT / "data", text)
    assert not differences, f"run python -m chainlab.course.authoring.checksums\n{differences}"
    assert checksums.build(ROOT / "data") == text


def test_sha256sum_reads_the_manifest() -> None:
    completed = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", checksums.NAME],
        cwd=ROOT / "data",
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


ZEROS = "0" * 64


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    (tmp_path / ".github").mkdir()
    for path, content in {"a.txt": "a", "b c.txt": "", ".github/x.yml": "on: push"}.items():
        (tmp_path / path).write_text(content)
    return tmp_path


def test_changed_missing_and_extra_files_are_told_apart(kit: Path) -> None:
    text = checksums.build(kit)
    (kit / checksums.NAME).write_text(text)
    assert not checksums.compare(kit, text)
    (kit / "a.txt").write_text("b")
    (kit / "b c.txt").unlink()
    (kit / ".github" / "y.yml").touch()
    assert checksums.compare(kit, text) == checksums.Differences(
        frozenset({"a.txt"}), frozenset({"b c.txt"}), frozenset({".github/y.yml"})
    )


@pytest.mark.parametrize(
    "line",
    [
        "no digest",
        f"{'0' * 63}  short",
        f"{ZEROS} one-space",
        f"{ZEROS}  ../outside",
        f"{ZEROS}  /etc/passwd",
        f"{ZEROS}  ",
        f"{'G' * 64}  letters",
        f"{ZEROS}  a//b",
        f"{ZEROS}  twice\n{ZEROS}  twice",
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_not_read(line: str) -> None:
    with pytest.raises(MalformedInput):
        checksums.parse(line + "\n")


def test_a_link_cannot_be_listed(kit: Path) -> None:
    (kit / "link").symlink_to(kit / "a.txt")
    with pytest.raises(MalformedInput, match="link"):
        checksums.build(kit)


def test_building_twice_gives_the_same_text(kit: Path) -> None:
    assert checksums.build(kit) == checksums.build(kit)
    assert list(checksums.parse(checksums.build(kit))) == [".github/x.yml", "a.txt", "b c.txt"]
