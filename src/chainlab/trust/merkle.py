"""The Merkle tree of RFC 6962: append, root, inclusion and consistency proofs.

    leaf hash = SHA-256(0x00 || leaf)        node hash = SHA-256(0x01 || left || right)

Complete subtrees are kept level by level, 32 bytes each. An append therefore takes amortised constant time, and a proof
O(log² n). This module does not know what a leaf means or where it is stored.

    >>> tree = MerkleTree()
    >>> [tree.append(leaf_hash(x)) for x in (b"a", b"b", b"c")]
    [0, 1, 2]
    >>> verify_inclusion(leaf_hash(b"b"), 1, 3, tree.inclusion(1, 3), tree.root(3))
    True
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput

__all__ = ["Frontier", "MerkleTree", "TreeProofs", "leaf_hash", "node_hash", "verify_consistency", "verify_inclusion"]

EMPTY_ROOT = hashlib.sha256(b"").digest()  # RFC 6962 §2.1


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf, 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (RFC 6962's k)."""
    return 1 << (size - 1).bit_length() - 1


class TreeProofs:
    """The root and the proofs of a tree, from the hashes of its complete subtrees, wherever these are kept."""

    def __len__(self) -> int:
        raise NotImplementedError

    def complete(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree of ``2 ** level`` leaves, the ``number``-th of its level."""
        raise NotImplementedError

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first ``size`` leaves (all when None), 32 bytes."""
        size = len(self) if size is None else size
        self._check(0 <= size <= len(self), f"the tree has {len(self)} leaves, not {size}")
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 6962 §2.1.1)."""
        self._check(0 <= index < size <= len(self), f"no leaf {index} in a tree of {size}")
        path, low, high = [], 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._subtree(middle, high))
                high = middle
            else:
                path.append(self._subtree(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that the tree of ``first`` leaves is a prefix of the tree of ``second`` (§2.1.2)."""
        self._check(
            0 <= first <= second <= len(self),
            f"not sizes of this tree: {first}, {second} (of {len(self)})",
        )
        if first in (0, second):
            return []
        proof, low, high, whole = [], 0, second, True  # whole: the subtree is one the client has
        while first != high:
            middle = low + _split(high - low)
            if first <= middle:
                proof.append(self._subtree(middle, high))
                high = middle
            else:
                proof.append(self._subtree(low, middle))
                low, whole = middle, False
        return (proof if whole else [*proof, self._subtree(low, high)])[::-1]

    def frontier(self, size: int) -> Frontier:
        """Return the right edge of the first ``size`` leaves."""
        self._check(0 <= size <= len(self), f"the tree has {len(self)} leaves, not {size}")
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        return Frontier(size, [self.complete(level, (size >> level) - 1) for level in levels])

    def _subtree(self, low: int, high: int) -> bytes:
        size = high - low
        if size & (size - 1) == 0 and low % size == 0:
            return self.complete(size.bit_length() - 1, low // size)
        middle = low + _split(size)
        return node_hash(self._subtree(low, middle), self._subtree(middle, high))

    @staticmethod
    def _check(holds: bool, message: str) -> None:
        if not holds:
            raise MalformedInput(message)


class MerkleTree(TreeProofs):
    """An append-only tree of leaf hashes."""

    def __init__(self, leaf_hashes: bytes = b"") -> None:
        """Start from the concatenated hashes of leaves, 32 bytes each."""
        self._levels = [bytearray(leaf_hashes)]
        while len(below := self._levels[-1]) >= 2 * SHA256_SIZE:
            step = 2 * SHA256_SIZE
            self._levels.append(
                bytearray().join(
                    hashlib.sha256(b"\x01" + below[at : at + step]).digest()
                    for at in range(0, len(below) - step + 1, step)
                )
            )

    def __len__(self) -> int:
        return len(self._levels[0]) // SHA256_SIZE

    def append(self, hash_of_leaf: bytes) -> int:
        """Add a leaf by its hash; returns its index, from 0."""
        index = len(self)
        self._levels[0] += hash_of_leaf
        level = 0
        while (len(self._levels[level]) // SHA256_SIZE) % 2 == 0:
            if level + 1 == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level + 1] += hashlib.sha256(b"\x01" + self._levels[level][-2 * SHA256_SIZE :]).digest()
            level += 1
        return index

    def hashes(self, level: int, start: int, stop: int) -> bytes:
        """Return the hashes of complete subtrees ``start`` to ``stop`` of a level, concatenated."""
        if level >= len(self._levels):
            return b""
        return bytes(self._levels[level][start * SHA256_SIZE : stop * SHA256_SIZE])

    def complete(self, level: int, number: int) -> bytes:
        """Return the hash of one complete subtree."""
        return self.hashes(level, number, number + 1)


class Frontier:
    """The right edge of a tree: the hashes of its largest complete subtrees, left to right.

    It is enough to add leaves and to compute the root, so whoever reads a log keeps at most 64 hashes of it.

        >>> tree = MerkleTree(b"".join(map(leaf_hash, (b"a", b"b", b"c"))))
        >>> frontier = tree.frontier(2)
        >>> frontier.append(leaf_hash(b"c"))
        >>> frontier.size, frontier.root() == tree.root()
        (3, True)
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count() or any(len(hash) != SHA256_SIZE for hash in hashes):
            raise MalformedInput(f"expected {size.bit_count()} hashes at the edge of a tree of {size}")
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def from_inclusion(cls, hash_of_leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> Frontier:
        """Return the edge of the first ``index + 1`` leaves, from the audit path of the last of them.

        ``path`` is for a tree of ``size`` leaves, and must verify (`verify_inclusion`).
        """
        node, last, at = index, size - 1, iter(path)
        lowest, peaks, joining = hash_of_leaf, [], True
        while last:
            if node & 1:
                sibling = next(at)
                if joining:
                    lowest = node_hash(sibling, lowest)
                else:
                    peaks.append(sibling)
            else:
                joining = False
                if node != last:
                    next(at)
            node, last = node >> 1, last >> 1
        return cls(index + 1, [*reversed(peaks), lowest])

    def append(self, hash_of_leaf: bytes) -> None:
        """Add a leaf by its hash."""
        size, hashes = self.size, self.hashes
        while size & 1:
            hash_of_leaf = hashlib.sha256(b"\x01" + hashes.pop() + hash_of_leaf).digest()
            size >>= 1
        hashes.append(hash_of_leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root, 32 bytes."""
        root = b""
        for hash in reversed(self.hashes):
            root = node_hash(hash, root) if root else hash
        return root or EMPTY_ROOT


def verify_inclusion(hash_of_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check whether ``proof`` shows the leaf at ``index`` of this tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, hash_of_leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Check whether ``proof`` shows that the second tree begins with the first (RFC 9162 §2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not proof and (first_root == (EMPTY_ROOT if first == 0 else second_root))
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and (old, new) == (first_root, second_root)
