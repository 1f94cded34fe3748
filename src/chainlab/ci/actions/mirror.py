"""The mirror of actions: it resolves a ``uses:`` to the exact commit, and so every ``uses:`` inside that action.

Tags and branches are promises of a repository's owner, and `move_tag` breaks them. A commit id is resolved even if no
branch or tag of the repository reaches it. `Resolved.only_in_fork` says so; callers that run or pin it should check.

Only public repositories are resolved. The `view_of` a repository also reaches the internal repositories of its owner;
any other internal repository does not exist for it.

    >>> mirror.resolve("acme/changed-files@v3").commit            # doctest: +SKIP
    '5a0c…'
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from chainlab.ci.actions import mirror_history
from chainlab.ci.actions.action_tree import ACTION_FILES, Resolved, Tree
from chainlab.ci.actions.uses import SELF, ActionRef, Uses, find, find_in_jobs
from chainlab.ci.git.repositories import Repositories, no_such_repository
from chainlab.ci.git.tree_files import File
from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.workspace import course_root

__all__ = ["Mirror", "Reached", "UnresolvedAction"]

MAX_REACHED = 500  # references of one closure
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class UnresolvedAction:
    """A reference that cannot be resolved; an unreadable file when ``uses`` is empty."""

    file: str
    line: int
    uses: str
    error: ChainlabError


@dataclass(frozen=True)
class Reached:
    """Every action that a job reaches, directly or through another, each once, outermost first."""

    actions: list[Resolved]
    files: list[str]  # the project's own actions and reusable workflows


class Mirror:
    """The actions of one state directory."""

    def __init__(self, repositories: Repositories, *, data: Path | None = None) -> None:
        self.repositories = repositories
        self.owner = ""  # whose internal repositories this view reaches; "" = nobody's
        self._data = data or course_root() / "data"
        if not repositories.has_adopted(mirror_history.key(self._data)):
            self.reset()

    def reset(self) -> None:
        """Restore every repository of the mirror to its first state."""
        self.repositories.adopt(mirror_history.key(self._data), mirror_history.prepare(self._data).values())

    def view_of(self, repository: str, *, fork: bool = False) -> Mirror:
        """Return the mirror as a run of this repository sees it; with ``fork``, only what is public."""
        view = copy.copy(self)
        view.owner = "" if fork else repository.partition("/")[0]
        return view

    def resolve(self, uses: str | ActionRef) -> Resolved:
        """Resolve a reference to the commit that it names now.

        Raises `MalformedInput` for another form, `Refused` (404) when the mirror lacks the repository, ref or path.
        """
        reference = uses if isinstance(uses, ActionRef) else ActionRef.parse(uses)
        self._require(reference.name)
        commit = self.repositories.resolve(reference.name, reference.ref)
        only_in_fork = reference.ref == commit and self.repositories.only_in_fork(reference.name, commit)
        resolved = Resolved(reference.owner, reference.repo, reference.path, reference.ref, commit, only_in_fork)
        self.definition(resolved)
        return resolved

    def definition(self, resolved: Resolved) -> tuple[str, str]:
        """Return path and text of the file that defines the action or the reusable workflow.

        Raises `Refused` (404) when the commit has no such file.
        """
        folder = self.export(resolved)
        top = PurePosixPath(resolved.path)
        names = [top] if resolved.is_workflow else [top / name for name in ACTION_FILES]
        for name in names:
            if (folder / name).is_file():
                return name.as_posix(), (folder / name).read_text("utf-8", errors="replace")
        raise Refused(404, f"{resolved.name} has no {names[0]} at {resolved.commit[:12]}")

    def export(self, resolved: Resolved) -> Path:
        """Export the whole repository at that commit; do not write to the folder. Raises `Refused` (404)."""
        self._require(resolved.name)
        return self.repositories.archive(resolved.name, resolved.commit)

    def move_tag(
        self,
        repo: str,
        tag: str,
        to: str | Mapping[str, bytes | File],
        *,
        message: str = "chore: small fix",
        who: str = "",
    ) -> str:
        """Point a tag at another commit, as a thief of the owner's token would; returns the commit's id.

        ``to`` is a commit, or files that replace those of the tag's present commit, in a new commit on no branch. The
        tag becomes a lightweight one.
        """
        owner = who or repo.partition("/")[0]
        if isinstance(to, str):
            commit = self.repositories.resolve(repo, to)
        else:
            before = self.repositories.resolve(repo, tag)
            changed = {path: file if isinstance(file, File) else File(file) for path, file in to.items()}
            commit = self.repositories.import_tree(
                repo,
                self.repositories.files(repo, before) | changed,
                message,
                branch="refs/staging/move",
                parent=before,
                who=owner,
                quiet=True,
            )
            self.repositories.set_ref(repo, "refs/staging/move", None, who=owner, quiet=True)
        self.repositories.set_ref(repo, f"refs/tags/{tag}", commit, who=owner)
        return commit

    def closure(
        self,
        texts: Mapping[str, str],
        *,
        read: Callable[[str], str | None] = lambda path: None,
        problems: list[UnresolvedAction] | None = None,
    ) -> Tree:
        """Find every action that workflows reach, directly or through another, each once, outermost first.

        ``texts`` are files by path; ``read`` returns the project's other files, for ``./`` and ``$/`` references.
        Images (``docker://``) are left out. Whatever cannot be read or resolved is added to ``problems``; if that is
        None, raises `ChainlabError` naming file and line.
        """
        walk = _Walk(self, read, problems=problems)
        walk.project(texts, {})
        return Tree(walk.actions)

    def reach(
        self, path: str, text: str, jobs: Iterable[str], *, read: Callable[[str], str | None] = lambda path: None
    ) -> dict[str, Reached]:
        """Do as `closure` for each job of one workflow apart, and list the project's own files that it uses."""
        reached, lookups = {}, _Lookups()
        for job, uses in _naming(path, lambda: find_in_jobs(text, jobs)).items():
            walk = _Walk(self, read, lookups)
            walk.project({path: text}, {path: uses})
            reached[job] = Reached(walk.actions, walk.files)
        return reached

    def _require(self, name: str) -> None:
        """Raise `Refused` (404) for a repository that does not exist, or is internal to another owner."""
        repository = self.repositories.repository(name)
        if not repository.public and (not self.owner or name.partition("/")[0] != self.owner):
            raise no_such_repository(name)


@dataclass
class _Lookups:
    """The lookups of one workflow's walks: each is done once, however many jobs need it."""

    resolved: dict[tuple[str, str], tuple[Resolved, tuple[str, str]]] = field(default_factory=dict)
    uses: dict[str, list[Uses]] = field(default_factory=dict)


@dataclass
class _Walk:
    mirror: Mirror
    read: Callable[[str], str | None]
    lookups: _Lookups = field(default_factory=_Lookups)
    actions: list[Resolved] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    problems: list[UnresolvedAction] | None = None  # None: raise

    def project(self, texts: Mapping[str, str], chosen: Mapping[str, list[Uses]]) -> None:
        """Follow the references in the project's own ``texts``, or those that ``chosen`` lists for a path."""
        self.visited |= set(texts)
        waiting: list[tuple[str, str, Resolved | None]] = [(p, t, None) for p, t in texts.items()]
        for path, text, inside in waiting:  # grows as it is walked: breadth first
            where = f"{inside.name}@{inside.ref}: {path}" if inside else path
            own = chosen.get(path) if inside is None else None
            for uses in self.uses(where, text) if own is None else own:
                try:
                    waiting += self.follow(uses, inside, where)
                except (Refused, MalformedInput) as error:
                    self.report(UnresolvedAction(where, uses.line, uses.value, error))
            if len(self.lookups.resolved) > MAX_REACHED:
                raise ChainlabError(f"more than {MAX_REACHED} references", why=f"reached {where}")

    def report(self, problem: UnresolvedAction) -> None:
        """Collect a problem, or raise it."""
        if self.problems is not None:
            self.problems.append(problem)
            return
        error = problem.error
        if not problem.uses:
            raise MalformedInput(f"{problem.file}: {error.message}", why=error.why, hint=error.hint) from error
        raise ChainlabError(
            f"{problem.file}, line {problem.line}: {problem.uses!r} cannot be resolved",
            why=error.message + (f"; {error.why}" if error.why else ""),
            hint=error.hint or "the mirror has what data/mirror.toml lists",
        ) from error

    def follow(self, uses: Uses, inside: Resolved | None, where: str) -> Iterable[tuple[str, str, Resolved | None]]:
        """Return what to read next because of one reference. Raises `Refused` or `MalformedInput`."""
        if uses.kind == "docker":
            return []
        if uses.kind == "local":
            return self.local(uses, inside)
        bare, definition = self.resolve(uses.value, self.view(inside))
        resolved = replace(bare, file=where, line=uses.line, depth=inside.depth + 1 if inside else 0)
        if str(resolved) in self.visited:
            return []
        self.visited.add(str(resolved))
        self.actions.append(resolved)
        return [(*definition, resolved)]

    def resolve(self, value: str, mirror: Mirror) -> tuple[Resolved, tuple[str, str]]:
        """Resolve a reference, with path and text of the file that defines it."""
        key = (mirror.owner, value)
        if key not in self.lookups.resolved:
            resolved = mirror.resolve(value)
            self.lookups.resolved[key] = (resolved, mirror.definition(resolved))
        return self.lookups.resolved[key]

    def uses(self, where: str, text: str) -> list[Uses]:
        """List the references in a file; none when it cannot be read."""
        if text not in self.lookups.uses:
            try:
                self.lookups.uses[text] = find(text)
            except MalformedInput as error:
                self.report(UnresolvedAction(where, getattr(error, "line", 0), "", error))
                return []
        return self.lookups.uses[text]

    def view(self, inside: Resolved | None) -> Mirror:
        """Return the mirror as the referring file sees it: another owner's action reaches no internal repository."""
        own = inside is None or inside.owner == self.mirror.owner
        return self.mirror if own else self.mirror.view_of("")

    def local(self, uses: Uses, inside: Resolved | None) -> Iterable[tuple[str, str, Resolved | None]]:
        """Follow ``$/`` or a job's ``./`` in the repository of their file, a step's ``./`` in the checked-out one."""
        path = PurePosixPath(uses.value.removeprefix(SELF).replace("\\", "/")).as_posix()
        if ".." in path.split("/"):
            raise MalformedInput(f"{uses.value!r} leads out of the project")
        if (uses.of_job or uses.of_repository) and inside is not None:
            called = replace(inside, path="" if path == "." else path, line=uses.line)
            if f"{called}" in self.visited:
                return []
            self.visited.add(f"{called}")
            return [(*self.mirror.definition(called), called)]
        names = [path] if uses.of_job else [f"{path}/{name}" for name in ACTION_FILES]
        names = [name.removeprefix("./") for name in names]
        for name in names:
            if name in self.visited:
                return []
            if (text := self.read(name)) is not None:
                self.visited.add(name)
                self.files.append(name)
                return [(name, text, None)]
        raise Refused(404, f"the project has no {names[0]}")


def _naming(file: str, read: Callable[[], _Result]) -> _Result:
    """Return what ``read`` returns; a `MalformedInput` that it raises names the file."""
    try:
        return read()
    except MalformedInput as error:
        raise MalformedInput(f"{file}: {error.message}", why=error.why) from error
