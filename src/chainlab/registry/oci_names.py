"""What may stand in a path: names of repositories, tags and digests.

A reference is a digest when it holds a colon, else a tag:

    >>> str(reference("v1.2"))
    'v1.2'

Nothing else gets past this module, so no name leads out of a directory or into another path.
Specification: distribution-spec 1.1, "Pulling manifests".
"""

from __future__ import annotations

import re

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.registry.oci_errors import OciError

__all__ = ["check_name", "digest", "is_tag", "reference"]

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
MAX_NAME = 255  # characters; many clients join a host name to it


def check_name(name: str) -> str:
    """``name``, if a repository may be called so. Raises `OciError` (400 NAME_INVALID)."""
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise OciError(
            400,
            "NAME_INVALID",
            f"not the name of a repository: {name[:80]!r}",
            mend="write lower-case words with '.', '_' or '-' between them, and '/' between parts",
        )
    return name


def is_tag(text: str) -> bool:
    """Whether a tag may be called so."""
    return TAG.fullmatch(text) is not None


def digest(text: str) -> Digest:
    """A digest from a path or a query. Raises `OciError` (400 DIGEST_INVALID)."""
    try:
        return Digest.parse(text)
    except MalformedInput as error:
        raise OciError(400, "DIGEST_INVALID", f"not a SHA-256 digest: {text[:80]!r}") from error


def reference(text: str) -> Digest | str:
    """A manifest's digest or tag, as a request to read or delete names it.

    Raises `OciError`: 400 DIGEST_INVALID, or 404 MANIFEST_UNKNOWN for what no tag can be.
    """
    if ":" in text:
        return digest(text)
    if not is_tag(text):
        raise OciError(404, "MANIFEST_UNKNOWN", f"no manifest can have the tag {text[:80]!r}")
    return text
