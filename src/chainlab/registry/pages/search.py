"""Search: what a person may type to find what the pages show.

A word is found in names, tags, versions, files, channels and states; case does not matter, and neither does which of
``-``, ``_`` and ``.`` stands between words. The beginning of a digest is found as the pages show it, or as bare hex:

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
# In a reference the digest follows an "@". Bare hex is SHA-256's, and long enough that few words are taken for it.
BEGINNING = re.compile(
    r"(?:.*@)?(?:(sha256:[0-9a-f]{1,64}|sha512:[0-9a-f]{1,128})|([0-9a-f]{6,64}))(?:…|\.\.\.)?", re.DOTALL
)


@dataclass(frozen=True)
class SearchQuery:
    """What was typed."""

    text: str
    prefix: str  # how the digests begin that are looked for; empty when the text is the beginning of none

    @classmethod
    def parse(cls, text: str) -> SearchQuery:
        """Read what was typed; every text is a query."""
        found = BEGINNING.fullmatch(text.strip().lower())
        return cls(text.strip(), (found[1] or f"sha256:{found[2]}") if found else "")

    @property
    def digest(self) -> Digest | None:
        """The digest, when all of it was typed."""
        try:
            return any_digest(self.prefix)
        except OciError:
            return None

    def matches(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts has in it what was typed."""
        wanted = _folded(self.text)
        return any(wanted in _folded(text) for text in texts)

    def begins(self, digest: Digest) -> bool:
        """Whether the digest begins with what was typed."""
        return bool(self.prefix) and str(digest).startswith(self.prefix)


def _folded(text: str) -> str:
    return BETWEEN.sub("-", text.casefold())
