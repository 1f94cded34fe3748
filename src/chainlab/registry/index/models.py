"""A file and a project of the package index, as values; its tables and the wheelhouse produce them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chainlab.digests import Digest
from chainlab.evidence.packages.versions import version_key

__all__ = ["IndexFile", "IndexProject", "Status", "versions"]


class Status(StrEnum):
    """The project status markers (PEP 792) that this index sets."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"  # offers no files, takes no uploads


@dataclass(frozen=True)
class IndexFile:
    """One distribution file."""

    filename: str
    project: str  # normalised name
    version: str
    kind: str  # 'bdist_wheel' or 'sdist'
    digest: Digest
    size: int  # bytes
    uploaded: datetime | None  # real time; None = unknown
    requires_python: str | None = None
    metadata: Digest | None = None  # of METADATA (PEP 658)
    yanked: str | None = None  # the reason, '' = none given; None = not yanked
    uploader: str = ""  # subject of the credential
    provenance: Digest | None = None  # of the provenance object (PEP 740), a blob
    # The trusted publisher and the claims of its job; None for a person's credential.
    publisher: Mapping[str, Any] | None = field(default=None, hash=False)
    scenario_time: str | None = None  # RFC 3339, the drill's clock
    upstream: bool = False  # from the wheelhouse


@dataclass(frozen=True)
class IndexProject:
    """A project's name, its owner and its status."""

    name: str  # normalised
    display_name: str
    owner: str | None  # None: reserved, or upstream
    status: Status = Status.ACTIVE
    reason: str = ""  # of the status
    deleted: bool = False  # a tombstone: its files are gone, the name still belongs to its owner
    upstream: bool = False

    @property
    def offers(self) -> bool:
        """Whether installers may see its files."""
        return not self.deleted and self.status is not Status.QUARANTINED


def versions(files: Iterable[IndexFile]) -> list[str]:
    """List the versions of some files, oldest first."""
    return sorted({file.version for file in files}, key=version_key)
