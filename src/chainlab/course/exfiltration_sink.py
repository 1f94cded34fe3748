"""The attacker's server of the lessons: a loopback HTTP server that keeps what the course's payloads send.

with Sink() as sink:
    …                      # a payload posts to sink.url
sink.received              # [b"FAKE-hub-token", …]
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Sink"]

MAX_BODY = 2**20  # bytes kept of one request
MAX_REQUESTS = 1000


class Sink:
    """An HTTP server on a free loopback port, until `close`; it keeps the body of each POST."""

    def __init__(self) -> None:
        received: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = self.headers.get("Content-Length") or "0"
                body = self.rfile.read(min(int(length), MAX_BODY) if length.isdecimal() else 0)
                if len(received) < MAX_REQUESTS:
                    received.append(body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, name="chainlab-sink", daemon=True).start()

    @property
    def text(self) -> str:
        """All received bodies as text, one a line."""
        return "\n".join(body.decode("utf-8", "replace") for body in self.received)

    def close(self) -> None:
        """Stop listening; the received bodies stay."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
