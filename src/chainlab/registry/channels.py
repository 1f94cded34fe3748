"""Channels: how far an artifact has been promoted, dev → staging → prod.

A promotion records that a digest is now in the next channel. No bytes move: the digest stays the same, so all evidence
about it stays valid.

    >>> channels.promote(ChannelArtifact.parse("oci/acme/triage-model"), digest, "dev", "staging", credential)

A promotion goes up one step and needs the grant ``channel:<to>``. A digest that was in a channel before may be promoted
from it again: that is a rollback. Each promotion is committed together with its event, and the history is kept.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.credentials import Credential
from chainlab.database import Tables
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.registry.index.project_table import normalise

__all__ = ["CHANNELS", "KINDS", "ChannelArtifact", "Channels", "Promotion"]

CHANNELS = ("dev", "staging", "prod")
KINDS = ("oci", "package")
MAX_NAME = 255  # characters
SCHEMA = """
CREATE TABLE IF NOT EXISTS promotions (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, name TEXT NOT NULL,    -- 'oci', 'acme/triage-model'
    source TEXT NOT NULL,                      -- '' = entered
    target TEXT NOT NULL,
    digest TEXT NOT NULL,
    promoted REAL NOT NULL,                    -- seconds since 1970
    promoted_by TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS promotions_by_name ON promotions (kind, name, target, id);
CREATE INDEX IF NOT EXISTS promotions_by_digest ON promotions (digest, id);
"""


@dataclass(frozen=True, order=True)
class ChannelArtifact:
    """An artifact with channels: an OCI repository, or a package."""

    kind: str  # one of KINDS
    name: str

    @classmethod
    def parse(cls, text: str) -> ChannelArtifact:
        """Read ``oci/acme/triage-model`` or ``package/triage-model`` (normalised); the inverse of `str`."""
        kind, _, name = text.partition("/")
        if kind not in KINDS or not name or len(name) > MAX_NAME:
            raise MalformedInput(f"expected 'oci/NAME' or 'package/NAME', got {text[:80]!r}")
        return cls(kind, normalise(name) if kind == "package" else name)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Promotion:
    """One step of one digest from a channel to the next."""

    artifact: ChannelArtifact
    source: str  # '' = from outside
    target: str
    digest: Digest
    time: float  # seconds since 1970
    by: str

    def facts(self) -> dict[str, Any]:
        """Return the promotion as JSON."""
        return {
            "artifact": str(self.artifact),
            "from": self.source or None,
            "to": self.target,
            "digest": str(self.digest),
            "time": self.time,
            "by": self.by,
        }


class Channels(Tables):
    """The channels of one registry; safe to call from several threads.

    ``has`` returns whether an artifact has a digest, ``held_back`` why it may not be handed out, or None.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        events: Events,
        *,
        has: Callable[[ChannelArtifact, Digest], bool],
        held_back: Callable[[ChannelArtifact, Digest], str | None],
    ) -> None:
        self._events = events
        self._has = has
        self._held_back = held_back
        super().__init__(connection, SCHEMA)

    def promote(
        self,
        artifact: ChannelArtifact,
        digest: Digest,
        source: str,
        target: str,
        credential: Credential | None,
    ) -> Promotion:
        """Promote a digest from ``source`` (empty: from outside) to the channel above it.

        Raises `MalformedInput`, or `Refused`: 401 and 403 by the credential, 403 for a digest in
        quarantine, 404 for one that the artifact does not have, 409 for any other step.
        """
        if target not in CHANNELS or source not in ("", *CHANNELS):
            raise MalformedInput(f"the channels are {', '.join(CHANNELS)}")
        if credential is None:
            raise Refused(401, f"promoting to {target} needs a credential")
        if not credential.may(f"channel:{target}"):
            raise Refused(403, f"{credential.subject} may not promote to {target}")
        if ("", *CHANNELS).index(source) + 1 != ("", *CHANNELS).index(target):
            raise Refused(
                409,
                f"{source or 'outside'} → {target} is not one step up",
                hint="dev, then staging, then prod",
            )
        if not self._has(artifact, digest):
            raise Refused(404, f"{artifact} has no {digest}")
        if reason := self._held_back(artifact, digest):
            raise Refused(403, f"{digest} is quarantined: {reason}")
        with self._transaction():
            if source and not self._was_in(artifact, source, digest):
                raise Refused(409, f"{digest} was never in {source} of {artifact}")
            last = self.current(artifact).get(target)
            if last is not None and last.digest == digest:
                return last
            step = Promotion(artifact, source, target, digest, time.time(), credential.subject)
            self._connection.execute(
                "INSERT INTO promotions (kind, name, source, target, digest, promoted, promoted_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(artifact.kind, artifact.name, source, target),
                    *(str(digest), step.time, step.by),
                ),
            )
            self._events.append(
                "dev.chainlab.artifact.promoted",
                source="/registry",
                subject=str(digest),
                data={
                    "kind": artifact.kind,
                    "name": artifact.name,
                    "from": source,
                    "to": target,
                    "by": step.by,
                },
            )
        return step

    def current(self, artifact: ChannelArtifact) -> Mapping[str, Promotion]:
        """Map each channel to the promotion that put its present digest there."""
        return {step.target: step for step in self.history(artifact)}  # the last one stays

    def history(self, artifact: ChannelArtifact) -> list[Promotion]:
        """List every promotion of an artifact, oldest first."""
        return self._read("kind = ? AND name = ?", artifact.kind, artifact.name)

    def of(self, digest: Digest) -> list[Promotion]:
        """List every promotion of a digest, of any artifact, oldest first."""
        return self._read("digest = ?", str(digest))

    def artifacts(self) -> list[ChannelArtifact]:
        """List every artifact that is or was in a channel."""
        with self._guard:
            rows = self._connection.execute("SELECT DISTINCT kind, name FROM promotions").fetchall()
        return sorted(ChannelArtifact(*row) for row in rows)

    def _was_in(self, artifact: ChannelArtifact, channel: str, digest: Digest) -> bool:
        return any(step.target == channel and step.digest == digest for step in self.history(artifact))

    def _read(self, condition: str, *values: str) -> list[Promotion]:
        with self._guard:
            rows = self._connection.execute(
                "SELECT kind, name, source, target, digest, promoted, promoted_by FROM promotions"  # noqa: S608
                f" WHERE {condition} ORDER BY id",
                values,
            ).fetchall()
        return [
            Promotion(ChannelArtifact(row[0], row[1]), row[2], row[3], Digest.parse(row[4]), *row[5:]) for row in rows
        ]
