"""Pushes, checked before git unpacks them: the number of refs and objects, and the unpacked sizes.

    pkt-line*  "0000"  "PACK" version objects  ( type size [base] zlib-data )*  SHA-1

A few bytes can become terabytes, by compression or by a delta that copies its base again and again, while git limits
only the bytes it receives. A push is therefore refused if an object declares too large a size, or exceeds the size it
declares. Git itself checks that the pack is valid (gitprotocol-pack, gitformat-pack).
"""

from __future__ import annotations

import re
import struct
import time
import zlib
from typing import IO

from chainlab.errors import Refused

__all__ = ["check"]

MAX_REFS = 1000  # of one push
MAX_OBJECTS = 200_000
MAX_OBJECT = 100 * 2**20  # bytes of one object: the platform's limit for a file
MAX_TOTAL = 512 * 2**20  # bytes of all, unpacked
SECONDS = 30  # for checking one push
PIECE = 2**16  # bytes read or unpacked at once
KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag", 6: "delta by offset", 7: "delta by name"}
FIRST = 32  # bytes of a delta that hold its two sizes
NAME_SIZE = 20  # bytes of an object's name, SHA-1
LENGTH = re.compile(rb"[0-9a-fA-F]{4}")


def check(body: IO[bytes]) -> None:
    """Read a push to its end.

    Raises `Refused` (413) when it is too large, (400) when it is malformed.
    """
    _commands(body)
    if start := body.read(12):
        if len(start) != 12 or start[:4] != b"PACK":
            raise Refused(400, "expected a pack after the refs")
        _, objects = struct.unpack(">II", start[4:])
        if objects > MAX_OBJECTS:
            raise Refused(413, f"a push has at most {MAX_OBJECTS} objects, not {objects}")
        _Pack(body).check(objects)


def _commands(body: IO[bytes]) -> None:
    """Skip the list of refs to change. Raises `Refused` when it is malformed or too long."""
    lines = 0
    while (head := body.read(4)) != b"0000":
        length = int(head, 16) if LENGTH.fullmatch(head) else 0
        if length < 5 or len(body.read(length - 4)) != length - 4:
            raise Refused(400, "the list of refs is not a list of pkt-lines")
        lines += 1
        if lines > MAX_REFS:
            raise Refused(413, f"a push changes at most {MAX_REFS} refs")


class _Pack:
    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._buffer = b""
        self._at = 0  # where the unread part of the buffer begins

    def check(self, objects: int) -> None:
        """Unpack object after object without keeping any. Raises `Refused` at the first limit."""
        total, end = 0, time.monotonic() + SECONDS
        for _ in range(objects):
            kind, size = self._header()
            if size > MAX_OBJECT:
                raise Refused(413, f"an object has at most {MAX_OBJECT} bytes, not {size}")
            start = self._unpack(size, end)
            result = _result_size(start) if kind in (6, 7) else size
            if result > MAX_OBJECT:
                raise Refused(413, f"an object has at most {MAX_OBJECT} bytes, not {result}")
            total += max(size, result)
            if total > MAX_TOTAL:
                raise Refused(413, f"a push has at most {MAX_TOTAL} bytes when unpacked")

    def _header(self) -> tuple[int, int]:
        """Read the type and size of the next object; skips the name or offset of a delta's base."""
        byte = self._byte()
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise Refused(400, "the pack has an object without a size")
        if kind not in KINDS:
            raise Refused(400, f"the pack has an object of the unknown type {kind}")
        if kind == 6:
            while self._byte() & 0x80:
                pass
        for _ in range(NAME_SIZE if kind == 7 else 0):
            self._byte()
        return kind, size

    def _unpack(self, size: int, end: float) -> bytes:
        """Skip the data of an object; returns its first bytes. Raises `Refused` unless it has ``size`` bytes."""
        unpacker, start, length = zlib.decompressobj(), b"", 0
        piece = 4096 if size < 2 * 4096 else PIECE  # zlib copies the rest each time
        data = b""
        while not unpacker.eof:
            if not data:
                data = self._take(piece)
            try:
                out = unpacker.decompress(data, PIECE)
            except zlib.error as error:
                raise Refused(400, "the pack cannot be unpacked", why=str(error)) from error
            data = unpacker.unconsumed_tail
            start += out[: FIRST - len(start)]
            length += len(out)
            if length > size:
                raise Refused(400, "the pack has an object that is larger than its declared size")
            if time.monotonic() > end:
                raise Refused(413, f"checking the push takes more than {SECONDS} s")
        self._at -= len(unpacker.unused_data)
        if length != size:
            raise Refused(400, "the pack has an object that is smaller than its declared size")
        return start

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, most: int) -> bytes:
        """Read 1 to ``most`` bytes. Raises `Refused` at the end."""
        if self._at >= len(self._buffer):
            self._buffer, self._at = self._body.read(PIECE), 0
            if not self._buffer:
                raise Refused(400, "the pack ends early")
        data = self._buffer[self._at : self._at + most]
        self._at += len(data)
        return data


def _result_size(delta: bytes) -> int:
    """Read the size of a delta's result: its second number, after the size of its base."""
    numbers, number, shift = [], 0, 0
    for byte in delta:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(number)
            number, shift = 0, 0
            if len(numbers) == 2:
                return numbers[1]
    raise Refused(400, "the pack has a delta without sizes")
