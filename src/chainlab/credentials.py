"""Credentials: secrets that a service issued, with their grants, expiry and revocation.

A secret is shown once, when it is issued; only its SHA-256 is stored. Its grants are plain words, which the service
that checks them defines:

    packages:upload:triage-model      the package index
    oci:push:acme/triage-model        the OCI registry
    contents:write:acme/triage-model  the git server

A grant that ends in ``:*`` covers every grant with the same beginning. Over HTTP a secret arrives as ``Authorization:
Bearer SECRET`` (or ``token SECRET``), or as the password of Basic with any user name (`presented_secret`).

Issues, writes and refusals are events (`chainlab.token_events`).

A CI job's credential is valid only while the job runs (`chainlab.jobs`), and a derived credential only while the one
it was derived from is valid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from chainlab import jobs
from chainlab.database import Tables
from chainlab.errors import MalformedInput, Refused
from chainlab.token_events import TokenEvents, short_digest

__all__ = ["CHALLENGE", "Credential", "Credentials", "presented_secret"]

CHALLENGE = {"WWW-Authenticate": 'Basic realm="chainlab"'}  # the header of a 401 that asks for a secret

SCHEMA = """
CREATE TABLE IF NOT EXISTS credentials (
    digest  BLOB PRIMARY KEY,  -- SHA-256 of the secret
    subject TEXT NOT NULL,     -- who holds it: 'alice', 'run 3 job build'
    grants  TEXT NOT NULL,     -- one per line
    expires REAL,              -- seconds since 1970; NULL = never
    revoked REAL               -- seconds since 1970; NULL = not revoked
) STRICT;
CREATE INDEX IF NOT EXISTS credentials_by_subject ON credentials (subject);
CREATE TABLE IF NOT EXISTS credential_origins (  -- of credentials that have one
    digest     BLOB PRIMARY KEY,
    repository TEXT NOT NULL,  -- whose jobs use it; '' = none
    job        TEXT,           -- the running job that it expires with
    parent     BLOB            -- the credential that it was derived from
) STRICT;
"""
VALID = "{0}.revoked IS NULL AND ({0}.expires IS NULL OR {0}.expires > :now)"
CHECK = f"""
SELECT c.subject, c.grants, coalesce(o.repository, ''), coalesce(o.job, ''), coalesce(o.parent, c.digest)
FROM credentials c LEFT JOIN credential_origins o ON o.digest = c.digest
WHERE c.digest = :digest AND {VALID.format("c")}
AND (o.job IS NULL OR EXISTS (
    SELECT 1 FROM running_jobs j WHERE j.id = o.job AND j.ended IS NULL AND j.deadline > :now))
AND (o.parent IS NULL OR EXISTS (SELECT 1 FROM credentials p WHERE p.digest = o.parent AND {VALID.format("p")}))
"""  # noqa: S608 - built from constants alone


@dataclass(frozen=True)
class Credential:
    """The holder and the grants of a valid secret."""

    subject: str
    grants: frozenset[str]
    repository: str = field(default="", compare=False)  # whose jobs use it; "" = a person or a service uses it
    job: str = field(default="", compare=False)  # id of the running job that it expires with
    root: bytes = field(default=b"", compare=False, repr=False)  # digest of the credential at the origin
    token: str = field(default="", compare=False)  # the secret's `short_digest`; "" = no secret was presented
    address: str = field(default="", compare=False)  # that it was presented from
    at: str = field(default="", compare=False)  # id of the running job whose address that is, whoever holds the secret

    def may(self, grant: str) -> bool:
        """Whether the credential has this grant, or a ``:*`` grant that covers it."""
        parts = grant.split(":")
        wide = {":".join([*parts[:n], "*"]) for n in range(1, len(parts))}
        return bool(self.grants & {grant, *wide})


class Credentials(Tables):
    """The credentials of one state directory; other processes may use it at the same time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, jobs.SCHEMA + SCHEMA)
        self._report = TokenEvents(connection)

    def issue(
        self,
        subject: str,
        grants: Iterable[str],
        *,
        lifetime: float | None = None,
        prefix: str = "cl",
        repository: str = "",
        job: str = "",
        under: Credential | None = None,
    ) -> str:
        """Issue a new secret ``prefix_…``; ``lifetime`` is in seconds. Only its digest is stored.

        It expires with the running ``job``. If it is derived from the credential ``under``, it expires with that one,
        and has its repository and job. Raises `MalformedInput` for a grant of several lines.
        """
        if under is not None:
            repository, job = under.repository, under.job
        words = sorted(set(grants))
        if any("\n" in word for word in words):
            raise MalformedInput("a grant must be one line", why="each further line would be another grant")
        secret = f"{prefix}_{secrets.token_urlsafe(30)}"
        expires = None if lifetime is None else time.time() + lifetime
        with self._transaction():
            self._connection.execute(
                "INSERT INTO credentials VALUES (?, ?, ?, ?, NULL)",
                (_digest(secret), subject, "\n".join(words), expires),
            )
            if repository or job or under is not None:
                self._connection.execute(
                    "INSERT INTO credential_origins VALUES (?, ?, ?, ?)",
                    (_digest(secret), repository, job or None, (under.root or None) if under else None),
                )
            self._report.issued(short_digest(secret), subject=subject, grants=words, lifetime=lifetime, job=job)
        return secret

    def check(self, secret: str) -> Credential | None:
        """Return a secret's credential; None when it is unknown, expired or revoked, or when its job has ended."""
        row = self._connection.execute(CHECK, {"digest": _digest(secret), "now": time.time()}).fetchone()
        return Credential(row[0], frozenset(row[1].split("\n")) - {""}, *row[2:]) if row else None

    def present(self, secret: str, *, service: str, address: str = "") -> Credential | None:
        """Check a secret that came with a request to a service, from an address; an event reports a refusal."""
        token = short_digest(secret)
        credential = self.check(secret)
        if credential is not None:
            at = credential.job or (jobs.job_at(self._connection, address) if address else "")
            return replace(credential, token=token, address=address, at=at)
        if self._report.is_new(token, service, "refused"):
            subject, job, reason = self._refusal(_digest(secret))
            outside = reason == "job ended" or self._report.outside(job, address) if job else None
            with self._transaction():
                self._report.refused(token, subject=subject, service=service, reason=reason, job=job, outside=outside)
        return None

    def used(self, credential: Credential, service: str) -> None:
        """Report that a presented credential was accepted for a write to a service, unless that was reported."""
        outside = self._report.outside(credential.job, credential.address)
        if credential.token and self._report.is_new(credential.token, service, outside):
            with self._transaction():
                self._report.used(
                    credential.token, subject=credential.subject, service=service, job=credential.job, outside=outside
                )

    def _refusal(self, digest: bytes) -> tuple[str, str, str]:
        """Say who held a refused secret, the id of the holder's job, and why it is refused."""
        row = self._connection.execute(
            "SELECT c.subject, coalesce(o.job, ''), c.revoked FROM credentials c"
            " LEFT JOIN credential_origins o ON o.digest = c.digest WHERE c.digest = ?",
            (digest,),
        ).fetchone()
        if row is None:
            return "unknown", "", "unknown"
        subject, job, revoked = row
        if job and not jobs.is_running(self._connection, job):
            return subject, job, "job ended"
        return subject, job, "expired" if revoked is None else "revoked"

    def revoke(self, *, secret: str | None = None, subject: str | None = None) -> int:
        """Revoke one secret, or all secrets of a subject; returns how many were not revoked before."""
        if (secret is None) == (subject is None):
            raise TypeError("revoke() takes a secret or a subject")
        column, value = ("subject", subject) if secret is None else ("digest", _digest(secret))
        with self._transaction():
            return self._connection.execute(
                f"UPDATE credentials SET revoked = ? WHERE {column} = ? AND revoked IS NULL",  # noqa: S608
                (time.time(), value),
            ).rowcount


def presented_secret(headers: Sequence[str]) -> str | None:
    """Read the secret in a request's ``Authorization`` headers; None when there are no such headers.

    Raises `Refused` (401) for a malformed header, and for two headers, of which readers might choose different ones.
    """
    if not headers:
        return None
    scheme, _, value = headers[0].strip().partition(" ")
    value = value.strip()
    if len(headers) == 1 and scheme.lower() in ("bearer", "token") and value:
        return value
    if len(headers) == 1 and scheme.lower() == "basic":
        try:
            _, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if colon:
            return secret
    raise Refused(401, "malformed Authorization header", hint="use Basic or Bearer")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
