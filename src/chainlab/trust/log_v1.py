"""The transparency log, version 1 (Rekor): hashedrekord and dsse entries, each with a signed time.

It is kept beside version 2 because PEP 740 attestations carry no RFC 3161 timestamp. Their only time is the log's own
`integratedTime`, which the signed entry timestamp (SET) confirms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from chainlab.errors import MalformedInput
from chainlab.trust import wire
from chainlab.trust.log import Log, LogEntry, SignedNote
from chainlab.trust.merkle import leaf_hash

__all__ = ["TREE_ID", "answer", "canonical_body", "description", "index_of", "pae", "uuid"]

TREE_ID = 3_904_904_904_904_904_904  # names this tree in UUIDs and checkpoints; any 63-bit number
VERSION = "0.0.1"


def pae(payload_type: str, payload: bytes) -> bytes:
    """Encode a payload for signing: DSSE's pre-authentication encoding, whose lengths count bytes (protocol 1.0)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def canonical_body(request: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the canonical entry of a request, and the digest of the artifact or payload that it logs (32 bytes).

    The signature is verified first. Raises `MalformedInput`.
    """
    kind = request.get("kind")
    if request.get("apiVersion") != VERSION or kind not in ("hashedrekord", "dsse"):
        raise MalformedInput(f"expected kind 'hashedrekord' or 'dsse', apiVersion {VERSION!r}")
    spec = wire.member(request, "spec")
    content, digest = _hashedrekord(spec) if kind == "hashedrekord" else _dsse(spec)
    return rfc8785.dumps({"apiVersion": VERSION, "kind": kind, "spec": content}), digest


def _hashedrekord(spec: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    hash = wire.member(spec, "data", "hash")
    algorithm, value = wire.string(hash, "algorithm"), wire.string(hash, "value")
    try:
        digest = bytes.fromhex(value)
    except ValueError as error:
        raise MalformedInput("expected hex at 'data.hash.value'") from error
    if algorithm != "sha256" or digest.hex() != value:
        raise MalformedInput("expected sha256 and lower-case hex at 'data.hash'")
    signature = wire.member(spec, "signature")
    pem = wire.base64_bytes(wire.member(signature, "publicKey"), "content")
    content = wire.base64_bytes(signature, "content")
    key = wire.public_key(pem) if b"BEGIN PUBLIC KEY" in pem else wire.certificate_key(pem)
    wire.verify_prehashed(key, content, digest)
    return {
        "data": {"hash": {"algorithm": algorithm, "value": value}},
        "signature": {
            "content": wire.base64_text(content),
            "publicKey": {"content": wire.base64_text(pem)},
        },
    }, digest


def _dsse(spec: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    proposed = wire.member(spec, "proposedContent")
    text = wire.string(proposed, "envelope").encode()
    envelope = wire.json_object(text)
    payload, payload_type = (
        wire.base64_bytes(envelope, "payload"),
        wire.string(envelope, "payloadType"),
    )
    signatures, verifiers = envelope.get("signatures"), proposed.get("verifiers")
    one_each = all(isinstance(each, list) and len(each) == 1 for each in (signatures, verifiers))
    if not one_each or not isinstance(signatures[0], dict):  # type: ignore[index]
        raise MalformedInput("expected one signature and one verifier")
    pem = wire.base64_bytes({"verifiers": verifiers[0]}, "verifiers")  # type: ignore[index]
    signature = wire.base64_bytes(signatures[0], "sig")  # type: ignore[index]
    wire.verify_signature(wire.certificate_key(pem), signature, pae(payload_type, payload))
    payload_digest = hashlib.sha256(payload).digest()
    return {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(text).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": payload_digest.hex()},
        "signatures": [{"signature": wire.base64_text(signature), "verifier": wire.base64_text(pem)}],
    }, payload_digest


def uuid(hash_of_leaf: bytes) -> str:
    """Return an entry's UUID: the tree's id and the leaf's hash, 80 hex digits."""
    return f"{TREE_ID:016x}{hash_of_leaf.hex()}"


def index_of(log: Log, name: str) -> int | None:
    """Return the index of the entry with this UUID, with or without the tree's id; None when there is none."""
    digits = name.removeprefix(f"{TREE_ID:016x}") if len(name) == 80 else name
    try:
        return log.find(bytes.fromhex(digits))
    except ValueError as error:
        raise MalformedInput("expected an entry's UUID of 64 or 80 hex digits") from error


def answer(log: Log, note: SignedNote, entry: LogEntry) -> dict[str, Any]:
    """Return a log entry under its UUID, with SET and a proof in the current tree."""
    size = len(log.tree)
    root = log.tree.root(size)
    signed: dict[str, Any] = {
        "body": wire.base64_text(entry.body),
        "integratedTime": entry.time,
        "logID": note.key_id.hex(),
        "logIndex": entry.index,
    }
    return {
        uuid(leaf_hash(entry.body)): {
            **signed,
            "verification": {
                "inclusionProof": {
                    "checkpoint": note.checkpoint(size, root),
                    "hashes": [hash.hex() for hash in log.tree.inclusion(entry.index, size)],
                    "logIndex": entry.index,
                    "rootHash": root.hex(),
                    "treeSize": size,
                },
                "signedEntryTimestamp": wire.base64_text(note.sign(rfc8785.dumps(signed))),
            },
        }
    }


def description(log: Log, note: SignedNote) -> dict[str, Any]:
    """Return the answer to ``GET /api/v1/log``: the current tree, with a signed checkpoint."""
    size = len(log.tree)
    root = log.tree.root(size)
    return {
        "rootHash": root.hex(),
        "treeSize": size,
        "treeID": str(TREE_ID),
        "signedTreeHead": note.checkpoint(size, root),
        "inactiveShards": [],
    }
