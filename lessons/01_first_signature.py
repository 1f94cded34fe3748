# %% [markdown]
# # Week 1 · Five questions about one file
#
# > On 1 April 2021 a customer compared the checksum of Codecov's upload script with the published one. They differed.
# > The script had been altered since 31 January: sixty days. [V: Codecov post-mortem, April 2021]
#
# **You will** (65 min: 13 reading, 52 doing)
# - sign a model without owning a key, and open everything that the signature consists of
# - find in it the answers to five questions: which bytes, which identity, when, who else saw it, who accepts it
# - break each answer on purpose, and read the refusal
# - say what a valid signature leaves open
#
# **Before:** `01_threats`, primer `00b_keys`. **Next:** `01_measuring`. **Lab:** `labs/01_assessment.ipynb`, exercise 1.3

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
#
# **Predict.** How many malignant cases does the altered model find? Put your guess in place of `None`, run the cell and
# compare.

# %% tags=["predict"]
prediction = None  # a number, 0 to 212

flip = 0b0100_0000  # one bit of byte 882
altered = model[:882] + bytes([model[882] ^ flip]) + model[883:]
print(len(altered), "bytes")
lab.predicted(prediction, (predict(altered)[malignant] == 1).sum().item())

# %% tags=["check"]
assert len(altered) == len(model)
assert (predict(model)[malignant] == 1).sum() == 205  # the text says 205 of 212
assert (predict(altered)[malignant] == 1).sum() == 0  # the text says none

# %% [markdown]
# None. The file has the same size and name, it loads without a warning, and it calls every tumour benign. A test that
# only asks whether the model loads would pass.
#
# **Change it.** Set `flip = 0b0010_0000` and run the cell again. This altered model finds *more* cases. A check of
# quality lets it pass, too; it is still not the file that was released. (Then set it back.)
#
# So the first question is:
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
# should trust it. A real issuer would have sent you through its login page.
#
# Before you sign, look at who will talk to whom:

# %%
import matplotlib.pyplot as plt

from chainlab.dashboards import diagrams

plt.style.use("chainlab.dashboards.style")
fig, ax = diagrams.keyless(title="One signature, five services, and a verifier who asks none of them")

# %% [markdown]
# In words. You show the issuer who you are and get a token (1, 2). You make a key pair and send the token and the public
# half to the CA (3), which writes the certificate into a log of its own and gives it to you (4, 5). You sign. A timestamp
# authority says when (6, 7), a second log keeps the signature (8, 9). The private key never leaves your machine, and you
# throw it away. Whoever gets the file and the bundle later (10) needs none of the five services.
#
# Now the signature: three lines. `config` holds the addresses of your instance and the roots that you trust.

# %%
from sigstore.sign import SigningContext

with SigningContext.from_trust_config(lab.trust.config).signer(token) as signer:
    bundle = signer.sign_artifact(model)
print(bundle.to_json()[:61], "…")

# %% [markdown]
# In the few milliseconds of that cell the client made a key pair, sent the public half with the token to the
# certificate authority, got a certificate, signed, had the signature timestamped, wrote it into a log and threw
# the private key away. What is left is the *bundle*: one JSON document with everything that a verifier needs, except the
# roots that it trusts.
#
# **Predict.** Which of these will you find in it?

# %% tags=["predict"]
import base64
import json

from cryptography.hazmat.primitives.serialization import Encoding

prediction = {"the model": None, "its digest": None, "the root that vouches for it": None}  # True or False

document = json.loads(bundle.to_json())
material = document["verificationMaterial"]
for name, part in (material | {"messageSignature": document["messageSignature"]}).items():
    print(f"{name:28}", ", ".join(part) if isinstance(part, dict) else f"{len(part)} entry")
authority = lab.trust.config.trusted_root.get_fulcio_certs()[1].public_bytes(Encoding.DER)
looked_for = {"the model": model, "its digest": Digest.of(model).value, "the root that vouches for it": authority}
lab.predicted(prediction, {name: base64.b64encode(data).decode() in bundle.to_json()
                           for name, data in looked_for.items()})

# %% [markdown]
# Four parts: a certificate, timestamps, log entries, and the signature over the digest. The root is not among them: it
# must come to you by another way.

# %%
fig, ax = diagrams.bundle(title="Four of the five questions have their field in the bundle; the fifth is yours")

# %% [markdown]
# In words: the signature with the digest says *which bytes*, the certificate *which identity*, the timestamp *when*, the log
# entry *who else saw it*. *Who accepts it* is answered by your trusted root and your policy, outside. We open the parts one
# by one, the certificate first.

# %%
from cryptography import x509

certificate = bundle.signing_certificate
names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
print("subject:     ", certificate.subject.rfc4514_string() or "(empty)")
print("identity:    ", names.get_values_for_type(x509.RFC822Name))
print("valid for:   ", lifetime)
print("certified by:", certificate.issuer.rfc4514_string())
for extension in certificate.extensions:
    number = extension.oid.dotted_string
    if number.startswith("1.3.6.1.4.1.57264.1."):
        print(number, extension.value.value)

# %% [markdown]
# The subject is empty: the identity stands in the *subject alternative name* (SAN). The certificate lives ten minutes, so
# there is nothing to revoke next month. It also says who vouched for the identity. Fulcio, Sigstore's certificate
# authority, has its own extensions for that. An extension is named by a row of numbers, and all of Fulcio's begin with
# `1.3.6.1.4.1.57264.1`.
#
# `.1` is the issuer as raw bytes, kept for old clients. `.8` is the same in DER, the byte form of certificates, whose first
# two bytes say what follows and how long it is. Remember both halves: *alice@example.com* means nothing without *according to whom*. Another issuer may
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
# a key can set a clock. A third party has to say the time. It is called a *timestamp authority*, and its answer has the
# form of the standard RFC 3161: a digest and a time, signed.
#
# **Predict.** Of what does the authority sign the digest: of the model, of the certificate, or of the signature?

# %% tags=["predict"]
from rfc3161_client import decode_timestamp_response

prediction = None  # "the model", "the certificate" or "the signature"

stamps = material["timestampVerificationData"]["rfc3161Timestamps"]
stamp = decode_timestamp_response(base64.b64decode(stamps[0]["signedTimestamp"])).tst_info
signature = base64.b64decode(document["messageSignature"]["signature"])
parts = {"the model": model, "the certificate": base64.b64decode(material["certificate"]["rawBytes"]),
         "the signature": signature}
print("inside the ten minutes:", certificate.not_valid_before_utc <= stamp.gen_time <= certificate.not_valid_after_utc)
(stamped,) = (name for name, part in parts.items() if Digest.of(part).value == stamp.message_imprint.message)
lab.predicted(prediction, stamped)

# %% [markdown]
# The timestamp authority never saw the model. It signed the digest of the signature, together with its own clock.
#
# ## 4. Who else saw it?
# Suppose Alice's account is stolen for an hour. The thief gets a token, a certificate and a signature, all valid. Alice
# will not notice, unless every signature also leaves a trace in a place that the thief cannot clean: a *transparency
# log*. It only grows, anyone can read it, and any two readers can prove to each other that they see the same log.

# %%
entry = material["tlogEntries"][0]
logged = json.loads(base64.b64decode(entry["canonicalizedBody"]))
record = logged["spec"]["hashedRekordV002"]
print("entry number:", entry["logIndex"], "in a log of", entry["inclusionProof"]["treeSize"])
print("kind:        ", logged["kind"], logged["apiVersion"])
print("same digest: ", base64.b64decode(record["data"]["digest"]) == Digest.of(model).value)
print("same signature:", record["signature"]["content"] == document["messageSignature"]["signature"])

# %% [markdown]
# An entry of the kind *hashedrekord* (Rekor is the name of Sigstore's log) repeats digest, signature and certificate. It
# does not hold the model. Is it really in the log? The primer
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
# `1.3.6.1.4.1.11129.2.4.2`). The instance reports both steps as events, as you saw in `00_onramp`; week 5 builds
# monitoring on them.
#
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
# **Predict.** Seven changes follow, each alone. Write down what the client will say; you compare at the end.

# %%
prediction = {  # "accepted" or "refused"
    "the model, one bit": None,
    "bob is expected": None,
    "another issuer is expected": None,
    "another's timestamp": None,
    "another's log entry": None,
    "Mallory's instance, by our root": None,
    "Mallory's instance, by her root": None,
}

# %% [markdown]
# First the model that calls every tumour benign. Then everything is genuine, but we expect another signer, or another
# issuer.

# %%
bit = verdict(artifact=altered)
other_person = verdict(who=policy.Identity(identity="bob@example.com", issuer=lab.trust.issuer))
other_issuer = verdict(who=policy.Identity(identity="alice@example.com", issuer="https://example.com"))
print(bit, other_person, other_issuer, sep="\n")

# %% [markdown]
# **Which bytes?** The signature covers the digest of the file, so one bit is enough.
#
# **Which identity?** Two refusals, and the second is the one that people forget to ask for. The name is right, the issuer
# is not. A policy that names an identity and no issuer accepts the Alice of any issuer that the authority admits.
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
# Next we give her bundle the timestamp of *another* signature, and then that signature's log entry:

# %%
other = json.loads(by_job.to_json())["verificationMaterial"]
other_time = verdict(signed=edited(timestampVerificationData=other["timestampVerificationData"]))
other_entry = verdict(signed=edited(tlogEntries=other["tlogEntries"]))
print(other_time, other_entry, sep="\n")

# %% [markdown]
# "Not enough sources of verified time": one stamp was there, and it covers other bytes, so none verified. The message names
# the step that failed, not the cause.
#
# **Who else saw it?** That entry *is* in the log, with a perfect proof. It is the entry of another signature, and the
# client compares. A verifier that only checks the proof would have been fooled; this was a real flaw once
# (CVE-2022-36056, in cosign, another client).
#
# ### The last question is yours
# For the fifth we need no editing. Mallory starts an instance of her own, exactly like yours, and names herself Alice.

# %%
from chainlab.services import Server
from chainlab.trust.client import Trust

with Server(lab.path / "mallory"):
    mallory = Trust(lab.path / "mallory").config
    name = IdentityToken(Trust(lab.path / "mallory").token("alice@example.com"))
    with SigningContext.from_trust_config(mallory).signer(name) as signer:
        forged = signer.sign_artifact(altered)
ours = verdict(artifact=altered, signed=forged)
hers = verdict(artifact=altered, signed=forged, root=mallory.trusted_root)
print("by our root:  ", ours)
print("by Mallory's: ", hers)

# %% [markdown]
# **Who accepts it?** Same bytes, same bundle, two verdicts. Under her root everything holds: the certificate names
# Alice, the log shows the entry, the time fits. *Nothing is verified against a root that came with the artifact.* This
# is why you enrolled the fingerprint of your root in week 0, and why a colleague has to compare it by another way than
# the download.

# %%
import pandas as pd

pd.set_option("display.max_colwidth", None)
rows = [("which bytes", bit), ("which identity", other_person), ("which identity", other_issuer), ("when", other_time),
        ("who else saw it", other_entry), ("who accepts it", ours), ("who accepts it", hers)]
table = pd.DataFrame(rows, columns=["question", "the client says"], index=list(prediction))
table

# %% tags=["predict"]
lab.predicted(prediction, dict(table["the client says"].str.partition(":")[0]))

# %% tags=["check"]
assert list(table["the client says"].str.startswith("refused")) == [True] * 6 + [False]  # the text says six refusals
assert table["the client says"].iloc[:6].nunique() == 5  # … in five wordings
assert ours == other_time

# %% [markdown]
# Six refusals, five messages, and one acceptance: hers, by her own root. Our refusal of her bundle speaks of time, although
# its true reason is a foreign root. The client establishes the time first. An error message names the first wall that was
# hit, not the only one.
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
# **Next:** `01_measuring` asks how long a door was open. Then the lab, `labs/01_assessment.ipynb`: exercise 1.3 has you
# predict refusals *before* you run them.
