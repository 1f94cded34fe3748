"""The history of the mirror's repositories: ``data/mirror.toml``, and the bare repositories built from it.

    [[repository]]
    name = "acme/changed-files"
    tree = "actions/acme/changed-files"      # below data/: the files, as they are today

    [[repository.commit]]
    message = "List the files of the last commit"
    edit = [["action.yml", "new text", "as it was then"]]
    tags = ["v2.0.0"]                        # lightweight: a name for the commit
    annotated = ["v2"]                       # annotated: an object of its own that names the commit
    branches = ["main"]

A commit may have its own ``tree``, ``files`` (path to text), ``date``, and ``parent`` (the number of an earlier
commit). A ``fork`` names an owner: the commit is on the ``main`` of that owner's fork, and on no branch or tag of this
repository. Roles and dates are fixed, so the ids are the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock

from chainlab.ci.git.adoption import BareRepository
from chainlab.ci.git.git import Author, Commit, Git
from chainlab.ci.git.tree_files import File, read_folder
from chainlab.errors import MalformedInput
from chainlab.workspace import cache_directory

__all__ = ["NAME", "key", "prepare"]

NAME = "mirror.toml"
FORM = "1"  # version of what `prepare` builds; another number rebuilds everything
FOLDERS = ("actions", "platform")
FIRST = date(2025, 1, 6)  # the first commit of each repository, unless it says otherwise


def key(data: Path) -> str:
    """Return the key of the mirror built from a ``data/`` folder: a digest of its sources, 32 hex digits."""
    digest = hashlib.sha256(FORM.encode() + (data / NAME).read_bytes())
    for folder in FOLDERS:
        for path, file in sorted(read_folder(data / folder).items()):
            header = f"\0{folder}/{path}\0{len(file.data)}\0"
            digest.update(header.encode() + file.data)
    return digest.hexdigest()[:32]


def prepare(data: Path) -> dict[str, BareRepository]:
    """Build the repositories, once for each `key`, in the cache directory; returns them by name."""
    folder = cache_directory() / "mirror" / key(data)
    if not (folder / "index.json").exists():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock", mode=0o600):
            if not (folder / "index.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
                repositories = _build(data, folder).values()
                index = [[repository.name, repository.parent, repository.refs] for repository in repositories]
                (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {name: BareRepository(name, folder / f"{name}.git", parent, refs) for name, parent, refs in index}


def _build(data: Path, folder: Path) -> dict[str, BareRepository]:
    git = Git(folder / "home")
    repositories: dict[str, BareRepository] = {}
    tables = tomllib.loads((data / NAME).read_text(encoding="utf-8"))
    for table in tables["repository"]:
        name = table["name"]
        commits = _commits(data, name, table)
        repository = BareRepository(name, folder / f"{name}.git")
        git.init(repository.path)
        ids = git.commit(repository.path, [commit for commit, _ in commits])
        for id, (_, entry) in zip(ids, commits, strict=True):
            for branch in entry.get("branches", []):
                repository.refs[f"refs/heads/{branch}"] = id
            for tag in entry.get("tags", []):
                repository.refs[f"refs/tags/{tag}"] = id
            for tag in entry.get("annotated", []):
                repository.refs[f"refs/tags/{tag}"] = _annotate(git, repository.path, tag, id, name)
            if fork := entry.get("fork"):
                repository.refs[f"refs/forks/{fork}/main"] = id
                copy = BareRepository(f"{fork}/{name.partition('/')[2]}", Path(), name)
                copy.path = folder / f"{copy.name}.git"
                shutil.copytree(repository.path, copy.path)
                copy.refs = {r: i for r, i in repository.refs.items() if "/forks/" not in r}
                copy.refs["refs/heads/main"] = id
                repositories[copy.name] = copy
        repositories[name] = repository
    for repository in repositories.values():
        (repository.path / "packed-refs").write_text(
            "".join(f"{id} {ref}\n" for ref, id in sorted(repository.refs.items())), encoding="utf-8"
        )
        for loose in (repository.path / "refs").rglob("*"):
            if loose.is_file():
                loose.unlink()
    return repositories


def _commits(data: Path, name: str, table: Mapping[str, Any]) -> list[tuple[Commit, Mapping[str, Any]]]:
    owner = name.partition("/")[0]
    day, commits = FIRST, []
    for number, entry in enumerate(table["commit"]):
        day = entry.get("date", day if number == 0 else day + timedelta(days=7))
        login = entry.get("fork", owner)
        author = Author(login, f"{login}@users.chainlab.localhost")
        seconds = int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp())
        commits.append(
            (
                Commit(
                    "refs/staging/x",
                    _tree(data, name, table, entry),
                    entry["message"] + "\n",
                    (f":{entry.get('parent', number)}",) if number else (),
                    author,
                    author,
                    seconds,
                ),
                entry,
            )
        )
    return commits


def _tree(data: Path, name: str, table: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, File]:
    files = read_folder(data / entry.get("tree", table.get("tree", "")))
    files = {path: File(file.data) for path, file in files.items()}  # modes differ between systems
    for path, text in entry.get("files", {}).items():
        files[path] = File(text.encode())
    for path, new, old in entry.get("edit", []):
        if path not in files or new.encode() not in files[path].data:
            raise MalformedInput(f"{NAME}: {name}: {path} does not hold {new!r}")
        file = files[path]
        files[path] = File(file.data.replace(new.encode(), old.encode()), file.mode)
    return files


def _annotate(git: Git, path: Path, tag: str, commit: str, name: str) -> str:
    """Create a tag object; returns its id, which is not the commit's."""
    owner = name.partition("/")[0]
    body = (
        f"object {commit}\ntype commit\ntag {tag}\n"
        f"tagger {owner} <{owner}@users.chainlab.localhost> 1736154000 +0000\n\n{name} {tag}\n"
    )
    return git(path, "mktag", stdin=body.encode()).decode().strip()
