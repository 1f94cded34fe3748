"""What a deployment may run: a release of prod, by digest, whose last verdict of the gate is a yes.

    verified = fetch("oci/acme/triage-model/release@sha256:…", registry, root, policy)
    verified.requirements[0].name

Refused: a tag, because it can name something else tomorrow; a digest that never was in prod, or is in quarantine; one
without a signed summary (VSA) of the gate that says PASSED by the policy in force; bytes that are not the digest's; a
lock of which a pin was served to no job. What the jobs were served is in the facts document that the summary names by
digest: the machine that deploys verifies one signature, the gate's, and reads no other evidence.
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
from chainlab.policy.policy import Policy
from chainlab.policy.requirements import Requirement, requirements
from chainlab.policy.vsa import CHECKS, FACTS, POLICIES, verify_summary
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.references import ArtifactRef
from chainlab.registry.registry import Registry
from chainlab.registry.releases import Release

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

__all__ = ["Passed", "Verified", "admit", "fetch", "pinned"]

SKEW = timedelta(minutes=1)  # that a clock may have been set back since


@dataclass(frozen=True)
class Verified:
    """A release whose every byte is its digest's, the verdict that lets it run, and what it needs installed."""

    release: Release
    verdict: Passed
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True)
class Passed:
    """The gate's yes."""

    summary: Digest  # of the bundle with the VSA
    facts: Digest | None  # of the facts document that the VSA names


def pinned(reference: str) -> tuple[ChannelArtifact, Digest]:
    """Artifact and digest. Raises `Refused` (403) for a tag, `MalformedInput` for what is no reference."""
    named = ArtifactRef.parse(reference)
    if named.digest is None:
        raise Refused(
            403,
            f"{reference} is deployed by digest only",
            why="a tag is a name that its owner can move",
            hint="ask what the tag names now, look whether that is what you mean, and name the digest",
        )
    return named.artifact, named.digest


def fetch(reference: str, registry: Registry, root: TrustedRoot, policy: Policy) -> Verified:
    """The release, every byte of it verified; ``policy`` is the one in force.

    Raises `Refused`, `VerificationFailed`, `MalformedInput`.
    """
    verdict = admit(reference, registry, root, policy)
    release = registry.release(reference)
    if release.problems:
        raise VerificationFailed(
            f"the release is not intact: {release.problems[0]}",
            hint="somebody wrote into the store: keep it, and look who could",
        )
    lock = release.read(release.layer(policy.read.release.lock))
    wanted, problems = requirements(lock, _served(verdict, release, registry))
    if problems:
        raise VerificationFailed(f"the release cannot be installed as it was tried: {problems[0]}")
    return Verified(release, verdict, tuple(wanted))


def _served(verdict: Passed, release: Release, registry: Registry) -> list[dict[str, Any]]:
    """The packages of the facts document that the verdict names. Raises `VerificationFailed` without one."""
    if verdict.facts is None:
        raise VerificationFailed(
            "the gate's summary does not name the facts that it rests on", hint="let the gate judge it again"
        )
    facts = parse_json(registry.blobs.verified(verdict.facts), "the facts")
    packages = value_at(facts, "packages")
    if value_at(facts, "release", "digest") != str(release.digest) or not isinstance(packages, list):
        raise VerificationFailed("the facts that the gate's summary names are about another release")
    return [package for package in packages if isinstance(package, dict)]


def admit(reference: str, registry: Registry, root: TrustedRoot, policy: Policy) -> Passed:
    """The verdict that lets a release run now; asked first, and again in the last moment before it goes live.

    Raises `Refused` or `VerificationFailed` for a tag, a release that is not in prod or is in quarantine, and one whose
    last verdict is not a yes by ``policy``.
    """
    artifact, digest = pinned(reference)
    steps = registry.channels.of(digest)
    if not any(step.target == "prod" and step.artifact == artifact for step in steps):
        raise Refused(403, f"{digest} was never promoted to prod", hint="promote it: the gate decides")
    if reason := registry.held_back(artifact, digest):
        raise Refused(403, f"{digest} is quarantined: {reason}", hint="roll back, or release it")
    return _verdict(artifact, digest, registry, root, policy)


def _verdict(
    artifact: ChannelArtifact, digest: Digest, registry: Registry, root: TrustedRoot, policy: Policy
) -> Passed:
    """The gate's newest verdict by the policy of that name, which must be a yes. Raises `VerificationFailed`.

    Newest by the time that the gate signed: whoever may push could push an old yes again, or remove a no. A yes of a
    time to come does not count, and a no that was added last does whatever its time: a clock may have been wrong. A yes
    by other rules than those in force does not count either; a no does.
    """
    why = "there is none"
    last: tuple[datetime, bool, Passed, str] | None = None
    added: tuple[datetime, bool, Passed, str] | None = None  # the gate's own last one
    latest = utc_now() + SKEW
    for found in registry.evidence.bundles(digest, repository=artifact.name).values():
        if found.place == "index":
            continue
        verdict = verify_summary(found.read(), digest, str(artifact), root)
        failed = verdict.failure
        if _policy(verdict) == policy.name and (failed is None or failed.name in CHECKS[5:]):
            passed = Passed(found.digest, _facts(verdict))
            said = (_time(verdict), failed is not None, passed, failed.message if failed else "")
            if failed is None and said[0] > latest:
                why = f"it was said at {rfc3339(said[0])}, which is still to come"
                continue
            if failed is None and (judged := _policy_digest(verdict)) != policy.digest.value.hex():
                why = f"it was judged by the policy {judged[:12]}…, in force is {policy.digest.value.hex()[:12]}…"
                continue
            if found.place == "added":  # in the order in which they were added
                added = said
            if last is None or said[:2] > last[:2]:  # of two at one time the no
                last = said
        elif failed and failed.name not in CHECKS[:3]:
            why = failed.message
    if last is None:
        raise VerificationFailed(
            f"no summary of the gate lets {digest} run", why=why, hint="let the gate judge it again: chainlab gate"
        )
    if added and added[1]:
        last = added
    if last[1]:
        raise VerificationFailed(
            f"the gate's last word on {digest} is no",
            why=last[3],
            hint="chainlab gate says what was refused",
        )
    return last[2]


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


def _policy_digest(verdict: Verdict) -> str:
    """The digest (hex) of the policy that a verified summary is about."""
    return str(value_at(verdict.statement.predicate if verdict.statement else None, "policy", "digest", "sha256"))


def _facts(verdict: Verdict) -> Digest | None:
    """The digest of the facts document that a verified summary names."""
    said = value_at(verdict.statement.predicate if verdict.statement else None, FACTS, "digest", "sha256")
    try:
        return Digest.parse(f"sha256:{said}")
    except MalformedInput:
        return None
