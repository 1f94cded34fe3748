# %% [markdown]
# # Week 1 · Five questions about one file
#
# > On 1 April 2021 a customer compared the checksum of Codecov's upload script with the published one. They differed.
# > The script had been altered since 31 January: sixty days. [V: Codecov post-mortem, April 2021]
#
# **You will** (80 min: 11 reading, 69 doing)
# - sign a model without owning a key, and open everything that the signature consists of
# - find in it the answers to five questions: which bytes, which identity, when, who else saw it, who accepts it
# - break each answer on purpose, and read the refusal
# - say what a valid signature leaves open
#
# **Before:** `01_threats`. **Lab:** `labs/01_assessment.ipynb`

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("01_first_signature", seed=seed)
lab

# %% [markdown]
# Behind `lab` runs a small Sigstore instance of your own, on this machine alone: an identity issuer, a certificate
# authority, two logs and a timestamp authority. The client in this lesson is the ordinary `sigstore` package from
# PyPI. It does not know that the instance is private.
#
# ## A model that works, and one bit
# `triage.onnx` sorts 569 tumour measurements into benign (0) and malignant (1). It is teaching material from one
# centre. Nothing below says that it is fit for a clinic.

# %%
import numpy as np
import onnxruntime as ort
from sklearn.datasets import load_breast_cancer

measurements, target = load_breast_cancer(return_X_y=True)
malignant = target == 0  # scikit-learn counts the other way round


def predict(model: bytes) -> np.ndarray:
    """One label per case: 1 is malignant."""
    return ort.InferenceSession(model).run(["label"], {"X": measurements.astype("float32")})[0]


model = lab.copy("models/triage.onnx").read_bytes()
print(f"{len(model)} bytes; {(predict(model)[malignant] == 1).sum()} of {malignant.sum()} malignant cases found")

# %% [markdown]
# 205 of 212. (70 % of the cases trained it, so this is no measure of quality.) Now somebody changes a single bit on the way
# from the build to you. We pick the exponent of one number.

# %%
altered = bytearray(model)
altered[882] ^= 0b0100_0000
altered = bytes(altered)
print(f"{len(altered)} bytes; {(predict(altered)[malignant] == 1).sum()} of {malignant.sum()} malignant cases found")

# %% tags=["check"]
assert len(altered) == len(model)
assert (predict(model)[malignant] == 1).sum() == 205  # the text says 205 of 212
assert (predict(altered)[malignant] == 1).sum() == 0  # the text says none

# %% [markdown]
# None. The file has the same size and name, it loads without a warning, and it calls every tumour benign. A test that
# only asks whether the model loads would pass. So the first question is:
#
# ## 1. Which bytes?

# %%
from chainlab.digests import Digest

print("released:", Digest.of(model))
print("received:", Digest.of(altered))

# %% [markdown]
# A digest settles it: other bytes, other digest. That is what the customer of Codecov compared. But the digest has to
# come from somewhere. Whoever can replace the model on a server can usually replace the `SHA256SUMS` beside it. A
# digest says *which* bytes. It does not say *whose*.
#
# ## 2. Which identity?
# You could sign with a private key. Then you have a file to guard for years, and everybody needs to learn which public
# key is yours. Sigstore turns it round: the key lives for one signature, and what lasts is the statement *this key was
# held by this identity at this time*. The identity comes as a token, from an issuer that you logged in to.

# %%
from sigstore.oidc import IdentityToken

token = IdentityToken(lab.trust.token("alice@example.com"))
print("identity:", token.identity)
print("issuer:  ", token.issuer)

# %% [markdown]
# No password was asked. Whoever has the state of this instance can be anyone, which is why nothing outside this machine
# should trust it. A real issuer would have sent you through its login page. Now the signature:
# three lines. `config` holds the addresses of your instance and the roots that you trust.

# %%
from sigstore.sign import SigningContext

with SigningContext.from_trust_config(lab.trust.config).signer(token) as signer:
    bundle = signer.sign_artifact(model)
print(bundle.to_json()[:61], "…")

# %% [markdown]
# In the few milliseconds of that cell the client made a key pair, sent the public half with the token to the
# certificate authority, got a certificate, signed, had the signature timestamped, wrote it into a log and threw
# the private key away. What is left is the *bundle*: one JSON document with everything that a verifier needs.

# %%
import json

document = json.loads(bundle.to_json())
for name, part in (document["verificationMaterial"] | {"messageSignature": document["messageSignature"]}).items():
    print(f"{name:28}", ", ".join(part) if isinstance(part, dict) else f"{len(part)} entry")

# %% [markdown]
# Four parts: a certificate, timestamps, log entries, and the signature over the digest. We open them one by one.
#
# ### The certificate

# %%
from cryptography import x509

certificate = bundle.signing_certificate
names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
print("subject:     ", certificate.subject.rfc4514_string() or "(empty)")
print("identity:    ", names.get_values_for_type(x509.RFC822Name))
print("valid for:   ", lifetime)
print("certified by:", certificate.issuer.rfc4514_string())

# %% [markdown]
# The subject is empty: the identity stands in the *subject alternative name*. The certificate lives ten minutes, so
# there is nothing to revoke next month. It also says who vouched for the identity. Fulcio, Sigstore's certificate
# authority, has its own extensions for that, numbered below `1.3.6.1.4.1.57264.1`.

# %%
for extension in certificate.extensions:
    number = extension.oid.dotted_string
    if number.startswith("1.3.6.1.4.1.57264.1."):
        print(number, extension.value.value)

# %% [markdown]
# `.1` is the issuer as raw bytes, kept for old clients. `.8` is the same as a DER string: its first two bytes are a tag
# and a length. Remember both halves: *alice@example.com* means nothing without *according to whom*. Another issuer may
# have another Alice.
#
# A certificate of a CI job carries more: repository, ref, workflow, run. Here is one, for a job that we make up.

# %%
repository, path = "acme/triage-model", ".github/workflows/release.yml"
claims = {
    "sub": f"repo:{repository}:ref:refs/tags/v1.0.0",
    "repository": repository,
    "ref": "refs/tags/v1.0.0",
    "job_workflow_ref": f"{repository}/{path}@refs/tags/v1.0.0",
}
job = IdentityToken(lab.trust.token(claims=claims))
with SigningContext.from_trust_config(lab.trust.config).signer(job) as signer:
    by_job = signer.sign_artifact(model)
alternative = by_job.signing_certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
print("\n@".join(alternative.value.get_values_for_type(x509.UniformResourceIdentifier)[0].split("@")))

# %% [markdown]
# The identity is now a *workflow file at a ref*, not a person. From week 2 on this is how the pipeline signs.
#
# ## 3. When?
# The certificate ended ten minutes after it began, and you may verify in a year. So a verifier does not ask "is the
# certificate valid now?" but "was it valid when this was signed?". The signer's own clock is no answer: whoever steals
# a key can set a clock. A third party has to say the time.

# %%
import base64

from rfc3161_client import decode_timestamp_response

stamps = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
stamp = decode_timestamp_response(base64.b64decode(stamps[0]["signedTimestamp"])).tst_info
signature = base64.b64decode(document["messageSignature"]["signature"])
print("what was stamped is the signature:", stamp.message_imprint.message == Digest.of(signature).value)
print("inside the ten minutes:", certificate.not_valid_before_utc <= stamp.gen_time <= certificate.not_valid_after_utc)

# %% [markdown]
# The timestamp authority never saw the model. It signed the digest of the signature, together with its own clock.
#
# ## 4. Who else saw it?
# Suppose Alice's account is stolen for an hour. The thief gets a token, a certificate and a signature, all valid. Alice
# will not notice, unless every signature also leaves a trace in a place that the thief cannot clean: a *transparency
# log*. It only grows, anyone can read it, and any two readers can prove to each other that they see the same log.

# %%
entry = document["verificationMaterial"]["tlogEntries"][0]
logged = json.loads(base64.b64decode(entry["canonicalizedBody"]))
record = logged["spec"]["hashedRekordV002"]
print("entry number:", entry["logIndex"], "in a log of", entry["inclusionProof"]["treeSize"])
print("kind:        ", logged["kind"], logged["apiVersion"])
print("same digest: ", base64.b64decode(record["data"]["digest"]) == Digest.of(model).value)
print("same signature:", record["signature"]["content"] == document["messageSignature"]["signature"])

# %% [markdown]
# The entry repeats digest, signature and certificate. It does not hold the model. Is it really in the log? The primer
# `00d_merkle` built the tree. Here we check the proof in the bundle with the same rule.

# %%
from chainlab.trust.merkle import leaf_hash, verify_inclusion

proof = entry["inclusionProof"]
included = verify_inclusion(
    leaf_hash(base64.b64decode(entry["canonicalizedBody"])), int(proof["logIndex"]), int(proof["treeSize"]),
    [base64.b64decode(node) for node in proof["hashes"]], base64.b64decode(proof["rootHash"]),
)
origin, size, root = proof["checkpoint"]["envelope"].splitlines()[:3]
print("the entry is under the root: ", included)
print("the checkpoint has that root:", root == proof["rootHash"], f"({origin}, size {size})")

# %% [markdown]
# We compared the root with the one in the *checkpoint*, a short note that the log signs. (The client also verifies the
# note's signature. We left that to it.) The log began with an entry for
# this instance's own root, so even the first signature's proof has a step; each time the log doubles, one more.
#
# There is a second log in the picture, and they are easily confused:
#
# | | what goes in | who needs it |
# |---|---|---|
# | **CT log** | every *certificate*, before it is issued | whoever owns an identity and asks: who got a certificate in my name? |
# | **transparency log** | every *signature* | whoever owns an identity, or an artifact: what was signed in my name? |
#
# The CT log's promise is inside the certificate (a *signed certificate timestamp*, SCT: extension
# `1.3.6.1.4.1.11129.2.4.2`). The instance reports both steps as events; week 5 builds monitoring on them:

# %%
for event in lab.events()[-4:-2]:  # Alice's; the last two are the job's
    print(event.type, "·", event.subject[:24])

# %% [markdown]
# ## 5. Who accepts it?
# So far we only looked. Looking is not verifying: nothing failed because nothing could. A verifier needs two things
# that are *not* in the bundle: roots that it trusts, and the identity that it expects.

# %%
from sigstore.errors import Error
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy

expected = policy.Identity(identity="alice@example.com", issuer=lab.trust.issuer)


def verdict(artifact=model, signed=bundle, root=lab.trust.config.trusted_root, who=expected) -> str:
    """What the client says: accepted, or the first line of its refusal."""
    try:
        Verifier(trusted_root=root).verify_artifact(artifact, signed, who)
    except Error as error:
        return "refused: " + str(error).splitlines()[0]
    return "accepted"


print(verdict())

# %% [markdown]
# Accepted: these bytes, signed by this identity of this issuer, at a time inside the certificate, seen by a log, all
# under roots that we trust. Drop any of the five and the sentence is worth less. We take them away one at a time.
#
# ## Break it, five ways
# First the model that calls every tumour benign.

# %%
print(verdict(artifact=altered))

# %% [markdown]
# **Which bytes?** The signature covers the digest of the file, so one bit is enough. Next: everything is genuine, but
# signed by somebody else than you expect.

# %%
print(verdict(who=policy.Identity(identity="release-manager@example.com", issuer=lab.trust.issuer)))
print(verdict(who=policy.Identity(identity="alice@example.com", issuer="https://example.com")))

# %% [markdown]
# **Which identity?** Two refusals, and the second is the one that people forget to ask for. The name is right,
# the issuer is not. A policy that names an identity and no issuer accepts
# the Alice of any issuer that the authority admits.
#
# For the third we edit the bundle: the timestamps go.

# %%
def edited(**parts) -> Bundle:
    """The bundle with parts of its verification material replaced; None takes a part away."""
    copy = json.loads(bundle.to_json())
    copy["verificationMaterial"] |= parts
    copy["verificationMaterial"] = {k: v for k, v in copy["verificationMaterial"].items() if v is not None}
    return Bundle.from_json(json.dumps(copy))


try:
    print(verdict(signed=edited(timestampVerificationData=None)))
except Error as error:
    print("refused while reading:", error)

# %% [markdown]
# **When?** The client does not even finish reading: a certificate of ten minutes without a trusted time proves nothing.
# A timestamp of *another* signature does not help either, because it covers other bytes:

# %%
other = json.loads(by_job.to_json())["verificationMaterial"]
other_time = edited(timestampVerificationData=other["timestampVerificationData"])
print(verdict(signed=other_time))

# %% [markdown]
# "Not enough sources of verified time": one stamp was there, none verified. Read the message again in that light. It
# names the step that failed, not the cause. Now the log entry of the other signature:

# %%
other_entry = edited(tlogEntries=other["tlogEntries"])
print(verdict(signed=other_entry))

# %% [markdown]
# **Who else saw it?** That entry *is* in the log, with a perfect proof. It is the entry of another signature, and the
# client compares. A verifier that only checks the proof would have been fooled; this was a real flaw once
# (CVE-2022-36056, in cosign, another client).
#
# ### The last question is yours
# For the fifth we need no editing. Mallory starts an instance of her own, exactly like yours, and names herself Alice.

# %%
from chainlab.services import serve
from chainlab.trust.client import Trust

with serve(lab.path / "mallory"):
    mallory = Trust(lab.path / "mallory").config
    name = IdentityToken(Trust(lab.path / "mallory").token("alice@example.com"))
    with SigningContext.from_trust_config(mallory).signer(name) as signer:
        forged = signer.sign_artifact(altered)
print("by our root:  ", verdict(artifact=altered, signed=forged))
print("by Mallory's: ", verdict(artifact=altered, signed=forged, root=mallory.trusted_root))

# %% [markdown]
# **Who accepts it?** Same bytes, same bundle, two verdicts. Under her root everything holds: the certificate names
# Alice, the log shows the entry, the time fits. *Nothing is verified against a root that came with the artifact.* This
# is why you enrolled the fingerprint of your root in week 0, and why a colleague has to compare it by another way than
# the download.

# %%
import pandas as pd

bob = policy.Identity(identity="bob@example.com", issuer=lab.trust.issuer)
rows = [
    ("the model, one bit", "which bytes", verdict(artifact=altered)),
    ("the expected identity", "which identity", verdict(who=bob)),
    ("another's timestamp", "when", verdict(signed=other_time)),
    ("another's log entry", "who else saw it", verdict(signed=other_entry)),
    ("the root", "who accepts it", verdict(artifact=altered, signed=forged)),
]
pd.set_option("display.max_colwidth", None)
table = pd.DataFrame(rows, columns=["changed", "question", "the client says"]).set_index("changed")
table

# %% tags=["check"]
assert table["the client says"].str.startswith("refused").all()  # the text says five refusals
assert table.loc["the root", "the client says"] == table.loc["another's timestamp", "the client says"]

# %% [markdown]
# Five changes, five refusals, four messages. The last speaks of time, although its true reason is a foreign root: time
# is simply what the client establishes first. Error messages name the first wall, not the only one.
#
# ## What it does not say
# Alice signs the altered model. Perhaps she was tricked, perhaps her build was.

# %%
fresh = IdentityToken(lab.trust.token("alice@example.com"))  # a token lives ten minutes
with SigningContext.from_trust_config(lab.trust.config).signer(fresh) as signer:
    honest_signature = signer.sign_artifact(altered)
print(verdict(artifact=altered, signed=honest_signature))

# %% [markdown]
# Accepted, and rightly: it answers the five questions and no sixth. A signature does not say that a model is good, that
# it came out of the build that you think of, or that its signer was in their right mind. In May 2026 84 versions of 42
# packages were published with valid provenance; the attacker had poisoned a cache that the build used. [V: TanStack
# post-mortem] What was *built from what* is the business of provenance (week 4). What the model does is the business of
# tests.
#
# Simplified here: our issuer asks for no password, one process plays five services that should be five organisations,
# and nobody watches the log yet. `docs/architecture.md` lists the rest.
#
# **You can now**
# - sign a file without owning a key, and name what happens in those milliseconds
# - point to the field of a bundle that answers each of the five questions
# - read a refusal as the first step that failed, which need not be the cause
# - say what a valid signature leaves open: goodness, origin of the build, and the signer's judgement
#
# Next, the lab: `labs/01_assessment.ipynb`. Exercise 1.3 asks you to predict refusals *before* you run them.
