"""Diagrams show what the code does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chainlab.dashboards import diagrams
from chainlab.errors import MalformedInput
from chainlab.trust.merkle import MerkleTree, leaf_hash, node_hash


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    matplotlib.use("Agg")
    with plt.style.context("chainlab.dashboards.style"):
        yield
    plt.close("all")


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 16])
def test_an_audit_path_rings_the_hashes_of_the_inclusion_proof(size: int) -> None:
    tree = MerkleTree()
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    for leaf in leaves:
        tree.append(leaf)

    def root(start: int, stop: int) -> bytes:
        if stop - start == 1:
            return leaves[start]
        middle = start + (1 << (stop - start - 1).bit_length() - 1)
        return node_hash(root(start, middle), root(middle, stop))

    for index in {0, size // 2, size - 1}:
        _, ax = diagrams.audit_path(size, index, title="t")
        ringed = [text.get_text() for text in ax.texts if (box := text.get_bbox_patch()) and box.get_linewidth() > 2]
        nodes = [tuple(int(part) for part in name.split("–")) for name in ringed]
        hashes = {root(node[0], node[-1] + 1) for node in nodes}
        assert hashes == set(tree.inclusion(index, size))
        plt.close("all")


@pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 7), (4, 7), (5, 7), (6, 11), (15, 16)])
def test_growth_rings_the_hashes_of_the_consistency_proof(first: int, second: int) -> None:
    tree = MerkleTree(b"".join(leaf_hash(bytes([number])) for number in range(second)))
    _, ax = diagrams.growth(first, second, title="t")
    ringed = [text.get_text() for text in ax.texts if (box := text.get_bbox_patch()) and box.get_linewidth() > 2]
    hashes = set()
    for name in ringed:
        start, _, last = name.partition("–")
        part = MerkleTree(tree.hashes(0, int(start), int(last or start) + 1))
        hashes.add(part.root())
    assert hashes == set(tree.consistency(first, second))
    plt.close("all")


@pytest.mark.parametrize(("first", "second"), [(0, 3), (3, 3), (4, 3), (1, 17)])
def test_a_growth_that_is_none_is_refused(first: int, second: int) -> None:
    with pytest.raises(MalformedInput, match="no growth"):
        diagrams.growth(first, second, title="t")


@pytest.mark.parametrize(("size", "index"), [(0, 0), (7, 7), (7, -1), (17, 0)])
def test_a_leaf_that_the_tree_lacks_is_refused(size: int, index: int) -> None:
    with pytest.raises(MalformedInput, match="no leaf"):
        diagrams.audit_path(size, index, title="t")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (diagrams.keyless, "9  entry with inclusion proof and signed checkpoint"),
        (diagrams.bundle, "Who accepts it?"),
        (diagrams.cache_scopes, "refs/heads/main"),
        (diagrams.signers, "the gate:\nVSA"),
        (diagrams.decision, "verifies nothing"),
    ],
)
def test_a_diagram_stays_within_its_figure(draw: Callable[..., tuple[Figure, Axes]], message: str) -> None:
    fig, ax = draw(title="What it finds")
    assert message in words(ax)
    assert ax.get_title(loc="left") == "What it finds"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks
        fig.canvas.draw()
    width, height = fig.canvas.get_width_height()
    for text in ax.texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= width, text.get_text()
        assert 0 <= box.y0 <= box.y1 <= height, text.get_text()
