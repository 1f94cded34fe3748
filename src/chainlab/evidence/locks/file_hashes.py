"""Hashes of locked files: which one of the files that a pin accepts a component is.

    >>> with_file_hash(Component("acme-cells", "1.2.0"), pin, supported_tags, None).hash_origin
    'lock'

A component gets the hash of one file where the pin leaves no choice: it lists one file, a wheel at hand matches, or the
lock names the files and one fits this platform best. Otherwise all hashes of the pin are *accepted* hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import parse_wheel_filename

from chainlab.digests import Digest
from chainlab.evidence.components import Component
from chainlab.evidence.locks.lock_file import LockedFile, LockedPackage
from chainlab.evidence.packages.wheel_file import Wheel, open_wheel

__all__ = ["platform_tags", "read_wheels", "wheel_of", "with_file_hash"]


def with_file_hash(component: Component, pin: LockedPackage, tags: Iterable[str], wheel: Wheel | None) -> Component:
    """Give a component the hash of the one file that its pin accepts here, or else all accepted hashes.

    ``tags`` are the platform tags of the interpreter, the best first; ``wheel`` is the wheel at hand.
    """
    if file := _one_file(pin, tags, wheel):
        return replace(component, hashes=dict(file.hashes), hash_origin="lock")
    accepted = {pair for file in pin.files for pair in file.hashes}
    return replace(component, accepted=tuple(sorted(accepted)), hash_origin="lock" if accepted else "")


def _one_file(pin: LockedPackage, tags: Iterable[str], wheel: Wheel | None) -> LockedFile | None:
    """The one file that is accepted here; None where several may be."""
    if len(pin.files) == 1:
        return pin.files[0]
    at_hand = wheel.digest.value.hex() if wheel is not None else ""
    return next((file for file in pin.files if at_hand and file.sha256 == at_hand), None) or _best_file(pin.files, tags)


def _best_file(files: Iterable[LockedFile], tags: Iterable[str]) -> LockedFile | None:
    """The file with the best of these tags; None where several have it, or none."""
    by_tag: dict[str, set[LockedFile]] = {}
    for file in files:
        for tag in platform_tags(file):
            by_tag.setdefault(tag, set()).add(file)
    best = next((by_tag[tag] for tag in tags if tag in by_tag), set())
    return next(iter(best)) if len(best) == 1 else None


def platform_tags(file: LockedFile, sdist: str = "") -> set[str]:
    """The platform tags of a wheel; ``sdist`` for any other file."""
    try:
        return {str(tag) for tag in parse_wheel_filename(file.name)[3]}
    except ValueError:
        return {sdist} if sdist else set()


def read_wheels(folders: Path | Sequence[Path] | None, accepted: set[str] | None) -> dict[str, Wheel]:
    """Read the wheels in these folders, by digest (hex); with ``accepted``, only those digests."""
    wheels: dict[str, Wheel] = {}
    for folder in [folders] if isinstance(folders, Path) else folders or ():
        for path in sorted(folder.glob("*.whl")):
            digest = Digest.of_file(path).value.hex() if accepted is not None else ""
            if accepted is None or digest in accepted:
                wheel = open_wheel(path)
                wheels[wheel.digest.value.hex()] = wheel
    return wheels


def wheel_of(pin: LockedPackage, at_hand: Mapping[str, Wheel]) -> list[Wheel]:
    """The wheel at hand that a pin accepts: a list of one, or empty."""
    return [at_hand[file.sha256] for file in pin.files if file.sha256 in at_hand][:1]
