"""The timestamp authority: signed proof that some bytes existed at a time (RFC 3161).

It signs a hash, never sees the bytes, and stores nothing. The log of version 2 states no time, so only a timestamp
shows that a signature was made while its certificate was valid.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.clock import Clock, utc_now
from chainlab.errors import MalformedInput
from chainlab.trust import wire

__all__ = ["TimestampAuthority", "TimestampQuery"]

POLICY = "1.3.6.1.4.1.57264.2"  # as in sigstore/timestamp-authority
ACCURACY = 1  # second
MAX_QUERY = 1024  # bytes; clients send up to 140, and asn1crypto takes minutes for an object identifier of a megabyte
MAX_NONCE = 32  # bytes of its INTEGER; clients send 8 to 20
SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}  # digest size in bytes
SHA256 = {"algorithm": "sha256", "parameters": None}  # absent, not NULL (RFC 5754 §2)
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)  # by asn1crypto, for malformed bytes


@dataclass(frozen=True)
class TimestampQuery:
    """The fields of a TimeStampReq that the answer depends on."""

    imprint: bytes  # MessageImprint, DER
    nonce: int | None = None
    with_certificate: bool = False

    @classmethod
    def from_der(cls, data: bytes) -> TimestampQuery:
        """Read a TimeStampReq. Raises `MalformedInput` for anything else."""
        if len(data) > MAX_QUERY:
            raise MalformedInput(f"not a TimeStampReq: expected at most {MAX_QUERY} bytes, got {len(data)}")
        try:
            request = tsp.TimeStampReq.load(data, strict=True)
            fields = request.native
            encoded = request.dump(force=True)
        except UNREADABLE as error:
            raise MalformedInput(f"not a TimeStampReq: {error}") from error
        if encoded != data:  # asn1crypto also reads BER
            raise MalformedInput("not a TimeStampReq: the encoding is not DER")
        if fields["version"] != "v1":
            raise MalformedInput("not a TimeStampReq of version 1")
        if fields["req_policy"] not in (None, POLICY) or fields["extensions"] is not None:
            raise MalformedInput("not a TimeStampReq that is served here: it names another policy or an extension")
        algorithm, digest = fields["message_imprint"].values()
        size = SIZES.get(algorithm["algorithm"])
        if size is None or algorithm["parameters"] is not None:
            raise MalformedInput("expected SHA-256, SHA-384 or SHA-512 in the message imprint")
        if len(digest) != size:
            raise MalformedInput(f"expected a digest of {size} bytes, got {len(digest)}")
        nonce = fields["nonce"]
        if nonce is not None and nonce.bit_length() >= 8 * MAX_NONCE:
            raise MalformedInput(f"expected a nonce of at most {MAX_NONCE} bytes")
        return cls(request["message_imprint"].dump(), nonce, fields["cert_req"])

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TimestampQuery:
        """Read the JSON form that sigstore-js sends. Raises `MalformedInput`."""
        digest = wire.base64_bytes(document, "artifactHash")
        if document.get("hashAlgorithm") != "sha256" or len(digest) != 32:
            raise MalformedInput("expected hashAlgorithm 'sha256' and a digest of 32 bytes")
        nonce = document.get("nonce")
        if nonce is not None and (not isinstance(nonce, int) or isinstance(nonce, bool) or not 0 <= nonce < 2**160):
            raise MalformedInput("expected a nonce that is a whole number of at most 160 bits")
        imprint = tsp.MessageImprint({"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest})
        return cls(imprint.dump(), nonce, document.get("certificates") is True)


class TimestampAuthority:
    """A timestamp authority with one key and its certificate."""

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

    def answer(self, query: TimestampQuery) -> bytes:
        """Return a TimeStampResp that grants the query, DER."""
        now = self._clock().replace(microsecond=0)
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": POLICY,
                "message_imprint": tsp.MessageImprint.load(query.imprint),
                "serial_number": secrets.randbits(128),
                "gen_time": now,
                "accuracy": {"seconds": ACCURACY},
                "nonce": query.nonce,
            }
        )
        # ESSCertIDv2 with its default SHA-256 (RFC 5035): the signature names its certificate
        signing_certificate = tsp.SigningCertificateV2(
            {"certs": [{"cert_hash": hashlib.sha256(self._certificate).digest()}]}
        )
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "signing_time", "values": [cms.Time(name="utc_time", value=core.UTCTime(now))]},
                {"type": "message_digest", "values": [hashlib.sha256(info.dump()).digest()]},
                {"type": "signing_certificate_v2", "values": [signing_certificate]},
            ]
        )
        certificate = Certificate.load(self._certificate)
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number",
                    {"issuer": certificate.issuer, "serial_number": certificate.serial_number},
                ),
                "digest_algorithm": SHA256,
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                # signed as SET, sent as [0] IMPLICIT (RFC 5652 §5.4)
                "signature": self._key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
            }
        )
        signed_data = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [SHA256],
                "encap_content_info": {"content_type": "tst_info", "content": info},
                "certificates": [certificate] if query.with_certificate else None,
                "signer_infos": [signer],
            }
        )
        token = cms.ContentInfo({"content_type": "signed_data", "content": signed_data})
        response = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
        return bytes(response.dump())
