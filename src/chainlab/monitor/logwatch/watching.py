"""Watching: one look at a log, compared with what is remembered of it.

    1. The newest checkpoint: is it signed, and does the tree begin with the tree seen before?
    2. A witness's checkpoint, seen elsewhere: is it of the same tree?
    3. The entries that are new: they are hashed, and the hashes have to give the checkpoint's root. So everything
       that is read is included, and nothing was left out. Their signers are compared with the watch list.

A checkpoint that no proof connects with the remembered one is not accepted. The pair is kept: both are signed, which is
the evidence.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chainlab.errors import ChainlabError, MalformedInput, Unavailable, VerificationFailed
from chainlab.monitor.logwatch.checkpoints import Checkpoint
from chainlab.monitor.logwatch.entry_signers import Certificates
from chainlab.monitor.logwatch.log_readers import LogReader, LogTree
from chainlab.monitor.logwatch.looks import Look, Looks, Sighting
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.monitor.logwatch.watch_state import Remembered, WatchState
from chainlab.trust.merkle import Frontier, leaf_hash, verify_consistency

__all__ = ["Watching"]

Report = Callable[[str, str, dict[str, Any]], object]  # type, subject, data: appends an event
MAX_ENTRIES = 1_000_000  # read in one look; the next one goes on
MAX_SECONDS = 600.0  # of reading in one look; as above
MAX_SIGHTINGS = 10_000  # between two proofs, so that memory is bounded


class Watching:
    """Watches one log, again and again; ``log`` is the name that its state is kept under."""

    def __init__(
        self,
        log: str,
        reader: LogReader,
        certificates: Certificates,
        state: WatchState,
        watch_list: WatchList,
        report: Report,
        *,
        witnesses: Sequence[Checkpoint] = (),
        begin: int | None = None,
    ) -> None:
        self.log = log
        self._reader = reader
        self._certificates = certificates
        self._state = state
        self.watch_list = watch_list
        self._report = report
        self._witnesses = witnesses
        self._begin = begin  # entry to begin at, once
        self._quiet: dict[str, dict[str, Any]] = {}  # origin → what was reported last

    def close(self) -> None:
        """Close the connection to the log."""
        self._reader.close()

    def look(self) -> Looks:
        """Look once at each tree of the log, and report what is new."""
        remembered = self._state.trees(self.log)
        try:
            trees = self._reader.trees()
        except (Unavailable, MalformedInput, VerificationFailed) as error:
            looks = [_unanswered(Look(origin), error) for origin in sorted(remembered) or [self.log]]
        else:
            looks = [self._look_at(tree, remembered) for tree in trees]
            listed = {tree.head.origin for tree in trees}
            looks += [_vanished(origin, tree) for origin, tree in remembered.items() if origin not in listed]
            self._begin = None
        for look in looks:
            look.kept = self._state.contradictions(self.log, look.origin)
            self._tell(look)
        return Looks(looks)

    def _tell(self, look: Look) -> None:
        """Report a look, unless it repeats the one before."""
        data = look.data()
        state = {name: data[name] for name in ("size", "consistent", "split", "answered", "why")}
        if state != self._quiet.get(look.origin) or look.entries:
            self._report("log.watched", look.origin, data)
        self._quiet[look.origin] = state

    def _look_at(self, tree: LogTree, remembered: dict[str, Remembered]) -> Look:
        known = remembered.get(tree.head.origin)
        look = Look(tree.head.origin, size=tree.head.size, head=tree.head)
        try:
            if known is not None and not self._extends(look, tree, known):
                return look
            if self._contradicts_witness(look, tree):
                return look
            self._read(look, tree, known, first_look=not remembered)
        except (Unavailable, MalformedInput) as error:
            _unanswered(look, error)
        return look

    def _extends(self, look: Look, tree: LogTree, known: Remembered) -> bool:
        """Whether the tree begins with the one seen before; else the look says why not."""
        before = known.head
        look.before = before.size
        look.skipped = known.start + max(0, tree.head.size - known.frontier.size)
        why = self._difference(tree, before, tree.head)
        look.consistent = not why
        if why:
            self._contradiction(look, known.head, tree.head, why)
        return look.consistent

    def _contradicts_witness(self, look: Look, tree: LogTree) -> bool:
        for witness in self._witnesses:
            if witness.origin != look.origin:
                continue
            if why := self._difference(tree, witness, tree.head):
                look.split = True
                self._contradiction(look, witness, tree.head, f"another observer saw another tree: {why}")
                return True
            look.split = False
        return False

    def _difference(self, tree: LogTree, one: Checkpoint, other: Checkpoint) -> str:
        """Return why two checkpoints are not of one tree; "" when a proof connects them."""
        first, second = sorted((one, other), key=lambda checkpoint: checkpoint.size)
        if first.size == second.size:
            return "" if first.root == second.root else f"two roots of one size: {first.size} entries"
        if first.size == 0:
            return ""
        try:
            proof = self._reader.prove(tree, first.size, second.size)
        except Unavailable as error:
            if error.status >= 500 or second.size <= tree.head.size:
                raise
            return f"the log shows {first.size} entries, and proves no connection with the {second.size} that it signed"
        if verify_consistency(first.size, second.size, first.root, second.root, proof):
            return ""
        return f"the tree of {second.size} entries does not begin with the tree of {first.size} that the log signed"

    def _read(self, look: Look, tree: LogTree, known: Remembered | None, *, first_look: bool) -> None:
        head = tree.head
        if known is not None and self._begin is None:
            if head.size < known.frontier.size:  # an older checkpoint of the same tree
                return
            start, frontier, accepted = known.start, known.frontier, known.head
        else:
            begin = head.size if first_look else 0  # a tree that follows one that was watched is read from its start
            if self._begin is not None:
                begin = min(max(0, self._begin - tree.offset), head.size)
            frontier, start, accepted = self._reader.frontier(tree, begin), begin, head
            if known is not None and begin <= known.frontier.size:
                start = min(begin, known.start)
        end = min(head.size, frontier.size + MAX_ENTRIES)
        unread: Counter[str] = Counter()
        until = time.monotonic() + MAX_SECONDS
        while True:
            sightings = self._read_batch(
                look, tree, frontier, min(end, frontier.size + self._reader.batch), unread, until
            )
            if why := self._not_included(tree, frontier):
                look.consistent = False
                self._contradiction(look, accepted, head, why)
                return
            for sighting in sightings:
                self._report("log.identity", sighting.name, sighting.data())
            look.sightings += sightings
            self._state.remember(self.log, Remembered(head, start, frontier))
            look.skipped = start + head.size - frontier.size + unread.total()
            if frontier.size == end or time.monotonic() > until:
                break
        if unread:
            look.why = "not read: " + ", ".join(f"{count} {kind}" for kind, count in unread.most_common(5))

    def _read_batch(
        self, look: Look, tree: LogTree, frontier: Frontier, stop: int, unread: Counter[str], until: float
    ) -> list[Sighting]:
        """Hash the entries up to ``stop``, and return those whose signers are watched."""
        sightings: list[Sighting] = []
        for leaf in self._reader.leaves(tree, frontier.size, stop):
            frontier.append(leaf_hash(leaf.data))
            look.entries += 1
            try:
                for certificate in self._certificates(leaf.data):
                    if (found := self.watch_list.look_at(certificate)) is not None:
                        sightings.append(Sighting(look.origin, leaf.index, *found))
            except MalformedInput as error:
                unread[error.message if len(unread) < 100 else "others"] += 1
            if len(sightings) >= MAX_SIGHTINGS or time.monotonic() > until:
                break
        return sightings

    def _not_included(self, tree: LogTree, frontier: Frontier) -> str:
        """Return why the entries read are not the beginning of the tree; "" when they are."""
        head, root = tree.head, frontier.root()
        if frontier.size == head.size:
            holds = root == head.root
        elif frontier.size == 0:
            holds = True
        else:
            proof = self._reader.prove(tree, frontier.size, head.size)
            holds = verify_consistency(frontier.size, head.size, root, head.root, proof)
        return "" if holds else f"the entries that the log serves, up to {frontier.size}, are not those that it signed"

    def _contradiction(self, look: Look, accepted: Checkpoint, presented: Checkpoint, why: str) -> None:
        look.why = why
        look.pair = (accepted, presented)
        self._state.keep_contradiction(self.log, accepted, presented, why)


def _unanswered(look: Look, error: ChainlabError) -> Look:
    """Note that the log gave no answer that can be used, so nothing is known."""
    look.answered, look.consistent = False, None
    look.why = f"{error.message}: {error.why}" if error.why else error.message
    return look


def _vanished(origin: str, tree: Remembered) -> Look:
    why = f"the log no longer shows this tree, of which it had signed {tree.head.size} entries"
    return Look(origin, before=tree.head.size, consistent=False, why=why)
