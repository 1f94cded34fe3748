"""Garbage collection: nothing goes that anything refers to; the rest goes after an hour."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from served_index import wheel
from served_registry import MANIFEST, image

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry.oci.errors import OciError
from chainlab.registry.registry import Registry

LONG_AGO = 1_000_000_000  # seconds since 1970


def push(registry: Registry, name: str, reference: str, *layers: bytes) -> Digest:
    for blob in (b"{}", *layers):
        registry.images.link(name, registry.blobs.put(blob))
    return registry.images.push(name, reference, image(*layers), MANIFEST, by="alice").digest


def age(registry: Registry) -> None:
    """Let everything here be old."""
    for digest in registry.blobs:
        os.utime(registry.blobs.path(digest), (LONG_AGO, LONG_AGO))
    registry.images._connection.execute("UPDATE oci_links SET linked = 0")
    registry.uploads._connection.execute("UPDATE oci_uploads SET updated = 0")


@pytest.fixture
def full(registry: Registry, tmp_path: Path) -> Registry:
    """Images, a package, and evidence: all that may refer to a blob."""
    push(registry, "acme/model", "v1", b"weights")
    untagged = push(registry, "acme/model", "v2", b"other weights")
    registry.images.delete_manifest("acme/model", "v2", by="alice")
    registry.index.publish(wheel(tmp_path), by=Credential("alice", frozenset({"packages:upload:*"})))
    registry.evidence.add(untagged, "sbom", b"{}[]", "application/json", "alice")
    return registry


def test_what_is_referred_to_stays_however_old(full: Registry) -> None:
    before = list(full.blobs)
    age(full)
    assert full.sweep().blobs == 0
    assert list(full.blobs) == before


def test_what_is_not_goes_when_it_is_old(full: Registry) -> None:
    before = list(full.blobs)
    loose = [full.blobs.put(b"loose"), full.blobs.put(b"linked")]
    full.images.link("acme/model", loose[1])
    assert full.sweep().blobs == 0  # somebody may be about to refer to them
    age(full)
    swept = full.sweep()
    assert (swept.blobs, swept.bytes) == (2, len(b"loose" + b"linked"))
    assert list(full.blobs) == before
    assert full.sweep().blobs == 0


def test_after_a_manifest_is_deleted_its_blobs_go_unless_shared(full: Registry) -> None:
    digest = push(full, "acme/model", "v3", b"weights", b"only here")
    full.images.delete_manifest("acme/model", digest, by="alice")
    age(full)
    assert full.sweep().blobs == 2  # the manifest and one layer
    assert Digest.of(b"weights") in full.blobs
    assert Digest.of(b"only here") not in full.blobs


def test_a_manifest_of_a_mounted_blob_keeps_it(full: Registry) -> None:
    weights = Digest.of(b"weights")
    assert full.images.mount("acme/copy", weights, "acme/model")
    push(full, "acme/copy", "v1", b"weights")
    full.images.delete_manifest("acme/model", "v1", by="alice")
    for stored in full.images.manifests("acme/model"):
        full.images.delete_manifest("acme/model", stored.digest, by="alice")
    age(full)
    full.sweep()
    assert full.images.blob("acme/copy", weights) == weights


def test_abandoned_uploads_go(full: Registry, tmp_path: Path) -> None:
    old, live = full.uploads.start("acme/model"), full.uploads.start("acme/model")
    with full.uploads.chunk("acme/model", old, 0) as chunk:
        chunk.write(b"half")
        chunk.keep()
    age(full)
    full.uploads._connection.execute("UPDATE oci_uploads SET updated = ? WHERE id = ?", (time.time(), live))
    assert full.sweep().uploads == 1
    assert [path.name for path in (tmp_path / "registry" / "uploads").iterdir()] == [live]
    assert full.uploads.size("acme/model", live) == 0


def test_a_push_after_a_sweep_of_its_blobs_is_told_so(full: Registry) -> None:
    full.images.link("acme/model", full.blobs.put(b"late"))
    age(full)
    full.sweep()
    with pytest.raises(OciError, match=f"has no layer {Digest.of(b'late')}"):
        full.images.push("acme/model", "late", image(b"late"), MANIFEST, by="alice")
