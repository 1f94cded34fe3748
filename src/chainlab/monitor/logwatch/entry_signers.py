"""Who signed an entry: the certificates inside what a log hashes, and the identity in each.

A Rekor entry is JSON that holds the signer's certificate, or a bare key, which names nobody. A CT entry is the
certificate itself, or its precertificate without the log's promise (RFC 6962 §3.4). Only bytes that the tree covers are
read, so an operator cannot show one certificate and log another.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from asn1crypto.core import OctetBitString, Sequence
from cryptography import x509

from chainlab.errors import MalformedInput
from chainlab.trust import wire

__all__ = ["Certificates", "ct_certificates", "load_certificate", "rekor_certificates"]

Certificates = Callable[[bytes], list[bytes]]  # an entry → its certificates, DER; `MalformedInput` when it is not read

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
X509_ENTRY, PRECERT_ENTRY = 0, 1  # RFC 6962 §3.1
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")  # any algorithm: nobody verifies this signature


def rekor_certificates(entry: bytes) -> list[bytes]:
    """Return the certificates of a Rekor entry, version 1 or 2. Raises `MalformedInput` for a kind that is not read."""
    document = wire.json_object(entry)
    kind, spec = document.get("kind"), wire.member(document, "spec")
    reader = KINDS.get((str(kind), str(document.get("apiVersion"))))
    if reader is None:
        raise MalformedInput(f"entries of kind {str(kind)[:40]} {str(document.get('apiVersion'))[:20]}")
    return [certificate for value in reader(spec) if (certificate := _certificate(value)) is not None]


def ct_certificates(entry: bytes) -> list[bytes]:
    """Return the certificate of a CT entry; a precertificate's gets a signature that nobody can verify."""
    kind, at = int.from_bytes(entry[10:12], "big"), 12  # version, leaf type, eight bytes of time, entry type
    if entry[:2] != b"\x00\x00" or len(entry) < 15 or kind not in (X509_ENTRY, PRECERT_ENTRY):
        raise MalformedInput("entries that are not MerkleTreeLeaf v1 of RFC 6962")
    at += 32 if kind == PRECERT_ENTRY else 0  # hash of the issuer's key
    length = int.from_bytes(entry[at : at + 3], "big")
    data = entry[at + 3 : at + 3 + length]
    if len(data) != length or not length:
        raise MalformedInput("entries that end early")
    return [_as_certificate(data) if kind == PRECERT_ENTRY else data]


def load_certificate(der: bytes) -> x509.Certificate:
    """Parse a certificate. Raises `MalformedInput`."""
    try:
        return x509.load_der_x509_certificate(der)
    except wire.UNREADABLE as error:
        raise MalformedInput("certificates that cannot be read") from error


def _hashedrekord_v1(spec: Mapping[str, Any]) -> Iterator[bytes]:
    yield wire.base64_bytes(wire.member(spec, "signature", "publicKey"), "content")


def _dsse_v1(spec: Mapping[str, Any]) -> Iterator[bytes]:
    for signature in _list(spec, "signatures"):
        yield wire.base64_bytes(signature, "verifier")


def _intoto_v1(spec: Mapping[str, Any]) -> Iterator[bytes]:
    yield wire.base64_bytes(spec, "publicKey")


def _intoto_v2(spec: Mapping[str, Any]) -> Iterator[bytes]:
    for signature in _list(wire.member(spec, "content", "envelope"), "signatures"):
        yield wire.base64_bytes(signature, "publicKey")


def _hashedrekord_v2(spec: Mapping[str, Any]) -> Iterator[bytes]:
    yield from _verifier(wire.member(spec, "hashedRekordV002", "signature", "verifier"))


def _dsse_v2(spec: Mapping[str, Any]) -> Iterator[bytes]:
    for signature in _list(wire.member(spec, "dsseV002"), "signatures"):
        yield from _verifier(wire.member(signature, "verifier"))


KINDS: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Iterator[bytes]]] = {
    ("hashedrekord", "0.0.1"): _hashedrekord_v1,
    ("rekord", "0.0.1"): _hashedrekord_v1,  # the same fields
    ("dsse", "0.0.1"): _dsse_v1,
    ("intoto", "0.0.1"): _intoto_v1,
    ("intoto", "0.0.2"): _intoto_v2,
    ("hashedrekord", "0.0.2"): _hashedrekord_v2,
    ("dsse", "0.0.2"): _dsse_v2,
}


def _verifier(verifier: Mapping[str, Any]) -> Iterator[bytes]:
    if "x509Certificate" in verifier:  # else a bare key
        yield wire.base64_bytes(wire.member(verifier, "x509Certificate"), "rawBytes")


def _list(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    values = document.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise MalformedInput(f"expected a list of objects at {name!r}")
    return values


def _certificate(value: bytes) -> bytes | None:
    """Return the certificate in a verifier's bytes, PEM or DER; None for a bare key or another kind of verifier."""
    if value.startswith(b"\x30"):
        return value
    found = PEM.search(value)
    if found is None:
        return None
    try:
        return base64.b64decode(found[1])
    except ValueError as error:
        raise MalformedInput("certificates that cannot be read") from error


def _as_certificate(tbs: bytes) -> bytes:
    """Wrap the signed part of a certificate so that it parses as one."""
    empty = OctetBitString(b"").dump()
    return bytes(Sequence(contents=tbs + ECDSA_SHA384 + empty).dump())
