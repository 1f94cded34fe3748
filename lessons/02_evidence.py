# %% [markdown]
# # Week 2 · What landed, and who says so?
#
# > On 11 May 2026 every bad `@tanstack` package named the right repository, the right workflow and the right branch, and its
# > provenance verified. A policy on the expected builder "would have passed". [V: slsa.dev, 15 May 2026]
#
# **You will** (50 min: 8 reading, 42 doing)
# - find everything that a registry knows about one digest
# - read in a certificate which job signed, field by field
# - tell the workflow's statement from the platform's
# - change what you expect, and see which claim a publisher's policy forgot
#
# **Before:** `01_first_signature`, `02_anatomy`, `02_attacks`. **Lab:** `labs/02_hardening.ipynb`, exercise 2.6
#
# **V** and **S** as in week 1: read in a primary text; read in secondary text only.

# %% tags=["parameters"]
seed = 1

# %%
import chainlab
import pandas as pd
from chainlab.course.project_states import working_copy

pd.set_option("display.width", 140, "display.max_columns", None, "display.max_colwidth", None)
lab = chainlab.open("02_evidence", seed=seed)
settings = lab.data / "projects/settings/triage-model.toml"
project = lab.ci.project("acme/triage-model", working_copy(lab.data / "projects", lab.path, "hardened"), settings)

# %% [markdown]
# ## 1. One release, four products
# We release `triage-model` by its hardened workflow once more, as in `02_anatomy`: a tag, three jobs, and a reviewer, whom
# we play. (This is the long run of this notebook.)

# %%
before = len(lab.events())
project.tag("v1.4.0")
release = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
reported = lab.events()[before:]
release

# %% [markdown]
# The run's record lists everything that its jobs stored, by digest: a wheel, the model as a file, its metrics, and the
# model as something that the registry can hand out.
#
# Four words before we look them up. A registry keeps two kinds of things. A *package index* keeps wheels under project and
# version. An *OCI registry* (Open Container Initiative) keeps anything under its digest: a *manifest*, a small JSON
# document, lists the parts. What is said about a manifest is stored as another manifest that points to it, a *referrer*.
# A package index has no referrers: it keeps a file's *attestations*, signed statements about it, beside the file. PEP 740
# is the Python standard that says how.
#
# **Predict.** In which of the two will each product be? Write "index", "oci" or "neither".

# %% tags=["predict"]
from chainlab.digests import Digest

prediction = dict.fromkeys(sorted(release.produced))  # {"metrics.json": "index", …}


def known(name):
    """Everything the registry knows about a product of the release."""
    return lab.registry.evidence.document(Digest.parse(release.produced[name]))


lab.predicted(prediction, {name: ", ".join(sorted({place["protocol"] for place in known(name)["places"]})) or "neither"
                           for name in sorted(release.produced)})

# %% [markdown]
# ## 2. Everything that is known about a digest
# `registry.evidence` answers for a digest where it is, and what anybody has said about it. (In a workspace in which a
# release of this version was made before, there are more rows: evidence is added, never replaced.) First the wheel:

# %%
(wheel,) = (name for name in release.produced if name.endswith(".whl"))
known(wheel)

# %% [markdown]
# Read the rows by who signed. One statement is by the *workflow*: the job `publish` says that it published this file, and
# the index verified that at upload. The others are by the *platform*: one for each job that stored these bytes, made
# when the job had ended. `build` handed the wheel over and `publish` uploaded it, so two jobs are answerable for it.
#
# Now the model, as the manifest that the release pushed:

# %%
known("acme/triage-model/model")

# %% [markdown]
# The same two voices, in another shape: here each statement is a referrer.
#
# **Change it.** Ask for `known("metrics.json")`. It never left the run, and is known all the same. By whom?
#
# ## 3. Who signed?
# We take the workflow's statement about the wheel and look at the certificate. You read one in week 1 for a made-up job;
# this one was issued to the job `publish`.

# %%
from pypi_attestations import AttestationType, Provenance

file = lab.registry.index.file("triage-model", wheel)
attestation = Provenance.model_validate(lab.registry.index.provenance(file)).attestation_bundles[0].attestations[0]
by_workflow = attestation.to_bundle()
MEANING = {"8": "issuer", "18": "workflow", "12": "repository", "14": "ref", "20": "event", "23": "environment",
           "24": "subject of the token", "11": "runner"}


def claims_of(certificate):
    """The claims of the job's token that the authority copied into its certificate."""
    fields = {e.oid.dotted_string.partition("57264.1.")[2]: e.value for e in certificate.extensions}
    return {name: fields[n].value[2:].decode() for n, name in MEANING.items() if n in fields}  # 2 bytes of DER first


said = claims_of(by_workflow.signing_certificate)
pd.DataFrame({"field": [f".{number}" for number in MEANING], "says": said.values()}, index=list(said))

# %% [markdown]
# Each line is a claim of the job's identity token, copied by the certificate authority [V: Fulcio, oid-info]. A policy may
# ask for any of them. Note the runner: our host says `self-hosted`, because it is.
#
# **Predict.** Two other jobs sign a wheel on the same platform. One runs `release.yml` in Mallory's own repository, the other
# a new `quick.yml` that a colleague added to ours on a branch. Which of issuer, repository and workflow differ from the ones
# above? Write a set of names for each.

# %% tags=["predict"]
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

prediction = {"mallory/triage-model release.yml": None, "acme/triage-model quick.yml": None}

differs = {}
for job in prediction:
    (repository, workflow), ref = job.split(), "refs/heads/quick"
    file_at_ref = f"{repository}/.github/workflows/{workflow}@{ref}"
    token = lab.trust.token(claims={"sub": f"repo:{repository}:ref:{ref}", "repository": repository, "ref": ref,
                                    "workflow_ref": file_at_ref, "job_workflow_ref": file_at_ref})
    with SigningContext.from_trust_config(lab.trust.config).signer(IdentityToken(token)) as signer:
        other = claims_of(signer.sign_artifact(b"a wheel").signing_certificate)
    differs[job] = {name for name in ("issuer", "repository", "workflow") if other[name] != said[name]}
lab.predicted(prediction, differs)

# %% [markdown]
# So a policy that asks for the *issuer* alone accepts every repository of the platform, and one that asks for the
# *repository* alone accepts a workflow that a branch added yesterday. That is the theme of exercise 2.6.
#
# ## 4. Does it hold?
# Looking is not verifying. A statement is wrapped in a *DSSE envelope* (Dead Simple Signing Envelope), so that exactly the
# signed bytes are read. Inside are its *subject*, the digests that it is about, its *predicate type*, what kind of thing is
# said, and the *predicate*, what is said. The kit's `verify` takes these steps in order. For the first it asks the
# unmodified Sigstore client of week 1.

# %%
from chainlab.evidence.verifying import Expectations, Signer, verify

GIT = "https://git.chainlab.localhost"
PUBLISHED, PROVENANCE = AttestationType.PYPI_PUBLISH_V1.value, "https://slsa.dev/provenance/v1"
release_yml = f"{GIT}/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"


def judge(bundle, signer, says, issuer=lab.trust.ci_issuer):
    """The verdict on a bundle about the wheel, if this signer is expected to say this."""
    expected = Expectations(Signer(signer, issuer), says)
    return verify(bundle, file.digest, expected, lab.trust.config.trusted_root)


judge(by_workflow.to_json().encode(), release_yml, PUBLISHED)

# %% [markdown]
# **Change it.** Expect another signer: `release.yml` becomes `quick.yml`, or `v1.4.0` becomes `v1.3.0`, or add
# `issuer="https://example.com"`. Each is refused at the first step, and the verdict says what it found instead.
#
# Now the platform's statement about the job `build`:

# %%
provenance_yml = f"{GIT}/chainlab/ci-host/.github/workflows/provenance.yml@refs/heads/main"
(item,) = (i for i in known(wheel)["attached"] if i["source"].endswith(f"/runs/{release.id}/jobs/build"))
by_host = lab.registry.evidence.read(file.digest, Digest.parse(item["digest"]))
verdict = judge(by_host, provenance_yml, PROVENANCE)
verdict

# %% [markdown]
# Two signers, two sentences. The *workflow* says: I published this file. It can say whatever its steps want, for its
# identity is within their reach. The *host* says how the job went, and no step can ask for its identity.
#
# ## 5. What the platform wrote down
# **Predict.** The statement lists what went into the job `build`, each with a digest. Which of these will you find in the
# list? Write True or False.

# %% tags=["predict"]
prediction = {
    "the action that checks out": None, "a package from the index": None,
    "the training data": None,  # inside the package scikit-learn
    "the base model": None,  # a file of the repository
    "a cache": None,
}

definition = verdict.statement.predicate["buildDefinition"]
used = [dependency["uri"] for dependency in definition["resolvedDependencies"]]
lab.predicted(prediction, {
    "the action that checks out": any("actions/checkout@" in uri for uri in used),
    "a package from the index": any(uri.startswith("pkg:pypi/") for uri in used),
    "the training data": any("cancer" in uri for uri in used),
    "the base model": any("baseline" in uri for uri in used),
    "a cache": any("cache" in uri for uri in used),
})

# %% [markdown]
# This is SLSA provenance, version 1. Every action is there by commit, also those that actions call, and every package that
# the index served to the job, as the host saw it. What is *not* there: the training data, which came inside the package
# `scikit-learn`; the base model, covered by the commit alone; a cache, if there was one; whatever a step brought in by
# another way. Completeness of this list is best effort even at the highest build level. [V: SLSA v1.2] That is why the bad
# wheel of `02_attacks` had a provenance that verified.

# %%
details = verdict.statement.predicate["runDetails"]
caused = definition["internalParameters"]
pd.Series({"builder": details["builder"]["id"].removeprefix(GIT), "listed": len(used),
           **definition["externalParameters"]["workflow"], **caused}, name="the platform says").to_frame()

# %% [markdown]
# The builder's name ends in `build-l1`: whoever sits at this laptop holds the host's keys, so we claim no more than level 1.

# %% tags=["check"]
assert release.result == "success" and list(release.jobs) == ["build", "publish", "push-model"]
assert len(known("acme/triage-model/model")["referrers"]) >= 2 and known("metrics.json")["places"] == []
assert len(release.produced) == 4 and len(verdict.statement.subjects) == 3  # build pushed no manifest
assert list(map(len, differs.values())) == [2, 1]
assert said["environment"] == "release" and said["runner"] == "self-hosted"
assert verdict.passed and not any("cache" in uri for uri in used)

# %% [markdown]
# ## 6. Names that are easily confused
# This one release wrote into three things that are called a *registry* somewhere, and into two kinds of Merkle log.
#
# **Predict.** How many signatures were made for it, by workflow and host together? Each leaves a certificate in one log and
# an entry in the other.

# %% tags=["predict"]
from chainlab.events import EventList

prediction = None  # a number

written = EventList(event for event in reported
                    if any(map(event.is_of, ("certificate.issued", "logentry.created", "artifact.published"))))
lab.predicted(prediction, sum(event.is_of("certificate.issued") for event in written))

# %%
written

# %% [markdown]
# Five: two by the workflow, and one by the host for each job that stored something. The wheel brings its attestation along
# in one upload; the model's manifest is pushed first, and what is said about it follows.
#
# | if you ask … | look into | because it holds |
# |---|---|---|
# | who got a certificate in our name? | the CT log | certificates, before any signature exists |
# | what was signed in our name? | the transparency log | signatures, never artifacts |
# | where is the wheel, and who may upload it? | the package index | files under project and version |
# | where is the model, and what was said about it? | the OCI registry | manifests under digests and movable tags |
# | did the workflow say so? | the attestation of the *workflow* | what its authors, and its steps, wished to say |
# | did the run go like this? | the provenance of the *platform* | what the host saw |
#
# The glossary, `docs/glossary.md`, has these confusions side by side.
#
# **What is simplified here.** Host, registry and logs are one process with one owner. `docs/ci-platform.md` names each
# difference.
#
# **You can now**
# - find, for a digest, where it is and who said what about it
# - name the claims in a certificate, and say what a policy accepts that asks for too few
# - tell the workflow's statement from the platform's, and say what neither lists
#
# **Exit question.** A release shows only the attestation of its workflow. Which question of the five can nobody answer then,
# and who would have to sign?
