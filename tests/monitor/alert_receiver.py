"""A program on loopback that takes webhooks, and may refuse the first of them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class AlertReceiver:
    """Takes webhooks until it is closed; ``refusals`` are the statuses of its first answers."""

    def __init__(self, *refusals: int) -> None:
        self.messages: list[dict[str, Any]] = []
        self.attempts = 0
        self.arrived = threading.Event()
        receiver, answers = self, list(refusals)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.attempts += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers.pop(0) if answers else 200
                if status == 200:
                    receiver.messages.append(json.loads(body))
                    receiver.arrived.set()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://192.0.2.1/")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> AlertReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
