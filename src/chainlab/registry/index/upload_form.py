"""The upload form that twine and uv send, read as it arrives.

    POST /legacy/   multipart/form-data
      :action = file_upload   protocol_version = 1   name, version, filetype, metadata fields …
      sha256_digest, md5_digest, blake2_256_digest   attestations = […]   content = the file

The file is written to staging; the fields, which are small, stay in memory.

Source: PyPI's documentation of its upload API.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from chainlab.errors import Refused
from chainlab.evidence.packages.versions import is_same_version
from chainlab.registry.blobs import Staged
from chainlab.registry.index.distributions import FileName

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["MAX_FIELDS", "UploadForm", "read_form"]

MAX_FIELDS = 4 * 2**20  # bytes of all fields together: descriptions and attestations are long
MAX_PARTS = 5_000
DIGESTS = {"md5_digest": "md5", "sha256_digest": "sha256", "blake2_256_digest": "blake2b"}


@dataclass
class UploadForm:
    """The fields of an upload; the file is in staging."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None  # of the part 'content'

    def one(self, name: str) -> str | None:
        """Return a field that occurs at most once. Raises `Refused` (400)."""
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise Refused(400, f"the field {name!r} occurs {len(values)} times")
        return values[0] if values else None

    def name(self) -> FileName:
        """Return the file's name after comparing it with the form. Raises `Refused` (400)."""
        if (action := self.one(":action")) != "file_upload":
            raise Refused(400, f"expected the ':action' file_upload, got {action!r}")
        if (protocol := self.one("protocol_version")) not in (None, "1"):
            raise Refused(400, f"expected protocol_version 1, got {protocol!r}")
        if self.filename is None:
            raise Refused(400, "the upload has no file (expected a part 'content' with a file name)")
        name = FileName.parse(self.filename)
        project, version, kind = (self.one(field) for field in ("name", "version", "filetype"))
        if project is None or canonicalize_name(project) != name.project:
            raise Refused(400, f"the form says name {_short(project)}, the file name {name.project!r}")
        if version is None or not is_same_version(version, name.version):
            raise Refused(400, f"the form says version {_short(version)}, the file name {name.version!r}")
        if kind not in (None, name.kind):
            raise Refused(400, f"the form says filetype {_short(kind)}, the file name {name.kind!r}")
        return name

    def check_digests(self, staged: Staged) -> None:
        """Compare the form's digests with the staged file, which takes long. Raises `Refused` (400)."""
        staged.flush()
        for name, algorithm in DIGESTS.items():
            if not (digits := self.one(name)):
                continue
            hash = (
                hashlib.blake2b(digest_size=32)
                if algorithm == "blake2b"
                else hashlib.new(algorithm, usedforsecurity=False)
            )
            with staged.path.open("rb") as file:
                while block := file.read(2**20):
                    hash.update(block)
            if digits.lower() != hash.hexdigest():
                raise Refused(400, f"the {name} of the file that arrived differs from the form's")


async def read_form(content_type: str, chunks: AsyncIterable[bytes], staged: Staged, *, limit: int) -> UploadForm:
    """Read the form of a request of at most ``limit`` bytes; write the file to ``staged``.

    Raises `Refused`: 400, 413 or 415.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Refused(415, "expected multipart/form-data with a boundary")
    reader = _FormReader(staged)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        async for chunk in chunks:
            limit -= len(chunk)
            if limit < 0:
                raise Refused(413, "the request is larger than a distribution may be")
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, f"the form cannot be read: {error}") from error
    if not reader.ended:
        raise Refused(400, "the form is cut off: its last boundary is missing")
    return reader.form


class _FormReader:
    """Collects the parts of a form as the parser reads them."""

    def __init__(self, staged: Staged) -> None:
        self.form = UploadForm()
        self.ended = False
        self._staged = staged
        self._size = self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = bytearray()
        self._value = bytearray()
        self._name: str | None = None  # of the field that is being read; None for the file
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """Return the callbacks of the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refused(413, f"the form has more than {MAX_PARTS} parts")
        self._headers = {}

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = _text(options.get(b"name", b""))
        if kind != b"form-data" or not name:
            raise Refused(400, "a part of the form has no name")
        self._name, self._data = name, bytearray()
        if name == "content":
            if self.form.filename is not None:
                raise Refused(400, "the form has two parts 'content'")
            if b"filename" not in options:
                raise Refused(400, "the part 'content' has no file name")
            self._name, self.form.filename = None, _text(options[b"filename"])

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            self._staged.write(data[start:end])
            return
        self._size += end - start
        if self._size > MAX_FIELDS:
            raise Refused(413, f"the form's fields are larger than {MAX_FIELDS} bytes")
        self._data.extend(data[start:end])

    def _close(self) -> None:
        if self._name is not None:
            self.form.fields.setdefault(self._name, []).append(_text(bytes(self._data)))

    def _end(self) -> None:
        self.ended = True


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, "the form is not in UTF-8") from error


def _short(value: str | None) -> str:
    return "nothing" if value is None else repr(value[:80])
