"""Releases made by hand: everything that the pipeline would leave in the registry, each part open to be spoilt.

    maker = ReleaseMaker(registry, trust, wheelhouse)
    release = maker.parts()                     # as it should be
    release.statements["SBOM"].predicate[...]   # spoil what is said, before it is signed
    bundles = maker.sign(release)               # name → signed bundle: spoil what was signed
    reference = maker.push(release, bundles)    # a repository of its own, with a referrer for each

A signature over the same statement by the same signer is made once. No run of the CI host is needed, so a hundred
releases take seconds.
"""

from __future__ import annotations

import copy
import itertools
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chainlab.ci.runs import job_provenance
from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.evidence import signing
from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.models import mlbom, model_signing
from chainlab.evidence.models.mlbom import Metric, Training
from chainlab.evidence.sbom import builder
from chainlab.evidence.statements import (
    MODEL_SIGNATURE,
    OPENVEX,
    PROVENANCE,
    SBOM,
    Statement,
)
from chainlab.evidence.verifying import RESULT
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci import referrers
from chainlab.registry.oci.manifest import MANIFEST_TYPE, TITLE
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust
from chainlab.trust.issuer import GIT_SERVER

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)
MODEL = ROOT / "data" / "models" / "triage.onnx"
NUMBERS = itertools.count()
EMPTY = "application/vnd.oci.empty.v1+json"
RELEASE_TYPE = "application/vnd.acme.release.v1+json"
REPOSITORY = "acme/triage-model"
COMMIT = "4be5f0c1" * 5
PIN = "a93c1b42" * 5
WHEEL = "triage_model-1.4.0-py3-none-any.whl"
LOCK = "requirements.lock"
OLD = NOW - timedelta(days=100)
UPSTREAM = {  # file: when it was uploaded
    "northwind_loader-1.6.2-py3-none-any.whl": OLD,
    "northwind_loader-1.5.0-py3-none-any.whl": OLD,  # ACME-2026-0004, exploited
    "northwind_http-3.2.0-py3-none-any.whl": OLD,  # ACME-2026-0005, not exploited
    "northwind_http-3.2.5-py3-none-any.whl": OLD,
    "northwind_queue-1.0-py3-none-any.whl": NOW - timedelta(days=1),
    "northwind_stack-1.0-py3-none-any.whl": None,
    "setuptools-80.0.0-py3-none-any.whl": OLD,
}
USED = (
    "acme_cells-1.2.0-py3-none-any.whl",
    "acme_quantise-1.0.3-py3-none-any.whl",
    "northwind_loader-1.6.2-py3-none-any.whl",
    "northwind_http-3.2.5-py3-none-any.whl",
    "setuptools-80.0.0-py3-none-any.whl",
)


@dataclass
class UnsignedStatement:
    """A statement before it is signed, and who signs it: a workflow, ``host``, or an email address."""

    subjects: dict[str, Digest]
    predicate_type: str
    predicate: Any
    signer: str
    extra: dict[str, Any] = field(default_factory=dict)  # further fields of the statement


@dataclass
class ReleaseParts:
    """A release before it is pushed."""

    version: str
    files: dict[str, bytes]
    annotations: dict[str, str]
    statements: dict[str, UnsignedStatement]
    artifact_type: str = RELEASE_TYPE

    def manifest(self) -> bytes:
        """The manifest's bytes."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.artifact_type,
            "config": descriptor(b"{}", EMPTY),
            "layers": [
                {**descriptor(data, "application/octet-stream"), "annotations": {TITLE: name}}
                for name, data in self.files.items()
            ],
            "annotations": self.annotations,
        }
        return json.dumps(document).encode()

    def digests(self) -> dict[str, Digest]:
        """The manifest (by the repository's name) and its files."""
        files = {name: Digest.of(data) for name, data in self.files.items()}
        return {f"{REPOSITORY}/release": Digest.of(self.manifest()), **files}


class ReleaseMaker:
    """Makes releases in one registry, with one instance's signatures."""

    def __init__(self, registry: Registry, trust: Trust) -> None:
        self.registry = registry
        self.trust = trust
        self._signed: dict[tuple[bytes, str], bytes] = {}
        self._models: dict[tuple[bytes, str, str], bytes] = {}
        self._count = 0
        self._parts: dict[tuple[str, tuple[str, ...], bytes], ReleaseParts] = {}
        for wheel in sorted((ROOT / "data/packages/wheels").glob("*.whl")):
            registry.index.publish(wheel, by=Credential("acme", frozenset({"packages:upload:*"})))

    def parts(self, version: str = "v1.4.0", used: Iterable[str] = USED, wheel: bytes = b"") -> ReleaseParts:
        """A release as it should be; a copy, to be spoilt at will. Without ``wheel`` its wheel cannot be installed."""
        key = (version, tuple(used), wheel)
        if key not in self._parts:
            self._parts[key] = self._new(*key)
        return copy.deepcopy(self._parts[key])

    def _new(self, version: str, used: tuple[str, ...], wheel: bytes) -> ReleaseParts:
        files = {
            "triage.onnx": MODEL.read_bytes(),
            WHEEL: wheel or f"the wheel of {version}".encode(),
            LOCK: "".join(map(self.pin, used)).encode(),
        }
        annotations = {
            "org.opencontainers.image.revision": COMMIT,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.source": f"git+{GIT_SERVER}/{REPOSITORY}",
        }
        parts = ReleaseParts(version, files, annotations, {})
        workflow = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/{version}"
        named = parts.digests()
        source = {"source.tar": Digest.of(b"source"), LOCK: named[LOCK]}
        stored = {
            "source": source,
            "build": {WHEEL: named[WHEEL]},
            "train": {"triage.onnx": named["triage.onnx"], "metrics.json": Digest.of(b"metrics")},
            "package": named,
        }
        for job, subjects in stored.items():
            packages = used if job in ("build", "train") else ()
            said = self.provenance(job, version, packages)
            parts.statements[f"provenance of {job}"] = UnsignedStatement(subjects, PROVENANCE, said, "host")
        parts.statements["SBOM"] = UnsignedStatement(
            {WHEEL: named[WHEEL]}, SBOM, self.bill(used, files[WHEEL]), workflow
        )
        parts.statements["ML-BOM"] = UnsignedStatement(
            {"triage.onnx": named["triage.onnx"]}, SBOM, card(version), workflow
        )
        signed = UnsignedStatement(
            {"triage.onnx": named["triage.onnx"]}, MODEL_SIGNATURE, files["triage.onnx"], workflow
        )
        parts.statements["model signature"] = signed
        return parts

    def provenance(self, job: str, version: str, packages: Iterable[str]) -> dict[str, Any]:
        """What the platform says of a job."""
        source = f"{GIT_SERVER}/{REPOSITORY}"
        ref = f"refs/tags/{version}"
        used: list[dict[str, Any]] = [
            {"uri": f"git+{source}@{ref}", "digest": {"gitCommit": COMMIT}},
            {"uri": f"git+{GIT_SERVER}/actions/checkout@{PIN}", "digest": {"gitCommit": PIN}},
        ]
        for file in packages:
            name = file.partition("-")[0].replace("_", "-")
            digest = self.file(file).value.hex()
            used.append({"uri": f"pkg:pypi/{name}", "name": file, "digest": {"sha256": digest}})
        return {
            "buildDefinition": {
                "buildType": job_provenance.BUILD_TYPE,
                "externalParameters": {
                    "workflow": {
                        "repository": source,
                        "ref": ref,
                        "path": ".github/workflows/release.yml",
                    },
                    "inputs": {},
                },
                "internalParameters": {
                    "event_name": "push",
                    "actor": "acme",
                    "fork": False,
                    "job": job,
                },
                "resolvedDependencies": used,
            },
            "runDetails": {
                "builder": {"id": job_provenance.BUILDER},
                "metadata": {
                    "invocationId": job_provenance.invocation(REPOSITORY, run_of(version)),
                    RESULT: "success",
                },
            },
        }

    def file(self, name: str) -> Digest:
        """The digest of a file that the index serves."""
        project = name.partition("-")[0].replace("_", "-")
        return next(f.digest for f in self.registry.index.files(project) if f.filename == name)

    def pin(self, file: str, marker: str = "") -> str:
        """The lines of a lock that accept a file that the index serves, in a release's canonical form."""
        name, version = file.split("-")[:2]
        digest = self.file(file).value.hex()
        return f"{name.replace('_', '-')}=={version}{marker} \\\n    --hash=sha256:{digest}\n"

    def bill(self, used: Iterable[str], wheel: bytes) -> dict[str, Any]:
        """The SBOM of the service."""
        components = []
        for file in used:
            name, version = file.split("-")[:2]
            name = name.replace("_", "-")
            if name != "setuptools":
                hashes = {"SHA-256": self.file(file).value.hex()}
                components.append(Component(name, version, purl_of(name, version), hashes, "index", "Apache-2.0"))
        hashes = {"SHA-256": Digest.of(wheel).value.hex()}
        subject = Component("triage-model", "1.4.0", purl_of("triage-model", "1.4.0"), hashes)
        return dict(plain(builder.document(components, subject=subject, at=OLD)))

    # -- signing

    def sign(self, parts: ReleaseParts) -> dict[str, bytes]:
        """Every statement, signed."""
        return {name: self.signed(said, parts) for name, said in parts.statements.items()}

    def signed(self, said: UnsignedStatement, parts: ReleaseParts) -> bytes:
        """One statement in a bundle."""
        if said.predicate_type == MODEL_SIGNATURE:
            return self._signed_model(said)
        statement = Statement.about(said.subjects, said.predicate_type, said.predicate)
        key = (statement.dump() + json.dumps(said.extra).encode(), said.signer)
        if key not in self._signed:
            if said.extra:
                statement = _Extended(statement.subjects, statement.predicate_type, statement.predicate)
                object.__setattr__(statement, "extra", said.extra)
            self._signed[key] = signing.sign(statement, self.trust.config, self.token(said.signer))
        return self._signed[key]

    def _signed_model(self, said: UnsignedStatement) -> bytes:
        """A model's signature; its ``predicate`` is the model itself."""
        [name], data = said.subjects, said.predicate
        key = (data, name, said.signer)
        if key not in self._models:
            path = self.trust.directory / "model" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            self._models[key] = model_signing.sign(path, self.trust.config, self.token(said.signer))
        return self._models[key]

    def token(self, signer: str) -> str:
        """A token that makes the signer's certificate."""
        if "@" in signer and "/" not in signer:
            return self.trust.token(signer)
        workflow = job_provenance.HOST_WORKFLOW if signer == "host" else signer
        repository = "/".join(workflow.split("/")[:2])
        claims = {
            "sub": f"repo:{repository}",
            "job_workflow_ref": workflow,
            "repository": repository,
        }
        return self.trust.token(claims=claims)

    # -- pushing

    def push(
        self,
        parts: ReleaseParts,
        bundles: Mapping[str, bytes] | None = None,
        *,
        attach: bool = False,
        name: str = "",
    ) -> str:
        """The reference of the pushed release. With ``attach`` provenance is evidence of the files, and no referrer."""
        self._count += 1
        repository = name or f"{REPOSITORY}/release-{self._count}"
        images = self.registry.images
        for data in (b"{}", *parts.files.values()):
            images.blobs.put(data)
            images.link(repository, Digest.of(data))
        raw = parts.manifest()
        stored = images.push(repository, parts.version, raw, MANIFEST_TYPE, by="a job")
        for kind, bundle in (self.sign(parts) if bundles is None else bundles).items():
            if attach and kind.startswith("provenance") and kind in parts.statements:
                for digest in (*parts.statements[kind].subjects.values(), stored.digest):
                    self.registry.evidence.add(digest, "provenance", bundle, BUNDLE_TYPE, "host")
            else:
                referrers.attach(images, repository, stored.digest, bundle, BUNDLE_TYPE, by="a job")
        return f"oci/{repository}@{stored.digest}"


def apart(parts: ReleaseParts) -> ReleaseParts:
    """The release with a digest of its own: what the gate counted about the same bytes before counts for it too."""
    parts.annotations["note"] = f"release {next(NUMBERS)}"
    parts.statements["provenance of package"].subjects = parts.digests()
    return parts


def run_of(version: str) -> int:
    """The number of the run that a tag started."""
    return 17 if version == "v1.4.0" else 20 + sum(version.encode())


class _Extended(Statement):
    """A statement with fields that nobody defined."""

    def document(self) -> dict[str, Any]:
        return {**self.extra, **super().document()}  # type: ignore[attr-defined]


def vex(version: str, product: str, *, status: str = "not_affected", at: datetime = NOW) -> Any:
    """An OpenVEX document about ACME-2026-0004 in northwind-loader."""
    statement: dict[str, Any] = {
        "vulnerability": {"name": "ACME-2026-0004"},
        "products": [
            {
                "@id": product,
                "subcomponents": [{"@id": f"pkg:pypi/northwind-loader@{version}"}],
            }
        ],
        "status": status,
    }
    if status == "not_affected":
        statement["justification"] = "vulnerable_code_not_in_execute_path"
    moment = (at - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://acme.example/vex/4",
        "author": "security@acme.example",
        "timestamp": moment,
        "version": 1,
        "statements": [statement],
    }


def vex_statement(parts: ReleaseParts, signer: str = "security@acme.example", **about: Any) -> UnsignedStatement:
    """The VEX statement about the release's wheel."""
    digest = Digest.of(parts.files[WHEEL])
    return UnsignedStatement({WHEEL: digest}, OPENVEX, vex("1.5.0", str(digest), **about), signer)


def card(version: str, accuracy: int = 111, recall: int = 41) -> Any:
    """The ML-BOM: hits of 114 test cases, and of 43 malignant ones."""
    training = Training(
        metrics=[
            Metric.of("accuracy", accuracy, 114, "test"),
            Metric.of("recall", recall, 43, "test, malignant"),
        ],
        workflow={"uri": f"git+{GIT_SERVER}/{REPOSITORY}", "commit": COMMIT, "job": "train"},
    )
    return plain(mlbom.document(MODEL, name="triage-model", version=version.lstrip("v"), training=training, at=OLD))


def wheelhouse(folder: Path) -> dict[Digest, datetime]:
    """Small wheels for the index's upstream, and when each was uploaded."""
    times = {}
    for name, uploaded in UPSTREAM.items():
        project, version = name.split("-")[:2]
        info = f"{project}-{version}.dist-info"
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(f"{project}.py", f"version = {version!r}\n")
            metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/RECORD", "")
        if uploaded is not None:
            times[Digest.of_file(folder / name)] = uploaded
    return times


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}


def plain(document: Any) -> Any:
    return json.loads(json.dumps(document))
