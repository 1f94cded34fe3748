# %% [markdown]
# # Week 5 lab · Would anybody notice?
#
# > litellm 1.82.8 was reported 79 minutes after its upload, because it was badly made: a container stood at 100 % of
# > its CPU, took more than 5 GB of memory and wrote no log line. [V: PyPI's report of 2026-04-02; litellm issue 24518]
#
# Weeks 1 to 4 refuse what is wrong. This week asks what happens when something gets through: who would see it, how soon,
# and how often the same alarm rings for nothing.
#
# **You will** (5 h; each exercise says its minutes)
# - say for six attacks which event shows them, and which honest event looks the same
# - write a detection, and state its precision and recall at a base rate
# - count a burst once, whenever its events arrive
# - prove a forked log from two checkpoints
# - say what an audit hook sees and what evades it, raise an alert when an exporter dies, and roll back by digest
#
# **Before:** `05a_detections`, `05b_log_monitor`, `05c_reverification`. **Deliverable:** the release monitoring plan, from the
# template at the end.
#
# Each check calls your function on visible cases and on cases made from `seed`. When a case fails, `lab.case("5.3", "a
# late event")` gives its arguments, and `lab.hint("5.3")` one hint at a time. `solutions/05_monitoring.ipynb`
# has every answer with its reason, for afterwards. **V** and **S** as in week 1. The exercises stand alone.

# %% tags=["parameters"]
seed = 1

# %%
from pathlib import Path

import pandas as pd

import chainlab

lab = chainlab.open("05_monitoring", seed=seed)

# %% [markdown]
# ## From a signal to a rule
# A detection begins with a question: what would be different if it happened? The difference is a *signal*. A service has
# to write it down, and then it is an *event*. A *rule* matches events. *Coverage* is the share of the attacks you expect
# that some rule would show. Here are the six of next week's drill, each with a twin that begins alike and is honest:
#
# | attack | what happens | the honest twin |
# |---|---|---|
# | `stolen-token` | a thief publishes with a maintainer's token, from a machine of their own | a release at night, by a run that two people approved |
# | `name-confusion` | a build gets one of your internal names from the public index | a part of an internal package gets a name of its own |
# | `tag-hijack` | three or more tags of an action are moved at once | the owner moves one or two short tags with each release; old tags are deleted by the dozen |
# | `poisoned-cache` | a stranger's cache entry runs in a release; its run fails, and a file is published all the same | a run fails on a cold cache, the next one publishes |
# | `poisoned-model` | a model does something while it is loaded that its release was not tested to do | a scanner refuses every forest, this honest one too |
# | `startup-hook` | a wheel brings a file that every start of Python runs | an editable install has a `.pth` file, and so does its source |
#
# Five types of events matter. Here are the fields that you may need, as the services write them (a field that does not
# apply is None); [docs/events.md](../docs/events.md) has all of them:

# %%
from chainlab.course.exercises.week5.ex1_coverage import coverage, watch
from chainlab.event_types import EVENT_TYPES

fields = {
    "artifact.published": ["project", "file", "by", "run", "run_failed", "attested", "since_last_s", "about"],
    "artifact.served": ["project", "version", "age_s", "origin"],
    "artifact.inspected": ["project", "compared", "new_files", "startup_files", "changed_files"],
    "change.pushed": ["who", "kind", "ref", "moved", "age_s", "batch"],
    "service.behaved": ["action", "target", "expected", "phase"],
}
for kind, names in fields.items():
    print(f"{kind}: {EVENT_TYPES[kind].meaning}")
    for name in names:
        print(f"    {name:14} {EVENT_TYPES[kind].fields[name]}")

# %% [markdown]
# Look at `run`, `batch` and `startup_files`. A rule about one event cannot say "and no run came before it", so the
# service looks when it writes: what is absent, compared or different is in the event.
#
# ## Exercise 5.1 — which signal, which event, which scenario? (3 points)
# *20 min.* Write a rule for each attack, in one function. Given an event (a dict with `type` and the fields above) and the
# set of your internal names, return the attack that the event is a sign of, or None. Every sign of an attack counts; an
# event of a twin or of ordinary work is None. (The gate publishes evidence, too: by itself, in no run and no project.)
# <details><summary>Hint 1</summary>For each row: what does the thief not have, however good the disguise? Which field says it, and what does that field say in the twin?</details>
# <details><summary>Hint 2</summary>One type and one to three fields are enough for each. Two attacks show in `artifact.published`. The attacker chooses names and hours; look for a field that the attacker does not choose.</details>

# %% tags=["exercise"]
def sign(event: dict, internal: set) -> str | None:
    """The attack that this event is a sign of; None for any other event."""
    ### BEGIN SOLUTION
    match event["type"]:
        case "artifact.published" if event["project"] and event["run"] is None:
            return "stolen-token"
        case "artifact.published" if event["run_failed"]:
            return "poisoned-cache"
        case "artifact.served" if event["origin"] == "upstream" and event["project"] in internal:
            return "name-confusion"
        case "change.pushed" if event["moved"] and event["batch"] >= 3:
            return "tag-hijack"
        case "service.behaved" if event["phase"] == "load" and not event["expected"]:
            return "poisoned-model"
        case "artifact.inspected" if event["startup_files"]:
            return "startup-hook"
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.1", watch(sign))

# %% tags=["wrong"]
# wrong: a rule on file names: .pth is bad -> startup-hook
right = sign
def sign(event: dict, internal: set) -> str | None:
    if event["type"] == "artifact.inspected":
        return "startup-hook" if any(name.endswith(".pth") for name in event["new_files"] or []) else None
    return right(event, internal)

# %% tags=["wrong"]
# wrong: whatever names a .pth file, wherever -> an editable install
right = sign
def sign(event: dict, internal: set) -> str | None:
    return right(event, internal) or ("startup-hook" if ".pth" in str(event) else None)

# %% tags=["wrong"]
# wrong: thieves come at night -> stolen-token
right = sign
def sign(event: dict, internal: set) -> str | None:
    if event["type"] == "artifact.published" and not event["run_failed"]:
        return None if 6 <= event["hour"] < 22 else "stolen-token"
    return right(event, internal)

# %% tags=["wrong"]
# wrong: a new dependency is an attack -> an internal rename
right = sign
def sign(event: dict, internal: set) -> str | None:
    new = event["type"] == "dependencies.compared" and event["added"]
    return right(event, internal) or ("name-confusion" if new else None)

# %% [markdown] tags=["solution"]
# **Why.** Names, hours and addresses are the attacker's to choose, so a rule on them describes the last attack. A run
# that is not there, a file that the source does not have, an index that should not have answered: these are relations
# between facts of two parties, and a thief would have to change both. litellm's file ended in `.pth`; the same code in
# `sitecustomize.py` starts as reliably. The price is paid by whoever writes the event: somebody has to compare wheel and
# source, and a wheel that could not be compared (`compared` false) needs a rule of its own, or the attacker brings one.
# Note what this table does not claim. Full marks mean six attacks *as you imagined them*.

# %%
pd.DataFrame(coverage(sign, seed)).T

# %% [markdown]
# Signs matched, and events of honest people matched: both columns belong in a plan. The second column is small because
# there is one twin each. How often will it ring in a year? That needs a rate.

# %% [markdown]
# ## What is an alarm worth?
# A rule is a file in Sigma's format. It names fields and values; the monitor compiles it to SQL and asks the events. Here
# is one of the course's, from `data/detections`. The last part is ours: the technique, the first thing to do, and the
# *unit*, the type of event that makes one trial.

# %%
example_rule = (lab.data / "detections/attestation_lost.yml").read_text()
print(example_rule[example_rule.index("logsource") :])

# %% [markdown]
# Is it a good rule? "It found 17 of 25" says half. Three numbers decide what an alarm is worth:
#
# - **recall**, the share of attacks that alarm;
# - **FPR**, the false-positive rate, the share of *honest* units that alarm;
# - **π**, the base rate, the share of units that are attacks.
#
# Of all alarms, the share that are attacks is the **precision** = recall · π ÷ (recall · π + FPR · (1 − π)). The base rate
# is the world's. Where one publication in 2,000 is an attack, a rule that alarms for 1 % of honest ones is wrong about
# twenty times for each time it is right, however clever it is.
#
# You get one organisation to tune on. `try_rule(text)` measures there: recall by kind of attack, and which honest work
# alarmed. Suppose that thieves come at weekends:

# %%
from pprint import pprint

from chainlab.course.exercises.week5.ex2_detection import detection, interval, try_rule, tuning_attacks

weekend = example_rule.replace("attestation_lost: true", "weekday|gte: 6")
pprint(try_rule(weekend), sort_dicts=False)

# %% [markdown]
# A quarter of the attacks. Few false alarms, but only because hardly anybody here works at weekends: that is a fact about
# this organisation, and not about thieves. (`tuning_attacks()` lists the attacks' events, to look
# at: `tuning_attacks()[0].data`. Models and evidence are published too, without a `project`; evidence says what it is
# `about`.)
#
# ## Exercise 5.2 — a detection, and what its alarm is worth (8 points)
# *60 min.* Two functions.
#
# `rule` returns one Sigma rule as text, with the unit `artifact.published`. It detects versions that their release workflow
# did not make; the kinds of attack are those that `try_rule` counts. The check tries it on organisations that you have not
# seen: **at least half of the attacks**, and **at most one false alarm in 100 publications**.
#
# `worth` says what an alarm is worth, from what was counted: attacks detected, attacks, false alarms, honest units, and
# the base rate. Return the precision as `(low, best, high)`. `interval(count, n)` gives the lowest and the highest rate that
# a count allows, here 95 % for two together. Where there was no false alarm, `best` is None: nobody knows the rate.
# <details><summary>Hint 1</summary>For the rule: what would be different if the same thief attacked another company, at another hour? And for `worth`: which recall and which rate together make the worst case?</details>
# <details><summary>Hint 2</summary>Begin with `example_rule`, the whole file, and add one selection at a time: `run`, `run_failed`, `attestation_lost`, `identity_changed`. A condition can say `published and (a or b)`. After each step read "false alarms about". `low` takes the lowest recall with the highest FPR.</details>

# %% tags=["exercise"]
def rule() -> str:
    """A Sigma rule about publications that the release workflow did not make."""
    ### BEGIN SOLUTION
    return """title: A version that its release workflow did not make
id: 5f0c7c1e-5c1d-4b8e-9a63-2d1f4f0b7a52
status: experimental
logsource:
  product: chainlab
detection:
  published: {type: artifact.published}
  no_run: {run: null, about: null}
  failed: {run_failed: true}
  lost: {attestation_lost: true}
  other: {identity_changed: true}
  condition: published and (no_run or failed or lost or other)
falsepositives: [a release by hand, a renamed workflow, an optional job that failed]
level: high
tags: [attack.initial-access, attack.t1195.002]
chainlab:
  technique: [T1195.002]
  framework: ATT&CK v18.1
  unit: artifact.published
  response: Quarantine the digest, then ask the owner which credential uploaded it.
  detects: publish_without_run
"""
    ### END SOLUTION


def worth(detected: int, attacks: int, false_alarms: int, units: int, base_rate: float) -> tuple:
    """The precision that the counts allow: lowest, best, highest; best is None without a false alarm."""
    ### BEGIN SOLUTION
    def precision(recall, rate):
        return recall * base_rate / (recall * base_rate + rate * (1 - base_rate))

    recall_low, recall_high = interval(detected, attacks)
    rate_low, rate_high = interval(false_alarms, units)
    best = precision(detected / attacks, false_alarms / units) if false_alarms else None
    return precision(recall_low, rate_high), best, precision(recall_high, rate_low)
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.2", detection(rule, worth))

# %% tags=["wrong"]
# wrong: learns the attacks of the tuning set by heart -> attacks it has not seen
right = rule
def rule() -> str:
    digests = ", ".join(f'"{event.subject}"' for event in tuning_attacks())
    return right().replace("published: {type: artifact.published}",
                           f"published: {{type: artifact.published}}\n  seen: {{subject: [{digests}]}}"
                           ).replace("published and (no_run or failed or lost or other)", "published and seen")

# %% tags=["wrong"]
# wrong: at home everybody attests, so what is not attested is an attack -> honest work it has not seen
right = rule
def rule() -> str:
    return right().replace("lost: {attestation_lost: true}", "lost: {attested: false, project|contains: '-'}")

# %% tags=["wrong"]
# wrong: matches everything: recall 1 -> the history you tuned on
right = rule
def rule() -> str:
    return right().replace("published and (no_run or failed or lost or other)", "published")

# %% tags=["wrong"]
# wrong: 99 % of all units were judged rightly, so an alarm is 99 % sure -> 99 % accurate, at 1:10,000
right = worth
def worth(detected: int, attacks: int, false_alarms: int, units: int, base_rate: float) -> tuple:
    low, best, high = right(detected, attacks, false_alarms, units, base_rate)
    return low, (detected + units - false_alarms) / (attacks + units), high

# %% tags=["wrong"]
# wrong: no false alarm, so every alarm is an attack -> no false alarm in 400
right = worth
def worth(detected: int, attacks: int, false_alarms: int, units: int, base_rate: float) -> tuple:
    return right(detected, attacks, false_alarms, units, base_rate) if false_alarms else (1.0, 1.0, 1.0)

# %% [markdown] tags=["solution"]
# **Why.** The organisation you tuned on attests everything, so "not attested" cost no more false alarms there than "lost its
# attestation", and detected more. One field says what the house is like, the other what changed. Only another house could tell
# them apart, and that is what held-out data is for. It works once: after you have looked at the held-out figures and changed
# the rule, they are tuning data too. On precision: at 1:2,000 this rule is right about once in ten alarms, and that is a
# useful rule, if looking takes five minutes and the response begins with a question. At 1:10,000 it is one in forty. To
# claim a precision of one half there, at this recall, you would need a false-positive rate below 1 in 13,000, and to *show*
# it, about 40,000 honest publications without a single false alarm: zero of n shows no more than 3 in n. And the attacks in
# these histories are ours. A thief who knows the rule takes over the workflow itself, publishes from a run that succeeds,
# and is in no row of this table.

# %% [markdown]
# Keep it: files in `detections` on your desk are rules of the monitor from now on, and the drill of week 6 uses them.
# `chainlab monitor test stolen_publication` measures it on more.

# %%
own = lab.workspace.desk / "detections"
own.mkdir(exist_ok=True)
(own / "stolen_publication.yml").write_text(rule())
pprint(try_rule(rule()), sort_dicts=False)

# %% [markdown]
# ## Ten minutes, from where to where?
# On 19 March 2026 76 tags of one action were moved at about 17:43 [V: CVE-2026-33634]. One such event is an owner at
# work; many at once are an attack. "Many at once" is a *correlation*: several events, one group, one span of time. Each
# of its words can be got wrong:
#
# - **Group.** A window is about one repository (`subject`).
# - **What is counted.** Different tags (`ref`), not moves. An event counts when its `type` is `change.pushed`, its `kind`
#   `tag` and `moved` true.
# - **Window.** It begins at any event and lasts `window_s` seconds, both ends included. It is *full* when at least `least`
#   different tags moved in it. Every counted event in a full window belongs to the burst.
# - **Alert.** Full windows that share an event are one burst, and one burst is one alert.
# - **Time.** `time` says when it happened, in RFC 3339: an offset, perhaps fractions of a second. The list is in the order
#   in which events were *written*, and a service that was cut off writes late.

# %%
from datetime import datetime, timedelta

pushes = [
    {"sequence": 41, "type": "change.pushed", "subject": "acme/checkout", "time": f"2026-03-19T17:{minute}:00Z",
     "ref": f"refs/tags/v{minute}", "kind": "tag", "moved": True}
    for minute in (43, 47, 48, 49, 51, 52)
]
print([datetime.fromisoformat(push["time"]).minute // 10 * 10 for push in pushes])

# %% [markdown]
# Six moves in nine minutes. Cut at full ten minutes, as a *tumbling* window does, they are four and two, and a rule for
# five stays silent. A window that *slides* holds all six.
#
# ## Exercise 5.3 — many tags in ten minutes (5 points)
# *35 min.* Return the bursts, a list of sets: for each burst the `sequence` of its events. The order of the list is yours.
# <details><summary>Hint 1</summary>How many places can a window begin at, if something is to be in it? And in which order do you go through them?</details>
# <details><summary>Hint 2</summary>Per repository, sort the moves by time. For each, take those from its time to `window_s` later; count `{ref …}`. If the sequences share one with the burst before, unite them (`|=`), else begin a new burst.</details>

# %% tags=["exercise"]
def bursts(events: list[dict], least: int, window_s: int) -> list[set[int]]:
    """For each burst of moved tags, the sequences of its events."""
    ### BEGIN SOLUTION
    repositories = {}
    for event in events:
        if event["type"] == "change.pushed" and event["kind"] == "tag" and event["moved"]:
            move = (datetime.fromisoformat(event["time"]), event["ref"], event["sequence"])
            repositories.setdefault(event["subject"], []).append(move)
    alerts, burst = [], set()
    for moves in repositories.values():
        for start, _, _ in sorted(moves):
            end = start + timedelta(seconds=window_s)
            window = [(ref, sequence) for time, ref, sequence in moves if start <= time <= end]
            if len({ref for ref, _ in window}) >= least:
                sequences = {sequence for _, sequence in window}
                if burst & sequences:
                    burst |= sequences
                else:
                    burst = sequences
                    alerts.append(burst)
    return alerts
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.3", bursts)

# %% tags=["wrong"]
# wrong: tumbling windows, cut at full ten minutes -> across a boundary
right = bursts
def bursts(events: list[dict], least: int, window_s: int) -> list[set[int]]:
    windows = {}
    for event in events:
        slot = datetime.fromisoformat(event["time"]).timestamp() // window_s
        windows.setdefault(slot, []).append(event)
    return [burst for window in windows.values() for burst in right(window, least, window_s)]

# %% tags=["wrong"]
# wrong: an alert for each full window -> a long burst is one alert
def bursts(events: list[dict], least: int, window_s: int) -> list[set[int]]:
    moves = [e for e in events if e["type"] == "change.pushed" and e["kind"] == "tag" and e["moved"]]
    alerts = []
    for first in moves:
        start = datetime.fromisoformat(first["time"])
        window = [e for e in moves if e["subject"] == first["subject"]
                  and timedelta() <= datetime.fromisoformat(e["time"]) - start <= timedelta(seconds=window_s)]
        if len({e["ref"] for e in window}) >= least and not any({e["sequence"] for e in window} <= a for a in alerts):
            alerts.append({e["sequence"] for e in window})
    return alerts

# %% tags=["wrong"]
# wrong: the list is in order, so late events are out of the window -> a late event
right = bursts
def bursts(events: list[dict], least: int, window_s: int) -> list[set[int]]:
    in_order, latest = [], datetime.min.isoformat()
    for event in events:
        if event["time"] >= latest:
            in_order.append(event)
            latest = event["time"]
    return right(in_order, least, window_s)

# %% tags=["wrong"]
# wrong: counts moves, not tags -> one tag, back and forth
right = bursts
def bursts(events: list[dict], least: int, window_s: int) -> list[set[int]]:
    return right([{**e, "ref": str(e["sequence"]) if e["kind"] == "tag" else None} for e in events], least, window_s)

# %% [markdown] tags=["solution"]
# **Why.** A tumbling window is cheap, one counter per slot, and good for a chart. As an alarm it has a seam every ten
# minutes, and whoever knows the rule can move across it. Sliding costs a look at every event. Grouping full windows into
# one burst is no comfort but a safety measure: an on-call person who gets six alerts for one attack reads the first and
# mutes the rest. Late events are where live systems and your function differ. You had the whole list; a live monitor has
# to decide how long to wait before it calls a window complete, and whatever comes later than that must still be able to
# *change* an alert. An attacker who can delay one service's events uses exactly that gap, so the delay itself is a signal.

# %% [markdown]
# ## A log with two faces
# A transparency log promises to append and never to change. Nobody has to believe it: a *checkpoint* is a signed
# sentence, "with this many entries my root is this". Suppose the log shows one history to your build and another to you.
# Each is consistent, each has proofs. It takes two observers who compare. Here are two faces that part after two entries:

# %%
from chainlab.trust.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion

faces = {"yours": "abcde", "theirs": "abXdefg"}
trees = {name: MerkleTree(b"".join(leaf_hash(entry.encode()) for entry in entries)) for name, entries in faces.items()}
for name, tree in trees.items():
    size = len(tree)
    included = verify_inclusion(leaf_hash(b"b"), 1, size, tree.inclusion(1, size), tree.root(size))
    print(name, "of size", size, "has entry b:", included, "· root of its first five:", tree.root(5).hex()[:8])

# %% [markdown]
# Entry `b` is in both, at the same index, and both proofs hold. Still the two cannot both be true: the first five entries
# have two roots. What would convince a judge who trusts nothing but the log's own key? You have what observers kept:
#
# `checkpoints` is a list of dicts with `note` (the text as the log sent it), `origin`, `size` and `root`, read from it.
# `signed(note)` says whether the key of that origin's log signed the note.
#
# `proofs` is a list of dicts, in any order. Nobody signed them, and anybody may have written them. Each is about the tree
# with `size` entries and the root `root`, and has `hashes`. There are two kinds:
#
# - **consistency**, with `first` and `first_root`: that tree begins with the tree of `first` entries, whose root is
#   `first_root`. `verify_consistency(first, size, first_root, root, hashes)` does the arithmetic.
# - **inclusion**, with `index` and `entry` (bytes): the entry stands there in that tree.
#   `verify_inclusion(leaf_hash(entry), index, size, hashes, root)` does the arithmetic.
#
# ## Exercise 5.4 — two checkpoints that cannot both be true (6 points)
# *40 min.* Return all pairs of checkpoints, as numbers of the list, that together with the proofs *prove* that one log
# signed two histories. A suspicion is no proof. Neither is a proof that fails.
# <details><summary>Hint 1</summary>A signature binds the log to everything *under* the signed root. What has it promised, then, when a proof leads from another tree up to that root? And when a proof leads from the signed root to a tree that nobody signed?</details>
# <details><summary>Hint 2</summary>For each signed checkpoint collect a dict of promises: a size has a root, an index has an entry. Begin with its own, and add what any proof shows about a tree that is promised already, until nothing is added. Two checkpoints of one origin contradict each other when their dicts give one key two values.</details>

# %% tags=["exercise"]
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    """Pairs of checkpoints, by number, that prove together that their log has two histories."""
    ### BEGIN SOLUTION
    def shown(proof):
        size, root, hashes = proof["size"], proof["root"], proof["hashes"]
        if "entry" in proof:
            leaf, index = leaf_hash(proof["entry"]), proof["index"]
            return ("entry", index), leaf, verify_inclusion(leaf, index, size, hashes, root)
        first, first_root = proof["first"], proof["first_root"]
        return ("root", first), first_root, verify_consistency(first, size, first_root, root, hashes)

    def promises(checkpoint):
        facts, before = {("root", checkpoint["size"]): checkpoint["root"]}, None
        while facts != before:
            before = dict(facts)
            for proof in proofs:
                what, value, holds = shown(proof)
                if holds and facts.get(("root", proof["size"])) == proof["root"]:
                    facts[what] = value
        return facts

    facts = {number: promises(c) for number, c in enumerate(checkpoints) if signed(c["note"])}
    return {
        (one, other)
        for one in facts
        for other in facts
        if one < other and checkpoints[one]["origin"] == checkpoints[other]["origin"]
        and any(facts[one][what] != facts[other][what] for what in facts[one].keys() & facts[other].keys())
    }
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.4", forks)

# %% tags=["wrong"]
# wrong: inclusion implies consistency: both trees have the entry, so all is well -> an entry that both trees have
right = forks
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    trees = {}
    for proof in proofs:
        if "entry" in proof:
            trees.setdefault((proof["index"], proof["entry"]), set()).add(proof["root"])
    return {(a, b) for a, b in right(checkpoints, proofs, signed)
            if not any({checkpoints[a]["root"], checkpoints[b]["root"]} <= roots for roots in trees.values())}

# %% tags=["wrong"]
# wrong: only two roots of one size are a fork -> a tree that begins otherwise
right = forks
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    return right(checkpoints, [], signed)

# %% tags=["wrong"]
# wrong: a proof that fails is a proof of the fork -> a fork that nobody can prove yet
right = forks
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    found = right(checkpoints, proofs, signed)
    for proof in (p for p in proofs if "first" in p):
        ends = [(n, c["root"]) for n, c in enumerate(checkpoints) if c["root"] in (proof["root"], proof["first_root"])]
        names = proof["first"], proof["size"], proof["first_root"], proof["root"], proof["hashes"]
        if len(ends) == 2 and not verify_consistency(*names):
            found |= {(ends[0][0], ends[1][0])}
    return found

# %% tags=["wrong"]
# wrong: follows proofs from the signed root onwards, too -> a tree that anybody can grow
right = forks
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    found, number = right(checkpoints, proofs, signed), {c["root"]: n for n, c in enumerate(checkpoints)}
    for proof in (p for p in proofs if "first" in p and p["first_root"] in number and p["root"] not in number):
        start = number[proof["first_root"]]
        found |= {tuple(sorted((start, n))) for n, c in enumerate(checkpoints)
                  if c["size"] == proof["size"] and c["origin"] == checkpoints[start]["origin"]}
    return found

# %% tags=["wrong"]
# wrong: a checkpoint is a checkpoint, whoever wrote it -> a checkpoint that the log did not sign
right = forks
def forks(checkpoints: list[dict], proofs: list[dict], signed) -> set[tuple[int, int]]:
    return right(checkpoints, proofs, lambda note: True)

# %% [markdown] tags=["solution"]
# **Why.** The proof of a fork is a *contradiction under two signatures*, and everybody who knows the key can check it
# without trusting you. Inclusion answers another question: is this entry under this root? Two faces may share a million
# entries and differ in one. A consistency proof that fails is worth an alarm, and it accuses nobody: you could have
# made it up. The direction matters, because a root binds what is below it and nothing that will be appended. Two more
# habits follow. Keep notes *as they came*, with the signature, since a table of sizes and roots proves nothing later. And
# compare with somebody who looks from elsewhere: a log that shows you one consistent face for ever is never caught by
# you alone.

# %% [markdown]
# ## A hook inside the process
# Everything so far was written down by services. What does the *running* release do? CPython raises an audit event
# wherever it is asked for something of weight, and whoever called `sys.addaudithook(function)` hears of it
# [PEP 578, Python 3.8]. The prediction service starts with such a hook. Here a small program runs under one that
# writes every event down. It behaves as its release was tested to behave, and reads a secret beside that, in a thread.

# %%
from chainlab.course.exercises.week5.ex5_audit_hook import heard_by, sample

watched = sample(lab, seed)
print(watched.source)
for event, args in watched.events:
    if event in ("subprocess.Popen", "socket.connect") or (event == "open" and str(lab.path) in str(args[0])):
        print(f"{event:17}", args[1] if event == "socket.connect" else Path(args[0]).name)

# %% [markdown]
# Dozens of other files were opened, which Python's own imports needed, so an `open` alone says nothing. An alarm has to
# know what is *expected*: what the release did when it was tested. Here that is a dict of lists, as in JSON:
#
# | key | value |
# |---|---|
# | `folder` | the folder that the program works in; relative paths begin there |
# | `read` | folders whose files it may read |
# | `connect` | addresses that it may send to, each `[host, port]` |
# | `process` | programs that it may start, by path |
#
# These events matter here; their arguments come as a tuple:
#
# | event | arguments |
# |---|---|
# | `subprocess.Popen` | program, its arguments, folder, environment |
# | `os.posix_spawn`, `os.exec` | program, its arguments, environment |
# | `os.system` | the command, for a shell |
# | `socket.connect`, `socket.sendto` | the socket's type, the address as `[host, port]` |
# | `open` | path (a number for a file that is open already), mode (None from `os.open`), flags |
#
# ## Exercise 5.5 — what the hook sees, and what it does not (5 points)
# *40 min.* Write two functions. `report` gives `"process"`, `"connect"` or `"read"` for an event that the expected
# behaviour does not include, and None for every other event. A file opened only for writing is not read. `heard` says
# whether *any* hook in the process, however good, hears of an act. An act is a dict: `does` (read, connect, process),
# `hooked` (False when it ran before the hook was added), and `way`, one of `directly`, `by the layer below` (os.open, a
# datagram, os.posix_spawn), `by a shell`, `in text compiled at run time`, `in a thread`, `in a fork of the process`,
# `in a child program` (a Python that was started anew), `through ctypes`, `inside OpenSSL` (asked to load a file).
#
# The check runs programs, honest ones with one act beside: `lab.case("5.5", "through ctypes")` gives you the events of
# one. Read them before you decide what `heard` says.
# <details><summary>Hint 1</summary>Which of the three arguments of `open` is there whichever function opened the file? And for `heard`: who raises an audit event, the operating system or a line in CPython's source?</details>
# <details><summary>Hint 2</summary>`flags & os.O_ACCMODE` is `os.O_RDONLY`, `os.O_WRONLY` or `os.O_RDWR`. `os.path.normpath(os.path.join(folder, path))` resolves `..`, and `Path.is_relative_to` compares whole names. A fork copies the interpreter with its hooks; a program that is started anew has none.</details>

# %% tags=["exercise"]
import os


def report(event: str, args: tuple, expected: dict) -> str | None:
    """'process', 'connect' or 'read' for an event outside what is expected; else None."""
    ### BEGIN SOLUTION
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
        return None if args[0] in expected["process"] else "process"
    if event in ("socket.connect", "socket.sendto"):
        return None if args[1] in expected["connect"] else "connect"
    if event == "open" and isinstance(args[0], str) and args[2] & os.O_ACCMODE != os.O_WRONLY:
        path = Path(os.path.normpath(os.path.join(expected["folder"], args[0])))
        return None if any(path.is_relative_to(folder) for folder in expected["read"]) else "read"
    return None
    ### END SOLUTION


def heard(act: dict) -> bool:
    """Whether any audit hook of the process hears of the act."""
    ### BEGIN SOLUTION
    return act["hooked"] and act["way"] not in ("in a child program", "through ctypes", "inside OpenSSL")
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.5", heard_by(report, heard))

# %% tags=["wrong"]
# wrong: a hook is a sandbox, it hears of whatever the process causes -> in a child program
def heard(act: dict) -> bool:
    return act["hooked"]

# %% tags=["wrong"]
# wrong: everything in another process is out of sight -> in a fork of the process
right = heard
def heard(act: dict) -> bool:
    return right(act) and act["way"] != "in a fork of the process"

# %% tags=["wrong"]
# wrong: asks for the start that it knows -> a process, another way
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    return None if event in ("os.posix_spawn", "os.exec", "os.system") else right(event, args, expected)

# %% tags=["wrong"]
# wrong: loopback is harmless -> a connection
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    loopback = event in ("socket.connect", "socket.sendto") and args[1][0] == "127.0.0.1"
    return None if loopback else right(event, args, expected)

# %% tags=["wrong"]
# wrong: reads are what was opened with the mode "r" -> a read, below open()
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    return None if event == "open" and "r" not in str(args[1]) else right(event, args, expected)

# %% tags=["wrong"]
# wrong: compares the beginning of the text -> a read beside the folder
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    path = os.path.join(expected["folder"], str(args[0])) if event == "open" else ""
    return None if path.startswith(tuple(expected["read"])) else right(event, args, expected)

# %% [markdown] tags=["solution"]
# **Why.** An event is raised by a line of C or Python that somebody wrote into CPython. The hook hears of what goes
# through such a line, in any thread, in compiled text, in a fork; and of nothing else. C code that ctypes or an
# extension module calls asks the kernel itself. The events *before* (`ctypes.dlopen`, `ctypes.dlsym`) are heard, so
# "from here on I am blind" deserves an alarm of its own. A child that starts anew is another interpreter. And the
# launcher's hook is worth its place in time: `.pth` files run while Python starts, so the service starts with `-S`,
# adds the hook, and only then calls `site.main()` (`src/chainlab/deploy/audit_hook.py`). A hook may raise an exception,
# which stops what it heard of. That is no sandbox: whoever wants past it takes one of the ways above. It detects, and
# it is cheap. What confines is outside the process: another user, a network that refuses, a file system that is not
# there. And whoever reads your alarms will also ask what the honest program does on a bad day, a crash that starts a
# debugger, say: `expected` comes from a run, and a run is a sample.

# %% [markdown]
# ## Numbers, and their absence
# The container at the top of this page had one sign that is easily missed: *no log line*. Silence is a measurement, if
# somebody asked for it.
#
# Events say what happened. Numbers say how it goes: an *exporter* shows them on a page, `/metrics`, and Prometheus
# fetches that page every half minute (a *scrape*). An alert rule is a query. Each series that it returns is an alert,
# *pending* at first, *firing* once it was returned for as long as `for` says. The kit evaluates the same files by the
# same rules, without a Prometheus. Here is an hour in which the gate's exporter was gone after forty minutes, under a
# rule that many people have:

# %%
from chainlab.course.exercises.week5.ex6_alert_rule import evaluated, sample

hour = sample(seed)
print(*(f"{series['metric']} {series['values'][76:84]}" for series in hour), sep="\n")
usual = """
groups:
  - name: usual
    rules:
      - alert: NoData
        expr: up{job="gate"} == 0
        for: 2m
        labels: {severity: high}
        annotations: {summary: the gate gives no numbers, response: ask it for a verdict by hand}
"""
evaluated(lambda: usual)(hour)

# %% [markdown]
# It never fires. Prometheus writes `up` itself, 1 when a scrape worked and 0 when it did not; but nobody scrapes what
# is no longer in the configuration, and then there is no `up` that could be 0.
#
# ## Exercise 5.6 — no data is not health (4 points)
# *35 min.* Write a rule file with two alerts. Other alerts may be in it; these are judged, at every half minute of an
# hour:
#
# | alert | has to fire, within five minutes |
# |---|---|
# | `GateFailing` | when `chainlab_gate_failures_total` rose by more than three in ten minutes; it counts since the gate's start |
# | `NoData` | when the job `gate` or the job `service` gives no numbers, for as long as that lasts |
#
# Neither may fire when nothing is wrong. A restart takes up to a minute and a half and is nothing wrong; the counter
# begins anew with it. The job `dev` is another team's, and down most of the time. Each rule needs a label `severity`
# (low, medium, high, critical) and the annotations `summary` and `response`, because it calls a person.
# <details><summary>Hint 1</summary>For each of your two queries: what does it return when there is no such series at all?</details>
# <details><summary>Hint 2</summary>`increase(name[10m])`, `absent(up{job="…"})`, `a or b`, `up{job=~"one|other"}`. In `lab.case("5.6", "a restart")` you have an hour to try your rules on, with `evaluated(rules)(…)`.</details>

# %% tags=["exercise"]
def rules() -> str:
    """A rule file with the alerts GateFailing and NoData."""
    ### BEGIN SOLUTION
    return """
groups:
  - name: lab
    rules:
      - alert: GateFailing
        expr: increase(chainlab_gate_failures_total[10m]) > 3
        labels: {severity: high}
        annotations:
          summary: the gate failed {{ $value }} times in ten minutes
          response: Read why with chainlab events; nothing goes to prod until it judges again.
      - alert: NoData
        expr: up{job=~"gate|service"} == 0 or absent(up{job="gate"}) or absent(up{job="service"})
        for: 2m
        labels: {severity: critical}
        annotations:
          summary: the {{ $labels.job }} gives no numbers, so no rule about it can fire
          response: Ask it by hand, and look who changed what is scraped.
"""
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.6", evaluated(rules))

# %% tags=["wrong"]
# wrong: no data is health -> an exporter that is gone
right = rules
def rules() -> str:
    return right().replace(' or absent(up{job="gate"}) or absent(up{job="service"})', "")

# %% tags=["wrong"]
# wrong: asks once for both -> one of two is gone
right = rules
def rules() -> str:
    both = 'absent(up{job=~"gate|service"})'
    return right().replace('absent(up{job="gate"}) or absent(up{job="service"})', both)

# %% tags=["wrong"]
# wrong: everything that is down is ours -> a gate that fails
right = rules
def rules() -> str:
    return right().replace('up{job=~"gate|service"} == 0', "up == 0")

# %% tags=["wrong"]
# wrong: reads the counter's value -> a gate that fails
right = rules
def rules() -> str:
    return right().replace("increase(chainlab_gate_failures_total[10m])", "chainlab_gate_failures_total")

# %% tags=["wrong"]
# wrong: calls at once -> a restart
right = rules
def rules() -> str:
    return right().replace("for: 2m", "for: 0s")

# %% tags=["wrong"]
# wrong: waits a quarter of an hour, to be sure -> an exporter that is down
right = rules
def rules() -> str:
    return right().replace("for: 2m", "for: 15m")

# %% tags=["wrong"]
# wrong: counts over the last hour -> failures that end
right = rules
def rules() -> str:
    return right().replace("[10m]", "[1h]")

# %% [markdown] tags=["solution"]
# **Why.** A rule that compares is silent in two cases: when all is well, and when there is nothing to compare. From
# outside they look alike, and whoever switches an exporter off gets the second for free. So absence is an alert of its
# own, per thing that is watched, and `for` is longer than a restart and shorter than you can bear to be blind. `absent`
# needs the name of what is missing: a list of what should be there, kept by somebody. And who watches Prometheus? An
# alert that always fires, and somebody outside who calls when it stops, is the usual answer. The kit's own rules stand
# in `data/alerts`; `ExporterDown` and `GateUnwatched` are this exercise.

# %% [markdown]
# ## What runs, verified again
# A gate's yes has a date. Afterwards an approval is withdrawn, an advisory appears, a file on the disk changes. So a
# schedule verifies what runs once more, every few minutes, and somebody has to decide beforehand what then happens. You
# write that plan, and it is tried on a small deployment, where each step has its effect. This is what it is shown:

# %%
from chainlab.course.exercises.week5.ex7_rollback import rehearse, sample, score

situation = sample(seed=seed)
print("runs:  ", situation["releases"][-1][:15] + "…")
print("policy:", situation["policy"])
pd.DataFrame(situation["evidence"]).T

# %%
second_look = situation["looks"][1]
pd.DataFrame({digest[:15] + "…": verdict for digest, verdict in second_look.items()}).T

# %%
rehearse(lambda look: [])([situation])[0]

# %% [markdown]
# A plan without steps: what no longer verifies still runs, nobody was told, and three of the four pieces of evidence are
# lost. At each look, five minutes apart, your plan gets a dict:
#
# | key | value |
# |---|---|
# | `runs` | the digest that runs |
# | `history` | the digests that ran, oldest first; the last one runs, and one may occur twice |
# | `verdicts` | digest to `verified` (True, False, or None when the gate could not be asked) and `cause`: None, `revoked`, `advisory`, `bytes`, `runtime`, `unreachable` |
# | `silent_s` | for how long the gate has not answered about what runs; 0 when it did |
# | `reported` | causes that were reported since what runs last verified |
# | `evidence` | what could be kept of the installation: name to `takes_s`, and `gone_in_s` from now |
# | `tags` | what each tag names now |
# | `policy` | `rolls_back`: causes for which to go back; `patience_s`; `without`, `stop` or `run on`, for when no release verifies |
#
# It returns a list of steps, done in order until one fails:
#
# | step | effect |
# |---|---|
# | `("report", cause)` | a person is told |
# | `("keep", name)` | copies a piece of evidence, in its `takes_s`; lost if it is gone before the copy is ready |
# | `("deploy", digest)` | installs and starts it, then removes the installation before, with its evidence. May fail. A tag's name is taken too |
# | `("stop",)` | ends the service, and removes the installation |
# | `("tag", name, digest)` | sets a tag |
# | `("delete", digest)` | removes an installation at once |
#
# ## Exercise 5.7 — roll back, by digest, and keep the evidence (9 points)
# *70 min.* Write the plan. It keeps to these rules:
#
# - nothing is done about a release that verifies, whatever else happened;
# - a gate that does not answer is reported once it has been silent for `patience_s` or longer, and changes nothing;
# - what does not verify is reported, and no cause is reported again while it lasts;
# - for a cause in `rolls_back` all evidence is kept, and then the release runs that ran last *and verifies now*;
# - if no release verifies, `without` decides: `stop` (evidence first), or nothing beyond the report.
#
# The check tries groups of situations, each with something quiet beside it, and then a score over all kinds.
# <details><summary>Hint 1</summary>For each step: what can nobody do any more after it? And which of your steps may fail?</details>
# <details><summary>Hint 2</summary>Three states, three branches: True, None, False. `sorted(evidence, key=lambda name: evidence[name]["gone_in_s"])` orders by what is gone first, and `reversed(history)` begins with what runs.</details>

# %% tags=["exercise"]
def plan(look: dict) -> list[tuple]:
    """The steps for what this look shows, in order."""
    ### BEGIN SOLUTION
    verdict, policy, evidence = look["verdicts"][look["runs"]], look["policy"], look["evidence"]
    cause, steps = verdict["cause"], []
    if verdict["verified"]:
        return steps
    if verdict["verified"] is None and look["silent_s"] < policy["patience_s"]:
        return steps
    if cause not in look["reported"]:
        steps.append(("report", cause))
    if cause not in policy["rolls_back"]:
        return steps
    good = [digest for digest in look["history"] if look["verdicts"][digest]["verified"]]
    if not good and policy["without"] == "run on":
        return steps
    steps += [("keep", name) for name in sorted(evidence, key=lambda name: evidence[name]["gone_in_s"])]
    return [*steps, ("deploy", good[-1]) if good else ("stop",)]
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.7", rehearse(plan))

# %% tags=["wrong"]
# wrong: sets the tag `latest` back -> it does not verify any more
right = plan
def plan(look: dict) -> list[tuple]:
    return [("tag", "latest", step[1]) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: removes the bad installation before anything else -> it does not verify any more
right = plan
def plan(look: dict) -> list[tuple]:
    steps = right(look)
    return [("delete", look["runs"]), *steps] if any(step[0] == "deploy" for step in steps) else steps

# %% tags=["wrong"]
# wrong: tells the people at every look -> what the policy rolls back
right = plan
def plan(look: dict) -> list[tuple]:
    return right({**look, "reported": []})

# %% tags=["wrong"]
# wrong: rolls back for whatever does not verify -> what the policy rolls back
right = plan
def plan(look: dict) -> list[tuple]:
    causes = ["revoked", "advisory", "bytes", "runtime"]
    return right({**look, "policy": {**look["policy"], "rolls_back": causes}})

# %% tags=["wrong"]
# wrong: a gate that does not answer is a gate that says no -> a gate that does not answer
right = plan
def plan(look: dict) -> list[tuple]:
    steps = [("keep", name) for name in look["evidence"]]
    silent = look["verdicts"][look["runs"]]["verified"] is None
    return [("report", "unreachable"), *steps, ("deploy", look["history"][-2])] if silent else right(look)

# %% tags=["wrong"]
# wrong: returns to the release before, whatever it is -> the release before is bad as well
right = plan
def plan(look: dict) -> list[tuple]:
    before = [digest for digest in look["history"] if digest != look["runs"]][-1]
    return [("deploy", before) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: what nobody calls bad is good -> the release before cannot be judged
right = plan
def plan(look: dict) -> list[tuple]:
    good = [digest for digest in look["history"] if look["verdicts"][digest]["verified"] is not False]
    return [("deploy", good[-1]) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: deploys the tag of the release to go back to -> a tag that moved
right = plan
def plan(look: dict) -> list[tuple]:
    version = f"v1.{len(dict.fromkeys(look['history'])) - 2}.0"
    before = [digest for digest in dict.fromkeys(look["history"]) if digest != look["runs"]][-1]
    return [("deploy", version) if step == ("deploy", before) else step for step in right(look)]

# %% tags=["wrong"]
# wrong: keeps the evidence as it is listed -> evidence that does not wait
right = plan
def plan(look: dict) -> list[tuple]:
    steps = right(look)
    keep = iter([("keep", name) for name in look["evidence"]])
    return [next(keep) if step[0] == "keep" else step for step in steps]

# %% tags=["wrong"]
# wrong: reports when all is done -> a deployment that fails
right = plan
def plan(look: dict) -> list[tuple]:
    return sorted(right(look), key=lambda step: step[0] == "report")

# %% [markdown] tags=["solution"]
# **Why.** Three states need three branches. *Bad* is somebody's finding and has a cause; *unknown* is a fact about the
# gate, and belongs to whoever runs it. If unknown counted as bad, an outage of the gate would roll back every service,
# and whoever can cause the outage decides what runs. If it counted as good for ever, switching the gate off would be
# the attack: hence the patience, and a person. By digest, because a tag is the one thing here that the attacker could
# move as well; a release that ran is not a release that is good, so the target is verified *now*, like any other. And
# order is most of a plan: report first, because it costs nothing and the rest may fail; what is gone first before what
# waits; the deployment last, because it removes what you would like to look into. The minutes that the evidence takes
# are minutes in which the bad release runs. That is a price, and a policy may name a cause for which nobody waits.

# %%
print(score(plan, seed=seed))

# %% [markdown]
# The score on situations that the check did not use; below it, by kind, what your plan missed. The kit's own plan is
# `chainlab.monitor.reverification`, and `[reverification]` in `data/policies/release.toml` names the causes that it rolls
# back for. In the kit's policy that list is empty: it reports, until somebody decides otherwise.
#
# ## Hand in: the release monitoring plan
# The cell copies the template, once, and says where your file is. Fill it for `triage-model`, with the rules that you
# wrote in 5.2 and the figures that `chainlab monitor test` prints. `templates/examples/monitoring_plan.md` is a filled one
# at level 3, for the kit's own rules: look at how a figure names its count, and at what it drops.

# %%
lab.template("monitoring_plan.md")

# %% [markdown]
# **A reviewer will**
# - plant one event of your worst threat, and wait for a person to answer
# - switch off one part, the monitor itself among them, and look at the clock
# - ask of one figure: which unit, how many, measured on what, at which base rate?
# - delete an event that your plan rests on, and ask who would see that
# - call you at night with one of your alerts: what is your first step, and what do you keep?
#
# Level 2 lists rules. Level 3 goes from threat to event to rule to person, gives each figure its count and base rate, has
# tried alerts, silence and rollback, and names what is not watched. Level 4 drops what costs more than it tells, with
# figures, and has been tried by somebody who did not write it.
#
# **To carry home** (30 min, in a repository of your own that has a release). Write the digests of its files into
# `digests.txt`, as `sha256sum` prints them, and let a schedule verify them again:
#
# ```yaml
# on: {schedule: [{cron: "17 5 * * *"}], workflow_dispatch: {}}
# permissions: {contents: read}
# jobs:
#   reverify:
#     runs-on: ubuntu-latest
#     steps:
#       - uses: actions/checkout@…   # pinned by commit, as in week 2
#       - env: {GH_TOKEN: "${{ github.token }}"}
#         run: |
#           gh release download --dir released
#           cd released && sha256sum --check --strict ../digests.txt
# ```
#
# Then, on a branch, change one digit in `digests.txt` and start it by hand. Who is told, and by which way? Now the other
# half: switch the schedule off. Nothing is red, and nothing is verified. Let something outside ask for the last success
# (`gh run list --workflow reverify.yml --status success --limit 1 --json createdAt`) and complain when it is older than
# two days. You are done when both, the wrong digest and the missing run, have reached a person.
#
# **You can now** write a detection and state its precision and recall at a base rate; count a burst once; prove a forked
# log from two checkpoints; say what an audit hook does not hear; raise an alert when an exporter dies; and roll back by
# digest when re-verification fails, with the evidence kept. Next: `06_drill`, the dependency is compromised.
