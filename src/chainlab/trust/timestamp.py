"""The timestamp authority: signed proof that some bytes existed at a time (RFC 3161).

It signs a hash, never sees the bytes, and keeps nothing. The log of version 2 states no time, so
without a timestamp a signature made with it cannot be placed inside its certificate's ten minutes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.clock import Clock, utc_now
from chainlab.errors import MalformedInput
from chainlab.trust import der, wire

__all__ = ["Query", "TimestampAuthority"]

POLICY = der.oid("1.3.6.1.4.1.57264.2")  # the one that sigstore/timestamp-authority uses
ACCURACY = 1  # second
MAX_NONCE = 32  # bytes of its INTEGER; clients send 8 to 20
# hash algorithm OID → digest size in bytes
HASHES = {
    der.oid("2.16.840.1.101.3.4.2.1"): 32,  # SHA-256
    der.oid("2.16.840.1.101.3.4.2.2"): 48,  # SHA-384
    der.oid("2.16.840.1.101.3.4.2.3"): 64,  # SHA-512
}
SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
ECDSA_SHA256 = der.sequence(der.oid("1.2.840.10045.4.3.2"))
SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
TST_INFO = der.oid("1.2.840.113549.1.9.16.1.4")
NULL = bytes((der.NULL, 0))


@dataclass(frozen=True)
class Query:
    """A TimeStampReq, as far as the answer depends on it."""

    imprint: bytes  # MessageImprint, DER
    nonce: bytes = b""  # INTEGER, DER, or empty
    with_certificate: bool = False

    @classmethod
    def from_der(cls, data: bytes) -> Query:
        """Read a TimeStampReq. Raises `MalformedInput` for anything else."""
        outer = der.parse(data)
        if len(outer) != 1 or outer[0].tag != der.SEQUENCE:
            raise MalformedInput("not a TimeStampReq: one SEQUENCE is expected")
        fields = outer[0].children()
        if len(fields) < 2 or fields[0].encoded != der.integer(1) or fields[1].tag != der.SEQUENCE:
            raise MalformedInput("not a TimeStampReq of version 1")
        _check_imprint(fields[1])
        rest = fields[2:]  # policy, nonce, certReq, extensions: each optional, in this order
        nonce, certificate = b"", False
        if rest and rest[0].encoded == POLICY:
            del rest[0]
        if rest and rest[0].tag == der.INTEGER and 0 < len(rest[0].value) <= MAX_NONCE:
            nonce = rest.pop(0).encoded
        if rest and rest[0].tag == der.BOOLEAN and rest[0].value in (b"\x00", b"\xff"):
            certificate = rest.pop(0).value == b"\xff"
        if rest:
            raise MalformedInput("not a TimeStampReq that we serve: another policy or an extension")
        return cls(fields[1].encoded, nonce, certificate)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Query:
        """Read the JSON form that sigstore-js sends. Raises `MalformedInput`."""
        digest = wire.base64_bytes(document, "artifactHash")
        if document.get("hashAlgorithm") != "sha256" or len(digest) != 32:
            raise MalformedInput("expected hashAlgorithm 'sha256' and a digest of 32 bytes")
        nonce = document.get("nonce")
        if nonce is not None and (not isinstance(nonce, int) or isinstance(nonce, bool) or not 0 <= nonce < 2**160):
            raise MalformedInput("expected a nonce that is a whole number of at most 160 bits")
        imprint = der.sequence(der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), NULL), der.octets(digest))
        return cls(
            imprint,
            b"" if nonce is None else der.integer(nonce),
            document.get("certificates") is True,
        )


class TimestampAuthority:
    """Answers queries with one key and its certificate."""

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._key = key
        self._clock = clock
        self._certificate = certificate.public_bytes(serialization.Encoding.DER)
        self._signer_id = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))
        # ESSCertIDv2 with its default SHA-256 (RFC 5035): the signature names its certificate
        certificate_id = der.sequence(der.octets(hashlib.sha256(self._certificate).digest()))
        self._signing_certificate = _attribute("1.2.840.113549.1.9.16.2.47", der.sequence(der.sequence(certificate_id)))
        self._content_type = _attribute("1.2.840.113549.1.9.3", TST_INFO)

    def answer(self, query: Query) -> bytes:
        """A TimeStampResp that grants the query, DER."""
        now = self._clock()
        info = der.sequence(
            der.integer(1),
            POLICY,
            query.imprint,
            der.integer(secrets.randbits(128)),
            der.generalized_time(now.strftime("%Y%m%d%H%M%SZ")),
            der.sequence(der.integer(ACCURACY)),
            query.nonce,
        )
        attributes = der.set_of(
            self._content_type,
            _attribute("1.2.840.113549.1.9.5", der.utc_time(now.strftime("%y%m%d%H%M%SZ"))),
            _attribute("1.2.840.113549.1.9.4", der.octets(hashlib.sha256(info).digest())),
            self._signing_certificate,
        )
        signature = self._key.sign(attributes, ec.ECDSA(hashes.SHA256()))
        signed_attributes = b"\xa0" + attributes[1:]  # signed as SET, sent as [0] IMPLICIT (RFC 5652 §5.4)
        signer = der.sequence(
            der.integer(1),
            self._signer_id,
            SHA256,
            signed_attributes,
            ECDSA_SHA256,
            der.octets(signature),
        )
        signed_data = der.sequence(
            der.integer(3),
            der.set_of(SHA256),
            der.sequence(TST_INFO, der.context(0, der.octets(info))),
            der.context(0, self._certificate) if query.with_certificate else b"",
            der.set_of(signer),
        )
        token = der.sequence(SIGNED_DATA, der.context(0, signed_data))
        return der.sequence(der.sequence(der.integer(0)), token)  # status: granted


def _check_imprint(imprint: der.Element) -> None:
    parts = imprint.children()
    if len(parts) != 2 or parts[0].tag != der.SEQUENCE or parts[1].tag != der.OCTET_STRING:
        raise MalformedInput("not a TimeStampReq: the message imprint is malformed")
    algorithm = parts[0].children()
    size = HASHES.get(algorithm[0].encoded) if algorithm else None
    if size is None or any(entry.encoded != NULL for entry in algorithm[1:]):
        raise MalformedInput("expected SHA-256, SHA-384 or SHA-512 in the message imprint")
    if len(parts[1].value) != size:
        raise MalformedInput(f"expected a digest of {size} bytes, got {len(parts[1].value)}")


def _attribute(oid: str, value: bytes) -> bytes:
    return der.sequence(der.oid(oid), der.set_of(value))
