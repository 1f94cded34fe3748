"""The trust material that a client needs: the trusted root to verify, the signing config to sign.

The trusted root holds only public keys and does not depend on the port. The signing config says where the services
listen now. Both together are a ``ClientTrustConfig``, the file that ``sigstore --trust-config`` takes.
Source: sigstore/protobuf-specs.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chainlab.clock import rfc3339
from chainlab.trust.authority import ORGANIZATION
from chainlab.trust.keys import Keys, der_public_key
from chainlab.trust.log import key_id_c2sp
from chainlab.trust.wire import base64_text

__all__ = ["LOG_V1", "LOG_V2", "log_id", "signing_config", "trust_config", "trusted_root"]

# Logical names, not addresses. A checkpoint's origin must occur in its log's base URL.
LOG_V1 = "log1.chainlab.localhost"
LOG_V2 = "log2.chainlab.localhost"
CT_LOG = "ct.chainlab.localhost"
AUTHORITY = "https://ca.chainlab.localhost"
TIMESTAMP = "https://tsa.chainlab.localhost/api/v1/timestamp"
ED25519_NOTE = 1  # algorithm byte of a signed note (C2SP)


def log_id(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return the id of a log's key, 32 bytes: RFC 6962's for ECDSA, the signed note's for Ed25519."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashlib.sha256(der_public_key(key)).digest()
    return key_id_c2sp(LOG_V2, ED25519_NOTE, key.public_key().public_bytes_raw())


def trusted_root(keys: Keys) -> dict[str, Any]:
    """Return ``trusted_root.json``: every generation of the CA, the logs, the timestamp authority."""
    start = keys.authorities[0].valid_from
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [
            _log(LOG_V2, keys.log_v2_key, "PKIX_ED25519", start),
            _log(LOG_V1, keys.log_v1_key, "PKIX_ECDSA_P256_SHA_256", start),
        ],
        "certificateAuthorities": [
            _authority(
                AUTHORITY,
                [generation.certificate, keys.root],
                generation.valid_from,
                generation.valid_until,
            )
            for generation in keys.authorities
        ],
        "ctlogs": [_log(CT_LOG, keys.ct_key, "PKIX_ECDSA_P256_SHA_256", start)],
        "timestampAuthorities": [_authority(TIMESTAMP, [keys.timestamp, keys.timestamp_root], start)],
    }


def signing_config(keys: Keys, url: str) -> dict[str, Any]:
    """Return ``signing_config.json``: the services as they listen at ``url``; log v2 before v1."""
    start = keys.authorities[0].valid_from

    def service(address: str, version: int = 1) -> dict[str, Any]:
        return {
            "url": address,
            "majorApiVersion": version,
            "validFor": _period(start),
            "operator": "chainlab",
        }

    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(url)],
        "oidcUrls": [service(f"{url}/oidc")],
        "rekorTlogUrls": [service(url, 2), service(url, 1)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [service(f"{url}/api/v1/timestamp")],
        "tsaConfig": {"selector": "ANY"},
    }


def trust_config(keys: Keys, url: str) -> dict[str, Any]:
    """Return ``trust_config.json``: trusted root and signing config."""
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": trusted_root(keys),
        "signingConfig": signing_config(keys, url),
    }


def _log(
    name: str,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    details: str,
    start: datetime,
) -> dict[str, Any]:
    return {
        "baseUrl": f"https://{name}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_text(der_public_key(key)),
            "keyDetails": details,
            "validFor": _period(start),
        },
        "logId": {"keyId": base64_text(log_id(key))},
    }


def _authority(uri: str, chain: list[x509.Certificate], start: datetime, end: datetime | None = None) -> dict[str, Any]:
    encoded = [entry.public_bytes(serialization.Encoding.DER) for entry in chain]
    common_name = chain[-1].subject.rfc4514_string().partition(",")[0].removeprefix("CN=")
    return {
        "subject": {"organization": ORGANIZATION, "commonName": common_name},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": base64_text(raw)} for raw in encoded]},
        "validFor": _period(start, end),
    }


def _period(start: datetime, end: datetime | None = None) -> dict[str, str]:
    return {"start": rfc3339(start)} | ({"end": rfc3339(end)} if end else {})
