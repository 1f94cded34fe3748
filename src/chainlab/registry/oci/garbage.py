"""Garbage collection: removes blobs that nothing refers to, and abandoned uploads.

What a manifest holds stays, tagged or not, and so does everything in ``keep`` (the package index's files, the
evidence). A blob that was stored or linked within the last hour stays too, because its sender may be about to refer to
it. The sweep holds the database's write lock, so no manifest is pushed meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chainlab.database import transaction
from chainlab.digests import Digest
from chainlab.registry.blobs import GRACE, Blobs
from chainlab.registry.oci.uploads import LIFETIME, Uploads

__all__ = ["Swept", "sweep"]


@dataclass(frozen=True)
class Swept:
    """What a sweep removed."""

    blobs: int
    bytes: int
    uploads: int


def sweep(
    connection: sqlite3.Connection,
    blobs: Blobs,
    uploads: Uploads,
    keep: Callable[[], Iterable[Digest]],
    *,
    grace: float = GRACE,
    lifetime: float = LIFETIME,
) -> Swept:
    """Remove what nothing refers to; ``keep`` yields more digests to keep, ``grace`` and ``lifetime`` are seconds."""
    abandoned = uploads.sweep(lifetime=lifetime)
    blobs.sweep(grace=grace)
    removed = size = 0
    with transaction(connection):
        connection.execute(
            "DELETE FROM oci_links WHERE linked <= ? AND NOT EXISTS (SELECT 1 FROM oci_held AS h"
            " WHERE h.repository = oci_links.repository AND h.digest = oci_links.digest)",
            (time.time() - grace,),
        )
        rows = connection.execute(
            "SELECT digest FROM oci_manifests UNION SELECT digest FROM oci_links UNION SELECT digest FROM oci_held"
        )
        needed = {Digest.parse(text) for (text,) in rows} | set(keep())
        for digest in blobs:
            if digest not in needed and (freed := blobs.discard(digest, grace=grace)):
                size += freed
                removed += 1
    return Swept(removed, size, abandoned)
