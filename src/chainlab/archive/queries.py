"""Queries of the archive's tables: a question's answers as DataFrames.

Versions are compared by ``packaging``, on the few distinct ones that the tables hold under a name: as text, 1.10 comes
before 1.9. Everything else is DuckDB's.
"""

# ruff: noqa: S608 — conditions of this module; a person's words are parameters
from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from packageurl import PackageURL
from packaging.version import InvalidVersion, Version

from chainlab.archive.documents import key
from chainlab.archive.graph import climb, path, unpack
from chainlab.archive.questions import Question
from chainlab.errors import MalformedInput

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["builds", "seen", "sql", "ways_down", "ways_up", "where"]

BUILD: Final = ("digest", "repository", "commit", "run", "builder", "build")
FOUND: Final = ("component", "found", "purl", "scope", "document", "signed")
# What must be said of an SBOM for "not affected": the argument, and the levels that are enough.
ABSENCE: Final = {
    "complete": ["complete"],
    "dependencies": ["complete", "dependencies"],
    "silence": ["complete", "dependencies", "unsaid"],
}
NO_VERSION: Final = "it lists {title} without a version"
ODD_VERSION: Final = "its version of {title} is {version!r}, which PEP 440 does not order"


def where(
    connection: duckdb.DuckDBPyConnection, builds: pd.DataFrame, asked: Question, every: bool,
    absence: str,
) -> pd.DataFrame:  # fmt: skip
    """One row per build and component found, then those of which it is unknown."""
    hits = _hits(connection, asked)
    return _answered(builds, asked, hits, every, absence)


def seen(connection: duckdb.DuckDBPyConnection, builds: pd.DataFrame, asked: Question, absence: str) -> pd.DataFrame:
    """First and last, by version."""
    import pandas as pd

    found = where(connection, builds, asked, False, absence)
    found["label"] = found["artifact"] + " " + found["version"]
    rows = []
    affected = found[found["answer"] == "affected"]
    for (component, version), group in affected.groupby(["component", "found"], sort=True):
        rows.append(("affected", component, version, *_span(group)))
    rows.sort(key=lambda row: (row[1], *_order(row[2])))
    unknown = found[found["answer"] == "unknown"]
    if len(unknown):
        rows.append(("unknown", "", "", *_span(unknown)))
    columns = [
        "answer",
        "component",
        "found",
        "builds",
        "first",
        "first_build",
        "last",
        "last_build",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    for column in ("first", "last"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame


def ways_down(
    connection: duckdb.DuckDBPyConnection, builds: pd.DataFrame, asked: Question, absence: str
) -> pd.DataFrame:
    """As `where`, with the way to each component from the subject."""
    return _linked(connection, builds, asked, absence, _down)


def ways_up(connection: duckdb.DuckDBPyConnection, builds: pd.DataFrame, asked: Question, absence: str) -> pd.DataFrame:
    """As `where`, with the way to each component from every one that needs it."""
    return _linked(connection, builds, asked, absence, _up)


# Of every row its case, how many edges its way has (None: no way leads there), and the names on the way.
Ways = tuple[Sequence[int], list[int | None], list[list[str]]]


def _linked(
    connection: duckdb.DuckDBPyConnection,
    builds: pd.DataFrame,
    asked: Question,
    absence: str,
    search: Callable[[duckdb.DuckDBPyConnection, pd.DataFrame], Ways],
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    hits = _hits(connection, asked, nodes=True)
    lost = builds["lost"].to_numpy(dtype=bool)
    sure = hits[~hits["doubt"] & ~lost[hits["b"]]].reset_index(drop=True)
    # One graph for each component found: a case.
    cases = sure[["s", "d", "node", "nodes"]].assign(case=np.arange(len(sure), dtype=np.int64))
    connection.register("cases", cases)
    try:
        at, depths, ways = search(connection, cases)
    finally:
        connection.unregister("cases")
    affected = _described(builds, sure.take(at), "affected")
    # The doubtful ones, and where nothing was found, as in `where`; not once more those that were found.
    rest = _answered(builds, asked, hits, False, absence)
    rest = rest[rest["answer"] == "unknown"]
    whole = pd.concat([affected, rest], ignore_index=True) if len(rest) else affected
    depths += [None] * len(rest)
    ways += [[] for _ in range(len(rest))]
    tail: dict[str, Any] = {}
    if search is _up:
        tail["dependent"] = [way[0] if way else "" for way in ways]
    tail |= {"depth": pd.array(depths, dtype="Int64"), "path": pd.Series(ways, dtype=object)}
    lead = [c for c in whole.columns if c not in ("why", *BUILD)]
    return whole.assign(**tail)[[*lead, *tail, "why", *BUILD]]


def _down(connection: duckdb.DuckDBPyConnection, cases: pd.DataFrame) -> Ways:
    """A way from the subject to the component of each case, or the component alone; ``cases`` is registered."""
    rows = connection.execute("SELECT s, d, tree FROM _trees SEMI JOIN cases USING (s, d)")
    trees = {(s, d): unpack(packed) for s, d, packed in rows.fetchall()}
    places = list(zip(*(cases[c].tolist() for c in ("s", "d", "node")), strict=True))
    found = [path(trees[s, d], node)[::-1] if (s, d) in trees else [] for s, d, node in places]
    ways = [way or [node] for way, (_, _, node) in zip(found, places, strict=True)]
    of = [case for case, way in enumerate(ways) for _ in way]
    labels = iter(_labels(connection, of, [node for way in ways for node in way]))
    depths = [len(way) - 1 if way else None for way in found]
    return range(len(ways)), depths, [list(islice(labels, len(way))) for way in ways]


def _up(connection: duckdb.DuckDBPyConnection, cases: pd.DataFrame) -> Ways:
    """A way to the component of each case from every one that needs it; ``cases`` is registered."""
    import numpy as np

    edges = connection.execute('SELECT "case", child, parent FROM _edges JOIN cases USING (s, d)').fetchnumpy()
    # All graphs become one: a node's number is its own, plus how many nodes the cases before have.
    nodes = cases["nodes"].to_numpy(dtype=np.int64)
    ends = np.cumsum(nodes)
    base = ends - nodes
    of = base[edges["case"]]
    starts = base + cases["node"].to_numpy()
    towards, order = climb(of + edges["child"], of + edges["parent"], starts, int(nodes.sum()))
    at = np.searchsorted(ends, order, "right")
    nearest = np.argsort(at, kind="stable")  # by case, then by distance
    at, order = at[nearest], order[nearest]
    labels = _labels(connection, at, order - base[at])
    ways: dict[int, list[str]] = {}
    for place, below, label in zip(order.tolist(), towards[order].tolist(), labels, strict=True):
        ways[place] = [label, *ways.get(below, ())]
    away = towards[order] != order  # all but the starts
    named = [ways[place] for place in order[away].tolist()]
    return at[away], [len(way) - 1 for way in named], named


def _labels(connection: duckdb.DuckDBPyConnection, cases: Any, nodes: Any) -> list[str]:
    """Names and versions of nodes, each of its case; ``cases`` is registered."""
    import numpy as np
    import pandas as pd

    wanted = {"case": cases, "node": nodes, "place": np.arange(len(cases))}
    connection.register("wanted", pd.DataFrame(wanted, dtype=np.int64))
    try:
        rows = connection.execute(
            "SELECT place, trim(title || ' ' || version) FROM _components JOIN "
            '(SELECT s, d, wanted.node::INTEGER AS node, place FROM wanted JOIN cases USING ("case")) '
            "USING (s, d, node)"
        ).fetchall()
    finally:
        connection.unregister("wanted")
    labels = [""] * len(cases)
    for place, label in rows:
        labels[place] = label
    return labels


def builds(connection: duckdb.DuckDBPyConnection, every: pd.DataFrame, wanted: Mapping[str, str]) -> pd.DataFrame:
    """Builds that match every value that is not empty."""
    rows = every
    for column, value in wanted.items():
        if value:
            if column == "digest":
                value = "sha256:" + value.lower().removeprefix("sha256:")
            rows = rows[rows[column] == value]
    kinds = connection.execute(
        "SELECT b, string_agg(DISTINCT kind, ' ' ORDER BY kind) AS kinds, "
        "coalesce(string_agg(DISTINCT kind, ' ' ORDER BY kind) FILTER (signed), '') AS signed "
        "FROM _of GROUP BY b"
    ).df()
    columns = ["artifact", "version", "built_at", *BUILD, "kinds", "signed", "unknown"]
    whole = rows.merge(kinds, on="b", how="left").rename(columns={"state": "unknown"})
    return whole[columns].fillna({"kinds": "", "signed": ""}).reset_index(drop=True)


def sql(connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    """Rows of a query that changes nothing."""
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise MalformedInput("the archive answers one SELECT", mend="change nothing here: add()")
        with warnings.catch_warnings():  # DuckDB 2.0 builds a frame with a time zone the old way
            warnings.simplefilter("ignore", DeprecationWarning)
            return connection.execute(query, list(values)).df()
    except duckdb.Error as error:
        raise MalformedInput("DuckDB cannot answer this", why=str(error)) from error


def _hits(connection: duckdb.DuckDBPyConnection, asked: Question, *, nodes: bool = False) -> pd.DataFrame:
    """Components that are meant, or may be (column doubt)."""
    import pandas as pd

    judge: Callable[[str], bool | None]
    if asked.digest[1]:
        algorithm, digits = asked.digest
        given: list[Any] = [digits] if algorithm == "sha-256" else [f"{algorithm}:{digits}"]
        condition = "sha256 = $1" if algorithm == "sha-256" else "list_contains(split(hashes, ' '), $1)"
        chosen = None
    else:
        if asked.purl is not None:
            column, judge = "purl", asked.holds_purl
            bare = PackageURL(asked.purl.type, asked.purl.namespace, asked.purl.name).to_string()
            condition, given = "starts_with(purl, $1)", [bare]
        else:
            column, judge = "version", asked.holds
            given = sorted({asked.name, key(asked.name)})
            condition = " OR ".join(f"name = ${n + 1}" for n in range(len(given)))
            condition = f"({condition})"
        if column == "version" and not asked.version and asked.range is None:
            chosen = None
        else:
            distinct = connection.execute(
                f"SELECT DISTINCT {column} FROM _components WHERE {condition}", given
            ).fetchall()
            judged = [(value, judge(value)) for (value,) in distinct]
            judged = [(value, held is None) for value, held in judged if held is not False]
            chosen = pd.DataFrame({
                column: pd.Series([value for value, _ in judged], dtype=object),
                "doubt": pd.Series([doubt for _, doubt in judged], dtype=bool),
            })  # fmt: skip
    if chosen is not None:
        connection.register("chosen", chosen)
    said = (
        f"SELECT c.*, {'false AS doubt' if chosen is None else 'doubt'} FROM _components c "
        + ("" if chosen is None else f"JOIN chosen USING ({column}) ")
        + f"WHERE {condition}"
    )
    try:
        if nodes:
            select = (
                "SELECT s, d, node, nodes, b, title AS component, version AS found, purl, scope, "
                "o.kind AS document, signed, doubt "
            )
            end = "ORDER BY b, s, d, node"
        else:
            select = (
                "SELECT b, title AS component, version AS found, purl, min(scope) AS scope, "
                "concat_ws(' ', min(o.kind), nullif(max(o.kind), min(o.kind))) AS document, "  # mlbom, sbom
                "bool_or(signed) AS signed, bool_and(doubt) AS doubt "
            )
            end = "GROUP BY ALL ORDER BY b, component, found, purl"
        return connection.execute(f"{select} FROM ({said}) JOIN _of o USING (s, d) {end}", given).df()
    finally:
        if chosen is not None:
            connection.unregister("chosen")


def _answered(builds: pd.DataFrame, asked: Question, hits: pd.DataFrame, every: bool, absence: str) -> pd.DataFrame:
    """Rows of `where`: affected, unknown, and with ``every`` not affected."""
    import numpy as np
    import pandas as pd

    lost = builds["lost"].to_numpy(dtype=bool)
    hits = hits.drop(columns=[c for c in ("s", "d", "node", "nodes") if c in hits])
    own = builds["digest"].to_numpy() == f"sha256:{asked.digest[1]}" if asked.digest[1] else None
    if own is not None and own.any():
        rows = builds[own]
        hits = pd.concat([hits, pd.DataFrame({
            "b": rows["b"], "component": rows["artifact"], "found": rows["version"], "purl": "",
            "scope": "", "document": "", "signed": False, "doubt": False,
        })]).drop_duplicates(["b", "component", "found"])  # fmt: skip
    sure = hits[~hits["doubt"].astype(bool) & ~lost[hits["b"]]]
    unsure = hits[~hits["b"].isin(sure["b"])]
    why = [
        "an entry of this build is gone; the tables remember that it held this" if lost[hit.b]
        else (ODD_VERSION if hit.found else NO_VERSION).format(title=hit.component, version=hit.found)
        for hit in unsure.itertuples()
    ]  # fmt: skip
    state = builds["state"].to_numpy(dtype=object).copy()
    if absence not in ABSENCE:
        raise MalformedInput(f"absence={absence!r}", mend=f"one of {', '.join(ABSENCE)}")
    state[np.isin(builds["level"].to_numpy(dtype=object), ABSENCE[absence])] = ""
    missing = {"hashed": "a SHA-256", "addressed": "a purl"}
    column = "hashed" if asked.digest[1] else "addressed" if asked.purl is not None else ""
    if column:
        lacking = ~builds[column].to_numpy(dtype=bool) & (state == "")
        state[lacking] = f"its SBOM does not give {missing[column]} for every component"
        if asked.digest[0] not in ("", "sha-256"):
            state[state == ""] = f"nobody asks an SBOM to give {asked.digest[0]} for every component"
    rest = np.ones(len(builds), dtype=bool)
    rest[hits["b"].to_numpy(dtype=int)] = False
    unknown = np.flatnonzero(rest & (state != ""))
    clean = np.flatnonzero(rest & (state == "")) if every else unknown[:0]
    parts = [
        _described(builds, rows, answer, said)
        for rows, answer, said in (
            (sure, "affected", ""),
            (unsure, "unknown", why),
            (_nothing(unknown), "unknown", state[unknown]),
            (_nothing(clean), "not affected", ""),
        )
        if len(rows)
    ]
    if not parts:
        return _described(builds, sure, "affected")
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _nothing(numbers: Any) -> pd.DataFrame:
    import pandas as pd

    blank = dict.fromkeys(FOUND, "") | {"signed": False}
    return pd.DataFrame({"b": numbers, **blank})


def _described(builds: pd.DataFrame, rows: pd.DataFrame, answer: str, why: Any = "") -> pd.DataFrame:
    """Rows with the values of their builds."""
    import pandas as pd

    at = rows["b"].to_numpy(dtype=int)
    of = {c: builds[c].to_numpy()[at] for c in ("artifact", "version", *BUILD)}
    columns = {"answer": answer, "artifact": of["artifact"], "version": of["version"]}
    columns["built_at"] = builds["built_at"].array[at]
    columns |= {c: rows[c].array for c in rows if c not in ("b", "doubt", "s", "d", "node", "nodes")}
    columns |= {"why": why, **{c: of[c] for c in BUILD}}
    return pd.DataFrame(columns, index=range(len(rows)))


def _span(group: pd.DataFrame) -> tuple[Any, ...]:
    """Builds, and the first and last of them; a build without a time counts, but is neither."""
    one = group.drop_duplicates("build").sort_values("built_at", kind="stable")
    dated = one[one["built_at"].notna()]
    if not len(dated):
        return len(one), None, "", None, ""
    first, last = dated.iloc[0], dated.iloc[-1]
    return len(one), first["built_at"], first["label"], last["built_at"], last["label"]


def _order(version: str) -> tuple[int, Any]:
    try:
        return 1, Version(version)
    except InvalidVersion:
        return 0, version
