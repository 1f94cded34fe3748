"""What promotion needs besides the gate: the credential that writes channels, and the no of a refusal.

`Deployment.promote` is the one way to prod. The credential below is given to nobody: it stands for no secret, and the
registry's endpoint for channels takes no promotion to prod, whatever credential asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainlab.credentials import Credential
from chainlab.errors import Refused
from chainlab.registry.channels import CHANNELS
from chainlab.registry.references import ArtifactRef

if TYPE_CHECKING:
    from chainlab.policy.gate import Decision
    from chainlab.registry.registry import Registry

__all__ = ["NotPromoted"]

DEPLOY = "deploy"  # who promotes
_CREDENTIAL = Credential(DEPLOY, frozenset(f"channel:{channel}" for channel in CHANNELS))


class NotPromoted(Refused):
    """The gate said no; ``decision`` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            403,
            f"{decision.reference} is not fit for prod",
            why="; ".join(check.message for check in decision.refusals)[:1000],
            hint="mend what each line names, release again; an exception needs owner, digest and end",
        )
        self.decision = decision


def _raise_to_prod(decision: Decision, registry: Registry) -> None:
    """Note in each channel, up to prod, that the release has come so far; one that is there stays."""
    artifact = ArtifactRef.parse(decision.reference).artifact
    below = ""
    for channel in CHANNELS:
        registry.channels.promote(artifact, decision.digest, below, channel, _CREDENTIAL)
        below = channel
