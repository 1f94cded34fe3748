# %% [markdown]
# # Week 1 · Every arrow is a promise
#
# > On 24 March 2026 two malicious releases of `litellm` were downloaded more than 119,000 times in 2 hours and
# > 32 minutes. The token that published them had leaked through the project's *security scanner*.
# > [V: PyPI incident report, 2 April 2026; LiteLLM security update]
#
# **You will** (100 min: 21 reading, 79 doing)
# - place SLSA's nine threats on one ML pipeline, and say what SLSA leaves out
# - take three incidents apart by running what made them work
# - browse 22 incidents, and read exposure windows in which the unknown stays unknown
# - settle a conflict between sources by saying when the clock starts and stops
# - tell what is claimed from what is proven, and by whom
#
# **Before:** `00_onramp`. **Next:** `01_first_signature`. **Lab:** `labs/01_assessment.ipynb`
#
# Facts carry a label: **V**, read in a primary text (an advisory, a CVE record, the registry, the maintainers); **S**,
# read in secondary text only (press, a vendor's blog).

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("01_threats", seed=seed)

# %% [markdown]
# ## One pipeline
# The whole course attacks and defends one project, `triage-model`: it trains a small classifier, exports it, packs a
# service around it and releases both. Here is its way from an editor to a prediction, drawn from a table.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from chainlab.dashboards import figures, tables

plt.style.use("chainlab.dashboards.style")
pd.set_option("display.max_colwidth", None)
stages = pd.read_csv(lab.data / "pipeline.csv", index_col="stage")
threats = pd.read_csv(lab.data / "threats.csv", index_col="letter")
print(" → ".join(stages.loc["source":, "title"]))
print("inputs of the run:", ", ".join(stages.query("kind == 'input'")["title"]))
fig, ax = figures.pipeline(stages, threats, title="One pipeline, and where SLSA's nine threats touch it")

# %% [markdown]
# Read an arrow as a promise: *what arrives here is what left there*. Nothing on the picture keeps that promise yet.
# The letters come in a moment. First, the thing itself: these lines of its release workflow cause code to run, or
# hand out a token or a secret.

# %%
workflow = lab.data / "projects/triage-model/.github/workflows/release.yml"
for number, line in enumerate(workflow.read_text().splitlines(), start=1):
    if any(word in line for word in ("uses:", "run:", "id-token", "secrets")):
        print(f"{number:3}  {line.strip()}")

# %% [markdown]
# Count the parties whose code runs before this project releases anything: the platform, the authors of each action, of
# each action *inside* an action, of every package that `pip` picks, and whoever wrote into the cache. The picture shows
# most of them as one box, "inputs". Two inputs have no line here at all: the training data and the base model. They
# decide what the model does, and no package manager lists them. In `train.yml` the base model arrives by `curl`, from a
# branch named `main`, and nothing compares a digest. The lab has you count all of them.
#
# ## Nine letters
# SLSA ("salsa", Supply-chain Levels for Software Artifacts) version 1.2 names the threats by the place where they
# touch the chain: source threats A to C, build threats D to G, usage threats H and I. [V: SLSA v1.2, "Threats &
# mitigations"] The column `at` says where the letter stands on our picture: on a box, or on an arrow. Cover the column
# `here`, and say for each letter what it would look like in `triage-model`; then compare.
#
# The column `answer` uses words of week 4. *Provenance*: a signed statement of which builder made which bytes from what.
# *Expectations*: what you compare it with. *VSA*: a verifier's signed verdict. *L1* to *L4*: SLSA's levels.

# %%
threats[["threat", "at", "here", "answer"]]

# %% [markdown]
# The column `answer` is SLSA's, in our words. It says "none" four times. What the specification leaves out:
#
# - **A**: a producer who means harm "cannot be directly mitigated". Nor can two reviewers who collude, or one who
#   approves without reading (B3).
# - **H**: a name that shadows an internal one fails against expectations. A name that merely *looks* right, typosquatting,
#   is not addressed.
# - **I**: unsafe use of a good artifact. Loading a pickle is the ML case.
# - **Dependencies**: each has its own A to I. Version 1.2 does not address them explicitly (apply it recursively), and
#   what is loaded only at run time is outside the model.
# - **Availability**: deleted code, a withdrawn file, withdrawn evidence.
# - **Purpose**: whether a model is accurate, fair or poisoned by its data. SLSA can say which data set went in. It cannot
#   say what the data did.

# %% [markdown]
# ## Incident 1: a tag moves
# > On 14 and 15 March 2025 every tag of `tj-actions/changed-files`, v1 to v45.0.7, pointed at one commit, `0e58ed8`.
# > It printed the secrets of the run into the run's log. [V: CVE-2025-30066] More than 23,000 repositories used the
# > action. [S: press] None of them changed a line.
#
# We play both sides, with a fictional action in a local repository. First its maintainer:

# %%
action = lab.path / "acme" / "changed-files"
action.mkdir(parents=True, exist_ok=True)

def git(*words):
    who = ["-c", "user.name=acme", "-c", "user.email=acme@example.com"]
    return lab.run(["git", *who, "-C", str(action), *words]).stdout.strip()

git("init", "--quiet", "--initial-branch=main")
(action / "run.sh").write_text("git diff --name-only\n")
git("add", "run.sh")
git("commit", "--quiet", "--allow-empty", "-m", "list the changed files")
git("tag", "--force", "v3")
commit = git("rev-parse", "v3")  # what a careful user writes after the @
print("v3 runs:", git("show", "v3:run.sh"))

# %% [markdown]
# Now somebody with the maintainer's token: one commit, one forced tag, no pull request. Two users call the action, one
# by tag, one by the commit that the tag meant yesterday. Predict what each of them runs, then run the cell.

# %%
(action / "run.sh").write_text("git diff --name-only; printenv | base64 | base64\n")
git("commit", "--quiet", "--all", "--allow-empty", "-m", "tidy")
git("tag", "--force", "v3")
for name, reference in {"by tag v3": "v3", "by commit": commit}.items():
    print(f"{name:9} runs: {git('show', f'{reference}:run.sh')}")

# %% [markdown]
# Same line in the user's workflow, `uses: acme/changed-files@v3`, and other bytes. A tag is a name in somebody else's
# repository: threat **B**, "replace tagged content". The commit is 40 hex digits computed from the content: short of a
# hash collision it cannot come to mean anything else. The platform masks secrets in logs, but only as they are spelled;
# the real payload wrote them in base64 of base64 [S], and the log of a public repository is public. (Simplified: our
# payload never runs. The real one took the secrets from the memory of the runner process [S].)
#
# So pin the commit, and it is over? Three days earlier `reviewdog/action-setup@v1` had moved for 109 minutes. Other
# actions called it inside, by tag, and *their* users were hit "regardless of version or pinning method".
# [V: CVE-2025-30154]

# %%
import re

def fixed(uses):
    """Does this reference name content, or a promise?"""
    return re.search(r"@[0-9a-f]{40}$", uses) is not None

ours = f"acme/lint@{'4c1f' * 10}"  # in our workflow
inside = "acme/changed-files@v3"  # in the action.yml that this very commit holds
for depth, uses in enumerate([ours, inside]):
    print(f"depth {depth}  {uses:47}  {'fixed' if fixed(uses) else 'movable'}")

# %% [markdown]
# The outer pin holds, and what it pins is a promise. Pinning is a property of the whole tree. It also has a price:
# a pinned action gets no fixes until you move the pin, so week 2 pins *and* updates.

# %% [markdown]
# ## Incident 2: a stolen token, and code that runs at start
# LiteLLM's pipeline used the scanner Trivy. Trivy had been broken into in late February 2026. Its secrets were rotated
# after 1 March, but not all at once: whoever held one valid secret could have read the new ones. On 19 March Trivy was
# hit again. [V: CVE-2026-33634] Through that dependency an API token of LiteLLM was exposed [V: PyPI], and on 24 March
# versions 1.82.7 and 1.82.8 went to the index, by first evidence past the project's own pipeline [V: LiteLLM]. Threat
# **F**: an upload that no run of theirs made.
#
# Version 1.82.8 carried one extra file, `litellm_init.pth`. [V: BerriAI/litellm issue 24518] Python reads every `.pth`
# file in its site directories when it starts. A line in it is a path to add, unless it begins with `import`: then
# Python runs it. A fictional wheel shows the mechanism with a harmless line:

# %%
import sys
import zipfile

site, marker = lab.path / "site-packages", lab.path / "marker.txt"
marker.unlink(missing_ok=True)
wheel = lab.path / "northwind_router-1.4.8-py3-none-any.whl"
with zipfile.ZipFile(wheel, "w") as file:
    file.writestr("northwind_router/__init__.py", "")
    file.writestr("northwind_router_init.pth", f"import pathlib; pathlib.Path({str(marker)!r}).write_text('I ran')\n")
zipfile.ZipFile(wheel).extractall(site)  # in essence, what installing a wheel does
print("marker after installing:", marker.exists())

# %%
start = "import site, sys; site.addsitedir(sys.argv[1]); print('imported:', 'northwind_router' in sys.modules)"
print(lab.run([sys.executable, "-S", "-c", start, str(site)]).stdout.strip())
print("marker after Python started:", marker.read_text())

# %% [markdown]
# Nobody imported the package, and its line ran: in this process and in every later one, a test run, a notebook kernel,
# `pip` itself. So for 1.82.8 *installed* is as good as *executed*. For 1.82.7 it is not: there the payload sat in
# `litellm/proxy/proxy_server.py` and needed an import. PyPI's report says that both "ran on install" [V]; the account of
# the files says otherwise, and the first public reporter took 1.82.7 for clean [V: issue 24521]. When you scope an
# incident you need the trigger, per version. (Simplified: we name the directory ourselves, where Python would find
# `site-packages`.)
#
# What would have helped? A pin: LiteLLM's own container image installs from pinned requirements and was not affected,
# says LiteLLM. [V] How many did not pin? PyPI says 40 to 50 % of installs fetched the latest version. Its own figures
# let us check:

# %%
downloads, minutes = 119_000, 152  # of the two bad versions, in the window [V: PyPI]
for weekly in (20_000_000, 15_000_000):  # usual installs a week, "about 15 to 20 million" [V: PyPI]
    usual = weekly / (7 * 24 * 60)
    print(f"{downloads / minutes:.0f} bad of {usual:.0f} usual installs a minute: {downloads / minutes / usual:.0%}")

# %% [markdown]
# The two ends are 39 and 53 %, so the claim fits its own data. That is a check of arithmetic, not of the download
# counter. And a download is not a victim: mirrors and caches download too, and one cached file may serve a thousand runs.

# %% [markdown]
# ## Incident 3: valid provenance on a bad artifact
# > On 11 May 2026, 84 malicious versions of 42 `@tanstack` packages appeared on npm within six minutes. Every one came
# > from the right repository, the right workflow and the right branch, and its provenance verifies.
# > [V: TanStack post-mortem; slsa.dev, 15 May 2026]
#
# Eight hours before, a pull request from a fork had run in a workflow that shares the main branch's cache, and had
# left 1.1 GB under the key that the release workflow would ask for. Then the pull request was emptied and closed. The
# next release restored the cache. A toy build has what matters: it reads its source, restores its cache and says what
# it saw. And `verify` is strict: builder, source and artifact must all be the expected ones.

# %%
import hashlib

def digest(data):
    return hashlib.sha256(data).hexdigest()[:12]

def build(source, cache):
    """The artifact, and what a builder notes about it."""
    artifact = source + cache["store-6f92"]
    return artifact, {"builder": "ci.example.com", "source": digest(source), "subject": digest(artifact)}

def verify(artifact, provenance, source):
    seen = provenance["builder"], provenance["source"], provenance["subject"]
    return seen == ("ci.example.com", digest(source), digest(artifact))

# %% [markdown]
# Twice the same source, once with a poisoned cache. Which of the four columns below will differ? Which will `verify`
# object to?

# %%
source, clean = b"def predict(x): ...\n", {"store-6f92": b"dependencies"}
poisoned = {"store-6f92": b"dependencies and a thief"}  # same key, other content
rows = []
for name, cache in {"clean cache": clean, "poisoned cache": poisoned}.items():
    artifact, provenance = build(source, cache)
    rows.append({"build": name, **provenance, "verifies": verify(artifact, provenance, source)})
pd.DataFrame(rows).set_index("build")

# %% [markdown]
# Read across. Both builds name the expected builder and the expected source; in both the digest in the provenance is
# the artifact's; both verify. **Nothing was forged, and every field was checked.** The promise that the
# evidence makes, *this builder made these bytes from this source*, is kept. "And from nothing else" is another promise.
# SLSA asks for it at Build L3: one build must not be able to put an entry into the cache of another. npm's provenance is
# Build L2. A policy on the expected builder "would have passed". [V: slsa.dev] It is threat **E**.
#
# (Simplified: no signature here; the next notebook makes real ones. And the real thief also read the run's OIDC token
# from memory and published with it. Since 26 June 2026 events that an outsider can trigger may only *read* the main
# branch's cache on GitHub [V: changelog]: this is the platform as it was before.)
#
# Something did give it away. The payload broke the tests, so both runs ended as *failure*, and the step that publishes
# was skipped. Packages were published all the same.

# %%
runs = pd.DataFrame({
    "published": pd.to_datetime(["2026-05-11 19:20:39", "2026-05-11 19:26:14"], utc=True),
    "ended": pd.to_datetime(["2026-05-11 19:20:47", "2026-05-11 19:26:20"], utc=True),
    "status": ["failure", "failure"],
})  # [V: TanStack post-mortem]
runs["alert"] = runs["published"].notna() & (runs["status"] != "success")
print(runs["alert"].sum(), "of", len(runs), "runs would raise the alert,", end=" ")
print((runs["ended"] - runs["published"]).dt.seconds.tolist(), "seconds after publishing")
print("an independent rebuild agrees:", digest(build(source, clean)[0]) == digest(build(source, poisoned)[0]))

# %% [markdown]
# A rule of one line, *a publication from a run that did not succeed*, is there 8 seconds after the first publication. A
# researcher outside needed about 29 minutes. But it catches this thief, not the next one, who will not break the tests.
# The last line is the check that does not depend on his mistakes: build again elsewhere, with an empty cache, and
# compare. It costs a build that gives the same bytes every time, which is why our model is exported that way.

# %% tags=["check"]
assert "main/baseline.onnx" in (workflow.parent / "train.yml").read_text()  # the base model, from a branch
assert list(threats.index) == list("ABCDEFGHI") and threats["answer"].str.count("none").sum() == 4
assert "printenv" in git("show", "v3:run.sh") and "printenv" not in git("show", f"{commit}:run.sh")
assert [fixed(ours), fixed(inside)] == [True, False]  # the outer pin holds, the inner name moves
assert marker.read_text() == "I ran"  # nobody imported the package
assert [round(100 * downloads / minutes / (week / 10_080)) for week in (20e6, 15e6)] == [39, 53]
assert [row["verifies"] for row in rows] == [True, True]  # the text says both verify
assert rows[0]["source"] == rows[1]["source"] and rows[0]["subject"] != rows[1]["subject"]
assert (runs["ended"] - runs["published"]).dt.seconds.tolist() == [8, 6] and runs["alert"].all()

# %% [markdown]
# ## Twenty-two, side by side
# Three stories teach mechanisms. To choose controls you need to know what is common. `data/incidents.csv` holds 22
# incidents with their sources. The column `label` is the V or S of above, or V/S where it is some of each; `secondary`
# names the moments that rest on secondary text. `vector` and `slsa` are our reading. Empty means unknown.
#
# Browse: change the query and run the cell again. Try `ecosystem == 'PyPI'`, `slsa == 'E'`, `label != 'V'`.

# %%
incidents = tables.incidents(lab.data / "incidents.csv")
print(pd.crosstab(incidents["vector"], incidents["label"], margins=True, margins_name="all"))
incidents.query("vector == 'tag-move'")[["artifact", "slsa", "t0", "t5", "label", "source"]]

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
# ## How long was the door open?
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

# %%
windows = tables.elapsed(incidents, "t0", "t5")
detection = tables.elapsed(incidents, "t0", "t2").query("low > 0")[["low", "high"]].mean(axis=1)
fig, ax = figures.exposure(
    windows, detected=detection,
    remarks={"tanstack": "to the first action", "qix": "at least", "nx": "at most, by press",
             "durabletask": "to the yank"},
    title="None of the 13 known lengths is over 13 hours",
)
windows.sort_values(["high", "low"]).round(0)

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
# stay under), and treat the unknown in four ways. One of them is wrong, and common.

# %%
bounded = windows.dropna(subset=["low", "high"])
samples = {
    "known length": windows["minutes"].dropna(),
    "all with bounds, shortest": bounded["low"],
    "all with bounds, longest": bounded["high"],
    "unknown as 0 (wrong)": windows["minutes"].fillna(0),
}
summary = pd.DataFrame({name: [len(x), x.mean(), x.median(), x.quantile(0.9)] for name, x in samples.items()},
                       index=["incidents", "mean", "median", "P90"]).T.round(0).astype(int)
summary

# %% [markdown]
# Minutes, all but the first column. Two long incidents lift the mean from 279 to about 5,000: a mean of a heavy tail is
# a statement about its worst case. The median lies between 136 and 380 whatever the truth inside the bounds is, so,
# with each end as the table has it, "the middle of 20 was open for 2 to 6½ hours" is safe to say. "200 minutes" is not.
# Writing 0 for the unknown more than halves the median: ignorance turned into speed. And every line flatters: `sunburst`, probably the longest of
# all, has no dated end and is in none of them but the wrong one.
#
# Now keep the three questions apart, for those who have a number for each:

# %%
three = pd.DataFrame({
    "to detect (T2 - T0)": tables.elapsed(incidents, "t0", "t2")["minutes"],
    "to contain (T5 - T2)": tables.elapsed(incidents, "t2", "t5")["minutes"],
    "exposure (T5 - T0)": windows["minutes"],
}).dropna().round(0)
three

# %% [markdown]
# Trivy's binary was noticed faster than LiteLLM (its T2 is [S]) and contained more slowly; one column would show half of
# that. (TanStack's 20 minutes end with the first action, as above.) `reviewdog` is missing, and instructive: its window
# closed after 109 minutes, and it was discovered *later*, by people who were tracing tj-actions. T5 − T2 would be
# negative. Detection and containment are not always in order.
#
# ## When sources disagree
# For LiteLLM you have read two numbers, 152 minutes and 2 h 32 min, which are the same. These are not:

# %%
sources = pd.read_csv(lab.data / "litellm-sources.csv", parse_dates=["start", "stop"])
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
assert len(incidents) == 22
assert list(incidents["vector"].value_counts().head(2).items()) == [("stolen-credential", 8), ("tag-move", 4)]
assert (incidents["vector"] == "unknown").sum() == 2 and incidents.loc["tj-actions", "t0_precision"] == "day"
assert set(incidents.query("vector == 'tag-move'")["slsa"]) == {"B"}
assert windows["minutes"].count() == 13 and windows["minutes"].max() < 13 * 60 and (windows["low"] == 0).sum() == 4
assert list(windows.index[windows["high"].isna()]) == ["sunburst", "mistral-py"]
assert round(detection["sunburst"] / 1440) == 296  # days to detection, not exposure
assert summary["mean"].iloc[0] == 279 and list(summary["median"]) == [200, 136, 380, 84]
assert three.loc["trivy-bin", "to detect (T2 - T0)"] < three.loc["litellm", "to detect (T2 - T0)"]
assert three.loc["trivy-bin", "to contain (T5 - T2)"] > three.loc["litellm", "to contain (T5 - T2)"]
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
# ## Five questions
# Each incident broke the answer to one of five questions. They run through the whole course. Four have their fields in a
# Sigstore bundle; the fifth is yours:
#
# | question | who could not answer it | answered by |
# |---|---|---|
# | **Which bytes?** | users of `changed-files@v3` | a digest |
# | **Which identity?** | PyPI, when a stolen token uploaded 1.82.7 | a certificate for a workflow, not a secret that travels |
# | **When?** | everybody who had a day and needed a minute | a timestamp by a third party |
# | **Who else saw it?** | whoever was served a file that nobody else got | an entry in a public log |
# | **Who accepts it?** | users of `@tanstack`: all the above was fine | a policy of their own, and a gate that enforces it |
#
# At TanStack the first four had good answers; only the fifth can refuse. In the next notebook you answer all five for
# one model file.
#
# **What is simplified here.** The attacks have no payload; the toy build has no signature; 22 chosen incidents are not a
# sample; "about" times are treated as minutes; letters and vectors are our reading. All times are UTC.
#
# **You can now**
# - place A to I on a pipeline, and name what lies outside: intent, look-alike names, usage, availability, data
# - explain with a running example why a tag moves, why *installed* may mean *executed*, and why valid provenance did not
#   stop a poisoned cache
# - read an exposure table without turning the unknown into zero or a day into a minute
# - say which clock a number used, and why two sources may both be right
# - write "claimed" where you have a claim
#
# **Lab:** `labs/01_assessment.ipynb` asks this of `triage-model`.
