"""Reader of a Rekor v1 log: a JSON API, with trees (shards) that follow one another under one address.

An index counts through all shards. The log answers at most ten entries at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput
from chainlab.monitor.logwatch.checkpoints import Checkpoint, LogKey, tree_size
from chainlab.monitor.logwatch.log_client import LogClient
from chainlab.monitor.logwatch.log_readers import Leaf, LogTree
from chainlab.trust import wire
from chainlab.trust.merkle import Frontier, leaf_hash, verify_inclusion

__all__ = ["ReaderV1"]

API = "/api/v1/log"
AT_ONCE = 10  # entries in one answer (Rekor's OpenAPI, SearchLogQuery)
MAX_ENTRY = 2**22  # bytes of one entry with its proofs; some kinds hold whole attestations
MAX_DESCRIPTION = 2**20  # bytes
MAX_SHARDS = 100
MAX_PROOF = 128  # hashes; a proof has at most two for each of 63 levels
HASH = re.compile(r"[0-9a-f]{64}")


class ReaderV1:
    """Reads one Rekor v1 log with all its shards."""

    batch = 100 * AT_ONCE

    def __init__(self, client: LogClient, key: LogKey, name: str = "") -> None:
        self._client = client
        self._key = key
        self._name = name

    def trees(self) -> Sequence[LogTree]:
        """Read what the log states about its trees, and verify each tree's head."""
        document = wire.json_object(self._client.get(API, MAX_DESCRIPTION))
        inactive = document.get("inactiveShards") or []
        if (
            not isinstance(inactive, list)
            or len(inactive) > MAX_SHARDS
            or not all(isinstance(s, dict) for s in inactive)
        ):
            raise MalformedInput(f"expected at most {MAX_SHARDS} shards at 'inactiveShards'")
        trees: list[LogTree] = []
        offset = 0
        for shard in (*inactive, document):
            head = Checkpoint.open(wire.string(shard, "signedTreeHead"), self._key, name=self._name)
            tree_id = wire.string(shard, "treeID")
            if head.origin.partition(" - ")[2] != tree_id:
                raise MalformedInput(f"the head of tree {tree_id[:40]!r} is of {head.origin[:200]!r}")
            trees.append(LogTree(head, offset))
            offset += head.size
        if len({tree.head.origin for tree in trees}) != len(trees):
            raise MalformedInput("the log lists one tree twice")
        return trees

    def prove(self, tree: LogTree, first: int, second: int) -> Sequence[bytes]:
        """Ask the log for the proof."""
        tree_id = tree.head.origin.partition(" - ")[2]
        query = f"firstSize={first}&lastSize={second}" + (f"&treeID={tree_id}" if tree_id.isdigit() else "")
        return _hashes(wire.json_object(self._client.get(f"{API}/proof?{query}", MAX_DESCRIPTION)))

    def frontier(self, tree: LogTree, size: int) -> Frontier:
        """Take the edge from the inclusion proof of the last entry before it."""
        if size == 0:
            return Frontier()
        entry = self._entry(
            wire.json_object(self._client.get(f"{API}/entries?logIndex={tree.offset + size - 1}", MAX_ENTRY))
        )
        proof = wire.member(entry, "verification", "inclusionProof")
        leaf, path, size_then = (
            leaf_hash(wire.base64_bytes(entry, "body")),
            _hashes(proof),
            tree_size(proof.get("treeSize")),
        )
        try:
            root = bytes.fromhex(wire.string(proof, "rootHash"))
        except ValueError as error:
            raise MalformedInput("expected hex at 'rootHash'") from error
        if not verify_inclusion(leaf, size - 1, size_then, path, root):
            raise MalformedInput(f"the log's proof for entry {size - 1} does not hold")
        return Frontier.from_inclusion(leaf, size - 1, size_then, path)

    def leaves(self, tree: LogTree, start: int, stop: int) -> Iterator[Leaf]:
        """Read entries, ten at a time."""
        for first in range(start, stop, AT_ONCE):
            wanted = range(first, min(first + AT_ONCE, stop))
            indexes = [tree.offset + index for index in wanted]
            answer = self._client.post(f"{API}/entries/retrieve", {"logIndexes": indexes}, AT_ONCE * MAX_ENTRY)
            entries = wire.json_value(answer)
            if not isinstance(entries, list) or len(entries) > AT_ONCE:
                raise MalformedInput(f"expected a list of at most {AT_ONCE} entries")
            bodies = {}
            for each in entries:
                entry = self._entry(each)
                bodies[entry.get("logIndex")] = wire.base64_bytes(entry, "body")
            for index in wanted:
                if (body := bodies.get(tree.offset + index)) is None:
                    raise MalformedInput(f"the log leaves out entry {tree.offset + index}")
                yield Leaf(index, body)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @staticmethod
    def _entry(document: Any) -> Mapping[str, Any]:
        """Return the one entry of an answer, which is keyed by its UUID."""
        values = list(document.values()) if isinstance(document, dict) else []
        if len(values) != 1 or not isinstance(values[0], dict):
            raise MalformedInput("expected one entry under its UUID")
        entry: dict[str, Any] = values[0]
        return entry


def _hashes(document: Mapping[str, Any]) -> list[bytes]:
    hashes = document.get("hashes") or []
    if not isinstance(hashes, list) or len(hashes) > MAX_PROOF:
        raise MalformedInput(f"expected a proof of at most {MAX_PROOF} hashes")
    if not all(isinstance(hash, str) and HASH.fullmatch(hash) for hash in hashes):
        raise MalformedInput(f"expected hashes of {SHA256_SIZE} bytes in hex")
    return [bytes.fromhex(hash) for hash in hashes]
