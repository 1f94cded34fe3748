"""Attach evidence to a manifest as a referrer (OCI distribution 1.1).

{"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json", "subject": {"digest": …}, "layers": [bundle], …}
"""

from __future__ import annotations

import json

from chainlab.digests import Digest
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.manifest import MANIFEST_TYPE
from chainlab.registry.oci.tables import Stored

__all__ = ["attach"]

EMPTY = "application/vnd.oci.empty.v1+json"  # image-spec, "Guidance for an Empty Descriptor"


def attach(images: Images, repository: str, subject: Digest, data: bytes, media_type: str, *, by: str) -> Stored:
    """Store ``data`` as the one layer of a manifest about ``subject``, with the artifact type ``media_type``.

    Raises `OciError` when the repository has no such manifest.
    """
    about = images.manifest(repository, subject)
    blobs = []
    for content, kind in ((b"{}", EMPTY), (data, media_type)):
        digest = images.blobs.put(content)
        images.link(repository, digest)
        blobs.append({"mediaType": kind, "digest": str(digest), "size": len(content)})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": media_type,
        "config": blobs[0],
        "layers": blobs[1:],
        "subject": {"mediaType": about.media_type, "digest": str(subject), "size": about.size},
    }
    raw = json.dumps(manifest).encode()
    return images.push(repository, Digest.of(raw), raw, MANIFEST_TYPE, by=by)
