"""Gather what one reader may know about a digest, from every place where the registry keeps it.

    places       files of the index, manifests, and the manifests that hold it (the file → manifest map)
    provenance   PEP 740 provenance of an index file
    referrers    OCI manifests about it, or about a manifest that holds it
    attached     what was added here, by `Evidence.add`
    channels, quarantine, events

Nothing is kept for this: the parts are as fresh as the stores that they are read from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.channels import KINDS, ChannelArtifact
from chainlab.registry.evidence.document import EvidenceDocument
from chainlab.registry.evidence.sources import BundleReader, Sources
from chainlab.registry.evidence.table import EVIDENCE_ADDED
from chainlab.registry.oci.tables import Stored
from chainlab.registry.viewing import Standing, Viewer

__all__ = ["gather"]

TRUST = "/trust"  # source of the events of the Sigstore instance
MAX_ITEMS = 500  # of one part
MAX_SUBJECTS = 20  # a file and manifests that hold it, whose events are looked for

_Facts = dict[str, Any]


def gather(
    digest: Digest, viewer: Viewer, standing: Standing, sources: Sources, logs: frozenset[str]
) -> EvidenceDocument:
    """Gather what a viewer may know about a digest, part by part, as JSON.

    ``logs`` are the ids (hex) of this instance's logs. Raises `Refused` (404) when there is nothing to know.
    """
    gathering = _Gathering(digest, viewer, standing, sources, logs)
    parts = {part: list(islice(facts, MAX_ITEMS)) for part, facts in gathering.parts()}
    if not any(parts.values()):
        raise Refused(404, f"nothing is known about {digest}")
    held = sources.quarantine.reason(digest) if gathering.is_known else None
    return EvidenceDocument({"digest": str(digest), "quarantined": held, **parts})


class _Gathering:
    """One answer about one digest to one viewer."""

    def __init__(
        self, digest: Digest, viewer: Viewer, standing: Standing, sources: Sources, logs: frozenset[str]
    ) -> None:
        self._digest = digest
        self._viewer = viewer
        self._sources = sources
        self._images = sources.images
        self._reader = BundleReader(sources.blobs, logs)
        self.is_known = viewer.everything or standing.is_known
        # The newest first: what no run changes has much attached to it, and the list is cut.
        attachments = reversed(sources.table.of(digest))
        self._attachments = [entry for entry in attachments if viewer.sees_evidence_by(entry.source, standing)]
        self._evidence = {str(entry.digest) for entry in self._attachments}
        holders = [h.manifest for h in self._images.holders(digest) if viewer.package(h.repository)]
        self._subjects = list(dict.fromkeys([digest, *holders]))

    def parts(self) -> Iterator[tuple[str, Iterator[_Facts]]]:
        """Yield each part's name and facts, in the order in which bundles are read."""
        yield "places", self._places()
        yield "provenance", self._provenance()
        yield "referrers", self._referrers()
        yield "attached", self._attached()
        yield "channels", self._channels()
        yield "quarantine", self._stays()
        yield "events", self._events()

    def _places(self) -> Iterator[_Facts]:
        yield from self._files()
        for stored in self._images.with_digest(self._digest):
            if self._viewer.package(stored.repository):
                yield {"role": "manifest"} | self._manifest(stored)
        repositories = set()
        for holding in self._images.holders(self._digest):
            if not self._viewer.package(holding.repository):
                continue
            repositories.add(holding.repository)
            stored = self._images.manifest(holding.repository, holding.manifest)
            yield {
                **self._manifest(stored),
                "role": holding.role,
                "manifest": str(holding.manifest),
                "mediaType": holding.media_type,
                "size": holding.size,
                "name": holding.title,
            }
        for repository in self._images.repositories_linking(self._digest):
            if self._viewer.package(repository) and repository not in repositories:
                yield {"protocol": "oci", "repository": repository, "role": "blob"}

    def _files(self) -> Iterator[_Facts]:
        index = self._sources.index
        for file in index.with_digest(self._digest):
            if not self._viewer.project(file.project):
                continue
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
                "status": str(index.project(file.project).status),
                "upstream": file.upstream,
            }

    def _manifest(self, stored: Stored) -> _Facts:
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

    def _provenance(self) -> Iterator[_Facts]:
        index = self._sources.index
        for file in index.with_digest(self._digest):
            document = index.provenance(file) if self._viewer.project(file.project) else None
            if document is None:
                continue
            for bundle in document.get("attestation_bundles", []):
                attestations = [json.dumps(attestation).encode() for attestation in bundle.get("attestations", [])]
                yield {
                    "file": file.filename,
                    "project": file.project,
                    "provenance": f"/integrity/{file.project}/{file.version}/{file.filename}/provenance",
                    "publisher": bundle.get("publisher"),
                    "attestations": [self._reader.read(data) for data in attestations],
                }

    def _referrers(self) -> Iterator[_Facts]:
        for subject in self._subjects:
            for stored in self._images.referrers(None, subject):
                if not self._viewer.package(stored.repository):
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
                            "bundle": self._reader.read_blob(holding.digest, holding.media_type),
                        }
                        for holding in self._images.holdings(stored.repository, stored.digest)
                        if holding.role == "layer"
                    ],
                }

    def _attached(self) -> Iterator[_Facts]:
        for entry in self._attachments:
            yield {
                "kind": entry.kind,
                "digest": str(entry.digest),
                "mediaType": entry.media_type,
                "source": entry.source,
                "added": _time(entry.added),
                "bundle": self._reader.read_blob(entry.digest, entry.media_type),
                "path": f"/evidence/{self._digest}/{entry.digest}",
            }

    def _channels(self) -> Iterator[_Facts]:
        for subject in self._subjects:
            for step in self._sources.channels.of(subject):
                if self._viewer.artifact(step.artifact):
                    yield step.facts()

    def _stays(self) -> Iterator[_Facts]:
        for subject in self._subjects if self.is_known else ():
            for stay in self._sources.quarantine.history(subject):
                yield {
                    "digest": str(stay.digest),
                    "reason": stay.reason,
                    "since": _time(stay.since),
                    "by": stay.by,
                    "released": None if stay.released is None else _time(stay.released),
                }

    def _events(self) -> Iterator[_Facts]:
        """Events that name one of the digests: those about what the viewer sees, which name nothing else."""
        names = [str(subject).partition(":")[2] for subject in self._subjects[:MAX_SUBJECTS]]
        for envelope in self._sources.table.events_naming(names):
            event = json.loads(envelope)
            if self._shows(event):
                yield {name: event[name] for name in ("id", "type", "time", "subject", "data")}

    def _shows(self, event: Mapping[str, Any]) -> bool:
        """Whether the viewer may know of an event."""
        data = event["data"]
        if self._viewer.hides(f"{event['subject']} {json.dumps(data)}"):
            return False
        if event["type"] == EVIDENCE_ADDED and event["subject"] == str(self._digest):
            return data.get("evidence") in self._evidence
        if event["source"] == TRUST:  # the logs are public
            return True
        places = _places_of(data)
        return self.is_known if places is None else all(map(self._viewer.artifact, places))


def _places_of(data: Mapping[str, Any]) -> list[ChannelArtifact] | None:
    """The places that an event is about; None for one that is about a digest alone."""
    texts = [f"oci/{data['repository']}"] if isinstance(data.get("repository"), str) else []
    texts += [f"package/{data['project']}"] if isinstance(data.get("project"), str) else []
    texts += [f"{data['kind']}/{data['name']}"] if data.get("kind") in KINDS and "name" in data else []
    return [ChannelArtifact.parse(text) for text in texts] or None


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
