"""The relay: what crosses the wall, as whom, and how a job ends."""

from __future__ import annotations

import hashlib
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from single_job import run

from chainlab.ci.runs import relay
from chainlab.ci.runs.relay import Relay
from chainlab.ci.workflows.workflow import Workflow
from chainlab.ci.workflows.yaml_document import dump
from chainlab.sandbox.wall import VARIANTS, Sandbox

FOUND = Sandbox.find()
walled = pytest.mark.skipif(not FOUND.is_namespace, reason=f"no namespaces: {FOUND.why}")
SOURCE = "127.64.3.1"
BIG = 64 * 2**20  # bytes
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")


class Server(socketserver.ThreadingTCPServer):
    """Answers each connection, when the other side has sent all, with its digest, or by ``mode``."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        self.seen: list[str] = []  # addresses that connections came from
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        self.server.seen.append(self.client_address[0])
        mode = self.rfile.read(1)
        if mode == b"d":  # digest
            digest = hashlib.sha256()
            while block := self.rfile.read(2**18):
                digest.update(block)
            self.wfile.write(digest.hexdigest().encode())
        elif mode == b"g":  # give
            for _ in range(BIG // 2**20):
                self.wfile.write(b"\x5a" * 2**20)
        elif mode == b"w":  # wait
            time.sleep(30)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        yield found
        found.shutdown()


@pytest.fixture
def through(server: Server, tmp_path: Path) -> Iterator[Relay]:
    found = Relay(tmp_path, [server.port], SOURCE if sys.platform == "linux" else "")
    yield found
    found.close()


def talk(path: Path, *parts: bytes, end: bool = True) -> bytes:
    """What comes back for ``parts``, after which only this side is closed."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        for part in parts:
            client.sendall(part)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while block := client.recv(2**18):
            answer += block
        return bytes(answer)


def test_a_large_body_arrives_whole_and_is_answered_after_half_closing(through: Relay, server: Server) -> None:
    blocks = [bytes([n]) * 2**20 for n in range(BIG // 2**20)]
    answer = talk(through.sockets[server.port], b"d", *blocks)
    assert answer.decode() == hashlib.sha256(b"".join(blocks)).hexdigest()


def test_a_large_answer_arrives_whole(through: Relay, server: Server) -> None:
    answer = talk(through.sockets[server.port], b"g", end=False)
    assert answer == b"\x5a" * BIG


@linux
def test_a_server_sees_the_job_s_address(through: Relay, server: Server) -> None:
    talk(through.sockets[server.port], b"d")
    assert server.seen == [SOURCE]


def test_many_connections_are_carried_at_once(through: Relay, server: Server) -> None:
    bodies = [os.urandom(1 + 997 * n) for n in range(200)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda b: talk(through.sockets[server.port], b"d", b), bodies))
    assert answers == [hashlib.sha256(body).hexdigest().encode() for body in bodies]


def test_a_port_where_nothing_listens_ends_the_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    found = Relay(tmp_path, [port])
    try:
        assert talk(found.sockets[port], end=False) == b""
    finally:
        found.close()


def test_closing_ends_connections_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    found = Relay(tmp_path, [server.port])
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(found.sockets[server.port]))
        client.sendall(b"w")
        while not server.seen:
            time.sleep(0.01)
        began = time.monotonic()
        found.close()
        assert client.recv(1) == b""
        assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []
    assert len(set(threading.enumerate()) - before) <= 1  # the server's own, which sleeps
    assert not found._thread.is_alive()


def test_a_socket_belongs_to_its_person_alone(through: Relay, server: Server) -> None:
    assert through.sockets[server.port].stat().st_mode & 0o777 == 0o600


def test_a_path_too_long_for_a_socket_is_an_error_and_no_hang(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(OSError, match="too long"):
        Relay(folder, [9])


# -- inside

CLIENT = """
import hashlib, socket, sys
port, body = int(sys.argv[1]), b"x" * 10_000_000
with socket.create_connection(("127.0.0.1", port)) as client:
    client.sendall(b"d" + body)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(100).decode() == hashlib.sha256(body).hexdigest()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5)
except ConnectionRefusedError:
    sys.exit(7)
"""


def inside(*words: str, seconds: float = 60) -> int:
    return subprocess.run(
        [sys.executable, "-I", relay.__file__, str(seconds), *words], timeout=120, check=False
    ).returncode


@walled
def test_a_job_reaches_the_relayed_port_and_no_other(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "client.py").write_text(CLIENT)
    found = Relay(tmp_path, [server.port], SOURCE)
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = [sys.executable, "-I", relay.__file__, "60"]
        words += [f"{server.port}={found.sockets[server.port]}", "--"]
        words += [sys.executable, "-I", str(tmp_path / "client.py")]
        words += [str(server.port), str(other.getsockname()[1])]
        try:
            done = subprocess.run(FOUND.command(words, tmp_path), timeout=60, check=False)
        finally:
            found.close()
    assert done.returncode == 7
    assert server.seen == [SOURCE]


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_the_command_s_exit_code_is_the_relay_s(code: int) -> None:
    assert inside("--", "/bin/sh", "-c", f"exit {code}") == code


def test_a_command_ends_when_its_time_is_over() -> None:
    began = time.monotonic()
    assert inside("--", "sleep", "60", seconds=0.5) == relay.LATE
    assert time.monotonic() - began < 20


def alive(mark: str) -> list[str]:
    """Command lines of processes that hold ``mark``, which this test invented."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return found


@linux
@pytest.mark.parametrize("seconds", [60, 0.5], ids=["at the end", "when time is over"])
def test_nothing_of_a_job_goes_on_running(seconds: float) -> None:
    mark = f"3599.{os.getpid()}{int(10 * seconds)}"
    wait = "exit 0" if seconds == 60 else f"sleep {mark}"
    script = f"(setsid sleep {mark} >/dev/null 2>&1 &); sleep {mark} & sleep 0.2; {wait}"
    inside("--", "/bin/sh", "-c", script, seconds=seconds)
    assert alive(f"sleep {mark}") == []


# -- the end of a job, as act and the runner see it


def job(*lines: str, **fields: Any) -> Workflow:
    steps = [{"run": line} for line in lines]
    jobs = {"a": {"runs-on": "ubuntu-latest", "steps": steps, **fields}}
    return Workflow.parse("a.yml", dump({"on": "push", "jobs": jobs}))


def leave(name: str, script: str) -> str:
    """A step that leaves work for the end of the job."""
    return f"printf '#!/bin/sh\\n{script}\\n' > $CHAINLAB_POST/{name}; chmod +x $CHAINLAB_POST/{name}"


def test_work_for_the_end_runs_last_one_first_and_after_all_steps(tmp_path: Path) -> None:
    found = job(leave("0001-a.sh", "echo first"), leave("0002-b.sh", "echo second"), "echo step")
    ended = run(found, "a", tmp_path)
    assert ended.result == "success"
    assert ended.log.split() == ["step", "second", "first"]


def test_work_for_the_end_is_left_out_when_a_step_fails(tmp_path: Path) -> None:
    ended = run(job(leave("0001-a.sh", "echo late"), "echo step; exit 1"), "a", tmp_path)
    assert ended.result == "failure"
    assert "late" not in ended.log


def test_work_for_the_end_that_fails_fails_the_job(tmp_path: Path) -> None:
    found = job(leave("0001-a.sh", "echo unreached"), leave("0002-b.sh", "echo late; exit 4"))
    ended = run(found, "a", tmp_path)
    assert ended.result == "failure"
    assert "late" in ended.log
    assert "unreached" not in ended.log


def test_a_job_that_left_no_work_shows_no_step_for_it(tmp_path: Path) -> None:
    ended = run(job("echo step"), "a", tmp_path)
    assert [step.name for step in ended.steps] == ["echo step"]


def ways() -> list[Any]:
    """Every way to run a job on this machine, the unwalled one too."""
    found = [pytest.param(Sandbox("none", "this test's choice"), id="none")]
    if FOUND.options == VARIANTS[0]:
        found += [pytest.param(replace(FOUND, options=v), id=v[0]) for v in VARIANTS]
    return found


@pytest.mark.parametrize("sandbox", ways())
@pytest.mark.parametrize("place", ["step", "end"])
def test_a_job_ends_in_time_and_leaves_no_process(tmp_path: Path, sandbox: Sandbox, place: str) -> None:
    mark = f"3598.{os.getpid()}{len(sandbox.options)}"
    script = f"sleep {mark} & sleep {mark}"
    found = job(script) if place == "step" else job(leave("0001-a.sh", script))
    began = time.monotonic()
    ended = run(found, "a", tmp_path, sandbox=sandbox, seconds=2)
    assert time.monotonic() - began < 30
    assert ended.result == "failure"
    assert "took too long" in ended.why
    if sys.platform == "linux":
        assert alive(f"sleep {mark}") == []
