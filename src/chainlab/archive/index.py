"""The archive's tables, kept as fresh as its files, and opened in DuckDB.

What new entries add is derived when somebody asks, into a segment of its own: a few entries cost milliseconds, however
many the archive holds. Where the tables cannot be written (a full disk, a folder that may only be read, another process
that writes them now), the rows stay in memory; the answers are the same. A segment whose bytes were changed is left
out and derived anew.
"""

# ruff: noqa: S608 — names of tables and quoted paths, never a person's words
from __future__ import annotations

import gc
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from chainlab.archive import tables
from chainlab.archive.documents import Memo, Reading, read, unwrap
from chainlab.archive.entries import Document
from chainlab.archive.files import Files, Problem
from chainlab.archive.tables import Batch, Segment
from chainlab.errors import MalformedInput, VerificationFailed

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["Index"]

LISTED: Final = ("sbom", "mlbom")  # kinds of documents that list components
BATCH: Final = 1000  # builds that are derived at once: bounds the memory, 100 MB or so
JUST_NOW: Final = 100_000_000  # ns: a folder changed so recently may change again under the same time
RETRIED: Final = 200  # entries with something missing: so many are looked at again for every question

# Of each build: may it be said that something is not in it, and if not, why not.
STATES: Final = """
CREATE OR REPLACE TABLE _builds AS
WITH sorted AS (
  SELECT build, min(built_at) AS built_at, any_value(artifact) AS artifact,
    any_value(version) AS version, any_value(digest) AS digest, any_value(repository) AS repository,
    any_value("commit") AS "commit", any_value(run) AS run, any_value(builder) AS builder,
    bool_or(lost) AS lost, any_value(broken) AS broken
  FROM _entries GROUP BY build
), claims AS (
  SELECT e.build, kind = 'sbom' AS own, status, why, composition,
    unhashed = 0 AS hashed, unaddressed = 0 AS addressed
  FROM _documents JOIN _entries e USING (s, n) WHERE kind IN ('sbom', 'mlbom')
), best AS (  -- an ML-BOM speaks for a build only where there is no SBOM
  SELECT * FROM claims QUALIFY own = max(own) OVER (PARTITION BY build)
), said AS (
  SELECT build, bool_or(composition = 'complete') AS complete,
    bool_or(composition = 'dependencies') AS dependencies,
    bool_or(composition = 'unsaid') AS unsaid, bool_or(composition = 'incomplete') AS incomplete,
    bool_and(hashed) FILTER (status = 'read') AS hashed,
    bool_and(addressed) FILTER (status = 'read') AS addressed,
    min(why) FILTER (status <> 'read') AS unread
  FROM best GROUP BY build
)
SELECT (row_number() OVER (ORDER BY sorted.built_at, artifact, version, build) - 1)::INTEGER AS b,
  sorted.*, coalesce(hashed, false) AS hashed, coalesce(addressed, false) AS addressed,
  CASE WHEN broken <> '' OR lost OR said.build IS NULL THEN '' WHEN complete THEN 'complete'
    WHEN dependencies THEN 'dependencies' WHEN unsaid THEN 'unsaid' ELSE '' END AS level,
  CASE WHEN broken <> '' THEN broken
    WHEN lost THEN 'an entry of this build is gone from the archive'
    WHEN said.build IS NULL THEN 'no SBOM'
    WHEN complete THEN ''
    WHEN dependencies THEN 'its SBOM is complete in dependencies, not in what they contain'
    WHEN unsaid THEN 'its SBOM does not say that it is complete'
    WHEN incomplete THEN 'its SBOM says that it is incomplete'
    ELSE 'its SBOM is not readable: ' || coalesce(unread, '') END AS state
FROM sorted LEFT JOIN said USING (build) ORDER BY b
"""
# What people ask in SQL: the same four tables, each with the build's id.
VIEWS: Final = """
CREATE OR REPLACE TABLE _of AS SELECT s, d, n, b, build, kind, object, signed, root, lost,
    (components + (root <> 0)::INTEGER) AS nodes
  FROM _documents JOIN _entries USING (s, n) JOIN (SELECT b, build FROM _builds) USING (build);
CREATE OR REPLACE VIEW builds AS SELECT build, artifact, version, digest, repository, "commit", run,
  builder, TRY_CAST(nullif(built_at, '') AS TIMESTAMPTZ) AS built_at, state AS unknown FROM _builds;
CREATE OR REPLACE VIEW documents AS SELECT build, d.* EXCLUDE (s, d, n, root)
  FROM _documents d JOIN _entries USING (s, n);
CREATE OR REPLACE VIEW components AS SELECT build, document, c.* EXCLUDE (s, d)
  FROM _components c JOIN (SELECT s, d, build, kind AS document FROM _of) USING (s, d);
CREATE OR REPLACE VIEW edges AS SELECT build, kind AS document, parent, child
  FROM _edges JOIN _of USING (s, d);
"""


class Index:
    """The tables of one archive, in a DuckDB connection of this process; safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._folder = files.directory / "tables"
        self._lock = threading.RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._seen: dict[Path, tuple[tuple[int, int], ...]] = {}  # segment to its files' sizes and times
        self._stamp: object = None  # of the folder of entries, when it was last read
        self._names: set[str] = set()
        self._broken: list[str] = []
        self._memo: Memo = {}
        self._sources: list[dict[str, str]] = []
        self.builds: pd.DataFrame  # of all builds; row number b

    @contextmanager
    def open(self, tell: Callable[[int, int], None] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with fresh tables; ``tell`` hears how many new entries of how many are derived."""
        with self._lock:
            connection = self._connect()
            self._refresh(connection, tell)
            yield connection

    def close(self) -> None:
        """Let go of the connection; the next question opens another one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._stamp, self._sources, self._seen = None, None, [], {}

    def forget(self) -> None:
        """Delete the tables; the next question derives them anew."""
        with self._lock:
            self.close()
            if self._folder.exists():
                with FileLock(self._folder / ".lock", timeout=60):
                    for path in self._folder.iterdir():
                        if path.is_dir():
                            shutil.rmtree(path, ignore_errors=True)

    def problems(self) -> list[Problem]:
        """Segments whose bytes were changed, and entries that only the tables remember."""
        found = []
        for folder in sorted(self._folder.glob("[!.]*/")):
            if said := Segment(folder, 0).problem():
                found.append(Problem("table changed", f"tables/{folder.name}", said,
                    "nothing is lost: it is derived anew; reindex removes it"))  # fmt: skip
        with self.open() as connection:
            lost = connection.execute(
                "SELECT entry, artifact, version FROM _entries WHERE lost ORDER BY ALL"
            ).fetchall()
            unread = connection.execute(
                "SELECT artifact, version, kind, object, any_value(d.why) FROM _documents d "
                "JOIN _entries USING (s, n) WHERE status = 'unreadable' GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        found += [Problem("entry missing", f"entries/{entry}.json", f"{artifact} {version} was archived",
            "add the build again; reindex forgets it") for entry, artifact, version in lost]  # fmt: skip
        for artifact, version, kind, digest, why in unread:
            path = self._files.path(digest).relative_to(self._files.directory).as_posix()
            said = f"{kind} of {artifact} {version}: {why}"
            found.append(Problem("document unreadable", path, said, "its build answers unknown"))
        return found

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(
                config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
            )
            self._connection.execute("SET parquet_metadata_cache = true")
            self._connection.execute("SET TimeZone = 'UTC'")
            weakref.finalize(self, self._connection.close)
        return self._connection

    def _refresh(self, connection: duckdb.DuckDBPyConnection, tell: Callable[[int, int], None] | None) -> None:
        try:
            status = self._files.entries.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            settled = time.time_ns() - status.st_mtime_ns > JUST_NOW
        except FileNotFoundError:
            stamp, settled = (0, 0), False
        if stamp == self._stamp and self._unchanged() and not 0 < len(self._broken) <= RETRIED:
            return
        names = self._files.names()
        if (
            self._stamp is not None and names == self._names and self._unchanged()
            and not 0 < len(self._broken) <= RETRIED
        ):  # fmt: skip
            self._stamp = stamp if settled else ()
            return
        found = tables.segments(self._folder, self._trusted)
        kept: list[Segment] = []
        covered: set[str] = set()
        for segment in found:
            held = {row[0] for row in connection.execute(
                f"SELECT entry FROM {segment.source('builds')}").fetchall()}  # fmt: skip
            if not held & covered:  # what a merge left behind is in the merged one
                kept.append(segment)
                covered |= held
        memory = self._derive(connection, sorted(names - covered), kept, tell)
        self._seen = {segment.folder: _marks(segment) for segment in kept}
        self._sources = [{t: s.source(t) for t in tables.COLUMNS} for s in kept] + memory
        self._prepare(connection, names)
        self._names, self._stamp = names, stamp if settled else ()

    def _trusted(self, segment: Segment) -> bool:
        """Whether its bytes were checked by this process, and its files not touched since."""
        return self._seen.get(segment.folder) == _marks(segment)

    def _unchanged(self) -> bool:
        return all(self._trusted(Segment(folder, 0)) for folder in self._seen)

    def _derive(
        self,
        connection: duckdb.DuckDBPyConnection,
        names: list[str],
        kept: list[Segment],
        tell: Callable[[int, int], None] | None,
    ) -> list[dict[str, str]]:
        """Tables of entries that no segment has: segments, added to ``kept``, and those in memory."""
        memory: list[dict[str, str]] = []
        self._broken = []
        if not names:
            return memory
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / ".lock", timeout=0)
            lock.acquire()
        except (OSError, Timeout):
            lock = None
        try:
            faulty = Batch()
            for start in range(0, len(names), BATCH):
                batch = Batch()
                with _without_collector():
                    for name in names[start : start + BATCH]:
                        self._take(name, batch, faulty)
                if tell:
                    tell(min(start + BATCH, len(names)), len(names))
                if batch.builds:
                    self._keep(connection, batch, kept if lock else None, memory)
            if faulty.builds:
                self._keep(connection, faulty, None, memory)
            if lock and (small := tables.crowd(kept)):
                with suppress(OSError, _duckdb_error()):
                    merged = tables.merge(connection, self._folder, small)
                    kept[:] = [s for s in kept if s not in small] + [merged]
        finally:
            self._memo = {}
            if lock:
                lock.release()
        return memory

    def _keep(
        self,
        connection: duckdb.DuckDBPyConnection,
        batch: Batch,
        kept: list[Segment] | None,
        memory: list[dict[str, str]],
    ) -> None:
        prefix = f"_m{len(memory)}_"
        batch.load(connection, prefix)
        names = {table: f'"{prefix}{table}"' for table in tables.COLUMNS}
        if kept is not None:
            with suppress(OSError, _duckdb_error()):
                selects = {table: f"SELECT * FROM {name}" for table, name in names.items()}
                kept.append(tables.write(connection, self._folder, selects, batch.builds))
                for name in names.values():
                    connection.execute(f"DROP TABLE {name}")
                return
        memory.append(names)

    def _take(self, name: str, batch: Batch, faulty: Batch) -> None:
        """Read an entry and its documents into ``batch``, or ``faulty`` when some of it is missing."""
        try:
            entry = self._files.entry(name)
        except (VerificationFailed, MalformedInput) as error:
            self._broken.append(name)
            faulty.build(name, ("", *[""] * 8), f"entries/{name}.json: {error.message}")
            return
        taken = [(document, *self._read(document)) for document in entry.documents]
        whole = all(status not in ("missing", "changed") for _, status, _, _ in taken)
        if not whole:
            self._broken.append(name)
        target = batch if whole else faulty
        build = entry.build
        n = target.build(name, (build.id, *build.document().values()), "")
        for document, status, why, said in taken:
            target.document(n, document.kind, document.digest, document.size, document.verdict, status,
                why, said)  # fmt: skip

    def _read(self, document: Document) -> tuple[str, str, Reading]:
        """Status, why, and what a document says."""
        try:
            data = self._files.get(document.digest)
        except (VerificationFailed, MalformedInput) as error:
            exists = self._files.path(document.digest).exists()
            return "changed" if exists else "missing", error.message, Reading()
        if document.kind in LISTED:
            try:
                return "read", "", read(data, self._memo)
            except MalformedInput as error:
                why = f"{error.message}: {error.why}" if error.why else error.message
                return "unreadable", why, Reading()
        try:
            return "stored", "", unwrap(data)[1]
        except MalformedInput:
            return "stored", "", Reading()  # a kind that need not be JSON

    def _prepare(self, connection: duckdb.DuckDBPyConnection, names: set[str]) -> None:
        """Small tables in memory, views of the large ones."""
        import pandas as pd

        for table, columns in tables.COLUMNS.items():
            parts = [f"SELECT {s} AS s, * FROM {source[table]}" for s, source in enumerate(self._sources)]
            nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
            whole = " UNION ALL ".join(parts) or f"SELECT 0 AS s, {nothing} WHERE false"
            form = "TABLE" if table in ("builds", "documents") else "VIEW"
            name = "_added" if table == "builds" else f"_{table}"
            connection.execute(f"CREATE OR REPLACE {form} {name} AS {whole}")
        present = pd.DataFrame({"entry": pd.Series(sorted(names), dtype=object)})
        connection.register("present", present)
        connection.execute(
            "CREATE OR REPLACE TABLE _entries AS SELECT * EXCLUDE (build), "
            "CASE WHEN broken = '' THEN build ELSE entry END AS build, "
            "entry NOT IN (SELECT entry FROM present) AS lost FROM _added"
        )
        connection.unregister("present")
        connection.execute(STATES)
        connection.execute(VIEWS)
        frame = connection.execute("SELECT * FROM _builds ORDER BY b").df()
        frame["built_at"] = pd.to_datetime(frame["built_at"].replace("", None), utc=True, format="ISO8601")
        self.builds = frame


@contextmanager
def _without_collector() -> Iterator[None]:
    """JSON has no cycles, and looking for some among a million strings takes longer than reading it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _marks(segment: Segment) -> tuple[tuple[int, int], ...]:
    marks = []
    for table in tables.COLUMNS:
        try:
            status = (segment.folder / f"{table}.parquet").stat()
            marks.append((status.st_size, status.st_mtime_ns))
        except OSError:
            marks.append((-1, -1))
    return tuple(marks)


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error
