"""Verdict inputs: whether a recorded verdict rests on a digest, or prod serves it.

    >>> VerdictInputs(connection, blobs).counted(digest)                       # doctest: +SKIP
    True

Evidence that is deleted or quarantined after a verdict counted it is the trace of somebody who covers one. The events
of both say so (``counted``), because a rule about one event cannot look up verdicts.
"""

from __future__ import annotations

import base64
import json
import sqlite3

from chainlab.database import Tables
from chainlab.digests import Digest
from chainlab.registry.blobs import Blobs

__all__ = ["COUNTED", "SUMMARY_KIND", "VerdictInputs"]

COUNTED = "counted"  # the kind of evidence that a gate counted, and keeps
SUMMARY_KIND = "summary"  # the kind of evidence that is a verdict
IN_PROD = """
SELECT 1 FROM promotions p WHERE p.target = 'prod' AND p.digest = ? AND p.id = (
    SELECT max(q.id) FROM promotions q WHERE q.kind = p.kind AND q.name = p.name AND q.target = 'prod')
"""
IN_MANIFEST = "SELECT manifest FROM oci_held WHERE digest = ? UNION SELECT digest FROM oci_held WHERE manifest = ?"
EVIDENCE = "SELECT 1 FROM evidence WHERE (subject = ? AND kind = ?) OR (digest = ? AND kind = ?)"


class VerdictInputs(Tables):
    """Reads the tables of one registry, which its parts have created."""

    def __init__(self, connection: sqlite3.Connection, blobs: Blobs) -> None:
        super().__init__(connection, "")
        self._blobs = blobs

    def counted(self, digest: Digest) -> bool:
        """Whether a recorded verdict rests on a digest, on what it holds or what holds it; or prod serves it."""
        text = str(digest)
        related = [text, *(row for (row,) in self._rows(IN_MANIFEST, (text, text)))]
        if any(self._rows(IN_PROD, (each,)) for each in related):
            return True
        if any(self._rows(EVIDENCE, (each, SUMMARY_KIND, each, COUNTED)) for each in related):
            return True
        return not self._inputs().isdisjoint(related)

    def _inputs(self) -> set[str]:
        """The digests of the bundles that recorded verdicts name as their inputs."""
        inputs: set[str] = set()
        for (verdict,) in self._rows("SELECT DISTINCT digest FROM evidence WHERE kind = ?", (SUMMARY_KIND,)):
            try:
                bundle = json.loads(self._blobs.read(Digest.parse(verdict)))
                statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
                entries = statement["predicate"]["inputAttestations"]
                inputs |= {f"sha256:{entry['digest']['sha256']}" for entry in entries}
            except (OSError, ValueError, KeyError, TypeError):
                continue  # somebody attached something else as a summary: no verdict of the gate
        return inputs
