"""Trusted publishers: workflows that may upload to a project without a password that could leak.

A publisher is a repository, the file name of a workflow in it, and perhaps an environment. A job presents
the identity token of its CI host and gets a short-lived credential for the projects that trust that publisher:

    POST /_/oidc/mint-token  {"token": "eyJ…"}  →  {"success": true, "token": "cl_…", "expires": 1764950400}

    >>> Publisher("acme/triage-model", "release.yml", "release").objection(claims)
    "the job ran in environment 'staging', and the project trusts 'release'"

As on PyPI (docs, "Trusted publishers"): names of repositories and environments compare as they are folded
(`chainlab.names`), workflow names exactly; the workflow that *ran* counts (``job_workflow_ref``), at the ref or commit
that the run was for.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from chainlab import names
from chainlab.credentials import Credentials
from chainlab.errors import MalformedInput, Refused
from chainlab.trust.issuer import JOB_CLAIM
from chainlab.trust.lifetimes import UPLOAD_SECONDS

__all__ = ["AUDIENCE", "Minted", "Publisher", "Publishers", "TrustSource"]

AUDIENCE = "chainlab-index"  # the audience of a token for the exchange
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
WORKFLOW = re.compile(r"[A-Za-z0-9._ -]{1,100}\.ya?ml")
ENVIRONMENT = re.compile(r"[^\x00-\x1f\x7f'\"`,;\\]{0,255}")
KEPT_CLAIMS = (
    "repository",
    "ref",
    "sha",
    "job_workflow_ref",
    "environment",
    "event_name",
    "run_id",
    "run_attempt",
    "actor",
)
SCHEMA = """
CREATE TABLE IF NOT EXISTS publishers (
    project     TEXT NOT NULL,
    repository  TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    environment TEXT NOT NULL,  -- '' = any
    PRIMARY KEY (project, repository, workflow, environment)
) STRICT;
CREATE TABLE IF NOT EXISTS exchanged (jti TEXT PRIMARY KEY) STRICT;  -- tokens; each mints once
CREATE TABLE IF NOT EXISTS minted (
    subject   TEXT PRIMARY KEY, -- of the credential
    publisher TEXT NOT NULL,    -- JSON
    claims    TEXT NOT NULL     -- JSON: those of the job's token that evidence needs
) STRICT;
"""


class TrustSource(Protocol):
    """What the registry needs from the trust services."""

    @property
    def config_path(self) -> Path:
        """``trust_config.json``."""

    def claims(self, token: str, audience: str) -> Mapping[str, str]:
        """Verify a CI job's token and return its claims. Raises `Refused` for an invalid one."""


@dataclass(frozen=True, order=True)
class Publisher:
    """A workflow that a project trusts."""

    repository: str  # OWNER/REPO, folded
    workflow: str  # the file's name below .github/workflows
    environment: str = ""  # folded; '' = any

    def __post_init__(self) -> None:
        for pattern, value, what in (
            (REPOSITORY, self.repository, "repository OWNER/NAME"),
            (WORKFLOW, self.workflow, "workflow file name, such as release.yml"),
            (ENVIRONMENT, self.environment, "environment name"),
        ):
            if not pattern.fullmatch(value):
                raise MalformedInput(f"a trusted publisher needs a {what}, not {value[:80]!r}")
        object.__setattr__(self, "repository", names.repository(self.repository))
        if self.environment:
            object.__setattr__(self, "environment", names.environment(self.environment))

    def objection(self, claims: Mapping[str, str]) -> str | None:
        """Say why a job with these claims is not this publisher; None when it is."""
        repository = claims.get("repository", "")
        if _folded(names.repository, repository) != self.repository:
            return f"the job ran in repository {repository!r}, and the project trusts {self.repository!r}"
        path, ref = names.cut_ref(claims.get("job_workflow_ref", ""))
        folder, _, workflow = path.rpartition("/")
        owner = folder.removesuffix("/.github/workflows")
        if owner == folder or _folded(names.repository, owner) != self.repository:
            return f"the job ran the workflow {path!r}, which is not in {self.repository!r}"
        if workflow != self.workflow:
            return f"the job ran the workflow {workflow!r}, and the project trusts {self.workflow!r}"
        if not ref or ref not in (claims.get("ref"), claims.get("sha")):
            return f"the workflow came from {ref!r}, and the run was for {claims.get('ref', '')!r}"
        environment = claims.get("environment", "")
        if self.environment and _folded(names.environment, environment) != self.environment:
            return f"the job ran in environment {environment!r}, and the project trusts {self.environment!r}"
        return None


@dataclass(frozen=True)
class Minted:
    """A short-lived credential."""

    secret: str
    expires: int  # seconds since 1970


class Publishers:
    """The publishers of every project; call it under the index's lock."""

    def __init__(self, connection: sqlite3.Connection, credentials: Credentials) -> None:
        self._connection = connection
        self._credentials = credentials
        connection.executescript(SCHEMA)

    def of(self, project: str) -> list[Publisher]:
        """List the publishers that a project trusts."""
        rows = self._connection.execute(
            "SELECT repository, workflow, environment FROM publishers WHERE project = ? ORDER BY 1, 2, 3",
            (project,),
        )
        return [Publisher(*row) for row in rows]

    def add(self, project: str, publisher: Publisher) -> None:
        """Trust a publisher; nothing happens when the project already does."""
        self._connection.execute(
            "INSERT OR IGNORE INTO publishers VALUES (?, ?, ?, ?)",
            (project, publisher.repository, publisher.workflow, publisher.environment),
        )

    def remove(self, project: str, publisher: Publisher) -> None:
        """Stop trusting a publisher."""
        self._connection.execute(
            "DELETE FROM publishers WHERE project = ? AND repository = ? AND workflow = ? AND environment = ?",
            (project, publisher.repository, publisher.workflow, publisher.environment),
        )

    def matching(self, claims: Mapping[str, str]) -> tuple[Publisher, tuple[str, ...]]:
        """Find the publisher that matches a job, and the projects that trust one. Raises `Refused` (422)."""
        matches: dict[Publisher, list[str]] = {}
        objections: list[str] = []
        rows = self._connection.execute("SELECT project, repository, workflow, environment FROM publishers ORDER BY 1")
        for project, *parts in rows:
            publisher = Publisher(*parts)
            objection = publisher.objection(claims)
            if objection is None:
                matches.setdefault(publisher, []).append(project)
            elif publisher.repository == _folded(names.repository, claims.get("repository", "")):
                objections.append(f"{project}: {objection}")
        if not matches:
            repository = claims.get("repository", "")
            reasons = objections or [f"no project trusts a workflow of repository {repository!r}"]
            raise Refused(422, "no trusted publisher fits this token: " + "; ".join(reasons[:5]))
        # A publisher that names an environment is the narrower one, so the evidence names it.
        best = max(matches, key=lambda publisher: bool(publisher.environment))
        return best, tuple(sorted({project for projects in matches.values() for project in projects}))

    def mint(self, claims: Mapping[str, str]) -> Minted:
        """Issue a credential for the projects that trust the job's workflow. Raises `Refused` (422)."""
        publisher, projects = self.matching(claims)
        try:
            self._connection.execute("INSERT INTO exchanged VALUES (?)", (claims["jti"],))
        except (KeyError, sqlite3.IntegrityError) as error:
            raise Refused(422, "this token was exchanged before: request another") from error
        run = f" run {claims['run_id']}" if claims.get("run_id") else ""
        subject = f"{publisher.repository} {publisher.workflow}{run} #{secrets.token_hex(4)}"
        claims_kept = {name: claims[name] for name in KEPT_CLAIMS if claims.get(name)}
        self._connection.execute(
            "INSERT INTO minted VALUES (?, ?, ?)",
            (subject, json.dumps(asdict(publisher)), json.dumps(claims_kept)),
        )
        grants = [f"packages:upload:{project}" for project in projects]
        secret = self._credentials.issue(
            subject, grants, lifetime=UPLOAD_SECONDS, repository=publisher.repository, job=claims.get(JOB_CLAIM, "")
        )
        return Minted(secret, int(time.time()) + UPLOAD_SECONDS)

    def origin(self, subject: str) -> tuple[Publisher, dict[str, str]] | None:
        """Look up the publisher and the claims of a minted credential; None for a person's credential."""
        row = self._connection.execute("SELECT publisher, claims FROM minted WHERE subject = ?", (subject,)).fetchone()
        return (Publisher(**json.loads(row[0])), json.loads(row[1])) if row else None


def _folded(fold: Callable[[str], str], text: str) -> str | None:
    """Fold a claim's name; None when it is not a name."""
    try:
        return fold(text)
    except MalformedInput:
        return None
