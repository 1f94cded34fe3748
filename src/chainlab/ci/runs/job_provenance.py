"""Job provenance: what a job stored and how, stated and signed by the CI host as soon as the job has ended.

SLSA provenance v1 in an in-toto statement, in a Sigstore bundle. No step of the job writes any of it. The host lists
what it saw itself: the workflow file and commit, the commit of each action, the packages that the index served to the
job's address, and the digests of what the job stored: its artifacts, the files it published in the index, the
manifests it pushed and their layers. Each store records the job whose credential brought a thing. The host signs with
an identity of its own, which no job can ask for.

A job that failed has provenance for what it stored, too. `RESULT`, an extension field of the run's metadata, says
``success`` or another result; whoever takes over files requires a success.

The provenance claims Build L1 only: on a laptop, whoever runs the host holds its keys (SLSA v1.2, "Build track").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chainlab.ci.runs.event_payload import TriggerEvent
from chainlab.ci.runs.run_record import JobRun
from chainlab.clock import rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.evidence import signing
from chainlab.evidence.statements import PROVENANCE, Statement
from chainlab.evidence.verifying import RESULT
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.referrers import attach
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

if TYPE_CHECKING:
    from chainlab.ci.services.artifacts import Artifacts
    from chainlab.registry.registry import Registry
    from chainlab.trust.client import Trust

__all__ = ["BUILDER", "BUILD_TYPE", "SIGNER", "attest", "invocation", "sign"]

BUILD_TYPE = f"{CI_ISSUER}/workflow/v1"
BUILDER = f"{CI_ISSUER}/host/build-l1"  # a consumer maps a builder's id to a level: this one is L1
HOST_WORKFLOW = "chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main"
SIGNER = f"{GIT_SERVER}/{HOST_WORKFLOW}"  # the identity in the certificate
# Limits of one job: what the host does after its end is bounded.
MAX_MANIFESTS = 200
MAX_PRODUCTS = 10_000
MAX_NAMES = 4 * 2**20  # characters of all product names together


def attest(
    job: JobRun,
    trigger: TriggerEvent,
    workflow: str,
    actions: Mapping[str, str],
    *,
    id: str,
    artifacts: Artifacts,
    registry: Registry,
    trust: Trust,
    started: str,
) -> JobRun:
    """Sign and store provenance for everything that a job stored; returns the job with products and bundle digest.

    The bundle goes to the evidence of each digest, and beside each manifest as a referrer. A job that stored nothing
    is returned unchanged. ``workflow`` is the file's path, ``actions`` map ``owner/repo@ref`` to commits, ``id`` is the
    job's id in its credentials, ``started`` is RFC 3339. Raises `Refused` (413) when the job stored more than one
    statement can name.
    """
    subject = f"{trigger.repository}/runs/{trigger.run}/jobs/{job.name}"
    products, manifests = _products(trigger.run, subject, id, artifacts, registry)
    if not products:
        return job
    packages = registry.index.downloads(job.address) if job.address else ()
    statement = _statement(
        trigger,
        workflow,
        job,
        subjects={name: Digest.parse(digest) for name, digest in products.items()},
        actions=actions,
        packages=[(project, file, str(digest)) for project, file, digest in packages],
        started=started,
    )
    bundle = sign(statement, trust)
    digests = [Digest.parse(digest) for digest in sorted(set(products.values()))]
    registry.evidence.add_to(digests, "provenance", bundle, BUNDLE_TYPE, subject)
    for repository, digest in dict.fromkeys(manifests):
        attach(registry.images, repository, digest, bundle, BUNDLE_TYPE, by=SIGNER)
    return replace(job, produced=products, provenance=str(Digest.of(bundle)))


def invocation(repository: str, run: int | str) -> str:
    """The URL that names a run in provenance (``invocationId``)."""
    return f"{GIT_SERVER}/{repository}/actions/runs/{run}/attempts/1"


def sign(statement: Statement, trust: Trust) -> bytes:
    """Sign a statement as the CI host; returns a Sigstore bundle."""
    return signing.sign_as(HOST_WORKFLOW, statement, trust)


class _Products:
    """The names of what a job stored; ``digests`` maps each name to a digest."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._characters = 0

    def add(self, name: str, digest: str) -> None:
        """Add a product; if another one has the name, add it as ``name@digest``, so that none is left out.

        Raises `Refused` (413) above the limits.
        """
        name = name.encode(errors="replace").decode()
        if self.digests.setdefault(name, digest) != digest:
            self.digests[f"{name}@{digest}"] = digest
        self._characters += len(name)
        if len(self.digests) > MAX_PRODUCTS or self._characters > MAX_NAMES:
            raise Refused(413, f"a job stores at most {MAX_PRODUCTS} products, with {MAX_NAMES} characters of names")


def _products(
    run: int, subject: str, id: str, artifacts: Artifacts, registry: Registry
) -> tuple[dict[str, str], list[tuple[str, Digest]]]:
    """What a job stored, name to digest; and its manifests, as repository and digest."""
    products = _Products()
    manifests: list[tuple[str, Digest]] = []
    layers: list[tuple[str, Digest]] = []
    for product in reversed(registry.produced_by(id)):
        products.add(product.name, str(product.digest))
        if product.place == "oci":
            manifests.append((product.name, product.digest))
            if len(manifests) > MAX_MANIFESTS:
                raise Refused(413, f"a job pushes at most {MAX_MANIFESTS} manifests")
            for blob in registry.images.holdings(product.name, product.digest):
                if blob.role == "layer":
                    layers.append((blob.title or f"{product.name}@{blob.digest}", blob.digest))
                    if len(layers) > MAX_PRODUCTS:
                        raise Refused(413, f"a job stores at most {MAX_PRODUCTS} products")
    for name, layer_digest in layers:  # last: a job chooses the names of layers and artifacts
        products.add(name, str(layer_digest))
    for artifact in artifacts.list(run):
        if artifact.who == subject:
            for name, text in artifact.files.items():
                products.add(name, text)
    return products.digests, manifests


def _statement(
    trigger: TriggerEvent,
    workflow: str,
    job: JobRun,
    *,
    subjects: Mapping[str, Digest],
    actions: Mapping[str, str],
    packages: Iterable[tuple[str, str, str]],
    started: str,
) -> Statement:
    """The statement about ``subjects``; ``packages`` are (project, file, ``sha256:…``)."""
    source = f"git+{GIT_SERVER}/{trigger.repository}@{trigger.origin.ref}"
    dependencies: list[dict[str, Any]] = [{"uri": source, "digest": {"gitCommit": trigger.commit}}]
    for reference, commit in sorted(actions.items()):
        dependencies.append({"uri": f"git+{GIT_SERVER}/{reference}", "digest": {"gitCommit": commit}})
    for project, file, digest in sorted(set(packages)):
        dependencies.append({"uri": f"pkg:pypi/{project}", "name": file, "digest": _digest_set(digest)})
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "workflow": {
                    "repository": f"{GIT_SERVER}/{trigger.repository}",
                    "ref": trigger.origin.ref,
                    "path": workflow,
                },
                "inputs": dict(trigger.inputs or {}),
            },
            "internalParameters": {
                "event_name": trigger.origin.event,
                "actor": trigger.actor,
                "fork": trigger.origin.fork,
                "job": job.name,
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILDER},
            "metadata": {
                "invocationId": invocation(trigger.repository, trigger.run),
                "startedOn": started,
                "finishedOn": rfc3339(utc_now()),
                RESULT: job.result,
            },
        },
    }
    return Statement.about(subjects, PROVENANCE, predicate)


def _digest_set(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
