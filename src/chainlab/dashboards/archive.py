"""The archive's dashboard: one function for each of its five figures, and the table `summary`.

    coverage        which kinds of evidence each build has         completeness    what an SBOM should list and lists
    freshness       how old each artifact's newest build is        licences        the licences of all components
    signed_share    the share of builds with signed evidence       summary         the numbers of all of them, in words

Each figure's function takes tables of the archive (`Archive.table`, `Archive.builds`). It returns a figure whose title
is the finding, and the DataFrame that it draws. To add a column, add it to that DataFrame and to the function's
docstring; the columns of the archive itself are in `TABLES` of `chainlab.archive.queries`.

    >>> archive = Archive(Path("archive"))
    >>> figure, table = coverage(archive.table("documents"), archive.builds())

Unknown is a value here too: a build without an SBOM is counted, not left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chainlab.archive.entries import KINDS
from chainlab.dashboards.drawing import ACCENT, INK

if TYPE_CHECKING:
    from chainlab.archive import Archive

__all__ = ["completeness", "coverage", "freshness", "licences", "signed_share", "summary"]

TRACK: Final = "#d5dde4"  # the bar for the whole, behind each bar
UNSTATED: Final = "not stated"
STALE: Final = pd.Timedelta(days=90)
FEW: Final = 8  # up to so many points each get their own date on the axis


def coverage(
    documents: pd.DataFrame, builds: pd.DataFrame, *, kinds: Sequence[str] = KINDS[:4]
) -> tuple[Figure, pd.DataFrame]:
    """Count the builds that have each kind of document.

    ``documents`` and ``builds`` as `Archive.table` gives them. Table: index kind; columns builds, of, share.
    A document that is missing, unreadable or about other bytes does not count.
    """
    there = documents[documents["status"].isin(["read", "stored"])]
    counts = [there.loc[there["kind"] == kind, "build"].nunique() for kind in kinds]
    table = _shares(pd.Index(kinds, name="kind"), counts, builds["build"].nunique())
    worst = table["share"].idxmin() if len(builds) else None
    if worst is None:
        title = "No build is archived"
    elif table["share"].min() == 1:
        title = f"Every one of {len(builds)} builds has {_joined(kinds)}"
    else:
        row = table.loc[worst]
        title = f"{int(row['of'] - row['builds'])} of {_builds(int(row['of']))} lack {_with_article(worst)}"
    return _bars(table, title, "builds that have it"), table


def completeness(
    components: pd.DataFrame,
    expected: Mapping[str, Collection[str]],
    *,
    labels: Mapping[str, str] | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Compare what each build's SBOM lists with what the build is known to contain.

    ``components`` as `Archive.table` gives them; ``expected``: by build id, the names that must be listed, as
    `Component.name` writes them; ``labels``: by build id, the name to show. Table: index build; columns listed,
    of, share, missing. A build without a readable SBOM lists nothing.
    """
    from chainlab.archive.documents import search_key

    rows = {}
    for build, names in expected.items():
        listed = set(components.loc[components["build"] == build, "name"])
        missing = sorted(name for name in set(names) if not {name, search_key(name)} & listed)
        rows[(labels or {}).get(build, build)] = (
            len(set(names)) - len(missing),
            len(set(names)),
            missing,
        )
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["builds", "of", "missing"])
    table = table.rename_axis("build").rename(columns={"builds": "listed"})
    table.insert(2, "share", (table["listed"] / table["of"].where(table["of"] > 0)).astype(float))
    unread = [name for build, name in zip(expected, rows, strict=True) if not (components["build"] == build).any()]
    short = table[(table["listed"] < table["of"]) & ~table.index.isin(unread)]
    findings = [f"{len(unread)} {'has' if len(unread) == 1 else 'have'} no list that can be read"] if unread else []
    if len(short):
        often = pd.Series([name for names in short["missing"] for name in names]).value_counts()
        most = sorted(often[often == often.max()].index)[0]
        findings.append(f"{len(short)} {'omits' if len(short) == 1 else 'omit'} something, most often {most}")
    if findings:
        title = f"Of {_builds(len(table))} {'; '.join(findings)}"
    else:
        title = f"Every SBOM of {_builds(len(table))} lists all that was expected"
    shown = table.rename(columns={"listed": "builds"})
    return _bars(shown, title, "expected components that the SBOM lists"), table


def freshness(builds: pd.DataFrame, at: datetime, *, stale: pd.Timedelta = STALE) -> tuple[Figure, pd.DataFrame]:
    """Measure the age of each artifact's newest build at a moment; builds older than ``stale`` stand out.

    Table: index artifact; columns version, built_at, days (NaN where no build has a time), stale.
    """
    rows = builds.sort_values("built_at", na_position="first", kind="stable")
    table = rows.groupby("artifact").tail(1).set_index("artifact")[["version", "built_at"]]
    table["days"] = (pd.Timestamp(at) - table["built_at"]) / pd.Timedelta(days=1)
    table["stale"] = table["days"] > stale / pd.Timedelta(days=1)
    table = table.sort_values("days", ascending=False, na_position="first")
    old, unknown = int(table["stale"].sum()), int(table["days"].isna().sum())
    limit = f"{stale.days} days"
    if not len(table):
        title = "No build is archived"
    elif old:
        title = f"{old} of {len(table)} artifacts {_was_or_were(old)} last built more than {limit} ago"
    else:
        title = f"Every artifact with a known time was built within {limit}"
    title += f"; of {unknown} the time is unknown" if unknown else ""
    fig, ax = _axes(len(table))
    ys = range(len(table))
    lengths = table["days"].fillna(0)
    ax.barh(ys, lengths, height=0.6, color=[ACCENT if s else INK for s in table["stale"]])
    words = ["unknown" if pd.isna(days) else f"{days:.0f} d" for days in table["days"]]
    _label_bars(ax, table.index, lengths, words)
    if len(table) and lengths.max() > stale.days:
        ax.axvline(stale.days, color="#555555", lw=1, ls="--")
    ax.set(title=title, xlabel=f"days since the newest build, at {pd.Timestamp(at):%d %B %Y}")
    ax.set_xlim(0, max(float(lengths.max()) if len(table) else 0, stale.days) * 1.15)
    return fig, table


def licences(
    components: pd.DataFrame, *, allowed: Collection[str] | None = None, top: int = 12
) -> tuple[Figure, pd.DataFrame]:
    """Count the licences that components state, each component version once; the rarest are drawn together.

    ``allowed``: licences that need no review; others stand out, and so do components that state none.
    Table: index licence; columns components, of, share, allowed.
    """
    subject = components["node"] == 0
    distinct = components[~subject].drop_duplicates(["name", "version", "purl", "licence"])
    counts = distinct["licence"].replace("", UNSTATED).value_counts()
    ordered = counts.sort_index().sort_values(ascending=False, kind="stable")
    table = _shares(ordered.index.rename("licence"), ordered.tolist(), len(distinct))
    table = table.rename(columns={"builds": "components"})
    fine = [name != UNSTATED and (allowed is None or name in allowed) for name in table.index]
    table["allowed"] = pd.array(fine, dtype=bool)
    doubtful = table[~table["allowed"]]
    silent = int(ordered.get(UNSTATED, 0))
    other = int(doubtful["components"].sum()) - silent
    if not len(distinct):
        title = "No SBOM lists a component"
    elif other:
        title = f"{other} of {len(distinct)} components have a licence that is not on the list"
        title += f"; {silent} state none" if silent else ""
    elif silent:
        title = f"{silent} of {len(distinct)} components state no licence"
    else:
        title = f"All {len(distinct)} components state a licence{' that is allowed' if allowed else ''}"
    drawn = table.head(top)
    if len(table) > top:
        rest = table.iloc[top:]
        joined = pd.DataFrame(
            {"components": rest["components"].sum(), "of": len(distinct), "share": rest["share"].sum(),
             "allowed": rest["allowed"].all()}, index=[f"{len(rest)} others"],
        )  # fmt: skip
        drawn = pd.concat([drawn, joined])
    colours = [INK if fine else ACCENT for fine in drawn["allowed"]]
    figure = _bars(drawn.rename(columns={"components": "builds"}), title, "component versions", colours)
    return figure, table


def signed_share(
    documents: pd.DataFrame, builds: pd.DataFrame, *, kind: str = "sbom", freq: str = "MS"
) -> tuple[Figure, pd.DataFrame]:
    """Draw over time the share of builds whose document of a kind came in a signed bundle.

    ``freq`` is a pandas frequency; MS is months. Table: index from, the period's begin; columns signed, of, share.
    Builds without a time are not drawn; a build without the document counts as unsigned.
    """
    own = documents[documents["status"] != "about other bytes"]
    signed = set(own.loc[(own["kind"] == kind) & own["signed"], "build"])
    dated = builds[builds["built_at"].notna()].drop_duplicates("build")
    marked = dated.assign(signed=dated["build"].isin(signed)).set_index("built_at").sort_index()
    if len(marked):
        grouped = marked["signed"].resample(freq).agg(["sum", "count"])
        grouped = grouped[grouped["count"] > 0]
    else:
        grouped = pd.DataFrame({"sum": [], "count": []})
    table = pd.DataFrame({"signed": grouped["sum"].astype(int), "of": grouped["count"].astype(int)}).rename_axis("from")
    table["share"] = table["signed"] / table["of"]
    fig, ax = plt.subplots(figsize=(9, 3.6))
    if not len(table):
        title = "No build has a time"
    else:
        last = table.iloc[-1]
        first = table.iloc[0]
        change = "as at first" if last["share"] == first["share"] else f"from {first['share']:.0%} at first"
        title = f"{last['share']:.0%} of the newest builds have {_with_article(kind)} that is signed, {change}"
        ax.plot(table.index, table["share"] * 100, "o-", color=INK, clip_on=False)
        for moment, row in table.iterrows():
            ax.annotate(f"{row['signed']:.0f}/{row['of']:.0f}", (moment, row["share"] * 100), (0, 7),
                textcoords="offset points", ha="center", fontsize=8, color="#333333")  # fmt: skip
    ax.set(title=title, ylabel="builds, %", ylim=(0, 112), yticks=[0, 25, 50, 75, 100])
    if len(table) <= FEW:
        ax.set_xticks(table.index, [f"{moment:%d %b %Y}" for moment in table.index])
    ax.grid(axis="y")
    return fig, table


def summary(archive: Archive, at: datetime) -> pd.DataFrame:
    """Answer the dashboard's questions in numbers: index question; columns answer, of."""
    builds, documents = archive.builds(), archive.table("documents")
    components = archive.table("components")
    whole = len(builds)
    there = documents[documents["status"].isin(["read", "stored"])]
    rows: dict[str, tuple[int, int]] = {
        "artifacts": (builds["artifact"].nunique(), builds["artifact"].nunique()),
        "builds": (whole, whole),
    }
    for kind in KINDS:
        rows[f"builds with {_with_article(kind)}"] = (
            there.loc[there["kind"] == kind, "build"].nunique(), whole)  # fmt: skip
    signed = there[(there["kind"] == "sbom") & there["signed"]]
    rows["builds with a signed SBOM"] = (signed["build"].nunique(), whole)
    rows["builds whose SBOM proves absence"] = (int((builds["unknown"] == "").sum()), whole)
    lost = documents["status"].isin(["missing", "changed", "unreadable"])
    rows["documents gone, changed or unreadable"] = (int(lost.sum()), len(documents))
    parts = components[components["node"] != 0].drop_duplicates(["name", "version", "purl"])
    rows["component versions"] = (len(parts), len(parts))
    rows["of them without a licence"] = (int((parts["licence"] == "").sum()), len(parts))
    rows["of them without a SHA-256"] = (int((parts["sha256"] == "").sum()), len(parts))
    newest = builds.groupby("artifact")["built_at"].max()
    late = (pd.Timestamp(at) - newest) > STALE
    rows[f"artifacts not built for {STALE.days} days"] = (int(late.sum()), len(newest))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["answer", "of"]).rename_axis("question")


def _shares(index: pd.Index, counts: Sequence[int], whole: int) -> pd.DataFrame:
    table = pd.DataFrame({"builds": counts, "of": whole}, index=index)
    table["share"] = table["builds"] / whole if whole else float("nan")
    return table


def _bars(table: pd.DataFrame, title: str, label: str, colours: Sequence[str] | None = None) -> Figure:
    """Draw one bar a row, in front of a pale bar for the whole, with the number beside it."""
    fig, ax = _axes(len(table))
    ys = range(len(table))
    share = table["share"].fillna(0).astype(float) * 100
    ax.barh(ys, [100] * len(table), height=0.6, color=TRACK)
    ax.barh(ys, share, height=0.6, color=colours or INK)
    words = [f"{n} of {of}" for n, of in zip(table["builds"], table["of"], strict=True)]
    _label_bars(ax, table.index, [100] * len(table), words)
    ax.set(title=title, xlabel=f"{label}, %", xlim=(0, 118), xticks=[0, 25, 50, 75, 100])
    return fig


def _axes(rows: int) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(9, 0.34 * max(rows, 1) + 1.3))


def _label_bars(ax: Axes, names: pd.Index, ends: Sequence[float], words: Sequence[str]) -> None:
    """Write names at the left and words after each bar; the first row is on top."""
    for y, (end, word) in enumerate(zip(ends, words, strict=True)):
        ax.annotate(word, (end, y), (5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(names)), labels=[str(name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def _with_article(kind: object) -> str:
    names = {"sbom": "an SBOM", "mlbom": "an ML-BOM", "vex": "a VEX document", "summary": "a gate's summary",
        "provenance": "provenance", "signature": "a model signature"}  # fmt: skip
    return names.get(str(kind), str(kind))


def _joined(kinds: Sequence[str]) -> str:
    names = [_with_article(kind) for kind in kinds]
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def _builds(count: int) -> str:
    return f"{count} build" if count == 1 else f"{count} builds"


def _was_or_were(count: int) -> str:
    return "was" if count == 1 else "were"
