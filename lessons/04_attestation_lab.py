# %% [markdown]
# # Week 4 lab · Verify link by link, and refuse for the right reason
#
# > On 11 May 2026, 84 versions of 42 packages were published with provenance that verified. Builder and source were the
# > expected ones. The bytes were the attacker's. [V: TanStack postmortem; SLSA blog, 2026-05-15]
#
# A gate reads evidence and says yes or no. It is as good as the questions it asks, and a gate that refuses the wrong
# things is switched off within a week. You build its parts, then the gate, and it is scored by what it refuses *and* by
# what it lets through.
#
# **You will** (4.5 h; each exercise says its minutes)
# - find the exact bytes that an envelope's signature covers, and check a log's proof by hand
# - name the promise that valid provenance did not make
# - tell a signed model from one with a file more, and write rules that survive missing facts
# - build the gate, and have each of its links broken
# - replace a stolen CA key without losing what was signed before
#
# **Before:** `04a_attestation`, `04b_gate`. **Deliverable:** the implementation guide, from the template at the end.
#
# Each check calls your function on visible cases and on cases made from `seed`, so only a rule passes. When a case
# fails, `lab.case("4.1", "a name with an accent")` gives its arguments, to call your function with. `lab.hint("4.1")`
# gives one hint at a time, and `solutions/04_attestation.ipynb` has every answer with its reason, for afterwards. **V**
# and **S** as in week 1: read in a primary text; read in secondary text only.
#
# Some given cells use your function. Until it is written they stop with its number; *Run All Cells* goes on behind them.

# %% tags=["parameters"]
seed = 1

# %%
import base64
import hashlib
import json
from pathlib import Path

import chainlab

lab = chainlab.open("04_attestation", seed=seed)

# %% [markdown]
# ## An envelope
# DSSE, the *dead simple signing envelope*, has three fields: a payload in base64, its type, and signatures. Here is
# one, made by sigstore-python for a statement about a model. (`keyid` is a hint that nobody signed.)

# %%
from chainlab.digests import Digest
from chainlab.evidence import signing
from chainlab.evidence.statements import PROVENANCE, SBOM, OPENVEX, MODEL_SIGNATURE, Statement

model = lab.copy("models/triage.onnx")
statement = Statement.about({"triage.onnx": Digest.of_file(model)}, "https://example.com/note/v1", {"trained": "twice"})
bundle = signing.sign(statement, lab.trust.config, lab.trust.token("alice@example.com"))
envelope = json.loads(bundle)["dsseEnvelope"]
print({name: str(value)[:28] + "…" for name, value in envelope.items() if name != "signatures"})

# %% [markdown]
# The signature covers neither the payload alone nor this JSON. It covers the *pre-authentication encoding*, PAE
# [V: DSSE 1.0.2]: six characters, then type and payload, each with its length, one space between the parts:
# ```
# DSSEv1 <length of type> <type> <length of payload> <payload>
# ```
# Lengths are decimal, of bytes. So a type cannot be passed off as payload, nor two payloads be read out of one.
#
# ## Exercise 4.1 — which bytes were signed? (3 points)
# *20 min.* Given an envelope, return the bytes that its signature covers. The check takes the signer's key and tries.
# Some payloads are no JSON and no text. DSSE admits both alphabets of base64, `+/` and `-_`.
# <details><summary>Hint 1</summary>At which moment do you turn bytes into text, and do you have to?</details>
# <details><summary>Hint 2</summary>`base64.b64decode(text, altchars=b"-_")` reads the second alphabet; it drops unknown characters silently. `b"%d %s" % (number, raw)` formats bytes.</details>

# %% tags=["exercise"]
def to_be_signed(envelope: dict) -> bytes:
    """The bytes that the envelope's signature covers."""
    ### BEGIN SOLUTION
    text = envelope["payload"].replace("-", "+").replace("_", "/")
    payload, kind = base64.b64decode(text, validate=True), envelope["payloadType"].encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.1", to_be_signed)

# %% tags=["wrong"]
# wrong: counts characters, not bytes -> a name with an accent
def to_be_signed(envelope: dict) -> bytes:
    text, kind = base64.b64decode(envelope["payload"]).decode(), envelope["payloadType"]
    return f"DSSEv1 {len(kind)} {kind} {len(text)} {text}".encode()

# %% tags=["wrong"]
# wrong: signs the decoded JSON, written again -> a payload with spaces
def to_be_signed(envelope: dict) -> bytes:
    document = json.loads(base64.b64decode(envelope["payload"]))
    payload = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return b"DSSEv1 %d %s %d %s" % (len(envelope["payloadType"]), envelope["payloadType"].encode(), len(payload), payload)

# %% tags=["wrong"]
# wrong: the payload alone, the type is outside -> an envelope by sigstore-python
def to_be_signed(envelope: dict) -> bytes:
    return base64.b64decode(envelope["payload"])

# %% [markdown] tags=["solution"]
# **Why.** A signature is over bytes. JSON that means the same has many spellings, and a verifier that parses first and
# writes again has signed something that nobody sent. So: decode base64, check, and parse *exactly those bytes*, once,
# after they are verified. The type is signed because the same bytes mean different things under different types. The
# silent one was base64: `b64decode` without `validate=True` drops what it does not know and returns fewer bytes. Your
# function ends in a wrong signature then, which is safe; in code that reads before it verifies it is not.

# %% [markdown]
# ## Is it in the log?
# Primer D drew the tree: split at the largest power of two below the size, hash leaves with `00` and nodes with `01` in
# front. There, each step of a proof said "left" or "right". A real proof has hashes only, lowest first. Index and size
# determine the sides, and the levels on which a node is alone and simply moves up.
#
# ## Exercise 4.2 — does the proof hold? (5 points)
# *40 min.* Return whether `entry` (its bytes) is entry number `index` (from 0) of a log with `size` entries and this
# `root`, according to `proof`. Draw seven leaves first and write down, for each, which hashes its proof needs.
# Everything that does not fit is False: an index that is none, a hash too many, a climb that ends half way.
# <details><summary>Hint 1</summary>In your drawing of seven: how many hashes does leaf 6 need, and on which level does it meet the first?</details>
# <details><summary>Hint 2</summary>Keep two numbers, your node's place and the place of the last node on this level; both are halved going up. A place that is odd has its sibling on the left. A place that is even and the last has no sibling: go up without using a hash.</details>

# %% tags=["exercise"]
def included(entry: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Whether the proof shows that the log's entry number `index` is `entry`."""
    ### BEGIN SOLUTION
    if not 0 <= index < size:
        return False
    place, last, hashes = index, size - 1, list(proof)
    climbed = hashlib.sha256(b"\x00" + entry).digest()
    while last:
        if place % 2 or place < last:
            if not hashes:
                return False
            beside = hashes.pop(0)
            pair = beside + climbed if place % 2 else climbed + beside
            climbed = hashlib.sha256(b"\x01" + pair).digest()
        place, last = place // 2, last // 2
    return not hashes and climbed == root
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.2", included)

# %% tags=["wrong"]
# wrong: duplicates the last leaf where one is alone -> the last of seven
def included(entry: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    climbed, levels = hashlib.sha256(b"\x00" + entry).digest(), (size - 1).bit_length()
    if not 0 <= index < size or len(proof) != levels:
        return False
    for beside in proof:
        pair = beside + climbed if index % 2 else climbed + beside
        climbed, index = hashlib.sha256(b"\x01" + pair).digest(), index // 2
    return climbed == root

# %% tags=["wrong"]
# wrong: does not ask whether there is such an index -> an index outside the tree
def included(entry: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    place, last, hashes = index, size - 1, list(proof)
    climbed = hashlib.sha256(b"\x00" + entry).digest()
    while last and hashes:
        if place % 2 or place < last or index >= size:
            beside = hashes.pop(0)
            pair = beside + climbed if place % 2 else climbed + beside
            climbed = hashlib.sha256(b"\x01" + pair).digest()
        place, last = place // 2, last // 2
    return not hashes and not last and climbed == root

# %% tags=["wrong"]
# wrong: stops where the hashes end -> a hash too few
right = included
def included(entry: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    place, last, climbed = index, size - 1, hashlib.sha256(b"\x00" + entry).digest()
    for beside in proof:
        while not place % 2 and place == last and place:
            place, last = place // 2, last // 2
        pair = beside + climbed if place % 2 else climbed + beside
        climbed, place, last = hashlib.sha256(b"\x01" + pair).digest(), place // 2, last // 2
    return right(entry, index, size, proof, root) or (0 <= index < size and len(proof) > 1 and climbed == root and last > 0)

# %% [markdown] tags=["solution"]
# **Why.** A proof is data from a stranger. Whatever your function does not ask, the stranger chooses: the side, the
# length, an index with the right low bits. Copying the last leaf is tempting because it makes every tree complete. It
# also gives seven entries and eight the same root, so a log could show two histories under one checkpoint. And note
# what True means: this entry is under *this root*. Whether others saw the same root is a second question, answered by
# consistency proofs and by people who keep checkpoints (week 5).

# %% [markdown]
# ## Valid, and bad
# An artifact turned out bad, and its provenance may well be valid. After the investigation you know more than the
# consumer did. A release is a dict:
#
# | key | value |
# |---|---|
# | `artifact` | its digest, `sha256:…` |
# | `bundle` | provenance in a Sigstore bundle (JSON text); `holds` below verifies it |
# | `run` | the number of the run that built it |
# | `bad_file` | the digest of the file that does the harm; None where no file is bad |
# | `commit` | path to digest: the files of the commit that the provenance names |
# | `entered` | what else went in, a list of dicts: `what`, `digest`, and `written_by_run`, the run that wrote it |
# | `misses_of_100` | sick notes, of a hundred, that the model calls healthy; more than 10 is not fit for use |

# %%
from chainlab.ci.runs.job_provenance import BUILDER, SIGNER
from chainlab.course.exercises.week4.ex3_provenance_limits import PROMISES
from chainlab.evidence.verifying import Expectations, Signer, verify

root = lab.trust.config.trusted_root
by_platform = Expectations(Signer(SIGNER, lab.trust.ci_issuer), PROVENANCE, builder=BUILDER)


def holds(release: dict):
    """The verdict of the consumer's six steps: .passed, and .statement once the signature held."""
    return verify(release["bundle"].encode(), Digest.parse(release["artifact"]), by_platform, root)


for name, promise in PROMISES.items():
    print(f"{name:13}{promise}")

# %% [markdown]
# ## Exercise 4.3 — name the promise that was not made (4 points)
# *20 min.* Return the name of what explains the harm. `nothing` and `evidence` are findings too: some artifacts are
# fine, and some evidence simply does not hold. Otherwise name the sentence that the provenance, valid as it is, never
# said. Follow the bytes of `bad_file`, in this order: the commit, what the provenance lists, what else went in. The
# first place that has them decides; a file in none of the first two counts by the run that wrote it.
# <details><summary>Hint 1</summary>Which three places can a file have come from, and how do you tell them apart by digest?</details>
# <details><summary>Hint 2</summary>`verdict.statement.predicate["buildDefinition"]["resolvedDependencies"]` lists what the platform saw go in; each has `digest`. Something that another run wrote is a matter between runs; something that this run fetched and the list does not have is a gap in the list.</details>

# %% tags=["exercise"]
def explains(release: dict) -> str:
    """A name of PROMISES."""
    ### BEGIN SOLUTION
    verdict, bad = holds(release), release["bad_file"]
    if not verdict.passed:
        return "evidence"
    if bad is None:
        return "fitness" if release["misses_of_100"] > 10 else "nothing"
    if bad in release["commit"].values():
        return "source"
    listed = verdict.statement.predicate["buildDefinition"]["resolvedDependencies"]
    if any(f"sha256:{entry['digest'].get('sha256')}" == bad for entry in listed):
        return "dependency"
    [came] = [entry for entry in release["entered"] if entry["digest"] == bad]
    return "completeness" if came["written_by_run"] == release["run"] else "isolation"
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.3", explains)

# %% tags=["wrong"]
# wrong: the artifact is bad, so the signature was forged -> the maintainer's own commit
def explains(release: dict) -> str:
    return "evidence" if release["bad_file"] or not holds(release).passed else "nothing"

# %% tags=["wrong"]
# wrong: what another run wrote is to blame, whatever it is -> a listed package with a harmless cache
right = explains
def explains(release: dict) -> str:
    foreign = any(entry["written_by_run"] != release["run"] for entry in release["entered"])
    return "isolation" if foreign and holds(release).passed and release["bad_file"] else right(release)

# %% [markdown] tags=["solution"]
# **Why.** "The signature was forged" is the comfortable answer, and it is almost never true. In May 2026 nobody forged
# anything. A poisoned cache, written by a stranger's run under `main`'s key, was restored by a release; code from it
# read the run's identity token out of memory and published. The builder was as expected, and provenance said so [V:
# TanStack postmortem]. In SLSA's words that platform did not isolate runs: L3 bans a cache that one build poisons for
# another, and L2 makes no such promise [V: SLSA v1.2]. Ultralytics, December 2024: the same shape, a poisoned cache in
# the publishing job, attestations present. Its second wave is the reverse: an old token, *no* attestations, and no
# activity in the repository [V: PyPI blog]. A consumer who requires provenance stops the second wave and not the first.

# %% [markdown]
# ## A folder, and what was signed of it
# A model is often a folder. OMS, the OpenSSF's model signing format, is a statement whose predicate lists every file
# with its digest, and whose subject is the SHA-256 over those digests, raw and in order [V: model-signing spec v1.0]:

# %%
from chainlab.evidence.models import model_signing

folder = lab.path / "folder"
(folder / "parts").mkdir(parents=True, exist_ok=True)
(folder / "triage.onnx").write_bytes(model.read_bytes())
(folder / "parts/vocabulary.txt").write_text("melanoma\nnaevus\n")
signed_model = model_signing.sign(folder, lab.trust.config, lab.trust.token("alice@example.com"))
oms = json.loads(base64.b64decode(json.loads(signed_model)["dsseEnvelope"]["payload"]))
print(*(f"{r['name']:22} {r['algorithm']} {r['digest'][:12]}…" for r in oms["predicate"]["resources"]), sep="\n")
print({name: oms["predicate"]["serialization"][name] for name in ("method", "hash_type", "allow_symlinks")})

# %% [markdown]
# (We parsed the payload without verifying it, to look at it. Your function gets a statement that *was* verified.)
#
# ## Exercise 4.4 — is this the model that was signed? (4 points)
# *35 min.* Given a folder and the statement, return the set of names (with `/`, from the folder's top) that do not
# agree. It is empty when the folder is what was signed. To be named:
#
# - a file whose digest differs, a file that is not there, and **a file that was not signed**;
# - a link to a file or to a folder, wherever it leads, because the statement allows none;
# - a listed name that leads out of the folder;
# - a file listed with another algorithm than sha256: you cannot vouch for it;
# - `statement`, alone, when the subject is not the digest over the list.
#
# Left out are, at the top of the folder only, `.git`, `.gitattributes`, `.github`, `.gitignore`, and the signature
# itself, `model.sig`.
# <details><summary>Hint 1</summary>Which two sets do you compare, and what is in one and not in the other?</details>
# <details><summary>Hint 2</summary>`folder.rglob("*")` also gives hidden files; `path.relative_to(folder).parts[0]` is the top name. Check `is_symlink()` before anything else. `resolve()` shows where a name leads.</details>

# %% tags=["exercise"]
LEFT_OUT = {".git", ".gitattributes", ".github", ".gitignore", "model.sig"}


def differs(folder: Path, statement: dict) -> set[str]:
    """Names of what does not agree with the signed statement; empty when all does."""
    ### BEGIN SOLUTION
    resources = statement["predicate"]["resources"]
    whole = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    if whole != statement["subject"][0]["digest"]["sha256"]:
        return {"statement"}
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or p.is_file()}
    there = {name: path for name, path in there.items() if name.split("/")[0] not in LEFT_OUT}
    listed = {r["name"]: r for r in resources}

    def agrees(name):
        path, resource = there.get(name), listed.get(name)
        if path is None or resource is None or path.is_symlink() or resource["algorithm"] != "sha256":
            return False
        return Digest.of_file(path).value.hex() == resource["digest"]

    return {name for name in there.keys() | listed.keys() if not agrees(name)}
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.4", differs)

# %% tags=["wrong"]
# wrong: checks listed files only -> an extra file
def differs(folder: Path, statement: dict) -> set[str]:
    listed = {r["name"]: r["digest"] for r in statement["predicate"]["resources"]}
    same = lambda path, digest: path.is_file() and Digest.of_file(path).value.hex() == digest
    return {name for name, digest in listed.items() if not same(folder / name, digest)}

# %% tags=["wrong"]
# wrong: looks at the files on top -> as signed
def differs(folder: Path, statement: dict) -> set[str]:
    listed = {r["name"]: r["digest"] for r in statement["predicate"]["resources"]}
    there = {p.name: Digest.of_file(p).value.hex() for p in folder.iterdir() if p.is_file()}
    return {name for name in listed.keys() | there.keys() if listed.get(name) != there.get(name)}

# %% tags=["wrong"]
# wrong: a hidden file is nobody's business -> a hidden file
right = differs
def differs(folder: Path, statement: dict) -> set[str]:
    return {name for name in right(folder, statement) if not name.startswith(".")}

# %% [markdown] tags=["solution"]
# **Why.** "Everything that was signed is intact" and "this is what was signed" are two sentences. Loaders choose files
# by name: a `modeling.py` beside intact weights runs, and no digest has changed. The same mistake has another face in
# the manifest of week 1. What the signature does not say: that the weights are harmless, or good. It says that they are
# the same, and whose. An exception list is part of the attack surface: five names, compared whole, at the top only.

# %%
spoiled = lab.path / "folder" / "loader.py"
for content in (None, "print('loaded')"):
    spoiled.write_text(content) if content else spoiled.unlink(missing_ok=True)
    verdict = model_signing.verify(folder, signed_model, Signer("alice@example.com", lab.trust.issuer), lab.trust.config)
    print("with loader.py:" if content else "as signed:     ", "accepted" if verdict.passed else verdict.failure.message)

# %% [markdown]
# The unmodified library says the same: nothing that was signed changed, and it refuses.
#
# ## Rules over facts
# Policy is best kept apart from the code that fetches and verifies. Python verifies, and writes down *facts*; a few
# rules in Rego decide. Facts have holes. A scan did not run, a field is new, a number came as text. `table(rules)`
# gives your rules many rows of facts at once, in a process of their own. A mistake in the Rego comes back as a message.

# %%
from chainlab.course.exercises.week4.ex5_rego_rules import table

RELEASE = "acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
findings = [{"id": "ACME-2026-3", "exploited": True, "vex": "not_affected"}]
ROWS = {
    "complete": {"signature": {"verified": True, "signer": RELEASE}, "findings": findings, "recall": {"lower": 0.931}},
    "holes": {"signature": {"verified": True}, "recall": {"lower": None}},
}
naive = """package lesson
import rego.v1

safe if not exploited
exploited if some finding in input.findings
good if input.recall.lower >= data.expected.least
"""
for row, verdicts in table(naive)(ROWS, RELEASE).items():
    print(row, verdicts)

# %% [markdown]
# The second row was never scanned, and its recall could not be read. It is `safe` and `good`. The first row is in
# order, and gets no answer to `safe`. (`signed` is undefined in both: nobody has written that rule yet. And `good` is a
# matter of this engine: here `null` is at least 0.9, while another orders the types in another way and lets a text pass.
# A rule that asks for the type first does not depend on it.)
#
# ## Exercise 4.5 — three rules that survive missing facts (5 points)
# *35 min.* Write the package `lesson` with three rules, each true or false for every row, never undefined:
#
# | rule | true when |
# |---|---|
# | `signed` | `input.signature.verified` is true, and `input.signature.signer` is equal to `data.expected.signer` |
# | `safe` | `input.findings` is a list (the scan ran), and each finding either has `exploited` false or has `vex` `"not_affected"` |
# | `good` | `input.recall.lower` is a number, at least `data.expected.least` |
#
# A finding that does not say whether it is exploited counts as exploited. Use no `with`: this engine crashes on most
# uses of it.
# <details><summary>Hint 1</summary>For each rule, read your text with an empty `input`. Which expressions are undefined, and what does `not` make of that?</details>
# <details><summary>Hint 2</summary>Give each rule a default of false, then prove what you want to see: `is_array(…)`, and `every` finding is settled, with two rules of the name `settled(finding)`, one for each way.</details>

# %% tags=["exercise"]
def rules() -> str:
    """Rego, package lesson: signed, safe, good."""
    ### BEGIN SOLUTION
    return """package lesson

import rego.v1

default signed := false

signed if {
    input.signature.verified == true
    input.signature.signer == data.expected.signer
}

default safe := false

safe if {
    is_array(input.findings)
    every found in input.findings {
        settled(found)
    }
}

settled(found) if found.exploited == false

settled(found) if found.vex == "not_affected"

default good := false

good if {
    is_number(input.recall.lower)
    data.expected.least <= input.recall.lower
}
"""
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.5", table(rules))

# %% tags=["wrong"]
# wrong: refuses what is marked bad; `not` of what is undefined passes -> something is missing
right = rules()
def rules() -> str:
    return right.replace("input.signature.verified == true", "not input.signature.verified == false")

# %% tags=["wrong"]
# wrong: looks for an open finding, and finds none in nothing -> something is missing
right = rules()
def rules() -> str:
    head, _, rest = right.partition("safe if {")
    tail = rest.partition("default good")[2]
    return head + """safe if not open

open if {
    some found in input.findings
    found.exploited == true
    found.vex != "not_affected"
}

default good""" + tail

# %% tags=["wrong"]
# wrong: compares before it asks for the type -> another type than expected
right = rules()
def rules() -> str:
    return right.replace("    is_number(input.recall.lower)\n", "")

# %% [markdown] tags=["solution"]
# **Why.** In Rego an expression over something missing is neither true nor false; it has no value. `not` turns "no
# value" into true. A rule that looks for what is bad therefore passes empty facts, and empty facts are exactly what you
# get on the day the scanner is down. Write what you want to see, with a default of false. Types are the same trap one
# level down: comparison is defined across types, and not alike in all engines. The course's policies, `data/policies`,
# read every fact through functions that give one type whatever was there, and Python refuses a rule that does not
# answer.

# %% [markdown]
# ## Ten links
# Now the gate. A release comes to you as a dict: `version` ("v1.4.0"), `manifest` (the OCI manifest's bytes), `files`
# (name to bytes: a model, a wheel, a lock) and `evidence`, a list of bundles in no order. Anybody may attach evidence,
# so a bundle that does not hold is no reason to refuse; the *absence* of one that holds is. `house` is what acme
# expects.

# %%
from chainlab.course.exercises.week4.ex6_gate import attested, bench, sample, score

release, house = sample(lab.trust, seed)
for name, value in house.items():
    print(f"{name:13}{value}")
print(*(f"{name}: {len(data)} bytes" for name, data in release["files"].items()), sep="\n")
print(len(release["evidence"]), "bundles; the lock begins:")
print(release["files"]["requirements.lock"].decode()[:80] + "…")

# %% [markdown]
# The tag of a release is `refs/tags/` and its version. Three signers matter. *By the workflow* means: the signer is
# `house["workflow"]`, `@`, the tag, with the issuer `house["ci"]`. *By the host*: `house["host"]`, the same issuer. *By
# security*: `house["security"]`, with the issuer `house["people"]`.
#
# Two links need bytes alone:
#
# | link | holds when |
# |---|---|
# | `contents` | the manifest's `layers` are the files: the same names (`annotations`, `org.opencontainers.image.title`), the same digests (`digest`) |
# | `format` | the model's first byte is `08`, as ONNX begins |
#
# Four ask who built what. *Provenance* is described below. Its `invocationId` (in the predicate: `runDetails`,
# `metadata`) names the run of the platform that it is about:
#
# | link | holds when |
# |---|---|
# | `wheel` | there is provenance, by the host, of the job `build`, about the wheel |
# | `model` | the same, of the job `train`, about the model |
# | `package` | the same, of the job `package`, about the manifest |
# | `one run` | one `invocationId` is common to the three. Where one of them has no provenance, that is its own link's failure |
#
# And four ask what is said about it. `house["exploited"]` maps the purl of a package that is attacked at this very time
# to its advisory, as the list of known exploited vulnerabilities in `04b_gate` does:
#
# | link | holds when |
# |---|---|
# | `sbom` | an SBOM by the workflow about the wheel lists each `name==version` of the lock, and the lock names at least one |
# | `vulnerabilities` | each package of the lock whose purl, `pkg:pypi/NAME@VERSION`, is in `house["exploited"]` is answered. An answer is an entry (in `statements`) of an OpenVEX document by security about the wheel: for that advisory (`vulnerability`, `name`) and that purl (`products`, `@id`), with the `status` `not_affected` and a `justification` |
# | `model signature` | an OMS statement by the workflow lists one resource, `triage.onnx`. Its subject is the digest over the list of digests, as in 4.4: for one file, the SHA-256 of the model's raw (32-byte) digest |
# | `metric` | an ML-BOM by the workflow about the model (its predicate type is that of an SBOM) has a `recall` whose `lowerBound` is at least `house["least_recall"]`. Not every document about the model has a `modelCard` |
#
# *Provenance* has to name the builder `house["builder"]` and the build type `house["build_type"]`, which says how to read
# everything else; the source `git+` and `house["repository"]`, at the tag; the external parameters `workflow` (`repository`, `ref`, `path`) and `inputs`, which
# is empty, and no other; and the internal parameter `job`. `Expectations` has a field for each; `04a_attestation`,
# "Verify, in six steps", fills them all. Given to you: `attested(release, digest, expected, root)`, the statements that are about a
# digest and hold as expected.

# %%
tag = f"refs/tags/{release['version']}"
release_signer = Signer(f"{house['workflow']}@{tag}", house["ci"])
[ml_bom] = attested(release, Digest.of(release["files"]["triage.onnx"]), Expectations(release_signer, SBOM), root)
print(json.dumps(ml_bom.predicate["components"][0]["modelCard"], indent=1))

# %% [markdown]
# ## Exercise 4.6 — build the gate, and have its links broken (10 points)
# *85 min, and the hard one.* Return the names of the links that do not hold; none means *let it pass*.
#
# You are scored by *mutants refused for the right reason × benign releases accepted*. A mutant has one link broken, by
# a wrong signer, a fork, another run, a changed file, a missing fact. Naming a link that holds is not the right reason.
# Where one change breaks several links you may name all of them; the one that it is about has to be among them. A gate
# that raises has refused nothing for a reason. `bench(gate)` lets the check try all of them. It passes at a score of 95
# %, with every link and every *kind* of mutant refused at least once (a fork's source, another job, a VEX without a
# reason, …: each counts on its own) and no benign release refused. A pass names what was missed all the same.
#
# Plan before you write: which links need only bytes, which a signed statement, which two things that must agree? Begin
# with those that need only bytes, and run the check and the score below after each link more: both say by name what is
# missed next.
# <details><summary>Hint 1</summary>If you leave `builder` or `parameters` empty in `Expectations`, what does `verify` say of that step?</details>
# <details><summary>Hint 2</summary>Two small functions carry most of it: one that gives the invocationIds of a job's valid provenance for some bytes, one that gives the predicates of a type by a signer for a digest. For `one run`, intersect. Then a dict from link to a condition. Take a file that is missing as `b""`, and a fact that cannot be read as one that does not hold.</details>

# %% tags=["exercise"]
def gate(release: dict, house: dict) -> list[str]:
    """The links that do not hold; empty when the release may pass."""
    ### BEGIN SOLUTION
    files, tag = release["files"], f"refs/tags/{release['version']}"
    host, security = Signer(house["host"], house["ci"]), Signer(house["security"], house["people"])
    workflow = Signer(f"{house['workflow']}@{tag}", house["ci"])
    given = {"workflow": {"repository": house["repository"], "ref": tag, "path": house["path"]}, "inputs": {}}

    def runs_of(job, data):
        wanted = Expectations(host, PROVENANCE, builder=house["builder"], build_type=house["build_type"],
                          source=f"git+{house['repository']}", refs=(tag,), parameters=given, internal={"job": job})
        return {s.predicate["runDetails"]["metadata"]["invocationId"]
                for s in attested(release, Digest.of(data), wanted, root)}

    def said(kind, digest, signer=workflow):
        return [s.predicate for s in attested(release, digest, Expectations(signer, kind), root)]

    def enough(bom):
        try:
            metrics = bom["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
            recall = next(m["confidenceInterval"]["lowerBound"] for m in metrics if m["type"] == "recall")
            return float(recall) >= house["least_recall"]  # nan is at least nothing
        except (LookupError, ValueError, TypeError, StopIteration):
            return False

    model, lines = files.get("triage.onnx", b""), files.get("requirements.lock", b"").decode().splitlines()
    wheel = b"".join(data for name, data in files.items() if name.endswith(".whl"))
    lock = {tuple(line.split()[0].split("==")) for line in lines if line[:1] not in ("", "#")}
    named = {layer["annotations"]["org.opencontainers.image.title"]: layer["digest"]
             for layer in json.loads(release["manifest"])["layers"]}
    jobs = {"wheel": ("build", wheel), "model": ("train", model), "package": ("package", release["manifest"])}
    runs = {link: runs_of(*job) for link, job in jobs.items()}
    boms = [{(c["name"], c["version"]) for c in bom["components"]} for bom in said(SBOM, Digest.of(wheel))]
    entries = [e for vex in said(OPENVEX, Digest.of(wheel), security) for e in vex["statements"]
               if e["status"] == "not_affected" and e.get("justification")]
    settled = {(product["@id"], e["vulnerability"]["name"]) for e in entries for product in e["products"]}
    hits = {pair for pair in house["exploited"].items() if pair[0] in {f"pkg:pypi/{n}@{v}" for n, v in lock}}
    signed = [[r["name"] for r in oms["resources"]] for oms in said(MODEL_SIGNATURE, Digest.of(Digest.of(model).value))]
    holds = {
        "contents": named == {name: str(Digest.of(data)) for name, data in files.items()},
        **{link: bool(found) for link, found in runs.items()},
        "one run": not all(runs.values()) or bool(set.intersection(*runs.values())),
        "sbom": bool(lock) and any(lock <= bom for bom in boms), "vulnerabilities": hits <= settled,
        "model signature": ["triage.onnx"] in signed,
        "metric": any(enough(bom) for bom in said(SBOM, Digest.of(model))),
        "format": model[:1] == b"\x08",
    }
    return [link for link, fine in holds.items() if not fine]
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.6", bench(gate))

# %% tags=["wrong"]
# wrong: deny all: nobody was ever fired for a refusal -> benign releases
def gate(release: dict, house: dict) -> list[str]:
    return ["contents"]

# %% tags=["wrong"]
# wrong: accept all -> benign releases
def gate(release: dict, house: dict) -> list[str]:
    return []

# %% tags=["wrong"]
# wrong: refuses a release when any bundle beside it does not hold -> benign releases
right = gate
def gate(release: dict, house: dict) -> list[str]:
    junk = [bundle for bundle in release["evidence"] if not bundle.startswith(b'{"mediaType"')]
    return right(release, house) or (["contents"] if junk else [])

# %% tags=["wrong"]
# wrong: any valid provenance will do, whoever asked for the build -> who built them
right = gate
def gate(release: dict, house: dict) -> list[str]:
    return [link for link in right(release, house) if link not in ("wheel", "model", "package", "one run")]

# %% tags=["wrong"]
# wrong: each statement holds, so together they hold -> all in one run
right = gate
def gate(release: dict, house: dict) -> list[str]:
    return [link for link in right(release, house) if link != "one run"]

# %% [markdown] tags=["solution"]
# **Why.** Three habits make this gate. It asks for *presence*: evidence that holds must be there, and whatever else
# lies beside it neither helps nor harms. So nobody can pass by deleting bad news, and nobody can block your release by
# attaching junk. (Bad news that must count, a revoked approval for instance, needs another channel than "attached".) It
# asks for *every step*: an empty field in `Expectations` is a question not asked. And it joins: three true statements about
# three runs are not a true statement about one release. Note what it trusts without a word: the root, the clock inside
# the timestamps, `house`, and the advisories' list. Whoever edits `house` opens the gate; guard that file like a key.

# %% [markdown]
# The score on releases that the check did not use; below it, by name, what your gate missed. Where the lab is graded
# and your score is short of 95 %, part of the points is yours. One ninth each: all benign releases (if anything else is
# refused), five groups of links (each with all its kinds of mutants), and a score of 60, of 80 and of 95 %.

# %%
print(score(gate, lab.trust, seed=seed))

# %% [markdown]
# ## The key that signs certificates is stolen
# Everything above rests on a trusted root: which CA, which logs, which clocks. One night the CA's signing key is
# copied. It is noticed a day later. From then on a thief can certify anyone as anyone; log and timestamp authority
# serve the thief like everybody else.
#
# You have the trusted root (a dict, as in `trusted_root.json`). Its `certificateAuthorities` are generations, oldest
# first; the last one is the stolen key's. Earlier ones were retired on time. Each has
# `certChain.certificates` (`rawBytes`: first the signing certificate, then the root certificate) and `validFor`.
# Three things are at hand:
#
# - `successor`: the entry of a new authority, with a new key under the same root certificate;
# - `stolen` and `noticed`, two times, as text: from `stolen` on the key was in two hands, and until then you can vouch
#   for it; at `noticed` somebody saw it. In between good signatures and forgeries look alike;
# - `recertify(entry, until)`: the root key comes out of its safe and certifies an entry's signing key once more, with a
#   certificate that ends at `until`. You get the new certificate's `rawBytes`.
#
# The last is needed because this client asks the *certificates* what was valid at the time of the timestamp; it does
# not look at an authority's `validFor` when it verifies. The field is still the one that people and other clients read,
# so certificate and field have to say the same.
#
# ## Exercise 4.7 — rotate (5 points)
# *35 min.* Return the new trusted root. What was signed before the theft must still verify; so must what the successor
# certifies. No forgery may. The check verifies seven bundles under your root, with sigstore's unmodified client, and
# reads the fields as a person would. The order of the entries is yours.
# <details><summary>Hint 1</summary>Which of the two times ends the old key's word? What about a good signature made between them?</details>
# <details><summary>Hint 2</summary>Change one entry and append one. In the old entry: `certificates[0]["rawBytes"]` and `validFor["end"]`. Leave the earlier generations, the logs and the timestamp authority as they are.</details>

# %% tags=["exercise"]
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    """The trusted root after the rotation."""
    ### BEGIN SOLUTION
    *earlier, old = root["certificateAuthorities"]
    _, *above = old["certChain"]["certificates"]
    ended = {
        **old,
        "certChain": {"certificates": [{"rawBytes": recertify(old, stolen)}, *above]},
        "validFor": {**old["validFor"], "end": stolen},
    }
    return {**root, "certificateAuthorities": [*earlier, ended, successor]}
    ### END SOLUTION

# %% tags=["check"]
lab.check("4.7", rotated)

# %% tags=["wrong"]
# wrong: deletes the old root -> signed before the theft
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    return {**root, "certificateAuthorities": [successor]}

# %% tags=["wrong"]
# wrong: adds the new key, and leaves the old one as it is -> forged after the rotation
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    return {**root, "certificateAuthorities": [*root["certificateAuthorities"], successor]}

# %% tags=["wrong"]
# wrong: writes an end into validFor and trusts that every client reads it -> forged after the rotation
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    *earlier, old = root["certificateAuthorities"]
    ended = {**old, "validFor": {**old["validFor"], "end": stolen}}
    return {**root, "certificateAuthorities": [*earlier, ended, successor]}

# %% tags=["wrong"]
# wrong: the old key's word ends when somebody noticed -> forged between theft and discovery
right = rotated
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    return right(root, successor, noticed, noticed, recertify)

# %% tags=["wrong"]
# wrong: gives every earlier generation the same end -> forged with a key from the drawer
def rotated(root: dict, successor: dict, stolen: str, noticed: str, recertify) -> dict:
    entries = [{**old, "certChain": {"certificates": [{"rawBytes": recertify(old, stolen)},
                                                      *old["certChain"]["certificates"][1:]]}}
               for old in root["certificateAuthorities"]]
    return {**root, "certificateAuthorities": [*entries, successor]}

# %% [markdown] tags=["solution"]
# **Why.** A timestamp is somebody else's word, so the past can be kept while the key is given up: what was there before
# the theft stays good. Deleting the old authority throws away every release so far; the day after, someone "fixes" it
# by switching verification off. The price lies between the two times. Good signatures made there look like forgeries to
# any client, and have to be made again, each after a look at what was built (the transparency log lists them; ask for
# everything certified in your name since `stolen`). When was it stolen? Choose the last moment that you can vouch for,
# not the first alarm. Had the *root* key been copied, no recertification would help: then clients need a new root by
# another way, which is what TUF's threshold of root keys is for [V: TUF 1.0.34]. And clients that never fetch the new
# root stay fooled. A rotation is finished when they have it.

# %% [markdown]
# ## When the log is out
# Two questions for your guide, tried on an instance that we switch off. It signs once, goes away, and is asked again.

# %%
from chainlab.errors import ChainlabError
from chainlab.services import Server
from chainlab.trust.client import Trust

with Server(lab.path / "short-lived"):
    short = Trust(lab.path / "short-lived")
    kept = signing.sign(statement, short.config, short.token("alice@example.com"))
alice = Expectations(Signer("alice@example.com", short.issuer), "https://example.com/note/v1")
print("verifying:", "passed" if verify(kept, Digest.of_file(model), alice, short.config.trusted_root).passed else "failed")
try:
    signing.sign(statement, short.config, short.token("alice@example.com"))
except (ChainlabError, OSError) as error:
    print("signing:   no,", type(error).__name__)
except Exception as error:  # the client's own, of whatever kind
    print("signing:   no,", type(error).__name__)

# %% [markdown]
# Verifying needs nobody: proof, checkpoint and timestamp are in the bundle. So deploying and rolling back go on.
# Signing stops, and with it every release; that is failing closed. The wrong way out is "sign without the log until it
# is back": whoever can cause an outage then also chooses to be unseen. Plan to wait, and say for how long.
#
# ## Build it again, elsewhere
# Provenance is one builder's word. An independent rebuild is a second one: another machine takes source and recipe from
# the provenance, builds, and compares digests. It works as far as builds are reproducible. Here a wheel's archive is
# packed twice, a day apart, first as it comes and then with the time fixed:

# %%
import io
import zipfile


def packed(day: int, fixed: bool) -> Digest:
    """A small wheel, packed on a day of March."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        when = (1980, 1, 1, 0, 0, 0) if fixed else (2026, 3, day, 9, 30, 0)
        archive.writestr(zipfile.ZipInfo("triage_model/__init__.py", when), "VERSION = '1.4.0'\n")
    return Digest.of(out.getvalue())


for fixed in (False, True):
    print("time fixed:" if fixed else "as it comes:", "the same" if packed(5, fixed) == packed(6, fixed) else "two digests")

# %% [markdown]
# The same source, two digests, and a rebuild that "failed" although nothing is wrong. Clocks, file order, paths,
# compiler versions and, for models, the processor's arithmetic all leak into bytes. Fix them (`SOURCE_DATE_EPOCH` for
# wheels, rounded coefficients for models), then a difference means something. A rebuild with the same compromised
# dependency gives the same bad bytes: it checks the *builder*, not the source.
#
# ## Hand in: the implementation guide
# The cell copies the template, once, and says where your file is. It is your design guide (D1), version 2: what you
# designed in week 2 is built, and the gate stands behind it. Fill it for `triage-model`.
# `templates/examples/implementation_guide.md` is a filled one at level 3 of the rubric, for the kit's own release and the
# gate of this lab: look at how a row names its test and its evidence, not at its choices.

# %%
lab.template("implementation_guide.md")

# %% [markdown]
# **A reviewer will**
# - swap a file between two stages of your pipeline: which check stops it, with which words?
# - take one rule of the gate out: which test goes red?
# - attach junk to a good release, and take one bundle from another
# - ask who may change the policy, and how that change is reviewed
# - let you rehearse the rotation, with a watch
#
# By the rubric, level 3 verifies every stage and proves it by a test per edge, can be repeated, and names residual
# risk. Level 4 adds failure modes, a rehearsed rotation, the answer to a log outage, a rebuild and what all of it
# costs.
#
# **To carry home** (30 min, in a repository of your own whose workflow has two jobs). Let the first job hand on the digests
# of what it made as an *output*, and let the second refuse other bytes before it uses them:
#
# In the first job the last step, with `outputs: {sums: "${{ steps.sums.outputs.sums }}"}` beside the job's `steps`:
# ```yaml
# - id: sums
#   run: echo "sums=$(sha256sum dist/* | base64 -w0)" >> "$GITHUB_OUTPUT"
# ```
# In the second job (here with `needs: build`, the first one's name), after it took the files over:
# ```yaml
# - env: {SUMS: "${{ needs.build.outputs.sums }}"}
#   run: echo "$SUMS" | base64 -d | sha256sum --check --strict
# ```
#
# Then, on a branch, append a byte to a file between the two, and after that add a file. The first has to stop the run.
# The second does not: the list is checked, the folder is not. Compare the names of the files as well (4.4). You are done
# when both stop the run, each with a message that names the file.
#
# **You can now** say which bytes a signature covers; check a log's proof in odd trees; name the promise that was not
# made; refuse a file more; write rules that survive missing facts; build a gate whose score you know; and give up a CA
# key without giving up the past. Next: `05_monitoring`, would anybody notice?
