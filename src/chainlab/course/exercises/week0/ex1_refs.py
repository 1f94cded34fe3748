"""Cases for exercise 0.1: which commit does a ref name? The truth is the id that `git commit` gave."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = {
    "a full commit id": "notebooks/00a_git.ipynb, 'A commit is named by its content'",
    "a branch": "notebooks/00a_git.ipynb, 'A branch moves, and is meant to'",
    "another branch": "notebooks/00a_git.ipynb, 'A branch moves, and is meant to'",
    "a lightweight tag": "notebooks/00a_git.ipynb, 'A lightweight tag is 41 bytes in a file'",
    "an annotated tag": "notebooks/00a_git.ipynb, 'A tag that is an object of its own'",
    "a tag on a tag": "notebooks/00a_git.ipynb, 'A tag that is an object of its own'",
    "a branch whose name ends like a tag": "notebooks/00a_git.ipynb, 'A branch moves, and is meant to'",
    "a tag on a file": "notebooks/00a_git.ipynb, 'A tag that is an object of its own'",
    "a name nobody made": "notebooks/00a_git.ipynb, 'A last look: digits that nobody made'",
    "40 digits nobody made": "notebooks/00a_git.ipynb, 'A last look: digits that nobody made'",
}
TEACHES = {
    "a full commit id": "40 hex digits name the commit itself.",
    "a branch": "A branch names the newest commit on it, today.",
    "another branch": "This branch stops at an older commit than main.",
    "a lightweight tag": "A lightweight tag is a name for a commit, nothing more.",
    "an annotated tag": (
        "An annotated tag is an object with an id of its own. That id is not a commit: a workflow pinned to it "
        "names no commit at all. Peel the tag."
    ),
    "a tag on a tag": "A tag may point at a tag. Peel until a commit is left; `^{commit}` does that.",
    "a branch whose name ends like a tag": (
        "Give git the whole name: its last part alone is a tag, of another commit."
    ),
    "a tag on a file": ("A tag may point at any object. Peel this one and a file is left: no commit to pin, so None."),
    "a name nobody made": "No such ref: the answer is None, not an empty text and not an exception.",
    "40 digits nobody made": "`git rev-parse` repeats any 40 hex digits without looking. Ask for a commit.",
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make a real repository with every kind of ref, and ask for each."""
    repository = lab.path / "exercise-0.1" / f"{rng.getrandbits(32):08x}"
    major, feature = rng.randrange(2, 9), rng.choice(["faster", "retry", "cache", "matrix"])
    git = _Repository(repository, rng)
    first = git.commit("first release")
    git.run("tag", f"v{major}.0")
    git.run("tag", "-a", "-m", "signed off", f"v{major}.1", first)
    second = git.commit("second release")
    git.run("tag", "-a", "-m", "release", f"v{major}.2")
    git.run("tag", "-a", "-m", "moving", f"v{major}", f"refs/tags/v{major}.2")
    third = git.commit("not released")
    git.run("branch", feature, second)
    git.run("branch", f"release/v{major}.2", third)
    git.run("tag", "-a", "-m", "a key", "maintainers-key", git.file(f"key {rng.getrandbits(64):x}\n"))
    unknown = f"{rng.getrandbits(160):040x}"

    yield Case("a full commit id", (repository, first), first)
    yield Case("a branch", (repository, "main"), third)
    yield Case("another branch", (repository, feature), second)
    yield Case("a lightweight tag", (repository, f"v{major}.0"), first)
    yield Case("an annotated tag", (repository, f"v{major}.1"), first)
    yield Case("a tag on a tag", (repository, f"v{major}"), second)
    yield Case("a branch whose name ends like a tag", (repository, f"release/v{major}.2"), third)
    yield Case("a tag on a file", (repository, "maintainers-key"), None)
    yield Case("a name nobody made", (repository, f"v{major}.9"), None)
    yield Case("40 digits nobody made", (repository, unknown), None)


class _Repository:
    """A throwaway repository that ignores the user's and the machine's git settings."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        self.path, self.rng = path, rng
        self.clock = 1_700_000_000 + rng.randrange(10**6)  # seconds since 1970
        self.run("init", "--quiet", "--initial-branch=main")

    def run(self, *words: str, stdin: str | None = None) -> str:
        stamp, mail = f"{self.clock} +0000", "maintainer@example.com"
        settings = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "maintainer",
            "GIT_AUTHOR_EMAIL": mail,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": "maintainer",
            "GIT_COMMITTER_EMAIL": mail,
            "GIT_COMMITTER_DATE": stamp,
        }
        completed = subprocess.run(
            ["git", "-C", str(self.path), *words],
            env={**os.environ, **settings},
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return completed.stdout.strip()

    def commit(self, message: str) -> str:
        """Make a commit; returns its id."""
        self.clock += self.rng.randrange(60, 86_400)
        self.run("commit", "--quiet", "--allow-empty", "-m", message)
        return self.run("rev-parse", "HEAD")

    def file(self, text: str) -> str:
        """Store a file's content; returns its id."""
        return self.run("hash-object", "-w", "--stdin", stdin=text)
