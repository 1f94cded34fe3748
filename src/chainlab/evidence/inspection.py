"""Inspection of models: every file's format, what loading it may run, and what nobody could look into.

    >>> print(inspect(folder / "triage.onnx"))                                 # doctest: +SKIP
    1 scanned, 0 not scanned

A folder passes when every file in it was scanned and nothing speaks against one. Wheels and sdists: `wheelcheck`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence import formats, pickles
from chainlab.evidence.findings import Finding, Report
from chainlab.evidence.formats import Format

__all__ = ["Finding", "Report", "inspect", "inspect_bytes"]

MAX_BYTES = 2 * 2**30  # of one file; ONNX's own limit
MAX_MEMBER = 2**30  # of one member of a zip, unpacked
STANDARD = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training")
TEMPLATE_CALLS = re.compile(r"__\w+__|\|\s*attr\b|\bcycler\b|\blipsum\b|\bnamespace\.__|\bself\.")
FILE_OPERATORS = re.compile(
    rb"\b(?:ReadFile|WriteFile|MatchingFiles|PyFunc|EagerPyFunc|PyFuncStateless|PrintV2|Save(?:V2|Slices)?)\b"
)
EXPORT = "export it to ONNX or safetensors where it was trained"


def inspect(model: Path) -> Report:
    """The report on a model's file, or on every file below a folder. Raises `MalformedInput` where there is neither."""
    if model.is_dir():
        paths = sorted(path for path in model.rglob("*") if path.is_symlink() or not path.is_dir())
        return Report.of(_file(path, path.relative_to(model).as_posix()) for path in paths)
    if not model.exists():
        raise MalformedInput(f"there is no file {model.name}")
    return _file(model, model.name)


def inspect_bytes(data: bytes, name: str) -> Report:
    """The report on one file's bytes; ``name`` is for the report."""
    kind = formats.tell(data, name)
    try:
        left, found = _LOOK.get(kind.name, _nothing)(data, name, kind)
    except Exception as error:  # a parser that hostile bytes upset
        left, found = f"{kind.name}: {type(error).__name__}: {error}", []
    found += _two_formats(data, name, kind)
    if left:
        return Report((), ((name, left),), tuple(found))
    return Report((name,), (), tuple(found))


def _file(path: Path, name: str) -> Report:
    if path.is_symlink() or not path.is_file():
        return Report((), ((name, "no regular file"),))
    if path.stat().st_size > MAX_BYTES:
        return Report((), ((name, f"larger than {MAX_BYTES} bytes"),))
    try:
        return inspect_bytes(path.read_bytes(), name)
    except OSError as error:
        return Report((), ((name, str(error)),))


Scanned = tuple[str, list[Finding]]  # why it was not scanned, empty when it was; and the findings


def _nothing(data: bytes, name: str, kind: Format) -> Scanned:
    return f"{kind.name}: {kind.why}", []


def _clean(data: bytes, name: str, kind: Format) -> Scanned:
    return "", []


def _text(data: bytes, name: str, kind: Format) -> Scanned:
    found = []
    if name.endswith(".json"):
        try:
            remote = "auto_map" in json.loads(data)
        except (ValueError, RecursionError, TypeError):
            remote = False
        if remote:
            said = "`auto_map` names Python classes that a loader with trust_remote_code runs"
            found.append(Finding("remote-code", "high", name, said, "use a class of the library"))
    return "", found


def _python(data: bytes, name: str, kind: Format) -> Scanned:
    said = "source code beside a model: some loaders run it"
    return "", [Finding("code", "high", name, said, "ship code as a package, and have it reviewed")]


def _pickle(data: bytes, name: str, kind: Format) -> Scanned:
    return "", pickles.findings(data, name)


def _numpy(data: bytes, name: str, kind: Format) -> Scanned:
    wide = data[6:7] != b"\x01"  # version 1 has two bytes for the header's length, later ones four
    start = 12 + int.from_bytes(data[8:12], "little") if wide else 10 + int.from_bytes(data[8:10], "little")
    if b"|O" in data[:start]:  # objects: a pickle follows
        return "", pickles.findings(data[start:], name)
    return "", []


def _safetensors(data: bytes, name: str, kind: Format) -> Scanned:
    header = formats.safetensors_header(data) or {}
    length = int.from_bytes(data[:8], "little")
    ends, spans = len(data) - 8 - length, []
    for tensor, entry in header.items():
        if tensor == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(at) is int for at in offsets)):
            said = f"tensor {tensor[:40]!r} has no data_offsets"
            return "", [Finding("malformed", "high", name, said, EXPORT)]
        spans.append((offsets[0], offsets[1]))
    at = 0
    for start, end in sorted(spans):  # one after the other, as the format demands
        at = end if start == at <= end else -1
    if at != ends:
        said = "its tensors do not fill the file: there are bytes that belong to none, or to two"
        return "", [Finding("hidden-bytes", "high", name, said, "fetch it again, or have it exported again")]
    return "", []


def _onnx(data: bytes, name: str, kind: Format) -> Scanned:
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
            mend = "use ONNX's own operators, or review that library as code"
            found.append(Finding("custom-operator", "high", name, said, mend))
    for at in sorted(outside):
        escapes = at.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", at) or ":" in at
        said = f"weights are read from {at!r}" + (", outside the model's folder" if escapes else "")
        mend = "keep the weights in the file: what is outside is neither signed nor scanned with it"
        found.append(Finding("external-data", "high", name, said, mend))
    return "", found


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if hasattr(value, "append") or hasattr(value, "add") else (value,):
                yield from _messages(each)


def _gguf(data: bytes, name: str, kind: Format) -> Scanned:
    key = b"tokenizer.chat_template"
    at = data.find(key)
    if at < 0:
        return "", []
    at += len(key)
    kind_of, length = int.from_bytes(data[at : at + 4], "little"), data[at + 4 : at + 12]
    template = data[at + 12 : at + 12 + int.from_bytes(length, "little")]
    if kind_of != 8 or len(template) > 2**20:  # 8: a text
        said = "its chat template cannot be read"
        return "", [Finding("malformed", "high", name, said, "fetch it again")]
    calls = TEMPLATE_CALLS.search(template.decode("utf-8", "replace"))
    if calls:
        said = f"its chat template reaches for {calls[0]!r}: a Jinja program that leaves its sandbox"
        return "", [Finding("template", "high", name, said, "render it in a sandbox, or replace it")]
    said = "it has a chat template: a Jinja program that the runtime renders"
    return "", [Finding("template", "info", name, said)]


def _keras(data: bytes, name: str, kind: Format) -> Scanned:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        try:
            config = json.loads(_member(archive, "config.json"))
        except (ValueError, RecursionError, KeyError) as error:
            return f"config.json cannot be read: {error}", []
    found = []
    for layer in _layers(config):
        module = str(layer.get("module") or "")
        called = str(layer.get("class_name"))
        if "Lambda" in called:
            said = "a Lambda layer holds Python bytecode that loading runs"
        elif module and module.split(".")[0] not in ("keras", "builtins", "tensorflow"):
            said = f"layer {called} is imported from {module}"
        elif layer.get("registered_name") and not module:
            said = f"layer {called} needs code that the file does not have"
        else:
            continue
        found.append(Finding("layer-code", "high", name, said, EXPORT))
    return "", sorted(set(found))


def _layers(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _hdf5(data: bytes, name: str, kind: Format) -> Scanned:
    found = []
    if b"model_config" in data and b'"Lambda"' in data:
        said = "a Lambda layer holds Python bytecode that loading runs"
        found.append(Finding("layer-code", "high", name, said, EXPORT))
    return "HDF5: no scanner here reads its attributes", found


def _saved_model(data: bytes, name: str, kind: Format) -> Scanned:
    names = sorted({match.decode() for match in FILE_OPERATORS.findall(data)})
    found = []
    if names:
        said = f"operators that reach outside the graph: {', '.join(names)}"
        found.append(Finding("file-operator", "high", name, said, EXPORT))
    return "SavedModel: no scanner here reads its graph", found


def _zipped(data: bytes, name: str, kind: Format) -> Scanned:
    """A zip of pickles or arrays: each member as a file of its own."""
    found: list[Finding] = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if kind.name == "TorchScript":
            said = "compiled code that loading prepares and calling runs"
            found.append(Finding("code", "high", name, said, EXPORT))
        for member in archive.namelist():
            try:
                inner = _member(archive, member)
            except (ValueError, KeyError) as error:
                return f"{member}: {error}", found
            where = f"{name}:{member}"
            by_bytes = kind.name != "PyTorch zip" and pickles.is_pickle(inner[:2])
            if member.endswith(".pkl") or by_bytes:  # PyTorch opens its pickle by name
                found += pickles.findings(inner, where)
            elif member.endswith(".npy"):
                found += _numpy(inner, where, kind)[1]
    return "", found


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_MEMBER:
        raise ValueError(f"{info.file_size} bytes")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(str(error)) from error


def _two_formats(data: bytes, name: str, kind: Format) -> list[Finding]:
    """A file that starts as one format and ends as a zip: which one is loaded depends on the loader."""
    if data.startswith(b"PK") or not zipfile.is_zipfile(io.BytesIO(data)):
        return []
    said = f"{kind.name} at its start, a zip at its end: two loaders see two files"
    return [Finding("two-formats", "high", name, said, "fetch it again from its owner")]


_LOOK: dict[str, Callable[[bytes, str, Format], Scanned]] = {
    "ONNX": _onnx,
    "safetensors": _safetensors,
    "GGUF": _gguf,
    "pickle": _pickle,
    "PyTorch zip": _zipped,
    "TorchScript": _zipped,
    "NumPy zip": _zipped,
    "NumPy": _numpy,
    "Keras zip": _keras,
    "HDF5": _hdf5,
    "SavedModel": _saved_model,
    "text": _text,
    "Python": _python,
    "empty": _clean,
}
