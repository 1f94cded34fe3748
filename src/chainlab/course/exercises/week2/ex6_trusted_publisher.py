"""Cases for exercise 2.6: which signer may publish for this project?

Every case is really signed against the private instance: a token with GitHub's claim names, a certificate with Fulcio's
extensions, a log entry, a timestamp. The truth follows from how a case's claims differ from the expected publisher's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.course.cases import Case, LabContext
from chainlab.trust.client import Trust, workflow_claims
from chainlab.trust.instance import Instance
from chainlab.trust.root import trusted_root
from chainlab.trust.timestamp import TimestampQuery

__all__ = ["cases", "impostor"]

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
    "the same release, signed again": (
        "Each signature has a key and a certificate of its own. The identity is what stays; a fingerprint does not."
    ),
    "a release started by hand": (
        "The same workflow at the same tag, by `workflow_dispatch`. The publisher asks for no event, so add no "
        "condition."
    ),
    "a project of another owner": "The owner's name and number are the publisher's, not always acme's.",
    "a publisher that releases from branches": (
        "The publisher says which refs it releases from: compare with its prefix."
    ),
    "a branch that is called like a tag": (
        "A branch may be called `refs/tags/v1`; its ref is `refs/heads/refs/tags/v1`. Compare from the beginning."
    ),
    "another version": "The next release has another tag. A policy that names one tag has to be edited for each.",
    "another workflow of the repository": (
        "Every workflow of the repository can ask for an identity once a job has the right. Only one of them "
        "builds releases."
    ),
    "a workflow whose name ends alike": "Compare the file's whole path: `pre-release.yml` ends as `release.yml` does.",
    "the workflow's file at another ref": (
        "The file that was started is read at a ref too, and another branch may hold another file of that name. It is "
        "to be the one at the source ref."
    ),
    "our workflow file, run for another repository": (
        "An organisation can require one workflow file for all its repositories. Then the file is one repository's and "
        "the source another's: both are to be the publisher's."
    ),
    "the fork, for itself": "What one publisher refuses is right for another: compare, list nothing.",
    "a publisher on another platform": (
        "The names say something only together with who vouches for them: two platforms can have an acme each."
    ),
    "the other project, for itself": "What one publisher refuses is right for another: compare, list nothing.",
    "staging, for itself": "What one publisher refuses is right for another: compare, list nothing.",
    "without the environment": (
        "The job did not pass the environment's reviewer, and its certificate says so by saying nothing. An "
        "absent field is no match."
    ),
    "another environment": "Another environment has other rules: staging may ask nobody.",
    "a publisher without an environment": (
        'Where the publisher names none (""), every environment will do, and none as well.'
    ),
    "a publisher that takes any environment": (
        'Where the publisher names none (""), every environment will do: it asks nothing about it.'
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
    "the same claims, from an instance of Mallory's": (
        "Whoever runs a CA can write any name into a certificate, and sign with its key. Every field is as it should "
        "be. Only the chain tells: verify against the root that you enrolled, never against one that came along."
    ),
    "the right digest, under a signature over other bytes": (
        "The bundle's `messageDigest` is a note for whoever looks for the file: nobody signed it. What counts is that "
        "the certificate's key signed these bytes."
    ),
    "the right certificate, other bytes": (
        "The certificate says who signed; only the signature says what was signed. Verify it over the bytes that "
        "you were given."
    ),
}


def impostor(place: Path, file: bytes, claims: dict[str, str], good: str) -> tuple[str, str]:
    """Sign with these claims by an instance that Mallory runs; returns the bundle and her trusted root, both as JSON.

    ``good`` is a bundle of the same file, whose form hers takes.
    """
    place.mkdir(parents=True, exist_ok=True)
    bundle = json.loads(good)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        instance = Instance(Path(folder) / "mallory")
        try:
            identity = instance.issuer.check(Trust(instance.directory).token(claims=claims))
            key = ec.generate_private_key(ec.SECP256R1())
            leaf = x509.load_pem_x509_certificate(instance.certificate(identity, key.public_key())[0].encode())
            signature, digest = key.sign(file, ec.ECDSA(hashes.SHA256())), hashlib.sha256(file).digest()
            certificate = {"rawBytes": _base64(leaf.public_bytes(serialization.Encoding.DER))}
            verifier = {"x509Certificate": certificate, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
            signed = {"content": _base64(signature), "verifier": verifier}
            record = {"digest": _base64(digest), "signature": signed}
            stamped = {"artifactHash": _base64(hashlib.sha256(signature).digest()), "hashAlgorithm": "sha256"}
            stamp = instance.timestamp(TimestampQuery.from_json({**stamped, "certificates": True}))
            bundle["verificationMaterial"] = {
                "certificate": certificate,
                "tlogEntries": [instance.log_entry_v2({"hashedRekordRequestV002": record})],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": _base64(stamp)}]},
            }
            bundle["messageSignature"]["signature"] = _base64(signature)
            return json.dumps(bundle), json.dumps(trusted_root(instance.keys))
        finally:
            instance.close()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


class _FileSigner:
    """Signs files with the claims of made-up jobs."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.context = SigningContext.from_trust_config(trust.config)

    def job(self, file: bytes, claims: dict[str, str]) -> str:
        """Sign as a job with these claims; returns the bundle as JSON."""
        return self._sign(file, self.trust.token(claims=claims))

    def person(self, file: bytes, address: str) -> str:
        """Sign as the person with this address; returns the bundle as JSON."""
        return self._sign(file, self.trust.token(address))

    def _sign(self, file: bytes, token: str) -> str:
        with self.context.signer(IdentityToken(token)) as by:
            bundle = by.sign_artifact(file)
        return str(bundle.to_json())


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make one good release, then one changed claim at a time."""
    release = _SignedRelease(lab, rng)
    yield from release.other_repositories()
    yield from release.other_refs()
    yield from release.other_workflows()
    yield from release.other_environments()
    yield from release.shared_workflows()
    yield from release.forgeries()


class _SignedRelease:
    """A release, its expected publisher, and bundles with claims that differ from the publisher's."""

    def __init__(self, lab: LabContext, rng: random.Random) -> None:
        self.lab, self.rng, self.signer = lab, rng, _FileSigner(lab.trust)
        self.file = f"triage_model-1.{rng.randrange(90)}-py3-none-any.whl {rng.getrandbits(64):x}".encode()
        self.name = rng.choice(["triage-model", "scan-model", "notes-model"])
        self.repository, self.workflow = f"acme/{self.name}", rng.choice(["release.yml", "publish.yml"])
        self.environment = rng.choice(["release", "production"])
        self.tag = f"refs/tags/v{rng.randrange(1, 9)}.{rng.randrange(9)}.0"
        self.publisher = {
            "issuer": lab.trust.ci_issuer,
            "repository": self.repository,
            "owner_id": workflow_claims(self.repository, self.workflow, self.tag)["repository_owner_id"],
            "workflow": self.workflow,
            "ref_prefix": "refs/tags/v",
            "environment": self.environment,
        }
        self.good = self.signed()

    def case(
        self,
        name: str,
        bundle: str,
        truth: bool,
        *,
        file: bytes = b"",
        expected: dict[str, Any] | None = None,
    ) -> Case:
        """Make the case; ``expected`` changes fields of the publisher."""
        return Case(name, (file or self.file, bundle, {**self.publisher, **(expected or {})}), truth)

    def claims(self, **changes: str) -> dict[str, str]:
        """Give the release's claims, with changes."""
        base = workflow_claims(
            changes.pop("repository", self.repository),
            changes.pop("workflow", self.workflow),
            changes.pop("ref", self.tag),
            environment=self.environment,
        )
        return {**base, **changes}

    def signed(self, **changes: str) -> str:
        """Sign the file as a job with these claims."""
        return self.signer.job(self.file, self.claims(**changes))

    def other_repositories(self) -> Iterator[Case]:
        """The release itself, then other repositories, each also as a publisher of its own."""
        yield self.case("a release as expected", self.good, True)
        yield self.case("another repository of the owner", self.signed(repository="acme/website"), False)
        fork = self.claims(repository=f"mallory/{self.name}")
        forked = self.signer.job(self.file, fork)
        yield self.case("a stranger's fork", forked, False)
        hers = {"repository": fork["repository"], "owner_id": fork["repository_owner_id"]}
        yield self.case("the fork, for itself", forked, True, expected=hers)
        alike = f"{self.repository}-nightly"
        nightly = self.signed(repository=alike)
        yield self.case("a name that begins alike", nightly, False)
        yield self.case("the other project, for itself", nightly, True, expected={"repository": alike})

    def other_refs(self) -> Iterator[Case]:
        """Other branches, tags, keys and events."""
        rng = self.rng
        branch = f"refs/heads/{rng.choice(['main', 'v1.0.0'])}"
        yield self.case("a branch", self.signed(ref=branch), False)
        like_a_tag = f"refs/heads/refs/tags/v{rng.randrange(9)}"
        yield self.case("a branch that is called like a tag", self.signed(ref=like_a_tag), False)
        yield self.case("the same release, signed again", self.signed(), True)
        yield self.case("a release started by hand", self.signed(event_name="workflow_dispatch"), True)
        other = self.claims(repository=f"northwind-ml/{self.name}")
        theirs = {"repository": other["repository"], "owner_id": other["repository_owner_id"]}
        by_other = self.signer.job(self.file, other)
        yield self.case("a project of another owner", by_other, True, expected=theirs)
        branch = f"refs/heads/release/{rng.randrange(1, 9)}"
        from_branches = {"ref_prefix": "refs/heads/release/"}
        name = "a publisher that releases from branches"
        yield self.case(name, self.signed(ref=branch), True, expected=from_branches)
        yield self.case("another version", self.signed(ref=f"refs/tags/v{rng.randrange(10, 99)}.1"), True)

    def other_workflows(self) -> Iterator[Case]:
        """Other workflow files, and another platform."""
        other = self.signed(workflow=self.rng.choice(["ci.yml", "train.yml"]))
        yield self.case("another workflow of the repository", other, False)
        yield self.case("a workflow whose name ends alike", self.signed(workflow=f"pre-{self.workflow}"), False)
        required = f"{self.repository}/.github/workflows/{self.workflow}@{self.tag}"
        elsewhere = self.signed(repository="acme/website", workflow_ref=required)
        yield self.case("our workflow file, run for another repository", elsewhere, False)
        platform = {"issuer": self.lab.trust.issuer}
        yield self.case("a publisher on another platform", self.good, False, expected=platform)

    def other_environments(self) -> Iterator[Case]:
        """No environment, and another one."""
        none = {"environment": ""}
        without = workflow_claims(self.repository, self.workflow, self.tag)
        yield self.case("without the environment", self.signer.job(self.file, without), False)
        staging = workflow_claims(self.repository, self.workflow, self.tag, environment="staging")
        staged = self.signer.job(self.file, staging)
        yield self.case("another environment", staged, False)
        yield self.case("staging, for itself", staged, True, expected={"environment": "staging"})
        unbound = self.signer.job(self.file, without)
        yield self.case("a publisher without an environment", unbound, True, expected=none)
        yield self.case("a publisher that takes any environment", self.good, True, expected=none)

    def shared_workflows(self) -> Iterator[Case]:
        """A reusable workflow, and the workflow's file at another ref."""
        shared = f"acme/workflows/.github/workflows/{self.workflow}@refs/heads/main"
        called = self.signed(repository="acme/website", job_workflow_ref=shared)
        yield self.case("a shared workflow, called by another repository", called, False)
        yield self.case("a shared workflow, called by the release", self.signed(job_workflow_ref=shared), True)
        at_another_ref = f"{self.repository}/.github/workflows/{self.workflow}@refs/heads/try"
        yield self.case("the workflow's file at another ref", self.signed(workflow_ref=at_another_ref), False)

    def forgeries(self) -> Iterator[Case]:
        """Signers who are not the job that they name, and other bytes."""
        yield self.case("the same name, another owner", self.signed(repository_owner_id="99887"), False)
        yield self.case("signed by a person", self.signer.person(self.file, "alice@example.com"), False)
        forged, _ = impostor(self.lab.path, self.file, self.claims(), self.good)
        yield self.case("the same claims, from an instance of Mallory's", forged, False)
        longer = self.file + b" and more"
        noted = json.loads(self.signer.job(longer, self.claims()))
        noted["messageSignature"]["messageDigest"]["digest"] = _base64(hashlib.sha256(self.file).digest())
        yield self.case("the right digest, under a signature over other bytes", json.dumps(noted), False)
        yield self.case("the right certificate, other bytes", self.good, False, file=longer)
