"""The projects of the package index: names, owners and statuses.

A name has one spelling (PEP 503), one owner, and a status (PEP 792). A taken name never becomes free: a deleted project
leaves a tombstone that still belongs to its owner, and a reserved name belongs to nobody.

Each change is committed together with its event.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from packaging.utils import InvalidName, canonicalize_name

from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.credentials import Credential
from chainlab.database import transaction
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.registry.index.models import IndexProject, Status

__all__ = ["SOURCE", "ProjectTable", "check_reason", "normalise", "refuse_reserved"]

SOURCE = "/registry"  # CloudEvents source
MAX_NAME = 100  # characters
MAX_REASON = 1000  # characters
STANDARD = {str(canonicalize_name(name)) for name in sys.stdlib_module_names}
SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    name    TEXT PRIMARY KEY,       -- normalised (PEP 503)
    display TEXT NOT NULL,
    owner   TEXT,                   -- NULL = reserved: nobody may take it
    status  TEXT NOT NULL,          -- PEP 792
    reason  TEXT NOT NULL,
    created TEXT NOT NULL,          -- RFC 3339
    deleted TEXT                    -- RFC 3339; NULL = it is there
) STRICT;
CREATE TABLE IF NOT EXISTS project_repositories (  -- whose visibility it has
    project TEXT NOT NULL, repository TEXT NOT NULL, PRIMARY KEY (project, repository)
) STRICT, WITHOUT ROWID;
"""
COLUMNS = "name, display, owner, status, reason, deleted IS NOT NULL"


class ProjectTable:
    """The names of one index; ``guard`` is the lock of its connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        events: Events,
        guard: threading.RLock,
        *,
        clock: Clock = utc_now,
    ) -> None:
        connection.executescript(SCHEMA)
        self._connection = connection
        self._events = events
        self._guard = guard
        self._clock = clock

    def all(self) -> list[IndexProject]:
        """List every name, with tombstones and reserved ones, sorted."""
        with self._guard:
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM projects ORDER BY name"  # noqa: S608
            ).fetchall()
        return [_project(row) for row in rows]

    def find(self, name: str) -> IndexProject | None:
        """Look up a normalised name; None when it is free."""
        with self._guard:
            row = self._connection.execute(
                f"SELECT {COLUMNS} FROM projects WHERE name = ?",  # noqa: S608
                (name,),
            ).fetchone()
        return _project(row) if row else None

    def authorise(self, name: str, by: Credential) -> IndexProject | None:
        """Return the project that ``by`` may upload to; None when the name is free. Raises `Refused` (403).

        A grant for the name itself allows uploads to anybody's project: its owner gave it. A grant for all names
        allows uploads to free names and to the caller's own projects.
        """
        if not by.may(f"packages:upload:{name}"):
            raise Refused(403, f"this credential ({by.subject}) may not upload to {name}")
        project = self.find(name)
        if project is None:
            refuse_reserved(name)
            return None
        if project.owner is None:
            raise Refused(403, f"the name {name} is reserved: {project.reason}")
        has_grant = f"packages:upload:{name}" in by.grants or by.may(f"packages:admin:{name}")
        if not has_grant and project.owner != by.subject:
            raise Refused(403, f"{name} belongs to {project.owner}, not to {by.subject}")
        if project.status is Status.QUARANTINED:
            raise Refused(403, f"{name} is {project.status} and takes no uploads: {project.reason}")
        return project

    def take(self, name: str, display: str, owner: str) -> None:
        """Give a free name to an owner, or restore a deleted project; call it inside a transaction."""
        self._connection.execute(
            "INSERT INTO projects VALUES (?, ?, ?, ?, '', ?, NULL)"
            " ON CONFLICT (name) DO UPDATE SET display = excluded.display, deleted = NULL",
            (name, display, owner, Status.ACTIVE, self.now()),
        )

    def add_repository(self, name: str, repository: str) -> None:
        """Record that a project is published from a repository; call it inside a transaction."""
        self._connection.execute("INSERT OR IGNORE INTO project_repositories VALUES (?, ?)", (name, repository))

    def repositories(self, name: str) -> list[str]:
        """List the repositories that a project was or may be published from."""
        with self._guard:
            rows = self._connection.execute("SELECT repository FROM project_repositories WHERE project = ?", (name,))
            return [repository for (repository,) in rows]

    def bury(self, name: str) -> None:
        """Make a project a tombstone; call it inside a transaction."""
        self._connection.execute("UPDATE projects SET deleted = ? WHERE name = ?", (self.now(), name))

    def register(self, name: str, owner: str) -> IndexProject:
        """Register a free name for an owner, before any upload.

        Raises `Refused` (403) for a reserved name, and (409) when another owner has it.
        """
        key = normalise(name)
        with self._guard, transaction(self._connection):
            project = self.find(key)
            if project is None:
                refuse_reserved(key)
                self.take(key, name, owner)
                self.report("registered", key, {"project": key, "owner": owner})
            elif project.owner != owner:
                raise Refused(409, f"the name {key} is {project.owner or 'reserved'}, not {owner}'s")
        return IndexProject(key, name, owner) if project is None else project

    def reserve(self, name: str, reason: str) -> None:
        """Reserve a free name, so that nobody can take it. Raises `Refused` (409) when it is taken."""
        name = normalise(name)
        with self._guard, transaction(self._connection):
            if self.find(name) is not None:
                raise Refused(409, f"the name {name} is taken")
            self._connection.execute(
                "INSERT INTO projects VALUES (?, ?, NULL, ?, ?, ?, NULL)",
                (name, name, Status.ACTIVE, check_reason(reason), self.now()),
            )
            self.report("reserved", name, {"project": name, "reason": reason})

    def set_status(self, name: str, kind: str, status: Status, reason: str, *, by: str, **more: object) -> None:
        """Set a status (PEP 792) and report it as ``kind``. Raises `Refused` (409) when it is set already."""
        facts = {"status": str(status), "reason": check_reason(reason), "by": by, **more}
        with self.changing(name, kind, facts) as project:
            if project.status is status:
                raise Refused(409, f"{project.name} is {status} already")
            self._connection.execute(
                "UPDATE projects SET status = ?, reason = ? WHERE name = ?",
                (status, reason, project.name),
            )

    @contextmanager
    def changing(self, name: str, kind: str, facts: Mapping[str, Any]) -> Iterator[IndexProject]:
        """Change a project and report its event in one transaction. Raises `Refused` (404)."""
        name = normalise(name)
        with self._guard, transaction(self._connection):
            project = self.find(name)
            if project is None or project.owner is None or project.deleted:
                raise Refused(404, f"no project {name!r} is registered here")
            yield project
            self.report(kind, name, {"project": name, **facts})

    def report(self, kind: str, subject: str, facts: Mapping[str, Any], scenario_time: str | None = None) -> None:
        """Append an event; call it inside a transaction."""
        self._events.append(
            f"dev.chainlab.artifact.{kind}",
            source=SOURCE,
            subject=subject,
            data=facts,
            scenario_time=scenario_time,
        )

    def now(self) -> str:
        """Return the present moment, RFC 3339."""
        return rfc3339(self._clock())


def normalise(name: str) -> str:
    """Normalise a project's name (PEP 503). Raises `MalformedInput` when it is not a name."""
    try:
        if not name.isascii() or len(name) > MAX_NAME:
            raise InvalidName
        return str(canonicalize_name(name, validate=True))
    except InvalidName as error:
        raise MalformedInput(f"not a project's name: {name[:80]!r}") from error


def refuse_reserved(name: str) -> None:
    """Raise `Refused` (403) for a normalised name that nobody may have, whether by upload or by a trusted publisher."""
    if name in STANDARD:
        raise Refused(403, f"the name {name} is reserved: it is a module of Python's standard library")


def check_reason(reason: str) -> str:
    """Return ``reason`` if it can be shown on one line. Raises `MalformedInput`."""
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise MalformedInput(f"expected a reason of one line and at most {MAX_REASON} characters")
    return reason


def _project(row: tuple[Any, ...]) -> IndexProject:
    name, display, owner, status, reason, deleted = row
    return IndexProject(name, display, owner, Status(status), reason, bool(deleted))
