"""Who signed, as a certificate says it: one decoder, and what cannot be read says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto.core import UTF8String
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.evidence.certificates import claims_of, signer_of

FULCIO = "1.3.6.1.4.1.57264.1."
ALICE = x509.RFC822Name("alice@example.com")
JOB = x509.UniformResourceIdentifier("https://git.example/a/b/.github/workflows/c.yml@refs/tags/d@1")


def certificate(names: list[x509.GeneralName], extensions: dict[str, bytes]) -> x509.Certificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(minutes=10))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for number, value in extensions.items():
        oid = x509.ObjectIdentifier(FULCIO + number)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(key, hashes.SHA256())


def text(value: str) -> bytes:
    return bytes(UTF8String(value).dump())


@pytest.mark.parametrize(
    "issuer", ["https://a.example", "https://a.example/" + "x" * 200, "https://a.example/" + "é" * 40_000]
)
@pytest.mark.parametrize("name", [ALICE, JOB])
def test_the_signer_is_the_one_name_and_its_issuer(name: x509.GeneralName, issuer: str) -> None:
    assert signer_of(certificate([name], {"8": text(issuer)})) == (name.value, issuer)


@pytest.mark.parametrize(
    ("names", "extensions", "signer"),
    [
        ([], {"8": text("i")}, ("", "")),
        ([ALICE, JOB], {"8": text("i")}, ("", "i")),
        ([ALICE, ALICE], {"8": text("i")}, ("", "i")),
        ([ALICE, x509.DNSName("x.example")], {"8": text("i")}, ("", "i")),
        ([x509.DNSName("x.example")], {"8": text("i")}, ("", "i")),
        ([ALICE], {}, ("alice@example.com", "")),
        ([ALICE], {"1": b"raw"}, ("alice@example.com", "")),
        ([ALICE], {"8": b"raw"}, ("alice@example.com", "")),
        ([ALICE], {"8": text("i") + b"x"}, ("alice@example.com", "")),
        ([ALICE], {"8": text("i")[:-1]}, ("alice@example.com", "")),
        ([ALICE], {"8": b"\x0c\x01\xff"}, ("alice@example.com", "")),
        ([ALICE], {"8": b""}, ("alice@example.com", "")),
    ],
)
def test_what_cannot_be_read_says_nothing(
    names: list[x509.GeneralName], extensions: dict[str, bytes], signer: tuple[str, str]
) -> None:
    assert signer_of(certificate(names, extensions)) == signer


def test_each_claim_goes_by_its_number() -> None:
    made = certificate(
        [JOB], {"8": text("i"), "14": text("refs/tags/d@1"), "9": b"raw", "2": b"push", "8.1": text("x")}
    )
    assert claims_of(made) == {8: "i", 14: "refs/tags/d@1"}
