"""A release with its evidence, every bundle really signed: what exercises 4.3 and 4.6 begin with.

The evidence is that of a release of ``acme/triage-model``: provenance by the CI host for the jobs `build`, `train` and
`package`, and what the release workflow itself attests: SBOM, ML-BOM, model signature.

    >>> Attester(trust).host(statement)                       # doctest: +SKIP
    b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", …
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from chainlab.ci.provenance import BUILD_TYPE, BUILDER, SIGNER
from chainlab.course.exercises.publishers import claims_of
from chainlab.digests import Digest
from chainlab.evidence.statements import MODEL_SIGNATURE, OPENVEX, PROVENANCE, SBOM, Statement
from chainlab.registry.oci_manifest import MANIFEST_TYPE, TITLE
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER, ISSUER

__all__ = ["Attester", "Release", "house_of", "provenance"]

MODEL, LOCK = "triage.onnx", "requirements.lock"
PATH = ".github/workflows/release.yml"
REPOSITORY = "acme/triage-model"
SECURITY = "security@acme.example"
PACKAGES = ("fastfeatures", "tinyarrays", "notescan", "wardlib", "onnxlight", "labelkit")


class Attester:
    """Signs statements as the platform, as a workflow, or as a person."""

    def __init__(self, trust: Any) -> None:
        self._trust = trust
        self._open = ExitStack()  # one certificate for each identity: half the time
        self._signers: dict[str, Any] = {}
        self._signed: dict[tuple[str, bytes], bytes] = {}

    def host(self, statement: Statement) -> bytes:
        """A bundle by the CI host, whose identity no job can ask for."""
        workflow = SIGNER.removeprefix(f"{GIT_SERVER}/")
        claims = {
            "sub": "chainlab:ci-host",
            "repository": "chainlab/ci-host",
            "job_workflow_ref": workflow,
        }
        return self._sign(statement, {"claims": claims})

    def workflow(
        self,
        statement: Statement,
        ref: str,
        *,
        repository: str = REPOSITORY,
        file: str = "release.yml",
    ) -> bytes:
        """A bundle by a workflow file at a ref."""
        return self._sign(statement, {"claims": claims_of(repository, file, ref)})

    def person(self, statement: Statement, address: str) -> bytes:
        """A bundle by somebody with an address."""
        return self._sign(statement, {"email": address})

    def _sign(self, statement: Statement, who: dict[str, Any]) -> bytes:
        from sigstore.dsse import Statement as Signable

        name, said = json.dumps(who, sort_keys=True), statement.dump()
        if (name, said) not in self._signed:
            bundle = self._signer(name, who).sign_dsse(Signable(said))
            self._signed[name, said] = bundle.to_json().encode()
        return self._signed[name, said]

    def _signer(self, name: str, who: dict[str, Any]) -> Any:
        from sigstore.oidc import IdentityToken
        from sigstore.sign import SigningContext

        if name not in self._signers:
            context = SigningContext.from_trust_config(self._trust.config)
            token = IdentityToken(self._trust.token(**who))
            self._signers[name] = self._open.enter_context(context.signer(token))
        return self._signers[name]


def provenance(
    job: str,
    subjects: Mapping[str, Digest],
    version: str,
    run: int,
    *,
    repository: str = REPOSITORY,
    ref: str = "",
    commit: str = "",
    path: str = PATH,
    builder: str = BUILDER,
    inputs: Mapping[str, Any] | None = None,
    used: tuple[dict[str, Any], ...] = (),
    predicate_type: str = PROVENANCE,
    **other: Any,
) -> Statement:
    """What the host says of one job of a run (SLSA provenance v1); ``other`` are more external parameters."""
    ref = ref or f"refs/tags/{version}"
    source = {
        "uri": f"git+{GIT_SERVER}/{repository}@{ref}",
        "digest": {"gitCommit": commit or f"{run:040x}"},
    }
    workflow = {"repository": f"{GIT_SERVER}/{repository}", "ref": ref, "path": path}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"workflow": workflow, "inputs": dict(inputs or {}), **other},
            "internalParameters": {"event_name": "push", "job": job},
            "resolvedDependencies": [source, *used],
        },
        "runDetails": {
            "builder": {"id": builder},
            "metadata": {"invocationId": f"{GIT_SERVER}/{repository}/actions/runs/{run}/attempts/1"},
        },
    }
    return Statement.about(subjects, predicate_type, predicate)


@dataclass
class Release:
    """The parts of a release before they are signed; change some, then `made` it."""

    version: str
    run: int
    files: dict[str, bytes]
    packages: dict[str, str]  # name to version, as the lock has them
    recall: dict[str, Any]  # value, lowerBound, upperBound
    exploited: dict[str, str]  # purl to the advisory's id
    vex: tuple[dict[str, Any], ...] = ()
    extra_layers: dict[str, Digest] = field(default_factory=dict)

    @classmethod
    def build(cls, rng: random.Random) -> Release:
        """A release in which everything holds; it differs with the seed."""
        version = f"v1.{rng.randrange(3, 60)}.{rng.randrange(9)}"
        names = sorted(rng.sample(PACKAGES, 4))
        packages = {name: f"{rng.randrange(5)}.{rng.randrange(30)}.{rng.randrange(9)}" for name in names}
        lower = rng.randrange(905, 930)
        recall = {
            "value": f"0.{lower + rng.randrange(10, 20)}",
            "lowerBound": f"0.{lower}",
            "upperBound": f"0.{lower + rng.randrange(25, 40)}",
        }
        files = {
            MODEL: b"\x08\x08\x12\x07skl2onnx" + rng.randbytes(60),
            f"triage_model-{version[1:]}-py3-none-any.whl": b"PK\x03\x04" + rng.randbytes(40),
        }
        made = cls(
            version,
            rng.randrange(100, 900),
            files,
            packages,
            recall,
            {"pkg:pypi/mothballs@0.1.0": "ACME-2026-9"},
        )
        made.files[LOCK] = made.lock()
        return made

    def copy(self, **changes: Any) -> Release:
        """Another one, with some parts changed."""
        parts = {
            "files": dict(self.files),
            "packages": dict(self.packages),
            "recall": dict(self.recall),
        }
        return replace(self, **{**parts, "exploited": dict(self.exploited), **changes})

    @property
    def ref(self) -> str:
        """The tag."""
        return f"refs/tags/{self.version}"

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return next((name for name in self.files if name.endswith(".whl")), "gone.whl")

    def lock(self, *more: str) -> bytes:
        """The lock file's text: a line for each package."""
        lines = ["# made by the build", *more]
        lines += [
            f"{n}=={v} --hash=sha256:{Digest.of(f'{n} {v}'.encode()).value.hex()}" for n, v in self.packages.items()
        ]
        return ("\n".join(lines) + "\n").encode()

    def digest(self, name: str) -> Digest:
        """Of one file."""
        return Digest.of(self.files[name])

    def manifest(self) -> bytes:
        """The OCI manifest that names the files by digest."""
        layers = {
            **{name: Digest.of(data) for name, data in self.files.items()},
            **self.extra_layers,
        }
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": "application/vnd.acme.release.v1+json",
            "layers": [{"digest": str(d), "annotations": {TITLE: n}} for n, d in sorted(layers.items())],
            "annotations": {"org.opencontainers.image.version": self.version},
        }
        return json.dumps(document).encode()

    # -- what is said about it

    def sbom(self, **versions: str) -> Statement:
        """The SBOM of the service; ``versions`` replace some, "" leaves one out."""
        listed = {**self.packages, **versions}
        components = [
            {"type": "library", "name": n, "version": v, "purl": f"pkg:pypi/{n}@{v}"} for n, v in listed.items() if v
        ]
        document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
        return Statement.about({self.wheel: self.digest(self.wheel)}, SBOM, document)

    def ml_bom(self, metrics: Any = None) -> Statement:
        """The ML-BOM, with the metrics of the training run."""
        recall = {
            "type": "recall",
            "value": self.recall["value"],
            "confidenceInterval": {k: v for k, v in self.recall.items() if k != "value"},
        }
        accuracy = {
            "type": "accuracy",
            "value": "0.81",
            "confidenceInterval": {"lowerBound": "0.78", "upperBound": "0.84"},
        }
        card = {"quantitativeAnalysis": {"performanceMetrics": [accuracy, recall] if metrics is None else metrics}}
        model = {
            "type": "machine-learning-model",
            "name": "triage",
            "version": self.version,
            "modelCard": card,
        }
        document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [model]}
        return Statement.about({MODEL: self.digest(MODEL)}, SBOM, document)

    def model_signature(self, *more: tuple[str, Digest], predicate_type: str = MODEL_SIGNATURE) -> Statement:
        """The OMS statement over a folder with the model, and ``more`` files."""
        listed = sorted([(MODEL, self.digest(MODEL)), *more])
        predicate = {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": n, "digest": d.value.hex(), "algorithm": "sha256"} for n, d in listed],
        }
        whole = Digest.of(b"".join(d.value for _, d in listed))
        return Statement.about({"model": whole}, predicate_type, predicate)

    def vex_statement(self, about: str = "") -> Statement:
        """OpenVEX about the wheel."""
        document = {"@context": OPENVEX, "statements": list(self.vex)}
        name = about or self.wheel
        return Statement.about({name: self.digest(name)}, OPENVEX, document)

    def not_affected(self, package: str, advisory: str, **changes: str) -> dict[str, Any]:
        """An entry of a VEX document."""
        entry: dict[str, Any] = {
            "vulnerability": {"name": advisory},
            "products": [{"@id": f"pkg:pypi/{package}@{self.packages[package]}"}],
            "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
            **changes,
        }
        return {key: value for key, value in entry.items() if value}

    def built(self, job: str, **changes: Any) -> Statement:
        """Provenance of one of the three jobs; ``changes`` as `provenance` takes them."""
        wheel = {self.wheel: self.digest(self.wheel)} if self.wheel in self.files else {}
        manifest = Digest.of(self.manifest())
        subjects = {
            "build": {**wheel, LOCK: self.digest(LOCK)} if LOCK in self.files else wheel,
            "train": {MODEL: self.digest(MODEL)},
            "package": {"acme/triage-model/release": manifest},
        }.get(job, {})
        facts = {
            "version": self.version,
            "run": self.run,
            "subjects": subjects,
            "job": job,
            **changes,
        }
        return provenance(**facts)

    def evidence(self, by: Attester) -> dict[str, bytes]:
        """All that a good release brings, by kind."""
        found = {job: by.host(self.built(job)) for job in ("build", "train", "package")}
        found["sbom"] = by.workflow(self.sbom(), self.ref)
        found["ml-bom"] = by.workflow(self.ml_bom(), self.ref)
        found["model signature"] = by.workflow(self.model_signature(), self.ref)
        if self.vex:
            found["vex"] = by.person(self.vex_statement(), SECURITY)
        return found

    def document(self, evidence: list[bytes]) -> dict[str, Any]:
        """What a gate is given."""
        return {
            "version": self.version,
            "manifest": self.manifest(),
            "files": dict(self.files),
            "evidence": list(evidence),
        }


def house_of(release: Release) -> dict[str, Any]:
    """What acme expects of a release: the gate's policy, as data."""
    return {
        "ci": CI_ISSUER,
        "people": ISSUER,
        "host": SIGNER,
        "builder": BUILDER,
        "workflow": f"{GIT_SERVER}/{REPOSITORY}/{PATH}",
        "repository": f"{GIT_SERVER}/{REPOSITORY}",
        "path": PATH,
        "security": SECURITY,
        "least_recall": 0.9,
        "exploited": dict(release.exploited),
    }
