"""Who needs a component, directly or through others: searches of the graphs that documents tell.

A graph is a document's; its edges say who (parent) needs whom (child). `tree` keeps one document's ways down from its
subject: it is made once, when the document is archived. `climb` searches upwards from components through many graphs
at once, level by level with arrays. A cycle ends either search like any node that was seen before, and of several
shortest ways both take the one over the smallest numbers.

    >>> tree([(0, 1), (1, 2), (2, 0)], 4)                                   # 0 needs 1, 1 needs 2, 2 needs 0
    [0, 0, 1, -1]
    >>> import numpy as np
    >>> towards, order = climb(np.array([2, 1, 0]), np.array([1, 0, 2]), np.array([2]), 4)
    >>> order.tolist(), [path(towards, node) for node in (0, 1, 2, 3)]
    ([2, 1, 0], [[0, 1, 2], [1, 2], [2], []])
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.int64]

__all__ = ["climb", "pack", "path", "tree", "unpack"]


def tree(edges: Iterable[tuple[int, int]], size: int) -> list[int]:
    """Of every node the one before it on a shortest way from node 0; -1 where none leads. 0 comes before itself.

    Edges are (parent, child), sorted; nodes are numbers below ``size``, which is at least 1.
    """
    needs: dict[int, list[int]] = {}
    for parent, child in edges:
        needs.setdefault(parent, []).append(child)
    before = [-1] * size
    before[0] = 0
    queue = [0]
    for node in queue:  # which grows meanwhile
        for child in needs.get(node, ()):
            if before[child] < 0:
                before[child] = node
                queue.append(child)
    return before


def pack(before: Sequence[int]) -> bytes:
    """A tree as the tables keep it: 32 bits for each node, the lowest byte first."""
    return struct.pack(f"<{len(before)}i", *before)


def unpack(packed: bytes) -> Any:
    """What `pack` packed, as an array."""
    import numpy as np

    return np.frombuffer(packed, dtype="<i4")


def climb(children: Array, parents: Array, starts: Array, size: int) -> tuple[Array, Array]:
    """From every node the next one on a shortest way down to a start, -1 where there is none; and who was reached.

    A start leads to itself. Those reached are in the order of their distance, then of their number. ``children[i]`` is
    needed by ``parents[i]``; nodes are numbers below ``size``.
    """
    import numpy as np

    order = np.argsort(children, kind="stable")
    children, parents = children[order], parents[order]
    towards: Array = np.full(size, -1, dtype=np.int64)
    frontier = np.unique(starts)
    towards[frontier] = frontier
    reached = [frontier]
    while frontier.size:
        first = np.searchsorted(children, frontier, "left")
        count = np.searchsorted(children, frontier, "right") - first
        total = int(count.sum())
        # Positions of all edges that end in the frontier, in the frontier's order.
        skipped = np.repeat(np.cumsum(count) - count, count)
        edges = np.arange(total) - skipped + np.repeat(first, count)
        above, below = parents[edges], np.repeat(frontier, count)
        new = towards[above] < 0
        frontier, where = np.unique(above[new], return_index=True)  # of each the first: the smallest
        towards[frontier] = below[new][where]
        reached.append(frontier)
    return towards, np.concatenate(reached)


def path(towards: Any, node: int) -> list[int]:
    """The nodes from ``node`` to where the steps end; empty when it is not reached."""
    if towards[node] < 0:
        return []
    nodes = [node]
    while (following := int(towards[node])) != node:
        nodes.append(node := following)
    return nodes
