"""Names of git: full ref names, and the ids of commits.

>>> check_ref("refs/heads/main")
'refs/heads/main'
"""

from __future__ import annotations

import re

from chainlab.errors import MalformedInput

__all__ = ["COMMIT", "NO_COMMIT", "check_ref", "commit_id"]

COMMIT = re.compile(r"[0-9a-f]{40}")
NO_COMMIT = "0" * 40  # stands for "no commit" in events, as in git's own protocol
REF_PART = re.compile(r"(?!-)(?!\.)(?!@$)[^\x00-\x20\x7f~^:?*\[\\/]+")


def commit_id(text: str) -> str:
    """Return ``text`` if it is a full commit id. Raises `MalformedInput` for anything else."""
    if not COMMIT.fullmatch(text):
        raise MalformedInput(f"expected a commit's 40 hex digits, got {text[:60]!r}")
    return text


def check_ref(ref: str) -> str:
    """Return ``ref`` if git accepts it as a full ref name (git check-ref-format). Raises `MalformedInput` otherwise."""
    parts = ref.split("/")
    valid = (
        len(parts) >= 3
        and parts[0] == "refs"
        and len(ref) <= 250
        and all(REF_PART.fullmatch(part) and not part.endswith(".lock") for part in parts)
        and ".." not in ref
        and "@{" not in ref
        and not ref.endswith(".")
    )
    if not valid:
        raise MalformedInput(f"not a full ref name: {ref[:80]!r}", hint="write one such as refs/heads/main")
    return ref
