# %% [markdown]
# # Week 1 lab · What do you trust, and would you notice?
#
# > On 11 May 2026, 84 malicious versions of 42 packages were published with valid provenance. The platform had signed
# > truthfully what its own build produced. [TanStack's postmortem; SLSA project, 2026-05-15]
#
# An assessment comes before any control. It says what a pipeline trusts, which of that is proven, how long a failure
# would go unseen, and what to do first with the money there is. You assess `triage-model`, the project of this course.
#
# **You will** (3.5 h; each exercise says its minutes)
# - verify the kit itself, and say what its manifest does not promise
# - measure exposure, detection and containment without inventing numbers
# - predict six verdicts of a verifier, then write down its rule
# - place findings on OWASP's ten CI/CD risks
# - inventory everything the project trusts by name, nested actions and data included
# - choose the first controls under a budget, and name what stays open
#
# **Before:** `01_threats`, `01_first_signature`, `01_measuring`. **Deliverable:** `assessment.md`, from the template
# at the end.
#
# Every check calls your function on the cases shown and on cases made from `seed`, so only a rule passes. When a case
# fails, `lab.case("1.2", "an anchor is missing")` gives what your function was given there; `lab.hint("1.2")` gives one
# hint at a time. Once your own answer is right, read `solutions/01_assessment.ipynb`: under each exercise it says why
# that works, and what it still does not prove.

# %% tags=["parameters"]
seed = 1

# %%
import hashlib
import random
import re
import tomllib
from datetime import datetime
from itertools import combinations
from pathlib import Path

import pandas as pd
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import chainlab

lab = chainlab.open("01_assessment", seed=seed)

# %% [markdown]
# ## What a manifest promises
# `data/SHA256SUMS` lists the digest of every file of this kit. `sha256sum --check` reads such a list. It says
# "OK" for a folder in which every listed file is intact, and that is less than it seems. Look at three lines first.

# %%
listed = (lab.data / "SHA256SUMS").read_text()
for line in [line for line in listed.splitlines() if "  projects/triage-model/.github/workflows/" in line][:3]:
    digest, path = line.split("  ", 1)
    print(digest[:8] + "…", path)

# %% [markdown]
# Digest, two spaces, path from the folder's top, forward slashes. The list cannot hold its own digest, so the file
# `SHA256SUMS` at the top is the only one that goes unlisted.
#
# ## Exercise 1.1 — verify the kit you were given (4 points)
# *20 min.* Everything you prove in eight weeks rests on these files. Compare a folder with its manifest, both ways.
# Return a dict with the sets `changed`, `missing` and `extra` of paths as the manifest writes them.
# <details><summary>Hint 1</summary>If an attacker may add one file and change none, what does your function say?</details>
# <details><summary>Hint 2</summary>`Path.rglob("*")` also enters folders whose name begins with a dot. Compare two dicts, path to digest, with set operations on their keys.</details>

# %% tags=["exercise"]
def verify_manifest(root: Path, manifest: str) -> dict[str, set[str]]:
    """Paths (relative to ``root``, forward slashes) by what is wrong: changed, missing, extra.

    ``manifest`` is the text of ``root/SHA256SUMS``: 64 hex digits, two spaces, a path; one file a line.
    """
    ### BEGIN SOLUTION
    listed = {}
    for line in manifest.splitlines():
        digest, path = line.split("  ", 1)
        listed[path] = digest
    found = {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in root.rglob("*")
        if file.is_file() and file != root / "SHA256SUMS"
    }
    return {
        "changed": {path for path in listed.keys() & found.keys() if listed[path] != found[path]},
        "missing": listed.keys() - found.keys(),
        "extra": found.keys() - listed.keys(),
    }
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.1", verify_manifest)

# %% tags=["wrong"]
# wrong: checks listed files only, as `sha256sum --check` does -> an extra file in a hidden folder
def verify_manifest(root: Path, manifest: str) -> dict[str, set[str]]:
    listed = dict(line.split("  ", 1)[::-1] for line in manifest.splitlines())
    changed = {p for p, d in listed.items()
               if (root / p).is_file() and hashlib.sha256((root / p).read_bytes()).hexdigest() != d}
    return {"changed": changed, "missing": {p for p in listed if not (root / p).is_file()}, "extra": set()}

# %% tags=["wrong"]
# wrong: asks whether a digest is in the list, not whether it stands beside this name -> two files swapped
def verify_manifest(root: Path, manifest: str) -> dict[str, set[str]]:
    listed = dict(line.split("  ", 1)[::-1] for line in manifest.splitlines())
    found = {f.relative_to(root).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
             for f in root.rglob("*") if f.is_file() and f != root / "SHA256SUMS"}
    changed = {p for p in listed.keys() & found.keys() if found[p] not in listed.values()}
    return {"changed": changed, "missing": listed.keys() - found.keys(), "extra": found.keys() - listed.keys()}

# %% [markdown] tags=["solution"]
# **Why.** A list of good files says nothing about files that are not on it, and CI systems, Python and Jupyter all run
# things because of where they lie: a workflow in `.github/workflows`, a `.pth` in site-packages, a `conftest.py`.
# OpenSSF's model signing decides the same way: a file that the signature does not list makes verification fail, unless
# the verifier allows it by name. And one thing no manifest can promise: whoever can change the files can write a new
# list. A digest beside its file is a checksum against accidents. It becomes evidence only when you got it another
# way, or when somebody you can name signed it. In week 4 the kit's model is signed exactly so.

# %% [markdown]
# Now the kit itself. Three empty sets say: intact, as far as this list goes. Where did you get the list?

# %%
try:
    print(verify_manifest(lab.data, listed))
except NotImplementedError as unanswered:
    print("not answered yet:", unanswered)

# %% [markdown]
# ## Three durations that headlines mix up
# Anchors as in `01_measuring`: **T0** the malicious artifact is available, **T2** an alert is raised, **T5** contained.
# *Exposure* is T5 − T0, *time to detect* T2 − T0, *time to contain* T5 − T2. MTTD and MTTC are the means of the last
# two. Here are four incidents as their sources give them.

# %%
incidents = pd.read_csv(lab.data / "incidents.csv", keep_default_na=False, dtype=str)
names = {"id": "id", "t0": "T0", "t2": "T2", "t5": "T5"}
real = incidents[incidents["id"].isin(["ultra-1", "reviewdog", "num2words", "litellm"])]
real = real.rename(columns=names)[list(names.values())]
print(real.to_string(index=False))

# %% [markdown]
# An empty cell is an anchor that no source gives. A cell without a clock time gives only the day. A source may use its
# own time zone. And `reviewdog` was over before anyone raised an alert: it was found later, by people who traced
# `tj-actions`. [CVE-2025-30154]
#
# ## Exercise 1.2 — how long was it open, and do you know? (4 points)
# *30 min.* A board reads one number. If that number treats what nobody knows as zero, the worst-documented incident
# looks best. Return per incident the minutes of `exposure`, `detect` and `contain`, or `None` where they cannot be
# known to the minute: an anchor is empty, or is a day. Where T5 comes before T2 nobody contained anything, so `contain`
# is `None`. Then `mttd` and `mttc` over what is known (`None` if nothing is), each beside its count of `None`.
# <details><summary>Hint 1</summary>What does `datetime.fromisoformat("2026-03-24")` claim to know about the clock?</details>
# <details><summary>Hint 2</summary>Turn each anchor into an aware `datetime` or `None` in one small function (a clock time has a "T" in it); the subtraction then needs one rule.</details>

# %% tags=["exercise"]
def measure(incidents: list[dict[str, str | None]]) -> dict[str, object]:
    """Minutes per incident, and the means over what is known.

    Each incident has ``id``, ``T0``, ``T2``, ``T5``: ISO 8601 text with an offset, a bare date, "" or None.
    Returns ``{"rows": {id: {"exposure", "detect", "contain"}}, "mttd", "mttd_unknown", "mttc", "mttc_unknown"}``:
    minutes or None; the two ``_unknown`` are counts of incidents.
    """
    ### BEGIN SOLUTION
    def moment(text):
        return datetime.fromisoformat(text) if text and "T" in text else None

    def minutes(start, stop):
        if start is None or stop is None or stop < start:
            return None
        return (stop - start).total_seconds() / 60

    rows = {}
    for incident in incidents:
        t0, t2, t5 = (moment(incident[anchor]) for anchor in ("T0", "T2", "T5"))
        rows[incident["id"]] = {
            "exposure": minutes(t0, t5),
            "detect": minutes(t0, t2),
            "contain": minutes(t2, t5),
        }
    result = {"rows": rows}
    for name, duration in (("mttd", "detect"), ("mttc", "contain")):
        known = [row[duration] for row in rows.values() if row[duration] is not None]
        result[name] = sum(known) / len(known) if known else None
        result[f"{name}_unknown"] = len(rows) - len(known)
    return result
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.2", measure)

# %% tags=["wrong"]
# wrong: mixes T5−T0 with T5−T2 -> every anchor known
def measure(incidents: list[dict[str, str | None]]) -> dict[str, object]:
    rows = {}
    for i in incidents:
        t0, t2, t5 = (datetime.fromisoformat(i[a]) if i[a] and "T" in i[a] else None for a in ("T0", "T2", "T5"))
        after = lambda t: None if t0 is None or t is None else (t - t0).total_seconds() / 60
        rows[i["id"]] = {"exposure": after(t5), "detect": after(t2), "contain": after(t5)}
    result = {"rows": rows}
    for name, key in (("mttd", "detect"), ("mttc", "contain")):
        known = [r[key] for r in rows.values() if r[key] is not None]
        result |= {name: sum(known) / len(known) if known else None, f"{name}_unknown": len(rows) - len(known)}
    return result

# %% tags=["wrong"]
# wrong: unknown counts as zero -> an anchor is missing
def measure(incidents: list[dict[str, str | None]]) -> dict[str, object]:
    rows = {}
    for i in incidents:
        t0, t2, t5 = (datetime.fromisoformat(i[a]) if i[a] and "T" in i[a] else None for a in ("T0", "T2", "T5"))
        between = lambda a, b: 0 if a is None or b is None else (b - a).total_seconds() / 60
        rows[i["id"]] = {"exposure": between(t0, t5), "detect": between(t0, t2), "contain": between(t2, t5)}
    mean = lambda key: sum(r[key] for r in rows.values()) / len(rows)
    return {"rows": rows, "mttd": mean("detect"), "mttd_unknown": 0, "mttc": mean("contain"), "mttc_unknown": 0}

# %% tags=["wrong"]
# wrong: a bare date is read as midnight -> a day without a clock time
def measure(incidents: list[dict[str, str | None]]) -> dict[str, object]:
    from datetime import timezone
    def moment(text):
        found = datetime.fromisoformat(text) if text else None
        return found.replace(tzinfo=timezone.utc) if found and found.tzinfo is None else found
    rows = {}
    for i in incidents:
        t0, t2, t5 = (moment(i[a]) for a in ("T0", "T2", "T5"))
        between = lambda a, b: None if a is None or b is None or b < a else (b - a).total_seconds() / 60
        rows[i["id"]] = {"exposure": between(t0, t5), "detect": between(t0, t2), "contain": between(t2, t5)}
    result = {"rows": rows}
    for name, key in (("mttd", "detect"), ("mttc", "contain")):
        known = [r[key] for r in rows.values() if r[key] is not None]
        result |= {name: sum(known) / len(known) if known else None, f"{name}_unknown": len(rows) - len(known)}
    return result

# %% [markdown] tags=["solution"]
# **Why.** Unknown, zero and "less than a day" are three different values, and only the first two fit into a float. The
# mean is also a poor headline: detection runs from about 29 minutes (TanStack) to 296 days (SUNBURST), so one bad row
# decides it. Report median and P90, and the count you left out. Mind the other bias too: leaving out incidents that
# are still open, or that nobody could date, makes any team look faster. Week 7 shows them as censored, not as missing.

# %% [markdown]
# Your function on the four real rows. Of twelve durations, two are unknown for lack of an anchor and four for lack of a
# clock time: half. PyPI's own post gives 1 h 12 min for LiteLLM's containment where these times give 73: it rounded.

# %%
try:
    print(pd.DataFrame(measure(real.to_dict("records"))["rows"]).T)
except NotImplementedError as unanswered:
    print("not answered yet:", unanswered)

# %% [markdown]
# ## A verifier has an order
# `Verifier.verify_artifact` of sigstore asks seven questions, in this order, and stops at the first "no" (simplified:
# two checks of the certificate's own fields are left out):
#
# | step | question |
# |---|---|
# | `time` | does signed evidence say *when* the signature was made? (log v2: a timestamp by RFC 3161, signed by a service that states the time) |
# | `chain` | does the certificate lead to the CA that my trusted root names, and was it valid *then*? |
# | `sct` | is there a receipt of the certificate transparency log that my root names? |
# | `identity` | is the certificate's identity, from this issuer, the one my policy wants? |
# | `log` | is the entry in the transparency log: proof, and checkpoint signed by a key of my root? |
# | `signature` | did the certificate's key sign *these bytes*? |
# | `entry` | is the log's entry about this very signature? |
#
# **First on paper** (5 min, before you write code): accepted or refused, and at which step?
# (a) verified 90 days later · (b) the file was renamed · (c) one bit flipped *and* the wrong person signed ·
# (d) the timestamp removed · (e) the log entry of another signature · (f) harmful bytes, properly signed.
#
# ## Exercise 1.3 — predict what the verifier says (4 points)
# *20 min.* Whoever cannot predict a verdict will read "verified" as "good", or a refusal as a broken tool. Return
# `("accepted", "")`, or `("refused", step)` with the first step that fails. A scenario is a dict:
#
# | key | values |
# |---|---|
# | `file` | as signed · renamed · one bit flipped |
# | `content` | harmless · harmful |
# | `signer`, `wanted_identity` | addresses; `wanted_identity` may be `anybody` (of that issuer) |
# | `wanted_issuer` | ours · another |
# | `minutes_later` | minutes from signing to verifying; the certificate is valid for 10 |
# | `timestamp` | in the bundle · removed |
# | `log_entry` | its own · proof altered · of another signature |
# | `trusted_root` | ours · another CA · another CT log · another log |
#
# The check does not look anything up: it signs every scenario for real, spoils it, and asks sigstore's own verifier.
# <details><summary>Hint 1</summary>Which clock does the verifier read: the one on the wall, or the one in the bundle?</details>
# <details><summary>Hint 2</summary>Seven `if`s in the table's order. Two keys decide nothing at all, and one value of a third; find them before you write.</details>

# %% tags=["exercise"]
def predict(scenario: dict[str, str | int]) -> tuple[str, str]:
    """Verdict (accepted or refused) and the first failing step ("" when accepted)."""
    ### BEGIN SOLUTION
    s = scenario
    if s["timestamp"] == "removed":
        return "refused", "time"
    if s["trusted_root"] == "another CA":
        return "refused", "chain"
    if s["trusted_root"] == "another CT log":
        return "refused", "sct"
    if s["wanted_issuer"] == "another" or s["wanted_identity"] not in ("anybody", s["signer"]):
        return "refused", "identity"
    if s["trusted_root"] == "another log" or s["log_entry"] == "proof altered":
        return "refused", "log"
    if s["file"] == "one bit flipped":
        return "refused", "signature"
    if s["log_entry"] == "of another signature":
        return "refused", "entry"
    return "accepted", ""
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.3", predict)

# %% tags=["wrong"]
# wrong: an expired certificate means an invalid signature -> verified long after the certificate expired
def predict(scenario: dict[str, str | int]) -> tuple[str, str]:
    return ("refused", "chain") if scenario["minutes_later"] > 10 else ("accepted", "")

# %% tags=["wrong"]
# wrong: a signature says the content is good -> harmful, and properly signed
def predict(scenario: dict[str, str | int]) -> tuple[str, str]:
    return ("refused", "signature") if scenario["content"] == "harmful" else ("accepted", "")

# %% tags=["wrong"]
# wrong: the file is looked at first -> the wrong person and a flipped bit
def predict(scenario: dict[str, str | int]) -> tuple[str, str]:
    s = scenario
    faults = [
        ("signature", s["file"] == "one bit flipped"), ("time", s["timestamp"] == "removed"),
        ("chain", s["trusted_root"] == "another CA"), ("sct", s["trusted_root"] == "another CT log"),
        ("identity", s["wanted_issuer"] == "another" or s["wanted_identity"] not in ("anybody", s["signer"])),
        ("log", s["trusted_root"] == "another log" or s["log_entry"] == "proof altered"),
        ("entry", s["log_entry"] == "of another signature"),
    ]
    step = next((step for step, fault in faults if fault), "")
    return ("refused" if step else "accepted", step)

# %% [markdown] tags=["solution"]
# **Why.** The certificate lives ten minutes so that nobody has to revoke it; the timestamp makes the signature outlive
# it. So "expired" is the normal state of every good bundle, and the missing timestamp is what breaks one. On log v1 the
# log's own signed time does that job; log v2 has none. The order teaches a second thing: a refusal names the *first*
# fault. After you mend it, verify again before you say "fixed". And the keys that decide nothing are the ones people
# argue about: the file's name, the minutes that passed, and whether the content does harm. No signature answers the
# last one; TanStack's could not.

# %% [markdown]
# ## The ten, in one line each
# OWASP's Top 10 CI/CD Security Risks, names as published, the lines ours:
#
# | | name | the question |
# |---|---|---|
# | 1 | Insufficient Flow Control Mechanisms | can one person get a change to production alone? |
# | 2 | Inadequate Identity and Access Management | who may act, and is it still that person? |
# | 3 | Dependency Chain Abuse | can somebody else decide which code a name resolves to? |
# | 4 | Poisoned Pipeline Execution | can somebody *without write access* choose the commands of a run *that holds something*? |
# | 5 | Insufficient PBAC (pipeline-based access controls) | may the job do more than its task needs? |
# | 6 | Insufficient Credential Hygiene | how is the secret kept, how long does it live, where does it show? |
# | 7 | Insecure System Configuration | is the machinery underneath patched and closed? |
# | 8 | Ungoverned Usage of 3rd Party Services | which outsiders were let in, by whom, with what limit? |
# | 9 | Improper Artifact Integrity Validation | are bytes checked before they are used? |
# | 10 | Insufficient Logging and Visibility | could you say afterwards what happened? |
#
# What you have in hand is evidence: lines of files, settings and logs. Here is one line of every kind that occurs, in
# no order. Some show a risk, some show that there is none. (A line of a file can also stand there as a comment, `# …`.)

# %%
from chainlab.course.exercises.week1.ex4_cicd_risks import samples

print(*samples(random.Random(seed)), sep="\n")

# %% [markdown]
# **First on paper** (5 min): write a number beside each line, or a dash. Two lines show nothing by themselves: you
# would have to know more about the run.
#
# ## Exercise 1.4 — name the weakness (3 points)
# *15 min.* The name decides who mends it: 3 goes to whoever locks dependencies, 5 to whoever writes `permissions:`. A
# finding is a dict:
#
# | key | value |
# |---|---|
# | `lines` | evidence as printed above; most of it harmless |
# | `event` | what starts the run: `push`, `schedule` and `workflow_dispatch` need write access; `pull_request`, `pull_request_target` and `issue_comment` need an account |
# | `holds` | what the run has that is worth having: names of secrets, rights, a network; may be empty |
#
# Return the set of numbers that the lines show, the empty set if none does. Where two names are defensible, either is
# accepted.
# <details><summary>Hint 1</summary>Bad code ran in the pipeline. Did somebody change the pipeline's commands, or something that the pipeline fetches?</details>
# <details><summary>Hint 2</summary>A dict from number to the words, or the pattern, that give it away; `re.search` tells `@v3` from `@` and 40 hex digits. Then 4: poisoned pipeline execution needs both halves of its question. Which key answers which?</details>

# %% tags=["exercise"]
def place(finding: dict[str, str | list[str]]) -> set[int]:
    """Numbers 1–10 of OWASP's CI/CD risks that a finding's lines show; empty if none does."""
    ### BEGIN SOLUTION
    signs = {
        1: r"before a merge: 0",
        2: r"left the company|used by \d+ people",
        3: r"^uses: .*@(?![0-9a-f]{40}\b)|--extra-index-url",
        4: r"^run: .*(github\.event|pull request's)",
        5: r"write-all|contents: write",
        6: r"never rotated|ENV \w+=|^log of run \d",
        7: r"without a password|patched \d+ months ago",
        8: r"approved by nobody",
        9: r"^run: curl|latest",
        10: r"kept for \d+ hours",
    }
    lines = [line for line in finding["lines"] if not line.startswith("#")]
    shown = {number for number, sign in signs.items() if any(re.search(sign, line) for line in lines)}
    outsiders = finding["event"] in ("pull_request", "pull_request_target", "issue_comment")
    return shown if outsiders and finding["holds"] else shown - {4}
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.4", place)

# %% tags=["wrong"]
# wrong: everything is poisoned pipeline execution -> a tag that moved
def place(finding: dict[str, str | list[str]]) -> set[int]:
    return {4}

# %% tags=["wrong"]
# wrong: any foreign command is poisoned pipeline execution -> a maintainer's own words
right = place
def place(finding: dict[str, str | list[str]]) -> set[int]:
    return right({**finding, "event": "pull_request", "holds": ["something"]})

# %% tags=["wrong"]
# wrong: whoever may start the run decides, whatever the run holds -> a fork's tests that reach nothing
right = place
def place(finding: dict[str, str | list[str]]) -> set[int]:
    return right({**finding, "holds": ["something"]})

# %% tags=["wrong"]
# wrong: the ordinary trigger of pull requests cannot poison -> a fork's tests on our own runner
right = place
def place(finding: dict[str, str | list[str]]) -> set[int]:
    return right(finding) - {4} if finding["event"] == "pull_request" else right(finding)

# %% [markdown] tags=["solution"]
# **Why.** The moved tag is the case people get wrong: more than 23,000 repositories used the action (press), bad code
# ran inside pipelines that nobody had touched, and none was poisoned in the list's sense. A *dependency* was; the
# mend is a pin, not a changed trigger. The two lines that decide nothing alone are the pasted title and the pull
# request's script: who may start the run, and what it holds, make them a finding. The label bot is its mirror: the
# infamous trigger, and no poisoning, because every command is the project's own. The fork on your own runner is the
# reverse. Naming by the trigger alone would have you forbid a safe workflow and keep an unsafe one. Real findings
# carry several numbers. One reading of TanStack: 4 (a stranger's pull request chose commands), 5 (that run could
# write main's cache), 9 (the release used the cache unchecked). A finding that holds nothing worth having is no
# finding; write it down as "looked at, accepted".

# %% [markdown]
# ## What a project trusts by name
# Now the project itself. `lab.copy` puts it into your own folder, so you may change it.

# %%
project = lab.copy("projects/triage-model")
for file in sorted(project.rglob("*")):
    if file.suffix in (".yml", ".toml", ".txt"):
        print(file.relative_to(project).as_posix())

# %% [markdown]
# Four kinds of things come in by name:
#
# - **actions**: every `uses:` of a step, and of a job that is a reusable workflow, in the files of
#   `.github/workflows` whose names end in `.yml` or `.yaml`. An action of the course's mirror,
#   `lab.data / "actions"`, can be opened: `OWNER/REPO/PATH@REF` lies in `OWNER/REPO/PATH/action.yml`, a reusable workflow in the
#   file of that path; what it uses counts as well; two may use each other. One that is not in the mirror is listed
#   only. A local action, `./folder`, is the project's own: not listed, but opened. Written as `name@ref`.
# - **packages**: `requirements.txt` with the files it includes (`-r FILE` or `--requirement FILE`; other options name
#   nothing; a line may end in `\` and go on with `--hash`); in `pyproject.toml` the dependencies, the optional ones
#   and what builds the project. Names in PEP 503's form: lower case, one hyphen for each run of `-`, `_`, `.`.
# - **models** and **datasets**: the tables `[[model]]` and `[[dataset]]` of `artifacts.toml`, as `name@revision`.
#
# ## Exercise 1.5 — inventory everything the project trusts (6 points)
# *55 min.* When the next advisory names an action, the question is "do we run it, at any depth?", and you want to
# answer in minutes. Return four sets: `actions`, `packages`, `models`, `datasets`. The small cases want all of it; the
# large one wants precision and recall of 95 % in every kind.
# <details><summary>Hint 1</summary>Two lines contain `uses: a/b@v1`. One of them is inside `run: |`. Can a text search tell?</details>
# <details><summary>Hint 2</summary>Let `yaml.safe_load` read, collect `uses` from `jobs.*`, `jobs.*.steps` and `runs.steps`, and keep a list of files still to open. `Requirement`, imported above, reads one requirement; `canonicalize_name` gives PEP 503's form.</details>

# %% tags=["exercise"]
def inventory(project: Path, actions: Path) -> dict[str, set[str]]:
    """What a project trusts by name, nested actions included.

    ``project`` is its folder, ``actions`` the mirror. Returns sets ``actions`` and ``models`` and ``datasets``
    (``name@ref``) and ``packages`` (names in PEP 503's form). Any of the files may be absent.
    """
    ### BEGIN SOLUTION
    found = {"actions": set()}

    to_open = list((project / ".github" / "workflows").glob("*.y*ml"))
    while to_open:
        document = yaml.safe_load(to_open.pop().read_text())
        parts = [*document.get("jobs", {}).values(), document.get("runs", {})]
        parts += [step for part in list(parts) for step in part.get("steps", [])]
        for reference in {part["uses"] for part in parts if "uses" in part}:
            if reference.startswith("./"):
                target = project / reference
            elif reference in found["actions"]:
                continue
            else:
                found["actions"].add(reference)
                target = actions / reference.partition("@")[0]
            file = target if target.suffix in (".yml", ".yaml") else target / "action.yml"
            if file.is_file():
                to_open.append(file)

    requirements, files = [], [project / "requirements.txt"]
    while files:
        file = files.pop()
        for line in file.read_text().replace("\\\n", " ").splitlines() if file.is_file() else []:
            line = line.partition("#")[0].partition("--hash")[0].strip()
            if line.startswith(("-r ", "--requirement ")):
                files.append(file.parent / line.split()[1])
            elif line and not line.startswith("-"):
                requirements.append(line)

    def table(name):
        return tomllib.loads((project / name).read_text()) if (project / name).is_file() else {}

    metadata = table("pyproject.toml")
    requirements += metadata.get("build-system", {}).get("requires", [])
    requirements += metadata.get("project", {}).get("dependencies", [])
    for optional in metadata.get("project", {}).get("optional-dependencies", {}).values():
        requirements += optional
    found["packages"] = {canonicalize_name(Requirement(text).name) for text in requirements}

    for kind, name in (("models", "model"), ("datasets", "dataset")):
        entries = table("artifacts.toml").get(name, [])
        found[kind] = {f"{entry['name']}@{entry['revision']}" for entry in entries}
    return found
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.5", inventory)

# %% tags=["wrong"]
# wrong: searches the text for `uses:` -> one workflow
def inventory(project: Path, actions: Path) -> dict[str, set[str]]:
    import re
    text = "\n".join(f.read_text() for f in (project / ".github" / "workflows").glob("*.y*ml"))
    return {"actions": set(re.findall(r"uses:\s*[\"']?([^\s\"']+@[^\s\"']+)", text)),
            "packages": set(), "models": set(), "datasets": set()}

# %% tags=["wrong"]
# wrong: omits nested actions -> nested actions
def inventory(project: Path, actions: Path) -> dict[str, set[str]]:
    found = {"actions": set(), "packages": set(), "models": set(), "datasets": set()}
    for file in (project / ".github" / "workflows").glob("*.y*ml"):
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            found["actions"] |= {part["uses"] for part in [job, *job.get("steps", [])] if "uses" in part}
    found["actions"] = {r for r in found["actions"] if not r.startswith("./")}
    lines = [line for name in ("requirements.txt", "base.txt", "more.txt") if (project / name).is_file()
             for line in (project / name).read_text().splitlines()]
    lines = [line.split("#")[0].strip(" \\") for line in lines if line.strip() and line.strip()[0] not in "#-"]
    if (project / "pyproject.toml").is_file():
        table = tomllib.loads((project / "pyproject.toml").read_text())
        lines += table["build-system"]["requires"] + table["project"]["dependencies"]
        lines += sum(table["project"]["optional-dependencies"].values(), [])
    found["packages"] = {canonicalize_name(Requirement(line).name) for line in lines}
    return found

# %% tags=["wrong"]
# wrong: omits the data set, because data are no software -> the data set and the base model
def inventory(project: Path, actions: Path) -> dict[str, set[str]]:
    found = {"actions": set(), "packages": set(), "models": set(), "datasets": set()}
    to_open = list((project / ".github" / "workflows").glob("*.y*ml"))
    while to_open:
        document = yaml.safe_load(to_open.pop().read_text())
        parts = [*document.get("jobs", {}).values(), document.get("runs", {})]
        parts += [step for part in list(parts) for step in part.get("steps", [])]
        for used in {part["uses"] for part in parts if "uses" in part} - found["actions"]:
            target = project / used if used.startswith("./") else actions / used.partition("@")[0]
            found["actions"] |= set() if used.startswith("./") else {used}
            to_open += [f for f in (target, target / "action.yml") if f.is_file()]
    lines = [line for name in ("requirements.txt", "base.txt", "more.txt") if (project / name).is_file()
             for line in (project / name).read_text().splitlines()]
    lines = [line.split("#")[0].strip(" \\") for line in lines if line.strip() and line.strip()[0] not in "#-"]
    if (project / "pyproject.toml").is_file():
        table = tomllib.loads((project / "pyproject.toml").read_text())
        lines += table["build-system"]["requires"] + table["project"]["dependencies"]
        lines += sum(table["project"]["optional-dependencies"].values(), [])
    found["packages"] = {canonicalize_name(Requirement(line).name) for line in lines}
    return found

# %% [markdown] tags=["solution"]
# **Why.** `triage-model` itself names twelve references, and gets six more from inside them. One action even comes at
# two refs, because an action inside another chose its own. That is how users of reviewdog's actions were hit
# "regardless of version or pinning method" [CVE-2025-30154]. And this inventory is still short. Four things that the
# workflows trust have no kind in it: the container image, the runner's own software, the file that `curl` fetches,
# and what `pip install build` finds that day. Nor does a name say where it comes from: `acme-cells` and
# `acme-quantise` are acme's own, and the workflows ask two indexes for them. A list that says where it ends is worth
# more than one that looks complete: the NTIA's minimum elements for an SBOM ask for exactly that, under *known
# unknowns*.

# %% [markdown]
# Your inventory of the real project, by how firmly each reference is bound. A commit id is one set of bytes; anything
# else is what its owner says it is today.

# %%
try:
    trusted = inventory(project, lab.data / "actions")
    refs = pd.Series([r.partition("@")[2] for r in trusted["actions"]])
    print(f"actions: {len(refs)}, bound to a commit: {refs.str.fullmatch('[0-9a-f]{40}').sum()}")
    print({kind: len(names) for kind, names in trusted.items() if kind != "actions"})
except NotImplementedError as unanswered:
    print("not answered yet:", unanswered)

# %% [markdown]
# ## When does a control count?
# The table "which control would have helped" is in every report, and it is always a judgement with preconditions. A
# hash-locked install stops a bad release unless you re-locked in its window. Detection helps if somebody answers
# before the harm is done. So a profile spells its rules out. A **profile** is a dict:
#
# | key | what |
# |---|---|
# | `budget` | person-days |
# | `response_minutes` | from an alert to the block; `None`: nobody reads the alerts |
# | `site` | facts about this site, e.g. `oidc-at-the-index` |
# | `controls` | each `id`, `cost` (person-days), `kind` (`prevent`, `detect`), `covers` (vectors), `unless` (facts of a threat), `needs`, `signal_minutes` (`None` for `prevent`) |
# | `threats` | each `id`, `vector`, `facts`, `loss` (any unit), `minutes_to_harm` |
#
# 1. A chosen control **acts** if each of its `needs` is a fact of the site or the id of a chosen control that acts.
# 2. It **covers** a threat whose vector is in `covers`, unless the threat has a fact that is in `unless`.
# 3. `prevent` that acts and covers stops the threat. `detect` stops it only **in time**: `signal_minutes` +
#    `response_minutes` ≤ `minutes_to_harm`.
# 4. A threat stopped twice is stopped once. The value of a choice is the sum of `loss` of the threats it stops.
#
# ## Exercise 1.6 — choose the first controls (9 points)
# *70 min, and the hard one.* An assessment ends with "do these first, and this stays open". Return `controls`, ids
# within the budget whose value is at least 95 % of the best possible, and `residual`, the ids of *all* threats your
# choice leaves open. Take time to design: write the rules as one function of a choice, then search. A profile has up
# to twelve controls.
# <details><summary>Hint 1</summary>You bought the control with the highest value. What is the second-best worth now that you own the first?</details>
# <details><summary>Hint 2</summary>Write `still_open(profile, chosen)` first and try it on choices you can judge by hand. Twelve controls have 4,096 subsets: no need to be clever, `itertools.combinations` will do.</details>

# %% tags=["exercise"]
def choose(profile: dict) -> dict[str, set[str]]:
    """The first controls for a profile, and what they leave open.

    Returns ``controls`` (ids, total cost within the budget) and ``residual`` (ids of threats not stopped).
    """
    ### BEGIN SOLUTION
    site, response = set(profile["site"]), profile["response_minutes"]

    def stops(control, threat):
        if threat["vector"] not in control["covers"] or set(control["unless"]) & set(threat["facts"]):
            return False
        if control["kind"] == "prevent":
            return True
        return response is not None and control["signal_minutes"] + response <= threat["minutes_to_harm"]

    def still_open(chosen):
        acting, before = set(), None
        while acting != before:
            before = set(acting)
            acting |= {c["id"] for c in chosen if set(c["needs"]) <= acting | site}
        active = [c for c in chosen if c["id"] in acting]
        return [t for t in profile["threats"] if not any(stops(c, t) for c in active)]

    best_choice, best_open = (), profile["threats"]
    for size in range(1, len(profile["controls"]) + 1):
        for chosen in combinations(profile["controls"], size):
            if sum(c["cost"] for c in chosen) > profile["budget"]:
                continue
            left = still_open(chosen)
            if sum(t["loss"] for t in left) < sum(t["loss"] for t in best_open):
                best_choice, best_open = chosen, left
    return {"controls": {c["id"] for c in best_choice}, "residual": {t["id"] for t in best_open}}
    ### END SOLUTION

# %% tags=["check"]
lab.check("1.6", choose)

# %% tags=["wrong"]
# wrong: takes an SBOM for prevention, as if knowing were stopping -> the SBOM arrives too late
def choose(profile: dict) -> dict[str, set[str]]:
    def worth(c):
        return sum(t["loss"] for t in profile["threats"] if t["vector"] in c["covers"]) / c["cost"]

    chosen, money = set(), profile["budget"]
    for control in sorted(profile["controls"], key=worth, reverse=True):
        if control["cost"] <= money:
            chosen, money = chosen | {control["id"]}, money - control["cost"]
    covered = {v for c in profile["controls"] if c["id"] in chosen for v in c["covers"]}
    return {"controls": chosen, "residual": {t["id"] for t in profile["threats"] if t["vector"] not in covered}}

# %% tags=["wrong"]
# wrong: buys in the order of each control's own value, ignoring overlap -> two controls, one threat
def choose(profile: dict) -> dict[str, set[str]]:
    site, response = set(profile["site"]), profile["response_minutes"]

    def stopped(c):
        if not set(c["needs"]) <= site:
            return []
        in_time = lambda t: c["kind"] == "prevent" or (
            response is not None and c["signal_minutes"] + response <= t["minutes_to_harm"])
        return [t for t in profile["threats"]
                if t["vector"] in c["covers"] and not set(c["unless"]) & set(t["facts"]) and in_time(t)]

    chosen, money, safe = set(), profile["budget"], set()
    for control in sorted(profile["controls"], key=lambda c: -sum(t["loss"] for t in stopped(c))):
        if control["cost"] <= money and stopped(control):
            chosen, money = chosen | {control["id"]}, money - control["cost"]
            safe |= {t["id"] for t in stopped(control)}
    return {"controls": chosen, "residual": {t["id"] for t in profile["threats"]} - safe}

# %% tags=["wrong"]
# wrong: buys the best additional value per person-day, again and again -> two small ones beat one large
def choose(profile: dict) -> dict[str, set[str]]:
    site, response = set(profile["site"]), profile["response_minutes"]

    def stopped(chosen):
        acting, before = set(), None
        while acting != before:
            before = set(acting)
            acting |= {c["id"] for c in chosen if set(c["needs"]) <= acting | site}
        in_time = lambda c, t: c["kind"] == "prevent" or (
            response is not None and c["signal_minutes"] + response <= t["minutes_to_harm"])
        return {t["id"]: t["loss"] for t in profile["threats"] for c in chosen if c["id"] in acting
                and t["vector"] in c["covers"] and not set(c["unless"]) & set(t["facts"]) and in_time(c, t)}

    chosen, money = [], profile["budget"]
    while True:
        gains = [((sum(stopped([*chosen, c]).values()) - sum(stopped(chosen).values())) / c["cost"], c["id"], c)
                 for c in profile["controls"] if c not in chosen and c["cost"] <= money]
        if not gains or max(gains)[0] <= 0:
            break
        chosen.append(max(gains)[2])
        money -= chosen[-1]["cost"]
    return {"controls": {c["id"] for c in chosen},
            "residual": {t["id"] for t in profile["threats"]} - stopped(chosen).keys()}

# %% [markdown] tags=["solution"]
# **Why.** Controls are bought as a set: one makes another worthless (overlap) or possible (a pin, then the pins
# inside it), and the last person-days decide. Three lessons outlast the arithmetic. *Detection is a chain*: signal,
# reader, block; money for the signal alone buys nothing, which is why `response_minutes` moves a plan more than any
# product. *An SBOM is an answer, not a barrier*: it earns its price on the day after, when you are asked where the
# bad version runs. *The table is the assumption.* Change one `unless` and the plan changes, so write each
# precondition beside the control it belongs to, and test the plan against two wrong guesses. With forty controls you
# would need more than all subsets: a solver, or groups decided one by one.

# %% [markdown]
# ## Hand in: the assessment
# The cell copies the template into your folder for this lab, once. Fill it for `triage-model`: your inventory, your
# findings with their numbers, your five first controls. Three of the six sections are in no exercise: the threat map,
# letters A to I on this pipeline; *claimed v. proven*; and your open questions. `templates/examples/assessment.md` is a
# filled one at level 3 of the rubric: look at how a row names its evidence and where it says *unknown*, then close it.

# %%
lab.template("assessment.md")

# %% [markdown]
# **A reviewer will** follow three of your claims to a file and line · ask of each control what it does *not* stop,
# and expect the answer to stand there already · look for the word *unknown* and be glad to find it · take two entries
# of your inventory and ask which job runs them · try to find one thing trusted that your list omits. Level 3 of the
# rubric asks: threat, control, test and evidence linked, residual risk named. Level 4 adds rejected options and what
# they would cost.
#
# **To carry home** (15 min, in a repository of your own). In its settings, protect the default branch: changes come
# by a pull request, with one approval, or with a green check where you work alone. Then test it, as you would a
# verifier: make an empty commit and push it to the branch directly. You are done when that push is refused, and when
# you have written down who may still go round the rule.
#
# **You can now** verify a folder both ways and say what that does not prove; give durations with their unknowns;
# predict a verifier's verdict and its step; name a weakness so that the right person mends it; list what a pipeline
# trusts, to the bottom; and defend a first purchase. Next: `02_anatomy`, where the weak workflows run, and are
# attacked.
