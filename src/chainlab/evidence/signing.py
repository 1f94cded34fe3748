"""Signing: a statement in a DSSE envelope in a Sigstore bundle v0.3, keylessly.

    >>> bundle = sign(statement, config, trust.token("alice@example.com"))     # doctest: +SKIP
    >>> bundle = sign(statement, config, ambient_token())                      # doctest: +SKIP

The token, a person's or a CI job's, names the signer. The bundle has everything that verifying needs except a trusted
root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainlab.errors import ChainlabError, MalformedInput, Unavailable
from chainlab.evidence.statements import Statement
from chainlab.trust.lifetimes import TOKEN_SECONDS

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

    from chainlab.trust.client import Trust

__all__ = ["ambient_token", "refusal", "sign", "sign_as"]


def sign(statement: Statement, config: ClientTrustConfig, token: str) -> bytes:
    """Sign a statement; returns the bundle as JSON. Raises `ChainlabError` with the reason when a service refuses."""
    from sigstore.dsse import Statement as Signable
    from sigstore.errors import Error
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    try:
        signable = Signable(statement.dump())
    except Error as error:
        raise MalformedInput("the statement cannot be signed", why=str(error)[:300]) from error
    try:
        context = SigningContext.from_trust_config(config)
        with context.signer(IdentityToken(token)) as signer:
            return signer.sign_dsse(signable).to_json().encode()
    except Error as error:
        raise refusal("the statement", error) from error


def sign_as(workflow: str, statement: Statement, trust: Trust) -> bytes:
    """Sign as a part of the platform itself, host or gate, whose identity is a workflow that no job can run.

    ``workflow`` is ``owner/repository/.github/workflows/NAME.yml@refs/…``. Raises as `sign` does.
    """
    repository = workflow.partition("/.github/")[0]
    claims = {
        "sub": repository.replace("/", ":"),
        "job_workflow_ref": workflow,
        "repository": repository,
        "event_name": "workflow_run",
        "runner_environment": "self-hosted",
    }
    return sign(statement, trust.config, trust.token(claims=claims))


def ambient_token(audience: str = "sigstore") -> str:
    """Return the identity token of the CI job that this runs in. Raises `Unavailable` outside a job."""
    from sigstore.oidc import IdentityError, detect_credential

    try:
        token = detect_credential(audience)
    except IdentityError as error:
        raise Unavailable("this job gets no identity", why=str(error), hint="give it `id-token: write`") from error
    if token is None:
        raise Unavailable("this is not a CI job with an identity", hint="say who signs: --identity")
    return token


def refusal(what: str, error: BaseException) -> ChainlabError:
    """Make the error that says why ``what`` could not be signed, from the client's error."""
    return ChainlabError(
        f"{what} could not be signed",
        why=_reason(error),
        hint=f"ask for a new token: one is valid for {TOKEN_SECONDS // 60} minutes, for the instance that issued it",
    )


def _reason(error: BaseException) -> str:
    """The client's message, or the service's when that is empty."""
    response = getattr(error.__cause__, "response", None)
    if response is None:
        return str(error)
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return str(error) or f"status {response.status_code}"
