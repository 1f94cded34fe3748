# %% [markdown]
# # Primer C · A token is a postcard with a seal
#
# > Anyone can read it. Anyone can write one. Only the issuer can seal it, and the seal helps only those who look.
#
# **You will** (19 min: 7 reading, 12 doing)
# - take an identity token apart by hand, and name its five important claims
# - forge one that a client believes, and see who stops it
# - ask the four questions that a token must answer before any claim in it means anything
#
# **Before:** `00b_keys`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.3

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00c_tokens", seed=seed)

# %% [markdown]
# ## Three parts and two dots
# Primer B left a question open: how did the CA know that it was talking to alice? It was shown a token. Here is one,
# from the kit's identity provider, the *issuer*. (Real issuers ask for a password or a passkey first. Ours takes your
# word for it: it is a teaching issuer, and says so.)

# %%
token = lab.trust.token("alice@example.com")
parts = token.split(".")
print(len(parts), "parts, the first begins", parts[0][:4])

# %% [markdown]
# Each part is *base64url*: bytes written with letters, digits, `-` and `_`. That is a spelling, not a lock. No key is
# needed to read it.

# %%
import base64
import json


def read(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


header, claims = read(parts[0]), read(parts[1])
print("header:", {name: header[name] for name in ("alg", "typ")})
for name in ("iss", "sub", "aud", "email"):
    print(f"{name:>6}:", claims[name])
print("   exp: iat +", claims["exp"] - claims["iat"], "seconds")

# %% tags=["check"]
assert claims["aud"] == "sigstore" and claims["exp"] - claims["iat"] == 600  # the text says both

# %% [markdown]
# This is a JSON Web Token (JWT, RFC 7519). Its sentence reads: *the issuer (`iss`) says to sigstore (`aud`) that the
# bearer is alice (`sub`), until ten minutes after it was issued (`iat`, `exp`).* (`aud` may also be a list of names.)
# OpenID Connect (OIDC) is the set of rules by which such tokens are asked for and handed out.
#
# **Change it.** Ask for a token of another name: write `mallory@example.com` in the cell above that makes the token,
# and run the two cells again. Who was asked whether you are Mallory?
#
# You have just read it with no key at all. So two beliefs are gone at once: a token is **not encrypted**, and whoever
# reads it can use it until it expires. It is a *bearer* token: like cash, it belongs to whoever holds it.
#
# ## Forge one
# If anyone can read it, anyone can edit it. We change alice to bob and keep the old seal.

# %%
def spell(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


parts = lab.trust.token("alice@example.com").split(".")  # a fresh one: the first lives ten minutes
as_bob = {**read(parts[1]), "sub": "bob@example.com", "email": "bob@example.com"}
forged = ".".join([parts[0], spell(as_bob), parts[2]])
print(read(forged.split(".")[1])["sub"])

# %% [markdown]
# It reads perfectly well. Now give it to a real client, the one that people sign their packages with.
#
# **Predict.** For whom does the client take us? Put your guess in place of `None`, run the cell (Shift+Enter) and compare.

# %% tags=["predict"]
from sigstore.oidc import IdentityToken

prediction = None  # "alice@example.com", "bob@example.com" or "refused"

lab.predicted(prediction, IdentityToken(forged).identity)

# %% [markdown]
# The client believes that we are bob. **Is that a bug?** It will now ask the CA for a certificate.
#
# **Predict.** Does the CA issue one in bob's name?

# %% tags=["predict"]
from sigstore.sign import SigningContext

prediction = None  # "issued" or "refused"

context = SigningContext.from_trust_config(lab.trust.config)
try:
    with context.signer(IdentityToken(forged)) as signer:
        signer.sign_artifact(b"a model")
    refused = False
except Exception as error:  # the client wraps the CA's answer; the reason is inside
    refused = True
    print("the CA says:", error.__cause__.response.json()["message"])
lab.predicted(prediction, "refused" if refused else "issued")

# %% tags=["check"]
assert refused  # the text says that the CA refuses it

# %% [markdown]
# The CA refuses. It is no bug: the client is only the postman, and it is *you* who would be fooled by a forged token
# of yours. The one who **relies** on the token has to check the seal, and here that is the CA. When you meet a token
# in a design, ask at once: *who relies on it, and does that one check?*
#
# ## Check the seal yourself
# The issuer publishes its public keys. A *discovery document*, at a path that the standard fixes, says where
# (`jwks_uri`). Our issuer's address is only a name, so we ask the instance behind it.

# %%
from urllib.request import urlopen

import jwt

discovery = json.load(urlopen(f"{lab.trust.url}/oidc/.well-known/openid-configuration"))
print("published:", sorted({"issuer", "jwks_uri", "token_endpoint"} & set(discovery)))
token = lab.trust.token("alice@example.com")
key = jwt.PyJWKClient(discovery["jwks_uri"]).get_signing_key_from_jwt(token).key

# %%
def verdict(token, key, **rules):
    try:
        return "accepted: " + jwt.decode(token, key, algorithms=["ES256"], **rules)["sub"]
    except jwt.InvalidTokenError as error:
        return f"refused: {type(error).__name__}"


rules = {"audience": "sigstore", "issuer": lab.trust.issuer}
print("alice's:  ", verdict(token, key, **rules))
print("as bob:   ", verdict(forged, key, **rules))

# %% [markdown]
# The edited token fails, because the third part is a signature over the first two. That is question one of four.
#
# ## Four questions before a token means anything
# 1. **Signature**: did the issuer that I trust make it?
# 2. **Issuer**: is it the one that I expect for this purpose?
# 3. **Audience**: was it made for *me*?
# 4. **Time**: is it still good?
#
# To break them one by one we need tokens with a perfect signature, so now *we* play the issuer, with a key of our own.
# We are `sigstore` too, and have to decide on four tokens.

# %%
import time

from cryptography.hazmat.primitives.asymmetric import ec

our_key = ec.generate_private_key(ec.SECP256R1())
now = int(time.time())
good = {"iss": "https://issuer.example", "sub": "alice@example.com", "aud": "sigstore", "exp": now + 600}
ours = {"audience": "sigstore", "issuer": "https://issuer.example"}
variants = {
    "good": {},
    "for payments": {"aud": "payments"},
    "expired": {"exp": now - 3600},
    "look-alike issuer": {"iss": "https://issuer.example.attacker.example"},
}

# %% [markdown]
# **Predict.** Which of the four are accepted?

# %% tags=["predict"]
prediction = {"good": None, "for payments": None, "expired": None, "look-alike issuer": None}  # True or False

sealed = {name: jwt.encode({**good, **change}, our_key, algorithm="ES256") for name, change in variants.items()}
seen = {name: verdict(token, our_key.public_key(), **ours) for name, token in sealed.items()}
for name, said in seen.items():
    print(f"{name:>18}: {said}")
lab.predicted(prediction, {name: said.startswith("accepted") for name, said in seen.items()})

# %% tags=["check"]
assert [v.startswith("accepted") for v in seen.values()] == [True, False, False, False]  # the text says one

# %% [markdown]
# One accepted, three refused, and all four seals are genuine. The audience is the question that people forget. The
# token "for payments" really is from our issuer and really is about alice. If we took it, then whoever runs
# *payments* could keep the tokens that alice sends there and act as alice here. `aud` stops that, and nothing else
# does.
#
# ## The token that chooses its own lock
# The header says how the token is signed. Who wrote the header?
#
# **Predict.** We write one whose header says "no signature", and leave the third part empty. Our `verdict` names the
# algorithm that it wants. Does it accept?

# %% tags=["predict"]
prediction = None  # True or False

unsigned = spell({"alg": "none"}) + "." + spell({**good, "sub": "bob@example.com"}) + "."
said = verdict(unsigned, our_key.public_key(), **ours)
print("we name the algorithm:", said)
print("we look at no seal:   ", jwt.decode(unsigned, options={"verify_signature": False})["sub"])
lab.predicted(prediction, said.startswith("accepted"))

# %% [markdown]
# `alg: none` is a legal header that means "no signature". A verifier that lets the header choose has let the sender
# choose. Ours names `ES256` and refuses. The second line shows a real and common mistake: a call that only wanted to
# *look* at a token, in code that goes on to believe it.
#
# ## Machines get tokens, too
# A CI job has no password. Its platform knows which repository and which workflow file it runs, and will say so in a
# token. Our second issuer does the same, with GitHub's claim names.

# %%
job = lab.trust.token(claims={
    "sub": "repo:acme/triage-model:ref:refs/heads/main",
    "repository": "acme/triage-model",
    "ref": "refs/heads/main",
    "job_workflow_ref": "acme/triage-model/.github/workflows/release.yml@refs/heads/main",
})
for name in ("iss", "sub", "job_workflow_ref"):
    print(f"{name}:", read(job.split(".")[1])[name])

# %% [markdown]
# The subject is no person. It is *this workflow, in this repository, on this branch*, and that is what a policy can
# ask for. It needs no stored secret: nothing can leak from the settings page.
#
# It can still leak from memory. In May 2026 the attackers of TanStack ran code inside a genuine release job and read
# its OIDC token there. The packages that they published carried provenance that verified, because the token, the
# workflow and the repository were all real [CVE-2026-45321]. A token says *where* a request comes from. It cannot say
# that the place was clean.
#
# What is simplified: real issuers rotate their keys, verifiers allow for clocks that differ by a few seconds, and
# `nbf` ("not before") is a fifth question. Our issuer asks for no password.
#
# **You can now** take a token apart by hand and name `iss`, `sub`, `aud`, `iat` and `exp`; say who stops a forged one, and
# why it is not the client; and ask for signature, issuer, audience and time, in that order.
