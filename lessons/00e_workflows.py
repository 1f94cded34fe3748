# %% [markdown]
# # Primer E · A workflow file is a program with keys
#
# > It looks like configuration. It runs with your credentials.
#
# **You will** (19 min: 7 reading, 12 doing)
# - read a workflow file: which event, which jobs, which steps, which secrets
# - say what each job's token may do, from the `permissions:` blocks
# - break a workflow with the title of a pull request, and see a secret leave a log that hides it
#
# **Before:** `00a_git`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.5

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00e_workflows", seed=seed)

# %% [markdown]
# ## A small workflow
# This is what a repository keeps under `.github/workflows/`. It has an *event* (when), *jobs* (where and in which order)
# and *steps* (what). Read it once from top to bottom.

# %%
source = lab.copy("primers/build.yml").read_text()
print(source)

# %% [markdown]
# We want to know when it runs, so we parse it and ask for the key `on`.
#
# **Predict.** How many events does our script find there? Put your guess in place of `None`, run the cell and compare.

# %% tags=["predict"]
import yaml

prediction = None  # a number

workflow = yaml.safe_load(source)
print("keys:", list(workflow))
lab.predicted(prediction, len(workflow.get("on") or ()))

# %% tags=["check"]
assert workflow.get("on") is None and True in workflow  # the text says that `on` became True

# %% [markdown]
# None: there is no key `on`. There is a key `True`. In YAML 1.1, which PyYAML reads, the bare words `on`, `off`, `yes` and `no`
# are booleans. The platform's own parser takes the word as text, so the workflow runs, and it is your *audit script*
# that sees no event. A scanner that goes blind in silence is worse than none. Ask for both:

# %%
def events(workflow):
    return workflow.get("on", workflow.get(True))


print("events:", list(events(workflow)))
print("another surprise:", yaml.safe_load("python-version: 3.10"))

# %% [markdown]
# Two events. (And 3.10 is a number, so it equals 3.1. Quote your versions.)
#
# ## The event decides whose code meets whose keys
# As GitHub documents it:
#
# | event | who can cause it | whose code | secrets and token |
# |---|---|---|---|
# | `push` | who may push | the branch's | the repository's |
# | `schedule` | a timer | the default branch's | the repository's |
# | `workflow_dispatch` | who may push | the chosen branch's | the repository's |
# | `pull_request`, from a fork | **anyone** | the proposed change | no secrets; a token that only reads |
# | `pull_request_target` | **anyone** | the repository's own | **the repository's** |
# | `workflow_run` | whoever can cause the run before it | the default branch's | **the repository's** |
#
# "Pull requests from forks never see secrets" is true of one row and false of the next. `pull_request_target` is meant
# for labelling and greeting: it runs the repository's own file, with the repository's secrets, on a stranger's
# request. It is safe only as long as nothing of the stranger's is executed, neither their files nor their words. Our
# workflow listens to it. Keep that in mind.
#
# ## Jobs are walls, steps are not
# Each job gets a fresh machine. The steps of one job share a machine, a user and a disk. So *which steps share a job*
# is a security decision: the first `uses:` can leave a file behind that the last `run:` executes, beside its secret.

# %%
import re

for name, job in workflow["jobs"].items():
    text = yaml.safe_dump(job, width=1000)
    print(name)
    print("  uses:   ", [step["uses"] for step in job["steps"] if "uses" in step])
    print("  secrets:", sorted(set(re.findall(r"secrets\.(\w+)", text))))
    print("  says:   ", job.get("permissions", "nothing about permissions"))

# %% [markdown]
# One job holds a secret, and in that same job a foreign action runs first. `acme/checkout@v4` is a tag (Primer A), so
# the owner of that tag is a guest in the room with `INDEX_TOKEN`.
#
# ## The token's permissions: one block wins
# Beside the secrets that you set, each job gets a token of its own, `GITHUB_TOKEN`, for the repository it runs in.
# `permissions:` says what it may do. The rules are short, and two of them surprise people:
#
# 1. A job's own block counts. Only without one does the workflow's block count; without that, the repository's default.
# 2. Blocks **replace** each other; they are never merged.
# 3. In a block that counts, what is not named is `none`. An empty block, `{}`, therefore grants nothing. An *absent*
#    block means "ask the next one", which is a different thing.
#
# **Predict.** What may the token of each of our three jobs do? The kit's CI host knows the rules,
# and answers.

# %% tags=["predict"]
from chainlab.ci.runs.rights import Origin, effective_permissions, permissions

prediction = {"test": None, "triage": None, "publish": None}  # such as {"contents": "read"}

given = effective_permissions(Origin("push"))
tokens = {name: permissions(workflow["permissions"], job.get("permissions"), given)
          for name, job in workflow["jobs"].items()}
may = {name: {scope: level for scope, level in token.items() if level != "none"} for name, token in tokens.items()}
lab.predicted(prediction, may)

# %% [markdown]
# | job | its token may | why |
# |---|---|---|
# | test | read contents | has no block, so the workflow's counts |
# | triage | write issues, **not** read contents | its own block replaces the workflow's |
# | publish | read contents, ask for an identity token | its own block, which repeats `contents: read` for that reason |
#
# `id-token: write` sounds like writing something. It is the right to ask the platform for the OIDC token of Primer C.
# Whoever runs code in that job can ask for it as well. What a file cannot tell you is the repository's default: where
# no block stands, you must look at its settings, or say "unknown". The common advice is a default that reads
# contents only, and a block in each job that needs more.
#
# ## `${{ }}` is pasted, not passed
# Now the harmless-looking `triage` job. Before a shell starts, the platform replaces `${{ … }}` by its value, as text.
# We do the same with two titles. The script is one command, an `echo`.
#
# **Predict.** How many lines does it print for the title `hostile`?

# %% tags=["predict"]
prediction = None  # a number


def paste(script, title):
    return script.replace("${{ github.event.pull_request.title }}", title)


script = workflow["jobs"]["triage"]["steps"][0]["run"]
benign = "Fix a typo"
hostile = 'x"; echo "and now I run: $(echo harmless marker)'
printed = {title: lab.run(["sh", "-c", paste(script, title)]).stdout for title in (benign, hostile)}
print(*printed.values(), sep="")
lab.predicted(prediction, printed[hostile].count("\n"))

# %% tags=["check"]
assert "and now I run: harmless marker" in lab.run(["sh", "-c", paste(script, hostile)]).stdout  # the text says so

# %% [markdown]
# The second title ended our `echo` and began a command of its own. It ran with the job's token and, because the event is
# `pull_request_target`, anyone on the internet could have sent it. That is how a pull request's *branch name* led to
# the Ultralytics release of December 2024, and a pull request's *title* to the one of Nx in August 2025
# [CVE-2025-10894; how: reported by secondary sources].
#
# "Then quote it." It *is* quoted; the title brought a quote of its own. The cure is to pass the value, and not to paste
# it: as an environment variable, which the shell expands but never reads as code.
#
# **Predict.** And now, how many lines for the same title?

# %% tags=["predict"]
prediction = None  # a number

safe = 'echo "Title: $TITLE"'
shown = lab.run(["env", f"TITLE={hostile}", "sh", "-c", safe]).stdout.rstrip()
print(shown)
lab.predicted(prediction, len(shown.splitlines()))

# %% tags=["check"]
assert shown == f"Title: {hostile}"  # the text says that the title stays text

# %% [markdown]
# The same title, now as text. Nothing was filtered, and no list of bad characters was needed.
#
# ## A log hides what it recognises
# Platforms replace a secret by `***` wherever they see it in a log. Here is that, in one line. A thief in the job prints
# the secret in three spellings.
#
# **Predict.** In which of them is it hidden?

# %% tags=["predict"]
import base64

prediction = {"as it is": None, "in base64": None, "backwards": None}  # True or False

secret = "FAKE-index-token-0000"


def redact(line):
    return line.replace(secret, "***")


leak = redact("checksum " + base64.b64encode(secret.encode()).decode())
lines = {"as it is": redact(f"token is {secret}"), "in base64": leak, "backwards": redact(f"tag {secret[::-1]}")}
print(*lines.values(), sep="\n")
lab.predicted(prediction, {spelling: "***" in line for spelling, line in lines.items()})

# %%
print("read by a stranger:", base64.b64decode(leak.split()[1]).decode())

# %% tags=["check"]
assert "***" not in leak  # the text says that the second line was not recognised

# %% [markdown]
# Only the first line is hidden. The others are the same secret in another spelling, and anyone can read it back.
#
# **Change it.** Find a fourth spelling that passes, with one character between the letters, say. Then ask yourself
# how long a list of spellings a platform would have to hide.
#
# Redaction is best effort, as
# GitHub's documentation says; the attack on `tj-actions` printed secrets as base64 of base64
# [reported by secondary sources], which passes in the same way. The log of a public repository is public.
#
# What is simplified: a workflow can call others, and forks, environments and required reviewers change who may do what.
# `read-all` and `write-all` are blocks, too. Week 2 runs workflows for real, and there you attack this one in full.
#
# **You can now** read a workflow's events, jobs and secrets without being fooled by `on`, say what each job's token may
# do and when the file alone cannot tell you, and explain why a pasted title runs and why a hidden secret can still be read.
