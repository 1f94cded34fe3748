"""The registry of one state directory, and its parts.

    DIRECTORY/blobs/      bytes by digest            DATABASE    names, tags, promotions, events …
    DIRECTORY/uploads/    unfinished uploads

Every part has a connection of its own, and its events use that connection. So a change and its event are one
transaction, and two parts never share a transaction by accident. Several processes may open the same registry.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chainlab import database
from chainlab.clock import Clock, utc_now
from chainlab.credentials import Credential, Credentials
from chainlab.digests import Digest
from chainlab.events import PREFIX, Events
from chainlab.registry import releases
from chainlab.registry.blobs import GRACE, Blobs
from chainlab.registry.channels import ChannelArtifact, Channels
from chainlab.registry.evidence.evidence import Evidence
from chainlab.registry.evidence.sources import Sources
from chainlab.registry.evidence.table import EvidenceTable
from chainlab.registry.index.package_index import PackageIndex
from chainlab.registry.index.publishers import TrustSource
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.job_writes import JobWrite, JobWrites
from chainlab.registry.oci import garbage
from chainlab.registry.oci.access import Access
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.uploads import LIFETIME, Uploads
from chainlab.registry.quarantine import Quarantine
from chainlab.registry.releases import Release
from chainlab.registry.verdict_inputs import VerdictInputs
from chainlab.registry.viewing import Viewer
from chainlab.trust.log import LogEntry, read_entry

__all__ = ["Registry"]


class Registry:
    """An open registry; close it. Safe to call from several threads.

    ``upstream`` is a directory of wheels that the index serves beside its own. ``trust`` verifies the tokens of CI
    jobs, and its trust configuration names this instance's logs. A ``read_only`` registry changes nothing.
    """

    def __init__(
        self,
        directory: Path,
        database: Path,
        *,
        upstream: Upstream | Path | None = None,
        trust: TrustSource | None = None,
        clock: Clock = utc_now,
        read_only: bool = False,
    ) -> None:
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._database = database
        self._read_only = read_only
        self._clock = clock
        self._undo = ExitStack()
        with ExitStack() as undo:  # closes what was opened when the start fails
            undo.callback(self._undo.close)
            self.blobs = Blobs(directory / "blobs")
            self.credentials = Credentials(self._connect())
            self._entries = self._connect()
            self._reports, self._guard = self._reporting(), threading.Lock()
            self.events = Events(self._connect(), clock=clock)
            self._job_writes = JobWrites(self._connect(), threading.RLock())
            counted = VerdictInputs(self._connect(), self.blobs).counted
            self.quarantine = Quarantine(*self._reporting(), counted=counted)
            connection, events = self._reporting()
            self._upstream = Upstream(upstream) if isinstance(upstream, Path) else upstream
            self.index = PackageIndex(
                connection,
                self.blobs,
                Credentials(connection),
                events,
                upstream=self._upstream,
                trust=trust,
                held=self.quarantine.reason,
                counted=counted,
                clock=clock,
            )
            connection, events = self._reporting()
            self.images = Images(connection, self.blobs, events, quarantine=self.quarantine, counted=counted)
            self.uploads = Uploads(self._connect(), self.blobs, directory / "uploads")
            self.access = Access(self.credentials)
            self.channels = Channels(*self._reporting(), has=self._has, held_back=self.held_back)
            sources = Sources(
                self.blobs, self.images, self.index, self.channels, self.quarantine, EvidenceTable(*self._reporting())
            )
            self.evidence = Evidence(sources, trust_config=trust.config_path if trust else None)
            undo.pop_all()

    @property
    def description(self) -> dict[str, Any]:
        """What another process needs to open it for reading, as JSON."""
        return {
            "directory": str(self._directory.absolute()),
            "database": str(self._database.absolute()),
            "upstream": self._upstream.description if self._upstream else None,
        }

    def sweep(self, *, grace: float = GRACE, lifetime: float = LIFETIME) -> garbage.Swept:
        """Remove blobs that nothing refers to, and abandoned uploads; ``grace`` and ``lifetime`` in seconds."""
        connection = database.connect(self._database)
        try:
            return garbage.sweep(connection, self.blobs, self.uploads, self._kept, grace=grace, lifetime=lifetime)
        finally:
            connection.close()

    def viewer(self, caller: Credential | None) -> Viewer:
        """Return what a caller sees of packages; None for anybody."""
        return Viewer(self.images, self.index, caller)

    def release(self, reference: str) -> Release:
        """Resolve a reference to a release, without reading its files. Raises as `releases.resolve`."""
        return releases.resolve(reference, self.images, self.held_back)

    def produced_by(self, job: str) -> list[JobWrite]:
        """List what a CI job stored here with its credentials, oldest first; ``job`` is the id that they carry."""
        return self._job_writes.of(job)

    def log_entry(self, log: str, index: int) -> LogEntry:
        """Read an entry of the instance's transparency log ``v1`` or ``v2``. Raises `Refused` (404)."""
        return read_entry(self._entries, log, index)

    def report(self, type: str, *, source: str, subject: str, data: Mapping[str, Any]) -> None:
        """Append an event ``dev.chainlab.<type>`` of a service that has no tables of its own."""
        connection, events = self._reports
        with self._guard, database.transaction(connection):
            events.append(PREFIX + type, source=source, subject=subject, data=data)

    def held_back(self, artifact: ChannelArtifact, digest: Digest) -> str | None:
        """Return why an artifact's digest is not handed out, or None."""
        if artifact.kind == "oci":
            return self.images.held_back(artifact.name, digest)
        project = self.index.project(artifact.name)
        if not project.offers:
            return project.reason or "its project is in quarantine"
        return self.quarantine.reason(digest)

    def close(self) -> None:
        """Close every connection to the state."""
        self._undo.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside

    def _connect(self) -> sqlite3.Connection:
        connection = database.connect(self._database, read_only=self._read_only)
        self._undo.callback(connection.close)
        return connection

    def _reporting(self) -> tuple[sqlite3.Connection, Events]:
        """Open one part's own connection, and the events on it."""
        connection = self._connect()
        return connection, Events(connection, clock=self._clock)

    def _kept(self) -> Iterator[Digest]:
        yield from self.index.digests()
        yield from self.evidence.digests()

    def _has(self, artifact: ChannelArtifact, digest: Digest) -> bool:
        if artifact.kind == "oci":
            return any(stored.repository == artifact.name for stored in self.images.with_digest(digest))
        return any(file.project == artifact.name for file in self.index.with_digest(digest))
