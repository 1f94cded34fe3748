"""Tables: the incidents of ``data/incidents.csv``, and the time between two of their anchors.

An anchor is a moment of an incident: ``t0`` the malicious artifact is available, ``t2`` the first
report or alert, ``t5`` contained. Sources state a minute, an hour, a day or nothing. So a moment is
an interval, and so is the time between two moments. An unknown value is NaN, never 0.

    >>> from pathlib import Path
    >>> float(elapsed(incidents(Path("data/incidents.csv")), "t0", "t5").loc["litellm", "minutes"])
    152.0
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

__all__ = ["ANCHORS", "PRECISIONS", "elapsed", "incidents", "spoken"]

ANCHORS: Final = ("t0", "t2", "t5")
# How wide a stated moment is: "2024-12-05" is some time on that day, "T13Z" some time in that hour.
PRECISIONS: Final = {
    "minute": pd.Timedelta(0),
    "hour": pd.Timedelta(hours=1),
    "day": pd.Timedelta(days=1),
    "unknown": pd.NaT,
}


def incidents(path: Path) -> pd.DataFrame:
    """Read the incidents, in order of month: index id; anchors as UTC timestamps, NaT where unknown."""
    frame = pd.read_csv(path, index_col="id", keep_default_na=False, dtype=str)
    for anchor in ANCHORS:
        frame[anchor] = pd.to_datetime(frame[anchor], utc=True, format="ISO8601")
    for column in ("t0_t2_min", "t0_t5_min"):
        frame[column] = pd.to_numeric(frame[column].replace("", None))
    return frame


def elapsed(frame: pd.DataFrame, start: str, stop: str) -> pd.DataFrame:
    """Compute the minutes from anchor ``start`` to anchor ``stop``: columns low, minutes, high; index id.

    ``minutes`` is known when the source states the duration, or both moments to the minute; low and
    high then equal it. Otherwise low and high are its bounds: the stated moments have a width, and
    nothing precedes T0. All three are NaN where an anchor is unknown.
    """
    early = {anchor: frame[anchor] for anchor in ANCHORS}
    late = {anchor: frame[anchor] + frame[f"{anchor}_precision"].map(PRECISIONS) for anchor in ANCHORS}
    late["t0"] = late["t0"].where(early["t0"].isna(), pd.DataFrame(late).min(axis=1))
    early = {anchor: moment.mask(moment < early["t0"], early["t0"]) for anchor, moment in early.items()}
    minute = pd.Timedelta(minutes=1)
    low = (early[stop] - late[start]) / minute
    high = (late[stop] - early[start]) / minute
    exact = (frame[[f"{start}_precision", f"{stop}_precision"]] == "minute").all(axis=1)
    minutes = _stated(frame, start, stop).combine_first(high.where(exact))
    return pd.DataFrame(
        {
            "low": minutes.combine_first(low.clip(lower=0) if start == "t0" else low),
            "minutes": minutes,
            "high": minutes.combine_first(high),
        }
    ).reindex(frame.index)


def _stated(frame: pd.DataFrame, start: str, stop: str) -> pd.Series:
    """The minutes that the source itself states, instead of clock times or beside them."""
    since_t0 = {"t0": 0.0, "t2": frame["t0_t2_min"], "t5": frame["t0_t5_min"]}
    return since_t0[stop] - since_t0[start]


def spoken(minutes: float) -> str:
    """Write minutes as a person says them: ``spoken(152)`` is '2 h 32 min', NaN is 'unknown'."""
    if pd.isna(minutes):
        return "unknown"
    hours, rest = divmod(round(minutes), 60)
    if hours >= 48:
        return f"{round(hours / 24)} d"
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else "") if part
    )
