# %% [markdown]
# # Week 3 lab · Make the list, test it, sign it, ask it
#
# > On 24 March 2026 two versions of `litellm` were bad for two and a half hours. They were downloaded more than 119,000
# > times; 40 to 50 % of all installs took the newest version, whatever it was. [V: PyPI's account] For everybody else
# > the question of that day was: *is it in anything that we built?*
#
# A bill of materials is a claim about bytes. In this lab you make such claims, find out how true they are, put your
# name to them, and then ask twenty builds a question, also after somebody has taken evidence away.
#
# **You will** (4.5 h; each exercise says its minutes)
# - find lies in documents that every schema accepts
# - build a component list from metadata, and state its precision and recall
# - describe a model so that nothing is lost, its uncertainty included
# - find the builds that an advisory affects, and defend a statement that a finding does not matter (*VEX*)
# - answer *unknown* where the evidence is gone, and compute the dashboard's figures
#
# **Before:** `03_sbom`, `03_mlbom`. **Deliverable:** `sbom_archive.md`, from the template at the end.
#
# Each check calls your function on visible cases and on cases made from `seed`, so only a rule passes. When a case
# fails, `lab.case("3.1", "honest gaps")` gives its arguments, to look at and to call your function with:
# `lies(*lab.case("3.1", "honest gaps"))`. `lab.hint("3.1")` gives one hint at a time, and `solutions/03_sbom.ipynb` has
# every answer with its reason, for afterwards. Packages named `acme-…` and their vulnerabilities are made up.
#
# Some given cells use your function. Until it is written they stop with its number; *Run All Cells* goes on behind them.

# %% tags=["parameters"]
seed = 1

# %%
import ast
import datetime as dt
import hashlib
import json
import random
from importlib.metadata import distributions
from pathlib import Path
from pprint import pprint

from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import chainlab

lab = chainlab.open("03_sbom", seed=seed)

# %% [markdown]
# ## Valid is a word about form
# A CycloneDX document is JSON. Its schema says which keys there are and of which type; it cannot know the wheel that
# the document is about. Beside each document you get `facts`:
#
# | key | value |
# |---|---|
# | `wheel` | the SHA-256 of the artifact, in hex |
# | `lock` | package name to `version`, `hashes` (of *all* files of that version) and `uploaded` (when its first file was) |
#
# The document's parts that matter here, and a first look at one:

# %%
from chainlab.course.exercises.week3.ex1_valid_lies import Truth
from chainlab.evidence.sbom import schema

facts, document = Truth(random.Random(seed)).parts()
pprint(document["metadata"], width=110)
pprint(document["components"][0], width=110)
print("edges:       ", document["dependencies"][0])
print("compositions:", document["compositions"])
print("problems:    ", schema.problems(document))
pprint({"lock": dict([min(facts["lock"].items())])}, width=110)

# %% [markdown]
# No problems, and this one is also true. Seven kinds of lies pass the schema as well:
#
# | finding | the lie |
# |---|---|
# | `subject: document` | a SHA-256 of `metadata.component` is not the wheel's |
# | `time: document` | the document is older than the upload of a component that it lists |
# | `complete: document` | a composition says `complete` (one is enough), and a package of the lock is not listed |
# | `name: REF` | a component's name is not the package that its purl names |
# | `version: REF` | its version is not the purl's, or not the lock's |
# | `hash: REF` | a SHA-256 that no file of the package has |
# | `edge: REF` | `dependsOn` of REF names something that is not in the document |
#
# REF is a `bom-ref`. Which package is a component? The one that its purl names; only where it has no purl, its own name
# says it. That package is then *listed*, and its version, hashes and upload are held against the lock's, whatever the
# component calls itself. What a document does not say is a gap and not a lie: it may have no time, no edges, no
# compositions, no hash. About a component that the lock does not know, the lock contradicts nothing.
#
# ## Exercise 3.1 — spot the lies that are valid (4 points)
# *20 min.* Return the set of findings, written as in the table.
# <details><summary>Hint 1</summary>Which two spellings of a name, of a version and of a moment mean the same?</details>
# <details><summary>Hint 2</summary>`PackageURL.from_string(purl)` has `.name` and `.version`, decoded; `canonicalize_name`; `Version("2.0") == Version("2.0.0")`; `datetime.fromisoformat`. Not every component has a purl or hashes.</details>

# %% tags=["exercise"]
from datetime import datetime


def lies(document: dict, facts: dict) -> set[str]:
    """What the document says and the facts contradict: "kind: where"."""
    ### BEGIN SOLUTION
    lock, about, found, listed = facts["lock"], document["metadata"], set(), set()

    def sha256(component):
        return {h["content"] for h in component.get("hashes", []) if h["alg"] == "SHA-256"}

    if not sha256(about["component"]) <= {facts["wheel"]}:
        found.add("subject: document")
    for component in document["components"]:
        ref, name, version = component["bom-ref"], component["name"], component["version"]
        if "purl" in component:
            purl = PackageURL.from_string(component["purl"])
            if canonicalize_name(name) != purl.name:
                found.add(f"name: {ref}")
            if Version(version) != Version(purl.version):
                found.add(f"version: {ref}")
            name = purl.name
        known = lock.get(canonicalize_name(name))
        if known:
            listed.add(canonicalize_name(name))
            if Version(version) != Version(known["version"]):
                found.add(f"version: {ref}")
            if not sha256(component) <= set(known["hashes"]):
                found.add(f"hash: {ref}")
            made, uploaded = about.get("timestamp"), known["uploaded"]
            if made and datetime.fromisoformat(made) < datetime.fromisoformat(uploaded):
                found.add("time: document")
    refs = {about["component"]["bom-ref"], *(c["bom-ref"] for c in document["components"])}
    for entry in document.get("dependencies", []):
        if not set(entry.get("dependsOn", [])) <= refs:
            found.add(f"edge: {entry['ref']}")
    if "complete" in [c["aggregate"] for c in document.get("compositions", [])] and lock.keys() - listed:
        found.add("complete: document")
    return found
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.1", lies)

# %% tags=["wrong"]
# wrong: valid means true -> the document of another release
def lies(document: dict, facts: dict) -> set[str]:
    return {"schema: document"} if schema.problems({**document, "dependencies": []}) else set()

# %% tags=["wrong"]
# wrong: compares texts -> honest spellings
right = lies
def lies(document: dict, facts: dict) -> set[str]:
    lock = facts["lock"]
    texts = {f"version: {c['bom-ref']}" for c in document["components"] if c["name"] in lock
             and c["version"] != lock[c["name"]]["version"]}
    return right(document, facts) | texts

# %% tags=["wrong"]
# wrong: takes a gap for a lie -> honest gaps
right = lies
def lies(document: dict, facts: dict) -> set[str]:
    return right(document, facts) | {f"hash: {c['bom-ref']}" for c in document["components"] if "hashes" not in c}

# %% [markdown] tags=["solution"]
# **Why.** A validator compares a document with a schema; nobody compares it with the world unless you do. The cheapest
# lie is last month's file, attached to this month's wheel. It has every field, and one comparison finds
# it, the subject's hash with the artifact's digest. A signature would not: it says who made the claim, not that it is
# so. And mind the other side. A document that admits gaps is worth more than one that hides them, so a check that
# punishes a missing hash teaches people to invent one.

# %% [markdown]
# ## What an installed folder knows
# An environment's `site-packages` has, for each package, a folder `NAME-VERSION.dist-info`:
#
# | file | what it says |
# |---|---|
# | `METADATA` | `Name`, `Version`, and `Requires-Dist` lines, each with an extra and a marker perhaps |
# | `WHEEL` | `Tag:` lines of the wheel that was installed |
# | `RECORD` | the installed files with their SHA-256. The wheel itself is not among them |
#
# The standard library reads them: `importlib.metadata.distributions(path=[…])` gives objects with `.metadata["Name"]`,
# `.version`, `.requires` (a list of texts, or None) and `.read_text("WHEEL")`. A lock in the format of PEP 751
# (`pylock.toml`) knows the digests, of every wheel of each version: `packages` is a list of tables with `name`,
# `version` and `wheels`. A wheel has `hashes.sha256`, and its file's name stands in `name`, or else is the last part of
# `url` or `path`: `name` is optional, and uv leaves it out. `wheels` is optional too, where there is only the source.
# This is how a document is made with the field's library, `cyclonedx-python-lib`:

# %%
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion


def as_json(bom):
    """The document as plain data, CycloneDX 1.6."""
    return json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())


def component(name, version, sha256=None):
    """A library with its purl, and the hash if one is known: from the lock."""
    known = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
    origin = [Property(name="acme:hash-origin", value="lock")] if sha256 else []
    purl = PackageURL("pypi", None, name, version)
    return Component(type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=str(purl),
                     hashes=known, properties=origin)

# %%
bom, one, two = Bom(), component("acme-web", "2.1", "ab" * 32), component("acme-fonts", "0.9")
bom.components.update([one, two])
bom.register_dependency(one, [two])
pprint({key: as_json(bom)[key] for key in ("components", "dependencies")}, width=110)

# %% [markdown]
# ## Exercise 3.2 — build the list from metadata (6 points)
# *45 min.* Return the document of a `site-packages` folder, with `as_json`.
#
# - A component for every `*.dist-info`, its name as PyPI compares names, its purl `pkg:pypi/NAME@VERSION`.
# - An edge for every requirement that holds in `environment` (values of PEP 508's markers, but `extra`) and whose
#   package is installed. A requirement may ask for extras of another package, `acme-web[fast]`; requirements of
#   `acme-web` that are marked with one of the asked extras hold, too. A package may require *itself* with an extra:
#   `acme-web` may have the line `acme-web[all] ; extra == "fast"`. Whoever asks it for `fast` then asks it for `all` as
#   well. No edge leads from a package to itself.
# - A SHA-256 where it is known which of the lock's wheels was installed: the one whose file name has the same tags as
#   the `WHEEL` file. Say where it comes from (`component` above does). No hash is the right answer if there is none.
# <details><summary>Hint 1</summary>You have three things with a SHA-256: the installed files, RECORD, and the wheels of the lock. Which of them could anybody find in an index?</details>
# <details><summary>Hint 2</summary>`Requirement(text)` has `.name`, `.extras`, `.marker`; `marker.evaluate({**environment, "extra": "fast"})`. Keep a set of asked extras per package, with "" in it, and go round until nothing grows. `parse_wheel_filename(name)[3]` and `parse_tag(line)` give sets of tags.</details>

# %% tags=["exercise"]
import tomllib

from packaging.tags import parse_tag
from packaging.utils import parse_wheel_filename


def build(site: Path, lock: Path, environment: dict[str, str]) -> dict:
    """A CycloneDX document of what is installed in ``site``."""
    ### BEGIN SOLUTION
    wheels = {}
    for package in tomllib.loads(lock.read_text())["packages"]:
        for wheel in package.get("wheels", []):
            file = wheel.get("name") or (wheel.get("url") or wheel["path"]).rpartition("/")[2]
            wheels[package["name"], parse_wheel_filename(file)[3]] = wheel["hashes"]["sha256"]
    packages = {canonicalize_name(d.metadata["Name"]): d for d in distributions(path=[str(site)])}
    bom, components = Bom(), {}
    for name, package in packages.items():
        lines = [line for line in package.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
        tags = frozenset().union(*(parse_tag(line.removeprefix("Tag: ")) for line in lines))
        components[name] = component(name, package.version, wheels.get((name, tags)))
    asked, needs, before = {name: {""} for name in packages}, {name: set() for name in packages}, None
    while before != (before := sum(map(len, asked.values()))):
        for name, package in packages.items():
            for need in map(Requirement, package.requires or []):
                extras = [{**environment, "extra": extra} for extra in asked[name]]
                to = canonicalize_name(need.name)
                if to in packages and (need.marker is None or any(map(need.marker.evaluate, extras))):
                    asked[to] |= need.extras
                    needs[name] |= {to} - {name}
    bom.components.update(components.values())
    for name, others in needs.items():
        bom.register_dependency(components[name], [components[other] for other in others])
    return as_json(bom)
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.2", build)

# %% tags=["wrong"]
# wrong: an installed file's hash passed off as the wheel's -> names, versions, edges
import hashlib
right = build
def build(site: Path, lock: Path, environment: dict[str, str]) -> dict:
    document = right(site, lock, environment)
    for entry in document["components"]:
        (record,) = site.glob(f"{entry['name'].replace('-', '_')}-*.dist-info/RECORD")
        entry["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(record.read_bytes()).hexdigest()}]
    return document

# %% tags=["wrong"]
# wrong: asks its own machine whether a marker holds -> another machine
from packaging.markers import default_environment
right = build
def build(site: Path, lock: Path, environment: dict[str, str]) -> dict:
    return right(site, lock, {**environment, **default_environment()})

# %% tags=["wrong"]
# wrong: takes the first of the lock's files -> whose hash is it?
right = build
def build(site: Path, lock: Path, environment: dict[str, str]) -> dict:
    document = right(site, lock, environment)
    packages = tomllib.loads(lock.read_text())["packages"]
    first = {p["name"]: p["wheels"][0]["hashes"]["sha256"] for p in packages if "wheels" in p}
    for entry in document["components"]:
        if entry["name"] in first:
            entry["hashes"] = [{"alg": "SHA-256", "content": first[entry["name"]]}]
            entry["properties"] = [{"name": "acme:hash-origin", "value": "lock"}]
    return document

# %% [markdown] tags=["solution"]
# **Why.** A hash in a component list is an address: somebody will look it up in an index, an advisory or an archive.
# The installer has unpacked the wheel, written files of its own and forgotten the digest (it keeps one only for what
# it got from a URL, in `direct_url.json`). So from the folder alone the wheel's hash *cannot be known*, and a RECORD's
# digest in its place matches nothing, anywhere, for ever. The lock helps as far as the tags tell its files apart; a
# package built on the spot from its source is none of them. The edges have the same problem in small: a marker speaks
# of the machine it was installed for, and whoever evaluates it elsewhere draws another graph.

# %% [markdown]
# ## What is in the service?
# Metadata tells what was *installed together*. The question after an advisory is another one: what can the *service*
# load? You get two folders.
#
# - `service/`: `pyproject.toml` (with `dependencies`, and a group `dev`), `src/acme_service/*.py`, `tests/`
# - `site-packages/`: everything installed for developing it
#
# A component is in the service if one of these brings it in:
#
# 1. *declared*: `dependencies` names it, with extras perhaps;
# 2. *imported*: a file in `src/` imports one of its modules, at the top or inside a function. The package of a module
#    is the one whose RECORD lists the module's file. A name that is imported *from* a module need not be a module, and a
#    module need not be a `.py` file (`a/b.cpython-311-….so`): then the package of `a` counts;
# 3. *dynamic*: a file in `src/` calls `importlib.import_module` with a text, or `entry_points(group=…)`, which loads
#    every installed package with such a group in its `entry_points.txt`;
# 4. *needed*: a package that is in requires it, or does so for an extra that was asked for;
# 5. *vendored*: a package that is in carries a copy, `…/_vendor/NAME`, which `_vendor/vendor.txt` lists as
#    `NAME==VERSION` (`-` becomes `_` in the folder's or file's name). A line without a version, or
#    whose copy is not there, lists nothing.
#
# Code of the installed packages is not searched for imports: their metadata speak for them. (Simplified, and a known
# gap for your deliverable.) Markers on the platform do not occur here, only those on extras.
#
# A finder that misses one component usually misses all of its kind. So the check plants components of six kinds, and
# counts each kind by itself: *declared*, *renamed* (the module has another name than its package), *dynamic*,
# *extra-only* (needed for an extra alone), *dev-only* (a tool for developers, or what looks like one) and *vendored*.
#
# ## Exercise 3.3 — the truth test (7 points)
# *50 min.* Return the set of purls, `pkg:pypi/NAME@VERSION`. Of each kind some plants are in the service, and some only
# look so. The check tells you *precision* (of what you listed, the share that is in) and *recall* (of what is in, the
# share that you listed), kind by kind.
# <details><summary>Hint 1</summary>`import sklearn`: how do you get from the name of a module to the name of a package, without guessing?</details>
# <details><summary>Hint 2</summary>`ast.walk(ast.parse(text))`: look at Import, ImportFrom (`level == 0`) and Call. `distribution.files` are the paths of RECORD: make a dict from module to package, and look up `a.b.c`, then `a.b`, then `a`; for `from a import b` begin with `a.b`. Then go round as in 3.2, from what is in, with extras.</details>

# %% tags=["exercise"]
import tomllib


def find(service: Path, site: Path) -> set[str]:
    """Purls of the components that the service can load."""
    ### BEGIN SOLUTION
    packages = {canonicalize_name(d.metadata["Name"]): d for d in distributions(path=[str(site)])}
    files = [(name, file) for name, package in packages.items() for file in package.files or []]
    owners = {".".join(f.with_suffix("").parts).removesuffix(".__init__"): n for n, f in files if f.suffix == ".py"}
    declared = tomllib.loads((service / "pyproject.toml").read_text())["project"]["dependencies"]
    needs, modules, groups = [Requirement(text) for text in declared], set(), set()
    for file in (service / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif called == "import_module" and isinstance(node.args[0], ast.Constant):
                modules.add(node.args[0].value)
            elif called == "entry_points":
                groups |= {word.value.value for word in node.keywords if word.arg == "group"}
    for module in modules:
        while module and module not in owners:
            module = module.rpartition(".")[0]
        needs += [Requirement(owners[module])] if module else []
    needs += [Requirement(n) for n, p in packages.items() if groups & {e.group for e in p.entry_points}]
    asked = set()
    while needs:
        need = needs.pop()
        name = canonicalize_name(need.name)
        for extra in {"", *need.extras} if name in packages else set():
            if (name, extra) not in asked:
                asked.add((name, extra))
                more = [Requirement(text) for text in packages[name].requires or []]
                needs += [m for m in more if m.marker is None or m.marker.evaluate({"extra": extra})]
    inside = {name for name, _ in asked}
    found = {f"pkg:pypi/{name}@{packages[name].version}" for name in inside}
    for file in [f for name, f in files if name in inside and f.parts[-2:] == ("_vendor", "vendor.txt")]:
        for line in file.read_text().splitlines():
            copied, _, version = line.partition("==")
            module = Path(file.locate()).parent / copied.replace("-", "_")
            if version and (module.is_dir() or module.with_suffix(".py").is_file()):
                found.add(f"pkg:pypi/{canonicalize_name(copied)}@{version}")
    return found
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.3", find)

# %% tags=["wrong"]
# wrong: import name = package name -> a module by another name
right = find
def find(service: Path, site: Path) -> set[str]:
    versions = {d.metadata["Name"]: d.version for d in distributions(path=[str(site)])}
    text = "\n".join(f.read_text() for f in (service / "src").rglob("*.py"))
    roots = {n.names[0].name.partition(".")[0] for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import)}
    guessed = {f"pkg:pypi/{n}@{v}" for n, v in versions.items() if n.replace("-", "_") in roots}
    return guessed | {p for p in right(service, site) if p.startswith("pkg:pypi/acme-") and "-kit@" not in p}

# %% tags=["wrong"]
# wrong: what is installed is in -> declared, and what that needs
def find(service: Path, site: Path) -> set[str]:
    return {f"pkg:pypi/{canonicalize_name(d.metadata['Name'])}@{d.version}" for d in distributions(path=[str(site)])}

# %% tags=["wrong"]
# wrong: searches for names in the text of the code -> loaded by name
right = find
def find(service: Path, site: Path) -> set[str]:
    text = "\n".join(f.read_text() for f in service.rglob("*.py"))
    named = {d for d in distributions(path=[str(site)]) if d.metadata["Name"].replace("-", "_") in text}
    extra = {f"pkg:pypi/{canonicalize_name(d.metadata['Name'])}@{d.version}" for d in named}
    return right(service, site) | (extra if "import_module" in text else set())

# %% [markdown] tags=["solution"]
# **Why.** Each class is blind in one kind of source. Metadata cannot see what was copied in; imports cannot see what is
# loaded by a name, and name modules, not packages; the installed folder cannot see why something lies there. So a list
# from one source is wrong in a way that you can predict, and the truth test measures it: plant what you fear, and
# count. State both figures. Recall alone is bought by listing everything; precision alone by listing what is sure. And
# the figures hold for the plants: a name that is computed (`import_module(name + "_codec")`), a native library inside a
# wheel, or a copy without `vendor.txt` was not planted, and your finder would miss each of them.

# %% [markdown]
# ### Three finders, measured
# The same test on four other services: yours, one that lists what is installed (most generators of an environment do),
# and one that scans imports and takes a module's name for the package's.

# %%
from chainlab.course.exercises.week3.ex3_truth_test import truth_test


def installed(service, site):
    """Everything that lies there."""
    return {f"pkg:pypi/{canonicalize_name(d.metadata['Name'])}@{d.version}" for d in distributions(path=[str(site)])}


def scanned(service, site):
    """What the import statements name, if a package is called like that."""
    versions = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions(path=[str(site)])}
    nodes = [n for f in (service / "src").rglob("*.py") for n in ast.walk(ast.parse(f.read_text()))]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names = {canonicalize_name(name.partition(".")[0]) for name in names}
    return {f"pkg:pypi/{name}@{versions[name]}" for name in names & versions.keys()}

import pandas as pd

measured = {name: truth_test(finder, lab.path, seed) for name, finder in
            {"installed": installed, "scanned": scanned, "yours": find}.items()}
pd.concat({name: table[["precision", "recall"]] for name, table in measured.items()}, axis=1)

# %% [markdown]
# *Installed* finds everything but what was copied in, and calls all the developers' tools part of the service.
# *Scanned* misses most, and its worst find is a package that merely has the right name. Put the row of yours, with the
# number of plants (`measured["yours"]`), into your deliverable. (A dash: nothing to divide by. The last row is for purls
# that nobody planted, and none of the three listed one.)
#
# ## Sign it, attach it, find it again
# A list that nobody vouches for is a rumour, and one that nobody finds is none. Three steps: a *statement* ties the
# document to the wheel's digest, a *signature* ties it to an identity, and a *referrer* in the registry ties it to the
# place where the wheel lies. We take one of the kit's own wheels.

# %%
from chainlab.digests import Digest
from chainlab.evidence.sbom import builder
from chainlab.evidence.signing import sign
from chainlab.evidence.statements import SBOM, Statement
from chainlab.registry.oci.referrers import attach

WHEEL = lab.data / "packages/wheels/acme_quantise-1.0.3-py3-none-any.whl"
AT = dt.datetime.fromisoformat("2026-09-01T08:00:00Z")
wheel, images = Digest.of(WHEEL.read_bytes()), lab.registry.images
bill = builder.of_wheel(WHEEL, at=AT)
token = lab.trust.workflow_token("acme/acme-quantise", "release.yml", "refs/tags/v1.0.3")
statement = Statement.about({WHEEL.name: wheel}, SBOM, bill)
bundle = sign(statement, lab.trust.config, token)
print(f"a bundle of {len(bundle) // 1000} kB about", *(name for name, _ in statement.subjects))

# %% [markdown]
# Now the registry. A *manifest* lists files by their digests, and calls each a *layer*; the wheel becomes its only one.
# The bundle is stored beside it, as a manifest whose `subject` is the first. (The project's release does the same with
# an action; here you see the parts.)

# %%
def push(repository, path, artifact_type):
    """The digest of a manifest with the file as its one layer."""
    layers = []
    for data, kind, title in ((b"{}", "application/vnd.oci.empty.v1+json", ""),
                              (path.read_bytes(), "application/zip", path.name)):
        digest = images.blobs.put(data)
        images.link(repository, digest)
        layers.append({"mediaType": kind, "digest": str(digest), "size": len(data),
                       **({"annotations": {"org.opencontainers.image.title": title}} if title else {})})
    kind = "application/vnd.oci.image.manifest.v1+json"
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, "artifactType": artifact_type,
                      "config": layers[0], "layers": layers[1:]}).encode()
    return images.push(repository, Digest.of(raw), raw, kind, by="acme").digest

# %%
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
images.configure("acme/acme-quantise", private=False)
manifest = push("acme/acme-quantise", WHEEL, "application/vnd.acme.wheel.v1")
_ = attach(images, "acme/acme-quantise", manifest, bundle, BUNDLE, by="acme")

# %% [markdown]
# Somebody holds the wheel, and nothing else. Its digest is the question:

# %%
known = lab.registry.evidence.document(wheel)
found = images.blobs.read(Digest.parse(known["referrers"][-1]["files"][0]["digest"]))
print("places:   ", [(p["protocol"], p.get("repository") or p["project"]) for p in known["places"]])
print("referrers:", [(r["artifactType"], r["by"]) for r in known["referrers"]])

# %%
from chainlab.evidence.verifying import Expectations, Signer, verify

IDENTITY = "https://git.chainlab.localhost/acme/acme-quantise/.github/workflows/release.yml@refs/tags/v1.0.3"
expected = Expectations(signer=Signer(IDENTITY, lab.trust.ci_issuer), predicate_type=SBOM)
verdict = verify(found, wheel, expected, lab.trust.config.trusted_root)
other = verify(found, Digest.of(b"another wheel"), expected, lab.trust.config.trusted_root)
print("this wheel:   ", verdict.passed, "|", *(c["name"] for c in verdict.statement.predicate["components"]))
print("another wheel:", other.passed, "|", other.failure.name)

# %% tags=["check"]
assert verdict.passed and not other.passed and other.failure.name == "subject"
assert verdict.statement.predicate == bill

# %% [markdown]
# The stranger never needed the name of a file or a tag. What the verdict does *not* say is that the list is complete or
# true: it says that this workflow said it, about these bytes. (A wheel names ranges, so numpy stands in the list without
# a version, and the compositions call it incomplete. An honest list can be a short one.)
#
# ## A model is a component with a past
# A model has no `Requires-Dist`. What went into it is data, parameters and a training run, and what it is worth is a
# number with an uncertainty. CycloneDX has a place for each; the parts of a `modelCard` that you need:
#
# ```
# components:
#   - {type: machine-learning-model, bom-ref, name, version, hashes, modelCard:
#       {modelParameters: {approach: {type}, task, modelArchitecture,
#          datasets: [{ref: <bom-ref of the data set>}]},
#        quantitativeAnalysis: {performanceMetrics:
#          [{type, value, slice, confidenceInterval: {lowerBound, upperBound}}]},
#        considerations: {technicalLimitations: [text]}}}
#   - {type: data, bom-ref, name, hashes, licenses: [{license: {id}}],
#       data: [{type: dataset, name, contents: {attachment: {content}}, classification}]}
# ```
#
# Counts come from the evaluation: `hits` of `cases`, per metric and slice. For a proportion p of n cases, Wilson's 95 %
# interval is, with z = 1.959964: centre (p + z²/2n) / (1 + z²/n), half width z·√(p(1−p)/n + z²/4n²) / (1 + z²/n).

# %%
from chainlab.course.exercises.week3.ex4_mlbom import sample

training, before = sample(random.Random(seed))
pprint(training, width=110)
print("the document has:", *before)

# %% [markdown]
# The document was written by the stages before you. It has what they found: who made it, in which run, what was not
# looked at.
#
# ## Exercise 3.4 — add the model, lose nothing (5 points)
# *35 min.* Return the document with the model and its data set added.
#
# - A metric's `type` is the count's `metric`; `value`, `lowerBound`, `upperBound` are texts, rounded to four decimals
#   (`"0.8123"`; the last digit may be off by one half). Metrics and limitations may stand in any order.
# - A count with no cases was not measured: leave it out, and add the limitation `not measured: METRIC, SLICE`. The
#   record's own `limits` are limitations, too.
# - The data set is described in full, its contents and its classification included.
# - The model depends on its data set (an edge).
# - Everything that was there stays as it was. The serial number stays, the document's `version` counts on by one.
# <details><summary>Hint 1</summary>Read a document with `Bom.from_json`, write it again, and compare the keys. What happened to the parts that the library has no class for?</details>
# <details><summary>Hint 2</summary>A document is a dict: `{**document, "components": [*document["components"], model, data], …}`. Format with `f"{value:.4f}"`.</details>

# %% tags=["exercise"]
from math import sqrt


def describe(training: dict, document: dict) -> dict:
    """The document with the model and its data set."""
    ### BEGIN SOLUTION
    z = 1.959963984540054
    metrics, limits = [], list(training["limits"])
    for count in training["counts"]:
        n, metric, slice_ = count["cases"], count["metric"], count["slice"]
        if not n:
            limits.append(f"not measured: {metric}, {slice_}")
            continue
        p = count["hits"] / n
        centre, width = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        lower, upper = (centre - width) / (1 + z * z / n), (centre + width) / (1 + z * z / n)
        interval = {"lowerBound": f"{lower:.4f}", "upperBound": f"{upper:.4f}"}
        metrics.append({"type": metric, "slice": slice_, "value": f"{p:.4f}", "confidenceInterval": interval})
    model, data = training["model"], training["dataset"]
    parameters = {
        "approach": {"type": training["approach"]},
        "task": training["task"],
        "modelArchitecture": training["architecture"],
        "datasets": [{"ref": "dataset"}],
    }
    card = {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {"technicalLimitations": limits},
    }
    described = {
        "type": "machine-learning-model", "bom-ref": "model", "name": model["name"], "version": model["version"],
        "hashes": [{"alg": "SHA-256", "content": model["sha256"]}], "modelCard": card,
    }
    inside = {"type": "dataset", "name": data["name"], "classification": data["classification"],
              "contents": {"attachment": {"content": data["contents"]}}}
    dataset = {
        "type": "data", "bom-ref": "dataset", "name": data["name"], "licenses": [{"license": {"id": data["licence"]}}],
        "hashes": [{"alg": "SHA-256", "content": data["sha256"]}], "data": [inside],
    }
    return {
        **document,
        "version": document["version"] + 1,
        "components": [*document["components"], described, dataset],
        "dependencies": [*document["dependencies"], {"ref": "model", "dependsOn": ["dataset"]}],
    }
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.4", describe)

# %% tags=["wrong"]
# wrong: re-reads the document through the library -> what was there before
right = describe
def describe(training: dict, document: dict) -> dict:
    again = as_json(Bom.from_json(json.loads(json.dumps(document))))
    kept = {key: document[key] for key in ("metadata", "components", "dependencies", "serialNumber", "version")}
    return right(training, {**again, **kept})

# %% tags=["wrong"]
# wrong: numbers for numbers -> metrics
right = describe
def describe(training: dict, document: dict) -> dict:
    document = right(training, document)
    for metric in document["components"][-2]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]:
        metric["value"] = float(metric["value"])
    return document

# %% tags=["wrong"]
# wrong: p ± 1.96·√(p(1−p)/n), which has no width at a perfect score -> a perfect score
right = describe
def describe(training: dict, document: dict) -> dict:
    document = right(training, document)
    for metric in document["components"][-2]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]:
        if float(metric["value"]) in (0.0, 1.0):
            metric["confidenceInterval"] = {"lowerBound": metric["value"], "upperBound": metric["value"]}
    return document

# %% [markdown] tags=["solution"]
# **Why.** The library models what its authors needed, and drops the rest without a word: a valid document goes in, a
# valid one comes out, and the account of the training run is gone. Whoever edits a document that others wrote works on
# the document, and a round trip is a test, not a hope. As for the figures: a model that was right on all of 12 cases
# may well be wrong on every fifth (Wilson's lower end is 0.76), and a gate that asks for recall ≥ 0.93 has to decide
# which end it compares. The old serial number with a higher version says: the same list, known better.

# %% [markdown]
# ## Twenty builds, and one advisory
# An advisory in the form of OSV (*Open Source Vulnerabilities*) names packages and stretches of versions. What you need
# of it:
#
# | field | meaning |
# |---|---|
# | `id`, `aliases` | its name here, and names of the same thing in other databases, each way only perhaps |
# | `withdrawn` | if there: taken back |
# | `affected[].package` | `ecosystem` (ours is PyPI, in a purl the type `pypi`) and `name` |
# | `affected[].ranges[]` | `type` `ECOSYSTEM`, with `events`: `introduced` (from; "0" is before everything), `fixed` (up to, without), `last_affected` (up to, with). Their order is recommended and not required: sort them by version. `GIT` speaks of commits: skip it |
# | `affected[].versions[]` | single versions, beside the ranges |
#
# `builds` maps a build's name to its CycloneDX document.
#
# ## Exercise 3.5 — which builds does it affect? (5 points)
# *35 min.* Return, for every build that is affected by anything, the sorted list of vulnerabilities: a dict without the
# builds that are not. Records that are aliases of each other, over any number of steps, are one vulnerability. A step
# may lead over an id whose record you do not have. Call the vulnerability by the first, in the alphabet, of its
# records' ids that is not withdrawn; an alias without a record lends no name.
# <details><summary>Hint 1</summary>Sort `["1.9.0", "1.10.0", "2.0rc1", "2.0"]` with `sorted`. Which pair would cost you a night?</details>
# <details><summary>Hint 2</summary>One dict from id to group: go through all aliases and merge. `Version(text)`; the purl's version is percent-encoded, so let `PackageURL` read it. Withdrawn records join groups and affect nobody.</details>

# %% tags=["exercise"]
def affected(advisories: list[dict], builds: dict[str, dict]) -> dict[str, list[str]]:
    """Build to the vulnerabilities that its components have."""
    ### BEGIN SOLUTION
    groups = {}
    for record in advisories:
        names = {record["id"], *record.get("aliases", [])}
        joined = names.union(*(groups.get(name, set()) for name in names))
        groups.update(dict.fromkeys(joined, joined))
    alive = {record["id"]: record for record in advisories if "withdrawn" not in record}

    def covers(entry, version):
        if any(Version(text) == version for text in entry.get("versions", [])):
            return True
        for stretch in entry.get("ranges", []):
            if stretch["type"] == "ECOSYSTEM":
                inside, events = False, [pair for event in stretch["events"] for pair in event.items()]
                for kind, text in sorted(events, key=lambda pair: (pair[1] != "0", Version(pair[1]))):
                    if kind == "introduced":
                        inside = inside or text == "0" or version >= Version(text)
                    elif version > Version(text) or (kind == "fixed" and version == Version(text)):
                        inside = False
                if inside:
                    return True
        return False

    found = {}
    for build, document in builds.items():
        for purl in (PackageURL.from_string(c["purl"]) for c in document["components"]):
            for id_, record in alive.items():
                for entry in record["affected"]:
                    package = entry["package"]
                    same = package["ecosystem"] == "PyPI" and canonicalize_name(package["name"]) == purl.name
                    if purl.type == "pypi" and same:
                        if covers(entry, Version(purl.version)):
                            found.setdefault(build, set()).add(min(groups[id_] & alive.keys()))
    return {build: sorted(ids) for build, ids in found.items()}
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.5", affected)

# %% tags=["wrong"]
# wrong: compares versions as text -> ten comes after nine
def affected(advisories: list[dict], builds: dict[str, dict]) -> dict[str, list[str]]:
    found = {}
    for build, document in builds.items():
        for part in document["components"]:
            for record in advisories:
                (entry,) = record["affected"]
                events = {kind: text for event in entry["ranges"][-1]["events"] for kind, text in event.items()}
                inside = events["introduced"] <= part["version"] < events.get("fixed", "9")
                if inside and part["name"] == entry["package"]["name"]:
                    found.setdefault(build, set()).add(record["id"])
    return {build: sorted(ids) for build, ids in found.items()}

# %% tags=["wrong"]
# wrong: a withdrawn record counts -> withdrawn
right = affected
def affected(advisories: list[dict], builds: dict[str, dict]) -> dict[str, list[str]]:
    return right([{k: v for k, v in record.items() if k != "withdrawn"} for record in advisories], builds)

# %% tags=["wrong"]
# wrong: every id is a vulnerability of its own -> two names, one vulnerability
right = affected
def affected(advisories: list[dict], builds: dict[str, dict]) -> dict[str, list[str]]:
    return right([{**record, "aliases": []} for record in advisories if "withdrawn" not in record], builds)

# %% tags=["wrong"]
# wrong: looks at the name and not at the ecosystem -> the same name
right = affected
def affected(advisories: list[dict], builds: dict[str, dict]) -> dict[str, list[str]]:
    pypi = [{**r, "affected": [{**e, "package": {**e["package"], "ecosystem": "PyPI"}} for e in r["affected"]]} for r in advisories]
    return right(pypi, builds)

# %% [markdown] tags=["solution"]
# **Why.** As text, 1.10 is below 1.9, so a fixed build looks affected and an affected one fixed, and nobody notices
# until the ninth minor version. PEP 440 has more of that: a release candidate is *before* its release, an epoch is
# above everything, `1.11.0+acme.3` is your own patch level. Aliases matter for the count that goes to your management:
# four ids, one hole. And a matcher that finds nothing has matched *this data*: advisories have typing errors (a stored
# snapshot of CVE-2026-33634 said 0.6.94 and meant 0.69.4), so an incident is also searched by hash and by date.

# %% [markdown]
# ### The same twenty builds in an archive
# The kit's archive keeps every document under its digest and derives tables from them, so that a question about all
# builds is one query. Twenty builds of `triage-model`, each with its SBOM. From the fifteenth on, the workflow signs it:
# then the archive gets the bundle, with the document in it.

# %%
from chainlab.archive import Archive, Build
from chainlab.course.exercises.week3.ex7_unknown_evidence import DamagedArchive

twenty = DamagedArchive(random.Random(f"archive/{seed}"), builds=20)
archive = Archive(lab.path / f"archive-{len(list(lab.path.glob('archive-*')))}")
token = lab.trust.workflow_token("acme/triage-model", "release.yml", "refs/tags/v1.4.0")
for number, (name, sha256) in enumerate(twenty.ledger.items()):
    digest, day = Digest.parse(f"sha256:{sha256}"), dt.datetime(2026, 6, 1, tzinfo=dt.UTC) + dt.timedelta(days=4 * number)
    document = json.dumps(twenty.documents[name]).encode()
    if number >= 14:
        document = sign(Statement.about({name: digest}, SBOM, twenty.documents[name]), lab.trust.config, token)
    archive.add(Build(*name.split(), digest, run=f"acme/triage-model/runs/{number + 1}", built_at=day), {"sbom": document})

# %%
answer = archive.where("acme-tables", range=">=1.9,<1.11", every=True)
answer.groupby("answer").agg(builds=("version", "nunique"),
                             versions=("found", lambda v: ", ".join(sorted(set(v) - {""}))))

# %% [markdown]
# A range, twenty builds, two groups. Does your own function agree?

# %%
advisory = {"id": "ACME-2026-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "acme-tables"}, "ranges": [
    {"type": "ECOSYSTEM", "events": [{"introduced": "1.9"}, {"fixed": "1.11"}]}]}]}
mine = set(affected([advisory], twenty.documents))
theirs = {f"triage-model {v}" for v in answer.query("answer == 'affected'")["version"]}
print(len(mine), "builds by your function,", len(theirs), "by the archive; the same:", mine == theirs)

# %% [markdown]
# And since when? `seen` says when each version was first and last built in:

# %%
archive.seen("acme-tables", range=">=1.9,<1.11")[["found", "builds", "first", "last"]]

# %% [markdown]
# `first` is the day from which you have to look, and `last` says how recently such a build was still made. Neither says
# where it runs today.
#
# ## Not affected, because …
# A *finding* says that a component has a known vulnerability. Many findings are no emergency, and a report without
# reasons is no report. VEX (*Vulnerability Exploitability eXchange*) is the maker's answer: a status for each finding
# (`affected`, `not_affected`, `fixed` or `under_investigation`), and for `not_affected` a reason, of which the format
# OpenVEX knows five. [V: OpenVEX 0.2.0] The facts of a finding: `id`, `component`, `fixed_in`, the
# vulnerable `function` and its `file`. Of the service:
#
# | key | value |
# |---|---|
# | `components` | what is in the artifact: name to version. `sbom_complete`: whether the list says it is all |
# | `files` | the files of those components that are really in the artifact |
# | `calls` | function to the functions that it calls; one that calls nothing may be missing. `starts`: where the service's work begins, and what is fed in: `anyone`, `staff` or `constants` |
# | `calls_by_name` | `{"function", "module"}`: this function calls something in that module, by a computed name. The module of the component `acme-fonts` is `acme_fonts`, its name with `_` for `-`; a function's name begins with its module's, `acme_fonts.load` |
# | `guards` | function to the ids of the findings whose attack it stops: nothing harmful gets through it |
# | `exposure` | `public` or `internal` |
#
# The questions, in order. The first that decides, decides:
#
# 1. Not in the artifact: `component_not_present`, or `under_investigation` where the list is not complete.
# 2. The version is `fixed_in` or later: `fixed`.
# 3. The file is not in the artifact: `vulnerable_code_not_present`.
# 4. No way from a start to the function: `vulnerable_code_not_in_execute_path`. But if a way from a start leads to a
#    call by name into the component's module, nobody knows: `under_investigation`.
# 5. Every start with a way is fed `constants`: `vulnerable_code_cannot_be_controlled_by_adversary`.
# 6. Every way passes a guard for this finding: `inline_mitigations_already_exist`.
# 7. Else `affected`.
#
# ## Exercise 3.6 — ten findings, ten reasons (5 points)
# *30 min.* Return for each finding's id a dict with `status` and `justification` (None unless `not_affected`).
# <details><summary>Hint 1</summary>Which of the facts above does no question ask for, tempting as it is?</details>
# <details><summary>Hint 2</summary>One function `reach(starts, without=set())` gives all functions that can be reached when some are taken out. Ask it three times.</details>

# %% tags=["exercise"]
def vex(findings: list[dict], service: dict) -> dict[str, dict]:
    """Finding id to {"status", "justification"}."""
    ### BEGIN SOLUTION
    def reach(starts, without=frozenset()):
        seen, waiting = set(), list(starts)
        while waiting:
            function = waiting.pop()
            if function not in seen and function not in without:
                seen.add(function)
                waiting += service["calls"].get(function, [])
        return seen

    def said(finding):
        name, function = finding["component"], finding["function"]
        if name not in service["components"]:
            return "component_not_present" if service["sbom_complete"] else "under_investigation"
        if Version(service["components"][name]) >= Version(finding["fixed_in"]):
            return "fixed"
        if finding["file"] not in service["files"]:
            return "vulnerable_code_not_present"
        reached = reach(service["starts"])
        if function not in reached:
            open_ = any(c["function"] in reached and c["module"] == name.replace("-", "_") for c in service["calls_by_name"])
            return "under_investigation" if open_ else "vulnerable_code_not_in_execute_path"
        if function not in reach(s for s, fed in service["starts"].items() if fed != "constants"):
            return "vulnerable_code_cannot_be_controlled_by_adversary"
        guards = {f for f, ids in service["guards"].items() if finding["id"] in ids}
        return "affected" if function in reach(service["starts"], guards) else "inline_mitigations_already_exist"

    statuses = {"affected", "fixed", "under_investigation"}
    words = {finding["id"]: said(finding) for finding in findings}
    return {id_: {"status": w, "justification": None} if w in statuses else {"status": "not_affected", "justification": w}
            for id_, w in words.items()}
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.6", vex)

# %% tags=["wrong"]
# wrong: not affected, because the service is internal -> an internal service
right = vex
def vex(findings: list[dict], service: dict) -> dict[str, dict]:
    internal = {"status": "not_affected", "justification": "vulnerable_code_cannot_be_controlled_by_adversary"}
    return {id_: internal if s["status"] == "affected" and service["exposure"] == "internal" else s
            for id_, s in right(findings, service).items()}

# %% tags=["wrong"]
# wrong: no way found is no way -> a call by name
right = vex
def vex(findings: list[dict], service: dict) -> dict[str, dict]:
    return right(findings, {**service, "calls_by_name": []})

# %% tags=["wrong"]
# wrong: one guard is enough -> guards
right = vex
def vex(findings: list[dict], service: dict) -> dict[str, dict]:
    guarded = {id_ for ids in service["guards"].values() for id_ in ids}
    soothed = {"status": "not_affected", "justification": "inline_mitigations_already_exist"}
    return {id_: soothed if id_ in guarded and s["status"] == "affected" else s for id_, s in right(findings, service).items()}

# %% tags=["wrong"]
# wrong: not listed is not there -> a list that is not complete
right = vex
def vex(findings: list[dict], service: dict) -> dict[str, dict]:
    return right(findings, {**service, "sbom_complete": True})

# %% [markdown] tags=["solution"]
# **Why.** "Internal" says where a service stands. The adversary of 2026 is a colleague's laptop, a job in the same
# network, a model file that somebody downloaded: staff's input is chosen input. A justification is a claim about *this*
# artifact that can be checked against it and that breaks when the artifact changes: one new caller, and "not in the
# execute path" is false. So a statement names the digest, has a date, and grows stale. And a call graph is itself a
# list with blind spots: where the service calls by name, no path found proves nothing, and `under_investigation` is the
# honest word. It is a status with a deadline, not a place to rest.

# %% [markdown]
# ### Say it in the open
# Your statements in OpenVEX, signed by those who may say it, and attached to the wheel beside its list. What do they say?

# %%
from chainlab.course.exercises.week3.ex6_vex import ten
from chainlab.evidence.statements import OPENVEX
from chainlab.evidence.vex import openvex
from chainlab.evidence.vex.statement import VexStatement

layout = ten(random.Random(f"ten/{seed}"))
findings, service = layout.parts()
statements = vex(findings, service)
claims = [VexStatement(id_, (str(wheel),), s["status"], AT, justification=s["justification"] or "")
          for id_, s in sorted(statements.items())]
document = openvex.write(claims, author="security@acme.example", at=AT)
token = lab.trust.token("security@acme.example")
said = sign(Statement.about({WHEEL.name: wheel}, OPENVEX, document), lab.trust.config, token)
_ = attach(images, "acme/acme-quantise", manifest, said, BUNDLE, by="acme-security")
print(pd.Series([s["justification"] or s["status"] for s in statements.values()]).value_counts().sort_index().to_string())
print("referrers now:", len(lab.registry.evidence.document(wheel)["referrers"]))

# %% [markdown]
# Two voices about one digest, each with its own identity: the workflow says what is in it, the security team what that
# means. A reader decides whom to believe about what. (The ten findings are made up, and about no real wheel.)
#
# ## Evidence goes missing
# Somebody cleans a disk. A job's upload failed in spring. An intruder edits the one document that would tell. Then the
# archive is asked. `folder` has `entries/*.json`, each with a `build` (`artifact`, `version`, `digest`) and its
# `documents` (`kind`, here `sbom` is the one you need, and `digest`), and `objects/sha256/ab/abcd…`, files named by their
# SHA-256. `ledger` is what the CI host built: build, as `"ARTIFACT VERSION"`, to the digest of its artifact (`sha256:…`).
#
# ## Exercise 3.7 — where is it, and where do you not know? (6 points)
# *40 min, and the hard one.* Return, for **every** build of the ledger, whether it holds the package `name` in a version
# of `specifier`: `"affected"`, `"not affected"` or `"unknown"`.
#
# - *affected* needs a document that is what its name promises, is about this build's artifact, and lists the package in
#   such a version (at any depth: components can have `components`).
# - *not affected* needs the same document, one that says it is complete (`compositions`, at least one and all of them
#   `complete`; here they have no references, and so speak of the whole document), and a version that is out of range,
#   or no such package.
# - Everything else is *unknown*. Where an entry names several documents, one that holds is enough.
# <details><summary>Hint 1</summary>Write down all the ways in which you could be lied to by a file that is not there, and by one that is.</details>
# <details><summary>Hint 2</summary>Begin with `dict.fromkeys(ledger, "unknown")`, and let a build leave that state only for a reason. Recompute the object's SHA-256; compare `metadata.component.hashes` with the ledger; `SpecifierSet(s).contains(v, prereleases=True)`.</details>

# %% tags=["exercise"]
from packaging.specifiers import SpecifierSet


def where(folder: Path, ledger: dict[str, str], name: str, specifier: str) -> dict[str, str]:
    """Build to "affected", "not affected" or "unknown"."""
    ### BEGIN SOLUTION
    answers, wanted = dict.fromkeys(ledger, "unknown"), SpecifierSet(specifier)

    def components(holder):
        for component in holder.get("components", []):
            yield component
            yield from components(component)

    for path in (folder / "entries").glob("*.json"):
        entry = json.loads(path.read_bytes())
        build = f"{entry['build']['artifact']} {entry['build']['version']}"
        for document in (d for d in entry["documents"] if d["kind"] == "sbom"):
            digest = document["digest"].removeprefix("sha256:")
            object_ = folder / "objects" / "sha256" / digest[:2] / digest
            if not object_.exists() or hashlib.sha256(object_.read_bytes()).hexdigest() != digest:
                continue
            bom = json.loads(object_.read_bytes())
            about = {f"sha256:{h['content']}" for h in bom["metadata"]["component"].get("hashes", []) if h["alg"] == "SHA-256"}
            if ledger.get(build) not in about:
                continue
            versions = [c.get("version") for c in components(bom) if canonicalize_name(c["name"]) == name]
            said = [c["aggregate"] for c in bom.get("compositions", [])]
            if any(version and wanted.contains(version, prereleases=True) for version in versions):
                answers[build] = "affected"
            elif all(versions) and said and set(said) == {"complete"}:
                answers[build] = "not affected"
    return answers
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.7", where)

# %% tags=["wrong"]
# wrong: absence is safety -> a document that is gone
right = where
def where(folder: Path, ledger: dict[str, str], name: str, specifier: str) -> dict[str, str]:
    return {b: "affected" if a == "affected" else "not affected" for b, a in right(folder, ledger, name, specifier).items()}

# %% tags=["wrong"]
# wrong: asks the archive which builds there are -> a build that the archive never saw
right = where
def where(folder: Path, ledger: dict[str, str], name: str, specifier: str) -> dict[str, str]:
    entries = [json.loads(p.read_bytes())["build"] for p in (folder / "entries").glob("*.json")]
    known = {f"{b['artifact']} {b['version']}" for b in entries}
    return {b: a for b, a in right(folder, ledger, name, specifier).items() if b in known}

# %% tags=["wrong"]
# wrong: believes what lies there, without asking whether these are the bytes -> other bytes under the digest
def where(folder: Path, ledger: dict[str, str], name: str, specifier: str) -> dict[str, str]:
    answers, wanted = dict.fromkeys(ledger, "unknown"), SpecifierSet(specifier)
    documents = (json.loads(p.read_bytes()) for p in (folder / "objects").rglob("*") if p.is_file())
    for bom in (document for document in documents if "bomFormat" in document):
        subject, parts = bom["metadata"]["component"], list(bom["components"])
        for part in parts:
            parts += part.get("components", [])
        versions = [c["version"] for c in parts if canonicalize_name(c["name"]) == name]
        hit = any(wanted.contains(version, prereleases=True) for version in versions)
        answers[f"{subject['name']} {subject['version']}"] = "affected" if hit else "not affected"
    return answers

# %% tags=["wrong"]
# wrong: whatever is not in perfect order is unknown -> a list that is not complete
right = where
def where(folder: Path, ledger: dict[str, str], name: str, specifier: str) -> dict[str, str]:
    answers = right(folder, ledger, name, specifier)
    for path in (folder / "objects").rglob("*"):
        document = json.loads(path.read_bytes()) if path.is_file() else {}
        if "bomFormat" in document and document.get("compositions", [{}])[0].get("aggregate") != "complete":
            subject = document["metadata"]["component"]
            answers[f"{subject['name']} {subject['version']}"] = "unknown"
    return answers

# %% [markdown] tags=["solution"]
# **Why.** "Not found" is an answer about your search. It becomes an answer about the build only together with a proof
# that the search could have found it: the right bytes, about this artifact, from a list that claims to be all. The two
# answers are not alike. *Affected* needs one witness, so an incomplete list can still convict. *Not affected* needs
# everybody to have been heard. And note where the list of builds came from. An archive is asked after an incident,
# perhaps by the one who caused it: what it holds can be checked, what it never got can only be missed by somebody
# with another list. Keep the ledger elsewhere than the archive.

# %% [markdown]
# ### Take evidence away from the real one
# We delete one object, edit another, and ask the kit's archive again.

# %%
digests = [hashlib.sha256(json.dumps(document).encode()).hexdigest() for document in twenty.documents.values()]
lost, edited = (archive.directory / "objects" / "sha256" / digest[:2] / digest for digest in digests[:2])
lost.unlink()
edited.chmod(0o644)
edited.write_text(edited.read_text().replace("triage-model", "another-model"))
archive.reindex()
print(archive.where("acme-tables", range=">=1.9,<1.11", every=True)["answer"].value_counts().sort_index().to_string())
print("verify():", *(problem.kind for problem in archive.verify()), sep=" | ")

# %% [markdown]
# Two builds moved to *unknown*, whatever they were before, and the archive says which files are not what they were. It
# cannot say what stood in them: keep a second copy (`archive.export`), elsewhere.
#
# ## Five figures
# A dashboard turns the archive into numbers that somebody will be measured by, so their definitions are worth an
# argument. A row per build, from the ledger and from verified evidence:
#
# | key | value |
# |---|---|
# | `digest`, `built_at` | of the artifact; moments are ISO texts |
# | `lock` | names of the locked packages, or None |
# | `sbom` | None, or a dict: `about` (the digest of its subject), `made_at`, `components` with `name` and `licence` |
# | `signature` | `verified` (against the expected signer), `not verified`, `refused` or None |
#
# | figure | counts | out of |
# |---|---|---|
# | `coverage` | builds with an SBOM about their own digest | all builds |
# | `completeness` | packages of the lock that such an SBOM lists | packages of the lock, over all builds with a lock |
# | `fresh` | builds whose SBOM (about them) was made within 24 hours after the build, not before it | all builds |
# | `licensed` | components with a valid SPDX expression | components, of SBOMs about their build |
# | `signed` | builds whose signature was verified | all builds |
#
# ## Exercise 3.8 — the archive's dashboard (2 points)
# *15 min.* Return the five figures, each as `[counted, out of]`, summed over all builds.
# <details><summary>Hint 1</summary>Which of the five gets *better* when you throw away the SBOM of your worst build?</details>
# <details><summary>Hint 2</summary>`get_spdx_licensing().validate(text).errors` is empty for a valid expression; look out for None.</details>

# %% tags=["exercise"]
from datetime import datetime, timedelta

from license_expression import get_spdx_licensing

SPDX = get_spdx_licensing()


def dashboard(rows: list[dict]) -> dict[str, list[int]]:
    """coverage, completeness, fresh, licensed, signed: each [counted, out of]."""
    ### BEGIN SOLUTION
    figures = {key: [0, 0] for key in ("coverage", "completeness", "fresh", "licensed", "signed")}

    def count(key, numerator, denominator=1):
        figures[key][0] += numerator
        figures[key][1] += denominator

    for row in rows:
        own = row["sbom"] if row["sbom"] and row["sbom"]["about"] == row["digest"] else None
        listed = own["components"] if own else []
        count("coverage", own is not None)
        if row["lock"] is not None:
            count("completeness", len(set(row["lock"]) & {c["name"] for c in listed}), len(row["lock"]))
        age = datetime.fromisoformat(own["made_at"]) - datetime.fromisoformat(row["built_at"]) if own else None
        count("fresh", own is not None and timedelta(0) <= age <= timedelta(hours=24))
        for part in listed:
            count("licensed", bool(part["licence"]) and not SPDX.validate(part["licence"]).errors)
        count("signed", row["signature"] == "verified")
    return figures
    ### END SOLUTION

# %% tags=["check"]
lab.check("3.8", dashboard)

# %% tags=["wrong"]
# wrong: counts among the builds that have an SBOM -> builds without an SBOM
right = dashboard
def dashboard(rows: list[dict]) -> dict[str, list[int]]:
    return right([row for row in rows if row["sbom"]])

# %% tags=["wrong"]
# wrong: a signature is a signature -> signatures that nobody verified
right = dashboard
def dashboard(rows: list[dict]) -> dict[str, list[int]]:
    return right([{**row, "signature": row["signature"] and "verified"} for row in rows])

# %% tags=["wrong"]
# wrong: any document beside the build is its SBOM -> about other bytes
right = dashboard
def dashboard(rows: list[dict]) -> dict[str, list[int]]:
    return right([{**row, "sbom": row["sbom"] and {**row["sbom"], "about": row["digest"]}} for row in rows])

# %% [markdown] tags=["solution"]
# **Why.** Each figure has a way to look better without anything getting better: leave builds out below the line, count
# files that nobody verified, count documents about something else. `licensed` is the odd one, and kept so on purpose:
# it is computed among listed components, so throwing away a bad list raises it. Never show it without coverage beside
# it. Week 7 comes back to this, with people who are paid by the figure.

# %% [markdown]
# ### The kit's dashboard
# The same questions of the archive with its two gaps. Each figure's title is its finding. First what is there: which
# share is signed, which share of what we know to be in each build is listed, and how old the newest build is.

# %%
import matplotlib.pyplot as plt

from chainlab.dashboards import archive as boards

plt.style.use("chainlab.dashboards.style")
at = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
documents, builds, components = (archive.table(name) for name in ("documents", "builds", "components"))
named = {row.build: f"{row.artifact} {row.version}" for row in builds.sort_values("version").itertuples()}
known = {build: [c["name"] for c in twenty.documents[name]["components"]] for build, name in named.items()}
signed_figure, _ = boards.signed_share(documents, archive.builds())
complete_figure, complete = boards.completeness(components, known, labels=named)
fresh_figure, fresh = boards.freshness(builds, at)
print(complete[["listed", "of"]].sum().to_string(), fresh[["version", "days"]].to_string(), sep="\n")

# %% [markdown]
# Two builds have no list that can be read: one document is gone, one has other bytes. They count with 0 of 4 below the
# line. That is no statement about what those lists omit: what stood in them is *unknown*, and the figure says so. (Were
# they left out, the figure would get better by the loss.) Freshness looks at the newest build of each artifact: an
# archive of old lists answers for old builds.
#
# Then coverage and licences, and the archive in words:

# %%
coverage_figure, _ = boards.coverage(documents, builds, kinds=["sbom", "provenance"])
licences_figure, stated = boards.licences(components)
print(stated[["components", "of"]].head(4).to_string())
boards.summary(archive, at)

# %% [markdown]
# No component of these lists states a licence, no build has provenance yet (week 4), and six lists are signed.
#
# Compare its definition of "signed" with yours: the archive sees that a document *came in a bundle*, and has verified
# nothing. It can keep the verdict of whoever did (`archive.add(…, verdicts=…)`). And it is asked about 20 builds
# because we put 20 in: it has no ledger. A figure is only as good as the sentence that defines it.
#
# ## Hand in: the SBOM archive, first version
# The cell copies the template, once, and says where your file is. Fill it for your archive: what is in it, how a stranger
# verifies it, three queries with their answers, precision and recall by class, the gaps that you know of, and the five
# figures. `templates/examples/sbom_archive.md` is a filled one at level 3 of the rubric, for the archive of this lab:
# look at how a row names its evidence, and where it says *unknown*.

# %%
lab.template("sbom_archive.md")

# %% [markdown]
# **A reviewer will**
# - take one wheel's digest and find, with your instructions alone, its list, its signer and its verdict
# - delete one document and change another, ask your query again, and expect *unknown* and a named problem
# - plant a component of a class that you claim to see
# - ask of one VEX statement: what change to the code would make it false, and who would notice?
# - recompute one figure, numerator and denominator
#
# By the rubric, level 3 states precision and recall, links lists to provenance (week 4), and answers queries with the
# path and with *unknown*. Level 4 defends its VEX, lets gaps drive action, and survives deletion and tampering.
#
# **Also think about** *lineage* (which rows of which data trained the model, and who may ask to be taken out),
# *retention* (a list is needed as long as anybody runs the artifact, not as long as you build it), and *models from
# others* (a base model comes with whatever its makers chose to write: record it, with its digest, as what it is).
#
# **To carry home** (20 min, in a project of your own that you install into an environment). Make its list and look at what
# you can say about it:
#
#     chainlab sbom build .venv --out old.cdx.json
#     chainlab sbom check old.cdx.json
#
# Then add one package to the environment, or take one away, build `new.cdx.json`, and let `chainlab sbom diff
# old.cdx.json new.cdx.json` name it. Keep the first list beside the release that it is about, with the release's digest in its name. You are
# done when a colleague who has the release and the list alone can say of one package whether it is in, and which of
# your packages the list cannot know about.
#
# **You can now** find a lie that is valid; build a list and say how true it is; describe a model with its doubt; say
# which builds an advisory affects, why a finding does not matter, and what you do not know. Next: `04a_attestation`.
