"""The only way out of a job's sandbox: named loopback ports, carried over Unix sockets.

A job has a network namespace of its own, in which nothing listens. This file runs on both sides of the wall:

- outside, `Relay` listens on a Unix socket and connects to ``127.0.0.1:PORT`` from a loopback address that belongs to
  the job, so that a service knows which job calls, whatever the job claims about itself;
- inside, run as a program, it listens on ``127.0.0.1:PORT`` and connects to that socket; then it runs the job's
  command. When the command ends or its time is over, everything that it started ends, too.

    python -I relay.py 600 8080=/path/8080.sock -- act push …       at most 600 seconds

It uses the standard library only: inside there may be nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

__all__ = ["Relay"]

BLOCK = 2**18  # bytes carried at once
MOST = 128  # connections carried at once; each takes two or three of the host's open files
FAILED = 70  # exit code if the relay itself did not start
LATE = 71  # exit code if time ran out
SUBREAPER = 36  # prctl(2): this process becomes the parent of orphans below it
Connect = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Relay:
    """Carries connections on Unix sockets in ``directory`` to loopback ports until `close`."""

    def __init__(self, directory: Path, ports: list[int], source: str = "", user: int | None = None) -> None:
        """``source`` is the loopback address to connect from; empty leaves it to the system.

        The sockets belong to ``user``, if it is not None. Raises `OSError` if it cannot listen there.
        """
        self._user = user
        self.sockets = {port: directory / f"{port}.sock" for port in ports}
        self._source = (source, 0) if source else None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="chainlab-relay", daemon=True)
        self._failed: OSError | None = None
        self._thread.start()
        self._ready.wait()
        if self._failed:
            self._thread.join()
            raise self._failed

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            servers = self._loop.run_until_complete(self._listen())
        except OSError as error:  # the path is too long, or the directory is gone
            self._failed = error
            self._loop.close()
            return
        finally:
            self._ready.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # what was closed is let go
        self._loop.close()

    async def _listen(self) -> list[asyncio.Server]:
        servers = []
        for port, path in self.sockets.items():
            servers.append(await asyncio.start_unix_server(_carrier(self._connect(port)), path))
            path.chmod(0o600)
            if self._user is not None:
                os.chown(path, self._user, self._user)
        return servers

    def _connect(self, port: int) -> Connect:
        return lambda: asyncio.open_connection("127.0.0.1", port, local_addr=self._source)

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for path in self.sockets.values():
            path.unlink(missing_ok=True)


def _carrier(
    connect: Connect,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A handler that opens a second connection and carries bytes both ways until both ends are closed."""
    # The loop's own references are weak: a task that waits for both ends would be collected.
    carried: set[asyncio.Task[Any] | None] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(carried) >= MOST:
            writer.close()
            return
        task = asyncio.current_task()
        carried.add(task)
        try:
            await carry_both(reader, writer)
        finally:
            carried.discard(task)
            writer.close()

    async def carry_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await connect()
        except OSError:
            writer.close()
            return
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        for end in (writer, back):
            with contextlib.suppress(OSError, RuntimeError):
                end.close()

    return carry


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(BLOCK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def _inside(ports: dict[int, str]) -> None:
    for port, path in ports.items():
        connect = lambda path=path: asyncio.open_unix_connection(path)  # noqa: E731
        try:
            await asyncio.start_server(_carrier(connect), "127.0.0.1", port)
        except PermissionError:  # below 1024, and a job is never root
            sys.stderr.write(f"port {port} cannot be reached from a job: only root listens below 1024\n")


def _serve(ports: dict[int, str], ready: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_inside(ports))
    ready.set()
    loop.run_forever()


def _descendants() -> list[int]:
    """Every process below this one."""
    if sys.platform == "linux":
        rows = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                rows.append((path.name, (path / "stat").read_text().rpartition(")")[2].split()[1]))
    else:
        completed = subprocess.run(["ps", "-Ao", "pid=,ppid="], stdout=subprocess.PIPE, check=False)
        rows = [(pid, parent) for pid, parent in map(str.split, completed.stdout.decode().splitlines())]
    processes, count = {os.getpid()}, 0
    while count < len(processes):
        count = len(processes)
        processes |= {int(pid) for pid, parent in rows if int(parent) in processes}
    return sorted(processes - {os.getpid()})


def _end_all() -> None:
    """Kill what the job left running. On systems other than Linux, orphans are missed."""
    for _ in range(100):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not (left := _descendants()):
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def main(arguments: list[str]) -> int:
    """The inside: ``SECONDS PORT=SOCKET … -- COMMAND …``; returns the command's exit code."""
    split = arguments.index("--")
    end = time.monotonic() + float(arguments[0])
    ways = (argument.partition("=") for argument in arguments[1:split])
    ports = {int(port): path for port, _, path in ways}
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    if ports:
        ready = threading.Event()
        threading.Thread(target=_serve, args=(ports, ready), daemon=True).start()
        if not ready.wait(10):
            sys.stderr.write("the relay did not start\n")
            return FAILED
    try:
        left = end - time.monotonic()
        return subprocess.call(arguments[split + 1 :], stdin=subprocess.DEVNULL, timeout=left)
    except subprocess.TimeoutExpired:
        return LATE
    finally:
        _end_all()


if __name__ == "__main__":
    socket.setdefaulttimeout(None)
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the relay's thread has no end of its own
