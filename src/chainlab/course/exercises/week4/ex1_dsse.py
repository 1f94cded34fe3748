"""Cases for exercise 4.1: which bytes did the signer of a DSSE envelope sign?

Every envelope is really signed, one by sigstore-python against the private instance, the others with a new key. An
answer is right when the envelope's own signature holds over it, so no second implementation of the encoding is the
judge.

    >>> sealed = Sealed.by(ec.generate_private_key(ec.SECP256R1()), "text/plain", b"DSSEv1 ")
    >>> sealed.holds(b"DSSEv1 10 text/plain 7 DSSEv1 ")
    True
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.evidence.statements import PAYLOAD_TYPE, PROVENANCE, Statement

__all__ = ["Sealed", "cases"]

SEE = "notebooks/04a_attestation.ipynb, 'What exactly is signed?'"
TEACHES = {
    "an envelope by sigstore-python": (
        "The type and both lengths are signed with the payload: DSSEv1, length, type, length, payload, one space "
        "between each."
    ),
    "a name with an accent": (
        "A length counts bytes. In UTF-8 an accented letter is two of them, so a count of characters comes out short."
    ),
    "a payload with spaces": (
        "The bytes were signed, not what they mean. Whoever reads JSON and writes it again has other bytes."
    ),
    "a name twice in one object": (
        "Two readers may read two different things here. What is signed is still this one row of bytes."
    ),
    "a payload that is no text": (
        "A payload is bytes. It need not decode to text, and nothing has to be decoded before the signature holds."
    ),
    "the other alphabet of base64": (
        "DSSE admits both alphabets, with + and / or with - and _. `base64.b64decode` drops what it does not "
        "know, without a word."
    ),
    "a type with an accent": "The type's length counts bytes too.",
    "nothing at all": "An empty payload has the length 0, and the space before it stays.",
}


JSON = "application/json"


@dataclass(frozen=True)
class Sealed:
    """An envelope, and the key that its signature is for."""

    envelope: dict[str, Any]
    key: ec.EllipticCurvePublicKey
    signed: int  # how many bytes were signed

    @classmethod
    def by(cls, key: ec.EllipticCurvePrivateKey, kind: str, payload: bytes) -> Sealed:
        """Sign a payload of a type (DSSE 1.0.2, "Signature definition")."""
        signed = b" ".join(
            [b"DSSEv1", str(len(kind.encode())).encode(), kind.encode(), str(len(payload)).encode(), payload]
        )
        signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
        }
        return cls(envelope, key.public_key(), len(signed))

    @classmethod
    def of_bundle(cls, text: str) -> Sealed:
        """Take the envelope of a Sigstore bundle (JSON)."""
        from sigstore.models import Bundle

        bundle = Bundle.from_json(text)
        envelope = json.loads(text)["dsseEnvelope"]
        key = bundle.signing_certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ChainlabError("not an elliptic-curve key: the client's")
        size = len(base64.b64decode(envelope["payload"]))
        kind = len(envelope["payloadType"])
        return cls(envelope, key, 7 + len(str(kind)) + 1 + kind + 1 + len(str(size)) + 1 + size)

    def holds(self, answer: bytes) -> bool:
        """Say whether the signature holds over these bytes."""
        signature = base64.b64decode(self.envelope["signatures"][0]["sig"])
        try:
            self.key.verify(signature, answer, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def judge(self) -> Callable[[Any], bool | Miss]:
        """Accept the bytes that were signed."""

        def accept(answer: Any) -> bool | Miss:
            try:
                signed = bytes.fromhex(answer)  # plain data has bytes as hex digits
            except (TypeError, ValueError):
                return Miss("expected bytes, got something else")
            return self.holds(signed) or Miss(
                f"the signature was made over {self.signed} bytes, and does not hold over these {len(signed)}"
            )

        return accept


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Sign envelopes with payloads of every kind."""
    key = ec.generate_private_key(ec.SECP256R1())
    version = f"1.{rng.randrange(90)}.{rng.randrange(9)}"
    digest = Digest.of(rng.randbytes(32))

    def case(name: str, sealed: Sealed) -> Case:
        return Case(name, (sealed.envelope,), accept=sealed.judge())

    statement = Statement.about({"triage.onnx": digest}, PROVENANCE, {"version": version})
    yield case("an envelope by sigstore-python", Sealed.of_bundle(_signed(lab, statement)))
    name = rng.choice(["Größe", "modèle", "naïve", "señal"])
    accented = json.dumps({"name": name, "version": version}, ensure_ascii=False, separators=(",", ":"))
    yield case("a name with an accent", Sealed.by(key, JSON, accented.encode()))
    indent = rng.randrange(1, 5)
    yield case(
        "a payload with spaces",
        Sealed.by(key, JSON, json.dumps({"z": 1, "version": version, "a": [1.0]}, indent=indent).encode()),
    )
    yield case(
        "a name twice in one object", Sealed.by(key, JSON, b'{"ok":false,"ok":true,"run":%d}' % rng.randrange(99))
    )
    yield case(
        "a payload that is no text",
        Sealed.by(key, "application/octet-stream", b"\xff\xfe\x00" + rng.randbytes(rng.randrange(20, 40))),
    )
    url_safe = b"\xfb\xff\xfe" * rng.randrange(2, 6) + rng.randbytes(7)
    sealed = Sealed.by(key, "application/octet-stream", url_safe)
    sealed.envelope["payload"] = base64.urlsafe_b64encode(url_safe).decode()
    yield case("the other alphabet of base64", sealed)
    yield case(
        "a type with an accent",
        Sealed.by(key, f"application/vnd.acme.{name}+json", b'{"version":"%s"}' % version.encode()),
    )
    yield case("nothing at all", Sealed.by(key, rng.choice(["text/plain", JSON, PAYLOAD_TYPE]), b""))


def _signed(lab: LabContext, statement: Statement) -> str:
    from chainlab.evidence.signing import sign

    return sign(statement, lab.trust.config, lab.trust.token("alice@example.com")).decode()
