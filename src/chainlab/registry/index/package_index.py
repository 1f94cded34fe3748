"""The package index: projects, their files, who may add to them, and what became of them.

A file never changes: the same bytes may be sent again, other bytes never, not even after it was deleted. A name of
ours is served from here alone, so that no upstream file can take the place of one (dependency confusion).

    >>> index.publish(Path("triage_model-1.0-py3-none-any.whl"), by=credential).digest
    >>> index.quarantine("triage-model", "token leaked", by="security")  # PEP 792: installers see no file

Every change is committed together with its event.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chainlab.clock import Clock, utc_now
from chainlab.credentials import Credential, Credentials
from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.evidence.packages.versions import is_same_version, parse_version, version_key
from chainlab.registry.blobs import Blobs, Staged
from chainlab.registry.index import attestations as pep740
from chainlab.registry.index.distributions import FileName, inspect
from chainlab.registry.index.downloads import Downloads
from chainlab.registry.index.file_table import FileTable
from chainlab.registry.index.models import IndexFile, IndexProject, Status
from chainlab.registry.index.project_table import Projects, normalise, stated
from chainlab.registry.index.publishers import AUDIENCE, Minted, Publisher, Publishers, TrustSource
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.job_writes import JobWrites
from chainlab.visibility import PACKAGES, Visibility

__all__ = ["MAX_FILE", "PackageIndex"]

MAX_FILE = 100 * 2**20  # bytes of one distribution, as on PyPI


class PackageIndex:
    """The package index of one registry; safe to call from several threads.

    ``connection`` serves nobody else, apart from ``events`` and ``credentials``. ``held`` says why a digest is held
    back, if it is.
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
        clock: Clock = utc_now,
    ) -> None:
        self._guard = threading.RLock()
        self._connection = connection
        self._upstream = upstream
        self._trust = trust
        self._held = held
        self._clock = clock
        self.blobs = blobs
        self.credentials = credentials
        self.names = Projects(connection, events, self._guard, clock=clock)
        self.served = Downloads(connection, self._guard, clock=clock)
        self._files = FileTable(connection, self._guard)
        self._job_writes = JobWrites(connection, self._guard)
        self._publishers = Publishers(connection, credentials)
        self._visibility = Visibility(connection)

    # -- reading

    def projects(self) -> list[IndexProject]:
        """Every project, upstream's too, sorted; no tombstones and no reserved names."""
        ours = {project.name: project for project in self.names.all()}
        names = self._upstream.projects() if self._upstream else {}
        theirs = [IndexProject(name, name, None, upstream=True) for name in names if name not in ours]
        shown = [entry for entry in ours.values() if entry.owner is not None and not entry.deleted]
        return sorted([*shown, *theirs], key=lambda project: project.name)

    def project(self, name: str) -> IndexProject:
        """A project, by any spelling of its name. Raises `Refused` (404)."""
        name = normalise(name)
        found = self.names.find(name)
        if found is None and self._upstream and self._upstream.files(name):
            return IndexProject(name, name, None, upstream=True)
        if found is None or found.owner is None or found.deleted:
            raise Refused(404, f"there is no project {name!r}")
        return found

    def sees(self, caller: Credential | None, project: str, rights: tuple[str, ...] = PACKAGES) -> bool:
        """Whether a caller, None for anybody, may know of a project.

        One that is published from an internal repository is for those who may read that repository's packages, and
        for its own publishers.
        """
        name = normalise(project)
        with self._guard:
            if all(self._visibility.may_read(caller, rights, r) for r in self.names.repositories(name)):
                return True
        if caller is None:
            return False
        found = self.names.find(name)
        return (
            f"packages:upload:{name}" in caller.grants
            or caller.may(f"packages:admin:{name}")
            or (found is not None and found.owner == caller.subject)
        )

    def files(self, name: str) -> list[IndexFile]:
        """All files of a project, whatever its status, by version and name. Raises `Refused` (404)."""
        project = self.project(name)
        if project.upstream and self._upstream:
            found = self._upstream.files(project.name)
        else:
            found = self._files.of(project.name)
        return sorted(found, key=lambda file: (version_key(file.version), file.filename))

    def offered(self, name: str) -> list[IndexFile]:
        """The files installers may see: none of a quarantined project, none whose digest is held back."""
        if not self.project(name).offers:
            return []
        return [file for file in self.files(name) if self._held(file.digest) is None]

    def file(self, project: str, filename: str) -> IndexFile:
        """A file that is offered. Raises `Refused`: 404 when there is none, 403 when it is held back."""
        found = next((file for file in self.files(project) if file.filename == filename), None)
        if found is None:
            raise Refused(404, f"{normalise(project)} has no file {filename[:120]!r}")
        owner = self.project(project)
        if not owner.offers:
            raise Refused(403, f"{owner.name} is in quarantine: {owner.reason}")
        if reason := self._held(found.digest):
            raise Refused(403, f"{filename} is in quarantine: {reason}")
        return found

    def holding(self, digest: Digest) -> list[IndexFile]:
        """The files with these bytes, whether they are offered or not."""
        found = self._files.with_digest(digest)
        for name, files in self._upstream.projects().items() if self._upstream else ():
            same = [file for file in files if file.digest == digest]
            if same and self.names.find(name) is None:
                found += same
        return found

    def digests(self) -> Iterator[Digest]:
        """Every blob that the index refers to."""
        for file in self._files.all():
            yield from (d for d in (file.digest, file.metadata, file.provenance) if d)

    def path(self, file: IndexFile) -> Path:
        """Where a file's bytes are."""
        if file.upstream and self._upstream:
            return self._upstream.path(file)
        return self.blobs.path(file.digest)

    def provenance(self, file: IndexFile) -> dict[str, Any] | None:
        """The provenance object of a file (PEP 740), or None."""
        if file.provenance is None:
            return None
        return dict(json.loads(self.blobs.read(file.provenance)))

    def downloads(self, address: str) -> list[tuple[str, str, Digest]]:
        """What was served to a job's address: project, file name, digest; in order."""
        return self.served.of(address)

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
        """Whether ``by`` may upload to a project, or take its name. Raises `Refused` (403)."""
        project = normalise(project)
        self.names.authorise(project, by)
        self._nobodys(project)

    def _nobodys(self, project: str) -> None:
        """Raise `Refused` (403) for an upstream project, whose name nobody here may take."""
        if self.names.find(project) is None and self._upstream and self._upstream.files(project):
            raise Refused(403, f"{project} is an upstream project and nobody's to upload to")

    def accept(
        self,
        name: FileName,
        staged: Staged,
        *,
        by: Credential,
        attestations: str | None = None,
        scenario_time: str | None = None,
    ) -> IndexFile:
        """Check what was staged and add it. The same bytes again change nothing. Raises `Refused`."""
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
            behind = self._publishers.behind(by.subject)
        proof = None if attestations is None else self._prove(name, digest, behind, attestations)
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
            publisher={"publisher": asdict(behind[0]), "claims": behind[1]} if behind else None,
            scenario_time=scenario_time,
        )
        with self._guard, transaction(self._connection):
            self._job_writes.record(by.job, "index", name.text, digest)
            if same := self._files.same(name.text, digest):  # somebody was quicker
                return same
            self.authorise(name.project, by)
            self.names.take(name.project, distribution.display_name, by.subject)
            if repository := by.repository or (behind[0].repository if behind else ""):
                self.names.join(name.project, repository)
            self._files.add(file)
            self._report(file)
        return file

    def _report(self, file: IndexFile) -> None:
        facts = {
            "project": file.project,
            "version": file.version,
            "file": file.filename,
            "size": file.size,
            "by": file.uploader,
            "attested": file.provenance is not None,
            **(file.publisher or {}),
        }
        self.names.report("published", str(file.digest), facts, file.scenario_time)

    def _prove(
        self,
        name: FileName,
        digest: Digest,
        behind: tuple[Publisher, Mapping[str, str]] | None,
        text: str,
    ) -> dict[str, Any]:
        """The provenance object, if the attestations hold. Raises `Refused` (400)."""
        if self._trust is None:
            raise Refused(503, "attestations cannot be checked: the index knows no trusted root")
        with self._guard:
            publishers = [behind[0]] if behind else self._publishers.of(name.project)
        return pep740.verify(pep740.read(text), (name.text, digest), publishers, self._trust.config_path)

    # -- trusted publishers

    def add_publisher(self, project: str, publisher: Publisher, *, owner: str) -> None:
        """Let a workflow upload to a project; registers the name when it is free. Raises `Refused` (409)."""
        self._nobodys(normalise(project))
        name = self.names.register(project, owner).name
        with self.names.changing(name, "publisher-added", {"by": owner, **asdict(publisher)}):
            self._publishers.add(name, publisher)
            self.names.join(name, publisher.repository)

    def remove_publisher(self, project: str, publisher: Publisher, *, by: str) -> None:
        """Trust a workflow no longer; credentials it has already end within minutes."""
        name = normalise(project)
        with self.names.changing(name, "publisher-removed", {"by": by, **asdict(publisher)}):
            self._publishers.remove(name, publisher)

    def mint(self, token: str) -> Minted:
        """A short-lived credential for a CI job's token. Raises `Refused` (401 or 422) with the reason."""
        if self._trust is None:
            raise Refused(503, "tokens cannot be checked: the index knows no issuer")
        claims = self._trust.claims(token, AUDIENCE)
        with self._guard:
            return self._publishers.mint(claims)

    # -- what becomes of files and projects

    def yank(self, project: str, version: str, reason: str = "", *, by: str) -> None:
        """Let installers take a version only when it is asked for by number (PEP 592)."""
        stated(reason or "-")
        files = self._of_version(project, version)
        with self.names.changing(project, "yanked", {"version": files[0].version, "reason": reason, "by": by}):
            self._files.yank(files, reason)

    def quarantine(self, project: str, reason: str, *, by: str) -> None:
        """Offer none of a project's files and take none, until `release`."""
        self.names.mark(project, "quarantined", Status.QUARANTINED, reason, by=by)

    def release(self, project: str, reason: str = "looked into", *, by: str) -> None:
        """End a project's quarantine."""
        if self.project(project).status is not Status.QUARANTINED:
            raise Refused(409, f"{normalise(project)} is not in quarantine")
        self.names.mark(project, "released", Status.ACTIVE, reason, by=by)

    def delete(self, project: str, version: str | None = None, *, by: str) -> None:
        """Delete a version, or the whole project; the names of files and project stay taken."""
        files = self.files(project) if version is None else self._of_version(project, version)
        names = [file.filename for file in files]
        digests = [str(file.digest) for file in files]
        facts = {"version": version, "files": names, "digests": digests, "by": by}
        with self.names.changing(project, "deleted", facts) as found:
            self._files.bury(files, self.names.now())
            if version is None:
                self.names.bury(found.name)

    def _of_version(self, project: str, version: str) -> list[IndexFile]:
        if parse_version(version) is None:
            raise MalformedInput(f"{version[:80]!r} is no version (PEP 440)")
        found = [file for file in self.files(project) if is_same_version(file.version, version)]
        if not found:
            raise Refused(404, f"{normalise(project)} has no version {version}")
        return found
