"""Cases for exercise 2.6: which signer may publish for this project?

Every case is really signed against the private instance: a token with GitHub's claim names, a
certificate with Fulcio's extensions, a log entry, a timestamp. What a case changes of the expected
publisher's claims decides its truth.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.course.learning.checks import Case, World
from chainlab.trust.client import workflow_claims

__all__ = ["cases"]

SEE = "labs/02_hardening.ipynb, 'The workflow is the publisher'"
TEACHES = {
    "a release as expected": "Repository, owner, workflow file, tag and environment are the publisher's.",
    "another repository of the owner": (
        "The issuer signs for every repository on the platform. 'From our CI' and 'from this project's release "
        "workflow' are far apart."
    ),
    "a stranger's fork": "A fork has the same files and the same tag, and its own repository in the certificate.",
    "a name that begins alike": "Compare names whole. A prefix of a name is somebody else's name.",
    "a branch": (
        "The publisher releases from version tags. A branch may be called v1.0.0 too: the ref is compared from "
        "its beginning."
    ),
    "another version": "The next release has another tag. A policy that names one tag has to be edited for each.",
    "another workflow of the repository": (
        "Every workflow of the repository can ask for an identity once a job has the right. Only one of them "
        "builds releases."
    ),
    "without the environment": (
        "The job did not pass the environment's reviewer, and its certificate says so by saying nothing. An "
        "absent field is no match."
    ),
    "another environment": "Another environment has other rules: staging may ask nobody.",
    "a publisher without an environment": (
        'Where the publisher names none (""), every environment will do, and none as well.'
    ),
    "a shared workflow, called by another repository": (
        "The certificate's own name (SAN) is the file that ran, and a reusable workflow has many callers. Who "
        "called it stands in other fields."
    ),
    "a shared workflow, called by the release": (
        "The publisher is whose run it was: source repository (.12) and build config (.18). The SAN names the "
        "shared file that did the work."
    ),
    "the same name, another owner": (
        "An account can be deleted and its name taken by somebody else; the owner's number cannot."
    ),
    "signed by a person": ("A valid signature of somebody who works here, on a laptop. Its issuer vouches for people."),
    "the right certificate, other bytes": (
        "The certificate says who signed; only the signature says what was signed. Verify it over the bytes that "
        "you were given."
    ),
}


class _Signer:
    """Signs files with the claims of made-up jobs."""

    def __init__(self, lab: World) -> None:
        self.trust = lab.trust
        self.context = SigningContext.from_trust_config(lab.trust.config)

    def job(self, file: bytes, claims: dict[str, str]) -> str:
        """A bundle, as JSON, by a job."""
        return self._sign(file, self.trust.token(claims=claims))

    def person(self, file: bytes, address: str) -> str:
        """A bundle, as JSON, by a person."""
        return self._sign(file, self.trust.token(address))

    def _sign(self, file: bytes, token: str) -> str:
        with self.context.signer(IdentityToken(token)) as by:
            bundle = by.sign_artifact(file)
        return str(bundle.to_json())


def cases(lab: World, rng: random.Random) -> Iterator[Case]:
    """One good release, then one changed claim at a time."""
    signer = _Signer(lab)
    file = f"triage_model-1.{rng.randrange(90)}-py3-none-any.whl {rng.getrandbits(64):x}".encode()
    name = rng.choice(["triage-model", "scan-model", "notes-model"])
    repository, workflow = f"acme/{name}", rng.choice(["release.yml", "publish.yml"])
    environment = rng.choice(["release", "production"])
    tag = f"refs/tags/v{rng.randrange(1, 9)}.{rng.randrange(9)}.0"
    publisher = {
        "issuer": lab.trust.ci_issuer,
        "repository": repository,
        "owner_id": workflow_claims(repository, workflow, tag)["repository_owner_id"],
        "workflow": workflow,
        "ref_prefix": "refs/tags/v",
        "environment": environment,
    }

    def case(
        label: str, bundle: str, good: bool, *, bytes_: bytes = file, expected: dict[str, Any] | None = None
    ) -> Case:
        return Case(label, (bytes_, bundle, {**publisher, **(expected or {})}), good)

    def claims(**changes: str) -> dict[str, str]:
        where = {"repository": repository, "workflow": workflow, "ref": tag, **changes}
        base = workflow_claims(
            where.pop("repository"), where.pop("workflow"), where.pop("ref"), environment=environment
        )
        return {**base, **where}

    good = signer.job(file, claims())
    yield case("a release as expected", good, True)
    yield case("another repository of the owner", signer.job(file, claims(repository="acme/website")), False)
    yield case("a stranger's fork", signer.job(file, claims(repository=f"mallory/{name}")), False)
    yield case("a name that begins alike", signer.job(file, claims(repository=f"{repository}-nightly")), False)
    yield case(
        "a branch", signer.job(file, claims(ref=f"refs/heads/{rng.choice(['main', 'v1.0.0', 'refs/tags/v1'])}")), False
    )
    yield case("another version", signer.job(file, claims(ref=f"refs/tags/v{rng.randrange(10, 99)}.1")), True)
    other = claims(workflow=rng.choice(["ci.yml", "train.yml"]))
    yield case("another workflow of the repository", signer.job(file, other), False)
    without = workflow_claims(repository, workflow, tag)
    yield case("without the environment", signer.job(file, without), False)
    elsewhere = workflow_claims(repository, workflow, tag, environment="staging")
    yield case("another environment", signer.job(file, elsewhere), False)
    yield case("a publisher without an environment", signer.job(file, without), True, expected={"environment": ""})
    shared = f"acme/workflows/.github/workflows/{workflow}@refs/heads/main"
    yield case(
        "a shared workflow, called by another repository",
        signer.job(file, claims(repository="acme/website", job_workflow_ref=shared)),
        False,
    )
    yield case("a shared workflow, called by the release", signer.job(file, claims(job_workflow_ref=shared)), True)
    yield case("the same name, another owner", signer.job(file, claims(repository_owner_id="99887")), False)
    yield case("signed by a person", signer.person(file, "alice@example.com"), False)
    yield case("the right certificate, other bytes", good, False, bytes_=file + b" and more")
