"""The Merkle tree against RFC 6962 read aloud: slow, recursive, and with nothing in common."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainlab.errors import MalformedInput
from chainlab.trust.merkle import (
    Frontier,
    MerkleTree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 130  # two complete tiles of 64 and a little


def k(n: int) -> int:
    """The largest power of two smaller than n (RFC 6962 §2.1)."""
    power = 1
    while power * 2 < n:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = k(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), §2.1.1."""
    if len(leaves) == 1:
        return []
    split = k(len(leaves))
    if m < split:
        return [*path(m, leaves[:split]), mth(leaves[split:])]
    return [*path(m - split, leaves[split:]), mth(leaves[:split])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b), §2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    split = k(len(leaves))
    if m <= split:
        return [*subproof(m, leaves[:split], whole), mth(leaves[split:])]
    return [*subproof(m - split, leaves[split:], False), mth(leaves[:split])]


def leaves(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def tree(content: Sequence[bytes]) -> MerkleTree:
    grown = MerkleTree()
    for leaf in content:
        grown.append(leaf_hash(leaf))
    return grown


LEAVES = leaves(LARGEST)
TREE = tree(LEAVES)
ROOTS = [mth(LEAVES[:size]) for size in range(LARGEST + 1)]


def test_roots_are_those_of_the_rfc() -> None:
    assert [TREE.root(size) for size in range(LARGEST + 1)] == ROOTS
    assert TREE.root() == ROOTS[-1]
    assert len(TREE) == LARGEST


def test_known_roots() -> None:
    # RFC 6962's reference implementation publishes these (certificate-transparency's test vectors)
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    inputs.append("606162636465666768696a6b6c6d6e6f")
    grown = tree([bytes.fromhex(text) for text in inputs])
    assert grown.root(0).hex() == hashlib.sha256(b"").hexdigest()
    assert grown.root(1).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert grown.root(8).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_inclusion_proofs_are_those_of_the_rfc_and_verify() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = TREE.inclusion(index, size)
            if size % 7 == 0 or size < 20:  # the recursive reading is slow
                assert proof == path(index, LEAVES[:size])
            assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, ROOTS[size])


def test_consistency_proofs_are_those_of_the_rfc_and_verify() -> None:
    for second in range(LARGEST + 1):
        for first in range(second + 1):
            proof = TREE.consistency(first, second)
            if first and (second % 7 == 0 or second < 20):
                assert proof == subproof(first, LEAVES[:second], True)
            assert verify_consistency(first, second, ROOTS[first], ROOTS[second], proof)


@settings(max_examples=25)
@given(st.integers(131, 3000), st.data())
def test_larger_trees_agree_too(size: int, data: st.DataObject) -> None:
    content = leaves(size)
    grown = tree(content)
    assert grown.root() == mth(content)
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    assert grown.inclusion(index, size) == path(index, content)
    assert grown.consistency(first, size) == subproof(first, content, True)


@given(st.lists(st.binary(max_size=8), max_size=300))
def test_a_tree_built_at_once_is_the_tree_that_grew(content: list[bytes]) -> None:
    grown = tree(content)
    at_once = MerkleTree(b"".join(leaf_hash(leaf) for leaf in content))
    assert at_once.root() == grown.root() == mth(content)
    for level in range(10):
        assert at_once.hashes(level, 0, 400) == grown.hashes(level, 0, 400)
    for other in (at_once, grown):
        other.append(leaf_hash(b"one more"))
    assert at_once.root() == grown.root() == mth([*content, b"one more"])


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def spoilt(proof: list[bytes], draw: st.DataObject) -> list[bytes]:
    """The proof with one hash changed, taken away, added, or swapped with another."""
    ways = ["add"] if not proof else ["flip", "drop", "add", *(["swap"] if len(proof) > 1 else [])]
    way = draw.draw(st.sampled_from(ways))
    at = draw.draw(st.integers(0, max(0, len(proof) - 1)))
    if way == "flip":
        return [*proof[:at], flipped(proof[at], draw.draw(st.integers(0, 31))), *proof[at + 1 :]]
    if way == "drop":
        return [*proof[:at], *proof[at + 1 :]]
    if way == "swap":
        other = (at + 1) % len(proof)
        swapped = list(proof)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        return swapped
    return [*proof[:at], draw.draw(st.binary(min_size=32, max_size=32)), *proof[at:]]


@given(st.integers(1, LARGEST), st.data())
def test_an_inclusion_proof_wrong_in_any_part_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = leaf_hash(LEAVES[index]), TREE.inclusion(index, size), ROOTS[size]
    at = data.draw(st.integers(0, 31))
    assert verify_inclusion(leaf, index, size, proof, root)
    assert not verify_inclusion(flipped(leaf, at), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, flipped(root, at))
    assert not verify_inclusion(leaf, index, size, spoilt(proof, data), root)
    for other in {-1, size, size + 1, data.draw(st.integers(0, size - 1))} - {index}:
        assert not verify_inclusion(leaf, other, size, proof, root)
    assert not verify_inclusion(leaf, index, 0, proof, root)
    # A path does not always betray the size it was made for: two sizes may give it the same shape.
    # So the size is checked with the root, which the checkpoint signs together.
    other_size = data.draw(st.integers(1, LARGEST))
    if other_size != size:
        assert not verify_inclusion(leaf, index, other_size, proof, ROOTS[other_size])


@given(st.integers(1, LARGEST), st.data())
def test_a_consistency_proof_wrong_in_any_part_is_refused(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    proof, old, new = TREE.consistency(first, second), ROOTS[first], ROOTS[second]
    at = data.draw(st.integers(0, 31))
    assert verify_consistency(first, second, old, new, proof)
    assert not verify_consistency(first, second, flipped(old, at), new, proof)
    assert not verify_consistency(first, second, old, flipped(new, at), proof)
    assert not verify_consistency(first, second, old, new, spoilt(proof, data))
    assert not verify_consistency(second + 1, second, old, new, proof)
    assert not verify_consistency(-1, second, old, new, proof)


def test_an_empty_tree_is_the_beginning_of_every_tree() -> None:
    assert verify_consistency(0, 5, ROOTS[0], ROOTS[5], [])
    assert not verify_consistency(0, 5, ROOTS[1], ROOTS[5], [])
    assert not verify_consistency(0, 5, ROOTS[0], ROOTS[5], [ROOTS[0]])


def test_a_leaf_is_never_taken_for_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_no_proof_for_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(MalformedInput):
        TREE.inclusion(index, 5)


@pytest.mark.parametrize(("first", "second"), [(-1, 3), (4, 3), (1, LARGEST + 1)])
def test_no_proof_between_trees_that_are_not_there(first: int, second: int) -> None:
    with pytest.raises(MalformedInput):
        TREE.consistency(first, second)


def test_no_root_of_a_tree_that_is_not_there() -> None:
    for size in (-1, LARGEST + 1):
        with pytest.raises(MalformedInput):
            TREE.root(size)


@given(st.integers(0, LARGEST), st.integers(0, LARGEST))
def test_an_edge_grows_into_the_tree_that_it_is_the_edge_of(start: int, stop: int) -> None:
    start, stop = sorted((start, stop))
    frontier = TREE.frontier(start)
    assert frontier.root() == ROOTS[start]
    for index in range(start, stop):
        frontier.append(TREE.hashes(0, index, index + 1))
    assert (frontier.size, frontier.root(), frontier.hashes) == (stop, ROOTS[stop], TREE.frontier(stop).hashes)


@given(st.integers(1, LARGEST), st.data())
def test_an_inclusion_proof_holds_the_edge_of_the_tree_before_it(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path, leaf = TREE.inclusion(index, size), TREE.hashes(0, index, index + 1)
    assert Frontier.from_inclusion(leaf, index, size, path).hashes == TREE.frontier(index + 1).hashes
