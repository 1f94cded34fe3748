"""What a job stored, as the host saw it, and the platform's provenance for it.

Artifacts that the job left, files that it published in the index, manifests that it pushed and what these hold: each
store notes with the thing which job's credential brought it. The provenance is made as soon as the job has ended, and
says how; so the next one can verify what it takes over. It goes to the evidence of each digest, and beside each
manifest as a referrer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chainlab.ci.runs import provenance
from chainlab.ci.runs.event_payload import TriggerEvent
from chainlab.ci.runs.run_record import JobRun
from chainlab.ci.services.artifacts import Artifacts
from chainlab.clock import rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.referrers import attach
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

__all__ = ["attest"]

# Of one job; what the host does for it after its end is bounded.
MAX_MANIFESTS = 200
MAX_PRODUCTS = 10_000
MAX_NAMES = 4 * 2**20  # characters of all their names


def attest(
    job: JobRun,
    change: TriggerEvent,
    workflow: str,
    actions: Mapping[str, str],
    *,
    id: str,
    artifacts: Artifacts,
    registry: Registry,
    trust: Trust,
    started: str,
) -> JobRun:
    """The job with its products and the digest of their provenance; unchanged when it stored nothing.

    ``actions`` map ``owner/repo@ref`` to commits; ``id`` is the one that the job's credentials carried; ``started`` is
    RFC 3339. Raises `Refused` (413) for a job that stored more than one statement can name.
    """
    subject = f"{change.repository}/runs/{change.run}/jobs/{job.name}"
    produced = _Products()
    manifests: list[tuple[str, Digest]] = []
    layers: list[tuple[str, Digest]] = []
    for product in reversed(registry.produced_by(id)):
        produced.add(product.name, str(product.digest))
        if product.place == "oci":
            manifests.append((product.name, product.digest))
            if len(manifests) > MAX_MANIFESTS:
                raise Refused(413, f"a job pushes at most {MAX_MANIFESTS} manifests")
            for held in registry.images.holdings(product.name, product.digest):
                if held.role == "layer":
                    layers.append((held.title or f"{product.name}@{held.digest}", held.digest))
                    if len(layers) > MAX_PRODUCTS:
                        raise Refused(413, f"a job stores at most {MAX_PRODUCTS} products")
    for name, held_digest in layers:  # their names, and those of artifacts, are what the job likes
        produced.add(name, str(held_digest))
    for artifact in artifacts.list(change.run):
        if artifact.who == subject:
            for name, text in artifact.files.items():
                produced.add(name, text)
    if not produced.named:
        return job
    said = provenance.statement(
        change,
        workflow,
        job.name,
        subjects={name: Digest.parse(text) for name, text in produced.named.items()},
        actions=actions,
        packages=[
            (project, file, str(digest))
            for project, file, digest in (registry.index.downloads(job.address) if job.address else ())
        ],
        started=started,
        finished=rfc3339(utc_now()),
        result=job.result,
    )
    bundle = provenance.sign(said, trust)
    subjects = [Digest.parse(text) for text in sorted(set(produced.named.values()))]
    registry.evidence.add_to(subjects, "provenance", bundle, BUNDLE_TYPE, subject)
    for repository, digest in dict.fromkeys(manifests):
        attach(registry.images, repository, digest, bundle, BUNDLE_TYPE, by=provenance.SIGNER)
    return replace(job, produced=produced.named, provenance=str(Digest.of(bundle)))


class _Products:
    """What a job stored: ``named`` maps each name to a digest."""

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self._characters = 0

    def add(self, name: str, digest: str) -> None:
        """Name a product; where another one has the name, the digest tells them apart, so that none is left out.

        Raises `Refused` (413) when they are too many.
        """
        name = name.encode(errors="replace").decode()
        if self.named.setdefault(name, digest) != digest:
            self.named[f"{name}@{digest}"] = digest
        self._characters += len(name)
        if len(self.named) > MAX_PRODUCTS or self._characters > MAX_NAMES:
            raise Refused(413, f"a job stores at most {MAX_PRODUCTS} products, with {MAX_NAMES} characters of names")
