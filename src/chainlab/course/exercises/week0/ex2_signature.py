"""Cases for exercise 0.2: who signed this, if anybody? The truth is whose key signed."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.identities import PEOPLE, new_key

__all__ = ["cases"]

SEE = {
    "an honest signature": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "another honest signature": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "a new key of the same person": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "another artifact": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "one bit changed": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "another person's certificate": "notebooks/00b_keys.ipynb, 'Three questions, three checks'",
    "a look-alike certificate": "notebooks/00b_keys.ipynb, 'A forged look-alike'",
}
TEACHES = {
    "an honest signature": (
        "Both checks hold: the key in the certificate signed these bytes, and the authority signed the certificate."
    ),
    "another honest signature": "The name comes from the certificate, not from a list.",
    "a new key of the same person": "A person may have many keys: what counts is the certificate beside the signature.",
    "another artifact": "Other bytes, another person: the certificate beside this signature fits both.",
    "one bit changed": "These are not the bytes that were signed.",
    "another person's certificate": "The certificate is genuine, and its key did not make this signature.",
    "a look-alike certificate": (
        "The signature fits the certificate, and the certificate says the right name and the right issuer. The "
        "authority never signed it: names inside a certificate are claims until its signature is checked."
    ),
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make artifact, signature, certificate and authority, honest ones first."""
    one, other, third = (f"{name}@example.com" for name in rng.sample(PEOPLE, 3))
    name = f"teaching CA {rng.randrange(100, 1000)}"
    authority, impostor = _Authority(name, rng), _Authority(name, rng)
    root = authority.certificate
    artifact = rng.randbytes(rng.randrange(40, 90))
    flipped = bytes([artifact[0] ^ 1]) + artifact[1:]
    key, vouched = authority.issue(one, rng)
    other_key, other_vouched = authority.issue(other, rng)
    renewed_key, newly_vouched = authority.issue(other, rng)
    third_key, third_vouched = authority.issue(third, rng)
    fake_key, fake = impostor.issue(one, rng)
    text = rng.randbytes(rng.randrange(100, 200))

    yield Case("an honest signature", (artifact, _sign(key, artifact), vouched, root), one)
    yield Case("another honest signature", (artifact, _sign(other_key, artifact), other_vouched, root), other)
    yield Case("a new key of the same person", (artifact, _sign(renewed_key, artifact), newly_vouched, root), other)
    yield Case("another artifact", (text, _sign(third_key, text), third_vouched, root), third)
    yield Case("one bit changed", (flipped, _sign(key, artifact), vouched, root), None)
    yield Case("another person's certificate", (artifact, _sign(key, artifact), other_vouched, root), None)
    yield Case("a look-alike certificate", (artifact, _sign(fake_key, artifact), fake, root), None)


class _Authority:
    """A certificate authority with one root."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = new_key(rng)
        self.certificate = self._certificate(self.name, self.key, None, rng)

    def issue(self, identity: str, rng: random.Random) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Make a key, and a certificate that binds it to ``identity``."""
        key = new_key(rng)
        return key, self._certificate(x509.Name([]), key, identity, rng)

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, identity: str | None, rng: random.Random
    ) -> bytes:
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        is_authority = x509.BasicConstraints(ca=identity is None, path_length=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(rng.getrandbits(100) + 1)
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=3650))
            .add_extension(is_authority, critical=True)
        )
        if identity is not None:
            name = x509.SubjectAlternativeName([x509.RFC822Name(identity)])
            builder = builder.add_extension(name, critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))
