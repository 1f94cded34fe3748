# %% [markdown]
# # Week 4 · A gate: evidence that nobody checks protects nobody
#
# > Attesting without verifying gives no benefit: that is what the platform's own documentation says about artifact
# > attestations, which take one line of YAML to make. [V: GitHub docs, "Artifact attestations"]
#
# A release of `triage-model` now brings eight signed statements. A gate reads them and says yes or no, with reasons,
# and signs its answer. Here you watch one at work: what it is told, how its rules think, what it refuses.
#
# **You will** (90 min: 13 reading, 77 doing)
# - run the attested release, and see what Python hands to the rules
# - learn the one trap of Rego, in five lines
# - read a decision, doctor releases, and read the refusals
# - check the gate's own statement, a verification summary (VSA), in seven steps
# - promote, deploy and roll back; make an exception that ends
#
# **Before:** `04a_attestation`. **Lab:** `labs/04_attestation.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only.

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
from chainlab.ci.copies import settings_of, working_copy
from chainlab.digests import Digest
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.oci_manifest import MANIFEST_TYPE
from chainlab.registry.referring import refer

pd.set_option("display.width", 150, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("04b_gate", seed=seed)

# %% [markdown]
# ## The release, stage by stage
# The project as in week 2, with the hardened files, and over them those of week 4. The cell takes 20 to 40 seconds. The
# last job, `promote`, waits for the environment `production`. We do not approve it: that step we want to do by hand.

# %%
folder = working_copy(lab.data / "projects", lab.path / "triage-model", "attested")
project = lab.ci.project("acme/triage-model", folder, settings_of(lab.data / "projects", "attested"))
project.tag("v1.4.0")
run = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
for job in run.jobs.values():
    verifies = sum(step.name == "verify it" for step in job.steps)
    print(f"{job.name:8} {job.result:8} verifies {verifies} hand-overs; may: {', '.join(job.permissions)}")

# %% [markdown]
# Each job that takes files over verifies them before it touches a byte, by the platform's provenance (the right job, of
# this run) and by the statement of the stage before. Then it signs its own. The chain matters: a gate at the end sees
# only results, and bytes that were swapped between `build` and `train` would come out signed by an honest `train`.
# (`promote` waits, and holds no permission yet.)
#
# What came out is *one* artifact in the registry, a manifest that names a model, a wheel and a lock by digest.

# %%
reference = run.jobs["package"].outputs["reference"]
REPOSITORY = "acme/triage-model/release"
digest, images = Digest.parse(reference.partition("@")[2]), lab.registry.images
manifest = json.loads(images.blobs.read(digest))
TITLE = "org.opencontainers.image.title"
for layer in manifest["layers"]:
    print(f"{layer['annotations'][TITLE]:38} {layer['digest'][:7]}…")

# %% [markdown]
# ## Rego, and its one trap
# The rules are written in Rego, the language of Open Policy Agent. A rule gives a name a value *if* all its lines hold.
# Five lines, each with the facts that it gets:

# %%
from regopy import Interpreter


def asked(rules, facts):
    """What these rules come to with these facts."""
    engine = Interpreter()
    engine.add_module("lesson", f"package lesson\n\nimport rego.v1\n\n{rules}\n")
    engine.set_input(facts)
    [answer] = json.loads(str(engine.query("data.lesson")))["expressions"]
    return answer


print("1", asked("safe if input.exploited == 0", {"exploited": 0}))
print("2", asked("safe if input.exploited == 0", {"exploited": 3}))
print("3", asked("safe if input.exploited == 0", {}))
print("4", asked("safe if not input.exploited > 0", {}))
print("5", asked("default safe := false\n\nsafe if input.exploited == 0", {}))

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
print("either of two rules: ", asked(either, {"exploited": True, "vex": "not_affected"}))
print("every, empty list:   ", asked(every, {"findings": []}))
print("every, no list:      ", asked(every, {}))
print("some, no list:       ", asked(some, {}))
print("null at least 0.9:   ", asked("good if input.recall >= 0.9", {"recall": None}))
print("with a type asked:   ", asked("good if {\n  is_number(input.recall)\n  input.recall >= 0.9\n}", {"recall": None}))

# %% [markdown]
# One `harmless` of the two holds, and that is enough. `every` holds for an empty list, which is right for a scan that
# found nothing, and wrong where something has to be there: ask for `count(…) > 0` as well. `some` over a missing list
# finds nothing bad. And `null` is at least 0.9: Rego orders values of all types, engines differ in how, and a number
# that could not be read passes the threshold.

# %% [markdown]
# ## Python verifies, Rego decides
# Rego cannot check a signature. So the gate works in two halves. Python fetches all evidence about the manifest and its
# files, verifies each bundle, and writes down *facts*. Of a bundle that does not hold it writes down that, and nothing
# of what it says.

# %%
facts = lab.gate.facts(reference)
[this_run] = {e["run"] for e in facts["evidence"] if "run" in e and str(digest) in e["about"]}
evidence = pd.DataFrame([
    {"kind": e["kind"], "verified": e["verified"], "job": e.get("job", ""), "about": len(e.get("about", [])),
     "signed by": re.sub(r".*localhost/|/.github.*", "", e.get("signer", "")),
     "why not": re.sub("[0-9a-f]{12}…", "…", e.get("why", "")).partition(": ")[2] or e.get("why", "")}
    for e in facts["evidence"] if e.get("run", this_run) == this_run])
evidence.sort_values(["kind", "job"], ignore_index=True)

# %% [markdown]
# Eight statements: provenance by the host, everything else by the workflow. `about` counts what each is about in this
# release: `package`'s four are the manifest and its three files; `source`'s one is the lock, which goes into the
# release as it lay in the commit. One is not verified. It is about `source.tar`, which is not in the release: valid
# perhaps, and not about these bytes. Its kind reads *nothing*, because nothing of it was believed. That refuses
# nothing. Evidence that does not hold counts for nothing; what counts is whether enough of it *does* hold. (The job
# `gate` has asked before us; the gate's own earlier word is not in the list. It is never evidence for itself. If you
# run this notebook twice, the first run's provenance is about the same wheel and model too. We show one run; so does
# the rule: it wants all jobs from one.)
#
# Further facts the gate looks up itself, so that it takes nobody's word: the bytes of each file, the age of each
# package in the index, the components against the advisories, the model's format by its content.

# %% [markdown]
# ## One rule, read
# Facts on the one side, expectations in a TOML file on the other; the rule only compares.

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
# and 61.4, meant as a percentage, is above the most that a share can be. The
# policy asks for the interval's lower end too: few test cases and a lucky split make a fine number cheaply.
#
# ## The decision

# %%
def shown(decision):
    """A decision, without what differs from run to run."""
    for check in decision.checks:
        said = re.sub(r"[0-9a-f]{40}", "…", check.said).replace("https://", "").replace(".chainlab.localhost", "")
        print(f"{check.result:8} {check.rule:16} {said[:100]}")
    print("allowed" if decision.allowed else "refused")


decision = lab.gate.judge(reference)
shown(decision)

# %% [markdown]
# Ten rules, ten answers, each with what it looked at. A rule that does not answer refuses. So do a worker that crashes
# or takes too long, and a registry that cannot be read: *failing closed*. The rules run in a process of their own,
# because the engine is native code that has crashed before.

# %% [markdown]
# ## Refused, and for which reason
# Now we doctor releases. `again` pushes a manifest with changes and copies all evidence of the good one beside it. The
# platform's word that *it* packed this manifest we add ourselves, unless told otherwise: whoever has this machine can
# play the platform. So each release breaks one thing only.

# %%
from chainlab.ci import provenance
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
    word = provenance.sign(Statement.about({REPOSITORY: pushed, **about}, PROVENANCE, packing.predicate), lab.trust)
    for bundle in [*good, word] if packed else good:
        refer(images, REPOSITORY, pushed, bundle, BUNDLE_TYPE, by="acme")
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
judged = {name: lab.gate.judge(doctored, record=False) for name, doctored in releases.items()}
for name, doctored in judged.items():
    print(f"{name:22}", *dict.fromkeys(check.rule for check in doctored.refusals))
for name, rule in zip(judged, ("provenance", "model", "model"), strict=False):
    word = next(check for check in judged[name].refusals if check.rule == rule)
    print(f"\n{name}: {re.sub('https://[^ ]+|[0-9a-f]{12,}', '…', word.said)}\n  → {word.mend}")

# %% [markdown]
# One thing is broken in each, and every rule that rests on it refuses. *From a laptop*: all files are genuine, all of
# their evidence holds, and nobody but the platform may say who packed them; what is asked of that job's run falls with
# it. *Another model* and *a pickle*: no `train` made these bytes, so job, signature and metrics are all missing. *It
# says v1.5.0*: genuine bytes again, under a version whose tag nobody built. Below the table are the words, each with a
# way to mend it. A gate that only says "denied" teaches people to look for the way round.
#
# And the other direction. Somebody without rights attaches noise to the *good* release: junk, and an SBOM of their own
# that lists nothing.

# %%
from chainlab.evidence import signing

noise = Statement.about({REPOSITORY: digest}, SBOM, {"bomFormat": "CycloneDX", "components": []})
by_mallory = signing.sign(noise, lab.trust.config, lab.trust.token("mallory@example.com"))
for data in (b"junk", by_mallory):
    refer(images, REPOSITORY, digest, data, BUNDLE_TYPE, by="mallory")
print("with noise beside it:", "allowed" if lab.gate.judge(reference, record=False).allowed else "refused")

# %% [markdown]
# Allowed. If noise could refuse a release, anybody could stop you from shipping the security fix. The price: bad news
# counts only through a channel that you chose, such as advisories, quarantine, or a VEX by somebody whom the policy
# names.

# %% tags=["check"]
assert asked("safe if not input.exploited > 0", {}) == {"safe": True}  # the trap
assert asked(some, {}) == {"bad": False} and asked("good if input.recall >= 0.9", {"recall": None}) == {"good": True}
assert [job.result for job in run.jobs.values()] == ["success"] * 5 + ["waiting"]
assert asked(either, {"exploited": True}) == {} and asked(either, {"vex": "not_affected"}) == {"safe": True}
assert len(evidence) == 8 and list(evidence["verified"]).count(False) == 1  # the text says eight, and one
assert list(evidence.set_index("job")["about"][["package", "source"]]) == [4, 1]
assert decision.allowed and {check.result for check in decision.checks} == {"passed"} and len(decision.checks) == 10
assert not any(doctored.allowed for doctored in judged.values())
assert {check.rule for check in judged["pushed from a laptop"].refusals} >= {"provenance"}
assert all({check.rule for check in judged[name].refusals} >= {"model", "metrics"} for name in list(judged)[1:3])
assert lab.gate.judge(reference, record=False).allowed  # the text says that noise refuses nothing

# %% [markdown]
# ## Tomorrow's advisory, and an exception
# Nothing about the release changes; the world does. An advisory appears for `acme-cells`, and it is being exploited. We
# add it to a copy of the advisories, and judge with that.

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
for check in tomorrow.judge(reference, record=False).refusals:
    print(f"{check.rule}: {check.said}\n  → {check.mend}")

# %% [markdown]
# The same bytes, the same evidence, another verdict: a decision is good for the day on which it was made. Three honest
# ways on: update; let security sign a VEX that shows that the code is not reached (a VEX by the release workflow counts
# for nothing: the suspect does not write the alibi); or accept the risk, for these bytes, for some days, with a name
# under it. The third is an *exception*, and it is data, in the policy's file, reviewed like code:

# %%
from datetime import UTC, datetime, timedelta

today = datetime.now(UTC).date()


def with_exception(changes):
    """The decision by a policy with an exception for this release."""
    mine = shutil.copytree(policies, lab.path / "policies", dirs_exist_ok=True)
    entry = {"rule": "vulnerabilities", "about": "ACME-2026-9001", "digest": str(digest),
             "owner": "security@acme.example", "reason": "the counter is not used",
             "expires": today + timedelta(days=14)} | changes
    lines = [f"{key} = {value if key == 'expires' else json.dumps(value)}" for key, value in entry.items() if value]
    (mine / "release.toml").write_text("\n".join([expectations, "[[exceptions]]", *lines, ""]))
    return Gate(lab.registry, lab.trust, mine, world).judge(reference, record=False)

# %%
counted = []
for name, changes in {"for 14 days": {}, "expired yesterday": {"expires": today - timedelta(days=1)},
                      "for a year": {"expires": today + timedelta(days=365)}, "without an owner": {"owner": ""},
                      "for a tag": {"digest": "v1.4.0"}, "for the rule intact": {"rule": "intact"}}.items():
    excepted = with_exception(changes)
    counted.append(excepted.allowed)
    note = next(check.said for check in excepted.checks if check.rule == "exceptions")
    print(f"{name:20} {'allowed' if excepted.allowed else 'refused':8} {note.partition('; ')[2].partition(': ')[2]}")

# %% [markdown]
# One form counts, five do not. The digest is what keeps it narrow: the next release needs its own. The end is what
# keeps it short. And some rules admit none: no one may except bytes that are not what their digest says.

# %% [markdown]
# ## The gate's own word
# The machine that deploys has no time to read SBOMs, and should not need the rights to. It trusts the gate: a
# *verification summary attestation*, VSA [V: SLSA v1.2]. The gate signed one when it decided.

# %%
summary = json.loads(base64.b64decode(json.loads(decision.bundle)["dsseEnvelope"]["payload"]))["predicate"]
shown = {
    "verifier": summary["verifier"]["id"],
    "timeVerified": "(the clock's)",
    "policy": summary["policy"]["uri"] + ", with digest",
    "inputAttestations": f"{len(summary['inputAttestations'])} bundles, by digest",
    "chainlab_facts": "one document, by digest",
}
for name, value in summary.items():
    print(f"{name:19}", shown.get(name, value))

# %% [markdown]
# It names the policy by digest: *passed* means nothing without *passed what*. It lists what it relied on, and
# `chainlab_facts` names the facts that the policy judged: the gate keeps them, so that anybody can judge again. And it
# claims level 1, because that is what our builder is good for; a gate cannot raise it.
#
# Seven checks, in this order, before anybody relies on it:

# %%
from chainlab.policy.summary import verify_summary

RESOURCE, root = f"oci/{REPOSITORY}", lab.trust.config.trusted_root
for step in verify_summary(decision.bundle, digest, RESOURCE, root).steps:
    print(step.result, step.name)
refused = lab.gate.judge(releases["another model"], record=False)
attempts = {
    "for another release's bytes": (decision.bundle, refused.digest, RESOURCE, {}),
    "for another project": (decision.bundle, digest, "oci/acme/website", {}),
    "the gate said no": (refused.bundle, refused.digest, RESOURCE, {}),
    "level 2 wanted": (decision.bundle, digest, RESOURCE, {"level": "SLSA_BUILD_LEVEL_2"}),
    "an SBOM instead": (by_mallory, digest, RESOURCE, {}),
}
for name, (bundle, about, resource, level) in attempts.items():
    print(f"{name:28} fails at: {verify_summary(bundle, about, resource, root, **level).failure.name}")

# %% [markdown]
# *For another project* is the one that people leave out. A VSA is a sentence about bytes **under a name**. Without the
# check, a yes for a demo serves for production. And a VSA of a refusal exists too, signed like any other. Who only
# looks for "a valid VSA" deploys what was refused. *An SBOM instead* does not come as far as its type: the signature is
# mallory's, and not the gate's.

# %% [markdown]
# ## Promote
# dev → staging → prod are *channels*: notes in the registry that a digest has come so far. No byte moves. The
# deployment alone holds the right to write them, and it asks its own gate first, always, whatever was said before. A
# gate with other rules or advisories, as the one you made above, can judge. It cannot promote.

# %%
from chainlab.deploy.promotion import NotPromoted
from chainlab.registry.channels import Artifact

try:
    lab.deployment.promote(releases["pushed from a laptop"])
except NotPromoted as error:
    print("from a laptop:", "not fit for prod,", len(error.decision.refusals), "refusals")
lab.deployment.promote(reference)
for channel, step in lab.registry.channels.current(Artifact.parse(RESOURCE)).items():
    print(f"{channel:8} {'the good release' if step.digest == digest else 'another'}, by {step.by}")

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
        print(f"{what:16} runs")
    except ChainlabError as error:
        print(f"{what:16} refused: {re.sub('sha256:[0-9a-f]+', 'it', error.message)}")


tried("a tag", f"oci/{REPOSITORY}:v1.4.0")
tried("from a laptop", releases["pushed from a laptop"])
tried("the good release", reference)

# %% [markdown]
# A tag can be moved, so it is refused before anything is looked up; the laptop's release has no note for prod. For a
# rollback we need a second good release. To save you another half minute, we play the platform again: the same
# files, another manifest.

# %%
second = again("second", description="packed again")
fresh = Digest.parse(second.partition("@")[2])
lab.deployment.promote(second)
tried("the second", second)

# %% [markdown]
# Then the second one turns out bad. Quarantine it, and return to the digest before:

# %%
lab.registry.quarantine.hold(fresh, "misses melanomas", by="security@acme.example")
back = lab.deployment.rollback()
print("runs now:", "the good release" if back.reference == reference else "another")
tried("the second", second)
events = [event for event in lab.events() if event.type.startswith("dev.chainlab.service")][-3:]
print(*(event.type.removeprefix("dev.chainlab.") for event in events))

# %% [markdown]
# A rollback is a deployment of the digest before, verified like any other. No tag was moved, so nobody has to guess
# what `latest` meant yesterday, and nothing was deleted: the evidence of the bad release stays for whoever
# investigates.
#
# The service that runs now is a process. In a session of `chainlab start` it outlives this notebook: end it with
# `.venv/bin/chainlab deploy --stop` in a terminal. Without a session it ends with the kernel.

# %% tags=["check"]
failures = [verify_summary(b, a, r, root, **l).failure.name for b, a, r, l in attempts.values()]
assert failures == ["subject", "resource", "result", "level", "signature"]
assert counted == [True] + [False] * 5  # the text says that one form counts, and five do not
assert not tomorrow.judge(reference, record=False).allowed
assert summary["verificationResult"] == "PASSED" and summary["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
assert back.reference == reference
assert [event.type.rpartition(".")[2] for event in events] == ["deployed", "deployed", "rolledback"]

# %% [markdown]
# ## What a gate cannot do
# | it cannot | because | so |
# |---|---|---|
# | see what valid evidence never said | `04a`, the five promises | review, tests, monitoring |
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
