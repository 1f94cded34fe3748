"""Who asks, and with what right: credentials, bodies and refusals of the CI host's own services.

A secret comes as ``Authorization: Bearer SECRET``, or as the password of Basic with any user name, as git
sends it. Refusals are plain text, which git and curl show to whoever called them.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Awaitable, Callable
from typing import IO, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from chainlab.credentials import Credential, Credentials
from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable

__all__ = ["Sink", "answering", "identify", "receive", "require"]

Handler = Callable[[Request], Awaitable[Response]]
CHALLENGE = 'Basic realm="chainlab"'


class Sink(Protocol):
    """Where a body goes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes; raises `Refused` (413) when they are too many."""


def identify(request: Request, credentials: Credentials) -> Credential | None:
    """What the request's secret stands for; None without one. Raises `Refused` (401) for a bad one."""
    header = request.headers.get("authorization", "")
    scheme, _, rest = header.partition(" ")
    if not header:
        return None
    secret = rest.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(secret, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Refused(401, "the Authorization header cannot be read") from error
        secret = decoded.partition(":")[2]
    elif scheme.lower() not in ("bearer", "token"):
        raise Refused(401, "expected Basic or Bearer in the Authorization header")
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


async def receive(request: Request, sink: Sink | IO[bytes], *, limit: int) -> int:
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
            return _refusal(error)

    return answer


def _refusal(error: ChainlabError) -> Response:
    if isinstance(error, Refused):
        status = error.status
    elif isinstance(error, MalformedInput):
        status = 400
    else:
        status = 503 if isinstance(error, Unavailable) else 422
    headers = {"WWW-Authenticate": CHALLENGE} if status == 401 else {}
    return PlainTextResponse(f"{error}\n", status, headers)
