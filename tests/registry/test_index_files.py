"""What may be in an uploaded file: one reading, or a sentence that says what is wrong."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_index import metadata, pack, sdist_bytes, wheel_files

from chainlab.errors import Refused
from chainlab.evidence.packages.strict_zip import members
from chainlab.registry.index.distributions import FileName, inspect

NAME = "triage_model-1.0.0-py3-none-any.whl"
INFO = "triage_model-1.0.0.dist-info"
TOP = "triage_model-1.0.0"
GOOD = pack(wheel_files())


def check(data: bytes, folder: Path, name: str = NAME) -> None:
    path = folder / "staged"
    path.write_bytes(data)
    inspect(path, FileName.parse(name))


def refusal(data: bytes, folder: Path, name: str = NAME) -> str:
    with pytest.raises(Refused) as refused:
        check(data, folder, name)
    assert refused.value.status == 400
    return refused.value.message


# -- names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NAME, ("triage-model", "1.0.0", "bdist_wheel")),
        ("triage_model-1.0.0.tar.gz", ("triage-model", "1.0.0", "sdist")),
        ("numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", ("numpy", "2.4.6", "bdist_wheel")),
        ("x-1.0rc1+local.2-1-py2.py3-none-any.whl", ("x", "1.0rc1+local.2", "bdist_wheel")),
        ("x-1!2.0.dev3.tar.gz", ("x", "1!2.0.dev3", "sdist")),
    ],
)
def test_a_file_name_says_project_version_and_kind(text: str, expected: tuple[str, ...]) -> None:
    name = FileName.parse(text)
    assert (name.project, name.version, name.kind) == expected
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "..",
            "../x-1.0.tar.gz",
            "/etc/x-1.0.tar.gz",
            "x/y-1.0.tar.gz",
            "..\\x-1.0.tar.gz",
        ),
        *("x-1.0.zip", "x-1.0.exe", "x-1.0.tar.bz2", "x-1.0.egg", "x.whl", "x-1.0.whl"),
        *("X-1.0.tar.gz", "a.b-1.0.tar.gz", "a-b-1.0.tar.gz", "a__b-1.0.tar.gz"),
        *("Triage_Model-1.0-py3-none-any.whl", "a.b-1.0-py3-none-any.whl"),
        *("x-1.0.0-0-x-py3-none-any.whl", "x-v1.0-py3-none-any.whl", "x-1.0RC1-py3-none-any.whl"),
        *("x-01.0-py3-none-any.whl", "x-one-py3-none-any.whl", "x-1.0-py3-none.whl"),
        *("x-1.0-py3-none-any.whl\x00", "x-1.0-py3-none-any.whl\n", "é-1.0-py3-none-any.whl"),
        f"{'x' * 220}-1.0.tar.gz",
    ],
)
def test_a_file_name_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        FileName.parse(text)
    assert refused.value.status == 400


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader_of_names(text: str) -> None:
    for candidate in (text, f"{text}.whl", f"{text}-1.0.tar.gz", f"x-{text}-py3-none-any.whl"):
        try:
            name = FileName.parse(candidate)
        except Refused:
            continue
        assert "/" not in name.text
        assert FileName.parse(name.text) == name


# -- wheels: what they hold


def changed(change: Callable[[dict[str, bytes]], object]) -> bytes:
    files = wheel_files()
    change(files)
    return pack(files)


def without(name: str) -> bytes:
    return changed(lambda files: files.pop(name))


def with_file(name: str, data: bytes = b"") -> bytes:
    return changed(lambda files: files.update({name: data}))


def recorded(record: bytes) -> bytes:
    return pack(wheel_files(), record=record)


def lines_of_record() -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        return archive.read(f"{INFO}/RECORD").splitlines(keepends=True)


def test_a_good_wheel_is_taken(tmp_path: Path) -> None:
    check(GOOD, tmp_path)


CONTENTS = {
    "empty": (b"", "the file is empty"),
    "no zip": (b"hello, this is text and no archive", "not a zip archive"),
    "no METADATA": (without(f"{INFO}/METADATA"), "has no"),
    "no WHEEL": (without(f"{INFO}/WHEEL"), "has no"),
    "another wheel version": (
        with_file(f"{INFO}/WHEEL", b"Wheel-Version: 2.0\n"),
        "Wheel-Version: 1.x",
    ),
    "two dist-info": (with_file("other-1.0.dist-info/METADATA"), "exactly one .dist-info"),
    "another project's": (pack(wheel_files("other")), "does not belong to triage-model 1.0.0"),
    "another version's": (pack(wheel_files(version="2.0.0")), "does not belong to triage-model 1.0.0"),
    "metadata of another project": (
        with_file(f"{INFO}/METADATA", metadata("other", "1.0.0")),
        "its metadata 'other'",
    ),
    "metadata of another version": (
        with_file(f"{INFO}/METADATA", metadata("triage-model", "1.0.1")),
        "its metadata 1.0.1",
    ),
    "metadata with a version of thousands of digits": (
        with_file(f"{INFO}/METADATA", metadata("triage-model", "9" * 5000)),
        "metadata is not valid",
    ),
    "a folder with a version of thousands of digits": (
        pack(wheel_files(version="9" * 5000)),
        "does not belong to triage-model 1.0.0",
    ),
    "metadata that is none": (with_file(f"{INFO}/METADATA", b"\xff\x00"), "metadata is not valid"),
    "metadata with a bad field": (
        with_file(f"{INFO}/METADATA", metadata("triage-model", "1.0.0", Requires_Python="soon")),
        "metadata is not valid",
    ),
    "a file that RECORD does not list": (
        recorded(b"".join(lines_of_record()[1:])),
        "does not list",
    ),
    "a file that is only in RECORD": (
        recorded(b"".join(lines_of_record()) + b"ghost.py,sha256=x,1\n"),
        "which is not in the wheel",
    ),
    "a wrong digest in RECORD": (
        recorded(
            lines_of_record()[1].replace(INFO.encode() + b"/METADATA", b"triage_model/__init__.py")
            + b"".join(lines_of_record()[1:])
        ),
        "is not the one in the wheel's RECORD",
    ),
    "a wrong size in RECORD": (
        recorded(lines_of_record()[0].replace(b",12\n", b",13\n") + b"".join(lines_of_record()[1:])),
        "the size of",
    ),
    "no digest in RECORD": (
        recorded(b"triage_model/__init__.py,,\n" + b"".join(lines_of_record()[1:])),
        "gives no SHA-256",
    ),
    "an MD5 digest in RECORD": (
        recorded(b"triage_model/__init__.py,md5=x,12\n" + b"".join(lines_of_record()[1:])),
        "gives no SHA-256",
    ),
    "a line twice in RECORD": (recorded(b"".join(lines_of_record() * 2)), "twice"),
    "a RECORD with two fields": (recorded(b"x,y\n"), "has 2 fields"),
    "a RECORD that is no text": (recorded(b"\xff"), "cannot be read"),
    "an absolute name": (with_file("/etc/passwd"), "leads out"),
    "a name that leads out": (with_file("../evil.py"), "leads out"),
    "a name that leads out later": (with_file("triage_model/../../evil.py"), "leads out"),
    "a name with a backslash": (with_file("..\\evil.py"), "a forbidden character"),
    "a name with a drive": (with_file("C:/evil.py"), "a forbidden character"),
    "a name with an empty part": (with_file("triage_model//x.py"), "leads out"),
    "a name with a line break": (with_file("triage_model/a\nb.py"), "a forbidden character"),
    "names that differ by case": (with_file("triage_model/__INIT__.py"), "case and accents"),
    "names that differ by accents": (
        changed(lambda files: files.update({"caf\u00e9.py": b"", "cafe\u0301.py": b""})),
        "case and accents",
    ),
    "a file and a folder at once": (
        with_file("triage_model/__init__.py/x.py"),
        "file and a folder",
    ),
    "a bomb": (with_file("zeros.bin", bytes(20 * 2**20)), "would unpack to"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_a_wheel_that_does_not_hold_together_is_refused(tmp_path: Path, case: str) -> None:
    data, reason = CONTENTS[case]
    assert reason in refusal(data, tmp_path)


# -- zips: how they say it


def field(data: bytes, signature: bytes, at: int, value: bytes) -> bytes:
    """The archive with a field of its first header of that kind replaced."""
    start = data.index(signature) + at
    return data[:start] + value + data[start + len(value) :]


def hidden_member(data: bytes) -> bytes:
    """A local member that the directory does not name; a streaming reader unpacks it."""
    header = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 7, 0) + b"evil.py"
    return shifted(data, header, before=True)


def shifted(data: bytes, more: bytes, *, before: bool) -> bytes:
    """Bytes in front of the members, or between them and the directory, with offsets mended."""
    end = len(data) - 22
    size, start = struct.unpack("<2L", data[end + 12 : end + 20])
    body, directory = data[:start], bytearray(data[start:end])
    if before:
        at = 0
        while at < len(directory):
            name, extra, comment = struct.unpack("<3H", directory[at + 28 : at + 34])
            (offset,) = struct.unpack("<L", directory[at + 42 : at + 46])
            directory[at + 42 : at + 46] = struct.pack("<L", offset + len(more))
            at += 46 + name + extra + comment
    parts = more + body if before else body + more
    tail = data[end : end + 12] + struct.pack("<2L", size, len(parts)) + data[end + 20 :]
    return parts + bytes(directory) + tail


def two_members_of_one_name() -> bytes:
    buffer = io.BytesIO(GOOD)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("triage_model/__init__.py", b"evil = True\n")
    return buffer.getvalue()


def a_link() -> bytes:
    buffer = io.BytesIO(GOOD)
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
ZIPS = {
    "bytes after the end": lambda: GOOD + b"x",
    "bytes before the start": lambda: b"#!/bin/sh\n" + GOOD,
    "bytes before the start, offsets mended": lambda: shifted(GOOD, b"#!/bin/sh\n", before=True),
    "bytes before the directory": lambda: shifted(GOOD, b"x", before=False),
    "a second archive after it": lambda: GOOD + pack(wheel_files("other")),
    "a member that only the local headers name": lambda: hidden_member(GOOD),
    "another name in the local header": lambda: field(GOOD, LOCAL, 30, b"Triage"),
    "another size in the local header": lambda: field(GOOD, LOCAL, 22, b"\x0d"),
    "another CRC in the local header": lambda: field(GOOD, LOCAL, 14, b"\0\0\0\0"),
    "another method in the local header": lambda: field(GOOD, LOCAL, 8, b"\0"),
    "another size in the directory": lambda: field(GOOD, CENTRAL, 24, b"\x0d"),
    "another CRC in the directory": lambda: field(GOOD, CENTRAL, 16, b"\0\0\0\0"),
    "encrypted": lambda: field(field(GOOD, CENTRAL, 8, b"\1"), LOCAL, 6, b"\1"),
    "an unusual method": lambda: field(field(GOOD, CENTRAL, 10, b"\x0e"), LOCAL, 8, b"\x0e"),
    "a version of the format that is to come": lambda: field(GOOD, CENTRAL, 6, b"\x40"),
    "the same in the local header": lambda: field(GOOD, LOCAL, 4, b"\x40"),
    "a comment": lambda: GOOD[:-2] + b"\1\0x",
    "fewer members than there are": lambda: field(GOOD, END, 8, b"\1\0\1\0"),
    "more members than there are": lambda: field(GOOD, END, 8, b"\x09\0\x09\0"),
    "several disks": lambda: field(GOOD, END, 4, b"\1\0"),
    "an offset into another member": lambda: field(GOOD, CENTRAL, 42, b"\x09"),
    "a directory cut off": lambda: GOOD[:-40] + GOOD[-22:],
    "cut off": lambda: GOOD[:-5],
    "one name twice": two_members_of_one_name,
    "a link": a_link,
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_with_two_readings_is_refused(tmp_path: Path, case: str) -> None:
    assert refusal(ZIPS[case](), tmp_path)


@pytest.mark.parametrize("how", ["stored", "deflated", "streamed", "zip64"])
def test_an_honest_zip_is_read_whoever_wrote_it(how: str) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe, seekable = Pipe(), io.BytesIO()
    method = zipfile.ZIP_STORED if how == "stored" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(pipe if how == "streamed" else seekable, "w", method) as archive:
        archive.mkdir("pkg")
        with archive.open("pkg/a.txt", "w", force_zip64=how == "zip64") as file:
            file.write(b"a" * 1000)
        archive.writestr("é.txt", "e")
    data = bytes(pipe.data) or seekable.getvalue()
    view = memoryview(data)
    contents = {member.name: member.read(view, limit=2000) for member in members(view)}
    assert contents == {"pkg/": b"", "pkg/a.txt": b"a" * 1000, "é.txt": b"e"}


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_flipping_any_byte_is_refused_or_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, at: int, mask: int
) -> None:
    data = bytearray(GOOD)
    data[at] ^= mask
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(data)
    try:
        distribution = inspect(path, FileName.parse(NAME))
    except Refused:  # and nothing else
        pass
    else:  # a time stamp, a version number: what no installer unpacks
        path.write_bytes(GOOD)
        assert distribution == inspect(path, FileName.parse(NAME))


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
def test_no_bytes_break_the_reader_of_zips(junk: bytes, at: int) -> None:
    for data in (junk, GOOD[:at] + junk, junk + GOOD[at:], GOOD[:at] + junk + GOOD[at:]):
        try:
            view = memoryview(data)
            for member in members(view):
                member.read(view, limit=2**20)
        except Refused:  # and nothing else
            continue


# -- source archives


def with_link() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"{TOP}/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    return buffer.getvalue()


PKG = {f"{TOP}/PKG-INFO": metadata("triage-model", "1.0.0")}
SDIST = sdist_bytes(PKG)
SOURCES = {
    "no gzip": (b"text", "not a gzip file"),
    "cut off": (SDIST[:-10], "cut off"),
    "bytes after the end": (SDIST + b"x", "bytes follow"),
    "a second gzip stream": (SDIST + gzip.compress(b"x"), "bytes follow"),
    "bytes after the tar's end": (gzip.compress(gzip.decompress(SDIST) + b"evil"), "bytes follow"),
    "no tar": (gzip.compress(b"x" * 2000), "cannot be read"),
    "an empty tar": (sdist_bytes({}), "no readable"),
    "no PKG-INFO": (sdist_bytes({f"{TOP}/setup.py": b""}), "no readable"),
    "a file outside the folder": (
        sdist_bytes({**PKG, "setup.py": b""}),
        "outside the source archive's only folder",
    ),
    "a name that leads out": (sdist_bytes({**PKG, f"{TOP}/../evil": b""}), "leads out"),
    "an absolute name": (sdist_bytes({**PKG, "/evil": b""}), "only folder"),
    "a link": (with_link(), "a link or a device"),
    "two of one name": (sdist_bytes({**PKG, f"{TOP}/pkg-info": b""}), "case and accents"),
    "another project's": (
        sdist_bytes({f"{TOP}/PKG-INFO": metadata("x", "1.0.0")}),
        "its metadata 'x'",
    ),
    "a bomb": (gzip.compress(bytes(40 * 2**20)), "unpacks to more than"),
}


def test_a_good_source_archive_is_taken(tmp_path: Path) -> None:
    check(SDIST, tmp_path, f"{TOP}.tar.gz")


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_archive_that_does_not_hold_together_is_refused(tmp_path: Path, case: str) -> None:
    data, reason = SOURCES[case]
    assert reason in refusal(data, tmp_path, f"{TOP}.tar.gz")


@given(st.integers(0, len(SDIST) - 1), st.integers(1, 255))
def test_flipping_any_byte_of_a_source_archive_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, at: int, mask: int
) -> None:
    data = bytearray(SDIST)
    data[at] ^= mask
    path = tmp_path_factory.getbasetemp() / "flipped-source"
    path.write_bytes(data)
    with suppress(Refused):  # and nothing else
        inspect(path, FileName.parse(f"{TOP}.tar.gz"))


@given(st.integers(0, len(gzip.decompress(SDIST)) - 1), st.integers(1, 255))
def test_flipping_any_byte_inside_a_source_archive_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, at: int, mask: int
) -> None:
    data = bytearray(gzip.decompress(SDIST))
    data[at % 1600] ^= mask  # the headers and what they speak of; the rest is zeros
    path = tmp_path_factory.getbasetemp() / "flipped-tar"
    path.write_bytes(gzip.compress(bytes(data), 1))
    with suppress(Refused):  # and nothing else
        inspect(path, FileName.parse(f"{TOP}.tar.gz"))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode())))
def test_no_metadata_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "metadata"
    for text in (junk, metadata("triage-model", "1.0.0") + junk, b"Content-Type: " + junk):
        files = wheel_files() | {f"{INFO}/METADATA": text}
        path.write_bytes(pack(files))
        with suppress(Refused):  # and nothing else
            inspect(path, FileName.parse(NAME))


@pytest.mark.parametrize(
    "line",
    [
        *("Content-Type: text/plain; charset=nothing-known", "Content-Transfer-Encoding: base64"),
        *("Content-Type: multipart/mixed; boundary=x", "Content-Transfer-Encoding: uuencode"),
        *(
            "Name: other",
            "Version: 9",
            "Requires-Dist: x @ file:///etc",
            "Description-Content-Type: x/y",
        ),
    ],
)
def test_metadata_with_a_second_meaning_does_not_break_the_reader(tmp_path: Path, line: str) -> None:
    text = metadata("triage-model", "1.0.0") + line.encode() + b"\n\n--x\n\n=\xff\n--x--\n"
    path = tmp_path / "staged"
    path.write_bytes(pack(wheel_files() | {f"{INFO}/METADATA": text}))
    with suppress(Refused):
        distribution = inspect(path, FileName.parse(NAME))
        assert distribution.display_name == "triage-model"
        assert not line.startswith(("Name", "Version"))
