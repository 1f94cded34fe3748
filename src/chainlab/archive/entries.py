"""The archive's entries: a build, and the digests of its documents, as JSON.

>>> build = Build("triage-model", "1.4.0", Digest.of(b"wheel"))
>>> entry = ArchiveEntry(build, (Document("sbom", str(Digest.of(b"{}")), 2),))
>>> ArchiveEntry.load(entry.dump()) == entry
True
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import parse_json

__all__ = ["ArchiveEntry", "Build", "Document"]

KINDS: Final = ("sbom", "mlbom", "provenance", "signature", "vex", "summary")  # kinds of evidence in use
MANIFEST: Final = "manifest"  # the build itself, when it is an OCI artifact: its digest is the build's
FORMAT: Final = "chainlab-archive-entry-1"
UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # a terminal does not show them


@dataclass(frozen=True)
class Build:
    """One artifact, as one run built it."""

    artifact: str
    version: str
    digest: Digest
    repository: str = ""
    commit: str = ""
    run: str = ""
    builder: str = ""
    built_at: datetime | None = None  # with a time zone

    def __post_init__(self) -> None:
        for name, value in self.document().items():
            if UNSEEN.search(value):
                raise MalformedInput(f"the build's {name} has a control character")
        if not self.artifact or not self.version:
            raise MalformedInput("a build needs the artifact's name and its version")
        if not isinstance(self.digest, Digest):
            raise MalformedInput("a build's digest has to be a Digest", hint="write Digest.parse('sha256:…')")
        if self.built_at is not None and self.built_at.tzinfo is None:
            raise MalformedInput("built_at has no time zone", hint="datetime(2026, 5, 4, tzinfo=UTC), for example")

    @property
    def id(self) -> str:
        """16 hex digits that identify the build in every table of the archive."""
        return hashlib.sha256(_canonical(self.document())).hexdigest()[:16]

    def document(self) -> dict[str, str]:
        """Return the build as an entry writes it: every value is text, and empty when it is unknown."""
        moment = self.built_at.astimezone(UTC).isoformat().replace("+00:00", "Z") if self.built_at else ""
        return {**vars(self), "digest": str(self.digest), "built_at": moment}


@dataclass(frozen=True, order=True)
class Document:
    """One document as an entry lists it."""

    kind: str  # sbom, mlbom, provenance, vex, summary, signature, …
    digest: str  # of the object
    size: int  # bytes
    verdict: str = ""  # a verifier's words, when the document was added

    def __post_init__(self) -> None:
        Digest.parse(self.digest)
        if not isinstance(self.kind, str) or not isinstance(self.verdict, str) or not 0 <= self.size < 2**53:
            raise MalformedInput("a document has a kind, a size in bytes and a verdict")


@dataclass(frozen=True)
class ArchiveEntry:
    """A build and its documents."""

    build: Build
    documents: tuple[Document, ...]

    def dump(self) -> bytes:
        """Write the JSON form; the same entry gives the same bytes."""
        documents = [asdict(document) for document in sorted(self.documents)]
        return _canonical({"format": FORMAT, "build": self.build.document(), "documents": documents})

    @classmethod
    def load(cls, data: bytes) -> ArchiveEntry:
        """Read the JSON form. Raises `MalformedInput`."""
        read = parse_json(data, "the entry")
        try:
            if read["format"] != FORMAT:
                raise ValueError(f"its format is {read['format']!r}, not {FORMAT!r}")
            at, digest = read["build"]["built_at"], Digest.parse(read["build"]["digest"])
            values = read["build"] | {"digest": digest, "built_at": datetime.fromisoformat(at) if at else None}
            return cls(Build(**values), tuple(Document(**document) for document in read["documents"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MalformedInput("this is not an entry of an archive", why=str(error)) from error


def _canonical(document: Any) -> bytes:
    return f"{json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)}\n".encode()
