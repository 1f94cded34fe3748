"""Names of the platform, each folded once, where it is read.

Names of owners, repositories and environments do not depend on case, so two spellings are one name. Each of them has
one function here, which gives the form that everything stores and compares. Names are ASCII: letters that only fold
to one (``K``, the Kelvin sign, and ``ſ``) or look like one (``ı``) are refused. Packages have PEP 503 for the same
purpose: `chainlab.registry.index.project_table.normalise`.

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
TAKEN = (".git", ".lock")  # git's own endings


def cut_ref(text: str) -> tuple[str, str]:
    """A workflow or a repository, and the git ref behind it. A tag may hold ``@``, what stands before it does not.

    >>> cut_ref("https://git.example/acme/models@refs/tags/triage@1.0.0")
    ('https://git.example/acme/models', 'refs/tags/triage@1.0.0')
    """
    before, _, ref = text.partition("@refs/")
    if ref:
        return before, f"refs/{ref}"
    before, _, ref = text.rpartition("@")  # a commit
    return before, ref


def owner(text: str) -> str:
    """The folded name of an owner. Raises `MalformedInput`."""
    if not OWNER.fullmatch(text):
        raise MalformedInput(
            f"{text[:80]!r} cannot be an owner's name", hint="write ASCII letters, digits, '.', '_' and '-'"
        )
    return text.lower()


def repository(text: str) -> str:
    """The folded name ``owner/repo`` of a repository. Raises `MalformedInput`."""
    folded = text.lower() if REPOSITORY.fullmatch(text) else ""
    if not folded or folded.endswith(TAKEN):
        raise MalformedInput(
            f"{text[:80]!r} cannot be a repository's name",
            hint="write owner/repo in ASCII letters, digits, '.', '_' and '-'",
        )
    return folded


def environment(text: str) -> str:
    """The folded name of an environment. Raises `MalformedInput`."""
    if not ENVIRONMENT.fullmatch(text):
        raise MalformedInput(
            f"{text[:80]!r} names no environment",
            hint="write 1 to 255 printable ASCII characters, none a space at an end",
        )
    return text.lower()
