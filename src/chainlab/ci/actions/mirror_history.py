"""The past of the mirror's repositories: ``data/mirror.toml``, and the bare repositories made of it.

    [[repository]]
    name = "acme/changed-files"
    tree = "actions/acme/changed-files"      # below data/: the files, as they are today

    [[repository.commit]]
    message = "List the files of the last commit"
    edit = [["action.yml", "new text", "as it was then"]]
    tags = ["v2.0.0"]                        # lightweight: a name for the commit
    annotated = ["v2"]                       # annotated: an object of its own that names the commit
    branches = ["main"]

A commit may have its own ``tree``, ``files`` (path to text), a ``date``, a ``parent`` (number of an earlier
one), and a ``fork``: an owner on whose fork's ``main`` it is, and in no branch or tag of this repository.
Roles and dates are fixed, so the ids are the same everywhere.
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
FORM = "1"  # of what `prepare` makes; another number makes all anew
FOLDERS = ("actions", "platform")
FIRST = date(2025, 1, 6)  # the first commit of each repository, unless it says otherwise


def key(data: Path) -> str:
    """Names the mirror that a ``data/`` gives: a digest of all that goes into it, 32 hex digits."""
    digest = hashlib.sha256(FORM.encode() + (data / NAME).read_bytes())
    for folder in FOLDERS:
        for path, file in sorted(read_folder(data / folder).items()):
            facts = f"\0{folder}/{path}\0{len(file.data)}\0"
            digest.update(facts.encode() + file.data)
    return digest.hexdigest()[:32]


def prepare(data: Path) -> dict[str, BareRepository]:
    """The repositories, built once for each content and kept in the cache directory."""
    folder = cache_directory() / "mirror" / key(data)
    if not (folder / "index.json").exists():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock", mode=0o600):
            if not (folder / "index.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
                made = _build(data, folder)
                index = [[past.name, past.parent, past.refs] for past in made.values()]
                (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {name: BareRepository(name, folder / f"{name}.git", parent, refs) for name, parent, refs in index}


def _build(data: Path, folder: Path) -> dict[str, BareRepository]:
    git = Git(folder / "home")
    made: dict[str, BareRepository] = {}
    tables = tomllib.loads((data / NAME).read_text(encoding="utf-8"))
    for table in tables["repository"]:
        name = table["name"]
        commits = _commits(data, name, table)
        past = BareRepository(name, folder / f"{name}.git")
        git.init(past.path)
        ids = git.commit(past.path, [commit for commit, _ in commits])
        for id, (_, entry) in zip(ids, commits, strict=True):
            for branch in entry.get("branches", []):
                past.refs[f"refs/heads/{branch}"] = id
            for tag in entry.get("tags", []):
                past.refs[f"refs/tags/{tag}"] = id
            for tag in entry.get("annotated", []):
                past.refs[f"refs/tags/{tag}"] = _annotate(git, past.path, tag, id, name)
            if fork := entry.get("fork"):
                past.refs[f"refs/forks/{fork}/main"] = id
                copied = BareRepository(f"{fork}/{name.partition('/')[2]}", Path(), name)
                copied.path = folder / f"{copied.name}.git"
                shutil.copytree(past.path, copied.path)
                copied.refs = {r: i for r, i in past.refs.items() if "/forks/" not in r}
                copied.refs["refs/heads/main"] = id
                made[copied.name] = copied
        made[name] = past
    for past in made.values():
        (past.path / "packed-refs").write_text(
            "".join(f"{id} {ref}\n" for ref, id in sorted(past.refs.items())), encoding="utf-8"
        )
        for loose in (past.path / "refs").rglob("*"):
            if loose.is_file():
                loose.unlink()
    return made


def _commits(data: Path, name: str, table: Mapping[str, Any]) -> list[tuple[Commit, Mapping[str, Any]]]:
    owner = name.partition("/")[0]
    when, found = FIRST, []
    for number, entry in enumerate(table["commit"]):
        when = entry.get("date", when if number == 0 else when + timedelta(days=7))
        who = entry.get("fork", owner)
        role = Author(who, f"{who}@users.chainlab.localhost")
        seconds = int(datetime(when.year, when.month, when.day, 9, tzinfo=UTC).timestamp())
        found.append(
            (
                Commit(
                    "refs/staging/x",
                    _tree(data, name, table, entry),
                    entry["message"] + "\n",
                    (f":{entry.get('parent', number)}",) if number else (),
                    role,
                    role,
                    seconds,
                ),
                entry,
            )
        )
    return found


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
    """A tag object; the id is the object's, not the commit's."""
    owner = name.partition("/")[0]
    body = (
        f"object {commit}\ntype commit\ntag {tag}\n"
        f"tagger {owner} <{owner}@users.chainlab.localhost> 1736154000 +0000\n\n{name} {tag}\n"
    )
    return git(path, "mktag", stdin=body.encode()).decode().strip()
