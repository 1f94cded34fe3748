"""Promotion: the only way to prod.

    decision = promote("oci/acme/triage-model/release@sha256:…", gate, registry)

The gate judges the release here and now, whatever anybody said of it before. Only when it allows it does the release go
up, channel by channel, with a credential that nobody else holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainlab.credentials import Credential
from chainlab.errors import Refused
from chainlab.registry.channels import CHANNELS
from chainlab.registry.references import Reference

if TYPE_CHECKING:
    from chainlab.policy.gate import Decision, Gate
    from chainlab.registry.registry import Registry

__all__ = ["NotPromoted", "promote"]

DEPLOY = "deploy"  # who promotes
_CREDENTIAL = Credential(DEPLOY, frozenset(f"channel:{channel}" for channel in CHANNELS))


class NotPromoted(Refused):
    """The gate said no; ``decision`` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            403,
            f"{decision.reference} is not fit for prod",
            why="; ".join(check.said for check in decision.refusals)[:1000],
            mend="mend what each line names, release again; an exception needs owner, digest and end",
        )
        self.decision = decision


def promote(reference: str, gate: Gate, registry: Registry, *, policy: str = "release") -> Decision:
    """Judge a release, then let it go to prod; returns the decision.

    A release that is in prod already stays there. Raises `NotPromoted`, and `Refused` or `MalformedInput` for a
    reference that names nothing.
    """
    decision = gate.judge(reference, policy)
    if not decision.allowed:
        raise NotPromoted(decision)
    artifact = Reference.parse(decision.reference).artifact
    below = ""
    for channel in CHANNELS:
        registry.channels.promote(artifact, decision.digest, below, channel, _CREDENTIAL)
        below = channel
    return decision
