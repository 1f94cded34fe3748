"""The archive's tables: five Parquet files per segment, derived from entries and objects, and never more than that.

    tables/ID/builds.parquet       n, entry, build, artifact, version, digest, repository, commit, run, builder, …
    tables/ID/documents.parquet    d, n, kind, object, size, signed, verdict, form, status, why, composition, …
    tables/ID/components.parquet   d, node, name, title, version, purl, …; sorted by name and version
    tables/ID/edges.parquet        d, child, parent; sorted
    tables/ID/trees.parquet        d, tree: for each node the one before it on a shortest way from the subject
    tables/ID/segment.json         the digest of each; ID is this file's own digest

A segment appears whole, by renaming its folder, and never changes. New entries make a small segment of their own;
now and then small segments become one. ``n`` and ``d`` number builds and documents inside a segment.
"""

# ruff: noqa: S608 — names of tables and quoted paths, never a person's words
from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chainlab.archive.documents import Reading, Row
from chainlab.archive.graph import pack, tree
from chainlab.digests import Digest

if TYPE_CHECKING:
    import duckdb

__all__ = ["Batch", "Segment", "crowd", "merge", "quoted", "segments", "write"]

FORMAT: Final = 2  # of the tables; another number in a segment means: derive it anew
# Column and type, in the order of the files.
COLUMNS: Final[dict[str, dict[str, str]]] = {
    "builds": {"n": "INTEGER", **dict.fromkeys(
        ("entry", "build", "artifact", "version", "digest", "repository", "commit", "run", "builder",
         "built_at", "broken"), "VARCHAR")},
    "documents": {"d": "INTEGER", "n": "INTEGER", "kind": "VARCHAR", "object": "VARCHAR",
        "size": "BIGINT", "signed": "BOOLEAN", "verdict": "VARCHAR", "form": "VARCHAR",
        "subjects": "VARCHAR", "status": "VARCHAR", "why": "VARCHAR", "composition": "VARCHAR",
        "stated_at": "VARCHAR", "root": "INTEGER", "components": "INTEGER", "unhashed": "INTEGER",
        "unaddressed": "INTEGER", "dangling": "INTEGER"},
    "components": {"d": "INTEGER", "node": "INTEGER", **dict.fromkeys(
        ("name", "title", "version", "purl", "kind", "sha256", "hashes", "licence", "supplier",
         "scope"), "VARCHAR")},
    "edges": {"d": "INTEGER", "child": "INTEGER", "parent": "INTEGER"},
    "trees": {"d": "INTEGER", "tree": "BLOB"},
}  # fmt: skip
ORDER: Final = {
    "builds": "n",
    "documents": "d",
    "components": "name, version, d, node",
    "edges": "d, child, parent",
    "trees": "d",
}
CROWD: Final = 8  # segments: with more, the small ones become one
AHEAD: Final = 4  # a segment this many times larger than all smaller ones together is left alone


@dataclass(frozen=True)
class Segment:
    """One segment's tables on the disk."""

    folder: Path
    builds: int

    def source(self, table: str) -> str:
        """The table in SQL."""
        return f"read_parquet({quoted(str(self.folder / f'{table}.parquet'))})"

    def problem(self) -> str:
        """What is wrong with its bytes; empty when nothing is."""
        try:
            described = (self.folder / "segment.json").read_bytes()
            if Digest.of(described).value.hex()[:32] != self.folder.name:
                return "segment.json was changed"
            files = json.loads(described)["files"]
            for name, digest in files.items():
                if str(Digest.of_file(self.folder / name)) != digest:
                    return f"{name} was changed"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return str(error)
        return ""


@dataclass
class Batch:
    """Rows on their way into tables, column by column."""

    columns: dict[str, list[list[Any]]] = field(
        default_factory=lambda: {table: [[] for _ in names] for table, names in COLUMNS.items()}
    )
    distinct: dict[Row, int] = field(default_factory=dict)  # components, each once; rows name its number
    builds: int = 0
    documents: int = 0

    def build(self, entry: str, values: Sequence[str], broken: str = "") -> int:
        """Add a build, its values in the order of the columns after ``entry``; its number."""
        self._row("builds", (self.builds, entry, *values, broken))
        self.builds += 1
        return self.builds - 1

    def document(
        self, n: int, kind: str, digest: str, size: int, verdict: str, status: str, why: str, said: Reading
    ) -> None:
        """Add a document of build ``n`` and what was read out of it."""
        d = self.documents
        self.documents += 1
        rows = said.components
        others = rows[1:] if said.root == 0 else rows
        self._row("documents", (
            d, n, kind, digest, size, said.signed, verdict, said.form, " ".join(said.subjects), status,
            why, said.composition, said.stated_at, said.root, len(rows),
            sum(not row.sha256 for row in others), sum(not row.purl for row in others), said.dangling,
        ))  # fmt: skip
        columns = self.columns["components"]
        columns[0].extend([d] * len(rows))
        columns[1].extend(range(said.first, said.first + len(rows)))
        distinct = self.distinct
        columns[2].extend([distinct.setdefault(row, len(distinct)) for row in rows])
        if said.edges:
            columns = self.columns["edges"]
            columns[0].extend([d] * len(said.edges))
            parents, children = zip(*said.edges, strict=True)
            columns[1].extend(children)
            columns[2].extend(parents)
        if said.root == 0:
            self._row("trees", (d, pack(tree(said.edges, len(rows)))))

    def _row(self, table: str, values: Sequence[Any]) -> None:
        for column, value in zip(self.columns[table], values, strict=True):
            column.append(value)

    def load(self, connection: duckdb.DuckDBPyConnection, prefix: str) -> None:
        """Make the tables in memory, named ``prefix`` plus the table's name."""
        components = {"d": "INTEGER", "node": "INTEGER", "row": "INTEGER"}
        rows = {"row": "INTEGER", **dict.fromkeys(Row._fields, "VARCHAR")}
        values = [list(column) for column in zip(*self.distinct, strict=True)] or [[] for _ in Row._fields]
        for table, names, columns in (
            *((table, COLUMNS[table], self.columns[table]) for table in ("builds", "documents", "edges", "trees")),
            ("placed", components, self.columns["components"][:3]),
            ("rows", rows, [list(range(len(self.distinct))), *values]),
        ):
            _load(connection, f"{prefix}{table}", names, columns)
        connection.execute(
            f'CREATE OR REPLACE TABLE "{prefix}components" AS SELECT d, node, r.* EXCLUDE ("row") '
            f'FROM "{prefix}placed" JOIN "{prefix}rows" r USING ("row")'
        )
        for table in ("placed", "rows"):
            connection.execute(f'DROP TABLE "{prefix}{table}"')


def _load(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    names: dict[str, str],
    columns: list[list[Any]],
) -> None:
    import numpy as np
    import pandas as pd

    kinds = {"INTEGER": np.int32, "BIGINT": np.int64, "BOOLEAN": np.bool_}
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=kinds.get(kind, object))
            for (name, kind), values in zip(names.items(), columns, strict=True)
        }
    )
    typed = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in names.items())
    connection.register("incoming", frame)
    try:
        connection.execute(f'CREATE OR REPLACE TABLE "{table}" AS SELECT {typed} FROM incoming')
    finally:
        connection.unregister("incoming")


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def segments(folder: Path, trusted: Callable[[Segment], bool]) -> list[Segment]:
    """Those of a folder, largest first; one whose bytes were changed is not among them.

    ``trusted`` says of which the bytes need not be read again.
    """
    found = []
    for described in folder.glob("[!.]*/segment.json"):
        segment = Segment(described.parent, 0)
        if trusted(segment) or not segment.problem():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                content = json.loads(described.read_bytes())
                if content["format"] == FORMAT:
                    found.append(Segment(described.parent, int(content["builds"])))
    return sorted(found, key=lambda segment: (-segment.builds, segment.folder.name))


def write(connection: duckdb.DuckDBPyConnection, folder: Path, tables: dict[str, str], builds: int) -> Segment:
    """A new segment from pieces of SQL, one for each table.

    Raises `OSError` or duckdb's `IOException`; then nothing is left of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part"))
    try:
        files = {}
        for table, select in tables.items():
            path = staged / f"{table}.parquet"
            connection.execute(
                f"COPY (SELECT * FROM ({select}) ORDER BY {ORDER[table]}) TO {quoted(str(path))} "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
            files[path.name] = str(Digest.of_file(path))
        described = json.dumps({"format": FORMAT, "builds": builds, "files": files}, indent=1)
        (staged / "segment.json").write_text(described)
        target = folder / Digest.of(described.encode()).value.hex()[:32]
        try:
            staged.rename(target)
        except OSError:
            if not target.is_dir() or Segment(target, builds).problem():
                shutil.rmtree(target, ignore_errors=True)  # of the same name, but changed
                staged.rename(target)
        return Segment(target, builds)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def crowd(found: Sequence[Segment]) -> list[Segment]:
    """The segments that should become one; none when there are few."""
    if len(found) <= CROWD:
        return []
    small: list[Segment] = []
    for segment in sorted(found, key=lambda segment: segment.builds):
        if len(small) > 1 and segment.builds > AHEAD * sum(part.builds for part in small):
            break
        small.append(segment)
    return small


def merge(connection: duckdb.DuckDBPyConnection, folder: Path, parts: Iterable[Segment]) -> Segment:
    """One segment in place of several, which are then removed."""
    parts = list(parts)
    selects: dict[str, list[str]] = {table: [] for table in COLUMNS}
    n = d = 0
    for part in parts:
        for table in COLUMNS:
            shifted = {"n": n, "d": d}
            columns = ", ".join(
                f"({name} + {shifted[name]})::INTEGER AS {name}" if name in shifted else name for name in COLUMNS[table]
            )
            selects[table].append(f"SELECT {columns} FROM {part.source(table)}")
        row = connection.execute(f"SELECT count(*) FROM {part.source('documents')}").fetchone()
        d += int(row[0]) if row else 0
        n += part.builds
    merged = write(connection, folder, {t: " UNION ALL ".join(s) for t, s in selects.items()}, n)
    for part in parts:
        if part.folder != merged.folder:
            shutil.rmtree(part.folder, ignore_errors=True)
    return merged
