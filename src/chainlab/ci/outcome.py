"""What a run stored, as the host saw it, and the platform's provenance for it.

Artifacts of the run, files that its jobs published in the index, manifests that they pushed and what these hold. The
provenance goes to the evidence of each digest, and beside each manifest as a referrer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chainlab.ci import provenance
from chainlab.ci.payload import Change
from chainlab.ci.runs import Run
from chainlab.clock import rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.events import Event
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.referring import refer
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

__all__ = ["attest"]


def attest(
    run: Run, change: Change, registry: Registry, trust: Trust, *, after: int, started: str
) -> Run:
    """The run with its products and the digest of their provenance; unchanged when it stored nothing.

    ``after`` is the sequence of the last event before the run, ``started`` is RFC 3339.
    """
    produced: dict[str, str] = {}
    manifests: list[tuple[str, Digest]] = []
    layers: list[tuple[str, Digest]] = []
    published = list(registry.events.read("dev.chainlab.artifact.published", after=after))
    for event in reversed(published):
        if not _is_of(event, run):
            continue
        digest = Digest.parse(event.subject)
        if "repository" not in event.data:
            _add(produced, str(event.data["file"]), str(digest))
        elif "about" not in event.data:  # else it is evidence about a product, and none itself
            repository = str(event.data["repository"])
            manifests.append((repository, digest))
            _add(produced, repository, str(digest))
            for held in registry.images.holdings(repository, digest):
                if held.role == "layer":
                    layers.append((held.title or f"{repository}@{held.digest}", held.digest))
    for name, held_digest in layers:  # their names, and those of artifacts, are what the job likes
        _add(produced, name, str(held_digest))
    for files in run.artifacts.values():
        for name, text in files.items():
            _add(produced, name, text)
    if not produced:
        return run
    packages = [
        (project, file, str(digest))
        for job in run.jobs.values()
        if job.address
        for project, file, digest in registry.index.downloads(job.address)
    ]
    document = provenance.statement(
        change,
        run.workflow,
        subjects=produced,
        actions=run.actions,
        packages=packages,
        started=started,
        finished=rfc3339(utc_now()),
    )
    bundle = provenance.sign(document, trust).encode()
    source = f"{run.repository}/runs/{run.id}"
    for text in sorted(set(produced.values())):
        registry.evidence.add(Digest.parse(text), "provenance", bundle, BUNDLE_TYPE, source)
    for repository, digest in dict.fromkeys(manifests):
        refer(registry.images, repository, digest, bundle, BUNDLE_TYPE, by=provenance.SIGNER)
    return replace(run, produced=produced, provenance=str(Digest.of(bundle)))


def _add(produced: dict[str, str], name: str, digest: str) -> None:
    """Name a product; where another one has the name, the digest tells them apart, so that none is left out."""
    name = name.encode(errors="replace").decode()
    if produced.setdefault(name, digest) != digest:
        produced[f"{name}@{digest}"] = digest


def _is_of(event: Event, run: Run) -> bool:
    """Whether one of the run's jobs published it, with its own token or with one that it exchanged."""
    said = event.data.get("claims")
    if isinstance(said, Mapping):
        return (said.get("repository"), said.get("run_id")) == (run.repository, str(run.id))
    return str(event.data.get("by", "")).startswith(f"{run.repository}/runs/{run.id}/jobs/")
