"""The OpenID Connect issuer: identity tokens for people and for CI jobs.

A token is a signed statement "the bearer is X, for audience Y, until Z". A person gets one through the authorization
code flow with PKCE (RFC 6749, RFC 7636). A CI job exchanges a bearer for it, which only that job has. The two issuer
names are logical and fixed, so a policy that names them does not depend on the port. How long a token lives is in
`lifetimes`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.errors import MalformedInput, Refused
from chainlab.jobs import is_running
from chainlab.trust.keys import der_public_key
from chainlab.trust.lifetimes import CODE_SECONDS, JOB_BEARER_SECONDS, TOKEN_SECONDS

__all__ = ["AUDIENCE", "CI_ISSUER", "GIT_SERVER", "ISSUER", "JOB_CLAIM", "Identity", "Issuer", "require_running"]

ISSUER = "https://oidc.chainlab.localhost"  # people
CI_ISSUER = "https://ci.chainlab.localhost"  # jobs; claim names as GitHub's
GIT_SERVER = "https://git.chainlab.localhost"  # where the certificates say that repositories live
AUDIENCE = "sigstore"
MAX_PENDING = 1000  # authorization codes kept at once
REQUEST_AUDIENCE = "chainlab:job"  # of a job's bearer, which only the token endpoint accepts
JOB_CLAIM = "check_run_id"  # the platform's name for a job's id; here the id in `chainlab.jobs`
MAX_CLAIM = 2048  # characters; a certificate carries up to twenty of them


@dataclass(frozen=True)
class Identity:
    """The bearer of a checked token."""

    issuer: str
    subject: str  # the claim `sub`
    san: str  # the name in the certificate: an email address or a URI
    is_email: bool
    claims: Mapping[str, str] = field(default_factory=dict)  # of a CI token, as text
    server: str = GIT_SERVER


@dataclass(frozen=True)
class _Code:
    email: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str | None
    expires: float


class Issuer:
    """Mints and checks tokens with one key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._key_id = hashlib.sha256(der_public_key(key)).hexdigest()[:16]
        self._codes: dict[str, _Code] = {}

    # -- minting

    def token(
        self,
        email: str,
        *,
        audience: str = AUDIENCE,
        lifetime: int = TOKEN_SECONDS,
        nonce: str | None = None,
    ) -> str:
        """Mint a person's token, a compact JWT. Raises `MalformedInput` when ``email`` is not an email address."""
        if not _is_email(email):
            raise MalformedInput(f"not an email address: {email[:80]!r}", hint="write name@example.com")
        claims = {"sub": email, "email": email, "email_verified": True}
        return self._mint(ISSUER, audience, lifetime, claims | ({"nonce": nonce} if nonce else {}))

    def ci_token(self, claims: Mapping[str, str], *, audience: str = AUDIENCE, lifetime: int = TOKEN_SECONDS) -> str:
        """Mint a job's token; ``claims`` have GitHub's names, and include `sub` and `job_workflow_ref`."""
        once = {"jti": secrets.token_hex(16)}  # so that a service can refuse a token that it has seen before
        return self._mint(CI_ISSUER, audience, lifetime, _job_claims(claims) | once)

    def job_bearer(self, claims: Mapping[str, str], *, job: str = "", lifetime: int = JOB_BEARER_SECONDS) -> str:
        """Mint the secret that one job exchanges for tokens (``ACTIONS_ID_TOKEN_REQUEST_TOKEN``).

        ``job`` is the running job's id; each of its tokens carries it as `JOB_CLAIM`.
        """
        claims = {**claims, JOB_CLAIM: job} if job else claims
        self.ci_token(claims)  # raises now if the claims would not make a token later
        content = {"sub": claims["sub"], "claims": dict(claims), "jti": secrets.token_hex(16)}
        return self._mint(CI_ISSUER, REQUEST_AUDIENCE, lifetime, content)

    def exchange(self, bearer: str, audience: str) -> str:
        """Exchange a job's bearer for its token for ``audience``. Raises `Refused` (401)."""
        return self.ci_token(self.bearer_claims(bearer), audience=audience or AUDIENCE)

    def bearer_claims(self, bearer: str) -> dict[str, str]:
        """Return the claims of the tokens that a bearer is exchanged for. Raises `Refused` (401)."""
        try:
            content = self._decode(bearer, CI_ISSUER, REQUEST_AUDIENCE)
        except jwt.PyJWTError as error:
            raise Refused(401, f"not a job's bearer: {error}") from error
        claims: dict[str, str] | None = content.get("claims")
        if not isinstance(claims, dict):
            raise Refused(401, "not a job's bearer: it names no job")
        return claims

    # -- checking

    def check(self, token: str) -> Identity:
        """Check a token and return its bearer's identity. Raises `Refused` (400) with the reason."""
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            issuer = unverified.get("iss")
            if issuer not in (ISSUER, CI_ISSUER):
                raise jwt.InvalidIssuerError(f"issuer {str(issuer)[:80]!r} is not one of ours")
            claims = self._decode(token, issuer, AUDIENCE)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Refused(400, f"There was an error processing the identity token: {error}") from error
        if issuer == ISSUER:
            email = claims.get("email")
            if claims.get("email_verified") is not True or not isinstance(email, str) or not _is_email(email):
                raise Refused(400, "There was an error processing the identity token: no verified email")
            return Identity(ISSUER, claims["sub"], email, is_email=True)
        try:
            text = _job_claims({n: value for n, value in claims.items() if isinstance(value, str)})
        except MalformedInput as error:
            raise Refused(400, f"There was an error processing the identity token: {error.message}") from error
        return Identity(
            CI_ISSUER,
            claims["sub"],
            f"{GIT_SERVER}/{text['job_workflow_ref']}",
            is_email=False,
            claims=text,
        )

    def claims(self, token: str, audience: str) -> Mapping[str, str]:
        """Return the claims of a CI job's token for ``audience``. Raises `Refused` (401) for any other token."""
        try:
            content = self._decode(token, CI_ISSUER, audience)
            return _job_claims({n: value for n, value in content.items() if isinstance(value, str)})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Refused(401, f"not a CI job's token for {audience!r}: {error}") from error

    # -- authorization code flow

    def authorize(self, email: str, *, client_id: str, redirect_uri: str, challenge: str, nonce: str | None) -> str:
        """Return a one-time code for a person who has consented to sign in."""
        now = time.time()
        self._codes = {code: entry for code, entry in self._codes.items() if entry.expires > now}
        if len(self._codes) >= MAX_PENDING:
            raise Refused(503, "too many sign-ins are pending")
        if not _is_email(email):
            raise MalformedInput(f"not an email address: {email[:80]!r}", hint="write name@example.com")
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(email, client_id, redirect_uri, challenge, nonce, now + CODE_SECONDS)
        return code

    def redeem(self, code: str, *, verifier: str, redirect_uri: str) -> str:
        """Exchange a code for its token, once. Raises `Refused` (RFC 6749 §5.2)."""
        entry = self._codes.pop(code, None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (
            entry is None
            or entry.expires < time.time()
            or entry.redirect_uri != redirect_uri
            or not secrets.compare_digest(entry.challenge.encode(), challenge.encode())
        ):
            raise Refused(400, "invalid_grant")
        return self.token(entry.email, audience=entry.client_id, nonce=entry.nonce)

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK Set (RFC 7517)."""
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [key | {"kid": self._key_id, "use": "sig", "alg": "ES256"}]}

    def _mint(self, issuer: str, audience: str, lifetime: int, claims: Mapping[str, Any]) -> str:
        now = int(time.time())
        standard = {"iss": issuer, "aud": audience, "iat": now, "nbf": now, "exp": now + lifetime}
        return jwt.encode({**claims, **standard}, self._key, algorithm="ES256", headers={"kid": self._key_id})

    def _decode(self, token: str, issuer: str, audience: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._key.public_key(),
            algorithms=["ES256"],
            audience=audience,
            issuer=issuer,
            options={"require": ["iss", "aud", "exp", "iat", "sub"]},
        )


def require_running(connection: sqlite3.Connection, claims: Mapping[str, str]) -> None:
    """Raise `Refused` (401) unless the job in the claims runs. Claims without a job belong to an operator and pass."""
    job = claims.get(JOB_CLAIM)
    if job is not None and not is_running(connection, job):
        raise Refused(401, "the job of this token has ended")


def _job_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return a job's claims as text, each one printable line for a certificate. Raises `MalformedInput`."""
    for name in ("sub", "job_workflow_ref"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise MalformedInput(f"a CI token needs the claim {name!r}")
    if not _is_uri_text(claims["job_workflow_ref"]):
        raise MalformedInput("the claim 'job_workflow_ref' does not fit a URI (expected ASCII without spaces)")
    text = {name: str(value) for name, value in claims.items() if type(value) in (str, int)}
    for name in claims:  # str() of JSON's true, null and lists would give Python's spelling
        if name not in text or len(text[name]) > MAX_CLAIM or not text[name].isprintable():
            raise MalformedInput(f"the claim {name[:80]!r} is not printable text of at most {MAX_CLAIM} characters")
    return text


def _is_email(text: str) -> bool:
    """Whether the text fits an X.509 rfc822Name: ASCII, one @, no space or control character."""
    local, at, domain = text.partition("@")
    return bool(
        at
        and local
        and domain
        and "@" not in domain
        and len(text) <= 254
        and _is_uri_text(text)
        and parseaddr(text) == ("", text)  # no comment, list or display name
    )


def _is_uri_text(text: str) -> bool:
    """Whether the text is ASCII without space or control character, as an IA5String name requires."""
    return text.isascii() and text.isprintable() and " " not in text
