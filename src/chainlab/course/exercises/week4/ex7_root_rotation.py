"""Cases for exercise 4.7: a CA key was stolen; which trusted root keeps the good and refuses the forged?

An instance with a clock that can be set plays a story: an ordinary rotation long ago, a theft, its discovery. The story
decides who signed what and when; sigstore's unmodified `Verifier` then uses the root that the answer made.

    >>> sorted(story.bundles)                                # doctest: +SKIP
    ['after the rotation', 'before the theft', 'between', …]
"""

from __future__ import annotations

import base64
import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.clock import rfc3339
from chainlab.course.learning.checks import Case, LabContext, Miss
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.trust.authority import certify, precertify, rotate
from chainlab.trust.instance import Instance
from chainlab.trust.issuer import ISSUER, Identity
from chainlab.trust.keys import CertificateAuthority, Keys
from chainlab.trust.root import trusted_root
from chainlab.trust.timestamp import TimestampQuery

__all__ = ["Story", "cases"]

SEE = "labs/04_attestation.ipynb, 'The key that signs certificates is stolen'"
TEACHES = {
    "signed before the theft": (
        "This was signed while one hand had the key, and a timestamp proves when. Whoever deletes the old "
        "authority throws away every release so far, and a customer who cannot verify learns to skip verifying."
    ),
    "signed after the rotation": "The new authority has to be in the root, with its own chain.",
    "forged after the rotation": (
        "The thief has the key and the log and the timestamp authority serve anybody. Only the end of the old "
        "authority's certificate refuses this. (`validFor` alone does not: this client checks the certificates.)"
    ),
    "forged, with a certificate dated back": (
        "Whoever has the CA's key writes any date into a certificate. The timestamp is somebody else's word, and "
        "says when the signature was there."
    ),
    "forged between theft and discovery": (
        "The old authority's word ends when the key was in two hands, not when somebody noticed."
    ),
    "what people and other clients read": (
        "`validFor.end` of the stolen key's entry is the hour of the theft: this client does not ask for it, others "
        "and every person who reads the root do. A root in which certificate and field disagree is read in two ways. "
        "The other entries keep what they say."
    ),
    "signed long ago": ("An earlier generation, retired on time, is still in the root. What it certified stays good."),
    "forged with a key from the drawer": (
        "The earlier generation has an end of its own, before the theft. A rotation that writes a new end into "
        "every entry opens it again."
    ),
}


ALICE = "alice@example.com"
ARTIFACT = b"weights of a small model"


@dataclass
class Story:
    """A story's times, the bundles that it left, the root before, and what a rotation may use."""

    stolen: str  # RFC 3339: from then on the key was in two hands
    noticed: str
    root: dict[str, Any]  # the trusted root until now
    successor: dict[str, Any]  # the new authority's entry
    recertify: Callable[[dict[str, Any], str], str]
    bundles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def play(cls, directory: Path, rng: random.Random) -> Story:
        """Play a story on a new instance in ``directory``."""
        shutil.rmtree(directory, ignore_errors=True)
        stage = _RotationStage(directory, datetime(2026, 3, 2, 8, tzinfo=UTC) + timedelta(days=rng.randrange(60)))
        try:
            return stage.play(rng)
        finally:
            stage.instance.close()


class _RotationStage:
    """An instance whose clock can be set, and the ways to sign with its keys."""

    def __init__(self, directory: Path, begin: datetime) -> None:
        self.now = begin
        self.instance = Instance(directory, clock=lambda: self.now)

    def play(self, rng: random.Random) -> Story:
        keys = self.instance.keys
        bundles = {}

        def later(hours: int) -> datetime:
            self.now += timedelta(hours=hours, minutes=rng.randrange(60))
            return self.now

        later(20)
        bundles["long ago"] = self.bundle(self.honest())
        first = keys.authority
        later(20)
        self.instance.rotate()  # an ordinary one, on time: the first key is kept in a drawer
        later(30)
        bundles["before the theft"] = self.bundle(self.honest())
        later(3)
        bundles["from the drawer"] = self.bundle(self.forged(first, self.now))
        stolen = later(9)
        kept = self.instance.keys
        later(5)
        bundles["between"] = self.bundle(self.forged(kept.authority, self.now))
        noticed = later(30)
        after = rotate(kept, noticed)  # the successor's key; the answer says what becomes of the old one
        before = trusted_root(kept)
        successor = trusted_root(after)["certificateAuthorities"][-1]
        recertify = _recertifier(kept)
        self.instance._set_keys(after)
        self.now += timedelta(minutes=rng.randrange(2, 5))
        back = noticed - timedelta(minutes=rng.randrange(1, 5))
        bundles["dated back"] = self.bundle(self.forged(kept.authority, back))
        later(2)
        bundles["after the rotation"] = self.bundle(self.honest())
        bundles["forged afterwards"] = self.bundle(self.forged(kept.authority, self.now))
        return Story(rfc3339(stolen), rfc3339(noticed), before, successor, recertify, bundles)

    def honest(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Make a key, and let the instance certify it now."""
        key = ec.generate_private_key(ec.SECP256R1())
        identity = Identity(ISSUER, ALICE, ALICE, is_email=True)
        chain = self.instance.certificate(identity, key.public_key())
        return key, _der(chain[0])

    def forged(self, authority: CertificateAuthority, start: datetime) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Make a key, and certify it for alice with the stolen CA key; the CT log's receipt is genuine."""
        key = ec.generate_private_key(ec.SECP256R1())
        identity = Identity(ISSUER, ALICE, ALICE, is_email=True)
        precertificate = precertify(authority, identity, key.public_key(), start)
        certificate = certify(precertificate, self.instance.keys.ct_key)
        return key, certificate.public_bytes(serialization.Encoding.DER)

    def bundle(self, signer: tuple[ec.EllipticCurvePrivateKey, bytes]) -> str:
        """Sign, log and timestamp, now."""
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        key, certificate = signer
        signature = key.sign(ARTIFACT, ec.ECDSA(hashes.SHA256()))
        digest = _b64(Digest.of(ARTIFACT).value)
        verifier = {"x509Certificate": {"rawBytes": _b64(certificate)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        record = {"digest": digest, "signature": {"content": _b64(signature), "verifier": verifier}}
        entry = self.instance.log_entry_v2({"hashedRekordRequestV002": record})
        builder = TimestampRequestBuilder(data=signature, cert_req=True)
        query = builder.hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
        stamp = self.instance.timestamp(TimestampQuery.from_der(query))
        material = {
            "certificate": {"rawBytes": _b64(certificate)},
            "tlogEntries": [entry],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": _b64(stamp)}]},
        }
        message = {"messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": _b64(signature)}
        document = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "messageSignature": message,
        }
        return json.dumps(document)


def _recertifier(keys: Keys) -> Callable[[dict[str, Any], str], str]:
    """Make ``recertify``, the use of the root key in the safe: a new certificate for a signing key, until a time."""

    def recertify(authority: dict[str, Any], until: str) -> str:
        """Certify the same key until ``until`` (RFC 3339); returns the certificate as base64."""
        present = trusted_root(keys)["certificateAuthorities"]
        chains = [json.dumps(entry["certChain"]) for entry in present]
        if not isinstance(authority, dict) or (chain := json.dumps(authority.get("certChain"))) not in chains:
            raise ChainlabError("recertify takes an entry of certificateAuthorities as the root has it, unchanged")
        index = chains.index(chain)
        moment = datetime.fromisoformat(until)
        generation = keys.authorities[index]
        alone = copy.copy(keys)
        ended = rotate(alone.with_authorities(generation), moment).authorities[0]
        return _b64(ended.certificate.public_bytes(serialization.Encoding.DER))

    return recertify


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Play one story, and try each of its bundles under the root that the answer makes."""
    story = Story.play(lab.path / "rotation", rng)

    args = (story.root, story.successor, story.stolen, story.noticed, story.recertify)

    def case(name: str, bundle: str, good: bool) -> Case:
        return Case(name, args, accept=_client_verdict(story, bundle, good))

    yield case("signed before the theft", "before the theft", True)
    yield case("signed after the rotation", "after the rotation", True)
    yield case("forged after the rotation", "forged afterwards", False)
    yield case("forged, with a certificate dated back", "dated back", False)
    yield case("forged between theft and discovery", "between", False)
    yield case("signed long ago", "long ago", True)
    yield case("forged with a key from the drawer", "from the drawer", False)
    yield Case("what people and other clients read", args, accept=_stolen_entry_ended(story))


def _read_error(error: Exception) -> str:
    """Say where a root is wrong: ``certificateAuthorities.1.certChain.certificates.0: Input should be an object``."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error).splitlines()[0][:120]


def _stolen_entry_ended(story: Story) -> Callable[[Any], bool | Miss]:
    """Accept a root in which the stolen entry's field ends at the theft, and the other entries are as they were."""

    def accept(answer: Any) -> bool | Miss:
        *earlier, old = story.root["certificateAuthorities"]
        entries = answer["certificateAuthorities"]
        own = [entry for entry in entries if _key(entry) == _key(old)]
        if len(own) != 1:
            return Miss(f"expected one entry for the stolen key, found {len(own)}")
        end = own[0]["validFor"].get("end")
        if end is None:
            return Miss("validFor of the stolen key's entry has no end")
        if datetime.fromisoformat(end) != datetime.fromisoformat(story.stolen):
            return Miss(f"validFor of the stolen key's entry ends {end}, expected {story.stolen}")
        if own[0]["certChain"]["certificates"][1:] != old["certChain"]["certificates"][1:]:
            return Miss("the stolen key's entry has lost the root certificate of its chain")
        if any(entry not in entries for entry in [*earlier, story.successor]):
            return Miss("an earlier generation's entry or the successor's is not as it was")
        kept = {key: value for key, value in story.root.items() if key != "certificateAuthorities"}
        changed = [key for key, value in kept.items() if answer.get(key) != value]
        return Miss(f"{changed[0]} is not as it was") if changed else True

    return accept


def _key(entry: dict[str, Any]) -> bytes:
    """The signing key of an authority's entry."""
    raw = base64.b64decode(entry["certChain"]["certificates"][0]["rawBytes"])
    key = x509.load_der_x509_certificate(raw).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _client_verdict(story: Story, bundle: str, good: bool) -> Callable[[Any], bool | Miss]:
    """Accept a trusted root under which a good bundle verifies, or a forgery is refused.

    A root that verifies nothing refuses every forgery, so a refusal counts only beside a good bundle that verifies.
    """

    def accept(answer: Any) -> bool | Miss:
        from sigstore.errors import Error
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Document

        try:
            root = TrustedRoot(Document.from_json(json.dumps(answer)))
            verifier = Verifier(trusted_root=root)
        except (Error, ValueError, TypeError, KeyError) as error:
            return Miss(f"no client reads this root: {_read_error(error)}")
        refusal = _refused(verifier, story.bundles[bundle])
        if good:
            return Miss(f"the client refuses a good bundle: {refusal}") if refusal else True
        if not refusal:
            return Miss("the client accepts a forgery")
        old = _refused(verifier, story.bundles["before the theft"])
        return Miss(f"the client refuses the forgery, and what was signed before the theft too: {old}") if old else True

    return accept


def _refused(verifier: Any, bundle: str) -> str:
    """Say why the client refuses a bundle of alice's; empty when it does not."""
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import policy

    try:
        verifier.verify_artifact(ARTIFACT, Bundle.from_json(bundle), policy.Identity(identity=ALICE, issuer=ISSUER))
    except Error as error:
        return str(error).splitlines()[0][:120]
    return ""
