# %% [markdown]
# # Primer B · A key is not a person
#
# > A signature answers two questions: which key, and which bytes. Every other answer has to come from elsewhere.
#
# **You will** (19 min: 7 reading, 12 doing)
# - see what a hash, a signature and a certificate each prove, by breaking each of them
# - read a real signing certificate, field by field
# - tell a genuine certificate from a look-alike, and say which check found it
#
# **Before:** `00_onramp`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.2

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00b_keys", seed=seed)

# %% [markdown]
# ## A hash names bytes
# SHA-256 turns any bytes into 32 bytes, the *digest*. We change one bit of a file and look again.
#
# **Predict.** Written in hex, each digest has 64 digits. In how many places will the two digests agree? Put your number in
# place of `None`, run the cell (Shift+Enter) and compare.

# %% tags=["predict"]
import hashlib

prediction = None  # 0 to 64

model = b"weights: 0.5 1.25 -3.0"
flipped = bytes([model[0] ^ 1]) + model[1:]
for data in (model, flipped):
    print(hashlib.sha256(data).hexdigest()[:32], "…", data[:8])
pairs = zip(hashlib.sha256(model).hexdigest(), hashlib.sha256(flipped).hexdigest(), strict=True)
lab.predicted(prediction, sum(one == other for one, other in pairs))

# %% [markdown]
# A handful, as many as chance gives: one place in sixteen. One bit in, another name out. Nobody knows how to find two inputs with the same SHA-256, so
# the digest stands for the bytes. That is all it does. Here is the belief to lose first: *"the checksum on the
# download page matches, so the file is theirs."*

# %%
page = {"file": model, "sha256": hashlib.sha256(model).hexdigest()}
evil = b"weights: 9.9 9.9 9.9"
page = {"file": evil, "sha256": hashlib.sha256(evil).hexdigest()}  # whoever can change one can change both
print("checksum matches:", hashlib.sha256(page["file"]).hexdigest() == page["sha256"])

# %% [markdown]
# It matches, and the file is the attacker's. A digest needs no key, so anyone can compute one. It is worth as much as
# the place from which you got it.
#
# ## A signature ties bytes to a key
# A key pair has a private half, which signs, and a public half, which checks.

# %%
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = ec.ECDSA(hashes.SHA256())


def holds(public_key, signature, data):
    try:
        public_key.verify(signature, data, ALGORITHM)
    except InvalidSignature:
        return False
    return True


# %%
key = ec.generate_private_key(ec.SECP256R1())
signature = key.sign(model, ALGORITHM)
print("the model:      ", holds(key.public_key(), signature, model))
print("one bit changed:", holds(key.public_key(), signature, flipped))

# %% [markdown]
# The signature holds for these bytes and this key, and for nothing else. Unlike a digest, it could not have been made
# by someone who has only the file and the public key.
#
# Now, who signed? Look for a name. A stranger makes a key, calls the variable `alice_key`, and signs.
#
# **Predict.** Will the check accept the evil model as signed by "alice"?

# %% tags=["predict"]
prediction = None  # True or False

alice_key = ec.generate_private_key(ec.SECP256R1())  # made by a stranger, who likes this variable name
stranger = alice_key.sign(evil, ALGORITHM)
lab.predicted(prediction, holds(alice_key.public_key(), stranger, evil))

# %% tags=["check"]
assert holds(alice_key.public_key(), stranger, evil)  # the text says the mathematics is satisfied

# %% [markdown]
# The mathematics is satisfied. A public key that arrives *beside* a signature proves that the two belong together, and
# a stranger can arrange that in a millisecond. **Key ≠ identity.** Something must say whose key this is, and you must
# have a reason to believe it.
#
# ## A certificate is a signed sentence about a key
# The sentence is: "this public key belongs to this name, from then until then". The one who says it is a *certificate
# authority* (CA), and the CA signs the sentence with its own key. We ask the kit's CA for one, through the same client
# that you will use all course long, by signing our model as alice.

# %%
import datetime as dt

from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

context = SigningContext.from_trust_config(lab.trust.config)
with context.signer(IdentityToken(lab.trust.token("alice@example.com"))) as signer:
    bundle = signer.sign_artifact(model)
signed_at = dt.datetime.now(dt.UTC)
certificate = bundle.signing_certificate

# %%
from cryptography import x509

san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
print("subject: ", certificate.subject.rfc4514_string() or "(empty)")
print("name:    ", san.get_values_for_type(x509.RFC822Name))
print("may be used for:", [purpose._name for purpose in usage])
print("key:     ", certificate.public_key().curve.name)
lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
print("lifetime:", lifetime)

# %% [markdown]
# A real X.509 certificate, the same format that web sites use. Three things are unusual. The subject is empty, and the
# name stands in the *subject alternative name*. The key may sign code and do nothing else. And the whole thing lives
# for ten minutes: the client made a key, used it once and threw it away. There is no private key to lose.
#
# What you have *not* seen yet is a reason to believe a word of it.
#
# ## Three questions, three checks
# 1. Did the key **in** the certificate sign **these bytes**?
# 2. Did an authority that **I already trust** sign the certificate?
# 3. Was the certificate valid **when** the signature was made?
#
# The trusted authority's certificates must not come from the sender. Ours come from the kit's trusted root
# (Sigstore's authority is called *Fulcio*).

# %%
import base64
import json

intermediate, root = lab.trust.config.trusted_root.get_fulcio_certs()
raw = base64.b64decode(json.loads(bundle.to_json())["messageSignature"]["signature"])


def issued_by(certificate, authority):
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):  # not its signature, or not even its name
        return False
    return True


print("1. these bytes: ", holds(certificate.public_key(), raw, model))
print("2. the authority:", issued_by(certificate, intermediate), "and", issued_by(intermediate, root))

# %% [markdown]
# Both hold. The second line has two steps because a real CA keeps its root key locked away: the root signed
# an *intermediate*, and the intermediate does the daily work. Link by link, that is a *chain*.
#
# ## A forged look-alike
# Mallory has no access to the CA. She can still read its certificates, and copy every name in them.

# %%
def imitate(original, issuer_key, public_key):
    """A certificate that reads like ``original``, for another key, signed by ``issuer_key``."""
    copy = x509.CertificateBuilder(
        original.issuer, original.subject, public_key, original.serial_number,
        original.not_valid_before_utc, original.not_valid_after_utc,
    )
    for extension in original.extensions:
        copy = copy.add_extension(extension.value, extension.critical)
    return copy.sign(issuer_key, hashes.SHA256())


mallory_ca, mallory_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
forged = imitate(certificate, mallory_ca, mallory_key.public_key())

# %% [markdown]
# She signs the evil model with her own key and lays the copied certificate beside it.
#
# **Predict.** Which of the three checks does her forgery pass?

# %% tags=["predict"]
prediction = {"1. these bytes": None, "2. the authority": None, "3. when": None}  # True or False

evil_signature = mallory_key.sign(evil, ALGORITHM)
same = ("issuer", "subject", "serial_number", "not_valid_before_utc", "not_valid_after_utc")
print("fields that read the same:", all(getattr(forged, f) == getattr(certificate, f) for f in same))
lab.predicted(prediction, {
    "1. these bytes": holds(forged.public_key(), evil_signature, evil),
    "2. the authority": issued_by(forged, intermediate),
    "3. when": forged.not_valid_before_utc <= signed_at <= forged.not_valid_after_utc,
})

# %% tags=["check"]
assert issued_by(certificate, intermediate) and not issued_by(forged, intermediate)  # the text says only 2 tells

# %% [markdown]
# The names, the dates, the serial number, even every extension read the same. The signature fits the certificate.
# Only the second check says no, because it is the only one that uses something Mallory could not copy: the CA's
# private key. **Names inside a certificate are claims until the issuer's signature is checked.** A script that
# compares the text `issuer=…` has checked nothing.
#
# ## And who vouches for the root?
# A root certificate is signed by itself. So is Mallory's.
#
# **Predict.** We check each root with itself. Which of them holds?

# %% tags=["predict"]
prediction = {"the kit's root": None, "Mallory's root": None}  # True or False

mallory_root = imitate(root, mallory_ca, mallory_ca.public_key())
lab.predicted(prediction, {"the kit's root": issued_by(root, root),
                           "Mallory's root": issued_by(mallory_root, mallory_root)})

# %% tags=["check"]
assert issued_by(root, root) and issued_by(mallory_root, mallory_root)  # the text says both hold

# %% [markdown]
# Both hold, so the check means nothing. Somewhere the chain ends in a decision: *this* root, because I got it in a
# way that I have reason to believe. **Identity ≠ trust**: a perfect chain to a root that nobody chose is worth
# nothing. That is why week 0 enrols your root's fingerprint, and why no later lesson accepts a root that travels
# beside the thing it should vouch for.
#
# ## Ten minutes, and then?
# *"The certificate has expired, so the signature is invalid."* Let us ask the third question at two moments.

# %%
later = dt.timedelta(days=1)


def valid_at(moment):
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


print("valid when it signed:", valid_at(signed_at))
print("valid later:         ", valid_at(signed_at + later))

# %% tags=["check"]
assert valid_at(signed_at) and not valid_at(signed_at + dt.timedelta(days=1))  # the text says so
assert lifetime.total_seconds() == 600  # the text says ten minutes

# %% [markdown]
# **Change it.** How much later is too late? Set `later` to other spans, such as `dt.timedelta(minutes=9)`, and run
# the cell again until the answer turns.
#
# Tomorrow the certificate is long over, and the signature is as good as today. A notary's stamp stays good when the
# notary retires. But it follows that a verifier must *know* when the signature was made, and the signer's word will
# not do: whoever finds an old key would simply write an old date. So Sigstore takes the time from a third party, a
# timestamp authority or the log. You will see both in week 1.
#
# What is simplified here: real verifiers also check what an authority's certificate may be used for, how long a chain
# may be, and that the certificate was written to a public log. `sigstore verify` does all of it; write your own chain
# check only to learn.
#
# **You can now** say what a hash proves (which bytes), a signature (which key), a certificate (whose key, says whom)
# and a trusted root (why I believe that); read a real certificate; and name the one check that a look-alike fails.
