"""A log that answers what a test tells it to: on loopback, in a thread, by path."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = bytes | Callable[[Any], None]  # a body, or a function that writes to the request's handler


@contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[str]:
    """Serve each path's answer; the key is a path with its query, or a path alone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rest = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = answers.get(self.path, answers.get(self.path.partition("?")[0]))
            with suppress(OSError):  # the monitor has hung up
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    send(self, answer)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: Any, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def endless(handler: Any) -> None:
    """Send and send, without a length."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(b"x" * 65536)


def dripping(handler: Any, *, keep: bool = True) -> None:
    """One byte now and then, for ever: no single read runs into a time-out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.send_header("Connection", "keep-alive" if keep else "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.02)


def silent(handler: Any) -> None:
    """Take the request, and say nothing until the monitor hangs up."""
    handler.connection.settimeout(30)
    handler.connection.recv(1)
    handler.close_connection = True


def hanging_up(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
