# %% [markdown]
# # Primer A · Which files does a name name?
#
# > A commit id is a fact. A tag is a statement, and whoever made it can change it.
#
# **You will** (20 min: 8 reading, 12 doing)
# - read both answers of a command: its text and its exit code
# - tell a commit, a branch, a lightweight tag and an annotated tag apart by looking at them
# - say which of these names can come to mean other files, and who can make it so
#
# **Before:** `00_onramp`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.1

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00a_git", seed=seed)

# %% [markdown]
# ## A command has two answers
# Pipelines are made of commands, so we begin with one. This one prints something and stops.
#
# **Predict.** On such a page you write your guess in place of `None`, then run the cell (Shift+Enter) and compare. Here:
# will a pipeline take this command for a success or a failure?

# %% tags=["predict"]
import sys

prediction = None  # "success" or "failure"

done = lab.run([sys.executable, "-c", "print('all fine'); raise SystemExit(3)"], check=False)
print("text:", done.stdout.strip())
print("exit code:", done.returncode)
lab.predicted(prediction, "success" if done.returncode == 0 else "failure")

# %% [markdown]
# The text says "all fine" and the exit code says it is not. A pipeline believes the exit code: 0 is success, any
# other number is failure. It never reads the text. So a scanner that prints forty warnings and exits with 0 has,
# as far as the pipeline knows, found nothing.
#
# Note the shape of the call, too: a *list* of words, not one line of text. Each item reaches the program as one
# word, whatever is in it.
#
# **Predict.** How many words does the program receive if the item holds a semicolon and a command?

# %% tags=["predict"]
prediction = None  # a number

hostile = "main; echo I was run"
received = lab.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", hostile]).stdout
print(received.strip())
lab.predicted(prediction, received.count("'") // 2)

# %% [markdown]
# One word went in, one word came out, and nothing was run. Had we pasted the same text into a line for a shell,
# the shell would have seen two commands. Primer E does exactly that to a workflow.
#
# ## A commit is named by its content
# We make a repository and play the owner of a small action, `acme/changed-files`. Author and dates are fixed, for a
# reason that you will see in a moment.

# %%
import os
import shutil

WHO = {"NAME": "maintainer", "EMAIL": "maintainer@example.com", "DATE": "1700000000 +0000"}
os.environ |= {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in WHO.items()}
os.environ |= {"GIT_DEFAULT_HASH": "sha1", "GIT_DEFAULT_REF_FORMAT": "files"}
repo = lab.path / "changed-files"
shutil.rmtree(repo, ignore_errors=True)  # so that the notebook can be run again
repo.mkdir()


def git(*words):
    return lab.run(["git", "-C", str(repo), *words]).stdout.rstrip("\n")


# %%
git("init", "--quiet", "--initial-branch=main")
(repo / "action.sh").write_text("git diff --name-only HEAD~1\n", newline="\n")
git("add", "action.sh")
git("commit", "--quiet", "-m", "List the changed files")
first = git("rev-parse", "HEAD")
print(first)
print(git("cat-file", "-p", first))

# %% [markdown]
# That is the whole commit: the id of a *tree* (the files), who, when, and a message. Files that differ give another
# tree, and another tree gives another commit. The 40 digits are not handed out by anyone. You can compute them:

# %%
import hashlib

body = lab.run(["git", "-C", str(repo), "cat-file", "commit", first]).stdout.encode()
by_hand = hashlib.sha1(b"commit %d\0" % len(body) + body).hexdigest()
print(by_hand == first)

# %% tags=["check"]
assert by_hand == first  # the text says the id is computed from the content

# %% [markdown]
# True: the id is a hash of the content. With the same files, message, author and dates, your commit has the same id
# as ours, on any machine, and that is why we fixed the dates. What it does *not* show is that the content is good,
# or that "maintainer" wrote it. Author and date are text that anybody may set; we have just done so.
#
# **Change it.** Note the first digits of the id. Write another word into the message `List the changed files`, and
# run the cells again from `import os` on. How many of the 40 digits are the same, more than chance would give?
#
# (Git's usual hash is SHA-1, for which collisions are known. Git detects the known attacks. A full commit id is
# today's best pin, not a law of nature.)
#
# ## A branch moves, and is meant to

# %%
(repo / "action.sh").write_text("git diff --name-only --no-color HEAD~1\n", newline="\n")
git("commit", "--quiet", "-am", "Never colour the list")
second = git("rev-parse", "main")
print("main was:", first[:10])
print("main is: ", second[:10])

# %% [markdown]
# The name `main` now means the second commit. Nobody thinks that strange: a branch is "the newest work". The first
# commit is still there, unchanged, under its own id.
#
# ## A lightweight tag is 41 bytes in a file
# We release version 3. A tag feels final, like a stamp. Look at how it is stored.

# %%
git("tag", "v3", second)
stored = (repo / ".git/refs/tags/v3").read_text()
print(repr(stored))

# %% [markdown]
# Forty digits and a newline. No key, no signature, no history. A project that uses us writes
# `uses: acme/changed-files@v3` into its workflow; at each run, the runner asks *our* repository what v3 is.
#
# **Predict.** The maintainer's password leaks, and the thief wants `v3` to mean other code. Three users wrote the branch
# `main`, the tag `v3` and the full commit id into their workflows. Who runs the thief's code now?

# %% tags=["predict"]
prediction = {"main": None, "v3": None, "the commit": None}  # "the thief's" or "the old"

before = git("show", f"{second}:action.sh")
(repo / "action.sh").write_text("echo harmless marker: the thief was here\n", newline="\n")
git("commit", "--quiet", "--allow-empty", "-am", "Tidy up")
print(git("tag", "--force", "v3", "HEAD"))
runs = {name: git("show", f"{ref}:action.sh") for name, ref in
        {"main": "main", "v3": "v3", "the commit": second}.items()}
lab.predicted(prediction, {name: "the old" if code == before else "the thief's" for name, code in runs.items()})

# %% tags=["check"]
assert before != git("show", "v3:action.sh")  # the text says the same name now means other code

# %% [markdown]
# One word, `--force`, and the same name means other code. (We changed the owner's repository itself. Over the
# network, the thief adds `git push --force`.) In the user's repository nothing happened at all: no
# commit, no changed file, no failed test. The line still says v3.
#
# This is not a thought experiment. On 14–15 March 2025 the tags v1 to v45.0.7 of `tj-actions/changed-files` were
# all pointed at one bad commit [CVE-2025-30066]; press reports speak of more than 23,000 repositories that used it.
#
# Only the user of the full commit id still runs the old code. That id names the same bytes tomorrow. It does not say
# that those bytes were ever good, and it says nothing about other actions that this one may call by tag.
#
# ## A tag that is an object of its own
# "Then use annotated tags. They carry a name, a date and a message, so they are real objects and cannot be moved."
# Half of that is right.

# %%
git("tag", "--annotate", "-m", "Release 4", "v4", second)
print("v4 is a", git("cat-file", "-t", "v4"))
print(git("cat-file", "-p", "v4"))

# %% [markdown]
# **Predict.** `git rev-parse NAME` prints the id that a name stands for. We made v4 on the commit `second`. Is the id that
# `rev-parse v4` prints the id of that commit?

# %% tags=["predict"]
prediction = None  # "yes" or "no"

print("rev-parse v4:         ", git("rev-parse", "v4"))
print("rev-parse v4^{commit}:", git("rev-parse", "v4^{commit}"))
lab.predicted(prediction, "yes" if git("rev-parse", "v4") == second else "no")

# %% tags=["check"]
assert git("rev-parse", "v4") != second == git("rev-parse", "v4^{commit}")  # the text says two ids

# %% [markdown]
# Two ids of 40 digits, and they differ. An annotated tag is an object that *points at* a commit. `rev-parse v4`
# gives the tag object; `v4^{commit}` peels it, layer by layer, until a commit is left. Scripts that turn tags into
# pins fall into this hole: they write the first number, and it is no commit at all.
#
# **Predict.** And can its name be moved?

# %% tags=["predict"]
prediction = None  # "yes" or "no"

git("tag", "--force", "--annotate", "-m", "Release 4", "v4", "main")
print("v4 named:    ", second[:10])
print("v4 now names:", git("rev-parse", "v4^{commit}")[:10])
lab.predicted(prediction, "no" if git("rev-parse", "v4^{commit}") == second else "yes")

# %% tags=["check"]
assert git("rev-parse", "v4^{commit}") == git("rev-parse", "main") != second  # the text says it moved

# %% [markdown]
# It can. The old tag object still exists, but the *name* v4 now points at a new one. A signature on the tag helps only
# those who check it each time, which a `uses:` line does not; and even then the name can be moved to an older tag that
# was signed as well.
#
# ## A last look: digits that nobody made
# Here is a trap for those who automate. We invent 40 digits and ask git to verify them, twice: as they are, and with
# `^{commit}` behind them.
#
# **Predict.** Which exit codes do the two commands end with?

# %% tags=["predict"]
prediction = {"as they are": None, "with ^{commit}": None}  # 0, or 128

invented = "5eed" * 10
asked = {name: lab.run(["git", "-C", str(repo), "rev-parse", "--verify", invented + end], check=False)
         for name, end in {"as they are": "", "with ^{commit}": "^{commit}"}.items()}
lab.predicted(prediction, {name: done.returncode for name, done in asked.items()})

# %% [markdown]
# Given 40 hex digits, plain `rev-parse` repeats them without looking, and reports success. Only `^{commit}` makes git open the object.
# "It looks like a commit id" and "it is a commit" are two statements.
#
# | name | who can make it mean other files | how you would notice |
# |---|---|---|
# | branch | anyone who may push | you would not: it is meant to move |
# | lightweight tag | anyone who may push tags | only by remembering the old id |
# | annotated tag | the same people | the same |
# | full commit id | nobody | – |
#
# What is simplified: a hosting site can protect tags, and GitHub's *immutable releases* lock a release's tag and
# files. These are rules of the site, kept by the owner of the repository. You cannot see from your workflow whether
# they hold. Week 2 pins a whole tree of actions, and shows what the pin leaves open.
#
# **You can now** read a command's exit code beside its text, tell the four kinds of name apart with `cat-file` and
# `rev-parse`, and say which of them can move: all but the commit id, by the hand of anyone who may push.
