"""Writes the hash-locked requirements of the hardened triage-model; `make lock` calls it.

    python data/packages/lock.py            resolves again, within wheelhouse.lock (network)
    python data/packages/lock.py --check    exit 1 if the internal entries are not of these wheels

Third-party packages are resolved by uv; the internal ones are never asked for by name outside, where
anybody could register it: their entries are made from the wheels in ``wheels/``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEELS = Path(__file__).parent / "wheels"
REQUIREMENTS = ROOT / "data" / "projects" / "triage-model" / "requirements.txt"
LOCK = ROOT / "data" / "projects" / "hardened" / "triage-model" / "requirements.lock"
HEAD = (
    "# Resolved by uv from requirements.txt for every platform; flit-core builds the wheel.\n"
    "# Ours first; they come from the same index.\n"
)


def internal() -> dict[str, str]:
    """The entry of each of our wheels, by the package's name."""
    entries = {}
    for wheel in sorted(WHEELS.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        name, digest = name.replace("_", "-"), hashlib.sha256(wheel.read_bytes()).hexdigest()
        entries[name] = f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
    return entries


def resolve(names: list[str]) -> str:
    """The third-party part, as uv writes it."""
    options = "--universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header"
    options += " --no-annotate --no-build --python-version 3.11 -c wheelhouse.lock"
    for name in names:
        options += f" --no-emit-package {name}"
    paths = [wheel.relative_to(ROOT).as_posix() for wheel in sorted(WHEELS.glob("*.whl"))]
    return subprocess.run(
        [Path(sys.executable).parent / "uv", "pip", "compile", *options.split(), REQUIREMENTS, "-"],
        input="\n".join(["flit-core", *paths]),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def main(arguments: list[str]) -> int:
    """Write, or with ``--check`` compare."""
    entries = internal()
    if arguments == ["--check"]:
        return 0 if LOCK.read_text().startswith(HEAD + "".join(entries.values())) else 1
    LOCK.write_text(HEAD + "".join(entries.values()) + resolve(list(entries)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
