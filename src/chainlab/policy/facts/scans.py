"""Lookups: what the gate looks up or scans itself, so that nobody's word is taken for it.

    packages          what the platform saw the index serve, with the times of the index
    unserved          what the lock lets prod install besides
    vulnerabilities   components and packages against the advisories, after the VEX statements that hold
    models            the format of each file, by its bytes

What could not be looked at says so (``scanned: false``), and the rules refuse it.
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


def served_packages(release: Release, pieces: Sequence[VerifiedBundle], index: PackageIndex) -> list[dict[str, Any]]:
    """The packages that the platform's provenance lists, each with its jobs, and when the index got it.

    Only of the runs that pushed this manifest: another run may have made the same bytes from other packages.
    """
    jobs: dict[predicates.Served, set[str]] = {}
    proven = list(of_type(pieces, PROVENANCE))
    runs = {p.facts["run"] for p in proven if str(release.digest) in p.facts["about"]} - {""}
    for piece in proven:
        if piece.facts["run"] not in runs:
            continue
        job, listed = predicates.served_packages(piece.predicate)
        for entry in listed:
            jobs.setdefault(entry, set()).add(job)
    return [
        {
            "id": f"{name}@{predicates.version_of(file)}",
            "name": name,
            "version": predicates.version_of(file),
            "file": file,
            "sha256": digest,
            "jobs": sorted(used),
            **_held(index, name, file, digest),
        }
        for (name, file, digest), used in sorted(jobs.items())
    ]


def _held(index: PackageIndex, name: str, file: str, digest: str) -> dict[str, Any]:
    """What the index says of the file and of its project's owner; nulls where it has none such."""
    try:
        held = [
            entry
            for entry in index.holding(Digest.parse(f"sha256:{digest}"))
            if (entry.project, entry.filename) == (name, file)
        ]
        owner = index.project(name).owner if held else None
    except ChainlabError:
        held, owner = [], None
    if not held:
        return {"uploaded": None, "upstream": None, "owner": None}
    uploaded = held[0].uploaded
    return {
        "uploaded": None if uploaded is None else uploaded.timestamp(),
        "upstream": held[0].upstream,
        "owner": owner,
    }


def unserved_pins(release: Release, served: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Why prod may not install from the lock: another form than the canonical one, and pins that no job was served.

    ``name`` is the title of the layer with the lock.
    """
    try:
        lock = release.read(release.layer(name))
    except ChainlabError:
        return [f"there is no {name} that can be read: what prod would install is unknown"]
    return requirements(lock, served)[1]


def quarantined_packages(served: Sequence[Mapping[str, Any]], registry: Registry) -> list[str]:
    """Which of the packages are in quarantine by now, and why."""
    found = []
    for package in served:
        try:
            artifact = ChannelArtifact("package", str(package["name"]))
            reason = registry.held_back(artifact, Digest.parse(f"sha256:{package['sha256']}"))
        except ChainlabError:  # the index does not have it: its age is unknown too
            continue
        if reason:
            found.append(f"{package['file']}, which was installed, is in quarantine: {reason}")
    return found


def scan_vulnerabilities(
    release: Release,
    pieces: Sequence[VerifiedBundle],
    served: Sequence[Mapping[str, Any]],
    advisories: Path,
    at: datetime,
    max_age: timedelta,
) -> dict[str, Any]:
    """What is known about the components, and what remains of it after VEX.

    With an advisory that cannot be read it is not ``scanned``: the policy may excuse that record by its id.
    """
    from chainlab.evidence.components import purl_of
    from chainlab.evidence.sbom import cyclonedx
    from chainlab.evidence.vex import document as vex
    from chainlab.evidence.vulnerabilities import is_compared, match

    try:
        listed = load_advisories(advisories)
        components: dict[tuple[str, str, str], Any] = {}
        for piece in of_type(pieces, SBOM):
            for component in cyclonedx.read(piece.predicate, strict=True).components:
                key = (component.key, component.version, component.purl.partition("?")[0])
                components.setdefault(key, component)
        # An SBOM may be silent about what was installed, or give it a purl that no advisory knows.
        for package in served:
            name, version = str(package["name"]), str(package["version"])
            entry = {"name": name, "version": version, "purl": purl_of(name, version)}
            components.setdefault((name, version, entry["purl"]), entry)
        claims: list[VexStatement] = []
        void: list[UnreadStatement] = []
        for piece in of_type(pieces, OPENVEX):
            if piece.facts["about"]:
                signed = {
                    "by": piece.facts["signer"],
                    "signed_at": datetime.fromtimestamp(piece.facts["signed_at"], UTC),
                }
                said = vex.load(piece.predicate)
                claims += [replace(claim, **signed) for claim in said]
                void += said.void
        products = [str(subject) for subject in release.subjects]
        outcomes = vex.apply(
            match(components.values(), listed),
            claims,
            at,
            products=products,
            max_age=max_age,
            void=void,
        )
    except (ChainlabError, OSError, ValueError, TypeError) as error:
        why = error.message if isinstance(error, ChainlabError) else str(error)
        return {"scanned": False, "why": why[:300]}
    return {
        "scanned": not listed.unread,
        "why": f"{len(listed.unread)} of the advisories cannot be read" if listed.unread else "",
        "unread": [asdict(record) for record in listed.unread],
        "components": len(components),
        "uncompared": sum(not is_compared(component) for component in components.values()),
        "advisories": len(listed.records),
        "skipped": dict(listed.skipped),
        "void": [entry.why for entry in void],
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


def load_advisories(folder: Path) -> Advisories:
    """The advisories of a folder; read again when a file in it changes."""
    from chainlab.evidence import advisories

    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    stamps = [(str(p), s.st_mtime_ns, s.st_size) for p in paths for s in [p.stat()]]
    key = (str(folder), tuple(stamps))
    found = _loaded.get(key)
    if found is None:
        found = advisories.load(folder)
        _loaded.clear()
        _loaded[key] = found
    return found


def scan_models(release: Release, ends: Sequence[str]) -> list[dict[str, Any]]:
    """What each model is, by its bytes, and what scanning it came to."""
    from chainlab.evidence.models.formats import identify
    from chainlab.evidence.models.inspection import inspect_bytes

    found = []
    for layer in release.layers:
        if not release.is_intact(layer) or not layer.name.endswith(tuple(ends)):
            continue
        data = release.read(layer)
        form, report = identify(data, layer.name), inspect_bytes(data, layer.name)
        said = [f"{what} was not scanned: {why}" for what, why in report.not_scanned]
        said += [finding.message for finding in report.findings]
        found.append(
            {
                "name": layer.name,
                "digest": str(layer.digest),
                "format": form.name,
                "code_on_load": form.runs,
                "passed": report.passed,
                "why": "; ".join(said)[:500] or form.why,
            }
        )
    return found


def preload() -> None:
    """Import what looking up and verifying need, once, before the first release."""
    import sigstore.models
    import sigstore.verify  # noqa: F401

    from chainlab.evidence.models import inspection
    from chainlab.evidence.sbom import schema

    schema.problems({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1})  # compiles the schema
    inspection.inspect_bytes(b"", "empty.onnx")
