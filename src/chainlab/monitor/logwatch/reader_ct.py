"""Reader of a CT log (RFC 6962 §4), in which a Sigstore CA logs each certificate before it issues it.

The static CT API (Sunlight tiles) is not read: a log that offers only that does not answer here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput
from chainlab.monitor.logwatch.checkpoints import MAX_TEXT, Checkpoint, LogKey
from chainlab.monitor.logwatch.log_client import LogClient
from chainlab.monitor.logwatch.log_readers import Leaf, LogTree
from chainlab.trust import wire
from chainlab.trust.merkle import Frontier, leaf_hash, verify_inclusion

__all__ = ["ReaderCT"]

API = "/ct/v1"
AT_ONCE = 1000  # entries that are asked for; a log may answer fewer
MAX_ANSWER = 2**26  # bytes of those entries, with chains that are not read
MAX_PROOF = 128  # hashes
MAX_PROOF_ANSWER = 2**16  # bytes


class ReaderCT:
    """Reads one CT log, which is one tree. A tree head has no origin, so the log is called by ``name``."""

    batch = 10 * AT_ONCE

    def __init__(self, client: LogClient, key: LogKey, name: str = "") -> None:
        self._client = client
        self._key = key
        self._name = name or urlsplit(client.url).netloc + urlsplit(client.url).path

    def trees(self) -> Sequence[LogTree]:
        """Read the newest signed tree head."""
        text = self._client.get(f"{API}/get-sth", MAX_TEXT).decode(errors="replace")
        return [LogTree(Checkpoint.open(text, self._key, name=self._name, ct=True))]

    def prove(self, tree: LogTree, first: int, second: int) -> Sequence[bytes]:
        """Ask the log for the proof."""
        answer = self._client.get(f"{API}/get-sth-consistency?first={first}&second={second}", MAX_PROOF_ANSWER)
        return _hashes(wire.json_object(answer), "consistency")

    def frontier(self, tree: LogTree, size: int) -> Frontier:
        """Take the edge from the inclusion proof of the last entry before it."""
        if size == 0:
            return Frontier()
        (last,) = self.leaves(tree, size - 1, size)
        leaf, head = leaf_hash(last.data), tree.head
        query = f"hash={quote(wire.base64_text(leaf), safe='')}&tree_size={head.size}"
        proof = wire.json_object(self._client.get(f"{API}/get-proof-by-hash?{query}", MAX_PROOF_ANSWER))
        path = _hashes(proof, "audit_path")
        if proof.get("leaf_index") != size - 1 or not verify_inclusion(leaf, size - 1, head.size, path, head.root):
            raise MalformedInput(f"the log's proof for entry {size - 1} does not hold")
        return Frontier.from_inclusion(leaf, size - 1, head.size, path)

    def leaves(self, tree: LogTree, start: int, stop: int) -> Iterator[Leaf]:
        """Read entries, as many at a time as the log answers."""
        at = start
        while at < stop:
            end = min(at + AT_ONCE, stop) - 1
            answer = wire.json_object(self._client.get(f"{API}/get-entries?start={at}&end={end}", MAX_ANSWER))
            entries = answer.get("entries")
            if not isinstance(entries, list) or not 0 < len(entries) <= end - at + 1:
                raise MalformedInput(f"expected entries {at} to {end}, or some from {at} on")
            for entry in entries:
                if not isinstance(entry, dict):
                    raise MalformedInput(f"expected an object for entry {at}")
                yield Leaf(at, wire.base64_bytes(entry, "leaf_input"))
                at += 1

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _hashes(document: Mapping[str, Any], name: str) -> list[bytes]:
    values = document.get(name)
    if not isinstance(values, list) or len(values) > MAX_PROOF:
        raise MalformedInput(f"expected a proof of at most {MAX_PROOF} hashes at {name!r}")
    hashes = [wire.base64_bytes({name: value}, name) for value in values]
    if any(len(hash) != SHA256_SIZE for hash in hashes):
        raise MalformedInput(f"expected hashes of {SHA256_SIZE} bytes at {name!r}")
    return hashes
