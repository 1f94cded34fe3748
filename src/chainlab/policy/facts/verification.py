"""Step 2 of the facts: every Sigstore bundle about a release, verified against the signers that the policy names.

    >>> bundles, problems = verify_bundles(release, policy, registry, config)         # doctest: +SKIP
    >>> [bundle.facts["kind"] for bundle in bundles if bundle.verified]               # doctest: +SKIP
    ['provenance', 'SBOM', …]

For a bundle that fails verification, only the reason is passed on: anybody may have written what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.evidence.statements import (
    MODEL_SIGNATURE,
    PROVENANCE,
    SUMMARY,
    parse_json,
    payload,
    value_at,
)
from chainlab.evidence.verifying import Expectations, Signer, Verdict, verify
from chainlab.names import cut_ref
from chainlab.policy.facts import predicates
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

    from chainlab.registry.evidence.bundles import KeptBundle
    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release

__all__ = ["VerifiedBundle", "of_type", "verify_bundle", "verify_bundles"]


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle after verification; ``predicate`` is there only when it is ``verified``."""

    digest: Digest
    verified: bool
    facts: Mapping[str, Any]  # its entry in the facts document
    predicate_type: str = ""
    predicate: Any = None


def verify_bundles(
    release: Release,
    policy: Policy,
    registry: Registry,
    config: ClientTrustConfig,
    limits: Limits | None = None,
) -> tuple[list[VerifiedBundle], list[str]]:
    """Verify every bundle about the release; returns them, and the problems of the evidence that cannot be read.

    Reads at most ``limits.read`` bytes, less the size of the release.
    """
    limits = limits or Limits()
    kept = registry.evidence.bundles(*release.subjects, repository=release.artifact.name)
    contents, problems = _read_all(kept, limits, limits.read - release.size)
    other_runs = _of_other_runs(release, contents)
    bundles: list[VerifiedBundle] = []
    for digest, data in contents.items():
        predicate_type = _claims_of(data)[0] if data else ""
        # An earlier verdict of a gate is no evidence, and each verdict leaves one more.
        if digest in other_runs or predicate_type == SUMMARY:
            continue
        # What was attested for the index's own checks counts only where the policy asks for it.
        if kept[digest].place == "index" and not policy.signers(predicate_type):
            continue
        if len(bundles) == limits.bundles:
            problems.append(f"there are more than {limits.bundles} bundles")
            break
        if data is None:
            bundles.append(_unverified(digest, f"it has more than {limits.bundle} bytes"))
            continue
        bundle = verify_bundle(data, release, policy, config)
        if reason := kept[digest].held:
            # A trusted signer's statement may be a no, so its absence is a problem; a stranger's is nothing.
            if bundle.verified:
                who = f"{bundle.facts['kind']} by {bundle.facts['signer']}"
                problems.append(f"evidence is in quarantine, {who}: {reason}")
            bundle = _unverified(digest, f"in quarantine: {reason}")
        bundles.append(bundle)
    return bundles, problems


def verify_bundle(data: bytes, release: Release, policy: Policy, config: ClientTrustConfig) -> VerifiedBundle:
    """Verify one bundle as the policy asks for statements of its type; never raises for what is wrong with it."""
    digest = Digest.of(data)
    predicate_type, hexes = _claims_of(data)
    kind = _kind(policy, predicate_type, release, hexes)
    signers = policy.signers(predicate_type)
    if not signers:
        return _unverified(digest, f"the policy names no signer for {predicate_type or 'a bundle without a type'}")
    failure = ""
    for signer in signers:
        if predicate_type == MODEL_SIGNATURE:
            verdict, about = _verify_model(data, release, signer, config)
        else:
            claimed = [subject for subject in release.subjects if subject.value.hex() in hexes]
            expected = Expectations(signer, predicate_type)
            verdict = verify(data, (claimed or [release.digest])[0], expected, config.trusted_root)
            statement = verdict.statement
            about = [subject for subject in release.subjects if statement is not None and statement.is_about(subject)]
        if verdict.statement is None or verdict.statement.predicate_type != predicate_type:
            failure = verdict.failure.message if verdict.failure else "it does not hold"
            continue
        # Provenance of another stage of the run counts too: whose run it is, the rules compare.
        if not verdict.passed and predicate_type != PROVENANCE:
            failure = verdict.failure.message if verdict.failure else "it does not hold"
            continue
        if not _may_speak(verdict.signer, release):
            failure = f"signed by {verdict.signer}, which is another version's"
            continue
        facts = {
            "digest": str(digest),
            "verified": True,
            "kind": kind,
            "signer": verdict.signer,
            "issuer": signer.issuer,
            "signed_at": verdict.signed_at.timestamp() if verdict.signed_at else None,
            "about": [str(subject) for subject in about],
            **predicates.read(predicate_type, verdict.statement.predicate),
        }
        return VerifiedBundle(digest, True, facts, predicate_type, verdict.statement.predicate)
    return _unverified(digest, f"{str(digest)[:19]}…: {failure}", kind)


def of_type(bundles: Sequence[VerifiedBundle], predicate_type: str) -> Iterator[VerifiedBundle]:
    """Pick the verified bundles of one predicate type."""
    return (bundle for bundle in bundles if bundle.verified and bundle.predicate_type == predicate_type)


def _unverified(digest: Digest, why: str, kind: str = "nothing") -> VerifiedBundle:
    return VerifiedBundle(digest, False, {"verified": False, "why": why, "kind": kind})


def _read_all(
    kept: Mapping[Digest, KeptBundle], limits: Limits, left: int
) -> tuple[dict[Digest, bytes | None], list[str]]:
    """The bundles' bytes, None for one that is too large, and problems; unreadable ones are left out."""
    contents: dict[Digest, bytes | None] = {}
    problems: list[str] = []
    for digest, stored in sorted(kept.items()):
        if (stored.size or 0) > limits.bundle:
            contents[digest] = None
            continue
        left -= stored.size or 0
        if left < 0:
            problems.append(f"release and evidence have more than {limits.read} bytes")
            break
        try:
            contents[digest] = stored.read()
        except (ChainlabError, OSError) as error:
            why = error.message if isinstance(error, ChainlabError) else str(error)
            problems.append(f"evidence cannot be read: {why}")
    return contents, problems


def _may_speak(signer: str, release: Release) -> bool:
    """Refuse a workflow at another version's tag: otherwise whoever may set a tag speaks for every release."""
    _, ref = cut_ref(signer)
    tag = ref.removeprefix("refs/tags/")
    return tag == ref or tag == release.stored.annotations.get("org.opencontainers.image.version")


def _of_other_runs(release: Release, contents: Mapping[Digest, bytes | None]) -> set[Digest]:
    """Find provenance of runs that, by its own words, did not push this manifest.

    A lock that no release changes has the provenance of every run so far: a hundred releases, and two hundred bundles.
    """
    runs: dict[Digest, str] = {}
    pushed = set()
    for digest, data in contents.items():
        document = _payload(data) if data else {}
        if document.get("predicateType") == PROVENANCE:
            run = value_at(document, "predicate", "runDetails", "metadata", "invocationId")
            runs[digest] = str(run)
            if release.digest.value.hex() in _hexes(document):
                pushed.add(str(run))
    return {digest for digest, run in runs.items() if pushed and run not in pushed}


def _verify_model(
    data: bytes, release: Release, signer: Signer, config: ClientTrustConfig
) -> tuple[Verdict, list[Digest]]:
    """Verify a model's signature; returns the verdict, and the layer that it is about."""
    from tempfile import TemporaryDirectory

    from chainlab.evidence.models import model_signing

    listed = predicates.resources(_payload(data))
    verdict: Verdict | None = None
    for layer in release.layers:
        if not release.is_intact(layer) or layer.name not in listed or "/" in layer.name:
            continue
        with TemporaryDirectory(prefix="model-") as name:
            path = Path(name, layer.name)
            path.write_bytes(release.read(layer))
            verdict = model_signing.verify(path, data, signer, config)
        if verdict.passed:
            return verdict, [layer.digest]
    expected = Expectations(signer, MODEL_SIGNATURE)
    return verdict or verify(data, release.digest, expected, config.trusted_root), []


def _kind(policy: Policy, predicate_type: str, release: Release, hexes: Sequence[str]) -> str:
    """The policy's name for a statement of this type about these files; "nothing" where it has none."""
    entries = policy.statements(predicate_type)
    names = [layer.name for layer in release.layers if layer.digest.value.hex() in hexes]
    for entry in entries:
        if any(name.endswith(entry.about) for name in names):
            return entry.name
    return entries[0].name if len(entries) == 1 else "nothing"


def _claims_of(data: bytes) -> tuple[str, list[str]]:
    """An unverified bundle's predicate type and subjects: they only decide whose signature it needs."""
    document = _payload(data)
    predicate_type = document.get("predicateType")
    return (predicate_type if isinstance(predicate_type, str) else ""), _hexes(document)


def _hexes(document: Mapping[str, Any]) -> list[str]:
    """The SHA-256 digests of a statement's subjects."""
    subjects = document.get("subject")
    digests = [value_at(subject, "digest", "sha256") for subject in (subjects if isinstance(subjects, list) else [])]
    return [digest for digest in digests if isinstance(digest, str)]


def _payload(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(payload(parse_json(data, "the bundle")), "the statement")
    except MalformedInput:
        return {}
    return document if isinstance(document, dict) else {}
