"""Step 3 of the facts: the document that Rego sees as ``input``. What the facts mean, the rules decide.

    {"now": 1795000000,
     "release": {"reference": …, "digest": …, "intact": true, "quarantined": null, "annotations": …, "layers": […]},
     "evidence": [{"verified": true, "kind": "SBOM", "signer": …, "about": ["sha256:…"], …},
                  {"verified": false, "why": …}],
     "packages": […], "unserved": […], "vulnerabilities": {…}, "models": […]}

Times are seconds since 1970. Each verdict names its document by digest, so that anybody can evaluate the rules again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.errors import ChainlabError
from chainlab.policy.facts import scans, verification
from chainlab.policy.facts.verification import VerifiedBundle
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release

__all__ = ["build"]


def build(
    release: Release,
    policy: Policy,
    registry: Registry,
    config: ClientTrustConfig,
    *,
    advisories: Path,
    at: datetime,
    limits: Limits,
) -> tuple[dict[str, Any], list[VerifiedBundle]]:
    """Build the document; returns it with every bundle about the release. Raises `ChainlabError` for one too large."""
    if release.size > limits.read:
        raise ChainlabError(
            f"the release has {release.size} bytes, and the gate reads at most {limits.read}",
            hint="leave out of the release what no job needs",
        )
    bundles, problems = verification.verify_bundles(release, policy, registry, config, limits)
    served = scans.served_packages(release, bundles, registry.index)
    described = _release(release)
    described["problems"] += problems + scans.quarantined_packages(served, registry)
    described["intact"] = not described["problems"]
    document = {
        "now": at.timestamp(),
        "release": described,
        "evidence": [dict(bundle.facts) for bundle in bundles],
        "packages": served,
        "unserved": scans.unserved_pins(release, served, policy.read.release.lock),
        "vulnerabilities": scans.scan_vulnerabilities(
            release, bundles, served, advisories, at, timedelta(days=policy.read.vulnerabilities.vex_days)
        ),
        "models": scans.scan_models(release, policy.read.model.ends),
    }
    return document, bundles


def _release(release: Release) -> dict[str, Any]:
    """The part about the release itself."""
    return {
        "reference": release.reference,
        "digest": str(release.digest),
        "artifact_type": release.stored.artifact_type,
        "annotations": dict(release.stored.annotations),
        "quarantined": release.quarantined,
        "intact": not release.problems,
        "problems": list(release.problems),
        "layers": [
            {"name": layer.name, "digest": str(layer.digest), "intact": release.is_intact(layer)}
            for layer in release.layers
        ],
    }
