"""Credentials: secrets that a service gave out, what each one may do, and since when it no longer may.

A secret is shown once, when it is issued; only its SHA-256 is kept. What it may do is a set of grants, plain words
that the service which checks them defines:

    packages:upload:triage-model      the package index
    oci:push:acme/triage-model        the OCI registry
    contents:write:acme/triage-model  the git server

A grant that ends in ``:*`` covers all that begin alike. Over HTTP a secret comes as ``Authorization: Bearer SECRET``
(``token SECRET`` means the same), or as the password of Basic with any user name (`presented`).

A credential of a CI job is good only while that job runs (`chainlab.jobs`), and one that was derived from another
only while that one is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chainlab.database import transaction
from chainlab.errors import MalformedInput, Refused
from chainlab.jobs import SCHEMA as JOBS

__all__ = ["CHALLENGE", "Credential", "Credentials", "presented"]

CHALLENGE = {"WWW-Authenticate": 'Basic realm="chainlab"'}  # asks for a secret; goes with status 401

SCHEMA = """
CREATE TABLE IF NOT EXISTS credentials (
    digest  BLOB PRIMARY KEY,  -- SHA-256 of the secret
    subject TEXT NOT NULL,     -- whose it is: 'alice', 'run 3 job build'
    grants  TEXT NOT NULL,     -- one per line
    expires REAL,              -- seconds since 1970; NULL = never
    revoked REAL               -- seconds since 1970; NULL = good
) STRICT;
CREATE INDEX IF NOT EXISTS credentials_by_subject ON credentials (subject);
CREATE TABLE IF NOT EXISTS credential_origins (  -- of those that have one
    digest     BLOB PRIMARY KEY,
    repository TEXT NOT NULL,  -- whose jobs use it; '' = none
    job        TEXT,           -- the running job that it ends with
    parent     BLOB            -- the credential that it was derived from
) STRICT;
"""
GOOD = "{0}.revoked IS NULL AND ({0}.expires IS NULL OR {0}.expires > :now)"
CHECK = f"""
SELECT c.subject, c.grants, coalesce(o.repository, ''), coalesce(o.job, ''), coalesce(o.parent, c.digest)
FROM credentials c LEFT JOIN credential_origins o ON o.digest = c.digest
WHERE c.digest = :digest AND {GOOD.format("c")}
AND (o.job IS NULL OR EXISTS (
    SELECT 1 FROM running_jobs j WHERE j.id = o.job AND j.ended IS NULL AND j.deadline > :now))
AND (o.parent IS NULL OR EXISTS (SELECT 1 FROM credentials p WHERE p.digest = o.parent AND {GOOD.format("p")}))
"""  # noqa: S608 - no word of it comes from outside


@dataclass(frozen=True)
class Credential:
    """What a good secret stands for."""

    subject: str
    grants: frozenset[str]
    repository: str = field(default="", compare=False)  # whose jobs use it; "" = a person's, or a service's
    job: str = field(default="", compare=False)  # id of the running job that it ends with
    root: bytes = field(default=b"", compare=False, repr=False)  # digest of the one that all were derived from

    def may(self, grant: str) -> bool:
        """Whether one of the grants is this one, or a ``:*`` that covers it."""
        parts = grant.split(":")
        wide = {":".join([*parts[:n], "*"]) for n in range(1, len(parts))}
        return bool(self.grants & {grant, *wide})


class Credentials:
    """The credentials of one state directory; safe beside other processes that use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._guard = threading.Lock()  # of the transactions; reading needs none
        connection.executescript(JOBS + SCHEMA)

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
        """A new secret ``prefix_…``; ``lifetime`` in seconds. Only its digest is kept.

        It ends with the running ``job``, and with the credential ``under`` which it was derived from, whose
        repository and job it has.
        """
        if under is not None:
            repository, job = under.repository, under.job
        words = sorted(set(grants))
        if any("\n" in word for word in words):
            raise MalformedInput("a grant is one line", why="a second one would be another grant")
        secret = f"{prefix}_{secrets.token_urlsafe(30)}"
        expires = None if lifetime is None else time.time() + lifetime
        with self._guard, transaction(self._connection):
            self._connection.execute(
                "INSERT INTO credentials VALUES (?, ?, ?, ?, NULL)",
                (_digest(secret), subject, "\n".join(words), expires),
            )
            if repository or job or under is not None:
                self._connection.execute(
                    "INSERT INTO credential_origins VALUES (?, ?, ?, ?)",
                    (_digest(secret), repository, job or None, (under.root or None) if under else None),
                )
        return secret

    def check(self, secret: str) -> Credential | None:
        """What the secret stands for; None when it is unknown, expired or revoked, or when its job has ended."""
        row = self._connection.execute(CHECK, {"digest": _digest(secret), "now": time.time()}).fetchone()
        return Credential(row[0], frozenset(row[1].split("\n")) - {""}, *row[2:]) if row else None

    def revoke(self, *, secret: str | None = None, subject: str | None = None) -> int:
        """End one secret, or all of a subject; returns how many were good until now."""
        if (secret is None) == (subject is None):
            raise TypeError("revoke() takes a secret or a subject")
        column, value = ("subject", subject) if secret is None else ("digest", _digest(secret))
        with self._guard, transaction(self._connection):
            return self._connection.execute(
                f"UPDATE credentials SET revoked = ? WHERE {column} = ? AND revoked IS NULL",  # noqa: S608
                (time.time(), value),
            ).rowcount


def presented(headers: Sequence[str]) -> str | None:
    """The secret in a request's ``Authorization`` headers; None when there is none.

    Raises `Refused` (401) for one that cannot be read, and for two: readers would differ.
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
    raise Refused(401, "the Authorization header cannot be read", hint="use Basic or Bearer")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
