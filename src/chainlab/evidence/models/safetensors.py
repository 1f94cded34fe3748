"""Safetensors files: a header in JSON, then raw tensors, checked by the format's own rules.

    >>> findings(weights, "weights.safetensors")                               # doctest: +SKIP
    []

The file is a length (eight bytes, little-endian), a JSON object of that length, and the tensors one after the other.
Each entry has dtype, shape and data_offsets; no name is there twice; the tensors fill the file. Source: the safetensors
README, "Format", and the reference reader.
"""

from __future__ import annotations

import json
import math
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.findings import Finding

__all__ = ["findings"]

MAX_HEADER = 100 * 2**20  # bytes; the limit of the reference reader
MAX_DIMENSIONS = 64  # NumPy's limit, and PyTorch's
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


def findings(data: bytes, where: str) -> list[Finding]:
    """Report a header that breaks the format's rules, and bytes that belong to no tensor."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = _header(data[8 : 8 + length])
        spans = sorted(_span(name, entry) for name, entry in header.items())
    except MalformedInput as error:
        hint = "export it to ONNX or safetensors where it was trained"
        return [Finding("malformed", "high", where, error.message, hint)]
    at = 0
    for start, end in spans:  # one after the other, as the format demands
        at = end if start == at else -1
    if at == len(data) - 8 - length:
        return []
    message = "its tensors do not fill the file: there are bytes that belong to none, or to two"
    return [Finding("hidden-bytes", "high", where, message, "fetch it again, or have it exported again")]


def _header(text: bytes) -> dict[str, Any]:
    """Read the tensors' entries by name. Raises `MalformedInput` where the reference reader refuses."""
    if len(text) > MAX_HEADER:
        raise MalformedInput(f"its header has more than {MAX_HEADER} bytes")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except MalformedInput:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"its header cannot be read: {error}") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedInput("its __metadata__ holds values that are not texts")
    return header  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name, value in pairs:
        if name in entries:
            raise MalformedInput(f"its header has the name {name[:40]!r} twice: two readers see two tensors")
        entries[name] = value
    return entries


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Read where a tensor begins and ends. Raises `MalformedInput` when dtype and shape give another length."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise MalformedInput(f"tensor {name[:40]!r} must have dtype, shape and data_offsets, and nothing else")
    shape, offsets, bits = entry["shape"], entry["data_offsets"], BITS.get(str(entry["dtype"]))
    if bits is None or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise MalformedInput(f"tensor {name[:40]!r} has a dtype, shape or data_offsets that the format does not know")
    start, end = offsets
    if math.prod(shape) * bits != (end - start) * 8:
        raise MalformedInput(f"tensor {name[:40]!r} is not as long as its dtype and shape say")
    return start, end


def _are_sizes(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size < 2**63 for size in value)
