"""Events of changed refs: one for each ref that differs from its last announced value."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from chainlab.ci.git.refs import NO_COMMIT
from chainlab.clock import rfc3339, utc_now
from chainlab.database import transaction
from chainlab.events import Events

__all__ = ["RefEvents"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS refs (  -- as last announced; the refs themselves are git's
    repository TEXT, ref TEXT, id TEXT NOT NULL, PRIMARY KEY (repository, ref)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ref_times (  -- when a ref was announced last: RFC 3339, a scenario's time
    repository TEXT, ref TEXT, time TEXT NOT NULL, PRIMARY KEY (repository, ref)
) STRICT, WITHOUT ROWID;
"""
KINDS = {"refs/tags/": "tag", "refs/heads/": "branch"}
BATCH = 100  # refs announced in one transaction, so that a push of many does not hold the database for long


class RefEvents:
    """The announced refs of one state directory; the caller guards the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._events = Events(connection)
        connection.executescript(SCHEMA)

    def announce(
        self, repository: str, refs: Mapping[str, str], who: str, *, contains: Callable[[str, str], bool]
    ) -> None:
        """Append an event for each ref that changed since the last call, also by a writer that was killed.

        ``refs`` maps the repository's full ref names to ids; ``who`` is named in the events; ``contains`` says whether
        a commit has another among its ancestors.
        """
        rows = self._connection.execute("SELECT ref, id FROM refs WHERE repository = ?", (repository,))
        before = dict(rows.fetchall())
        changed = sorted(ref for ref in refs.keys() | before.keys() if refs.get(ref) != before.get(ref))
        facts = {ref: _facts(ref, before.get(ref, NO_COMMIT), refs.get(ref, NO_COMMIT), contains) for ref in changed}
        batch = sum(ref.startswith("refs/tags/") and ref in before for ref in changed)
        now = self._events.scenario_time or rfc3339(utc_now())
        for first in range(0, len(changed), BATCH):
            with transaction(self._connection):
                for ref in changed[first : first + BATCH]:
                    age = self._age(repository, ref, now)
                    self._store(repository, ref, refs.get(ref))
                    self._note_time(repository, ref, now)
                    self._events.append(
                        "dev.chainlab.change.pushed",
                        source="/ci/git",
                        subject=repository,
                        data={
                            "ref": ref,
                            **facts[ref],
                            "who": who,
                            "age_s": age,
                            "batch": batch,
                        },
                    )

    def replace(self, repositories: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Set what counts as announced, without events; call it inside a transaction."""
        for repository, refs in repositories:
            self._connection.execute("DELETE FROM refs WHERE repository = ?", (repository,))
            for ref, id in refs.items():
                self._store(repository, ref, id)

    def _age(self, repository: str, ref: str, now: str) -> float | None:
        """Seconds since a ref was announced last; None when unknown, or when the scenario's clock was set back."""
        row = self._connection.execute(
            "SELECT time FROM ref_times WHERE repository = ? AND ref = ?", (repository, ref)
        ).fetchone()
        seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(row[0])).total_seconds() if row else -1
        return seconds if seconds >= 0 else None

    def _note_time(self, repository: str, ref: str, now: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO ref_times VALUES (?, ?, ?)", (repository, ref, now))

    def _store(self, repository: str, ref: str, id: str | None) -> None:
        if id is None:
            self._connection.execute("DELETE FROM refs WHERE repository = ? AND ref = ?", (repository, ref))
        else:
            self._connection.execute("INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", (repository, ref, id))


def _facts(ref: str, old: str, new: str, contains: Callable[[str, str], bool]) -> dict[str, object]:
    """Say how a ref changed; git is asked before the database is locked for writing."""
    kind = next((kind for prefix, kind in KINDS.items() if ref.startswith(prefix)), None)
    moved = NO_COMMIT not in (old, new) and not (kind == "branch" and contains(new, old))
    return {"old": old, "new": new, "kind": kind, "moved": moved}
