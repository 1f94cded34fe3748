"""Search: what a person may type to find what the pages show.

A word is found in names, tags, versions, files, channels and states; case does not matter, and neither does which of
``-``, ``_`` and ``.`` stands between words. The beginning of a digest is found as the pages show it, or as bare hex:

    >>> Query.parse("SHA256:8D2E3E312AFF…").digits
    '8d2e3e312aff'
    >>> Query.parse("acme_cells").matches(["acme-cells"])
    True
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from chainlab.digests import SHA256_SIZE, Digest

__all__ = ["Query"]

BETWEEN = re.compile(r"[-_.]+")
# In a reference the digest follows an "@"; bare hex has so many digits that few words are taken for it.
DIGITS = re.compile(r"(?:.*@)?(?:sha256:([0-9a-f]{1,64})|([0-9a-f]{6,64}))(?:…|\.\.\.)?", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """What was typed."""

    text: str
    digits: str  # a digest's first hex digits; empty when the text is the beginning of none

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read what was typed; every text is a query."""
        found = DIGITS.fullmatch(text.strip().lower())
        return cls(text.strip(), (found[1] or found[2]) if found else "")

    @property
    def digest(self) -> Digest | None:
        """The digest, when all of it was typed."""
        complete = len(self.digits) == 2 * SHA256_SIZE
        return Digest("sha256", bytes.fromhex(self.digits)) if complete else None

    @property
    def prefix(self) -> str:
        """How the digests that are looked for begin; empty when none are."""
        return f"sha256:{self.digits}" if self.digits else ""

    def matches(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts has in it what was typed."""
        wanted = _folded(self.text)
        return any(wanted in _folded(text) for text in texts)

    def begins(self, digest: Digest) -> bool:
        """Whether the digest begins with what was typed."""
        return bool(self.digits) and str(digest).startswith(self.prefix)


def _folded(text: str) -> str:
    return BETWEEN.sub("-", text.casefold())
