"""The kit's manifest: ``data/SHA256SUMS``, in the format of ``sha256sum``.

One line a file, sorted by path: 64 hex digits, two spaces, the path below ``data/`` with forward
slashes. The manifest lists every file but itself; a file that it does not list is an error.

    python -m chainlab.course.authoring.checksums            writes it
    python -m chainlab.course.authoring.checksums --check    exit 1 if a file is changed, missing or extra
    cd data && sha256sum --check SHA256SUMS        the same, but without extra files
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.storage import write_whole

__all__ = ["NAME", "Differences", "build", "compare", "parse"]

NAME = "SHA256SUMS"


@dataclass(frozen=True)
class Differences:
    """Paths that are changed, missing or extra; false when there are none."""

    changed: frozenset[str] = field(default_factory=frozenset)
    missing: frozenset[str] = field(default_factory=frozenset)
    extra: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.extra)

    def __str__(self) -> str:
        groups = [("changed", self.changed), ("missing", self.missing), ("extra", self.extra)]
        lines = [f"{what}: {path}" for what, paths in groups for path in sorted(paths)]
        return "\n".join(lines) or "as listed"


def build(root: Path) -> str:
    """Make the manifest of a folder; ``compare(root, build(root))`` is then false.

    Raises `MalformedInput` for a symbolic link, or a name with a line break.
    """
    digests = _digests(root)
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))


def parse(text: str) -> dict[str, str]:
    """Read a manifest: path to hex digest.

    Raises `MalformedInput` for another format, a repeated path, or a path that leaves the folder.
    """
    listed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digits, separator, path = line.partition("  ")
        if not separator or path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
            raise MalformedInput(f"{NAME}, line {number}: expected a digest, two spaces, a path")
        if path in listed:
            raise MalformedInput(f"{NAME}, line {number}: {path!r} is listed twice")
        listed[path] = Digest.parse(f"sha256:{digits}").value.hex()
    return listed


def compare(root: Path, text: str) -> Differences:
    """Compare a folder's files with a manifest."""
    listed, actual = parse(text), _digests(root)
    return Differences(
        changed=frozenset(p for p in listed.keys() & actual.keys() if listed[p] != actual[p]),
        missing=frozenset(listed.keys() - actual.keys()),
        extra=frozenset(actual.keys() - listed.keys()),
    )


def _digests(root: Path) -> dict[str, str]:
    digests: dict[str, str] = {}
    for file in root.rglob("*"):
        path = file.relative_to(root).as_posix()
        if file.is_symlink() or "\n" in path:
            raise MalformedInput(f"{path!r} cannot be listed", why="a link's bytes lie elsewhere")
        if file.is_file() and path != NAME:
            digests[path] = Digest.of_file(file).value.hex()
    return digests


def main(argv: list[str]) -> int:
    """Write the manifest of the repository's ``data/``, or with ``--check`` compare it."""
    root = Path(__file__).parents[4] / "data"
    target = root / NAME
    if "--check" not in argv:
        write_whole(target, build(root))
        return 0
    differences = compare(root, target.read_text("utf-8") if target.is_file() else "")
    sys.stdout.write(f"data/{NAME}: {differences}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
