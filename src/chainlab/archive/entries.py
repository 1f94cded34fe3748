"""The archive's entries: a build, and the digests of its documents, as JSON.

>>> build = Build("triage-model", "1.4.0", Digest.of(b"wheel"))
>>> entry = Entry(build, (Document("sbom", str(Digest.of(b"{}")), 2),))
>>> Entry.load(entry.dump()) == entry
True
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import parse_json

__all__ = ["Build", "Document", "Entry"]

KINDS: Final = (
    "sbom",
    "mlbom",
    "provenance",
    "signature",
    "vex",
    "summary",
)  # of documents, those in use
FORMAT: Final = "chainlab-archive-entry-1"
TEXTS: Final = ("artifact", "version", "repository", "commit", "run", "builder")  # of a build
# Characters that a table or a terminal would not show as what they are.
UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Build:
    """One artifact as one run made it."""

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
            raise MalformedInput("a build's digest is a Digest", mend="write Digest.parse('sha256:…')")
        if self.built_at is not None and self.built_at.tzinfo is None:
            raise MalformedInput("built_at has no time zone", mend="datetime(2026, 5, 4, tzinfo=UTC), for example")

    @property
    def id(self) -> str:
        """16 hex digits: what tells this build from others, in every table of the archive."""
        return hashlib.sha256(_canonical(self.document())).hexdigest()[:16]

    def document(self) -> dict[str, str]:
        """As in an entry: every value a text, empty where it is not known."""
        at = self.built_at
        moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else ""
        return {
            **{name: value for name, value in vars(self).items() if name != "built_at"},
            "digest": str(self.digest),
            "built_at": moment,
        }

    @classmethod
    def load(cls, document: Mapping[str, str]) -> Build:
        """``Build.load(build.document()) == build``, up to the name of the time zone."""
        try:
            at = document["built_at"]
            texts = {name: str(document[name]) for name in TEXTS}
            digest = Digest.parse(document["digest"])
            return cls(**texts, digest=digest, built_at=datetime.fromisoformat(at) if at else None)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedInput("this describes no build", why=str(error)) from error


@dataclass(frozen=True, order=True)
class Document:
    """What an entry says of one document."""

    kind: str  # sbom, mlbom, provenance, vex, summary, signature, …
    digest: str  # of the object
    size: int  # bytes
    verdict: str = ""  # what a verification said when it was added, in words


@dataclass(frozen=True)
class Entry:
    """A build and its documents."""

    build: Build
    documents: tuple[Document, ...]

    def dump(self) -> bytes:
        """The same entry gives the same bytes."""
        return _canonical({
            "format": FORMAT,
            "build": self.build.document(),
            "documents": [asdict(document) for document in sorted(self.documents)],
        })  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Entry:
        """Read an entry's bytes; raises `MalformedInput`."""
        read = parse_json(data, "the entry")
        try:
            if read["format"] != FORMAT:
                raise MalformedInput(f"the entry's format is {read['format']!r}, not {FORMAT!r}")
            documents = tuple(Document(**document) for document in read["documents"])
            return cls(Build.load(read["build"]), documents)
        except (KeyError, TypeError) as error:
            raise MalformedInput("this is no entry of an archive", why=str(error)) from error


def _canonical(document: Any) -> bytes:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)
    return f"{text}\n".encode()
