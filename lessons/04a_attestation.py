# %% [markdown]
# # Week 4 · Valid provenance, bad bytes: what an attestation says
#
# > On 11 May 2026, 84 versions of 42 packages of TanStack were published with provenance that verified. An attacker had
# > poisoned a cache that the release restored, and read the run's token out of memory. The builder was the expected
# > one, the source too. [V: TanStack postmortem; SLSA blog, 2026-05-15] In December 2024 it was Ultralytics: a cache as
# > well, and attestations present. [V: PyPI blog; details: S]
#
# Nothing was forged in either case. So before we let a gate decide by attestations, we take one apart, down to its
# bytes, and write down which sentences it contains.
#
# **You will** (90 min: 12 reading, 78 doing)
# - run a release, and find what the platform says about it
# - rebuild the exact bytes that were signed, and check the signature and the log's proof by hand
# - read provenance field by field, and tell the platform's word from the workflow's
# - verify in six steps, and break each step once
#
# **Before:** `01_first_signature`, `02_anatomy`, primer `00d_merkle`. **Next:** `04b_gate`. **Lab:**
# `labs/04_attestation.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only.

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
# One job, one file: `notes.json` has the threshold above which a note is shown to a doctor. First five strangers use
# the same log, as on any real one.

# %%
from chainlab.evidence import signing
from chainlab.evidence.statements import Statement

for name in ("bob", "carol", "dave", "erin", "frank"):
    note = Statement.about({"note": Digest.of(name.encode())}, "https://example.com/note/v1", {})
    signing.sign(note, lab.trust.config, lab.trust.token(f"{name}@example.com"))

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
print(run.result, *run.produced)

# %% [markdown]
# The job held no key and no identity: `contents: read` was all. Yet somebody spoke about its file. The registry keeps
# what is said, by digest:

# %%
notes = Digest.parse(run.produced["notes.json"])


def provenance_of(digest):
    """The newest provenance bundle about a digest."""
    kind, evidence = [entry for entry in lab.registry.evidence.attached(digest) if entry[0] == "provenance"][-1]
    return lab.registry.evidence.read(digest, evidence)


bundle = provenance_of(notes)
document = json.loads(bundle)
print(document["mediaType"])
for part, value in {**document["verificationMaterial"], "dsseEnvelope": document["dsseEnvelope"]}.items():
    print(f"{part:26} {', '.join(value) if isinstance(value, dict) else f'{len(value)} entry'}")

# %% [markdown]
# A Sigstore bundle, version 0.3, in JSON: the certificate, one log entry, timestamps, and in place of week 1's
# `messageSignature` a *DSSE envelope*. The platform made it as soon as the job had ended.
#
# ## A statement: somebody says something about some bytes
# Inside the envelope is the payload. We look at it unverified. Remember that we did; a program must not.

# %%
envelope = document["dsseEnvelope"]
payload = base64.b64decode(envelope["payload"])
statement = json.loads(payload)
print("_type:        ", statement["_type"])
for subject in statement["subject"]:
    print("subject:      ", subject["name"], subject["digest"]["sha256"][:16] + "…")
print("predicateType:", statement["predicateType"])
print("predicate:    ", *statement["predicate"])

# %% [markdown]
# Four fields, the same for every kind of evidence in this course [V: in-toto attestation framework]. *Subject*: which
# bytes, by digest; the name is a label. *Predicate type*: what kind of sentence. *Predicate*: the sentence. Here it is
# SLSA provenance; it could be an SBOM, a VEX, a model's signature, or a gate's verdict.

# %% [markdown]
# ## What exactly is signed?
# Not the JSON around it, and not the payload alone. DSSE signs the *pre-authentication encoding*, PAE: a fixed word,
# then type and payload, each after its length. [V: DSSE 1.0.2]

# %%
kind = envelope["payloadType"].encode()
pae = b"DSSEv1 " + str(len(kind)).encode() + b" " + kind + b" " + str(len(payload)).encode() + b" " + payload
at = 0
for part in (b"DSSEv1 ", b"28 ", kind + b" ", str(len(payload)).encode() + b" ", payload[:40]):
    print(f"{at:3}  {part.decode():42} {part[:8].hex(' ')}{' …' if len(part) > 8 else ''}")
    at += len(part)

# %% [markdown]
# Byte by byte: seven for word and space, the type's length in decimal, the type, the payload's length, the payload. The
# lengths make it unambiguous; nobody can move a byte from one part into the next. Lengths count *bytes*. Is this really
# what was signed? The certificate has the key:

# %%
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.models import Bundle

certificate = Bundle.from_json(bundle).signing_certificate
signature = base64.b64decode(envelope["signatures"][0]["sig"])
for what, data in {"the PAE": pae, "the payload alone": payload, "the PAE, one space more": pae + b" "}.items():
    try:
        certificate.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))
        print("holds:   ", what)
    except InvalidSignature:
        print("does not:", what)

# %% [markdown]
# Only the PAE, to the last byte. This is why a verifier must never parse the JSON, write it again and check that: it
# would check bytes that nobody sent. Base64 off, verify, then parse *the very bytes just verified*.
#
# What this shows: some key signed these bytes. Not yet: whose key, when, and who else knows.

# %% [markdown]
# ## Is the entry in the log?
# The log never saw the payload. Ours works like Rekor v2, Sigstore's: it takes one kind of entry, `hashedrekord`, with
# a digest, a signature and a certificate. For an envelope the digest is that of the PAE. [V: rekor-tiles]

# %%
entry = document["verificationMaterial"]["tlogEntries"][0]
body = base64.b64decode(entry["canonicalizedBody"])
record = json.loads(body)["spec"]["hashedRekordV002"]
print("kind:                  ", json.loads(body)["kind"], json.loads(body)["apiVersion"])
print("digest is SHA-256(PAE):", base64.b64decode(record["data"]["digest"]) == hashlib.sha256(pae).digest())
print("the same signature:    ", base64.b64decode(record["signature"]["content"]) == signature)
proof = entry["inclusionProof"]
beside = [base64.b64decode(hash) for hash in proof["hashes"]]
print(f"entry {proof['logIndex']} of {proof['treeSize']}, with a proof of {len(beside)} hashes")

# %% [markdown]
# Seven entries: the instance's own root (week 1), five strangers, and ours, the last. (In a workspace with a past the
# numbers are higher.) Its proof is one hash shorter than you would expect of seven. We recompute all of it from the
# leaves that the log publishes, with primer D's dozen lines.

# %%
from urllib.request import urlopen

leaves, size = [], int(proof["treeSize"])
while (missing := size - len(leaves)) > 0:  # a tile of level 0: up to 256 leaves, 32 bytes each
    number, part = len(leaves) // 256, f".p/{missing}" if missing < 256 else ""
    tile = urlopen(f"{lab.trust.url}/api/v2/tile/0/{number:03}{part}").read()
    leaves += [tile[at : at + 32] for at in range(0, len(tile), 32)]


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes):
    k = 1 << (len(hashes) - 1).bit_length() - 1 if len(hashes) > 1 else 0
    return node(root(hashes[:k]), root(hashes[k:])) if k else hashes[0]

# %%
def path(hashes, index):
    """The hashes beside the way up, lowest first, each with its side."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if index < k:
        return [*path(hashes[:k], index), ("right", root(hashes[k:]))]
    return [*path(hashes[k:], index - k), ("left", root(hashes[:k]))]


steps = path(leaves, int(proof["logIndex"]))
print("our entry's hash is that leaf:  ", hashlib.sha256(b"\x00" + body).digest() == leaves[int(proof["logIndex"])])
print("the proof is the one we compute:", [hash for _, hash in steps] == beside, [side for side, _ in steps])
print("the root is the one we compute: ", root(leaves) == base64.b64decode(proof["rootHash"]))

# %% [markdown]
# Leaf 6 stands alone on the lowest level of seven: no hash there. It joins the pair 4–5 on its left, then the four
# 0–3. That is the case that trips those who copy the last leaf (exercise 4.2).
#
# The root itself is a claim. It counts because the log signed it, in a *checkpoint*:

# %%
note = proof["checkpoint"]["envelope"]
text, _, signed = note.partition("\n\n")
origin, tree_size, root_text = text.splitlines()
raw = base64.b64decode(signed.split()[2])  # "— name base64(4 bytes of key id + signature)"
trusted = json.loads(lab.trust.config.trusted_root._inner.to_json())
[log] = [log for log in trusted["tlogs"] if origin in log["baseUrl"]]
from cryptography.hazmat.primitives.serialization import load_der_public_key

load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"])).verify(raw[4:], f"{text}\n".encode())
print(origin, "signed size", tree_size, "| same root:", root_text == proof["rootHash"])

# %% [markdown]
# No exception: the Ed25519 signature holds, under a key from *our* trusted root. Note the chain of reasons: PAE →
# signature → entry → root → checkpoint → a key that we got another way.
#
# It shows: this signature was shown to this log. It does not show that the log shows the same to everybody; for that,
# somebody keeps checkpoints and compares (week 5).

# %% tags=["check"]
assert run.result == "success" and statement["subject"][0]["digest"]["sha256"] == notes.value.hex()
assert len(statement) == 4  # the text says four fields
assert pae.startswith(b"DSSEv1 28 application/vnd.in-toto+json ")  # the text says 28
certificate.public_key().verify(signature, pae, ec.ECDSA(hashes.SHA256()))
assert root(leaves) == base64.b64decode(proof["rootHash"]) and [hash for _, hash in steps] == beside
if size == 7:  # the text says seven, the last one, and two steps to the left
    assert proof["logIndex"] == "6" and [side for side, _ in steps] == ["left", "left"]

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
print("receipts of the CT log:", len(receipts))
print("name in it:", identity)
print("good for:  ", lifetime)

# %% [markdown]
# | | **CT log** | **transparency log** |
# |---|---|---|
# | holds | certificates | signatures: digest, signature, certificate |
# | answers | who got a certificate in our name? | what was signed in our name? |
# | in the bundle | a receipt inside the certificate, a *promise* | an inclusion proof and a checkpoint, a *fact* |
# | watched by | owners of identities | owners of identities, and of artifacts |
#
# And the certificate is good for ten minutes, so *when* matters: the timestamp is a third party's signature over ours,
# with a clock. The log states no time at all [V: rekor-tiles].
#
# ## Provenance, field by field
# The predicate has two halves: what was asked and used, and how it ran.

# %%
predicate = statement["predicate"]
definition, details = predicate["buildDefinition"], predicate["runDetails"]
used = definition["resolvedDependencies"]
rows = [
    ("buildType", definition["buildType"], "builder", "how to read the rest"),
    ("externalParameters", ", ".join(definition["externalParameters"]), "parameters", "whoever started the run"),
    ("internalParameters", ", ".join(definition["internalParameters"]), "-", "the platform"),
    ("resolvedDependencies", f"{len(used)}, each with a digest", "source", "the platform, as far as it saw"),
    ("builder.id", details["builder"]["id"], "builder", "the platform; decides the level"),
    ("metadata", ", ".join(details["metadata"]), "-", "the platform"),
]
print(json.dumps(definition["externalParameters"], indent=1))
print("used:", *(entry["uri"].removeprefix("git+https://").partition("/")[2].partition("@")[0] for entry in used), sep="\n  ")
pd.DataFrame(rows, columns=["field", "value", "asked by step", "comes from"]).set_index("field")

# %% [markdown]
# - **External parameters** are what somebody outside chose: which workflow, at which ref, with which inputs. They are
#   not to be trusted, so the consumer compares all of them. One that you do not know is a reason to refuse.
# - **resolvedDependencies**: first the source, by commit; then the actions, by commit; in a bigger build the packages
#   that the index served. Complete as far as the platform saw, and no further, even at the highest level [V: SLSA
#   v1.2].
# - **builder.id** stands for everything that nobody can check from outside: isolation, hosting, who holds the signing
#   key. Ours says `build-l1`, because on a laptop the user holds all keys. A consumer decides what a builder's word is
#   worth: a table from (signer, builder id) to a level.
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
from chainlab.ci.provenance import BUILD_TYPE, BUILDER, SIGNER
from chainlab.evidence.certificates import signer_of
from chainlab.evidence.verifying import Expected, Signer, verify

said = Statement.load(payload)
job = "acme/notes-model/.github/workflows/release.yml@refs/tags/v1.4.0"
claims = {"sub": "repo:acme/notes-model:ref:refs/tags/v1.4.0", "repository": "acme/notes-model", "job_workflow_ref": job}
by_workflow = signing.sign(said, lab.trust.config, lab.trust.token(claims=claims))
for who, text in {"platform": bundle, "workflow": by_workflow}.items():
    print(f"{who}: {signer_of(Bundle.from_json(text).signing_certificate)[0].partition('localhost/')[2]}")

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
# A consumer of provenance follows an order [V: SLSA v1.2, "Verifying artifacts"]. Each step rests on the one before;
# after a failure nothing is looked at, because what an unverified statement says is nobody's word.

# %%
GIT = "https://git.chainlab.localhost"
expected = Expected(
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
print(verdict)

# %% [markdown]
# Six ticks. What we *brought* matters more than what we found: the signer with its issuer, the builder, the source, the
# parameters, and the trusted root. None of it came with the artifact. Leave a field empty and the step says `–`, or names
# what was not asked, such as the build type; nobody else asks it for you.
#
# ## Break each step once
# Now we doctor the bundle. For the first two steps anybody can. For the other four a *validly signed* statement is
# needed that says something else; we play a platform that builds for others too.

# %%
import copy

from chainlab.ci import provenance


def other(change):
    """Provenance signed by the platform, in which something is different."""
    changed = copy.deepcopy(statement)
    change(changed, changed["predicate"]["buildDefinition"])
    return provenance.sign(Statement.load(json.dumps(changed).encode()), lab.trust)


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
    "from a fork": (other(from_fork), notes),
    "with an input": (other(lambda s, d: d["externalParameters"].update(inputs={"threshold": "0.95"})), notes),
    "a parameter more": (other(lambda s, d: d["externalParameters"].update(debug="on")), notes),
}

# %%
verdicts = {name: verify(text, digest, expected, trusted_root) for name, (text, digest) in doctored.items()}
for name, refused in verdicts.items():
    reason = re.sub(f"{GIT}/|https://|[.]github/workflows/|[.]chainlab[.]localhost", "", refused.failure.said)
    print(f"{name:25} {refused.failure.name:14} {reason.partition(' (issuer')[0]}")

# %% [markdown]
# Eight refusals, at six different steps. Read three of them closely.
#
# - *Signed by the workflow* fails at the *signature*: mathematically it holds, and it is somebody else's. A signature
#   without an expected signer is no check.
# - *A better builder, it says*: a statement may call its builder whatever it likes. Only pairs of signer and builder
#   that you know count.
# - *With an input* is the honest platform, the honest source, the honest workflow; and a build that was asked for
#   something else.

# %% tags=["check"]
assert len(used) == 3 and all(entry["digest"] for entry in used)  # source and two actions
assert details["builder"]["id"].endswith("build-l1") and str(lifetime) == "0:10:00"
assert verdict.passed and not any(refused.passed for refused in verdicts.values())
wanted = ["signature", "signature", "subject", "predicate type", "builder", "source", "parameters", "parameters"]
assert [refused.failure.name for refused in verdicts.values()] == wanted  # the text says six different steps

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
# no note is shown to a doctor. A tag, a release:

# %%
(folder / "pack.py").write_text("import json, sys\njson.dump({'threshold': 0.95}, open(sys.argv[1], 'w'))\n")
project.commit("Tidy up")
project.tag("v1.4.1")
bad_run = project.run("push", ref="refs/tags/v1.4.1")
bad = Digest.parse(bad_run.produced["notes.json"])
from dataclasses import replace

wanted = {**expected.parameters["workflow"], "ref": "refs/tags/v1.4.1"}
next_one = replace(expected, parameters={"workflow": wanted, "inputs": {}})
for step in verify(provenance_of(bad), bad, next_one, trusted_root).steps:
    print(step.result, step.name)

# %% [markdown]
# Six times *passed*, and rightly. Every sentence in it is true. It was built from that commit, by that workflow, on that
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
# Exercise 4.3 gives you such cases, with their evidence. And one more: nobody promises that evidence is *there*.
# Ultralytics' second wave used an old token and had no attestations [V: PyPI blog]. Who only verifies what is present
# accepts the bare file.

# %% tags=["check"]
assert verify(provenance_of(bad), bad, next_one, trusted_root).passed  # the text says six times passed
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
# **Exit question.** A vendor's gate checks signature, subject, predicate type and builder, and skips the last two steps
# "because the builder is trusted". Which of the eight doctored bundles does it accept, and what does its customer run
# then?
