"""Names of the platform, each folded once, where it is read.

Names of owners, repositories and environments are case-insensitive. One function for each returns the folded form,
which is stored and compared everywhere. Names are ASCII: letters that fold to an ASCII letter (``K``, the Kelvin sign,
and ``ſ``) or look like one (``ı``) are refused. For packages, PEP 503 does the same:
`chainlab.registry.index.project_table.normalise`.

    >>> repository("Acme/Triage-Model"), environment("Release")
    ('acme/triage-model', 'release')
"""

from __future__ import annotations

import re

from chainlab.errors import MalformedInput

__all__ = ["cut_ref", "environment", "owner", "repository"]

PART = r"(?![.-])[A-Za-z0-9._-]{1,100}"
OWNER = re.compile(PART)
REPOSITORY = re.compile(rf"{PART}/{PART}")
ENVIRONMENT = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")  # printable ASCII, no space at either end
RESERVED = (".git", ".lock")  # git's own endings


def cut_ref(text: str) -> tuple[str, str]:
    """Split a workflow or a repository from the git ref after it; a tag may contain ``@``.

    >>> cut_ref("https://git.example/acme/models@refs/tags/triage@1.0.0")
    ('https://git.example/acme/models', 'refs/tags/triage@1.0.0')
    """
    before, _, ref = text.partition("@refs/")
    if ref:
        return before, f"refs/{ref}"
    before, _, ref = text.rpartition("@")  # a commit
    return before, ref


def owner(text: str) -> str:
    """Fold the name of an owner. Raises `MalformedInput` for an invalid name."""
    if not OWNER.fullmatch(text):
        raise MalformedInput(
            f"not an owner's name: {text[:80]!r}", hint="write ASCII letters, digits, '.', '_' and '-'"
        )
    return text.lower()


def repository(text: str) -> str:
    """Fold the name ``owner/repo`` of a repository. Raises `MalformedInput` for an invalid name."""
    folded = text.lower() if REPOSITORY.fullmatch(text) else ""
    if not folded or folded.endswith(RESERVED):
        raise MalformedInput(
            f"not a repository name: {text[:80]!r}",
            hint="write owner/repo in ASCII letters, digits, '.', '_' and '-'",
        )
    return folded


def environment(text: str) -> str:
    """Fold the name of an environment. Raises `MalformedInput` for an invalid name."""
    if not ENVIRONMENT.fullmatch(text):
        raise MalformedInput(
            f"not an environment name: {text[:80]!r}",
            hint="write 1 to 255 printable ASCII characters, without a space at either end",
        )
    return text.lower()
