"""Filter patterns of ``branches`` and ``tags``, as the platform reads them.

    *   any characters but /          ?   the character before it may be missing
    **  any characters                +   the character before it may be repeated
    [CB] [0-9]  one of these          !   at the start: excludes what earlier patterns allowed

    >>> matches("release/1.2", ["release/**", "!release/**-rc"])
    True

Each character of a name is read once, so no pattern is slow. (GitHub Docs, "Workflow syntax for GitHub
Actions", section "Filter pattern cheat sheet".)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainlab.errors import MalformedInput

__all__ = ["matches"]

SIGN = re.compile(r"\\.|\*\*|\[[^\]]+\]|.", re.DOTALL)
SET = re.compile(r"(?:[A-Za-z0-9]-[A-Za-z0-9]|.)", re.DOTALL)


@dataclass(frozen=True)
class _Part:
    """The characters that one place of a name may have."""

    letters: str = ""  # one of these; empty = any
    ranges: tuple[tuple[str, str], ...] = ()
    slash: bool = True  # whether "any" takes /
    optional: bool = False
    repeats: bool = False

    def takes(self, letter: str) -> bool:
        if not self.letters and not self.ranges:
            return self.slash or letter != "/"
        return letter in self.letters or any(a <= letter <= b for a, b in self.ranges)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the last pattern that fits ``name`` allows it. Raises `MalformedInput` for an invalid pattern."""
    allowed = False
    for pattern in patterns:
        if _fits(name, _parts(pattern.removeprefix("!"))):
            allowed = not pattern.startswith("!")
    return allowed


def _parts(pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    for sign in SIGN.findall(pattern):
        if sign in ("?", "+"):
            if not parts:
                raise MalformedInput(f"not a filter: {pattern[:80]!r} ({sign} has nothing before it)")
            if sign == "?":
                parts[-1] = replace(parts[-1], optional=True)
            else:  # once more, as often as it likes
                parts.append(replace(parts[-1], optional=True, repeats=True))
        elif sign in ("*", "**"):
            parts.append(_Part(slash=sign == "**", optional=True, repeats=True))
        elif len(sign) > 2:
            inside = SET.findall(sign[1:-1])
            letters = "".join(part for part in inside if len(part) == 1)
            parts.append(_Part(letters, tuple((p[0], p[2]) for p in inside if len(p) == 3)))
        else:
            parts.append(_Part(sign[-1]))
    return parts


def _fits(name: str, parts: list[_Part]) -> bool:
    """Whether the parts fit the whole name; follows all alternatives at once, each a number of parts passed."""
    places = _onwards({0}, parts)
    for letter in name:
        taken = {p for p in places if p < len(parts) and parts[p].takes(letter)}
        places = _onwards({p if parts[p].repeats else p + 1 for p in taken}, parts)
    return len(parts) in places


def _onwards(places: set[int], parts: list[_Part]) -> set[int]:
    """The places, and those after optional parts."""
    reached = set(places)
    for place, part in enumerate(parts):
        if place in reached and part.optional:
            reached.add(place + 1)
    return reached
