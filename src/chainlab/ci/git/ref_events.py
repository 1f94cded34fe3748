"""Events of changed refs: one for each ref that differs from its last announced value."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from chainlab.ci.git.refs import NO_COMMIT
from chainlab.database import transaction
from chainlab.events import Events

__all__ = ["RefEvents"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS refs (  -- as last announced; the refs themselves are git's
    repository TEXT, ref TEXT, id TEXT NOT NULL, PRIMARY KEY (repository, ref)
) STRICT, WITHOUT ROWID;
"""
BATCH = 100  # refs announced in one transaction, so that a push of many does not hold the database for long


class RefEvents:
    """The announced refs of one state directory; the caller guards the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._events = Events(connection)
        connection.executescript(SCHEMA)

    def announce(self, repository: str, refs: Mapping[str, str], who: str) -> None:
        """Append an event for each ref that changed since the last call, also by a writer that was killed.

        ``refs`` maps the repository's full ref names to ids; ``who`` is named in the events.
        """
        rows = self._connection.execute("SELECT ref, id FROM refs WHERE repository = ?", (repository,))
        before = dict(rows.fetchall())
        changed = sorted(ref for ref in refs.keys() | before.keys() if refs.get(ref) != before.get(ref))
        for first in range(0, len(changed), BATCH):
            with transaction(self._connection):
                for ref in changed[first : first + BATCH]:
                    self._store(repository, ref, refs.get(ref))
                    self._events.append(
                        "dev.chainlab.change.pushed",
                        source="/ci/git",
                        subject=repository,
                        data={
                            "ref": ref,
                            "old": before.get(ref, NO_COMMIT),
                            "new": refs.get(ref, NO_COMMIT),
                            "who": who,
                        },
                    )

    def replace(self, repositories: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Set what counts as announced, without events; call it inside a transaction."""
        for repository, refs in repositories:
            self._connection.execute("DELETE FROM refs WHERE repository = ?", (repository,))
            for ref, id in refs.items():
                self._store(repository, ref, id)

    def _store(self, repository: str, ref: str, id: str | None) -> None:
        if id is None:
            self._connection.execute("DELETE FROM refs WHERE repository = ? AND ref = ?", (repository, ref))
        else:
            self._connection.execute("INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", (repository, ref, id))
