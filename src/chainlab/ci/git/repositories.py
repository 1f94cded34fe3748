"""Git repositories of the CI host: one bare repository for each project, fork and action.

    DIRECTORY/git/OWNER/REPO.git     the repositories
    DIRECTORY/trees/COMMIT/          files of a commit, exported once

A repository is public (anyone reads it) or internal (``contents:read:OWNER/REPO``); a fork is never more visible than
its parent (`chainlab.visibility`). A pull request's refs belong to the base repository, as on the platform:
``refs/pull/7/head`` and ``refs/pull/7/merge``; a push cannot write them. ``refs/forks/`` holds commits of forks, which
listings hide and a fetch by id gets: the platform, too, stores a repository and its forks together.

    >>> repositories.create("acme", "triage-model", public=True)          # doctest: +SKIP
    >>> repositories.import_tree("acme/triage-model", folder, "A first version")   # doctest: +SKIP
    '0c2f…'
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chainlab import names
from chainlab.ci.git.adoption import BareRepository, copy_repository
from chainlab.ci.git.git import ROLE, Commit, Git
from chainlab.ci.git.merging import merge
from chainlab.ci.git.ref_events import RefEvents
from chainlab.ci.git.refs import COMMIT, check_ref, commit_id
from chainlab.ci.git.tree_files import MAX_FILE, File, read_folder, write_folder
from chainlab.credentials import Credential
from chainlab.database import SqliteStore
from chainlab.errors import MalformedInput, Refused
from chainlab.visibility import CONTENTS, Visibility

__all__ = ["Repositories", "Repository", "check_name", "no_such_repository"]

SCHEMA = "CREATE TABLE IF NOT EXISTS mirrors (key TEXT PRIMARY KEY) STRICT;"  # what was adopted
PLATFORM = "chainlab"  # owns the workflows that host and gate sign as, so no project may have this owner


@dataclass(frozen=True)
class Repository:
    """A repository's name, visibility and parent."""

    name: str
    public: bool  # and so are all that it was forked from
    parent: str | None = None  # the repository that it was forked from


class Repositories(SqliteStore):
    """All repositories of one state directory; safe to use from several threads."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self.git = Git(directory / "home")
        super().__init__(database, SCHEMA)
        self._ref_events = RefEvents(self._connection)
        self.visibility = Visibility(self._connection)

    # -- repositories

    def create(self, owner: str, repo: str, *, public: bool = True, parent: str | None = None) -> str:
        """Create an empty repository, or keep an existing one as it is; returns its name ``owner/repo``.

        Raises `MalformedInput` for the platform's own name: a workflow there could sign as the host or the gate.
        """
        name = check_name(f"{owner}/{repo}")
        if owner == PLATFORM:
            raise MalformedInput(
                f"{name} would be one of the platform's own repositories", hint="use another owner, such as acme"
            )
        with self._guard:
            path = self._folder(name)
            if not (path / "HEAD").exists():
                shutil.rmtree(path, ignore_errors=True)
                self.git.init(path)
            with self._transaction():
                self._connection.execute(
                    "INSERT OR IGNORE INTO repositories VALUES (?, ?, ?)", (name, int(public), parent)
                )
        return name

    def publish(self, name: str, *, public: bool) -> None:
        """Make a repository public or internal. Raises `Refused` (404) when it does not exist."""
        with self._transaction():
            self._connection.execute(
                "UPDATE repositories SET public = ? WHERE name = ?", (int(public), self.repository(name).name)
            )

    def has_adopted(self, key: str) -> bool:
        """Whether the prepared repositories with this key were adopted."""
        return bool(self._rows("SELECT 1 FROM mirrors WHERE key = ?", (key,)))

    def adopt(self, key: str, repositories: Iterable[BareRepository]) -> None:
        """Copy prepared repositories in place of existing ones of the same names; ``key`` names them all."""
        with self._guard:
            adopted = list(repositories)
            for repository in adopted:
                copy_repository(repository.path, self._folder(check_name(repository.name)))
            with self._transaction():
                self._connection.execute("DELETE FROM mirrors")
                self._connection.execute("INSERT INTO mirrors VALUES (?)", (key,))
                self._connection.executemany(
                    "INSERT OR REPLACE INTO repositories VALUES (?, 1, ?)",
                    [(repository.name, repository.parent) for repository in adopted],
                )
                self._ref_events.replace((repository.name, repository.refs) for repository in adopted)

    def repository(self, name: str) -> Repository:
        """Return a repository's visibility and parent. Raises `Refused` (404) when it does not exist."""
        with self._guard:
            rows = self._rows("SELECT parent FROM repositories WHERE name = ?", (name,))
            if not rows:
                raise no_such_repository(name)
            return Repository(name, not self.visibility.is_internal(name), rows[0][0])

    def may_read(self, caller: Credential | None, name: str) -> bool:
        """Whether a caller (None = anybody) may read a repository."""
        with self._guard:
            return self.visibility.may_read(caller, CONTENTS, name)

    def path(self, name: str) -> Path:
        """Return the folder of a bare repository. Raises `Refused` (404) when it does not exist."""
        return self._folder(self.repository(name).name)

    # -- writing

    def import_tree(
        self,
        name: str,
        source: Path | Mapping[str, bytes | File],
        message: str,
        *,
        branch: str = "main",
        parent: str | None = None,
        time: int | None = None,
        who: str = "chainlab",
        quiet: bool = False,
    ) -> str:
        """Commit a folder, or files by path, and set the branch; returns the commit's id.

        ``branch`` may be a full ref; ``parent`` is the branch's tip by default; ``time`` is in seconds since 1970, now
        by default. ``who`` is named in the event; with ``quiet`` the next change reports this one, too. Caches and
        other repositories in the folder are left out; its ``.gitignore`` is ignored.
        """
        files = _files(source)
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        with self.changing(name, who, quiet=quiet) as path:
            parent = commit_id(parent) if parent else self._lookup(path, check_ref(ref))
            parents = (parent,) if parent else ()
            commit = Commit(ref, files, message, parents, time=time)
            return self.git.commit(path, [commit])[0]

    def set_ref(
        self,
        name: str,
        ref: str,
        commit: str | None,
        *,
        who: str = "chainlab",
        quiet: bool = False,
    ) -> None:
        """Point a ref at a commit or a tag object; None deletes it."""
        with self.changing(name, who, quiet=quiet) as path:
            words = ("-d", check_ref(ref)) if commit is None else (check_ref(ref), commit_id(commit))
            self.git(path, "update-ref", *words)

    def tag(self, name: str, tag: str, commit: str, *, message: str = "", who: str = "chainlab") -> None:
        """Set a tag: annotated (an object of its own) with a message, else lightweight."""
        target = commit_id(commit)
        if message:
            check_ref(f"refs/tags/{tag}")
            body = f"object {target}\ntype commit\ntag {tag}\ntagger {ROLE} 0 +0000\n\n{message}\n"
            target = self.git(self.path(name), "mktag", stdin=body.encode()).decode().strip()
        self.set_ref(name, f"refs/tags/{tag}", target, who=who)

    def fetch_fork(self, name: str, fork: str, ref: str, *, into: str) -> str:
        """Fetch a fork's ref into the base repository as ``into``; returns the commit's id.

        The platform does so for ``refs/pull/N/head``. A ref below ``refs/forks/`` stays hidden.
        """
        source = self.path(fork)
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        with self.changing(name, fork) as path:
            spec = f"+{check_ref(full)}:{check_ref(into)}"
            if self._lookup(source, full) is None:
                raise Refused(404, f"{fork} has no {full}")
            words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options")
            self.git(path, *words, str(source), spec)
        return self.resolve(name, into)

    def fork(self, name: str, owner: str) -> str:
        """Copy a repository's branches and tags to another owner; returns the fork's name.

        The fork has the repository's visibility. Raises `Refused` (409) when the owner has another repository of that
        name, which other people may read.
        """
        repository, source = self.repository(name), self.path(name)
        fork = self.create(owner, name.partition("/")[2], public=repository.public, parent=name)
        if self.repository(fork).parent != name:
            raise Refused(409, f"{fork} exists and is not a fork of {name}", hint="fork as another owner")
        with self.changing(fork, owner) as path:
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            self.git(path, "fetch", "--quiet", "--no-write-fetch-head", str(source), *refs)
        return fork

    def merge(self, name: str, base: str, head: str) -> str:
        """Create a merge commit of a pull request (`merging.merge`); returns its id."""
        return merge(self.git, self.path(name), base, head)

    @contextmanager
    def changing(self, name: str, who: str, *, quiet: bool = False) -> Iterator[Path]:
        """Give the block the repository's folder; afterwards an event reports each ref that changed.

        With ``quiet`` the next change reports them.
        """
        with self._guard:
            path = self.path(name)
            try:
                yield path
            finally:
                if not quiet:
                    self._ref_events.announce(name, self._refs(path), who, contains=partial(self._contains, path))

    # -- reading

    def refs(self, name: str) -> dict[str, str]:
        """Return the id of each ref by its full name; an annotated tag's id is the tag object's."""
        return self._refs(self.path(name))

    def resolve(self, name: str, ref: str) -> str:
        """Return the commit behind a full ref, a tag, a branch or a full commit id; tags are peeled.

        A tag wins over a branch of the same name. Abbreviated ids are refused, as on the platform. Raises `Refused`
        (404) when nothing has that name, (422) for the id of another kind of object.
        """
        path = self.path(name)
        if COMMIT.fullmatch(ref):
            kind = self.git.run(path, "cat-file", "-t", ref).stdout.decode().strip()
            if kind == "commit":
                return ref
            if kind:
                raise Refused(
                    422,
                    f"{name}: {ref} is the id of a {kind}, not of a commit",
                    why="an annotated tag is an object of its own, with an id of its own",
                    hint="peel it: git rev-parse TAG^{commit}",
                )
            raise Refused(404, f"{name} has no commit {ref}")  # a branch of that name does not count
        candidates = [ref] if ref.startswith("refs/") else [f"refs/tags/{ref}", f"refs/heads/{ref}"]
        for candidate in candidates:
            try:
                check_ref(candidate)
            except MalformedInput:
                break
            if commit := self._lookup(path, candidate):
                return commit
        raise Refused(404, f"{name} has no branch, tag or commit {ref[:80]!r}")

    def only_in_fork(self, name: str, commit: str) -> bool:
        """Whether the repository has a commit that none of its branches and tags reaches.

        Such a commit was pushed to a fork, as anyone can do.
        """
        words = ("--count=1", f"--contains={commit_id(commit)}", "refs/heads", "refs/tags")
        return not self.git(self.path(name), "for-each-ref", *words).strip()

    def files(self, name: str, commit: str) -> dict[str, File]:
        """Return every file of a commit by path."""
        return self.git.files(self.path(name), self.resolve(name, commit))

    def show(self, name: str, commit: str, path: str) -> bytes:
        """Return one file of a commit. Raises as `stream` does."""
        return b"".join(self.stream(name, commit, path))

    def stream(self, name: str, commit: str, path: str) -> Iterator[bytes]:
        """Return an iterator over one file of a commit, piece by piece.

        Raises `Refused` at once: (404) without such a file, (413) for a file above the platform's limit.
        """
        folder = self.path(name)
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit_id(commit)}:{path}")
        id = self.git.run(folder, *words).stdout
        columns = self.git.run(folder, "cat-file", "--batch-check", stdin=id).stdout.decode().split()
        if columns[1:2] != ["blob"] or path.startswith(("./", "../", "/")):
            raise Refused(404, f"{name} has no file {path[:80]!r} at {commit}")
        if int(columns[2]) > MAX_FILE:
            raise Refused(413, f"{path[:80]!r} has {columns[2]} bytes; the limit is {MAX_FILE}")
        return self.git.stream(folder, "cat-file", "blob", columns[0], most=MAX_FILE)

    def archive(self, name: str, commit: str) -> Path:
        """Export the files of a commit, once, and return their folder; do not write to it."""
        target = self.directory / "trees" / commit_id(commit)
        if not target.exists():
            write_folder(self.files(name, commit), target)
        return target

    def _folder(self, name: str) -> Path:
        return self.directory / "git" / f"{name}.git"

    def _lookup(self, path: Path, ref: str) -> str | None:
        completed = self.git.run(path, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return completed.stdout.decode().strip() or None

    def _contains(self, path: Path, commit: str, ancestor: str) -> bool:
        words = ("merge-base", "--is-ancestor", ancestor, commit)
        return self.git.run(path, *words).returncode == 0

    def _refs(self, path: Path) -> dict[str, str]:
        out = self.git(path, "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ", 1) for line in out.decode().splitlines())


def check_name(name: str) -> str:
    """Return ``name`` if it is a repository's folded name. Raises `MalformedInput` for anything else."""
    if names.repository(name) != name:
        raise MalformedInput(f"not a lower-case repository name: {name[:80]!r}", hint=f"write {name.lower()}")
    return name


def no_such_repository(name: str) -> Refused:
    """Return the error for a repository that does not exist, or that the caller may not know about."""
    return Refused(404, f"no such repository: {name[:80]!r}")


def _files(source: Path | Mapping[str, bytes | File]) -> dict[str, File]:
    if isinstance(source, Path):
        return read_folder(source)
    return {path: file if isinstance(file, File) else File(file) for path, file in source.items()}
