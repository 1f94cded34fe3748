"""What the tests of the gate share: a registry, an instance, a maker of releases, and the gate."""

from __future__ import annotations

from dataclasses import dataclass

from made_release import ROOT, Maker

from chainlab.policy.gate import Gate
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

POLICIES = ROOT / "data" / "policies"
ADVISORIES = ROOT / "data" / "advisories"


@dataclass
class House:
    """All four, on one workspace."""

    registry: Registry
    trust: Trust
    maker: Maker
    gate: Gate
