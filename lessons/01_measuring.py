# %% [markdown]
# # Week 1 · How long was the door open?
#
# > SUNBURST, the implant in SolarWinds' builds of 2020, is often quoted with 296 days. That is how long it took until
# > somebody noticed. [V: SolarWinds, January 2021; derived] How long it could be installed is another question, and our
# > sources do not answer it.
#
# **You will** (55 min: 11 reading, 44 doing)
# - browse 22 incidents, and read exposure windows in which the unknown stays unknown
# - see what a mean, a median and a zero in place of "unknown" do to one number
# - settle a conflict between sources by saying when each clock starts and stops
# - tell what is claimed from what is proven, and by whom
#
# **Before:** `01_threats`. **Lab:** `labs/01_assessment.ipynb`, exercise 1.2
#
# **V** and **S** as in `01_threats`: read in a primary text; read in secondary text only.

# %% tags=["parameters"]
seed = 1

# %%
import chainlab
import matplotlib.pyplot as plt
import pandas as pd

from chainlab.dashboards import figures, tables

plt.style.use("chainlab.dashboards.style")
pd.set_option("display.max_colwidth", None)
lab = chainlab.open("01_measuring", seed=seed)
incidents = tables.incidents(lab.data / "incidents.csv")

# %% [markdown]
# ## Twenty-two, side by side
# Three stories taught mechanisms. To choose controls you need to know what is common. `data/incidents.csv` holds 22
# incidents with their sources. The column `vector` says how the attacker got in, `label` is V, S, or V/S where it is some
# of each; `secondary` names the moments that rest on secondary text. `vector` and `slsa` are our reading. Empty means
# unknown.
#
# **Predict.** Which vector is the most frequent: a tag that moved, a stolen credential, a poisoned cache, or a phished
# maintainer? Put your guess in place of `None`, run the cell and compare.

# %% tags=["predict"]
prediction = None  # "tag-move", "stolen-credential", "cache-poisoning" or "phishing"

lab.predicted(prediction, incidents["vector"].value_counts().index[0])

# %%
pd.crosstab(incidents["vector"], incidents["label"], margins=True, margins_name="all")

# %% [markdown]
# **Change it.** Browse: put another query into this cell and run it again. Try `ecosystem == 'PyPI'`, `slsa == 'E'`,
# `label != 'V'`.

# %%
incidents.query("vector == 'tag-move'")[["artifact", "slsa", "t0", "t5", "label", "source"]]

# %% tags=["check"]
assert len(incidents) == 22
assert list(incidents["vector"].value_counts().head(2).items()) == [("stolen-credential", 8), ("tag-move", 4)]
assert (incidents["vector"] == "unknown").sum() == 2 and incidents.loc["tj-actions", "t0_precision"] == "day"
assert set(incidents.query("vector == 'tag-move'")["slsa"]) == {"B"}

# %% [markdown]
# Stolen credentials lead, with eight of 22; tags that moved come second, with four. Two vectors are unknown although both
# incidents are well documented: what a bad package *does* is easier to learn than how it got in. Do not read the counts
# as probabilities. The list was chosen to teach, and it holds only what was noticed.
#
# Eight rows are packages of ML projects. None is a malicious *model*, and not for want of cases: nullifAI was a PyTorch
# archive whose pickle breaks off *after* its payload, so it ran on loading while the scanner could not parse it.
# [V: MITRE ATLAS AML.CS0031] Such reports date the discovery, not the upload and the removal, and a table of windows
# cannot hold them.
#
# The query gives four rows, threat B all four. Look at the times of `tj-actions`: the table shows midnight, and no source
# says so. The column `t0_precision` says `day`: the moment lies *somewhere on* 14 March. Subtract the two timestamps and
# you get 24 hours exactly, a number that nobody measured.
#
# ## T0 to T5, and what lies between
# Say what you measure before you measure. The moments of an incident, as this course names them:
#
# | | moment | | moment |
# |---|---|---|---|
# | **T0** | the malicious artifact is available | **T5** | contained: blocked, quarantined, pins rolled back |
# | T1 | a first signal exists | T6 | secrets revoked |
# | **T2** | an alert is raised, a report received | T7 | recovered: a clean rebuild is verified |
# | T3 | a person acknowledges | T8 | the actions from the lessons are closed |
# | T4 | the scope is known | | |
#
# *Exposure* is T5 − T0: how long a victim could be hit. *Mean time to detect* (MTTD) averages T2 − T0. *Mean time to
# contain* (MTTC) averages T5 − T2: how long it took once somebody knew. In headlines they look alike.
#
# **Predict.** Of the 22 windows, how many have a length that is known to the minute? And how long is the longest of these?

# %% tags=["predict"]
prediction = {"windows of known length": None, "hours of the longest": None}

windows = tables.elapsed(incidents, "t0", "t5")
known = windows["minutes"].dropna()
lab.predicted(prediction, {"windows of known length": len(known), "hours of the longest": round(known.max() / 60)})

# %% [markdown]
# Here they are, with those of which we know bounds only:

# %%
detection = tables.elapsed(incidents, "t0", "t2").query("low > 0")[["low", "high"]].mean(axis=1)
fig, ax = figures.exposure(
    windows, detected=detection,
    remarks={"tanstack": "to the first action", "qix": "at least", "nx": "at most, by press",
             "durabletask": "to the yank"},
    title="None of the 13 known lengths is over 13 hours",
)
windows.sort_values(["high", "low"]).round(0)

# %% tags=["check"]
assert windows["minutes"].count() == 13 and windows["minutes"].max() < 13 * 60 and (windows["low"] == 0).sum() == 4
assert list(windows.index[windows["high"].isna()]) == ["sunburst", "mistral-py"]
assert round(detection["sunburst"] / 1440) == 296  # days to detection, not exposure

# %% [markdown]
# A dot is a length that a source states, sometimes with an "about", or the difference of two clock times. A bar is what
# we may say when only the day or the hour is known. Four bars begin with an arrow: that window may be any shorter.
# `mistral-py` has no dated end at all; `sunburst` has a dated detection and no dated containment. Neither is drawn as
# zero, and in the table both are NaN.
#
# Three remarks matter more than the dots. TanStack's 49 minutes end when push rights were cut. The versions were only
# *deprecated* from about 21:00, which warns and still installs: for a victim the door stayed open [V]. `durabletask` was
# *yanked*, and a yanked file still installs when it is pinned with `==`; only PyPI's *quarantine* hides the
# whole project. And `sunburst` is quoted with 296 days: that is T2 − T0, not exposure.
#
# ### One number for twenty-two
# The mean is what MTTD and MTTC are named after. Compute it beside the median and the P90 (the value that nine in ten
# stay under), and treat the unknown in four ways. One of them is wrong, and common: it writes 0 where nothing is known.
#
# **Predict.** The median of the known lengths is 200 minutes. What is the median after writing 0 for each unknown? And the
# mean of the known ones?

# %% tags=["predict"]
prediction = {"median, unknown as 0": None, "mean, known length": None}  # minutes

bounded = windows.dropna(subset=["low", "high"])
samples = {
    "known length": windows["minutes"].dropna(),
    "all with bounds, shortest": bounded["low"],
    "all with bounds, longest": bounded["high"],
    "unknown as 0 (wrong)": windows["minutes"].fillna(0),
}
summary = pd.DataFrame({name: [len(x), x.mean(), x.median(), x.quantile(0.9)] for name, x in samples.items()},
                       index=["incidents", "mean", "median", "P90"]).T.round(0).astype(int)
lab.predicted(prediction, {"median, unknown as 0": summary.loc["unknown as 0 (wrong)", "median"].item(),
                           "mean, known length": summary.loc["known length", "mean"].item()})

# %%
summary

# %% tags=["check"]
assert summary["mean"].iloc[0] == 279 and list(summary["median"]) == [200, 136, 380, 84]

# %% [markdown]
# All columns but the first are minutes. Two long incidents lift the mean from 279 to about 5,000: where a few values are
# far larger than the rest, the mean speaks of these few. Take every bound at its shortest and the median is 136 minutes;
# at its longest, 380. So "half of the 20 were open longer than 2 to 6½ hours" is all we may say. "200 minutes" is not.
# Writing 0 for the unknown more than halves the median: ignorance turned into speed. And all four rows look too good:
# `sunburst`, probably the longest, has no dated end. Three rows leave it out, the fourth counts it as 0.
#
# Now keep the three questions apart, for those who have a number for each:

# %%
three = pd.DataFrame({
    "to detect (T2 - T0)": tables.elapsed(incidents, "t0", "t2")["minutes"],
    "to contain (T5 - T2)": tables.elapsed(incidents, "t2", "t5")["minutes"],
    "exposure (T5 - T0)": windows["minutes"],
}).dropna().round(0)
three

# %% tags=["check"]
assert three.loc["trivy-bin", "to detect (T2 - T0)"] < three.loc["litellm", "to detect (T2 - T0)"]
assert three.loc["trivy-bin", "to contain (T5 - T2)"] > three.loc["litellm", "to contain (T5 - T2)"]

# %% [markdown]
# Trivy's binary was noticed faster than LiteLLM (its T2 is [S]) and contained more slowly; one column would show half of
# that. (TanStack's 20 minutes end with the first action, as above.) `reviewdog` is missing, and instructive: its window
# closed after 109 minutes, and it was discovered *later*, by people who were tracing tj-actions. T5 − T2 would be
# negative. Detection and containment are not always in order.
#
# ## When sources disagree
# For LiteLLM you have read two numbers, 152 minutes and 2 h 32 min, which are the same. We found seven statements about
# how long its bad versions were open.
#
# **Predict.** How many different lengths do the seven give? And how long is the shortest?

# %% tags=["predict"]
prediction = {"different lengths": None, "the shortest, in minutes": None}

sources = pd.read_csv(lab.data / "litellm-sources.csv", parse_dates=["start", "stop"])
lab.predicted(prediction, {"different lengths": sources["minutes"].nunique(),
                           "the shortest, in minutes": sources["minutes"].min().item()})

# %%
fig, ax = figures.clocks(sources, title="Seven statements about one window, no two alike")
missed = sources["stop"][0] - sources["stop"][3]  # between the script's end and the quarantine
ax.axvspan(12 + 44 / 60, 13 + 11 / 60, color="#c8651b", alpha=0.35)
print(f"open by PyPI's account, unseen by the script: {missed / pd.Timedelta(minutes=1):.0f} min")
print(f"downloads in that time, at an even rate: about {round(missed / pd.Timedelta(minutes=152) * 119_000, -3):,.0f}")
sources[["source", "label", "starts_at", "stops_at", "minutes", "says"]]

# %% [markdown]
# Ask of each line: which event starts its clock, which stops it, and who could see that event?
#
# - **PyPI** stops at the quarantine, an act of its own, and counts its own downloads. It states elapsed times, not clock
#   times; we added them to LiteLLM's 10:39. It also disagrees with itself: 1 h 19 min and 1 h 12 min make 2 h 31 min, and
#   the report says 2 h 32 min. Rounding: the table above has 73 minutes where PyPI has 72.
# - **LiteLLM's page** has three windows. "About 40 minutes" runs from the same upload to the same quarantine as PyPI's
#   figure, and is a quarter of it: a contradiction. "10:39 to 16:00" is not a measurement but advice, wide on purpose.
#   And the script offered for finding affected jobs is preset to 08:00 to 12:44. Whoever trusts it alone does not
#   see the last 27 minutes (the band). Some 21,000 of the downloads would fall there if they came evenly, which nobody
#   has shown.
# - **Press**: lengths, and no clocks in what we read. Nothing can be checked, so nothing is decided by them.
#
# The rule: for *when could it be installed*, the registry's telemetry wins, for the quarantine is its own act. So 152,
# not 40. For *what must I search*, take the widest window that a primary source supports, here 08:00 to 16:00. Two
# numbers for two questions do not contradict each other.

# %% tags=["check"]
assert missed == pd.Timedelta(minutes=27) and sources["minutes"].is_unique  # seven, no two alike

# %% [markdown]
# ## Claimed, and proven
# Everything above is somebody's statement. Some statements carry evidence that a stranger can check, some could, some
# never will:
#
# | statement | who says it | what would prove it | here |
# |---|---|---|---|
# | all tags pointed at `0e58ed8` | CVE record | a clone taken in those two days | not checked; the mechanism ran |
# | 1.82.8 ran code at every start of Python | issue 24518, with the file's SHA-256 | the file, and that digest | not checked; the mechanism ran |
# | 119,000 downloads | PyPI | the registry's download records | arithmetic only: it fits PyPI's 40 to 50 % |
# | the container image was not affected | LiteLLM | its requirements at that commit, and a rebuild | not checked |
# | "1.82.7 is clean" | the first reporter, in good faith | the file | not checked; contradicted by later reports |
# | the bad packages carry valid provenance | slsa.dev | the attestations; anyone can verify them | not checked; the mechanism ran |
# | "detected within 20 minutes" | TanStack's summary | its own timeline | refuted: the timeline has about 19:50, 29 minutes |
# | "we have no evidence of impact" | a phrase of advisories | logs that were kept, and searched | without them it says nothing |
#
# Look at the last column. Honest entries are short: we ran mechanisms on fictional packages and recomputed arithmetic. We
# did not verify one real artifact of these incidents. Keep that line visible in every report you write.
#
# **What is simplified here.** 22 chosen incidents are not a sample; "about" times are treated as minutes; letters and
# vectors are our reading. All times are UTC.
#
# **You can now**
# - read an exposure table without turning the unknown into zero or a day into a minute
# - say which clock a number used, and why two sources may both be right
# - write "claimed" where you have a claim
#
# **Lab:** `labs/01_assessment.ipynb` asks this of `triage-model`.
