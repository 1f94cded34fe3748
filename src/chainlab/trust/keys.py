"""The instance's private keys and certificates: one file, ``keys.json``, mode 0600.

The trusted root is derived from this file alone, so it does not depend on the port that the instance listens on. The
file is written whole to a temporary file, which is then renamed over the old one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chainlab.errors import Unavailable
from chainlab.storage import write_whole

__all__ = ["CertificateAuthority", "Keys", "der_public_key", "pem"]


@dataclass(frozen=True)
class CertificateAuthority:
    """One generation of the signing CA: an intermediate below the root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate  # the intermediate
    valid_from: datetime
    valid_until: datetime | None = None  # None: this generation signs


@dataclass(frozen=True)
class Keys:
    """All private keys and certificates of an instance."""

    root_key: ec.EllipticCurvePrivateKey
    root: x509.Certificate
    authorities: tuple[CertificateAuthority, ...]  # oldest first; the last one signs
    timestamp_root: x509.Certificate
    timestamp_key: ec.EllipticCurvePrivateKey
    timestamp: x509.Certificate
    issuer_key: ec.EllipticCurvePrivateKey
    ct_key: ec.EllipticCurvePrivateKey
    log_v1_key: ec.EllipticCurvePrivateKey
    log_v2_key: ed25519.Ed25519PrivateKey
    tuf_key: ec.EllipticCurvePrivateKey

    @property
    def authority(self) -> CertificateAuthority:
        """The generation that signs now."""
        return self.authorities[-1]

    def with_authorities(self, *authorities: CertificateAuthority) -> Keys:
        """Return these keys with other generations of the CA."""
        return replace(self, authorities=authorities)

    @classmethod
    def load(cls, path: Path) -> Keys:
        """Read the keys that `dump` wrote. Raises `Unavailable` when the file cannot be read."""
        try:
            return cls._from_json(json.loads(path.read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"cannot read the keys in {path}",
                why=str(error),
                hint="restore the file from a copy; without it this instance cannot sign again"
                if path.parent.exists()
                else f"create an instance there: chainlab trust serve --state {path.parent}",
            ) from error

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> Keys:
        def ecdsa(name: str) -> ec.EllipticCurvePrivateKey:
            return _ecdsa(fields[name])

        def certificate(name: str) -> x509.Certificate:
            return x509.load_pem_x509_certificate(fields[name].encode())

        return cls(
            ecdsa("root_key"),
            certificate("root"),
            tuple(
                CertificateAuthority(
                    _ecdsa(entry["key"]),
                    x509.load_pem_x509_certificate(entry["certificate"].encode()),
                    datetime.fromisoformat(entry["valid_from"]),
                    entry["valid_until"] and datetime.fromisoformat(entry["valid_until"]),
                )
                for entry in fields["authorities"]
            ),
            certificate("timestamp_root"),
            ecdsa("timestamp_key"),
            certificate("timestamp"),
            ecdsa("issuer_key"),
            ecdsa("ct_key"),
            ecdsa("log_v1_key"),
            _ed25519(fields["log_v2_key"]),
            ecdsa("tuf_key"),
        )

    def dump(self, path: Path) -> None:
        """Write every key; ``Keys.load(path)`` reads them back."""
        fields: dict[str, Any] = {name: pem(value) for name, value in vars(self).items() if name != "authorities"}
        fields["authorities"] = [
            {
                "key": pem(authority.key),
                "certificate": pem(authority.certificate),
                "valid_from": authority.valid_from.isoformat(),
                "valid_until": authority.valid_until and authority.valid_until.isoformat(),
            }
            for authority in self.authorities
        ]
        write_whole(path, json.dumps(fields, indent=1), durable=True, mode=0o600)


def der_public_key(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Encode the public key as SubjectPublicKeyInfo, DER."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(
    value: x509.Certificate | ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> str:
    """Encode a certificate or key as PEM; a private key without a password, like an SSH host key."""
    encoding = serialization.Encoding.PEM
    if isinstance(value, x509.Certificate):
        return value.public_bytes(encoding).decode()
    if isinstance(value, ec.EllipticCurvePublicKey):
        return value.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return value.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _ecdsa(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("expected an EC key")
    return key


def _ed25519(text: str) -> ed25519.Ed25519PrivateKey:
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise TypeError("expected an Ed25519 key")
    return key
