"""The package index: projects, their files, who may upload, and yanks, quarantines and deletions.

A file never changes: the same bytes may be uploaded again, other bytes never, not even after the file was deleted. A
project that is registered here is never served from upstream, so no upstream file can replace one (dependency
confusion).

    >>> index.publish(Path("triage_model-1.0-py3-none-any.whl"), by=credential).digest
    >>> index.quarantine("triage-model", "token leaked", by="security")  # PEP 792: installers see no file

Every change is committed together with its event.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chainlab.clock import Clock, utc_now
from chainlab.credentials import Credential, Credentials
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.evidence.packages.versions import is_same_version, parse_version
from chainlab.registry.blobs import Blobs, Staged
from chainlab.registry.index import attestations as pep740
from chainlab.registry.index.catalog import IndexCatalog
from chainlab.registry.index.distributions import FileName, inspect
from chainlab.registry.index.models import IndexFile, Status
from chainlab.registry.index.project_table import check_reason, normalise
from chainlab.registry.index.publishers import AUDIENCE, Minted, Publisher, Publishers, TrustSource
from chainlab.registry.index.upload_facts import compare
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.job_writes import JobWrites, job_facts

__all__ = ["MAX_FILE", "PackageIndex"]

MAX_FILE = 100 * 2**20  # bytes of one distribution, as on PyPI


class PackageIndex(IndexCatalog):
    """The package index of one registry; safe to call from several threads.

    Only ``events`` and ``credentials`` share ``connection``. ``held`` returns why a digest is held back, or None, and
    ``counted`` whether a verdict rests on it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        credentials: Credentials,
        events: Events,
        *,
        upstream: Upstream | None = None,
        trust: TrustSource | None = None,
        held: Callable[[Digest], str | None] = lambda _: None,
        counted: Callable[[Digest], bool] = lambda _: False,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(connection, blobs, events, upstream=upstream, held=held, clock=clock)
        self._trust = trust
        self._clock = clock
        self._counted = counted
        self.credentials = credentials
        self._job_writes = JobWrites(connection, self._guard)
        self._publishers = Publishers(connection, credentials)

    def present(self, secret: str, address: str = "") -> Credential | None:
        """Check a secret that came with a request from an address; None for an invalid one."""
        with self._guard:
            return self.credentials.present(secret, service="index", address=address)

    def used(self, credential: Credential) -> None:
        """Report that a credential was accepted for an upload."""
        with self._guard:
            self.credentials.used(credential, "index")

    # -- uploading

    def publish(
        self,
        path: Path,
        *,
        by: Credential,
        attestations: str | None = None,
        scenario_time: str | None = None,
    ) -> IndexFile:
        """Upload a file from the disk; ``attestations`` is the form's JSON array. Raises `Refused`."""
        name = FileName.parse(path.name)
        self.authorise(name.project, by)
        with self.blobs.stage(limit=MAX_FILE) as staged, path.open("rb") as file:
            while block := file.read(2**20):
                staged.write(block)
            return self.accept(name, staged, by=by, attestations=attestations, scenario_time=scenario_time)

    def authorise(self, project: str, by: Credential) -> None:
        """Check that ``by`` may upload to a project, or take its name. Raises `Refused` (403)."""
        project = normalise(project)
        self.names.authorise(project, by)
        self._check_not_upstream(project)

    def _check_not_upstream(self, project: str) -> None:
        """Raises `Refused` (403) for an upstream project, whose name stays upstream's."""
        if self.names.find(project) is None and self._upstream and self._upstream.files(project):
            raise Refused(403, f"nobody may upload to {project}: it is an upstream project")

    def accept(
        self,
        name: FileName,
        staged: Staged,
        *,
        by: Credential,
        attestations: str | None = None,
        scenario_time: str | None = None,
    ) -> IndexFile:
        """Check a staged file and add it; the same bytes again change nothing. Raises `Refused`."""
        self.authorise(name.project, by)
        digest = staged.digest
        if reason := self._held(digest):
            raise Refused(403, f"these bytes are in quarantine: {reason}")
        if same := self._files.same(name.text, digest):
            with self._guard, transaction(self._connection):
                self._job_writes.record(by.job, "index", same.filename, digest)
            return same
        staged.flush()
        distribution = inspect(staged.path, name)
        with self._guard:
            origin = self._publishers.origin(by.subject)
        proof = None if attestations is None else self._prove(name, digest, origin, attestations)
        wheel = name.kind == "bdist_wheel"
        file = IndexFile(
            filename=name.text,
            project=name.project,
            version=name.version,
            kind=name.kind,
            digest=staged.commit(digest),
            size=staged.size,
            uploaded=self._clock().replace(microsecond=0),
            requires_python=distribution.requires_python,
            metadata=self.blobs.put(distribution.metadata) if wheel else None,
            uploader=by.subject,
            provenance=self.blobs.put(json.dumps(proof, indent=1).encode()) if proof else None,
            publisher={"publisher": asdict(origin[0]), "claims": origin[1]} if origin else None,
            scenario_time=scenario_time or self._scenario_time(),
        )
        with self._guard, transaction(self._connection):
            self._job_writes.record(by.job, "index", name.text, digest)
            if same := self._files.same(name.text, digest):  # another upload of the same file was quicker
                return same
            self.authorise(name.project, by)
            self.names.take(name.project, distribution.display_name, by.subject)
            if repository := by.repository or (origin[0].repository if origin else ""):
                self.names.add_repository(name.project, repository)
            earlier = self._files.uploads(name.project)
            self._files.add(file)
            self._report(file, earlier, by, origin[0].repository if origin else None)
        return file

    def _scenario_time(self) -> str | None:
        with self._guard:
            return self._events.scenario_time

    def _report(self, file: IndexFile, earlier: list[IndexFile], by: Credential, repository: str | None) -> None:
        facts = {
            "project": file.project,
            "version": file.version,
            "file": file.filename,
            "repository": repository,
            "by": file.uploader,
            **job_facts(self._connection, by.job or by.at),
            **compare(file, earlier, self.blobs),
            **(file.publisher or {}),
        }
        self.names.report("published", str(file.digest), facts, file.scenario_time)

    def _prove(
        self,
        name: FileName,
        digest: Digest,
        origin: tuple[Publisher, Mapping[str, str]] | None,
        text: str,
    ) -> dict[str, Any]:
        """Verify the attestations and return the provenance object. Raises `Refused` (400)."""
        if self._trust is None:
            raise Refused(503, "attestations cannot be checked: the index has no trusted root")
        with self._guard:
            publishers = [origin[0]] if origin else self._publishers.of(name.project)
        return pep740.verify(pep740.read(text), (name.text, digest), publishers, self._trust.config_path)

    # -- trusted publishers

    def add_publisher(self, project: str, publisher: Publisher, *, owner: str) -> None:
        """Let a workflow upload to a project; register the name when it is free. Raises `Refused` (409)."""
        self._check_not_upstream(normalise(project))
        name = self.names.register(project, owner).name
        with self.names.changing(name, "publisher-added", {"by": owner, **asdict(publisher)}):
            self._publishers.add(name, publisher)
            self.names.add_repository(name, publisher.repository)

    def remove_publisher(self, project: str, publisher: Publisher, *, by: str) -> None:
        """Stop trusting a workflow; the credentials that it already has expire within minutes."""
        name = normalise(project)
        with self.names.changing(name, "publisher-removed", {"by": by, **asdict(publisher)}):
            self._publishers.remove(name, publisher)

    def mint(self, token: str) -> Minted:
        """Exchange a CI job's token for a short-lived credential. Raises `Refused` (401 or 422) with the reason."""
        if self._trust is None:
            raise Refused(503, "tokens cannot be checked: the index has no issuer")
        claims = self._trust.claims(token, AUDIENCE)
        with self._guard:
            return self._publishers.mint(claims)

    # -- yanks, quarantines, deletions

    def yank(self, project: str, version: str, reason: str = "", *, by: str) -> None:
        """Yank a version: installers take it only when it is requested by number (PEP 592)."""
        check_reason(reason or "-")
        files = self._of_version(project, version)
        with self.names.changing(project, "yanked", {"version": files[0].version, "reason": reason, "by": by}):
            self._files.yank(files, reason)

    def quarantine(self, project: str, reason: str, *, by: str) -> None:
        """Hide all files of a project and refuse uploads to it, until `release`."""
        counted = any(self._counted(file.digest) for file in self._files.of(normalise(project)))
        self.names.set_status(project, "quarantined", Status.QUARANTINED, reason, by=by, counted=counted)

    def release(self, project: str, reason: str = "looked into", *, by: str) -> None:
        """End a project's quarantine."""
        if self.project(project).status is not Status.QUARANTINED:
            raise Refused(409, f"{normalise(project)} is not in quarantine")
        self.names.set_status(project, "released", Status.ACTIVE, reason, by=by)

    def delete(self, project: str, version: str | None = None, *, by: str) -> None:
        """Delete a version, or the whole project; the names of its files, and its own, stay taken."""
        files = self.files(project) if version is None else self._of_version(project, version)
        names = [file.filename for file in files]
        digests = [str(file.digest) for file in files]
        counted = any(self._counted(file.digest) for file in files)
        facts = {"version": version, "files": names, "digests": digests, "counted": counted, "by": by}
        with self.names.changing(project, "deleted", facts) as entry:
            self._files.bury(files, self.names.now())
            if version is None:
                self.names.bury(entry.name)

    def _of_version(self, project: str, version: str) -> list[IndexFile]:
        if parse_version(version) is None:
            raise MalformedInput(f"not a version (PEP 440): {version[:80]!r}")
        files = [file for file in self.files(project) if is_same_version(file.version, version)]
        if not files:
            raise Refused(404, f"{normalise(project)} has no version {version}")
        return files
