"""Visibility: who may read what belongs to a repository, asked here for every way to read it.

A repository is public (anybody reads) or internal. What belongs to it has its visibility: its files, its packages in
the OCI registry and in the package index, its actions and reusable workflows, and what is known about its digests. A
fork is never wider than the repository that it is a fork of.

    may_read(caller, CONTENTS, "acme/triage-model")           its git repository
    may_read(caller, PACKAGES, "acme/triage-model/release")   an OCI repository below it
    may_read(caller, EVIDENCE, "acme/triage-model")           what is known about what it made

What no repository of the CI host has a name for is public, unless its own service says otherwise.
"""

from __future__ import annotations

import sqlite3

from chainlab.credentials import Credential

__all__ = ["CONTENTS", "EVIDENCE", "OPERATOR", "PACKAGES", "SCHEMA", "Visibility", "holds", "parents"]

# Rights of which one is enough; who writes, reads. A right on a name covers what is below it.
CONTENTS = ("contents:read", "contents:write")
PACKAGES = ("oci:pull", "oci:push")
EVIDENCE = ("evidence:read", *PACKAGES)
# Whoever holds the state directory, and calls in process.
OPERATOR = Credential("operator", frozenset({"contents:*", "oci:*", "packages:*", "evidence:*"}))
SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
    name   TEXT PRIMARY KEY,  -- 'acme/triage-model', folded
    public INTEGER NOT NULL,  -- 1: anyone reads
    parent TEXT               -- the repository that it is a fork of
) STRICT;
"""
# A repository and what it was forked from, nearest first.
LINE = """
WITH RECURSIVE line (name, public, parent) AS (
    SELECT name, public, parent FROM repositories WHERE name = ? UNION
    SELECT r.name, r.public, r.parent FROM repositories r JOIN line ON r.name = line.parent
)
SELECT name, public FROM line
"""
INTERNAL = """
WITH RECURSIVE internal (name) AS (
    SELECT name FROM repositories WHERE public = 0 UNION
    SELECT r.name FROM repositories r JOIN internal i ON r.parent = i.name
)
SELECT name FROM internal
"""


class Visibility:
    """The visibility of one state directory's repositories; its connection may serve others, too."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(SCHEMA)

    def is_internal(self, name: str) -> bool:
        """Whether ``owner/repo``, or the repository that ``owner/repo/…`` belongs to, is internal."""
        return not all(public for _, public in self._line(name))

    def may_read(self, caller: Credential | None, rights: tuple[str, ...], name: str) -> bool:
        """Whether the caller, None for anybody, may read what has this name or belongs to the repository.

        Who may read the files of a repository may read those of its forks: their pull requests bring them there.
        """
        if not self.is_internal(name) or holds(caller, rights, name):
            return True
        return rights == CONTENTS and any(holds(caller, rights, above) for above, _ in self._line(name))

    def hidden(self, caller: Credential | None, rights: tuple[str, ...]) -> list[str]:
        """The internal repositories that the caller may not read."""
        rows = self._connection.execute(INTERNAL).fetchall()
        return [name for (name,) in rows if not holds(caller, rights, name)]

    def _line(self, name: str) -> list[tuple[str, int]]:
        return self._connection.execute(LINE, ("/".join(name.split("/")[:2]),)).fetchall()


def holds(caller: Credential | None, rights: tuple[str, ...], name: str) -> bool:
    """Whether a credential has one of the rights on a name, or on one above it."""
    return caller is not None and any(caller.may(f"{right}:{above}") for right in rights for above in parents(name))


def parents(name: str) -> list[str]:
    """The name and the names above it, nearest first: a right on one covers what is below."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
