"""Git's own programs, run so that nothing of the machine or of a repository steers them.

No system or user configuration, no hooks, no prompts, no replaced objects, an empty HOME. What is
written is on the disk when the program ends (``core.fsync``).

    >>> git = Git(Path("home"))
    >>> git(repository, "rev-parse", "HEAD")      # doctest: +SKIP
    b'5b7a…\\n'
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable

__all__ = [
    "MAX_FILE",
    "ROLE",
    "Author",
    "Commit",
    "File",
    "Git",
    "check_ref",
    "commit_id",
    "read_folder",
    "write_folder",
]

LONGEST = 60.0  # seconds for one program
MAX_TREE = 512 * 2**20  # bytes of all files of a commit, which are read at once
MAX_FILE = 100 * 2**20  # bytes of one file, the platform's limit
MAX_ENTRIES = 100_000  # files of a commit
MAX_LISTING = 64 * 2**20  # bytes of their names
PIECE = 2**18  # bytes of a file that are in memory at once
IGNORED = {  # never part of a project, whatever made them
    ".git",
    ".venv",
    ".DS_Store",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
}
COMMIT = re.compile(r"[0-9a-f]{40}")
REF_PART = re.compile(r"(?!-)(?!\.)(?!@$)[^\x00-\x20\x7f~^:?*\[\\/]+")
SETTINGS = {
    "core.bigFileThreshold": str(8 * 2**20),  # bytes; git streams larger files where it can
    "core.hooksPath": os.devnull,
    "core.fsync": "all",
    "core.logAllRefUpdates": "false",
    "core.quotePath": "false",
    "fastimport.unpackLimit": "1",  # one pack an import: two files to wait for, not one an object
    "fetch.fsckObjects": "true",
    "gc.auto": "0",
    "init.defaultBranch": "main",
    "merge.conflictStyle": "merge",
    "protocol.allow": "never",  # but for the paths that `Repositories.fetch_fork` names
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
    """An author or committer; a role, never a person."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


ROLE = Author("chainlab ci", "ci@chainlab.localhost")


@dataclass(frozen=True)
class File:
    """One file of a tree."""

    data: bytes
    mode: str = "100644"  # 100755 executable, 120000 symbolic link, 160000 submodule


@dataclass(frozen=True)
class Commit:
    """A commit to be made: its whole tree, its parents, who and when."""

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
        timeout: float = LONGEST,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one program to its end, whatever it answers.

        Raises `Unavailable` when there is no git, `Refused` (504) when it takes too long.
        """
        given: dict[str, Any] = {"input": stdin or b""}
        if stdin is not None and not isinstance(stdin, bytes):
            given = {"stdin": stdin}
        try:
            return subprocess.run(
                ["git", *words],
                cwd=repository,
                env=self.environment | {"GIT_DIR": str(repository)} | dict(extra or {}),
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=timeout,
                check=False,
                **given,
            )
        except FileNotFoundError as error:
            if not repository.is_dir():
                raise Refused(404, "there is no such repository") from error
            raise Unavailable(
                "there is no git on this machine",
                hint="install git 2.38 or newer with your system's package manager",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Refused(504, f"git {words[0]} took longer than {timeout:.0f} s") from error

    def stream(self, repository: Path, *words: str, most: int, timeout: float = LONGEST) -> Iterator[bytes]:
        """What one program prints, piece by piece, while it runs; it ends with whoever stops reading.

        Raises `Refused` (413) when it is more than ``most`` bytes, (504) when it takes too long, `ChainlabError` when
        it fails.
        """
        process = subprocess.Popen(
            ["git", *words],
            cwd=repository,
            env=self.environment | {"GIT_DIR": str(repository)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        late = threading.Timer(timeout, process.kill)  # also when nobody reads on
        late.daemon = True
        late.start()
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
            late.cancel()
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def __call__(self, repository: Path, *words: str, stdin: bytes = b"", extra: Mapping[str, str] = {}) -> bytes:
        """What the program prints. Raises `ChainlabError` with what it said when it fails."""
        done = self.run(repository, *words, stdin=stdin, extra=extra)
        if done.returncode != 0:
            raise ChainlabError(
                f"git {words[0]} failed in {repository.name}",
                why=done.stderr.decode(errors="replace").strip()[-500:] or "it did not say why",
            )
        return done.stdout

    def make(self, repository: Path) -> None:
        """An empty bare repository."""
        repository.mkdir(parents=True)
        self(repository, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")

    def commit(self, repository: Path, commits: Iterable[Commit]) -> list[str]:
        """Make commits and set their refs; returns their ids. The same input gives the same ids."""
        stream, count = [], 0
        for count, commit in enumerate(commits, start=1):
            stream += [*_command(commit, count), b"get-mark :%d\n" % count]
        words = ("fast-import", "--quiet", "--force", "--done", "--date-format=raw")
        out = self(repository, *words, stdin=b"".join([*stream, b"done\n"]))
        return out.decode().split()

    def files(self, repository: Path, commit: str) -> dict[str, File]:
        """Every file of a commit, byte for byte; no attribute of the repository is obeyed."""
        words = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit_id(commit))
        listing = b"".join(self.stream(repository, *words, most=MAX_LISTING))
        if listing.count(b"\0") > MAX_ENTRIES:  # a folder named many times costs its pusher nothing
            raise Refused(413, f"{commit[:12]} has more than {MAX_ENTRIES} files")
        entries, total = [], 0
        for line in listing.split(b"\0")[:-1]:
            facts, _, name = line.partition(b"\t")
            mode, kind, id, size_text = facts.decode().split()
            total += int(size_text) if kind == "blob" else 0
            if total > MAX_TREE:  # compressed it may be small
                raise Refused(413, f"the files of {commit[:12]} are larger than {MAX_TREE} bytes")
            entries.append((os.fsdecode(name), mode, kind, id))
        wanted = [id for _, _, kind, id in entries if kind == "blob"]
        out = self(repository, "cat-file", "--batch", stdin="\n".join([*wanted, ""]).encode())
        found: dict[str, File] = {}
        at = 0
        for path, mode, kind, _ in entries:
            data = b""
            if kind == "blob":
                line_end = out.index(b"\n", at)
                size = int(out[at:line_end].rsplit(b" ", 1)[1])
                data = out[line_end + 1 : line_end + 1 + size]
                at = line_end + 2 + size
            found[path] = File(data, mode)
        return found


def _command(commit: Commit, mark: int) -> Iterable[bytes]:
    """One commit in the language of git-fast-import."""
    when = int(time.time()) if commit.time is None else commit.time
    message = commit.message.encode()
    yield f"commit {check_ref(commit.ref)}\nmark :{mark}\n".encode()
    yield f"author {commit.author} {when} +0000\n".encode()
    yield f"committer {commit.committer} {when} +0000\n".encode()
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
        raise MalformedInput(f"{path!r} cannot be a path in a repository")
    raw = os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%b"' % raw


def commit_id(text: str) -> str:
    """``text``, if it is a full commit id. Raises `MalformedInput`."""
    if not COMMIT.fullmatch(text):
        raise MalformedInput(f"expected a commit's 40 hex digits, got {text[:60]!r}")
    return text


def check_ref(ref: str) -> str:
    """``ref``, if git accepts it as a full ref name (git check-ref-format). Raises `MalformedInput`."""
    parts = ref.split("/")
    good = (
        len(parts) >= 3
        and parts[0] == "refs"
        and len(ref) <= 250
        and all(REF_PART.fullmatch(part) and not part.endswith(".lock") for part in parts)
        and ".." not in ref
        and "@{" not in ref
        and not ref.endswith(".")
    )
    if not good:
        raise MalformedInput(f"{ref[:80]!r} is not a full ref name", hint="refs/heads/main, say")
    return ref


def read_folder(folder: Path) -> dict[str, File]:
    """The files of a folder as a commit has them; caches and other repositories are left out.

    Raises `MalformedInput` when it is no folder or a file is too large.
    """
    if not folder.is_dir():
        raise MalformedInput(f"{folder} is not a folder")
    found = {}
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if name not in IGNORED)
        links = [name for name in below if Path(directory, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(directory, name)
            if name in IGNORED or name.endswith((".pyc", ".egg-info")):
                continue
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[relative] = File(os.fsencode(os.readlink(path)), "120000")  # noqa: PTH115
            elif path.is_file():
                if path.stat().st_size > MAX_FILE:
                    raise MalformedInput(f"{relative} is larger than {MAX_FILE} bytes")
                executable = os.name == "posix" and path.stat().st_mode & 0o100
                found[relative] = File(path.read_bytes(), "100755" if executable else "100644")
    return found


def write_folder(files: Mapping[str, File], target: Path) -> None:
    """Write a tree's files below ``target``, which appears whole or not at all; anybody may read them.

    Raises `Refused` (422) for a link that leads out of the tree, and for names that the disk does not hold.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_folder(files, target)
    except (OSError, ValueError) as error:
        raise Refused(422, "the files of the tree cannot be written", why=str(error)[:300]) from error


def _write_folder(files: Mapping[str, File], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tree-") as staging:
        root = Path(staging) / "tree"
        root.mkdir()
        links = []
        for name, file in files.items():
            path = root / name
            if {"..", ".git"} & set(PurePosixPath(name).parts) or name.startswith("/"):
                raise Refused(422, f"{name!r} cannot be written", why="it leads out of its tree")
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.mode == "120000":
                links.append((path, os.fsdecode(file.data)))
            elif file.mode != "160000":
                path.write_bytes(file.data)
                path.chmod(0o755 if file.mode == "100755" else 0o644)
        for path, to in links:  # last: nothing is written through one
            inside = os.path.normpath(path.parent.relative_to(root) / to)
            if to.startswith("/") or inside.startswith(".."):
                raise Refused(422, f"the link {path.name!r} leads out of its tree")
            path.symlink_to(to)
        for path, _ in links:  # links through links
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
                raise Refused(422, f"the link {path.name!r} leads out of its tree")
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o755)  # whatever the umask: who runs a job may be another user
        if not target.exists():
            root.rename(target)
