"""What a request to ``/v2/`` asks for: its path, its ranges and its numbers, read and checked.

>>> read_path("acme/triage-model/manifests/v1.4.0")
('manifest', 'acme/triage-model', 'v1.4.0')
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from chainlab.credentials import Credential
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.names import check_name

__all__ = ["OciRequest", "content_range", "number", "read_path"]

SHAPES = (  # what may follow the repository's name; the name is read greedily
    ("uploads", re.compile(r"(.*)/blobs/uploads/?")),
    ("upload", re.compile(r"(.*)/blobs/uploads/([^/]+)")),
    ("blob", re.compile(r"(.*)/blobs/([^/]+)")),
    ("manifest", re.compile(r"(.*)/manifests/([^/]+)")),
    ("tags", re.compile(r"(.*)/tags/list")),
    ("referrers", re.compile(r"(.*)/referrers/([^/]+)")),
)
RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True)
class OciRequest:
    """A request whose path was read."""

    http: Request
    name: str  # of the repository
    reference: str  # a digest, a tag or an upload's id, unchecked; empty when the path has none
    caller: Credential | None

    @property
    def by(self) -> str:
        """The caller's subject."""
        return self.caller.subject if self.caller else "anonymous"

    @property
    def job(self) -> str:
        """The id of the job whose credential this is; empty for a person's."""
        return self.caller.job if self.caller else ""

    @property
    def at(self) -> str:
        """The id of the running job that the request came from, whoever holds the credential; empty for none."""
        return self.caller.at if self.caller else ""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query string."""
        return self.http.query_params


def read_path(path: str) -> tuple[str, str, str]:
    """Read kind, repository and reference from a path below ``/v2/``.

    Raises `OciError`: 404 for another shape, 400 NAME_INVALID.
    """
    for kind, shape in SHAPES:
        if match := shape.fullmatch(path):
            reference = match[2] if shape.groups == 2 else ""
            return kind, check_name(match[1]), reference
    raise OciError(404, "NAME_UNKNOWN", "nothing is served here")


def content_range(request: Request) -> tuple[int, int] | None:
    """Read the first and last byte of a chunk from its header; None without one. Raises `OciError` (416)."""
    text = request.headers.get("content-range")
    if text is None:
        return None
    match = RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise OciError(416, "BLOB_UPLOAD_INVALID", "expected Content-Range: FIRST-LAST")
    return int(match[1]), int(match[2])


def number(text: str, name: str) -> int:
    """Read a number from the query parameter ``name``. Raises `OciError` (400)."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise OciError(400, "UNSUPPORTED", f"expected a whole number in {name!r}")
    return int(text)
