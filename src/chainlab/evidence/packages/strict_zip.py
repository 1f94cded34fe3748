"""Zip archives, read strictly: `members` refuses an archive that two readers may unpack in two ways.

A zip describes each member twice: in a local header before it, and in the central directory at the end. Some readers
believe one, some the other, so an archive whose halves disagree installs other files than a scanner saw ("zip
confusion"). In an archive with one reading the local members follow one another from the first byte to the central
directory, the end record is the last bytes of the file, and both halves agree.

    >>> {member.name for member in members(data)}
    {'pkg/__init__.py', 'pkg-1.0.dist-info/METADATA', …}

Wheels and models need neither ZIP64 nor encryption, links or comments: these are refused too.

PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chainlab.errors import Refused

__all__ = ["MAX_MEMBERS", "MAX_RATIO", "MAX_UNPACKED", "Member", "check_names", "members"]

MAX_UNPACKED = 2**30  # bytes of all members together
MAX_RATIO = 100  # unpacked to packed, above FREE_SIZE; ordinary code and weights stay below 20
FREE_SIZE = 16 * 2**20  # bytes unpacked for which the ratio does not matter
MAX_MEMBERS = 20_000
END = struct.Struct("<4s4H2LH")
# The formats skip the writer's version, the times and a member's internal attributes.
CENTRAL = struct.Struct("<4s2x3H4x3L4H2x2L")
LOCAL = struct.Struct("<4s3H4x3L2H")
MAX_VERSION = 63  # needed to extract: 6.3, the newest; readers refuse a higher number, or ignore it
DESCRIPTOR, UTF8 = 1 << 3, 1 << 11  # bits of the flags
KNOWN_FLAGS = DESCRIPTOR | UTF8 | 0b110  # the last two bits tell the level of compression
STORED, DEFLATED = 0, 8
EXTRA_ZIP64, EXTRA_NAME = 0x0001, 0x7075
BLOCK = 2**16  # bytes


@dataclass(frozen=True)
class Member:
    """One member as both halves of the archive describe it."""

    name: str
    size: int  # bytes unpacked
    packed: int  # bytes
    crc: int
    method: int
    start: int  # offset of its data

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder: its name ends in ``/``."""
        return self.name.endswith("/")

    def blocks(self, data: memoryview) -> Iterator[bytes]:
        """Unpack its bytes. Raises `Refused` (400) unless they have the length and CRC of the headers."""
        packed = data[self.start : self.start + self.packed]
        crc = length = 0
        for block in _inflate(packed, self.name) if self.method == DEFLATED else _slices(packed):
            length += len(block)
            if length > self.size:
                break
            crc = zlib.crc32(block, crc)
            yield block
        if length != self.size or crc != self.crc:
            raise _refused(f"the member {self.name!r} does not unpack to what its header says")

    def read(self, data: memoryview, *, limit: int) -> bytes:
        """Unpack all of its bytes. Raises `Refused` (400) above ``limit`` bytes."""
        if self.size > limit:
            raise _refused(f"the member {self.name!r} has more than {limit} bytes")
        return b"".join(self.blocks(data))


def members(data: memoryview) -> list[Member]:
    """List the members of a zip archive, in the order of their bytes. Raises `Refused` (400) for two readings."""
    try:
        return _members(data)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise _refused(f"the zip archive cannot be read: {error}") from error


def check_names(names: Iterable[str]) -> None:
    """Refuse (400) names that lead out of the folder, and two names that are one on some file system."""
    seen: dict[str, bool] = {}  # folded name → whether it is a folder
    for name in names:
        parts = name.removesuffix("/").split("/")
        if "\\" in name or ":" in parts[0] or any(unicodedata.category(c) == "Cc" for c in name):
            raise _refused(f"the member name {name[:120]!r} has a forbidden character")
        if any(part in ("", ".", "..") for part in parts):
            raise _refused(f"the member name {name[:120]!r} leads out of its folder, or has an empty part")
        folded = unicodedata.normalize("NFKC", "/".join(parts)).casefold()
        if folded in seen:
            raise _refused(f"two members have the name {name[:120]!r}, if case and accents are ignored")
        seen[folded] = name.endswith("/")
    for folded in seen:
        above = folded.rpartition("/")[0]
        while above:
            if seen.get(above) is False:
                raise _refused(f"the member {above[:120]!r} is a file and a folder at once")
            above = above.rpartition("/")[0]


def _members(data: memoryview) -> list[Member]:
    at = len(data) - END.size
    if at < 0 or bytes(data[at : at + 4]) != b"PK\5\6":
        raise _refused("not a zip archive, or bytes follow its end")
    _, disk, first_disk, here, count, size, start, comment = END.unpack(data[at:])
    is_wide = bytes(data[max(0, at - 20) : at][:4]) == b"PK\6\7" or count == 0xFFFF or 0xFFFFFFFF in (size, start)
    if comment or disk or first_disk or here != count or is_wide:
        raise _refused("the zip archive has a comment, several parts, or is ZIP64")
    if start + size != at:
        raise _refused("bytes stand before the zip archive, or between its directory and its end")
    if count > MAX_MEMBERS:
        raise _refused(f"the zip archive has more than {MAX_MEMBERS} members")
    entries: list[tuple[int, _CentralEntry]] = []
    for _ in range(count):
        entry, offset, start = _central(data, start, at)
        entries.append((offset, entry))
    if start != at:
        raise _refused("the zip archive's directory has more entries than it says")
    entries.sort(key=lambda pair: pair[0])
    ordered: list[Member] = []
    place = 0
    for offset, entry in entries:
        if offset != place:
            raise _refused("bytes in the zip archive belong to no member, or to two")
        member, place = _local(data, offset, entry)
        ordered.append(member)
    if place != at - size:
        raise _refused("bytes in the zip archive belong to no member")
    unpacked = sum(member.size for member in ordered)
    if unpacked > MAX_UNPACKED or unpacked > max(FREE_SIZE, MAX_RATIO * len(data)):
        raise _refused(f"the archive would unpack to {unpacked} bytes", why="it may be a zip bomb")
    check_names(member.name for member in ordered)
    return ordered


@dataclass(frozen=True)
class _CentralEntry:
    """A member's entry in the central directory, to be compared with its local header."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int


def _central(data: memoryview, at: int, end: int) -> tuple[_CentralEntry, int, int]:
    """Read an entry of the central directory; return it, the offset of its local header, and where the next begins."""
    fields = CENTRAL.unpack(data[at : at + CENTRAL.size])
    mark, needed, flags, method, crc, packed, size, name, extra, comment, disk, mode, offset = fields
    after = at + CENTRAL.size + name + extra + comment
    if mark != b"PK\1\2" or after > end:
        raise _refused("the zip archive's directory is damaged")
    text = bytes(data[at + CENTRAL.size : at + CENTRAL.size + name])
    shown = text.decode("utf-8", "replace")[:120]
    _check_version(needed, shown)
    if flags & ~KNOWN_FLAGS or method not in (STORED, DEFLATED) or disk or comment:
        raise _refused(f"the member {shown!r} is encrypted, compressed in an unusual way, or has a comment")
    if 0xFFFFFFFF in (packed, size, offset):
        raise _refused(f"the member {shown!r} is ZIP64")
    if _check_extra(data[at + CENTRAL.size + name : after], shown) is not None:
        raise _refused(f"the member {shown!r} is ZIP64")
    kind = stat.S_IFMT(mode >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(f"the member {shown!r} is a link or a device")
    return _CentralEntry(text, flags, method, crc, packed, size), offset, after


def _local(data: memoryview, at: int, entry: _CentralEntry) -> tuple[Member, int]:
    """Read the member whose local header is at ``at``; return it, and where its bytes end."""
    fields = LOCAL.unpack(data[at : at + LOCAL.size])
    mark, needed, flags, method, crc, packed, size, length, extra = fields
    start = at + LOCAL.size + length + extra
    name = bytes(data[at + LOCAL.size : at + LOCAL.size + length])
    shown = entry.name.decode("utf-8", "replace")[:120]
    if mark != b"PK\3\4" or (name, flags, method) != (entry.name, entry.flags, entry.method):
        raise _refused(f"the two headers of the member {shown!r} disagree")
    _check_version(needed, shown)
    sizes = (entry.crc, entry.packed, entry.size)
    wide = _check_extra(data[at + LOCAL.size + length : start], shown)
    if wide is not None:  # as `force_zip64` writes it: true, but needless
        if wide != struct.pack("<2Q", entry.size, entry.packed) or flags & DESCRIPTOR:
            raise _refused(f"the two headers of the member {shown!r} disagree")
        packed, size = entry.packed, entry.size
    after = start + entry.packed
    if flags & DESCRIPTOR:
        signed = bytes(data[after : after + 4]) == b"PK\7\x08"
        after += 4 if signed else 0
        described = struct.unpack("<3L", data[after : after + 12])
        after += 12
        if described != sizes or (crc, packed, size) not in ((0, 0, 0), sizes):
            raise _refused(f"the two descriptions of the member {shown!r} disagree")
    elif (crc, packed, size) != sizes:
        raise _refused(f"the two headers of the member {shown!r} disagree")
    if start + entry.packed > len(data) or (entry.method == STORED and entry.packed != entry.size):
        raise _refused(f"the member {shown!r} is not as long as its header says")
    if not (entry.flags & UTF8 or name.isascii()):
        raise _refused(f"the member name {shown!r} is neither ASCII nor marked as UTF-8")
    if name.endswith(b"/") and entry.size:
        raise _refused(f"the folder {shown!r} has data")
    return Member(name.decode("utf-8"), entry.size, entry.packed, entry.crc, entry.method, start), after


def _check_version(needed: int, shown: str) -> None:
    if needed > MAX_VERSION:
        raise _refused(f"the member {shown!r} needs version {needed / 10} of the zip format, and 6.3 is the newest")


def _check_extra(extra: memoryview, shown: str) -> bytes | None:
    """Return the ZIP64 field, if there is one. Refuse fields that give a member another name."""
    at, wide = 0, None
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4])
        if kind == EXTRA_NAME or (kind == EXTRA_ZIP64 and wide is not None):
            raise _refused(f"an extra field of the member {shown!r} gives it another size or name")
        if kind == EXTRA_ZIP64:
            wide = bytes(extra[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(extra):
        raise _refused(f"the extra fields of the member {shown!r} are damaged")
    return wide


def _inflate(packed: memoryview, name: str) -> Iterator[bytes]:
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in _slices(packed):
            waiting: bytes | memoryview = piece
            while waiting and not machine.eof:
                yield machine.decompress(waiting, BLOCK)
                waiting = machine.unconsumed_tail
        while not machine.eof:
            block = machine.decompress(machine.unconsumed_tail, BLOCK)
            if not block:
                break
            yield block
    except zlib.error as error:
        raise _refused(f"the member {name!r} cannot be unpacked: {error}") from error
    if not machine.eof or machine.unused_data:
        raise _refused(f"the member {name!r} does not end where its header says")


def _slices(data: memoryview) -> Iterator[bytes]:
    for at in range(0, len(data), BLOCK):
        yield bytes(data[at : at + BLOCK])


def _refused(message: str, *, why: str = "") -> Refused:
    return Refused(400, message, why=why)
