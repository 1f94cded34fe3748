# %% [markdown]
# # Primer F · Three languages that decide
#
# > Ask three languages about a value that is not there, and you get three answers.
#
# **You will** (19 min: 7 reading, 12 doing)
# - ask questions of a table in SQL, and meet the answer that is neither yes nor no
# - read a Sigma rule, and run its meaning by hand
# - read a Rego policy, and say what it decides when a field is missing
#
# **Before:** `00_onramp`. **Lab:** `labs/00_onramp.ipynb`, exercise 0.6

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00f_policies", seed=seed)

# %% [markdown]
# ## SQL: ask a table
# A package index has kept its uploads, and the CI system its runs. Six uploads; three of them interest us.

# %%
import sqlite3

db = sqlite3.connect(":memory:")
_ = db.executescript("""
    CREATE TABLE upload (file TEXT, hour INTEGER, workflow TEXT, run INTEGER);
    INSERT INTO upload VALUES
      ('triage-1.0.whl',  9, 'release.yml', 41), ('triage-1.1.whl', 10, 'release.yml', 42),
      ('triage-1.2.whl', 14, 'test.yml',    43), ('triage-1.3.whl', 15, 'release.yml', 44),
      ('triage-1.4.whl',  3, NULL,          NULL), ('triage-1.5.whl', 16, 'release.yml', 99);
    CREATE TABLE run (id INTEGER, outcome TEXT);
    INSERT INTO run VALUES (41, 'success'), (42, 'success'), (43, 'success'), (44, 'failure');
""")

# %%
def ask(query):
    for row in db.execute(query):
        print(*row)


ask("SELECT file, hour FROM upload WHERE workflow = 'release.yml' ORDER BY hour DESC")

# %% [markdown]
# Read it as a sentence: *these columns, from this table, of the rows where this holds, in this order.* Four rows come
# from the release workflow, and there are six uploads. Now the opposite question: `<>` means "is not".
#
# **Predict.** How many rows does it give? Put your guess in place of `None`, run the cell and compare.

# %% tags=["predict"]
prediction = None  # a number

ask("SELECT file FROM upload WHERE workflow <> 'release.yml'")
(others,) = db.execute("SELECT count(*) FROM upload WHERE workflow <> 'release.yml'").fetchone()
lab.predicted(prediction, others)

# %% tags=["check"]
assert others == 1  # the text says that one of the two is missing

# %% [markdown]
# ## NULL: the third answer
# Four and one make five, and there are six. Version 1.4, uploaded at three in the morning by nobody knows what, is in
# *neither* list. Its workflow is NULL, "not known". Is an unknown thing equal to `'release.yml'`? Unknown. Different
# from it? Unknown as well.
#
# **Predict.** What does SQL answer to each of these three? (NULL reaches Python as `None`; write `"NULL"`.)

# %% tags=["predict"]
prediction = {"NULL = 'release.yml'": None, "NULL <> 'release.yml'": None, "NOT (NULL = 'release.yml')": None}

answers = {test: db.execute(f"SELECT {test}").fetchone()[0] for test in prediction}
lab.predicted(prediction, {test: "NULL" if answer is None else answer for test, answer in answers.items()})

# %% [markdown]
# All three comparisons give NULL. `WHERE` keeps a row only if its condition is *true*, so the unknown row
# drops out of a question and of its opposite. The one upload that should have rung a bell is the one that both queries
# lost. In May 2026 a file of the `mistralai` project appeared on PyPI with no tag, no commit and no workflow run behind
# it [the project's own issue]: attacks look like missing values. You have to ask for them by name.

# %%
ask("SELECT file FROM upload WHERE workflow IS NULL")

# %% [markdown]
# `IS NULL` always answers yes or no. Keep the three apart in every report: *yes*, *no*, *nobody knows*.
#
# ## Two tables: who has no partner?
# A `LEFT JOIN` keeps each row of the left table, and puts NULL where the right one has nothing to offer. Here that turns
# into a detection: uploads without a successful run behind them.
#
# **Predict.** Compare the two tables above by eye, then run the cell. How many uploads does it find?

# %% tags=["predict"]
prediction = None  # a number

ask("""
    SELECT file, coalesce(outcome, 'no such run')
    FROM upload LEFT JOIN run ON upload.run = run.id
    WHERE outcome IS NULL OR outcome <> 'success'
""")
rows = db.execute("SELECT file FROM upload LEFT JOIN run ON run = id WHERE outcome IS NOT 'success'").fetchall()
lab.predicted(prediction, len(rows))

# %% tags=["check"]
assert len(rows) == 3  # the text says three

# %% [markdown]
# Three. One came from a run that *failed*, one claims a run that does not exist, one claims nothing. What the table
# cannot say is which of them is malicious. An upload by hand at night may be a tired colleague.
#
# ## Sigma: a question in writing
# Detections are shared as Sigma rules: YAML that says what to look for, without saying in which product.

# %%
RULE = """\
title: Package uploaded outside the release workflow
logsource: {product: package-index, service: upload}
detection:
  night: {hour: [0, 1, 2, 3, 4, 5]}
  release: {workflow: release.yml}
  condition: night and not release
falsepositives: [a maintainer who works at night and uploads by hand]
level: high
"""

# %%
import yaml

rule = yaml.safe_load(RULE)
for name, fields in rule["detection"].items():
    print(f"{name:>9}: {fields}")

# %% [markdown]
# How to read it. `logsource` says which events. Under `detection`, each name is a group: its fields must **all** match,
# and a list of values means **any** of them. `condition` combines the groups. `level` is what the author thinks of a
# match, and `falsepositives` who will be woken for nothing; a rule without that line has not been thought through.
#
# A rule does nothing on its own. A tool turns it into a query. Let us be that tool, word by word.
#
# **Predict.** Which file does the rule find among our six uploads?

# %% tags=["predict"]
prediction = None  # "triage-1.….whl", or "none"

night = "hour IN (0, 1, 2, 3, 4, 5)"
release = "workflow = 'release.yml'"
found = db.execute(f"SELECT file FROM upload WHERE {night} AND NOT ({release})").fetchall()
lab.predicted(prediction, found[0][0] if found else "none")

# %% tags=["check"]
assert found == []  # the text says that the literal translation finds nothing

# %% [markdown]
# Nothing, although version 1.4 stands there, at three o'clock. You know why by now: its workflow is NULL, and `NOT NULL`
# is NULL. The *author* meant "not known to be the release workflow". Say that:

# %%
ask(f"SELECT file FROM upload WHERE {night} AND ({release}) IS NOT TRUE")

# %% [markdown]
# There it is.
#
# **Change it.** Write `IS NOT TRUE` without the word `NOT`, then `= FALSE` in its place. Which of the three finds
# version 1.4?
#
# In many log stores a missing field simply does not match, and `not release` would have held at once. The
# same rule, two products, two answers: **test a rule on events where the field is absent**, not only on those where it
# is wrong.
#
# ## Rego: what is not defined
# A *gate* decides whether a release may pass. Gates are often written in Rego, the language of Open Policy Agent. This one
# lets a model through if the right party signed it and no vulnerability is known.

# %%
POLICY = """\
package gate

import rego.v1

default allow := false

allow if {
    input.signer == "release@example.com"
    not input.vulnerable
}
"""
print(POLICY)

# %% [markdown]
# `import rego.v1` chooses the language's current form. `input` is the document that the gate is asked about. A rule's body is a list of conditions, and **all** must hold.
# `default` says what `allow` is when no rule makes it anything.
#
# **Predict.** Five models come to the gate. For which of them is `allow` true?

# %% tags=["predict"]
import json

from regopy import Interpreter

us, them = {"signer": "release@example.com"}, {"signer": "mallory@example.com"}
models = {"ours, sound": {**us, "vulnerable": False}, "ours, vulnerable": {**us, "vulnerable": True},
          "Mallory's, sound": {**them, "vulnerable": False}, "an empty input": {}, "ours, nobody scanned it": us}
prediction = dict.fromkeys(models)  # {"ours, sound": True, …}

decided = {}
for name, facts in models.items():
    engine = Interpreter()
    engine.add_module("gate", POLICY)
    engine.set_input(facts)
    decided[name] = json.loads(str(engine.query("data.gate")))["expressions"][0]["allow"]
lab.predicted(prediction, decided)

# %% tags=["check"]
assert list(decided.values()) == [True, False, False, False, True]  # the text says so

# %% [markdown]
# | model | `allow` | why |
# |---|---|---|
# | ours, sound | true | both conditions hold |
# | ours, vulnerable | false | the second does not; the default stands |
# | Mallory's, sound | false | the first does not |
# | an empty input | false | `input.signer` is undefined, so the body does not hold |
# | ours, nobody scanned it | **true** | `input.vulnerable` is undefined, and `not` of undefined holds |
#
# The last line is a model that **nobody scanned**, and the gate lets it pass. In Rego, a field that is not there is
# *undefined*. It is no error and no `false`. A condition that meets it fails, quietly, and a `not` in front turns that
# failure into success. Python has something like it:

# %%
unscanned = {"signer": "release@example.com"}
print("not vulnerable:   ", not unscanned.get("vulnerable"))
print("vulnerable is False:", unscanned.get("vulnerable") is False)

# %% [markdown]
# `None` behaves like undefined under `not`, and the mending is the same in both: ask for the good, by name. In Rego the
# line becomes `input.vulnerable == false`, which an absent field cannot satisfy.
#
# **Change it.** Write that line into `POLICY`, in place of the one with `not`, and run the two cells again. Now
# nobody gets in unscanned.
#
# The analogy breaks soon, and it matters where. `None` is a value: you can store it, return it, compare it, and
# `None == None` is true. Undefined is the *absence* of a value: `input.a == input.b` with both missing is not true but
# undefined, and so is everything built on it. Without its `default`, `allow` itself would be undefined, and the program
# that asked would get no answer at all. Whether it then opens the door is up to whoever wrote that program.
#
# | | what is missing is | a condition on it is | its negation is |
# |---|---|---|---|
# | SQL | NULL | NULL: the row drops out | NULL: the row drops out |
# | Rego | undefined | undefined: the rule does not hold | **true** |
# | Python | `None`, or a `KeyError` | false, mostly | true, mostly |
#
# Learn the table by its last column. In SQL a forgotten value makes a detection *silent*; in Rego it makes a gate *open*.
#
# What is simplified: Sigma has modifiers (`contains`, `startswith`, …) and correlations, Rego has sets and functions,
# and SQL has much more. You need no more than this to begin weeks 3, 4 and 5.
#
# **You can now** read a query, a rule and a policy aloud; say what each makes of a missing value; and write the
# condition so that "nobody knows" is an answer of its own.
