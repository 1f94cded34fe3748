"""Data on the wire: readers of bodies, JSON objects, base64, certificates and keys that anybody may send.

A reader raises `MalformedInput` with the field's name (`Refused` for a body that is too large) and no other exception.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput, Refused

__all__ = [
    "MAX_BODY",
    "UNREADABLE",
    "base64_bytes",
    "base64_text",
    "body",
    "certificate_key",
    "form",
    "json_object",
    "json_value",
    "member",
    "p256",
    "public_key",
    "string",
    "verify_prehashed",
    "verify_signature",
]

MAX_BODY = 2**20  # bytes; the largest request of a client is a DSSE envelope
# Raised by `cryptography` for keys and certificates that cannot be read.
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


async def body(chunks: AsyncIterable[bytes], limit: int = MAX_BODY) -> bytes:
    """Join a request's body from its chunks. Raises `Refused` (413) above ``limit`` bytes."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise Refused(413, f"the body is larger than {limit} bytes")
    return bytes(data)


async def form(chunks: AsyncIterable[bytes], limit: int) -> dict[str, str]:
    """Read the fields of an HTML form from a request's body. Raises `Refused` (413) above ``limit`` bytes."""
    data = await body(chunks, limit)
    try:
        return dict(parse_qsl(data.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=32))
    except ValueError as error:
        raise MalformedInput(f"cannot read the form: {error}") from error


def json_value(data: bytes) -> Any:
    """Parse JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"the body is not JSON: {error}") from error


def json_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object."""
    document = json_value(data)
    if not isinstance(document, dict):
        raise MalformedInput("the body is not a JSON object")
    return document


def member(document: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Return the object at ``path``."""
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise MalformedInput(f"expected an object at {'.'.join(path)!r}")
    return value


def string(document: Mapping[str, Any], name: str) -> str:
    """Return the text at ``name``, which UTF-8 can encode."""
    value = document.get(name)
    if not isinstance(value, str):
        raise MalformedInput(f"expected text at {name!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half a character: "\\ud800"
        raise MalformedInput(f"expected Unicode text at {name!r}") from error
    return value


def base64_bytes(document: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes that stand at ``name`` as standard base64."""
    try:
        return base64.b64decode(string(document, name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput(f"expected base64 at {name!r}: {error}") from error


def base64_text(data: bytes) -> str:
    """Encode as standard base64; `base64_bytes` reads it."""
    return base64.b64encode(data).decode()


def certificate_key(data: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a certificate, PEM or DER."""
    try:
        load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
        key = load(data).public_key()
    except UNREADABLE as error:
        raise MalformedInput(f"not an X.509 certificate: {error}") from error
    return p256(key)


def public_key(data: bytes) -> ec.EllipticCurvePublicKey:
    """Read a P-256 key, SubjectPublicKeyInfo as PEM or DER."""
    pem = data.startswith(b"-----")
    load = serialization.load_pem_public_key if pem else serialization.load_der_public_key
    try:
        key = load(data)
    except UNREADABLE as error:
        raise MalformedInput(f"not a public key: {error}") from error
    return p256(key)


def verify_prehashed(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> None:
    """Check an ECDSA signature over a SHA-256 digest."""
    if len(digest) != SHA256_SIZE:
        raise MalformedInput(f"expected a SHA-256 digest of {SHA256_SIZE} bytes, got {len(digest)}")
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature as error:
        raise MalformedInput("the signature does not verify with this key over this digest") from error


def verify_signature(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    """Check an ECDSA signature with SHA-256 over ``data``."""
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise MalformedInput("the signature does not verify with this key") from error


def p256(key: object) -> ec.EllipticCurvePublicKey:
    """Return ``key`` if it is on the curve that this instance serves. Raises `MalformedInput`."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedInput("expected an EC key on curve P-256, the one this instance serves")
    return key
