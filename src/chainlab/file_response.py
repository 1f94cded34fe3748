"""Answers that are a stored file: all of it, or the ranges of bytes that were asked for.

Starlette sends the bytes. Which ranges it sends is decided here, as RFC 9110 §14.2 says: only GET has ranges; an
unknown unit and a range that is none are ignored; of several ranges those count that the file has; if it has none of
them, the answer is 416.

    >>> [satisfiable(text, 16) for text in ("bytes=0-3, 99-100", "bytes=5-0", "bytes=99-")]
    ['bytes=0-3', None, 'bytes=16-']
"""

from __future__ import annotations

import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

__all__ = ["StoredFile", "satisfiable"]

# RFC 9110 §14.1.2: FIRST-LAST, FIRST- and -LENGTH; Python reads no number of more than 4300 digits.
RANGE = re.compile(r"([0-9]{1,4000})-([0-9]{0,4000})|-([0-9]{1,4000})")


class StoredFile(FileResponse):
    """The bytes of a file. Raises `OSError` when there is no such file."""

    def __init__(
        self, path: Path, *, media_type: str, headers: dict[str, str] | None = None, filename: str = ""
    ) -> None:
        self._size = (stat := path.stat()).st_size
        super().__init__(path, headers=headers, media_type=media_type, filename=filename or None, stat_result=stat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or what was asked for of it."""
        asked = Headers(scope=scope).getlist("range")
        served = satisfiable(asked[0], self._size) if len(asked) == 1 and scope["method"] == "GET" else None
        headers = MutableHeaders(raw=list(scope["headers"]))
        del headers["range"]
        if served is not None:
            headers["range"] = served
        await super().__call__({**scope, "headers": headers.raw}, receive, send)


def satisfiable(text: str, size: int) -> str | None:
    """The ranges of a ``Range`` header that a file of ``size`` bytes has; None to send all of it.

    A header with none that the file has gives the range that begins at its end, which nothing satisfies.
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
    """First and last byte of one range; None for a text that is no range. The last byte may be beyond the end."""
    if (found := RANGE.fullmatch(text)) is None:
        return None
    if found[3]:
        return max(size - int(found[3]), 0), size
    first = int(found[1])
    last = int(found[2]) if found[2] else max(first, size)
    return (first, last) if first <= last else None
