"""The process of a job: its output line by line until it ends or its time is over, and the removal of its directory."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from chainlab.ci.runs import relay

__all__ = ["remove", "run"]

REMOVAL = 30  # seconds that the host waits for the removal of a job's directory
GRACE = 10  # seconds that the relay has to end a job whose time is over
MAX_LINE = 8 * 2**20  # bytes of one line of act's output; a longer one is cut


def run(
    command: list[str],
    directory: Path,
    environment: Mapping[str, str],
    read_line: Callable[[bytes], None],
    *,
    seconds: float,
    user: int | None,
) -> int | None:
    """Run a command in ``directory``; returns its exit code, None if it took longer than ``seconds``.

    ``read_line`` gets each line of its output, without the line end. The output belongs to ``user``, if it is not None.
    """
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        if user is not None:
            os.fchown(process.stdout.fileno(), user, user)  # so that it can be opened again as /dev/stdout
        for line in _lines_of(process.stdout, time.monotonic() + seconds + GRACE):
            read_line(line)
        code = process.wait(GRACE)
    except subprocess.TimeoutExpired:
        code = relay.LATE
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
    return None if code == relay.LATE else code


def _lines_of(pipe: IO[bytes], end: float) -> Iterator[bytes]:
    """The lines written to a pipe until it closes, or until ``end``, a time of the monotonic clock."""
    rest = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0 and selector.select(left):
            data = os.read(pipe.fileno(), 2**16)
            *lines, last = data.split(b"\n")
            for line in lines:
                yield bytes(rest + line)[:MAX_LINE]
                rest.clear()
            if len(rest) < MAX_LINE:
                rest += last
            if not data:
                break
    if rest:
        yield bytes(rest)


def remove(folder: Path) -> None:
    """Remove a job's directory, with any depths and modes in it, without following links.

    A removal that takes longer than `REMOVAL` goes on in a process of its own.
    """
    if os.name != "posix":
        shutil.rmtree(folder, ignore_errors=True)
        return
    # Again if it fails: modes are opened, and files of a process that was being killed are removed, too.
    script = 'for time in 1 2 3 4 5; do rm -rf -- "$1" && exit; chmod -R u+rwX -- "$1"; sleep 0.2; done'
    words = ["/bin/sh", "-c", script, "sh", str(folder)]
    nothing = subprocess.DEVNULL
    pipes: dict[str, Any] = {"stdin": nothing, "stdout": nothing, "stderr": nothing, "start_new_session": True}
    removing = threading.Thread(target=subprocess.run, args=(words,), kwargs=pipes, daemon=True)
    removing.start()
    removing.join(REMOVAL)
