"""The certificate authority: short-lived signing certificates, each with an embedded SCT.

A certificate binds a key to the identity of a token for a short time (`lifetimes`). Its precertificate goes into the CT
log first; then the log's promise (SCT, RFC 6962 §3.2) goes into the certificate. Extensions follow sigstore/fulcio's
``docs/oid-info.md``.

This is a teaching CA and its names say so: whoever has its state directory can mint any identity.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta

from asn1crypto.core import OctetString, UTF8String
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from chainlab.trust.issuer import Identity
from chainlab.trust.keys import CertificateAuthority, Keys, der_public_key
from chainlab.trust.lifetimes import CA_DAYS, CERTIFICATE_SECONDS

__all__ = ["Precertificate", "certify", "create_keys", "precertify", "rotate"]

ORGANIZATION = "chainlab (teaching only)"
P256 = ec.SECP256R1()
FULCIO = "1.3.6.1.4.1.57264.1"
SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")  # RFC 6962 §3.3

# Extension number → claim, for CI tokens; DER UTF8String. {server} is the git host's address.
CI_EXTENSIONS = {
    9: "{server}/{job_workflow_ref}",
    10: "{job_workflow_sha}",
    11: "{runner_environment}",
    12: "{server}/{repository}",
    13: "{sha}",
    14: "{ref}",
    15: "{repository_id}",
    16: "{server}/{repository_owner}",
    17: "{repository_owner_id}",
    18: "{server}/{workflow_ref}",
    19: "{workflow_sha}",
    20: "{event_name}",
    21: "{server}/{repository}/actions/runs/{run_id}/attempts/{run_attempt}",
    22: "{repository_visibility}",
    23: "{environment}",
    24: "{sub}",
}
# Deprecated extensions, which `sigstore verify github` still reads: raw bytes, no DER.
CI_EXTENSIONS_RAW = {2: "event_name", 3: "sha", 4: "workflow", 5: "repository", 6: "ref"}


def create_keys(now: datetime) -> Keys:
    """Create all keys and certificates of an instance, valid from ``now``."""
    start = now.replace(microsecond=0)
    root_key, root = _authority_certificate("root", start, path_length=1)
    key, intermediate = _authority_certificate("intermediate", start, path_length=0, parent=(root, root_key))
    tsa_root_key, tsa_root = _authority_certificate("timestamp root", start, path_length=0)
    tsa_key = ec.generate_private_key(P256)
    tsa = (
        _builder("timestamp", start, tsa_key.public_key(), issuer=tsa_root.subject)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(tsa_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(tsa_root_key.public_key()),
            critical=False,
        )
        .sign(tsa_root_key, hashes.SHA256())
    )
    return Keys(
        root_key,
        root,
        (CertificateAuthority(key, intermediate, start),),
        tsa_root,
        tsa_key,
        tsa,
        issuer_key=ec.generate_private_key(P256),
        ct_key=ec.generate_private_key(P256),
        log_v1_key=ec.generate_private_key(P256),
        log_v2_key=ed25519.Ed25519PrivateKey.generate(),
        tuf_key=ec.generate_private_key(P256),
    )


def rotate(keys: Keys, now: datetime) -> Keys:
    """Retire the signing intermediate and create a new one below the same root.

    The retired key gets a new certificate that ends ``now`` and replaces the old one in the trusted root. For a client
    that checks the chain at the time of signing, earlier signatures still verify, and signatures that the retired key
    makes from now on do not.
    """
    moment = now.replace(microsecond=0)
    retired = keys.authority
    parent = (keys.root, keys.root_key)
    _, certificate = _authority_certificate(
        retired.certificate.subject,
        retired.valid_from,
        path_length=0,
        parent=parent,
        key=retired.key,
        until=moment,
    )
    key, successor = _authority_certificate(
        f"intermediate {len(keys.authorities) + 1}", moment, path_length=0, parent=parent
    )
    return keys.with_authorities(
        *keys.authorities[:-1],
        CertificateAuthority(retired.key, certificate, retired.valid_from, moment),
        CertificateAuthority(key, successor, moment),
    )


class Precertificate:
    """A certificate without its SCT: the entry that the CT log promises to show."""

    def __init__(self, authority: CertificateAuthority, builder: x509.CertificateBuilder, milliseconds: int) -> None:
        self.authority = authority
        self.builder = builder
        self.milliseconds = milliseconds  # since 1970, the SCT's time
        tbs = builder.sign(authority.key, hashes.SHA256()).tbs_certificate_bytes
        issuer_hash = hashlib.sha256(der_public_key(authority.key)).digest()
        # MerkleTreeLeaf v1, timestamped_entry, precert_entry, no extensions (RFC 6962 §3.4)
        self.leaf = (
            struct.pack("!BBQH", 0, 0, milliseconds, 1) + issuer_hash + len(tbs).to_bytes(3, "big") + tbs + b"\x00\x00"
        )


def precertify(
    authority: CertificateAuthority,
    identity: Identity,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> Precertificate:
    """Build the precertificate of a key and an identity, valid from ``now``."""
    start = now.replace(microsecond=0)
    name: x509.GeneralName = (
        x509.RFC822Name(identity.san) if identity.is_email else x509.UniformResourceIdentifier(identity.san)
    )
    builder = (
        _builder(
            None,
            start,
            public_key,
            issuer=authority.certificate.subject,
            until=start + timedelta(seconds=CERTIFICATE_SECONDS),
        )
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
    )
    for number, value in _fulcio_extensions(identity):
        extension = x509.UnrecognizedExtension(ObjectIdentifier(f"{FULCIO}.{number}"), value)
        builder = builder.add_extension(extension, critical=False)
    return Precertificate(authority, builder, int(now.timestamp() * 1000))


def certify(precertificate: Precertificate, ct_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign the certificate, with the CT log's promise for the precertificate as its last extension."""
    signature = ct_key.sign(precertificate.leaf, ec.ECDSA(hashes.SHA256()))
    log_id = hashlib.sha256(der_public_key(ct_key)).digest()
    sct = (  # version 1, log id, time, no extensions, SHA-256 with ECDSA
        b"\x00" + log_id + struct.pack("!QHBBH", precertificate.milliseconds, 0, 4, 3, len(signature)) + signature
    )
    listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
    extension = x509.UnrecognizedExtension(SCT_LIST, OctetString(listed).dump())
    return precertificate.builder.add_extension(extension, critical=False).sign(
        precertificate.authority.key, hashes.SHA256()
    )


def _fulcio_extensions(identity: Identity) -> list[tuple[int, bytes]]:
    extensions = [(1, identity.issuer.encode()), (8, UTF8String(identity.issuer).dump())]
    if identity.is_email:
        return extensions
    claims: Mapping[str, str] = {**identity.claims, "server": identity.server}  # a claim `server` does not count
    extensions += [(number, claims[name].encode()) for number, name in CI_EXTENSIONS_RAW.items() if name in claims]
    for number, template in CI_EXTENSIONS.items():
        try:
            extensions.append((number, UTF8String(template.format_map(claims)).dump()))
        except KeyError:  # the token lacks the claim: no extension
            continue
    return extensions


def _authority_certificate(
    name: str | x509.Name,
    start: datetime,
    *,
    path_length: int,
    parent: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    until: datetime | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = key or ec.generate_private_key(P256)
    issuer, issuer_key = (parent[0].subject, parent[1]) if parent else (None, key)
    builder = (
        _builder(name, start, key.public_key(), issuer=issuer, until=until)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if parent:  # code signing only, so that it cannot certify a web server
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def _builder(
    name: str | x509.Name | None,
    start: datetime,
    public_key: ec.EllipticCurvePublicKey,
    *,
    issuer: x509.Name | None,
    until: datetime | None = None,
) -> x509.CertificateBuilder:
    if name is None:
        subject = x509.Name([])
    elif isinstance(name, str):
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
                x509.NameAttribute(NameOID.COMMON_NAME, f"chainlab {name}"),
            ]
        )
    else:
        subject = name
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer if issuer is not None else subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(until or start + timedelta(days=CA_DAYS))
    )


def _key_usage(*, digital_signature: bool = False, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
