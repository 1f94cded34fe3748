"""Where evidence is kept, and a reader of the bundles in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainlab.digests import Digest
from chainlab.registry import bundle_summary
from chainlab.registry.blobs import Blobs
from chainlab.registry.channels import Channels
from chainlab.registry.evidence.table import EvidenceTable
from chainlab.registry.index.package_index import PackageIndex
from chainlab.registry.oci.images import Images
from chainlab.registry.quarantine import Quarantine

__all__ = ["BundleReader", "Sources"]

MAX_READ = 100  # bundles read for one answer; the others are only listed


@dataclass(frozen=True)
class Sources:
    """The parts of one registry that hold evidence."""

    blobs: Blobs
    images: Images
    index: PackageIndex
    channels: Channels
    quarantine: Quarantine
    table: EvidenceTable


class BundleReader:
    """Summarises at most `MAX_READ` bundles for one answer, and adds where our own log serves an entry.

    ``logs`` are the ids (hex) of this instance's logs.
    """

    def __init__(self, blobs: Blobs, logs: frozenset[str] = frozenset()) -> None:
        self._blobs = blobs
        self._logs = logs
        self._left = MAX_READ

    def read_blob(self, digest: Digest, media_type: str) -> dict[str, Any] | None:
        """Summarise a stored bundle; None for anything else."""
        if "json" not in media_type or digest not in self._blobs:
            return None
        if self._blobs.path(digest).stat().st_size > bundle_summary.MAX_BUNDLE:
            return None
        return self.read(self._blobs.read(digest))

    def read(self, data: bytes) -> dict[str, Any] | None:
        """Summarise a bundle; None for anything else, and when enough were read."""
        if not self._left:
            return None
        self._left -= 1
        summary = bundle_summary.read(data)
        if summary is None:
            return None
        document = summary.document()
        if summary.entry_path and summary.log_id in self._logs:
            document["logEntry"]["path"] = summary.entry_path
        return document
