"""The packages that prod would install of a release: each pin of its lock that applies here, with its served files.

    >>> pins, problems = requirements(lock, facts["packages"])                 # doctest: +SKIP
    >>> str(pins[0])                                                           # doctest: +SKIP
    'acme-cells==1.2.0 --hash=sha256:e56c09e3…'

The gate uses it to refuse, and the deployment to install, so both have one answer. Of a pin's hashes only those of
served files are kept; a pin without a served file is a problem; a served package that is not locked is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.locks import release_lock
from chainlab.evidence.packages.versions import is_same_version

__all__ = ["Requirement", "requirements"]

SHOWN = 5  # names in one problem


@dataclass(frozen=True)
class Requirement:
    """One package, and the files of it that prod may install."""

    name: str
    version: str
    files: Mapping[str, str]  # SHA-256 (hex) to the file's name

    def __str__(self) -> str:
        hashes = "".join(f" --hash=sha256:{digest}" for digest in sorted(self.files))
        return f"{self.name}=={self.version}{hashes}"


def requirements(lock: bytes, packages: Sequence[Mapping[str, Any]]) -> tuple[list[Requirement], list[str]]:
    """List what prod installs of a lock, and why it may not; ``packages`` are those of the facts document.

    Markers have the values of this machine, where prod runs too; the jobs may have had another interpreter.
    """
    try:
        pins = release_lock.applicable(lock)
    except MalformedInput as error:
        return [], [f"{error.message}: {error.why}" if error.why else error.message]
    served: dict[tuple[str, str], dict[str, str]] = {}
    for package in packages:
        name, digest = str(package.get("name")), str(package.get("sha256"))
        served.setdefault((name, digest), {})[str(package.get("version"))] = str(package.get("file"))
    installable, missing = [], []
    for pin in pins:
        files = {
            digest: file
            for digest in pin.hashes
            for version, file in served.get((pin.name, digest), {}).items()
            if is_same_version(version, pin.version)
        }
        if files:
            installable.append(Requirement(pin.name, pin.version, files))
        else:
            missing.append(f"{pin.name} {pin.version}")
    problems = []
    if missing:
        names = ", ".join(missing[:SHOWN]) + ", …" * (len(missing) > SHOWN)
        problems.append(f"prod would install {len(missing)} packages that no job was served: {names}")
    return installable, problems
