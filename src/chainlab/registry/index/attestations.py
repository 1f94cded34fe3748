"""PEP 740: attestations that come with an upload, verified before anybody can download the file.

pypi-attestations reads them. Its `Attestation.verify` knows only Sigstore's public instances, so its bundle goes to
sigstore's own verifier with this instance's trusted root, and the statement is compared with the file here. The
identity is the project's trusted publisher: the certificate must say that this CI host ran that repository's workflow,
in that environment if the publisher names one.

    >>> provenance = verify(attestations, distribution, publisher, config)   # or Refused (400), with the reason
    >>> provenance["attestation_bundles"][0]["publisher"]["repository"]
    'acme/triage-model'

The provenance object gives its publisher the kind "GitHub", whose claims have the same shape: clients would not know
another kind. The certificate names this instance as its issuer, so nobody mistakes it for one of GitHub's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.evidence.certificates import claims_of
from chainlab.evidence.statements import PAYLOAD_TYPE, Statement
from chainlab.registry.index.publishers import Publisher
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation
    from sigstore.verify import Verifier

__all__ = ["MAX_ATTESTATIONS", "PublisherPolicy", "bundles", "read", "verify"]

MAX_ATTESTATIONS = 2  # of one file: one of each kind that PEP 740's index knows
ISSUER, REPOSITORY, COMMIT, REF, WORKFLOW, ENVIRONMENT = 8, 12, 13, 14, 18, 23  # Fulcio, docs/oid-info.md


class PublisherPolicy:
    """A policy for sigstore-python: the certificate belongs to a job of this publisher."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def verify(self, cert: Certificate) -> None:
        """Check the certificate's claims. Raises sigstore's `VerificationError` with the first wrong one."""
        from sigstore.errors import VerificationError

        says = claims_of(cert)
        server = f"{GIT_SERVER}/"
        workflow = says.get(WORKFLOW, "").removeprefix(server)
        claims = {
            "repository": says.get(REPOSITORY, "").removeprefix(server),
            "job_workflow_ref": workflow,
            "ref": says.get(REF, ""),
            "sha": says.get(COMMIT, ""),
            "environment": says.get(ENVIRONMENT, ""),
        }
        if says.get(ISSUER) != CI_ISSUER:
            raise VerificationError(f"the certificate's issuer is {says.get(ISSUER)!r}, not {CI_ISSUER!r}")
        if objection := self._publisher.objection(claims):
            raise VerificationError(objection)


def read(text: str) -> list[Attestation]:
    """Read the attestations in an upload's form field, a JSON array. Raises `Refused` (400)."""
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    try:
        documents = json.loads(text)
        if not isinstance(documents, list) or not 0 < len(documents) <= MAX_ATTESTATIONS:
            raise Refused(400, f"'attestations' must be a JSON array of one to {MAX_ATTESTATIONS} attestations")
        return [Attestation.model_validate(document) for document in documents]
    except (ValidationError, ValueError, RecursionError) as error:
        raise Refused(400, f"the attestations cannot be read: {_short(error)}") from error


def bundles(provenance: Mapping[str, Any] | None) -> list[bytes]:
    """Convert the attestations of a provenance object to Sigstore bundles; the index verified them at upload."""
    if provenance is None:
        return []
    from pypi_attestations import Provenance

    return [
        attestation.to_bundle().to_json().encode()
        for bundle in Provenance.model_validate(provenance).attestation_bundles
        for attestation in bundle.attestations
    ]


def verify(
    attestations: Sequence[Attestation],
    file: tuple[str, Digest],
    publishers: Sequence[Publisher],
    config: Path,
) -> dict[str, Any]:
    """Verify that one publisher made all attestations of a file (name, digest); return the provenance object.

    Raises `Refused` (400) with the step that failed, also for two attestations of one kind.
    """
    from pypi_attestations import AttestationBundle, GitHubPublisher, Provenance
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import ClientTrustConfig
    from sigstore.verify import Verifier

    if not publishers:
        raise Refused(
            400,
            "attestations are accepted for projects that have a trusted publisher, and this one has none",
            hint="add a publisher to the project: PackageIndex.add_publisher",
        )
    try:
        root = ClientTrustConfig.from_json(config.read_text()).trusted_root
        verifier = Verifier(trusted_root=root)
    except (OSError, ValueError, SigstoreError) as error:
        raise Refused(503, f"attestations cannot be checked here: {_short(error)}") from error
    reasons: list[str] = []
    for publisher in publishers:
        kinds: set[str] = set()
        try:
            for attestation in attestations:
                kind = _kind(attestation, PublisherPolicy(publisher), verifier, file)
                if kind in kinds:
                    raise Refused(400, f"two attestations are of one kind, {kind}")
                kinds.add(kind)
        except Refused:
            raise
        except Exception as error:  # any exception on a stranger's bytes is a refusal
            reasons.append(_short(error))
            continue
        bundle = AttestationBundle(
            publisher=GitHubPublisher(
                repository=publisher.repository,
                workflow=publisher.workflow,
                environment=publisher.environment or None,
            ),
            attestations=list(attestations),
        )
        document = Provenance(attestation_bundles=[bundle]).model_dump(mode="json")
        return dict(document)
    raise Refused(400, "an attestation does not hold: " + "; ".join(dict.fromkeys(reasons)))


def _kind(attestation: Attestation, policy: PublisherPolicy, verifier: Verifier, file: tuple[str, Digest]) -> str:
    """Verify an attestation of this file and return its predicate type. Raises any exception on a stranger's bytes."""
    from pypi_attestations import AttestationType

    payload_type, payload = verifier.verify_dsse(attestation.to_bundle(), policy)
    if payload_type != PAYLOAD_TYPE:
        raise MalformedInput(f"the payload is {payload_type[:80]!r}, expected {PAYLOAD_TYPE!r}")
    statement = Statement.load(payload)
    if len(statement.subjects) != 1:
        raise MalformedInput(f"expected one subject in the statement, got {len(statement.subjects)}")
    name, digest = statement.subjects[0][0], statement.subjects[0][1].get("sha256")
    if name != file[0]:
        raise MalformedInput(f"the subject does not match the file: {name[:200]!r} is not {file[0]!r}")
    if digest != file[1].value.hex():
        raise MalformedInput("the subject does not match the file: their digests differ")
    return AttestationType(statement.predicate_type).value


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
