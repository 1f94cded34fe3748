# %% [markdown]
# # Week 1 · Every arrow is a promise
#
# > On 24 March 2026 two malicious releases of `litellm` were downloaded more than 119,000 times in 2 hours and
# > 32 minutes. The token that published them had leaked through the project's *security scanner*.
# > [V: PyPI incident report, 2 April 2026; LiteLLM security update]
#
# **You will** (60 min: 14 reading, 46 doing)
# - place SLSA's nine threats on one ML pipeline, and say what SLSA leaves out
# - take three incidents apart by running what made them work
# - say which of five questions each of them left without an answer
#
# **Before:** `00_onramp`, and the primers that it named for you. **Next:** `01_first_signature`, then `01_measuring`.
# **Lab:** `labs/01_assessment.ipynb`
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
#
# Some words on it are for later weeks. *ONNX* is a file format for models that holds numbers and no code. An *SBOM* lists
# what is inside an artifact; to *attest* is to sign a statement about it; a *gate* is where a policy decides who may pass.
# `docs/glossary.md` has a line for every such word of the course.
#
# The letters come in a moment. First, the thing itself: these lines of its release workflow cause code to run, or
# hand out a token or a secret.

# %%
workflow = lab.data / "projects/triage-model/.github/workflows/release.yml"
for number, line in enumerate(workflow.read_text().splitlines(), start=1):
    if any(word in line for word in ("uses:", "run:", "id-token", "secrets")):
        print(f"{number:3}  {line.strip()}")

# %% [markdown]
# **Predict.** How many of the `uses:` lines name other people's code by a tag or a branch, which can move? Put your number
# in place of `None`, run the cell and compare.

# %% tags=["predict"]
import re

prediction = None  # a number

named = re.findall(r"uses: [\w./-]+@([\w./-]+)", workflow.read_text())
lab.predicted(prediction, sum(re.fullmatch("[0-9a-f]{40}", name) is None for name in named))

# %% [markdown]
# Seven of eight; only one names a commit. Now count the parties whose code runs before this project releases anything: the platform, the authors of each action, of
# each action *inside* an action, of every package that `pip` picks, and whoever wrote into the cache. The picture shows
# most of them as one box, "inputs". Two inputs have no line here at all: the training data and the base model. They
# decide what the model does, and no package manager lists them. In `train.yml` the base model arrives by `curl`, from a
# branch named `main`, and nothing compares a digest. The lab has you count all of them.
#
# ## Nine letters
# SLSA ("salsa", Supply-chain Levels for Software Artifacts) version 1.2 names the threats by the place where they
# touch the chain: source threats A to C, build threats D to G, usage threats H and I. [V: SLSA v1.2, "Threats &
# mitigations"] The column `at` says where the letter stands on our picture: on a box, or on an arrow; `here`, what it
# would look like in `triage-model`.
#
# The column `answer` uses words of week 4. *Provenance*: a signed statement of which builder made which bytes from what.
# *Expectations*: what you compare it with. *VSA*: a verifier's signed verdict. *L1* to *L4*: SLSA's levels.

# %%
threats[["threat", "at", "here", "answer"]]

# %% [markdown]
# **Predict.** Three of the incidents of this course. Which letter is each?

# %% tags=["predict"]
incidents = tables.incidents(lab.data / "incidents.csv")

prediction = {
    "tj-actions": None,  # every tag of an action was moved
    "litellm": None,  # a stolen token uploaded two releases to the index
    "tanstack": None,  # a stranger's pull request filled the cache that a release restored
}

lab.predicted(prediction, dict(incidents.loc[list(prediction), "slsa"]))

# %% tags=["check"]
assert len(named) == 8  # the text says seven of eight
assert "main/baseline.onnx" in (workflow.parent / "train.yml").read_text()  # the base model, from a branch
assert list(threats.index) == list("ABCDEFGHI") and threats["answer"].str.count("none").sum() == 4

# %% [markdown]
# The letters of incidents are our reading. Now look at the column `answer`, which is SLSA's in our words: it says "none"
# four times. What the specification leaves out:
#
# - **A**: a producer who means harm "cannot be directly mitigated". Nor can two reviewers who collude, or one who
#   approves without reading (B3).
# - **H**: *dependency confusion*, a public package with your internal package's name, is caught: its provenance is not the
#   expected one. *Typosquatting*, a name that merely looks right, is not addressed.
# - **I**: unsafe use of a good artifact. The ML case is a *pickle*, a file format of Python that can run code when loaded.
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
# by tag, one by the commit that the tag meant yesterday.
#
# **Predict.** Which of them runs the thief's code?

# %% tags=["predict"]
prediction = {"by tag v3": None, "by commit": None}  # True or False

(action / "run.sh").write_text("git diff --name-only; printenv | base64 | base64\n")
git("commit", "--quiet", "--all", "--allow-empty", "-m", "tidy")
git("tag", "--force", "v3")
runs = {name: git("show", f"{ref}:run.sh") for name, ref in {"by tag v3": "v3", "by commit": commit}.items()}
print(runs["by tag v3"])
lab.predicted(prediction, {name: "printenv" in code for name, code in runs.items()})

# %% tags=["check"]
assert "printenv" in git("show", "v3:run.sh") and "printenv" not in git("show", f"{commit}:run.sh")

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

# %% [markdown]
# Installing wrote files and ran nothing. Next, a Python starts, prints whether the package was imported, and ends.
#
# **Predict.** Will the package have been imported? Will the marker be there?

# %% tags=["predict"]
prediction = {"imported": None, "marker written": None}  # True or False

start = "import site, sys; site.addsitedir(sys.argv[1]); print('northwind_router' in sys.modules)"
printed = lab.run([sys.executable, "-S", "-c", start, str(site)]).stdout.strip()
lab.predicted(prediction, {"imported": printed == "True", "marker written": marker.exists()})

# %% tags=["check"]
assert printed == "False" and marker.read_text() == "I ran"  # nobody imported the package

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
# The two ends are 39 and 53 %, so the claim fits its own data. That is a check of arithmetic, not of the download counter.
# And a download is not a victim: mirrors and caches download too, and one cached file may serve a thousand runs.
#
# **Change it.** How few usual installs a week would make it 100 %?

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
# Twice the same source, once with a poisoned cache.
#
# **Predict.** Three things are in the provenance: builder, source and subject. In which do the two builds differ? And does
# `verify` accept the poisoned one?

# %% tags=["predict"]
prediction = {"builder": None, "source": None, "subject": None, "the poisoned one verifies": None}  # True or False

source, clean = b"def predict(x): ...\n", {"store-6f92": b"dependencies"}
poisoned = {"store-6f92": b"dependencies and a thief"}  # same key, other content
rows = []
for name, cache in {"clean cache": clean, "poisoned cache": poisoned}.items():
    artifact, provenance = build(source, cache)
    rows.append({"build": name, **provenance, "verifies": verify(artifact, provenance, source)})
differ = {field: rows[0][field] != rows[1][field] for field in ("builder", "source", "subject")}
lab.predicted(prediction, differ | {"the poisoned one verifies": rows[1]["verifies"]})

# %%
pd.DataFrame(rows).set_index("build")

# %% tags=["check"]
assert [row["verifies"] for row in rows] == [True, True]  # the text says both verify
assert list(differ.values()) == [False, False, True]

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
outcomes = pd.DataFrame({
    "published": pd.to_datetime(["2026-05-11 19:20:39", "2026-05-11 19:26:14"], utc=True),
    "ended": pd.to_datetime(["2026-05-11 19:20:47", "2026-05-11 19:26:20"], utc=True),
    "status": ["failure", "failure"],
})  # [V: TanStack post-mortem]
outcomes["alert"] = outcomes["published"].notna() & (outcomes["status"] != "success")
outcomes["seconds after publishing"] = (outcomes["ended"] - outcomes["published"]).dt.seconds
print("an independent rebuild agrees:", digest(build(source, clean)[0]) == digest(build(source, poisoned)[0]))
outcomes[["status", "alert", "seconds after publishing"]]

# %% [markdown]
# A rule of one line, *a publication from a run that did not succeed*, is there 8 seconds after the first publication. A
# researcher outside needed about 29 minutes. But it catches this thief, not the next one, who will not break the tests.
# The line above the table is the check that does not depend on his mistakes: build again elsewhere, with an empty cache, and
# compare. It costs a build that gives the same bytes every time, which is why our model is exported that way.

# %% tags=["check"]
assert [round(100 * downloads / minutes / (week / 10_080)) for week in (20e6, 15e6)] == [39, 53]
assert outcomes["alert"].all() and list(outcomes["seconds after publishing"]) == [8, 6]

# %% [markdown]
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
# **What is simplified here.** The attacks have no payload; the toy build has no signature; the letters are our reading.
# All times are UTC.
#
# **You can now**
# - place A to I on a pipeline, and name what lies outside: intent, look-alike names, usage, availability, data
# - explain with a running example why a tag moves, why *installed* may mean *executed*, and why valid provenance did not
#   stop a poisoned cache
# - name the question that each incident left without an answer
#
# **Next:** `01_first_signature` answers the five for one model file; `01_measuring` asks how long the doors were open.
