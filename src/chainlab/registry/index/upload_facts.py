"""Facts about an upload that a rule can ask for: compared with the version before, when the upload is recorded.

    >>> facts = compare(file, earlier, blobs)                                  # doctest: +SKIP
    >>> facts["attestation_lost"], facts["versions_in_10min"]                  # doctest: +SKIP
    (True, 3)

A rule language has no words for "and the version before was signed", so the event of an upload says it. Times are those
of the scenario where uploads have one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chainlab.names import cut_ref
from chainlab.registry import bundle_summary
from chainlab.registry.blobs import Blobs
from chainlab.registry.index.models import IndexFile

__all__ = ["compare", "moment", "seconds_between", "signer"]

BURST = 600  # seconds in which versions are counted


def compare(file: IndexFile, earlier: Sequence[IndexFile], blobs: Blobs) -> dict[str, Any]:
    """Compare an upload with the project's earlier ones, the newest first; deleted ones count, too."""
    before = next((other.version for other in earlier if other.version != file.version), None)
    files = [other for other in earlier if other.version == before]
    attested = [other for other in files if other.provenance is not None]
    identity, identity_before = signer(file, blobs), signer(attested[0], blobs) if attested else None
    times = [(other.version, seconds_between(moment(other), moment(file))) for other in earlier]
    recent = {version for version, seconds in times if seconds is not None and seconds <= BURST}
    size_before = max((other.size for other in files if other.kind == file.kind), default=0)
    return {
        "attested": file.provenance is not None,
        "attestation_lost": bool(attested) and file.provenance is None,
        "identity": identity,
        "identity_before": identity_before,
        "identity_changed": None if identity is None or identity_before is None else identity != identity_before,
        "since_last_s": seconds_between(moment(files[0]), moment(file)) if files else None,
        "versions_in_10min": len(recent | {file.version}),
        "size": file.size,
        "size_ratio": round(file.size / size_before, 3) if size_before else None,
    }


def signer(file: IndexFile, blobs: Blobs) -> str | None:
    """Return the identity that signed a file's first attestation, without its git ref; None without one."""
    if file.provenance is None:
        return None
    attestation = json.loads(blobs.read(file.provenance))["attestation_bundles"][0]["attestations"][0]
    summary = bundle_summary.read(json.dumps(attestation).encode())
    return cut_ref(summary.identity)[0] or summary.identity if summary and summary.identity else None


def moment(file: IndexFile) -> str | None:
    """Return the time of an upload, RFC 3339: the scenario's where it has one."""
    return file.scenario_time or (file.uploaded.isoformat() if file.uploaded else None)


def seconds_between(before: str | None, now: str | None) -> float | None:
    """Return the seconds from one moment to a later one; None when either is unknown, or the clock was set back."""
    if before is None or now is None:
        return None
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(before)).total_seconds()
    return seconds if seconds >= 0 else None
