"""Cases for exercise 0.4: one root from uneven subtrees. The truth is the log's own root."""

from __future__ import annotations

import random
from collections.abc import Iterator

from chainlab.course.cases import Case, LabContext
from chainlab.trust.merkle import MerkleTree, leaf_hash

__all__ = ["cases"]

SEE = "notebooks/00d_merkle.ipynb, 'Odd sizes'"
TEACHES = {
    "one entry": "One subtree is the whole tree: nothing is left to hash.",
    "four entries": "Four is a power of two: one subtree, and it is the tree.",
    "three entries": "The odd one is not paired with a copy of itself: it waits, and joins at "
    "the top. Trees that copy it give two different lists the same root.",
    "six entries": "Four and two: they differ in size and still meet in one node.",
    "seven entries": "Four, two, one: the small ones meet first, from the right.",
    "a larger log": "However many there are, begin at the right-hand end.",
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make logs, and give their complete subtrees from left to right."""
    sizes = {
        "one entry": 1,
        "four entries": 4,
        "three entries": 3,
        "six entries": 6,
        "seven entries": 7,
        "a larger log": rng.choice([11, 13, 21, 22, 27, 29, 43, 53, 91]),
    }
    for name, size in sizes.items():
        tree = MerkleTree()
        for _ in range(size):
            tree.append(leaf_hash(rng.randbytes(12)))
        parts, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                at = start >> level
                parts.append((1 << level, tree.hashes(level, at, at + 1).hex()))
                start += 1 << level
        yield Case(name, (parts,), tree.root().hex())
