"""Responses that send a stored file: the whole file, or the requested ranges of bytes.

Starlette sends the bytes. This module decides which ranges, as RFC 9110 §14.2 says: only GET has ranges; a header with
an unknown unit or an invalid range is ignored; ranges outside the file are dropped; without any range left, the answer
is 416.

    >>> [satisfiable_ranges(text, 16) for text in ("bytes=0-3, 99-100", "bytes=5-0", "bytes=99-")]
    ['bytes=0-3', None, 'bytes=16-']
"""

from __future__ import annotations

import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

__all__ = ["StoredFile", "satisfiable_ranges"]

# RFC 9110 §14.1.2: FIRST-LAST, FIRST- and -LENGTH; Python refuses numbers of more than 4300 digits.
RANGE = re.compile(r"([0-9]{1,4000})-([0-9]{0,4000})|-([0-9]{1,4000})")


class StoredFile(FileResponse):
    """A response with the bytes of a file. Raises `OSError` without the file."""

    def __init__(
        self, path: Path, *, media_type: str, headers: dict[str, str] | None = None, filename: str = ""
    ) -> None:
        self._size = (stat := path.stat()).st_size
        super().__init__(path, headers=headers, media_type=media_type, filename=filename or None, stat_result=stat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the requested ranges of it."""
        requested = Headers(scope=scope).getlist("range")
        served = (
            satisfiable_ranges(requested[0], self._size) if len(requested) == 1 and scope["method"] == "GET" else None
        )
        headers = MutableHeaders(raw=list(scope["headers"]))
        del headers["range"]
        if served is not None:
            headers["range"] = served
        await super().__call__({**scope, "headers": headers.raw}, receive, send)


def satisfiable_ranges(text: str, size: int) -> str | None:
    """Return the ranges of a ``Range`` header that a file of ``size`` bytes has; None to send the whole file.

    If the file has none of them, returns the range that begins at its end, which no file can satisfy.
    """
    unit, _, ranges = text.partition("=")
    parts = [part.strip(" \t") for part in ranges.split(",") if part.strip(" \t")]
    spans = [_span(part, size) for part in parts]
    if unit.lower() != "bytes" or not size or not spans:
        return None
    served = []
    for span in spans:
        if span is None:
            return None
        if span[0] < size:
            served.append(f"{span[0]}-{span[1]}")
    return f"bytes={','.join(served) or f'{size}-'}"


def _span(text: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte of one range, the last maybe beyond the end; None for an invalid range."""
    if (match := RANGE.fullmatch(text)) is None:
        return None
    if match[3]:
        return max(size - int(match[3]), 0), size
    first = int(match[1])
    last = int(match[2]) if match[2] else max(first, size)
    return (first, last) if first <= last else None
