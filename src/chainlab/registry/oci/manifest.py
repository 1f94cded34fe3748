"""Manifests: the blobs and manifests that one refers to, read from bytes that a stranger sent.

A manifest is stored byte for byte, since its digest names it; this module only reads it. Every kind of manifest is
read alike: ``config``, ``layers`` and ``blobs`` name blobs, ``manifests`` names other manifests, ``subject``
names the manifest that this one is about.

Specification: image-spec 1.1 (manifest.md, image-index.md, descriptor.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.digests import Digest
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.names import any_digest

__all__ = [
    "INDEX_TYPE",
    "MANIFEST_TYPE",
    "MAX_MANIFEST",
    "MEDIA_TYPE",
    "TITLE",
    "Descriptor",
    "Manifest",
]

MAX_MANIFEST = 4 * 2**20  # bytes, distribution-spec 1.1, "Pushing Manifests"
MAX_DESCRIPTORS = 500  # of one manifest: each costs work while the database is locked for writing
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"  # annotation of a layer: the file's name
# Manifests are served with the type they were pushed with, so no type that a browser would render is accepted.
MANIFEST_TYPES = re.compile(r"application/vnd\.[a-z0-9][a-z0-9.+-]{0,120}\+json")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII)


@dataclass(frozen=True)
class Descriptor:
    """A manifest's description of something that it refers to."""

    role: str  # 'config', 'layer' or 'manifest'
    media_type: str
    digest: Digest
    size: int  # bytes
    title: str = ""


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest."""

    digest: Digest
    size: int  # bytes
    media_type: str
    artifact_type: str | None  # its own, else the media type of its config
    annotations: Mapping[str, str]
    holds: tuple[Descriptor, ...]
    subject: Digest | None

    @classmethod
    def parse(cls, data: bytes, content_type: str = "") -> Manifest:
        """Read a manifest that was sent as ``content_type``.

        Raises `OciError` (400 MANIFEST_INVALID).
        """
        try:
            document = json.loads(data)
            json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:  # also for half a character: "\\ud800"
            raise _invalid(f"not JSON: {error}") from error
        if not isinstance(document, dict):
            raise _invalid("not a JSON object")
        if document.get("schemaVersion", 2) != 2:
            raise _invalid("expected schemaVersion 2")
        media_type = _media_type(document, content_type)
        holds = _descriptors(document)
        own, config = document.get("artifactType"), document.get("config")
        if own and not (isinstance(own, str) and MEDIA_TYPE.fullmatch(own)):
            raise _invalid("artifactType is not a media type")
        subject = document.get("subject")
        return cls(
            Digest.of(data),
            len(data),
            media_type,
            own or (config["mediaType"] if config else None),
            _annotations(document.get("annotations"), "annotations"),
            holds,
            None if subject is None else _descriptor(subject, "subject", "subject").digest,
        )


def _media_type(document: Mapping[str, Any], content_type: str) -> str:
    sent = content_type.partition(";")[0].strip().lower()
    own = document.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise _invalid("mediaType is not text")
    if own and sent and own != sent:
        raise _invalid(f"mediaType is {own[:127]!r}, but it was sent as {sent[:127]!r}")
    media_type = own or sent
    if not MANIFEST_TYPES.fullmatch(media_type):
        raise _invalid(f"not a manifest's media type: {media_type[:127]!r}", hint=f"send it as {MANIFEST_TYPE}")
    return media_type


def _descriptors(document: Mapping[str, Any]) -> tuple[Descriptor, ...]:
    descriptors = []
    if document.get("config") is not None:
        descriptors.append(_descriptor(document["config"], "config", "config"))
    for name, role in (("layers", "layer"), ("blobs", "layer"), ("manifests", "manifest")):
        entries = document.get(name)
        if entries is None:
            continue
        if not isinstance(entries, list) or len(descriptors) + len(entries) > MAX_DESCRIPTORS:
            raise _invalid(f"{name} is not a list, or has more than {MAX_DESCRIPTORS} descriptors")
        descriptors += [_descriptor(entry, role, f"{name}[{at}]") for at, entry in enumerate(entries)]
    return tuple(descriptors)


def _descriptor(entry: Any, role: str, where: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise _invalid(f"{where} is not a descriptor")
    size, media_type, digest = (entry.get(name) for name in ("size", "mediaType", "digest"))
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**53:
        raise _invalid(f"{where} has no size")
    if not isinstance(media_type, str) or not MEDIA_TYPE.fullmatch(media_type):
        raise _invalid(f"{where} has no media type")
    if not isinstance(digest, str):
        raise _invalid(f"{where} has no digest")
    try:
        parsed = any_digest(digest)
    except OciError as error:
        raise _invalid(f"{where} has no digest: {digest[:80]!r}") from error
    annotations = _annotations(entry.get("annotations"), f"{where}.annotations")
    return Descriptor(role, media_type, parsed, size, annotations.get(TITLE, ""))


def _annotations(value: Any, where: str) -> dict[str, str]:
    value = {} if value is None else value
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _invalid(f"{where} is not a map from text to text")
    return value


def _invalid(message: str, *, hint: str = "") -> OciError:
    return OciError(400, "MANIFEST_INVALID", f"the manifest cannot be read: {message}", hint=hint)
