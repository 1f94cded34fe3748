"""Checkpoints of a log, opened: the signature holds, and only then size and root are read.

    >>> Checkpoint.open(text, key, name="log2.chainlab.localhost").size                    # doctest: +SKIP
    1204

Logs of both Rekor versions sign a note (C2SP signed-note, tlog-checkpoint): origin, size and root on a line each. A CT
log signs a tree head (RFC 6962 §3.5), kept here as its JSON. Two checkpoints of one log that no proof connects are
the evidence against its operator, so the signed text is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.trust import wire
from chainlab.trust.log import key_id_c2sp

__all__ = ["MAX_TEXT", "Checkpoint", "LogKey", "tree_size"]

MAX_SIZE = 2**63  # entries; protobuf-specs count them in an int64
MAX_TEXT = 65536  # characters of a checkpoint
MAX_SIGNATURES = 32  # lines: the log's, and those of witnesses
ED25519_NOTE = 1  # algorithm byte of a signed note (C2SP)


@dataclass(frozen=True)
class LogKey:
    """The public key that a log signs its checkpoints with: Ed25519, or ECDSA on P-256."""

    der: bytes  # SubjectPublicKeyInfo
    _key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def read(cls, data: bytes) -> LogKey:
        """Read a key, PEM or DER. Raises `MalformedInput` for another kind of key."""
        load = serialization.load_pem_public_key if b"-----BEGIN" in data else serialization.load_der_public_key
        try:
            key = load(data)
        except wire.UNREADABLE as error:
            raise MalformedInput(
                "the log's key cannot be read", why=str(error), hint="give its public key, as PEM or DER"
            ) from error
        if not isinstance(key, ed25519.Ed25519PublicKey):
            key = wire.p256(key)
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return cls(key.public_bytes(encoding, form), key)

    @property
    def id(self) -> str:
        """SHA-256 of the key, in hex: the log's id in RFC 6962 and Rekor v1."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def is_ed25519(self) -> bool:
        """Whether it is an Ed25519 key, else ECDSA."""
        return isinstance(self._key, ed25519.Ed25519PublicKey)

    def hints(self, name: str) -> tuple[bytes, ...]:
        """Return the four bytes that a note's signature line by this key begins with."""
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return (key_id_c2sp(name, ED25519_NOTE, self._key.public_bytes_raw())[:4],)
        return (bytes.fromhex(self.id)[:4],)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Whether this key signed the data."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Checkpoint:
    """A log's statement of its size and root, whose signature holds."""

    origin: str  # the log, and for Rekor v1 its tree
    size: int
    root: bytes  # 32 bytes
    text: str = field(repr=False)  # as it was signed

    @classmethod
    def open(cls, text: str, key: LogKey, *, name: str = "", ct: bool = False) -> Checkpoint:
        """Verify the log's signature and read the checkpoint: a note, or for ``ct`` a tree head.

        ``name`` is the log's: the one that its key is for, or for a CT log the one that it is reported under. Raises
        `MalformedInput` when the text is not a checkpoint, `VerificationFailed` when the signature does not hold.
        """
        if len(text) > MAX_TEXT:
            raise MalformedInput(f"not a checkpoint: longer than {MAX_TEXT} characters")
        return _open_tree_head(text, key, name) if ct else _open_note(text, key, name)


def _open_note(text: str, key: LogKey, expected: str) -> Checkpoint:
    body, separator, signatures = text.partition("\n\n")
    lines = body.split("\n")  # origin, size, root; what follows is an extension of the log's own
    if not separator or len(lines) < 3 or not lines[0]:
        raise MalformedInput("not a checkpoint: expected origin, size and root, an empty line, then signatures")
    origin, digits, encoded = lines[:3]
    if expected and origin.partition(" - ")[0] != expected:
        raise VerificationFailed(f"the checkpoint is of {origin[:200]!r}, not of {expected!r}")
    signed = f"{body}\n".encode(errors="replace")
    for line in signatures.splitlines()[:MAX_SIGNATURES]:
        mark, _, rest = line.partition(" ")
        name, _, signature = rest.partition(" ")
        if mark == "\N{EM DASH}" and _signs(key, name, signature, signed):
            size = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 19 else -1
            return Checkpoint(origin, tree_size(size), _root({"root": encoded}, "root"), text)
    raise VerificationFailed(
        f"the checkpoint of {origin[:200]!r} is not signed by the log's key", hint="check that the key is this log's"
    )


def _signs(key: LogKey, name: str, signature: str, data: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:  # a witness's line of another form
        return False
    return raw[:4] in key.hints(name) and key.signed(raw[4:], data)


def _open_tree_head(text: str, key: LogKey, name: str) -> Checkpoint:
    document = wire.json_object(text.encode(errors="replace"))
    size, milliseconds = tree_size(document.get("tree_size")), document.get("timestamp")
    if type(milliseconds) is not int or not 0 <= milliseconds < 2**64:
        raise MalformedInput("expected milliseconds at 'timestamp'")
    root = _root(document, "sha256_root_hash")
    signature = wire.base64_bytes(document, "tree_head_signature")
    if signature[:2] != b"\x04\x03" or len(signature) != 4 + int.from_bytes(signature[2:4], "big"):
        raise MalformedInput("expected an ECDSA signature with SHA-256 at 'tree_head_signature'")
    if not key.signed(signature[4:], struct.pack("!BBQQ", 0, 1, milliseconds, size) + root):
        raise VerificationFailed(
            f"the tree head of {name or 'the log'} is not signed by the log's key",
            hint="check that the key is this log's",
        )
    kept = ("tree_size", "timestamp", "sha256_root_hash", "tree_head_signature")
    return Checkpoint(name, size, root, json.dumps({field: document[field] for field in kept}))


def _root(document: Mapping[str, Any], name: str) -> bytes:
    root = wire.base64_bytes(document, name)
    if len(root) != SHA256_SIZE:
        raise MalformedInput(f"expected a root of {SHA256_SIZE} bytes at {name!r}, got {len(root)}")
    return root


def tree_size(value: object) -> int:
    """Read the number of entries that a log states. Raises `MalformedInput`."""
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise MalformedInput("expected a number of entries, from 0 to 2^63")
    return value
