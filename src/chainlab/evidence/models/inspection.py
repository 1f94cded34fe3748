"""Inspection of models: every file's format, what loading it may run, and what nobody could look into.

    >>> print(inspect(folder / "triage.onnx"))                                 # doctest: +SKIP
    1 scanned, 0 not scanned

A folder passes when every file in it was scanned and nothing speaks against one. What PyTorch, Keras and TensorFlow
load is not scanned, whatever is in it: loading it may run code, and an honest file can be exported to ONNX or
safetensors. Wheels and sdists: `wheelcheck`.
"""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.evidence.findings import Finding, InspectionReport
from chainlab.evidence.models import configurations, formats, gguf, pickles, safetensors
from chainlab.evidence.models.formats import Format
from chainlab.evidence.packages import strict_zip

__all__ = ["inspect", "inspect_bytes"]

MAX_BYTES = 2 * 2**30  # of one file; ONNX's own limit
MAX_UNPACKED = 2**30  # bytes unpacked in one scan, of all its files together
STANDARD = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training")


class _Budget:
    """What one scan may still unpack, in bytes."""

    def __init__(self) -> None:
        self.left = MAX_UNPACKED

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise MalformedInput(f"this scan has unpacked {MAX_UNPACKED} bytes, and unpacks no more")


def inspect(model: Path) -> InspectionReport:
    """The report on a model's file, or on every file below a folder. Raises `MalformedInput` where there is neither."""
    budget = _Budget()
    if model.is_dir():
        unread: list[OSError] = []
        found = [_file(path, path.relative_to(model).as_posix(), budget) for path in _paths(model, unread)]
        left = [(os.path.relpath(error.filename, model), f"cannot be listed: {error.strerror}") for error in unread]
        return InspectionReport.of([*found, InspectionReport((), tuple(left))])
    if not model.exists():
        raise MalformedInput(f"there is no file {model.name}")
    return _file(model, model.name, budget)


def _paths(folder: Path, unread: list[OSError]) -> list[Path]:
    """List every file and link below a folder; ``unread`` receives the errors of folders that cannot be listed."""
    found = []
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        found += [Path(parent, name) for name in names]
        found += [path for path in (Path(parent, name) for name in folders) if path.is_symlink()]
    return sorted(found)


def inspect_bytes(data: bytes, name: str) -> InspectionReport:
    """The report on one file's bytes; ``name`` is for the report, and says what a text is for."""
    return _bytes(data, name, _Budget())


def _file(path: Path, name: str, budget: _Budget) -> InspectionReport:
    if path.is_symlink() or not path.is_file():
        return InspectionReport((), ((name, "no regular file"),))
    try:
        if path.stat().st_size > MAX_BYTES:
            return InspectionReport((), ((name, f"larger than {MAX_BYTES} bytes"),))
        return _bytes(path.read_bytes(), name, budget)
    except OSError as error:
        return InspectionReport((), ((name, str(error)),))


def _bytes(data: bytes, name: str, budget: _Budget) -> InspectionReport:
    found: list[Finding] = []
    told = ""
    try:
        kind = formats.identify(data, name)
        told = f"{kind.name}: "
        found += _readings(data, name, kind)
        if kind.name not in SCANNED:
            return InspectionReport((), ((name, told + kind.why),), tuple(found))
        found += _arrays(data, name, budget) if kind.name == "NumPy zip" else _SCANS[kind.name](data, name)
    except ChainlabError as error:
        return InspectionReport((), ((name, told + error.message),), tuple(found))
    except Exception as error:  # a parser that hostile bytes upset
        return InspectionReport(
            (), ((name, f"{told}it cannot be read: {error or type(error).__name__}"),), tuple(found)
        )
    return InspectionReport((name,), (), tuple(found))


def _readings(data: bytes, name: str, kind: Format) -> list[Finding]:
    """Report a file that is valid as two formats, and a zip with two readings: each loader loads something else."""
    hint = "fetch it again from its owner, or have it exported again"
    said = [f"it is {kind.name} to one loader and {other} to another" for other in formats.other_formats(data, kind)]
    found = [Finding("two-formats", "high", name, each, hint) for each in said]
    if data.startswith(formats.ZIP):
        try:
            strict_zip.members(memoryview(data))
        except Refused as error:
            found.append(Finding("refused-zip", "high", name, f"{error.message}: not every reader unpacks it", hint))
    return found


def _clean(data: bytes, name: str) -> list[Finding]:
    return []


def _python(data: bytes, name: str) -> list[Finding]:
    said = "source code beside a model: some loaders run it"
    return [Finding("code", "high", name, said, "ship code as a package, and have it reviewed")]


def _numpy(data: bytes, name: str) -> list[Finding]:
    return _array(data, len(data), name)


def _array(head: bytes, size: int, where: str) -> list[Finding]:
    """Report objects in an array of ``size`` bytes that begins with ``head``, and bytes that belong to no element."""
    from numpy.lib import format as npy

    file = io.BytesIO(head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that Python 2 wrote
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise MalformedInput(f"NumPy's format has no version {version}")
        # Version 3 is version 2 with names in UTF-8; what a name is does not matter here.
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        said = "its elements are Python objects: NumPy keeps them as a pickle, and loading runs it"
        return [Finding("unsafe-pickle", "high", where, said, "save it with a dtype of numbers or text")]
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        said = "it is not as long as its header says: there are bytes that belong to no element"
        return [Finding("hidden-bytes", "high", where, said, "fetch it again, or have it saved again")]
    return []


def _arrays(data: bytes, name: str, budget: _Budget) -> list[Finding]:
    """Report what is wrong with the arrays in a zip, each a member of its own."""
    view = memoryview(data)
    found: list[Finding] = []
    for member in strict_zip.members(view):
        head = next(member.blocks(view), b"")  # a header is in the first block, the rest is numbers
        budget.spend(len(head))
        found += _array(head, member.size, f"{name}:{member.name}")
    return found


def _onnx(data: bytes, name: str) -> list[Finding]:
    from onnx import ModelProto, NodeProto, TensorProto

    model = ModelProto()
    model.ParseFromString(data)
    found = []
    own = {(entry.domain, entry.name) for entry in model.functions}  # written in the same file
    told: set[str] = set()
    outside: set[str] = set()
    for message in _messages(model):
        if isinstance(message, TensorProto):
            if message.data_location == TensorProto.EXTERNAL or message.external_data:
                at = {entry.key: entry.value for entry in message.external_data}.get("location", "")
                outside.add(at)
        elif (
            isinstance(message, NodeProto)
            and message.domain not in (*STANDARD, *told)
            and (message.domain, message.op_type) not in own
        ):
            told.add(message.domain)  # once each
            said = f"operator {message.domain}.{message.op_type} needs a library that is loaded with it"
            hint = "use ONNX's own operators, or review that library as code"
            found.append(Finding("custom-operator", "high", name, said, hint))
    for at in sorted(outside):
        escapes = at.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", at) or ":" in at
        said = f"weights are read from {at!r}" + (", outside the model's folder" if escapes else "")
        hint = "keep the weights in the file: what is outside is neither signed nor scanned with it"
        found.append(Finding("external-data", "high", name, said, hint))
    return found


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if hasattr(value, "append") or hasattr(value, "add") else (value,):
                yield from _messages(each)


def _gguf(data: bytes, name: str) -> list[Finding]:
    templates = [text for key, texts in gguf.texts(data) if key.startswith(gguf.TEMPLATE) for text in texts]
    return configurations.templates(templates, name)


_SCANS: dict[str, Callable[[bytes, str], list[Finding]]] = {
    "ONNX": _onnx,
    "safetensors": safetensors.findings,
    "GGUF": _gguf,
    "pickle": pickles.findings,
    "NumPy": _numpy,
    "text": configurations.findings,
    "Python": _python,
    "empty": _clean,
}
SCANNED = {*_SCANS, "NumPy zip"}
