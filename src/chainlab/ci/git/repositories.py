"""Git repositories of the CI host: one bare repository for each project, fork and action.

    DIRECTORY/git/OWNER/REPO.git     the repositories
    DIRECTORY/trees/COMMIT/          files of a commit, exported once

A repository is public (anyone reads) or internal (`contents:read:OWNER/REPO`), and a fork is never wider than what it
is a fork of (`chainlab.visibility`). A pull request's refs are
refs of the base repository, as on the platform: ``refs/pull/7/head`` and ``refs/pull/7/merge``; a
push cannot write them. Commits of forks that only the host keeps lie below ``refs/forks/``: hidden
from listings, yet fetched by id, because the platform stores a repository and its forks together.

    >>> repositories.create("acme", "triage-model", public=True)          # doctest: +SKIP
    >>> repositories.import_tree("acme/triage-model", folder, "A first version")   # doctest: +SKIP
    '0c2f…'
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chainlab import names
from chainlab.ci.git.git import (
    COMMIT,
    MAX_FILE,
    ROLE,
    Commit,
    File,
    Git,
    check_ref,
    commit_id,
    read_folder,
    write_folder,
)
from chainlab.credentials import Credential
from chainlab.database import SqliteStore
from chainlab.errors import MalformedInput, Refused
from chainlab.events import Events
from chainlab.visibility import CONTENTS, Visibility

__all__ = ["NO_COMMIT", "BareRepository", "Repositories", "Repository", "check_name", "no_such_repository"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS mirrors (key TEXT PRIMARY KEY) STRICT;  -- histories that were adopted
CREATE TABLE IF NOT EXISTS refs (  -- as last announced; git itself is what counts
    repository TEXT, ref TEXT, id TEXT NOT NULL, PRIMARY KEY (repository, ref)
) STRICT, WITHOUT ROWID;
"""
PLATFORM = "chainlab"  # owner of the workflows that host and gate sign as; no job may be one of theirs
NO_COMMIT = "0" * 40  # stands for "no commit" in events, as in git's own protocol
BATCH = 100  # refs announced in one transaction: a push of many holds the database for no longer


@dataclass(frozen=True)
class Repository:
    """What the host knows of a repository besides its bytes."""

    name: str
    public: bool  # and so is all that it was forked from
    parent: str | None = None


@dataclass
class BareRepository:
    """A finished bare repository to take over; all of them are public."""

    name: str
    path: Path
    parent: str | None = None
    refs: dict[str, str] = field(default_factory=dict)


class Repositories(SqliteStore):
    """All repositories of one state directory; safe to use from several threads."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self.git = Git(directory / "home")
        super().__init__(database, SCHEMA)
        self._events = Events(self._connection)
        self.visibility = Visibility(self._connection)

    # -- repositories

    def create(self, owner: str, repo: str, *, public: bool = True, parent: str | None = None) -> str:
        """Make an empty repository; one that is there stays as it is. Returns its name ``owner/repo``.

        Raises `MalformedInput` for the platform's own: whose workflow runs there signs as the host or the gate.
        """
        name = check_name(f"{owner}/{repo}")
        if owner == PLATFORM:
            raise MalformedInput(f"{name} would be the platform's own", hint="name another owner, such as acme")
        with self._guard:
            path = self._folder(name)
            if not (path / "HEAD").exists():
                shutil.rmtree(path, ignore_errors=True)
                self.git.make(path)
            with self._transaction():
                self._connection.execute(
                    "INSERT OR IGNORE INTO repositories VALUES (?, ?, ?)", (name, int(public), parent)
                )
        return name

    def publish(self, name: str, *, public: bool) -> None:
        """Make a repository public or internal, as its settings say. Raises `Refused` (404)."""
        with self._transaction():
            self._connection.execute(
                "UPDATE repositories SET public = ? WHERE name = ?", (int(public), self.repository(name).name)
            )

    def has_adopted(self, key: str) -> bool:
        """Whether the repositories that ``key`` names were taken over."""
        with self._guard:
            row = self._connection.execute("SELECT 1 FROM mirrors WHERE key = ?", (key,)).fetchone()
        return row is not None

    def adopt(self, key: str, made: Iterable[BareRepository]) -> None:
        """Take over copies of bare repositories that nobody changes; their packs are shared.

        A repository of that name that is here already is replaced. ``key`` names them all.
        """
        with self._guard:
            rows = list(made)
            for row in rows:
                path = self._folder(check_name(row.name))
                part, old = path.with_suffix(".part"), path.with_suffix(".old")
                for left in (part, old):
                    shutil.rmtree(left, ignore_errors=True)
                shutil.copytree(row.path, part, copy_function=_link_or_copy)
                if path.exists():
                    path.rename(old)
                part.rename(path)
                shutil.rmtree(old, ignore_errors=True)
            with self._transaction():
                self._connection.execute("DELETE FROM mirrors")
                self._connection.execute("INSERT INTO mirrors VALUES (?)", (key,))
                self._connection.executemany(
                    "INSERT OR REPLACE INTO repositories VALUES (?, 1, ?)",
                    [(row.name, row.parent) for row in rows],
                )
                self._connection.executemany("DELETE FROM refs WHERE repository = ?", [(row.name,) for row in rows])
                self._connection.executemany(
                    "INSERT INTO refs VALUES (?, ?, ?)",
                    [(row.name, ref, id) for row in rows for ref, id in row.refs.items()],
                )

    def repository(self, name: str) -> Repository:
        """What is known of a repository. Raises `Refused` (404)."""
        with self._guard:
            row = self._connection.execute("SELECT name, parent FROM repositories WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise no_such_repository(name)
            return Repository(row[0], not self.visibility.is_internal(name), row[1])

    def may_read(self, caller: Credential | None, name: str) -> bool:
        """Whether a caller, None for anybody, may read a repository."""
        with self._guard:
            return self.visibility.may_read(caller, CONTENTS, name)

    def path(self, name: str) -> Path:
        """The bare repository. Raises `Refused` (404)."""
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
        """Commit a folder, or files by path, as they are, and set the branch; returns the commit's id.

        ``parent`` is the branch's tip unless told; ``branch`` may be a full ref; ``time`` is in seconds
        since 1970, now unless told. ``who`` is named in the event; with ``quiet`` the next one tells. Caches and other
        repositories in the folder are left out; its ``.gitignore`` is not obeyed.
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
        """Point a ref at a commit (or a tag object), or with None delete it."""
        with self.changing(name, who, quiet=quiet) as path:
            words = ("-d", check_ref(ref)) if commit is None else (check_ref(ref), commit_id(commit))
            self.git(path, "update-ref", *words)

    def tag(self, name: str, tag: str, commit: str, *, message: str = "", who: str = "chainlab") -> None:
        """Set a tag: annotated (an object of its own) when there is a message, else lightweight."""
        target = commit_id(commit)
        if message:
            check_ref(f"refs/tags/{tag}")
            body = f"object {target}\ntype commit\ntag {tag}\ntagger {ROLE} 0 +0000\n\n{message}\n"
            made = self.git(self.path(name), "mktag", stdin=body.encode())
            target = made.decode().strip()
        self.set_ref(name, f"refs/tags/{tag}", target, who=who)

    def fetch_fork(self, name: str, fork: str, ref: str, *, into: str) -> str:
        """Bring a fork's ref into the base repository as ``into``; returns the commit's id.

        The platform does so for ``refs/pull/N/head``; ``refs/forks/…`` keeps it hidden.
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

        The fork has the visibility of the repository. Raises `Refused` (409) when the owner has another repository of
        that name: it is not the fork's, and others read it.
        """
        repository, source = self.repository(name), self.path(name)
        fork = self.create(owner, name.partition("/")[2], public=repository.public, parent=name)
        if self.repository(fork).parent != name:
            raise Refused(409, f"{fork} is there, and no fork of {name}", hint="fork as another owner")
        with self.changing(fork, owner) as path:
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            self.git(path, "fetch", "--quiet", "--no-write-fetch-head", str(source), *refs)
        return fork

    def merge(self, name: str, base: str, head: str) -> str:
        """A merge commit of two commits, as the platform makes for ``refs/pull/N/merge``.

        It is in no ref yet. Raises `Refused` (409) naming the files when they conflict.
        """
        path = self.path(name)
        words = ("merge-tree", "--write-tree", "--name-only", "-z")
        done = self.git.run(path, *words, commit_id(base), commit_id(head))
        tree, *conflicts = done.stdout.split(b"\0")
        if done.returncode == 1 and b"" in conflicts:
            files = [file.decode(errors="replace") for file in conflicts[: conflicts.index(b"")]]
            raise Refused(409, f"the pull request conflicts in {', '.join(files)}")
        if done.returncode != 0:
            raise Refused(
                422,
                "git could not merge the two commits",
                why=done.stderr.decode(errors="replace").strip()[-300:],
                hint="both must be commits of this repository; git must be 2.38 or newer",
            )
        extra = {f"GIT_{role}_NAME": ROLE.name for role in ("AUTHOR", "COMMITTER")}
        extra |= {f"GIT_{role}_EMAIL": ROLE.email for role in ("AUTHOR", "COMMITTER")}
        message = f"Merge {head} into {base}"
        parents = ("-p", base, "-p", head)
        commit = ("commit-tree", *parents, "-m", message, tree.decode().strip())
        return self.git(path, *commit, extra=extra).decode().strip()

    @contextmanager
    def changing(self, name: str, who: str, *, quiet: bool = False) -> Iterator[Path]:
        """The repository's path; when the block ends, an event tells of each ref that changed.

        With ``quiet`` the next change tells.
        """
        with self._guard:
            path = self.path(name)
            try:
                yield path
            finally:
                if not quiet:
                    self._announce(name, who)

    # -- reading

    def refs(self, name: str) -> dict[str, str]:
        """Full ref name to the id it holds: an annotated tag's is the tag object's."""
        return self._refs(self.path(name))

    def resolve(self, name: str, ref: str) -> str:
        """The commit behind a full ref, a tag, a branch or a full commit id; tags are peeled.

        A tag wins over a branch of the same name. Abbreviated ids are not accepted: the platform
        stopped. Raises `Refused` (404), or (422) for the id of something that is no commit.
        """
        path = self.path(name)
        if COMMIT.fullmatch(ref):
            done = self.git.run(path, "cat-file", "-t", ref)
            kind = done.stdout.decode().strip()
            if kind == "commit":
                return ref
            if kind:
                raise Refused(
                    422,
                    f"{name}: {ref} is the id of a {kind}, not of a commit",
                    why="an annotated tag is an object of its own, with an id of its own",
                    hint="peel it: git rev-parse TAG^{commit}",
                )
            raise Refused(404, f"{name} has no commit {ref}")  # nor counts a branch of that name
        candidates = [ref] if ref.startswith("refs/") else [f"refs/tags/{ref}", f"refs/heads/{ref}"]
        for candidate in candidates:
            try:
                check_ref(candidate)
            except MalformedInput:
                break
            if found := self._lookup(path, candidate):
                return found
        raise Refused(404, f"{name} has no branch, tag or commit {ref[:80]!r}")

    def only_in_fork(self, name: str, commit: str) -> bool:
        """Whether no branch or tag of the repository reaches a commit that it nevertheless has.

        Such a commit was pushed to a fork: anyone can make one.
        """
        words = ("--count=1", f"--contains={commit_id(commit)}", "refs/heads", "refs/tags")
        return not self.git(self.path(name), "for-each-ref", *words).strip()

    def files(self, name: str, commit: str) -> dict[str, File]:
        """Every file of a commit by its path."""
        return self.git.files(self.path(name), self.resolve(name, commit))

    def show(self, name: str, commit: str, path: str) -> bytes:
        """One file of a commit. Raises as `stream` does."""
        return b"".join(self.stream(name, commit, path))

    def stream(self, name: str, commit: str, path: str) -> Iterator[bytes]:
        """One file of a commit, piece by piece.

        Raises `Refused` (404), or (413) for a file above the platform's limit, before anything is read.
        """
        folder = self.path(name)
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit_id(commit)}:{path}")
        id = self.git.run(folder, *words).stdout
        facts = self.git.run(folder, "cat-file", "--batch-check", stdin=id).stdout.decode().split()
        if facts[1:2] != ["blob"] or path.startswith(("./", "../", "/")):
            raise Refused(404, f"{name} has no file {path[:80]!r} at {commit}")
        if int(facts[2]) > MAX_FILE:
            raise Refused(413, f"{path[:80]!r} has {facts[2]} bytes, and a file at most {MAX_FILE}")
        return self.git.stream(folder, "cat-file", "blob", facts[0], most=MAX_FILE)

    def archive(self, name: str, commit: str) -> Path:
        """A folder with the files of a commit; do not write to it. Exported once."""
        target = self.directory / "trees" / commit_id(commit)
        if not target.exists():
            write_folder(self.files(name, commit), target)
        return target

    # -- inside

    def _folder(self, name: str) -> Path:
        return self.directory / "git" / f"{name}.git"

    def _lookup(self, path: Path, ref: str) -> str | None:
        done = self.git.run(path, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return done.stdout.decode().strip() or None

    def _refs(self, path: Path) -> dict[str, str]:
        out = self.git(path, "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ", 1) for line in out.decode().splitlines())

    def _announce(self, name: str, who: str) -> None:
        """An event for each ref that is not as it was last announced, also by whoever was killed."""
        now = self._refs(self._folder(name))
        rows = self._connection.execute("SELECT ref, id FROM refs WHERE repository = ?", (name,))
        before = dict(rows.fetchall())
        changed = sorted(ref for ref in now.keys() | before.keys() if now.get(ref) != before.get(ref))
        for first in range(0, len(changed), BATCH):
            with self._transaction():
                for ref in changed[first : first + BATCH]:
                    if ref in now:
                        self._connection.execute("INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", (name, ref, now[ref]))
                    else:
                        self._connection.execute("DELETE FROM refs WHERE repository = ? AND ref = ?", (name, ref))
                    self._events.append(
                        "dev.chainlab.change.pushed",
                        source="/ci/git",
                        subject=name,
                        data={
                            "ref": ref,
                            "old": before.get(ref, NO_COMMIT),
                            "new": now.get(ref, NO_COMMIT),
                            "who": who,
                        },
                    )


def check_name(name: str) -> str:
    """``name``, if it is a repository's in its folded form. Raises `MalformedInput`."""
    if names.repository(name) != name:
        raise MalformedInput(f"{name[:80]!r} is not folded", hint=f"write {name.lower()}")
    return name


def no_such_repository(name: str) -> Refused:
    """The refusal of a repository that is not there, and of one that the caller may not know of."""
    return Refused(404, f"there is no repository {name[:80]!r}")


def _files(source: Path | Mapping[str, bytes | File]) -> dict[str, File]:
    if isinstance(source, Path):
        return read_folder(source)
    return {path: file if isinstance(file, File) else File(file) for path, file in source.items()}


def _link_or_copy(source: str, target: str) -> None:
    """Packs and objects never change, so two repositories may share them; the rest is copied."""
    if "/objects/" in Path(source).as_posix():
        try:
            Path(target).hardlink_to(source)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)
