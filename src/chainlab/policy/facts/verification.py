"""Evidence, verified: every Sigstore bundle about a release, against the root and the signers that the policy names.

    >>> pieces, problems = collect(release, policy, registry, config)                 # doctest: +SKIP
    >>> [piece.facts["kind"] for piece in pieces if piece.verified]                   # doctest: +SKIP
    ['provenance', 'SBOM', …]

For a bundle that does not hold, only the reason is passed on: what it says is nobody's word.
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

COUNTED = "counted"  # the kind of evidence that a gate counted, and keeps


@dataclass(frozen=True)
class VerifiedBundle:
    """One piece of evidence: a bundle, and whether it holds. ``predicate`` is there only if it does."""

    digest: Digest
    verified: bool
    facts: Mapping[str, Any]
    predicate_type: str = ""
    predicate: Any = None


def verify_bundles(
    release: Release,
    policy: Policy,
    registry: Registry,
    config: ClientTrustConfig,
    limits: Limits | None = None,
) -> tuple[list[VerifiedBundle], list[str]]:
    """Every bundle about the release, verified; and what of the evidence the registry could not give back.

    Reads no more than what the release leaves of ``limits.read``.
    """
    limits = limits or Limits()
    pieces: list[VerifiedBundle] = []
    problems: list[str] = []
    known = registry.evidence.bundles(*release.subjects, repository=release.artifact.name)
    data: dict[Digest, bytes | None] = {}
    unread: dict[Digest, str] = {}  # and why
    left = limits.read - release.size
    for digest, found in sorted(known.items()):
        if (found.size or 0) > limits.bundle:
            unread[digest], data[digest] = f"it has more than {limits.bundle} bytes", b""
            continue
        left -= found.size or 0
        if left < 0:
            problems.append(f"release and evidence have more than {limits.read} bytes")
            break
        data[digest] = _read(found, problems)
    elsewhere = _elsewhere(release, data)
    for digest, bundle in data.items():
        # What a gate said before is nothing to judge by, and each judgement leaves one more.
        if bundle is None or digest in elsewhere or (bundle and _claimed(bundle)[0] == SUMMARY):
            continue
        # What was attested for the index's own checks counts only where the policy asks for it.
        if known[digest].place == "index" and not policy.signers(_claimed(bundle)[0]):
            continue
        if len(pieces) == limits.bundles:
            problems.append(f"there are more than {limits.bundles} bundles")
            break
        if digest in unread:
            pieces.append(VerifiedBundle(digest, False, _unverified(unread[digest])))
            continue
        piece = verify_bundle(bundle, release, policy, config)
        if reason := known[digest].held:  # what somebody said who may: perhaps a no. What a stranger said is nothing
            if piece.verified:
                problems.append(
                    f"evidence is in quarantine, {piece.facts['kind']} by {piece.facts['signer']}: {reason}"
                )
            piece = VerifiedBundle(digest, False, _unverified(f"in quarantine: {reason}"))
        pieces.append(piece)
    return pieces, problems


def verify_bundle(data: bytes, release: Release, policy: Policy, config: ClientTrustConfig) -> VerifiedBundle:
    """A bundle, verified as the policy asks for statements of its type."""
    digest = Digest.of(data)
    predicate_type, hexes = _claimed(data)
    kind = _kind(policy, predicate_type, release, hexes)
    signers = policy.signers(predicate_type)
    if not signers:
        return VerifiedBundle(digest, False, _unverified(f"nobody is to say {predicate_type or 'that'}"))
    said = ""
    for signer in signers:
        if predicate_type == MODEL_SIGNATURE:
            verdict, about = _signed_model(data, release, signer, config)
        else:
            claimed = [d for d in release.subjects if d.value.hex() in hexes]
            expected = Expectations(signer, predicate_type)
            verdict = verify(data, (claimed or [release.digest])[0], expected, config.trusted_root)
            statement = verdict.statement
            about = [d for d in release.subjects if statement is not None and statement.is_about(d)]
        if verdict.statement is None or verdict.statement.predicate_type != predicate_type:
            said = verdict.failure.message if verdict.failure else "it does not hold"
            continue
        # Provenance of another stage of the run counts too: whose run it is, the rules compare.
        if not verdict.passed and predicate_type != PROVENANCE:
            said = verdict.failure.message if verdict.failure else "it does not hold"
            continue
        if not _may_speak(verdict.signer, release):
            said = f"signed by {verdict.signer}, which is another version's"
            continue
        facts = {
            "digest": str(digest),
            "verified": True,
            "kind": kind,
            "signer": verdict.signer,
            "issuer": signer.issuer,
            "signed_at": verdict.signed_at.timestamp() if verdict.signed_at else None,
            "about": [str(d) for d in about],
            **predicates.read(predicate_type, verdict.statement.predicate),
        }
        return VerifiedBundle(digest, True, facts, predicate_type, verdict.statement.predicate)
    return VerifiedBundle(digest, False, _unverified(f"{str(digest)[:19]}…: {said}", kind))


def _may_speak(signer: str, release: Release) -> bool:
    """Whether it is no workflow at another version's tag: else whoever may set a tag speaks for every release."""
    _, ref = cut_ref(signer)
    tag = ref.removeprefix("refs/tags/")
    return tag == ref or tag == release.stored.annotations.get("org.opencontainers.image.version")


def _elsewhere(release: Release, found: Mapping[Digest, bytes | None]) -> set[Digest]:
    """Provenance of runs that did not push this manifest, by its own words.

    A lock that no release changes has the provenance of every run so far: a hundred releases, and two hundred bundles.
    """
    runs: dict[Digest, str] = {}
    pushed = set()
    for digest, data in found.items():
        document = _payload(data) if data else {}
        if document.get("predicateType") == PROVENANCE:
            run = value_at(document, "predicate", "runDetails", "metadata", "invocationId")
            runs[digest] = str(run)
            if release.digest.value.hex() in _hexes(document):
                pushed.add(str(run))
    return {digest for digest, run in runs.items() if pushed and run not in pushed}


def _signed_model(
    data: bytes, release: Release, signer: Signer, config: ClientTrustConfig
) -> tuple[Verdict, list[Digest]]:
    """The verdict on a model's signature, and the layer that it is about."""
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
    """What the policy calls a statement of this type about these files."""
    entries = policy.statements(predicate_type)
    names = [layer.name for layer in release.layers if layer.digest.value.hex() in hexes]
    for entry in entries:
        if any(name.endswith(entry.about) for name in names):
            return entry.name
    return entries[0].name if len(entries) == 1 else "nothing"


def _claimed(data: bytes) -> tuple[str, list[str]]:
    """What an unverified bundle says that it is: only to know whom to expect; then it is verified."""
    document = _payload(data)
    kind = document.get("predicateType")
    return (kind if isinstance(kind, str) else ""), _hexes(document)


def _hexes(document: Mapping[str, Any]) -> list[str]:
    """The SHA-256 digests of a statement's subjects."""
    subjects = document.get("subject")
    hexes = []
    for subject in subjects if isinstance(subjects, list) else []:
        digests = subject.get("digest") if isinstance(subject, dict) else None
        found = digests.get("sha256") if isinstance(digests, dict) else None
        hexes += [found] if isinstance(found, str) else []
    return hexes


def _payload(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(payload(parse_json(data, "the bundle")), "the statement")
    except MalformedInput:
        return {}
    return document if isinstance(document, dict) else {}


def _unverified(why: str, kind: str = "nothing") -> dict[str, Any]:
    return {"verified": False, "why": why, "kind": kind}


def _read(found: KeptBundle, problems: list[str]) -> bytes | None:
    """A bundle; None, and a line more in ``problems``, where its bytes are missing or others."""
    try:
        return found.read()
    except (ChainlabError, OSError) as error:
        said = error.message if isinstance(error, ChainlabError) else str(error)
        problems.append(f"evidence cannot be read: {said}")
        return None


def of_type(pieces: Sequence[VerifiedBundle], predicate_type: str) -> Iterator[VerifiedBundle]:
    """The verified pieces of one type."""
    return (piece for piece in pieces if piece.verified and piece.predicate_type == predicate_type)
