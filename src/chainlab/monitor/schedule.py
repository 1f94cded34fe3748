"""When observers look, and whether they could: kept on disk, for the next look and for `/metrics`.

schedule.is_due("log", 30)     # whether half a minute has passed since it looked
schedule.note("log", problem="the log does not answer")
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from chainlab.database import SqliteStore

__all__ = ["MONITOR", "ObserverLook", "Schedule"]

MONITOR = "monitor"  # the name under which the monitor notes its own looks
SCHEMA = """
CREATE TABLE IF NOT EXISTS observer_looks (
    name      TEXT PRIMARY KEY,
    looked    REAL NOT NULL,   -- seconds since 1970
    succeeded REAL,            -- the last look without a problem; NULL = none yet
    problem   TEXT             -- why the last look failed; NULL = it did not
) STRICT;
"""


@dataclass(frozen=True)
class ObserverLook:
    """The last look of an observer."""

    name: str
    looked: float  # seconds since 1970
    succeeded: float | None  # seconds since 1970
    problem: str | None


class Schedule(SqliteStore):
    """The last looks of one workspace's observers."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(database, SCHEMA)

    def is_due(self, name: str, every_s: float) -> bool:
        """Whether an observer has not looked for ``every_s`` seconds; true after the clock was set back, too."""
        rows = self._rows("SELECT looked FROM observer_looks WHERE name = ?", (name,))
        return not rows or not 0 <= time.time() - float(rows[0][0]) < every_s

    def note(self, name: str, problem: str | None = None) -> None:
        """Record that an observer has looked now, and the problem that kept it from seeing."""
        now = time.time()
        with self._transaction():
            self._connection.execute(
                "INSERT INTO observer_looks VALUES (:name, :now, iif(:problem IS NULL, :now, NULL), :problem)"
                " ON CONFLICT (name) DO UPDATE SET looked = :now, problem = :problem,"
                " succeeded = iif(:problem IS NULL, :now, succeeded)",
                {"name": name, "now": now, "problem": problem},
            )

    def looks(self) -> list[ObserverLook]:
        """List the last look of every observer, the monitor's own included, by name."""
        return [ObserverLook(*row) for row in self._rows("SELECT * FROM observer_looks ORDER BY name")]
