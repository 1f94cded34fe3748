"""The query of the pages' search.

A word matches names, tags, versions, files, channels and states. Case does not matter, and ``-``, ``_`` and ``.``
between words are equal. The beginning of a digest matches as the pages show it, or as bare hex:

    >>> SearchQuery.parse("8D2E3E312AFF…").prefix
    'sha256:8d2e3e312aff'
    >>> SearchQuery.parse("acme_cells").matches(["acme-cells"])
    True
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from chainlab.digests import Digest
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.names import any_digest

__all__ = ["SearchQuery"]

BETWEEN = re.compile(r"[-_.]+")
# In a reference the digest follows an "@". Bare hex means SHA-256, and is so long that few words look like it.
BEGINNING = re.compile(
    r"(?:.*@)?(?:(sha256:[0-9a-f]{1,64}|sha512:[0-9a-f]{1,128})|([0-9a-f]{6,64}))(?:…|\.\.\.)?", re.DOTALL
)


@dataclass(frozen=True)
class SearchQuery:
    """A text to search for."""

    text: str
    prefix: str  # of the digests to search for; empty when the text is not the beginning of a digest

    @classmethod
    def parse(cls, text: str) -> SearchQuery:
        """Read a query; every text is one."""
        match = BEGINNING.fullmatch(text.strip().lower())
        return cls(text.strip(), (match[1] or f"sha256:{match[2]}") if match else "")

    @property
    def digest(self) -> Digest | None:
        """The digest, when the query is a whole one; else None."""
        try:
            return any_digest(self.prefix)
        except OciError:
            return None

    def matches(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts contains the query."""
        folded = _folded(self.text)
        return any(folded in _folded(text) for text in texts)

    def begins(self, digest: Digest) -> bool:
        """Whether the digest begins with the query."""
        return bool(self.prefix) and str(digest).startswith(self.prefix)


def _folded(text: str) -> str:
    return BETWEEN.sub("-", text.casefold())
