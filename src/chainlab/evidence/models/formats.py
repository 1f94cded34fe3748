"""Formats of models, identified by their bytes and not by their names, and whether loading one runs code.

    >>> tell(b"\\x89HDF\\r\\n\\x1a\\n").name
    'HDF5'

The sender chooses the name, but a loader looks at the bytes, and so do we: a pickle renamed to ``.safetensors`` stays a
pickle. Only text needs a name too: readable bytes pass as configuration or documentation under a name known for it.
"""

from __future__ import annotations

import io
import lzma
import pickle
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from chainlab.errors import Refused
from chainlab.evidence.models.pickles import is_pickle, program
from chainlab.evidence.packages.strict_zip import members

__all__ = ["FORMATS", "Format", "identify", "other_formats"]


@dataclass(frozen=True)
class Format:
    """A format; ``runs`` says whether loading runs code: ``yes``, ``partly`` or ``no``."""

    name: str
    runs: str
    why: str


FORMATS = {
    form.name: form
    for form in (
        Format("ONNX", "no", "a graph of operators; external files and own operators are the exceptions"),
        Format("safetensors", "no", "a header in JSON, then raw tensors"),
        Format("GGUF", "partly", "tensors and metadata; its chat template is a Jinja program"),
        Format("pickle", "yes", "a program that loading runs (also joblib's, uncompressed)"),
        Format("PyTorch zip", "yes", "a zip around a pickle"),
        Format("TorchScript", "yes", "a zip with pickles and compiled code"),
        Format("Keras zip", "partly", "layers in JSON; a Lambda layer holds Python bytecode"),
        Format("HDF5", "partly", "arrays; in Keras's older form also layers, and Lambda layers hold bytecode"),
        Format("SavedModel", "partly", "a graph whose operators can read and write files"),
        Format("NumPy", "no", "one array; of objects, it is a pickle"),
        Format("NumPy zip", "no", "arrays in a zip; those of objects are pickles"),
        Format("compressed", "yes", "compressed: joblib stores pickles so, and no scanner here looks inside"),
        Format("tar", "yes", "an archive: PyTorch's oldest form keeps pickles in one"),
        Format("zip", "yes", "an archive of something"),
        Format("text", "no", "text: configuration, vocabulary, documentation"),
        Format("other text", "yes", "text, and its name does not say what it is for"),
        Format("Python", "yes", "source code, as `trust_remote_code` runs it"),
        Format("empty", "no", "no bytes"),
        Format("unknown", "yes", "no known format"),
    )
}
COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x5d\x00\x00",  # lzma
    b"\x04\x22\x4d\x18",  # lz4
    b"\x28\xb5\x2f\xfd",  # zstd
)
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
ZLIB = tuple(bytes((0x78, flags)) for flags in (0x01, 0x5E, 0x9C, 0xDA))
PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
HDF5 = b"\x89HDF\r\n\x1a\n"  # at byte 0, or at 512 times a power of two
MAX_FIELDS = 10_000  # of a protobuf's outermost message; ONNX has a dozen
WIDTHS = {1: 8, 3: 0, 4: 0, 5: 4}  # bytes of a protobuf's numbers, by wire type; a group's begin and end have none
GLIMPSE = 2**20  # bytes that a decompressor is tried on
TEXT_SUFFIXES = frozenset(
    {".md", ".markdown", ".rst", ".txt", ".csv", ".tsv", ".bib", ".cff", ".jinja", ".jinja2", ".sha256", ".sig"}
    | {".json", ".jsonl", ".yaml", ".yml", ".toml", ".bpe", ".vocab"}
)
TEXT_NAMES = re.compile(
    r"(?:licen[cs]e|notice|copying|readme|authors|changelog|model_card|sha256sums|version)(?:[-_]\w+)?"
    r"|\.gitattributes|\.gitignore"
)
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")  # tab, line feeds and form feed are text


def identify(data: bytes, name: str = "") -> Format:
    """Identify the format of a file's bytes; ``name`` matters only for text: what it is for, and whether it is code."""
    return FORMATS[_name(data, name)]


def other_formats(data: bytes, kind: Format) -> list[str]:
    """Name the other formats as which a loader could read the bytes."""
    checks: dict[str, Callable[[bytes], bool]] = {
        "tar": _is_tar,
        "compressed": _is_compressed,
    }
    if data.startswith(b"\x08"):
        checks |= {"ONNX": lambda data: _protobuf(data) == "ONNX", "SavedModel": _has_meta_graph}
    if not data.startswith(ZIP):  # an unpickler reads a zip's first byte as an opcode
        checks |= {"pickle": lambda data: program(data).runs, "zip": lambda data: zipfile.is_zipfile(io.BytesIO(data))}
    return [name for name, is_one in checks.items() if name != kind.name and is_one(data)]


def _name(data: bytes, name: str) -> str:
    if not data:
        return "empty"
    if any(data.startswith(HDF5, at) for at in (0, *(512 << n for n in range(len(data).bit_length())))):
        return "HDF5"
    if data.startswith(b"GGUF"):
        return "GGUF"
    if data.startswith(ZIP):
        return _zip(data)
    if data.startswith(b"\x93NUMPY"):
        return "NumPy"
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        return "safetensors"
    if data.startswith(COMPRESSED) or data.startswith(ZLIB):
        return "compressed"
    if data.startswith(PROTOCOLS) or is_pickle(data):
        return "pickle"
    if _is_tar(data):
        return "tar"
    if _is_text(data):
        return _text(data, PurePosixPath(name.lower()))
    return _protobuf(data) if data.startswith(b"\x08") else "unknown"


def _text(data: bytes, path: PurePosixPath) -> str:
    if path.suffix in (".py", ".pyw") or data.startswith(b"#!"):
        return "Python"
    return "text" if path.suffix in TEXT_SUFFIXES or TEXT_NAMES.fullmatch(path.name) else "other text"


def _zip(data: bytes) -> str:
    strict = True
    try:
        names = {member.name for member in members(memoryview(data))}
    except Refused:  # also PyTorch's files, always ZIP64, which the first member's name identifies
        names, strict = {data[30 : 30 + int.from_bytes(data[26:28], "little")].decode("utf-8", "replace")}, False
    last = {name.rsplit("/", 1)[-1] for name in names}
    if "constants.pkl" in last:
        return "TorchScript"
    if "data.pkl" in last:
        return "PyTorch zip"
    if {"config.json", "metadata.json"} <= names:
        return "Keras zip"
    if strict and names and all(name.endswith(".npy") for name in names):
        return "NumPy zip"
    return "zip"


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not CONTROLS.search(data)


def _is_compressed(data: bytes) -> bool:
    if not data.startswith((*COMPRESSED, *ZLIB)):  # loaders look nowhere else
        return False
    for machine in (zlib.decompressobj(), zlib.decompressobj(wbits=31), lzma.LZMADecompressor()):
        with suppress(zlib.error, lzma.LZMAError, EOFError):
            if machine.decompress(data[:GLIMPSE], 1):
                return True
    return False


def _is_tar(data: bytes) -> bool:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            return archive.next() is not None
    except Exception:  # tarfile raises what the bytes make it raise
        return False


def _protobuf(data: bytes) -> str:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    with suppress(DecodeError, RuntimeError):
        model.ParseFromString(data)
        if model.HasField("graph") and model.opset_import:
            return "ONNX"
    return "SavedModel" if data.startswith(b"\x08\x01\x12") else "unknown"


def _has_meta_graph(data: bytes) -> bool:
    """Whether field 2 holds more than a name: ONNX keeps the producer's name there, a SavedModel its graphs."""
    at, has_graph = 0, False
    for _ in range(MAX_FIELDS):
        tag, at = _varint(data, at)
        if tag >> 3 == 0 or tag & 7 > 5:
            return False  # not a protobuf
        if tag & 7 == 2:
            length, at = _varint(data, at)
            has_graph = has_graph or (tag >> 3 == 2 and CONTROLS.search(data, at, at + length) is not None)
            at += length
        elif tag & 7 == 0:
            _, at = _varint(data, at)
        else:
            at += WIDTHS[tag & 7]
        if at >= len(data):
            return has_graph and at == len(data)
    return True


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read one of protobuf's numbers; returns it and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at] if at < len(data) else 0
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            break
    return value, at
