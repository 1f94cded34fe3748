"""Handover between jobs: before a job uses the files of another job, it verifies their origin.

The artifact storage proves nothing: whoever can write to it can swap the bytes. So for each file the job asks the
registry for the platform's provenance of its digest. It accepts the file only from the named job of this run, at this
commit, and only if that job succeeded. Then it verifies the bundles that the other job itself signed, beside the file:

    triage.onnx   triage.onnx.sbom.sigstore.json   triage.onnx.model.sigstore.json

Evidence is looked up by the digest of the bytes at hand: swapped bytes have none.
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

KINDS = {"sbom": SBOM, "model": ""}  # kind of a job's own attestation: predicate type
SUFFIX = ".sigstore.json"
MAX_RESPONSE = 2**24  # bytes
SECONDS = 20  # to wait for a response of the registry


@dataclass(frozen=True)
class Handover:
    """A job's own coordinates, from which it knows what to expect of the files that it takes over."""

    url: str  # where the registry listens
    repository: str
    ref: str
    commit: str
    run: str
    workflow_ref: str  # `owner/repo/.github/workflows/release.yml@refs/…`
    config: ClientTrustConfig
    token: str = field(default="", repr=False)  # ACTIONS_RUNTIME_TOKEN: reads the evidence of the repository's files

    @classmethod
    def of_job(cls, environment: Mapping[str, str]) -> Handover:
        """Read a job's environment variables. Raises `MalformedInput` outside a job."""
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
            raise MalformedInput(f"{error.args[0]} is not set: this is not a job") from error

    def accept(self, folder: Path, job: str, attested: Sequence[str] = ()) -> list[str]:
        """Verify that ``job`` of this run stored every file below ``folder``; returns a line for each.

        ``attested`` names ``file:kind`` pairs that the job must have signed too. Raises `VerificationFailed` for the
        first file that fails, for a link, and for an empty folder.
        """
        paths = sorted(folder.rglob("*"))
        files = {p.relative_to(folder).as_posix(): p for p in paths if not p.is_dir()}
        if not files:
            raise VerificationFailed(f"{job} handed over nothing", hint="look at that job's log")
        for path in (folder, *paths):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise VerificationFailed(
                    f"not a plain file: {path.name}",
                    why="no attestation covers the target of a link",
                    hint="hand over the file itself",
                )
        lines = []
        for name, path in files.items():
            self._require(name, self.provenance(Digest.of_file(path), job))
            lines.append(f"✓ {name}: stored by job {job} of this run")
        for pair in attested:
            name, _, kind = pair.partition(":")
            verdict = self.attestation(folder, name, kind) if name in files else None
            self._require(f"{name} ({kind})", verdict)  # the name may be the other job's own output
            lines.append(f"✓ {name}: {kind} signed by this workflow")
        return lines

    def provenance(self, digest: Digest, job: str) -> Verdict | None:
        """The best verdict on the platform's provenance of a digest; None if the registry has none."""
        expected = self.expected(job)
        best: Verdict | None = None
        for bundle in self._evidence(digest):
            verdict = verify(bundle, digest, expected, self.config.trusted_root)
            if verdict.passed:
                return verdict
            best = verdict if best is None or _reached(verdict) > _reached(best) else best
        return best

    def attestation(self, folder: Path, name: str, kind: str) -> Verdict | None:
        """The verdict on the job's own bundle beside a file; None if there is no bundle."""
        if kind not in KINDS:
            raise MalformedInput(f"unknown kind of attestation: {kind!r}", hint=f"known: {', '.join(KINDS)}")
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
        """The job's own bundles beside a file, each verified; other files there are ignored.

        Raises `VerificationFailed` for a bundle that fails.
        """
        bundles = []
        for kind in KINDS:
            verdict = self.attestation(file.parent, file.name, kind)
            if verdict is not None:
                self._require(f"{file.name} ({kind})", verdict)
                bundles.append(file.with_name(bundle_name(file.name, kind)).read_bytes())
        return bundles

    def expected(self, job: str) -> Expectations:
        """The expectations for the platform's provenance of a job of this run."""
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
        """The provenance bundles that the registry has for a digest, to push them beside the file."""
        return list(self._evidence(digest))

    def _evidence(self, digest: Digest) -> Iterator[bytes]:
        """Provenance bundles, the newest first: an unchanged file has the provenance of every run so far."""
        try:
            document = json.loads(self._get(f"/evidence/{digest}"))
            kinds = [item for item in document["attached"] if item["kind"] == "provenance"]
            for item in kinds:
                yield self._get(str(item["path"]))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return
            raise VerificationFailed("the registry refused to show its evidence", why=f"status {error.code}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VerificationFailed("the registry's evidence cannot be read", why=str(error)[:200]) from error

    def _get(self, path: str) -> bytes:
        url = urllib.parse.urljoin(self.url, path)
        if not url.startswith(f"{self.url}/evidence/"):
            raise ValueError(f"evidence is not at {path[:100]!r}")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the kit's own address
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            data: bytes = response.read(MAX_RESPONSE + 1)
        if len(data) > MAX_RESPONSE:
            raise ValueError("the response is too long")
        return data

    def _require(self, what: str, verdict: Verdict | None) -> None:
        if verdict is None:
            raise VerificationFailed(
                f"{what}: there is no evidence for these bytes",
                why="no attestation names this digest",
                hint="if the file was replaced after its job, this is an incident: keep it and find out who wrote it",
            )
        try:
            verdict.require()
        except VerificationFailed as error:
            raise VerificationFailed(f"{what}: {error.message}", why=error.why, hint=error.hint) from error


def bundle_name(name: str, kind: str) -> str:
    """The name of the bundle beside a file."""
    return f"{Path(name).name}.{kind}{SUFFIX}"


def workflow_signer(workflow_ref: str) -> Signer:
    """The identity of a workflow at a ref, as its jobs' certificates name it."""
    return Signer(f"{GIT_SERVER}/{workflow_ref}", CI_ISSUER)


def _reached(verdict: Verdict) -> int:
    return sum(step.result in ("passed", "not asked") for step in verdict.steps)
