"""Trusted publishers: which workflow may upload to which project, without a password that could leak.

A publisher is a repository, the file name of a workflow in it, and perhaps an environment. A job shows the identity
token of its CI host and gets a credential that lasts minutes and names the projects which trust that publisher:

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

__all__ = ["AUDIENCE", "LIFETIME", "Minted", "Publisher", "Publishers", "TrustSource"]

AUDIENCE = "chainlab-index"  # what a token for the exchange must be made out to
LIFETIME = 900  # seconds that a minted credential is good, as on PyPI
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
WORKFLOW = re.compile(r"[A-Za-z0-9._ -]{1,100}\.ya?ml")
ENVIRONMENT = re.compile(r"[^\x00-\x1f\x7f'\"`,;\\]{0,255}")
KEPT = (
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
    """What the registry needs to know of the trust services."""

    @property
    def config_path(self) -> Path:
        """``trust_config.json``."""

    def claims(self, token: str, audience: str) -> Mapping[str, str]:
        """The claims of a CI job's token. Raises `Refused` when it does not hold."""


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
        """Why a job with these claims is not this publisher; None when it is."""
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
        """The publishers that a project trusts."""
        rows = self._connection.execute(
            "SELECT repository, workflow, environment FROM publishers WHERE project = ? ORDER BY 1, 2, 3",
            (project,),
        )
        return [Publisher(*row) for row in rows]

    def add(self, project: str, publisher: Publisher) -> None:
        """Trust a publisher; nothing happens when the project does already."""
        self._connection.execute(
            "INSERT OR IGNORE INTO publishers VALUES (?, ?, ?, ?)",
            (project, publisher.repository, publisher.workflow, publisher.environment),
        )

    def remove(self, project: str, publisher: Publisher) -> None:
        """Trust a publisher no longer."""
        self._connection.execute(
            "DELETE FROM publishers WHERE project = ? AND repository = ? AND workflow = ? AND environment = ?",
            (project, publisher.repository, publisher.workflow, publisher.environment),
        )

    def matching(self, claims: Mapping[str, str]) -> tuple[Publisher, tuple[str, ...]]:
        """The publisher that a job is, and the projects that trust it. Raises `Refused` (422) with the reason."""
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
        # One that names an environment is the narrower, and the evidence names it.
        best = max(matches, key=lambda publisher: bool(publisher.environment))
        return best, tuple(sorted({project for projects in matches.values() for project in projects}))

    def mint(self, claims: Mapping[str, str]) -> Minted:
        """A credential for the projects that trust the job's workflow. Raises `Refused` (422)."""
        publisher, projects = self.matching(claims)
        try:
            self._connection.execute("INSERT INTO exchanged VALUES (?)", (claims["jti"],))
        except (KeyError, sqlite3.IntegrityError) as error:
            raise Refused(422, "this token has been exchanged before: ask for another") from error
        run = f" run {claims['run_id']}" if claims.get("run_id") else ""
        subject = f"{publisher.repository} {publisher.workflow}{run} #{secrets.token_hex(4)}"
        kept = {name: claims[name] for name in KEPT if claims.get(name)}
        self._connection.execute(
            "INSERT INTO minted VALUES (?, ?, ?)",
            (subject, json.dumps(asdict(publisher)), json.dumps(kept)),
        )
        grants = [f"packages:upload:{project}" for project in projects]
        secret = self._credentials.issue(
            subject, grants, lifetime=LIFETIME, repository=publisher.repository, job=claims.get(JOB_CLAIM, "")
        )
        return Minted(secret, int(time.time()) + LIFETIME)

    def behind(self, subject: str) -> tuple[Publisher, dict[str, str]] | None:
        """The publisher and the claims behind a minted credential; None for one given to a person."""
        row = self._connection.execute("SELECT publisher, claims FROM minted WHERE subject = ?", (subject,)).fetchone()
        return (Publisher(**json.loads(row[0])), json.loads(row[1])) if row else None


def _folded(fold: Callable[[str], str], text: str) -> str | None:
    """A claim's name in its folded form; None for what is no name, and equal to none."""
    try:
        return fold(text)
    except MalformedInput:
        return None
