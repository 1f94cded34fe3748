"""A Merkle log on disk. The CT log and the two transparency logs are one each.

Entries are rows of SQLite. The tree over them is in memory; a start rebuilds it from their hashes. An entry joins the
tree only after its row is committed, and a checkpoint is signed only over the tree. So everything that was ever signed
or acknowledged is on the disk.

Checkpoints are C2SP signed notes: origin, size and root on a line each, an empty line, and
``— name base64(hint || signature)``.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.errors import MalformedInput, Refused
from chainlab.trust.merkle import MerkleTree, leaf_hash
from chainlab.trust.wire import base64_text

__all__ = [
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Log",
    "LogEntry",
    "SignedNote",
    "key_id_c2sp",
    "read_entry",
    "signed_tree_head",
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS leaves (   -- small rows, because a start reads them all
    log TEXT, entry INTEGER, hash BLOB NOT NULL, PRIMARY KEY (log, entry)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS leaves_by_hash ON leaves (log, hash);
CREATE TABLE IF NOT EXISTS bodies (
    log TEXT, entry INTEGER, body BLOB NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (log, entry)
) STRICT;
"""
TILE_WIDTH = 256  # hashes a tile, C2SP tlog-tiles
TILE_HEIGHT = 8  # levels a tile


@dataclass(frozen=True)
class SignedNote:
    """The signer of a log's checkpoints, which are C2SP signed notes."""

    origin: str  # the checkpoint's first line
    name: str  # the key's name in the signature line
    key_id: bytes  # its first 4 bytes are the hint
    sign: Callable[[bytes], bytes]

    def checkpoint(self, size: int, root: bytes) -> str:
        """Sign the checkpoint of a tree."""
        body = f"{self.origin}\n{size}\n{base64_text(root)}\n"
        signature = base64_text(self.key_id[:4] + self.sign(body.encode()))
        return f"{body}\n\N{EM DASH} {self.name} {signature}\n"


@dataclass(frozen=True)
class LogEntry:
    """One entry of a log."""

    index: int
    body: bytes
    time: int  # seconds since 1970


class Log:
    """An append-only log. Only one process at a time may write to it."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.name = name
        self._connection = connection
        connection.executescript(SCHEMA)
        self.reload()

    def reload(self) -> None:
        """Rebuild the tree from the disk."""
        rows = self._connection.execute("SELECT hash FROM leaves WHERE log = ? ORDER BY entry", (self.name,))
        self.tree = MerkleTree(b"".join(hash for (hash,) in rows))

    def insert(self, body: bytes, time: int) -> tuple[int, bytes]:
        """Write an entry inside the caller's transaction; returns its index and leaf hash.

        Call `grow` with the hash once the transaction is committed, before anything else is
        inserted. Raises `Refused` (409) when the log already has this entry.
        """
        index, hash = len(self.tree), leaf_hash(body)
        if (existing := self.find(hash)) is not None:
            raise Refused(
                409,
                f"an equivalent entry already exists in the transparency log with index {existing}",
            )
        self._connection.execute("INSERT INTO leaves VALUES (?, ?, ?)", (self.name, index, hash))
        self._connection.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", (self.name, index, body, time))
        return index, hash

    def grow(self, hash: bytes) -> None:
        """Add a committed entry to the tree."""
        self.tree.append(hash)

    def find(self, hash: bytes) -> int | None:
        """Return the index of the entry with this leaf hash; None when the log has none."""
        row = self._connection.execute(
            "SELECT entry FROM leaves WHERE log = ? AND hash = ?", (self.name, hash)
        ).fetchone()
        return row[0] if row else None

    def entries(self, start: int, stop: int) -> list[LogEntry]:
        """Return the existing entries from ``start`` to ``stop`` (exclusive)."""
        rows = self._connection.execute(
            "SELECT entry, body, time FROM bodies WHERE log = ? AND entry >= ? AND entry < ? ORDER BY entry",
            (self.name, start, min(stop, len(self.tree))),
        )
        return [LogEntry(*row) for row in rows]

    def entry(self, index: int) -> LogEntry:
        """Return one entry. Raises `Refused` (404)."""
        entries = self.entries(index, index + 1) if 0 <= index < len(self.tree) else []
        if not entries:
            raise Refused(404, f"the log has no entry {index}")
        return entries[0]

    def tile(self, path: str) -> bytes:
        """Return a tile by its C2SP path: ``<level>/<number>``, ``entries/<number>``, or ``….p/<width>``.

        Raises `Refused` (404) for a tile that the tree does not fill yet.
        """
        level, number, width = _tile_address(path)
        start, stop = number * TILE_WIDTH, number * TILE_WIDTH + width
        size = len(self.tree) >> (TILE_HEIGHT * level if level is not None else 0)
        if stop > size:
            raise Refused(404, "the log has no such tile yet")
        if level is None:
            return b"".join(len(e.body).to_bytes(2, "big") + e.body for e in self.entries(start, stop))
        return self.tree.hashes(TILE_HEIGHT * level, start, stop)


def read_entry(connection: sqlite3.Connection, log: str, index: int) -> LogEntry:
    """Read one committed entry, also while another process writes the log. Raises `Refused` (404)."""
    row = connection.execute(
        "SELECT entry, body, time FROM bodies WHERE log = ? AND entry = ?", (log, index)
    ).fetchone()
    if row is None:
        raise Refused(404, f"log {log} has no entry {index}", hint="choose one from the list of log entries")
    return LogEntry(*row)


def _tile_address(path: str) -> tuple[int | None, int, int]:
    """Parse a tile's path: level (None for entries), number and width."""
    kind, _, rest = path.partition("/")
    rest, partial, width = rest.partition(".p/")
    groups = rest.split("/")
    digits = [group.removeprefix("x") for group in groups]
    well_formed = (
        all(len(group) == 3 and group.isascii() and group.isdigit() for group in digits)
        and all(group.startswith("x") for group in groups[:-1])
        and not groups[-1].startswith("x")
        and len(groups) <= 6
        and (kind == "entries" or (kind.isascii() and kind.isdigit() and len(kind) <= 2 and int(kind) < 64))
        and (not partial or (width.isascii() and width.isdigit() and len(width) <= 3 and 0 < int(width) < TILE_WIDTH))
    )
    if not well_formed:
        raise MalformedInput(f"not a tile's path: {path[:80]!r}", see="C2SP tlog-tiles")
    return (
        None if kind == "entries" else int(kind),
        int("".join(digits)),
        int(width) if partial else TILE_WIDTH,
    )


def key_id_c2sp(name: str, algorithm: int, public_key: bytes) -> bytes:
    """Compute the key id of a signed note: SHA-256(name, newline, algorithm byte, key), 32 bytes."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((algorithm,)) + public_key).digest()


def signed_tree_head(tree: MerkleTree, key: ec.EllipticCurvePrivateKey, now: datetime) -> dict[str, Any]:
    """Sign a CT log's tree head at ``now`` (RFC 6962 §3.5 and §4.3)."""
    size, root, milliseconds = len(tree), tree.root(), int(now.timestamp() * 1000)
    signature = key.sign(struct.pack("!BBQQ", 0, 1, milliseconds, size) + root, ec.ECDSA(hashes.SHA256()))
    encoded = struct.pack("!BBH", 4, 3, len(signature)) + signature  # SHA-256, ECDSA
    return {
        "tree_size": size,
        "timestamp": milliseconds,
        "sha256_root_hash": base64_text(root),
        "tree_head_signature": base64_text(encoded),
    }
