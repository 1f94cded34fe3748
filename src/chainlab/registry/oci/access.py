"""Credentials on requests to ``/v2/``: who the caller is, what they may do, and the challenge to those without one.

Anybody may pull from a repository that is not private; everything else needs a grant. A grant on a name covers the
names below it:

    oci:push:acme/triage-model     also acme/triage-model/signatures

The challenge names a token endpoint (distribution's "token authentication"), where Basic with the secret as
password gets a short-lived credential. A request may carry the secret itself, too, by Basic or Bearer.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from chainlab.credentials import Credential, Credentials, presented_secret
from chainlab.registry.oci.errors import OciError
from chainlab.trust.lifetimes import OCI_TOKEN_SECONDS
from chainlab.visibility import PACKAGES, has_right

__all__ = ["ANONYMOUS", "Access", "challenge", "may"]

ANONYMOUS = "anonymous"  # the token for a caller without a secret; it grants nothing
SERVICE = "chainlab"


def challenge(request: Request, name: str = "", actions: str = "pull") -> Mapping[str, str]:
    """Return the header that tells a client how to present its credential."""
    scope = f',scope="repository:{name}:{actions}"' if name else ""
    realm = f"{request.base_url}v2/token"
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="{SERVICE}"{scope}'}


class Access:
    """Decides about requests by the grants of their credentials."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def caller(self, request: Request) -> Credential | None:
        """Return the credential of a request; None when it is anonymous.

        Raises `Refused` (401) for a secret that is unknown, expired or revoked.
        """
        secret = presented_secret(request.headers.getlist("authorization"))
        if secret is None or secret == ANONYMOUS:
            return None
        address = request.client.host if request.client else ""
        service = "oci" if request.url.path.startswith("/v2") else "channels"
        if (credential := self._credentials.present(secret, service=service, address=address)) is None:
            raise OciError(401, "UNAUTHORIZED", "the credential is unknown, expired or revoked")
        return credential

    def check(self, caller: Credential | None, action: str, name: str) -> None:
        """Check that a caller may do this. Raises `OciError`: 401 without a credential, 403 without the grant."""
        if caller is None:
            raise OciError(401, "UNAUTHORIZED", f"{action} on {name} needs a credential")
        if not may(caller, action, name):
            raise OciError(
                403,
                "DENIED",
                f"{caller.subject} may not {action} to {name}",
                hint=f"use a credential that is granted oci:{action}:{name}",
            )

    def used(self, caller: Credential | None, service: str = "oci") -> None:
        """Report that a caller's credential was accepted for a write."""
        if caller is not None:
            self._credentials.used(caller, service)

    def token(self, caller: Credential | None) -> str:
        """Issue a short-lived token with all OCI grants of the caller; it ends with the caller's credential.

        The requested scope is ignored: clients use their first token for everything, so a narrower one would fail.
        """
        if caller is None:
            return ANONYMOUS
        grants = {grant for grant in caller.grants if grant.startswith("oci:")}
        return self._credentials.issue(caller.subject, grants, lifetime=OCI_TOKEN_SECONDS, prefix="clt", under=caller)


def may(caller: Credential, action: str, name: str) -> bool:
    """Whether the credential may do this to the repository; who may push may pull."""
    return has_right(caller, PACKAGES if action == "pull" else (f"oci:{action}",), name)
