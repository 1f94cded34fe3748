# %% [markdown]
# # Week 0 · Before the first signature
#
# > Everything here really runs. Nothing here leaves your machine.
#
# **You will** (28 min: 8 reading, 20 doing)
# - start a certificate authority, two logs and a timestamp authority, with one line
# - learn how notebooks, checks, hints and the progress board work
# - find out which of the six primers you need, in twenty questions
# - enrol the root of trust that the rest of the course depends on
#
# **Before:** `make start`, and some Python. **Lab:** `labs/00_onramp.ipynb`, after the primers

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00_onramp", seed=seed)
print("identity provider for people:", lab.trust.issuer)
print("identity provider for jobs:  ", lab.trust.ci_issuer)

# %% [markdown]
# Behind that line runs a private *Sigstore* instance on your machine: a certificate authority, two logs, a timestamp
# authority and two identity providers. The addresses are names, not places; they end in `.localhost`, and no
# packet leaves this computer. It is the same kind of service that signs packages all over the world, small enough to take
# apart. You need not know yet what any of these words mean. The primers explain each one, by breaking it;
# `docs/glossary.md` has a line for each.
#
# We can already ask it to do its work: Alice signs five bytes. The instance reports what it does as *events*.
#
# **Predict.** How many events will one signature leave? All lessons ask you such things: put your guess in place of `None`,
# run the cell (Shift+Enter), and compare. Nobody marks it.

# %% tags=["predict"]
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

prediction = None  # a number

before = len(lab.events())
token = IdentityToken(lab.trust.token("alice@example.com"))
with SigningContext.from_trust_config(lab.trust.config).signer(token) as signer:
    signer.sign_artifact(b"hello")
reported = lab.events()[before:]
for event in reported:
    print(event.type, "·", event.subject.split(":")[0])
lab.predicted(prediction, len(reported))

# %% [markdown]
# It issued a certificate for alice, and made a log entry about some bytes, which it names by their SHA-256. (The
# timestamp authority signed as well, and reports nothing.) `sigstore` here is the unmodified client from PyPI; it cannot tell our instance from the public
# one, except by the *root of trust*: the keys that it was told to believe. Keep that thought for the end of this page.
#
# ## The promise
# You will learn attacks in this course, because nobody can defend what they have not seen break. In return:
# - **Loopback only.** Attacks run against services that this kit started, on this machine. Nothing else is a target: not
#   your employer's pipeline, not a public registry, not a friend's repository.
# - **Secrets are fake**, and say so (`FAKE-…`). Never paste a real one into a notebook.
# - **Payloads are harmless.** Where real malware would steal, ours writes a marker.
# - **What is simplified is said**, where it is simplified.
#
# Practising on systems of others without their written permission is a crime in most places, whatever the intention.
#
# ## How a notebook works here
# Read a cell, predict, run it, compare. Where a page says **Change it**, change one thing and run again: a page that you
# only run teaches little. The stored outputs are ours; an output that would give the answer away is folded until you run
# its cell. Every notebook stands alone: it needs nothing that another one left behind. So when something went wrong, choose
# *Kernel → Restart Kernel and Run All Cells…* and go on from there.
#
# A lab has exercises. Each begins like this one, about the rights of a job (Primer E); watch only how it is marked:

# %%
def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    """What the job's token may do: scope -> level."""
    raise NotImplementedError("exercise 0.5")


# %%
lab.check("0.5", token_may, demo=True)  # demo: it goes on after a failure, and your progress does not change

# %% [markdown]
# *Not attempted* is not *wrong*. The `raise` line is a placeholder; replace it with your answer. Suppose that you answer
# in haste, and say that no job may do anything.
#
# **Predict.** The check tries many workflows. Will it find this answer wrong for all of them, for some, or for none?

# %%
def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    """What the job's token may do: scope -> level."""
    return {}


# %% tags=["predict"]
lab.check("0.5", token_may, demo=True)

# %% [markdown]
# Now it is *wrong*, for some cases and not for others: the numbers in brackets say how many are right. The message says for
# which case, what was expected, what came back, why, and where to read. A check runs your function on cases that you see
# and on others that are generated from the seed, so an answer written for one case does not pass.
#
# **Change it.** Write `return default` in place of `return {}`, and run the last two cells again. Which case fails
# now, and what does the message say about it? (That is no right answer either. You give one in the lab, after Primer E.)
#
# Stuck? Ask for a hint. The first one asks a question back; the next one points.

# %%
lab.hint("0.5", demo=True)

# %% [markdown]
# The board keeps account: not attempted, wrong, done. What is done stays done, whatever you try later. Here is its part
# for this week; our hasty answer is not on it, because `demo=True` notes nothing. The board survives restarts, and
# `chainlab progress` shows all of it in a terminal.

# %%
board = str(lab.progress())
print(board.split("Week 1")[0])

# %% [markdown]
# (Handing in, with feedback, comes with the grading unit of the kit; until then the checks are your feedback.)
#
# ## Is the machine ready?
# `doctor` looks for what the course needs. Commands with `--json` give an answer that a program can read.

# %%
import json

doctor = lab.run(["chainlab", "doctor", "--json"], check=False)
report = json.loads(doctor.stdout)
print("looked at:", ", ".join(finding["check"] for finding in report))
print("stops the course:", [finding["check"] for finding in report if finding["level"] == "fail"])

# %% [markdown]
# The second list is empty: nothing that the course needs is missing on the machine where this page was made. Is it empty
# on yours? Run `chainlab doctor` in a terminal to see the warnings as well, each with what it costs and how to mend it.
#
# ## Twenty questions
# They tell you which primers to read, and nobody else sees them. Each cell shows the questions of one
# primer. Write one letter per question into it, and a dot for "I don't know". Do not guess: a lucky guess only hides a
# primer that would have helped.

# %%
from chainlab.course.learning import diagnostic

questions = diagnostic.load(lab.data / "diagnostic.toml")
git = "...."  # four letters or dots
diagnostic.sheet(questions, "00a_git")

# %%
keys = "...."
diagnostic.sheet(questions, "00b_keys")

# %%
tokens = "..."
diagnostic.sheet(questions, "00c_tokens")

# %%
merkle = "..."
diagnostic.sheet(questions, "00d_merkle")

# %%
workflows = "..."
diagnostic.sheet(questions, "00e_workflows")

# %%
policies = "..."
diagnostic.sheet(questions, "00f_policies")

# %%
diagnostic.mark(questions, git + keys + tokens + merkle + workflows + policies)

# %% [markdown]
# *Not sat yet*: twenty dots. Yours is marked when you have put in your letters and run these cells again. Here is the
# sheet of somebody else, who knows git well and has never met Rego:

# %%
diagnostic.mark(questions, "cbda cbda baa dbc b.c b.b")

# %% [markdown]
# Two wrong letters, each with its reason; the two dots need none. One slip per subject is forgiven; two call for the
# primer.
#
# **Change it.** Put a dot in place of the sheet's first letter, run the cell, then another in place of the second.
# When does the verdict change?
#
# There are three outcomes:
# - **ready**: go to week 1. The lab of this week is still worth an hour.
# - **ready after primer X**: read those, do their exercise in the lab, and go on.
# - **talk to your instructor**: five or six primers at once is a week and not an afternoon. That is no verdict on you. Plan
#   the time, and begin with the first.
#
# What the questions cannot see is whether you guessed. The lab does: its checks are generated.
#
# ## Enrol your root
# Whoever runs a certificate authority can issue a certificate in any name. You now run one. So a signature made with it
# proves nothing to anybody else, unless they know, *from you and by another way*, which instance is yours. That is what a
# fingerprint is for.
#
# **Predict.** The notebook can compute the fingerprint, and the command `chainlab enrol` prints it. Are the two the same?

# %% tags=["predict"]
prediction = None  # "yes" or "no"

shown = lab.run(["chainlab", "enrol", "--state", lab.trust.directory]).stdout
print("fingerprint:", lab.trust.fingerprint)
lab.predicted(prediction, "yes" if str(lab.trust.fingerprint) in shown else "no")

# %% tags=["check"]
assert str(lab.trust.fingerprint) in shown  # the text says that they are the same

# %% [markdown]
# The fingerprint is the SHA-256 of the instance's root of trust. In a terminal, plain `chainlab enrol` prints the one of
# your workspace. Give that to your instructor now, before anything depends on it. If you study alone, write it on paper.
# (On a stored page it is blanked out, because it differs on every machine. And a notebook that runs outside your
# workspace has an instance of its own, so take it from the terminal.)
#
# | the enrolled fingerprint shows later | it does not show |
# |---|---|
# | that the evidence comes from the *same instance*, unchanged since | *who typed* |
# | that the root was not swapped in between | that the instance was honest to begin with |
#
# No root is ever trusted in this course only because it came along with the thing that it should vouch for.
#
# **You can now** start the instance and read what it reports; tell *not attempted* from *wrong*, ask for a hint and find
# the board; say which primers you need; and say what an enrolled root proves, and what it does not.
