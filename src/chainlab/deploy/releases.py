"""A release, fetched by digest and verified: what a deployment may run.

    release = fetch("oci/acme/triage-model/release@sha256:…", registry, root)
    release.files["triage.onnx"]

Refused: a tag, because it can name something else tomorrow; a digest that never was in prod, or is in quarantine; one
without a signed summary (VSA) of the gate that says PASSED; bytes that are not the digest's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chainlab.clock import rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, VerificationFailed
from chainlab.evidence.statements import parse_json, value_at
from chainlab.evidence.verifying import Verdict
from chainlab.policy.facts import is_plain
from chainlab.policy.summary import CHECKS, POLICIES, verify_summary
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.channels import Artifact
from chainlab.registry.oci_manifest import TITLE
from chainlab.registry.references import Reference
from chainlab.registry.registry import Registry

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

__all__ = ["Release", "fetch", "pinned"]

POLICY = "release"  # by which a release is judged
SKEW = timedelta(minutes=1)  # that a clock may have been set back since


@dataclass(frozen=True)
class Release:
    """Verified bytes, and what vouches for them."""

    artifact: Artifact
    digest: Digest  # of the manifest
    files: Mapping[str, bytes]  # by the name that the manifest gives
    summary: Digest  # of the bundle with the gate's VSA

    @property
    def reference(self) -> str:
        """Its text form."""
        return f"{self.artifact}@{self.digest}"

    def one(self, suffix: str) -> tuple[str, bytes]:
        """The one file whose name ends so. Raises `MalformedInput` for none or several."""
        found = [(name, data) for name, data in self.files.items() if name.endswith(suffix)]
        if len(found) != 1:
            raise MalformedInput(f"a release has one file {suffix!r}, this one has {len(found)}")
        return found[0]


def pinned(reference: str) -> tuple[Artifact, Digest]:
    """Artifact and digest. Raises `Refused` (403) for a tag, `MalformedInput` for what is no reference."""
    named = Reference.parse(reference)
    if named.digest is None:
        raise Refused(
            403,
            f"{reference} is deployed by digest only",
            why="a tag is a name that its owner can move",
            mend="ask what the tag names now, look whether that is what you mean, and name the digest",
        )
    return named.artifact, named.digest


def fetch(reference: str, registry: Registry, root: TrustedRoot) -> Release:
    """The release, every byte of it verified. Raises `Refused`, `VerificationFailed`, `MalformedInput`."""
    artifact, digest = pinned(reference)
    steps = registry.channels.of(digest)
    if not any(step.target == "prod" and step.artifact == artifact for step in steps):
        raise Refused(403, f"{digest} was never promoted to prod", mend="promote it: the gate decides")
    if reason := registry.held_back(artifact, digest):
        raise Refused(403, f"{digest} is quarantined: {reason}", mend="roll back, or release it")
    summary = _summary(artifact, digest, registry, root)
    manifest = parse_json(_bytes(registry, digest), "the manifest")
    try:
        layers = {str(layer["annotations"][TITLE]): Digest.parse(layer["digest"]) for layer in manifest["layers"]}
    except (KeyError, TypeError) as error:
        raise MalformedInput("the manifest names its files in another way") from error
    if len(layers) != len(manifest["layers"]) or not all(map(is_plain, layers)):
        raise MalformedInput("two files of the release have one name, or one has a name that leads elsewhere")
    files = {name: _bytes(registry, layer) for name, layer in layers.items()}
    return Release(artifact, digest, files, summary)


def _summary(artifact: Artifact, digest: Digest, registry: Registry, root: TrustedRoot) -> Digest:
    """The gate's newest verdict by the policy of releases, which must be a yes. Raises `VerificationFailed`.

    Newest by the time that the gate signed: whoever may push could push an old yes again, or remove a no. A yes of a
    time to come does not count, and a no that was noted last does whatever its time: a clock may have been wrong.
    """
    why = "there is none"
    last: tuple[datetime, bool, Digest, str] | None = None
    noted: tuple[datetime, bool, Digest, str] | None = None  # the gate's own last one
    latest = utc_now() + SKEW
    own = {held for _, held in registry.evidence.attached(digest)}
    for found in _summaries(artifact, digest, registry):
        verdict = verify_summary(_bytes(registry, found), digest, str(artifact), root)
        failed = verdict.failure
        if _policy(verdict) == POLICY and (failed is None or failed.name in CHECKS[5:]):
            said = (_time(verdict), failed is not None, found, failed.said if failed else "")
            if failed is None and said[0] > latest:
                why = f"it was said at {rfc3339(said[0])}, which is still to come"
                continue
            if found in own:  # in the order in which they were noted
                noted = said
            if last is None or said[:2] > last[:2]:  # of two at one time the no
                last = said
        elif failed and failed.name not in CHECKS[:3]:
            why = failed.said
    if last is None:
        raise VerificationFailed(
            f"no summary of the gate lets {digest} run", why=why, mend="let the gate judge it again"
        )
    if noted and noted[1]:
        last = noted
    if last[1]:
        raise VerificationFailed(
            f"the gate's last word on {digest} is no",
            why=last[3],
            mend="chainlab gate says what was refused",
        )
    return last[2]


def _summaries(artifact: Artifact, digest: Digest, registry: Registry) -> dict[Digest, None]:
    """Bundles that may be summaries: what the gate attached, and what lies beside the manifest."""
    attached = registry.evidence.attached(digest)
    found = dict.fromkeys(held for kind, held in attached if kind == "summary")
    for stored in registry.images.referrers(artifact.name, digest):
        for held in registry.images.holdings(stored.repository, stored.digest):
            if held.role == "layer" and held.media_type == BUNDLE_TYPE:
                found[held.digest] = None
    return found


def _time(verdict: Verdict) -> datetime:
    """When a verified summary was made; the beginning of time where it does not say."""
    said = value_at(verdict.statement.predicate if verdict.statement else None, "timeVerified")
    try:
        return datetime.fromisoformat(said).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _policy(verdict: Verdict) -> str:
    """The name of the policy that a verified summary is about."""
    uri = value_at(verdict.statement.predicate if verdict.statement else None, "policy", "uri")
    return str(uri).removeprefix(f"{POLICIES}/")


def _bytes(registry: Registry, digest: Digest) -> bytes:
    """What the digest names, and nothing else."""
    data = registry.blobs.read(digest)
    if Digest.of(data) != digest:
        raise VerificationFailed(
            f"the bytes of {digest} are others",
            why=f"they have the digest {Digest.of(data)}",
            mend="somebody wrote into the store: keep it, and look who could",
        )
    return data
