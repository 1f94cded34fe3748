"""Access to the CI host's services: credentials, bodies, and a limit of concurrent requests."""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from starlette.requests import Request

from chainlab.credentials import Credential, Credentials, presented_secret
from chainlab.errors import MalformedInput, Refused

__all__ = ["BodySink", "ConcurrencyLimit", "identify", "receive", "require", "service_of"]

SERVICES = {"cache": "cache", "artifacts": "artifacts", "api": "pulls"}  # the second part of a path below /ci/


class BodySink(Protocol):
    """Takes the bytes of a request's body."""

    def write(self, data: bytes, /) -> object:
        """Take bytes. Raises `Refused` (413) when there are too many."""


def identify(request: Request, credentials: Credentials) -> Credential | None:
    """Return the request's credential; None without one. Raises `Refused` (401) for an invalid one."""
    secret = presented_secret(request.headers.getlist("authorization"))
    if secret is None:
        return None
    address = request.client.host if request.client else ""
    credential = credentials.present(secret, service=service_of(request), address=address)
    if credential is None:
        raise Refused(401, "the credential is unknown, expired or revoked")
    return credential


def require(request: Request, credentials: Credentials, *grants: str) -> Credential:
    """Return the request's credential. Raises `Refused`: 401 without one, 403 when it has none of the grants."""
    credential = identify(request, credentials)
    if credential is None:
        raise Refused(401, "a credential is needed")
    if not any(credential.may(grant) for grant in grants):
        raise Refused(403, f"{credential.subject} lacks the right {grants[0]}")
    if request.method not in ("GET", "HEAD"):
        credentials.used(credential, service_of(request))
    return credential


def service_of(request: Request) -> str:
    """Return the name of the service that a request asks, as events name it."""
    parts = request.url.path.split("/")
    return SERVICES.get(parts[2], "ci") if parts[1] == "ci" else "git"


class ConcurrencyLimit:
    """Limits how many requests with one key run at once, because the body of each takes disk space."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, key: str) -> Iterator[None]:
        """Count the block as one request. Raises `Refused` (503) when the limit is reached."""
        with self._lock:
            if self._running[key] >= self._most:
                raise Refused(503, f"at most {self._most} such requests at once", hint="try again later")
            self._running[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[key] -= 1
                self._running += Counter()  # drops keys with no request


async def receive(request: Request, sink: BodySink | IO[bytes], *, limit: int) -> int:
    """Write the request's body to ``sink``, unpacked if it is gzip; returns its size in bytes.

    Raises `Refused`: 413 beyond ``limit`` bytes, 415 for another encoding; `MalformedInput` for bad gzip.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Refused(415, f"content-encoding {encoding[:40]!r} is not supported")
    unpacker = zlib.decompressobj(wbits=31) if encoding != "identity" else None
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit:
        raise Refused(413, f"the body is larger than {limit} bytes")
    size = 0
    async for received in request.stream():
        chunk = received
        while chunk:
            try:
                data = unpacker.decompress(chunk, 2**20) if unpacker else chunk
            except zlib.error as error:
                raise MalformedInput("the body is not gzip", why=str(error)) from error
            chunk = unpacker.unconsumed_tail if unpacker else b""
            size += len(data)
            if size > limit:
                raise Refused(413, f"the body is larger than {limit} bytes")
            sink.write(data)
            if unpacker and unpacker.eof and unpacker.unused_data:
                raise MalformedInput("bytes follow the end of the gzip body")
    if unpacker and not unpacker.eof:
        raise MalformedInput("the gzip body ends early")
    return size
