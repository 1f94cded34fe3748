"""Find the Sigstore bundles about a digest, wherever the registry keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from chainlab.digests import Digest
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.evidence.sources import Sources
from chainlab.registry.index import attestations as pep740

__all__ = ["KeptBundle", "find_bundles"]


@dataclass(frozen=True)
class KeptBundle:
    """A bundle about a digest, and where it is kept."""

    digest: Digest  # of the bundle
    place: str  # 'added' (by a service, nobody removes it), 'referrer' (whoever may push), 'index' (PEP 740)
    held: str | None  # why it is held back
    size: int | None  # bytes; None: they are not here
    _read: Callable[[], bytes] = field(repr=False, compare=False)

    def read(self) -> bytes:
        """Read the bundle and hash it again. Raises `Refused` (404) for none, `VerificationFailed` for other bytes."""
        return self._read()


def find_bundles(
    subjects: Iterable[Digest], sources: Sources, *, repository: str | None = None
) -> dict[Digest, KeptBundle]:
    """Find every bundle about these digests, by its own digest.

    First those that services added, oldest first; then OCI referrers in order of arrival, of one repository or of
    all (None); then the attestations of files of the index. A bundle in two places is held back if one of them is.
    """
    subjects = tuple(dict.fromkeys(subjects))
    bundles: dict[Digest, KeptBundle] = {}
    for bundle in (
        *_added(subjects, sources),
        *_referring(subjects, sources, repository),
        *_uploaded(subjects, sources),
    ):
        first = bundles.setdefault(bundle.digest, bundle)
        bundles[bundle.digest] = replace(first, held=first.held or bundle.held)
    return bundles


def _added(subjects: Iterable[Digest], sources: Sources) -> Iterator[KeptBundle]:
    for subject in subjects:
        for attachment in sources.table.of(subject):
            if attachment.media_type == BUNDLE_TYPE:
                reason = sources.quarantine.reason(attachment.digest)
                yield _in_blob(sources, attachment.digest, "added", reason)


def _referring(subjects: Iterable[Digest], sources: Sources, repository: str | None) -> Iterator[KeptBundle]:
    images = sources.images
    for subject in subjects:
        for stored in images.referrers(repository, subject):
            for holding in images.holdings(stored.repository, stored.digest):
                if holding.role == "layer" and BUNDLE_TYPE in (stored.artifact_type, holding.media_type):
                    reason = images.held_back(stored.repository, stored.digest)
                    yield _in_blob(sources, holding.digest, "referrer", reason)


def _uploaded(subjects: Iterable[Digest], sources: Sources) -> Iterator[KeptBundle]:
    for subject in subjects:
        for file in sources.index.with_digest(subject):
            for data in pep740.bundles(sources.index.provenance(file)):
                reason = sources.quarantine.reason(subject)
                yield KeptBundle(Digest.of(data), "index", reason, len(data), partial(bytes, data))


def _in_blob(sources: Sources, digest: Digest, place: str, held: str | None) -> KeptBundle:
    path = sources.blobs.path(digest)
    size = path.stat().st_size if path.is_file() else None
    return KeptBundle(digest, place, held, size, partial(sources.blobs.verified, digest))
