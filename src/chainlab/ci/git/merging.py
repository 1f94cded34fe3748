"""Merge commits of pull requests, as the platform makes them for ``refs/pull/N/merge``."""

from __future__ import annotations

from pathlib import Path

from chainlab.ci.git.git import ROLE, Git
from chainlab.ci.git.refs import commit_id
from chainlab.errors import Refused

__all__ = ["merge"]


def merge(git: Git, repository: Path, base: str, head: str) -> str:
    """Create a merge commit of two commits of a bare repository; returns its id. No ref names it yet.

    Raises `Refused` (409) naming the files that conflict, (422) when git cannot merge the commits.
    """
    words = ("merge-tree", "--write-tree", "--name-only", "-z")
    completed = git.run(repository, *words, commit_id(base), commit_id(head))
    tree, *conflicts = completed.stdout.split(b"\0")
    if completed.returncode == 1 and b"" in conflicts:
        files = [file.decode(errors="replace") for file in conflicts[: conflicts.index(b"")]]
        raise Refused(409, f"the pull request conflicts in {', '.join(files)}")
    if completed.returncode != 0:
        raise Refused(
            422,
            "git could not merge the two commits",
            why=completed.stderr.decode(errors="replace").strip()[-300:],
            hint="both must be commits of this repository; git must be 2.38 or newer",
        )
    extra = {f"GIT_{role}_NAME": ROLE.name for role in ("AUTHOR", "COMMITTER")}
    extra |= {f"GIT_{role}_EMAIL": ROLE.email for role in ("AUTHOR", "COMMITTER")}
    parents = ("-p", base, "-p", head)
    commit = ("commit-tree", *parents, "-m", f"Merge {head} into {base}", tree.decode().strip())
    return git(repository, *commit, extra=extra).decode().strip()
