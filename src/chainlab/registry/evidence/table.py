"""The table of attached evidence, and of the places that held a digest when evidence about it was attached."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chainlab.database import Tables
from chainlab.digests import Digest
from chainlab.events import Events

__all__ = ["EVIDENCE_ADDED", "Attachment", "EvidenceTable"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    id INTEGER PRIMARY KEY,
    subject    TEXT NOT NULL,   -- digest of what it is about
    kind       TEXT NOT NULL,   -- 'provenance', 'sbom', …
    digest     TEXT NOT NULL,   -- of the evidence itself, a blob
    media_type TEXT NOT NULL,
    source     TEXT NOT NULL,   -- who added it
    added      REAL NOT NULL,   -- seconds since 1970
    UNIQUE (subject, kind, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS evidence_places (  -- what held the subject when evidence was added, also if it is deleted
    subject TEXT NOT NULL, place TEXT NOT NULL, PRIMARY KEY (subject, place)
) STRICT, WITHOUT ROWID;
"""
COLUMNS = "subject, kind, digest, media_type, source, added"
EVIDENCE_ADDED = "dev.chainlab.evidence.added"


@dataclass(frozen=True)
class Attachment:
    """Evidence that was attached to a digest."""

    subject: Digest
    kind: str  # 'provenance', 'sbom', …
    digest: Digest  # of the evidence itself, a blob
    media_type: str
    source: str  # who added it
    added: float  # seconds since 1970


class EvidenceTable(Tables):
    """The attached evidence of one registry; safe to call from several threads. ``events`` share the connection."""

    def __init__(self, connection: sqlite3.Connection, events: Events) -> None:
        self._events = events
        super().__init__(connection, SCHEMA)

    def add(
        self, places: Mapping[Digest, Iterable[str]], kind: str, digest: Digest, media_type: str, source: str
    ) -> None:
        """Attach a blob to several digests, to all or to none; ``places`` maps each digest to what holds it now."""
        with self._transaction():
            for subject, names in places.items():
                self._connection.executemany(
                    "INSERT OR IGNORE INTO evidence_places VALUES (?, ?)", [(str(subject), name) for name in names]
                )
                written = self._connection.execute(
                    f"INSERT OR IGNORE INTO evidence ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (str(subject), kind, str(digest), media_type, source, time.time()),
                ).rowcount
                if written:
                    self._events.append(
                        EVIDENCE_ADDED,
                        source="/registry",
                        subject=str(subject),
                        data={"kind": kind, "evidence": str(digest), "by": source},
                    )

    def of(self, subject: Digest) -> list[Attachment]:
        """List what is attached to a digest, oldest first."""
        return self._select("subject = ?", str(subject))

    def with_prefix(self, prefix: str) -> list[Attachment]:
        """List the evidence whose own digest begins with ``prefix`` (``sha256:1f``), oldest first."""
        return self._select("digest GLOB ?", f"{prefix}*")

    def places(self, subject: Digest) -> list[str]:
        """List what held a digest whenever evidence about it was attached."""
        rows = self._rows("SELECT place FROM evidence_places WHERE subject = ?", (str(subject),))
        return [place for (place,) in rows]

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every attached blob."""
        yield from (Digest.parse(text) for (text,) in self._rows("SELECT digest FROM evidence"))

    def events_naming(self, texts: Iterable[str]) -> list[bytes]:
        """List the envelopes (JSON) of the events that contain one of the texts, oldest first."""
        texts = list(texts)
        condition = " OR ".join(["instr(CAST(envelope AS TEXT), ?)"] * len(texts))
        rows = self._rows(f"SELECT envelope FROM events WHERE {condition} ORDER BY sequence", tuple(texts))  # noqa: S608
        return [envelope for (envelope,) in rows]

    def _select(self, condition: str, value: str) -> list[Attachment]:
        rows = self._rows(f"SELECT {COLUMNS} FROM evidence WHERE {condition} ORDER BY id", (value,))  # noqa: S608
        return [Attachment(Digest.parse(row[0]), row[1], Digest.parse(row[2]), *row[3:]) for row in rows]
