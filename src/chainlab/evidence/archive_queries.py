"""Queries of the archive's tables: a question's answers as DataFrames.

Versions are compared by ``packaging``, on the few distinct ones that the tables hold under a name: as text, 1.10 comes
before 1.9. Everything else is DuckDB's.
"""

# ruff: noqa: S608 — conditions of this module; a person's words are parameters
from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from packageurl import PackageURL
from packaging.version import InvalidVersion, Version

from chainlab.errors import MalformedInput
from chainlab.evidence.archive_documents import key
from chainlab.evidence.archive_graph import climb, path
from chainlab.evidence.archive_questions import Question

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["builds", "paths", "seen", "sql", "where"]

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


def seen(
    connection: duckdb.DuckDBPyConnection, builds: pd.DataFrame, asked: Question, absence: str
) -> pd.DataFrame:
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


def paths(
    connection: duckdb.DuckDBPyConnection,
    builds: pd.DataFrame,
    asked: Question,
    absence: str,
    *,
    roots: bool,
) -> pd.DataFrame:
    """As `where`, with the way to each component; from the subject, or from all that need it."""
    import numpy as np
    import pandas as pd

    hits = _hits(connection, asked, nodes=True)
    sure = hits[~hits["doubt"]].reset_index(drop=True)
    # One graph for each component found: a case. A node's number is its case's times the stride, plus its own.
    cases = sure[["s", "d", "node", "root"]].assign(case=np.arange(len(sure), dtype=np.int64))
    connection.register("cases", cases)
    try:
        edges = connection.execute(
            'SELECT "case", child, parent FROM _edges JOIN cases USING (s, d)'
        ).fetchnumpy()
        highest = max([0, *(int(a.max()) for a in (edges["child"], edges["parent"]) if len(a)),
            *cases["node"], *cases["root"]])  # fmt: skip
        stride = highest + 1
        base = edges["case"].astype(np.int64) * stride
        starts = cases["case"].to_numpy() * stride + cases["node"].to_numpy()
        towards = climb(base + edges["child"], base + edges["parent"], starts, stride * len(cases))
        if roots:
            tops = cases["case"].to_numpy() * stride + cases["root"].to_numpy()
            tops = tops[cases["root"].to_numpy() >= 0]
            tops = tops[towards[tops] >= 0]
        else:
            tops = np.flatnonzero((towards >= 0) & (towards != np.arange(len(towards))))
        ways = [path(towards, int(top)) for top in tops]
        needed = np.unique(
            np.array([n for way in ways for n in way] + list(starts), dtype=np.int64)
        )
        labels = _labels(connection, needed, stride)
    finally:
        connection.unregister("cases")
    at = np.array([int(top) // stride for top in tops], dtype=np.int64)
    named = [[labels[n] for n in way] for way in ways]
    if roots:
        chosen, missing = sure, sorted(set(range(len(sure))) - set(at.tolist()))
        at = np.concatenate([at, np.array(missing, dtype=np.int64)])
        named += [[labels[int(starts[case])]] for case in missing]
        depths: list[Any] = [len(way) - 1 for way in ways] + [pd.NA] * len(missing)
    else:
        chosen, depths = sure, [len(way) - 1 for way in ways]
    extra = {"depth": pd.array(depths, dtype="Int64"), "path": pd.Series(named, dtype=object)}
    if not roots:
        extra["dependent"] = pd.Series([way[0] for way in named], dtype=object)
    rows = chosen.take(at).reset_index(drop=True).assign(**extra)
    order = rows.assign(_case=at).sort_values(["b", "_case", "depth"], kind="stable").index
    rows = rows.take(order)
    # The doubtful ones, and where nothing was found, as in `where`; not once more those that were found.
    rest = _answered(builds, asked, hits, False, absence)
    rest = rest[rest["answer"] == "unknown"]
    rest = rest.assign(depth=pd.array([pd.NA] * len(rest), dtype="Int64"), path=None)
    if not roots:
        rest["dependent"] = ""
    affected = _described(builds, rows, "affected")
    lost = affected["build"].isin(builds.loc[builds["lost"], "build"])
    whole = pd.concat([affected[~lost], rest], ignore_index=True) if len(rest) else affected[~lost]
    tail = [c for c in ("dependent", "depth", "path") if c in extra]
    lead = [c for c in whole.columns if c not in (*BUILD, *tail)]
    whole["path"] = [way if isinstance(way, list) else [] for way in whole["path"]]
    return whole[[*lead[:-1], *tail, "why", *BUILD]].reset_index(drop=True)


def builds(
    connection: duckdb.DuckDBPyConnection, every: pd.DataFrame, wanted: Mapping[str, str]
) -> pd.DataFrame:
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


def sql(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> pd.DataFrame:
    """Rows of a query that changes nothing."""
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise MalformedInput(
                "the archive answers one SELECT", mend="change nothing here: add()"
            )
        with warnings.catch_warnings():  # DuckDB 2.0 builds a frame with a time zone the old way
            warnings.simplefilter("ignore", DeprecationWarning)
            return connection.execute(query, list(values)).df()
    except duckdb.Error as error:
        raise MalformedInput("DuckDB cannot answer this", why=str(error)) from error


def _hits(
    connection: duckdb.DuckDBPyConnection, asked: Question, *, nodes: bool = False
) -> pd.DataFrame:
    """Components that are meant, or may be (column doubt)."""
    import pandas as pd

    judge: Callable[[str], bool | None]
    if asked.digest[1]:
        algorithm, digits = asked.digest
        given: list[Any] = [digits] if algorithm == "sha-256" else [f"{algorithm}:{digits}"]
        condition = (
            "sha256 = $1" if algorithm == "sha-256" else "list_contains(split(hashes, ' '), $1)"
        )
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
                "SELECT s, d, node, root, b, title AS component, version AS found, purl, scope, "
                "o.kind AS document, signed, doubt "
            )
            end = "ORDER BY b, s, d, node"
        else:
            select = (
                "SELECT b, title AS component, version AS found, purl, min(scope) AS scope, "
                "string_agg(DISTINCT o.kind, ' ' ORDER BY o.kind) AS document, "
                "bool_or(signed) AS signed, bool_and(doubt) AS doubt "
            )
            end = "GROUP BY ALL ORDER BY b, component, found, purl"
        return connection.execute(
            f"{select} FROM ({said}) JOIN _of o USING (s, d) {end}", given
        ).df()
    finally:
        if chosen is not None:
            connection.unregister("chosen")


def _answered(
    builds: pd.DataFrame, asked: Question, hits: pd.DataFrame, every: bool, absence: str
) -> pd.DataFrame:
    """Rows of `where`: affected, unknown, and with ``every`` not affected."""
    import numpy as np
    import pandas as pd

    lost = builds["lost"].to_numpy(dtype=bool)
    hits = hits.drop(columns=[c for c in ("s", "d", "node", "root") if c in hits])
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
            state[state == ""] = (
                f"nobody asks an SBOM to give {asked.digest[0]} for every component"
            )
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


def _described(
    builds: pd.DataFrame, rows: pd.DataFrame, answer: str, why: Any = ""
) -> pd.DataFrame:
    """Rows with the values of their builds."""
    import pandas as pd

    at = rows["b"].to_numpy(dtype=int)
    of = {c: builds[c].to_numpy()[at] for c in ("artifact", "version", *BUILD)}
    columns = {"answer": answer, "artifact": of["artifact"], "version": of["version"]}
    columns["built_at"] = builds["built_at"].array[at]
    columns |= {c: rows[c].array for c in rows if c not in ("b", "doubt", "s", "d", "node", "root")}
    columns |= {"why": why, **{c: of[c] for c in BUILD}}
    return pd.DataFrame(columns, index=range(len(rows)))


def _labels(connection: duckdb.DuckDBPyConnection, needed: Any, stride: int) -> dict[int, str]:
    """Names of nodes; ``cases`` is registered."""
    import pandas as pd

    wanted = pd.DataFrame({"place": needed, "case": needed // stride, "node": needed % stride})
    connection.register("wanted", wanted)
    try:
        rows = connection.execute(
            "SELECT place, trim(title || ' ' || version) FROM _components JOIN "
            '(SELECT s, d, wanted.node, place FROM wanted JOIN cases USING ("case")) USING (s, d, node)'
        ).fetchall()
    finally:
        connection.unregister("wanted")
    return dict(rows)


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
