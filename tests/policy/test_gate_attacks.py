"""Attacks on the gate with what its makers may sign or push: each refused by the rule that is for it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from gate_house import POLICIES, House
from made_release import NOW, USED, WHEEL, Parts, vex_said

from chainlab.deploy.promotion import promote
from chainlab.deploy.releases import fetch, pinned
from chainlab.digests import Digest
from chainlab.errors import VerificationFailed
from chainlab.policy.gate import Decision, Gate
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.oci_manifest import MANIFEST_TYPE
from chainlab.registry.referring import refer

EXPLOITED = tuple(f.replace("loader-1.6.2", "loader-1.5.0") for f in USED)


def judged(house: House, parts: Parts, bundles: Any = None, **how: Any) -> Decision:
    return house.gate.judge(house.maker.push(parts, bundles, **how), record=False)


def rules(decision: Decision) -> set[str]:
    return {check.rule for check in decision.refusals}


@pytest.mark.parametrize(
    "purl",
    [
        "pkg:generic/northwind-loader@1.5.0",
        "pkg:npm/northwind-loader@1.5.0",
        "pkg:pypi/other@1.5.0",
    ],
)
def test_a_purl_in_the_sbom_hides_no_package_that_was_served(house: House, purl: str) -> None:
    parts = house.maker.parts(used=EXPLOITED)
    for component in parts.statements["SBOM"].predicate["components"]:
        if component["name"] == "northwind-loader":
            component["purl"] = purl
    assert rules(judged(house, parts)) == {"vulnerabilities"}


def test_a_workflow_of_another_version_silences_nothing(house: House) -> None:
    """Whoever may push a tag would speak for every release that there is."""
    parts = house.maker.parts(used=EXPLOITED)
    other = "acme/triage-model/.github/workflows/release.yml@refs/tags/v9.9.9"
    parts.statements["VEX"] = vex_said(parts, other)
    assert rules(judged(house, parts)) == {"vulnerabilities"}


@pytest.mark.parametrize("name", ["../../x.whl", "/tmp/x.whl", "a\\b.whl", "sub/x.whl"])
def test_a_layer_s_name_leads_nowhere(house: House, name: str) -> None:
    parts = house.maker.parts()
    parts.files = {name if n == WHEEL else n: data for n, data in parts.files.items()}
    parts.statements["provenance of package"].subjects = parts.digests()
    assert "intact" in rules(judged(house, parts))


# -- the summary, and what a deployment makes of it


@pytest.fixture
def refused(house: House, request: pytest.FixtureRequest) -> tuple[str, Digest, bytes, Digest]:
    """A release in prod that the gate let through, and refused since: an old yes, and the no's referrer."""
    registry = house.registry
    parts = house.maker.parts()
    parts.annotations["example.note"] = request.node.name  # a digest of its own
    parts.statements["provenance of package"].subjects = parts.digests()
    reference = house.maker.push(parts)
    promote(reference, house.gate, registry)
    _, digest = pinned(reference)
    (yes,) = (d for kind, d in registry.evidence.attached(digest) if kind == "summary")
    fetch(reference, registry, house.trust.config.trusted_root)
    before = {s.digest for s in registry.images.referrers(None, digest)}
    later = Gate(
        registry, house.trust, POLICIES, house.trust.directory, lambda: NOW + timedelta(days=1)
    )
    assert not later.judge(reference).allowed
    (no,) = {s.digest for s in registry.images.referrers(None, digest)} - before
    return reference, digest, registry.blobs.read(yes), no


@pytest.mark.parametrize(
    "how", ["pushed again", "re-encoded", "pushed elsewhere", "the no removed"]
)
def test_an_old_yes_does_not_come_after_a_no(
    house: House, refused: tuple[str, Digest, bytes, Digest], how: str
) -> None:
    reference, digest, yes, no = refused
    registry, root = house.registry, house.trust.config.trusted_root
    name = pinned(reference)[0].name
    if how == "re-encoded":
        yes = json.dumps(json.loads(yes), indent=1).encode()
    if how == "the no removed":
        registry.images.delete_manifest(name, no, by="a job")
    elif how == "pushed elsewhere":
        twin = house.maker.push(house.maker.parts(), {})
        twin = pinned(twin)[0].name
        raw = registry.blobs.read(digest)
        registry.images.push(twin, digest, raw, MANIFEST_TYPE, by="mallory")
        refer(registry.images, twin, digest, yes + b" ", BUNDLE_TYPE, by="mallory")
    else:
        refer(registry.images, name, digest, yes + b" ", BUNDLE_TYPE, by="a job")
    with pytest.raises(VerificationFailed, match="last word"):
        fetch(reference, registry, root)
