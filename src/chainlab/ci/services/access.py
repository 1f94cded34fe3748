"""Who asks, and with what right: credentials, bodies and refusals of the CI host's own services.

Refusals are plain text, which git and curl show to whoever called them.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from chainlab.credentials import CHALLENGE, Credential, Credentials, presented_secret
from chainlab.errors import ChainlabError, MalformedInput, Refused

__all__ = ["BodySink", "ConcurrencyLimit", "answering", "identify", "receive", "require"]

Handler = Callable[[Request], Awaitable[Response]]


class BodySink(Protocol):
    """Where a body goes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes; raises `Refused` (413) when they are too many."""


def identify(request: Request, credentials: Credentials) -> Credential | None:
    """What the request's secret stands for; None without one. Raises `Refused` (401) for a bad one."""
    secret = presented_secret(request.headers.getlist("authorization"))
    if secret is None:
        return None
    found = credentials.check(secret)
    if found is None:
        raise Refused(401, "the credential is unknown, expired or revoked")
    return found


def require(request: Request, credentials: Credentials, *grants: str) -> Credential:
    """What the secret stands for, if it has one of the grants. Raises `Refused` (401, 403)."""
    credential = identify(request, credentials)
    if credential is None:
        raise Refused(401, "a credential is needed")
    if not any(credential.may(grant) for grant in grants):
        raise Refused(403, f"{credential.subject} lacks the right {grants[0]}")
    return credential


class ConcurrencyLimit:
    """Bounds how many bodies are received at once for each key, because each takes disk until it is answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, key: str) -> Iterator[None]:
        """Hold a turn for the block. Raises `Refused` (503) when all are held."""
        with self._lock:
            if self._held[key] >= self._most:
                raise Refused(503, f"at most {self._most} such requests at once", hint="try again when one has ended")
            self._held[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[key] -= 1
                self._held += Counter()  # keys without turns are dropped


async def receive(request: Request, sink: BodySink | IO[bytes], *, limit: int) -> int:
    """Write the body to ``sink``, unpacked when it is gzip; returns its size.

    Raises `Refused` (413, 415) or `MalformedInput`.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Refused(415, f"content-encoding {encoding[:40]!r} is not understood")
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
                raise MalformedInput("there are bytes after the end of the gzip body")
    if unpacker and not unpacker.eof:
        raise MalformedInput("the gzip body ends early")
    return size


def answering(handler: Handler) -> Handler:
    """The handler, with refusals as plain text and a challenge where a credential is missing."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            raise
        except ChainlabError as error:
            headers = CHALLENGE if error.status == 401 else {}
            return PlainTextResponse(f"{error}\n", error.status, headers)

    return answer
