"""Facts about a release: what the registry has, and which statements about it hold. What they mean, the rules say.

    {"now": 1795000000,
     "release": {"reference": …, "digest": …, "intact": true, "quarantined": null, "annotations": …, "layers": […]},
     "evidence": [{"verified": true, "kind": "SBOM", "signer": …, "about": ["sha256:…"], …},
                  {"verified": false, "why": …}],
     "packages": […], "unserved": […], "vulnerabilities": {…}, "models": […]}

Every Sigstore bundle about the manifest and its layers is collected, and verified against the instance's trusted root
and the signers that the policy names. Of one that does not hold, nothing is handed on but that it does not, and why.
Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
from chainlab.evidence.verifying import Expected, Signer, Verdict, verify
from chainlab.policy import predicates
from chainlab.policy.expectations import Policy
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.references import Reference

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

    from chainlab.registry.oci_tables import Stored
    from chainlab.registry.registry import Registry

__all__ = ["Layer", "Piece", "Release", "collect", "each", "examine", "is_plain", "resolve"]

COUNTED = "counted"  # the kind of evidence that a gate counted, and keeps
MAX_BUNDLE = 16 * 2**20  # bytes
MAX_EVIDENCE = 2**28  # bytes of all bundles
MAX_NAME = 200  # characters
MAX_BUNDLES = 200  # looked at; more is no evidence, but an attempt to hide some


@dataclass(frozen=True)
class Layer:
    """One file of a release; ``data`` is None where the registry's bytes are not those that the digest names."""

    name: str
    digest: Digest
    data: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Release:
    """A manifest and what it holds, as the registry has them now."""

    reference: str  # oci/OWNER/REPOSITORY@sha256:…
    resource: str  # oci/OWNER/REPOSITORY
    stored: Stored
    layers: tuple[Layer, ...]
    quarantined: str | None
    problems: tuple[str, ...]  # bytes that cannot be read, or are others

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return self.stored.digest

    @property
    def subjects(self) -> tuple[Digest, ...]:
        """What evidence may be about: the manifest, and each layer."""
        return tuple(dict.fromkeys((self.digest, *(layer.digest for layer in self.layers))))

    def facts(self) -> dict[str, Any]:
        """As the rules read it."""
        return {
            "reference": self.reference,
            "digest": str(self.digest),
            "artifact_type": self.stored.artifact_type,
            "annotations": dict(self.stored.annotations),
            "quarantined": self.quarantined,
            "intact": not self.problems,
            "problems": list(self.problems),
            "layers": [
                {
                    "name": layer.name,
                    "digest": str(layer.digest),
                    "intact": layer.data is not None,
                }
                for layer in self.layers
            ],
        }


@dataclass(frozen=True)
class Piece:
    """One piece of evidence: a bundle, and whether it holds. ``predicate`` is there only if it does."""

    digest: Digest
    verified: bool
    facts: Mapping[str, Any]
    predicate_type: str = ""
    predicate: Any = None


def resolve(reference: str, registry: Registry) -> Release:
    """The release that a reference names: ``oci/OWNER/REPOSITORY@sha256:…`` or ``:tag``.

    Raises `MalformedInput` for what is no reference, `OciError` (404) for one that names nothing. What is in quarantine
    is found: the rules refuse it.
    """
    wanted = Reference.parse(reference)
    artifact = wanted.artifact
    stored = registry.images.manifest(artifact.name, wanted.digest or wanted.tag)
    problems: list[str] = []
    _read(registry, stored.digest, "the manifest", problems)
    layers = []
    for held in registry.images.holdings(artifact.name, stored.digest):
        data = _read(registry, held.digest, held.title or held.role, problems)
        if held.role == "layer":
            layers.append(Layer(held.title, held.digest, data))
            if not is_plain(held.title):
                problems.append(f"{held.title[:80]!r} is no file's name")
        elif held.role != "config":
            problems.append(f"it holds a {held.role}, and a release holds files")
    return Release(
        f"{artifact}@{stored.digest}",
        str(artifact),
        stored,
        tuple(layers),
        registry.held_back(artifact, stored.digest),
        tuple(problems),
    )


def is_plain(name: str) -> bool:
    """Whether a layer's title is a file's name, and leads into no other folder."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not set(name) & set("/\\") and name[0] not in ".-"


def collect(
    release: Release, policy: Policy, registry: Registry, config: ClientTrustConfig
) -> tuple[list[Piece], list[str]]:
    """Every bundle about the release, verified; and what of the evidence the registry could not give back."""
    pieces: list[Piece] = []
    problems: list[str] = []
    found: dict[Digest, bytes | None] = {}
    unread: dict[Digest, str] = {}  # and why
    bundles = _bundles(release, registry)
    left = MAX_EVIDENCE
    for digest, _ in sorted(bundles.items()):
        if _is_long(registry, digest):
            unread[digest] = f"it has more than {MAX_BUNDLE} bytes"
        data = b"" if digest in unread else _read(registry, digest, "evidence", problems)
        left -= len(data or b"")
        if left < 0:
            problems.append(f"there is evidence of more than {MAX_EVIDENCE} bytes")
            break
        found[digest] = data
    elsewhere = _elsewhere(release, found)
    for digest, data in found.items():
        # What a gate said before is nothing to judge by, and each judgement leaves one more.
        if data is None or digest in elsewhere or (data and _claimed(data)[0] == SUMMARY):
            continue
        if len(pieces) == MAX_BUNDLES:
            problems.append(f"there are more than {MAX_BUNDLES} bundles")
            break
        if digest in unread:
            pieces.append(Piece(digest, False, _unverified(unread[digest])))
            continue
        piece = examine(data, release, policy, config)
        if reason := bundles[digest]:  # what somebody said who may: perhaps a no. What a stranger said is nothing
            if piece.verified:
                problems.append(
                    f"evidence is in quarantine, {piece.facts['kind']} by {piece.facts['signer']}: {reason}"
                )
            piece = Piece(digest, False, _unverified(f"in quarantine: {reason}"))
        pieces.append(piece)
    return pieces, problems


def examine(data: bytes, release: Release, policy: Policy, config: ClientTrustConfig) -> Piece:
    """A bundle, verified as the policy asks for statements of its type."""
    digest = Digest.of(data)
    if len(data) > MAX_BUNDLE:
        return Piece(digest, False, _unverified(f"it has more than {MAX_BUNDLE} bytes"))
    predicate_type, hexes = _claimed(data)
    kind = _kind(policy, predicate_type, release, hexes)
    signers = policy.signers(predicate_type)
    if not signers:
        return Piece(digest, False, _unverified(f"nobody is to say {predicate_type or 'that'}"))
    said = ""
    for signer in signers:
        if predicate_type == MODEL_SIGNATURE:
            verdict, about = _signed_model(data, release, signer, config)
        else:
            claimed = [d for d in release.subjects if d.value.hex() in hexes]
            expected = Expected(signer, predicate_type)
            verdict = verify(data, (claimed or [release.digest])[0], expected, config.trusted_root)
            statement = verdict.statement
            about = [d for d in release.subjects if statement is not None and statement.is_about(d)]
        if verdict.statement is None or verdict.statement.predicate_type != predicate_type:
            said = verdict.failure.said if verdict.failure else "it does not hold"
            continue
        # Provenance of another stage of the run counts too: whose run it is, the rules compare.
        if not verdict.passed and predicate_type != PROVENANCE:
            said = verdict.failure.said if verdict.failure else "it does not hold"
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
        return Piece(digest, True, facts, predicate_type, verdict.statement.predicate)
    return Piece(digest, False, _unverified(f"{str(digest)[:19]}…: {said}", kind))


def _may_speak(signer: str, release: Release) -> bool:
    """Whether it is no workflow at another version's tag: else whoever may set a tag speaks for every release."""
    _, tag, ref = signer.rpartition("@refs/tags/")
    return not tag or ref == release.stored.annotations.get("org.opencontainers.image.version")


def _bundles(release: Release, registry: Registry) -> dict[Digest, str | None]:
    """The digests of bundles, and why one is held back."""
    found: dict[Digest, str | None] = {}
    for subject in release.subjects:
        for kind, digest in registry.evidence.attached(subject):
            if kind in ("provenance", COUNTED):
                found[digest] = registry.quarantine.reason(digest)
    repository = release.stored.repository
    for subject in release.subjects:
        for stored in registry.images.referrers(repository, subject):
            if stored.artifact_type == BUNDLE_TYPE:
                for held in registry.images.holdings(repository, stored.digest):
                    if held.role == "layer":
                        reason = registry.images.held_back(repository, stored.digest)
                        found[held.digest] = found.get(held.digest) or reason
    return found


def _is_long(registry: Registry, digest: Digest) -> bool:
    """Whether the bytes are too many for a bundle; what is not there, reading tells of."""
    with suppress(OSError):
        return registry.blobs.path(digest).stat().st_size > MAX_BUNDLE
    return False


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

    from chainlab.evidence import models

    listed = predicates.resources(_payload(data))
    verdict: Verdict | None = None
    for layer in release.layers:
        if layer.data is None or layer.name not in listed or "/" in layer.name:
            continue
        with TemporaryDirectory(prefix="model-") as name:
            path = Path(name, layer.name)
            path.write_bytes(layer.data)
            verdict = models.verify(path, data, signer, config)
        if verdict.passed:
            return verdict, [layer.digest]
    expected = Expected(signer, MODEL_SIGNATURE)
    return verdict or verify(data, release.digest, expected, config.trusted_root), []


def _kind(policy: Policy, predicate_type: str, release: Release, hexes: Sequence[str]) -> str:
    """What the policy calls a statement of this type about these files."""
    entries = policy.statements(predicate_type)
    names = [layer.name for layer in release.layers if layer.digest.value.hex() in hexes]
    for entry in entries:
        ends = entry.get("about", ())
        if any(name.endswith(str(end)) for name in names for end in ends):
            return str(entry.get("name"))
    return str(entries[0].get("name")) if len(entries) == 1 else "nothing"


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


def _read(registry: Registry, digest: Digest, what: str, problems: list[str]) -> bytes | None:
    """The bytes that a digest names; None, and a line more in ``problems``, where they are missing or others."""
    try:
        data = registry.blobs.read(digest)
    except (ChainlabError, OSError) as error:
        said = error.message if isinstance(error, ChainlabError) else str(error)
        problems.append(f"{what} cannot be read: {said}")
        return None
    if Digest.of(data) != digest:
        problems.append(f"{what} is corrupted: its digest is not {digest}")
        return None
    return data


def each(pieces: Sequence[Piece], predicate_type: str) -> Iterator[Piece]:
    """The verified pieces of one type."""
    return (piece for piece in pieces if piece.verified and piece.predicate_type == predicate_type)
