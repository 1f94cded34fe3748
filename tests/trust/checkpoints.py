"""Verification of what a log signs, from the specification and the published trusted root alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head whose signature held."""

    size: int
    root: bytes


def log_named(trusted_root: dict[str, Any], name: str, kind: str = "tlogs") -> dict[str, Any]:
    """The log of the trusted root whose base URL has ``name``."""
    log_entry: dict[str, Any] = next(log for log in trusted_root[kind] if name in log["baseUrl"])
    return log_entry


def key_of(log: dict[str, Any]) -> Any:
    return serialization.load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"]))


def verify_with(key: Any, signature: bytes, data: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    else:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def open_checkpoint(text: str, trusted_root: dict[str, Any]) -> Checkpoint:
    """Read a C2SP signed note and check its signature by the trusted root."""
    body, signatures = text.split("\n\n")
    origin, size, root = body.split("\n")
    mark, name, encoded = signatures.rstrip("\n").split(" ")
    assert mark == "\N{EM DASH}"
    assert origin.partition(" - ")[0] == name
    log = log_named(trusted_root, name)
    signature, key_id = base64.b64decode(encoded), base64.b64decode(log["logId"]["keyId"])
    assert signature[:4] == key_id[:4]
    key = key_of(log)
    verify_with(key, signature[4:], body.encode() + b"\n")
    if isinstance(key, ed25519.Ed25519PublicKey):  # C2SP signed-note's key id
        raw = key.public_bytes_raw()
        assert key_id == hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()
    else:
        assert key_id == hashlib.sha256(base64.b64decode(log["publicKey"]["rawBytes"])).digest()
    return Checkpoint(int(size), base64.b64decode(root))
