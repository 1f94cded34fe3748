# %% [markdown]
# # Week 5 · Who watches the log, besides the one who keeps it?
#
# > On 11 May 2026 two release runs published 84 bad versions of 42 TanStack packages, the first at 19:20:39 UTC. Their
# > provenance verified. [V: TanStack postmortem; SLSA blog, 2026-05-15] Provenance of a public repository goes into a
# > public log [V: GitHub's documentation, "Artifact attestations"], so a stranger could read what was being signed, and
# > by whom. The first alarm was a person's: a public issue, about half an hour later.
#
# A log prevents nothing. It makes misuse visible, to whoever looks. And whoever keeps the log can lie, too, unless
# somebody keeps what the log said before. Today you are that somebody.
#
# **You will** (45 min: 11 reading, 34 doing)
# - prove by hand that a log has only grown, with four hashes
# - run a monitor, and let it find a signature that should not be there
# - rewrite a log's history, and watch who notices and who does not
# - give a log two faces, and find the pair of checkpoints that proves it
#
# **Before:** `04a_attestation`, primer `00d_merkle`. **Lab:** `labs/05_monitoring.ipynb`, exercise 5.4
#
# **V** as in week 1: read in a primary text. At **Predict**, write your answer in place of `None` before you run the
# cell. At **Change it**, change one value and run the cell again.

# %% tags=["parameters"]
seed = 1

# %%
import base64
import json
import shutil
import sqlite3
from contextlib import closing
from urllib.request import urlopen

import chainlab
import matplotlib.pyplot as plt
import pandas as pd
from chainlab.dashboards import diagrams
from chainlab.monitor.logwatch.kit_logs import LogWatch
from chainlab.trust.merkle import MerkleTree, leaf_hash, node_hash, verify_consistency, verify_inclusion
from chainlab.workspace import Workspace
from sigstore.verify import Verifier, policy

# %% tags=["folded"]
pd.set_option("display.width", 150, "display.max_colwidth", None)
plt.style.use("chainlab.dashboards.style")
lab = chainlab.open("05b_log_monitor", seed=seed)
for server in globals().get("servers", {}).values():  # of an earlier run of this cell
    server.close()
servers = {}
for name in ("honest", "rewritten"):
    shutil.rmtree(lab.path / name, ignore_errors=True)

# %% tags=["folded"]
from chainlab.services import Server
from chainlab.trust.client import Trust
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext


def serve(name):
    """Serve the instance in a folder of this lesson; one that was served there before is ended first."""
    if name in servers:
        servers[name].close()
    servers[name] = Server(lab.path / name / "trust")
    return Trust(lab.path / name / "trust")


def sign(trust, ref, data):
    """Sign as acme's release workflow at a ref, keylessly, with the unmodified client."""
    token = IdentityToken(trust.workflow_token("acme/triage-model", "release.yml", ref))
    with SigningContext.from_trust_config(trust.config).signer(token) as signer:
        return signer.sign_artifact(data)

# %% tags=["folded"]
def checkpoint(trust):
    """What the log signs about itself now."""
    return urlopen(f"{trust.url}/api/v2/checkpoint").read().decode()


def leaves_of(trust):
    """The hashes of all entries, from the log's tile of level 0."""
    size = int(checkpoint(trust).splitlines()[1])
    tile = urlopen(f"{trust.url}/api/v2/tile/0/000.p/{size}").read()
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


def root_in(note):
    """The root that a checkpoint states."""
    return base64.b64decode(note.splitlines()[2])


# %% [markdown]
# ## A line in your notebook
# A second instance, with a log that you can count on your fingers: its own root is entry 0, then acme's release
# workflow signs four files. You ask for the log's *checkpoint*, and you **keep** it.

# %%
log = serve("honest")
for number in range(1, 5):
    sign(log, f"refs/tags/v1.{number}.0", f"wheel {number}".encode())
kept = checkpoint(log)
origin, size, _, _, signature = kept.splitlines()
print(f"{origin} signed: {size} entries, one root | signature line by {signature.split()[1]}")

# %% [markdown]
# Five entries, and 32 bytes that stand for all of them, in this order. The signature makes it a promise that the log
# cannot take back. Two more releases later the log has seven entries, and another root:

# %%
for number in (5, 6):
    sign(log, f"refs/tags/v1.{number}.0", f"wheel {number}".encode())
new = checkpoint(log)
tree = MerkleTree(b"".join(leaves_of(log)))
print(len(tree), "entries | the same root:", root_in(new) == root_in(kept))

# %% [markdown]
# **Predict.** You hold the old root, the log sends the new one. How many hashes must it send with it to prove that the
# old five are still the beginning of the seven? And how many, had you kept the checkpoint of *four* entries?

# %% tags=["predict"]
prediction = {"from five": None, "from four": None}
lab.predicted(prediction, {"from five": len(tree.consistency(5, 7)), "from four": len(tree.consistency(4, 7))})

# %% [markdown]
# Nobody has to believe a proof. From its hashes you build the *old* root and the *new* one, and compare each with what
# was signed. Do it by hand, with the subtree of entries 0–3 and the leaves 4, 5 and 6:

# %%
four, leaf4, leaf5, leaf6 = tree.complete(2, 0), *(tree.complete(0, index) for index in (4, 5, 6))
old_root = node_hash(four, leaf4)
new_root = node_hash(four, node_hash(node_hash(leaf4, leaf5), leaf6))
print("the old root is the one you kept:  ", old_root == root_in(kept))
print("the new root is the one signed now:", new_root == root_in(new))
_ = diagrams.growth(5, 7, title="Four hashes rebuild both roots: the one you kept, and the new one")

# %% [markdown]
# In the figure, the five entries that you knew are filled, and the four hashes of the proof are ringed: 0–3, 4, 5 and 6.
# Four entries would be a complete subtree whose root you have already, so one more hash (4–6) does.
#
# Both lines are True. The same hash of 0–3 and the same leaf 4 are in both roots, so nobody changed, removed or moved
# one of the five. That is a **consistency proof** (RFC 6962, section 2.1.2). A wrong hash would have missed one of
# the two roots.
#
# **Change it.** Put `leaf6` in the place of `leaf4` in the line of `old_root`, then of `new_root`. Which line turns
# False, and can any four hashes make both True for a log that dropped entry 2?
#
# ## The same, again and again
# A *monitor* does this at each look: verify the checkpoint's signature with the log's key, prove the growth, then read
# what is new. The kit's remembers on disk what it saw. Its first look has nothing to compare with:

# %%
mine = Workspace(lab.path / "honest")
monitor = LogWatch(mine, version="v2")
monitor.look()

# %% [markdown]
# A monitor starts at the newest checkpoint. It says how many entries it never read, because a report that is silent
# about them would read like "all seven are fine".
#
# The monitor hashes the entries that it reads, and compares the hash of all with the root in the checkpoint. So each
# entry that it read is *included*, and none in between was left out. Then it looks at who signed:

# %%
print((lab.data / "watchlists/acme.toml").read_text().split("\n\n")[1])

# %% [markdown]
# *Report whatever a workflow of acme signs. It is expected when the issuer is the CI's, the workflow is `release.yml`,
# and a push of a version's tag started it.* The fields are those of the certificate, as Fulcio names its extensions [V:
# sigstore/fulcio, oid-info.md].
#
# ## A stolen identity
# A job on a branch leaks its token. No tag, no release, but for ten minutes the thief *is* a workflow of acme. He signs
# a wheel with the unmodified client. An honest release goes out in the same minute. Then the monitor looks.

# %%
sign(log, "refs/tags/v1.7.0", b"wheel 7")
stolen = sign(log, "refs/heads/main", b"a wheel with a surprise")
looks = monitor.look()

# %% [markdown]
# **Predict.** True or False?

# %% tags=["predict"]
prediction = {"the signature verifies": None, "it is in the log": None,
              "the log is consistent": None, "somebody who watches the log is told": None}
verifier = Verifier(trusted_root=log.config.trusted_root)
verifier.verify_artifact(b"a wheel with a surprise", stolen, policy.OIDCIssuer(log.ci_issuer))
logged = json.loads(stolen.to_json())["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]
actual = {"the signature verifies": True,  # else the line above had raised
          "it is in the log": leaf_hash(base64.b64decode(logged)) in leaves_of(log),
          "the log is consistent": looks[0].consistent,
          "somebody who watches the log is told": any(not each.expected for each in looks.sightings)}
lab.predicted(prediction, actual)

# %%
looks

# %% [markdown]
# Everything *verifies*. The log did its duty: it recorded what it was shown, and it does not know what acme intends.
# Only the owner of the identity can say "we did not sign this", and only if somebody looks. Entry 7 is the honest
# release. Entry 8 has the right repository, the right workflow and the wrong ref.
#
# The monitor appends what it saw to the event log, so that a detection can ask about it (`05a_detections`, exercise 5.2):

# %%
from chainlab.database import connect
from chainlab.events import Events

with closing(connect(mine.trust / "state.db")) as connection:
    reported = [event for event in Events(connection).read() if event.is_of("log.identity")]
pd.DataFrame([{"type": event.type.removeprefix("dev.chainlab."), "index": event.data["index"],
               "ref": event.subject.rpartition("@")[2], "expected": event.data["expected"]} for event in reported])

# %% [markdown]
# Now a better thief: he can push tags. His job runs the release workflow for a tag of his own making.

# %%
sign(log, "refs/tags/v1.7.1", b"another surprise")
[better] = monitor.look().sightings

# %% [markdown]
# **Predict.** Does the watch list call his signature expected?

# %% tags=["predict"]
prediction = None  # True or False
lab.predicted(prediction, better.expected)

# %% [markdown]
# Expected. The certificate is as it should be, because the thief *is* the release workflow now. A monitor compares
# signers with a list, and intentions are not on it. What would tell: your own list of releases. The log has a v1.7.1,
# and your calendar has none. Compare entries with tags that you made, and use the events that say "a publish with no
# run behind it".
#
# On paper: acme's releases wait for an approval in the environment `release`, which becomes an extension of the
# certificate. Which line would you add to `expected`, and which of the two thieves is it for?
#
# ## The log rewrites its history
# The thief knows somebody who keeps the log. He has what no outsider has: the disk, and the log's key. He copies the
# state, forgets everything from entry 8 on, and writes something else.

# %%
def forget(source, copy, first):
    """Copy an instance's state, and drop the entries of log v2 from ``first`` on: what only its operator can do."""
    servers.pop(source).close()
    shutil.copytree(lab.path / source, lab.path / copy, ignore=shutil.ignore_patterns("lock", "serving.json", "monitor"))
    with closing(sqlite3.connect(lab.path / copy / "trust/state.db")) as state, state:
        for table in ("leaves", "bodies"):
            state.execute(f"DELETE FROM {table} WHERE log = 'v2' AND entry >= ?", (first,))

# %%
accepted = monitor.look()[0].head  # the newest checkpoint that the monitor has
first_bundle = sign(log, "refs/tags/v1.8.0", b"wheel 8")  # the monitor does not know this one yet
monitor.close()
forget("honest", "rewritten", first=8)
rewritten = serve("rewritten")
for number in range(9, accepted.size + 3):
    sign(rewritten, f"refs/tags/v1.{number}.0", f"wheel {number}".encode())
print("entries that the monitor has seen:", accepted.size)
print("entries now:                      ", len(leaves_of(rewritten)))

# %% [markdown]
# Same name, same key, more entries than before: from outside it looks like a log that has grown. Three people look at it.
# You ask for a proof of entry 3, your wheel 3. A verifier checks the old bundle of wheel 8, which the log has forgotten.
# The monitor compares.
#
# **Predict.** Who notices, True or False?

# %% tags=["predict"]
prediction = {"you, by an inclusion proof of entry 3": None, "a verifier of the old bundle": None, "the monitor": None}
leaves, note = leaves_of(rewritten), checkpoint(rewritten)
forged = MerkleTree(b"".join(leaves))
included = verify_inclusion(leaves[3], 3, len(leaves), forged.inclusion(3, len(leaves)), root_in(note))
verifier.verify_artifact(b"wheel 8", first_bundle, policy.OIDCIssuer(log.ci_issuer))  # raises, if it notices
monitor = LogWatch(mine, version="v2", url=rewritten.url)
looks = monitor.look()
lab.predicted(prediction, {"you, by an inclusion proof of entry 3": not included, "a verifier of the old bundle": False,
                           "the monitor": looks[0].consistent is False})

# %%
looks

# %% [markdown]
# **Inclusion does not imply consistency.** Entry 3 is under the new root as it was under the old one. The old bundle
# carries its own proof, under a checkpoint that was true when it was signed, and a verifier asks nobody. Only who kept
# an old checkpoint and asks for the proof finds that there is none.
#
# The monitor does not accept the new checkpoint. It looks again, and the contradiction stays.
#
# ## Which pair proves it?
# An alarm is not evidence: "their proof failed" is something that you could have made up. Evidence holds without your
# word. It needs two statements *under the log's signature* that cannot both be true:

# %%
one, other = looks[0].pair
size = one.size
prefix = forged.root(size)  # the first entries of the new tree
proof = forged.consistency(size, other.size)
print("first statement, signed: ", one.size, "entries")
print("second statement, signed:", other.size, "entries")
print(f"the second tree begins with a tree of {size}:", verify_consistency(size, other.size, prefix, other.root, proof))
print(f"which is the tree of {size} that was signed: ", prefix == one.root)

# %% [markdown]
# Read it slowly. The log signed root *A* for its first ten entries. It also signed a root for twelve, and the proof,
# built from the log's own tiles, leads from that root down to root *B* for its first ten. One log, ten entries, two
# roots. Whoever has the log's public key can check this, without trusting you, me or the monitor.
#
# So what must you keep? The checkpoint as it was signed, not a table of sizes and roots.
#
# **Change it.** Take the pair `(kept, note)`: five entries, and the twelve of the rewritten log. Does it prove
# anything? (What did the operator leave untouched?)

# %%
five = verify_consistency(5, len(leaves), root_in(kept), root_in(note), forged.consistency(5, len(leaves)))
print("the rewritten tree begins with the five entries that you kept first:", five)

# %% [markdown]
# It does, so that pair is worth nothing here: the history was changed *behind* entry 5. A checkpoint protects what is
# under it. Who keeps one a year leaves a year to be rewritten.
#
# ## Two faces
# This operator made a mistake: he showed the new history to somebody who knew the old one. A careful one shows each
# reader one face, for ever. You get the honest log; your friend has only ever met the other one.

# %%
log = serve("honest")
monitor.close()
while len(leaves_of(log)) < len(leaves):
    sign(log, "refs/tags/v1.9.0", b"wheel 9")
print("entries of your face, and of your friend's:", len(leaves_of(log)), "and", len(leaves_of(rewritten)))

# %% [markdown]
# **Predict.** Each of you looks, twice. What does each monitor say, and what does yours say when you hold your friend's
# checkpoint beside it? Write "consistent" or "two faces".

# %% tags=["predict"]
prediction = {"you": None, "your friend": None, "you, with your friend's checkpoint": None}
yours, friends = LogWatch(mine, version="v2"), LogWatch(Workspace(lab.path / "rewritten"), version="v2")
seen = {"you": [yours.look() for _ in range(2)][1], "your friend": [friends.look() for _ in range(2)][1]}
note_of_friend = seen["your friend"][0].head.text
both = LogWatch(mine, version="v2", witnesses=[note_of_friend])
seen["you, with your friend's checkpoint"] = both.look()
lab.predicted(prediction, {who: "two faces" if look[0].split else "consistent" for who, look in seen.items()})

# %%
seen["you, with your friend's checkpoint"]

# %% [markdown]
# Two roots of one size, both signed: that pair needs no further proof. Alone, neither of you could know, because each
# face is a whole, growing, well-signed log. It takes a second observer who sits
# somewhere else, and a way to compare that does not go through the log. That is what *witnesses* do: they sign the
# checkpoints that they saw. Your friend need not be clever. A file with last week's checkpoint, sent by mail, will do.

# %% [markdown]
# One more state, the dullest and the most common: the log does not answer.
#
# **Predict.** Is its tree "consistent", "contradiction" or "unknown"?

# %% tags=["predict"]
prediction = None
gone = serve("rewritten").url
servers.pop("rewritten").close()
[silent] = LogWatch(mine, version="v2", url=gone).look()
lab.predicted(prediction, "unknown" if not silent.answered and silent.consistent is None else "another")

# %% [markdown]
# Unknown. It is not consistent, and it is no contradiction either. The command ends with status 3, neither 0 nor 1. A
# monitor that took silence for health would be easy to blind: exercise 5.6 is about that.

# %% tags=["check"]
assert (old_root, new_root) == (root_in(kept), root_in(new))
assert len(tree.consistency(5, 7)) == 4 and len(tree.consistency(4, 7)) == 1  # the text says four, and one
assert all(actual.values()) and [event.data["index"] for event in reported] == [7, 8]  # the text names both
assert better.expected is True  # the text says that the better thief is not seen
assert (accepted.size, len(leaves)) == (10, 12)  # the text says ten, and twelve
assert included and looks[0].consistent is False and prefix != one.root and five
assert [look[0].split for look in seen.values()] == [None, None, True]
assert seen["you"][0].consistent and seen["your friend"][0].consistent
for server in servers.values():
    server.close()
servers = {}

# %% [markdown]
# ## What a monitor does not see
# | it does not see | because | so |
# |---|---|---|
# | an expected signer in the wrong hands | the certificate is right | compare with your own list of releases |
# | identities that are not on its list | it looks for what it was told | watch every name that customers trust |
# | what came before its first look | it started at the newest checkpoint | `--from 0`, or say so |
# | a face that nobody compared | each face is consistent | a second observer, a witness |
# | signatures that were never logged | they are not there | verifiers must ask for the log entry |
# | certificates that signed nothing yet | they are in the *CT* log | watch both logs |
#
# **Carry home.** For a log of somebody else you need its address, which API it speaks, and its key from another place:
#
# ```
# chainlab monitor log --trusted-root trusted_root.json --watch watchlist.toml --follow
# chainlab monitor log --witness checkpoint-of-a-friend.txt
# ```
#
# [The guide](../docs/log-monitor.md) has the differences between Rekor v1, Rekor v2 and CT logs. On Monday: write down
# which identities sign for you, put them on a list, let somebody outside your team run the monitor, and mail each other
# a checkpoint.
#
# **Simplified here.** Log, monitor and friend are one machine; a witness that shares a disk with the log is none. Our
# log has a dozen entries and one tile. A real log grows while you read it, so a monitor has to be faster than its
# writers. Real witnesses sign what they saw; our friend's checkpoint has the log's signature alone.
#
# **You can now**
# - prove with a few hashes that a log has only grown, and name the two roots that they rebuild
# - say why inclusion does not imply consistency
# - write a watch list, and say which thief it finds and which it does not
# - tell an alarm from evidence, and name the pair of checkpoints that convicts a log
#
# **Exit question.** The log's operator answers your report: "a disk failed, we restored Tuesday's backup. No entry was
# removed on purpose." Which of your statements still holds, and what should the operator have done instead?
