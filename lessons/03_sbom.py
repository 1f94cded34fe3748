# %% [markdown]
# # Week 3 · A list of what is inside, and how far to believe it
#
# > In March 2026 attackers released version 0.69.4 of a security scanner that ran in many pipelines, beside their
# > secrets. The public record of the incident, as stored on 25 March, named version **0.6.94**. Whoever compared an
# > honest, complete list of components with that record found nothing. [V: CVE-2026-33634]
#
# **You will** (90 min: 16 reading, 74 doing)
# - read a bill of materials: subject, components, edges, and what it says of its own gaps
# - make four lists of one environment and see where each is blind
# - tell the hash of a wheel from the hash of what was installed
# - break a list so that it stays valid, and gets a better score
# - sign it, attach it in the registry, and find it again by a digest
#
# **Before:** week 2. **Next:** `03_mlbom`. **Lab:** `labs/03_sbom.ipynb`
#
# SBOM means *software bill of materials*. The format here is CycloneDX (ECMA-424), in JSON. **V** and **S** as before:
# read in a primary text; read in secondary text only. Words are in [the glossary](../docs/glossary.md).
#
# **How to use this page.** Above some cells stands **Predict**. Write your answer in place of `None`, then run the cell:
# it shows what you said beside what came out. Nobody marks it. At **Change it**, change one value and run the cell again.

# %% tags=["parameters"]
seed = 1

# %%
import ast
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import chainlab
import pandas as pd

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("03_sbom", seed=seed)
AT = datetime(2026, 9, 1, 8, tzinfo=UTC)  # a fixed time, so that the same input gives the same document

# %% [markdown]
# ## 1. One environment
# `triage-model` is installed as a CI job does it: an empty environment, packages from the kit's own index, and `pytest`
# beside it, because a job tests. (We use `uv`, to save time, and leave out the *extra* for training. An extra is a named
# set of optional requirements.)
#
# **Predict.** The project's `pyproject.toml` names three packages, and we name `pytest`. Each installed package leaves a
# folder `*.dist-info`. How many will there be?

# %% tags=["predict"]
prediction = None  # a number
project = lab.copy("projects/triage-model")
index = ["--default-index", f"{lab.trust.url}/simple/"]
lab.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, "env"])
lab.run(["uv", "pip", "install", "--quiet", "--python", "env/bin/python", *index, project, "pytest"])
lab.run(["uv", "build", "--quiet", "--wheel", *index, "--out-dir", "dist", project])
env, (wheel,) = lab.path / "env", (lab.path / "dist").glob("*.whl")
(site,) = env.glob("lib/python*/site-packages")
installed = sorted(p.name.removesuffix(".dist-info") for p in site.glob("*.dist-info"))
print(*installed, sep="\n")
lab.predicted(prediction, len(installed))

# %% [markdown]
# Eleven. One is the project's own, three are named in `pyproject.toml`, we named `pytest`, and six came along. This is what
# people mean by "our dependencies", and nobody wrote the list. (With Python 3.12 or later you see another version of
# numpy: the newest one that supports your Python.)
#
# ## 2. What a bill of materials says
# The kit's builder reads the folder without running anything in it. First: what is the document *about*?

# %%
from chainlab.evidence.sbom import builder

LOCK = lab.data / "projects/hardened/triage-model/requirements.lock"
bill = builder.of_environment(env, lock=LOCK, subject="triage-model", at=AT)
about = bill["metadata"]
pd.Series({
    "format": f"{bill['bomFormat']} {bill['specVersion']}",
    "made": about["timestamp"],
    "subject": f"{about['component']['name']} {about['component']['version']}",
    "phase": about["lifecycles"][0]["phase"],
    "contents": f"{len(bill['components'])} components, {len(bill['dependencies'])} dependency entries",
}).to_frame("says")

# %% [markdown]
# The document is about `triage-model` 1.4.0 and lists ten components: the eleven folders without the subject itself. The
# phase `operations` says *seen where it runs*. A list made from source, from a build or from a running system answers
# different questions, and the phase tells them apart.
#
# One component. **Change it**: put `protobuf`, then `pytest` in place of `numpy`. Which field has protobuf not, and what
# would you not have written about pytest?

# %%
name = "numpy"
FIELDS = ("type", "bom-ref", "supplier", "name", "version", "scope", "licenses", "purl")
by_name = {c["name"]: c for c in bill["components"]}
pd.Series({field: by_name[name].get(field, "–") for field in FIELDS}).to_frame(name)

# %% [markdown]
# - `purl`, the *package URL*, is the name that machines compare: ecosystem, name, version in one text.
# - `bom-ref` is its name inside this document; edges use it.
# - `licenses` has an *SPDX expression*: names from the SPDX list of licences, joined by AND or OR. numpy's has five names,
#   so more than one project's code is in it. Remember that line.
# - `supplier` says who made it. protobuf's metadata names nobody, so the field is missing and not guessed.
# - `scope` says whether the subject needs it to run. pytest's says `required`, too: the builder saw that it is installed,
#   and not whether the service runs without it.
#
# The edges of the document, as a tree; and below it, what the document says of its own gaps:

# %%
edges = {e["ref"]: e.get("dependsOn", []) for e in bill["dependencies"]}
def tree(ref, depth=0):
    """A component and what it needs, indented, a line each."""
    below = (line for needed in edges[ref] for line in tree(needed, depth + 1))
    return ["   " * depth + ref.removeprefix("pkg:pypi/"), *below]


print("\n".join(tree(about["component"]["bom-ref"])))
pd.DataFrame([entry for entry in about["properties"] if "unseen" in entry["name"]])

# %% [markdown]
# Depth 1 is what somebody chose, depth 2 is what they got. The path to `protobuf` is what you need on the day of an
# advisory: it says whom to ask for a new version. Four packages are in the list and not in the tree, and the table's
# second row names them.
#
# The first row says what the builder did not look for; the second, what it cannot explain. (Two more entries, not shown,
# name the platform and the Python for which *markers* were evaluated. A marker is the condition of a requirement, such as
# `; sys_platform == "win32"`: elsewhere the requirement does not hold.) `pytest` and its three are here because the *job*
# tests. Are they "in" triage-model? In the environment yes, in the service no. Ask any list which of the two it means.
#
# ## 3. Four lists of one thing
# The environment, by the kit. The lock file, by the kit. The environment again, by the field's reference tool
# `cyclonedx-py`, unmodified. And what many scripts do: scan the imports.

# %%
locked = builder.of_lock(LOCK, at=AT)
options = ["--output-reproducible", "--no-validate", "-o", "reference.cdx.json"]  # we validate ourselves, in section 6
_ = lab.run(["cyclonedx-py", "environment", env / "bin" / "python", *options])
reference = json.loads((lab.path / "reference.cdx.json").read_text())


def imported(folder):
    """The first part of every module that the code imports, but the standard library's and its own."""
    nodes = [n for p in (folder / "src").rglob("*.py") for n in ast.walk(ast.parse(p.read_text()))]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 0}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"triage_model"}


print(*sorted(imported(project)))

# %% [markdown]
# Names of *modules*. `acme_cells` is close to its package's name, acme-cells. `sklearn` is the module of scikit-learn;
# look up `sklearn` in an index, and you find another project. The four, side by side:

# %%
lists = {"environment": bill, "lock file": locked, "cyclonedx-py": reference}
def counted(document):
    """How many components there are, and how many say what."""
    parts = document["components"]
    edges = sum(len(e.get("dependsOn", [])) for e in document["dependencies"])
    return {"components": len(parts), "with version": sum("version" in c for c in parts),
            "with SHA-256": sum("hashes" in c for c in parts), "with licence": sum("licenses" in c for c in parts),
            "edges": edges, "admits gaps": "compositions" in document}


table = pd.DataFrame({name: counted(document) for name, document in lists.items()})
table["import scan"] = [len(imported(project)), 0, 0, 0, 0, False]
table

# %% [markdown]
# One project, and in no row do all four agree. None of the tools is broken. They read different things:
#
# - the **lock file** has what this platform would get for tests and training: no licences, and every package hangs on the
#   project directly, because a `requirements.lock` does not say who needs whom;
# - the **environment** has what this machine got, with licences and true edges, and hardly a hash;
# - **cyclonedx-py** counts `triage-model` itself as a component, gives no hashes, and does not say what it cannot see (we
#   asked it to leave out the time, so that this notebook stays the same);
# - the **scan** has names of modules.
#
# ## 4. Where each is blind
# Questions of another kind: pick things of which we *know* whether they are there, and look for each in each list.
#
# **Predict.** In how many of the four lists does each of the seven stand? Write 0 to 4; the comment says what it is.

# %% tags=["predict"]
from packaging.utils import canonicalize_name

prediction = {
    "acme-cells": None,  # the project declares it
    "protobuf": None,  # a dependency needs it
    "pytest": None,  # for developers only
    "scikit-learn": None,  # for the extra only; imported as sklearn
    "sklearn": None,  # no package of ours at all
    "colorama": None,  # locked, for another platform
    "openblas": None,  # a native library inside numpy
}
names = {name: {canonicalize_name(c["name"]) for c in document["components"]} for name, document in lists.items()}
names["import scan"] = {canonicalize_name(name) for name in imported(project)}
seen = pd.DataFrame({source: {q: q in found for q in prediction} for source, found in names.items()})
print(lab.predicted(prediction, {name: int(count) for name, count in seen.sum(axis=1).items()}))
seen.replace({True: "listed", False: "–"})

# %% [markdown]
# Two rows are empty. For colorama that is right: the lock names it for Windows, and the builder held the marker against
# this platform. For OpenBLAS it is wrong: it is *in* the environment, as machine code.
#
# Now all names of all lists. A dot means: this list names it.

# %% tags=["folded"]
import matplotlib.pyplot as plt

every = sorted(set().union(*names.values()), key=lambda n: (-sum(n in found for found in names.values()), n))
plt.style.use("chainlab.dashboards.style")
fig, ax = plt.subplots(figsize=(9, 2.8))
for row, found in enumerate(names.values()):
    ax.plot(range(len(every)), [row] * len(every), ".", color="lightgrey", markersize=3)
    ax.plot([every.index(n) for n in found], [row] * len(found), "o", color="black")
ax.set_xticks(range(len(every)), every, rotation=60, ha="right")
ax.set_yticks(range(len(names)), [f"{name}: {len(found)}" for name, found in names.items()])
ax.invert_yaxis()
_ = ax.set_title("Three of 24 names stand in all four lists")

# %% [markdown]
# In words: `acme-cells`, `numpy` and `onnxruntime` stand in all four lists. Twelve names stand in one list only: ten
# in the lock (for training and building), `sklearn` in the scan, and `triage-model` in cyclonedx-py's. So "is it in the
# SBOM?" has no answer before you say in *which*. And OpenBLAS, which is in no list?

# %%
from chainlab.evidence.sbom import environments

found = environments.read(env, lock=LOCK, subject="triage-model", look_inside=True)
brought = sorted(p.name.partition("-")[0] for p in (site / "numpy.libs").glob("*"))
print("numpy brings:", *brought)
pd.Series([spot.kind for spot in found.blind_spots]).value_counts().rename("blind spots")

# %% [markdown]
# OpenBLAS came inside numpy, and is no component. (numpy 2.4.6, which Python 3.11 gets, also brings two libraries of a
# Fortran compiler. Its licence line does not name *their* licences, GPL and LGPL: they stand in a text file that came
# along.)
#
# The builder cannot *list* such things, and it counts where they may be: packages with native code, with imports by a
# computed name (*dynamic*), with extras that nobody asked for. (*Unexplained* is the line about `pytest` from above.
# *Vendored* code, copied in, would be another kind. Here it recognised none, which is not the same as none.) A list of
# gaps is the difference between "there is nothing" and "I see nothing". It ends up in the document:

# %%
pd.DataFrame([{"aggregate": part["aggregate"], "of": kind, "components": len(part[kind])}
              for part in bill["compositions"] for kind in part.keys() - {"aggregate"}])

# %% [markdown]
# A *composition* says how complete something is. Every component's own requirements were found (`dependencies`:
# complete). What numpy, onnxruntime, protobuf and our package are put together from was not found (`assemblies`:
# incomplete), and of the other seven the builder cannot tell (`unknown`). A tool that prints one `complete` for
# everything is either very good or not thinking.
#
# ## 5. Whose hash?
# Only two components have a hash. Why not simply hash what is installed? `RECORD`, a package's list of its installed
# files, even has digests ready. Compare our own wheel with what became of it.
#
# **Predict.** Is the installed `RECORD` the one in the wheel, byte for byte? Write True or False.

# %% tags=["predict"]
import zipfile

prediction = None  # True or False
(info,) = site.glob("triage_model-*.dist-info")
inside = {n for n in zipfile.ZipFile(wheel).namelist()}
now = {line.partition(",")[0] for line in (info / "RECORD").read_text().splitlines()}
added = sorted(Path(name).name for name in now - inside if "__pycache__" not in name)
same = (info / "RECORD").read_bytes() == zipfile.ZipFile(wheel).read(f"{info.name}/RECORD")
print("the installer added:", *added)
lab.predicted(prediction, same)

# %% [markdown]
# The installer added five files and rewrote RECORD. No digest of anything in this folder is the wheel's, and the wheel is
# gone. A digest of RECORD, put into the field `hashes`, looks like a wheel's and matches nothing, in no index and no
# advisory.
#
# So where did the two come from? From the lock, where it leaves no choice. **Change it**: ask for other packages of the
# list, and find the second one that has a hash.

# %%
packages = {c.name: c for c in found.components}
asked = ["acme-cells", "numpy"]
pd.DataFrame([{"package": name, "has a hash": bool(packages[name].hashes), "from": packages[name].hash_origin or "–",
               "candidates in the lock": len(packages[name].accepted)} for name in asked]).set_index("package")

# %% [markdown]
# `acme-cells` has one file, so the lock's hash is *the* hash; the second such package is `flatbuffers`. numpy's release has
# a file for each platform and each Python: the lock accepts any of more than sixty, and does not say which one this
# machine took. The document keeps such *candidates* apart from `hashes`. (In the lab you do better, with the tags of the
# installed wheel.)
#
# ## 6. Valid is not true
# We lie in three ways, make one typing error, and ask the validator each time.
#
# **Predict.** Which of the four does it catch? Write "caught" or "not caught".

# %%
import copy

from chainlab.evidence.sbom import schema

lies = {name: copy.deepcopy(bill) for name in ("older version", "shorter list", "other subject")}
next(c for c in lies["older version"]["components"] if c["name"] == "protobuf")["version"] = "3.0.0"
for part in lies["shorter list"]["components"][:5]:
    lies["shorter list"]["components"].remove(part)
lies["other subject"]["metadata"]["component"]["version"] = "9.9.9"
broken = copy.deepcopy(bill)
broken["components"][0]["type"] = "libary"

# %% tags=["predict"]
prediction = {"older version": None, "shorter list": None, "other subject": None, "a typing error": None}
problems = {name: schema.problems(document) for name, document in {**lies, "a typing error": broken}.items()}
print(lab.predicted(prediction, {name: "caught" if found else "not caught" for name, found in problems.items()}))
pd.DataFrame([{"document": name, "problems": len(found), "the first": str(next(iter(found), "")).partition(" (help")[0]}
              for name, found in problems.items()]).set_index("document")

# %% [markdown]
# The typing error is caught. So is the shorter list, because edges and compositions still name the removed components (the
# kit looks for that; the official schema lets it pass). Remove those mentions, too, and the shorter list is flawless:
# section 7 does it. The older version and the other subject pass as they are: a schema knows forms, not facts.
#
# Facts need a second list of the same thing. We make one again, add a fourth lie (other bytes under the same version), and
# compare:

# %%
from chainlab.evidence.sbom.difference import diff

again = builder.of_environment(env, lock=LOCK, subject="triage-model", at=AT)
lies["other bytes"] = copy.deepcopy(bill)
cells = next(c for c in lies["other bytes"]["components"] if c["name"] == "acme-cells")
cells["hashes"][0]["content"] = "0" * 64
differences = {name: diff(again, document) for name, document in lies.items()}
for name, difference in differences.items():
    print(f"{name}:", *str(difference).splitlines(), sep="\n   ")

# %% [markdown]
# `~` is another version, `-` a component that is gone, `+` one that came, and `!` other bytes under the same version. The
# last matters most: a release never changes, so one of the two lists is wrong, or somebody replaced a file. Between two
# builds, `~` and `+` are what a reviewer reads: code that nobody of the team wrote. The other subject stays unseen: only
# components are compared, and only a verified digest says what a list is about (section 8). In a pipeline,
# `chainlab sbom diff OLD NEW` ends with 1 when a component differs. It helps only where the second list is made apart
# from the first: a tool that is blind in section 4 is blind twice.
#
# **Change it**: find a lie that *both* let through. Set another field: `name`, `purl`, `licenses`, `supplier`, …

# %%
mine = copy.deepcopy(bill)
part = next(c for c in mine["components"] if c["name"] == "pytest")
part["version"] = "0.0.1"
print("valid" if not schema.problems(mine) else schema.problems(mine)[0])
print(diff(again, mine))

# %% [markdown]
# The schema lets pytest 0.0.1 pass, and the second list shows it. A false licence or supplier is noticed by neither: who
# wants to know has to look into the wheel.
#
# ## 7. A score, and how to raise it
# Two US agencies have lists of *minimum elements*. NTIA's, of 2021, asks for seven fields; CISA's draft of August 2025
# adds hash, licence, tool and context (a *draft*: we found no final version; S). A score counts how many of the
# components say them. To the three lists we add a fourth: the first one without the components that name no supplier, and
# without every mention of them.

# %%
from chainlab.evidence.sbom import quality

lists["environment, shortened"] = better = copy.deepcopy(bill)
keep = {c["bom-ref"] for c in better["components"] if c.get("supplier")}
better["components"] = [c for c in better["components"] if c["bom-ref"] in keep]
keep.add(about["component"]["bom-ref"])
better["dependencies"] = [{"ref": e["ref"], "dependsOn": [r for r in e.get("dependsOn", []) if r in keep]}
                          for e in better["dependencies"] if e["ref"] in keep]
better["compositions"] = [{k: v if k == "aggregate" else [r for r in v if r in keep] for k, v in c.items()}
                          for c in better["compositions"]]

# %% [markdown]
# **Predict.** Which list gets the best score: "environment", "lock file", "cyclonedx-py" or "environment, shortened"?

# %% tags=["predict"]
prediction = None  # a name
scores = {name: quality.assess(document) for name, document in lists.items()}
print(lab.predicted(prediction, max(scores, key=lambda name: scores[name].score)))
pd.DataFrame.from_dict({n: {"score": f"{s.score:.2f}", "NTIA alone": f"{s.of(quality.NTIA).score:.2f}",
                            "first gap": s.reasons[0].split(", not ")[0]} for n, s in scores.items()}, "index")

# %% [markdown]
# The shortest list has the best score, and it is valid. (The counts include the subject: 11 for a list of 10. Only a
# component's own hash counts, so `component hash` is the 2 of section 3 and not the candidates of section 5. The lock file
# gets nothing for its 22 edges: the document itself calls them unknown.)
#
# The score measures what is said about what is listed. It cannot see what is missing, or what is untrue. Read it as a
# spelling checker. For the rest the lab has a *truth test*: plant components that you know of, and count how many are found.

# %% [markdown]
# ## 8. Sign it, and put it where the wheel is
# The release's list is about the *wheel*: its subject has the wheel's digest. An in-toto *statement* ties the document to
# that digest, a signature ties it to the workflow's identity.

# %%
from chainlab.digests import Digest
from chainlab.evidence.signing import sign
from chainlab.evidence.statements import SBOM, Statement

digest = Digest.of(wheel.read_bytes())
of_wheel = builder.of_wheel(wheel, lock=LOCK, at=AT)
statement = Statement.about({wheel.name: digest}, SBOM, of_wheel)
token = lab.trust.workflow_token("acme/triage-model", "release.yml", "refs/tags/v1.4.0")
bundle = sign(statement, lab.trust.config, token)
print("predicate type:", statement.predicate_type)
print("subject:       ", *(name for name, _ in statement.subjects))

# %% [markdown]
# The *predicate type* tells a verifier what kind of document follows: a CycloneDX list. The *subject* is the wheel, with its
# digest.
#
# The registry is an OCI registry, as for container images. A *manifest* there is a small JSON document that names files by
# digest; the files are called *layers*, because in an image they lie on top of one another. Our wheel becomes the one
# layer of a manifest. What is said about a manifest is another manifest, whose `subject` is the first: a *referrer*. So
# evidence can be added later, and nothing about the release changes.

# %%
from chainlab.registry.oci.referrers import attach

images, REPOSITORY = lab.registry.images, "acme/triage-model/release"
BUNDLE, MANIFEST = "application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.oci.image.manifest.v1+json"
images.configure(REPOSITORY, private=False)
def layer(data, kind, **annotations):
    images.link(REPOSITORY, stored := images.blobs.put(data))
    return {"mediaType": kind, "digest": str(stored), "size": len(data), "annotations": annotations}


raw = json.dumps({
    "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.acme.wheel.v1",
    "config": layer(b"{}", "application/vnd.oci.empty.v1+json"),
    "layers": [layer(wheel.read_bytes(), "application/zip", **{"org.opencontainers.image.title": wheel.name})],
}).encode()
manifest = images.push(REPOSITORY, Digest.of(raw), raw, MANIFEST, by="acme").digest
_ = attach(images, REPOSITORY, manifest, bundle, BUNDLE, by="acme")

# %% [markdown]
# Some months later somebody has a wheel, and no idea from where. `GET /evidence/sha256:…` answers for a digest; in
# Python it is `registry.evidence`:

# %%
known = lab.registry.evidence.document(Digest.of(wheel.read_bytes()))
known

# %% [markdown]
# One place, and one bundle about it. What the table says of a signer it has read in the bundle, and nobody has verified it.
# So verify.
#
# **Predict.** We ask for this wheel, and then for other bytes with the same bundle. Verification has the steps signature,
# subject, predicate type, builder, source, parameters. At which step are the other bytes refused?

# %% tags=["predict"]
from chainlab.evidence.verifying import Expectations, Signer, verify

prediction = None  # the name of a step
identity = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
expected = Expectations(signer=Signer(identity, lab.trust.ci_issuer), predicate_type=SBOM)
signed = images.blobs.read(Digest.parse(known["referrers"][-1]["files"][0]["digest"]))
print("this wheel: ", "passed" if verify(signed, digest, expected, lab.trust.config.trusted_root).passed else "refused")
verdict = verify(signed, Digest.of(b"another"), expected, lab.trust.config.trusted_root)
print("other bytes:", lab.predicted(prediction, verdict.failure.name))
verdict

# %% tags=["check"]
assert len(installed) == 11 and len(bill["components"]) == 10
assert len(every) == 24 and [sum(n in f for f in names.values()) for n in every].count(4) == 3  # the figure's title
alone = [n for n in every if sum(n in f for f in names.values()) == 1]
assert len(alone) == 12 and sum(n in names["lock file"] for n in alone) == 10
assert not seen.loc[["openblas", "colorama"]].any(axis=None)
assert list(seen.loc["scikit-learn"]) == [False, True, False, False]
assert [len(problems[n]) for n in ("older version", "other subject")] == [0, 0] and problems["a typing error"]
assert not schema.problems(lies["other bytes"]) and not differences["other subject"]
assert [len(differences[n].changed) for n in lies] == [1, 0, 0, 0] and len(differences["shorter list"].removed) == 5
assert [c.new.name for c in differences["other bytes"].rehashed] == ["acme-cells"]
assert max(scores, key=lambda name: scores[name].score) == "environment, shortened" and not schema.problems(better)
assert [len(c[k]) for c in bill["compositions"] for k in c.keys() - {"aggregate"}] == [11, 4, 7]
assert locked["compositions"][0]["aggregate"] == "unknown" and table.loc["edges", "lock file"] == 22
assert any("scipy_openblas" in name for name in brought)  # whatever numpy this Python gets
if sys.version_info < (3, 12):  # the text tells of numpy 2.4.6: a compiler's libraries, and their licences
    terms = next(site.glob("numpy-*.dist-info/licenses/LICENSE.txt")).read_text()
    assert len(brought) == 3 and "GPL-3.0-or-later" in terms and "LGPL-2.1-or-later" in terms
declared = by_name["numpy"]["licenses"][0]["expression"]
assert declared.count(" AND ") == 4 and "GPL" not in declared and len(packages["numpy"].accepted) > 60
assert [name for name, package in packages.items() if package.hashes] == ["acme-cells", "flatbuffers"] and not same
hashed = {n: next(e for e in s.elements if e.name == "component hash").present for n, s in scores.items()}
assert all(hashed[name] == table.loc["with SHA-256", name] for name in ("environment", "lock file", "cyclonedx-py"))
assert table.loc["with SHA-256", "cyclonedx-py"] == 0 and not table.loc["admits gaps", "cyclonedx-py"]
assert all(len(set(table.loc[row])) > 1 for row in table.index) and len(added) == 5
assert verify(signed, digest, expected, lab.trust.config.trusted_root).statement.predicate == of_wheel
assert not verdict.passed and verdict.failure.name == "subject"

# %% [markdown]
# At *subject*: the signature is good, and about other bytes. Put together: a digest led to the place, the statement, the
# signer and the list, and nobody had to keep a file name. What was verified is *who said it about which bytes*. Whether
# it is so is what sections 4 to 7 are about.
#
# ## 9. What a list is good for
# - After an advisory: which builds, by which path, since when? A list made *at the build* and kept answers in a second;
#   the environment of that day is gone. That is the lab's archive.
# - It is a **poor** protection before one. In week 1 a list prevented nothing. And the record it is compared with can be
#   wrong: look at the first lines of this notebook again. An incident is searched by hash and by date, too.
# - It is only as good as its admitted gaps. "Not listed" means "not there" only in a list that is complete, about these
#   bytes, and unchanged.
#
# **What is simplified here.** Wheels and Python only; containers and operating systems have lists of their own. We pushed
# to the registry from the notebook; the project's release does it in the job, with the job's identity. The licences are
# as declared by their authors; nobody read the files.
#
# **You can now**
# - say what an SBOM is about, when it was made, and what its compositions admit
# - predict, for an environment, a lock, a reference tool and a scan, what each will miss
# - refuse a hash that is not a wheel's
# - explain why a valid list with a high score may be worthless
# - get from a digest to a verified list
#
# **Exit question.** Two lists of one release: A has 300 components and calls itself incomplete, B has 290 and calls itself
# complete. An advisory names a package that is in neither. What do you answer for each, and which would you rather have?
