"""Inspection of models: each file's format, what loading it may run, and which files could not be scanned.

    >>> print(inspect(folder / "triage.onnx"))                                 # doctest: +SKIP
    1 scanned, 0 not scanned

A folder passes when every file in it was scanned and nothing speaks against one. The formats of PyTorch, Keras and
TensorFlow are never scanned: loading them may run code, and an honest file can be exported to ONNX or safetensors.
Wheels and sdists: `wheel_against_source`.
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
MAX_UNPACKED = 2**30  # bytes unpacked in one scan, over all its files
STANDARD = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training")


class _Budget:
    """The bytes that one scan may still unpack."""

    def __init__(self) -> None:
        self.left = MAX_UNPACKED

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise MalformedInput(f"this scan has unpacked {MAX_UNPACKED} bytes, which is the limit")


def inspect(model: Path) -> InspectionReport:
    """Inspect a model's file, or every file below a folder. Raises `MalformedInput` when the path is missing."""
    budget = _Budget()
    if model.is_dir():
        unread: list[OSError] = []
        reports = [_file(path, path.relative_to(model).as_posix(), budget) for path in _paths(model, unread)]
        unlisted = [(os.path.relpath(error.filename, model), f"cannot be listed: {error.strerror}") for error in unread]
        return InspectionReport.of([*reports, InspectionReport((), tuple(unlisted))])
    if not model.exists():
        raise MalformedInput(f"there is no file {model.name}")
    return _file(model, model.name, budget)


def _paths(folder: Path, unread: list[OSError]) -> list[Path]:
    """List every file and link below a folder; ``unread`` receives the errors of folders that cannot be listed."""
    paths = []
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        paths += [Path(parent, name) for name in names]
        paths += [path for path in (Path(parent, name) for name in folders) if path.is_symlink()]
    return sorted(paths)


def inspect_bytes(data: bytes, name: str) -> InspectionReport:
    """Inspect one file's bytes; ``name`` is for the report, and says what a text is for."""
    return _bytes(data, name, _Budget())


def _file(path: Path, name: str, budget: _Budget) -> InspectionReport:
    if path.is_symlink() or not path.is_file():
        return InspectionReport((), ((name, "not a regular file"),))
    try:
        if path.stat().st_size > MAX_BYTES:
            return InspectionReport((), ((name, f"larger than {MAX_BYTES} bytes"),))
        return _bytes(path.read_bytes(), name, budget)
    except OSError as error:
        return InspectionReport((), ((name, str(error)),))


def _bytes(data: bytes, name: str, budget: _Budget) -> InspectionReport:
    findings: list[Finding] = []
    prefix = ""
    try:
        form = formats.identify(data, name)
        prefix = f"{form.name}: "
        findings += _ambiguities(data, name, form)
        if form.name not in SCANNED:
            return InspectionReport((), ((name, prefix + form.why),), tuple(findings))
        findings += _arrays(data, name, budget) if form.name == "NumPy zip" else _SCANS[form.name](data, name)
    except ChainlabError as error:
        return InspectionReport((), ((name, prefix + error.message),), tuple(findings))
    except Exception as error:  # hostile bytes broke a parser
        why = f"{prefix}it cannot be read: {error or type(error).__name__}"
        return InspectionReport((), ((name, why),), tuple(findings))
    return InspectionReport((name,), (), tuple(findings))


def _ambiguities(data: bytes, name: str, form: Format) -> list[Finding]:
    """Report a file that is valid as two formats, and a zip that readers unpack differently."""
    hint = "fetch it again from its owner, or have it exported again"
    messages = [
        f"it is {form.name} to one loader and {other} to another" for other in formats.other_formats(data, form)
    ]
    findings = [Finding("two-formats", "high", name, message, hint) for message in messages]
    if data.startswith(formats.ZIP):
        try:
            strict_zip.members(memoryview(data))
        except Refused as error:
            message = f"{error.message}: not every reader unpacks it"
            findings.append(Finding("refused-zip", "high", name, message, hint))
    return findings


def _clean(data: bytes, name: str) -> list[Finding]:
    return []


def _python(data: bytes, name: str) -> list[Finding]:
    message = "source code beside a model: some loaders run it"
    return [Finding("code", "high", name, message, "ship code as a package, and have it reviewed")]


def _numpy(data: bytes, name: str) -> list[Finding]:
    return _array(data, len(data), name)


def _array(head: bytes, size: int, where: str) -> list[Finding]:
    """Report objects in an array of ``size`` bytes that begins with ``head``, and bytes that belong to no element."""
    from numpy.lib import format as npy

    file = io.BytesIO(head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about headers that Python 2 wrote
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise MalformedInput(f"NumPy's format has no version {version}")
        # Version 3 is version 2 with names in UTF-8; what a name is does not matter here.
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.hasobject:
        message = "its elements are Python objects: NumPy keeps them as a pickle, and loading runs it"
        return [Finding("unsafe-pickle", "high", where, message, "save it with a dtype of numbers or text")]
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        message = "it is not as long as its header says: there are bytes that belong to no element"
        return [Finding("hidden-bytes", "high", where, message, "fetch it again, or have it saved again")]
    return []


def _arrays(data: bytes, name: str, budget: _Budget) -> list[Finding]:
    """Report the faults of the arrays in a zip, each a member of its own."""
    view = memoryview(data)
    findings: list[Finding] = []
    for member in strict_zip.members(view):
        head = next(member.blocks(view), b"")  # a header is in the first block, the rest is numbers
        budget.spend(len(head))
        findings += _array(head, member.size, f"{name}:{member.name}")
    return findings


def _onnx(data: bytes, name: str) -> list[Finding]:
    from onnx import ModelProto, NodeProto, TensorProto

    model = ModelProto()
    model.ParseFromString(data)
    findings = []
    own = {(entry.domain, entry.name) for entry in model.functions}  # written in the same file
    foreign: set[str] = set()  # domains that are reported already
    outside: set[str] = set()
    for message in _messages(model):
        if isinstance(message, TensorProto):
            if message.data_location == TensorProto.EXTERNAL or message.external_data:
                at = {entry.key: entry.value for entry in message.external_data}.get("location", "")
                outside.add(at)
        elif (
            isinstance(message, NodeProto)
            and message.domain not in (*STANDARD, *foreign)
            and (message.domain, message.op_type) not in own
        ):
            foreign.add(message.domain)
            problem = f"operator {message.domain}.{message.op_type} needs a library that is loaded with it"
            hint = "use ONNX's own operators, or review that library as code"
            findings.append(Finding("custom-operator", "high", name, problem, hint))
    for at in sorted(outside):
        escapes = at.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", at) or ":" in at
        problem = f"weights are read from {at!r}" + (", outside the model's folder" if escapes else "")
        hint = "keep the weights in the file: a file outside is neither signed nor scanned with it"
        findings.append(Finding("external-data", "high", name, problem, hint))
    return findings


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
