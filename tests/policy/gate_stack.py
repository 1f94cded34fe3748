"""The stack of the gate's tests: a registry, a Sigstore instance, a maker of releases, and the gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from release_maker import ROOT, ReleaseMaker

from chainlab.archive import Archive
from chainlab.deploy.deployment import Deployment
from chainlab.policy.gate import Gate
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

POLICIES = ROOT / "data" / "policies"
ADVISORIES = ROOT / "data" / "advisories"


@dataclass
class GateStack:
    """Registry, trust, release maker and gate on one workspace."""

    registry: Registry
    trust: Trust
    maker: ReleaseMaker
    gate: Gate

    @contextmanager
    def deploying(self, folder: Path, gate: Gate | None = None) -> Iterator[Deployment]:
        """A deployment in an empty folder, with an archive of its own."""
        with Archive(folder / "archive") as archive:
            yield Deployment(
                folder / "deploy",
                registry=self.registry,
                trust=self.trust,
                gate=lambda: gate or self.gate,
                archive=lambda: archive,
                tied=True,
            )
