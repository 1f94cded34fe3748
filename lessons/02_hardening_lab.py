# %% [markdown]
# # Week 2 lab · Harden it, and count what your hardening stops
#
# > On 19 March 2026 a thief moved 76 of the 77 tags of `trivy-action`, a security scanner's action. Whoever named a tag
# > ran the thief's code, beside their own secrets, for about 12 hours. [CVE-2026-33634]
#
# A workflow file is the access list of your release. In week 1 you named its weaknesses. Now you mend them, one control at
# a time, and each time you ask the same two things: *what does this stop*, and *what honest work does it break*?
#
# **You will** (4.5 h; each exercise says its minutes)
# - say who could read which secret in a run, step by step
# - make a stranger's words inert, pin actions to the bottom, and give each job the least it needs
# - split caches by who may write them, and accept a publisher by the workflow that signed
# - tell whom a protection reached that arrived by update
# - write the review that guards it all, and be scored by breaking your controls one by one
#
# **Before:** `02_anatomy`, `02_attacks`. **Deliverable:** `design_guide.md`, from the template at the end.
#
# Payloads here make a marker file or speak to a sink on loopback; secrets are fake.

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("02_hardening", seed=seed)

# %% [markdown]
# ## Who is in the room with the secret?
# A run is described by its event, by what the repository holds, and by its workflow. These rules are the platform's, and
# shortened; `02_anatomy` has them in full.
#
# 1. **Which secrets exist.** The repository's, in every run but one kind: `pull_request` from a fork has none. An
#    environment's exist only in jobs that name it, and no step of such a job runs before it is `open`.
# 2. **Who is handed one.** An expression in a step's own `env`, `with` or `run` hands it to that step; in the job's or the
#    workflow's `env`, to every step below. `${{ toJSON(secrets) }}` hands over all that exist there.
# 3. **A job with `uses:`** runs a reusable workflow's steps (listed in the job). The caller's workflow-level `env` does not
#    reach them, and secrets exist there only as passed: `secrets: inherit`, or the names of a mapping.
# 4. **The job's own token** counts, as `GITHUB_TOKEN`, if it may write anything but `id-token`. The job's `permissions` say;
#    without them the workflow's; without those, `default_token` for contents. It is handed to every step with `uses:`, to
#    a step that names `github.token` or `secrets.GITHUB_TOKEN`, and to all steps after a checkout that did not say
#    `persist-credentials: false`. A fork's `pull_request` has none.
# 5. **The job's identity** counts, as `OIDC`, in a job with `id-token: write`: handed to each of its steps. A fork's
#    `pull_request` has none.
# 6. **Within reach** is whatever another step of the same job is handed. Steps share a machine and a user; an earlier
#    step can leave a process waiting, a later one can look at what is left. Jobs share nothing.

# %%
from pprint import pprint

run = {
    "event": "pull_request_target", "head": "fork", "default_token": "read",
    "secrets": ["HUB_TOKEN"], "environments": {},
    "workflow": {"jobs": {"label": {"steps": [
        {"id": "size", "run": "python tests/size.py"},
        {"id": "label", "uses": "northwind-ml/labeler@v5", "with": {"token": "${{ secrets.HUB_TOKEN }}"}},
    ]}}},
}
pprint({"label/size": {"HUB_TOKEN": "within reach"}, "label/label": {"HUB_TOKEN": "given"}})

# %% [markdown]
# That is the answer for this run: two steps, one secret. The first step was handed nothing and may take it all the same.
#
# ## Exercise 2.1 — who could read which secret? (4 points)
# *20 min.* After an incident the first question is which secrets to revoke, and the answer is this matrix. Return, for
# every step of a run (`"job/step"`), what it could read: token name to `"given"` or `"within reach"`. A step that could
# read nothing has an empty dict.
# <details><summary>Hint 1</summary>Which one combination of event and origin has no secrets? Which combinations that look like it have?</details>
# <details><summary>Hint 2</summary>Per job: the set of secrets that exist there; then a set of "given" per step; their union is the room. `re.findall(r"secrets\.(\w+)", text)` finds the names in an expression.</details>

# %% tags=["exercise"]
import re


def readable(run: dict) -> dict[str, dict[str, str]]:
    """For each step, "job/step": token name to "given" or "within reach"."""
    ### BEGIN SOLUTION
    strangers = run["event"] == "pull_request" and run["head"] == "fork"
    workflow, matrix = run["workflow"], {}

    def handed(texts, there):
        text = " ".join(str(value) for value in texts)
        if "toJSON(secrets)" in text:
            return set(there)
        named = set(re.findall(r"secrets\.(\w+)", text))
        return (named | ({"GITHUB_TOKEN"} if "github.token" in text else set())) & there

    for name, job in workflow["jobs"].items():
        guard = run["environments"].get(job.get("environment"), {"secrets": [], "open": True})
        there = set(run["secrets"]) | set(guard["secrets"])
        if "uses" in job and job.get("secrets") != "inherit":
            there &= set(job.get("secrets", {}))
        may = job.get("permissions", workflow.get("permissions", {"contents": run["default_token"]}))
        writes = any(level == "write" for scope, level in may.items() if scope != "id-token")
        own = {"GITHUB_TOKEN"} if writes else set()
        around = [*job.get("env", {}).values()]
        around += [] if "uses" in job else workflow.get("env", {}).values()
        everybody = handed(around, there | own) | ({"OIDC"} if may.get("id-token") == "write" else set())
        given = {}
        for step in job["steps"]:
            texts = [*step.get("env", {}).values(), *step.get("with", {}).values(), step.get("run", "")]
            given[step["id"]] = everybody | handed(texts, there | own) | (own if "uses" in step else set())
            if step.get("uses", "").startswith("actions/checkout@"):
                everybody |= own if step.get("with", {}).get("persist-credentials", True) else set()
        room = set() if strangers or not guard["open"] else set().union(*given.values())
        for step, tokens in given.items():
            matrix[f"{name}/{step}"] = {t: "given" if t in tokens else "within reach" for t in room}
    return matrix
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.1", readable)

# %% tags=["wrong"]
# wrong: fork pull requests never see secrets -> a fork's pull_request_target
right = readable
def readable(run: dict) -> dict[str, dict[str, str]]:
    return right({**run, "event": "pull_request"} if run["head"] == "fork" else run)

# %% tags=["wrong"]
# wrong: a step reads what it is handed, and nothing else -> secrets at three levels
right = readable
def readable(run: dict) -> dict[str, dict[str, str]]:
    return {step: {t: how for t, how in row.items() if how == "given"} for step, row in right(run).items()}

# %% tags=["wrong"]
# wrong: an environment is a place for secrets, not a gate -> an environment that waits
right = readable
def readable(run: dict) -> dict[str, dict[str, str]]:
    opened = {name: {**e, "open": True} for name, e in run["environments"].items()}
    return right({**run, "environments": opened})

# %% [markdown] tags=["solution"]
# **Why.** "Given" is what you wrote; "within reach" is what you meant when you put steps into one job. The payload of
# March 2025 in `tj-actions/changed-files` was handed nothing: it read the runner's memory and found what the *other* steps
# had been given [reported by secondary sources]. So after an incident the whole column of the room is revoked, and in
# a design the question is not "which step gets the token?" but "who else is in this job?". The matrix is a lower bound.
# On our host, and on any runner whose machine lives on, the next job is in the room too.

# %% [markdown]
# ## Pasted, not passed
# `${{ … }}` is replaced before a shell starts (you saw it in `00e_workflows`). `play` runs a step as the platform does,
# in an empty directory: here a branch name that anyone may choose.

# %%
from chainlab.course.exercises.injections import play

weak = {"name": "note", "run": 'echo "branch: ${{ github.head_ref }}"'}
for branch in ("fix/typo", 'x";touch${IFS}marker;echo"'):
    played = play(weak, {"github.head_ref": branch}, lab.path)
    print(repr(played.output), "| a payload ran:", played.ran)

# %% [markdown]
# In August 2025 it was a pull request's *title*, in a `pull_request_target` workflow of Nx [CVE-2025-10894; the way in:
# secondary sources]; in December 2024 a branch name, at Ultralytics. Both lines looked like this one.
#
# ## Exercise 2.2 — make a stranger's words inert (4 points)
# *30 min.* Write the repair once, as a function from step to step: after it, every value that was pasted is printed as
# it is, whatever it contains, and nothing of it runs. Only `run` and `env` may change. The scripts are a few lines of
# bash without comments and here-documents; the expression can stand in double quotes, in single quotes, or in none. The
# check runs your step with honest and with hostile values.
# <details><summary>Hint 1</summary>Which characters would you have to forbid? Are there titles that need them?</details>
# <details><summary>Hint 2</summary>`env: {NAME: "${{ … }}"}` and `"${NAME}"`. Inside single quotes nothing is expanded: `'by '"${NAME}"' as asked'`. Walk through the script and keep track of the quote you are in; a backslash hides one character.</details>

# %% tags=["exercise"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def harden(step: dict) -> dict:
    """The step with every expression of its script passed in `env`."""
    ### BEGIN SOLUTION
    script, env, names = step["run"], dict(step.get("env", {})), {}

    def name_of(expression):
        if expression not in names:
            name = re.sub(r"\W+", "_", expression).strip("_").upper()
            while name in env:
                name += "_"
            names[expression], env[name] = name, "${{ " + expression + " }}"
        return names[expression]

    out, quote, place = "", "", 0
    while place < len(script):
        character = script[place]
        if found := EXPRESSION.match(script, place):
            variable = "${" + name_of(found[1]) + "}"
            out += {"": f'"{variable}"', '"': variable, "'": f"'\"{variable}\"'"}[quote]
            place = found.end()
        elif character == "\\" and quote != "'":
            out, place = out + script[place : place + 2], place + 2
        else:
            if character == quote:
                quote = ""
            elif character in "'\"" and not quote:
                quote = character
            out, place = out + character, place + 1
    return {**step, "run": out, "env": env} if env else dict(step)
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.2", harden)

# %% tags=["wrong"]
# wrong: quotes `${{ }}`, this time in single quotes -> a hostile title
def harden(step: dict) -> dict:
    return {**step, "run": step["run"].replace('"', "'")}

# %% tags=["wrong"]
# wrong: passes the value and does not look at the quotes around it -> no quotes at all
def harden(step: dict) -> dict:
    names = {text: f"VALUE_{i}" for i, text in enumerate(set(EXPRESSION.findall(step["run"])))}
    run = EXPRESSION.sub(lambda found: f"${names[found[1]]}", step["run"])
    return {**step, "run": run, "env": {name: "${{ " + text + " }}" for text, name in names.items()}}

# %% [markdown] tags=["solution"]
# **Why.** Quoting cannot help, because the quotes are part of the text that the value is pasted into. Filtering cannot
# either: `Don't`, `$HOME` and `*` are honest titles. Passing needs no list of bad characters. Three things it does *not*
# repair. A script that hands the variable to another reader (`python -c "print('$TITLE')"`, `eval`, an SQL string) opens
# the same hole one level on. A line like `echo "TITLE=$TITLE" >> "$GITHUB_ENV"` lets a body of several lines set variables
# for the steps that follow. And what the words *say* is still a stranger's: a bot that obeys a comment obeys anybody.

# %% [markdown]
# ## A tag is a promise, a commit is bytes
# The mirror of this exercise is a folder of bare git repositories, `OWNER/REPO.git`. Two helpers are given: `git` asks one
# a question, and `references` gives the places in a workflow or action file where another is named.

# %%
import yaml


def git(repository, *words):
    """What git answers about a bare repository; "" when it has no answer."""
    done = lab.run(["git", "--git-dir", repository, *words], check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def references(source):
    """The `uses:` of steps and jobs, as YAML nodes: .value, .start_mark.index, .end_mark.index."""
    root = {key.value: value for key, value in yaml.compose(source).value}
    jobs = [job for _, job in root["jobs"].value] if "jobs" in root else [root["runs"]]
    steps = [s for job in jobs for key, value in job.value if key.value == "steps" for s in value.value]
    return [value for part in jobs + steps for key, value in part.value if key.value == "uses"]

# %% [markdown]
# Three facts about names, which the check makes use of. An *annotated* tag is an object of its own and points to a commit.
# A fork's commits can be fetched under the original's name, so that a commit id alone does not say whose it is. And
# an action may name others, which run in your job.
#
# ## Exercise 2.3 — write the pinner (6 points)
# *45 min.* Return `text`, the file with every tag or branch of an action or reusable workflow replaced by its full commit
# id and a comment that says what it was (`@<40 hex>  # v3`), all else byte for byte; and `open`, the set of references that
# are still not bound, as `name@ref`: in this file, those that name no commit of that repository's own branches or tags
# (leave the line); at any depth below, in the commits you pinned, every reference by tag or branch and those that
# name no commit. Local actions (`./…`) and images (`docker://…`) are left alone.
# <details><summary>Hint 1</summary>`git cat-file -t v2.1.0` says "tag". What would a runner check out that is told to take a tag object?</details>
# <details><summary>Hint 2</summary>`rev-parse --verify --quiet refs/tags/v2^{commit}` peels; `for-each-ref --contains ID refs/heads refs/tags` says whether a commit is theirs; `show COMMIT:sub/action.yml` reads a file there. Replace from the end of the text, so that earlier places stay right.</details>

# %% tags=["exercise"]
from pathlib import Path


def pin(text: str, mirror: Path) -> dict[str, object]:
    """``text``: the file pinned; ``open``: the set of references that stay movable, nested ones included."""
    ### BEGIN SOLUTION
    def repository(name):
        return mirror / ("/".join(name.split("/")[:2]) + ".git")

    def commit_of(reference):
        name, _, ref = reference.partition("@")
        if re.fullmatch("[0-9a-f]{40}", ref):
            own = git(repository(name), "for-each-ref", "--contains", ref, "refs/heads", "refs/tags")
            return ref if own else ""
        names = [f"refs/{kind}/{ref}^{{commit}}" for kind in ("tags", "heads")]
        found = (git(repository(name), "rev-parse", "--quiet", "--verify", n) for n in names)
        return next(filter(None, found), "")

    def named(source):
        return [node for node in references(source) if not node.value.startswith(("./", "docker://"))]

    unbound, seen, queue = set(), set(), []
    for node in reversed(named(text)):
        name, _, ref = node.value.partition("@")
        commit = commit_of(node.value)
        if commit:
            queue.append((name, commit))
        else:
            unbound.add(node.value)
        if commit not in ("", ref):
            start, stop = node.start_mark.index, node.end_mark.index
            pinned = text[start:stop].replace(f"@{ref}", f"@{commit}")
            text = f"{text[:start]}{pinned}  # {ref}{text[stop:]}"
    while queue:
        name, commit = queue.pop()
        path = "/".join(name.split("/")[2:])
        file = path if path.endswith((".yml", ".yaml")) else f"{path}/action.yml".lstrip("/")
        inside = [] if (name, commit) in seen else named(git(repository(name), "show", f"{commit}:{file}"))
        seen.add((name, commit))
        for node in inside:
            inner = commit_of(node.value)
            unbound |= set() if inner and node.value.endswith(inner) else {node.value}
            queue += [(node.value.partition("@")[0], inner)] if inner else []
    return {"text": text, "open": unbound}
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.3", pin)

# %% tags=["wrong"]
# wrong: pins the tag object's id -> an annotated tag
def pin(text: str, mirror: Path) -> dict[str, object]:
    for node in reversed(references(text)):
        name, _, ref = node.value.partition("@")
        repository = mirror / ("/".join(name.split("/")[:2]) + ".git")
        found = git(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{ref}")
        pinned = text[node.start_mark.index : node.end_mark.index].replace(ref, found) + f"  # {ref}"
        text = text[: node.start_mark.index] + pinned + text[node.end_mark.index :]
    return {"text": text, "open": set()}

# %% tags=["wrong"]
# wrong: forty hex digits are enough -> a commit of a fork
right = pin
def pin(text: str, mirror: Path) -> dict[str, object]:
    found = right(text, mirror)
    return {**found, "open": {r for r in found["open"] if not re.search("@[0-9a-f]{40}$", r)}}

# %% tags=["wrong"]
# wrong: looks at its own file only -> a tag inside a pinned action
right = pin
def pin(text: str, mirror: Path) -> dict[str, object]:
    found = right(text, mirror)
    return {**found, "open": {reference for reference in found["open"] if reference in text}}

# %% [markdown] tags=["solution"]
# **Why.** A pin changes who decides. With `@v3` the owner of the tag decides on the day of the run, with a commit you
# decided, once. That holds if the commit is theirs, which is why a fork's commit is worse than a tag: it looks pinned. And it holds
# for the outer file only. Users of reviewdog's actions were hit "regardless of version or pinning method"
# [CVE-2025-30154], because the pin was kept by the outer action and broken inside. You cannot pin another owner's line. You can
# know it (`open`), ask for it, choose another action, or keep that job away from secrets. What no pin covers: files that a
# script fetches, packages, images by tag, a poisoned cache. `chainlab ci pin` does for a folder what your function does.

# %% [markdown]
# ## What may this job do, and what must it?
# All repositories of `acme` are internal: who reads one needs a right. `permissions:` of a job says what its token may do;
# a scope that is not named is none, `write` includes `read`. The scopes of this exercise:
#
# | scope | read | write |
# |---|---|---|
# | `contents` | clone this repository | push commits and tags, make releases |
# | `packages` | pull this owner's images | push them |
# | `pull-requests` | list and read them | label, comment, close |
# | `issues` | read | comment, label, close |
# | `actions` | see other runs and their artifacts | cancel and repeat runs |
# | `security-events` | read findings | upload findings |
# | `attestations` | – | store attestations with the platform |
# | `id-token` | – | ask for the job's identity, for trusted publishing or keyless signing |
#
# Caches and artifacts of the *same* run go through the run's own storage and need no scope.
#
# ## Exercise 2.4 — give each job the least it works with (3 points)
# *20 min.* A thief in a job has the job's rights. Given the steps of each job, return its `permissions`, scope to level.
# The check plays each job with what you grant; then it lowers every grant by one level, and some step must fail.
# <details><summary>Hint 1</summary>For each step: whom does it ask, as whom? Is there a step that asks with a key of its own?</details>
# <details><summary>Hint 2</summary>A list of (word in the step, scope, level), plus three that depend on `with`: a checkout with `repository`, a publish with `password`, a download with `run-id`.</details>

# %% tags=["exercise"]
def least(jobs: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    """For each job the permissions without which it fails: scope to "read" or "write"."""
    ### BEGIN SOLUTION
    asks = [
        ("git push", "contents", "write"),
        ("gh release", "contents", "write"),
        ("gh pr edit", "pull-requests", "write"),
        ("gh pr list", "pull-requests", "read"),
        ("gh issue", "issues", "write"),
        ("docker push", "packages", "write"),
        ("docker pull", "packages", "read"),
        ("sigstore sign", "id-token", "write"),
        ("acme/upload-findings", "security-events", "write"),
    ]
    result = {}
    for job, steps in jobs.items():
        needed = []
        for step in steps:
            text, inputs = step.get("run", step.get("uses")), step.get("with", {})
            needed += [(scope, level) for word, scope, level in asks if word in text]
            if "actions/checkout@" in text and "repository" not in inputs:
                needed.append(("contents", "read"))
            if "pypi-publish@" in text and "password" not in inputs:
                needed.append(("id-token", "write"))
            if "download-artifact@" in text and "run-id" in inputs:
                needed.append(("actions", "read"))
        result[job] = dict(sorted(needed, key=lambda need: need[1]))  # "write" comes after "read"
    return result
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.4", least)

# %% tags=["wrong"]
# wrong: read-all, because reading harms nobody -> a job that reads and tests
def least(jobs: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    return {job: "read-all" for job in jobs}

# %% tags=["wrong"]
# wrong: every publish gets an identity -> a token exchange, and a password
right = least
def least(jobs: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    extra = {job: {"id-token": "write"} for job, steps in jobs.items() if "pypi" in str(steps)}
    return {job: granted | extra.get(job, {}) for job, granted in right(jobs).items()}

# %% tags=["wrong"]
# wrong: a clone is a clone -> another internal repository
right = least
def least(jobs: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    clones = {job for job, steps in jobs.items() if "actions/checkout" in str(steps)}
    return {job: {"contents": "read"} | granted if job in clones else granted for job, granted in right(jobs).items()}

# %% [markdown] tags=["solution"]
# **Why.** `read-all` reads the findings of your scanners, the private images and other runs' artifacts: reading is what
# a spy wants. The other lesson is the last case. Its answer is right and the job is wrong: tests, which run whatever the
# dependencies bring, stand beside an identity that may sign and a token that may push. Least privilege per job cannot
# be better than the cut into jobs. Build in one job, hand the wheel over as an artifact, publish in another that runs no
# script at all. On our own host `permissions:` binds the kit's services and nothing else; see the table in
# `docs/architecture.md`.

# %% [markdown]
# ## Who may write what the release will read?
# A cache entry belongs to a *scope*, which is a ref. The platform's rules, shortened:
#
# - A run **writes** its own scope: `push` the pushed branch or tag, `pull_request` its own `refs/pull/N/merge`; `schedule`,
#   `workflow_dispatch`, and also `pull_request_target`, `issue_comment` and `workflow_run` the default branch's.
# - A run **reads** its own scope, then the default branch's: first the exact key, then the newest entry that begins with
#   the key, then with a restore key. An entry never changes.
# - Since 26 June 2026 the events that somebody without write access can cause have a token that only *reads* in the default
#   branch's scope. [GitHub changelog, read through a copy] Before that day they wrote, and other hosts still let them.
# - The right to write lies in the job's cache token. `key` and `save` are lines of a file that the attacker can read, and
#   need not follow.
#
# A job is a dict: `name`, `event`, `ref`, `runs_a_strangers_words` (it executes text or code that an outsider chose),
# `trusted` (it holds a secret or makes what you release), `runs_per_week`. The default branch is `refs/heads/main`.
#
# ## Exercise 2.5 — split the cache (5 points)
# *40 min.* In May 2026 one poisoned cache entry turned a project's own release into malware with valid provenance
# [TanStack's postmortem]. Return for each job `None` (no cache), or a dict with `key`, `restore_keys` (a list) and `save`. Templates
# may use `{os}`, `{lock}` (the lock file's digest), `{job}`, `{ref}`, `{sha}`, `{run}`. The check replays a poisoning under both
# rules, and then four weeks of honest work: no trusted job may restore the poison, and at least half of all runs must
# find a cache made for the present lock file.
# <details><summary>Hint 1</summary>The attacker is in a job and has its token. Which of your lines can the attacker ignore?</details>
# <details><summary>Hint 2</summary>For each trusted job: is there a job that runs a stranger's words and writes one of the (two) scopes it reads? A key answers another question: what is inside?</details>

# %% tags=["exercise"]
def design(jobs: list[dict]) -> dict[str, dict | None]:
    """A cache plan per job's name: None, or {"key", "restore_keys", "save"}."""
    ### BEGIN SOLUTION
    main = "refs/heads/main"
    strangers = {job["ref"] for job in jobs if job["runs_a_strangers_words"]}  # under the older rule
    plan = {"key": "{os}-{lock}", "restore_keys": [], "save": True}
    return {
        job["name"]: None if job["trusted"] and strangers & {job["ref"], main} else dict(plan)
        for job in jobs
    }
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.5", design)

# %% tags=["wrong"]
# wrong: deletes all caching -> tests only
def design(jobs: list[dict]) -> dict[str, dict | None]:
    return {job["name"]: None for job in jobs}

# %% tags=["wrong"]
# wrong: one key per job, as if a name were a wall -> a run on main that was injected
def design(jobs: list[dict]) -> dict[str, dict | None]:
    return {job["name"]: {"key": "{job}-{os}-{lock}", "restore_keys": [], "save": True} for job in jobs}

# %% tags=["wrong"]
# wrong: leans on the rule of June 2026 -> a stranger's event in main's scope
def design(jobs: list[dict]) -> dict[str, dict | None]:
    outside = {"pull_request_target", "issue_comment", "workflow_run"}
    strangers = {j["ref"] for j in jobs if j["runs_a_strangers_words"] and j["event"] not in outside}
    plan = {"key": "{os}-{lock}", "restore_keys": [], "save": True}
    return {j["name"]: None if j["trusted"] and strangers & {j["ref"], "refs/heads/main"} else plan for j in jobs}

# %% tags=["wrong"]
# wrong: nothing trusted may ever restore a cache -> no stranger can write here
def design(jobs: list[dict]) -> dict[str, dict | None]:
    plan = {"key": "{os}-{lock}", "restore_keys": [], "save": True}
    return {job["name"]: None if job["trusted"] else plan for job in jobs}

# %% [markdown] tags=["solution"]
# **Why.** A key says *what* is inside, a scope says *who* may have put it there. People separate by key because keys are
# what the file shows. In this exercise the release goes without a cache wherever a stranger can write what it reads,
# and that costs little: a release is rare. Many teams go further and never cache in a release, which is a good rule, because
# it needs no analysis and survives the next workflow that somebody adds; our training runs sixty times a week, and
# there you weigh it. What remains open: a trusted run that is itself injected, a pinned action that turns bad,
# and the runner's own disk, if it lives longer than a job. SLSA's Build L3 forbids that one build can poison another's
# cache; with a shared cache you are below it, whatever signs the provenance.

# %% [markdown]
# ## The workflow is the publisher
# With trusted publishing no password is left to steal. What is left is a question: which workflow do you believe? A CI
# certificate answers in Fulcio's extensions, `1.3.6.1.4.1.57264.1.N`. Here is a release signed as in week 1, and the
# fields that matter.

# %%
from cryptography import x509
from sigstore.errors import VerificationError
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy

verifier = Verifier(trusted_root=lab.trust.config.trusted_root)


def field(certificate, number):
    """The text of Fulcio's extension of that number, or None."""
    try:
        oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
        return certificate.extensions.get_extension_for_oid(oid).value.value[2:].decode()
    except x509.ExtensionNotFound:
        return None

# %%
from chainlab.course.exercises.publishers import claims_of
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

claims = claims_of("acme/triage-model", "release.yml", "refs/tags/v1.2.0", environment="release")
with SigningContext.from_trust_config(lab.trust.config).signer(IdentityToken(lab.trust.token(claims=claims))) as signer:
    signed = signer.sign_artifact(b"a wheel")
for number, name in ((8, "issuer"), (9, "build signer"), (12, "source repository"), (14, "source ref"),
                     (17, "owner id"), (18, "build config"), (23, "environment")):
    print(f".{number:<3} {name:18} {field(signed.signing_certificate, number)}")

# %% [markdown]
# *Build signer* is the file whose steps ran: for a reusable workflow, the shared file. *Build config* is the file that was
# started. The first two bytes of each extension are DER's tag and length; `field` cuts them off (as long as the text
# is shorter than 128 bytes, which is so here).
#
# ## Exercise 2.6 — accept one publisher and nobody else (5 points)
# *30 min.* Return whether `file` was signed, as `bundle` says, by this publisher: a dict with `issuer`, `repository`
# (`acme/…`), `owner_id`, `workflow` (the started file's name), `ref_prefix` (the source ref begins with it) and `environment`
# ("" accepts any and none). The check signs every case for real. Repositories live at `SERVER`.
# <details><summary>Hint 1</summary>The issuer signs for everybody on the platform. What must differ between your release and a stranger's fork of it, in a certificate that the stranger cannot choose?</details>
# <details><summary>Hint 2</summary>`policy.AllOf([...])` with `OIDCIssuerV2`, `OIDCSourceRepositoryURI`, `OIDCSourceRepositoryOwnerIdentifier`, `OIDCBuildConfigURI`; give it to `verifier.verify_artifact`. There is no class for the environment: use `field`.</details>

# %% tags=["exercise"]
SERVER = "https://git.chainlab.localhost"


def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    """Whether this publisher signed these bytes; ``bundle`` is Sigstore's JSON."""
    ### BEGIN SOLUTION
    signed = Bundle.from_json(bundle)
    certificate = signed.signing_certificate
    repository = f"{SERVER}/{publisher['repository']}"
    ref = field(certificate, 14) or ""
    wanted = [
        policy.OIDCIssuerV2(publisher["issuer"]),
        policy.OIDCSourceRepositoryURI(repository),
        policy.OIDCSourceRepositoryOwnerIdentifier(publisher["owner_id"]),
        policy.OIDCBuildConfigURI(f"{repository}/.github/workflows/{publisher['workflow']}@{ref}"),
    ]
    try:
        verifier.verify_artifact(file, signed, policy.AllOf(wanted))
    except VerificationError:
        return False
    named = publisher["environment"]
    return ref.startswith(publisher["ref_prefix"]) and named in ("", field(certificate, 23))
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.6", accept)

# %% tags=["wrong"]
# wrong: checks the issuer only -> another repository of the owner
def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    try:
        verifier.verify_artifact(file, Bundle.from_json(bundle), policy.OIDCIssuerV2(publisher["issuer"]))
    except VerificationError:
        return False
    return True

# %% tags=["wrong"]
# wrong: a name that begins right is right -> a name that begins alike
def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    certificate = Bundle.from_json(bundle).signing_certificate
    repository = f"{SERVER}/{publisher['repository']}"
    return (field(certificate, 8) == publisher["issuer"] and (field(certificate, 12) or "").startswith(repository)
            and publisher["workflow"] in (field(certificate, 18) or ""))

# %% tags=["wrong"]
# wrong: compares the certificate's name (SAN) and its environment -> a shared workflow, called by the release
def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    signed = Bundle.from_json(bundle)
    ref, named = field(signed.signing_certificate, 14) or "", publisher["environment"]
    san = f"{SERVER}/{publisher['repository']}/.github/workflows/{publisher['workflow']}@{ref}"
    try:
        verifier.verify_artifact(file, signed, policy.Identity(identity=san, issuer=publisher["issuer"]))
    except VerificationError:
        return False
    return ref.startswith(publisher["ref_prefix"]) and named in ("", field(signed.signing_certificate, 23))

# %% tags=["wrong"]
# wrong: reads the certificate and never verifies the signature -> the right certificate, other bytes
right = accept
def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    certificate = Bundle.from_json(bundle).signing_certificate
    ref, named = field(certificate, 14) or "", publisher["environment"]
    repository = f"{SERVER}/{publisher['repository']}"
    workflow = f"{repository}/.github/workflows/{publisher['workflow']}@{ref}"
    found = [field(certificate, number) for number in (8, 12, 17, 18)]
    return (found == [publisher["issuer"], repository, publisher["owner_id"], workflow]
            and ref.startswith(publisher["ref_prefix"]) and named in ("", field(certificate, 23)))

# %% [markdown] tags=["solution"]
# **Why.** "Signed by our CI" is what the issuer alone says, and it is true of every project on the platform. The owner's
# number is there because names are reused: an account is deleted, another takes the name, and every policy by name
# still matches; PyPI binds `repository_owner_id` for that reason. Two limits. The environment proves that a gate was passed
# only if you know its rules, and they are settings, not evidence. And this policy would have accepted TanStack's and
# Ultralytics' bad releases: the right workflow, at the right ref, built from a poisoned cache. Identity is one of
# five questions.

# %% [markdown]
# ## A pin is a promise to come back
# On 18 June 2026 `actions/checkout` v7 began to refuse a fork's pull-request code under `pull_request_target` and
# `workflow_run`, unless `allow-unsafe-pr-checkout: true`; a `git fetch` of your own never asks the action. [release notes]
# A backport to older majors was announced for July 2026; whether it came is not confirmed here [secondary sources], so
# each case of the exercise *says* which world it is in: look at `refs`, do not assume.
#
# A `state` is what a mirror knows at one moment: `parents` (commit to its parents), `refs` (tag or branch of
# `actions/checkout` to commit), `protection_added_by` (commits that brought it in; whatever descends from one has it) and
# `inside` (an action to the one reference that it calls). A user is a dict with `name`, `uses`, `with`, `run`; all of them run
# on `pull_request_target` and want the pull request's head.
#
# ## Exercise 2.7 — whom did the protection reach? (3 points)
# *15 min.* "We pinned everything, so we are safe." From what? Return the names of the users whose *next* run refuses a fork's
# head.
# <details><summary>Hint 1</summary>Write down who got the protection without doing anything, and who would have had to act. Is the first group the careless one?</details>
# <details><summary>Hint 2</summary>Follow `inside` until `actions/checkout`; a ref that is not in `refs` is a commit; walk `parents`. Then: switched off, or gone round?</details>

# %% tags=["exercise"]
def reached(state: dict, users: list[dict]) -> set[str]:
    """Names of the users whose next run refuses a fork's head."""
    ### BEGIN SOLUTION
    def has_it(commit):
        return commit in state["protection_added_by"] or any(map(has_it, state["parents"][commit]))

    found = set()
    for user in users:
        reference = user["uses"]
        while reference in state["inside"]:
            reference = state["inside"][reference]
        ref = reference.partition("@")[2]
        off = user["with"].get("allow-unsafe-pr-checkout") or "git fetch" in user["run"]
        if has_it(state["refs"].get(ref, ref)) and not off:
            found.add(user["name"])
    return found
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.7", reached)

# %% tags=["wrong"]
# wrong: the pinned ones -> versions and branches
def reached(state: dict, users: list[dict]) -> set[str]:
    return {user["name"] for user in users if re.search("@[0-9a-f]{40}$", user["uses"])}

# %% tags=["wrong"]
# wrong: those who write v7 or main, and no pin -> the pinned ones
def reached(state: dict, users: list[dict]) -> set[str]:
    return {user["name"] for user in users if user["uses"].partition("@")[2] in ("v7", "v7.0.0", "main")}

# %% tags=["wrong"]
# wrong: whoever has the code has the protection -> switched off, and gone round
right = reached
def reached(state: dict, users: list[dict]) -> set[str]:
    return right(state, [{**user, "with": {}, "run": ""} for user in users])

# %% [markdown] tags=["solution"]
# **Why.** A tag delivers what its owner sends, the theft of March 2026 and the protection of June alike; a pin delivers
# neither. So pinning is half a control, and the other half is a routine: a bot proposes the newer commit, a person reads
# the *difference between two commits* (that is what the comment with the version is for), the change waits some days unless
# it is a security fix, then it is merged. Measure it: how old is your oldest pin, and how long from a release to your merge?
# A pin that nobody renews protects you from everything that was found before you pinned.

# %% [markdown]
# ## A runner of your own, and another CI
# **Self-hosted runners.** A hosted runner is thrown away after the job. A machine of your own stays: a process, a cache, a
# changed tool or a credential on its disk is there for the next job, of whatever repository. So: no pull request of a
# stranger on it; one job per machine and then rebuilt; groups by trust, so that tests and releases never share one; no cloud
# role attached to the machine that every job inherits; its way out closed but for what jobs need. Our own host is such
# a runner. It makes a sandbox per job, and says in a table what that does not give.
#
# **The same controls elsewhere.** The questions stay, the words change:
#
# | question | GitHub Actions | GitLab CI |
# |---|---|---|
# | whose code, when? | `uses: …@commit` | `include:` of a project or component at a commit |
# | does a stranger's change meet secrets? | event: `pull_request` or `…_target` | protected variables: a merge request's pipeline has none |
# | who is this job? | `permissions: id-token: write` | `id_tokens:` with an `aud` each |
# | who opens it? | `environment:` with reviewers | protected environment |
# | who may write the cache? | scope by ref | separate caches for protected and other branches, by default since 14.10.1 |
#
# The last row had the same hole: before 14.10.1 any branch could write what a protected one read [GitLab issue 330047],
# and a setting turns the separation off again. Whatever the CI, ask 2.1, 2.5 and 2.6 of it.
#
# ## Sixteen controls, and a way to count them
# Here is a hardened set: five files, in which all of these hold. It differs with the seed. A *review* reads such a set and
# names every control that does not hold.
#
# | control | holds when |
# |---|---|
# | `unpinned` | every `uses:` of a step or job names a full commit id; local actions (`./`) excepted |
# | `foreign-commit` | `resolve(reference)` finds that commit in that repository (it gives None otherwise) |
# | `permissions` | the file says `permissions: {}`, every job has a block of named scopes, and none writes but `pull-requests`, `id-token` and, in a job with an environment, `packages` |
# | `identity` | a job with `id-token: write` has no `run:` |
# | `environment` | a job that has `id-token: write`, or names a secret other than `GITHUB_TOKEN`, names an environment |
# | `secrets` | no `secrets: inherit`, no `toJSON(secrets)` |
# | `injection` | a script has no `${{ }}` but `runner.…`, `matrix.…` and `github.sha` |
# | `pull-checkout` | a file that `pull_request_target`, `workflow_run` or `issue_comment` starts has no checkout, no `git fetch`, `clone` or `pull`, no `gh pr checkout` |
# | `artifact` | a file that `workflow_run` starts downloads no artifact (`actions/download-artifact`, `gh run download`) |
# | `credentials` | every checkout says `persist-credentials: false` |
# | `release-cache` | a file with an environment in it has no `actions/cache…` and no `cache:` input |
# | `cache-key` | in the others, a cache's key has `hashFiles(` in it, and there are no `restore-keys` |
# | `index` | no `--extra-index-url`, no variable with `EXTRA_INDEX` in its name |
# | `hashes` | every install by pip says `--require-hashes`, or is `--no-deps … .` |
# | `runner` | in a file that a pull request (or one of the three events above) starts, `runs-on` is an `ubuntu-…` label |
# | `commands` | `ACTIONS_ALLOW_UNSECURE_COMMANDS` is set nowhere |

# %%
import random

from chainlab.course.exercises.hardened import Workflows

hardened = Workflows.build(random.Random(seed)).texts()
print(", ".join(hardened))
print(hardened[".github/workflows/label.yml"])

# %% [markdown]
# Given to you: `opened` reads one file. Mind what `00e_workflows` said about `on`: PyYAML makes it True.

# %%
from chainlab.course.exercises.mutants import CONTROLS, bench, score


def opened(text):
    """A file's document, the set of its events, and its jobs."""
    document = yaml.safe_load(text)
    on = document.get("on", document.get(True))
    return document, {on} if isinstance(on, str) else set(on), document["jobs"]

# %% [markdown]
# ## Exercise 2.8 — write the review, and have its controls broken (10 points)
# *70 min, and the hard one.* A control that nobody checks is gone after the third hurried commit. Write the check:
# `workflows` maps paths to texts, `resolve` asks the mirror; return the controls that do not hold. You are scored by
# *mutants refused for the right reason × benign changes accepted*. A mutant breaks one control somewhere (naming one that
# holds is not the right reason); a benign change breaks none: a newer pin, a comment, a matrix, another form of `on`, quotes,
# anchors, an extra job. `bench(review)` lets the check try all of them; it passes at a score of 95 %, with every control caught
# at least once. Plan before you write: which of the sixteen need the text, which the parsed file, which the mirror?
# <details><summary>Hint 1</summary>How would your rule for `--extra-index-url` treat a comment that forbids it? And `persist-credentials: "false"`?</details>
# <details><summary>Hint 2</summary>Work on parsed YAML, job by job: all `run` texts of the job, all `env` names of file, job and steps, all `uses`. A dict from control to a condition keeps sixteen rules readable. `score(review)` (next cell) lists what you miss.</details>

# %% tags=["exercise"]
import json


def review(workflows: dict[str, str], resolve) -> list[str]:
    """The controls that do not hold in this set; empty when all do."""
    ### BEGIN SOLUTION
    strange = {"pull_request_target", "workflow_run", "issue_comment"}
    broken, full = set(), re.compile("@[0-9a-f]{40}$")
    for text in workflows.values():
        document, events, jobs = opened(text)
        releases = any("environment" in job for job in jobs.values())
        for job in jobs.values():
            steps, may = job.get("steps", []), job.get("permissions")
            may = may if isinstance(may, dict) else {"anything": "write"}
            named = [p["uses"] for p in [job, *steps] if not p.get("uses", "./").startswith("./")]
            shell = "\n".join(step["run"] for step in steps if "run" in step)
            variables = {name for part in [document, job, *steps] for name in part.get("env", {})}
            everything, pasted = json.dumps([job, document.get("env")]), re.findall(r"\$\{\{\s*(.*?)\s*\}\}", shell)
            caches = [step["with"] for step in steps if "actions/cache" in step.get("uses", "")]
            checkouts = [step.get("with", {}) for step in steps if "actions/checkout@" in step.get("uses", "")]
            installs = re.findall(r".*\bpip\s+install\b.*", shell)
            fetches = checkouts or re.search(r"git (fetch|clone|pull)|gh pr checkout", shell)
            downloads = "download-artifact@" in str(named) or "gh run download" in shell
            secrets = set(re.findall(r"secrets\.(\w+)", everything)) - {"GITHUB_TOKEN"}
            writes = {scope for scope, level in may.items() if level == "write"}
            fine = {"pull-requests", "id-token"} | ({"packages"} if "environment" in job else set())
            fails = {
                "unpinned": not all(map(full.search, named)),
                "foreign-commit": any(resolve(name) is None for name in named if full.search(name)),
                "permissions": document.get("permissions") != {} or writes - fine,
                "identity": "id-token" in writes and shell,
                "environment": "environment" not in job and (secrets or "id-token" in writes),
                "secrets": job.get("secrets") == "inherit" or "toJSON(secrets)" in everything,
                "injection": any(not re.fullmatch(r"(runner|matrix)\.\w+|github\.sha", e) for e in pasted),
                "pull-checkout": events & strange and fetches,
                "artifact": "workflow_run" in events and downloads,
                "credentials": any(str(c.get("persist-credentials")).lower() != "false" for c in checkouts),
                "release-cache": releases and (caches or any("cache" in s.get("with", {}) for s in steps)),
                "cache-key": not releases and any("restore-keys" in c or "hashFiles(" not in c["key"] for c in caches),
                "index": "--extra-index-url" in shell or "EXTRA_INDEX" in str(variables),
                "hashes": any(not re.search(r"--require-hashes|--no-deps.* \.$", line) for line in installs),
                "runner": events & {"pull_request", *strange} and "ubuntu-" != str(job.get("runs-on", "ubuntu-"))[:7],
                "commands": "ACTIONS_ALLOW_UNSECURE_COMMANDS" in variables,
            }
            broken |= {control for control, failed in fails.items() if failed}
    return sorted(broken)
    ### END SOLUTION

# %% tags=["check"]
lab.check("2.8", bench(review))

# %% tags=["wrong"]
# wrong: deny all: whatever is named must be checked by a person -> benign changes
def review(workflows: dict[str, str], resolve) -> list[str]:
    return list(CONTROLS)

# %% tags=["wrong"]
# wrong: accept all -> what a reference names
def review(workflows: dict[str, str], resolve) -> list[str]:
    return []

# %% tags=["wrong"]
# wrong: searches the text for the words of attacks -> benign changes
def review(workflows: dict[str, str], resolve) -> list[str]:
    text = "\n".join(workflows.values())
    words = {"unpinned": r"uses: \S+@v\d", "index": "--extra-index-url", "secrets": "inherit|toJSON",
             "runner": "self-hosted", "commands": "UNSECURE", "injection": r"\$\{\{ *github.event",
             "permissions": "write-all|contents: write", "credentials": "persist-credentials: true"}
    return [control for control, pattern in words.items() if re.search(pattern, text)]

# %% tags=["wrong"]
# wrong: knows every rule but asks the mirror nothing -> what a reference names
right = review
def review(workflows: dict[str, str], resolve) -> list[str]:
    return right(workflows, lambda reference: reference)

# %% [markdown] tags=["solution"]
# **Why.** A mutation score measures the guard, not the guarded. A review that refuses everything scores nothing because no
# one would keep it switched on, and one that greps for words fails on the first comment that quotes them. Note what
# the sixteen cannot see. They read files: what is a *setting* (who may push, who reviews the environment, which default the token
# has, whether actions are restricted) is invisible to them, and so is what the pinned code does. Nor do they know
# your next workflow's new danger: `zizmor`, which you ran in `02_anatomy`, has more rules than this and its authors add some.
# Keep yours for what is particular to your house, run both on every pull request, and protect the file that runs them.

# %% [markdown]
# The score by class, on variants that the check did not use. Points follow the same number: each group of controls and each
# of 60 %, 80 % and 95 % counts by itself where partial credit is given.

# %%
print(score(review, seed=seed))

# %% [markdown]
# ## Attack again
# Now the real project. The cell copies `triage-model` into your folder for this lab, once. Open its
# `.github/workflows` beside this notebook and harden them: your pinner, your rights, your cuts into jobs. Your review says
# what is left, with the CI host's own mirror behind `resolve`.

# %%
from chainlab.course.exercises.attacks import replay, resolver

mine = lab.path / "triage-model"
if not mine.exists():
    lab.copy("projects/triage-model")


def controls_broken(project):
    folder = project / ".github" / "workflows"
    return review({f.name: f.read_text() for f in sorted(folder.glob("*.y*ml"))}, resolver(lab))


print("mine:", ", ".join(controls_broken(mine)) or "none")
print("the kit's:", ", ".join(controls_broken(lab.data / "projects" / "hardened" / "triage-model")) or "none")

# %% [markdown]
# `data/projects/hardened` is one way, not the only one: it gave up the cache and the label bot's right to label. Where it
# differs from yours, one of you has a reason to write into the guide.
#
# Then the three attacks of `02_attacks`, against your copy, on the host: every tag that your workflows still name is moved
# by a thief; a stranger's pull request comes with commands for a title and a branch name; a stranger's run poisons what it
# may write, under the rule before 26 June 2026, and you release. What an attack won is read from the sink and from the
# wheel in the registry. Beside each stands the honest run it rides on. (1 to 2 minutes. While your workflows are still
# the weak ones, the kit's take their place.)

# %%
replay(lab, mine)

# %% [markdown]
# Six lines, and the indented ones matter as much as the others: hardening that stops the release is deny all. What the
# replay does *not* show: attacks that nobody wrote down yet, settings, and a maintainer who means harm.
#
# ## Hand in: the design guide, first version
# The cell copies the template, once. Fill it for *your* hardened `triage-model`.

# %%
import shutil

template = lab.data.parent / "templates" / "design_guide.md"
guide = lab.path / template.name
if not guide.exists():
    shutil.copy(template, guide)
print([line for line in guide.read_text().splitlines() if line.startswith("## ")])

# %% [markdown]
# **A reviewer will** take three of your controls and break each in a copy: does the test you name go red? · follow one
# threat through control, test and evidence · ask what each control does when it fails, open or closed, and who hears of it ·
# look for the option you rejected, and why · ask when a secret was last rotated, and try to find one that is not in your
# table. By the rubric, level 3 links threat → control → test → evidence, can be repeated, and names residual risk. Level 4
# adds rejected options, failure modes, rotation and cost, and works on the second project in week 8.
#
# **You can now** say who could read which secret in a run; make a stranger's words inert; pin to the bottom and say what stays
# open; give each job the least; split a cache by who may write it; accept one publisher; tell whom an update reached; and guard
# all of it by a check whose score you know. Next: `03_sbom`, what is inside the artifact.
