"""The queue in front of the gate: one verdict at a time, a few callers that wait, and a refusal for any more.

>>> queue = VerdictQueue(waiting=8)
>>> with queue.turn():
...     pass
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chainlab.errors import Unavailable

__all__ = ["VerdictQueue"]

WAITING = 8  # callers


class VerdictQueue:
    """A queue with one place at its head; safe to use from several threads."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._guard = threading.Lock()
        self._head = threading.Lock()
        self._count = 0  # callers that wait, and the one at the head

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it for the block. Raises `Unavailable` (503) when too many wait already."""
        with self._guard:
            if self._count > self._waiting:
                raise Unavailable(f"{self._waiting} verdicts wait for the gate already", hint="ask again in a minute")
            self._count += 1
        try:
            with self._head:
                yield
        finally:
            with self._guard:
                self._count -= 1
