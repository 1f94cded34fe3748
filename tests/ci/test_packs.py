"""A push is checked before git unpacks it: one that would become too large is refused while it is small."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import time
import tracemalloc
import zlib

import pytest

from chainlab.ci.git import packs
from chainlab.errors import Refused

COMMAND = b"0" * 40 + b" " + b"1" * 40 + b" refs/heads/x"
BLOB, BY_OFFSET, BY_NAME = 3, 6, 7


def push(*objects: bytes, refs: int = 1, count: int | None = None) -> io.BytesIO:
    """What a client sends for ``objects``."""
    line = b"%04x%b" % (len(COMMAND) + 4, COMMAND)
    pack = b"PACK" + struct.pack(">II", 2, len(objects) if count is None else count) + b"".join(objects)
    return io.BytesIO(line * refs + b"0000" + pack + hashlib.sha1(pack, usedforsecurity=False).digest())


def entry(kind: int, data: bytes, *, size: int | None = None, base: bytes = b"") -> bytes:
    """An object of a pack: gitformat-pack, "object entries"."""
    left = len(data) if size is None else size
    head, left = [kind << 4 | left & 15], left >> 4
    while left:
        head[-1] |= 0x80
        head.append(left & 0x7F)
        left >>= 7
    return bytes(head) + base + zlib.compress(data)


def number(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def delta(result: int) -> bytes:
    return number(100) + number(result) + b"\x90\x01"  # and copy one byte of the base


def test_objects_of_every_size_are_passed_over() -> None:
    draw = random.Random(7)
    sizes = [0, 1, 14, 15, 16, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000]
    blobs = [entry(BLOB, draw.randbytes(size)) for size in sizes] + [entry(BLOB, bytes(size)) for size in sizes]
    deltas = [entry(BY_OFFSET, delta(90), base=b"\x80\x10"), entry(BY_NAME, delta(90), base=bytes(20))]
    everything = [*blobs, *deltas, *(entry(BLOB, draw.randbytes(draw.randrange(200))) for _ in range(2000))]
    draw.shuffle(everything)
    packs.check(push(*everything))
    packs.check(push())
    packs.check(io.BytesIO(b"0000"))  # what a client sends to ask whether it may push
    packs.check(io.BytesIO(push().getvalue().partition(b"PACK")[0]))  # refs are deleted


HOSTILE = {
    "a large object": (push(entry(BLOB, b"", size=packs.MAX_OBJECT + 1)), 413, "not 104857601"),
    "a size without end": (push(b"\xff" * 40), 400, "without a size"),
    "more than it says": (push(entry(BLOB, bytes(2**24), size=10)), 400, "larger than its declared size"),
    "less than it says": (push(entry(BLOB, b"x", size=10)), 400, "smaller than its declared size"),
    "a delta to a terabyte": (push(entry(BY_NAME, delta(2**40), base=bytes(20))), 413, "not 1099511627776"),
    "a delta of an offset": (push(entry(BY_OFFSET, delta(2**30), base=b"\x01")), 413, "not 1073741824"),
    "a delta without sizes": (push(entry(BY_NAME, b"\xff" * 9, base=bytes(20))), 400, "without sizes"),
    "many objects": (push(count=packs.MAX_OBJECTS + 1), 413, "at most 200000 objects"),
    "many refs": (push(refs=packs.MAX_REFS + 1), 413, "at most 1000 refs"),
    "an unknown type": (push(entry(5, b"x")), 400, "unknown type 5"),
    "fewer objects": (push(count=3), 400, "unpacked"),
    "no pack": (io.BytesIO(b"0000PACK"), 400, "expected a pack"),
    "no refs": (io.BytesIO(b"PACK"), 400, "pkt-lines"),
    "an endless line": (io.BytesIO(b"ffff"), 400, "pkt-lines"),
    "no data": (io.BytesIO(push(entry(BLOB, b"x" * 99)).getvalue()[:-22]), 400, "ends early"),
}


@pytest.mark.parametrize(("body", "status", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_push_is_refused(body: io.BytesIO, status: int, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        packs.check(body)
    assert caught.value.status == status


def test_all_objects_together_have_a_limit_and_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MAX_TOTAL", 64 * 2**20)
    body = push(*[entry(BLOB, bytes(30 * 2**20))] * 100)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="at most 67108864 bytes"):
            packs.check(body)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 10


def test_looking_through_a_push_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "SECONDS", -1)
    with pytest.raises(Refused, match="checking the push takes more"):
        packs.check(push(entry(BLOB, b"x")))
