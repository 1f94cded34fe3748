# %% [markdown]
# # Week 2 · One push, followed to the end
#
# > In May 2026 somebody with a stolen personal token ran an action in 30 repositories of `guardrails-ai`. It dumped the
# > secrets that those runs held, a deploy token among them. Version 0.10.1 of the package was bad.
# > [V: guardrails security advisory; CVE-2026-45758]
#
# **You will** (90 min: 18 reading, 72 doing)
# - follow a push: event, workflow file, commit, job, token, log, registry
# - put a guest into a job and see which keys lie about, in four kinds of run
# - read the identity in a certificate, and the platform's own account of a run
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
from chainlab.ci.copies import working_copy

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("02_anatomy", seed=seed)
settings = lab.data / "projects/settings/triage-model.toml"
weak, hardened = (working_copy(lab.data / "projects", lab.path / kind, kind) for kind in ("weak", "hardened"))
print("weak:    ", *sorted(p.name for p in (weak / ".github/workflows").iterdir()))
print("hardened:", *sorted(p.name for p in (hardened / ".github/workflows").iterdir()))

# %% [markdown]
# `triage-model` twice: the same code, with the workflows that you took stock of in week 1, and with hardened ones. A
# CI host on this machine runs either, from a git repository of its own. Actions such as `actions/checkout` carry their
# public names and are our own small implementations, from a mirror with tags that can move.
#
# ## 1. An event picks workflow files
# A push arrives. Nobody says "run `ci.yml`": the platform looks into *every* file of `.github/workflows` **at a commit
# that the event determines**, and runs those whose `on:` fits. Before you run the cell: which files does a push to
# `main` start, which a tag, which a pull request?

# %%
from chainlab.ci.workflow import Workflow

happenings = {
    "push to main": ("push", "refs/heads/main"),
    "push of tag v1.4.0": ("push", "refs/tags/v1.4.0"),
    "pull request": ("pull_request", "refs/heads/main"),
    "pull request, as target": ("pull_request_target", "refs/heads/main"),
    "Monday, 3:17": ("schedule", "refs/heads/main"),
}
files = [Workflow.parse(p.name, p.read_text()) for p in sorted((weak / ".github/workflows").iterdir())]
for what, (event, ref) in happenings.items():
    print(f"{what:24}", *(f.path for f in files if f.triggered(event, ref, "refs/heads/main")))

# %% [markdown]
# A pull request starts *three* files, not one: `ci.yml` as `pull_request`, `bench.yml` and `label.yml` as
# `pull_request_target`. The names differ by a word. What the runs hold differs by everything, as you will see.
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
push.result, push.event, push.ref, push.commit == project.head("refs/heads/main")

# %% [markdown]
# The run succeeded, at the commit that `main` names. Now the room:

# %%
sorted(look(push))

# %% [markdown]
# Four keys for somebody who was given none.
#
# - `HUB_TOKEN`: written into the `env:` of the *job*, so every step has it, and every program that a step starts.
# - git's credential: `actions/checkout` left it in `.git/config`, so that a later `git push` just works. It is the job's
#   token, `GITHUB_TOKEN`.
# - the bearer for the identity endpoint: with it the guest may ask for an OIDC token and *be* this workflow.
# - the runtime token, for cache and artifacts. (On the platform actions get it and `run:` steps do not. Here every step
#   has it; other code in the same job can reach it there, too.)
#
# What the job's token may do stands in the run's record:

# %%
print(push.jobs["test"].permissions)

# %% [markdown]
# `write-all` for a test. `contents: write` is enough to push to the repository, and `id-token: write` to sign as it.
#
# ## 3. A stranger proposes a change
# Mallory has a fork and no rights. She corrects a typo in a branch, the guest comes along, and the same pull request
# starts `ci.yml` as `pull_request` and `label.yml` as `pull_request_target`. Write down what the guest will find in
# each. The usual sentence is "fork pull requests never see secrets".

# %%
fork = shutil.copytree(project.folder, lab.path / "fork", dirs_exist_ok=True)
(fork / "README.md").write_text("A typo, corrected.\n")
change = project.pull_request(owner="mallory", branch="typo", folder=fork, title="A typo")
proposed = project.run("pull_request", pull=change, workflow="ci.yml")
target = project.run("pull_request_target", pull=change, workflow="label.yml")
project = lab.ci.project("acme/triage-model", with_guest(hardened), settings)
tidy = project.run("push")
runs = {"push": push, "fork, pull_request": proposed, "fork, ..._target": target, "push, hardened": tidy}
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
# host holds the platform's table in one function, from which we draw. `docs/ci-platform.md` cites the documentation for
# each cell.

# %%
from chainlab.ci.rights import Origin, rights

origins = {"push": Origin("push"), "pull_request, own branch": Origin("pull_request", ref="refs/pull/7/merge"),
           "pull_request, fork": Origin("pull_request", fork=True, ref="refs/pull/7/merge"),
           "pull_request_target, fork": Origin("pull_request_target", fork=True), "schedule": Origin("schedule")}
given = pd.DataFrame([
    {"event": name, "secrets": now.secrets, "token at most": now.cap, "identity": now.identity,
     "file of": now.workflow, "code of": now.checkout, "cache written": now.cache_write or "none",
     "until 2026-06-26": rights(origin, "before-2026-06-26").cache_write}
    for name, origin in origins.items() for now in [rights(origin)]]).set_index("event")
given

# %%
import matplotlib.pyplot as plt

plt.style.use("chainlab.dashboards.style")
questions = ["gets\nsecrets", "token\nmay write", "may sign\nas the project", "wrote main's\ncache, before",
             "writes main's\ncache, now"]
main = "refs/heads/main"
answers = [[r.secrets, r.cap == "write", r.identity, old.cache_write == main, r.cache_write == main]
           for o in origins.values() for r, old in [(rights(o), rights(o, "before-2026-06-26"))]]
fig, ax = plt.subplots(figsize=(9, 3))
ax.imshow(answers, cmap="Greys", vmin=0, vmax=4, aspect="auto")
for row, line in enumerate(answers):
    for column, yes in enumerate(line):
        ax.text(column, row, "yes" if yes else "no", ha="center", va="center")
ax.set_xticks(range(5), questions)
ax.set_yticks(range(5), list(origins))
_ = ax.set_title("A stranger's pull request gets nothing as one event, and nearly all as the other")

# %% [markdown]
# The figure repeats the table. Its third row is all *no*, its fourth all *yes* but the last. The two differ by one word
# in `on:`.
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
# One row that is missing everywhere: *whoever may push can read every secret of the repository*, by adding a step.
# [V: GitHub docs, secure use] Secrets in an environment with a reviewer are the exception.

# %% tags=["check"]
assert not any(answers[2]) and answers[3] == [True, True, True, True, False]  # all no; all yes but the last
assert list(given.loc[["pull_request, fork", "pull_request_target, fork"], "file of"]) == ["merge", "default"]

# %% [markdown]
# ## 5. A tag, and three jobs
# Now a release, by the hardened files. A tag starts `release.yml`; its jobs `publish` and `push-model` name the
# environment `release`, which admits tags `v*` and wants a reviewer. We play the reviewer too.

# %%
project = lab.ci.project("acme/triage-model", hardened, settings)
project.tag("v1.4.0")
release = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
for job in release.jobs.values():
    print(f"{job.name:11} {job.result:8}", *(f"{scope}: {level}" for scope, level in job.permissions.items()))
    for step in job.steps:
        print("   ", step.name)

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
story = [e for e in lab.events() if e.subject.startswith(f"acme/triage-model/runs/{release.id}")]
for event in story:
    if "step" not in event.type:
        what = event.subject.partition("/jobs/")[2] or "the run"
        print(f"{event.type.removeprefix('dev.chainlab.'):22}", what)
print("and", sum("step" in e.type for e in story), "steps")

# %% [markdown]
# ## 7. What landed
# The run's record lists everything that it stored, by digest. `registry.evidence` answers for a digest what `GET
# /evidence/sha256:…` answers on the registry's page: where it is, and what anybody has said about it.

# %%
from chainlab.digests import Digest

def known(name):
    """Everything the registry knows about a product of the release."""
    return lab.registry.evidence.document(Digest.parse(release.produced[name]))


for name in sorted(release.produced):
    what = known(name)
    places = {f"{p['protocol']}: {p.get('project') or p['repository']}" for p in what["places"]}
    print(f"{name:36} {', '.join(places) or 'in the run only'}")
    print("   ", {part: len(what[part]) for part in ("provenance", "referrers", "attached")})

# %% [markdown]
# Four products, and each has its evidence in another shape:
#
# - the **wheel** is in the package index, with a PEP 740 *provenance* object: an attestation by the workflow's identity
#   that it published this file. The index verified it at upload.
# - the **model** is a layer of an OCI manifest, `acme/triage-model/model`. What is said about the manifest hangs on it
#   as a *referrer*: a second manifest that points to the first. There are two, one by the workflow and one by the host.
# - `metrics.json` never left the run. It is known all the same.
# - *attached* counts the platform's statements: one for each job that stored these bytes, made when the job had ended.
#   `build` handed the wheel over and `publish` uploaded it, so two jobs are answerable for it.
#
# (In a workspace in which this notebook ran before, the numbers are higher: evidence is added, never replaced.)
#
# ## 8. Who signed?
# The certificate in the wheel's attestation. You read one in week 1 for a made-up job; this one was really issued to
# the job `publish`, for the bearer you saw above.

# %%
from pypi_attestations import Provenance

(wheel,) = (name for name in release.produced if name.endswith(".whl"))
file = lab.registry.index.file("triage-model", wheel)
attestation = Provenance.model_validate(lab.registry.index.provenance(file)).attestation_bundles[0].attestations[0]
by_workflow = attestation.to_bundle()
MEANING = {"8": "issuer", "18": "workflow", "12": "repository", "14": "ref", "20": "event", "23": "environment",
           "24": "subject of the token", "11": "runner"}
said = {e.oid.dotted_string.rpartition(".")[2]: e.value for e in by_workflow.signing_certificate.extensions
        if e.oid.dotted_string.startswith("1.3.6.1.4.1.57264.1.")}
for number, meaning in MEANING.items():
    print(f".{number:3} {meaning:21}", said[number].value[2:].decode())  # two bytes of DER come first

# %% [markdown]
# Each line is a claim of the CI's token, copied by the certificate authority [V: Fulcio, oid-info]. A policy may ask for
# any of them, and one that asks for too little is the theme of exercise 2.6: *issuer* alone accepts every repository
# of the platform; *repository* alone accepts a workflow that a branch added yesterday. Note `.11`: our host says
# `self-hosted`, because it is.
#
# Is it valid? Three lines of an unmodified client, as in week 1. The second bundle is the platform's, about `build`.

# %%
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy

item = [i for i in known(wheel)["attached"] if i["source"].endswith(f"/runs/{release.id}/jobs/build")][0]
by_host = Bundle.from_json(lab.registry.evidence.read(file.digest, Digest.parse(item["digest"])))
verifier = Verifier(trusted_root=lab.trust.config.trusted_root)
GIT = "https://git.chainlab.localhost"
signers = {"the workflow": (by_workflow, f"{GIT}/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"),
           "the host": (by_host, f"{GIT}/chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main")}
for name, (bundle, identity) in signers.items():
    kind, payload = verifier.verify_dsse(bundle, policy.Identity(identity=identity, issuer=lab.trust.ci_issuer))
    kind = re.findall(r'"predicateType": ?"[^"]+?/([a-z]+/v1)"', payload.decode())[0]
    print(f"{name}: verified; it speaks of …/{kind}")

# %% [markdown]
# Two signers, two sentences. The *workflow* says: I published this file. It can say whatever its steps want, for its
# identity is within their reach. The *host* says how the job went, and no step can ask for its identity:

# %%
import json

predicate = json.loads(payload)["predicate"]
definition = predicate["buildDefinition"]
print("builder:   ", predicate["runDetails"]["builder"]["id"])
print("workflow:  ", *definition["externalParameters"]["workflow"].values())
print("caused by: ", definition["internalParameters"])
used = definition["resolvedDependencies"]
actions = [d["uri"].removeprefix(f"git+{GIT}/") for d in used[1:] if d["uri"].startswith("git")]
print("actions:   ", *(name.partition("@")[0] for name in actions))
print("packages:  ", *(d["name"] for d in used if "pkg:pypi/acme" in d["uri"]), "…")
print("all with a digest:", all(d["digest"] for d in used))

# %% [markdown]
# This is SLSA provenance, version 1. Every action is there by commit, also those that actions call, and every
# package that the index served to the job, as the host saw it. Now look for what is *not* there: the training data,
# which came inside the package `scikit-learn`, and the base model, covered by the commit alone; whatever a step brought
# in by another way; a cache. Completeness of this list is best effort even at the highest build level. [V: SLSA
# v1.2] The builder's name ends in `build-l1`: whoever sits at this laptop holds the host's keys, so we claim no more.

# %% tags=["check"]
assert release.result == "success" and list(release.jobs) == ["build", "publish", "push-model"]
assert release.jobs["build"].permissions == {"contents": "read"}
assert release.jobs["publish"].permissions == {"id-token": "write"}
assert len(known("acme/triage-model/model")["referrers"]) == 2 and known("metrics.json")["places"] == []
assert len(release.produced) == 4 and len(json.loads(payload)["subject"]) == 3  # build pushed no manifest
assert said["23"].value[2:] == b"release" and said["11"].value[2:] == b"self-hosted"
assert not any("cache" in d["uri"] for d in used)

# %% [markdown]
# ## 9. Names that are easily confused
# This one release wrote into three things that are called a *registry*, into two kinds of Merkle log, and under two
# names. Each entry, in order:

# %%
rows, events = [], lab.events()
for event in events[[e.id for e in events].index(story[0].id):]:
    kind, data = event.type.removeprefix("dev.chainlab."), event.data
    if kind == "certificate.issued":
        who = data["identity"].removeprefix(f"{GIT}/").partition("/.github")[0]  # and of the signature that follows
        rows.append(("CT log", "a certificate", who))
    elif kind == "logentry.created" and data["logIndex"] > 0:  # entry 0 is the instance's own
        rows.append((f"transparency log {data['log']}", "a signature", who))
    elif kind == "artifact.published" and "/" in data["by"]:
        where = "package index" if "file" in data else "OCI registry"
        said_by = "chainlab/ci-host" if "ci-host" in data["by"] else release.repository
        rows.append((where, "a statement about a manifest" if "about" in data else "an artifact", said_by))
pd.DataFrame(rows, columns=["written into", "what", "by"])

# %% [markdown]
# | if you ask … | look into | because it holds |
# |---|---|---|
# | who got a certificate in our name? | the CT log | certificates, before any signature exists |
# | what was signed in our name? | the transparency log | signatures, never artifacts |
# | where is the wheel, and who may upload it? | the package index | files under project and version |
# | where is the model, and what was said about it? | the OCI registry | manifests under digests and movable tags |
# | did the workflow say so? | the attestation of the *workflow* | what its authors, and its steps, wished to say |
# | did the run go like this? | the provenance of the *platform* | what the host saw |
#
# Five signatures: two by the workflow, and one by the host for each job that stored something. Each is a certificate in one
# log and an entry in the other. The wheel brings its attestation along in one upload; the model's manifest is pushed
# first, and what is said about it follows. (Why a transparency log `v1` and
# one `v2`: PEP 740 keeps no timestamp of a third party, so its entry goes to the older kind, which adds a time.) The
# glossary has these confusions side by side.
#
# ## 10. Read with a scanner
# Back to the weak files. `zizmor` knows most of what this week is about. It reads files, runs nothing, and answers in
# JSON:

# %%
done = lab.run(["zizmor", "--offline", "--no-progress", "--format", "json", weak.name], check=False)
findings = pd.DataFrame([
    {"kind": f["ident"], **f["determinations"], "line": at["concrete"]["location"]["start_point"]["row"] + 1,
     "file": at["symbolic"]["key"]["Local"]["verbatim_path"].rpartition("/")[2]}
    for f in json.loads(done.stdout)
    for at in [a for a in f["locations"] if a["symbolic"]["kind"] == "Primary"][:1]])
findings = findings.sort_values(["file", "line", "kind"], ignore_index=True)
print(len(findings), "findings of", findings["kind"].nunique(), "kinds")
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
# ## 11. What a file cannot show
# The scanner reads what the project wrote. The run executes more than that. The mirror can list all of it:

# %%
def reached(folder):
    """What the workflows name, and what that names."""
    files = sorted((folder / ".github/workflows").iterdir())
    texts = {p.relative_to(folder).as_posix(): p.read_text() for p in files}
    read = lambda name: (folder / name).read_text() if (folder / name).exists() else None
    return lab.ci.platform.mirror.closure(texts, read=read)


for kind, folder in {"weak": weak, "hardened": hardened}.items():
    depths = [action.depth for action in reached(folder)]
    print(f"{kind:9} named by the project: {depths.count(0)}, inside those: {sum(d > 0 for d in depths)}")
nested = [a for a in reached(weak) if a.depth > 0]
for action in nested:
    print(f"  depth {action.depth}: {action!s:24} named in {action.file.partition('@')[0]}")

# %% [markdown]
# What the scanner cannot see, then:
#
# - **nested actions**: the lines above are in other people's files;
# - **what a tag means today**, and whether a pinned commit is the project's own or only in somebody's fork (with network
#   access it can ask; here it may not);
# - **settings**: whether the default token writes, whether `release` has a reviewer, who is an admin;
# - **what a script does**: `tests/size.py` is one line in a file to it;
# - **what really ran**. For that you have the events and the platform's provenance.
#
# And on the hardened set?

# %%
clean = lab.run(["zizmor", "--offline", "--no-progress", "--format", "json", hardened.name], check=False)
print("findings:", len(json.loads(clean.stdout)))

# %% [markdown]
# None. That is a statement about files and a list of known mistakes, not about safety: an attack that the list does not
# know would be clean, too. In the lab you break the controls one by one to see which of them really hold.

# %% tags=["check"]
assert len(findings) == 45 and (findings["kind"] == "unpinned-uses").sum() == 19  # the text says 45, two of five
assert json.loads(clean.stdout) == [] and clean.returncode == 0
assert nested and not any(a.depth for a in reached(hardened))

# %% [markdown]
# ## 12. Other machines, other platforms
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
# | what does its identity token say, and who checks which claim? | section 8 |
# | who writes the account of the run: a step, or the platform? | section 8 |
#
# Trusted publishing on PyPI, for one, takes tokens of GitHub, GitLab, Google Cloud and ActiveState [V: PyPI docs]; the
# claims have other names, and a publisher must still be told which ones to hold it to.
#
# **What is simplified here.** Steps run as your own user (under root: as a user of the job's own), behind a sandbox
# without a way out. `container:` is ignored.
# The host, the registry and the logs are one process with one owner. `docs/ci-platform.md` names each difference.
#
# **You can now**
# - say from event and origin which file runs, at which commit, and with which rights
# - list who could read which key in a run, and say why "forks never see secrets" is half a sentence
# - tell the workflow's statement from the platform's, and find both for a digest
# - read a finding as threat and fix, and name five things that no scanner of files sees
#
# **Exit question.** A colleague moves `id-token: write` out of the jobs of the hardened `release.yml` to the top of the
# file, "so that it is said once". Which job may now do more, which less, and what happens at the next tag? Primer E has
# the rule.
