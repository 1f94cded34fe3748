"""The lock of a release: ``requirements.lock`` in one canonical form, so that gate and deployment read it alike.

    # a remark
    acme-cells==1.2.0 \\
        --hash=sha256:e56c09e3619098a67fc92474915c288dc081a3312d4f81a9141261aec84acabc
        # via triage-model
    colorama==0.4.6 ; sys_platform == 'win32' \\
        --hash=sha256:08695f5cb7ed6e0531a20572697297273c47b8cae5a63ffc6d6ed5c201be6e44 \\
        --hash=sha256:4f1d9991f5acc0ca119f9d443620b77f9d6b33703e51011c16baf57afb285fc6

This is what ``uv pip compile --generate-hashes`` writes: blank lines, remarks without a backslash, and pins with a
normalised name (PEP 503) and version (PEP 440), a marker (`lock_markers`), and at least one SHA-256. Any other line is
refused and quoted: two readers may read it in two ways, and prod must not learn that from an attacker. No installer
ever reads this file. Reading takes time linear in its size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.locks import lock_markers
from chainlab.evidence.locks.lock_markers import Marker
from chainlab.evidence.packages.interpreters import markers_here
from chainlab.evidence.packages.versions import parse_version

__all__ = ["Pin", "applicable", "parse"]

MAX_SIZE = 2**23  # bytes; this project's own, with hashes for all platforms, has 2**19
MAX_WORD = 100  # characters of a name or a version
HELP = "write it as `uv pip compile --generate-hashes` does"
HASH = "    --hash=sha256:"
HEX = frozenset("0123456789abcdef")
NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
VERSION = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.+!")


@dataclass(frozen=True)
class Pin:
    """One version of a package, the files that are accepted for it, and where it applies."""

    name: str  # normalised
    version: str  # normalised
    hashes: tuple[str, ...]  # SHA-256, hex
    marker: Marker | None = None

    def __str__(self) -> str:
        condition = f" ; {self.marker}" if self.marker else ""
        return " \\\n".join([f"{self.name}=={self.version}{condition}", *(f"{HASH}{digest}" for digest in self.hashes)])


def parse(data: bytes) -> tuple[Pin, ...]:
    """Read all pins of a lock, in its order. Raises `MalformedInput`, which quotes the first line in another form."""
    if len(data) > MAX_SIZE:
        raise MalformedInput(f"the lock has {len(data)} bytes (expected at most {MAX_SIZE})")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise MalformedInput("the lock cannot be read: it is not UTF-8", hint=HELP) from error
    pins: list[Pin] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if _is_blank(line):
            at += 1
            continue
        end = at + 1
        while end < len(lines) and lines[end - 1].endswith(" \\"):
            end += 1
        pins.append(_pin(lines[at:end], at + 1))
        at = end
    return tuple(pins)


def applicable(data: bytes, markers: Mapping[str, str] | None = None) -> list[Pin]:
    """Read the pins of a lock that apply for ``markers`` (default: those of this interpreter).

    Raises `MalformedInput` as `parse`, and for two pins of one package that both apply.
    """
    values = markers_here(markers)
    pins = [pin for pin in parse(data) if pin.marker is None or pin.marker.holds(values)]
    twice = sorted(name for name, count in Counter(pin.name for pin in pins).items() if count > 1)
    if twice:
        raise MalformedInput(f"the lock pins {', '.join(twice[:5])} twice for this interpreter", hint=HELP)
    return pins


def _is_blank(line: str) -> bool:
    """Whether a line is blank or a remark."""
    text = line.strip(" ")
    return not text or (text.startswith("#") and text.replace("\t", " ").isprintable() and "\\" not in text)


def _pin(lines: list[str], number: int) -> Pin:
    """Read the pin of these lines. Raises `MalformedInput` unless they are exactly what `Pin` writes."""
    words, *hashes = [line.removesuffix(" \\") for line in lines]
    requirement, condition, text = words.partition(" ; ")
    name, _, version = requirement.partition("==")
    if not (hashes and _is_name(name) and _is_version(version)):
        raise _refused(lines[0], number)
    for at, line in enumerate(hashes, start=1):
        if not (line.startswith(HASH) and len(line) == len(HASH) + 64 and HEX.issuperset(line[len(HASH) :])):
            raise _refused(lines[at], number + at)
    try:
        marker = lock_markers.parse(text) if condition else None
    except MalformedInput as error:
        raise _refused(lines[0], number, error.message) from error
    pin = Pin(name, version, tuple(line[len(HASH) :] for line in hashes), marker)
    if str(pin) != "\n".join(lines):
        raise _refused(lines[0], number, f"expected {str(pin).partition(chr(10))[0]!r}")
    return pin


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_WORD and NAME.issuperset(text) and canonicalize_name(text) == text and text[0] != "-"


def _is_version(text: str) -> bool:
    if not (0 < len(text) <= MAX_WORD and VERSION.issuperset(text)):
        return False
    version = parse_version(text)
    return version is not None and str(version) == text


def _refused(line: str, number: int, why: str = "") -> MalformedInput:
    return MalformedInput(f"not a line of a release's lock: {line[:200]!r} (line {number})", why=why, hint=HELP)
