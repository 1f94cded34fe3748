"""References: the text form that names one artifact of the registry.

    >>> ArtifactRef.parse("oci/acme/triage-model/release:v1.4.0").tag
    'v1.4.0'
    >>> str(ArtifactRef.parse("oci/acme/triage-model/release@sha256:" + "0" * 64).artifact)
    'oci/acme/triage-model/release'

With a digest a reference always names the same bytes; with a tag it names whatever the tag points to today.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.oci.names import is_tag

__all__ = ["ArtifactRef"]


@dataclass(frozen=True)
class ArtifactRef:
    """An artifact, and either a digest or a tag."""

    artifact: ChannelArtifact
    digest: Digest | None = None
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> ArtifactRef:
        """Read ``oci/OWNER/REPOSITORY@sha256:…`` or ``oci/OWNER/REPOSITORY:TAG``; the inverse of `str`.

        Raises `MalformedInput` for anything else.
        """
        name, at, digest = text.partition("@")
        if at:
            return cls(_image(name), Digest.parse(digest))
        name, colon, tag = text.rpartition(":")
        if not colon or not is_tag(tag):
            raise MalformedInput(
                f"not a release's reference: {text[:200]!r}",
                hint="write oci/OWNER/REPOSITORY@sha256:… or oci/OWNER/REPOSITORY:TAG",
            )
        return cls(_image(name), tag=tag)

    def __str__(self) -> str:
        return f"{self.artifact}@{self.digest}" if self.digest else f"{self.artifact}:{self.tag}"


def _image(name: str) -> ChannelArtifact:
    artifact = ChannelArtifact.parse(name)
    if artifact.kind != "oci":
        raise MalformedInput(f"not an OCI artifact: {artifact}", hint="a release is one: write oci/…")
    return artifact
