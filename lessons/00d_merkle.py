# %% [markdown]
# # Primer D · Thirty-two bytes that remember a million
#
# > You need not trust a log keeper who cannot change the past without changing 32 bytes that you kept.
#
# **You will** (20 min: 7 reading, 13 doing)
# - draw a Merkle tree on paper, for a number of entries that is not a power of two
# - write one in a dozen lines, and see two tempting simplifications break
# - prove "my entry is in the log" and "the log has only grown", and say why the first does not give you the second
# - compute the root of the kit's own transparency log
#
# **Before:** `00b_keys`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.4

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00d_merkle", seed=seed)

# %% [markdown]
# ## On paper first
# Take a sheet. Write four entries in a row: a, b, c, d. Hash each one. Hash each pair of hashes, then the pair of those:
# ```
#             root
#           /      \
#         ab        cd
#        /  \      /  \
#       a    b    c    d
# ```
# Each line upwards is one SHA-256. Change one letter of c, and c's hash changes, so `cd` changes, so the root changes.
# The root, 32 bytes, stands for the whole row *in this order*.
#
# Now add e. Where does it go? Keep that question; first, the two bricks. RFC 6962, the standard of public certificate
# logs, lays them so (§2.1):

# %%
import hashlib


def leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


a, b, c, d = (leaf(entry) for entry in (b"a", b"b", b"c", b"d"))
print(node(node(a, b), node(c, d)).hex()[:16])

# %% [markdown]
# Those are the first digits of the root that you would have drawn.
#
# **Change it.** Swap `a` and `b` in the last line and run the cell again. Same entries, another order: same root?
# Then put them back.
#
# Why the bytes `00` and `01` in front? They look like decoration. Leave them out: one log has the entries a and b. Another
# has a single strange entry of 64 bytes, the hash of a followed by the hash of b.
#
# **Predict.** Do the two logs have the same root, without the prefixes and with them? Put your guesses in place of `None`,
# run the cell and compare.

# %% tags=["predict"]
prediction = {"without prefixes": None, "with prefixes": None}  # True (the same) or False


def bare(data):
    return hashlib.sha256(data).digest()


strange, prefixed = bare(b"a") + bare(b"b"), leaf(b"a") + leaf(b"b")
lab.predicted(prediction, {
    "without prefixes": bare(bare(b"a") + bare(b"b")) == bare(strange),
    "with prefixes": node(leaf(b"a"), leaf(b"b")) == leaf(prefixed),
})

# %% [markdown]
# Without prefixes, both logs have the same root. Someone could "prove" that
# an entry is in the log that nobody ever put there. One byte says "I am a leaf" or "I am a node", and the two can no
# longer be mistaken for each other.
#
# ## Odd sizes
# Five entries, or three. A tempting rule says: if one is left over, pair it with a copy of itself.
#
# **Predict.** Under this rule, do the logs `a b c` and `a b c c` have the same root?

# %% tags=["predict"]
prediction = None  # True or False


def copying(hashes):
    while len(hashes) > 1:
        hashes = hashes + hashes[-1:] if len(hashes) % 2 else hashes
        hashes = [node(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


lab.predicted(prediction, copying([a, b, c]) == copying([a, b, c, c]))

# %% tags=["check"]
assert copying([a, b, c]) == copying([a, b, c, c])  # the text says that the rule breaks

# %% [markdown]
# Two different lists, one root: the rule is broken. RFC 6962 has another. **Split at the largest power of two that is
# smaller than the size.** The left part is then always complete; the right part is whatever is left over, treated the
# same way. Seven entries split into four and three, and the three into two and one:
# ```
#                 root
#               /      \
#           abcd        efg
#          /    \      /   \
#        ab      cd   ef    g        ← g is not copied: it waits, and joins higher up
#       / \     / \   / \
#      a   b   c   d e   f
# ```
# That sentence is the whole algorithm.
#
# **Predict.** How many entries go to the left when the log has 5, 8 and 11 of them?

# %% tags=["predict"]
prediction = {5: None, 8: None, 11: None}  # entries on the left


def split(size):
    return 1 << (size - 1).bit_length() - 1


def root(hashes):
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return node(root(hashes[:k]), root(hashes[k:]))


lab.predicted(prediction, {size: split(size) for size in prediction})

# %% tags=["check"]
assert root([a, b, c]) != root([a, b, c, c])  # the text says that this rule holds

# %% [markdown]
# That is where e goes: five split into four and one, so e stands alone and joins `abcd` at the top. Eight split into four
# and four: *smaller than* the size. And the list with a copy now has a root of its own.
#
# ## "My entry is in there"
# Your entry is c, among seven. The log sends the root, but you don't want all seven entries. What is the least that you
# need? Follow c upwards in the drawing: you need d, then ab, then efg. Three hashes, and you can do the rest.

# %%
def path(hashes, index):
    """The hashes beside the way up, lowest first, each with its side."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return [*path(hashes[:k], index), ("right", root(hashes[k:]))]
    return [*path(hashes[k:], index - k), ("left", root(hashes[:k]))]


def climb(start, steps):
    for side, beside in steps:
        start = node(start, beside) if side == "right" else node(beside, start)
    return start


# %%
seven = [leaf(bytes([letter])) for letter in b"abcdefg"]
proof = path(seven, 2)
print("steps:", [side for side, _ in proof])
print("c leads to the root:", climb(seven[2], proof) == root(seven))
print("x leads to the root:", climb(leaf(b"x"), proof) == root(seven))

# %%
import matplotlib.pyplot as plt

from chainlab.dashboards import diagrams

plt.style.use("chainlab.dashboards.style")
fig, ax = diagrams.audit_path(7, 2, title="One hash beside each step: c needs three (d, ab, efg)")

# %% [markdown]
# The figure counts from 0, so c is entry 2. Filled: its way to the root. Ringed: the three hashes that somebody must give
# you, 3 (that is d), 0–1 (ab) and 4–6 (efg). Everything else you compute or never see.
#
# **Predict.** How many hashes does the *last* entry, g, need? And one in a log of a million entries, at most?

# %% tags=["predict"]
prediction = {"g, the last of seven": None, "one of a million": None}  # hashes

lab.predicted(prediction, {"g, the last of seven": len(path(seven, 6)), "one of a million": (10**6 - 1).bit_length()})

# %% tags=["check"]
assert climb(seven[2], proof) == root(seven) != climb(leaf(b"x"), proof)  # the text says c only

# %% [markdown]
# These hashes are an **inclusion proof** (RFC 6962 calls it the *audit path*): at most three for seven entries, and twenty
# for a million. The last entry stands higher up and needs two. The entry x, which is not in
# the log, would need a path that leads to the same root, and finding one means breaking SHA-256.
#
# **Change it.** In the cell of the figure, draw the path of g, `audit_path(7, 6, …)`, and one in a tree of eleven.
#
# What it shows: this entry is under *this root*. What it does not show: that the entry is true, or that anyone else was
# given the same root.
#
# ## "The log has only grown"
# A log keeper with something to hide writes a second history. In it, b never happened; everything else is the same.
#
# **Predict.** You own entry c, and ask each log for an inclusion proof of c under its own root. Which log can give one?

# %% tags=["predict"]
prediction = {"the honest log": None, "the rewritten log": None}  # True or False

rewritten = [*seven]
rewritten[1] = leaf(b"nothing to see here")
print("the roots agree:", root(seven) == root(rewritten))
lab.predicted(prediction, {
    "the honest log": climb(seven[2], path(seven, 2)) == root(seven),
    "the rewritten log": climb(seven[2], path(rewritten, 2)) == root(rewritten),
})

# %% tags=["check"]
assert climb(seven[2], path(rewritten, 2)) == root(rewritten) != root(seven)  # the text says both prove c

# %% [markdown]
# Both logs prove that c is included. **Inclusion does not imply consistency.** If you look only at your own entry, you
# will never notice. What gives the keeper away is the root that you *kept*: say, from when the log had three entries.
# Ask for a proof that those three are still the beginning of the seven. The kit has the code for it (RFC 6962 §2.1.2):

# %%
from chainlab.trust.merkle import MerkleTree, verify_consistency

honest, other = MerkleTree(b"".join(seven)), MerkleTree(b"".join(rewritten))
kept = root(seven[:3])  # what you wrote down when the log had three entries
for name, tree in (("honest", honest), ("rewritten", other)):
    steps = tree.consistency(3, 7)
    print(f"{name:>9}: {len(steps)} hashes, {verify_consistency(3, 7, kept, tree.root(), steps)}")

# %% tags=["check"]
assert not verify_consistency(3, 7, kept, other.root(), other.consistency(3, 7))  # the text says it is caught

# %% [markdown]
# Four hashes show that nothing was rewritten, and the liar has none that would. But *somebody has to keep the old
# root and ask*. A log that nobody watches is just a list with expensive hashes. In week 5 you will be that somebody.
#
# ## The kit's own log
# Each signature in this course goes into such a log. We make three and read what the log publishes: a *checkpoint*
# (name, size, root, and the log's signature), and the hashes of its leaves as a *tile*.

# %%
import base64
from urllib.request import urlopen

from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

context = SigningContext.from_trust_config(lab.trust.config)
with context.signer(IdentityToken(lab.trust.token("alice@example.com"))) as signer:
    bundles = [signer.sign_artifact(data) for data in (b"model 1", b"model 2", b"model 3")]

# %%
log = f"{lab.trust.url}/api/v2"
name, size, published = urlopen(f"{log}/checkpoint").read().decode().splitlines()[:3]
leaves = []
while (missing := int(size) - len(leaves)) > 0:  # a tile of level 0: up to 256 leaves, 32 bytes each
    part = f".p/{missing}" if missing < 256 else ""
    tile = urlopen(f"{log}/tile/0/{len(leaves) // 256:03}{part}").read()
    leaves += [tile[at : at + 32] for at in range(0, len(tile), 32)]
print("our dozen lines agree with the log:", root(leaves) == base64.b64decode(published))

# %% tags=["check"]
assert root(leaves) == base64.b64decode(published)  # the text says that they agree

# %% [markdown]
# A dozen lines of Python and a service that speaks the same standard come to the same 32 bytes. And your own signature is
# in there: the bundle carries the exact bytes that became the leaf.

# %%
import json

entry = json.loads(bundles[1].to_json())["verificationMaterial"]["tlogEntries"][0]
mine = leaf(base64.b64decode(entry["canonicalizedBody"]))
print("my entry is a leaf:", mine in leaves)
print("and its path leads to the root:", climb(mine, path(leaves, leaves.index(mine))) == root(leaves))

# %% tags=["check"]
assert mine in leaves  # the text says that it is there

# %% [markdown]
# What is simplified: real proofs do not say "left" or "right", because the index and the size determine it, and a
# verifier that takes the sender's word for it has given something away.
#
# One more name to keep apart. Sigstore has **two** Merkle logs: the certificate transparency log holds *certificates*,
# and the transparency log holds *signatures*. The same tree, two purposes.
#
# **You can now** draw and compute a tree of any size, and say what breaks without the prefixes or with copies; check that
# an entry is included and that a log has only grown; compute a real log's root; and explain why a log is only as honest
# as the people who keep its old roots.
