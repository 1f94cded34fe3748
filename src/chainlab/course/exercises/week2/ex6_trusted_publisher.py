"""Cases for exercise 2.6: which signer may publish for this project?

Every case is really signed against the private instance: a token with GitHub's claim names, a
certificate with Fulcio's extensions, a log entry, a timestamp. What a case changes of the expected
publisher's claims decides its truth.

    >>> claims_of("acme/triage-model", "release.yml", "refs/tags/v1.0.0")["workflow_ref"]
    'acme/triage-model/.github/workflows/release.yml@refs/tags/v1.0.0'
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.course.learning.checks import Case, World

__all__ = ["claims_of", "publishers"]

SEE = "labs/02_hardening.ipynb, 'The workflow is the publisher'"
OWNER_IDS = {"acme": "4711", "mallory": "666", "northwind-ml": "8080"}


def claims_of(repository: str, workflow: str, ref: str, *, environment: str = "", **other: str) -> dict[str, str]:
    """A job's claims as the platform makes them; ``other`` replaces some."""
    owner = repository.split("/")[0]
    path = f"{repository}/.github/workflows/{workflow}@{ref}"
    claims = {
        "sub": f"repo:{repository}:" + (f"environment:{environment}" if environment else f"ref:{ref}"),
        "repository": repository,
        "repository_id": str(sum(repository.encode())),
        "repository_owner": owner,
        "repository_owner_id": OWNER_IDS.get(owner, "1"),
        "repository_visibility": "public",
        "ref": ref,
        "sha": f"{sum(ref.encode()):040x}",
        "event_name": "push",
        "workflow": workflow.removesuffix(".yml"),
        "workflow_ref": path,
        "workflow_sha": f"{sum(ref.encode()):040x}",
        "job_workflow_ref": path,
        "job_workflow_sha": f"{sum(ref.encode()):040x}",
        "runner_environment": "github-hosted",
        "run_id": "77",
        "run_attempt": "1",
    }
    if environment:
        claims["environment"] = environment
    return {**claims, **other}


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


def publishers(lab: World, rng: random.Random) -> Iterator[Case]:
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
        "owner_id": OWNER_IDS["acme"],
        "workflow": workflow,
        "ref_prefix": "refs/tags/v",
        "environment": environment,
    }

    def case(
        label: str,
        bundle: str,
        good: bool,
        teaches: str,
        *,
        bytes_: bytes = file,
        expected: dict[str, Any] | None = None,
    ) -> Case:
        return Case(label, (bytes_, bundle, {**publisher, **(expected or {})}), good, teaches, SEE)

    def claims(**changes: str) -> dict[str, str]:
        where = {"repository": repository, "workflow": workflow, "ref": tag, **changes}
        base = claims_of(
            where.pop("repository"),
            where.pop("workflow"),
            where.pop("ref"),
            environment=environment,
        )
        return {**base, **where}

    good = signer.job(file, claims())
    yield case(
        "a release as expected",
        good,
        True,
        "Repository, owner, workflow file, tag and environment are the publisher's.",
    )
    yield case(
        "another repository of the owner",
        signer.job(file, claims(repository="acme/website")),
        False,
        "The issuer signs for every repository on the platform. 'From our CI' and 'from this "
        "project's release workflow' are far apart.",
    )
    yield case(
        "a stranger's fork",
        signer.job(file, claims(repository=f"mallory/{name}")),
        False,
        "A fork has the same files and the same tag, and its own repository in the certificate.",
    )
    yield case(
        "a name that begins alike",
        signer.job(file, claims(repository=f"{repository}-nightly")),
        False,
        "Compare names whole. A prefix of a name is somebody else's name.",
    )
    yield case(
        "a branch",
        signer.job(file, claims(ref=f"refs/heads/{rng.choice(['main', 'v1.0.0', 'refs/tags/v1'])}")),
        False,
        "The publisher releases from version tags. A branch may be called v1.0.0 too: the ref is "
        "compared from its beginning.",
    )
    yield case(
        "another version",
        signer.job(file, claims(ref=f"refs/tags/v{rng.randrange(10, 99)}.1")),
        True,
        "The next release has another tag. A policy that names one tag has to be edited for each.",
    )
    other = claims(workflow=rng.choice(["ci.yml", "train.yml"]))
    yield case(
        "another workflow of the repository",
        signer.job(file, other),
        False,
        "Every workflow of the repository can ask for an identity once a job has the right. Only "
        "one of them builds releases.",
    )
    without = claims_of(repository, workflow, tag)
    yield case(
        "without the environment",
        signer.job(file, without),
        False,
        "The job did not pass the environment's reviewer, and its certificate says so by saying "
        "nothing. An absent field is no match.",
    )
    elsewhere = claims_of(repository, workflow, tag, environment="staging")
    yield case(
        "another environment",
        signer.job(file, elsewhere),
        False,
        "Another environment has other rules: staging may ask nobody.",
    )
    yield case(
        "a publisher without an environment",
        signer.job(file, without),
        True,
        'Where the publisher names none (""), every environment will do, and none as well.',
        expected={"environment": ""},
    )
    shared = f"acme/workflows/.github/workflows/{workflow}@refs/heads/main"
    yield case(
        "a shared workflow, called by another repository",
        signer.job(file, claims(repository="acme/website", job_workflow_ref=shared)),
        False,
        "The certificate's own name (SAN) is the file that ran, and a reusable workflow has many "
        "callers. Who called it stands in other fields.",
    )
    yield case(
        "a shared workflow, called by the release",
        signer.job(file, claims(job_workflow_ref=shared)),
        True,
        "The publisher is whose run it was: source repository (.12) and build config (.18). The "
        "SAN names the shared file that did the work.",
    )
    yield case(
        "the same name, another owner",
        signer.job(file, claims(repository_owner_id="99887")),
        False,
        "An account can be deleted and its name taken by somebody else; the owner's number cannot.",
    )
    yield case(
        "signed by a person",
        signer.person(file, "alice@example.com"),
        False,
        "A valid signature of somebody who works here, on a laptop. Its issuer vouches for people.",
    )
    yield case(
        "the right certificate, other bytes",
        good,
        False,
        "The certificate says who signed; only the signature says what was signed. Verify it over "
        "the bytes that you were given.",
        bytes_=file + b" and more",
    )
