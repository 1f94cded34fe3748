# %% [markdown]
# # Week 2 · One push, followed to the end
#
# > In May 2026 somebody with a stolen personal token ran an action in 30 repositories of `guardrails-ai`. It dumped the
# > secrets that those runs held, a deploy token among them. Version 0.10.1 of the package was bad.
# > [V: guardrails security advisory; CVE-2026-45758]
#
# **You will** (65 min: 14 reading, 51 doing)
# - follow a push: event, workflow file, commit, job, token, log
# - put a guest into a job and see which keys lie about, in four kinds of run
# - read a scanner's findings, and say what it cannot see
#
# **Before:** `01_first_signature`, primer `00e_workflows`. **Next:** `02_attacks`. **Lab:** `labs/02_hardening.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only.

# %% tags=["parameters"]
seed = 1

# %%
import re
import shutil

import chainlab
import pandas as pd
from chainlab.course.project_states import working_copy
from chainlab.events import EventList

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("02_anatomy", seed=seed)
settings = lab.data / "projects/settings/triage-model.toml"
weak, hardened = (working_copy(lab.data / "projects", lab.path / kind, kind) for kind in ("weak", "hardened"))
print("weak:    ", *sorted(p.name for p in (weak / ".github/workflows").iterdir()))
print("hardened:", *sorted(p.name for p in (hardened / ".github/workflows").iterdir()))

# %% [markdown]
# `triage-model` twice: the same code, once with the *weak* workflows that you took stock of in week 1 and once with
# *hardened* ones. A CI host on this machine runs either, from a git repository of its own. Actions such as
# `actions/checkout` carry their public names and are our own small implementations. They come from a *mirror*, a copy of
# the actions' repositories in which tags can move.
#
# ## 1. An event picks workflow files
# A push arrives. Nobody says "run `ci.yml`": the platform looks into *every* file of `.github/workflows` **at a commit
# that the event determines**, and runs those whose `on:` fits. It does the same for a tag, a timer, a pull request.
#
# **Predict.** Two events come from one pull request: `pull_request` and `pull_request_target`. How many files does each of
# the five below start? Put your guesses in place of `None`, run the cell and compare.

# %% tags=["predict"]
from chainlab.ci.workflows.workflow import Workflow

happenings = {
    "push to main": ("push", "refs/heads/main"),
    "push of tag v1.4.0": ("push", "refs/tags/v1.4.0"),
    "pull request": ("pull_request", "refs/heads/main"),
    "pull request, as target": ("pull_request_target", "refs/heads/main"),
    "Monday, 3:17": ("schedule", "refs/heads/main"),
}
prediction = dict.fromkeys(happenings)  # {"push to main": 1, …}

files = [Workflow.parse(p.name, p.read_text()) for p in sorted((weak / ".github/workflows").iterdir())]
started = {what: [f.path for f in files if f.triggered(event, ref, "refs/heads/main")]
           for what, (event, ref) in happenings.items()}
lab.predicted(prediction, {what: len(names) for what, names in started.items()})

# %%
pd.Series({what: ", ".join(names) for what, names in started.items()}, name="starts").to_frame()

# %% [markdown]
# A pull request starts *three* files, not one: `ci.yml` as `pull_request`, `bench.yml` and `label.yml` as
# `pull_request_target`. The names differ by a word. What the runs hold differs by everything, as you will see.
#
# **Change it.** Add a line for a push to another branch, `("push", "refs/heads/idea")`, and run both cells again.
#
# ## 2. A guest in the job
# A job's steps share one machine, one user, one disk. So the question is never "which step *uses* the secret?" but
# "who else was in the room?". We place a guest there: six lines in the file `tests/size.py`, which look around and
# print the *names* of what they find. In the wild the guest is a dependency's test plugin, a compiler, a linter. The
# commands of `ci.yml` that install packages only cost time and become `true`; our guest runs in place of the tests.

# %%
GUEST = """
import os, pathlib
names = "HUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN"
found = [name for name in names if os.environ.get(name)]
if "extraheader" in pathlib.Path(".git/config").read_text().lower():
    found.append("git's credential")
print("guest:", *found, sep="\\n  ")
"""

# %%
def with_guest(folder):
    """A copy of the folder in which ci.yml runs the guest in place of the tests."""
    copy = shutil.copytree(folder, lab.path / f"{folder.name}-guest", dirs_exist_ok=True)
    (copy / "tests/size.py").write_text(GUEST)
    file = copy / ".github/workflows/ci.yml"
    text = re.sub(r"(?m)(python -m|uv) pip .*$", "true", file.read_text())
    file.write_text(text.replace("python -m pytest", "python tests/size.py"))
    return copy


def look(run):
    """What the guest in a run found."""
    return set(re.findall(r"\n  (.+)", re.search(r"guest:((?:\n  .+)*)", run.log)[1]))


project = lab.ci.project("acme/triage-model", with_guest(weak), settings)
push = project.run("push")
push

# %% [markdown]
# The run succeeded, at the commit that `main` names. Now the room.
#
# **Predict.** Nobody gave our guest a key. Which of the four will it find? Write True or False.

# %% tags=["predict"]
prediction = {
    "HUB_TOKEN": None,  # a secret of the project
    "git's credential": None,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": None,  # for asking who this job is
    "ACTIONS_RUNTIME_TOKEN": None,  # for the cache and the artifacts
}

lab.predicted(prediction, {key: key in look(push) for key in prediction})

# %% [markdown]
# Four keys for somebody who was given none.
#
# - `HUB_TOKEN`: written into the `env:` of the *job*, so every step has it, and every program that a step starts.
# - git's credential: `actions/checkout` left it in `.git/config`, so that a later `git push` just works. It is the job's
#   token, `GITHUB_TOKEN`.
# - `ACTIONS_ID_TOKEN_REQUEST_TOKEN`: with it the guest may ask for an identity token and *be* this workflow.
# - `ACTIONS_RUNTIME_TOKEN`: the *runtime token*, for cache and artifacts. (On the platform actions get it and `run:` steps do not. Here every step
#   has it; other code in the same job can reach it there, too.)
#
# What the job's token may do stands in the column *may* of the run above: `write-all` for a test. `contents: write` is
# enough to push to the repository, and `id-token: write` to sign as it.
#
# ## 3. A stranger proposes a change
# Mallory has a fork and no rights. She corrects a typo in a branch, the guest comes along, and the same pull request
# starts `ci.yml` as `pull_request` and `label.yml` as `pull_request_target`. The usual sentence is "fork pull requests
# never see secrets".
#
# **Predict.** A push to the weak project showed four keys. How many will the guest find in these three runs? And may the
# token write to the repository?

# %% tags=["predict"]
prediction = {"fork, pull_request": None, "fork, ..._target": None, "push, hardened": None,  # number of keys
              "the first token writes": None, "the second token writes": None}  # True or False

change = project.propose({"README.md": "A typo, corrected.\n"}, branch="typo", owner="mallory")
proposed = project.run("pull_request", pull=change, workflow="ci.yml")
target = project.run("pull_request_target", pull=change, workflow="label.yml")
project = lab.ci.project("acme/triage-model", with_guest(hardened), settings)
tidy = project.run("push")
runs = {"push": push, "fork, pull_request": proposed, "fork, ..._target": target, "push, hardened": tidy}
writes = [run.jobs[job].permissions["contents"] == "write" for run, job in ((proposed, "test"), (target, "label"))]
lab.predicted(prediction, {name: len(look(run)) for name, run in list(runs.items())[1:]}
              | {"the first token writes": writes[0], "the second token writes": writes[1]})

# %%
keys = sorted(set.union(*map(look, runs.values())))
seen = pd.DataFrame({name: ["yes" if key in look(run) else "-" for key in keys]
                     for name, run in runs.items()}, index=keys)
seen.loc["contents:"] = [next(iter(run.jobs.values())).permissions.get("contents", "none") for run in runs.values()]
seen

# %% [markdown]
# Read it by column.
#
# - *fork, pull_request*: the sentence holds. No secret, no identity, and a token that reads, although the file still
#   says `write-all`: the platform caps it.
# - *fork, …_target*: the sentence fails. The token may **write**, and a stranger's file, checked out by
#   `ref: ${{ github.event.pull_request.head.sha }}`, ran beside it. `HUB_TOKEN` is missing only because `label.yml` does
#   not mention it. Had a step named it, it would be there.
# - *push, hardened*: one key is left, that of the cache and the artifacts, and the repository's contents to read.
#
# Nothing was broken into: each column is a configuration that works as documented. And you can now say, run by run, who
# could read which key.

# %% tags=["check"]
assert all(run.result == "success" for run in runs.values())
assert [len(look(run)) for run in runs.values()] == [4, 2, 2, 1]  # the text says four keys, and one left
assert "HUB_TOKEN" in look(push) and not any("HUB_TOKEN" in look(r) for r in (proposed, target, tidy))
assert list(seen.loc["contents:"]) == ["write", "read", "write", "read"]
assert push.jobs["test"].permissions["id-token"] == "write" and "id-token" not in target.jobs["label"].permissions

# %% [markdown]
# ## 4. The rule behind it
# What a run may do follows from the event, and from where the change comes from. Workflow files only narrow it. Our
# host holds the platform's table in one function, and we print what it answers. `docs/ci-platform.md` cites the
# documentation for each cell.

# %%
from chainlab.ci.runs.rights import Origin, effective_permissions

origins = {"push": Origin("push"), "pull_request, own branch": Origin("pull_request", ref="refs/pull/7/merge"),
           "pull_request, fork": Origin("pull_request", fork=True, ref="refs/pull/7/merge"),
           "pull_request_target, fork": Origin("pull_request_target", fork=True), "schedule": Origin("schedule")}
given = pd.DataFrame([
    {"event": name, "secrets": now.secrets, "token at most": now.cap, "identity": now.identity,
     "file of": now.workflow, "code of": now.checkout, "cache written": now.cache_write or "none",
     "until 2026-06-26": effective_permissions(origin, "before-2026-06-26").cache_write}
    for name, origin in origins.items() for now in [effective_permissions(origin)]]).set_index("event")
given

# %% [markdown]
# Compare the rows of the two pull requests from a fork, which differ by one word in `on:`. The first gets nothing. The
# second gets secrets, a token that may write, and the right to sign.
#
# - *file of*: whose workflow file runs. For `pull_request` it is the merge of the change with its base, so a stranger
#   may rewrite the file; that is why the run gets nothing. For `pull_request_target` it is the default branch's file,
#   which is why the platform trusts it, and why everything is lost when that file runs the stranger's code.
# - *code of*: what is checked out **unless the file says otherwise**. `bench.yml` and `label.yml` do say otherwise.
# - *cache written*: until 26 June 2026 a run of `pull_request_target` wrote into `main`'s scope. [V: changelog]
#   `02_attacks` shows what that was worth.
# - a **protected environment** is not in the table: the project's settings say which refs may use it and who must
#   approve. A job that names it waits; only then does it see the environment's secrets.
#
# No row of this table says it: *whoever may push can read every secret of the repository*, by adding a step.
# [V: GitHub docs, secure use] Secrets in an environment with a reviewer are the exception.

# %% tags=["check"]
fork_rows = given.loc[["pull_request, fork", "pull_request_target, fork"]]
assert [list(row) for row in fork_rows[["secrets", "identity"]].to_numpy()] == [[False, False], [True, True]]
assert list(fork_rows["token at most"]) == ["read", "write"]
assert list(given.loc[["pull_request, fork", "pull_request_target, fork"], "file of"]) == ["merge", "default"]

# %% [markdown]
# ## 5. A tag, and three jobs
# Now a release, by the hardened files. A tag starts `release.yml`; its jobs `publish` and `push-model` name the
# environment `release`, which admits tags `v*` and wants a reviewer. We play the reviewer too.
#
# **Predict.** Which of the three jobs may sign, that is, has `id-token: write`?

# %% tags=["predict"]
prediction = None  # a set of names: {"build", "publish", "push-model"}

project = lab.ci.project("acme/triage-model", hardened, settings)
project.tag("v1.4.0")
release = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
lab.predicted(prediction, {job.name for job in release.jobs.values() if "id-token" in job.permissions})

# %%
release

# %% [markdown]
# Three rooms. `build` runs the project's code, its dependencies and the model's evaluation, and may only read. `publish`
# and `push-model` hold the right to sign, and run nothing of the project's: two actions, pinned by commit. The only
# thing that goes from room to room is a file. A thief among the dependencies of `build` finds no key to sign with.
# (She can still spoil the file. Remember that for the next notebook.)
#
# How did the jobs get an identity? The host gives each job granted `id-token: write` an address and a bearer of its
# own. It runs each job from a copy of the file, and this is what it added to the `env:` of the job `publish`:

# %%
for line in release.copies["publish"].splitlines():
    if line.startswith("+") and "ACTIONS_ID" in line:
        print(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line.removeprefix("+").strip()))

# %% [markdown]
# An address to ask, and a bearer that is unique to this run and job and dies with it. The rest of the difference is
# scaffolding: a stand-in for `build`, which had run, and a last step that lets actions finish their work.
# `chainlab ci run --explain` shows it whole, for any run.
#
# ## 6. What was noted
# A run leaves a log, which its own steps write, and events, which the host writes. Only the second kind is evidence
# against a step that lies.

# %%
story = EventList(e for e in lab.events(about=f"acme/triage-model/runs/{release.id}")
                  if e.source == "/ci" and "step" not in e.type)
story

# %% [markdown]
# The events of the run itself, without its steps. What landed in the registry, and who signed it, is the subject of
# `02_evidence`.

# %% tags=["check"]
assert release.result == "success" and list(release.jobs) == ["build", "publish", "push-model"]
assert release.jobs["build"].permissions == {"contents": "read"}
assert release.jobs["publish"].permissions == {"id-token": "write"}

# %% [markdown]
# ## 7. Read with a scanner
# Back to the weak files. `zizmor` knows most of what this week is about. It reads files, runs nothing, and answers in
# JSON.
#
# **Predict.** There are five weak workflow files of about 40 lines each. How many findings?

# %% tags=["predict"]
import json

prediction = None  # a number

done = lab.run(["zizmor", "--offline", "--no-progress", "--format", "json", weak.name], check=False)
findings = pd.DataFrame([
    {"kind": f["ident"], **f["determinations"], "line": at["concrete"]["location"]["start_point"]["row"] + 1,
     "file": at["symbolic"]["key"]["Local"]["verbatim_path"].rpartition("/")[2]}
    for f in json.loads(done.stdout)
    for at in [a for a in f["locations"] if a["symbolic"]["kind"] == "Primary"][:1]])
findings = findings.sort_values(["file", "line", "kind"], ignore_index=True)
lab.predicted(prediction, len(findings))

# %%
worst = lambda levels: min(levels, key=["High", "Medium", "Low", "Informational"].index)
findings.groupby("kind").agg(findings=("line", "size"), worst=("severity", worst), files=("file", "nunique")) \
    .sort_values("findings", ascending=False, kind="stable")

# %% [markdown]
# Forty-five lines of complaint are not a plan. Two of five are `unpinned-uses`, one decision that a tool carries out.
# Read the others by asking *what would a stranger have to do, and what would he hold then?* Four of them, with the
# lines themselves:

# %%
for kind, name in {"dangerous-triggers": "bench.yml", "template-injection": "label.yml",
                   "artipacked": "ci.yml", "cache-poisoning": "release.yml"}.items():
    found = findings.query("kind == @kind and file == @name").iloc[0]
    line = (weak / ".github/workflows" / name).read_text().splitlines()[found["line"] - 1]
    print(f"{kind:19} {found['severity']:7} sure: {found['confidence']:7} {name}: {line.strip()}")

# %% [markdown]
# - **dangerous-triggers**, `bench.yml`. The trigger alone is not the hole: the file also checks out the change and runs
#   it (`python tests/size.py`). *Threat*: a stranger's code with the project's token. *Fix*: `pull_request`; or keep the
#   trigger and execute nothing of the stranger's, neither files nor words. SLSA letter E.
# - **template-injection**, `label.yml`. `${{ github.head_ref }}` is pasted into a script before the shell reads it. *Fix*:
#   pass it as an environment variable. High, and sure of it: anybody can choose the name of a branch.
# - **artipacked**, `ci.yml`. The credential that our guest found in `.git/config`. *Fix*:
#   `persist-credentials: false`. Medium, with low confidence: a file does not tell who else is in the room. You know.
# - **cache-poisoning**, `release.yml`. The release restores what other runs saved. *Fix*: no cache in a release. Low
#   confidence again, and it is the hole by which TanStack's releases were poisoned. *Confidence says how sure the tool
#   is, not how bad it gets.*
#
# ## 8. What a file cannot show
# The scanner reads what the project wrote. The run executes more than that. The mirror can list all of it:

# %%
def reached(folder):
    """What the workflows name, and what that names."""
    files = sorted((folder / ".github/workflows").iterdir())
    texts = {p.relative_to(folder).as_posix(): p.read_text() for p in files}
    read = lambda name: (folder / name).read_text() if (folder / name).exists() else None
    return lab.ci.platform.mirror.closure(texts, read=read)


reached(weak)

# %% [markdown]
# What the scanner cannot see, then:
#
# - **nested actions**: the indented lines above stand in other people's files;
# - **what a tag means today**, and whether a pinned commit is the project's own or only in somebody's fork (with network
#   access it can ask; here it may not);
# - **settings**: whether the default token writes, whether `release` has a reviewer, who is an admin;
# - **what a script does**: `tests/size.py` is one line in a file to it;
# - **what really ran**. For that you have the events and the platform's provenance.
#
# **Predict.** And on the hardened set: how many findings, and how many names in the tree that can move?

# %% tags=["predict"]
prediction = {"findings": None, "movable names": None}

clean = lab.run(["zizmor", "--offline", "--no-progress", "--format", "json", hardened.name], check=False)
lab.predicted(prediction, {"findings": len(json.loads(clean.stdout)),
                           "movable names": sum(not action.pinned for action in reached(hardened))})

# %% [markdown]
# None of either. That is a statement about files and a list of known mistakes, not about safety: an attack that the list does not
# know would be clean, too. In the lab you break the controls one by one to see which of them really hold.

# %% tags=["check"]
assert len(findings) == 45 and (findings["kind"] == "unpinned-uses").sum() == 19  # the text says 45, two of five
assert json.loads(clean.stdout) == [] and clean.returncode == 0
assert any(a.depth for a in reached(weak)) and not any(a.depth for a in reached(hardened))

# %% [markdown]
# ## 9. Other machines, other platforms
# **A runner of your own.** A hosted runner is a fresh machine for each job. A runner of your own keeps its disk, its
# caches and its processes, unless you make it start anew for every job. Then the guest of section 2 need not find
# anything today: it leaves something for the job of tomorrow, and the walls between jobs, on which section 5 rests, are
# gone. So: one job per machine, none of a stranger's jobs, no cloud role on the machine, and the way out to the network
# closed. The rule of 26 June 2026 is about the platform's own cache; one that you run yourself has whatever rules you
# gave it. Our own host starts a fresh directory and a fresh sandbox for each job, and still runs as your user (where
# root runs it, as a user of the job's own).
#
# **Another CI.** The words change, the questions stay:
#
# | ask of any CI | because of |
# |---|---|
# | which events may a stranger cause, and whose file runs then? | section 3 |
# | which keys lie in a job, and who else is in it? | section 2 |
# | which store do two jobs share, and who may write it? | section 4 |
# | what does its identity token say, and who checks which claim? | `02_evidence` |
# | who writes the account of the run: a step, or the platform? | `02_evidence` |
#
# *Trusted publishing* lets a package index accept an upload by the job's identity token in place of a stored password. On
# PyPI it takes tokens of GitHub, GitLab, Google Cloud and ActiveState [V: PyPI docs]; the
# claims have other names, and a publisher must still be told which ones to hold it to.
#
# **What is simplified here.** Steps run as your own user (under root: as a user of the job's own), behind a sandbox
# without a way out. `container:` is ignored.
# The host, the registry and the logs are one process with one owner. `docs/ci-platform.md` names each difference.
#
# **You can now**
# - say from event and origin which file runs, at which commit, and with which rights
# - list who could read which key in a run, and say why "forks never see secrets" is half a sentence
# - read a finding as threat and fix, and name five things that no scanner of files sees
#
# **Exit question.** A colleague moves `id-token: write` out of the jobs of the hardened `release.yml` to the top of the
# file, "so that it is said once". Which job may now do more, which less, and what happens at the next tag? Primer E has
# the rule.
