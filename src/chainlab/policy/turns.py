"""Turns: one verdict at a time, a few that wait, and a refusal for whoever comes then.

>>> turns = Turns(waiting=8)
>>> with turns.one():
...     pass
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chainlab.errors import Unavailable

__all__ = ["Turns"]

WAITING = 8


class Turns:
    """A queue of one place in front; safe to use from several threads."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._count = 0  # those who wait, and the one whose turn it is

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn, and keep it for the block. Raises `Unavailable` (503) when too many wait already."""
        with self._guard:
            if self._count > self._waiting:
                raise Unavailable(f"{self._waiting} verdicts wait for the gate already", hint="ask again in a minute")
            self._count += 1
        try:
            with self._turn:
                yield
        finally:
            with self._guard:
                self._count -= 1
