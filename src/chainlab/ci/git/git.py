"""Git's own programs, run so that neither the machine nor a repository can configure them.

They get no system or user configuration, no hooks, no prompts, no replaced objects and an empty HOME. What they write
is on the disk when they end (``core.fsync``).

    >>> git = Git(Path("home"))
    >>> git(repository, "rev-parse", "HEAD")      # doctest: +SKIP
    b'5b7a…\\n'
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from chainlab.ci.git.refs import check_ref, commit_id
from chainlab.ci.git.tree_files import File
from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable

__all__ = ["ROLE", "Author", "Commit", "Git"]

TIMEOUT = 60.0  # seconds for one program
MAX_TREE = 512 * 2**20  # bytes of a commit's files, which are read at once
MAX_ENTRIES = 100_000  # files of a commit
MAX_LISTING = 64 * 2**20  # bytes of a commit's list of files
PIECE = 2**18  # bytes of a stream in memory at once
SETTINGS = {
    "core.bigFileThreshold": str(8 * 2**20),  # bytes; git streams larger files where it can
    "core.hooksPath": os.devnull,
    "core.fsync": "all",
    "core.logAllRefUpdates": "false",
    "core.quotePath": "false",
    "fastimport.unpackLimit": "1",  # one pack an import: two files to sync, not one an object
    "fetch.fsckObjects": "true",
    "gc.auto": "0",
    "init.defaultBranch": "main",
    "merge.conflictStyle": "merge",
    "protocol.allow": "never",  # except for the paths that `Repositories.fetch_fork` names
    "protocol.file.allow": "always",
    "receive.advertisePushOptions": "false",
    "receive.autogc": "false",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(256 * 2**20),  # bytes
    "safe.directory": "*",
    "uploadpack.allowAnySHA1InWant": "true",  # a commit can be fetched by its id, as on the platform
    "uploadpack.allowFilter": "true",
}


@dataclass(frozen=True)
class Author:
    """An author or committer: a role, never a person."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


ROLE = Author("chainlab ci", "ci@chainlab.localhost")


@dataclass(frozen=True)
class Commit:
    """A commit to create: its whole tree, parents, author, committer and time."""

    ref: str
    files: Mapping[str, File]
    message: str
    parents: tuple[str, ...] = ()  # 40 hex digits each
    author: Author = ROLE
    committer: Author = ROLE
    time: int | None = None  # seconds since 1970; None = now


class Git:
    """Git's programs with a fixed environment; ``home`` is a directory that stays empty."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(SETTINGS)),
        }
        for number, (key, value) in enumerate(SETTINGS.items()):
            self.environment[f"GIT_CONFIG_KEY_{number}"] = key
            self.environment[f"GIT_CONFIG_VALUE_{number}"] = value
        for name in ("SYSTEMROOT", "TMPDIR", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def run(
        self,
        repository: Path,
        *words: str,
        stdin: bytes | IO[bytes] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        extra: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one program to its end, whatever its exit status.

        Raises `Unavailable` without git, `Refused` (404) without the repository, (504) after ``timeout`` seconds.
        """
        feed: dict[str, Any] = {"input": stdin or b""}
        if stdin is not None and not isinstance(stdin, bytes):
            feed = {"stdin": stdin}
        try:
            return subprocess.run(
                ["git", *words],
                cwd=repository,
                env=self.environment | {"GIT_DIR": str(repository)} | dict(extra or {}),
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=timeout,
                check=False,
                **feed,
            )
        except FileNotFoundError as error:
            if not repository.is_dir():
                raise Refused(404, "no such repository") from error
            raise Unavailable(
                "git is not installed on this machine",
                hint="install git 2.38 or newer with your system's package manager",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Refused(504, f"git {words[0]} took longer than {timeout:.0f} s") from error

    def stream(self, repository: Path, *words: str, most: int, timeout: float = TIMEOUT) -> Iterator[bytes]:
        """Yield a program's output piece by piece while it runs; the program ends when the caller stops reading.

        Raises `Refused` (413) beyond ``most`` bytes, (504) after ``timeout`` seconds, `ChainlabError` when the program
        fails.
        """
        process = subprocess.Popen(
            ["git", *words],
            cwd=repository,
            env=self.environment | {"GIT_DIR": str(repository)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        timer = threading.Timer(timeout, process.kill)  # also when nobody reads on
        timer.daemon = True
        timer.start()
        size = 0
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            while piece := process.stdout.read(PIECE):
                size += len(piece)
                if size > most:
                    raise Refused(413, f"git {words[0]} prints more than {most} bytes")
                yield piece
            if process.wait() == -signal.SIGKILL:
                raise Refused(504, f"git {words[0]} took longer than {timeout:.0f} s")
            if process.returncode != 0:
                raise ChainlabError(f"git {words[0]} failed in {repository.name}")
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def __call__(self, repository: Path, *words: str, stdin: bytes = b"", extra: Mapping[str, str] = {}) -> bytes:
        """Run one program and return its output. Raises `ChainlabError` with its error output when it fails."""
        completed = self.run(repository, *words, stdin=stdin, extra=extra)
        if completed.returncode != 0:
            raise ChainlabError(
                f"git {words[0]} failed in {repository.name}",
                why=completed.stderr.decode(errors="replace").strip()[-500:] or "git gave no reason",
            )
        return completed.stdout

    def init(self, repository: Path) -> None:
        """Create an empty bare repository."""
        repository.mkdir(parents=True)
        self(repository, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")

    def commit(self, repository: Path, commits: Iterable[Commit]) -> list[str]:
        """Create commits and set their refs; returns their ids. The same input gives the same ids."""
        stream = []
        for mark, commit in enumerate(commits, start=1):
            stream += [*_command(commit, mark), b"get-mark :%d\n" % mark]
        words = ("fast-import", "--quiet", "--force", "--done", "--date-format=raw")
        out = self(repository, *words, stdin=b"".join([*stream, b"done\n"]))
        return out.decode().split()

    def files(self, repository: Path, commit: str) -> dict[str, File]:
        """Return every file of a commit by path, byte for byte; the repository's attributes are ignored."""
        words = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit_id(commit))
        listing = b"".join(self.stream(repository, *words, most=MAX_LISTING))
        if listing.count(b"\0") > MAX_ENTRIES:  # one folder can stand in a tree many times at no cost
            raise Refused(413, f"{commit[:12]} has more than {MAX_ENTRIES} files")
        entries, total = [], 0
        for line in listing.split(b"\0")[:-1]:
            columns, _, name = line.partition(b"\t")
            mode, kind, id, size_text = columns.decode().split()
            total += int(size_text) if kind == "blob" else 0
            if total > MAX_TREE:  # the compressed files may be small
                raise Refused(413, f"the files of {commit[:12]} are larger than {MAX_TREE} bytes")
            entries.append((os.fsdecode(name), mode, kind, id))
        blobs = [id for _, _, kind, id in entries if kind == "blob"]
        out = self(repository, "cat-file", "--batch", stdin="\n".join([*blobs, ""]).encode())
        files: dict[str, File] = {}
        at = 0
        for path, mode, kind, _ in entries:
            data = b""
            if kind == "blob":
                line_end = out.index(b"\n", at)
                size = int(out[at:line_end].rsplit(b" ", 1)[1])
                data = out[line_end + 1 : line_end + 1 + size]
                at = line_end + 2 + size
            files[path] = File(data, mode)
        return files


def _command(commit: Commit, mark: int) -> Iterable[bytes]:
    """Write one commit in the input format of git-fast-import."""
    seconds = int(time.time()) if commit.time is None else commit.time
    message = commit.message.encode()
    yield f"commit {check_ref(commit.ref)}\nmark :{mark}\n".encode()
    yield f"author {commit.author} {seconds} +0000\n".encode()
    yield f"committer {commit.committer} {seconds} +0000\n".encode()
    yield b"data %d\n%b\n" % (len(message), message)
    for number, parent in enumerate(commit.parents):
        yield f"{'merge' if number else 'from'} {parent}\n".encode()
    yield b"deleteall\n"
    for path in sorted(commit.files):
        file = commit.files[path]
        yield f"M {file.mode} inline ".encode() + _quoted(path) + b"\n"
        yield b"data %d\n%b\n" % (len(file.data), file.data)


def _quoted(path: str) -> bytes:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or {"..", ".git"} & {part.lower() for part in parts}:
        raise MalformedInput(f"not a path in a repository: {path!r}")
    raw = os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%b"' % raw
