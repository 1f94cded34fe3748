"""Files are written whole, and what is no regular file is never replaced or read."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chainlab.archive.files import ArchiveFiles
from chainlab.cli import _main
from chainlab.errors import MalformedInput, Unavailable
from chainlab.storage import contains, write_whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")

LOCK = f"good==1.0 --hash=sha256:{'0' * 64}\n"


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Result]:
    """`chainlab progress --export TARGET`."""
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path))
    return lambda target: CliRunner().invoke(_main, ["progress", "--export", str(target)])


def test_a_reader_of_the_old_file_keeps_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    path.chmod(0o640)
    with path.open() as reader:
        write_whole(path, "new", durable=True)
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link_and_its_target_changes(tmp_path: Path, export: Callable[[Path], Result]) -> None:
    target, link, outer = tmp_path / "folder" / "target", tmp_path / "link", tmp_path / "outer"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to("folder/target")
    outer.symlink_to(link)
    assert export(outer).exit_code == 0
    assert outer.is_symlink()
    assert link.is_symlink()
    assert "exercises" in target.read_text()
    assert list(target.parent.iterdir()) == [target]


def test_what_a_link_to_nothing_names_is_made(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("missing")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "missing").read_bytes() == b"new"


@pytest.fixture
def device(tmp_path: Path) -> Callable[[str], Path]:
    """A device of a name: one of our own, else the system's where this user could not replace it."""

    def path_of(name: str) -> Path:
        path, real = tmp_path / name, Path("/dev") / name
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, real.stat().st_rdev)
            path.open("wb").close()
        except OSError as error:
            if os.access(real.parent, os.W_OK) or not real.exists():
                pytest.skip(f"no device to try it on: {error}")
            return real
        return path

    return path_of


def test_the_null_device_stays_a_device(device: Callable[[str], Path], export: Callable[[Path], Result]) -> None:
    null = device("null")
    done = export(null)
    assert (done.exit_code, done.output) == (0, f"wrote {null}\n")
    assert stat.S_ISCHR(null.lstat().st_mode)


def test_a_full_device_gives_an_error_and_no_traceback(
    device: Callable[[str], Path], export: Callable[[Path], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read, and has no end"))
    full = device("full")
    done = export(full)
    assert (done.exit_code, done.output) == (1, "the system refused: [Errno 28] No space left on device\n")
    assert stat.S_ISCHR(full.lstat().st_mode)


def test_an_sbom_goes_where_any_other_file_would(tmp_path: Path, device: Callable[[str], Path]) -> None:
    (tmp_path / "requirements.lock").write_text(LOCK)
    words = ["sbom", "build", str(tmp_path / "requirements.lock"), "--out"]
    done = CliRunner().invoke(_main, [*words, str(device("full"))])
    assert (done.exit_code, done.output) == (1, "the system refused: [Errno 28] No space left on device\n")
    (tmp_path / "link").symlink_to("bom.json")
    assert CliRunner().invoke(_main, [*words, str(tmp_path / "link")]).exit_code == 0
    assert (tmp_path / "link").is_symlink()


def test_a_pipe_that_nobody_reads_is_an_error_at_once(tmp_path: Path, export: Callable[[Path], Result]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = export(pipe)
    assert done.exit_code == 1
    assert "no process reads from" in done.output
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_pipe_s_reader_gets_every_byte(tmp_path: Path) -> None:
    pipe, data, read = tmp_path / "pipe", os.urandom(2**20), []
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb") as file:
        reader = threading.Thread(target=lambda: read.append(file.read()))
        held = os.open(pipe, os.O_WRONLY)  # so that the reader does not see an end before the writer comes
        reader.start()
        write_whole(pipe, data)
        os.close(held)
        reader.join(30)
    assert read == [data]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_pipe_without_a_reader_raises_unavailable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unavailable, match="no process reads"):
        write_whole(tmp_path / "pipe", b"new")


def test_a_folder_is_refused(tmp_path: Path, export: Callable[[Path], Result]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    done = export(folder)
    assert done.exit_code == 1
    assert "Is a directory" in done.output
    assert list(folder.iterdir()) == []


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(MalformedInput, match="a socket or a disk"):
            write_whole(Path("socket"), b"new")
    assert stat.S_ISSOCK(Path("socket").lstat().st_mode)


def test_the_target_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2**40)  # sparse
    closed = tmp_path / "closed"
    closed.write_text("old")
    closed.chmod(0)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read"))
    assert not contains(huge, "new")
    for path in (huge, closed):
        write_whole(path, "new")
    assert huge.read_text() == "new"
    assert stat.S_IMODE(closed.stat().st_mode) == 0


def test_only_a_regular_file_of_the_same_size_is_compared(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert contains(tmp_path / "file", "text")
    assert contains(tmp_path / "link", b"text")
    assert not contains(tmp_path / "file", "other")
    for name in ("pipe", "missing", "."):
        assert not contains(tmp_path / name, b"text")


def test_an_export_of_the_archive_replaces_nothing_that_exists(tmp_path: Path) -> None:
    (tmp_path / "link.zip").symlink_to("missing")
    os.mkfifo(tmp_path / "pipe.zip")
    for name in ("link.zip", "pipe.zip"):
        with pytest.raises(MalformedInput, match="exists"):
            ArchiveFiles(tmp_path / "archive").export(tmp_path / name, None)
    assert (tmp_path / "link.zip").is_symlink()
