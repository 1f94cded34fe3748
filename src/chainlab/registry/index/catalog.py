"""Reading the package index: projects, their files, and who may see them.

A project that is registered here is never served from upstream, so no upstream file can replace one (dependency
confusion).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.clock import Clock, utc_now
from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.events import Events
from chainlab.evidence.packages.versions import version_key
from chainlab.registry.blobs import Blobs
from chainlab.registry.index.downloads import Downloads
from chainlab.registry.index.file_table import FileTable
from chainlab.registry.index.models import IndexFile, IndexProject
from chainlab.registry.index.project_table import ProjectTable, normalise
from chainlab.registry.index.upstream import Upstream
from chainlab.visibility import PACKAGES, Visibility

__all__ = ["IndexCatalog"]


class IndexCatalog:
    """The reading half of `chainlab.registry.index.package_index.PackageIndex`; safe to call from several threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        events: Events,
        *,
        upstream: Upstream | None = None,
        held: Callable[[Digest], str | None] = lambda _: None,
        clock: Clock = utc_now,
    ) -> None:
        self._guard = threading.RLock()
        self._connection = connection
        self._upstream = upstream
        self._held = held
        self.blobs = blobs
        self.names = ProjectTable(connection, events, self._guard, clock=clock)
        self._events = events
        self.served = Downloads(connection, events, self._guard, clock=clock)
        self._files = FileTable(connection, self._guard)
        self._visibility = Visibility(connection)

    def projects(self) -> list[IndexProject]:
        """List every project, upstream's too, by name; tombstones and reserved names are left out."""
        ours = {project.name: project for project in self.names.all()}
        names = self._upstream.projects() if self._upstream else {}
        theirs = [IndexProject(name, name, None, upstream=True) for name in names if name not in ours]
        shown = [entry for entry in ours.values() if entry.owner is not None and not entry.deleted]
        return sorted([*shown, *theirs], key=lambda project: project.name)

    def project(self, name: str) -> IndexProject:
        """Return a project, by any spelling of its name. Raises `Refused` (404)."""
        name = normalise(name)
        project = self.names.find(name)
        if project is None and self._upstream and self._upstream.files(name):
            return IndexProject(name, name, None, upstream=True)
        if project is None or project.owner is None or project.deleted:
            raise Refused(404, f"there is no project {name!r}")
        return project

    def sees(self, caller: Credential | None, project: str, rights: tuple[str, ...] = PACKAGES) -> bool:
        """Whether a caller, None for anybody, may know of a project.

        A project that is published from an internal repository is visible to those who may read that repository's
        packages, and to its own publishers.
        """
        name = normalise(project)
        with self._guard:
            if all(self._visibility.may_read(caller, rights, r) for r in self.names.repositories(name)):
                return True
        if caller is None:
            return False
        entry = self.names.find(name)
        return (
            f"packages:upload:{name}" in caller.grants
            or caller.may(f"packages:admin:{name}")
            or (entry is not None and entry.owner == caller.subject)
        )

    def files(self, name: str) -> list[IndexFile]:
        """List all files of a project, whatever its status, by version and name. Raises `Refused` (404)."""
        project = self.project(name)
        if project.upstream and self._upstream:
            files = self._upstream.files(project.name)
        else:
            files = self._files.of(project.name)
        return sorted(files, key=lambda file: (version_key(file.version), file.filename))

    def offered(self, name: str) -> list[IndexFile]:
        """List the files that installers may see: none of a quarantined project, none whose digest is held back."""
        if not self.project(name).offers:
            return []
        return [file for file in self.files(name) if self._held(file.digest) is None]

    def file(self, project: str, filename: str) -> IndexFile:
        """Return a file that installers may see. Raises `Refused`: 404 when there is none, 403 when it is held back."""
        file = next((file for file in self.files(project) if file.filename == filename), None)
        if file is None:
            raise Refused(404, f"{normalise(project)} has no file {filename[:120]!r}")
        owner = self.project(project)
        if not owner.offers:
            raise Refused(403, f"{owner.name} is in quarantine: {owner.reason}")
        if reason := self._held(file.digest):
            raise Refused(403, f"{filename} is in quarantine: {reason}")
        return file

    def with_digest(self, digest: Digest) -> list[IndexFile]:
        """List the files with these bytes, whether installers may see them or not."""
        matches = self._files.with_digest(digest)
        for name, files in self._upstream.projects().items() if self._upstream else ():
            same = [file for file in files if file.digest == digest]
            if same and self.names.find(name) is None:
                matches += same
        return matches

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every blob that the index refers to."""
        for file in self._files.all():
            yield from (d for d in (file.digest, file.metadata, file.provenance) if d)

    def path(self, file: IndexFile) -> Path:
        """Return where a file's bytes are."""
        if file.upstream and self._upstream:
            return self._upstream.path(file)
        return self.blobs.path(file.digest)

    def provenance(self, file: IndexFile) -> dict[str, Any] | None:
        """Return the provenance object of a file (PEP 740), or None."""
        if file.provenance is None:
            return None
        return dict(json.loads(self.blobs.read(file.provenance)))

    def downloads(self, address: str) -> list[tuple[str, str, Digest]]:
        """List what was served to a job's address: project, file name, digest; in order."""
        return self.served.of(address)
