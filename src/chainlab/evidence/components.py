"""Components of a bill of materials, and the blind spots of its maker.

A `Component` has a name, a version, a package URL, and hashes with their origin. An `Inventory` is the content of one
source (an environment, a wheel, a lock, a project): its components and blind spots.

    >>> purl_of("Acme_Cells", "1.2.0")
    'pkg:pypi/acme-cells@1.2.0'

Package URL specification (ECMA-427); names are compared as PyPI does (PEP 503).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from packaging.utils import canonicalize_name

__all__ = ["BlindSpot", "Component", "Inventory", "printable", "purl_of", "without_credentials"]

ALGORITHMS = {  # a name in hashlib, locks and indexes → the name in CycloneDX
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "sha3_256": "SHA3-256",
    "sha3_384": "SHA3-384",
    "sha3_512": "SHA3-512",
    "blake2b": "BLAKE2b-512",
}
HASH_LENGTHS = {  # hex digits
    "MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128, "SHA3-256": 64,
    "SHA3-384": 96, "SHA3-512": 128, "BLAKE2b-256": 64, "BLAKE2b-384": 96, "BLAKE2b-512": 128,
    "BLAKE3": 64, "Streebog-256": 64, "Streebog-512": 128,
}  # fmt: skip
ORIGINS = {  # of a hash
    "lock": "the lock names it",
    "index": "the index or address that it was installed from named it",
    "file": "computed from the file itself",
    "record": "of the installed RECORD, which is no file that was ever published",
}
PREFIX = "chainlab:"  # of our properties' names
HASH_ORIGIN = f"{PREFIX}hash-origin"
CONFLICT = f"{PREFIX}conflict"  # two documents name different hashes
RECORD_DIGEST = f"{PREFIX}record:sha-256"
UNSEEN = f"{PREFIX}unseen:"


@dataclass(frozen=True)
class Component:
    """One component; empty text means unknown."""

    name: str
    version: str = ""
    purl: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)  # {"SHA-256": hex}, of its one file
    hash_origin: str = ""  # one of ORIGINS
    licence: str | None = None  # an SPDX expression
    supplier: str = ""
    scope: str = ""  # "", required, optional, excluded
    requires: tuple[str, ...] = ()  # refs of components: their purl, or name@version
    properties: tuple[tuple[str, str], ...] = ()
    licence_name: str = ""  # the metadata's words where they are not an SPDX expression
    accepted: tuple[tuple[str, str], ...] = ()  # algorithm and hex: a lock's hashes, one of which is the file's
    type: str = "library"  # as CycloneDX: application, library, file, data, machine-learning-model…
    complete: bool | None = None  # whether `requires` is complete; None: unknown
    found_in: str = ""  # the file that names it, relative to the source
    description: str = ""
    group: str = ""  # as CycloneDX: the namespace of the name

    @property
    def ref(self) -> str:
        """The reference that other components use: the purl, or ``name@version`` where there is none."""
        return self.purl or (f"{self.name}@{self.version}" if self.version else self.name)

    @property
    def key(self) -> str:
        """The name as PyPI compares it."""
        return canonicalize_name(self.name)


@dataclass(frozen=True, order=True)
class BlindSpot:
    """Something that is there, or may be there, and that the components do not show."""

    # Such as: vendored, native, dynamic import, extra, unowned, missing, undeclared import, not looked for,
    # unreadable, leftover, installed twice, other python.
    kind: str
    what: str
    where: str = ""  # the component's ref; empty: the whole source

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True)
class Inventory:
    """The content of one source."""

    components: tuple[Component, ...]
    subject: Component
    lifecycle: str = ""  # phase, as CycloneDX: design, pre-build, build, post-build, operations…
    blind_spots: tuple[BlindSpot, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()  # how it was read: the markers' values, for example


def purl_of(name: str, version: str = "", **qualifiers: str) -> str:
    """The package URL of a Python package: the name as PyPI compares it, the version as written.

    Some tools leave dots in the name (``jaraco.text``), locks write dashes: the canonical form matches both.
    """
    # A test compares this with PackageURL("pypi", …).to_string(), which is too slow for hundreds of packages.
    text = f"pkg:pypi/{canonicalize_name(name)}"
    if version:
        text += f"@{quote(version, safe='.-_~:')}"
    if pairs := sorted((k, v) for k, v in qualifiers.items() if v):
        text += "?" + "&".join(f"{k}={quote(v, safe='.-_~:/')}" for k, v in pairs)
    return text


def printable(name: str) -> str:
    """A file's name as valid text: bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def without_credentials(text: str) -> str:
    """A text without the user names and passwords in its URLs: no document may spread those."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)
