"""Reader of a Rekor v2 log: a checkpoint and tiles (rekor-tiles, C2SP tlog-tiles).

The log proves nothing itself: it serves the tree's hashes in tiles of 256, and whoever reads them builds the proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chainlab.digests import SHA256_SIZE
from chainlab.errors import MalformedInput, Unavailable
from chainlab.monitor.logwatch.checkpoints import MAX_TEXT, Checkpoint, LogKey
from chainlab.monitor.logwatch.log_client import LogClient
from chainlab.monitor.logwatch.log_readers import Leaf, LogTree
from chainlab.trust.log import TILE_HEIGHT, TILE_WIDTH
from chainlab.trust.merkle import Frontier, MerkleTree, TreeProofs

__all__ = ["ReaderV2"]

API = "/api/v2"
MAX_BUNDLE = TILE_WIDTH * (2 + 65535)  # bytes of an entry tile: a length of two bytes before each entry
MAX_TILES = 64  # kept in memory, 8 KiB each


class ReaderV2:
    """Reads one Rekor v2 log, which is one tree."""

    batch = 32 * TILE_WIDTH

    def __init__(self, client: LogClient, key: LogKey, name: str = "") -> None:
        self._client = client
        self._key = key
        self._name = name

    def trees(self) -> Sequence[LogTree]:
        """Read the newest checkpoint."""
        text = self._client.get(f"{API}/checkpoint", MAX_TEXT).decode(errors="replace")
        self._tiles = _TiledTree(self._client, 0)
        return [LogTree(Checkpoint.open(text, self._key, name=self._name))]

    def prove(self, tree: LogTree, first: int, second: int) -> Sequence[bytes]:
        """Build the proof from tiles."""
        return self._tree(max(second, tree.head.size)).consistency(first, second)

    def frontier(self, tree: LogTree, size: int) -> Frontier:
        """Build the edge from tiles."""
        return self._tree(tree.head.size).frontier(size)

    def leaves(self, tree: LogTree, start: int, stop: int) -> Iterator[Leaf]:
        """Read entry tiles."""
        for number in range(start // TILE_WIDTH, (stop + TILE_WIDTH - 1) // TILE_WIDTH):
            width = min(TILE_WIDTH, tree.head.size - number * TILE_WIDTH)
            data = _fetch_tile(self._client, "entries", number, width, MAX_BUNDLE)
            at = 0
            for index in range(number * TILE_WIDTH, number * TILE_WIDTH + width):
                length = int.from_bytes(data[at : at + 2], "big")
                entry = data[at + 2 : at + 2 + length]
                if at + 2 > len(data) or len(entry) != length:
                    raise MalformedInput(f"entry tile {number} ends before entry {index}", see="C2SP tlog-tiles")
                at += 2 + length
                if start <= index < stop:
                    yield Leaf(index, entry)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _tree(self, size: int) -> _TiledTree:
        if len(self._tiles) != size:
            self._tiles = _TiledTree(self._client, size)
        return self._tiles


class _TiledTree(TreeProofs):
    """A tree of which a log serves the hashes."""

    def __init__(self, client: LogClient, size: int) -> None:
        self._client = client
        self._size = size
        self._kept: dict[tuple[int, int], bytes] = {}

    def __len__(self) -> int:
        return self._size

    def complete(self, level: int, number: int) -> bytes:
        tile_level, above = divmod(level, TILE_HEIGHT)
        first = number << above  # of the hashes of the tiles' own level
        tile, at = divmod(first, TILE_WIDTH)
        hashes = self._tile(tile_level, tile)[at * SHA256_SIZE : (at + (1 << above)) * SHA256_SIZE]
        return MerkleTree(hashes).root()

    def _tile(self, level: int, number: int) -> bytes:
        if (level, number) not in self._kept:
            width = min(TILE_WIDTH, (self._size >> TILE_HEIGHT * level) - number * TILE_WIDTH)
            data = _fetch_tile(self._client, str(level), number, width, TILE_WIDTH * SHA256_SIZE)
            if len(data) < width * SHA256_SIZE:
                raise MalformedInput(f"tile {level}/{number} has {len(data)} bytes, not {width * SHA256_SIZE}")
            if len(self._kept) >= MAX_TILES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[level, number] = data
        return self._kept[level, number]


def _fetch_tile(client: LogClient, kind: str, number: int, width: int, limit: int) -> bytes:
    """Fetch a tile; when a log no longer has the partial one, because it grew, the full one."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    path = f"{API}/tile/{kind}/{'/'.join(groups)}"
    if width == TILE_WIDTH:
        return client.get(path, limit)
    try:
        return client.get(f"{path}.p/{width}", limit)
    except Unavailable as error:
        if error.status != 404:
            raise
        return client.get(path, limit)
