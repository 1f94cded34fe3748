"""A client of one log: each answer is bounded in size and time, because the log is what the monitor does not trust.

Redirects are not followed, compressed answers are not unpacked, and an answer that is too long or too slow is cut off.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlsplit

from chainlab.errors import MalformedInput, Unavailable

__all__ = ["LogClient"]

SECONDS = 20.0  # for one answer, from the connection to its last byte
CHUNK = 65536  # bytes


class LogClient:
    """A connection to the log at ``url``; a context manager."""

    def __init__(self, url: str, *, seconds: float = SECONDS) -> None:
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise MalformedInput(f"not an address of a log: {url[:200]!r}", why=str(error)) from error
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
            raise MalformedInput(
                f"not an address of a log: {url[:200]!r}", hint="write it as https://HOST or https://HOST/PATH"
            )
        self._prefix = parts.path
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=seconds)
        )

    def get(self, path: str, limit: int) -> bytes:
        """Return what the log serves at ``path``, at most ``limit`` bytes.

        Raises `Unavailable` when it does not answer with 200, in time and within the limit; its ``status`` is the
        log's, or 503 without one.
        """
        return self._ask("GET", path, None, limit)

    def post(self, path: str, document: Any, limit: int) -> bytes:
        """Return the answer to a JSON document; as `get`."""
        return self._ask("POST", path, json.dumps(document).encode(), limit)

    def _ask(self, method: str, path: str, body: bytes | None, limit: int) -> bytes:
        reused = self._connection.sock is not None
        try:
            return self._exchange(method, path, body, limit)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not reused:
                raise self._silent(path, error) from error
        try:  # the server had ended an idle connection
            return self._exchange(method, path, body, limit)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            raise self._silent(path, error) from error

    def _exchange(self, method: str, path: str, body: bytes | None, limit: int) -> bytes:
        headers = {"Accept-Encoding": "identity"} | ({"Content-Type": "application/json"} if body else {})
        whole = False
        with self._deadline() as expired:
            try:
                self._connection.request(method, self._prefix + path, body, headers)
                self._socket = self._connection.sock  # a response with Connection: close takes it away
                with contextlib.closing(self._connection.getresponse()) as response:
                    data = self._read(response, path, limit)
                whole = not expired.is_set()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if expired.is_set():
                    raise self._silent(path, f"no whole answer within {self._seconds:g} seconds") from None
                raise
            except (OSError, http.client.HTTPException) as error:
                raise self._silent(path, error) from error
            finally:
                if not whole:
                    self.close()
        if not whole:
            raise self._silent(path, f"no whole answer within {self._seconds:g} seconds")
        return data

    def _read(self, response: http.client.HTTPResponse, path: str, limit: int) -> bytes:
        if response.status != 200:
            reason = "redirects are not followed" if 300 <= response.status < 400 else ""
            error = self._silent(path, f"status {response.status}" + (f": {reason}" if reason else ""))
            error.status = response.status
            raise error
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._silent(path, "the answer is compressed")
        data = bytearray()
        while chunk := response.read1(CHUNK):
            data += chunk
            if len(data) > limit:
                raise self._silent(path, f"the answer is longer than {limit} bytes")
        if response.length:  # what Content-Length still promises
            raise self._silent(path, "the answer ended early")
        return bytes(data)

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[threading.Event]:
        """Cut the connection when the time is over, however slowly its bytes come."""
        expired = threading.Event()

        def cut() -> None:
            expired.set()
            for open_socket in (self._connection.sock, self._socket):
                if open_socket is not None:
                    with contextlib.suppress(OSError):
                        open_socket.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()

    def _silent(self, path: str, why: object) -> Unavailable:
        return Unavailable(
            f"the log does not answer: {self.url}{path[:100]}",
            why=str(why)[:200],
            hint="check the address, and whether the log is up",
        )

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._connection.close()
        self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
