"""Step 2 of the facts, too: what the gate looks up or scans itself, instead of believing a statement.

    served_packages       what the platform saw the index serve to the jobs, with the index's own times
    unserved_pins         what the lock would let prod install besides
    scan_vulnerabilities  components and packages against the advisories, after the VEX statements that hold
    scan_models           the format of each model file, by its bytes

A scan that fails says so (``scanned: false``), and the rules refuse the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.evidence.statements import OPENVEX, PROVENANCE, SBOM
from chainlab.policy.facts import predicates
from chainlab.policy.facts.verification import VerifiedBundle, of_type
from chainlab.policy.requirements import requirements
from chainlab.registry.channels import ChannelArtifact

if TYPE_CHECKING:
    from chainlab.evidence.advisories import Advisories
    from chainlab.evidence.vex.statement import UnreadStatement, VexStatement
    from chainlab.registry.index.package_index import PackageIndex
    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release

__all__ = [
    "load_advisories",
    "preload",
    "quarantined_packages",
    "scan_models",
    "scan_vulnerabilities",
    "served_packages",
    "unserved_pins",
]

# The last folder that was loaded, by its files' names, times and sizes
_loaded: dict[tuple[str, tuple[tuple[str, int, int], ...]], Advisories] = {}


def served_packages(release: Release, bundles: Sequence[VerifiedBundle], index: PackageIndex) -> list[dict[str, Any]]:
    """List the packages in the platform's provenance, each with its jobs and with what the index knows of the file.

    Only runs that pushed this manifest count: another run may have made the same bytes from other packages.
    """
    jobs: dict[predicates.Served, set[str]] = {}
    provenance = list(of_type(bundles, PROVENANCE))
    runs = {bundle.facts["run"] for bundle in provenance if str(release.digest) in bundle.facts["about"]} - {""}
    for bundle in provenance:
        if bundle.facts["run"] not in runs:
            continue
        job, packages = predicates.served_packages(bundle.predicate)
        for package in packages:
            jobs.setdefault(package, set()).add(job)
    return [
        {
            "id": f"{name}@{predicates.version_of(file)}",
            "name": name,
            "version": predicates.version_of(file),
            "file": file,
            "sha256": digest,
            "jobs": sorted(used_by),
            **_in_index(index, name, file, digest),
        }
        for (name, file, digest), used_by in sorted(jobs.items())
    ]


def _in_index(index: PackageIndex, name: str, file: str, digest: str) -> dict[str, Any]:
    """What the index knows of a file and of its project's owner; nulls where it does not have the file."""
    try:
        files = [
            entry
            for entry in index.with_digest(Digest.parse(f"sha256:{digest}"))
            if (entry.project, entry.filename) == (name, file)
        ]
        owner = index.project(name).owner if files else None
    except ChainlabError:
        files, owner = [], None
    if not files:
        return {"uploaded": None, "upstream": None, "owner": None}
    uploaded = files[0].uploaded
    return {
        "uploaded": None if uploaded is None else uploaded.timestamp(),
        "upstream": files[0].upstream,
        "owner": owner,
    }


def unserved_pins(release: Release, served: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Tell why prod may not install from the lock: it is not in the canonical form, or pins what no job was served.

    ``name`` is the title of the layer with the lock.
    """
    try:
        lock = release.read(release.layer(name))
    except ChainlabError:
        return [f"{name} is missing or cannot be read: what prod would install is unknown"]
    return requirements(lock, served)[1]


def quarantined_packages(served: Sequence[Mapping[str, Any]], registry: Registry) -> list[str]:
    """Tell which of the packages are in quarantine by now, and why."""
    problems = []
    for package in served:
        try:
            artifact = ChannelArtifact("package", str(package["name"]))
            reason = registry.held_back(artifact, Digest.parse(f"sha256:{package['sha256']}"))
        except ChainlabError:  # the index does not have it: its age is unknown too
            continue
        if reason:
            problems.append(f"{package['file']}, which was installed, is in quarantine: {reason}")
    return problems


def scan_vulnerabilities(
    release: Release,
    bundles: Sequence[VerifiedBundle],
    served: Sequence[Mapping[str, Any]],
    folder: Path,
    at: datetime,
    max_age: timedelta,
) -> dict[str, Any]:
    """Match components and packages with the advisories in a folder, and apply the VEX statements that hold.

    When an advisory cannot be read, ``scanned`` is false; the policy may excuse that record by its id.
    """
    from chainlab.evidence.vex import document as vex
    from chainlab.evidence.vulnerabilities import is_compared, match

    try:
        advisories = load_advisories(folder)
        components = _components(bundles, served)
        statements, unread = _vex_statements(bundles)
        outcomes = vex.apply(
            match(components, advisories),
            statements,
            at,
            products=[str(subject) for subject in release.subjects],
            max_age=max_age,
            unread=unread,
        )
    except (ChainlabError, OSError, ValueError, TypeError) as error:
        why = error.message if isinstance(error, ChainlabError) else str(error)
        return {"scanned": False, "why": why[:300]}
    return {
        "scanned": not advisories.unread,
        "why": f"{len(advisories.unread)} of the advisories cannot be read" if advisories.unread else "",
        "unread": [asdict(record) for record in advisories.unread],
        "components": len(components),
        "uncompared": sum(not is_compared(component) for component in components),
        "advisories": len(advisories.records),
        "skipped": dict(advisories.skipped),
        "void": [statement.why for statement in unread],
        "found": [
            {
                "id": outcome.vulnerability.id,
                "component": f"{outcome.vulnerability.component} {outcome.vulnerability.version}",
                "severity": outcome.vulnerability.severity,
                "exploited": outcome.vulnerability.exploited,
                "status": outcome.answer,
                "why": outcome.message,
                "by": outcome.by,
            }
            for outcome in outcomes
        ],
    }


def _components(bundles: Sequence[VerifiedBundle], served: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Every component of the SBOMs, and every package served, once each."""
    from chainlab.evidence.components import purl_of
    from chainlab.evidence.sbom import cyclonedx

    components: dict[tuple[str, str, str], Any] = {}
    for bundle in of_type(bundles, SBOM):
        for component in cyclonedx.read(bundle.predicate, strict=True).components:
            key = (component.key, component.version, component.purl.partition("?")[0])
            components.setdefault(key, component)
    # An SBOM may be silent about what was installed, or give it a purl that no advisory knows.
    for package in served:
        name, version = str(package["name"]), str(package["version"])
        entry = {"name": name, "version": version, "purl": purl_of(name, version)}
        components.setdefault((name, version, entry["purl"]), entry)
    return list(components.values())


def _vex_statements(bundles: Sequence[VerifiedBundle]) -> tuple[list[VexStatement], list[UnreadStatement]]:
    """The statements of every VEX document that is about the release, with signer and time, and those unreadable."""
    from chainlab.evidence.vex import document as vex

    statements: list[VexStatement] = []
    unread: list[UnreadStatement] = []
    for bundle in of_type(bundles, OPENVEX):
        if bundle.facts["about"]:
            signed_at = datetime.fromtimestamp(bundle.facts["signed_at"], UTC)
            listed = vex.load(bundle.predicate)
            statements += [replace(each, by=bundle.facts["signer"], signed_at=signed_at) for each in listed]
            unread += listed.unread
    return statements, unread


def load_advisories(folder: Path) -> Advisories:
    """Load the advisories of a folder; read again only when one of its files changes."""
    from chainlab.evidence import advisories

    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    stamps = [(str(path), status.st_mtime_ns, status.st_size) for path in paths for status in [path.stat()]]
    key = (str(folder), tuple(stamps))
    if key not in _loaded:
        loaded = advisories.load(folder)
        _loaded.clear()
        _loaded[key] = loaded
    return _loaded[key]


def scan_models(release: Release, ends: Sequence[str]) -> list[dict[str, Any]]:
    """Identify each model by its bytes, and scan it; ``ends`` are the ends of models' names."""
    from chainlab.evidence.models.formats import identify
    from chainlab.evidence.models.inspection import inspect_bytes

    models = []
    for layer in release.layers:
        if not release.is_intact(layer) or not layer.name.endswith(tuple(ends)):
            continue
        data = release.read(layer)
        model_format, report = identify(data, layer.name), inspect_bytes(data, layer.name)
        problems = [f"{name} was not scanned: {why}" for name, why in report.not_scanned]
        problems += [finding.message for finding in report.findings]
        models.append(
            {
                "name": layer.name,
                "digest": str(layer.digest),
                "format": model_format.name,
                "code_on_load": model_format.runs,
                "passed": report.passed,
                "why": "; ".join(problems)[:500] or model_format.why,
            }
        )
    return models


def preload() -> None:
    """Import once, before the first release, what looking up and verifying need."""
    import sigstore.models
    import sigstore.verify  # noqa: F401

    from chainlab.evidence.models import inspection
    from chainlab.evidence.sbom import schema

    schema.problems({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1})  # compiles the schema
    inspection.inspect_bytes(b"", "empty.onnx")
