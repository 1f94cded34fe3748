"""What is known about a digest, part by part, as JSON that displays itself.

>>> lab.registry.evidence.document(Digest.of_file(wheel))            # doctest: +SKIP
what is known of sha256:…
part      says          signed by          is in, or came by
place     index                            triage-model triage_model-1.4.0-py3-none-any.whl, by release
…
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chainlab.display import Display, Shown, brief_type

__all__ = ["EvidenceDocument"]

_Row = tuple[str, str, str, str]


class EvidenceDocument(Shown, dict[str, Any]):
    """The document of `Evidence.document`: ``digest``, ``quarantined``, and a list for each part."""

    def _display(self) -> Display:
        """Show where the digest is, what is said about it and by whom; count the events."""
        counts = Counter(row for part in _ROWS for entry in self.get(part, ()) for row in _ROWS[part](entry))
        rows = [(*row, f"{count} times" if count > 1 else "") for row, count in counts.items()]
        if events := self.get("events"):
            rows.append(("events", str(len(events)), "", "", ""))
        title = f"what is known of {self['digest']}"
        return Display(title, ("part", "says", "signed by", "is in, or came by", ""), rows)


def _place(entry: Mapping[str, Any]) -> Iterator[_Row]:
    where = entry.get("repository") or entry.get("project") or ""
    name = entry.get("file") or entry.get("name") or ", ".join(entry.get("tags", ()))
    yield "place", entry["protocol"], "", " ".join(filter(None, (where, name))) + _by(entry)


def _provenance(entry: Mapping[str, Any]) -> Iterator[_Row]:
    for facts in entry["attestations"]:
        yield "attestation", *_summary(facts), f"{entry['project']} {entry['file']}"


def _referrer(entry: Mapping[str, Any]) -> Iterator[_Row]:
    for file in entry["files"] or [{"bundle": None}]:
        says, signer = _summary(file["bundle"])
        yield "referrer", says or str(entry["artifactType"]), signer, entry["repository"] + _by(entry)


def _attached(entry: Mapping[str, Any]) -> Iterator[_Row]:
    says, signer = _summary(entry["bundle"])
    yield "attached", says or entry["kind"], signer, entry["source"]


def _channel(entry: Mapping[str, Any]) -> Iterator[_Row]:
    yield "channel", str(entry["to"]), "", str(entry["artifact"]) + _by(entry)


def _stay(entry: Mapping[str, Any]) -> Iterator[_Row]:
    yield "quarantine" if entry["released"] is None else "was in quarantine", entry["reason"], "", _by(entry)[2:]


_ROWS = {
    "places": _place,
    "provenance": _provenance,
    "referrers": _referrer,
    "attached": _attached,
    "channels": _channel,
    "quarantine": _stay,
}


def _summary(facts: Mapping[str, Any] | None) -> tuple[str, str]:
    """The predicate type of a bundle and the signer that it names; empty for anything else."""
    return (brief_type(str((facts or {}).get("predicateType", ""))), str((facts or {}).get("identity", "")))


def _by(entry: Mapping[str, Any]) -> str:
    return f", by {entry['by']}" if entry.get("by") else ""
