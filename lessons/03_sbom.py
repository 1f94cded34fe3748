# %% [markdown]
# # Week 3 · A list of what is inside, and how far to believe it
#
# > In March 2026 a security scanner that ran in many pipelines, beside their secrets, was bad in version 0.69.4. The
# > public record of the flaw, as stored on 25 March, named version **0.6.94**. Whoever compared an honest, complete list
# > of components with that record found nothing. [V: CVE-2026-33634]
#
# **You will** (90 min: 13 reading, 77 doing)
# - read a bill of materials: subject, components, edges, and what it says of its own gaps
# - make four lists of one environment and see where each is blind
# - tell the hash of a wheel from the hash of what was installed
# - break a list so that it stays valid, and gets a better score
# - sign it, attach it in the registry, and find it again by a digest
#
# **Before:** week 2. **Next:** `03_mlbom`. **Lab:** `labs/03_sbom.ipynb`
#
# SBOM means *software bill of materials*. The format here is CycloneDX (ECMA-424), in JSON. **V** and **S** as before:
# read in a primary text; read in secondary text only.

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
# beside it, because a job tests. (Here with `uv`, to save time, and without the *extra* for training. An extra is a named
# set of optional requirements.)

# %%
project = lab.copy("projects/triage-model")
index = ["--default-index", f"{lab.trust.url}/simple/"]
lab.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, "env"])
lab.run(["uv", "pip", "install", "--quiet", "--python", "env/bin/python", *index, project, "pytest"])
lab.run(["uv", "build", "--quiet", "--wheel", *index, "--out-dir", "dist", project])
env, (wheel,) = lab.path / "env", (lab.path / "dist").glob("*.whl")
(site,) = env.glob("lib/python*/site-packages")
print(*sorted(p.name.removesuffix(".dist-info") for p in site.glob("*.dist-info")), sep="\n")

# %% [markdown]
# Eleven folders. One is the project's own; `pyproject.toml` names three more, we named `pytest`, and the rest came along.
# This is what people mean by "our dependencies", and nobody wrote the list.
#
# ## 2. What a bill of materials says
# The kit's builder reads the folder without running anything in it. First: what is the document *about*?

# %%
from chainlab.evidence import sbom

LOCK = lab.data / "projects/hardened/triage-model/requirements.lock"
bill = sbom.of_environment(env, lock=LOCK, subject="triage-model", at=AT)
about = bill["metadata"]
print("format:  ", bill["bomFormat"], bill["specVersion"], "· made", about["timestamp"])
print("subject: ", about["component"]["name"], about["component"]["version"])
print("phase:   ", about["lifecycles"])
print("contents:", len(bill["components"]), "components,", len(bill["dependencies"]), "dependency entries")

# %% [markdown]
# The phase `operations` says *seen where it runs*. A list made from source, from a build or from a running system answers
# different questions, and the word tells them apart. One component:

# %%
numpy = next(c for c in bill["components"] if c["name"] == "numpy")
for key in ("type", "bom-ref", "supplier", "name", "version", "scope", "licenses", "purl"):
    print(f"{key:9}", numpy[key])

# %% [markdown]
# - `purl`, the *package URL*, is the name that machines compare: ecosystem, name, version in one text.
# - `bom-ref` is its name inside this document; edges use it.
# - `licenses` has an *SPDX expression*: names from the SPDX list of licences, joined by AND or OR. numpy's has five names,
#   so more than one project's code is in it. Remember that line.
# - `supplier` and `scope` say who made it, and whether the subject runs without it (`required`: no).
#
# The edges:

# %%
edges = {e["ref"]: e.get("dependsOn", []) for e in bill["dependencies"]}
def tree(ref, depth=0):
    """Print what a component needs, indented."""
    print("   " * depth + ref.removeprefix("pkg:pypi/"))
    for needed in edges[ref]:
        tree(needed, depth + 1)


tree(about["component"]["bom-ref"])

# %% [markdown]
# Depth 1 is what somebody chose, depth 2 is what they got. The path to `protobuf` is what you need on the day of an
# advisory: it says whom to ask for a new version. Four packages are in the list and not in this tree. The document says
# so itself:

# %%
for entry in about["properties"]:
    print(entry["name"].removeprefix("chainlab:"), "|", "…" if "environment" in entry["name"] else entry["value"])

# %% [markdown]
# It also says what was not looked for, and on which platform and Python *markers* were evaluated. A marker is the
# condition of a requirement, such as `; sys_platform == "win32"`: elsewhere the requirement does not hold. `pytest` and
# its three are here because the *job* tests. Are they "in" triage-model? In the environment yes, in the service no. Ask
# any list which of the two it means.
#
# ## 3. Four lists of one thing
# The environment, by the kit. The lock file, by the kit. The environment again, by the field's reference tool
# `cyclonedx-py`, unmodified. And what many scripts do: scan the imports.

# %%
locked = sbom.of_lock(LOCK, at=AT)
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
# Names of *modules*. `acme_cells` is close to its package's name, acme-cells; `sklearn` is the module of scikit-learn, and
# whoever looks the word up in an index finds another project. Now side by side:

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

# %%
from packaging.utils import canonicalize_name

QUESTIONS = {
    "acme-cells": "declared", "protobuf": "needed by a dependency", "pytest": "for developers only",
    "scikit-learn": "extra only; imported as sklearn", "sklearn": "not a package of ours at all",
    "colorama": "locked, for another platform", "openblas": "native library inside numpy",
}
names = {name: {canonicalize_name(c["name"]) for c in document["components"]} for name, document in lists.items()}
names["import scan"] = {canonicalize_name(name) for name in imported(project)}
seen = pd.DataFrame({source: [q in found for q in QUESTIONS] for source, found in names.items()}, index=list(QUESTIONS))
seen.replace({True: "listed", False: "–"}).assign(what=list(QUESTIONS.values()))

# %%
import matplotlib.pyplot as plt

plt.style.use("chainlab.dashboards.style")
fig, ax = plt.subplots(figsize=(8, 3.4))
ax.imshow(seen.astype(int), cmap="Greys", vmin=0, vmax=3, aspect="auto")
for row, values in enumerate(seen.to_numpy()):
    for column, value in enumerate(values):
        ax.text(column, row, "listed" if value else "–", ha="center", va="center")
ax.set_xticks(range(len(seen.columns)), seen.columns)
ax.set_yticks(range(len(seen)), [f"{name} ({what})" for name, what in QUESTIONS.items()])
_ = ax.set_title("All four lists miss the native library")

# %% [markdown]
# The figure repeats the table. Two rows are empty. colorama rightly: the lock names it for Windows, and the builder held
# the marker against this platform. OpenBLAS wrongly: it is *in* the environment, as machine code.

# %%
from chainlab.evidence import environments

found = environments.read(env, lock=LOCK, subject="triage-model", look_inside=True)
print("numpy brings:", *sorted(p.name.partition("-")[0] for p in (site / "numpy.libs").glob("*")))
pd.Series([spot.kind for spot in found.blind_spots]).value_counts().rename("blind spots")

# %% [markdown]
# OpenBLAS and two libraries of a Fortran compiler: none of them is a component. The licence line hinted at other people's
# code, and it does not name the licences of the compiler's two, GPL and LGPL: they stand in a text file that came along.
# The builder cannot *list* such things, and it counts where they may be: packages with native code, with imports by a
# computed name (*dynamic*), with extras that nobody asked for. (*Unexplained* is the line about `pytest` from above.
# *Vendored* code, copied in, would be another kind. Here it recognised none, which is not the same as none.) A list of
# gaps is the difference between "there is nothing" and "I see nothing". It ends up in the document:

# %%
for part in bill["compositions"]:
    (kind,) = part.keys() - {"aggregate"}
    print(f"{part['aggregate']:11} {kind:13}", len(part[kind]), "components")

# %% [markdown]
# A *composition* says how complete something is: every component's own requirements were found (`dependencies`
# complete); what numpy, onnxruntime, protobuf and our package are put together from was not (`assemblies` incomplete), and
# of the other seven it cannot tell (`unknown`).
# A tool that prints one `complete` for everything is either very good or not thinking.
#
# ## 5. Whose hash?
# Only a few components have a hash. Why not simply hash what is installed? `RECORD`, a package's list of its installed
# files, even has digests ready. Compare our own wheel with what became of it:

# %%
import hashlib
import zipfile

(info,) = site.glob("triage_model-*.dist-info")
inside = {n for n in zipfile.ZipFile(wheel).namelist()}
now = {line.partition(",")[0] for line in (info / "RECORD").read_text().splitlines()}
added = sorted(Path(name).name for name in now - inside if "__pycache__" not in name)
same = (info / "RECORD").read_bytes() == zipfile.ZipFile(wheel).read(f"{info.name}/RECORD")
print("the installer added:", *added)
print("RECORD is as it was in the wheel:", same)

# %% [markdown]
# The installer added files and rewrote RECORD. No digest of anything in this folder is the wheel's, and the wheel is
# gone. A digest of RECORD in the field `hashes` looks the same and matches nothing, in no index and no advisory.
#
# So where did the few come from? From the lock, where it leaves no choice:

# %%
packages = {c.name: c for c in found.components}
for name in ("acme-cells", "numpy"):
    hashed = packages[name]
    print(f"{name:11} hash: {'yes, from the ' + hashed.hash_origin if hashed.hashes else 'no':18}",
          f"other hashes that the lock accepts: {len(hashed.accepted)}")

# %% [markdown]
# `acme-cells` has one file, so the lock's hash is *the* hash. numpy's release has a file for each platform: the lock
# accepts any of its 72 and does not say which one this machine took. The document keeps such candidates apart
# from `hashes`. (In the lab you do better, with the tags of the installed wheel.)
#
# ## 6. Valid is not true
# We lie in three ways, make one typing error, and ask the validator each time.

# %%
import copy

from chainlab.evidence import schema

lies = {name: copy.deepcopy(bill) for name in ("older version", "shorter list", "other subject")}
next(c for c in lies["older version"]["components"] if c["name"] == "protobuf")["version"] = "3.0.0"
for part in lies["shorter list"]["components"][:5]:
    lies["shorter list"]["components"].remove(part)
lies["other subject"]["metadata"]["component"]["version"] = "9.9.9"
broken = copy.deepcopy(bill)
broken["components"][0]["type"] = "libary"
for name, document in {**lies, "a typing error": broken}.items():
    found_problems = schema.problems(document)
    first = f"| {found_problems[0]}".partition(" (mend")[0] if found_problems else ""
    print(f"{name:15} problems: {len(found_problems):2}", first)

# %% [markdown]
# A typing error is caught, and so are edges and compositions that name a removed component (the kit looks for these; the
# official schema lets them pass). Remove those, too, and the shorter list is flawless; section 7 does it. The older version
# and the other subject pass as they are: a schema knows forms, not facts.
#
# Facts need a second list of the same thing. We make one again, add a fourth lie (other bytes under the same version), and
# compare:

# %%
from chainlab.evidence.difference import diff

again = sbom.of_environment(env, lock=LOCK, subject="triage-model", at=AT)
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
# ## 7. A score, and how to raise it
# Two US agencies have lists of *minimum elements*. NTIA's, of 2021, asks for seven fields; CISA's draft of August 2025
# adds hash, licence, tool and context (a *draft*: we found no final version; S). A score counts how many of the
# components say them. Beside it stands the first thing that is missing:

# %%
from chainlab.evidence import quality

lists["environment, shortened"] = better = copy.deepcopy(bill)
keep = {c["bom-ref"] for c in better["components"] if c.get("supplier")}
better["components"] = [c for c in better["components"] if c["bom-ref"] in keep]
keep.add(about["component"]["bom-ref"])
better["dependencies"] = [{"ref": e["ref"], "dependsOn": [r for r in e.get("dependsOn", []) if r in keep]}
                          for e in better["dependencies"] if e["ref"] in keep]
better["compositions"] = [{k: v if k == "aggregate" else [r for r in v if r in keep] for k, v in c.items()}
                          for c in better["compositions"]]
scores = {name: quality.assess(document) for name, document in lists.items()}
rows = {n: {"score": f"{s.score:.2f}", "NTIA alone": f"{s.of(quality.NTIA).score:.2f}",
            "first reason": s.reasons[0].split(", not ")[0]} for n, s in scores.items()}
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# The last row has the best score: from the first list we threw away the components without a supplier, and every mention
# of them. The result is valid, too. (The counts include the subject: 11 for a list of 10. Only a hash of the component's
# own counts, not the candidates of section 5. The lock file gets nothing for its 22 edges: the document itself calls
# them unknown.)
#
# The score measures what is said about what is listed. It cannot see what is missing, or what is untrue. Read it as a
# spelling checker, and use the *truth test* of the lab for the rest: plant components that you know of, and count how
# many are found.

# %% tags=["check"]
assert len(list(site.glob("*.dist-info"))) == 11 and len(bill["components"]) == 10
assert not seen.loc[["openblas", "colorama"]].any(axis=None)
assert list(seen.loc["scikit-learn"]) == [False, True, False, False]
assert [len(schema.problems(lies[n])) for n in ("older version", "other subject")] == [0, 0] and schema.problems(broken)
assert not schema.problems(lies["other bytes"]) and not differences["other subject"]
assert [len(differences[n].changed) for n in lies] == [1, 0, 0, 0] and len(differences["shorter list"].removed) == 5
assert [c.new.name for c in differences["other bytes"].rehashed] == ["acme-cells"]
assert max(scores, key=lambda name: scores[name].score) == "environment, shortened" and not schema.problems(better)
assert [len(c[k]) for c in bill["compositions"] for k in c.keys() - {"aggregate"}] == [11, 4, 7]
assert locked["compositions"][0]["aggregate"] == "unknown" and table.loc["edges", "lock file"] == 22
assert numpy["licenses"][0]["expression"].count(" AND ") == 4 and len(packages["numpy"].accepted) == 72
terms = next(site.glob("numpy-*.dist-info/licenses/LICENSE.txt")).read_text()
assert "GPL" not in numpy["licenses"][0]["expression"] and "GPL-3.0-or-later" in terms and "LGPL-2.1-or-later" in terms
assert len(packages["acme-cells"].hashes) == 1 and not packages["numpy"].hashes and not same
assert table.loc["with SHA-256", "cyclonedx-py"] == 0 and not table.loc["admits gaps", "cyclonedx-py"]
assert all(len(set(table.loc[row])) > 1 for row in table.index)

# %% [markdown]
# ## 8. Sign it, and put it where the wheel is
# The release's list is about the *wheel*: its subject has the wheel's digest. An in-toto *statement* ties the document to
# that digest, a signature ties it to the workflow's identity.

# %%
from chainlab.digests import Digest
from chainlab.evidence.signing import sign
from chainlab.evidence.statements import SBOM, Statement

digest = Digest.of(wheel.read_bytes())
of_wheel = sbom.of_wheel(wheel, lock=LOCK, at=AT)
statement = Statement.about({wheel.name: digest}, SBOM, of_wheel)
token = lab.trust.workflow_token("acme/triage-model", "release.yml", "refs/tags/v1.4.0")
bundle = sign(statement, lab.trust.config, token)
print(statement.predicate_type, "about", *(name for name, _ in statement.subjects))

# %% [markdown]
# The first address is the *predicate type*: it says that what follows the digest is a CycloneDX document.
#
# The registry is an OCI registry, as for container images: things are *manifests* with layers. The wheel becomes a
# layer. What is said about a manifest is another manifest whose `subject` is the first, a *referrer*: nothing about the
# release changes when somebody adds evidence later.

# %%
from chainlab.registry.referring import refer

images, REPOSITORY = lab.registry.images, "acme/triage-model/release"
BUNDLE, MANIFEST = "application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.oci.image.manifest.v1+json"
images.configure(REPOSITORY, private=False)
def layer(data, kind, **annotations):
    """Store bytes; their descriptor."""
    stored = images.blobs.put(data)
    images.link(REPOSITORY, stored)
    return {"mediaType": kind, "digest": str(stored), "size": len(data), "annotations": annotations}

# %%
raw = json.dumps({
    "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.acme.wheel.v1",
    "config": layer(b"{}", "application/vnd.oci.empty.v1+json"),
    "layers": [layer(wheel.read_bytes(), "application/zip", **{"org.opencontainers.image.title": wheel.name})],
}).encode()
manifest = images.push(REPOSITORY, Digest.of(raw), raw, MANIFEST, by="acme").digest
_ = refer(images, REPOSITORY, manifest, bundle, BUNDLE, by="acme")

# %% [markdown]
# Some months later somebody has a wheel, and no idea from where. `GET /evidence/sha256:…` answers for a digest; in
# Python it is `registry.evidence`:

# %%
known = lab.registry.evidence.document(Digest.of(wheel.read_bytes()))
for place in known["places"]:
    print("it is in", place["protocol"], place.get("repository"), "as", place.get("name"))
for referrer in known["referrers"]:
    print("said of it, by", referrer["by"], "|", referrer["artifactType"])

# %% [markdown]
# One place, and one bundle said about it. `acme` is the account that pushed it, and no proof of who signed. So verify:

# %%
from chainlab.evidence.verifying import Expected, Signer, verify

identity = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
expected = Expected(signer=Signer(identity, lab.trust.ci_issuer), predicate_type=SBOM)
signed = images.blobs.read(Digest.parse(known["referrers"][-1]["files"][0]["digest"]))
for name, asked in {"this wheel": digest, "another": Digest.of(b"another")}.items():
    verdict = verify(signed, asked, expected, lab.trust.config.trusted_root)
    print(f"{name:11}", "passed" if verdict.passed else f"refused at: {verdict.failure.name}")

# %% tags=["check"]
assert verify(signed, digest, expected, lab.trust.config.trusted_root).statement.predicate == of_wheel
assert not verdict.passed and verdict.failure.name == "subject"

# %% [markdown]
# Put together: from the digest to the place, to the statement, to the signer, to the list, without a file name that
# anybody had to keep. What was verified is *who said it about which bytes*. Whether it is so, sections 4 to 7 are about.
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
# to the registry from the notebook; the project's release does it in the job, with the job's identity. The licence texts
# are as declared by their authors; nobody read the files.
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
