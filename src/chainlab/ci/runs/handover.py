"""Handing over between jobs: before a job uses the files of another, it verifies where they are from.

The storage of artifacts is nobody's witness: what can write to it can swap the bytes. So for each file the job asks the
registry for the platform's provenance of that digest, and accepts it only from this run's job of that name, made from
this commit, and only if that job succeeded. Then it verifies what the other job itself signed, a bundle beside the
file:

    triage.onnx   triage.onnx.sbom.sigstore.json   triage.onnx.model.sigstore.json

Everything is asked for by the digest of the bytes at hand: swapped bytes have no evidence, and evidence of other bytes
is not about them.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chainlab import names
from chainlab.ci.runs import job_provenance
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.evidence.models import model_signing
from chainlab.evidence.statements import PROVENANCE, SBOM
from chainlab.evidence.verifying import Expectations, Signer, Verdict, verify
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = ["Handover", "bundle_name", "workflow_signer"]

KINDS = {"sbom": SBOM, "model": ""}  # kind of a stage's own attestation: predicate type
SUFFIX = ".sigstore.json"
MAX_ANSWER = 2**24  # bytes
SECONDS = 20  # to wait for an answer of the registry


@dataclass(frozen=True)
class Handover:
    """What a job knows of itself, and with it what it expects of the files that it takes over."""

    url: str  # where the registry listens
    repository: str
    ref: str
    commit: str
    run: str
    workflow_ref: str  # `owner/repo/.github/workflows/release.yml@refs/…`
    config: ClientTrustConfig
    token: str = field(default="", repr=False)  # the job's, to ask for what is known about its repository's files

    @classmethod
    def of_job(cls, environment: Mapping[str, str]) -> Handover:
        """From a job's environment. Raises `MalformedInput` outside one."""
        from sigstore.models import ClientTrustConfig

        try:
            return cls(
                environment["CHAINLAB_URL"],
                environment["GITHUB_REPOSITORY"],
                environment["GITHUB_REF"],
                environment["GITHUB_SHA"],
                environment["GITHUB_RUN_ID"],
                environment["GITHUB_WORKFLOW_REF"],
                ClientTrustConfig.from_json(Path(environment["CHAINLAB_TRUST_CONFIG"]).read_text()),
                environment.get("ACTIONS_RUNTIME_TOKEN", ""),
            )
        except KeyError as error:
            raise MalformedInput(f"{error.args[0]} is not set: this is no job") from error

    def accept(self, folder: Path, job: str, attested: Sequence[str] = ()) -> list[str]:
        """Verify every file below ``folder`` as ``job``'s of this run; a line for each.

        ``attested`` names ``file:kind`` pairs that the job must have signed too. Raises `VerificationFailed` for the
        first that does not hold, for a link, and for an empty folder.
        """
        found = sorted(folder.rglob("*"))
        files = {p.relative_to(folder).as_posix(): p for p in found if not p.is_dir()}
        if not files:
            raise VerificationFailed(f"{job} handed over nothing", hint="look at that job's log")
        for path in (folder, *found):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise VerificationFailed(
                    f"{path.name} is no plain file",
                    why="nobody attests what a link leads to",
                    hint="hand over the file itself",
                )
        told = []
        for name, path in files.items():
            self._require(name, self.provenance(Digest.of_file(path), job))
            told.append(f"✓ {name}: stored by job {job} of this run")
        for pair in attested:
            name, _, kind = pair.partition(":")
            held = self.attestation(folder, name, kind) if name in files else None
            self._require(f"{name} ({kind})", held)  # the name may be the other job's own output
            told.append(f"✓ {name}: {kind} signed by this workflow")
        return told

    def provenance(self, digest: Digest, job: str) -> Verdict | None:
        """The verdict on the platform's provenance that fits best; None when there is none at all."""
        expected = self.expected(job)
        best: Verdict | None = None
        for bundle in self._evidence(digest):
            verdict = verify(bundle, digest, expected, self.config.trusted_root)
            if verdict.passed:
                return verdict
            best = verdict if best is None or _reached(verdict) > _reached(best) else best
        return best

    def attestation(self, folder: Path, name: str, kind: str) -> Verdict | None:
        """The verdict on the stage's own bundle beside a file; None when there is none."""
        if kind not in KINDS:
            raise MalformedInput(f"no attestation is called {kind!r}", hint=f"one of {[*KINDS]}")
        path = folder / name
        beside = path.with_name(bundle_name(name, kind))
        if not path.is_file() or not beside.is_file():
            return None
        signer = workflow_signer(self.workflow_ref)
        if kind == "model":
            return model_signing.verify(path, beside.read_bytes(), signer, self.config)
        return verify(
            beside.read_bytes(),
            Digest.of_file(path),
            Expectations(signer, KINDS[kind]),
            self.config.trusted_root,
        )

    def beside(self, file: Path) -> list[bytes]:
        """The stages' own bundles beside a file, each verified; what else lies there is nobody's word.

        Raises `VerificationFailed` for one that does not hold.
        """
        found = []
        for kind in KINDS:
            verdict = self.attestation(file.parent, file.name, kind)
            if verdict is not None:
                self._require(f"{file.name} ({kind})", verdict)
                found.append(file.with_name(bundle_name(file.name, kind)).read_bytes())
        return found

    def expected(self, job: str) -> Expectations:
        """What the platform's provenance of a job of this run says."""
        path = names.cut_ref(self.workflow_ref)[0].removeprefix(f"{self.repository}/")
        return Expectations(
            Signer(job_provenance.SIGNER, CI_ISSUER),
            PROVENANCE,
            builder=job_provenance.BUILDER,
            build_type=job_provenance.BUILD_TYPE,
            source=f"git+{GIT_SERVER}/{self.repository}",
            refs=(self.ref,),
            commit=self.commit,
            invocation=job_provenance.invocation(self.repository, self.run),
            result="success",
            parameters={
                "workflow": {
                    "repository": f"{GIT_SERVER}/{self.repository}",
                    "ref": self.ref,
                    "path": path,
                },
                "inputs": None,
            },
            internal={"job": job},
        )

    def bundles(self, digest: Digest) -> list[bytes]:
        """The provenance bundles that the registry has for a digest, for pushing them beside the file."""
        return list(self._evidence(digest))

    def _evidence(self, digest: Digest) -> Iterator[bytes]:
        """The newest first: a file that no run changes has the provenance of every run so far."""
        try:
            document = json.loads(self._get(f"/evidence/{digest}"))
            kinds = [item for item in document["attached"] if item["kind"] == "provenance"]
            for item in kinds:
                yield self._get(str(item["path"]))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return
            raise VerificationFailed("the registry does not tell what it knows", why=f"status {error.code}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VerificationFailed("the registry's evidence cannot be read", why=str(error)[:200]) from error

    def _get(self, path: str) -> bytes:
        url = urllib.parse.urljoin(self.url, path)
        if not url.startswith(f"{self.url}/evidence/"):
            raise ValueError(f"evidence is not at {path[:100]!r}")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the kit's own address
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            data: bytes = answer.read(MAX_ANSWER + 1)
        if len(data) > MAX_ANSWER:
            raise ValueError("the answer is too long")
        return data

    def _require(self, what: str, verdict: Verdict | None) -> None:
        if verdict is None:
            raise VerificationFailed(
                f"{what}: there is no evidence for these bytes",
                why="nobody attested a file with this digest",
                hint="if the file was replaced after its job, this is an incident: keep it and look who wrote",
            )
        try:
            verdict.require()
        except VerificationFailed as error:
            raise VerificationFailed(f"{what}: {error.message}", why=error.why, hint=error.hint) from error


def bundle_name(name: str, kind: str) -> str:
    """The name of the bundle that lies beside a file."""
    return f"{Path(name).name}.{kind}{SUFFIX}"


def workflow_signer(workflow_ref: str) -> Signer:
    """The identity of a workflow at a ref, as its jobs' certificates name it."""
    return Signer(f"{GIT_SERVER}/{workflow_ref}", CI_ISSUER)


def _reached(verdict: Verdict) -> int:
    return sum(step.result in ("passed", "not asked") for step in verdict.steps)
