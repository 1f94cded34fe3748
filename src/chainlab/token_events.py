"""Events of credentials: issued, used for a write, refused.

    token.issued    {"token": "1f0c4d…", "run": "acme/triage-model/runs/3", "job": "publish", "grants": […]}

An event names a secret by the first 12 hex digits of its SHA-256, never by itself. Uses and refusals are reported once
for each secret and service, not for each request.

``outside`` is what the platform itself sees: a job's requests come from a loopback address of its own
(`chainlab.jobs`), and its credentials end with it. So a job's token that comes from another address, or after the job
has ended, was carried away. Where jobs have no addresses of their own (no sandbox with namespaces), it is null.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

from chainlab import jobs
from chainlab.events import Events

__all__ = ["TokenEvents", "short_digest"]

SOURCE = "/credentials"
REMEMBERED = 10_000  # uses and refusals that are not reported again
UNKNOWN_A_MINUTE = 60  # refusals of secrets that nobody was issued; more of them are not reported


class TokenEvents:
    """Reports what happens to credentials; call it inside transactions on the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._events = Events(connection)
        self._reported: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._unknown: deque[float] = deque(maxlen=UNKNOWN_A_MINUTE)

    def issued(self, token: str, *, subject: str, grants: Iterable[str], lifetime: float | None, job: str = "") -> None:
        """Report a new credential; ``token`` is its `short_digest`, ``job`` the id of the job that holds it."""
        facts = {
            "token": token,
            **self._names(job),
            "grants": sorted(grants),
            "lifetime_s": None if lifetime is None else round(lifetime),
        }
        self._append("issued", subject, facts)

    def is_new(self, *key: object) -> bool:
        """Whether this is the first call with a key."""
        if key in self._reported:
            self._reported.move_to_end(key)
            return False
        self._reported[key] = None
        if len(self._reported) > REMEMBERED:
            self._reported.popitem(last=False)
        return True

    def used(self, token: str, *, subject: str, service: str, job: str, outside: bool | None) -> None:
        """Report that a service accepted a credential for a write."""
        facts = {"token": token, **self._names(job), "service": service, "outside": outside}
        self._append("used", subject, facts)

    def refused(
        self, token: str, *, subject: str, service: str, reason: str, job: str = "", outside: bool | None = None
    ) -> None:
        """Report that a service refused a credential; of unknown ones, a limited number a minute."""
        if reason == "unknown":
            now = time.monotonic()
            if len(self._unknown) == UNKNOWN_A_MINUTE and now - self._unknown[0] < 60:
                return
            self._unknown.append(now)
        facts = {"token": token, **self._names(job), "service": service, "reason": reason, "outside": outside}
        self._append("refused", subject, facts)

    def outside(self, job: str, address: str) -> bool | None:
        """Whether a request with a job's credential came from elsewhere; None when that cannot be seen."""
        own = jobs.address_of(self._connection, job) if job else ""
        return address != own if own and address else None

    def _names(self, job: str) -> dict[str, str | None]:
        name = jobs.name_of(self._connection, job)
        return {"run": name.run if name else None, "job": name.job if name else None}

    def _append(self, kind: str, subject: str, facts: Mapping[str, object]) -> None:
        self._events.append(f"dev.chainlab.token.{kind}", source=SOURCE, subject=subject, data=facts)


def short_digest(secret: str) -> str:
    """Return the first 12 hex digits of a secret's SHA-256, which events name it by."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:12]
