"""Evidence: everything this registry knows about a digest, whichever protocol it came by.

A digest is asked for, not a name: of a wheel, of a model inside an OCI image, or of a manifest. What is known is
gathered from where it is kept, so it is as fresh as the rest:

    places       files of the index, manifests, and the manifests that hold it (the file → manifest map)
    provenance   PEP 740 provenance of an index file
    referrers    OCI manifests about it, or about a manifest that holds it
    attached     what was added here, by `Evidence.add`
    channels, quarantine, events

Each asker gets what they may know of (`chainlab.registry.viewing`): places that they see, and what was said about a
digest that is in such a place. To others there is nothing.

`Evidence.bundles` is the one look-up for whoever verifies: it finds a bundle wherever it is kept.

Bundles are read for what they say (`chainlab.registry.bundle_summary`) and not verified: that needs a root which the
reader trusts, and the registry decides nothing.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from chainlab.clock import rfc3339
from chainlab.credentials import Credential
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.events import Events
from chainlab.registry import bundle_summary
from chainlab.registry.blobs import Blobs
from chainlab.registry.channels import KINDS, ChannelArtifact, Channels
from chainlab.registry.index import attestations as pep740
from chainlab.registry.index.package_index import PackageIndex
from chainlab.registry.known import Known
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.tables import Stored
from chainlab.registry.quarantine import Quarantine
from chainlab.registry.viewing import Standing, Viewer
from chainlab.visibility import OPERATOR

__all__ = ["PARTS", "Evidence", "Found", "Item"]

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
PARTS = ("places", "provenance", "referrers", "attached", "channels", "quarantine", "events")
TRUST = "/trust"  # source of the events of the Sigstore instance
EVIDENCE_ADDED = "dev.chainlab.evidence.added"
MAX_ITEMS = 500  # of one part
MAX_SUBJECTS = 20  # a file and manifests that hold it, whose events are looked for
MAX_READ = 100  # bundles read for one answer; the others are only listed


@dataclass(frozen=True)
class Item:
    """One thing that is known; ``facts`` are JSON."""

    part: str  # one of PARTS
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """A bundle about a digest, and where it is kept."""

    digest: Digest  # of the bundle
    place: str  # 'added' (by a service, nobody removes it), 'referrer' (whoever may push), 'index' (PEP 740)
    held: str | None  # why it is held back
    size: int | None  # bytes; None: they are not here
    _read: Callable[[], bytes] = field(repr=False, compare=False)

    def read(self) -> bytes:
        """The bundle, hashed again. Raises `Refused` (404) for none, `VerificationFailed` for other bytes."""
        return self._read()


class Evidence:
    """The evidence of one registry; safe to call from several threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        events: Events,
        *,
        images: Images,
        index: PackageIndex,
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
        viewer = self.viewer(OPERATOR)
        standing = {subject: viewer.standing(subject).seen for subject in subjects}
        with self._guard, transaction(self._connection):
            for subject, places in standing.items():
                self._connection.executemany(
                    "INSERT OR IGNORE INTO evidence_places VALUES (?, ?)", [(str(subject), place) for place in places]
                )
                written = self._connection.execute(
                    "INSERT OR IGNORE INTO evidence (subject, kind, digest, media_type, source, added)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (str(subject), kind, str(digest), media_type, source, time.time()),
                ).rowcount
                if written:
                    self._events.append(
                        EVIDENCE_ADDED,
                        source="/registry",
                        subject=str(subject),
                        data={"kind": kind, "evidence": str(digest), "by": source},
                    )
        return digest

    def viewer(self, caller: Credential | None) -> Viewer:
        """What somebody sees who reads evidence; None for anybody."""
        return Viewer(self._images, self._index, caller, evidence=True)

    def read(self, subject: Digest, evidence: Digest, *, viewer: Viewer | None = None) -> bytes:
        """What was attached. Raises `Refused` (404)."""
        viewer = viewer or self.viewer(OPERATOR)
        with self._guard:
            rows = self._connection.execute(
                "SELECT source FROM evidence WHERE subject = ? AND digest = ?",
                (str(subject), str(evidence)),
            ).fetchall()
        standing = self._standing(subject, viewer)
        if not any(viewer.believes(source, standing) for (source,) in rows):
            raise Refused(404, f"no evidence {evidence} is attached to {subject}")
        return self._blobs.read(evidence)

    def attached(self, subject: Digest) -> list[tuple[str, Digest]]:
        """What was attached to a digest: kind, and the evidence's own digest; oldest first."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT kind, digest FROM evidence WHERE subject = ? ORDER BY id", (str(subject),)
            ).fetchall()
        return [(kind, Digest.parse(text)) for kind, text in rows]

    def beginning(self, prefix: str, *, viewer: Viewer) -> list[tuple[Digest, Digest, str]]:
        """Attached evidence whose digest begins so (``sha256:1f``): subject, its own digest, kind."""
        with self._guard:
            rows = self._connection.execute(
                "SELECT subject, digest, kind, source FROM evidence WHERE digest GLOB ? ORDER BY id", (f"{prefix}*",)
            ).fetchall()
        found = [(Digest.parse(subject), Digest.parse(digest), kind, source) for subject, digest, kind, source in rows]
        return [row[:3] for row in found if viewer.believes(row[3], self._standing(row[0], viewer))]

    def predicates(self, referrers: Iterable[Stored]) -> dict[Digest, str]:
        """What each referrer says, as a predicate type, by its digest; those that are no bundle are left out."""
        reader = _Reader(self._blobs, set())
        found: dict[Digest, str] = {}
        for stored in referrers:
            for held in self._images.holdings(stored.repository, stored.digest):
                facts = reader.blob(held.digest, held.media_type) if held.role == "layer" else None
                if facts and "predicateType" in facts:
                    found.setdefault(stored.digest, str(facts["predicateType"]))
        return found

    def bundles(self, *subjects: Digest, repository: str | None = None) -> dict[Digest, Found]:
        """Every Sigstore bundle about these digests, by its own digest, wherever it is kept.

        First those that services added, oldest first; then OCI referrers in order of arrival, of one repository or of
        all (None); then the attestations of files of the index. A bundle in two places is held back if one of them is.
        """
        found: dict[Digest, Found] = {}
        for entry in self._found(subjects, repository):
            known = found.setdefault(entry.digest, entry)
            found[entry.digest] = replace(known, held=known.held or entry.held)
        return found

    def _found(self, subjects: Iterable[Digest], repository: str | None) -> Iterator[Found]:
        subjects = tuple(dict.fromkeys(subjects))
        for subject in subjects:
            with self._guard:
                rows = self._connection.execute(
                    "SELECT digest FROM evidence WHERE subject = ? AND media_type = ? ORDER BY id",
                    (str(subject), bundle_summary.BUNDLE_TYPE),
                ).fetchall()
            for (text,) in rows:
                digest = Digest.parse(text)
                yield self._blob(digest, "added", self._quarantine.reason(digest))
        for subject in subjects:
            for stored in self._images.referrers(repository, subject):
                for held in self._images.holdings(stored.repository, stored.digest):
                    types = (stored.artifact_type, held.media_type)
                    if held.role == "layer" and bundle_summary.BUNDLE_TYPE in types:
                        reason = self._images.held_back(stored.repository, stored.digest)
                        yield self._blob(held.digest, "referrer", reason)
        for subject in subjects:
            for file in self._index.holding(subject):
                for data in pep740.bundles(self._index.provenance(file)):
                    yield Found(
                        Digest.of(data), "index", self._quarantine.reason(subject), len(data), partial(bytes, data)
                    )

    def _blob(self, digest: Digest, place: str, held: str | None) -> Found:
        path = self._blobs.path(digest)
        size = path.stat().st_size if path.is_file() else None
        return Found(digest, place, held, size, partial(self._blobs.verified, digest))

    def digests(self) -> Iterator[Digest]:
        """Every blob that is attached to something."""
        with self._guard:
            rows = self._connection.execute("SELECT digest FROM evidence").fetchall()
        yield from (Digest.parse(text) for (text,) in rows)

    def document(self, digest: Digest, *, viewer: Viewer | None = None) -> Known:
        """What is known of a digest, part by part, as JSON. Raises `Refused` (404) for nothing.

        Without a ``viewer`` all of it, which is for whoever holds the state directory.
        """
        viewer = viewer or self.viewer(OPERATOR)
        found = self.of(digest, viewer=viewer)
        if not found:
            raise Refused(404, f"nothing is known about {digest}")
        parts = {part: [dict(i.facts) for i in found if i.part == part] for part in PARTS}
        told = viewer.everything or self._standing(digest, viewer).known
        held = self._quarantine.reason(digest) if told else None
        return Known({"digest": str(digest), "quarantined": held, **parts})

    def of(self, digest: Digest, *, viewer: Viewer | None = None) -> list[Item]:
        """Everything that a viewer may know about a digest, in the order of `PARTS`; without one, all of it."""
        viewer = viewer or self.viewer(OPERATOR)
        visible, standing = viewer.package, self._standing(digest, viewer)
        known = viewer.everything or standing.known
        reader = _Reader(self._blobs, self._logs())
        attached = list(self._attached(digest, viewer, standing))
        holders = [h for h in self._images.holders(digest) if visible(h.repository)]
        subjects = list(dict.fromkeys([digest, *(holder.manifest for holder in holders)]))
        parts: dict[str, Iterable[Mapping[str, Any]]] = {
            "places": self._places(digest, viewer),
            "provenance": self._provenance(digest, viewer, reader),
            "referrers": self._referrers(subjects, visible, reader),
            "attached": (facts | {"bundle": self._bundle(facts, reader)} for facts in attached),
            "channels": (
                step.facts()
                for subject in subjects
                for step in self._channels.of(subject)
                if viewer.artifact(step.artifact)
            ),
            "quarantine": (
                {
                    "digest": str(stay.digest),
                    "reason": stay.reason,
                    "since": _time(stay.since),
                    "by": stay.by,
                    "released": None if stay.released is None else _time(stay.released),
                }
                for subject in (subjects if known else ())
                for stay in self._quarantine.history(subject)
            ),
            "events": self._told(subjects, viewer, {str(facts["digest"]) for facts in attached}, known=known),
        }
        return [Item(part, facts) for part in PARTS for _, facts in zip(range(MAX_ITEMS), parts[part], strict=False)]

    # -- inside

    def _standing(self, digest: Digest, viewer: Viewer) -> Standing:
        with self._guard:
            rows = self._connection.execute(
                "SELECT place FROM evidence_places WHERE subject = ?", (str(digest),)
            ).fetchall()
        return viewer.standing(digest, [place for (place,) in rows])

    def _places(self, digest: Digest, viewer: Viewer) -> Iterator[dict[str, Any]]:
        visible = viewer.package
        for file in self._index.holding(digest):
            if not viewer.project(file.project):
                continue
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

    def _provenance(self, digest: Digest, viewer: Viewer, reader: _Reader) -> Iterator[dict[str, Any]]:
        for file in self._index.holding(digest):
            document = self._index.provenance(file) if viewer.project(file.project) else None
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

    def _attached(self, digest: Digest, viewer: Viewer, standing: Standing) -> Iterator[dict[str, Any]]:
        with self._guard:
            rows = self._connection.execute(  # the newest first: what no run changes has much, and it is cut
                "SELECT kind, digest, media_type, source, added FROM evidence WHERE subject = ? ORDER BY id DESC",
                (str(digest),),
            ).fetchall()
        for kind, text, media_type, source, added in rows:
            if not viewer.believes(source, standing):
                continue
            yield {
                "kind": kind,
                "digest": text,
                "mediaType": media_type,
                "source": source,
                "added": _time(added),
                "bundle": None,
                "path": f"/evidence/{digest}/{text}",
            }

    def _bundle(self, facts: Mapping[str, Any], reader: _Reader) -> dict[str, Any] | None:
        return reader.blob(Digest.parse(facts["digest"]), facts["mediaType"])

    def _told(
        self, subjects: Sequence[Digest], viewer: Viewer, attached: set[str], *, known: bool
    ) -> Iterator[dict[str, Any]]:
        """Events that name one of the digests: those about what the viewer sees, which name nothing else."""
        names = [str(subject).partition(":")[2] for subject in subjects[:MAX_SUBJECTS]]
        condition = " OR ".join(["instr(CAST(envelope AS TEXT), ?)"] * len(names))
        with self._guard:
            rows = self._connection.execute(
                f"SELECT envelope FROM events WHERE {condition} ORDER BY sequence",  # noqa: S608
                names,
            ).fetchall()
        for (envelope,) in rows:
            event = json.loads(envelope)
            data = event["data"]
            if viewer.hides(f"{event['subject']} {json.dumps(data)}"):
                continue
            if event["type"] == EVIDENCE_ADDED and event["subject"] == str(subjects[0]):
                told = data.get("evidence") in attached
            elif event["source"] == TRUST or (places := _places_of(data)) is None:
                told = event["source"] == TRUST or known  # the logs are public
            else:
                told = all(viewer.artifact(place) for place in places)
            if told:
                yield {name: event[name] for name in ("id", "type", "time", "subject", "data")}

    def _logs(self) -> set[str]:
        """Ids (hex) of the logs that this instance runs."""
        try:
            config = json.loads(self._trust_config.read_bytes()) if self._trust_config else {}
            logs = config["trustedRoot"]["tlogs"]
            return {base64.b64decode(log["logId"]["keyId"]).hex() for log in logs}
        except (OSError, ValueError, KeyError, TypeError):
            return set()


def _places_of(data: Mapping[str, Any]) -> list[ChannelArtifact] | None:
    """The places that an event is about; None for one that is about a digest alone."""
    texts = [f"oci/{data['repository']}"] if isinstance(data.get("repository"), str) else []
    texts += [f"package/{data['project']}"] if isinstance(data.get("project"), str) else []
    texts += [f"{data['kind']}/{data['name']}"] if data.get("kind") in KINDS and "name" in data else []
    return [ChannelArtifact.parse(text) for text in texts] or None


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
        if self._blobs.path(digest).stat().st_size > bundle_summary.MAX_BUNDLE:
            return None
        return self.facts(self._blobs.read(digest))

    def facts(self, data: bytes) -> dict[str, Any] | None:
        """What a bundle says; None for something else, and when enough were read."""
        if not self._left:
            return None
        self._left -= 1
        facts = bundle_summary.read(data)
        if facts is None:
            return None
        document = facts.document()
        if facts.entry_path and facts.log_id in self._logs:
            document["logEntry"]["path"] = facts.entry_path
        return document


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
