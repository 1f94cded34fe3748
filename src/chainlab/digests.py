"""Digests of artifacts.

A digest is an algorithm name plus raw bytes; its text form is ``sha256:<hex>``, as OCI writes it.

    >>> str(Digest.of(b""))[:19]
    'sha256:e3b0c44298fc'
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from chainlab.errors import MalformedInput

__all__ = ["SHA256_SIZE", "Digest"]

SHA256_SIZE = 32  # bytes


@dataclass(frozen=True, order=True)
class Digest:
    """An algorithm and a value; two digests are equal when both are equal."""

    algorithm: str
    value: bytes  # raw, not hex

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the SHA-256 of ``data``."""
        return cls("sha256", hashlib.sha256(data).digest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        """Return the SHA-256 of a file's bytes, read in blocks."""
        with path.open("rb") as file:
            return cls("sha256", hashlib.file_digest(file, "sha256").digest())

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read the text form; ``Digest.parse(str(d)) == d``.

        Raises `MalformedInput` for another algorithm, length or alphabet.
        """
        algorithm, _, digits = text.partition(":")
        lower_hex = len(digits) == 2 * SHA256_SIZE and not set(digits) - set("0123456789abcdef")
        if algorithm != "sha256" or not lower_hex:
            raise MalformedInput(f"expected 'sha256:' and 64 lower-case hex digits, got {text!r}")
        return cls(algorithm, bytes.fromhex(digits))

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.hex()}"
