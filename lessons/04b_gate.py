# %% [markdown]
# # Week 4 · A gate: evidence that nobody checks protects nobody
#
# > Attesting without verifying gives no benefit: that is what the platform's own documentation says about artifact
# > attestations, which take one line of YAML to make. [V: GitHub docs, "Artifact attestations"]
#
# A release of `triage-model` now brings eight signed statements. A gate reads them and says yes or no, with reasons,
# and signs its answer. Here you watch one at work: what it is told, how its rules think, what it refuses.
#
# **You will** (90 min: 17 reading, 73 doing)
# - run the attested release, and see what Python hands to the rules
# - learn the one trap of Rego, in five lines
# - read a decision, doctor releases, and read the refusals
# - check the gate's own statement, a verification summary (VSA), in seven steps
# - promote, deploy and roll back; make an exception that ends
#
# **Before:** `04a_attestation`. **Lab:** `labs/04_attestation.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only. Words are in
# [the glossary](../docs/glossary.md). At **Predict**, write your answer in place of `None` before you run the cell. At
# **Change it**, change one value and run the cell again.

# %% tags=["parameters"]
seed = 1

# %%
import base64
import copy
import json
import re
import shutil

import chainlab
import pandas as pd
from chainlab.course.project_states import settings_of, working_copy
from chainlab.digests import Digest
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.manifest import MANIFEST_TYPE
from chainlab.registry.oci.referrers import attach

pd.set_option("display.width", 150, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("04b_gate", seed=seed)

# %% [markdown]
# ## The release, stage by stage
# The project as in week 2, with the hardened files, and over them those of week 4. The cell takes 20 to 40 seconds. The
# last job, `promote`, waits for the environment `production`. We do not approve it: that step we want to do by hand.

# %%
import matplotlib.pyplot as plt
from chainlab.dashboards import diagrams

folder = working_copy(lab.data / "projects", lab.path / "triage-model", "attested")
project = lab.ci.project("acme/triage-model", folder, settings_of(lab.data / "projects", "attested"))
project.tag("v1.4.0")
run = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
plt.style.use("chainlab.dashboards.style")
_ = diagrams.signers(title="Every job signs what it makes; the platform says how each job went")
run

# %% [markdown]
# Five jobs ended well, and `promote` waits without any permission. In words, what the picture shows: `source`, `build`,
# `train` and `package` each make something and sign a statement about it, as this workflow at this tag. The platform
# signs provenance of what each of them stored, after the job has ended. The gate signs its verdict.
#
# A job that takes files over verifies them before it touches a byte: open the steps of `package`, and see "verify it"
# three times. It asks for the platform's provenance (the right job, of this run) and for the statement of the stage
# before. A gate at the end could not do that: it sees only results, and bytes that were swapped between `build` and
# `train` would come out signed by an honest `train`.
#
# What came out is *one* artifact in the registry, a manifest that names a model, a wheel and a lock by digest.

# %%
reference = run.jobs["package"].outputs["reference"]
REPOSITORY = "acme/triage-model/release"
digest, images = Digest.parse(reference.partition("@")[2]), lab.registry.images
manifest = json.loads(images.blobs.read(digest))
TITLE = "org.opencontainers.image.title"
print(*(layer["annotations"][TITLE] for layer in manifest["layers"]), sep="\n")

# %% [markdown]
# Three files, called *layers*: each is named by its digest, so the manifest's digest stands for all of it.
#
# ## Rego, and its one trap
# The rules are written in Rego, the language of Open Policy Agent. A rule gives a name a value *if* all its lines hold.
# The function asks an engine:

# %%
from regopy import Interpreter


def asked(rules, facts):
    """What these rules come to with these facts."""
    engine = Interpreter()
    engine.add_module("lesson", f"package lesson\n\nimport rego.v1\n\n{rules}\n")
    engine.set_input(facts)
    [answer] = json.loads(str(engine.query("data.lesson")))["expressions"]
    return answer


# %% [markdown]
# **Predict.** Below, five rules each get some facts. What is `safe` in each: "true", "false" or "undefined"?

# %% tags=["predict"]
prediction = {1: None, 2: None, 3: None, 4: None, 5: None}
FIVE = {
    1: ("safe if input.exploited == 0", {"exploited": 0}),
    2: ("safe if input.exploited == 0", {"exploited": 3}),
    3: ("safe if input.exploited == 0", {}),
    4: ("safe if not input.exploited > 0", {}),
    5: ("default safe := false\n\nsafe if input.exploited == 0", {}),
}
answers = {number: asked(rules, facts) for number, (rules, facts) in FIVE.items()}
lab.predicted(prediction, {n: str(answer.get("safe", "undefined")).lower() for n, answer in answers.items()})

# %% [markdown]
# 1. Holds: `safe` is true.
# 2. Does not hold. `safe` is not false: it is *not there*. Undefined.
# 3. The fact is missing, `input.exploited` is undefined, and so is the comparison. The same empty answer as 2.
# 4. **The trap.** `not` of something undefined is true. Nobody scanned this release, and it is safe.
# 5. The habit: name what you *want to see*, and give a default of false. Every rule of `data/policies` does.
#
# The lines of a rule are joined by *and*. There is no word for *or*: you write a second rule of the same name. A rule
# may take arguments, like a function. Lists have the same trap in another coat, and comparison across types is a third:

# %%
every = "default safe := false\n\nsafe if {\n  every f in input.findings {\n    f.exploited == false\n  }\n}"
some = "default bad := false\n\nbad if {\n  some f in input.findings\n  f.exploited == true\n}"
either = 'harmless(f) if f.exploited == false\n\nharmless(f) if f.vex == "not_affected"\n\nsafe if harmless(input)'
number = "good if {\n  is_number(input.recall)\n  input.recall >= 0.9\n}"
pd.Series({
    "either of two rules": asked(either, {"exploited": True, "vex": "not_affected"}),
    "every, empty list": asked(every, {"findings": []}),
    "every, no list": asked(every, {}),
    "some, no list": asked(some, {}),
    "null at least 0.9": asked("good if input.recall >= 0.9", {"recall": None}),
    "with a type asked": asked(number, {"recall": None}),
}).to_frame("answer")

# %% [markdown]
# - One `harmless` of the two holds, and that is enough.
# - `every` holds for an empty list. That is right for a scan that found nothing, and wrong where something has to be there:
#   ask for `count(…) > 0` as well.
# - `some` over a missing list finds nothing bad.
# - In this engine `null` is at least 0.9, so a number that could not be read passes the threshold. Rego compares values of
#   all types, and engines differ in how: another one may let a text pass instead. So ask for the type.
#
# **Change it**: take `every`, and give it a finding without the field `exploited`. Does it pass?
#
# ## Python verifies, Rego decides
# Rego cannot check a signature. So the gate works in two halves. Python fetches all evidence about the manifest and its
# files, verifies each bundle, and writes down *facts*. Of a bundle that does not hold it writes down that, and nothing of
# what the bundle says. Ten rules in Rego read the facts, and verify nothing. Then the gate signs the verdict, a VSA, and
# the deployment believes that verdict alone. Under the table of the evidence you find this way as a picture.
#
# **Predict.** The release has evidence from the workflow and from the platform. How many of the statements are
# provenance?

# %% tags=["predict"]
prediction = None  # a number
facts = lab.gate.facts(reference)
[this_run] = {e["run"] for e in facts["evidence"] if "run" in e and str(digest) in e["about"]}
evidence = pd.DataFrame([
    {"kind": e["kind"], "verified": e["verified"], "job": e.get("job", ""), "about": len(e.get("about", [])),
     "signed by": re.sub(r".*localhost/|/.github.*", "", e.get("signer", "")),
     "why not": re.sub("[0-9a-f]{12}…", "…", e.get("why", "")).partition(": ")[2] or e.get("why", "")}
    for e in facts["evidence"] if e.get("run", this_run) == this_run])
print(lab.predicted(prediction, int((evidence["kind"] == "provenance").sum())))
_ = diagrams.decision(title="Python verifies, Rego decides, the gate signs, the deployment believes the gate")
evidence.sort_values(["kind", "job"], ignore_index=True)

# %% [markdown]
# Eight statements: four times provenance by the platform, one for each job; everything else by the workflow. `about` counts
# what each is about in this release: `package`'s four are the manifest and its three files; `source`'s one is the lock,
# which goes into the release as it lay in the commit. One is not verified. It is about `source.tar`, which is not in the
# release: valid perhaps, and not about these bytes. Its kind reads *nothing*, because nothing of it was believed. That
# refuses nothing: what counts is whether enough evidence *does* hold.
#
# (The gate's own earlier word is not in the list: it is never evidence for itself. If you run this notebook twice, the
# first run's provenance is about the same wheel and model, too. `invocationId`, the address of a run, keeps the two apart:
# we show one run, and the rule wants all jobs from one.)
#
# Further facts the gate looks up itself, so that it takes nobody's word: the bytes of each file, the age of each
# package in the index, the components against the advisories, the model's format by its content.
#
# ## Ten rules
# Each has to pass. A rule that does not answer refuses.
#
# | rule | passes when |
# |---|---|
# | `intact` | all bytes have the digests that name them, and nobody holds them back in *quarantine* (the registry's owner can hold a digest back, with a reason, without deleting it) |
# | `identity` | each kind of file has the statements that it needs, by whom the policy expects, for this version's tag |
# | `provenance` | the platform saw every job of *one* run, and each file comes from the job that makes it |
# | `pins` | every action of the run was named by a full commit id, and not by a tag that its owner can move |
# | `vulnerabilities` | the components were compared with the advisories, and none is *exploited*, unless security's VEX says why that does not matter here |
# | `sbom` | the lists are valid and name what the index served to the jobs; prod will install nothing else |
# | `model` | each model is signed as a model, and its format runs no code when it is loaded |
# | `metrics` | the ML-BOM's numbers reach the thresholds |
# | `cooldown` | each package has been public for three days, in which most malicious uploads are found; our own are exempt |
# | `exceptions` | it is known which exceptions count; one that does not count excuses nothing |
#
# Facts stand on the one side, expectations in a TOML file on the other; a rule only compares. One of them, `metrics`, and
# what it expects:

# %%
policies = lab.data / "policies"
rule = re.sub(r"\n\n+", "\n", (policies / "metrics.rego").read_text())
print(rule[rule.index("is_met(value") : rule.index("refused contains")].strip())
expectations = re.sub(r"\n\n+", "\n", (policies / "release.toml").read_text())
print("\n" + expectations[expectations.index("[[metrics]]") : expectations.index("[cooldown]")].strip())

# %% [markdown]
# (`unmet contains x if` collects a set; `values`, above it in the file, lists what the ML-BOM says of a metric.) Read it
# from the end. It passes when there *is* an ML-BOM, something *is* wanted, and nothing wanted is unmet. A metric is met
# when there are values, more than none, and each one *is a number*, in bounds. So undefined, null and text never pass;
# and 61.4, meant as a percentage, is above the most that a share can be. The policy asks for the interval's lower end,
# too: few test cases and a lucky split make a fine number cheaply.
#
# ## The decision

# %%
decision = lab.gate.judge(reference)
decision

# %% [markdown]
# Ten rules, ten answers, each with what it looked at. When the rules crash or take too long, or the registry cannot be
# read, the gate refuses, too: it *fails closed*. The rules run in a process of their own, because the engine is native code that
# has crashed before.
#
# ## Refused, and for which reason
# Now we doctor releases. `again` pushes a manifest with changes and copies all evidence of the good one beside it. The
# platform's word that *it* packed this manifest we add ourselves, unless told otherwise: whoever has this machine can
# play the platform. So each release breaks one thing only.

# %%
from chainlab.ci.runs import job_provenance
from chainlab.evidence.statements import PROVENANCE, SBOM, Statement


def attached(subject):
    """The bundles that refer to a manifest."""
    held = [h for r in images.referrers(None, subject) for h in images.holdings(r.repository, r.digest)]
    return [images.blobs.read(h.digest) for h in held if h.role == "layer" and h.media_type == BUNDLE_TYPE]


good = attached(digest)
said = [Statement.load(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])) for bundle in good]
[packing] = [s for s in said if s.predicate_type == PROVENANCE and s.is_about(digest)]

# %%
def again(tag, files=None, packed=True, **annotations):
    """The release with other bytes or annotations, with the evidence of the first one."""
    changed = copy.deepcopy(manifest)
    changed["annotations"] |= {f"org.opencontainers.image.{name}": text for name, text in annotations.items()}
    for layer in changed["layers"]:
        if data := (files or {}).get(layer["annotations"][TITLE]):
            layer |= {"digest": str(images.blobs.put(data)), "size": len(data)}
            images.link(REPOSITORY, Digest.parse(layer["digest"]))
    pushed = images.push(REPOSITORY, tag, json.dumps(changed).encode(), MANIFEST_TYPE, by="acme").digest
    about = {layer["annotations"][TITLE]: Digest.parse(layer["digest"]) for layer in changed["layers"]}
    word = job_provenance.sign(Statement.about({REPOSITORY: pushed, **about}, PROVENANCE, packing.predicate), lab.trust)
    for bundle in [*good, word] if packed else good:
        attach(images, REPOSITORY, pushed, bundle, BUNDLE_TYPE, by="acme")
    return f"oci/{REPOSITORY}@{pushed}"

# %%
[onnx] = [layer["digest"] for layer in manifest["layers"] if layer["annotations"][TITLE] == "triage.onnx"]
model = images.blobs.read(Digest.parse(onnx))
releases = {
    "pushed from a laptop": again("laptop", packed=False, description="the same files"),
    "another model": again("swapped", {"triage.onnx": model.replace(b"569 cases", b"999 cases")}),
    "a pickle, named .onnx": again("pickled", {"triage.onnx": b"\x80\x04N."}),
    "it says v1.5.0": again("renamed", version="v1.5.0"),
}

# %% [markdown]
# **Predict.** *Pushed from a laptop*: the same files, without the platform's word. *Another model*: one number in its text
# changed. *A pickle*: the model is one. *It says v1.5.0*: the right files, under another version. How many of the four does
# each of these rules refuse?

# %% tags=["predict"]
prediction = {"intact": None, "identity": None, "pins": None, "model": None, "metrics": None}  # 0 to 4
judged = {name: lab.gate.judge(doctored, record=False) for name, doctored in releases.items()}
refusing = {name: {check.rule for check in doctored.refusals} for name, doctored in judged.items()}
print(lab.predicted(prediction, {rule: sum(rule in rules for rules in refusing.values()) for rule in prediction}))
pd.DataFrame({name: {check.rule: "refuses" if check.rule in refusing[name] else "–" for check in decision.checks}
              for name in judged})

# %% [markdown]
# One thing is broken in each, and every rule that rests on it refuses. `intact` never does: all bytes are what their
# digests say, and they are other bytes.
#
# - *From a laptop*: all files are genuine, all of their evidence holds, and nobody but the platform may say who packed
#   them. What is asked of that job's run falls with it.
# - *Another model* and *a pickle*: no `train` made these bytes, so job, signature and metrics are all missing.
# - *It says v1.5.0*: genuine bytes again, under a version whose tag nobody built.
#
# **Change it**: read the refusals of the other three, each with a way to mend it. A gate that only says "denied" teaches
# people to look for the way round.

# %%
name = "a pickle, named .onnx"
pd.DataFrame([{"rule": check.rule, "says": re.sub("; these do not count.*", "", check.message), "help": check.hint}
              for check in judged[name].refusals])

# %% [markdown]
# And the other direction. Somebody without rights attaches noise to the *good* release: junk, and an SBOM of their own
# that lists nothing. **Predict**: is the release then "allowed" or "refused"?

# %% tags=["predict"]
from chainlab.evidence import signing

prediction = None
noise = Statement.about({REPOSITORY: digest}, SBOM, {"bomFormat": "CycloneDX", "components": []})
by_mallory = signing.sign(noise, lab.trust.config, lab.trust.token("mallory@example.com"))
for data in (b"junk", by_mallory):
    attach(images, REPOSITORY, digest, data, BUNDLE_TYPE, by="mallory")
noisy = lab.gate.judge(reference, record=False)
lab.predicted(prediction, "allowed" if noisy.allowed else "refused")

# %% [markdown]
# Allowed. If noise could refuse a release, anybody could stop you from shipping the security fix. The price: bad news
# counts only by a way that you chose, such as advisories, quarantine, or a VEX by somebody whom the policy names.
#
# ## Tomorrow's advisory, and an exception
# Nothing about the release changes; the world does. An advisory appears for `acme-cells`, and attackers use the flaw. CISA
# keeps a list of such flaws, KEV (*Known Exploited Vulnerabilities*); `exploited.json` has its form, and names a flaw in
# the field `cveID`. We add advisory and entry to a copy of the advisories, and judge with that:

# %%
from chainlab.policy.gate import Gate

world = lab.path / "advisories"
shutil.copytree(lab.data / "advisories", world, dirs_exist_ok=True)
record = json.loads((world / "ACME-2026-0004.json").read_text())
record |= {"id": "ACME-2026-9001", "summary": "Cells are counted twice"}
record["affected"][0] |= {"package": {"ecosystem": "PyPI", "name": "acme-cells"}}
record["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}, {"fixed": "1.3.0"}]
known = json.loads((world / "exploited.json").read_text())
known["vulnerabilities"].append({**known["vulnerabilities"][0], "cveID": "ACME-2026-9001"})
(world / "ACME-2026-9001.json").write_text(json.dumps(record))
(world / "exploited.json").write_text(json.dumps(known | {"count": len(known["vulnerabilities"])}))
tomorrow = Gate(lab.registry, lab.trust, policies, world)
verdict = tomorrow.judge(reference, record=False)
verdict

# %% [markdown]
# One rule refuses: the same bytes, the same evidence, another verdict. A decision is good for the day on which it was made.
# There are three honest ways on:
#
# - update;
# - let security sign a VEX that shows that the code is not reached (a VEX by the release workflow counts for nothing: the
#   suspect does not write the alibi);
# - accept the risk, for these bytes, for some days, with a name under it. This is an *exception*, and it is data, in the
#   policy's file, reviewed like code:

# %%
from datetime import UTC, datetime, timedelta

from chainlab.policy.policy import Policy
from chainlab.policy.rego.rego_client import ask

today = datetime.now(UTC).date()
def with_exception(**changes):
    """The policy with an exception for this release."""
    mine = shutil.copytree(policies, lab.path / "policies", dirs_exist_ok=True)
    entry = {"rule": "vulnerabilities", "about": "ACME-2026-9001", "digest": str(digest),
             "owner": "security@acme.example", "reason": "the counter is not used",
             "expires": today + timedelta(days=14)} | changes
    lines = [f"{key} = {value if key == 'expires' else json.dumps(value)}" for key, value in entry.items() if value]
    (mine / "release.toml").write_text("\n".join([expectations, "[[exceptions]]", *lines, ""]))
    return Policy.load(mine, "release")

# %% [markdown]
# The facts stay the same, so we collect them once and ask the rules of six policies. **Predict** for each: "allowed" or
# "refused"?

# %% tags=["predict"]
prediction = {"for 14 days": None, "expired yesterday": None, "for a year": None,
              "without an owner": None, "for a tag": None, "for the rule intact": None}
forms = [{}, {"expires": today - timedelta(days=1)}, {"expires": today + timedelta(days=365)},
         {"owner": ""}, {"digest": "v1.4.0"}, {"rule": "intact"}]
facts = tomorrow.facts(reference)
asked_of = {name: ask(with_exception(**form), facts) for name, form in zip(prediction, forms, strict=True)}
excepted = {name: all(rule["result"] != "refused" for rule in told.values()) for name, told in asked_of.items()}
print(lab.predicted(prediction, {name: "allowed" if ok else "refused" for name, ok in excepted.items()}))
pd.Series({name: told["exceptions"]["note"].partition("for nothing: ")[2] or "counts"
           for name, told in asked_of.items()}).to_frame("the exception")

# %% [markdown]
# One form counts, five do not. The digest is what keeps it narrow: the next release needs its own. The end is what
# keeps it short. And some rules admit none: no one may except bytes that are not what their digest says.
#
# ## The gate's own word
# The machine that deploys has no time to read SBOMs, and should not need the rights to. It trusts the gate: a
# *verification summary attestation*, VSA [V: SLSA v1.2]. The gate signed one when it decided.

# %%
summary = json.loads(base64.b64decode(json.loads(decision.bundle)["dsseEnvelope"]["payload"]))["predicate"]
shown = {
    "timeVerified": "(the clock's)",
    "policy": summary["policy"]["uri"] + ", with digest",
    "verifier": summary["verifier"]["id"],
    "inputAttestations": f"{len(summary['inputAttestations'])} bundles, by digest",
    "chainlab_facts": "one document, by digest",
}
pd.Series(summary | shown).to_frame("says")

# %% [markdown]
# It names the policy by digest: *passed* means nothing without *passed what*. It lists what it relied on, and
# `chainlab_facts` names the facts that the policy judged: the gate keeps them, so that anybody can judge again. And it
# claims level 1, because that is what our builder is good for; a gate cannot raise it.
#
# Whoever relies on it makes seven checks, in this order: signature, subject, predicate type, verifier, resource, result,
# level. **Predict**: at which check does each of five attempts fail?

# %% tags=["predict"]
from chainlab.policy import vsa

prediction = {"for another release's bytes": None, "for another project": None, "the gate said no": None,
              "level 2 wanted": None, "an SBOM instead": None}
RESOURCE, root = f"oci/{REPOSITORY}", lab.trust.config.trusted_root
no = lab.gate.judge(releases["another model"], record=False)
attempts = [(decision.bundle, no.digest, RESOURCE), (decision.bundle, digest, "oci/acme/website"),
            (no.bundle, no.digest, RESOURCE), (decision.bundle, digest, RESOURCE, "SLSA_BUILD_LEVEL_2"),
            (by_mallory, digest, RESOURCE)]
failures = [vsa.verify(*(a[:3]), root, *a[3:]).failure.name for a in attempts]
print(lab.predicted(prediction, dict(zip(prediction, failures, strict=True))))
vsa.verify(decision.bundle, digest, RESOURCE, root)

# %% [markdown]
# The gate's own VSA passes all seven, and each attempt fails. *For another project* is the one that people leave out. A VSA
# is a sentence about bytes **under a name**. Without the check, a yes for a demo serves for production. And a VSA of a
# refusal exists, too, signed like any other. Who only looks for "a valid VSA" deploys what was refused. *An SBOM instead*
# does not come as far as its type: the signature is mallory's, and not the gate's.
#
# ## Promote
# dev → staging → prod are *channels*: notes in the registry that a digest has come so far. No byte moves. The
# deployment alone holds the right to write them, and it asks its own gate first, always, whatever was said before. A
# gate with other rules or advisories, as the one you made above, can judge. It cannot promote.

# %%
from chainlab.deploy.promotion import NotPromoted
from chainlab.registry.channels import ChannelArtifact

try:
    lab.deployment.promote(releases["pushed from a laptop"])
except NotPromoted as error:
    print("from a laptop:", "not fit for prod,", len(error.decision.refusals), "refusals")
lab.deployment.promote(reference)
pd.Series({channel: f"{'the good release' if step.digest == digest else 'another'}, by {step.by}"
           for channel, step in lab.registry.channels.current(ChannelArtifact.parse(RESOURCE)).items()}).to_frame("holds")

# %% [markdown]
# The laptop's release got no note, and its refusal says why. The good one has three, all by `deploy`, the deployment's
# own name.
#
# ## Deploy, and come back
# A deployment takes a digest, and once more verifies for itself: was it promoted, is it quarantined, what is the gate's
# last word, are the bytes what the manifest says? Only then does it start the service.

# %%
from chainlab.errors import ChainlabError


def tried(what, reference):
    """Deploy, or say why not."""
    try:
        lab.deployment.deploy(reference)
    except ChainlabError as error:
        print(f"{what:16} refused: {re.sub('sha256:[0-9a-f]+', 'it', error.message)}")
        return "no"
    print(f"{what:16} runs")
    return "yes"


tried("a tag", f"oci/{REPOSITORY}:v1.4.0")
tried("from a laptop", releases["pushed from a laptop"])
_ = tried("the good release", reference)

# %% [markdown]
# A tag can be moved, so it is refused before anything is looked up; the laptop's release has no note for prod.
#
# For a rollback we need a second good release. To save you another half minute, we play the platform again: the same
# files, another manifest. It is promoted and deployed, and then turns out bad: we quarantine it, and return to the digest
# before. **Predict**: after that, does `deploy` take the second release again, "yes" or "no"?

# %% tags=["predict"]
prediction = None
second = again("second", description="packed again")
lab.deployment.promote(second)
tried("the second", second)
lab.registry.quarantine.hold(Digest.parse(second.partition("@")[2]), "misses melanomas", by="security@acme.example")
back = lab.deployment.rollback()
print("rolled back to", "the good release" if back.reference == reference else "another")
print(lab.predicted(prediction, tried("the second", second)))
events = lab.events("service")
events

# %% [markdown]
# Quarantine stops it, although the gate had said yes. A rollback is a deployment of the digest before, verified like any
# other. No tag was moved, so nobody has to guess what `latest` meant yesterday, and nothing was deleted: the evidence of
# the bad release stays for whoever investigates.
#
# The service that runs now is a process. In a session of `chainlab start` it outlives this notebook: end it with
# `.venv/bin/chainlab deploy --stop` in a terminal. Without a session it ends with the kernel.

# %% tags=["check"]
assert answers == {1: {"safe": True}, 2: {}, 3: {}, 4: {"safe": True}, 5: {"safe": False}}  # 4 is the trap
assert asked(some, {}) == {"bad": False} and asked("good if input.recall >= 0.9", {"recall": None}) == {"good": True}
assert asked(either, {"exploited": True}) == {} and asked(either, {"vex": "not_affected"}) == {"safe": True}
assert [job.result for job in run.jobs.values()] == ["success"] * 5 + ["waiting"]
assert [step.name for step in run.jobs["package"].steps].count("verify it") == 3
assert len(evidence) == 8 and list(evidence["verified"]).count(False) == 1  # the text says eight, and one
assert list(evidence.set_index("job")["about"][["package", "source"]]) == [4, 1]
assert decision.allowed and {check.result for check in decision.checks} == {"passed"} and len(decision.checks) == 10
assert not any("intact" in rules for rules in refusing.values()) and all(refusing.values())
assert "provenance" in refusing["pushed from a laptop"] and "model" not in refusing["pushed from a laptop"]
assert all(refusing[name] >= {"model", "metrics"} for name in list(judged)[1:3])
assert noisy.allowed and [check.rule for check in verdict.refusals] == ["vulnerabilities"]
assert list(excepted.values()) == [True] + [False] * 5  # the text says that one form counts, and five do not
assert failures == ["subject", "resource", "result", "level", "signature"]
assert vsa.verify(decision.bundle, digest, RESOURCE, root).passed and back.reference == reference
assert summary["verificationResult"] == "PASSED" and summary["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
assert [event.type.rpartition(".")[2] for event in events][-3:] == ["deployed", "deployed", "rolledback"]

# %% [markdown]
# ## What a gate cannot do
# | it cannot | because | so |
# |---|---|---|
# | see what valid evidence never said | `04a_attestation`, the five promises | review, tests, monitoring |
# | be better than its root, clock, advisories and policy | it trusts them without a word | guard them like keys |
# | decide for tomorrow | the world changes | judge again; watch (week 5) |
# | stop who goes round it | it is a check, not a wall | one credential to prod, held by the deployment |
#
# **Simplified here.** One owner, one machine: whoever has it can be gate, platform and deployment at once. Channels are
# notes, not clusters. The metrics' thresholds are the course's, and nobody's for clinical use.
#
# **You can now**
# - say why `not` of something missing is true, and write a rule that survives it
# - tell a fact that Python verified from a claim, and say what becomes of evidence that does not hold
# - read a decision and a refusal, and name the link that broke
# - check a VSA in seven steps, and say which one keeps a demo's yes out of production
# - promote, deploy and roll back by digest, and write an exception that ends
#
# **Exit question.** A colleague proposes: "if the scanner is down, let the gate pass with a warning; we can scan
# later." Which line of which rule would change, who could now cause a pass, and what would you offer instead?
