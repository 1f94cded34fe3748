"""Cases for exercise 4.2: does this proof show that an entry is in the log?

Trees are built here, and proofs taken from them; one entry comes from the instance's own log. One change makes a case
false, so each false case knows why.

    >>> tree, entries = tree_of(random.Random(1), 7)
    >>> len(tree), len(entries)
    (7, 7)
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence

from chainlab.course.cases import Case, LabContext
from chainlab.trust.merkle import MerkleTree, leaf_hash, node_hash

__all__ = ["cases", "tree_of"]

SEE = "notebooks/04a_attestation.ipynb, 'Is the entry in the log?'"
TEACHES = {
    "a leaf of eight": "Three hashes, one a level. A bit of the index says on which side each belongs.",
    "another entry": "The climb begins at the entry that you were given, or it says nothing about it.",
    "the first of seven": "The left half of seven is complete.",
    "the last of seven": (
        "Seven split into four and three, three into two and one. The last leaf has nobody beside it on the "
        "lowest level: it waits and joins higher up. It is not paired with a copy, and its proof is one hash "
        "shorter."
    ),
    "the last of an odd tree": ("On each level the last node may be alone. Alone means: go up a level without a hash."),
    "a leaf of an odd tree": "Index and size decide the shape.",
    "the last of nine": (
        "Nine split into eight and one, 17 into 16 and one: the last leaf is alone on every level below the top, and "
        "needs one hash."
    ),
    "a leaf of a large tree": "Eleven levels, the same two questions on each: which side, and is there a sibling?",
    "one of two": "One hash, on the side that the index says.",
    "the only leaf": "A tree of one has an empty proof; its root is the leaf's hash.",
    "an entry of the kit's own log": (
        "The canonicalized body is the leaf; index, size, hashes and root stand in the bundle."
    ),
    "a log that copies its last leaf": (
        "By the copying rule seven entries and eight, the last one twice, have the same root. A log that may be "
        "read in two ways proves nothing, so a proof of that shape is refused."
    ),
    "an index outside the tree": (
        "There is no such leaf. The low bits of the index climb the same way, so the range has to be asked for."
    ),
    "an index that is the size": (
        "Seven entries have the numbers 0 to 6. The proof is that of entry 7 in a tree of eight, with its root: "
        "size and index do not fit each other."
    ),
    "a negative index": "In Python -3 has low bits as well. An index begins at 0.",
    "the neighbour's index": "Left and right are not the sender's to choose: the index says which.",
    "a hash too many": "What is not needed was put there by somebody. All of a proof is used, or it is refused.",
    "a hash too few": "The climb has to arrive at the top, and not somewhere that has the root's name.",
    "another root": "The proof leads to some root. It has to be the one of the checkpoint that you trust.",
    "a node passed off as an entry": (
        "Leaves and nodes are hashed with another first byte, 00 and 01, so that 64 bytes of hashes cannot stand "
        "for an entry."
    ),
}


def tree_of(rng: random.Random, size: int) -> tuple[MerkleTree, list[bytes]]:
    """Make a tree over random entries; gives also the entries."""
    entries, tree = [rng.randbytes(rng.randrange(5, 40)) for _ in range(size)], MerkleTree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree, entries


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make proofs in even and odd trees, then change one thing at a time."""
    small = _SmallTrees(rng)
    yield from small.true()
    odd, of_odd = tree_of(rng, rng.choice([11, 13, 19, 21, 27, 37]))
    yield from _odd_and_large(odd, of_odd, rng)
    yield _real(lab, rng)
    yield from small.of_other_indices()
    yield from _of_other_hashes(odd, of_odd, small.seven, rng)


class _SmallTrees:
    """Trees of seven and of eight entries, and a place in the second."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.seven, self.of_seven = tree_of(rng, 7)
        self.eight, self.of_eight = tree_of(rng, 8)
        self.place = rng.randrange(8)

    def true(self) -> Iterator[Case]:
        """Proofs that hold, and one that is another entry's."""
        eight, place = self.eight, self.place
        yield _honest("a leaf of eight", eight, self.of_eight, place)
        other = (place + self.rng.randrange(1, 8)) % 8
        yield _case("another entry", eight, self.of_eight[other], place, eight.inclusion(place, 8))
        yield _honest("the first of seven", self.seven, self.of_seven, self.rng.randrange(4))
        yield _honest("the last of seven", self.seven, self.of_seven, 6)

    def of_other_indices(self) -> Iterator[Case]:
        """A log of another shape, and indices that are not the entry's."""
        seven, eight, place = self.seven, self.eight, self.place
        copied = seven.hashes(0, 6, 7)  # a log that pairs a lone node with a copy of itself
        left, middle = seven.hashes(2, 0, 1), seven.hashes(1, 2, 3)
        root = node_hash(left, node_hash(middle, node_hash(copied, copied)))
        proof = [copied, middle, left]
        yield _case("a log that copies its last leaf", seven, self.of_seven[6], 6, proof, root=root)
        path, entry = eight.inclusion(place, 8), self.of_eight[place]
        outside = place + 8 * self.rng.randrange(1, 5)
        yield _case("an index outside the tree", eight, entry, outside, path)
        yield _case("an index that is the size", eight, self.of_eight[7], 7, eight.inclusion(7, 8), size=7)
        yield _case("a negative index", eight, entry, place - 8, path)
        yield _case("the neighbour's index", eight, entry, place ^ 1, path)


def _odd_and_large(odd: MerkleTree, of_odd: list[bytes], rng: random.Random) -> Iterator[Case]:
    """Proofs that hold in trees of other sizes."""
    size = len(odd)
    yield _honest("the last of an odd tree", odd, of_odd, size - 1)
    yield _honest("a leaf of an odd tree", odd, of_odd, rng.randrange(size - 1))
    power = 2 ** rng.randrange(3, 6)
    yield _honest("the last of nine", *tree_of(rng, power + 1), power)
    yield _honest("a leaf of a large tree", *tree_of(rng, rng.randrange(1025, 1200)), rng.randrange(1024))
    yield _honest("one of two", *tree_of(rng, 2), rng.randrange(2))
    yield _honest("the only leaf", *tree_of(rng, 1), 0)


def _of_other_hashes(odd: MerkleTree, of_odd: list[bytes], seven: MerkleTree, rng: random.Random) -> Iterator[Case]:
    """Hashes too many and too few, another root, and a node in place of an entry."""
    size = len(odd)
    index = rng.randrange(size - 1)
    entry, path = of_odd[index], odd.inclusion(index, size)
    yield _case("a hash too many", odd, entry, index, [*path, rng.randbytes(32)])
    unfinished = _climbed(entry, index, size, path[:-1])
    yield _case("a hash too few", odd, entry, index, path[:-1], root=unfinished)
    yield _case("another root", odd, entry, index, path, root=seven.root())
    proof = [seven.hashes(1, 1, 2), node_hash(seven.hashes(1, 2, 3), seven.hashes(0, 6, 7))]
    yield _case("a node passed off as an entry", seven, seven.hashes(0, 0, 2), 0, proof, size=3)


def _honest(name: str, tree: MerkleTree, entries: list[bytes], index: int) -> Case:
    return _case(name, tree, entries[index], index, tree.inclusion(index, len(tree)), truth=True)


def _case(
    name: str,
    tree: MerkleTree,
    entry: bytes,
    index: int,
    proof: Sequence[bytes],
    *,
    truth: bool = False,
    size: int | None = None,
    root: bytes | None = None,
) -> Case:
    """Make the case; size and root are the tree's unless given."""
    size = len(tree) if size is None else size
    return Case(name, (entry, index, size, list(proof), tree.root() if root is None else root), truth)


def _climbed(entry: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Compute where an unfinished climb ends: a hash that a careless verifier would compare with."""
    node, last, computed = index, size - 1, leaf_hash(entry)
    for sibling in proof:
        while node == last and not node & 1 and node:
            node, last = node >> 1, last >> 1
        computed = node_hash(sibling, computed) if node & 1 else node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return computed


def _real(lab: LabContext, rng: random.Random) -> Case:
    """Take an entry of the instance's own log from its bundle."""
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    context = SigningContext.from_trust_config(lab.trust.config)
    with context.signer(IdentityToken(lab.trust.token("alice@example.com"))) as signer:
        bundle = json.loads(signer.sign_artifact(rng.randbytes(20)).to_json())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    proof = entry["inclusionProof"]
    return Case(
        "an entry of the kit's own log",
        (
            base64.b64decode(entry["canonicalizedBody"]),
            int(proof["logIndex"]),
            int(proof["treeSize"]),
            [base64.b64decode(hash) for hash in proof.get("hashes", [])],
            base64.b64decode(proof["rootHash"]),
        ),
        True,
    )
