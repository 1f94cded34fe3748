"""The transparency log, version 2 (rekor-tiles): one entry type, tiles, no time of its own.

A DSSE envelope is logged like any other artifact, by the SHA-256 of its pre-authentication encoding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from chainlab.errors import MalformedInput
from chainlab.trust import wire
from chainlab.trust.log import Log, SignedNote
from chainlab.trust.log_v1 import pae
from chainlab.trust.merkle import leaf_hash

__all__ = ["answer", "canonical_body"]

KEY_DETAILS = "PKIX_ECDSA_P256_SHA_256"
VERSION = "0.0.2"
MAX_ENTRY = 2**16 - 1  # bytes; an entry tile has two bytes for the length (C2SP tlog-tiles)


def canonical_body(request: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the canonical entry of a request, and the digest of the artifact that it logs (32 bytes).

    The signature is verified first, so the log never holds one that does not verify. Raises `MalformedInput`.
    """
    if "dsseRequestV002" in request:
        digest, content, verifier = _dsse(wire.member(request, "dsseRequestV002"))
    else:
        record = wire.member(request, "hashedRekordRequestV002")
        signature = wire.member(record, "signature")
        verifier = wire.member(signature, "verifier")
        digest = wire.base64_bytes(record, "digest")
        content = wire.base64_bytes(signature, "content")
    details = verifier.get("keyDetails")
    if details not in (KEY_DETAILS, 5):  # 5: the enumeration's number in protobuf-specs
        raise MalformedInput(f"expected keyDetails {KEY_DETAILS!r}")
    kind, read = (
        ("x509Certificate", wire.certificate_key) if "x509Certificate" in verifier else ("publicKey", wire.public_key)
    )
    raw = wire.base64_bytes(wire.member(verifier, kind), "rawBytes")
    wire.verify_prehashed(read(raw), content, digest)
    body: dict[str, Any] = {
        "apiVersion": VERSION,
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": wire.base64_text(digest)},
                "signature": {
                    "content": wire.base64_text(content),
                    "verifier": {
                        kind: {"rawBytes": wire.base64_text(raw)},
                        "keyDetails": KEY_DETAILS,
                    },
                },
            }
        },
    }
    canonical = rfc8785.dumps(body)
    if len(canonical) > MAX_ENTRY:
        raise MalformedInput(f"the entry would have {len(canonical)} bytes; an entry tile takes {MAX_ENTRY}")
    return canonical, digest


def _dsse(request: Mapping[str, Any]) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return digest, signature and verifier of an envelope that a client sent whole, as sigstore-js does."""
    envelope = wire.member(request, "envelope")
    signatures, verifiers = envelope.get("signatures"), request.get("verifiers")
    for each in (signatures, verifiers):
        if not (isinstance(each, list) and len(each) == 1 and isinstance(each[0], dict)):
            raise MalformedInput("expected one signature and one verifier")
    signed = pae(wire.string(envelope, "payloadType"), wire.base64_bytes(envelope, "payload"))
    content = wire.base64_bytes(signatures[0], "sig")  # type: ignore[index]
    return hashlib.sha256(signed).digest(), content, verifiers[0]  # type: ignore[index]


def answer(log: Log, note: SignedNote, index: int, body: bytes) -> dict[str, Any]:
    """Return a TransparencyLogEntry (protobuf JSON) with a proof in the current tree."""
    size = len(log.tree)
    root = log.tree.root(size)
    if log.tree.hashes(0, index, index + 1) != leaf_hash(body):
        raise MalformedInput(f"entry {index} has another body")
    return {
        "logIndex": str(index),
        "logId": {"keyId": wire.base64_text(note.key_id)},
        "kindVersion": {"kind": "hashedrekord", "version": VERSION},
        "inclusionProof": {
            "logIndex": str(index),
            "rootHash": wire.base64_text(root),
            "treeSize": str(size),
            "hashes": [wire.base64_text(hash) for hash in log.tree.inclusion(index, size)],
            "checkpoint": {"envelope": note.checkpoint(size, root)},
        },
        "canonicalizedBody": wire.base64_text(body),
    }
