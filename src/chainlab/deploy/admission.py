"""Admission: which release may run. It must be in prod, named by digest, and the gate's last verdict on it a yes.

    admitted = fetch("oci/acme/triage-model/release@sha256:…", registry, root, policy)
    admitted.requirements[0].name

Refused are

- a tag, because it can name something else tomorrow
- a digest that was never in prod, or is in quarantine
- a release without a summary (VSA) that the gate signed and that says PASSED by the policy in force
- bytes that do not match the digest
- a lock with a pin that no job was served

The facts document, which the summary names by digest, lists what the jobs were served. So the machine that deploys
verifies one signature, the gate's, and reads no other evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chainlab.clock import rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, VerificationFailed
from chainlab.evidence.statements import parse_json, value_at
from chainlab.evidence.verifying import Verdict
from chainlab.policy import vsa
from chainlab.policy.policy import Policy
from chainlab.policy.requirements import Requirement, requirements
from chainlab.policy.vsa import CHECKS, FACTS, POLICIES
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.references import ArtifactRef
from chainlab.registry.registry import Registry
from chainlab.registry.releases import Release

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

__all__ = ["AdmittedRelease", "PassingVerdict", "admit", "fetch", "pinned"]

SKEW = timedelta(minutes=1)  # that a clock may have been set back since


@dataclass(frozen=True)
class AdmittedRelease:
    """A release that may run: its verified bytes, the verdict that admits it, and what it needs installed."""

    release: Release
    verdict: PassingVerdict
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True)
class PassingVerdict:
    """The gate's yes."""

    summary: Digest  # of the bundle with the VSA
    facts: Digest | None  # of the facts document that the VSA names


@dataclass(frozen=True)
class _SignedVerdict:
    """One summary of the gate, verified."""

    at: datetime  # when the gate signed it
    refused: bool
    digests: PassingVerdict
    why: str  # of a refusal

    @property
    def order(self) -> tuple[datetime, bool]:
        """Newer counts more; of two at one time the refusal."""
        return self.at, self.refused


def pinned(reference: str) -> tuple[ChannelArtifact, Digest]:
    """Return artifact and digest of a reference. Raises `Refused` (403) for a tag, `MalformedInput` for other text."""
    parsed = ArtifactRef.parse(reference)
    if parsed.digest is None:
        raise Refused(
            403,
            f"{reference} is deployed by digest only",
            why="the owner of a tag can move it to another release",
            hint="look which digest the tag names now, check that it is the one you mean, and give that digest",
        )
    return parsed.artifact, parsed.digest


def fetch(reference: str, registry: Registry, root: TrustedRoot, policy: Policy) -> AdmittedRelease:
    """Return the release with every byte verified; ``policy`` is the one in force.

    Raises `Refused`, `VerificationFailed`, `MalformedInput`.
    """
    verdict = admit(reference, registry, root, policy)
    release = registry.release(reference)
    if release.problems:
        raise VerificationFailed(
            f"the release is not intact: {release.problems[0]}",
            hint="somebody changed the registry's files: keep them as they are, and find out who can write there",
        )
    lock = release.read(release.layer(policy.read.release.lock))
    pins, problems = requirements(lock, _served(verdict, release, registry))
    if problems:
        raise VerificationFailed(f"the release cannot be installed as it was tested: {problems[0]}")
    return AdmittedRelease(release, verdict, tuple(pins))


def _served(verdict: PassingVerdict, release: Release, registry: Registry) -> list[dict[str, Any]]:
    """Return the packages of the verdict's facts document. Raises `VerificationFailed` without one."""
    if verdict.facts is None:
        raise VerificationFailed(
            "the gate's summary does not name the facts that it rests on", hint="let the gate judge it again"
        )
    facts = parse_json(registry.blobs.verified(verdict.facts), "the facts")
    packages = value_at(facts, "packages")
    if value_at(facts, "release", "digest") != str(release.digest) or not isinstance(packages, list):
        raise VerificationFailed("the facts that the gate's summary names are about another release")
    return [package for package in packages if isinstance(package, dict)]


def admit(reference: str, registry: Registry, root: TrustedRoot, policy: Policy) -> PassingVerdict:
    """Return the verdict that lets a release run now.

    A deployment asks twice: before it installs, and again at the last moment before the release goes live.

    Raises `Refused` or `VerificationFailed` for a tag, a release that is not in prod or is in quarantine, and one whose
    last verdict by ``policy`` is not a yes.
    """
    artifact, digest = pinned(reference)
    steps = registry.channels.of(digest)
    if not any(step.target == "prod" and step.artifact == artifact for step in steps):
        raise Refused(403, f"{digest} was never promoted to prod", hint="promote it: the gate decides")
    if reason := registry.held_back(artifact, digest):
        raise Refused(403, f"{digest} is quarantined: {reason}", hint="roll back, or release it from quarantine")
    return _last_verdict(artifact, digest, registry, root, policy)


def _last_verdict(
    artifact: ChannelArtifact, digest: Digest, registry: Registry, root: TrustedRoot, policy: Policy
) -> PassingVerdict:
    """Return the gate's newest verdict by the policy of that name. Raises `VerificationFailed` unless it is a yes.

    The time that the gate signed decides which is newest: whoever may push could push an old yes again, or remove a no.
    Three rules guard this. A yes with a time in the future does not count. A no that was added last counts whatever its
    time, because a clock may have been wrong. A yes by another version of the policy does not count, but a no does.
    """
    why = "there is none"
    last: _SignedVerdict | None = None
    last_added: _SignedVerdict | None = None  # in the gate's own list, which is in order
    latest = utc_now() + SKEW
    for bundle in registry.evidence.bundles(digest, repository=artifact.name).values():
        if bundle.place == "index":
            continue
        verified = vsa.verify(bundle.read(), digest, str(artifact), root)
        failed = verified.failure
        if _policy(verified) == policy.name and (failed is None or failed.name in CHECKS[5:]):
            verdict = _SignedVerdict(
                _time(verified),
                failed is not None,
                PassingVerdict(bundle.digest, _facts(verified)),
                failed.message if failed else "",
            )
            if not verdict.refused and verdict.at > latest:
                why = f"its time, {rfc3339(verdict.at)}, is in the future"
                continue
            if not verdict.refused and (judged_by := _policy_digest(verified)) != policy.digest.value.hex():
                in_force = policy.digest.value.hex()
                why = f"it was judged by the policy {judged_by[:12]}…, but {in_force[:12]}… is in force"
                continue
            if bundle.place == "added":
                last_added = verdict
            if last is None or verdict.order > last.order:
                last = verdict
        elif failed and failed.name not in CHECKS[:3]:
            why = failed.message
    if last is None:
        raise VerificationFailed(
            f"no summary of the gate lets {digest} run", why=why, hint="let the gate judge it again: chainlab gate"
        )
    if last_added and last_added.refused:
        last = last_added
    if last.refused:
        raise VerificationFailed(
            f"the gate's last verdict on {digest} is a refusal",
            why=last.why,
            hint="chainlab gate shows what was refused",
        )
    return last.digests


def _time(verdict: Verdict) -> datetime:
    """Return when a verified summary was made; the earliest time there is when it does not say."""
    text = value_at(verdict.statement.predicate if verdict.statement else None, "timeVerified")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _policy(verdict: Verdict) -> str:
    """Return the name of the policy in a verified summary."""
    uri = value_at(verdict.statement.predicate if verdict.statement else None, "policy", "uri")
    return str(uri).removeprefix(f"{POLICIES}/")


def _policy_digest(verdict: Verdict) -> str:
    """Return the digest (hex) of the policy in a verified summary."""
    return str(value_at(verdict.statement.predicate if verdict.statement else None, "policy", "digest", "sha256"))


def _facts(verdict: Verdict) -> Digest | None:
    """Return the digest of the facts document that a verified summary names."""
    text = value_at(verdict.statement.predicate if verdict.statement else None, FACTS, "digest", "sha256")
    try:
        return Digest.parse(f"sha256:{text}")
    except MalformedInput:
        return None
