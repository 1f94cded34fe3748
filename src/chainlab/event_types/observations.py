"""Events of the monitor's own observers."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.event_types.event_type import EventType

__all__ = ["OBSERVATIONS"]


OBSERVATIONS: Mapping[str, EventType] = {
    "artifact.inspected": EventType(
        "/monitor",
        "the wheel's digest",
        "a published wheel was compared with its source",
        {
            "project": "the project",
            "version": "the version",
            "file": "the file's name",
            "compared": "whether there was a source to compare with",
            "why": "why it was not compared",
            "new_files": "files that the source does not have; null when not compared",
            "startup_files": "those among them that every start of Python runs; when not compared, all such files",
            "changed_files": "files that differ from the source; null when not compared",
            "findings": "everything that speaks against the file: kind, and where",
            "not_read": "members that could not be read, such as machine code",
        },
    ),
    "dependencies.compared": EventType(
        "/monitor",
        "the release's digest",
        "a release's SBOM was compared with that of the release before",
        {
            "name": "the release's name",
            "before": "the digest of the release before; null for the first",
            "added": "purls that are new",
            "added_transitive": "those among them that the project does not require itself",
            "changed": "components with another version",
            "rehashed": "components with other bytes under the same version",
            "compared": "whether both releases have an SBOM that holds",
            "why": "why they were not compared",
        },
    ),
    "log.watched": EventType(
        "/monitor",
        "the log's origin",
        "the log monitor compared a log with what it remembers",
        {
            "size": "entries of the tree",
            "entries": "entries read this time",
            "skipped": "entries that were never read",
            "consistent": "whether the tree extends the one seen before; null when unknown",
            "split": "whether another observer saw another tree of this size",
            "answered": "whether the log gave an answer that can be used",
            "why": "what is wrong",
        },
    ),
    "log.identity": EventType(
        "/monitor",
        "the identity in the certificate",
        "an entry of a log was signed by an identity that is watched",
        {
            "log": "the log's origin",
            "index": "the entry's index",
            "issuer": "the certificate's issuer",
            "workflow": "build config URI of the certificate",
            "commit": "source commit of the certificate",
            "expected": "whether the watch list expects it",
        },
    ),
    "service.behaved": EventType(
        "/monitor",
        "the release's digest",
        "the running service did something that its hook reports",
        {
            "reference": "the release",
            "action": "process, connect, listen, read, write, code or load",
            "target": "what it acted on",
            "expected": "whether the release's attested behaviour includes it",
            "phase": "startup, load or serving",
        },
    ),
    "service.reverified": EventType(
        "/monitor",
        "the release's digest",
        "what runs was verified again",
        {
            "reference": "the release",
            "verified": "whether it would be admitted now",
            "cause": "revoked, advisory, bytes, runtime or unreachable; null when verified",
            "why": "what changed",
            "action": "none, reported or rolledback",
        },
    ),
    "monitor.heartbeat": EventType(
        "/monitor",
        "what was asked: gate, index, log, service",
        "the monitor asked a part whether it still answers",
        {"answered": "whether it did", "seconds": "how long it took", "silent_s": "time since its last answer"},
    ),
}
