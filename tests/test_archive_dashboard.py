"""The archive's dashboard: each figure draws its table, and its title says what the table says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chainlab.archive import Archive, Build
from chainlab.dashboards import archive as dashboard
from chainlab.digests import Digest
from chainlab.evidence.statements import SBOM, Statement

matplotlib.use("Agg")
import matplotlib.pyplot as plt

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Six builds of two artifacts: four have an SBOM, two of them signed, the last one is missing its VEX."""
    folder = tmp_path_factory.mktemp("archive")
    with Archive(folder) as archive:
        for number in range(6):
            digest = Digest.of(bytes([number]))
            document = {
                "bomFormat": "CycloneDX", "metadata": {"component": {"name": "app", "version": "1"}},
                "components": [
                    {"name": "a", "version": "1", "licenses": [{"license": {"id": "MIT"}}]},
                    {"name": "b", "version": str(number), "licenses": [{"license": {"id": "GPL-3.0-only"}}]},
                    *([{"name": "c", "version": "1"}] if number == 2 else []),
                ],
            }  # fmt: skip
            data = json.dumps(document).encode()
            if number in (2, 3):
                payload = Statement.about({"app": digest}, SBOM, document).dump()
                data = json.dumps({"dsseEnvelope": {"payload": base64.b64encode(payload).decode()}}).encode()
            documents = {"provenance": b"{}"} | ({"sbom": data} if number < 4 else {})
            at = START + timedelta(days=31 * number) if number < 5 else None
            archive.add(Build("one" if number < 3 else "two", str(number), digest, built_at=at), documents)
        yield archive


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def title(figure: Figure) -> str:
    return str(figure.axes[0].get_title(loc="left") or figure.axes[0].get_title())


def test_coverage_counts_builds_that_lack_a_document(archive: Archive) -> None:
    figure, table = dashboard.coverage(archive.table("documents"), archive.table("builds"))
    assert table["builds"].to_dict() == {"sbom": 4, "mlbom": 0, "provenance": 6, "signature": 0}
    assert title(figure) == "6 of 6 builds lack an ML-BOM"
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert len(bars) == len(figure.axes[0].patches)
    widths = [bar.get_width() for bar in bars][len(table) :]
    assert widths == [share * 100 for share in table["share"]]
    figure, table = dashboard.coverage(archive.table("documents"), archive.table("builds"), kinds=["provenance"])
    assert title(figure) == "Every one of 6 builds has provenance"


def test_completeness_names_what_is_missing(archive: Archive) -> None:
    builds = archive.builds().set_index("version")["build"]
    expected = {builds[number]: ["a", "B", "c"] for number in ("1", "2", "4")}
    figure, table = dashboard.completeness(archive.table("components"), expected, labels={builds["1"]: "one 1"})
    assert table.loc["one 1", "missing"] == ["c"]
    assert table["listed"].tolist() == [2, 3, 0]
    assert title(figure) == "Of 3 builds 1 has no list that can be read; 1 omits something, most often c"


def test_freshness_tells_old_from_unknown(archive: Archive) -> None:
    figure, table = dashboard.freshness(archive.builds(), START + timedelta(days=160))
    assert table["days"].to_dict() == {"one": 98.0, "two": 36.0}
    assert title(figure) == "1 of 2 artifacts was last built more than 90 days ago"
    alone = archive.builds(version="5")
    figure, table = dashboard.freshness(alone, START)
    assert table["days"].isna().all()
    assert "of 1 the time is unknown" in title(figure)


def test_licences_not_stated_are_not_allowed(archive: Archive) -> None:
    figure, table = dashboard.licences(archive.table("components"), allowed=["MIT"], top=2)
    assert table["components"].to_dict() == {"GPL-3.0-only": 4, "MIT": 1, "not stated": 1}
    assert table["allowed"].to_dict() == {"GPL-3.0-only": False, "MIT": True, "not stated": False}
    assert title(figure) == "4 of 6 components have a licence that is not on the list; 1 state none"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-1] == "1 others"


def test_the_signed_share_counts_builds_without_a_document(archive: Archive) -> None:
    figure, table = dashboard.signed_share(archive.table("documents"), archive.table("builds"))
    assert table["signed"].tolist() == [0, 0, 1, 1, 0]
    assert title(figure) == "0% of the newest builds have an SBOM that is signed, as at first"


def test_a_summary_is_the_dashboard_in_words(archive: Archive) -> None:
    table = dashboard.summary(archive, START + timedelta(days=160))
    answers = table["answer"].to_dict()
    assert answers["builds with an SBOM"] == 4
    assert answers["builds with a signed SBOM"] == 2
    assert answers["builds whose SBOM proves absence"] == 0
    assert answers["of them without a licence"] == 1
    assert answers["artifacts not built for 90 days"] == 1


def test_a_document_about_other_bytes_counts_in_no_figure(tmp_path: Path) -> None:
    inner = {"bomFormat": "CycloneDX", "components": [{"name": "a", "version": "1"}]}
    payload = Statement.about({"app": Digest.of(b"others")}, SBOM, inner).dump()
    data = json.dumps({"dsseEnvelope": {"payload": base64.b64encode(payload).decode()}}).encode()
    with Archive(tmp_path) as archive:
        build = archive.add(Build("one", "1", Digest.of(b"these"), built_at=START), {"sbom": data})
        documents, builds, components = (archive.table(n) for n in ("documents", "builds", "components"))
        answers = dashboard.summary(archive, START)["answer"]
    assert dashboard.coverage(documents, builds)[1]["builds"]["sbom"] == 0
    assert dashboard.completeness(components, {build.id: ["a"]})[1]["missing"].tolist() == [["a"]]
    assert dashboard.signed_share(documents, builds)[1]["signed"].tolist() == [0]
    assert dashboard.licences(components)[1].empty
    assert (answers["builds with an SBOM"], answers["builds with a signed SBOM"], answers["component versions"]) == (
        0,
    ) * 3


def test_an_empty_archive_is_drawn_too(tmp_path: Path) -> None:
    with Archive(tmp_path) as empty:
        documents, builds, components = (empty.table(n) for n in ("documents", "builds", "components"))
        for figure, table in (
            dashboard.coverage(documents, builds),
            dashboard.freshness(empty.builds(), START),
            dashboard.licences(components),
            dashboard.signed_share(documents, builds),
        ):
            assert title(figure)
            assert isinstance(table, pd.DataFrame)
        assert dashboard.summary(empty, START)["answer"].sum() == 0
