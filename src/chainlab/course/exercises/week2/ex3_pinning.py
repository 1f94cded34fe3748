"""Cases for exercise 2.3: a workflow and a mirror of the actions that it names.

The mirror is real (`fixtures.mirrors`). The commit of each reference is noted when it is made, so the truth never comes
from resolving the reference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.mirrors import Actions

__all__ = ["cases"]

SEE = "labs/02_hardening.ipynb, 'A tag is a promise, a commit is bytes'"
TEACHES = {
    "a lightweight tag": (
        "Forty hex digits in place of the tag, and the tag in a comment: a person and an update bot both need to "
        "know which version that was."
    ),
    "an annotated tag": (
        "An annotated tag is an object with an id of its own. A workflow needs the commit behind it: ask git for "
        "`refs/tags/…^{commit}`."
    ),
    "a branch, in quotes": (
        "A branch moves as a tag does. All else of the line stays, its quotes included; the comment comes behind them."
    ),
    "an action in a folder": "The repository is the name's first two parts; the rest is a folder in it and stays.",
    "a tag and a branch of one name": "Where a tag and a branch share a name, git means the tag. So does the platform.",
    "a step on one line": (
        "A comment runs to the end of its line. Behind the value it would cut off the rest of the step: the inputs, "
        "and the closing brace. It belongs behind everything else, also behind a comment that is there already."
    ),
    "already pinned, or not to be pinned": (
        "A commit of that repository stays as it is, comment and all. A local action is part of your own commit; "
        "an image is bound by a digest, which is another tool's matter."
    ),
    "a commit that only a tag contains": (
        "A release is often made beside the branches, and only its tag leads to it. It is the repository's own all the "
        "same: ask branches and tags."
    ),
    "a commit of a fork": (
        "The platform serves a fork's commits under the original's name, so forty hex digits are not enough: the "
        "commit has to be in one of that repository's own branches or tags. Report it, and leave the line to a "
        "person."
    ),
    "nothing to be found": (
        "No such ref, no such repository, and a shortened commit id, which the platform takes for a tag's name. "
        "Guess nothing; report what stays open."
    ),
    "a look-alike in a script": (
        "A comment, a script and a name only look like a reference. `yaml.compose` gives each value with its "
        "place in the text."
    ),
    "a tag inside a pinned action": (
        "Your pin holds the outer action; it calls another by tag, in your job, with your token. You cannot pin "
        "that line, and you have to know it. Read what stands at the *pinned* commit."
    ),
    "three levels down": (
        "Follow each reference to the commit that it names today, and what stands there again. That the first was "
        "bound before you came changes nothing. A pin that is clean on `main` may not be clean at the commit."
    ),
    "an action file called action.yaml": (
        "The platform takes `action.yml` or `action.yaml`. A look-up of one misses half."
    ),
    "two that name each other": (
        "An action may name one that names it again. Keep what you have been at, and stop there."
    ),
    "a reusable workflow": (
        "A job can consist of `uses:`. The path is a file, in .yml or .yaml, and what it uses counts too."
    ),
    "a whole workflow": "Every rule at once. Which line differs from yours?",
}


class _Text:
    """A workflow file, and what each of its lines becomes."""

    def __init__(self) -> None:
        self.lines = ["on: push", "jobs:", "  work:", "    runs-on: ubuntu-latest", "    steps:"]
        self.pinned: dict[int, tuple[str, str]] = {}  # line → the reference's ref, and its commit
        self.open: set[str] = set()
        self.inside: dict[str, str] = {}  # a nested reference → the action that names it

    def step(self, reference: str, commit: str = "", rest: str = "", quote: str = "") -> None:
        """Add a step; ``commit`` is what its ref becomes, "" when it stays."""
        if commit:
            self.pinned[len(self.lines)] = (reference, commit)
        self.lines.append(Actions.reference_line(f"{quote}{reference}{quote}", rest))

    def nested(self, outer: str, *references: str) -> None:
        """Note references that stay open inside the action ``outer``."""
        self.open |= set(references)
        self.inside |= dict.fromkeys(references, outer)

    def add(self, *lines: str) -> None:
        """Add lines that stay as they are."""
        self.lines += lines

    def case(self, name: str, mirror: Path) -> Case:
        """Make the case."""
        text = "\n".join(self.lines) + "\n"
        return Case(name, (text, mirror), None, accept=_pinned_file(self))


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make workflows that each add one kind of reference, then a whole one; one mirror serves all."""
    actions = Actions(lab.path / "exercise-2.3", rng)
    yield from _pinned_references(actions, rng)
    yield from _kept_references(actions, rng)
    yield from _nested_references(actions)
    yield _reusable_workflow(actions)
    yield _whole(actions, rng)


def _pinned_references(actions: Actions, rng: random.Random) -> Iterator[Case]:
    """References in the file itself that become a commit."""
    mirror = actions.folder
    text = _Text()
    for ref in ("v2", "v1"):
        name, refs = actions.add()
        text.step(f"{name}@{ref}", refs[ref])
    yield text.case("a lightweight tag", mirror)

    text = _Text()
    name, refs = actions.add()
    text.step(f"{name}@v2.1.0", refs["v2.1.0"])
    yield text.case("an annotated tag", mirror)

    text = _Text()
    name, refs = actions.add()
    text.step(f"{name}@main", refs["main"], quote='"')
    text.step(f"{name}@v1", refs["v1"], quote="'")
    yield text.case("a branch, in quotes", mirror)

    text = _Text()
    name, refs = actions.add(path=rng.choice(["sub", "tools/inner"]))
    text.step(f"{name}@v2", refs["v2"])
    yield text.case("an action in a folder", mirror)

    text = _Text()
    name, refs = actions.add()
    text.step(f"{name}@v3", refs["v3"])
    yield text.case("a tag and a branch of one name", mirror)

    text = _Text()
    name, refs = actions.add()
    for line in (f"{{uses: {name}@v2, with: {{level: {rng.randrange(9)}}}}}", f"uses: {name}@v2  # as agreed"):
        text.pinned[len(text.lines)] = (f"{name}@v2", refs["v2"])
        text.add(f"      - {line}")
    yield text.case("a step on one line", mirror)


def _kept_references(actions: Actions, rng: random.Random) -> Iterator[Case]:
    """Lines that stay: bound already, not to be bound, or left to a person."""
    mirror = actions.folder
    text = _Text()
    name, refs = actions.add()
    text.step(f"{name}@{refs['v2']}", rest="  # v2.1.0, seen on 3 May")
    text.step(f"{name}@{refs['v1']}")
    text.add("      - uses: ./.github/actions/own", "      - uses: docker://alpine:3")
    yield text.case("already pinned, or not to be pinned", mirror)

    text = _Text()
    name, refs = actions.add()
    text.step(f"{name}@{refs['v0.9']}", rest="  # v0.9")
    yield text.case("a commit that only a tag contains", mirror)

    text = _Text()
    name, refs = actions.add()
    bad = f"{name}@{refs['fork']}"
    text.step(bad, rest="  # v2.1.0")
    text.open.add(bad)
    yield text.case("a commit of a fork", mirror)

    text = _Text()
    name, refs = actions.add()
    absent, unknown = f"{name}@v9", f"acme/gone-{rng.randrange(100)}@v1"
    short = f"{name}@{refs['v2'][:7]}"
    for reference in (absent, unknown, short):
        text.step(reference)
        text.open.add(reference)
    yield text.case("nothing to be found", mirror)

    text = _Text()
    name, refs = actions.add()
    text.add(f"      # - uses: {name}@v2")
    text.step(f"{name}@v2", refs["v2"])
    text.add("      - run: |", f"          echo 'uses: {name}@v2'", f"          uses: {name}@v2")
    text.add(f"      - name: the step 'uses {name}@v2' again")
    yield text.case("a look-alike in a script", mirror)


def _nested_references(actions: Actions) -> Iterator[Case]:
    """References inside the actions that the file names."""
    mirror = actions.folder
    text = _Text()
    loose, _ = actions.add()
    firm, firm_refs = actions.add()
    name, refs = actions.add([f"{loose}@v1", f"{firm}@{firm_refs['v2']}"])
    text.step(f"{name}@v2", refs["v2"])
    text.nested(f"{name}@v2", f"{loose}@v1")
    yield text.case("a tag inside a pinned action", mirror)

    text = _Text()
    deepest, _ = actions.add()
    third, third_refs = actions.add([f"{deepest}@main"])
    second, _ = actions.add([f"{third}@{third_refs['v2']}", f"{third}@{third_refs['fork']}"])
    name, refs = actions.add([f"{second}@v2.1.0"], newest=[])
    text.step(f"{name}@{refs['v2']}")
    text.nested(name, f"{second}@v2.1.0")
    text.nested(second, f"{third}@{third_refs['fork']}")
    text.nested(third, f"{deepest}@main")
    yield text.case("three levels down", mirror)

    text = _Text()
    for path in ("", "sub"):
        loose, _ = actions.add()
        name, refs = actions.add([f"{loose}@v2"], path=path, file_name="action.yaml")
        text.step(f"{name}@v1", refs["v1"])
        text.nested(f"{name}@v1", f"{loose}@v2")
    yield text.case("an action file called action.yaml", mirror)

    text = _Text()
    other = actions.names[-2]
    name, refs = actions.add([f"{other}@v2"])
    actions.add([f"{name}@v1"])
    text.step(f"{name}@v1", refs["v1"])
    text.nested(f"{name}@v1", f"{other}@v2")
    text.nested(f"{other}@v2", f"{name}@v1")
    yield text.case("two that name each other", mirror)


def _reusable_workflow(actions: Actions) -> Case:
    text = _Text()
    for job in ("notes.yml", "more.yaml"):
        loose, _ = actions.add()
        name, refs = actions.add([f"{loose}@v2"], path=f".github/workflows/{job}", workflow=True, newest=[])
        text.pinned[len(text.lines) + 1] = (f"{name}@v2", refs["v2"])
        text.add(f"  {job.partition('.')[0]}:", f"    uses: {name}@v2")
        text.nested(f"{name}@v2", f"{loose}@v2")
    return text.case("a reusable workflow", actions.folder)


def _whole(actions: Actions, rng: random.Random) -> Case:
    text = _Text()
    for _ in range(3):
        ref = rng.choice(["v1", "v2", "v2.1.0", "main"])
        loose, _ = actions.add()
        name, refs = actions.add([f"{loose}@main"], path=rng.choice(["", "sub"]))
        text.step(f"{name}@{ref}", refs[ref], quote=rng.choice(["", '"']))
        text.nested(f"{name}@{ref}", f"{loose}@main")
    name, refs = actions.add()
    text.step(f"{name}@{refs['main']}")
    text.step(f"{name}@{refs['fork']}")
    text.open.add(f"{name}@{refs['fork']}")
    text.add("      - run: |", f"          # uses: {name}@v2", "          make")
    return text.case("a whole workflow", actions.folder)


def _pinned_file(text: _Text) -> Callable[[Any], bool | Miss]:
    """Accept the file with exactly its movable references pinned, and the set of references that stay open."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or set(answer) != {"text", "open"}:
            return Miss("expected a dict with text and open", why="")
        lines = answer["text"].split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        if len(lines) != len(text.lines):
            return Miss(f"the file has {len(text.lines)} lines, yours {len(lines)}")
        for number, (before, after) in enumerate(zip(text.lines, lines, strict=True)):
            reference, commit = text.pinned.get(number, ("", ""))
            if not commit and before != after:
                return Miss(f"line {number + 1} is to stay {before.strip()!r}, is {after.strip()!r}")
            if not commit:
                continue
            name, _, ref = reference.partition("@")
            pinned = before.replace(reference, f"{name}@{commit}")
            added = after.removeprefix(pinned)
            if not after.startswith(pinned) or not added.lstrip().startswith("#") or ref not in added.split():
                return Miss(f"line {number + 1}: expected {f'{pinned}  # {ref}'.strip()!r}, got {after.strip()!r}")
        for reference in sorted(text.open - set(answer["open"])):
            where = text.inside.get(reference)
            stands = f"inside {where}, which is bound now, at any depth" if where else "in this file"
            return Miss(f"open lacks {reference}: it stands {stands}")
        if surplus := sorted(set(answer["open"]) - text.open):
            return Miss(f"open has {surplus[0]}, which is bound, or is not to be followed")
        return True

    return accept
