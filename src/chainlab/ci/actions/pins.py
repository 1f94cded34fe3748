"""The pinner: it rewrites ``uses:`` lines to full commit ids, with the version in a comment for people.

    uses: acme/changed-files@v3        ->    uses: acme/changed-files@02e17b2e…  # v3.0.0

Only the reference changes: comments, quotes, indentation and everything else stay. Annotated tags are peeled to their
commit. A commit that no branch or tag of the repository reaches is refused, because the owner of any fork can make one.
A pin fixes the bytes of one action, not of the actions that it uses: `findings` lists what is still movable there.

    >>> pin("on: push", mirror)      # doctest: +SKIP
    'on: push'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chainlab.ci.actions.action_tree import Resolved
from chainlab.ci.actions.mirror import Mirror, UnresolvedAction
from chainlab.ci.actions.uses import ActionRef, Uses, find
from chainlab.ci.git.refs import COMMIT
from chainlab.ci.workflows.yaml_document import NotYaml
from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.storage import contains, write_whole

__all__ = ["PinFinding", "findings", "pin", "pin_folder", "update"]

FILES = (".github/workflows/*.yml", ".github/workflows/*.yaml", "**/action.yml", "**/action.yaml")
UNPINNABLE = ("fork", "unresolved", "unreadable")
VERSION = re.compile(r"v?\d+(\.\d+)*")
COMMENT = re.compile(r"[ \t]+#[ \t]*(?P<version>\S+)[ \t]*(?=\r?\n|\r?\Z)")


@dataclass(frozen=True, order=True)
class PinFinding:
    """A ``uses:`` that is not pinned, or cannot be."""

    file: str
    line: int
    kind: str  # unpinned, fork, nested, image, unresolved, unreadable
    uses: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind}: {self.uses}: {self.message}"


def pin(text: str, mirror: Mirror) -> str:
    """Pin every remote reference of a text; pinning the result again changes nothing.

    Local references, images (``docker://``) and pinned references stay. Raises `ChainlabError` naming the line of a
    reference that cannot be resolved, or that names a fork's commit.
    """
    for uses in reversed(find(text)):  # from the end, so that earlier positions stay valid
        if uses.kind != "remote":
            continue
        resolved = _resolve(uses, mirror)
        if not resolved.pinned:
            text = _rewrite(text, uses, resolved, _version(resolved, mirror))
    return text


def update(text: str, mirror: Mirror) -> str:
    """Move every pin of a text to the newest version of the major version that its comment names.

    A pin stays if it has no comment (``# v4.2.2``, ``# main``), or if the comment names neither a tag nor a branch.
    Read the difference before you use it: a new version is new code.
    """
    for uses in reversed(find(text)):
        reference = ActionRef.parse(uses.value) if uses.kind == "remote" else None
        comment = COMMENT.match(text, uses.end)
        if reference is None or comment is None or not COMMIT.fullmatch(reference.ref):
            continue
        newest = _newest(comment["version"], reference.name, mirror)
        if newest:
            name, _, _ = text[uses.start : uses.end].rpartition("@")
            quote = text[uses.end - 1] if text[uses.end - 1] in "'\"" else ""
            text = f"{text[: uses.start]}{name}@{newest}{quote}{text[comment.end() :]}"
    return pin(text, mirror)


def findings(
    text: str,
    mirror: Mirror,
    *,
    file: str = "workflow.yml",
    read: Callable[[str], str | None] = lambda path: None,
) -> list[PinFinding]:
    """List what is not pinned, in order of file and line, also inside pinned actions.

    ``read`` returns the project's other files, for ``./`` and ``$/`` references. A reference that cannot be resolved,
    and a file that cannot be read, is a finding of its own and hides no other.
    """
    result = []
    try:
        all_uses = find(text)
    except MalformedInput as error:
        return [_unreadable(file, error)]
    for uses in all_uses:
        if uses.kind == "docker" and "@sha256:" not in uses.value:
            result.append(PinFinding(file, uses.line, "image", uses.value, "pin it by digest"))
        if uses.kind != "remote":
            continue
        try:
            resolved = _resolve(uses, mirror)
        except ChainlabError as error:
            kind = "fork" if error.message.endswith("of a fork") else "unresolved"
            result.append(PinFinding(file, uses.line, kind, uses.value, error.why or error.message))
            continue
        if not resolved.pinned:
            message = f"movable: {resolved.commit[:12]} today, whatever its owner chooses tomorrow"
            result.append(PinFinding(file, uses.line, "unpinned", uses.value, message))
    problems: list[UnresolvedAction] = []
    for inner in mirror.closure({file: text}, read=read, problems=problems):
        if inner.depth > 0 and (not inner.pinned or inner.only_in_fork):
            message = f"movable, {inner.depth} levels below: the outer pin does not fix it"
            result.append(PinFinding(inner.file, inner.line, "nested", str(inner), message))
    listed = {(finding.file, finding.line) for finding in result}
    result += [_unresolved(problem) for problem in problems if (problem.file, problem.line) not in listed]
    return sorted(result)


def pin_folder(root: Path, mirror: Mirror, *, check: bool = False, newest: bool = False) -> list[PinFinding]:
    """Pin every workflow and composite action of a project; with ``newest``, `update` them first.

    With ``check`` nothing is written. Returns the findings that remain. Raises `ChainlabError` naming file and line of
    everything that cannot be pinned, before anything is written.
    """
    paths = sorted({path for pattern in FILES for path in root.glob(pattern) if path.is_file()})
    texts: dict[str, str] = {}
    unpinned: set[PinFinding] = set()
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            texts[name] = _read(path)
        except MalformedInput as error:
            unpinned.add(_unreadable(name, error))
    unpinned |= _findings(texts, mirror)
    if check:
        return sorted(unpinned)
    _refuse([finding for finding in sorted(unpinned) if finding.kind in UNPINNABLE])
    for name, text in texts.items():
        try:
            texts[name] = update(text, mirror) if newest else pin(text, mirror)
        except ChainlabError as error:
            message = f"{name}: {error.message}"
            raise ChainlabError(message, why=error.why, hint=error.hint) from error
    for name, text in texts.items():
        if not contains(root / name, text):
            write_whole(root / name, text)
    return sorted(_findings(texts, mirror))


def _findings(texts: Mapping[str, str], mirror: Mirror) -> set[PinFinding]:
    return {finding for name, text in texts.items() for finding in findings(text, mirror, file=name, read=texts.get)}


def _refuse(unpinnable: list[PinFinding]) -> None:
    """Raise an error that names each finding, if there are any."""
    if not unpinnable:
        return
    first, *others = unpinnable
    raise ChainlabError(
        f"{first.file}: line {first.line}: {first.kind}{first.uses and f': {first.uses!r}'}",
        why="; ".join([first.message, *(f"{other.file}:{other.line}: {other.kind}: {other.uses}" for other in others)]),
        hint="fix these first; nothing was written, and --check lists every finding",
    )


def _unreadable(file: str, error: MalformedInput) -> PinFinding:
    return _unresolved(UnresolvedAction(file, getattr(error, "line", 0), "", error))


def _unresolved(problem: UnresolvedAction) -> PinFinding:
    """Turn an unresolved action or an unreadable file into a finding."""
    error = problem.error
    message = error.message + (f"; {error.why}" if error.why else "")
    kind = "unresolved" if problem.uses else "unreadable"
    return PinFinding(problem.file, problem.line, kind, problem.uses, message)


def _resolve(uses: Uses, mirror: Mirror) -> Resolved:
    try:
        resolved = mirror.resolve(ActionRef.parse(uses.value))
    except (Refused, MalformedInput) as error:
        raise ChainlabError(
            f"line {uses.line}: {uses.value!r} cannot be resolved",
            why=error.message,
            hint=error.hint,
        ) from error
    if resolved.only_in_fork:
        raise ChainlabError(
            f"line {uses.line}: {uses.value!r} names a commit of a fork",
            why=f"no branch or tag of {resolved.name} reaches it; the platform finds it there "
            "because a repository and its forks share their objects",
            hint="pin a commit that a tag of the repository itself names",
        )
    return resolved


def _version(resolved: Resolved, mirror: Mirror) -> str:
    """Return the most exact tag of the commit that fits the reference: ``v4.2.2`` for ``v4``."""
    fitting = [resolved.ref.removeprefix("refs/tags/").removeprefix("refs/heads/")]
    if VERSION.fullmatch(fitting[0]):
        tags = (ref.removeprefix("refs/tags/") for ref in mirror.repositories.refs(resolved.name))
        fitting += [
            tag
            for tag in tags
            if tag.startswith(f"{fitting[0]}.")
            and VERSION.fullmatch(tag)
            and mirror.repositories.resolve(resolved.name, f"refs/tags/{tag}") == resolved.commit
        ]
    return max(fitting, key=lambda tag: (tag.count("."), tag))


def _newest(version: str, repository: str, mirror: Mirror) -> str:
    """Return the highest tag of the same major version, or a branch itself; empty when there is neither."""
    refs = mirror.repositories.refs(repository)
    if f"refs/heads/{version}" in refs:
        return version
    major = version.partition(".")[0]
    tags = [ref.removeprefix("refs/tags/") for ref in refs if ref.startswith("refs/tags/")]
    fitting = [t for t in tags if VERSION.fullmatch(t) and t.partition(".")[0] == major]
    return max(fitting, key=lambda t: [int(n) for n in t.removeprefix("v").split(".")], default="")


def _rewrite(text: str, uses: Uses, resolved: Resolved, version: str) -> str:
    written = text[uses.start : uses.end]
    if written.count(uses.value) != 1:
        raise MalformedInput(
            f"line {uses.line}: {uses.value!r} cannot be rewritten in place",
            hint="write the reference plainly, on the line of its `uses:`",
        )
    name, _, _ = uses.value.partition("@")
    pinned = written.replace(uses.value, f"{name}@{resolved.commit}")
    before, after = text[: uses.start], text[uses.end :]
    rest, newline, below = after.partition("\n")
    ending = "\r" if rest.endswith("\r") else ""
    comment = rest.removesuffix("\r").strip()
    if "\n" not in written and (not comment or comment.startswith("#")):
        kept = f"  {comment}" if comment else ""
        return f"{before}{pinned}  # {version}{kept}{ending}{newline}{below}"
    return before + pinned + after


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise NotYaml(line, "it is not UTF-8") from error
