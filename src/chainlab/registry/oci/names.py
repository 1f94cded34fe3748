"""Names in a path: repositories, tags and digests.

A reference is a digest when it holds a colon, else a tag:

    >>> str(reference("v1.2"))
    'v1.2'

This module refuses everything else, so no name leads out of a directory or into another path.

Bytes are stored by SHA-256 only. A request for a digest of another algorithm is valid and finds nothing; a push by one
is refused.

Specifications: distribution-spec 1.1, "Pulling manifests"; image-spec 1.1, "Digests".
"""

from __future__ import annotations

import re

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.registry.oci.errors import OciError

__all__ = ["any_digest", "check_name", "digest", "is_tag", "reference"]

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
MAX_NAME = 255  # characters; many clients join a host name to it
DIGEST = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]+)")  # image-spec 1.1, "Digests"
MAX_DIGEST = 255  # characters; more than any registered algorithm has
SHA512 = re.compile(r"[0-9a-f]{128}")


class _Foreign(Digest):
    """A digest that is not SHA-256: ``value`` holds its encoded part as ASCII, since its alphabet is not known."""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.decode()}"


def check_name(name: str) -> str:
    """Return ``name`` if it is a repository's name. Raises `OciError` (400 NAME_INVALID)."""
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise OciError(
            400,
            "NAME_INVALID",
            f"not a repository's name: {name[:80]!r}",
            hint="write lower-case words with '.', '_' or '-' between them, and '/' between parts",
        )
    return name


def is_tag(text: str) -> bool:
    """Whether ``text`` is a tag."""
    return TAG.fullmatch(text) is not None


def digest(text: str) -> Digest:
    """Read the digest of bytes that a request sends. Raises `OciError` (400 DIGEST_INVALID)."""
    try:
        return Digest.parse(text)
    except MalformedInput as error:
        raise OciError(400, "DIGEST_INVALID", f"not a SHA-256 digest: {text[:80]!r}") from error


def any_digest(text: str) -> Digest:
    """Read a digest, of any algorithm, that a request asks for or a manifest refers to.

    Only SHA-256 is ever stored. Raises `OciError` (400 DIGEST_INVALID).
    """
    match = DIGEST.fullmatch(text)
    if match is None or match[1] == "sha256" or len(text) > MAX_DIGEST:
        return digest(text)
    if match[1] == "sha512" and not SHA512.fullmatch(match[2]):
        raise OciError(400, "DIGEST_INVALID", f"not a SHA-512 digest: {text[:80]!r}")
    return _Foreign(match[1], match[2].encode())


def reference(text: str) -> Digest | str:
    """Read the digest or tag in a request to read or delete a manifest.

    Raises `OciError`: 400 DIGEST_INVALID, or 404 MANIFEST_UNKNOWN for text that cannot be a tag.
    """
    if ":" in text:
        return any_digest(text)
    if not is_tag(text):
        raise OciError(404, "MANIFEST_UNKNOWN", f"not a tag: {text[:80]!r}")
    return text
