# %% [markdown]
# # Week 4 · Valid provenance, bad bytes: what an attestation says
#
# > On 11 May 2026, 84 versions of 42 packages of TanStack were published with provenance that verified. An attacker had
# > poisoned a cache that the release restored, and read the run's token out of memory. The builder was the expected one,
# > and so was the source. [V: TanStack postmortem; SLSA blog, 2026-05-15] In December 2024 it was Ultralytics: a cache as
# > well, and attestations present. [V: PyPI blog; details: S]
#
# Nothing was forged in either case. So before we let a gate decide by attestations, we take one apart, down to its
# bytes, and write down which sentences it contains.
#
# **You will** (90 min: 15 reading, 75 doing)
# - run a release, and find what the platform says about it
# - rebuild the exact bytes that were signed, and check the signature and the log's proof by hand
# - read provenance field by field, and tell the platform's word from the workflow's
# - verify in six steps, and break each step
#
# **Before:** `01_first_signature`, `02_evidence`, primer `00d_merkle`. **Next:** `04b_gate`. **Lab:**
# `labs/04_attestation.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only. Words are in
# [the glossary](../docs/glossary.md). At **Predict**, write your answer in place of `None` before you run the cell. At
# **Change it**, change one value and run the cell again.

# %% tags=["parameters"]
seed = 1

# %%
import base64
import hashlib
import json
import re

import chainlab
import pandas as pd
from chainlab.digests import Digest

pd.set_option("display.width", 150, "display.max_colwidth", None)
lab = chainlab.open("04a_attestation", seed=seed)

# %% [markdown]
# ## A release, small enough to hold
# One job, one file: `notes.json` has the threshold above which a note is shown to a doctor.

# %%
WORKFLOW = """name: release
on: {push: {tags: ["v*"]}}
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - uses: CHECKOUT
        with: {persist-credentials: false}
      - run: mkdir out && python pack.py out/notes.json
      - uses: UPLOAD
        with: {name: out, path: out}
"""

# %%
hardened = (lab.data / "projects/hardened/triage-model/.github/workflows/release.yml").read_text()
pins = dict(re.findall(r"(actions/(?:checkout|upload-artifact))@([0-9a-f]{40})", hardened))
workflow = WORKFLOW.replace("CHECKOUT", f"actions/checkout@{pins['actions/checkout']}")
workflow = workflow.replace("UPLOAD", f"actions/upload-artifact@{pins['actions/upload-artifact']}")
folder, settings = lab.path / "notes-model", lab.path / "notes-model.toml"
(folder / ".github/workflows").mkdir(parents=True, exist_ok=True)
(folder / ".github/workflows/release.yml").write_text(workflow)
(folder / "pack.py").write_text("import json, sys\njson.dump({'threshold': 0.35}, open(sys.argv[1], 'w'))\n")
settings.write_text('visibility = "internal"\ndefault_branch = "main"\ndefault_permissions = "read"\n')
project = lab.ci.project("acme/notes-model", folder, settings)
project.tag("v1.4.0")
run = project.run("push", ref="refs/tags/v1.4.0")
run

# %% [markdown]
# The run shows itself: one job, what it may do, and the file that it stored. The job held no key and no identity:
# `contents: read` was all. Yet there is a signed statement about its file. The registry keeps such statements by the digest
# of the file:

# %%
notes = Digest.parse(run.produced["notes.json"])


def provenance_of(digest):
    """The newest provenance bundle about a digest."""
    kind, evidence = [entry for entry in lab.registry.evidence.attached(digest) if entry[0] == "provenance"][-1]
    return lab.registry.evidence.read(digest, evidence)


bundle = provenance_of(notes)
document = json.loads(bundle)
parts = {**document["verificationMaterial"], "dsseEnvelope": document["dsseEnvelope"]}
print(document["mediaType"])
pd.DataFrame([{"part": part, "holds": ", ".join(value) if isinstance(value, dict) else f"{len(value)} entry"}
              for part, value in parts.items()]).set_index("part")

# %% [markdown]
# A Sigstore bundle, version 0.3, in JSON: the certificate, one log entry, timestamps, and in place of week 1's
# `messageSignature` a *DSSE envelope*. The platform made it as soon as the job had ended.
#
# ## A statement: somebody says something about some bytes
# The envelope holds the *payload*, the text that was signed. We read it before we verify it, to see what it is. A program
# must not: what it has read unverified, it may act on.

# %%
envelope = document["dsseEnvelope"]
payload = base64.b64decode(envelope["payload"])
statement = json.loads(payload)
pd.Series({
    "_type": statement["_type"],
    "subject": ", ".join(f"{one['name']}, sha256 {one['digest']['sha256'][:16]}…" for one in statement["subject"]),
    "predicateType": statement["predicateType"],
    "predicate": "has " + " and ".join(statement["predicate"]),
}).to_frame("says")

# %% [markdown]
# Four fields, the same for every kind of evidence in this course [V: in-toto attestation framework]. *Subject*: which
# bytes, by digest; the name is a label. *Predicate type*: what kind of sentence. *Predicate*: the sentence. Here it is
# SLSA provenance; it could be an SBOM, a VEX, a model's signature, or a gate's verdict.
#
# ## What exactly is signed?
# Not the JSON around it, and not the payload alone. DSSE signs the *pre-authentication encoding*, PAE: a fixed word,
# then type and payload, each after its length. [V: DSSE 1.0.2]

# %%
kind = envelope["payloadType"].encode()
pae = b"DSSEv1 " + str(len(kind)).encode() + b" " + kind + b" " + str(len(payload)).encode() + b" " + payload
pieces = (b"DSSEv1 ", b"28 ", kind + b" ", str(len(payload)).encode() + b" ", payload[:40])
pd.DataFrame([{"from byte": sum(map(len, pieces[:i])), "text": part.decode(),
               "bytes": part[:8].hex(" ") + (" …" if len(part) > 8 else "")} for i, part in enumerate(pieces)])

# %% [markdown]
# Seven bytes for word and space, the type's length in decimal, the type, the payload's length, the payload (here its first
# 40 bytes). Lengths count *bytes*, and make the text unambiguous: nobody can move a byte from one part into the next.
#
# The certificate has the public key, so we can try what was signed with it. **Predict**: for which of three byte strings
# is the signature "valid", and for which "invalid"?

# %% tags=["predict"]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.models import Bundle

prediction = {"the payload alone": None, "the PAE": None, "the PAE and a space": None}
certificate = Bundle.from_json(bundle).signing_certificate
signature, said_of = base64.b64decode(envelope["signatures"][0]["sig"]), {}
for what, data in {"the payload alone": payload, "the PAE": pae, "the PAE and a space": pae + b" "}.items():
    try:
        certificate.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))
        said_of[what] = "valid"
    except InvalidSignature:
        said_of[what] = "invalid"
lab.predicted(prediction, said_of)

# %% [markdown]
# Only the PAE, to the last byte. This is why a verifier must never parse the JSON, write it again and check that: it
# would check bytes that nobody sent. Decode the base64, verify, then parse *the very bytes just verified*.
#
# What this shows: some key signed these bytes. Not yet: whose key, when, and who else knows.
#
# ## Is the entry in the log?
# The log never saw the payload. Ours works like Rekor v2, Sigstore's: it takes one kind of entry, `hashedrekord`, with
# a digest, a signature and a certificate. For an envelope the digest is that of the PAE. [V: rekor-tiles]

# %%
entry = document["verificationMaterial"]["tlogEntries"][0]
record = json.loads(base64.b64decode(entry["canonicalizedBody"]))
logged = record["spec"]["hashedRekordV002"]
print("kind:                  ", record["kind"], record["apiVersion"])
print("digest is SHA-256(PAE):", base64.b64decode(logged["data"]["digest"]) == hashlib.sha256(pae).digest())
print("the same signature:    ", base64.b64decode(logged["signature"]["content"]) == signature)

# %% [markdown]
# So the entry is about our signature. Where in the log is it? Your instance's log grows with all that you do, so we start a
# second instance beside it, with an empty log that you can count on your fingers. Its own root is the first entry (week
# 1). Then five strangers sign something, and last the platform signs our statement once more. That makes seven entries;
# ours has index 6, because counting begins at 0.
#
# The log publishes its tree in *tiles*: files with up to 256 hashes of one level each. Level 0 are the leaves, 32 bytes
# each; a leaf is the hash of an entry.
#
# **Predict.** A proof lists the hashes that one needs, beside one's own leaf, to compute the root. How many are they for
# the last of seven leaves?

# %%
import shutil
from urllib.request import urlopen

from chainlab.ci.runs import job_provenance
from chainlab.evidence import signing
from chainlab.evidence.statements import Statement
from chainlab.services import Server
from chainlab.trust.client import Trust

shutil.rmtree(lab.path / "small", ignore_errors=True)
with Server(lab.path / "small"):
    small = Trust(lab.path / "small")
    for name in ("bob", "carol", "dave", "erin", "frank"):
        note = Statement.about({"note": Digest.of(name.encode())}, "https://example.com/note/v1", {})
        signing.sign(note, small.config, small.token(f"{name}@example.com"))
    entry = json.loads(job_provenance.sign(Statement.load(payload), small))["verificationMaterial"]["tlogEntries"][0]
    tile = urlopen(f"{small.url}/api/v2/tile/0/000.p/7").read()

# %% tags=["predict"]
prediction = None  # a number
proof, body = entry["inclusionProof"], base64.b64decode(entry["canonicalizedBody"])
leaves = [tile[at : at + 32] for at in range(0, len(tile), 32)]
beside = [base64.b64decode(hash) for hash in proof["hashes"]]
print(f"index {proof['logIndex']} in a tree of {proof['treeSize']} leaves;", len(leaves), "leaves in the tile")
lab.predicted(prediction, len(beside))

# %% [markdown]
# Two, where a tree of eight would need three. We recompute all of it from the leaves, with primer D's dozen lines:

# %%
def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes):
    k = 1 << (len(hashes) - 1).bit_length() - 1 if len(hashes) > 1 else 0
    return node(root(hashes[:k]), root(hashes[k:])) if k else hashes[0]


def path(hashes, index):
    """The hashes beside the way up, lowest first, each with its side."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if index < k:
        return [*path(hashes[:k], index), ("right", root(hashes[k:]))]
    return [*path(hashes[k:], index - k), ("left", root(hashes[:k]))]


# %%
import matplotlib.pyplot as plt
from chainlab.dashboards import diagrams

index = 6
steps = path(leaves, index)
print("leaf", index, "has beside its way up, lowest first:", *(side for side, _ in steps))
print("the entry's hash is that leaf: ", hashlib.sha256(b"\x00" + body).digest() == leaves[index])
print("the proof is what we compute:  ", [hash for _, hash in steps] == beside)
print("the root is what we compute:   ", root(leaves) == base64.b64decode(proof["rootHash"]))
plt.style.use("chainlab.dashboards.style")
_ = diagrams.audit_path(7, index, title=f"Seven leaves: the proof of leaf {index} has {len(steps)} hashes")

# %% [markdown]
# In words: leaf 6 stands alone on the lowest level of seven, so the proof has no hash there. On the way up it joins the pair
# 4–5 on its left, then the four 0–3: two hashes. Who copies the last leaf to make the number even gets another root
# (exercise 4.2).
#
# **Change it**: set `index` to 0, then to 5. How long is each way, and on which sides? The lines about entry and proof turn
# False, because ours is entry 6. The root stays.
#
# The root itself is a claim. It counts because the log signed it, in a *checkpoint*, a note with the log's name, its size
# and its root:

# %%
note = proof["checkpoint"]["envelope"]
text, _, signed = note.partition("\n\n")
origin, tree_size, root_text = text.splitlines()
raw = base64.b64decode(signed.split()[2])  # "— name base64(4 bytes of key id + signature)"
trusted = json.loads(small.config.trusted_root._inner.to_json())
[log] = [log for log in trusted["tlogs"] if origin in log["baseUrl"]]
from cryptography.hazmat.primitives.serialization import load_der_public_key

load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"])).verify(raw[4:], f"{text}\n".encode())
print(origin, "signed size", tree_size, "| same root:", root_text == proof["rootHash"])

# %% [markdown]
# No exception: the Ed25519 signature holds, under a key from the instance's trusted root, which did not come with the
# bundle. Each link rests on the next: PAE → signature → entry → root → checkpoint → a key that we got another way.
#
# It shows: this signature was shown to this log. It does not show that the log shows the same to everybody; for that,
# somebody keeps checkpoints and compares (week 5).

# %% tags=["check"]
assert run.result == "success" and statement["subject"][0]["digest"]["sha256"] == notes.value.hex()
assert len(statement) == 4  # the text says four fields
assert pae.startswith(b"DSSEv1 28 application/vnd.in-toto+json ")  # the text says 28
certificate.public_key().verify(signature, pae, ec.ECDSA(hashes.SHA256()))
steps = path(leaves, 6)
assert (proof["logIndex"], proof["treeSize"], len(leaves)) == ("6", "7", 7)  # the text says seven, and the last one
assert root(leaves) == base64.b64decode(proof["rootHash"]) and [hash for _, hash in steps] == beside
assert [side for side, _ in steps] == ["left", "left"] and len(path(leaves, 0)) == len(path(leaves, 5)) == 3

# %% [markdown]
# ## Two logs, and a clock
# There is a second Merkle log in the bundle, and you find it in the certificate. The CA showed the certificate to the
# *certificate transparency* log, CT, before handing it out. The log's receipt, an SCT (signed certificate timestamp), is
# one of the certificate's extensions.

# %%
from cryptography import x509

receipts = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
[identity] = names.get_values_for_type(x509.UniformResourceIdentifier)
lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
pd.Series({"receipts of the CT log": len(receipts), "name in it": identity, "good for": str(lifetime)}).to_frame("certificate")

# %% [markdown]
# One receipt, the platform's name, and ten minutes. Two logs, then, and two questions:
#
# | | **CT log** | **transparency log** |
# |---|---|---|
# | holds | certificates | signatures: digest, signature, certificate |
# | answers | who got a certificate in our name? | what was signed in our name? |
# | in the bundle | a receipt inside the certificate, a *promise* | an inclusion proof and a checkpoint, a *fact* |
# | watched by | owners of identities | owners of identities, and of artifacts |
#
# The certificate is good for ten minutes, so *when* matters: the timestamp is a third party's signature over ours, with a
# clock. The log states no time at all [V: rekor-tiles].
#
# ## Provenance, field by field
# The predicate has two halves: what was asked and used, and how it ran.

# %%
predicate = statement["predicate"]
definition, details = predicate["buildDefinition"], predicate["runDetails"]
used = definition["resolvedDependencies"]
rows = [
    ("buildType", definition["buildType"], "builder", "the platform"),
    ("externalParameters", ", ".join(definition["externalParameters"]), "parameters", "whoever started the run"),
    ("internalParameters", ", ".join(definition["internalParameters"]), "parameters, if you ask", "the platform"),
    ("resolvedDependencies", f"{len(used)}, each with a digest", "source: the first", "the platform, as far as it saw"),
    ("builder.id", details["builder"]["id"], "builder", "the platform; decides the level"),
    ("metadata", ", ".join(details["metadata"]), "source and builder, if you ask", "the platform"),
]
print(json.dumps(definition["externalParameters"], indent=1))
print("used:", *(entry["uri"].removeprefix("git+https://").partition("/")[2].partition("@")[0] for entry in used), sep="\n  ")
pd.DataFrame(rows, columns=["field", "value", "asked by step", "comes from"]).set_index("field")

# %% [markdown]
# First the external parameters in full, then what was used, then all fields with the step of verification that asks for
# them:
#
# - **buildType** names the recipe: how platform, parameters and files belong together. Under another build type the same
#   parameters mean something else, so a consumer compares it, too [V: SLSA v1.2].
# - **External parameters** are what somebody outside chose: which workflow, at which ref, with which inputs. They are
#   not to be trusted, so the consumer compares all of them. One that you do not know is a reason to refuse.
# - **resolvedDependencies**: first the source, by commit; then the actions, by commit; in a bigger build the packages
#   that the index served. Complete as far as the platform saw, and no further, even at the highest level [V: SLSA
#   v1.2].
# - **builder.id** stands for everything that nobody can check from outside: isolation, hosting, who holds the signing
#   key. Ours says `build-l1`, because on a laptop the user holds all keys. A consumer decides what a builder's word is
#   worth: a table from (signer, builder id) to a level.
# - **metadata** has the run: `invocationId` is its address, one for all of its jobs. A gate uses it to keep the evidence of
#   two runs apart (`04b_gate`). `chainlab_result` says how the job ended, and is an addition of our platform.
#
# Level 1: provenance exists. Level 2: a hosted platform signs it; forging it *after* the build is out of reach. Level
# 3: runs cannot influence one another, and no step reaches the signing key. A cache that one run poisons for another is
# banned at L3 only. [V: SLSA v1.2]

# %% [markdown]
# ## Two who can speak: the workflow and the platform
# The name in the certificate was the *platform's*, `chainlab/ci-host`. No job can get that name. A job with
# `id-token: write` gets its own: the workflow file at a ref. Here we sign the same statement as the workflow of
# `notes-model` would. (Simplified: we mint its token ourselves. Whoever has this machine can be anyone; that is why our
# builder claims L1.)

# %%
from chainlab.ci.runs.job_provenance import BUILD_TYPE, BUILDER, SIGNER
from chainlab.evidence.certificates import signer_of
from chainlab.evidence.verifying import Expectations, Signer, verify

said = Statement.load(payload)
job = "acme/notes-model/.github/workflows/release.yml@refs/tags/v1.4.0"
claims = {"sub": "repo:acme/notes-model:ref:refs/tags/v1.4.0", "repository": "acme/notes-model", "job_workflow_ref": job}
by_workflow = signing.sign(said, lab.trust.config, lab.trust.token(claims=claims))
pd.Series({who: signer_of(Bundle.from_json(text).signing_certificate)[0].partition("localhost/")[2]
           for who, text in {"platform": bundle, "workflow": by_workflow}.items()}).to_frame("name in the certificate")

# %% [markdown]
# The same bytes inside, and two very different sentences. A workflow's identity is within reach of every step of its
# job, and of whatever a dependency runs there. If it signs *provenance*, the suspect writes the alibi. So:
#
# | said by the workflow | said by the platform |
# |---|---|
# | what only it knows: SBOM, metrics, "I published this" | how the run went: source, parameters, what was served |
# | worth as much as the steps in that job | worth as much as the platform's isolation |
#
# ## Verify, in six steps
# A consumer of provenance follows an order [V: SLSA v1.2, "Verifying artifacts"]. Each step rests on the one before. After
# a failure nothing more is looked at: an unverified statement may say anything.

# %%
GIT = "https://git.chainlab.localhost"
expected = Expectations(
    Signer(SIGNER, lab.trust.ci_issuer),
    "https://slsa.dev/provenance/v1",
    builder=BUILDER,
    build_type=BUILD_TYPE,
    source=f"git+{GIT}/acme/notes-model",
    refs=("refs/tags/v*",),
    parameters={"workflow": {"repository": f"{GIT}/acme/notes-model", "ref": "refs/tags/v1.4.0",
                             "path": ".github/workflows/release.yml"}, "inputs": {}},
    internal={"job": "build"},
)
trusted_root = lab.trust.config.trusted_root
verdict = verify(bundle, notes, expected, trusted_root)
verdict

# %% [markdown]
# Six steps, six times yes. What we *brought* matters more than what we found: the signer with its issuer, the builder and
# its build type, the source, the parameters, and the trusted root. None of it came with the artifact.
#
# ## Break each step
# Now we doctor the bundle. For the first two steps anybody can. For the other four a *validly signed* statement is
# needed that says something else; we play a platform that builds for others, too.

# %%
import copy


def other(change):
    """Provenance signed by the platform, in which something is different."""
    changed = copy.deepcopy(statement)
    change(changed, changed["predicate"]["buildDefinition"])
    return job_provenance.sign(Statement.load(json.dumps(changed).encode()), lab.trust)


def flipped():
    """The bundle with one letter of the payload changed."""
    spoiled = copy.deepcopy(document)
    spoiled["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"acme", b"acne")).decode()
    return json.dumps(spoiled).encode()

# %%
def from_fork(said, definition):
    definition["resolvedDependencies"][0]["uri"] = f"git+{GIT}/mallory/notes-model@refs/tags/v1.4.0"


def l3(said, definition):
    said["predicate"]["runDetails"]["builder"]["id"] = "https://ci.example.com/host/build-l3"


doctored = {
    "one letter changed": (flipped(), notes),
    "signed by the workflow": (by_workflow, notes),
    "for other bytes": (bundle, Digest.of(b'{"threshold": 0.95}')),
    "an older type": (other(lambda s, d: s.update(predicateType="https://slsa.dev/provenance/v0.2")), notes),
    "a better builder, it says": (other(l3), notes),
    "another recipe": (other(lambda s, d: d.update(buildType="https://example.com/shell/v1")), notes),
    "from a fork": (other(from_fork), notes),
    "with an input": (other(lambda s, d: d["externalParameters"].update(inputs={"threshold": "0.95"})), notes),
    "a parameter more": (other(lambda s, d: d["externalParameters"].update(debug="on")), notes),
}

# %% [markdown]
# **Predict.** At which step does each fail: signature, subject, predicate type, builder, source or parameters?

# %% tags=["predict"]
prediction = {
    "one letter changed": None, "signed by the workflow": None, "for other bytes": None,
    "an older type": None, "a better builder, it says": None, "another recipe": None,
    "from a fork": None, "with an input": None, "a parameter more": None,
}
verdicts = {name: verify(text, digest, expected, trusted_root) for name, (text, digest) in doctored.items()}
print(lab.predicted(prediction, {name: refused.failure.name for name, refused in verdicts.items()}))
short = re.compile(f"{GIT}/|https://|[.]github/workflows/|[.]chainlab[.]localhost| [(]issuer.*")
pd.Series({name: short.sub("", refused.failure.message) for name, refused in verdicts.items()}).to_frame("because")

# %% [markdown]
# Nine refusals, at six different steps. Read four of them closely.
#
# - *Signed by the workflow* fails at the *signature*: it holds mathematically, and it is somebody else's. A signature
#   without an expected signer is no check.
# - *A better builder, it says*: a statement may call its builder whatever it likes. Only pairs of signer and builder
#   that you know count.
# - *Another recipe*: the right platform, source and parameters, in a build of another type. Here those parameters could
#   name a shell script.
# - *With an input* is the honest platform, the honest source, the honest workflow; and a build that was asked for
#   something else.
#
# **Change it.** What you do not ask, nobody asks for you. Below, `build_type` is left empty. Run it, then leave out another
# expectation in its place (`source=""`, `builder=""`, `parameters=None`) and verify the bundle that should now pass.

# %%
from dataclasses import replace

careless = replace(expected, build_type="")
text, about = doctored["another recipe"]
verify(text, about, careless, trusted_root)

# %% [markdown]
# The other recipe passes, and the step *builder* says that the build type was not asked. A verifier that keeps silent about
# what it did not ask looks like one that asked.

# %% tags=["check"]
assert len(used) == 3 and all(entry["digest"] for entry in used)  # source and two actions
assert details["builder"]["id"].endswith("build-l1") and str(lifetime) == "0:10:00"
assert verdict.passed and not any(refused.passed for refused in verdicts.values())
wanted = ["signature"] * 2 + ["subject", "predicate type", "builder", "builder", "source", "parameters", "parameters"]
assert [refused.failure.name for refused in verdicts.values()] == wanted  # the text says six different steps
assert "build type" in verdicts["another recipe"].failure.message
loose = verify(doctored["another recipe"][0], notes, replace(expected, build_type=""), trusted_root)
assert loose.passed and "build type not asked" in str(loose)  # the text says that it passes, and what is said of it

# %% [markdown]
# ## Five questions
# The questions of week 1, and who answers them now:
#
# | question | answered by | and not by |
# |---|---|---|
# | Which bytes? | the subject's digest, inside the signed PAE | the file's name, a tag |
# | Which identity? | name *and issuer* in the certificate | `keyid`, a field in the predicate |
# | When? | the timestamp; on Rekor v1 the log's own time | the certificate's dates, `finishedOn` |
# | Who else saw it? | checkpoint and proof; the SCT for the certificate | a log index alone |
# | Who accepts it? | you: root, signer, builder, source, parameters | anything that came with the artifact |
#
# ## What it never said
# Somebody at acme, or somebody with their password, changes one number. The threshold becomes 0.95: from now on almost
# no note is shown to a doctor. Then a tag, and a release.
#
# **Predict.** How many of the six steps does the provenance of this release pass?

# %% tags=["predict"]
prediction = None  # 0 to 6
(folder / "pack.py").write_text("import json, sys\njson.dump({'threshold': 0.95}, open(sys.argv[1], 'w'))\n")
project.commit("Tidy up")
project.tag("v1.4.1")
bad_run = project.run("push", ref="refs/tags/v1.4.1")
bad = Digest.parse(bad_run.produced["notes.json"])
wanted = {**expected.parameters["workflow"], "ref": "refs/tags/v1.4.1"}
next_one = replace(expected, parameters={"workflow": wanted, "inputs": {}})
steps = verify(provenance_of(bad), bad, next_one, trusted_root).steps
lab.predicted(prediction, [step.result for step in steps].count("passed"))

# %% [markdown]
# All six, and rightly. Every sentence in it is true. It was built from that commit, by that workflow, on that
# platform, into those bytes. What valid provenance does **not** promise:
#
# | not promised | then it was | who could promise it |
# |---|---|---|
# | that the source is harmless | this release; xz | review; SLSA's source track |
# | that what is listed is harmless | a bad dependency, with its digest | scanning, VEX, cooldown |
# | that the list is complete | a script that a step fetched | a closed network, a rebuild |
# | that no other run interfered | TanStack, Ultralytics' first wave | Build L3 |
# | that the artifact is any good | a model that misses melanomas | tests, metrics in an ML-BOM |
#
# (*Cooldown* means to wait some days before one uses a new version; `04b_gate` has a rule for it.) Exercise 4.3 gives you
# such cases, with their evidence. And one more: nobody promises that evidence is *there*. Ultralytics' second wave used an
# old token and had no attestations [V: PyPI blog]. Who only verifies what is present accepts the bare file.

# %% tags=["check"]
assert verify(provenance_of(bad), bad, next_one, trusted_root).passed  # the text says all six
assert not verify(bundle, bad, expected, trusted_root).passed

# %% [markdown]
# **Simplified here.** One process plays CA, logs, clock, CI host and registry, with one owner: L1, and that is
# generous. The platform's list of packages is what our own index served. `_inner` above is the client's private
# attribute; we used it to read a public file.
#
# **You can now**
# - name the bytes that a signature covers, and rebuild them
# - follow a bundle from signature to checkpoint to a key that you trust
# - say for each field of provenance who wrote it and which step asks for it
# - tell the platform's word from the workflow's, and why the suspect should not write the alibi
# - list five promises that valid provenance does not make
#
# **Exit question.** A vendor's gate checks signature, subject, predicate type and the builder's id, and nothing more,
# "because the builder is trusted". Which of the nine doctored bundles does it accept, and what does its customer run
# then?
