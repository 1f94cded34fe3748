"""Who needs a component, directly or through others: a search upwards through many graphs at once.

A graph is a document's; its edges say who (parent) needs whom (child). All graphs are searched level by level with
arrays, so ten thousand cost little more than one; a cycle ends the search like any node that was seen before.

    >>> import numpy as np
    >>> reach = climb(np.array([2, 1, 0]), np.array([1, 0, 2]), np.array([2]), 3)  # 0 needs 1, 1 needs 2, 2 needs 0
    >>> [path(reach, node) for node in (0, 1, 2)]
    [[0, 1, 2], [1, 2], [2]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.int64]

__all__ = ["climb", "path"]


def climb(children: Array, parents: Array, starts: Array, size: int) -> Array:
    """From every node the next one on a shortest way down to a start; -1 where there is none.

    ``children[i]`` is needed by ``parents[i]``; nodes are numbers below ``size``. A start leads to itself. Of several
    shortest ways it takes the one over the smallest numbers.
    """
    import numpy as np

    order = np.argsort(children, kind="stable")
    children, parents = children[order], parents[order]
    towards: Array = np.full(size, -1, dtype=np.int64)
    frontier = np.unique(starts)
    towards[frontier] = frontier
    while frontier.size:
        first = np.searchsorted(children, frontier, "left")
        count = np.searchsorted(children, frontier, "right") - first
        total = int(count.sum())
        # Positions of all edges that end in the frontier, in the frontier's order.
        skipped = np.repeat(np.cumsum(count) - count, count)
        edges = np.arange(total) - skipped + np.repeat(first, count)
        above, below = parents[edges], np.repeat(frontier, count)
        new = towards[above] < 0
        frontier, where = np.unique(
            above[new], return_index=True
        )  # of each the first: the smallest
        towards[frontier] = below[new][where]
    return towards


def path(towards: Any, node: int) -> list[int]:
    """The nodes from ``node`` to a start; empty when none is reached."""
    if towards[node] < 0:
        return []
    nodes = [node]
    while towards[node] != node:
        node = int(towards[node])
        nodes.append(node)
    return nodes
