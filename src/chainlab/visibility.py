"""Visibility: who may read what belongs to a repository. Every way to read it asks here.

A repository is public (anybody reads it) or internal. Everything that belongs to it has its visibility: files, packages
in the OCI registry and in the package index, actions and reusable workflows, and evidence about its digests. A fork is
never more visible than its parent.

    may_read(caller, CONTENTS, "acme/triage-model")           its git repository
    may_read(caller, PACKAGES, "acme/triage-model/release")   an OCI repository below it
    may_read(caller, EVIDENCE, "acme/triage-model")           the evidence about its artifacts

A name that belongs to no repository of the CI host is public, unless its own service says otherwise.
"""

from __future__ import annotations

import sqlite3

from chainlab.credentials import Credential

__all__ = ["CONTENTS", "EVIDENCE", "OPERATOR", "PACKAGES", "SCHEMA", "Visibility", "has_right"]

# One right of a tuple is enough: who may write may read. A right on a name covers every name below it.
CONTENTS = ("contents:read", "contents:write")
PACKAGES = ("oci:pull", "oci:push")
EVIDENCE = ("evidence:read", *PACKAGES)
# A caller in the process that holds the state directory.
OPERATOR = Credential("operator", frozenset({"contents:*", "oci:*", "packages:*", "evidence:*"}))
SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
    name   TEXT PRIMARY KEY,  -- 'acme/triage-model', folded
    public INTEGER NOT NULL,  -- 1: anyone reads
    parent TEXT               -- the repository that it was forked from
) STRICT;
"""
# A repository and those that it was forked from, nearest first.
ANCESTRY = """
WITH RECURSIVE ancestry (name, public, parent) AS (
    SELECT name, public, parent FROM repositories WHERE name = ? UNION
    SELECT r.name, r.public, r.parent FROM repositories r JOIN ancestry a ON r.name = a.parent
)
SELECT name, public FROM ancestry
"""
INTERNAL = """
WITH RECURSIVE internal (name) AS (
    SELECT name FROM repositories WHERE public = 0 UNION
    SELECT r.name FROM repositories r JOIN internal i ON r.parent = i.name
)
SELECT name FROM internal
"""


class Visibility:
    """The visibility of one state directory's repositories; the connection may be shared."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(SCHEMA)

    def is_internal(self, name: str) -> bool:
        """Whether ``owner/repo``, or the repository that ``owner/repo/…`` belongs to, is internal."""
        return not all(public for _, public in self._ancestry(name))

    def may_read(self, caller: Credential | None, rights: tuple[str, ...], name: str) -> bool:
        """Whether the caller (None = anybody) may read what has this name, or belongs to this repository.

        Whoever may read a repository's files may read those of its forks, whose pull requests bring them there.
        """
        if not self.is_internal(name) or has_right(caller, rights, name):
            return True
        return rights == CONTENTS and any(has_right(caller, rights, parent) for parent, _ in self._ancestry(name))

    def hidden(self, caller: Credential | None, rights: tuple[str, ...]) -> list[str]:
        """List the internal repositories that the caller may not read."""
        rows = self._connection.execute(INTERNAL).fetchall()
        return [name for (name,) in rows if not has_right(caller, rights, name)]

    def _ancestry(self, name: str) -> list[tuple[str, int]]:
        return self._connection.execute(ANCESTRY, ("/".join(name.split("/")[:2]),)).fetchall()


def has_right(caller: Credential | None, rights: tuple[str, ...], name: str) -> bool:
    """Whether a credential has one of the rights on a name, or on a name above it."""
    return caller is not None and any(
        caller.may(f"{right}:{above}") for right in rights for above in _with_names_above(name)
    )


def _with_names_above(name: str) -> list[str]:
    """List the name and the names above it, nearest first."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
