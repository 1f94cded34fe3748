# %% [markdown]
# # Week 5 · Would anybody have noticed?
#
# > On 12 May 2026 version 2.4.6 of `mistralai` was on PyPI. Its repository had no tag, no commit and no workflow run
# > for it. [V: client-python issue 523] In December 2024 the same was the tell-tale of two bad versions of
# > Ultralytics: a left-over token, no attestation, no activity in the repository. [V: PyPI's report]
#
# Anybody could have seen it. Who would have? Four weeks of this course refuse what is wrong; here something gets
# through. You steal a release, see what your own services wrote down about it, make a rule of it, and then ask the
# question that decides whether anybody reads its alarms: how often does it ring for nothing?
#
# **You will** (55 min: 14 reading, 41 doing)
# - publish with a stolen token, and read both sides of it in the event log
# - remove an event, and say which removal shows
# - write a rule in Sigma, compile it, and see what a rule cannot say
# - measure it, and say what its alarm is worth at three base rates
# - keep a rule of your own, and get an alert
#
# **Before:** week 4. **Lab:** `labs/05_monitoring.ipynb`
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only. Words are in [the
# glossary](../docs/glossary.md); [docs/events.md](../docs/events.md) lists every type of event. At **Predict**, write
# your answer in place of `None` before you run the cell. At **Change it**, change one value and run the cell again.

# %% tags=["parameters"]
seed = 1

# %%
import json
import re
from contextlib import closing
from datetime import UTC, datetime

import chainlab
import matplotlib.pyplot as plt
import pandas as pd
from chainlab.course.project_states import working_copy
from chainlab.database import connect
from chainlab.digests import Digest
from chainlab.errors import VerificationFailed
from chainlab.events import Events

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("05a_detections", seed=seed)

# %% [markdown]
# ## An honest release, and a stolen one
# The lab keeps two clocks. Services write real time, and beside it a *scenario's*: the time of a story, which we set.
# It is Monday, ten o'clock, and the hardened workflow of week 2 releases 1.4.0. (Half a minute.)

# %%
lab.set_scenario_time(datetime(2026, 5, 11, 10, 0, tzinfo=UTC))
settings = lab.data / "projects/settings/triage-model.toml"
project = lab.ci.project("acme/triage-model", working_copy(lab.data / "projects", lab.path, "hardened"), settings)
project.tag("v1.4.0")
release = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
_ = lab.monitor.look()  # the monitor reads what happened so far
release

# %% [markdown]
# Two years ago the project published with a stored token. Nobody revoked it when trusted publishing came. Tonight it
# is in the wrong hands, and fake, like every secret here. We play the thief: the released wheel, one more file, the
# next version. The file is a `.pth` with a harmless line. (Python runs such a line at *every start* of an interpreter
# that has the wheel; litellm 1.82.8 brought one. [V: litellm issue 24518])

# %%
from base64 import urlsafe_b64encode
from hashlib import sha256
from zipfile import ZipFile, ZipInfo


def forge(wheel, target, version, more, ours="1.4.0"):
    """Pack the files of a wheel under another version, with more files; RECORD lists them, as the index asks."""
    with ZipFile(wheel) as old, ZipFile(target, "w") as new:
        before, after = f"Version: {ours}".encode(), f"Version: {version}".encode()
        kept = [name for name in old.namelist() if not name.endswith("RECORD")]
        files = {name.replace(ours, version): old.read(name).replace(before, after) for name in kept} | more
        hashes = {name: urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode() for name, data in files.items()}
        record = "".join(f"{name},sha256={hashes[name]},{len(data)}\n" for name, data in files.items())
        info = f"triage_model-{version}.dist-info/RECORD"
        for name, data in {**files, info: f"{record}{info},,\n".encode()}.items():
            new.writestr(ZipInfo(name), data)


# %%
holder, right = "acme/triage-model secret PYPI_TOKEN", "packages:upload:triage-model"
stolen = lab.registry.credentials.issue(holder, [right], prefix="FAKE")
wheel, *others = lab.registry.index.files("triage-model")
version = f"1.4.{1 + len(others)}"  # 1.4.1, where this page was not run before
forged = lab.path / f"triage_model-{version}-py3-none-any.whl"
forge(lab.registry.index.path(wheel), forged, version, {"triage_model_init.pth": b"import sys\n"})
lab.set_scenario_time(datetime(2026, 5, 12, 2, 14, tzinfo=UTC))
upload = ["twine", "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", f"{lab.url}/legacy/"]
done = lab.run([*upload, "--username", "__token__", "--password", stolen, forged])
[file.filename for file in lab.registry.index.files("triage-model")]

# %% [markdown]
# `twine` is PyPI's own client, the token is good, and the index took the file. Every check of weeks 2 to 4 that could
# have stopped it sits on the way *to prod*; nobody promised that a thief goes there. Whoever installs the newest
# version has it.
#
# ## What was written down
# Each service reports what it does as an event, in the transaction that does it. Both uploads are
# `artifact.published`.
#
# **Predict** what the thief's event says of three comparisons: "yes", "no", or "nothing" for a field that is empty.

# %% tags=["predict"]
prediction = {"attested": None, "attestation_lost": None, "identity_changed": None}
uploads = {event.data.get("version"): event for event in lab.events("artifact.published")}
good, theft = uploads["1.4.0"], uploads[version]
words = {True: "yes", False: "no", None: "nothing"}
lab.predicted(prediction, {name: words.get(theft.data[name], "something") for name in prediction})

# %%
fields = ["version", "run", "job", "run_failed", "attested", "attestation_lost", "identity_before", "since_last_s"]
shown = pd.DataFrame({"Monday": good.data, "Tuesday, 02:14": theft.data}).loc[fields]
shown.map(lambda value: str(value).replace("https://git.chainlab.localhost/", "…/"))

# %% [markdown]
# Nothing in the second column accuses anybody. It says what was *not* there: no run, no signature, where the version
# before had both. `identity_changed` is empty, for there is no identity to compare: who asks only for a *changed*
# signer misses a *missing* one. A rule could find none of this out later: a rule sees events, and what did not happen
# is no event. So the index looks it up while it writes.
#
# How does it know the run? Not from the uploader. Each job calls from a loopback address of its own, and its token
# ends with it. The same facts tell a token that was carried away:

# %%
used = [event for event in lab.events("token.used") if event.data["service"] == "index"]
table = pd.DataFrame([event.data for event in used])[["job", "service", "outside"]]
table.assign(holder=[re.sub(r" run \d+ #\w+", " run …", event.subject) for event in used])

# %% [markdown]
# The job's token was used where its job is: `outside` is False. The stolen one is no job's, so there is no "outside";
# the platform cannot tell its thief from its owner, and says so with an empty field. An event that guesses is worse
# than one that is silent. (Not shown anywhere: the token. Events carry 12 hex digits of its digest, enough to join two
# events.)
#
# ## Can the thief tidy up?
# Events are chained: the hash of each covers the hash before it. We take a copy of the log and let the thief loose on
# it, once at night, when the theft is the newest event, and once at eight, when a colleague has pushed a tag.


# %%
def notices(sequence):
    """Whether the check of a copy of the log fails, from which one event was removed."""
    with closing(connect(lab.workspace.trust / "state.db")) as source, closing(connect(lab.path / "copy.db")) as copy:
        source.backup(copy)
        copy.execute("DELETE FROM events WHERE sequence = ?", (sequence,))
        try:
            return "no" if Events(copy).verify() else ""
        except VerificationFailed:
            return "yes"


# %% [markdown]
# **Predict.** Does the check of the chain notice that the theft was removed? "yes" or "no".

# %% tags=["predict"]
prediction = {"at night": None, "at eight": None}

at_night = notices(theft.sequence)
lab.set_scenario_time(datetime(2026, 5, 12, 8, 0, tzinfo=UTC))
project.tag("reviewed-2026-05-12")
lab.predicted(prediction, {"at night": at_night, "at eight": notices(theft.sequence)})

# %% [markdown]
# Whoever cuts off the *end* of a chain breaks no link: a shorter chain is a whole chain. One event later, every hash
# after the theft would have to be made anew. So somebody else has to remember how long the chain was, a sequence and
# its hash. The transparency log of week 4 has the same hole and the same answer. (Simplified: thief and log share a
# disk here. In the world, events leave the machine as they happen.)
#
# ## A rule
# Sigma is the field's common language for rules about events: YAML, compiled to whatever query your store speaks. Ours
# is SQL. The rule below names what we saw.

# %%
from chainlab.monitor.event_table import build_event_table
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

rule = """
title: A file was published with no run behind it
logsource: {product: chainlab}
detection:
  published: {type: artifact.published}
  no_run: {run: null}
  evidence: {about|exists: true}
  condition: published and no_run and not evidence
"""
(sql,) = sqliteBackend().convert(SigmaCollection.from_yaml(rule))
print(sql.replace(" WHERE ", "\nWHERE ").replace(" AND ", "\n  AND "))

# %% [markdown]
# A *selection* holds when all of its fields do, and the *condition* joins selections. `evidence` leaves out what is
# about another artifact, such as a gate's verdict: no job pushes it, and it is no release.
#
# **Predict.** The workspace has had two uploads of `triage-model`, and a little more. How many events does the rule
# match?

# %% tags=["predict"]
prediction = None  # a number

with closing(build_event_table(lab.events())) as table:
    found = pd.read_sql(sql.replace("FROM logs", "FROM events"), table)[["project", "version", "by", "run", "attested"]]
print(lab.predicted(prediction, len(found)))
found

# %% [markdown]
# Three. The thief's, and two that are nobody's crime: the company's own libraries, put into the index by hand when it
# was set up. Your first rule has two false alarms on its first day. Remember them.
#
# ## What a rule cannot say
# A field `run: null` looks like cheating: the index did the work. Can the rule not look for itself, "published, and no
# run started before"? Sigma has *correlations*: rules about several events. This one says it word for word, and
# compiles.

# %%
correlation = """
title: Published, and no run was started
correlation:
  {type: temporal, rules: [published, started], group-by: [run], timespan: 1h, condition: published and not started}
---
{title: published, name: published, logsource: {product: chainlab},
 detection: {event: {type: artifact.published}, condition: event}}
---
{title: started, name: started, logsource: {product: chainlab},
 detection: {event: {type: pipelinerun.started}, condition: event}}
"""
(windows,) = sqliteBackend().convert(SigmaCollection.from_yaml(correlation))
len(windows)

# %% [markdown]
# Some thousands of characters of SQL. To try it we need more than one evening: `benign` makes honest weeks of a
# made-up organisation, event by event as our services write them. (Another generator makes the attacks, with other
# code: a rule tested on what its author imagined twice passes.)
#
# **Predict.** Of the honest publications with a run, what share does it accuse, in per cent? And of those without one?

# %% tags=["predict"]
from chainlab.monitor.histories import HELD_OUT, TUNING, attacked, benign

prediction = {"with a run": None, "without a run": None}  # 0 to 100

weeks = benign(TUNING[0], releases=300)
with closing(build_event_table(weeks.events)) as table:
    accused = pd.read_sql(windows.replace("FROM logs", "FROM events"), table).event_ids
    accused = {event.rpartition(":")[2] for ids in accused.map(json.loads) for event in ids}
    query = "SELECT CAST(sequence AS TEXT) AS id, run FROM events WHERE type = 'artifact.published'"
    published = pd.read_sql(query, table)
share = published.id.isin(accused).groupby(published.run.notna()).mean().mul(100).round()
lab.predicted(prediction, {"with a run": int(share[True]), "without a run": int(share[False])})

# %% [markdown]
# Upside down, both ways. A correlation looks *forward* from the publication: a run that began before it is not seen,
# so every honest release is accused. And a window without a value to group by is no window: an event whose `run` is
# null can never fire, and those are the thefts. It compiled, and it would have rung all day and slept through the
# night.
#
# That is why what is absent, compared or different is computed when the event is written (`run`, `attestation_lost`,
# `tag_moved`, `age_s`), and correlations only count and order. The kit refuses a `not` in a correlation, and says why.
#
# ## What an alarm is worth
# A rule has a *recall*: of the attacks, the share that it matches. And it has a *false-positive rate* (FPR): of the
# harmless units, the share that it matches. A vendor's sheet says "99 % accurate": recall 99 %, FPR 1 %.
#
# **Predict.** One upload in 10,000 is an attack. Of 100 alarms of that rule, how many are?

# %% tags=["predict"]
from chainlab.monitor.measurement import BASE_RATES, precision

prediction = None  # 0 to 100
lab.predicted(prediction, round(100 * precision(0.99, 0.01, 1 / 10_000)))

# %% [markdown]
# One. The other 99 are honest people who are asked what they did last night. The share is called *precision*, and it
# hangs on a number that no rule has: the *base rate*, how many of all units are attacks.

# %%
plt.style.use("chainlab.dashboards.style")
fig, ax = plt.subplots(figsize=(7, 3.4))
one_in = [10 ** (exponent / 10) for exponent in range(10, 51)]
lines = {rate: [100 * precision(0.99, rate, 1 / n) for n in one_in] for rate in (0.01, 0.001, 0.0001)}
for at, (rate, line) in zip((7, 17, 27), lines.items(), strict=True):
    ax.plot(one_in, line)
    ax.annotate(f"FPR {rate:.2%}", (one_in[at], line[at]), xytext=(4, 4), textcoords="offset points", fontsize=9)
for base_rate in BASE_RATES:
    ax.axvline(1 / base_rate, linestyle=":", linewidth=1, color="0.5")
_ = ax.set(
    xscale="log",
    xlabel="uploads for one attack",
    ylabel="alarms that are attacks, %",
    title="Ten times rarer attacks need ten times fewer false alarms",
)

# %% [markdown]
# In words: at one attack in 200, a false-positive rate of 1 % still gives one right alarm in three. At one in 10,000
# the same takes 0.02 %: one false alarm in five thousand honest uploads. The dotted lines are the three base rates at
# which this course states every precision: a targeted week, a bad year, and the quiet that you hope for.
#
# Axelsson said so in 1999: what limits a detector is not the attacks that it misses but the honest events that it
# matches.
#
# ## Measured
# `measure` asks a rule about labelled events: of honest weeks for false alarms, of attacked ones for recall. The
# *unit* is one upload. Beside each figure stands n, or an interval in which the truth lies 19 times in 20.

# %%
from chainlab.monitor.detections import load_detections
from chainlab.monitor.measurement import measure

rules = load_detections(lab.data / "detections")
honest, attacks = benign(TUNING[2], releases=3000), attacked(TUNING[2], instances=40)
measured = measure(rules.named("publish_without_run", "attestation_lost", "release_off_hours"), honest, attacks)
measured

# %% [markdown]
# `publish_without_run` is the rule from above, as the course has it. It finds most of the thefts: the others used a run.
# Its false alarms look negligible, a few in thousands, and still at 1:10,000 not one alarm in ten is a theft.
# `release_off_hours` fires whenever somebody works late. It names no technique but says *hygiene*, because no attack
# needs the night. It finds as many as it does because our made-up thieves like the dark; real ones choose their hour.
#
# Who rang? Each honest history has *hard cases*, which look like attacks and are none.

# %%
from chainlab.monitor.matching import find_matches

three = rules.named("publish_without_run", "release_off_hours", "two_versions_within_minutes")
cases = [
    (alarm.rule, case)
    for alarm in find_matches(three, honest.events)
    for case, events in honest.cases.items()
    if events & set(alarm.sequences)
]
pd.DataFrame(cases, columns=["rule", "hard case"]).value_counts().rename("alarms").reset_index()

# %% [markdown]
# Somebody takes a project's name with a first release by hand, backports at night for a customer who waits, or retries
# a release three times in ten minutes. A set without such cases flatters every rule. Ours has those that their authors
# thought of; yours will have others.
#
# **Predict.** On other weeks, that no rule was written for, `attestation_lost` has not one false alarm in thousands of
# uploads. What can you say of its precision at 1:10,000? "it is 1", "at least 0.5" or "less than that"?

# %% tags=["predict"]
prediction = None

weeks_of_others = benign(HELD_OUT[0], releases=3000), attacked(HELD_OUT[0], instances=40)
(figures,) = measure(rules.named("attestation_lost"), *weeks_of_others).rules
rare = figures.precisions[-1]
print(figures.recall, "detected;", figures.false_positive_rate(), "; precision at 1:10,000", rare)
lab.predicted(prediction, "less than that" if rare.low < 0.5 else "at least 0.5")

# %% [markdown]
# No false alarm in n trials is no rate of zero. The rate is at most 3 ÷ n, with 95 % confidence, so the precision is
# *at least* what that allows: a few in a hundred. To show one half at 1:10,000 takes 30,000 uploads without a single
# false alarm, and more for a rule that misses attacks. (The course's own figures are from more than that:
# `data/detections/figures.toml`. Few organisations have so many.)
#
# ## A rule of your own
# Your rules are files in `detections` on your desk. They are used from now on, also in next week's drill. A draft, in
# which one word is wrong:

# %%
draft = """
title: A project that signs got a release without a run and without a signature
logsource: {product: chainlab}
detection:
  published: {type: artifact.published, run: null, atestation_lost: true}
  condition: published
level: high
falsepositives: [a break-glass release by a person]
chainlab: {technique: [T1195.002], framework: ATT&CK v18.1, unit: artifact.published, detects: publish_without_run,
           response: Quarantine the digest and revoke every stored token of the project.}
"""
mine = lab.workspace.desk / "detections" / "left_over_token.yml"
mine.parent.mkdir(exist_ok=True)
mine.write_text(draft)
print(*load_detections(mine.parent).mistakes)

# %% [markdown]
# A field that no such event has would never match, and a silent rule looks like a quiet week. So it is a mistake, with
# the line and a remedy. Mended, and measured beside the rule that it sharpens (`detects` names it):
#
# **Predict.** It asks for one thing more. Which figures fall, which rise: "recall", "false alarms", "precision"?

# %% tags=["predict"]
prediction = {"recall": None, "false alarms": None, "precision": None}  # "rises" or "falls"

mine.write_text(draft.replace("atestation", "attestation"))
both = load_detections(lab.data / "detections", mine.parent).named("publish_without_run", "left_over_token")
compared = measure(both, honest, attacks, own=["left_over_token"])
wide, narrow = compared["publish_without_run"], compared["left_over_token"]
pairs = {
    "recall": (wide.recall.value, narrow.recall.value),
    "false alarms": (wide.false_positives.value, narrow.false_positives.value),
    "precision": (wide.precisions[-1].value, narrow.precisions[-1].value),
}
lab.predicted(prediction, {name: "falls" if new < old else "rises" for name, (old, new) in pairs.items()})

# %%
compared

# %% [markdown]
# The narrow rule spares every first release by hand, and misses the thefts from projects that never signed. Neither is
# better. The wide one is for a list that somebody reads on Monday, the narrow one may wake a person. And mind what we
# did: we changed a rule while looking at these weeks. Its honest figures come from weeks that nobody looked at:
# `chainlab monitor test left_over_token`, once, at the end.
#
# **Change it.** Take `attestation_lost` out of your rule and ask for `versions_in_10min` above 1 instead. What is it
# worth?
#
# ## It reaches a person
# A rule that nobody reads is a diary. The monitor asks all rules about what is new since its last look, and groups
# what it finds: one burst is one alert, with the first thing to do.

# %%
look = lab.monitor.look()
urgent = [notice.alert for notice in look.notices if notice.alert.level in ("high", "critical")]
for alert in urgent:
    print(f"{alert.level}: {alert.name}\n    {alert.response}")

# %% [markdown]
# Three rules, one theft: the course's two and yours. Each says what to do first, in words that somebody can follow at
# 02:14. The same alerts are on the page `/alerts` of your workspace, and can be posted to a webhook; `chainlab monitor
# run` looks every few seconds. We do what they say, and tell the others that somebody has taken it:

# %%
lab.registry.quarantine.hold(Digest.parse(theft.subject), "published with no run", by="security@acme.example")
for alert in urgent:
    lab.monitor.book.acknowledge(alert.id, by="security@acme.example")
lab.set_scenario_time(None)
print([file.filename for file in lab.registry.index.offered("triage-model")])

# %% [markdown]
# The index offers 1.4.0 alone. The bytes stay, for whoever investigates, and so does every event. What is *not* done:
# the token still works, nobody knows who installed 1.4.1 in between, and those who did run its `.pth` at every start.
# That is next week.

# %% tags=["check"]
first = version == "1.4.1"  # later, the version before is the thief's own
assert (good.data["run"] is None, theft.data["run"], theft.data["attestation_lost"]) == (False, None, first)
assert (good.data["attested"], theft.data["attested"], theft.data["identity_changed"]) == (True, False, None)
assert at_night == "no" and notices(theft.sequence) == "yes"
assert len(windows) > 3000 and share[True] > 95 and share[False] == 0  # upside down, both ways
assert round(100 * precision(0.99, 0.01, 1 / 10_000)) == 1
asked = measured["publish_without_run"]
assert 0.5 < asked.recall.value < 1 and 0 < asked.false_positives.value < 0.005  # most; a few in thousands
assert asked.precisions[-1].value < 0.1 and figures.false_positives.count == 0 and rare.low < 0.1
assert narrow.recall.value < wide.recall.value and narrow.precisions[-1].value > wide.precisions[-1].value
expected = {"publish_without_run", "attestation_lost", "left_over_token"} if first else {"publish_without_run"}
assert {alert.name for alert in urgent} >= expected

# %% [markdown]
# ## What you can say now
# - An event states facts, and what is absent, compared or different is computed when it is written.
# - A chain of hashes shows a removed event, unless it was the newest: somebody else has to remember the length.
# - A rule names what it sees. It cannot see that something did not happen.
# - Recall and false-positive rate are the rule's; what an alarm is worth is the base rate's. Say all three, with n.
# - Write on some weeks, measure on others, and put honest cases that look guilty into both.
#
# **Simplified here.** Our index, CI host and log are one system, so the index knows the run behind an upload. PyPI
# knows only the identity of a trusted publisher, and nothing about a stored token: there the same rule joins two
# sources, the index's history and your CI's runs. Attacks and honest weeks are made up, by people who also wrote the
# rules; intervals count chance, not imagination. And a rule about events sees what services report: code that runs at
# a user's start, such as the `.pth`, reports nothing.
#
# **To carry home** (15 min). Take your last five releases of a package on an index. For each, write down the workflow
# run that published it. If you cannot, neither could an alarm. Then list the stored tokens that can still publish it,
# and revoke those that no run uses.
