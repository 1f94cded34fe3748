# %% [markdown]
# # Primer A · Which files does a name name?
#
# > A commit id is a fact. A tag is a statement, and whoever made it can change it.
#
# **You will** (20 min: 7 reading, 13 doing)
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

# %%
import sys

done = lab.run([sys.executable, "-c", "print('all fine'); raise SystemExit(3)"], check=False)
print("text:", done.stdout.strip())
print("exit code:", done.returncode)

# %% [markdown]
# The text says "all fine" and the exit code says it is not. A pipeline believes the exit code: 0 is success, any
# other number is failure. It never reads the text. So a scanner that prints forty warnings and exits with 0 has,
# as far as the pipeline knows, found nothing.
#
# Note the shape of the call, too: a *list* of words, not one line of text. Each item reaches the program as one
# word, whatever is in it.

# %%
hostile = "main; echo I was run"
print(lab.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", hostile]).stdout.strip())

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
# **Stop and predict.** The maintainer's password leaks. The thief wants `v3` to mean other code. Will git ask for
# anything else? Will a user of v3 see a change?

# %%
before = git("show", "v3:action.sh")
(repo / "action.sh").write_text("echo harmless marker: the thief was here\n", newline="\n")
git("commit", "--quiet", "-am", "Tidy up")
print(git("tag", "--force", "v3", "HEAD"))
print("v3 ran:     ", before)
print("v3 runs now:", git("show", "v3:action.sh"))

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
# A user who had written the commit's id would have got:

# %%
print(git("show", f"{second}:action.sh"))

# %% [markdown]
# The old code. A full commit id names the same bytes tomorrow. It does not say that those bytes were ever good, and
# it says nothing about other actions that this one may call by tag.
#
# ## A tag that is an object of its own
# "Then use annotated tags. They carry a name, a date and a message, so they are real objects and cannot be moved."
# Half of that is right.

# %%
git("tag", "--annotate", "-m", "Release 4", "v4", second)
print("v4 is a", git("cat-file", "-t", "v4"))
print(git("cat-file", "-p", "v4"))

# %%
print("tag object:", git("rev-parse", "v4"))
print("commit:    ", git("rev-parse", "v4^{commit}"))

# %% tags=["check"]
assert git("rev-parse", "v4") != second == git("rev-parse", "v4^{commit}")  # the text says two ids

# %% [markdown]
# Two ids of 40 digits, and they differ. An annotated tag is an object that *points at* a commit. `rev-parse v4`
# gives the tag object; `v4^{commit}` peels it, layer by layer, until a commit is left. Scripts that turn tags into
# pins fall into this hole: they write the first number, and it is no commit at all.
#
# And can it be moved?

# %%
git("tag", "--force", "--annotate", "-m", "Release 4", "v4", "main")
print("v4 now names:", git("rev-parse", "v4^{commit}")[:10], "| before:", second[:10])

# %% tags=["check"]
assert git("rev-parse", "v4^{commit}") == git("rev-parse", "main") != second  # the text says it moved

# %% [markdown]
# It can. The old tag object still exists, but the *name* v4 now points at a new one. A signature on the tag helps only
# those who check it each time, which a `uses:` line does not; and even then the name can be moved to an older tag that
# was signed as well.
#
# ## A last look: digits that nobody made
# Here is a trap for those who automate. We ask git for 40 digits that we invented.

# %%
invented = "5eed" * 10
print("rev-parse says:", git("rev-parse", "--verify", invented)[:12], "…")
asked = lab.run(["git", "-C", str(repo), "rev-parse", "--verify", invented + "^{commit}"], check=False)
print("and as a commit:", "found" if asked.returncode == 0 else f"no such commit (exit {asked.returncode})")

# %% [markdown]
# Given 40 hex digits, plain `rev-parse` repeats them without looking. Only `^{commit}` makes git open the object.
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
