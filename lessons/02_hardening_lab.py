# %% [markdown]
# # Week 2 lab · Harden it, and count what your hardening stops
#
# > On 19 March 2026 a thief moved 76 of the 77 tags of `trivy-action`, a security scanner's action. Whoever named one
# > of them ran the thief's code, beside their own secrets, for about 12 hours. [CVE-2026-33634]
#
# A workflow file is the access list of your release. In week 1 you named its weaknesses. Now you mend them, one control
# at a time, and each time you ask the same two things: *what does this stop*, and *what honest work does it break*?
#
# **You will** (4.5 h; each exercise says its minutes)
# - say who could read which secret in a run, step by step
# - make a stranger's words inert, pin actions to the bottom, and give each job the least it needs
# - split caches by who may write them, and accept a publisher by the workflow that signed
# - tell whom a protection reached that arrived by update
# - write the review that guards it all, and be scored by breaking your controls one by one
#
# **Before:** `02_anatomy`, `02_attacks`, `02_evidence`. **Deliverable:** `design_guide.md`, from the template at the end.
#
# Each check calls your function on visible cases and on cases made from `seed`, so only a rule passes. When a case
# fails, `lab.case("2.1", "a reusable workflow")` gives what your function was given there, to play with.
# `lab.hint("2.1")` gives one hint at a time. Afterwards `solutions/02_hardening.ipynb` has another way to do it, and
# under each exercise why it works and what it does not prove: read it once your own answer is right, or to begin again.
#
# The exercises stand alone: each begins with its own rules, and a break between two of them loses nothing.
#
# Payloads here make a marker file, or speak to a *sink*: a small server on this machine that collects what it is sent.
# Secrets are fake.

# %% tags=["parameters"]
seed = 1

# %%
import json
import random
import re
from pathlib import Path
from pprint import pprint

import yaml

import chainlab

lab = chainlab.open("02_hardening", seed=seed)

# %% [markdown]
# ## Who is in the room with the secret?
# A run comes to you as a dict:
#
# | key | value |
# |---|---|
# | `event` | `push`, `pull_request` or `pull_request_target` |
# | `head` | where the change comes from: `same repository` or `fork` |
# | `default_token` | the repository's setting for a workflow without `permissions`: `read` or `write` |
# | `secrets` | the names of the repository's secrets |
# | `environments` | name to `{"secrets": [names], "open": True or False}`; open: its rules are met, its reviewer said yes |
# | `workflow` | the parsed file: `jobs`, perhaps `env` and `permissions` (always a dict here). Every step has an `id` |
#
# The rules are the platform's, shortened; `02_anatomy` has them in full. Do not learn six rules at once. Read 1, 2 and
# 6, write them down as code, and run the check: its first cases need no more. Then it tells you which rule is next.
#
# 1. **Which secrets exist.** The repository's exist in every run but one kind: a fork's `pull_request` has none,
#    neither the repository's nor an environment's. An environment's exist only in jobs that name it
#    (`environment: release`). A job whose environment is not open has not begun: its steps can read nothing at all.
# 2. **Who is handed one.** An expression `${{ secrets.NAME }}` in a step's own `env`, `with` or `run` hands it to that
#    step. In the `env` of a job or of the workflow it hands it to every step below. `${{ toJSON(secrets) }}` hands over
#    all that exist there.
# 3. **A job with `uses:`** runs the steps of a reusable workflow; here they are listed in the job. The caller's
#    workflow-level `env` does not reach them. Secrets exist there only as the job passes them: all with
#    `secrets: inherit`, or the names in a mapping. Without either, none.
# 4. **The job's own token** counts, as `GITHUB_TOKEN`, if it may write anything besides `id-token`. The job's
#    `permissions` decide; without them the workflow's; without those, `default_token`, for `contents`. A fork's
#    `pull_request` has no token that counts. It is handed to
#    - every step with `uses:`, unasked;
#    - a step that names `github.token` or `secrets.GITHUB_TOKEN`, as by rule 2;
#    - all steps after an `actions/checkout` without `persist-credentials: false`, which leaves it in `.git/config`.
#      What an action gets is text: `false` and `"false"` are one to it.
# 5. **The job's identity** counts, as `OIDC`, in a job with `id-token: write`. It is handed to each of its steps. A
#    fork's `pull_request` has none.
# 6. **Within reach** is whatever another step of the same job is handed. Steps share a machine and a user: an earlier
#    step can leave a process waiting, a later one can look at what is left. Jobs share no machine.

# %%
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
# That is the answer for this run. The action was handed the secret. The script was handed nothing, and can take it all
# the same. Neither has `GITHUB_TOKEN`, because the token here only reads.
#
# ## Exercise 2.1 — who could read which secret? (4 points)
# *20 min.* After an incident the first question is which secrets to revoke, and the answer is this matrix. Return, for
# every step of a run (`"job/step"`, by the step's `id`), what it could read: a dict from token name to `"given"` or
# `"within reach"`. It is empty for a step that could read nothing.
# <details><summary>Hint 1</summary>Which one combination of event and origin has no secrets? Which combinations that look like it have?</details>
# <details><summary>Hint 2</summary>Per job: the set of secrets that exist there; then a set of "given" per step; their union is the room. `re.findall(r"secrets\.(\w+)", text)` finds the names in an expression.</details>

# %% tags=["exercise"]
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
                keeps = str(step.get("with", {}).get("persist-credentials")).lower() != "false"
                everybody |= own if keeps else set()
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
# March 2025 in `tj-actions/changed-files` was handed nothing: it read the runner's memory and found what the *other*
# steps had been given [reported by secondary sources]. So after an incident the whole column of the room is revoked,
# and in a design the question is not "which step gets the token?" but "who else is in this job?". The matrix is a lower
# bound. It leaves out the runtime token, for caches and artifacts, which you saw in `02_anatomy`. And where a runner's
# machine lives on after a job, the next job is in the room too.

# %% [markdown]
# ## Pasted, not passed
# `${{ … }}` is replaced before a shell starts (you saw it in `00e_workflows`). `play(step, values, folder)` runs a step
# as the platform does, in an empty directory. A payload that runs leaves a file there. Here the value is a branch name,
# which anyone may choose. A branch name can hold no space; `${IFS}` is one to a shell.

# %%
from chainlab.course.exercises.week2.ex2_injection import play

weak = {"name": "note", "run": 'echo "branch: ${{ github.head_ref }}"'}
for branch in ("fix/typo", 'x";touch${IFS}marker;echo"'):
    played = play(weak, {"github.head_ref": branch}, lab.path)
    print(repr(played.output), "| a payload ran:", played.ran)

# %% [markdown]
# The second name printed `x` and an empty line: its quote ended our `echo`, `touch` ran, and a second `echo` took what
# was left. In August 2025 it was a pull request's *title*, in a `pull_request_target` workflow of Nx [CVE-2025-10894;
# the way in: secondary sources]. In December 2024 it was a branch name, at Ultralytics [PyPI; details: secondary
# sources].
#
# ## Exercise 2.2 — make a stranger's words inert (4 points)
# *30 min.* Write the repair once, as a function from step to step. After it, every value is printed as it is, whatever
# it contains, and nothing of it runs.
#
# - Only the step's `run` and `env` may change; what `env` has already stays.
# - The scripts are a few lines of bash, without comments, here-documents (`<<END`) and `$(…)`.
# - An expression can stand in double quotes, in single quotes, or in none.
#
# The check runs your step with honest and with hostile values. `EXPRESSION` finds an expression; its group 1 is what
# stands between the braces.
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
# either: `Don't`, `$HOME` and `*` are honest titles. Passing needs no list of bad characters.
#
# Pass it in the *step's* `env`, not in the job's. Fewer programs see it, and on our host it is a matter of safety:
# `act` evaluates the `env` of a job or workflow twice, so a title with `${{ }}` in it would be evaluated as yours
# (`docs/ci-platform.md`).
#
# Three things this does *not* repair. A script that hands the variable to another reader (`python -c
# "print('$TITLE')"`, `eval`, an SQL string) opens the same hole one level on. A line like `echo "TITLE=$TITLE" >>
# "$GITHUB_ENV"` lets a text of several lines set variables for the steps that follow. And what the words *say* is still
# a stranger's: a bot that obeys a comment obeys anybody.

# %% [markdown]
# ## A tag is a promise, a commit is bytes
# A *mirror* is a copy of other people's repositories. Here it is a folder of bare git repositories (history without a
# working copy), `OWNER/REPO.git`. Two helpers are given. `git` asks one repository a question. `references` finds the
# places in a workflow or action file where another is named.

# %%
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
# Four facts about names:
#
# - `acme/tools/lint@v2` is the folder `lint` of the repository `acme/tools`; the action's file is `lint/action.yml`, or
#   `lint/action.yaml`. A reusable workflow's path is the file itself, `acme/workflows/.github/workflows/notes.yml@v2`.
# - An *annotated* tag is an object of its own, with an id of its own, that points to a commit. Where a tag and a branch
#   have one name, git takes the tag.
# - A fork's commits can be fetched under the original's name. So a commit id alone does not say whose it is.
# - An action may name other actions, and two may name each other. They run in your job, with what your job holds.
#
# ## Exercise 2.3 — write the pinner (6 points)
# *45 min.* A reference is *bound* when it is a full commit id that a branch or tag of that very repository contains.
# Return a dict with two keys.
#
# - `text`: the file, pinned. Every tag or branch of an action or reusable workflow becomes its full commit id, with a
#   comment at the end of its line that says what it was (`@<40 hex>  # v3`). All else stays byte for byte, quotes
#   included.
# - `open`: the set of references that are still not bound, as written (`name@ref`). From this file, those for which the
#   mirror has no commit, and commit ids that only a fork has; leave their lines alone. From inside every action that is
#   bound now, whether you pinned it or it was bound before, at any depth: every reference that is not bound. Follow a
#   tag there too, to the commit that it names today.
#
# Local actions (`./…`) and images (`docker://…`) are left alone.
# <details><summary>Hint 1</summary>`git cat-file -t v2.1.0` says "tag". What is the id of a tag object good for, where a workflow wants a commit?</details>
# <details><summary>Hint 2</summary>`rev-parse --verify --quiet refs/tags/v2^{commit}` peels; `for-each-ref --contains ID refs/heads refs/tags` says whether a commit is theirs; `show COMMIT:sub/action.yml` reads a file there. Replace from the end of the text, so that earlier places stay right.</details>

# %% tags=["exercise"]
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
            pinned, (rest, *below) = text[start:stop].replace(f"@{ref}", f"@{commit}"), text[stop:].split("\n")
            text = "\n".join([f"{text[:start]}{pinned}{rest}  # {ref}", *below])
    while queue:
        name, commit = queue.pop()
        path = "/".join(name.split("/")[2:])
        files = [f"{path}/action.yml".lstrip("/"), f"{path}/action.yaml".lstrip("/")]
        if path.endswith((".yml", ".yaml")):
            files = [path]
        found = [] if (name, commit) in seen else [git(repository(name), "show", f"{commit}:{f}") for f in files]
        seen.add((name, commit))
        for node in (node for source in found if source for node in named(source)):
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
# **Why.** A pin changes who decides. With `@v3` the owner of the tag decides, on the day of the run. With a commit you
# decided, once. That holds only if the commit is theirs: a fork's commit is worse than a tag, because it looks pinned.
# And it holds for the outer file only. Users of reviewdog's actions were hit "regardless of version or pinning method"
# [CVE-2025-30154]: the outer pin held, and inside it stood a tag. You cannot pin another owner's line. You can know it
# (`open`), ask for it, choose another action, or keep that job away from secrets. What no pin covers: files that a
# script fetches, packages, images by tag, a poisoned cache. `chainlab ci pin` does for a folder what your function
# does.

# %% [markdown]
# ## What may this job do, and what must it?
# All repositories of `acme` are internal: to read one takes a right. A job's `permissions:` say what its token may do.
# A scope that is not named is none; `write` includes `read`. The scopes of this exercise:
#
# | scope | read | write |
# |---|---|---|
# | `contents` | clone this repository | push commits and tags, make releases |
# | `packages` | pull this owner's images | push them |
# | `pull-requests` | list and read them | label, comment, close |
# | `issues` | read | comment, label, close |
# | `actions` | see other runs and their artifacts | cancel and repeat runs |
# | `security-events` | read findings | upload findings |
# | `attestations` | list attestations | store them with the platform |
# | `id-token` | – | ask for the job's identity, for trusted publishing or keyless signing |
#
# Caches and artifacts of the *same* run go through the run's own storage and need no scope. `docker` is logged in with
# the job's token. These are all the kinds of steps that occur:

# %%
from chainlab.course.exercises.week2.ex4_permissions import samples

print(*samples(random.Random(seed)), sep="\n")

# %% [markdown]
# Some of them ask the platform for nothing: a test, a cache. Some ask with a key of their own, and not with the job's
# token. And the same action can need a right or not, depending on its inputs.
#
# ## Exercise 2.4 — give each job the least it works with (3 points)
# *20 min.* A thief in a job has the job's rights. Given jobs, name to list of steps, return for each its `permissions`:
# scope to `"read"` or `"write"`.
# The check plays each job with what you grant: every step must pass. Then it lowers each grant by one level: some step
# must fail.
# <details><summary>Hint 1</summary>For each step: whom does it ask, as whom? Which two of the steps above bring a key of their own?</details>
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
        result[job] = dict(sorted(needed))  # of one scope, "write" comes after "read"
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
# a spy wants. The other lesson is the case "a release in one job". Its answer is right and the job is wrong: tests,
# which run whatever the dependencies bring, stand beside an identity that may sign and a token that may push. Least
# privilege per job cannot be better than the cut into jobs. Build in one job, hand the wheel over as an artifact,
# publish in another that runs no script at all. On our own host `permissions:` binds the kit's services only, and some
# scopes open nothing; see the last table of `docs/ci-platform.md`.

# %% [markdown]
# ## Who may write what the release will read?
# A cache entry belongs to a *scope*, which is a ref. The platform's rules, shortened:
#
# - A run **writes** its own scope: the ref it runs on. For `push` that is the branch or tag, for `workflow_dispatch`
#   the chosen branch, for `pull_request` its own `refs/pull/N/merge`. `schedule`, `pull_request_target`,
#   `issue_comment` and `workflow_run` run on the default branch, so they write the default branch's scope.
# - A run **reads** its own scope, then the default branch's: in each first the exact key, then the newest entry that
#   begins with the key, then the newest that begins with a restore key. An entry never changes.
# - Since 26 June 2026 the events that somebody without write access can cause have a token that only *reads* in the
#   default branch's scope. [GitHub changelog, read through a copy] Before that day they wrote, and other hosts still
#   let them.
# - The right to write lies in the job's cache token. `key` and `save` are lines of a file that the attacker can read
#   and need not follow.
#
# A job is a dict: `name`, `event`, `ref`, `runs_a_strangers_words` (it executes text or code that an outsider chose),
# `trusted` (it holds a secret or makes what you release), `runs_per_week`. The default branch is `refs/heads/main`.
# Three jobs, and one plan for all of them, as many projects have it:

# %%
from chainlab.course.exercises.week2.ex5_cache_scopes import BEFORE, CURRENT, hit_rate, poisoned

jobs = [
    {"name": name, "event": event, "ref": ref, "runs_a_strangers_words": strange, "trusted": trusted,
     "runs_per_week": runs}
    for name, event, ref, strange, trusted, runs in [
        ("test", "push", "refs/heads/main", False, False, 14),
        ("greet", "pull_request_target", "refs/heads/main", True, False, 6),
        ("release", "push", "refs/tags/v1.2.0", False, True, 1),
    ]
]
same_for_all = {job["name"]: {"key": "{os}-{lock}", "restore_keys": [], "save": True} for job in jobs}
for rule in (BEFORE, CURRENT):
    print(f"{rule}: {poisoned(jobs, same_for_all, rule) or 'nothing poisoned'}")
print(f"runs that find a cache: {hit_rate(jobs, same_for_all):.0%}")

# %% [markdown]
# It is fast. Under the older rule the release restores what `greet` wrote; under the present one it does not. Nobody at
# acme changed a line in between.
#
# ## Exercise 2.5 — split the cache (5 points)
# *40 min.* In May 2026 one poisoned cache entry turned a project's own release into malware with valid provenance
# [TanStack's postmortem]. Return for each job's name `None` (no cache), or a dict with `key`, `restore_keys` (a list)
# and `save` (True or False). Keys are templates and may use `{os}`, `{lock}` (the lock file's digest), `{job}`,
# `{ref}`, `{sha}` (the commit) and `{run}` (the run's number). The check asks two things:
#
# - a replayed poisoning, under *both* rules: no trusted job may restore the poison;
# - four weeks of honest work: at least half of all runs must find a cache made for the present lock file.
# <details><summary>Hint 1</summary>The attacker is in a job and has its token. Which of your lines can the attacker ignore?</details>
# <details><summary>Hint 2</summary>For each trusted job: which two scopes does it read, and does a job that runs a stranger's words write one of them? A key answers another question: what is inside?</details>

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
# **Why.** A key says *what* is inside, a scope says *who* may have put it there. People separate by key because keys
# are what the file shows. In this exercise the release goes without a cache wherever a stranger can write what it
# reads, and that costs little: a release is rare. Many teams go further and never cache in a release. That is a good
# rule: it needs no analysis and survives the next workflow that somebody adds. Our training runs sixty times a week,
# and there you weigh it. What remains open: a trusted run that is itself injected, a pinned action that turns bad, and
# the runner's own disk, if it lives longer than a job. SLSA's Build L3 forbids that one build can poison another's
# cache; with a shared cache you are below it, whatever signs the provenance.

# %% [markdown]
# ## The workflow is the publisher
# With *trusted publishing* the index accepts an upload by the job's identity, so no password is left to steal. What is
# left is a question: which workflow do you believe? The certificate of a CI job answers. Fulcio, the certificate
# authority, copies the claims of the job's token into numbered fields, `1.3.6.1.4.1.57264.1.N`. `field` reads one; the
# cell after it signs a release as in week 1 and prints those that matter.

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
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

token = lab.trust.workflow_token("acme/triage-model", "release.yml", "refs/tags/v1.2.0", environment="release")
with SigningContext.from_trust_config(lab.trust.config).signer(IdentityToken(token)) as signer:
    signed = signer.sign_artifact(b"a wheel")
for number, name in ((8, "issuer"), (9, "build signer"), (12, "source repository"), (14, "source ref"),
                     (17, "owner id"), (18, "build config"), (23, "environment")):
    print(f".{number:<3} {name:18} {field(signed.signing_certificate, number)}")

# %% [markdown]
# *Build config* is the workflow file that was started. *Build signer* is the file whose steps ran, and the
# certificate's own name (SAN) says the same. Here they are one file; where a job calls a reusable workflow, the signer
# is the shared file. (The first two bytes of each field are DER's tag and length, which `field` cuts off. That is right
# for texts shorter than 128 bytes, as all are here.)
#
# ## Exercise 2.6 — accept one publisher and nobody else (5 points)
# *30 min.* Return whether this publisher signed `file`, as `bundle` claims. A publisher is a dict:
#
# | key | what the certificate has to say |
# |---|---|
# | `issuer` | the issuer, exactly |
# | `repository` | `acme/…`: the source repository is `SERVER/acme/…` |
# | `owner_id` | the owner's number |
# | `workflow` | the name of the started file, in `.github/workflows/` of that repository, at the source ref |
# | `ref_prefix` | the source ref begins with it |
# | `environment` | the environment; `""` accepts any, and none |
#
# The check signs every case for real.
# <details><summary>Hint 1</summary>The issuer signs for everybody on the platform. What must differ between the certificate of your release and that of a stranger's fork, and which of it can the stranger not choose?</details>
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
# wrong: reads the certificate, and believes the bundle's own digest -> the same claims, from an instance of Mallory's
def accept(file: bytes, bundle: str, publisher: dict[str, str]) -> bool:
    import base64, hashlib
    noted = json.loads(bundle)["messageSignature"]["messageDigest"]["digest"]
    if base64.b64decode(noted) != hashlib.sha256(file).digest():
        return False
    certificate = Bundle.from_json(bundle).signing_certificate
    ref, named = field(certificate, 14) or "", publisher["environment"]
    repository = f"{SERVER}/{publisher['repository']}"
    workflow = f"{repository}/.github/workflows/{publisher['workflow']}@{ref}"
    found = [field(certificate, number) for number in (8, 12, 17, 18)]
    return (found == [publisher["issuer"], repository, publisher["owner_id"], workflow]
            and ref.startswith(publisher["ref_prefix"]) and named in ("", field(certificate, 23)))

# %% [markdown] tags=["solution"]
# **Why.** "Signed by our CI" is what the issuer alone says, and it is true of every project on the platform. The
# owner's number is there because names are reused: an account is deleted, another takes the name, and every policy by
# name still matches. PyPI binds `repository_owner_id` for that reason. Two limits. The environment proves that a gate
# was passed only if you know its rules, and they are settings, not evidence. And a policy like this one, with their
# names in it, would have accepted TanStack's bad releases and the first two of Ultralytics: the right workflow of the
# right repository, with a poisoned cache. Identity is one of the five questions.

# %% [markdown]
# ## A pin is a promise to come back
# On 18 June 2026 `actions/checkout` v7 began to refuse a fork's pull-request code under `pull_request_target` and
# `workflow_run`, unless `allow-unsafe-pr-checkout: true`. A `git fetch` of your own never asks the action. On 20 July
# 2026 the refusal came to the older majors too, v2 to v6 but not v1, as v4.4.0, v5.1.0 and v6.1.0. [release notes] Some
# cases here are of June, others of today. So each *says* which commits have it: look, do not assume.
#
# A `state` is what a mirror knows at one moment:
#
# | key | value |
# |---|---|
# | `parents` | commit to the list of its parents, of `actions/checkout` |
# | `refs` | tag or branch of `actions/checkout` to commit |
# | `protection_added_by` | the commits that brought the protection in; a commit has it if one of them is among its ancestors, or is itself |
# | `inside` | another action to the one reference that it calls |
#
# A user is a workflow: a dict with `name`, `uses`, `with` and `run`. An input in `with` is text to the action, so
# `true` and `"true"` are one. All of them run on `pull_request_target` and want the pull request's head. A small
# state, with ids of two letters:

# %%
state = {
    "parents": {"a1": [], "b2": ["a1"], "c3": ["b2"]},
    "refs": {"v6": "a1", "v7": "c3"},
    "protection_added_by": ["b2"],
    "inside": {"acme/prepare@v1": "actions/checkout@v6"},
}
users = [
    {"name": "size", "uses": "actions/checkout@v7", "with": {}, "run": "make size"},
    {"name": "docs", "uses": "acme/prepare@v1", "with": {}, "run": "make docs"},
]
pprint({"size"})

# %% [markdown]
# `size` gets commit `c3`, whose parent brought the protection in. `docs` gets `a1`, through an action that calls v6.
#
# ## Exercise 2.7 — whom did the protection reach? (3 points)
# *15 min.* "We pinned everything, so we are safe." From what? Return the set of names of the users whose *next* run
# refuses a fork's head.
# <details><summary>Hint 1</summary>Write down who got the protection without doing anything, and who would have had to act. Is the first group the careless one?</details>
# <details><summary>Hint 2</summary>Follow `inside` until `actions/checkout`; a ref that is not in `refs` is a commit; walk `parents`, all of them. Then read `with` and `run`: is the protection in force?</details>

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
        off = str(user["with"].get("allow-unsafe-pr-checkout")).lower() == "true"
        if has_it(state["refs"].get(ref, ref)) and not off and "git fetch" not in user["run"]:
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
# neither. So pinning is half a control. The other half is a routine: a bot proposes the newer commit; a person reads
# the *difference between two commits* (the comment says which versions they are); the change waits some days, unless it
# is a security fix; then it is merged. Measure it: how old is your oldest pin, and how long from a release to your
# merge? A pin that nobody renews protects you from everything that was found before you pinned.

# %% [markdown]
# ## A runner of your own, and another CI
# **Self-hosted runners.** A hosted runner is thrown away after the job. A machine of your own stays: a process, a
# cache, a changed tool or a credential on its disk is there for the next job, of whatever repository. Five rules:
#
# - no stranger's pull request on it;
# - one job per machine, which is then rebuilt;
# - groups by trust, so that tests and releases never share one;
# - no cloud role attached to the machine, for every job would inherit it;
# - its way out closed, but for what jobs need.
#
# Our own host is such a runner. It makes a sandbox per job; the last table of `docs/ci-platform.md` says what that does
# not give.
#
# **The same controls elsewhere.** The questions stay, the words change:
#
# | question | GitHub Actions | GitLab CI |
# |---|---|---|
# | whose code, when? | `uses: …@commit` | `include:` of a project or component at a commit |
# | does a stranger's change meet secrets? | event: `pull_request` or `…_target` | protected variables: only pipelines of protected branches and tags have them |
# | who is this job? | `permissions: id-token: write` | `id_tokens:` with an `aud` each |
# | who opens it? | `environment:` with reviewers | protected environment |
# | who may write the cache? | scope by ref | separate caches for protected and other branches, by default since 14.10.1 |
#
# The last row had the same hole: before 14.10.1 any branch could write what a protected one read [GitLab issue 330047],
# and a setting turns the separation off again. Whatever the CI, ask 2.1, 2.5 and 2.6 of it.
#
# ## Sixteen controls, and a way to count them
# You are given a hardened set: five files, in which all of the following hold. It differs with the seed. A *review*
# reads such a set and names every control that does not hold. A *script* is the text of a step's `run`; a step's name
# or a comment is none. *Outside events* are `pull_request_target`, `workflow_run` and `issue_comment`, which a stranger
# can cause and which run with what the repository holds.
#
# They come in six groups, and the check marks one group after the other. Write a group, run the check, go on: after
# each it names the one that is next.
#
# **1. What a reference names**
#
# | control | holds when |
# |---|---|
# | `unpinned` | every `uses:` of a step or job names a full commit id; local actions (`./`) excepted |
# | `foreign-commit` | `resolve(reference)` finds that commit in that repository (it gives None otherwise) |
#
# **2. What a job holds**
#
# | control | holds when |
# |---|---|
# | `permissions` | the file says `permissions: {}`, every job has a block of named scopes (no `read-all`), and none writes but `pull-requests`, `id-token` and, in a job with an environment, `packages` |
# | `identity` | a job with `id-token: write` has no `run:` |
# | `environment` | a job that has `id-token: write`, or names a secret other than `GITHUB_TOKEN`, names an environment |
# | `secrets` | no `secrets: inherit`, no `toJSON(secrets)` |
#
# **3. A stranger's words and code**
#
# | control | holds when |
# |---|---|
# | `injection` | a script has no `${{ }}`, save `runner.…`, `matrix.…` and `github.sha` |
# | `pull-checkout` | a file that an outside event starts has no checkout action, and no script with `git fetch`, `git clone`, `git pull` or `gh pr checkout` |
# | `artifact` | a file that `workflow_run` starts downloads no artifact (`actions/download-artifact`, `gh run download`) |
# | `credentials` | every checkout action says `persist-credentials: false`, as a word or as a text |
#
# **4. What comes back from a cache**
#
# | control | holds when |
# |---|---|
# | `release-cache` | a file in which a job names an environment has no `actions/cache…` and no `cache:` input |
# | `cache-key` | in other files, a cache's key has `hashFiles(` in it, and there are no `restore-keys` |
#
# **5. Where packages come from**
#
# | control | holds when |
# |---|---|
# | `index` | no script with `--extra-index-url`; in no `env` a variable with `EXTRA_INDEX` in its name |
# | `hashes` | every `pip install` in a script says `--require-hashes`, or is `--no-deps … .`: the project alone |
#
# **6. The machine underneath**
#
# | control | holds when |
# |---|---|
# | `runner` | in a file that `pull_request` or an outside event starts, `runs-on` is one `ubuntu-…` label; a job with `uses:` has none |
# | `commands` | `ACTIONS_ALLOW_UNSECURE_COMMANDS` is in no `env`: it lets printed text set variables of later steps |

# %%
from chainlab.course.exercises.fixtures.workflows import Workflows

hardened = Workflows.build(random.Random(seed)).texts()
print(", ".join(hardened))
print(hardened[".github/workflows/label.yml"])

# %% [markdown]
# The label bot checks nothing out, pastes nothing, and may do one thing. Print the other four before you begin.
#
# Given to you: `opened` reads one file. (`00e_workflows` showed that PyYAML makes True of `on`.) `CONTROLS` is the
# tuple of the sixteen names.

# %%
from chainlab.course.exercises.week2.ex8_review import CONTROLS, bench, score


def opened(text):
    """A file's document, the set of its events, and its jobs."""
    document = yaml.load(text, yaml.CSafeLoader)  # as safe_load, by the reader in C: the check opens 800 files
    on = document.get("on", document.get(True))
    return document, {on} if isinstance(on, str) else set(on), document["jobs"]

# %% [markdown]
# ## Exercise 2.8 — write the review, and have its controls broken (10 points)
# *70 min, and the hard one.* A control that nobody checks is gone after the third hurried commit. Write the check.
# `workflows` maps paths to texts. `resolve(reference)` asks the mirror about a `uses:` as it is written: the commit, or
# None. Return the names of the controls that do not hold.
#
# You are scored by *mutants refused for the right reason × benign changes accepted*. A *mutant* is the set with one
# control broken; naming a control that holds is not the right reason. A *benign change* breaks none: a newer pin, a
# comment, a matrix, another form of `on`, quotes, anchors, an extra job. `bench(review)` lets the check try all of
# them. It passes when every kind of mutant is refused for the right reason, and every benign change accepted.
#
# Plan before you write: which of the sixteen need the text, which the parsed file, which the mirror?
# <details><summary>Hint 1</summary>How would your rule for `--extra-index-url` treat a comment that forbids it? And `persist-credentials: "false"`?</details>
# <details><summary>Hint 2</summary>Work on parsed YAML, job by job: all `run` texts of the job, all `env` names of file, job and steps, all `uses`. A dict from control to a condition keeps sixteen rules readable. `score(review)` (next cell) lists what you miss.</details>

# %% tags=["exercise"]
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
# **Why.** A mutation score measures the guard, not the guarded. A review that refuses everything scores nothing,
# because no one would keep it switched on. One that searches for words fails on the first comment that quotes them.
# Note what the sixteen cannot see. They read files. What is a *setting* is invisible to them: who may push, who reviews
# the environment, which default the token has, whether actions are restricted. So is what the pinned code does. And a
# rule stops where its words stop: a stranger's title in a job's `env` passes all sixteen, and is unsafe on our host
# (2.2). Nor do they know your next workflow's new danger: `zizmor`, which you ran in `02_anatomy`, has more rules than
# this, and its authors add some. Keep yours for what is particular to your house, run both on every pull request, and
# protect the file that runs them.

# %% [markdown]
# The score on variants that the check did not use; below it, by name, what your review missed. Where the lab is graded
# and something is missed, part of the points is yours: the benign changes, each of six groups of controls, and each of
# the heights 60, 80 and 95 % count one tenth.
#
# To look at a mutant that the check names: `sets = lab.case("2.8", "a stranger's words and code")[0]` holds every set of that
# group by name, `sets["injection: a title"]` beside `sets["nothing changed"]`, each a dict from path to text. Compare
# the two file by file.

# %%
try:
    print(score(review, seed=seed))
except NotImplementedError as unanswered:
    print("not answered yet:", unanswered)

# %% [markdown]
# ## Attack again
# *90 min*, of the 2.5 hours that the design guide has, and the part to be proud of. Now the real project. The cell
# copies `triage-model` into your folder for this lab, once, and asks your review what is wrong with it. In the file
# browser at the left the copy is `units/02_hardening/triage-model`.

# %%
from chainlab.course.exercises.fixtures.attacks import replay, resolver

mine, kits = lab.path / "triage-model", lab.data / "projects" / "hardened" / "triage-model"
if not mine.exists():
    lab.copy("projects/triage-model")


def controls_broken(project):
    folder = project / ".github" / "workflows"
    return review({f.name: f.read_text() for f in sorted(folder.glob("*.y*ml"))}, resolver(lab))


try:
    print("mine:", ", ".join(controls_broken(mine)) or "none")
    print("the kit's:", ", ".join(controls_broken(kits)) or "none")
except NotImplementedError as unanswered:
    print("not answered yet:", unanswered)

# %% [markdown]
# The first line gets shorter as you work; before you begin it names most of the sixteen. One name is missing from it
# then, although `release.yml` does restore a cache: `release-cache`. Why? Read its rule again.
# <details><summary>Answer</summary>To this review a file without an environment is no release. Mend one control and the next appears: run the review until it is silent.</details>
#
# The second line is silent. `data/projects/hardened` is one way, not the only one: it gave up the cache and the label
# bot's right to label. Where it differs from yours, one of you has a reason to write into the guide.
#
# **Lose first.** Before you change a line, let your copy meet the three attacks of `02_attacks` (1 to 3 minutes):
#
# - a thief moves every tag that your workflows still name, at any depth;
# - a stranger's pull request has commands for a title and a branch name;
# - a stranger's run poisons what it may write, under the rule before 26 June 2026, and you release.
#
# What an attack won is read from the sink, and from the wheel in the registry. Beside each stands the honest run that
# it rides on; beside the first, once no tag is left to move (until then that run is the thief's).

# %%
replay(lab, mine)

# %% [markdown]
# Three times *succeeded*: credentials left by a tag, and by a title; and what a stranger put into a cache was released
# under your project's name.
#
# **Then harden.** Open `.github/workflows` of your copy beside this notebook. An order that works:
#
# 1. **Cut.** One job builds, and may only read. Another publishes: it takes the wheel over as an artifact, holds the
#    identity, names the environment `release`, and runs no script.
# 2. **Take away** secrets, rights, caches, the second index, workflows that nobody needs.
# 3. **Pass** what is pasted, and keep a stranger's files out of runs that hold something.
# 4. **Pin** last: your function, or `chainlab ci pin FOLDER` in a terminal. It also lists what stays open inside.
#
# What you find ready: the environment `release`, for tags `v*`, with a reviewer; a trusted publisher for `release.yml`
# in that environment, so that `pypa/gh-action-pypi-publish` needs no password; `acme/publish-model`, which pushes and
# signs a model; and a lock file with hashes, `data/projects/hardened/triage-model/requirements.lock`, to copy (week 3
# makes such files). A tool that it does not lock is not there: `python -m build` ends with "No module named build", and
# a `pip install build` beside it breaks `hashes`. The kit builds with `uv build --wheel --no-build-isolation`.
#
# **Round by round**: the review until it is silent (seconds), then the replay above (minutes; plan three or four). Each
# attack has two lines: did it win, and does the honest run beside it still work? The second matters as much: hardening
# that stops the release is deny all. Where an honest run broke, its job, the failed step and the end of its log stand
# below it; all of the log is `lab.ci.runs()[-1].log`. With the kit's files in their place, the replay says:
#
#     a moved tag                stopped    nothing reached the sink
#       a push to main           works      ci success
#     a title and a branch name  stopped    nothing reached the sink
#       a pull request           works      ci success, label success
#     a poisoned cache           stopped    main's cache was not written; no marker in the released wheel
#       a release                works      release success; wheels: 1
#
# What it does *not* show: attacks that nobody wrote down yet, settings, and a maintainer who means harm.
#
# ## Hand in: the design guide, first version
# The cell copies the template, once. Fill it for *your* hardened `triage-model`. `templates/examples/design_guide.md`
# is a filled one at level 3 of the rubric, for the kit's hardened files: look at how a row names its test and its
# evidence, not at its choices.

# %%
lab.template("design_guide.md")

# %% [markdown]
# **A reviewer will**
# - take three of your controls and break each in a copy: does the test you name go red?
# - follow one threat through control, test and evidence
# - ask what each control does when it fails, open or closed, and who hears of it
# - look for the option you rejected, and why
# - ask when a secret was last rotated, and try to find one that is not in your table
#
# By the rubric, level 3 links threat → control → test → evidence, can be repeated, and names residual risk. Level 4
# adds rejected options, failure modes, rotation and cost, and works on the second project in week 8.
#
# **To carry home** (20 min, in a repository of your own). Take one workflow. Write `permissions: {}` at its top, and
# give each job what it needs by name, with a comment that says which step asks. Push it on a branch until the run is
# green. Then the check of 2.4, by hand: lower one of the grants. The run has to fail, at the step that your comment
# names. A grant whose loss breaks nothing goes. You are done when each of them has broken the run once.
#
# **You can now** say who could read which secret in a run; make a stranger's words inert; pin to the bottom and say
# what stays open; give each job the least; split a cache by who may write it; accept one publisher; tell whom an update
# reached; and guard all of it by a check whose score you know. Next: `03_sbom`, what is inside the artifact.
