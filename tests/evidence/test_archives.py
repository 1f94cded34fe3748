"""Zip archives: what the strict reader takes, Python's own reader reads in the same way."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.errors import Refused
from chainlab.evidence.packages.strict_zip import members

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# Where a field is in the local header and in the directory, and its width in bytes.
FIELDS = {
    "version needed": (4, 6, 2), "flags": (6, 8, 2), "method": (8, 10, 2), "time": (10, 12, 4), "crc": (14, 16, 4),
    "packed": (18, 20, 4), "size": (22, 24, 4), "name length": (26, 28, 2), "extra length": (28, 30, 2),
}  # fmt: skip
DIRECTORY_ONLY = {"made by": (4, 2), "comment": (32, 2), "disk": (34, 2), "mode": (38, 4), "offset": (42, 4)}
ENDS = {"disk": (4, 2), "here": (8, 2), "count": (10, 2), "size": (12, 4), "start": (16, 4), "comment": (20, 2)}
VALUES = [0, 1, 2, 3, 5, 8, 9, 20, 45, 63, 64, 70, 256, 0x800, 0x808, 0x808 | 6, 0xFFFF, 0xFFFFFFFF]


def packed(method: int, *, extra: bytes = b"", streamed: bool = False, wide: bool = False) -> bytes:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return not streamed

        def tell(self) -> int:
            if streamed:
                raise OSError
            return super().tell()

    buffer = Pipe()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in (("a/b.txt", b"one " * 30), ("é", b""), ("c.npy", b"\x93NUMPY")):
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.extra, info.compress_type = extra, method
            with archive.open(info, "w", force_zip64=wide) as file:
                file.write(data)
    return buffer.getvalue()


HONEST = [
    packed(zipfile.ZIP_STORED),
    packed(zipfile.ZIP_DEFLATED),
    packed(zipfile.ZIP_DEFLATED, streamed=True),
    packed(zipfile.ZIP_STORED, wide=True),
    packed(zipfile.ZIP_DEFLATED, extra=struct.pack("<2H4s", 0xCAFE, 4, b"abcd")),
]


def places(data: bytes | bytearray, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def write(data: bytearray, at: int, width: int, value: int) -> None:
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An archive with some fields changed: in one place, or in both that say the same."""
    data = bytearray(draw(st.sampled_from(HONEST)))
    for _ in range(draw(st.integers(1, 3))):
        value = draw(st.sampled_from(VALUES) | st.integers(0, 300) | st.integers(0, 2**32 - 1))
        locals_, centrals, ends = places(data, LOCAL), places(data, CENTRAL), places(data, END)
        if not (ends and len(locals_) == len(centrals) > 0):
            break
        number = draw(st.integers(0, len(locals_) - 1))
        match draw(st.sampled_from(["both", "local", "directory", "only", "end", "noise", "cut"])):
            case "end":
                at, width = ENDS[draw(st.sampled_from(sorted(ENDS)))]
                write(data, ends[-1] + at, width, value)
            case "only":
                at, width = DIRECTORY_ONLY[draw(st.sampled_from(sorted(DIRECTORY_ONLY)))]
                write(data, centrals[number] + at, width, value)
            case "noise":
                at = draw(st.integers(0, len(data) - 1))
                data[at : at + 1] = draw(st.binary(max_size=3))
            case "cut":
                start, length = draw(st.integers(0, len(data) - 1)), draw(st.integers(1, 40))
                del data[start : start + length]
            case which:
                in_local, in_central, width = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
                if which != "directory":
                    write(data, locals_[number] + in_local, width, value)
                if which != "local":
                    write(data, centrals[number] + in_central, width, value)
    return bytes(data)


def by_python(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


@given(st.lists(damaged(), min_size=1, max_size=10))
def test_an_archive_that_is_taken_is_read_as_python_reads_it(archives: list[bytes]) -> None:
    for data in archives:
        try:
            view = memoryview(data)
            found = {member.name: member.read(view, limit=2**20) for member in members(view)}
        except Refused:  # and nothing else
            continue
        assert found == by_python(data), data.hex()


@pytest.mark.parametrize("data", HONEST, ids=["stored", "deflated", "streamed", "needless ZIP64", "an extra field"])
def test_an_honest_archive_is_taken(data: bytes) -> None:
    view = memoryview(data)
    assert {member.name: member.read(view, limit=2**20) for member in members(view)} == by_python(data)


@pytest.mark.parametrize("needed", [64, 65, 255, 256, 0xFFFF])
@pytest.mark.parametrize(("mark", "at"), [(LOCAL, 4), (CENTRAL, 6)], ids=["local header", "directory"])
def test_a_version_above_the_newest_is_refused(mark: bytes, at: int, needed: int) -> None:
    data = bytearray(HONEST[1])
    write(data, data.index(mark) + at, 2, needed)
    with pytest.raises(Refused, match="version"):
        members(memoryview(data))


def test_the_newest_version_is_taken() -> None:
    data = bytearray(HONEST[1])
    write(data, data.index(LOCAL) + 4, 2, 63)
    write(data, data.index(CENTRAL) + 6, 2, 63)
    assert len(members(memoryview(data))) == 3


def test_the_end_of_a_zip64_archive_is_called_so() -> None:
    at = HONEST[0].rindex(END)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    with pytest.raises(Refused, match="ZIP64"):
        members(memoryview(HONEST[0][:at] + locator + HONEST[0][at:]))
