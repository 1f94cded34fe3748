"""The incidents that lesson, figure and exercise read: derived minutes, labels, and no guess."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from chainlab.dashboards import figures, tables

DATA = Path(__file__).parents[1] / "data"
ANCHORS = ("t0", "t2", "t5")
# Exposure in minutes, from clock times or stated lengths; in days where only days are known.
EXPOSURE = {
    "ultra-1": 744, "ultra-2": 60, "reviewdog": 109, "nx": 300, "qix": 120, "trivy-bin": 200,
    "trivy-action": 717, "setup-trivy": 241, "trivy-hub": 597, "litellm": 152, "telnyx": 222,
    "tanstack": 49, "guardrails": 120,
}  # fmt: skip
ABOUT_DAYS = {"torchtriton": 5, "tj-actions": 1, "codecov": 60}
HOURS_OR_LESS_THAN_A_DAY = {"ultra-3", "num2words", "lightning", "durabletask"}
NO_END = {"sunburst", "mistral-py"}
VECTORS = {
    "build-implant", "cache-poisoning", "dependency-confusion", "phishing", "stolen-credential",
    "tag-move", "workflow-injection", "unknown",
}  # fmt: skip
FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%HZ", "minute": "%Y-%m-%dT%H:%MZ"}
# Figures in circulation that no text we could read supports.
UNVERIFIED = (r"2,?300", r"\b218\b", "agentkit", r"18,?000", r"16:00Z", "2026-03-27", "GHSA-mrrh")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (DATA / "incidents.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return tables.incidents(DATA / "incidents.csv")


def test_the_groups_of_this_test_cover_every_incident(rows: list[dict[str, str]]) -> None:
    ids = {*EXPOSURE, *ABOUT_DAYS, *HOURS_OR_LESS_THAN_A_DAY, *NO_END}
    assert ids == {row["id"] for row in rows}
    assert len(rows) == len(ids) == 22


def test_exposure_recomputed_from_the_anchors_is_what_the_sources_give(frame: pd.DataFrame) -> None:
    minutes = tables.elapsed(frame, "t0", "t5")["minutes"].dropna()
    assert minutes.astype(int).to_dict() == EXPOSURE


def test_exposure_known_by_the_day_is_an_interval_that_holds_the_stated_days(
    frame: pd.DataFrame,
) -> None:
    windows = tables.elapsed(frame, "t0", "t5")
    for name, days in ABOUT_DAYS.items():
        low, minutes, high = windows.loc[name]
        assert low < days * 24 * 60 < high
        assert pd.isna(minutes)
    for name in HOURS_OR_LESS_THAN_A_DAY:
        assert windows.loc[name, "high"] <= 24 * 60


def test_unknown_stays_unknown_and_never_becomes_zero(frame: pd.DataFrame) -> None:
    windows = tables.elapsed(frame, "t0", "t5")
    assert set(windows.index[windows.isna().all(axis=1)]) == NO_END
    assert not (windows["minutes"] == 0).any()
    detection = tables.elapsed(frame, "t0", "t2")
    assert set(detection.index[detection["high"].isna()]) == {
        "reviewdog", "nx", "setup-trivy", "trivy-hub",
    }  # fmt: skip
    assert detection["low"].isna().equals(detection["high"].isna())


def test_sunbursts_296_days_are_detection_not_exposure(frame: pd.DataFrame) -> None:
    low, _, high = tables.elapsed(frame, "t0", "t2").loc["sunburst"]
    assert low < 296 * 24 * 60 < high


def test_stated_durations_agree_with_the_clock_times_beside_them(frame: pd.DataFrame) -> None:
    unstated = frame.assign(t0_t2_min=float("nan"), t0_t5_min=float("nan"))
    for stop in ("t2", "t5"):
        by_clock = tables.elapsed(unstated, "t0", stop)
        stated = frame[f"t0_{stop}_min"].dropna()
        for name, minutes in stated.items():
            if pd.notna(by_clock.loc[name, "low"]):
                assert by_clock.loc[name, "low"] <= minutes <= by_clock.loc[name, "high"], name


def test_detection_and_containment_of_the_flagship_add_up(frame: pd.DataFrame) -> None:
    parts = [
        tables.elapsed(frame, *pair).loc["litellm", "minutes"] for pair in (("t0", "t2"), ("t2", "t5"), ("t0", "t5"))
    ]
    assert parts == [79, 73, 152]


@pytest.mark.parametrize("anchor", ANCHORS)
def test_every_moment_is_utc_and_written_to_its_stated_precision(rows: list[dict[str, str]], anchor: str) -> None:
    for row in rows:
        precision, text = row[f"{anchor}_precision"], row[anchor]
        assert (precision == "unknown") == (text == ""), row["id"]
        if text:
            seconds = precision == "minute" and text.count(":") == 2
            datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ" if seconds else FORMATS[precision])


def test_nothing_known_precedes_t0(frame: pd.DataFrame) -> None:
    for stop in ("t2", "t5"):
        assert (tables.elapsed(frame, "t0", stop)["high"].dropna() >= 0).all()


def test_a_moment_to_the_day_has_no_exact_length() -> None:
    frame = pd.DataFrame({
        "t0": ["2030-01-01"], "t2": ["2030-01-01T05:00Z"], "t5": ["2030-01-02"],
        "t0_precision": ["day"], "t2_precision": ["minute"], "t5_precision": ["day"],
        "t0_t2_min": [float("nan")], "t0_t5_min": [float("nan")],
    }, index=["made-up"])  # fmt: skip
    for anchor in ANCHORS:
        frame[anchor] = pd.to_datetime(frame[anchor], utc=True, format="ISO8601")
    low, minutes, high = tables.elapsed(frame, "t0", "t5").loc["made-up"]
    assert (low, high) == (19 * 60, 48 * 60)  # T0 is not later than the detection at 05:00
    assert pd.isna(minutes)


def test_labels_vectors_letters_and_references_are_valid(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert row["label"] in {"V", "S", "V/S"}
        assert row["vector"] in VECTORS
        assert row["slsa"] in {"", *"ABCDEFGHI"}
        assert row["source"]
        assert bool(row["t5_event"]) == bool(row["t5"] or row["t0_t5_min"])
        for column in ("approximate", "secondary"):
            assert set(row[column].split()) <= set(ANCHORS)
        if row["secondary"] and row["label"] == "V":
            assert (row["id"], row["secondary"]) == ("trivy-bin", "t2")  # its one V-row exception


def test_rows_are_sorted_and_unique(rows: list[dict[str, str]]) -> None:
    keys = [(row["month"], row["id"]) for row in rows]
    assert keys == sorted(set(keys))
    for row in rows:
        assert re.fullmatch(r"\d{4}-\d\d", row["month"])
        assert row["t0"][:7] in ("", row["month"])


@pytest.mark.parametrize("name", ["incidents.csv", "litellm-sources.csv"])
def test_no_unverified_figure_is_present(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    if name == "litellm-sources.csv":
        text = text.replace("2026-03-24T16:00Z", "")  # there the window is LiteLLM's own statement
    assert not [pattern for pattern in UNVERIFIED if re.search(pattern, text)]


def test_the_sources_of_the_conflict_measure_what_they_say() -> None:
    sources = pd.read_csv(DATA / "litellm-sources.csv", parse_dates=["start", "stop"])
    between = (sources["stop"] - sources["start"]) / pd.Timedelta(minutes=1)
    assert between.dropna().to_list() == sources["minutes"][between.notna()].to_list()
    assert set(sources["label"][between.isna()]) == {"S"}


def test_every_threat_stands_on_a_stage_of_the_pipeline() -> None:
    stages = pd.read_csv(DATA / "pipeline.csv", index_col="stage")
    threats = pd.read_csv(DATA / "threats.csv", index_col="letter")
    assert "".join(threats.index) == "ABCDEFGHI"
    assert set(threats["at"].str.split(">").explode()) <= set(stages.index)


@pytest.mark.parametrize("name", ["incidents.csv", "litellm-sources.csv", "pipeline.csv", "threats.csv"])
def test_origin_licence_columns_and_units_are_noted(name: str) -> None:
    _, _, rest = (DATA / "README.md").read_text(encoding="utf-8").partition(f"## `{name}`")
    section = rest.partition("\n## ")[0]
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    assert "**Origin.**" in section
    assert "**Licence.**" in section
    assert not [column for column in columns if f"`{column}`" not in section]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0 min"), (49.35, "49 min"), (60, "1 h"), (152, "2 h 32 min"), (1440, "24 h"),
     (2880, "2 d"), (426_240, "296 d"), (float("nan"), "unknown")],
)  # fmt: skip
def test_lengths_are_said_as_a_person_says_them(minutes: float, words: str) -> None:
    assert tables.spoken(minutes) == words


def test_the_figure_says_every_length_and_hides_no_unknown(frame: pd.DataFrame) -> None:
    windows = tables.elapsed(frame, "t0", "t5")
    with plt.style.context("chainlab.dashboards.style"):
        fig, ax = figures.exposure(windows, title="t", detected=pd.Series({"sunburst": 426_240.0}))
    texts = {text.get_text() for text in ax.texts}
    assert {"unknown", "2 h 32 min", "under 2 d", "296 d to detection; end not dated"} <= texts
    assert len(ax.get_yticklabels()) == len(frame)
    assert ax.get_xscale() == "log"
    plt.close(fig)


def test_every_letter_is_drawn() -> None:
    stages = pd.read_csv(DATA / "pipeline.csv", index_col="stage")
    threats = pd.read_csv(DATA / "threats.csv", index_col="letter")
    fig, ax = figures.pipeline(stages, threats, title="t")
    assert set("ABCDEFGHI") <= {text.get_text() for text in ax.texts}
    plt.close(fig)
