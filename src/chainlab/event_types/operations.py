"""Events of the gate, of the deployment and of the trust services."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.event_types.event_type import EventType

__all__ = ["OPERATIONS"]

_RELEASE = {
    "reference": "the release",
    "artifact": "its name",
    "model": "digest of the model",
    "files": "digest of the list of its installed files",
    "summary": "digest of the verdict that it was admitted by",
    "before": "the release that ran before",
}

OPERATIONS: Mapping[str, EventType] = {
    "gate.answered": EventType(
        "/gate",
        "the release's digest",
        "the gate gave a verdict",
        {
            "reference": "the release",
            "allowed": "whether it may go to prod",
            "refused": "the rules that refused it",
            "excepted": "the rules that an exception let pass",
            "exception_ends_s": "time until the first of those exceptions ends; null without one",
            "policy": "digest of the policy",
            "seconds": "how long the verdict took",
            "recorded": "whether it was kept: a trial is not",
        },
    ),
    "gate.failed": EventType(
        "/gate", "the release's digest", "the gate could not judge", {"reference": "the release", "why": "what failed"}
    ),
    "service.deployed": EventType(
        "/deploy",
        "the release's digest",
        "a release was deployed",
        _RELEASE,
    ),
    "service.rolledback": EventType(
        "/deploy",
        "the release's digest",
        "the deployment went back to an earlier release",
        _RELEASE,
    ),
    "service.restarted": EventType(
        "/deploy",
        "the release's digest",
        "the service was started again from the files that are installed",
        {key: _RELEASE[key] for key in ("reference", "model", "files")},
    ),
    "service.removed": EventType(
        "/deploy", "the release's digest", "the service was ended", {"reference": "the release that ran"}
    ),
    "certificate.issued": EventType(
        "/trust",
        "the identity",
        "a signing certificate was issued",
        {"issuer": "of the identity", "identity": "whose certificate it is", "serial": "its number, in hex"},
    ),
    "logentry.created": EventType(
        "/trust",
        "the digest that was signed",
        "an entry was added to the transparency log",
        {"log": "v1 or v2", "logIndex": "the entry's index"},
    ),
    "authority.rotated": EventType(
        "/trust", "the certificate authority", "the signing key was replaced", {"generation": "how many keys it had"}
    ),
}
