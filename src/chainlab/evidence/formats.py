"""Formats of models, told by their bytes and not by their names, and what loading one may run.

    >>> tell(b"\\x89HDF\\r\\n\\x1a\\n").name
    'HDF5'

A name is the sender's word; a loader looks at the bytes, and so do we. Whoever renames a pickle to ``.safetensors``
is not believed.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from dataclasses import dataclass

from chainlab.evidence.pickles import is_pickle

__all__ = ["FORMATS", "Format", "safetensors_header", "tell"]


@dataclass(frozen=True)
class Format:
    """A format; ``runs`` says whether loading runs code: ``yes``, ``partly`` or ``no``."""

    name: str
    runs: str
    why: str
    safe: bool = False  # fit for a release, once its content was scanned


FORMATS = {
    found.name: found
    for found in (
        Format("ONNX", "no", "a graph of operators; external files and own operators are the exceptions", True),
        Format("safetensors", "no", "a header in JSON, then raw tensors", True),
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
        Format("text", "no", "text: configuration, vocabulary, documentation", True),
        Format("Python", "yes", "source code, as `trust_remote_code` runs it"),
        Format("empty", "no", "no bytes", True),
        Format("unknown", "yes", "nothing that we know"),
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
ZLIB = tuple(bytes((0x78, flags)) for flags in (0x01, 0x5E, 0x9C, 0xDA))
HDF5 = b"\x89HDF\r\n\x1a\n"  # at 0, or at 512 times a power of two
MAX_HEADER = 100 * 2**20  # bytes; the limit of safetensors' own reader


def tell(data: bytes, name: str = "") -> Format:
    """The format of a file's bytes. ``name`` matters for text alone, where ``.py`` says that it is code."""
    return FORMATS[_name(data, name)]


def _name(data: bytes, name: str) -> str:
    if not data:
        return "empty"
    if data.startswith(HDF5) or any(data[512 << n :].startswith(HDF5) for n in range(8)):
        return "HDF5"
    if data.startswith(b"GGUF"):
        return "GGUF"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(data)
    if data.startswith(b"\x93NUMPY"):
        return "NumPy"
    if data.startswith(COMPRESSED) or data.startswith(ZLIB):
        return "compressed"
    if safetensors_header(data) is not None:
        return "safetensors"
    if is_pickle(data):
        return "pickle"
    if _is_text(data):
        return "Python" if name.endswith(".py") or data.startswith(b"#!") else "text"
    if data[257:262] == b"ustar" or _is_tar(data):
        return "tar"
    if data.startswith(b"\x08"):  # field 1, a number: ONNX's ir_version, SavedModel's schema version
        return _protobuf(data)
    return "unknown"


def safetensors_header(data: bytes) -> dict[str, object] | None:
    """The header of a safetensors file; None for any other."""
    if len(data) < 10:
        return None
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(MAX_HEADER, len(data) - 8) or data[8:9] != b"{":
        return None
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "unknown"
    last = {name.rsplit("/", 1)[-1] for name in names}
    if "constants.pkl" in last:
        return "TorchScript"
    if "data.pkl" in last:
        return "PyTorch zip"
    if {"config.json", "metadata.json"} <= names:
        return "Keras zip"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy zip"
    return "zip"


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(ord(c) < 32 and c not in "\t\n\r\f" for c in text)


def _is_tar(data: bytes) -> bool:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            return archive.next() is not None
    except (tarfile.TarError, ValueError):
        return False


def _protobuf(data: bytes) -> str:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError):
        return "SavedModel" if data.startswith(b"\x08\x01\x12") else "unknown"
    if model.HasField("graph") and model.opset_import:
        return "ONNX"
    return "SavedModel" if data.startswith(b"\x08\x01\x12") else "unknown"
