# %% [markdown]
# # Week 3 · A model says nothing about itself
#
# > In February 2025 models on a public hub carried a compressed pickle that was broken on purpose, *after* its payload.
# > Loading it ran the payload. The scanner `picklescan` could not parse it. [V: MITRE ATLAS AML.CS0031; details S]
#
# **You will** (90 min: 11 reading, 79 doing)
# - measure a model, and say how sure you are
# - describe model, data and training run in an ML-BOM, and watch a library lose half of it
# - sign a model with its folder, and slip a file in
# - compare two scanners on seven pickles, without loading one
# - name three things that a valid signature on a model does not say
#
# **Before:** `03_sbom`. **Lab:** `labs/03_sbom.ipynb`
#
# **V** and **S** as before; words are in [the glossary](../docs/glossary.md). At **Predict**, write your answer in place of
# `None` before you run the cell. At **Change it**, change one value and run the cell again.
#
# `triage` is a toy model for teaching: never use it on people.

# %% tags=["parameters"]
seed = 1

# %%
import copy
import gzip
import json
import pickle
import shutil
import tomllib
from collections import OrderedDict
from datetime import UTC, datetime

import chainlab
import pandas as pd

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)

# %%
lab = chainlab.open("03_mlbom", seed=seed)
AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
folder = lab.path / "model"
folder.mkdir(exist_ok=True)
model = folder / "triage.onnx"
_ = shutil.copy(lab.copy("models/triage.onnx"), model)

# %% [markdown]
# ## 1. What can a program find out?
# A wheel has METADATA. What does a model have?

# %%
import onnx

graph = onnx.load(model)
pd.Series({
    "producer": f"{graph.producer_name}, version {graph.producer_version or 'not given'}",
    "operators": ", ".join(sorted({node.op_type for node in graph.graph.node})),
    "inputs": [(i.name, [d.dim_value or "any" for d in i.type.tensor_type.shape.dim]) for i in graph.graph.input],
    "metadata": {p.key: p.value for p in graph.metadata_props} or "none",
}).to_frame("the file says")

# %% [markdown]
# Thirty numbers in, two operators, and the name of the program that wrote it, without a version. Which data, whose, under
# which licence; trained by which code, in which run; good for what: none of it is in the file, and no scanner will find
# it there. So it has to be *written down where the training runs*. That is what an *ML-BOM* is for, a bill of materials
# for machine learning: CycloneDX with a *model card*, the description of a model.
#
# ## 2. Measure, and say how sure
# The data set is the Wisconsin diagnostic set, which comes with scikit-learn: 569 cases of one centre. We take the
# project's split and count.

# %%
import numpy as np
import onnxruntime
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

cells = load_breast_cancer()
x, y = cells.data, 1 - cells.target  # 1 is malignant
_, x_test, _, y_test = train_test_split(x, y, test_size=0.3, random_state=904, stratify=y)
session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
labels = session.run(["label"], {"X": x_test.astype(np.float32)})[0]
radius = x_test[:, 0]  # mean radius of the nuclei
slices = {"all": radius > 0, "large nuclei": radius >= 17, "middle": (radius >= 13) & (radius < 17),
          "small nuclei": radius < 13}
malignant = {name: s & (y_test == 1) for name, s in slices.items()}
counts = {name: (int((labels[s] == 1).sum()), int(s.sum())) for name, s in malignant.items()}
counts

# %% [markdown]
# For each slice: malignant cases found, and all malignant cases. The share of the two is *recall*. As a share alone it
# would read like a law of nature. Wilson's interval says what the count supports, at 95 %: the share may well be anything
# from its lower to its upper end.
#
# **Predict.** The project's threshold is 0.93. For how many of the four slices is the *value* above it, and for how many the
# interval's *lower end*?

# %% tags=["predict"]
from chainlab.evidence.models.mlbom import Dataset, Metric, Training, interval

prediction = {"value": None, "lower end": None}
metrics = [Metric.of("recall", hits, cases, slice=name) for name, (hits, cases) in counts.items()]
above = {"value": sum(float(m.value) > 0.93 for m in metrics), "lower end": sum(float(m.lower) > 0.93 for m in metrics)}
print(lab.predicted(prediction, above))
pd.DataFrame([{"slice": m.slice, "cases": counts[m.slice][1], "recall": m.value, "from": m.lower, "to": m.upper}
              for m in metrics])

# %% tags=["predict"]
import matplotlib.pyplot as plt

plt.style.use("chainlab.dashboards.style")
fig, ax = plt.subplots(figsize=(8, 2.6))
for row, metric in enumerate(reversed(metrics)):
    low, value, high = float(metric.lower), float(metric.value), float(metric.upper)
    ax.plot([low, high], [row, row], color="black", linewidth=2)
    ax.plot(value, row, "o", color="black")
    ax.text(low - 0.01, row, f"{counts[metric.slice][1]} cases", ha="right", va="center")
ax.axvline(0.93, color="grey", linestyle="--")
ax.set_yticks(range(len(metrics)), [m.slice for m in reversed(metrics)])
ax.set_xlim(0, 1.02)
ax.set_ylim(-0.5, len(metrics) - 0.5)
ax.set_xlabel("recall (share of malignant cases found), 95 % interval; dashed: the project's threshold, 0.93")
_ = ax.set_title("Two values clear the threshold, and no interval does")

# %% [markdown]
# The picture makes it plain. The value for all cases, 61 of 64, clears the threshold, and its lower end does not. For small
# nuclei four cases support nearly any claim. A card that gives the value alone hides which of these situations you are in.
#
# (A classical interval, p ± 1.96·√(p(1−p)/n), has no width at 100 %. Wilson's has.)
#
# **Predict.** Suppose a model finds *every* case. How many cases must that be, so that the lower end clears 0.93?

# %% tags=["predict"]
prediction = None  # a number of cases
enough = next(cases for cases in range(1, 1000) if interval(cases, cases)[0] >= 0.93)
print(lab.predicted(prediction, enough))
pd.DataFrame([{"found": n, "of": n, "from": round(interval(n, n)[0], 3), "to": interval(n, n)[1]} for n in (3, 30, 300)])

# %% [markdown]
# Fifty-two. The table has three times 100 %: with three cases it may be less than half, and only the last row clears 0.93.
# **Change it**: ask for 0.99 in place of 0.93. How many cases does that cost?

# %% [markdown]
# ## 3. Write it down
# Facts come from three places: *measured* (the counts, the digests), *known to the run* (commit, workflow, parameters) and
# *known to people* (limits, licence, whom it is for). The last kind stands in a file of the project, so that it is
# reviewed like code:

# %%
card = tomllib.loads((lab.data / "projects/attested/triage-model/model-card.toml").read_text())
print(*card["considerations"]["limits"], sep="\n")
pd.Series(card["parameters"] | {"architecture": card["architecture"]}).map(str).to_frame("the card says")

# %% [markdown]
# Two limits that no program could have measured, how the model was trained, and what it is. Now all three kinds together:

# %%
from pathlib import Path

import sklearn.datasets
from chainlab.digests import Digest
from chainlab.evidence.models import mlbom

csv = Path(sklearn.datasets.__file__).parent / "data" / "breast_cancer.csv"
about = card["dataset"]
data = Dataset(about["name"], Digest.of_file(csv), about["licence"], about["contents"], about["classification"])
training = Training(
    parameters=card["parameters"], metrics=metrics, datasets=[data], task=card["task"], architecture=card["architecture"],
    considerations={"technicalLimitations": card["considerations"]["limits"]},
    workflow={"uri": "https://git.chainlab.localhost/acme/triage-model", "commit": "4c1f" * 10, "run": "7", "job": "train"},
)
bill = mlbom.document(model, name="triage", version="1.4.0", training=training, at=AT)
print(*bill)

# %% [markdown]
# One key is new beside an ordinary SBOM: `formulation` says how the thing was made. The other news, the *model card*,
# stands inside `metadata.component`. (Commit and run are made up here; in a job the CI host knows them.)

# %%
subject = bill["metadata"]["component"]
run = bill["formulation"][0]["workflows"][0]
pd.Series({
    "type": subject["type"],
    "data set": subject["modelCard"]["modelParameters"]["datasets"],
    "its licence": bill["components"][0]["licenses"][0]["license"]["id"],
    "first metric": subject["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0],
    "made in": f"{run['taskTypes'][0]}, by job {run.get('name')}",
}).to_frame("says")

# %% [markdown]
# The card names its data set by `bom-ref` (`wdbc`), and the component of that name has the licence.
#
# Look at the metric: value and bounds are *texts*. That is CycloneDX's rule, and there is sense in it: 0.95 and 0.9500 are
# the same number, and not the same statement. A number there makes the document invalid:

# %%
from chainlab.evidence.sbom import schema

numbers = copy.deepcopy(bill)
numbers["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.95
print("as text:  ", schema.problems(bill) or "valid")
print("as number:", *str(schema.problems(numbers)[0]).split(": ", 1), sep="\n  ")

# %% [markdown]
# The message names the place and says what to write.
#
# ## 4. A round trip through the library
# A later job wants to add a component. The obvious way: read the document with the library, add, write. We only read and
# write.
#
# **Predict.** Which of seven parts are "kept", and which "lost"?

# %% tags=["predict"]
from cyclonedx.model.bom import Bom
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion

prediction = {"modelCard": None, "data (of the data set)": None, "formulation": None, "compositions": None,
              "dependencies": None, "components": None, "metadata": None}
again = Bom.from_json(json.loads(json.dumps(bill)))
back = json.loads(make_outputter(again, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
kept = {"modelCard": "modelCard" in back["metadata"]["component"],
        "data (of the data set)": "data" in back["components"][0],
        **{key: key in back for key in list(prediction)[2:]}}
print("the result is", "valid" if not schema.problems(back) else "not valid")
lab.predicted(prediction, {key: "kept" if there else "lost" for key, there in kept.items()})

# %% [markdown]
# No exception, no warning, and a valid document: the model card, the data set's description, the training run and the
# admission of gaps are gone. The library models what it models. The rule for the lab: an ML-BOM is *JSON*; edit it as
# JSON, validate the document, and compare what went in with what came out.

# %% tags=["check"]
overall = metrics[0]
assert float(overall.value) > 0.93 > float(overall.lower) and counts["all"] == (61, 64) and len(y) == 569
assert interval(3, 3)[0] < 0.5 and interval(30, 30)[0] < 0.93 < interval(300, 300)[0]
assert sum(float(m.value) > 0.93 for m in metrics) == 2  # the figure's title says two
assert above == {"value": 2, "lower end": 0} and interval(51, 51)[0] < 0.93 < interval(52, 52)[0]
assert counts["small nuclei"][1] == 4 and list(slices) == ["all", "large nuclei", "middle", "small nuclei"]
assert [key for key, there in kept.items() if not there] == ["modelCard", "data (of the data set)", "formulation", "compositions"]
assert not schema.problems(back) and not schema.problems(bill) and schema.problems(numbers)
assert mlbom.metrics(bill) == metrics and mlbom.metrics(back) == []

# %% [markdown]
# ## 5. Sign the folder
# A model is rarely one file: configuration, tokenizer, code. OMS, the OpenSSF's model signing, signs a *manifest*: every
# file with its digest. A file that is not listed makes verification fail. [V: OMS v1.0]

# %%
from chainlab.evidence.models import model_signing
from chainlab.evidence.verifying import Signer

release = ("acme/triage-model", "release.yml", "refs/tags/v1.4.0")
signature = model_signing.sign(folder, lab.trust.config, lab.trust.workflow_token(*release))
identity = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
signer = Signer(identity, lab.trust.ci_issuer)
model_signing.verify(folder, signature, signer, lab.trust.config)

# %% [markdown]
# The signer is the expected one, and the folder is as it was signed. Now three changes, each in a copy: one byte of the
# weights; a file that nobody signed, which a loader might run; a file taken away.
#
# **Predict**: which are "refused", and which pass ("passed")?

# %% tags=["predict"]
def changed(name, change):
    """The verdict on a copy of the folder in which something was changed."""
    shutil.rmtree(lab.path / name, ignore_errors=True)
    change(shutil.copytree(folder, lab.path / name))
    return model_signing.verify(lab.path / name, signature, signer, lab.trust.config)


prediction = {"one byte": None, "an extra file": None, "a file gone": None}
data_ = model.read_bytes()
changes = [lambda f: (f / "triage.onnx").write_bytes(data_[:-1] + bytes([data_[-1] ^ 1])),
           lambda f: (f / "loader.py").write_text("print('a guest')\n"), lambda f: (f / "triage.onnx").unlink()]
verdicts = {name: changed(name.replace(" ", "-"), change) for name, change in zip(prediction, changes, strict=True)}
print(lab.predicted(prediction, {name: "passed" if said.passed else "refused" for name, said in verdicts.items()}))
pd.Series({name: said.failure.message for name, said in verdicts.items()}).to_frame("because")

# %% [markdown]
# All three are refused. The middle one is the one that home-made checks miss: they take the list of signed files and
# look at each. Everything listed is as it was; the *guest* is not on the list. In May 2026 a look-alike repository on a
# model hub topped the trends; what did the harm was its `loader.py`. [S]
#
# ## 6. What the signature does not say
# We make a model that calls everything benign, and sign it with the same workflow. **Predict**: "passed" or "refused"?

# %% tags=["predict"]
prediction = None
lazy = copy.deepcopy(graph)
scores = [t for t in lazy.graph.node if t.op_type == "LinearClassifier"]
for attribute in (a for node in scores for a in node.attribute):
    if attribute.name in ("coefficients", "intercepts"):
        size = len(attribute.floats)
        attribute.floats[:] = [0.0] * size if attribute.name == "coefficients" else [9.0, -9.0][:size]
worse = lab.path / "worse"
worse.mkdir(exist_ok=True)
onnx.save(lazy, worse / "triage.onnx")
blind = onnxruntime.InferenceSession((worse / "triage.onnx").read_bytes(), providers=["CPUExecutionProvider"])
guessed = blind.run(["label"], {"X": x_test.astype(np.float32)})[0]
print("malignant cases found:", int((guessed[y_test == 1] == 1).sum()), "of", int((y_test == 1).sum()))
lied = model_signing.sign(worse, lab.trust.config, lab.trust.workflow_token(*release))
lab.predicted(prediction, "passed" if model_signing.verify(worse, lied, signer, lab.trust.config).passed else "refused")

# %% [markdown]
# It passes, and finds none of the sick. A valid signature on a model says: *these files, all of them and no others, were signed by this identity*. It
# does not say
#
# - that the model is any good, let alone **clinically valid**: that is a study with patients, and no field of a BOM holds
#   one;
# - that the data may be used, or were what the card says;
# - that loading it is harmless. The format decides that, and it is next.
#
# ## 7. Formats: does loading run code?
# Eight forms in which models travel (a *tensor* is an array of numbers):

# %%
from chainlab.evidence.models import formats

SHOWN = ("ONNX", "safetensors", "pickle", "PyTorch zip", "Keras zip", "GGUF", "SavedModel", "compressed")
pd.DataFrame([{"format": f.name, "runs code on load": f.runs, "why": f.why} for f in formats.FORMATS.values()
              if f.name in SHOWN])

# %% [markdown]
# Two of the eight run nothing on loading. The three with *yes* run whatever the sender wrote, and *partly* means: it depends on
# what is inside. A format is told by its *bytes*. A name is what the sender chose:

# %%
(lab.path / "weights.safetensors").write_bytes(pickle.dumps({"w": [0.1, 0.2]}))
told = formats.identify((lab.path / "weights.safetensors").read_bytes(), "weights.safetensors")
print("weights.safetensors is:", told.name, "| runs code on load:", told.runs)

# %% [markdown]
# The name promises raw tensors, the bytes are a pickle: a program for a small machine that says push this text, import
# that name, call it. `pickletools` prints the program without running it. We never call `pickle.loads` on anything in this notebook.

# %%
import pickletools

attack = b"cos\nsystem\n(S'touch MARKER'\ntR."
pickletools.dis(attack)

# %% [markdown]
# GLOBAL fetches `os.system`, REDUCE calls it. The file is 31 bytes, and loading it would make a file `MARKER`. Seven
# pickles for two scanners: **fickling** is strict (what it does not know is unsafe), **picklescan** has a list of bad
# names.

# %%
PICKLES = {
    "plain numbers": pickle.dumps({"weights": [0.1, 0.2]}),
    "os.system": attack,
    "a gadget in an unknown module": b"cacme_loader\nrun\n(S'touch MARKER'\ntR.",
    "broken after the payload": b"cos\nsystem\n(S'touch MARKER'\ntR" + b"\xff\xff",
    "an honest scikit-learn model": b"csklearn.linear_model._logistic\nLogisticRegression\n)\x81}b.",
    "an ordered dict": pickle.dumps(OrderedDict(a=1)),
    "the attack, compressed": gzip.compress(attack),
}

# %% [markdown]
# **Predict.** Of which of the seven does picklescan say "no issue"? Write "yes" or "no".

# %% tags=["predict"]
from chainlab.evidence.models.pickles import opinions

prediction = {"plain numbers": None, "os.system": None, "a gadget in an unknown module": None,
              "broken after the payload": None, "an honest scikit-learn model": None,
              "an ordered dict": None, "the attack, compressed": None}
seen = pd.DataFrame({name: {o.scanner: o.verdict for o in opinions(data)} for name, data in PICKLES.items()}).T
print(lab.predicted(prediction, {n: "yes" if v == "no issue" else "no" for n, v in seen["picklescan"].items()}))
print("picklescan, of the unknown module:", *opinions(PICKLES["a gadget in an unknown module"])[1].message)
harmful = dict(zip(prediction, ("no", "yes", "yes", "yes", "no", "no", "yes"), strict=True))
seen.assign(harmful=[harmful.get(name, "yours") for name in seen.index])

# %% [markdown]
# Read the rows where they differ.
#
# - *Unknown module*: picklescan notes a "suspicious" name (the line above the table) and finds no issue. Its list
#   cannot have a module that appeared this morning.
# - *Honest model* and *ordered dict*: fickling refuses them. A strict scanner is right about attacks and wrong about work.
# - *Compressed*: picklescan says "no issue" of bytes it could not look into; fickling says that it cannot parse. This is
#   how joblib stores a model when told to compress it, and how the file of our first lines hid.
# - *Broken*: this version of picklescan saw the name that came before the break; in 2025 one could not.
#
# Two rules follow. **Unparseable counts as malicious**, because a loader runs what comes before the error. And **not
# scanned is not passed**. The kit's inspection keeps them apart:

# %%
from chainlab.evidence.models.inspection import inspect, inspect_bytes

def looked_at(report):
    """What inspection says, in a row."""
    said = sorted({f.kind for f in report.findings}) + ["not scanned"] * bool(report.not_scanned)
    return {"passed": report.passed, "because": ", ".join(said)}


reports = {name: inspect_bytes(data, "model.bin") for name, data in PICKLES.items()} | {"triage.onnx": inspect(model)}
pd.DataFrame({name: looked_at(report) for name, report in reports.items()}).T

# %% [markdown]
# No attack passes, and the price is in the fifth and sixth row: honest work is refused, too. The compressed one has no
# finding at all; it does not pass because nobody looked.
#
# **Change it**: add a pickle of your own to `PICKLES`, such as `pickle.dumps(AT)` or `pickle.dumps(print)`, and run that
# cell and the next two again. (`dumps` only writes; still, load nothing.)
#
# Better than scanning a pickle is not to have one: exported to ONNX or safetensors, the question is gone, and another one
# stays (own operators, external files, parsers with errors).

# %% tags=["check"]
assert list(seen["picklescan"] == "no issue")[:7] == [True, False, True, False, True, True, True]
assert list(seen["fickling"] == "no issue")[:7] == [True] + [False] * 6
assert seen.loc["broken after the payload", "fickling"] == "unparseable" == seen.loc["the attack, compressed", "fickling"]
assert not inspect_bytes(PICKLES["the attack, compressed"], "m").passed and inspect(model).passed
assert model_signing.verify(folder, signature, signer, lab.trust.config).passed
assert not any(said.passed for said in verdicts.values())
assert len(attack) == 31 and int((guessed[y_test == 1] == 1).sum()) == 0

# %% [markdown]
# ## 8. Lineage, keeping, and other people's models
# - *Lineage*: the card names the data set by digest. If a patient asks to be taken out, the question is which models saw
#   the row; a digest of the whole set finds them, and cannot name the row.
# - *Keeping*: the list is needed as long as the model runs somewhere, which is longer than anybody builds it.
# - *A base model* comes with what its makers chose to write. Record it as an ancestor, by digest, with "unknown" where
#   nothing is said. Pin it by commit: deleted names on a hub can be registered again. [S]
#
# **What is simplified here.** One small tabular model; the data set is a famous toy. SPDX 3 has AI and data set profiles
# with other required fields. Energy and fairness have places in the card that we left empty, and empty is what it says.
#
# **You can now**
# - give a metric with its interval, and say when it clears a threshold
# - write an ML-BOM from measurements, run and people, and keep it whole
# - sign a model's folder, and explain why an extra file must be refused
# - say what each of two scanners misses, and what "not scanned" means
# - name what a signature on a model does not say
#
# **Exit question.** A vendor's model is signed, in safetensors, with a card: "accuracy 0.99". Which three questions do you
# ask, and which of them can no document answer?
