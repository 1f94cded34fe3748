"""Releases: one OCI manifest and its files, resolved and read only here, for the gate and for prod.

    >>> release = registry.release("oci/acme/triage-model/release@sha256:…")          # doctest: +SKIP
    >>> release.layer("requirements.lock").size                                       # doctest: +SKIP
    48213
    >>> release.problems                                                              # doctest: +SKIP
    ()

Resolving reads only the database, so a caller can check `Release.size` before it reads any bytes. Each blob is read at
most once, and its digest is checked then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.tables import Stored
from chainlab.registry.references import ArtifactRef

__all__ = ["Layer", "Release", "resolve"]

MAX_NAME = 200  # characters


@dataclass(frozen=True)
class Layer:
    """One file of a release."""

    name: str
    digest: Digest
    size: int  # bytes, checked by the registry when the manifest was pushed


@dataclass(frozen=True)
class Release:
    """A manifest and its files, as the registry has them now."""

    artifact: ChannelArtifact
    stored: Stored
    layers: tuple[Layer, ...]
    config: tuple[Layer, ...]  # read for its digest alone
    quarantined: str | None  # why
    faults: tuple[str, ...]  # in the manifest's form
    _bytes: Callable[[Digest], bytes] = field(repr=False, compare=False)
    _read: dict[Digest, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return self.stored.digest

    @property
    def reference(self) -> str:
        """The text form: ``oci/OWNER/REPOSITORY@sha256:…``."""
        return f"{self.artifact}@{self.digest}"

    @property
    def resource(self) -> str:
        """The name without the digest: ``oci/OWNER/REPOSITORY``."""
        return str(self.artifact)

    @property
    def subjects(self) -> tuple[Digest, ...]:
        """The digests that evidence may be about: the manifest's, and each layer's."""
        return tuple(dict.fromkeys((self.digest, *(layer.digest for layer in self.layers))))

    @property
    def size(self) -> int:
        """Bytes of the manifest and of its distinct files, without reading them."""
        sizes = {entry.digest: entry.size for entry in (*self.layers, *self.config)}
        return self.stored.size + sum(sizes.values())

    def layer(self, name: str) -> Layer:
        """Return the layer of that name. Raises `MalformedInput` unless there is exactly one."""
        return self._one(f"called {name!r}", [layer for layer in self.layers if layer.name == name])

    def ending(self, suffix: str) -> Layer:
        """Return the layer whose name ends with ``suffix``. Raises `MalformedInput` unless there is exactly one."""
        return self._one(f"that ends in {suffix!r}", [layer for layer in self.layers if layer.name.endswith(suffix)])

    def read(self, layer: Layer) -> bytes:
        """Read the bytes of a layer. Raises `VerificationFailed` for other bytes, `Refused` (404) for none."""
        if layer.digest not in self._read:
            self._read[layer.digest] = self._bytes(layer.digest)
        return self._read[layer.digest]

    def is_intact(self, layer: Layer) -> bool:
        """Whether the registry has the bytes that the layer's digest names."""
        return layer.digest not in self._missing

    @property
    def problems(self) -> tuple[str, ...]:
        """Faults of the manifest's form, and files with missing or changed bytes. Reads every file."""
        return (*self.faults, *self._missing.values())

    @cached_property
    def _missing(self) -> dict[Digest, str]:
        manifest = Layer("the manifest", self.digest, self.stored.size)
        problems: dict[Digest, str] = {}
        for entry in (manifest, *self.layers, *self.config):
            if entry.digest in problems:
                continue
            try:
                self.read(entry)
            except (ChainlabError, OSError) as error:
                reason = error.message if isinstance(error, ChainlabError) else str(error)
                problems[entry.digest] = f"{entry.name[:80] or 'a file'} cannot be read: {reason}"
        return problems

    def _one(self, what: str, matches: list[Layer]) -> Layer:
        if len(matches) != 1:
            raise MalformedInput(f"expected one file {what} in a release, got {len(matches)}")
        return matches[0]


def resolve(
    reference: str,
    images: Images,
    held_back: Callable[[ChannelArtifact, Digest], str | None],
) -> Release:
    """Resolve a reference, ``oci/OWNER/REPOSITORY@sha256:…`` or ``:tag``, to a release without reading its files.

    A release in quarantine has its reason in `Release.quarantined`. Raises `MalformedInput` for a text that is not a
    reference, `OciError` (404) when the registry does not have the release.
    """
    parsed = ArtifactRef.parse(reference)
    artifact = parsed.artifact
    stored = images.manifest(artifact.name, parsed.digest or parsed.tag)
    layers: list[Layer] = []
    config: list[Layer] = []
    faults: list[str] = []
    for held in images.holdings(artifact.name, stored.digest):
        entry = Layer(held.title, held.digest, held.size)
        if held.role == "config":
            config.append(Layer("the configuration", held.digest, held.size))
        elif held.role != "layer":
            faults.append(f"a release holds files only, this one holds a {held.role}")
        else:
            layers.append(entry)
            if not _is_plain(entry.name):
                faults.append(f"not a file's name: {entry.name[:80]!r}")
    names = [layer.name for layer in layers]
    faults += sorted({f"two files have the name {name[:80]!r}" for name in names if names.count(name) > 1})
    return Release(
        artifact,
        stored,
        tuple(layers),
        tuple(config),
        held_back(artifact, stored.digest),
        tuple(faults),
        images.blobs.verified,
    )


def _is_plain(name: str) -> bool:
    """Whether a layer's title is a plain file name, without a folder."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not set(name) & set("/\\") and name[0] not in ".-"
