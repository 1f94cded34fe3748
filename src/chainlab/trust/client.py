"""Access to a running instance: its address, its trust material, and tokens.

It needs only the state directory, so it works in the process that runs the instance and in any other of the same user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from chainlab import database
from chainlab.digests import Digest
from chainlab.errors import Unavailable
from chainlab.jobs import SCHEMA as JOBS
from chainlab.trust import tuf
from chainlab.trust.issuer import CI_ISSUER, ISSUER, Issuer, require_running
from chainlab.trust.keys import Keys
from chainlab.trust.lifetimes import TOKEN_SECONDS

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = ["Trust", "workflow_claims"]

OWNER_IDS = {"acme": "4711", "mallory": "666", "northwind-ml": "8080"}  # the course's owners


class Trust:
    """Access to the instance whose state is in ``directory``."""

    issuer = ISSUER
    ci_issuer = CI_ISSUER

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def url(self) -> str:
        """The address it listens on now. Raises `Unavailable` when it does not run."""
        try:
            url = json.loads((self.directory / "serving.json").read_text())["url"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"no running instance serves {self.directory}",
                hint="start it: `chainlab start`, or `chainlab trust serve`",
            ) from error
        return str(url)

    @property
    def config_path(self) -> Path:
        """``trust_config.json``, the file for ``sigstore --trust-config``."""
        return self.directory / "trust_config.json"

    @property
    def config(self) -> ClientTrustConfig:
        """The services to sign with and the root to verify against, as sigstore-python reads them."""
        from sigstore.models import ClientTrustConfig

        return ClientTrustConfig.from_json(self.config_path.read_text())

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of the TUF root, which a learner enrols."""
        return tuf.fingerprint(self.directory / "tuf")

    def token(
        self,
        email: str | None = None,
        *,
        claims: Mapping[str, str] | None = None,
        audience: str = "sigstore",
        lifetime: int = TOKEN_SECONDS,
    ) -> str:
        """Mint an identity token (JWT): a person's for ``email``, a CI job's for GitHub's ``claims``.

        ``lifetime`` is in seconds. Whoever has the state directory can mint any identity; this is a teaching instance.
        """
        if (email is None) == (claims is None):
            raise TypeError("token() takes an email address or claims")
        if email is not None:
            return self._issuer.token(email, audience=audience, lifetime=lifetime)
        return self._issuer.ci_token(claims or {}, audience=audience, lifetime=lifetime)

    def workflow_token(self, repository: str, workflow: str, ref: str, *, environment: str = "") -> str:
        """Mint the identity token of a job that runs a repository's ``workflow`` at a ref; see `workflow_claims`."""
        return self.token(claims=workflow_claims(repository, workflow, ref, environment=environment))

    def job_bearer(self, claims: Mapping[str, str], *, job: str = "") -> str:
        """Mint the secret that one CI job exchanges for tokens at ``/ci/token`` while ``job`` runs."""
        return self._issuer.job_bearer(claims, job=job)

    def claims(self, token: str, audience: str) -> Mapping[str, str]:
        """Return the claims of a CI job's token for ``audience``.

        Raises `Refused` (401) for any other token, and when the job that it names has ended.
        """
        claims = self._issuer.claims(token, audience)
        with closing(database.connect(self.directory / "state.db")) as connection:
            connection.executescript(JOBS)
            require_running(connection, claims)
        return claims

    @cached_property
    def _issuer(self) -> Issuer:
        return Issuer(Keys.load(self.directory / "keys.json").issuer_key)


def workflow_claims(repository: str, workflow: str, ref: str, *, environment: str = "", **other: str) -> dict[str, str]:
    """Return the claims that the CI platform states for a workflow's job; ``other`` replaces or adds claims.

    ``workflow`` is a file in ``.github/workflows/``, ``ref`` a full ref.

        >>> workflow_claims("acme/triage-model", "release.yml", "refs/tags/v1.0.0")["workflow_ref"]
        'acme/triage-model/.github/workflows/release.yml@refs/tags/v1.0.0'

    Source: GitHub's documentation, "OpenID Connect reference". The numbers stand for the platform's ids.
    """
    owner = repository.split("/")[0]
    path = f"{repository}/.github/workflows/{workflow}@{ref}"
    claims = {
        "sub": f"repo:{repository}:" + (f"environment:{environment}" if environment else f"ref:{ref}"),
        "repository": repository,
        "repository_id": str(sum(repository.encode())),
        "repository_owner": owner,
        "repository_owner_id": OWNER_IDS.get(owner, "1"),
        "repository_visibility": "public",
        "ref": ref,
        "sha": f"{sum(ref.encode()):040x}",
        "event_name": "push",
        "workflow": workflow.removesuffix(".yml"),
        "workflow_ref": path,
        "workflow_sha": f"{sum(ref.encode()):040x}",
        "job_workflow_ref": path,
        "job_workflow_sha": f"{sum(ref.encode()):040x}",
        "runner_environment": "github-hosted",
        "run_id": "77",
        "run_attempt": "1",
    }
    if environment:
        claims["environment"] = environment
    return {**claims, **other}
