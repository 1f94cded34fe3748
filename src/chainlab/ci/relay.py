"""The only way out of a job's sandbox: named loopback ports, carried over Unix sockets.

A job has a network namespace of its own, in which nothing listens. This file runs on both sides of the wall:

- outside, `Relay` listens on a Unix socket and connects to ``127.0.0.1:PORT`` from a loopback address that belongs to
  the job, so that a service knows who asks, whatever the job says about itself;
- inside, run as a program, it listens on ``127.0.0.1:PORT`` and connects to that socket; then it runs the job's
  command, and after it the scripts that actions left for the end of the job.

    python -I relay.py 8080=/path/8080.sock -- act push …

It uses the standard library alone, because inside there may be nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
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
FAILED_POST = 70  # exit code when the job went well and its last work did not
Connect = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Relay:
    """Carries connections on Unix sockets in ``directory`` to loopback ports until `close`."""

    def __init__(self, directory: Path, ports: list[int], source: str = "") -> None:
        """``source`` is the loopback address to connect from; empty leaves it to the system."""
        self.sockets = {port: directory / f"{port}.sock" for port in ports}
        self._source = (source, 0) if source else None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="chainlab-relay", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> None:
        for port, path in self.sockets.items():
            await asyncio.start_unix_server(_carrier(self._connect(port)), path)
            path.chmod(0o600)

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
    """What answers a connection: a second one, and bytes both ways until both ends are done."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
        await asyncio.start_server(_carrier(connect), "127.0.0.1", port)


def _serve(ports: dict[int, str], ready: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_inside(ports))
    ready.set()
    loop.run_forever()


def _finish(folder: str) -> int:
    """Run what actions left for the end of the job, last one first; tell of each as a line of JSON."""
    worst = 0
    for script in sorted(Path(folder).glob("*"), reverse=True) if folder else ():
        if script.is_file() and os.access(script, os.X_OK):
            began = time.monotonic()
            done = subprocess.run(
                [str(script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            worst = max(worst, abs(done.returncode))
            said = {
                "post": script.name,
                "code": done.returncode,
                "seconds": time.monotonic() - began,
                "output": done.stdout.decode("utf-8", "replace"),
            }
            sys.stdout.write(json.dumps(said) + "\n")
    return FAILED_POST if worst else 0


def main(arguments: list[str]) -> int:
    """The inside: ``PORT=SOCKET … -- COMMAND …``; returns the command's exit code."""
    split = arguments.index("--")
    ports = {int(port): path for port, _, path in (a.partition("=") for a in arguments[:split])}
    if ports:
        ready = threading.Event()
        threading.Thread(target=_serve, args=(ports, ready), daemon=True).start()
        if not ready.wait(10):
            sys.stderr.write("the relay did not start\n")
            return FAILED_POST
    code = subprocess.call(arguments[split + 1 :], stdin=subprocess.DEVNULL)
    return code or _finish(os.environ.get("CHAINLAB_POST", ""))


if __name__ == "__main__":
    socket.setdefaulttimeout(None)
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the relay's thread has no end of its own
