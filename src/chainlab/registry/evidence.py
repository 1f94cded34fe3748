"""Evidence: everything this registry knows about a digest, whichever protocol it came by.

A digest is asked for, not a name: of a wheel, of a model inside an OCI image, or of a manifest. What is known is
gathered from where it is kept, so it is as fresh as the rest:

    places       files of the index, manifests, and the manifests that hold it (the file → manifest map)
    provenance   PEP 740 provenance of an index file
    referrers    OCI manifests about it, or about a manifest that holds it
    attached     what was added here, by `Evidence.add`
    channels, quarantine, events

Bundles are read for what they say (`chainlab.registry.bundles`) and not verified: that needs a root which the reader
trusts, and the registry decides nothing.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chainlab.clock import rfc3339
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.events import Events
from chainlab.registry import bundles
from chainlab.registry.blobs import Blobs
from chainlab.registry.channels import Channels
from chainlab.registry.index import Index
from chainlab.registry.oci import Images
from chainlab.registry.oci_tables import Stored
from chainlab.registry.quarantine import Quarantine

__all__ = ["PARTS", "Evidence", "Item"]

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
"""
PARTS = ("places", "provenance", "referrers", "attached", "channels", "quarantine", "events")
MAX_ITEMS = 500  # of one part
MAX_SUBJECTS = 20  # a file and manifests that hold it, whose events are looked for
MAX_READ = 100  # bundles read for one answer; the others are only listed


@dataclass(frozen=True)
class Item:
    """One thing that is known; ``facts`` are JSON."""

    part: str  # one of PARTS
    facts: Mapping[str, Any]


class Evidence:
    """The evidence of one registry; safe to call from several threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        events: Events,
        *,
        images: Images,
        index: Index,
        channels: Channels,
        quarantine: Quarantine,
        trust_config: Path | None = None,
    ) -> None:
        self._connection = connection
        self._blobs = blobs
        self._events = events
        self._images = images
        self._index = index
        self._channels = channels
        self._quarantine = quarantine
        self._trust_config = trust_config
        self._guard = threading.RLock()
        connection.executescript(SCHEMA)

    def add(self, subject: Digest, kind: str, data: bytes, media_type: str, source: str) -> Digest:
        """Attach evidence to a digest; the same evidence again changes nothing."""
        return self.add_to([subject], kind, data, media_type, source)

    def add_to(self, subjects: Iterable[Digest], kind: str, data: bytes, media_type: str, source: str) -> Digest:
        """Attach the same evidence to several digests: to all of them or to none."""
        digest = self._blobs.put(data)
        with self._guard, transaction(self._connection):
            for subject in subjects:
                written = self._connection.execute(
                    "INSERT OR IGNORE INTO evidence (subject, kind, digest, media_type, source, added)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (str(subject), kind, str(digest), media_type, source, time.time()),
                ).rowcount
                if written:
                    self._events.append(
                        "dev.chainlab.evidence.added",
                        source="/registry",
                        subject=str(subject),
                        data={"kind": kind, "evidence": str(digest), "by": source},
                    )
        return digest

    def read(self, subject: Digest, evidence: Digest) -> bytes:
        """What was attached. Raises `Refused` (404)."""
        with self._guard:
            row = self._connection.execute(
                "SELECT 1 FROM evidence WHERE subject = ? AND digest = ?",
                (str(subject), str(evidence)),
            ).fetchone()
        if row is None:
            raise Refused(404, f"no evidence {evidence} is attached to {subject}")
        return self._blobs.read(evidence)

    def attached(self, subject: Digest) -> list[tuple[str, Digest]]:
        """What was attached to a digest: kind, and the evidence's own digest; oldest first."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT kind, digest FROM evidence WHERE subject = ? ORDER BY id", (str(subject),)
            ).fetchall()
        return [(kind, Digest.parse(text)) for kind, text in rows]

    def digests(self) -> Iterator[Digest]:
        """Every blob that is attached to something."""
        with self._guard:
            rows = self._connection.execute("SELECT digest FROM evidence").fetchall()
        yield from (Digest.parse(text) for (text,) in rows)

    def document(self, digest: Digest, *, sees: Callable[[str], bool] | None = None) -> dict[str, Any]:
        """What is known of a digest, part by part, as JSON. Raises `Refused` (404) for nothing."""
        found = self.of(digest, sees=sees)
        if not found:
            raise Refused(404, f"nothing is known about {digest}")
        parts = {part: [dict(i.facts) for i in found if i.part == part] for part in PARTS}
        return {"digest": str(digest), "quarantined": self._quarantine.reason(digest), **parts}

    def of(self, digest: Digest, *, sees: Callable[[str], bool] | None = None) -> list[Item]:
        """Everything known about a digest, in the order of `PARTS`.

        ``sees`` says which OCI repositories the asker may see; without it, those that are public.
        """
        visible = sees or (lambda name: not self._images.is_private(name))
        reader = _Reader(self._blobs, self._logs())
        holders = [h for h in self._images.holders(digest) if visible(h.repository)]
        subjects = list(dict.fromkeys([digest, *(holder.manifest for holder in holders)]))
        parts: dict[str, Iterable[Mapping[str, Any]]] = {
            "places": self._places(digest, visible),
            "provenance": self._provenance(digest, reader),
            "referrers": self._referrers(subjects, visible, reader),
            "attached": self._attached(digest, reader),
            "channels": (
                step.facts()
                for subject in subjects
                for step in self._channels.of(subject)
                if step.artifact.kind != "oci" or visible(step.artifact.name)
            ),
            "quarantine": (
                {
                    "digest": str(stay.digest),
                    "reason": stay.reason,
                    "since": _time(stay.since),
                    "by": stay.by,
                    "released": None if stay.released is None else _time(stay.released),
                }
                for subject in subjects
                for stay in self._quarantine.history(subject)
            ),
            "events": self._told(subjects, visible),
        }
        return [Item(part, facts) for part in PARTS for _, facts in zip(range(MAX_ITEMS), parts[part], strict=False)]

    # -- inside

    def _places(self, digest: Digest, visible: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
        for file in self._index.holding(digest):
            project = self._index.project(file.project)
            yield {
                "protocol": "index",
                "project": file.project,
                "version": file.version,
                "file": file.filename,
                "size": file.size,
                "uploaded": None if file.uploaded is None else rfc3339(file.uploaded),
                "by": file.uploader,
                "publisher": file.publisher,
                "yanked": file.yanked,
                "status": str(project.status),
                "upstream": file.upstream,
            }
        held_in = set()
        for stored in self._images.found(digest):
            if visible(stored.repository):
                yield {"role": "manifest"} | self._place(stored)
        for holding in self._images.holders(digest):
            if not visible(holding.repository):
                continue
            held_in.add(holding.repository)
            stored = self._images.manifest(holding.repository, holding.manifest)
            yield {
                **self._place(stored),
                "role": holding.role,
                "manifest": str(holding.manifest),
                "mediaType": holding.media_type,
                "size": holding.size,
                "name": holding.title,
            }
        for repository in self._images.has_blob(digest):
            if visible(repository) and repository not in held_in:
                yield {"protocol": "oci", "repository": repository, "role": "blob"}

    def _place(self, stored: Stored) -> dict[str, Any]:
        tags = self._images.tags(stored.repository)
        return {
            "protocol": "oci",
            "repository": stored.repository,
            "tags": [tag.name for tag in tags if tag.digest == stored.digest],
            "mediaType": stored.media_type,
            "artifactType": stored.artifact_type,
            "size": stored.size,
            "pushed": _time(stored.pushed),
            "by": stored.pushed_by,
        }

    def _provenance(self, digest: Digest, reader: _Reader) -> Iterator[dict[str, Any]]:
        for file in self._index.holding(digest):
            document = self._index.provenance(file)
            if document is None:
                continue
            for bundle in document.get("attestation_bundles", []):
                yield {
                    "file": file.filename,
                    "project": file.project,
                    "provenance": f"/integrity/{file.project}/{file.version}/{file.filename}/provenance",
                    "publisher": bundle.get("publisher"),
                    "attestations": [
                        reader.facts(json.dumps(attestation).encode()) for attestation in bundle.get("attestations", [])
                    ],
                }

    def _referrers(
        self, subjects: Iterable[Digest], visible: Callable[[str], bool], reader: _Reader
    ) -> Iterator[dict[str, Any]]:
        for subject in subjects:
            for stored in self._images.referrers(None, subject):
                if not visible(stored.repository):
                    continue
                yield {
                    "repository": stored.repository,
                    "digest": str(stored.digest),
                    "about": str(subject),
                    "artifactType": stored.artifact_type,
                    "annotations": dict(stored.annotations),
                    "pushed": _time(stored.pushed),
                    "by": stored.pushed_by,
                    "files": [
                        {
                            "digest": str(holding.digest),
                            "mediaType": holding.media_type,
                            "name": holding.title,
                            "bundle": reader.blob(holding.digest, holding.media_type),
                        }
                        for holding in self._images.holdings(stored.repository, stored.digest)
                        if holding.role == "layer"
                    ],
                }

    def _attached(self, digest: Digest, reader: _Reader) -> Iterator[dict[str, Any]]:
        with self._guard:
            rows = self._connection.execute(  # the newest first: what no run changes has much, and it is cut
                "SELECT kind, digest, media_type, source, added FROM evidence WHERE subject = ? ORDER BY id DESC",
                (str(digest),),
            ).fetchall()
        for kind, text, media_type, source, added in rows:
            yield {
                "kind": kind,
                "digest": text,
                "mediaType": media_type,
                "source": source,
                "added": _time(added),
                "bundle": reader.blob(Digest.parse(text), media_type),
                "path": f"/evidence/{digest}/{text}",
            }

    def _told(self, subjects: Sequence[Digest], visible: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
        """Events that name one of the digests."""
        names = [subject.value.hex() for subject in subjects[:MAX_SUBJECTS]]
        condition = " OR ".join(["instr(CAST(envelope AS TEXT), ?)"] * len(names))
        with self._guard:
            rows = self._connection.execute(
                f"SELECT envelope FROM events WHERE {condition} ORDER BY sequence",  # noqa: S608
                names,
            ).fetchall()
        for (envelope,) in rows:
            event = json.loads(envelope)
            repository = event["data"].get("repository")
            named = event["data"].get("name") if event["data"].get("kind") == "oci" else None
            if all(visible(name) for name in (repository, named) if isinstance(name, str)):
                yield {name: event[name] for name in ("id", "type", "time", "subject", "data")}

    def _logs(self) -> set[str]:
        """Ids (hex) of the logs that this instance runs."""
        try:
            config = json.loads(self._trust_config.read_bytes()) if self._trust_config else {}
            logs = config["trustedRoot"]["tlogs"]
            return {base64.b64decode(log["logId"]["keyId"]).hex() for log in logs}
        except (OSError, ValueError, KeyError, TypeError):
            return set()


class _Reader:
    """Reads bundles for one answer, not too many; adds where our own log serves an entry."""

    def __init__(self, blobs: Blobs, logs: set[str]) -> None:
        self._blobs = blobs
        self._logs = logs
        self._left = MAX_READ

    def blob(self, digest: Digest, media_type: str) -> dict[str, Any] | None:
        """What a stored bundle says; None for something else."""
        if "json" not in media_type or digest not in self._blobs:
            return None
        if self._blobs.path(digest).stat().st_size > bundles.MAX_BUNDLE:
            return None
        return self.facts(self._blobs.read(digest))

    def facts(self, data: bytes) -> dict[str, Any] | None:
        """What a bundle says; None for something else, and when enough were read."""
        if not self._left:
            return None
        self._left -= 1
        facts = bundles.read(data)
        if facts is None:
            return None
        document = facts.document()
        if facts.entry_path and facts.log_id in self._logs:
            document["logEntry"]["path"] = facts.entry_path
        return document


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
