"""Evidence: everything this registry knows about a digest, whichever protocol it came by.

    >>> evidence.document(Digest.of_file(wheel))["attached"]                    # doctest: +SKIP
    >>> evidence.bundles(release.digest)                                        # doctest: +SKIP

Evidence is looked up by digest, not by name: the digest of a wheel, of a model inside an OCI image, or of a manifest.
Each reader gets what they may know of (`chainlab.registry.viewing`): the places that they see, and what was said about
a digest that is in such a place. For everything else the answer is as if there were nothing.

Bundles are summarised (`chainlab.registry.bundle_summary`) and not verified: that needs a root which the reader
trusts, and the registry decides nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.evidence.bundles import KeptBundle, find_bundles
from chainlab.registry.evidence.document import EvidenceDocument
from chainlab.registry.evidence.gathering import gather
from chainlab.registry.evidence.sources import BundleReader, Sources
from chainlab.registry.oci.tables import Stored
from chainlab.registry.viewing import Standing, Viewer
from chainlab.visibility import OPERATOR

__all__ = ["Evidence"]


class Evidence:
    """The evidence of one registry; safe to call from several threads.

    ``trust_config`` is the file that names this instance's logs.
    """

    def __init__(self, sources: Sources, *, trust_config: Path | None = None) -> None:
        self._sources = sources
        self._trust_config = trust_config

    def add(self, subject: Digest, kind: str, data: bytes, media_type: str, source: str) -> Digest:
        """Attach evidence to a digest and return its own; the same evidence again changes nothing."""
        return self.add_to([subject], kind, data, media_type, source)

    def add_to(self, subjects: Iterable[Digest], kind: str, data: bytes, media_type: str, source: str) -> Digest:
        """Attach the same evidence to several digests, to all of them or to none, and return its own digest."""
        digest = self._sources.blobs.put(data)
        viewer = self.viewer(OPERATOR)
        places = {subject: viewer.standing(subject).seen for subject in subjects}
        self._sources.table.add(places, kind, digest, media_type, source)
        return digest

    def viewer(self, caller: Credential | None) -> Viewer:
        """Return what a caller sees of evidence; None for anybody."""
        return Viewer(self._sources.images, self._sources.index, caller, evidence=True)

    def read(self, subject: Digest, evidence: Digest, *, viewer: Viewer | None = None) -> bytes:
        """Read evidence that was attached to a digest. Raises `Refused` (404)."""
        viewer = viewer or self.viewer(OPERATOR)
        attachments = [entry for entry in self._sources.table.of(subject) if entry.digest == evidence]
        standing = self._standing(subject, viewer)
        if not any(viewer.sees_evidence_by(entry.source, standing) for entry in attachments):
            raise Refused(404, f"no evidence {evidence} is attached to {subject}")
        return self._sources.blobs.read(evidence)

    def attached(self, subject: Digest) -> list[tuple[str, Digest]]:
        """List what was attached to a digest: kind, and the evidence's own digest; oldest first."""
        return [(entry.kind, entry.digest) for entry in self._sources.table.of(subject)]

    def with_prefix(self, prefix: str, *, viewer: Viewer) -> list[tuple[Digest, Digest, str]]:
        """List attached evidence whose digest begins with ``prefix`` (``sha256:1f``): subject, its own digest, kind."""
        return [
            (entry.subject, entry.digest, entry.kind)
            for entry in self._sources.table.with_prefix(prefix)
            if viewer.sees_evidence_by(entry.source, self._standing(entry.subject, viewer))
        ]

    def predicates(self, referrers: Iterable[Stored]) -> dict[Digest, str]:
        """Map the digest of each referrer to its bundle's predicate type; referrers without a bundle are left out."""
        images = self._sources.images
        reader = BundleReader(self._sources.blobs)
        predicates: dict[Digest, str] = {}
        for stored in referrers:
            for holding in images.holdings(stored.repository, stored.digest):
                summary = reader.read_blob(holding.digest, holding.media_type) if holding.role == "layer" else None
                if summary and "predicateType" in summary:
                    predicates.setdefault(stored.digest, str(summary["predicateType"]))
        return predicates

    def bundles(self, *subjects: Digest, repository: str | None = None) -> dict[Digest, KeptBundle]:
        """Find every Sigstore bundle about these digests: see `find_bundles`."""
        return find_bundles(subjects, self._sources, repository=repository)

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every blob that is attached to something."""
        return self._sources.table.digests()

    def document(self, digest: Digest, *, viewer: Viewer | None = None) -> EvidenceDocument:
        """Return what is known of a digest, part by part, as JSON. Raises `Refused` (404) for nothing.

        Without a ``viewer`` all of it, which is for whoever holds the state directory.
        """
        viewer = viewer or self.viewer(OPERATOR)
        return gather(digest, viewer, self._standing(digest, viewer), self._sources, self._logs())

    def _standing(self, digest: Digest, viewer: Viewer) -> Standing:
        return viewer.standing(digest, self._sources.table.places(digest))

    def _logs(self) -> frozenset[str]:
        """The ids (hex) of the logs that this instance runs."""
        try:
            config = json.loads(self._trust_config.read_bytes()) if self._trust_config else {}
            logs = config["trustedRoot"]["tlogs"]
            return frozenset(base64.b64decode(log["logId"]["keyId"]).hex() for log in logs)
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()
