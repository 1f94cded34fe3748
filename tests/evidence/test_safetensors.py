"""Safetensors: the rules of the header, and files that are safetensors to one loader and something else to another."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import pytest

from chainlab.evidence.models.formats import identify
from chainlab.evidence.models.inspection import inspect_bytes

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file(header: str | bytes | dict[str, object], data: bytes = bytes(8)) -> bytes:
    text = json.dumps(header) if isinstance(header, dict) else header
    encoded = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


ENTRY = json.dumps(F32)
PASSING = {
    "one tensor": file({"w": F32}),
    "metadata": file({"__metadata__": {"format": "pt"}, "w": F32}),
    "padded with spaces": file(json.dumps({"w": F32}) + " " * 5),
    "none": file({}, b""),
    "a scalar": file({"w": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}}),
    "an empty one": file({"e": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}, "w": F32}),
    "four bits each": file({"w": {"dtype": "F4", "shape": [4, 4], "data_offsets": [0, 8]}}),
    "in any order": file(
        {
            "b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]},
            "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
        }
    ),
}


@pytest.mark.parametrize("case", PASSING)
def test_a_file_that_keeps_the_rules_passes(case: str) -> None:
    assert identify(PASSING[case]).name == "safetensors"
    report = inspect_bytes(PASSING[case], "weights.safetensors")
    assert report.passed, report


def test_a_header_passes_whatever_its_length_looks_like() -> None:
    """Its eight bytes may be those of a pickle's protocol, of zlib, gzip or LZMA, or of a protobuf."""
    for length in (*range(0x48, 0x200), 0x280, 0x358, 0x580, 0x5E78, 0x9C78, 0xDA78, 0x8B1F, 0x10008):
        report = inspect_bytes(file(json.dumps({"w": F32}).ljust(length)), "weights.safetensors")
        assert report.passed, (length, report)


REFUSED = {
    "a name twice": file(f'{{"w": {ENTRY}, "w": {ENTRY}}}'),
    "a name twice, once spelled with an escape": file(f'{{"w": {ENTRY}, "\\u0077": {ENTRY}}}'),
    "a key of a tensor twice": file('{"w": {"dtype": "F32", "shape": [2], "shape": [2], "data_offsets": [0, 8]}}'),
    "a key of the metadata twice": file(f'{{"__metadata__": {{"a": "1", "a": "2"}}, "w": {ENTRY}}}'),
    "a shape that does not fit": file({"w": F32 | {"shape": [3]}}),
    "a dtype that does not fit": file({"w": F32 | {"dtype": "F64"}}),
    "half a byte": file({"w": {"dtype": "F4", "shape": [15], "data_offsets": [0, 8]}}),
    "an unknown dtype": file({"w": F32 | {"dtype": "O"}}),
    "no dtype": file({"w": {"shape": [2], "data_offsets": [0, 8]}}),
    "a key more": file({"w": F32 | {"loader": "x"}}),
    "a negative size": file({"w": F32 | {"shape": [-1, -2]}}),
    "sizes that are no integers": file({"w": F32 | {"shape": [2.0]}}),
    "a truth value for a size": file({"w": F32 | {"shape": [True, 2]}}),
    "more dimensions than any array has": file({"w": F32 | {"shape": [1] * 100_000 + [2]}}),
    "offsets the wrong way round": file({"w": F32 | {"data_offsets": [8, 0]}}),
    "three offsets": file({"w": F32 | {"data_offsets": [0, 4, 8]}}),
    "metadata of numbers": file({"__metadata__": {"a": 1}, "w": F32}),
    "metadata that is a list": file({"__metadata__": [], "w": F32}),
    "no tensor's bytes": file({"w": F32}, bytes(9)),
    "a tensor outside": file({"w": F32}, bytes(7)),
    "another encoding": file(json.dumps({"w": F32}).encode("utf-16-le")),
    "more behind the header": file(json.dumps({"w": F32}) + "{}"),
    "too deep": file('{"w":' * 100_000),
    "no JSON": file("{'w': 1}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_header_that_breaks_a_rule_of_the_format_is_refused(case: str) -> None:
    report = inspect_bytes(REFUSED[case], "weights.safetensors")
    assert not report.passed
    assert {finding.kind for finding in report.findings} <= {"malformed", "hidden-bytes"}
    assert report.findings


# -- two formats in one file

PAYLOAD = b"cos\nsystem\n(S'touch MARKER'\ntR."  # written, and never loaded


def with_data(data: bytes) -> bytes:
    return file({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}, data)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", PAYLOAD)
    return buffer.getvalue()


def and_a_pickle() -> bytes:
    """To the unpickler, ``X`` and four bytes are a text's length: it goes on in the header, then in the data."""
    skipped = 60
    length = ord("X") + (skipped << 8)
    head = '{"__metadata__": {"x": "'.ljust(5 + skipped - 8, "A") + "V"  # V: a text up to the next line feed
    data = b"\n" + PAYLOAD
    tail = '"}, "w": ' + json.dumps({"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}) + "}"
    return file(head.ljust(length - len(tail), "B") + tail, data)


def and_a_tar() -> bytes:
    """A tar's header holds numbers as text, which a text in JSON can hold, too."""
    head = '{"__metadata__": {"x": "'.ljust(100 - 8, "A") + "0000644 " * 3 + "00000000000 " * 2
    rest = "0".ljust(512 - 156)
    start = struct.pack("<Q", 2000) + head.encode()
    total = sum(start) + sum(b" " * 8) + sum(rest.encode())
    tail = f'"}}, "w": {ENTRY}}}'
    return file((head + f"{total:06o}  " + rest).ljust(2000 - len(tail), "D") + tail)


def and_gzip() -> bytes:
    """A header of this length begins like gzip, and its first name is a block that is stored as it is."""
    header = json.dumps({"h-A\u04be" + "B" * 20_000: F32}, ensure_ascii=False).encode()
    return file(header.ljust(0x088B1F))


TWO = {
    "pickle": and_a_pickle(),
    "tar": and_a_tar(),
    "compressed": and_gzip(),
    "zip": with_data(zipped()),
}


@pytest.mark.parametrize("other", TWO)
def test_a_file_that_is_another_one_to_another_loader_is_refused(other: str) -> None:
    assert identify(TWO[other]).name == "safetensors"
    (finding,) = inspect_bytes(TWO[other], "weights.safetensors").findings  # its header keeps the rules
    assert finding.kind == "two-formats"
    assert finding.message.endswith(f"{other} to another")


def test_a_text_that_is_a_tar_is_no_text() -> None:
    header = "notes".ljust(100) + "0000644 " * 3 + "00000000000 " * 2
    rest = "0".ljust(512 - 156)
    total = sum((header + " " * 8 + rest).encode())
    data = f"{header}{total:06o}  {rest}".encode()
    assert identify(data, "notes.txt").name == "tar"
    assert not inspect_bytes(data, "notes.txt").passed
