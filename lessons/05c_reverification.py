# %% [markdown]
# # Week 5 · A release was verified on Monday. What about Thursday?
#
# > On 24 March 2026 PyPI quarantined litellm 1.82.7 and 1.82.8, 152 minutes after the first upload. 1.82.8 brought a file
# > `litellm_init.pth`, which runs at *every* start of Python. A check at deploy time asks once, and never again by itself.
# > [V: PyPI's report of 2026-04-02; litellm issue 24518]
#
# Admission is a moment. A deployment is a state, and it lasts. Between the two, an advisory appears, a verdict is
# withdrawn, a file changes, and the service does what it does. Here you verify again what runs, go back by digest, and
# watch a service from inside, and then you look for ways past the watcher.
#
# **You will** (50 min: 11 reading, 39 doing)
# - deploy a release, change the world around it, and read what re-verification says
# - tell *no* from *unknown*, and say which of them may move a deployment
# - go back to an earlier digest, and find what was kept
# - see a `.pth` payload and a poisoned model by an audit hook
# - name three ways past that hook
#
# **Before:** `04b_gate`. **Lab:** `labs/05_monitoring.ipynb`, exercise 5.5 and exercise 5.7

# %% tags=["parameters"]
seed = 1

# %%
import json
import os
import pickle
import re
import shutil
import subprocess
import venv
from textwrap import shorten

import chainlab
import pandas as pd
from chainlab.course.project_states import settings_of, working_copy
from chainlab.digests import Digest

pd.set_option("display.width", 150, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("05c_reverification", seed=seed)

# %% [markdown]
# ## Monday
# The attested release of week 4, promoted and deployed. The cell takes half a minute.

# %%
folder = working_copy(lab.data / "projects", lab.path / "triage-model", "attested")
project = lab.ci.project("acme/triage-model", folder, settings_of(lab.data / "projects", "attested"))
project.tag("v1.4.0")
run = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
first = run.jobs["package"].outputs["reference"]
lab.deployment.promote(first)
lab.deployment.deploy(first)
monday = lab.reverification.reverify()
monday

# %% [markdown]
# Five questions, five times yes. The first compares every file in the service's environment with the list that the
# deployment wrote down after it had compared them with the wheels. The third asks what admission asked: in prod, not in
# quarantine, last verdict a yes, by the policy in force. The fourth lets the gate judge once more, without a trace:
# nothing is signed, nothing is kept. Each look is an event, `service.reverified`.
#
# ## Thursday
# Four things happen, one at a time, each undone before the next:
#
# - *advisory*: somebody reports a flaw in `acme-cells`, and it is exploited
# - *file*: a line is added to `serve.py` in the service's environment
# - *quarantine*: security holds the release back
# - *garbled*: the advisory's file is cut off, so it cannot be read
#
# **Predict**: which cause does re-verification give for each: "advisory", "bytes", "revoked" or "unreachable"?

# %%
from chainlab.monitor.reverification import ReverificationObserver
from chainlab.policy.gate import Gate

world = lab.path / "advisories"
shutil.copytree(lab.data / "advisories", world, dirs_exist_ok=True)
record = json.loads((world / "ACME-2026-0004.json").read_text()) | {"id": "ACME-2026-9001"}
record["affected"][0] |= {"package": {"ecosystem": "PyPI", "name": "acme-cells"}}
record["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}, {"fixed": "1.3.0"}]
known = json.loads((world / "exploited.json").read_text())
known["vulnerabilities"].append({**known["vulnerabilities"][0], "cveID": "ACME-2026-9001"})
(world / "exploited.json").write_text(json.dumps(known | {"count": len(known["vulnerabilities"])}))
thursday = Gate(lab.registry, lab.trust, lab.data / "policies", world)


# %%
def look(gate=lab.gate, rolls_back=()):
    """Verify again what runs; go back for these causes."""
    database = lab.workspace.trust / "state.db"
    observer = ReverificationObserver(
        lab.deployment, lab.registry, lab.trust, lambda: gate, database=database, rolls_back=rolls_back)
    return observer.reverify()


def digest_of(reference):
    return Digest.parse(reference.partition("@")[2])


def environment():
    """Where the packages of the running service lie."""
    [site] = lab.deployment.folder(lab.deployment.current).glob("venv/lib/*/site-packages")
    return site


# %% tags=["predict"]
prediction = {"advisory": None, "file": None, "quarantine": None, "garbled": None}
looks = {"Monday": monday}
(world / "ACME-2026-9001.json").write_text(json.dumps(record))
looks["advisory"] = look(thursday)
serve = environment() / "triage_model" / "serve.py"
whole = serve.read_text()
serve.write_text(whole + "# one more line\n")
looks["file"] = look()
serve.write_text(whole)
lab.registry.quarantine.hold(digest_of(first), "misses melanomas", by="security@acme.example")
looks["quarantine"] = look()
lab.registry.quarantine.release(digest_of(first), by="security@acme.example")
(world / "ACME-2026-9001.json").write_text(json.dumps(record)[:40])
looks["garbled"] = look(thursday)
lab.predicted(prediction, {name: result.cause for name, result in looks.items() if name in prediction})

# %%
import matplotlib.pyplot as plt
from chainlab.dashboards.looks import looks as draw

plt.style.use("chainlab.dashboards.style")
_ = draw(looks, title="Each change is answered by another question, and a scan that failed is unknown")

# %% [markdown]
# In words: on Monday all five are yes. The advisory changes the gate's answer alone, because admission still finds the
# verdict of Monday, and a yes stays signed. The line in `serve.py` changes the first answer alone: registry and verdict
# know nothing of this disk. Quarantine changes two. And the garbled advisory is *unknown*: the gate could not look
# through all advisories, so it knows no better than before.
#
# What did re-verification *do*? Read `action`:

# %%
pd.DataFrame([{"change": name, "cause": result.cause or "–", "action": result.action,
               "why": shorten(re.sub(r"sha256:\w+", "it", result.why), 90)} for name, result in looks.items()])

# %% [markdown]
# It reported, and the service went on each time. Going back is a decision of the policy: `[reverification]` in
# `release.toml` lists the causes for which the deployment goes back by itself, and as delivered it lists none. *Unknown*
# cannot be listed. If it could, whoever breaks the gate, or the network before it, would decide what runs.
#
# ## Back, by digest
# A second release, in prod since Tuesday: the same files, packed again. We play the platform for its provenance, as in
# `04b_gate`.

# %%
from chainlab.ci.runs import job_provenance
from chainlab.evidence.statements import PROVENANCE, Statement, payload
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.manifest import MANIFEST_TYPE, TITLE
from chainlab.registry.oci.referrers import attach

REPOSITORY, images = "acme/triage-model/release", lab.registry.images
held = [h for r in images.referrers(None, digest_of(first)) for h in images.holdings(r.repository, r.digest)]
bundles = [images.blobs.read(h.digest) for h in held if h.role == "layer" and h.media_type == BUNDLE_TYPE]
statements = [Statement.load(payload(json.loads(bundle))) for bundle in bundles]
[packing] = [s for s in statements if s.predicate_type == PROVENANCE and s.is_about(digest_of(first))]

# %%
manifest = json.loads(images.blobs.read(digest_of(first)))
manifest["annotations"]["org.opencontainers.image.description"] = "packed again"
pushed = images.push(REPOSITORY, "latest", json.dumps(manifest).encode(), MANIFEST_TYPE, by="acme").digest
files = {layer["annotations"][TITLE]: Digest.parse(layer["digest"]) for layer in manifest["layers"]}
word = Statement.about({REPOSITORY: pushed, **files}, PROVENANCE, packing.predicate)
for bundle in [*bundles, job_provenance.sign(word, lab.trust)]:
    attach(images, REPOSITORY, pushed, bundle, BUNDLE_TYPE, by="acme")
second = f"oci/{REPOSITORY}@{pushed}"
lab.deployment.promote(second)
_ = lab.deployment.deploy(second)

# %% [markdown]
# It runs, and the tag `latest` names it. Now security quarantines it, and the policy says: go back for *revoked*.
#
# **Predict**, each "yes" or "no": Does the first release run afterwards? Does `latest` name the first release? Is what was
# installed of the second one gone from the disk? Would a second look go back once more?

# %% tags=["predict"]
prediction = {"first runs": None, "latest moved": None, "second is gone": None, "goes back again": None}
left = lab.deployment.current.service.folder
lab.registry.quarantine.hold(pushed, "misses melanomas", by="security@acme.example")
back = look(rolls_back=["revoked"])
again = look(rolls_back=["revoked"])
[latest] = [tag.digest for tag in images.tags(REPOSITORY) if tag.name == "latest"]
came_out = {
    "first runs": lab.deployment.current.reference == first,
    "latest moved": latest == digest_of(first),
    "second is gone": not (lab.deployment.evidence / left).exists(),
    "goes back again": again.action == "rolledback",
}
print(lab.predicted(prediction, {question: "yes" if answer else "no" for question, answer in came_out.items()}))
back

# %% [markdown]
# - *The first runs*, installed anew and verified like any other: its verdict, its bytes, and the gate's opinion of today. A
#   release that ran before is not a release that is good. Earlier ones that do not verify now are passed over; if none
#   verifies, what runs stays, and the event says so.
# - `latest` *did not move*. A tag is the one thing here that an attacker could move as well, and whoever reads it tomorrow
#   learns nothing about today.
# - *What was installed of the second* is kept. To delete it would have been tidier, and the payload, if there was one,
#   would be gone with it.
# - *No second step back*: what runs now verifies. The deployment never goes forward by itself, so it cannot swing to and
#   fro.

# %%
kept = lab.deployment.evidence / left
reason = json.loads((kept / "refused.json").read_text())
print("the folder begins with the digest:", kept.name.startswith(pushed.value.hex()[:16]))
print("why:", reason["why"].partition(";")[0].replace(str(pushed), "it"))
print("in it:", ", ".join(sorted(path.name for path in kept.iterdir() if path.suffix in (".json", ".jsonl", ".log"))))

# %% [markdown]
# `behaviour.jsonl` is the report of a watcher that ran inside the service. Until now it had little to say.
#
# ## A watcher inside
# Python calls *audit hooks*, if there are any, before it opens a file, connects, starts a process, runs code. [V: PEP 578]
# The deployment starts the service like this:
#
# ```
# python -I -S -B audit_hook.py behaviour.jsonl files.json triage.onnx triage_model.serve …
# ```
#
# `-S` starts Python without `site`, the part that looks for `.pth` files and runs their lines. The hook is added first,
# and then `site` runs under it. Files on the deployment's list are not reported, so the honest service wrote this:

# %%
from chainlab.deploy.prediction_service import AUDIT_HOOK, BEHAVIOUR
from chainlab.monitor.runtime import read_report

behaviour = lab.gate.policy().read.behaviour


def shown(report):
    """What a hook reported, beside what is attested."""
    columns = ["action", "target", "phase", "expected"]
    table = pd.DataFrame(read_report(report, behaviour), columns=columns).astype({"expected": bool})
    return table.assign(target=[re.sub(r".*/site-packages/|.*/(?=ran\b)", "…/", target) for target in table["target"]])


honest = shown(lab.deployment.folder(lab.deployment.current) / BEHAVIOUR)
honest

# %% [markdown]
# All of it is expected, because the policy's `[behaviour]` says so: one socket on loopback, two files of the system, and so
# on. *Attested* means here: the gate signed a digest of the facts, which name the wheels whose files are on the list, and a
# digest of the policy, which has `[behaviour]`. A list that was learnt by watching the first start would be worth less: it
# would have learnt the payload, too.
#
# ## A `.pth` file
# Somebody with access to the disk leaves a file in the environment, and the machine is rebooted. As supervisors of
# processes do, `restart` starts what lies there and compares nothing.
#
# **Predict**: which actions does the hook report as unexpected, each "yes" or "no"?

# %% tags=["predict"]
prediction = {"process": None, "connect": None, "listen": None, "read": None, "write": None, "code": None}
sink = lab.sink()
payload_line = f"import socket; s = socket.create_connection(('127.0.0.1', {sink.port})); s.close()\n"
(environment() / "zz_telemetry.pth").write_text(payload_line)
lab.deployment.restart()
lab.runtime.observe()
start = shown(lab.deployment.folder(lab.deployment.current) / BEHAVIOUR)[len(honest):]
unexpected = start[~start["expected"]]
print(lab.predicted(prediction, {a: "yes" if a in set(unexpected["action"]) else "no" for a in prediction}))
unexpected.assign(target=unexpected["target"].str.replace(str(sink.port), "PORT")).reset_index(drop=True)

# %% [markdown]
# It was read, it was run as code, and it connected, all at `startup`: before the service's own first line. `lab.runtime`
# appends each line as an event `service.behaved`, which a detection matches; and re-verification answers two questions
# with no:

# %%
look()

# %% [markdown]
# ## A model that acts when it is loaded
# Prod takes ONNX and safetensors, and the gate looks at the bytes. Another team has no gate yet and loads a pickle. We run
# their service under the same hook.

# %%
room = lab.path / "other-team"
venv.create(room / "venv", symlinks=True)
[site] = room.glob("venv/lib/*/site-packages")
SERVICE = """
import pickle, socket
from pathlib import Path
model = pickle.loads(Path("model.pkl").read_bytes())
socket.create_server(("127.0.0.1", 0)).close()
"""

# %%
def watched(code, model=b""):
    """Run a service under the hook; what it did, and whether the file `ran` was written."""
    (site / "service.py").write_text(code)
    (room / "model.pkl").write_bytes(model)
    files = {str(path.relative_to(room)): "" for path in room.rglob("*") if path.suffix != ".jsonl"}
    (room / "files.json").write_text(json.dumps(files))
    for name in ("ran", BEHAVIOUR):
        (room / name).unlink(missing_ok=True)
    command = [room / "venv/bin/python", "-I", "-S", "-B", AUDIT_HOOK, BEHAVIOUR, "files.json", "model.pkl", "service"]
    subprocess.run(command, cwd=room, check=True)
    return shown(room / BEHAVIOUR), (room / "ran").exists()

# %% [markdown]
# **Predict**: in which phase does the process of the poisoned model start: "startup", "load" or "serving"?

# %% tags=["predict"]
class Poisoned:
    """A model that runs a command when it is unpickled. The command is harmless: it writes an empty file."""

    def __reduce__(self):
        return os.system, ("touch ran",)


prediction = None
clean, _ = watched(SERVICE, pickle.dumps([0.5, 0.5]))
poisoned, ran = watched(SERVICE, pickle.dumps(Poisoned()))
[phase] = poisoned[poisoned["action"] == "process"]["phase"]
print(lab.predicted(prediction, phase))
poisoned

# %% [markdown]
# At `load`: after the model was opened, before anything listens. `pickle posix.system` says which name the pickle asked
# for, and that alone is enough; a list of numbers asks for no name. Note what happened as well: **it ran**. The file `ran`
# is there. The hook told us, and stopped nothing.
#
# ## Past the hook
# Four services, each of which starts `touch ran`. **Predict** for each what the report has of it: "all" (the process), "a
# trace" (something unexpected, and not the process) or "nothing".

# %%
PROGRAMS = {
    "os.system": "import os; os.system('touch ran')",
    "C's system(), by ctypes": "import ctypes; ctypes.CDLL(None).system(b'touch ran')",
    "multiprocessing's own start": (
        "import os, shutil\nfrom multiprocessing.util import spawnv_passfds\n"
        "os.waitpid(spawnv_passfds(os.fsencode(shutil.which('touch')), [b'touch', b'ran'], []), 0)"),
    "a second interpreter": (
        "try: import _interpreters as i\nexcept ImportError: import _xxsubinterpreters as i\n"
        "i.run_string(i.create(), \"import os; os.system('touch ran')\")"),
}

# %% tags=["predict"]
prediction = dict.fromkeys(PROGRAMS)
seen, all_ran = {}, True
for name, code in PROGRAMS.items():
    table, ran_too = watched(code)
    lines = table[~table["expected"]]
    seen[name] = "all" if "process" in set(lines["action"]) else "a trace" if len(lines) else "nothing"
    all_ran &= ran_too
print(lab.predicted(prediction, seen))
print("all four ran:", all_ran)

# %% [markdown]
# - *By ctypes*: the name `system` was looked up, which is a trace. What was called with it, nobody says. Native code in a
#   package is the same: its loading is seen, and then it is alone.
# - *multiprocessing's own start* goes below the function that raises the audit event. Nothing to see, in pure Python.
# - *A second interpreter* has no hook: one that was added in Python belongs to one interpreter. That one was made is the
#   trace; what runs in it, nobody says.
#
# Code in the process can also reach into the hook's memory and empty its tables. Python's documentation says so itself:
# such hooks are "not suitable for implementing a 'sandbox'", and malicious code can "trivially disable or bypass" them.
# [V: docs.python.org, `sys.addaudithook`] **A hook detects and does not confine.** It is worth its price, because payloads
# that are written for many victims rarely look for it, and because this one costs nothing that we could measure: a service
# reports when it starts, and is quiet while it serves. An empty report proves nothing.
#
# **Change it**: find a fifth way in `watched`. What does a thread do? A `fork`? A Python that was started anew?

# %%
lab.registry.quarantine.release(pushed, by="security@acme.example")
lab.deployment.stop()
pd.DataFrame([{name: event.data[name] or "–" for name in ("cause", "action")}
              for event in lab.events("service.reverified")])

# %% [markdown]
# That is what all these looks left: one event each. A detection about them is three lines long, and a dashboard that
# counts the minutes since the last `verified` knows when nobody looks any more.

# %% tags=["check"]
assert monday.verified and len({answer.question for answer in monday.answers}) == 5  # the text says five
assert [looks[name].cause for name in ("advisory", "file", "quarantine", "garbled")] == [
    "advisory", "bytes", "revoked", "unreachable"]
assert {result.action for name, result in looks.items() if name != "Monday"} == {"reported"}
assert sum(bool(answer.cause) for answer in looks["file"].answers) == 1  # the line changes the first answer alone
assert len({a.question for a in looks["quarantine"].answers if a.cause}) == 2  # quarantine changes two
assert list(came_out.values()) == [True, False, False, False] and back.action == "rolledback" and again.verified
assert honest["expected"].all() and set(unexpected["action"]) == {"read", "code", "connect"}
assert not (set(clean["action"]) & {"process", "code"}) and ran and phase == "load"
assert list(seen.values()) == ["all", "a trace", "nothing", "a trace"] and all_ran

# %% [markdown]
# ## Who sees what
# | | admission | re-verification | audit hook | a watcher in the kernel |
# |---|---|---|---|---|
# | a verdict withdrawn since | no | yes | no | no |
# | a file added to the disk | no | yes | when it runs | when it is opened |
# | a poisoned model | if its format is scanned | when an advisory names it | at load | what it does then |
# | native code that starts a process | no | no | a trace | yes |
# | who can switch it off | who has the gate | who has the monitor | the service itself | who has the machine |
#
# The field's watchers of the last column, Falco and Tetragon, read system calls by a kernel module or by eBPF, outside of
# what they watch. They need rights that a course should not ask for.
#
# **Simplified here.** One user owns service, monitor and disk, so whoever can change the service can change the list of its
# files and the report as well. `restart` compares nothing; an orchestrator would start an image by its digest. The process
# that runs has its code in memory: changed files matter at the next start, and a process that was changed in memory is
# not what we compared.
#
# **You can now**
# - say why a release that was verified may not be any more, and which question finds it
# - keep *unknown* apart from *no*, and say why only one of them may move a deployment
# - go back to a digest that verifies now, with the refused one kept
# - read an audit hook's report beside what is attested, and find a `.pth` payload and a poisoned model in it
# - name what goes past a hook, and what an empty report is worth
#
# **Carry home.** For one service of yours: what would tell you on Thursday that Monday's yes is gone? Write down the
# question, who asks it how often, and what happens when nobody answers.
#
# **Exit question.** A colleague wants the deployment to go back as well when the gate is silent for an hour, "to be safe".
# Who decides then what runs, and what would you offer instead?
